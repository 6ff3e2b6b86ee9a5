"""The photos that a run of `veil protect` released, to be found again by name or by look.

What lies in the run's folders may have been made by others: a row is checked before it is used, and a name leads below
the folder or is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veil import images
from veil.images import ImageError, Photo
from veil.images.likeness import Sketches, sketch
from veil.jobs.folders import FolderError, layout_of, read_manifest
from veil.jobs.layout import PRIVATE
from veil.jobs.row_formats import Row
from veil.jobs.row_index import RowIndex
from veil.protections.noise.rows import PROTECTED_ROWS
from veil.runtime import names
from veil.runtime.files import printable
from veil.runtime.names import UnsafeName

ALIKE = 0.95
"""Least correlation of the sketches of a photo and its copy."""
APART = 0.02
"""By how much the best match must be better than the next one."""


class Unmatched(ImageError):
    """A photo is none of those that were released, or it cannot be told which."""


@dataclass(frozen=True, eq=False)
class Match:
    """The row of a checked photo, and the file that was released."""

    row: Row
    by: str
    photo: Photo


class Released:
    """What a run of `veil protect` released: its outputs, with their rows.

    Args:
        given: the run's output folder, its private folder, or its file of rows.

    Raises:
        FolderError: where no run of `veil protect` lies there.
    """

    def __init__(self, given: Path) -> None:
        folder = given.parent if given.is_file() else given
        if folder.name.endswith(PRIVATE) and folder.with_name(folder.name.removesuffix(PRIVATE)).is_dir():
            folder = folder.with_name(folder.name.removesuffix(PRIVATE))
        layout = layout_of(folder)
        if not layout.rows.is_file() or not layout.manifest.is_file():
            raise FolderError(f"{printable(given)} holds no run of `veil protect`")
        self.out, self.rows = folder, RowIndex(layout.rows)
        self.settings: Mapping[str, Any] = read_manifest(folder)
        self._inside = names.Resolver(folder)
        self._by_look: tuple[Sketches, list[str]] | None = None

    @property
    def models(self) -> list[str]:
        """Names of the networks of the descent; none where the run does not say."""
        found = self.settings.get("models")
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    @property
    def weights(self) -> list[str]:
        """Their fingerprints."""
        found = self.settings.get("weights")
        return [digits for digits in found if isinstance(digits, str)] if isinstance(found, list) else []

    def match(self, file: str, photo: Photo) -> Match:
        """The row of a photo: by its name, where it looks like the output of that name, else by its look.

        Args:
            file: its name, with ``/``.
            photo: as it is now.

        Raises:
            Unmatched: where it looks like no output, or like two.
        """
        wanted = sketch(photo.array)
        for name in (file, file.rpartition("/")[2]):
            row = self.rows.row_of_output(name)
            if row is not None and float(self._sketch(name) @ wanted) >= ALIKE:
                return self._found(row, "name")
        sketches, outputs = self._looks()
        best = sketches.nearest(wanted)
        if not best or best[0][0] < ALIKE:
            raise Unmatched("it looks like no photo of the run")
        if len(best) > 1 and best[1][0] > best[0][0] - APART:
            first, second = (printable(outputs[number]) for _, number in best)
            raise Unmatched(f"it looks like {first} and like {second}; give it the name of the one that it is")
        row = self.rows.row_of_output(outputs[best[0][1]])
        assert row is not None
        return self._found(row, "look")

    def _looks(self) -> tuple[Sketches, list[str]]:
        """Sketches of all outputs, made when a photo is first looked for; outputs that cannot be read have none."""
        if self._by_look is None:
            outputs: list[str] = []
            self._by_look = Sketches(self._sketched(outputs)), outputs
        return self._by_look

    def _sketched(self, outputs: list[str]) -> Iterator[NDArray[np.float32]]:
        for _, name in self.rows.outputs():
            try:
                drawn = self._sketch(name)
            except ImageError:
                continue
            outputs.append(name)
            yield drawn

    def _found(self, row: Row, by: str) -> Match:
        if problem := PROTECTED_ROWS.problem(row):
            raise Unmatched(f"its row is not of `veil protect`: {problem}")
        return Match(row, by, images.load(self._path(str(row["out"]))))

    def _sketch(self, name: str) -> NDArray[np.float32]:
        return sketch(images.load_arrays(self._path(name)).pixels)

    def _path(self, name: str) -> Path:
        try:
            return self._inside.path(name)
        except UnsafeName as error:
            raise Unmatched(str(error)) from None
