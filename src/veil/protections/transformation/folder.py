"""Folders of images through a transformation network: `veil transform apply`.

Every file is written without loss, decoded again and compared (`veil.jobs.lossless`): what counts is the file. An image
becomes the same file whatever the other images are and wherever the job was stopped; see
`veil.protections.transformation.file`.

Threat model: people who see the files, and staff of a cloud that trains networks on them or classifies them. Hidden are
pixels, in the measure that the network hides them, and metadata, which is left out. Not hidden are file names, the
images' sizes, and what ``rows.jsonl`` says of each image. There is no key: whoever has the transformation file, or may
have images of their own transformed, makes as many pairs of plain and transformed images as they like and trains an
inverse. ``run.json`` says which transformation it was, by its name and fingerprint; neither gives it away.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from veil.images import Limits
from veil.jobs import lossless
from veil.jobs.folders import QUIET, FolderResult, Run
from veil.jobs.lossless import ImageRow, Lossless, Output
from veil.jobs.row_formats import RowFormat
from veil.protections import of_transformation
from veil.protections.image_protection import ImageProtection
from veil.protections.transformation.file import MAX_PIXELS, Transformation
from veil.runtime.provenance import ARITHMETIC, arithmetic

VERSION = 1  # of what rows hold and outputs depend on; counted up when either changes
LOSSLESS = lossless.FORMATS
_HARM = "networks learn other images"
LIMITS = Limits(max_pixels=MAX_PIXELS)
"""Of files of images, unless others are given."""


class TransformedRow(ImageRow):
    """Row of a transformed image."""


TRANSFORMED_ROWS = RowFormat(command="`veil transform apply`", done=TransformedRow)


def transform_folder(
    inputs: Sequence[Path],
    out: Path,
    transformation: Transformation | ImageProtection,
    *,
    format: str = "png",
    size: int | None = None,
    limits: Limits = LIMITS,
    device: torch.device | None = None,
    run: Run = QUIET,
) -> FolderResult[TransformedRow]:
    """Transforms files and folders of images into ``out``; goes on where an earlier run stopped.

    Args:
        transformation: a network, or any other protection that uses no key.
        format, size, limits: see `veil.jobs.lossless.Output`; ``size`` is for a network of that input.
            Beyond `MAX_PIXELS` only images that ``size`` makes smaller are transformed.
        device: where the network computes; the CPU if it is None.
        run: number of threads, and callbacks.

    Returns:
        Counts, and a row per image in the order of the inputs. Fields: docs/transformation.md.

    Raises:
        ValueError: for a protection that uses keys, a format that loses, or a size out of range.
        folders.FolderError: where the job cannot start or go on.
    """
    output = Output(format=format, size=size, limits=limits).checked(_HARM, MAX_PIXELS)
    row = transformation if isinstance(transformation, ImageProtection) else of_transformation(transformation)
    if row.key != "none":
        raise ValueError(f"{row.name} uses keys, and is no transformation: see `veil encrypt`")
    protect = row.build()

    def change(batch: Tensor) -> Tensor:
        return protect(batch.to(device)).cpu()

    settings = {
        "version": VERSION, "transformation": fingerprint_of(protect, row.name), "name": row.name, "format": format,
        "size": size, ARITHMETIC: arithmetic(device),
    }  # fmt: skip
    job = Lossless(change=change, output=output, settings=settings, rows=TRANSFORMED_ROWS)
    return lossless.run(inputs, out, job, run)


def fingerprint_of(protect: object, name: str) -> str:
    """What tells a transformation from others: its fingerprint; its name where it is code, which has none."""
    return str(getattr(protect, "fingerprint", name))
