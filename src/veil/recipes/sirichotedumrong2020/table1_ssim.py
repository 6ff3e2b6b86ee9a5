"""Reconstructions by attacks, beside accuracy: all of Table I, and Table I as it should have been (Figure 7).

Paper:   Sirichotedumrong and Kiya 2020, section IV-C, Table I, SSIM, and Figure 7
Item:    table1-ssim
Cost:    smoke a minute; cpu 90 min on two cores; paper a day on a GPU
Expect:  UWA: pixel-based same 0.17, different 0.04; GA: transformed 0.10, different 0.15, same 0.27, Tanaka 0.72
Command: veil reproduce sirichotedumrong2020 table1-ssim --scale cpu --data DIR

Audits (`veil.audits`) of the four protections by all attacks. The paper attacks STL-10 at 96×96. At cpu scale things100
at 64×64 stands in, where a packaged classifier of plain images reads what comes back; and 400 photos of NIPS 2017 at
96×96, of which an attacker has 300. Attacks that are trained go over their images fewer times than the paper's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Generator, Tensor

from veil import training
from veil.attacks.images import ATTACKS
from veil.audits.images.audit import SCALES, ImageAudit, audit
from veil.audits.images.page import pictures
from veil.audits.images.subjects import Subject, subject
from veil.audits.images.verdicts import (
    BROKEN,
    METRICS,
    attempts,
    floor,
    guess,
    named,
    reconstructions,
    strongest,
    verdicts,
)
from veil.audits.levels import without_controls
from veil.data import photo_sets, small_images
from veil.data import synthetic as made_data
from veil.data.decoding import decode
from veil.data.labelled_images import LabelledImages, Parts
from veil.data.labelled_photos import IMAGENET_CLASSES
from veil.jobs.rows import Row
from veil.models import catalog
from veil.protections.transformation.packaged import DEFAULT
from veil.recipes import free_photos
from veil.recipes.recipe import Conditions, Evidence
from veil.recipes.sirichotedumrong2020 import table1_accuracy, transformation
from veil.recipes.sirichotedumrong2020.table1_accuracy import NAMES, PRINTED
from veil.report.numbers import duration
from veil.report.page import Picture, Section, Table
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of
from veil.training.run import Run

ITEM = "table1-ssim"
PROTECTIONS = ("transformed", "pixel-same", "pixel-different", "tanaka")
PRINTED_SSIM: dict[str, tuple[float | None, float]] = {
    "transformed": (None, 0.0956),
    "pixel-same": (0.1715, 0.2688),
    "pixel-different": (0.0425, 0.1527),
    "tanaka": (None, 0.7152),
}
"""UWA and GA, as printed; None is N/A."""
WITHOUT, WITH = (0, 1), (2, 3)
"""Lowest and highest rank of knowledge of attackers without pairs and with pairs."""
PHOTOS, PHOTOS_JUDGED = "nips17", 100
SHOWN = ("chelsea", "astronaut")
_CREDIT = "; ".join(free_photos.CREDITS[name] for name in SHOWN)


@dataclass(frozen=True)
class Attacked:
    """A data set that is attacked, and the classifier of plain images that reads reconstructions."""

    data: str
    side: int
    classifier: str | None = None


SETTINGS: dict[Scale, tuple[Attacked, ...]] = {
    "smoke": (Attacked("made10", 32),),
    "cpu": (Attacked("things100", 64, "things100"), Attacked(PHOTOS, 96)),
    "paper": (Attacked("stl10", 96),),
}


def measure(conditions: Conditions) -> None:
    """Rows of an audit for each data set and protection."""
    sets, scale = SETTINGS[conditions.scale], conditions.scale
    about = {"data": ", ".join(f"{data_set.data} at {data_set.side}×{data_set.side}" for data_set in sets),
             "classifiers": [data_set.classifier for data_set in sets], "settings": asdict(SCALES[scale])}  # fmt: skip
    with conditions.rows(ITEM, about) as rows:
        if 0 in rows.complete:
            return
        runner = training.fabric(conditions.device, "auto")
        for data_set in sets:
            parts = _load(conditions, data_set)
            reader = None if data_set.classifier is None else catalog.load(data_set.classifier)
            for name in PROTECTIONS:

                def say(line: str, title: str = f"{data_set.data}, {NAMES[name]}") -> None:
                    conditions.say(f"{title}: {line}")

                folder = conditions.work / conditions.paper / scale / "attackers" / data_set.data / name
                audit(
                    ImageAudit(subject=_subject(name), parts=parts, scale=scale, classifier=reader),
                    list(ATTACKS.values()), rows,
                    Run(folder=folder, seed=0, runner=runner, logged=lambda row: None),
                    mark={"data": data_set.data, "protection": name, "seed": 0},
                    shown=_shown(data_set.side, data_set is sets[0]), say=say,
                )  # fmt: skip
        rows.finish((0,))


def _load(conditions: Conditions, attacked: Attacked) -> Parts:
    """A data set in memory, in the size that is attacked.

    Raises:
        FileNotFoundError: where it is in none of ``conditions.data``.
    """
    if conditions.scale == "smoke":
        return made_data.small_images(train=60, test=30, classes=10, side=attacked.side, seed=0)
    if attacked.data != PHOTOS:
        return small_images.find(conditions.data, attacked.data, attacked.side)
    photos = photo_sets.find(conditions.data, PHOTOS)
    order = torch.randperm(len(photos), generator=Generator().manual_seed(seed_of("photos", 0)))
    images = decode(photos.files, list(map(str, photos.files)), attacked.side)
    labels, classes = torch.tensor(photos.labels), tuple(map(str, range(IMAGENET_CLASSES)))
    judged, own = order[:PHOTOS_JUDGED], order[PHOTOS_JUDGED:]
    train, test = (LabelledImages(images[part], labels[part], classes) for part in (own, judged))
    return Parts(PHOTOS, train, test)


def _shown(side: int, some: bool) -> Tensor:
    """Images that anybody may show, in place of the attacked ones; or none."""
    photos = torch.stack([free_photos.read(name, side) for name in SHOWN])
    return photos if some else photos[:0]


def _subject(name: str) -> Subject:
    return subject(DEFAULT if name == "transformed" else name)


def show(evidence: Evidence) -> Section:
    """The full table, the stronger one, verdicts on the paper's claims, and Figure 7."""
    audits: dict[str, dict[str, list[Row]]] = {}
    for row in evidence.rows(ITEM):
        audits.setdefault(row["data"], {name: [] for name in PROTECTIONS})[row["protection"]].append(row)
    accuracy = evidence.rows(table1_accuracy.ITEM)
    first = next(iter(audits.values()))
    trained = {(row["method"], row["preset"]): row for row in evidence.rows(transformation.ITEM)}
    tables: list[Table] = [_whole(audits, accuracy), _claims(first, trained.get(("cyclegan", "paper")))]
    tables += [_as_it_should_be(data, rows) for data, rows in audits.items()]
    tables.append(_verdicts(first, evidence.conditions.scale))
    return Section(
        ITEM, "Table I and Figure 7 · What attacks give back", _text(audits), tuple(tables), tuple(_figures(audits)),
        evidence.source(ITEM),
    )  # fmt: skip


