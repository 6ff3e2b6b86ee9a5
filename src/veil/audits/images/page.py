"""An audit as a page: the verdicts, a table of all attacks beside the floors, and what came back as pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veil.attacks.images import knowledge_of, title_of
from veil.audits.images.audit import scale_of
from veil.audits.images.verdicts import Verdict, control_of, flatness, floor, in_control, lifts, passed, verdicts
from veil.audits.levels import at_scale
from veil.data.synthetic import SMALL_IMAGES
from veil.images.forms import FORMS
from veil.jobs.rows import Row, unpack
from veil.metrics.curves import RULE
from veil.metrics.intervals import wilson
from veil.protections.image_protection import KEYS, ImageProtection
from veil.report import figures
from veil.report.numbers import interval
from veil.report.page import Page, Picture, Section, Table

FLOORS = {
    "plain": "the plain image",
    "protected": "the protected image itself",
    "mean": "guess: the mean image",
    "unrelated": "guess: another image",
}
_COLUMNS = {
    "ssim": "SSIM", "ms_ssim": "MS-SSIM", "psnr": "PSNR, dB", "lpips": "LPIPS", "visible": "shows",
    "accuracy": "named rightly, %", "exact": "exact, %",
}  # fmt: skip


def page(rows: Sequence[Row], about: Mapping[str, Any], source: str, protection: ImageProtection | None = None) -> Page:
    """The page of an audit.

    Args:
        rows: of one audit, with its floors.
        about: what they depend on, as `veil.audits.images.audit.ImageAudit.about` has it.
        source: data, hardware, time and command, in prose.
        protection: what was audited, to say in words what it is.
    """
    scale = scale_of(about)
    count = floor(rows, "plain").get("count")
    judged = f"at most {about['settings']['judged']:,}" if count is None else f"{count:,}"
    text = (
        *(() if protection is None else _described(protection)),
        f"{_images(about['data'].split()[0])} at {about['side']}×{about['side']}, {at_scale(scale) or 'own scale'}. "
        f"Attackers had {about['settings']['own']:,} images of their own at most, and were judged on {judged} others. "
        "Every attack was trained once, by one seed. What stronger attackers than these would find is not known: an "
        "audit shows what breaks, never that nothing does.",
        *((SMOKE,) if scale == "smoke" else ()),
    )
    return Page(
        f"Audit of {about['protection']}", source, text,
        (
            Section("verdicts", "Verdicts", tables=(verdict_table(verdicts(rows, scale)),)),
            Section("controls", "Positive controls", _on_controls(rows), control_tables(rows)),
            Section("attacks", "Attacks", (_legend(rows),), (attack_table(rows),)),
            Section("pictures", "What came back", pictures=(pictures("reconstructions", rows),)),
        ),
        kind="an audit",
    )  # fmt: skip


SMOKE = "Smoke scale shows that everything runs. It gives no verdict: attackers of seconds find little of anything."


def _described(protection: ImageProtection) -> tuple[str, ...]:
    """What a protection is, in its row's words."""
    return (
        f"{_sentence(protection.title)} It uses {KEYS[protection.key]}. Meant to keep images from: "
        f"{_sentence(protection.threat, capital=False)} An attacker may know that it changes "
        f"{FORMS[protection.form]}. Known to break it: {_sentence(protection.broken_by, capital=False)}",
    )


def _images(data: str) -> str:
    return "Images that Veil drew," if data == SMALL_IMAGES else f"Images of {data}"


def _sentence(text: str, *, capital: bool = True) -> str:
    return f"{text[0].upper() if capital else text[0]}{text[1:].rstrip('.')}."


def verdict_table(reached: Sequence[Verdict]) -> Table:
    """A line for each kind of attacker."""
    return Table(
        "What attackers get. One can do whatever those above can, and the strongest of all that counts.",
        ("an attacker who …", "verdict", "because", "the strongest of"),
        tuple((one.attacker, one.words, one.because, one.over) for one in reached),
    )


def _on_controls(rows: Sequence[Row]) -> tuple[str, ...]:
    """What controls are, or that there are none."""
    if any(row["kind"] == "control" for row in rows):
        return (
            "An attack that reports nothing is evidence only where the same attack, with the same settings and images, "
            f"finds something in a protection that is known to be broken. {RULE}",
        )
    return (
        "No control: no attack was made against what is known to be broken. Either every attacker gets something, and "
        "there is nothing to control, or controls were left out (`--no-control`): then nobody knows what a report of "
        "nothing is worth.",
    )


