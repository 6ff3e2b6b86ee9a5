"""Classifiers that learn from encrypted images, and how often they are right (Table I, the columns of accuracy).

Paper:   Sirichotedumrong and Kiya 2020, section IV-D, Table I, accuracy
Item:    table1-accuracy
Cost:    smoke seconds; cpu 3 h on two cores; paper 15 trainings of 200 epochs of a ResNet-18 on a GPU
Expect:  CIFAR-10: plain 95.05, transformed 90.73, pixel-based same 91.29, different 91.14, Tanaka 88.96 %; CIFAR-100:
         77.24, 67.36, 67.17, 67.28, 68.13 %
Command: veil reproduce sirichotedumrong2020 table1-accuracy --scale cpu --data DIR

At cpu scale the network has a quarter of the channels and sees the images sixteen times, with a rate that rises once
and falls to zero; settings were chosen on 4,000 training images that were kept apart, never on test images. CIFAR-100
has a stand-in at cpu scale: things100, 100 classes of Tiny ImageNet at 32×32.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Generator

from veil import training
from veil.data import small_images, synthetic
from veil.data.labelled_images import Parts
from veil.jobs.rows import Row
from veil.models.residual import ResNet18
from veil.protections import PROTECTIONS as ROWS
from veil.protections.ciphers.keys import Key
from veil.protections.transformation import Transformation, packaged
from veil.recipes.recipe import Conditions, Evidence
from veil.report.numbers import spread
from veil.report.page import Section, Table
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of
from veil.training import classification
from veil.training.classification import Protection, accuracy, unprotected
from veil.training.classifier_settings import PRESETS, ClassifierSettings
from veil.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ITEM = "table1-accuracy"
PROTECTIONS = ("plain", "transformed", "pixel-same", "pixel-different", "tanaka")
NAMES = {
    "plain": "plain images",
    "transformed": "transformation network",
    "pixel-same": "pixel-based, same key",
    "pixel-different": "pixel-based, different keys",
    "tanaka": "Tanaka’s cipher",
}
PRINTED = {
    "plain": (95.05, 77.24),
    "transformed": (90.73, 67.36),
    "pixel-same": (91.29, 67.17),
    "pixel-different": (91.14, 67.28),
    "tanaka": (88.96, 68.13),
}
SEEDS: dict[Scale, int] = {"smoke": 1, "cpu": 1, "paper": 3}
AS_GOOD = 0.01
"""Difference of accuracies below which two networks are equally good."""
PIXEL_BASED, RANDOM = ("pixel-same", "pixel-different"), "pixel-random"
ADAPTATION = {name: ROWS[name].adaptation if name in ROWS else None for name in PROTECTIONS}
COPIES = {"ba8f3de662af4e43": "CIFAR-10 (JPEG copy)"}
"""Fingerprints of data that differs from its name: 30.5 dB from the originals, on average."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The training at a scale, and its data sets; the second one replaces CIFAR-100."""

    training: ClassifierSettings
    width: int
    data: tuple[str, str]


SETTINGS: dict[Scale, Setting] = {
    "smoke": Setting(training=replace(PRESETS["fast"], epochs=2, batch_size=50), width=8, data=("made10", "made20")),
    "cpu": Setting(training=replace(PRESETS["fast"], epochs=16), width=16, data=("cifar10", "things100")),
    "paper": Setting(training=PRESETS["paper"], width=64, data=("cifar10", "cifar100")),
}


def measure(conditions: Conditions) -> None:
    """A row for each seed, data set and protection."""
    setting = SETTINGS[conditions.scale]
    runner = training.fabric(conditions.device, "auto")
    seeds = conditions.seeds_or(SEEDS)
    about = {"data": ", ".join(setting.data), "width": setting.width, "settings": asdict(setting.training)}
    with conditions.rows(ITEM, about) as rows:
        for name in setting.data:
            wanted = [(protection, ADAPTATION[protection]) for protection in PROTECTIONS]
            wanted += [(protection, RANDOM) for protection in PIXEL_BASED if name == setting.data[0]]
            lacking = [
                (seed, protection, adaptation) for seed in seeds for protection, adaptation in wanted
                if not rows.find(data=name, seed=seed, protection=protection, adaptation=adaptation)
            ]  # fmt: skip
            if not lacking:
                continue
            parts = load(conditions, name)
            for seed, protection, adaptation in lacking:
                conditions.say(f"{name}, {NAMES[protection]}, seed {seed}, adaptation network {adaptation or 'none'}")
                rows.add(row_of(conditions, setting, parts, name, protection, adaptation, seed, runner))
        rows.finish(seeds)