def _figures(audits: dict[str, dict[str, list[Row]]]) -> list[Picture]:
    return [
        pictures(f"figure7-{data}-{name}", rows, f"Figure 7, attackers of {data}, {NAMES[name]}. {_CREDIT}. ")
        for data, by_protection in audits.items()
        for name, rows in by_protection.items()
        if any(row["kind"] == "shown" for row in rows)
    ]


def _whole(audits: dict[str, dict[str, list[Row]]], accuracy: list[Row]) -> Table:
    """Table I: the paper's values, and ours after the slash."""
    lines = []
    for name in PROTECTIONS:
        cells = [
            " / ".join([
                "N/A" if paper is None else f"{paper:.4f}",
                *(_ssim(by_protection[name], attack) for by_protection in audits.values()),
            ])
            for attack, paper in zip(("uwa", "ga"), PRINTED_SSIM[name], strict=True)
        ]  # fmt: skip
        lines.append((NAMES[name], *cells, *_accuracies(accuracy, name)))
    lines.append((NAMES["plain"], "N/A", "N/A", *_accuracies(accuracy, "plain")))
    sets = " / ".join(["paper, STL-10", *audits])
    return Table(
        f"Table I: SSIM of what the paper’s two attacks give back ({sets}), and accuracy in % of networks trained on "
        "protected images (paper / ours; the second set stands in for CIFAR-100).",
        ("", "UWA", "GA", *(_titles(accuracy))), tuple(lines),
    )  # fmt: skip