def control_tables(rows: Sequence[Row]) -> tuple[Table, ...]:
    """Every attack that has a control: what it did there, and whether its own curve had gone flat; nothing without."""
    lines = []
    for row in rows:
        if row["kind"] == "attack" and (control := control_of(rows, row)) is not None:
            values = lifts(rows, control)
            best = f"{max(values.values()):.2f}" if values else "–"
            lines.append((_pictured(row), control["protection"], in_control(rows, control), best,
                          "yes" if passed(rows, control) else "no", _FLAT[flatness(row)]))  # fmt: skip
    if not lines:
        return ()
    head = ("", "known to be broken", "the same attack", "lift, 0 to 1", "passed", "its own curve is flat")
    return (Table("Attacks that report nothing, made against something else.", head, tuple(lines)),)


_FLAT = {True: "yes", False: "no, or not recorded", None: "it has none"}


def attack_table(rows: Sequence[Row]) -> Table:
    """Every attack and floor, by every metric that was measured."""
    columns = [name for name in _COLUMNS if any(row.get(name) is not None for row in rows)]
    lines = [(FLOORS[name], "", *_cells(floor(rows, name), columns)) for name in FLOORS]
    for row in rows:
        if row["kind"] != "attack":
            continue
        title = _pictured(row)
        cells = [f"failed: {row['failed']}", *[""] * (len(columns) - 1)] if "failed" in row else _cells(row, columns)
        lines.append((title, _has(row), *cells))
    count = floor(rows, "plain").get("count")
    over = "the judged images" if count is None else f"{count:,} judged images"
    return Table(
        f"What attacks give back, in means over {over}.", ("", "has", *(_COLUMNS[name] for name in columns)),
        tuple(lines),
    )  # fmt: skip


def _has(row: Row) -> str:
    knowledge = knowledge_of(row)
    return "not known" if knowledge is None else knowledge.title


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    return [_cell(name, row.get(name), row.get("count")) for name in columns]


def _cell(name: str, value: float | None, count: int | None) -> str:
    """A metric; a share with its interval, where it is known over how many images it is."""
    if value is None:
        return "–"
    if name in ("accuracy", "exact"):
        bounds = "" if count is None else f" ({interval(wilson(round(value * count), count))})"
        return f"{100 * value:.1f}{bounds}"
    return f"{value:.1f}" if name == "psnr" else f"{value:.3f}"


def _legend(rows: Sequence[Row]) -> str:
    classifier = (
        " “Named rightly”: how often a classifier that was trained on plain images is right about what came back."
        if floor(rows, "plain").get("accuracy") is not None
        else ""
    )
    return (
        "“Shows” is 0 for nothing and 1 for all: squared correlation of shapes and outlines with those of the plain "
        f"image (`veil.metrics.visibility`), whatever became of the colours.{classifier} LPIPS is a distance: 0 for "
        "the image itself. What is no better than the guesses is nothing."
    )


def pictures(name: str, rows: Sequence[Row], title: str = "") -> Picture:
    """The same few images: plain, protected, and as each attack gave them back; ``title`` begins the caption."""
    shown: dict[str, NDArray[Any]] = {}
    for row in rows:
        if row["kind"] == "shown":
            shown[_pictured(row)] = strip(row)
    caption = f"{title}Some images, protected, and what attacks make of them."
    return Picture(name, caption, lambda: figures.image_grid(shown, columns=1))


def _pictured(row: Row) -> str:
    """What stands above a row's pictures."""
    if "floor" in row:
        return FLOORS[row["floor"]].removeprefix("the ").removesuffix(" itself")
    return title_of(row) + (f", pairs: {row['pairs']}" if row.get("pairs") is not None else "")


def strip(row: Row) -> NDArray[Any]:
    """A row's pictures side by side: (H, N·(W + 2), 3), white between them."""
    images = unpack(row["pictures"])
    return np.concatenate([np.pad(image, ((0, 0), (0, 2), (0, 0)), constant_values=255) for image in images], 1)