def load(conditions: Conditions, name: str) -> Parts:
    """A data set by name, of 32×32 pixels; at smoke scale synthetic images.

    Raises:
        FileNotFoundError: where it is in none of ``conditions.data``.
    """
    if conditions.scale == "smoke":
        return synthetic.small_images(train=200, test=100, classes=int(name.removeprefix("made")), side=32, seed=0)
    return small_images.find(conditions.data, name, 32)


def protect(name: str, seed: int) -> Protection:
    """A row's protection; its key, if it has one, comes from the seed: nothing here is to stay secret."""
    if name == "plain":
        return unprotected
    if name == "transformed":
        return transformation()
    row = ROWS[name]
    secret = torch.randint(256, (32,), generator=Generator().manual_seed(seed_of("key", seed)), dtype=torch.uint8)
    return row.build(Key(secret.numpy().tobytes()) if row.takes_key else None)


@cache
def transformation() -> Transformation:
    """The packaged network, which was trained on CIFAR-10; the paper takes its own for all sets, too."""
    return packaged.load()


def row_of(
    conditions: Conditions, setting: Setting, parts: Parts, data: str, name: str, adaptation: str | None, seed: int,
    runner: "Fabric",
) -> Row:  # fmt: skip
    """Trains a network on a protected data set, resuming where it was stopped, and measures its accuracy."""
    name_of_run = f"{data}-{name}-{adaptation}-seed-{seed}"
    if setting.training != SETTINGS[conditions.scale].training:
        name_of_run += f"-epochs-{setting.training.epochs}"
    run = Run(
        folder=conditions.work / conditions.paper / conditions.scale / name_of_run,
        seed=seed, runner=runner, about={"protection": name},
        logged=lambda row: conditions.say(f"epoch {row['epoch'] + 1}: accuracy in training {row['accuracy']:.3f}"),
    )  # fmt: skip
    fitted = classification.fit(
        parts, setting.training, run, protection=protect(name, seed), width=setting.width, adaptation=adaptation
    )
    last = fitted.log[-1]
    plain = replace(fitted.prepare, protection=unprotected)
    return {
        "data": data,
        "fingerprint": parts.fingerprint,
        "images": [len(parts.train), len(parts.test)],
        "classes": len(parts.train.classes),
        "protection": name,
        "adaptation": adaptation,
        "transformation": transformation().fingerprint if name == "transformed" else None,
        "seed": seed,
        **fitted.test,
        "plain_top1": accuracy(fitted.network, parts.test, plain, seed)["top1"],
        "training_accuracy": last["accuracy"],
        "training_loss": last["loss"],
        "training_seconds": round(sum(row["seconds"] for row in fitted.log), 1),
        "precision": training.precision_of(runner),
    }


def show(evidence: Evidence) -> Section:
    """Accuracy by protection and data set, the paper's and ours."""
    rows = evidence.rows(ITEM)
    setting = SETTINGS[evidence.conditions.scale]
    papers = ("CIFAR-10", "CIFAR-100")
    columns = list(zip(setting.data, papers, range(2), strict=True))
    text = (
        *(_order(rows, name, _named(rows, name), paper, n) for name, paper, n in columns),
        *_text(evidence.conditions.scale, setting, rows),
        *_on_plain(rows),
        _of_the_transformation(rows, setting),
        "The two 1×1 convolutions for the pixel-based ciphers start such that they see only what the ciphers do not "
        "change: how far the values of a pixel are from the middle of the range. From PyTorch’s own start, a network "
        "has to find that out; the last table compares the two at the end of the training.",
        "One seed: differences of less than a point or so say little."
        if len({row["seed"] for row in rows}) == 1
        else "± is the standard deviation over seeds.",
        "This table says what protection costs, not what it is worth: no attack was made here. What is known to break "
        "each cipher stands in `docs/encryption.md`.",
    )
    tables = (
        _accuracies(rows, columns), _costs(rows, columns), _beside(rows, columns), _starts(rows, setting.data[0]),
    )  # fmt: skip
    title = "Table I · Accuracy of networks that learn from encrypted images"
    return Section(ITEM, title, text, tables, (), evidence.source(ITEM))


