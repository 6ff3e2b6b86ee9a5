"""An audit of features as a page: verdicts, attributes, pictures, people, beside their floors."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from veil.attacks.features import FEATURE_ATTACKERS
from veil.audits.features.evidence import drew, read_attribute, recognised
from veil.audits.features.readings import (
    GUESSES,
    RECOGNISED,
    attackers_at,
    compared_by,
    floors_of,
    gaps,
    in_loop,
    mean_over_seeds,
    of_attribute,
    picture_floor,
    reconstructions,
    spread_over_seeds,
    titled,
)
from veil.audits.features.settings import ALL
from veil.audits.features.verdicts import FeatureVerdict, distances, verdicts
from veil.audits.images.page import SMOKE, strip
from veil.audits.levels import at_scale, people_of
from veil.jobs.rows import Row
from veil.metrics.curves import RULE
from veil.report import figures
from veil.report.numbers import interval, signed_interval, spread
from veil.report.page import Page, Picture, Section, Table

FLOORS = {"plain": "the photo itself", "mean": "guess: the mean face", "unrelated": "guess: another face",
          "grey": "guess: grey"}  # fmt: skip
FLOORS_OF_ATTRIBUTES = {"true": "the true target attributes", "answers": "the service’s answers, as sent"}
NO_CONTROLS = (
    "No control: no attacker was given anything that is known to be broken. Either every attacker gets something, and "
    "there is nothing to control, or controls were left out (`--no-control`): then nobody knows what a report of "
    "nothing is worth."
)
_PICTURES = {"ms_ssim": "MS-SSIM", "ssim": "SSIM", "psnr": "PSNR, dB", "lpips": "LPIPS", "visible": "shows"}


def page(rows: Sequence[Row], about: Mapping[str, Any], source: str) -> Page:
    """The page of an audit of features.

    Args:
        rows: of one audit, with its floors.
        about: what they depend on, as `veil.audits.features.api.about` has it; with ``adversary``, balanced
            accuracies by attribute, where the training said something of itself.
        source: data, hardware, time and command, in prose.
    """
    faces, scale = about["faces"], about["settings"].get("scale")
    text = (
        f"{about['data']}, {at_scale(scale) or 'own scale'}. The service asks for {', '.join(about['target'])}; it is "
        f"not to learn {', '.join(about['hides']) or 'any attribute in particular'}. Attackers learnt from "
        f"{faces['own'] + faces['service']:,} faces at most and chose by {faces['validation']:,}; all were judged on "
        f"{faces['judged']:,} of other people. This is one client, of one training: another training with the same "
        "settings may give other numbers. What stronger attackers than these would find is not known: an audit shows "
        "what breaks, never that nothing does.",
        *((SMOKE,) if scale == "smoke" else ()),
    )
    picture, unknown = drawn("reconstructions", rows), gaps(rows, about.get("adversary", {}))
    reached = verdicts(rows, about["hides"], scale)
    return Page(
        f"Audit of {about['protection']}", source, text,
        (
            Section("verdicts", "Verdicts", tables=(verdict_table(reached),)),
            Section("controls", "Positive controls", _on_controls(rows), control_tables(rows)),
            *([Section("gap", "What the training said of itself", tables=(gap_table(unknown, faces),))] if unknown
              else []),
            Section("service", "What is sent, and what the service reads", _sent(rows),
                    (service_table(rows),) if any(row["kind"] == "service" for row in rows) else ()),
            Section("attributes", "Private attributes",
                    tables=tuple(table for name in about["hides"] for table in attribute_tables(rows, name))),
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


def verdict_table(reached: Sequence[FeatureVerdict]) -> Table:
    """A line for each attribute, for the image and for the person."""
    return Table(
        "What the strongest attacker gets.",
        ("", "verdict", "because", "the strongest of"),
        tuple((one.about, one.words, one.because, one.over) for one in reached),
    )


def _on_controls(rows: Sequence[Row]) -> tuple[str, ...]:
    if any(row["kind"] == "control" for row in rows):
        return (
            "An attacker that reports nothing is evidence only where the same attacker, with the same settings and "
            "faces, finds something in plain features of the same shape: of vectors, the photo's best linear readings "
            f"and principal components; of maps, its pixels. {RULE}",
        )
    return (NO_CONTROLS,)


def control_tables(rows: Sequence[Row]) -> tuple[Table, ...]:
    """Every control; nothing without."""
    lines: list[tuple[str, ...]] = []
    for row in rows:
        if row["kind"] != "control":
            continue
        before = row.get("before_minus_after")
        cells = ("–", "–") if before is None else (
            f"{100 * before['difference']:+.1f}", signed_interval(before["interval"])
        )  # fmt: skip
        lines.append((titled(row["attack"]), str(row.get("attribute", row["reads"])), _in_control(rows, row), *cells))
    if not lines:
        return ()
    return (Table(
        "Attackers that report nothing, given plain features. Before minus after: what the attacker reads of plain "
        "features minus what it reads of what the client sends, in points of balanced accuracy over the same faces.",
        ("", "reads", "from plain features", "before minus after", ""), tuple(lines),
    ),)  # fmt: skip


def _in_control(rows: Sequence[Row], row: Row) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    if "attribute" in row:
        return read_attribute(rows, row["attribute"])(row)[1]
    return (drew(rows) if row["reads"] == "images" else recognised)(row)[1]


def gap_table(unknown: Sequence[Row], faces: Mapping[str, int]) -> Table:
    """A line for each of `veil.audits.features.readings.gaps`."""
    return Table(
        f"Balanced accuracies, of the training’s own adversaries on {faces['validation']:,} validation faces, and of "
        f"the strongest attacker that was trained afterwards, on {faces['judged']:,} judged ones. The gap is what a "
        "training does not know of itself.",
        ("", "the training’s own", "the strongest retrained", "", "gap, points"),
        tuple(
            (gap["attribute"], f"{100 * gap['training']:.1f} %", f"{100 * gap['retrained']:.1f} %",
             titled(gap["attack"]), f"{100 * gap['gap']:+.1f}")
            for gap in unknown
        ),
    )  # fmt: skip


def service_table(rows: Sequence[Row]) -> Table:
    """How well the service tells its own attributes."""
    served = [row for row in rows if row["kind"] == "service"]
    return Table(
        f"The service’s own classifier, from what is sent, over {_n(served[0])}.",
        ("", "balanced accuracy", "", "AUROC", "accuracy", "majority"),
        tuple((row["attribute"], *_shares(row)) for row in served),
    )  # fmt: skip


def _n(row: Row) -> str:
    return people_of(row.get("count"), row.get("people"))


def _shares(row: Row) -> tuple[str, str, str, str, str]:
    return (
        f"{100 * row['balanced_accuracy']:.1f} %", interval(row["balanced_accuracy_interval"]), f"{row['auroc']:.3f}",
        f"{100 * row['accuracy']:.1f} %", f"{100 * row['majority']:.1f} %",
    )  # fmt: skip


_HEAD = ("balanced accuracy", "", "above the floor, points", "AUROC", "accuracy", "majority")


def attribute_tables(rows: Sequence[Row], name: str) -> tuple[Table, Table]:
    """Every attacker on one attribute, and the strongest by how many faces it has."""
    return attribute_table(rows, name), faces_table(rows, name)


def attribute_table(rows: Sequence[Row], name: str) -> Table:
    """Every attacker on one attribute, with most faces, over its seeds; beside the floors, each by its name."""
    floors = floors_of(rows, name)
    lines = [(f"floor: {FLOORS_OF_ATTRIBUTES[floor]}", "", *_compared(None, row)) for floor, row in floors.items()]
    loop = in_loop(rows, name)
    if loop is not None:
        lines.append((titled(loop["attack"]), "the training’s", *_compared(None, loop)))
    with_all = of_attribute(rows, name, ALL)
    for attack in dict.fromkeys([*FEATURE_ATTACKERS, *(row["attack"] for row in with_all)]):
        seeds = [row for row in with_all if row["attack"] == attack]
        if seeds:
            best = max(seeds, key=lambda row: float(row["balanced_accuracy"]))
            lines.append((_with_spread(rows, name, attack), f"{best['faces']:,}", *_compared(rows, best)))
    return Table(
        f"{name}, over {_n(next(iter(floors.values())))}: each attacker’s best seed; in brackets, mean ± standard "
        "deviation over seeds. “Above the floor” is the difference to the last floor, over the same faces, with its "
        "interval of 95 %.",
        ("", "faces", *_HEAD), tuple(lines),
    )  # fmt: skip


def faces_table(rows: Sequence[Row], name: str) -> Table:
    """The strongest attacker by how many faces it has. Who has more can do what who has fewer can: no line says less
    than one above it."""
    lines = []
    for most in sorted({row["faces"] for row in of_attribute(rows, name)}):
        could = attackers_at(rows, name, most)
        best = max(could, key=lambda row: float(row["balanced_accuracy"]))
        lines.append((f"{most:,}", f"{titled(best['attack'])}, with {best['faces']:,}", str(len(could)),
                      *_compared(rows, best)))  # fmt: skip
    return Table(
        f"{name}: the strongest of all attackers with so many faces at most, and of how many it is the strongest.",
        ("faces at most", "the strongest", "of", *_HEAD), tuple(lines),
    )  # fmt: skip


def _compared(rows: Sequence[Row] | None, row: Row) -> tuple[str, ...]:
    """The cells of `_HEAD`; the row of a floor has nothing to be above."""
    share, bounds, *others = _shares(row)
    if rows is None or "attribute" not in row:
        return (share, bounds, "", *others)
    apart = distances(rows, row["attribute"], row)[0]
    low, high = apart.interval
    alarm = "below the floor: " if apart.difference < 0 else ""
    return (share, bounds, f"{alarm}{100 * apart.difference:+.1f} ({signed_interval((low, high))})", *others)


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
    over = people_of(picture_floor(rows, "plain").get("count"), None)
    return Table(
        f"Means over {over} unless a row says otherwise; “shows” is 0 for nothing and 1 for all of the photo."
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
        cells.append("–" if share is None else f"{100 * share['rate']:.0f} % of {share['count']:,} "
                     f"({interval(share['interval'])})")  # fmt: skip
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
