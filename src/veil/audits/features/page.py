"""An audit of features as a page: verdicts, attributes, pictures, people, beside their floors."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from veil.attacks.features import FEATURE_ATTACKERS
from veil.audits.features.settings import ALL
from veil.audits.features.verdicts import (
    GUESSES,
    RECOGNISED,
    compared_by,
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

FLOORS = {"plain": "the photo itself", "mean": "guess: the mean face", "unrelated": "guess: another face",
          "grey": "guess: grey"}  # fmt: skip
_PICTURES = {"ms_ssim": "MS-SSIM", "ssim": "SSIM", "psnr": "PSNR, dB", "lpips": "LPIPS", "visible": "shows"}


def page(rows: Sequence[Row], about: Mapping[str, Any], source: str) -> Page:
    """The page of an audit of features.

    Args:
        rows: of one audit, with its floors.
        about: what they depend on, as `veil.audits.features.api.about` has it; with ``adversary``, balanced
            accuracies by attribute, where the training said something of itself.
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
        tuple((one.about, LEVELS[one.level], one.text) for one in verdicts(rows, hides)),
    )  # fmt: skip


def gap_table(unknown: Sequence[Row]) -> Table:
    """A line for each of `veil.audits.features.verdicts.gaps`."""
    return Table(
        "Balanced accuracies, of the training’s own adversaries on validation faces, and of the strongest attacker "
        "that was trained afterwards, on the judged ones. The gap is what a training does not know of itself.",
        ("", "the training’s own", "the strongest retrained", "", "gap, points"),
        tuple(
            (gap["attribute"], f"{100 * gap['training']:.1f} %", f"{100 * gap['retrained']:.1f} %",
             titled(gap["attack"]), f"{100 * gap['gap']:+.1f}")
            for gap in unknown
        ),
    )  # fmt: skip


def service_table(rows: Sequence[Row]) -> Table:
    """How well the service tells its own attributes."""
    return Table(
        "The service’s own classifier, from what is sent.",
        ("", "balanced accuracy", "", "AUROC", "accuracy", "majority"),
        tuple((row["attribute"], *_shares(row)) for row in rows if row["kind"] == "service"),
    )  # fmt: skip


def _shares(row: Row) -> tuple[str, str, str, str, str]:
    return (
        f"{100 * row['balanced_accuracy']:.1f} %", interval(row["balanced_accuracy_interval"]), f"{row['auroc']:.3f}",
        f"{100 * row['accuracy']:.1f} %", f"{100 * row['majority']:.1f} %",
    )  # fmt: skip


def attribute_table(rows: Sequence[Row], name: str) -> Table:
    """Every attacker on one attribute: with most faces over its seeds, and the strongest with fewer."""
    lines = [("floor: the true target attributes", "", *_shares(floor_of(rows, name)))]
    loop = in_loop(rows, name)
    if loop is not None:
        lines.append((titled(loop["attack"]), "the training’s", *_shares(loop)))
    with_all = of_attribute(rows, name, ALL)
    for attack in dict.fromkeys([*FEATURE_ATTACKERS, *(row["attack"] for row in with_all)]):
        seeds = [row for row in with_all if row["attack"] == attack]
        if seeds:
            best = max(seeds, key=lambda row: float(row["balanced_accuracy"]))
            lines.append((_with_spread(rows, name, attack), f"{best['faces']:,}", *_shares(best)))
    shares = sorted({row["share"] for row in of_attribute(rows, name) if row["share"] != ALL}, reverse=True)
    for share in shares:
        best = max(of_attribute(rows, name, share), key=lambda row: float(row["balanced_accuracy"]))
        lines.append((f"the strongest: {titled(best['attack'])}", f"{best['faces']:,}", *_shares(best)))
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
    metrics = [metric for metric in _PICTURES if any(row.get(metric) is not None for row in reconstructions(rows))]
    people = [asked for asked in RECOGNISED if any(row.get(asked) is not None for row in rows)]
    lines = [(FLOORS[name], *_cells(picture_floor(rows, name), metrics, people)) for name in ("plain", *GUESSES)]
    lines += [(titled(row["attack"]), *_cells(row, metrics, people)) for row in reconstructions(rows, in_loop=True)]
    lines += [
        (f"no image: {compared(row)}", *_cells(row, metrics, people))
        for row in rows if row["kind"] == "identity" and "failed" not in row
    ]  # fmt: skip
    legend = "; ".join(f"“{_SHORT[asked]}”: {RECOGNISED[asked]}" for asked in people)
    return Table(
        "Means over the judged faces; “shows” is 0 for nothing and 1 for all of the photo."
        + (f" People are told in pictures by a face recogniser, where one is given; {legend}." if people else ""),
        ("", *(_PICTURES[metric] for metric in metrics), *(_SHORT[asked] for asked in people)), tuple(lines),
    )  # fmt: skip


_SHORT = {"one_of_4": "1 of 4", "one_of_4_another": "1 of 4, other photo", "rank_one": "rank 1",
          "true_accepts": "accepted"}  # fmt: skip


def compared(row: Row) -> str:
    """How photos of people are found by what is sent of them: a row of the kind ``identity``."""
    by = compared_by(row["attack"])
    return f"what is sent, compared{by and f' by {by}'}"


def _cells(row: Row, metrics: Sequence[str], people: Sequence[str]) -> list[str]:
    cells = []
    for metric in metrics:
        value = row.get(metric)
        cells.append("–" if value is None else f"{value:.1f}" if metric == "psnr" else f"{value:.3f}")
    for asked in people:
        share = row.get(asked)
        cells.append("–" if share is None else f"{100 * share['rate']:.0f} %")
    return cells


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