Columns = Sequence[tuple[str, str, int]]
"""Our data set, the paper's name of it, and which of the paper's numbers is of it."""


def _head(rows: list[Row], columns: Columns) -> tuple[str, ...]:
    return ("", *(cell for name, paper, _ in columns for cell in (f"{paper}, paper", _named(rows, name))))


def _accuracies(rows: list[Row], columns: Columns) -> Table:
    """Accuracy by protection."""
    return Table(
        "Accuracy in % on test images that are protected as the training images were; mean ± standard deviation over "
        "seeds, where there are several. A guess is right in 10 and in 1 %.",
        _head(rows, columns),
        tuple(
            (
                NAMES[protection],
                *(
                    cell
                    for name, _, n in columns
                    for cell in (f"{PRINTED[protection][n]:.2f}", _percent(rows, name, protection))
                ),
            )
            for protection in PROTECTIONS
        ),
    )


def _costs(rows: list[Row], columns: Columns) -> Table:
    """What every protection costs."""
    return Table(
        "What protection costs, in points of accuracy below plain images.",
        _head(rows, columns),
        tuple(
            (
                NAMES[protection],
                *(
                    f"{value:.1f}"
                    for name, _, n in columns
                    for value in (PRINTED["plain"][n] - PRINTED[protection][n], _lost(rows, name, protection))
                ),
            )
            for protection in PROTECTIONS[1:]
        ),
    )


def _beside(rows: list[Row], columns: Columns) -> Table:
    """Plain test images, and protected ones in training."""
    return Table(
        "The same networks asked about plain test images, and how often they were right in training (on cropped, "
        "mirrored and protected images), in %.",
        ("", *(cell for name, *_ in columns for cell in (f"{_named(rows, name)}, plain", "in training"))),
        tuple(
            (
                NAMES[protection],
                *(
                    _percent(rows, name, protection, field)
                    for name, *_ in columns
                    for field in ("plain_top1", "training_accuracy")
                ),
            )
            for protection in PROTECTIONS
        ),
    )


def _starts(rows: list[Row], first: str) -> Table:
    """Starts of the adaptation network, on the first data set."""
    return Table(
        "What the start of the adaptation network is worth to the pixel-based ciphers: accuracy in %, "
        f"{_named(rows, first)}.",
        ("", "sees what the cipher does not change", "PyTorch’s own start"),
        tuple(
            (
                NAMES[protection],
                *(_percent(rows, first, protection, adaptation=kind) for kind in (ADAPTATION[protection], RANDOM)),
            )
            for protection in PIXEL_BASED
        ),
    )


def _on_plain(rows: list[Row]) -> list[str]:
    """Which networks that learned from protected images also read plain ones."""

    def all_of(name: str, holds: Callable[[Row], bool]) -> bool:
        return all(holds(row) for row in rows if row["protection"] == name and row["adaptation"] == ADAPTATION[name])

    def guesses(row: Row) -> bool:
        return bool(row["plain_top1"] < 2 / row["classes"])

    sentences = {
        "With different keys a network has to do without any key, so it is as good on plain images: test images need "
        "no encryption, and whoever has the network can classify plain photos with it.": all_of(
            "pixel-different", lambda row: bool(abs(row["plain_top1"] - row["top1"]) < AS_GOOD)
        ),
        "With one key it does worse on plain images, but far better than a guess.": all_of(
            "pixel-same", lambda row: not guesses(row) and bool(row["plain_top1"] < row["top1"] - AS_GOOD)
        ),
        "Networks that learned from Tanaka’s cipher, or from transformed images, are lost on plain ones.": all(
            all_of(name, guesses) for name in ("tanaka", "transformed")
        ),
    }
    text = " ".join(sentence for sentence, holds in sentences.items() if holds)
    return [text] if text else []