def _titles(accuracy: Sequence[Row]) -> list[str]:
    """Headings of the columns of accuracy: our data sets."""
    sets = list(dict.fromkeys(row["data"] for row in accuracy))
    return [f"accuracy, {name}" for name in sets] or ["accuracy", "accuracy"]


def _accuracies(accuracy: Sequence[Row], name: str) -> list[str]:
    cells = []
    for column, data in enumerate(dict.fromkeys(row["data"] for row in accuracy)):
        wanted = (data, name, table1_accuracy.ADAPTATION[name])
        ours = [row["top1"] for row in accuracy if (row["data"], row["protection"], row["adaptation"]) == wanted]
        cells.append(f"{PRINTED[name][column]:.2f} / {100 * sum(ours) / len(ours):.1f}" if ours else "–")
    return cells or ["–", "–"]


def _ssim(rows: Sequence[Row], attack: str) -> str:
    row = next((row for row in rows if row["kind"] == "attack" and row["attack"] == attack), None)
    if row is None:
        return "–"
    return "failed" if "failed" in row else f"{row['ssim']:.4f}"


def _as_it_should_be(data: str, by_protection: dict[str, list[Row]]) -> Table:
    """The strongest attack without and with pairs, by each metric that was measured."""
    metrics = [metric for metric in METRICS if guess(by_protection[PROTECTIONS[0]], metric) is not None]
    titles = {"ssim": "SSIM", "visible": "shows", "accuracy": "named rightly by a classifier"}
    lines = []
    for name, rows in by_protection.items():
        for title, (least, most) in (("without pairs", WITHOUT), ("with pairs", WITH)):
            cells = []
            for metric in metrics:
                row = strongest(rows, metric, most, least)
                cells.append("–" if row is None else f"{row[metric]:.3f} ({named(row)})")
            tried = len(attempts(rows, most, least))
            lines.append((f"{NAMES[name]}, {title}, of {tried} attacks", *cells))
    rows = by_protection[PROTECTIONS[0]]
    for title, values in (("a guess", [guess(rows, metric) for metric in metrics]),
                          ("the plain images", [floor(rows, "plain")[metric] for metric in metrics])):  # fmt: skip
        lines.append((title, *(f"{value:.3f}" for value in values)))
    return Table(
        f"Table I as it should have been, {data}: the strongest attack by each metric, and of how many it is the "
        "strongest (the protected image itself counts as one more). Each was trained once.",
        ("", *(titles[metric] for metric in metrics)), tuple(lines),
    )  # fmt: skip


def _verdicts(by_protection: dict[str, list[Row]], scale: Scale) -> Table:
    """In words, by protection and kind of attacker, and how long the audit took."""
    lines = [
        (f"{NAMES[name]} ({duration(sum(row['seconds'] for row in rows))})", verdict.attacker, verdict.words,
         verdict.text, verdict.over)
        for name, rows in by_protection.items()
        for verdict in verdicts(rows, scale)
    ]  # fmt: skip
    return Table(
        "What each kind of attacker gets; in brackets, what the whole audit took."
        f"{without_controls(by_protection.values())}",
        ("", "an attacker who …", "verdict", "because", "the strongest of"), tuple(lines),
    )  # fmt: skip


