"""An audit of features as a page: verdicts, attributes, pictures, people, beside their floors."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from veil.attacks.features.attributes import ATTRIBUTE_ATTACKERS
from veil.audits.features.scene import ALL, COSINE, MATCHER
from veil.audits.features.verdicts import (
    GUESSES,
    RECOGNISED,
    floor_of,
    gaps,
    in_loop,
    mean_over_seeds,
    of_attribute,
    picture_floor,
    reconstructions,
    spread_over_seeds,
    titled,
    verdicts,
)
from veil.audits.images.page import LEVELS, strip
from veil.jobs.rows import Row
from veil.report import figures
from veil.report.numbers import interval, spread
from veil.report.page import Page, Picture, Section, Table

COMPARED = {COSINE: "what is sent, compared", MATCHER: "what is sent, compared by a matcher that was learnt"}
FLOORS = {"plain": "the photo itself", "mean": "guess: the mean face", "unrelated": "guess: another face",
          "grey": "guess: grey"}  # fmt: skip
_PICTURES = {"ms_ssim": "MS-SSIM", "ssim": "SSIM", "psnr": "PSNR, dB", "lpips": "LPIPS", "visible": "shows"}


def page(rows: Sequence[Row], about: Mapping[str, Any], source: str) -> Page:
    """The page of an audit of features.

    Args:
        rows: of one audit, with its floors. about: what they depend on, as `veil.audits.features.scene.about` has it;
        with ``adversary``, balanced accuracies by
            attribute, where the training said something of itself.
        source: data, hardware, time and command, in prose.
    """
    faces = about["faces"]
    text = (
        f"{about['data']}. The service asks for {', '.join(about['target'])}; hidden are "
        f"{', '.join(about['hides']) or 'no attributes'}. Attackers learnt from "
        f"{faces['own'] + faces['service']:,} faces at most and chose by {faces['validation']:,}; all were judged on "
        f"{faces['judged']:,} of other people. What stronger attackers than these would find is not known: an audit "
        "shows what breaks, never that nothing does.",
    )
    picture, unknown = drawn("reconstructions", rows), gaps(rows, about.get("adversary", {}))
    return Page(
        f"Audit of {about['protection']}", source, text,
        (
            Section("verdicts", "Verdicts", tables=(verdict_table(rows, about["hides"]),)),
            *([Section("gap", "What the training said of itself", tables=(gap_table(unknown),))] if unknown else []),
            Section("service", "What is sent, and what the service reads", _sent(rows),
                    (service_table(rows),) if any(row["kind"] == "service" for row in rows) else ()),
            Section("attributes", "Private attributes",
                    tables=tuple(attribute_table(rows, name) for name in about["hides"])),
            Section("pictures", "Images drawn from features", tables=(picture_table(rows),),
                    pictures=() if picture is None else (picture,)),
        ),
        kind="an audit",
    )  # fmt: skip


def _sent(rows: Sequence[Row]) -> tuple[str, ...]:
    row = next(row for row in rows if row["kind"] == "sent")
    return (
        f"{math.prod(row['shape']):,} values ({'×'.join(map(str, row['shape']))}); of {row['count']:,} judged faces, "
        f"{row['different']:,} different ones are sent.",
    )


def verdict_table(rows: Sequence[Row], hides: Sequence[str]) -> Table:
    """A line for each attribute, for the image and for the person."""
    return Table(
        "What the strongest attacker gets.", ("", "verdict", "because"),
        tuple((each.about, LEVELS[each.level], each.text) for each in verdicts(rows, hides)),
    )  # fmt: skip


def gap_table(unknown: Sequence[Row]) -> Table:
    """A line for each of `feature_verdicts.gaps`."""
    return Table(
        "Balanced accuracies, of the training’s own adversaries on validation faces, and of the strongest attacker "
        "that was trained afterwards, on the judged ones. The gap is what a training does not know of itself.",
        ("", "the training’s own", "the strongest retrained", "", "gap, points"),
        tuple(
            (each["attribute"], f"{100 * each['training']:.1f} %", f"{100 * each['retrained']:.1f} %",
             titled(each["attack"]), f"{100 * each['gap']:+.1f}")
            for each in unknown
        ),
    )  # fmt: skip


def service_table(rows: Sequence[Row]) -> Table:
    """How well the service tells its own attributes."""
    found = [row for row in rows if row["kind"] == "service"]
    return Table(
        "The service’s own classifier, from what is sent.",
        ("", "balanced accuracy", "", "AUROC", "accuracy", "majority"),
        tuple((row["attribute"], *_told(row)) for row in found),
    )  # fmt: skip


def _told(row: Row) -> tuple[str, str, str, str, str]:
    return (
        f"{100 * row['balanced_accuracy']:.1f} %", interval(row["balanced_accuracy_interval"]), f"{row['auroc']:.3f}",
        f"{100 * row['accuracy']:.1f} %", f"{100 * row['majority']:.1f} %",
    )  # fmt: skip


def attribute_table(rows: Sequence[Row], name: str) -> Table:
    """Every attacker on one attribute: with most faces over its seeds, and the strongest with fewer."""
    lines = [("floor: the true target attributes", "", *_told(floor_of(rows, name)))]
    said = in_loop(rows, name)
    if said is not None:
        lines.append((titled(said["attack"]), "the training’s", *_told(said)))
    for attack in ATTRIBUTE_ATTACKERS:
        found = [row for row in of_attribute(rows, name, ALL) if row["attack"] == attack]
        if found:
            best = max(found, key=lambda row: float(row["balanced_accuracy"]))
            lines.append((_with_spread(rows, name, attack), f"{best['faces']:,}", *_told(best)))
    shares = sorted({row["share"] for row in of_attribute(rows, name) if row["share"] != ALL}, reverse=True)
    for share in shares:
        best = max(of_attribute(rows, name, share), key=lambda row: float(row["balanced_accuracy"]))
        lines.append((f"the strongest: {titled(best['attack'])}", f"{best['faces']:,}", *_told(best)))
    return Table(
        f"{name}: each attacker’s best seed; in brackets, mean ± standard deviation over seeds.",
        ("", "faces", "balanced accuracy", "", "AUROC", "accuracy", "majority"), tuple(lines),
    )  # fmt: skip


def _with_spread(rows: Sequence[Row], name: str, attack: str) -> str:
    if mean_over_seeds(rows, name, attack) is None:
        return titled(attack)
    return f"{titled(attack)} ({spread([100 * value for value in spread_over_seeds(rows, name, attack)])})"


def picture_table(rows: Sequence[Row]) -> Table:
    """Every reconstruction beside what needs no features."""
    metrics = [each for each in _PICTURES if any(row.get(each) is not None for row in reconstructions(rows))]
    people = [each for each in RECOGNISED if any(row.get(each) is not None for row in rows)]
    lines = [(FLOORS[name], *_cells(picture_floor(rows, name), metrics, people)) for name in ("plain", *GUESSES)]
    lines += [(titled(row["attack"]), *_cells(row, metrics, people)) for row in reconstructions(rows, retrained=False)]
    lines += [
        (f"no image: {COMPARED[row['attack']]}", *_cells(row, metrics, people))
        for row in rows if row["kind"] == "identity" and "failed" not in row
    ]  # fmt: skip
    told = "; ".join(f"“{_SHORT[each]}”: {RECOGNISED[each]}" for each in people)
    return Table(
        "Means over the judged faces; “shows” is 0 for nothing and 1 for all of the photo."
        + (f" People are told in pictures by a face recogniser, where one is given; {told}." if people else ""),
        ("", *(_PICTURES[metric] for metric in metrics), *(_SHORT[each] for each in people)), tuple(lines),
    )  # fmt: skip


_SHORT = {"one_of_4": "1 of 4", "one_of_4_another": "1 of 4, other photo", "rank_one": "rank 1",
          "true_accepts": "accepted"}  # fmt: skip


def _cells(row: Row, metrics: Sequence[str], people: Sequence[str]) -> list[str]:
    found = []
    for metric in metrics:
        value = row.get(metric)
        found.append("–" if value is None else f"{value:.1f}" if metric == "psnr" else f"{value:.3f}")
    for each in people:
        told = row.get(each)
        found.append("–" if told is None else f"{100 * told['rate']:.0f} %")
    return found


def drawn(name: str, rows: Sequence[Row], title: str = "") -> Picture | None:
    """The same few faces: as they are, the mean face, and as each attacker drew them; None where none were kept."""
    kept = [row for row in rows if row["kind"] == "shown"]
    if not kept:
        return None
    shown = {_above(row): strip(row) for row in kept}
    caption = f"{title}Some faces, and what attackers draw from their features."
    return Picture(name, caption, lambda: figures.image_grid(shown, columns=1))


def _above(row: Row) -> str:
    """What stands above a row's pictures."""
    if "floor" in row:
        return {"plain": "the photos", "mean": "the mean face"}[row["floor"]]
    return titled(row["attack"])
