"""Drawn faces as a folder that commands read."""

from pathlib import Path

import torch
from torch import Tensor

from veil import images
from veil.data import synthetic_faces
from veil.data.faces import Faces
from veil.images import Photo


def made_folder(
    folder: Path, count: int = 300, *, seed: int = 0, identities: bool = True, side: int = 32
) -> Path:  # fmt: skip
    """Photos with ``attributes.csv``, without a partition."""
    parts = synthetic_faces.faces(count, seed, side)
    folder.mkdir(parents=True)
    lines = [",".join(["file", *synthetic_faces.NAMES, *(["identity"] if identities else [])])]
    for part in (parts.train, parts.validation, parts.test):
        lines += [_saved(folder, f"{len(lines) + place:05}.png", part, place, identities) for place in range(len(part))]
    (folder / "attributes.csv").write_text("\n".join(lines) + "\n")
    return folder


def _saved(folder: Path, name: str, part: Faces, place: int, identities: bool) -> str:
    images.save(Photo(part.images[place]), folder / name)
    assert part.identities is not None
    values = [*part.attributes[place].int().tolist(), *([int(part.identities[place])] if identities else [])]
    return ",".join([name, *map(str, values)])


def people(faces: Faces) -> set[int]:
    """Who is on them."""
    assert faces.identities is not None
    return set(faces.identities.tolist())


def content(pictures: Tensor) -> set[bytes]:
    """Images, to be found again by their pixels."""
    return {each.numpy().tobytes() for each in torch.unbind(pictures)}