def _of_the_transformation(rows: list[Row], setting: Setting) -> str:
    """What it passes on of the set that it was trained on, and of another."""
    better = _lost(rows, setting.data[0], "transformed") < 0
    return (
        "The transformation network was trained on CIFAR-10 with its labels, by way of h_θ. So its images of that set "
        "carry h_θ’s answers, and a network that learns from them can be as good as h_θ"
        + (", and better than one that had plain images and the same short training: that is no merit of the "
           "protection" if better else "")
        + ". Of another set it passes on what h_θ’s classes have to do with it, here "
        f"{_percent(rows, setting.data[1], 'transformed')} % against {_percent(rows, setting.data[1], 'plain')} %. The "
        "paper’s point, that one network serves other data, is a question of how much it lets through, and what hides "
        "most lets through least."
    )  # fmt: skip


def _harder(rows: list[Row], setting: Setting) -> str:
    """Whether encrypted images are harder to learn from, and more so with more classes."""
    ciphers = [name for name in PROTECTIONS if name in ROWS and ROWS[name].key != "none"]
    few, many = ([_lost(rows, data, name) for name in ciphers] for data in setting.data)
    if min(few) <= 0 or min(many) <= 0:
        return ""
    more = "; the more so with 100 classes" if all(a < b for a, b in zip(few, many, strict=True)) else ""
    return f" Encrypted images are harder to learn from than plain ones, so a short training costs them more{more}."


def _text(scale: Scale, setting: Setting, rows: list[Row]) -> tuple[str, ...]:
    """What differs from the paper's setting."""
    if scale != "cpu":
        return ()
    full, ours = (sum(p.numel() for p in ResNet18(10, width).parameters()) / 1e6 for width in (64, setting.width))
    return (
        f"Why the values are lower than the paper’s: the network has {ours:.1f} million parameters instead of "
        f"{full:.1f} (ResNet-18 at a quarter of its width), sees each image {setting.training.epochs} times instead of "
        "200, and CIFAR-10 was read from JPEG copies, about 30.5 dB from the originals." + _harder(rows, setting),
        "So short a training does not settle whether Tanaka’s or the pixel-based ciphers lead to higher accuracy. A "
        "network reads Tanaka’s blocks early, since one key serves all of them; the pixel-based ciphers are ahead in "
        "the paper, after 200 epochs. The next section has a longer training.",
        "CIFAR-100 cannot be fetched here. things100, a hundred classes of Tiny ImageNet scaled to 32×32, stands in: "
        "another set, harder in other ways, so that only differences between its rows say something.",
    )


def _order(rows: list[Row], data: str, name: str, paper: str, column: int) -> str:
    """How the protections rank by accuracy, beside the paper's ranking."""
    printed = sorted(PROTECTIONS, key=lambda protection: -PRINTED[protection][column])
    ours = sorted(PROTECTIONS, key=lambda protection: -_mean(rows, data, protection))
    ranking = "; ".join(NAMES[protection] for protection in ours)
    if ours == printed:
        return f"{name}: the order is the paper’s for {paper}: {ranking}."
    groups = [tuple(protection.split("-")[0] for protection in order) for order in (ours, printed)]
    if groups[0] == groups[1]:
        return f"{name}: the order is the paper’s for {paper}, but for the two pixel-based modes: {ranking}."
    return f"{name}: {ranking}. In the paper, for {paper}: {'; '.join(NAMES[protection] for protection in printed)}."


def _values(
    rows: list[Row], data: str, protection: str, field: str = "top1", adaptation: str | None = None
) -> list[float]:
    wanted = (data, protection, adaptation or ADAPTATION[protection])
    return [100 * row[field] for row in rows if (row["data"], row["protection"], row["adaptation"]) == wanted]


def _percent(rows: list[Row], data: str, protection: str, field: str = "top1", adaptation: str | None = None) -> str:
    return spread(_values(rows, data, protection, field, adaptation))


def _mean(rows: list[Row], data: str, protection: str) -> float:
    return fmean(_values(rows, data, protection))


def _lost(rows: list[Row], data: str, protection: str) -> float:
    return _mean(rows, data, "plain") - _mean(rows, data, protection)


def _named(rows: list[Row], data: str) -> str:
    """The name of a data set in the table."""
    fingerprints = {row["fingerprint"] for row in rows if row["data"] == data}
    return next((COPIES[fingerprint] for fingerprint in fingerprints if fingerprint in COPIES), data)