def _claims(by_protection: dict[str, list[Row]], cyclegan: Row | None) -> Table:
    """The paper's claims about attacks, and our results; with the row of our CycleGAN with the paper's losses."""
    worked = {name: reconstructions(rows) for name, rows in by_protection.items()}
    by_ga = {name: row for name, rows in worked.items() for row in rows if row["attack"] == "ga"}
    ga = {name: row["ssim"] for name, row in by_ga.items()}
    best = {name: [max(_reached(rows, *ranks)) for ranks in (WITHOUT, WITH)] for name, rows in by_protection.items()}
    least = min(ga, key=lambda name: ga[name], default="")
    return Table(
        "The paper’s claims about attacks.", ("the paper says", "here"),
        (
            (
                "The transformation network gives GA the lowest SSIM (0.0956).",
                (f"Lowest under GA: {NAMES[least]} ({ga[least]:.3f}); of its images {by_ga[least]['visible']:.2f} "
                 f"shows{': what is below 0 is a negative' if ga[least] < 0 else ''}. The transformation network has "
                 f"{ga['transformed']:.3f}, and {by_ga['transformed']['visible']:.2f} shows."
                 if "transformed" in ga else "GA failed."),
            ),
            (
                "So it is the most robust of the four.",
                f"Under the strongest attack without pairs: {_lowest(best, 0)}. With pairs, which whoever has its file "
                f"can make: {_lowest(best, 1)}. A guess has {guess(by_protection['transformed'], 'ssim'):.3f}. But the "
                "transformation network here is Veil’s single U-Net"
                + ("; what the paper’s losses made of our CycleGAN shows photos without any attack (see Transformation "
                   "networks)." if cyclegan is not None and transformation.shows(cyclegan) else "."),
            ),
            (
                "The ciphers have large key spaces and resist brute force.",
                ("Nobody needs to try keys. " if max(best[name][0] for name in PROTECTIONS[1:]) > BROKEN else "")
                + "The strongest attack without pairs has an SSIM of "
                + "; ".join(f"{best[name][0]:.3f} ({NAMES[name]})" for name in PROTECTIONS[1:]) + ".",
            ),
            (
                "Different keys resist UWA better than one key (0.0425 against 0.1715).",
                f"As we trained it, UWA without pairs {_uwa(by_protection)}, in either mode "
                f"({_ssim(by_protection['pixel-different'], 'uwa')} and "
                f"{_ssim(by_protection['pixel-same'], 'uwa')}). The same map fitted to pairs: "
                f"{_ssim(by_protection['pixel-different'], 'affine')} and "
                f"{_ssim(by_protection['pixel-same'], 'affine')}.",
            ),
        ),
    )  # fmt: skip


def _uwa(by_protection: dict[str, list[Row]]) -> str:
    """Whether UWA is above a guess on either mode of the pixel-based cipher."""
    above = [
        row["ssim"] > (guess(rows, "ssim") or 0.0)
        for rows in (by_protection["pixel-different"], by_protection["pixel-same"])
        for row in reconstructions(rows) if row["attack"] == "uwa"
    ]  # fmt: skip
    return f"gives {'something' if any(above) else 'nothing'} back of the pixel-based cipher"


def _lowest(best: dict[str, list[float]], place: int) -> str:
    """The lowest SSIM with its protection, and the transformation network's SSIM, if it is another one."""
    least = min(best, key=lambda name: best[name][place])
    others = [least] if least == "transformed" else [least, "transformed"]
    return "lowest is " + "; ".join(f"{NAMES[name]}, {best[name][place]:.3f}" for name in others)


def _reached(rows: Sequence[Row], least: int, most: int) -> list[float]:
    """SSIM of attacks of some ranks of knowledge, and of the protected image itself."""
    worked = reconstructions(attempts(rows, most, least))
    return [float(row["ssim"]) for row in [*worked, floor(rows, "protected")]]


def _text(audits: dict[str, dict[str, list[Row]]]) -> tuple[str, ...]:
    first = next(iter(audits.values()))
    guessed = {metric: guess(first["transformed"], metric) for metric in ("ssim", "visible")}
    return (
        "The paper measures two attacks by SSIM. Both are trained without pairs. The paper does not say which SSIM "
        "means that nothing is left. Here, a guess that does not look at the protected image has an SSIM of "
        f"{guessed['ssim']:.3f} and a visibility of {guessed['visible']:.3f}. The tables hold the paper’s two attacks "
        "and all others of `veil audit`. Each attacker was trained from nothing on images of their own and judged on "
        "others.",
        "UWA: the paper says that weights are not shared and how they are trained, but not on what. Without pairs, a "
        f"discriminator has to teach them. As we trained it, UWA without pairs {_uwa(first)}. The best that unshared "
        "weights can do is the affine map, fitted to pairs.",
        *_one_key(first),
    )  # fmt: skip


def _one_key(by_protection: dict[str, list[Row]]) -> list[str]:
    """States that statistics break ciphers with one key, if they do."""
    by_statistics = {"pixel-same": "pixel-statistics", "tanaka": "block-statistics"}
    worked = {name: reconstructions(by_protection[name]) for name in by_statistics}
    strongest = [
        max((row for row in worked[name] if row["attack"] == attack), key=lambda row: float(row["ssim"]), default=None)
        for name, attack in by_statistics.items()
    ]
    if any(row is None or row["ssim"] < BROKEN for row in strongest):
        return []
    seconds = max(row["seconds"] for row in strongest if row is not None)
    return [
        f"With one key for all images, the ciphers are broken in {seconds:.0f} s, without any pair and without "
        "training: what a cipher does to all images alike, it does to their statistics, too. "
        "[What audits find](audit.md) says more."
    ]
