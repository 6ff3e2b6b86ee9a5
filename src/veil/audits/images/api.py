"""What ``veil audit`` and `veil.audit` call: the whole audit of a protection of images, from its name to the page."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Generator

from veil import training
from veil.attacks.images import ATTACKS, resolve
from veil.audits.images import controls
from veil.audits.images import page as pages
from veil.audits.images.audit import SCALES, ImageAudit, audit
from veil.audits.images.result import ImageAuditResult
from veil.audits.images.subjects import subject
from veil.data import small_images, synthetic
from veil.data.labelled_images import LabelledImages, Parts
from veil.images import in_memory
from veil.jobs import folders
from veil.jobs.rows import Row, RowFile
from veil.models import catalog
from veil.models.classifier import Classifier
from veil.protections.ciphers.keys import Key
from veil.report import page as report
from veil.report.numbers import duration
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of
from veil.training.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from veil.attacks.images import ImageAttack
    from veil.audits.images.subjects import What

    Data = str | Path | Parts | Tensor | Any
    """A data set as `veil.data.small_images.load` takes it, one in memory, or a batch of images."""

ROWS = "rows.jsonl"
OWN_SHARE = 0.8
"""Of a batch of images, for attackers; the others are judged."""


class Progress(Protocol):
    """What an audit reports to while it runs."""

    def say(self, line: str) -> None: ...
    def stepped(self, done: int, total: int) -> None: ...


class Silent:
    """Says nothing."""

    def say(self, line: str) -> None: ...
    def stepped(self, done: int, total: int) -> None: ...


def audit_images(
    protection: What,
    data: Data | None = None,
    *,
    scale: Scale = "cpu",
    attacks: Iterable[str | ImageAttack] | None = None,
    side: int | None = None,
    classifier: str | Classifier | None = None,
    key: Key | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    control: bool = True,
    progress: Progress | None = None,
) -> ImageAuditResult:
    """Attacks a protection in every way that Veil knows, and says what each kind of attacker gets.

    Attackers are trained from nothing, on images of their own, and judged on others.

    Args:
        protection: see `veil.protections.find`.
        data: plain images: a folder or ``hub:NAME`` (`veil.data.small_images.load`), `Parts`, or a batch as
            `veil.images.in_memory` takes it, of which attackers get `OWN_SHARE`; at scale ``smoke`` drawn ones unless
            given.
        scale: how much: `SCALES`.
        attacks: names, ``module:object``, or rows of `veil.attacks.images.ATTACKS`; all of these unless given.
        side: resize images to this.
        classifier: of the images' classes, to read what comes back: a name (`veil.models.catalog`), or one.
        key: of the protection; one that is drawn from the seed unless given.
        out: folder for rows, the report and checkpoints, where an audit goes on that was stopped. Without it all lies
            in a temporary folder, which is removed with the result.
        seed: of images, keys and attackers.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        control: whether attacks that report nothing are made against what is known to be broken, too
            (`veil.audits.images.controls`); without, no verdict says that nothing was found.

    Raises:
        ValueError: where there is no such protection, attack, data set or classifier, or they do not go together.
        FolderError, RowsError: where ``out`` is in use, or holds another audit.
    """
    if scale not in SCALES:
        raise ValueError(f"there is no scale {scale!r}; there are {', '.join(SCALES)}")
    chosen = resolve(ATTACKS.values() if attacks is None else attacks)
    progress = progress or Silent()
    audited_subject = subject(protection, key, seed=seed)
    parts = parts_of(data, side, scale)
    reader = catalog.load(classifier) if isinstance(classifier, str) else classifier
    if reader is not None and len(reader.classes) != len(parts.test.classes):
        raise ValueError(f"{reader.name} knows {len(reader.classes)} classes, {parts.name} has "
                         f"{len(parts.test.classes)}")  # fmt: skip
    audited = ImageAudit(subject=audited_subject, parts=parts, scale=scale, classifier=reader)
    folder = Path(tempfile.mkdtemp(prefix="veil-audit-")) if out is None else Path(out)
    try:
        result = _written(audited, chosen, folder, seed, training.fabric(device, "auto"), progress, control)
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if out is None:
        weakref.finalize(result, shutil.rmtree, folder, ignore_errors=True)
    return result


def parts_of(data: Data | None, side: int | None, scale: Scale) -> Parts:
    """The plain images of an audit.

    Raises:
        ValueError: where none are given at a scale that needs some, or they are protected already.
    """
    if data is None and scale != "smoke":
        raise ValueError("give data, or the scale smoke, which makes its own")
    if data is None:
        parts = synthetic.small_images(train=60, test=30)
    elif isinstance(data, str | Path):
        parts = small_images.load(str(data), side)
    else:
        parts = data if isinstance(data, Parts) else _divided(data)
        if side is not None:
            parts = Parts(parts.name, parts.train.resized(side), parts.test.resized(side), parts.cipher)
    if parts.cipher is not None:
        raise ValueError(f"the images of {data} are protected already ({parts.cipher}); audits need plain ones")
    return parts


def _divided(images: Any) -> Parts:
    """A batch of images as a data set of one class.

    Raises:
        ValueError: for images of different sizes, or too few.
    """
    pixels = (
        torch.cat([in_memory.opened(image)[0] for image in images])
        if isinstance(images, list | tuple)
        else in_memory.opened(images)[0]
    )
    if len(pixels) < 4:
        raise ValueError(f"an audit needs four images at least, not {len(pixels)}")
    order = torch.randperm(len(pixels), generator=Generator().manual_seed(seed_of("parts", 0)))
    own = max(2, int(OWN_SHARE * len(pixels)))
    train, test = (
        LabelledImages(pixels[part].cpu(), torch.zeros(len(part), dtype=torch.int64), ("image",))
        for part in (order[:own], order[own:])
    )
    return Parts("images", train, test)


def _written(
    audited: ImageAudit, attacks: list[ImageAttack], folder: Path, seed: int, runner: Any, progress: Progress,
    control: bool,
) -> ImageAuditResult:  # fmt: skip
    """Makes the attacks and their controls, and writes rows and page."""
    about = audited.about(seed)
    run = Run(
        folder=folder / "attackers", seed=seed, runner=runner, stepped=progress.stepped, logged=lambda row: None
    )  # fmt: skip
    with folders.locked(folder), RowFile(folder / ROWS, about) as rows:
        measured = audit(audited, attacks, rows, run, say=progress.say)
        if control:
            measured = controls.measure(audited, rows, run, attacks, say=progress.say)
        rows.finish((seed,))
        page = pages.page(measured, about, _source(measured, about), audited.subject.row)
        written = report.write_html(page, folder)
    return ImageAuditResult(audited.subject.name, about, measured, folder, written)


def _source(rows: list[Row], about: Mapping[str, Any]) -> str:
    seconds = sum(row["seconds"] for row in rows)
    return f"{about['data']} · seed {about['seed']} · {len(rows)} rows in {duration(seconds)} · `veil audit`"
