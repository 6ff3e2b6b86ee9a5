"""Folders of images through a transformation network: `veil transform apply`.

Every file is written without loss, decoded again and compared (`veil.jobs.lossless`): what counts is the file. An image
becomes the same file whatever lies beside it and wherever the job was stopped; see
`veil.protections.transformation.file`.

Threat model: people who see the files, and staff of a cloud that trains networks on them or classifies them. Hidden are
pixels, in the measure that the network hides them, and metadata, which is left out. Not hidden are file names, the
images' sizes, and what ``rows.jsonl`` says of each image. There is no key: whoever has the transformation file, or may
have images of their own transformed, makes as many pairs of plain and transformed images as they like and trains an
inverse. ``run.json`` says which transformation it was, by its name and fingerprint; neither gives it away.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from veil.jobs import lossless
from veil.jobs.folders import Row
from veil.protections import of_transformation
from veil.protections.image_protection import ImageProtection
from veil.protections.transformation.file import MAX_PIXELS, Transformation

VERSION = 1  # of what rows hold and outputs depend on; counted up when either changes
LOSSLESS = lossless.FORMATS
_HARM = "networks learn other images"


def transform_folder(
    inputs: Sequence[Path],
    out: Path,
    transformation: Transformation | ImageProtection,
    *,
    format: str = "png",
    size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    device: torch.device | None = None,
    workers: int = 2,
    started: Callable[[int, Sequence[Row], int], None] = lambda total, done, passed_over: None,
    finished: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Transforms files and folders of images into ``out``; goes on where an earlier run stopped.

    Args:
        transformation: a network, or any other protection that uses no key.
        format: one of `LOSSLESS`.
        size: resize images to ``size`` × ``size`` pixels first, for a network of that input.
        max_pixels: refuse images of more. Beyond `MAX_PIXELS` only images that ``size`` makes smaller are transformed.
        device: where the network computes; the CPU if it is None.
        workers: threads that read, and as many that write.
        started, finished: see `veil.jobs.folders.run`.

    Returns:
        A row per image, in the order of the inputs. Fields: docs/transformation.md.

    Raises:
        ValueError: for a protection that uses keys, a format that loses, or a size out of range.
        folders.FolderError: where the job cannot start or go on.
    """
    suffix = lossless.suffix_of(format, _HARM)
    lossless.check_size(size, min(max_pixels, MAX_PIXELS))

    row = transformation if isinstance(transformation, ImageProtection) else of_transformation(transformation)
    if row.key != "none":
        raise ValueError(f"{row.name} uses keys, and is no transformation: see `veil encrypt`")
    protect = row.build()

    def change(batch: Tensor) -> Tensor:
        return protect(batch.to(device)).cpu()

    settings = {
        "version": VERSION, "transformation": fingerprint_of(protect, row.name), "name": row.name, "format": format,
        "size": size,
    }  # fmt: skip
    return lossless.run(
        inputs, out, change, settings=settings, format=format, suffix=suffix, size=size, max_pixels=max_pixels,
        workers=workers, started=started, finished=finished,
    )  # fmt: skip


def fingerprint_of(protect: object, name: str) -> str:
    """What tells a transformation from others: its fingerprint; its name where it is code, which has none."""
    return str(getattr(protect, "fingerprint", name))
