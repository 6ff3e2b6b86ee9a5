"""What protecting gives back: one photo, or a folder of them, for people and programs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veil import images
from veil.images import Photo
from veil.images.conversion import to_array, to_pillow
from veil.jobs import folders
from veil.jobs.row_formats import FailedRow, Row
from veil.protections.noise.rows import PROTECTED_ROWS, ProtectedRow
from veil.runtime.dataframe import dataframe

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from PIL import Image


@dataclass(frozen=True, eq=False, repr=False)
class Protected:
    """A photo with its noise.

    Attributes:
        photo: what was released.
        row: what was measured on it; fields in docs/protect.md.
        value: the photo in the kind that `veil.protect` was given: a Pillow image, array or tensor.
    """

    photo: Photo
    row: Row
    value: Any = None

    @property
    def protected(self) -> bool:
        """Whether the networks that were named misread it, judged on its 8-bit pixels."""
        return bool(self.row["protected"])

    @property
    def image(self) -> Image.Image:
        """As a Pillow image."""
        return to_pillow(self.photo)

    @property
    def array(self) -> NDArray[np.uint8]:
        """uint8 (H, W, C), with alpha as its last channel where there is one."""
        return to_array(self.photo)

    def save(
        self,
        file: Path | str,
        *,
        format: str = "png",
        keep_metadata: bool = False,
        keep_copyright: bool = False,
        quality: int = 95,
    ) -> None:
        """Writes the photo; see `veil.images.save`.

        The row describes a lossless file; JPEG removes part of the noise.

        Raises:
            ImageError: where the file cannot be written.
        """
        images.save(
            self.photo, file, format, keep_metadata=keep_metadata, keep_copyright=keep_copyright, quality=quality
        )

    def __repr__(self) -> str:
        state = "protected" if self.protected else "not protected"
        return (
            f"Protected({self.photo.width}×{self.photo.height}, {state}: "
            f"{self.row['class_before']} → {self.row['class_after']})"
        )

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()


@dataclass(frozen=True, eq=False, repr=False)
class ProtectedFolder:
    """A folder of protected photos. Its rows stay in their file and are read as they are asked for.

    Attributes:
        out: the folder.
    """

    out: Path

    @property
    def rows(self) -> Iterator[ProtectedRow | FailedRow]:
        """A row per photo, in the order of the inputs; fields in docs/protect.md.

        Raises:
            FolderError: where a row cannot be read, or is not of `veil protect`.
        """
        return folders.read_checked(self.out, PROTECTED_ROWS)

    def counts(self) -> dict[str, int]:
        """How many photos there are, and how many are protected, not protected, and failed."""
        counts = {"photos": 0, "protected": 0, "not protected": 0, "failed": 0}
        for row in self.rows:
            counts["photos"] += 1
            if row["error"] is not None:
                counts["failed"] += 1
            else:
                counts["protected" if row["protected"] else "not protected"] += 1
        return counts

    def to_dataframe(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame.

        Raises:
            ImportError: where pandas is not installed.
        """
        return dataframe(self.rows)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts().items())
        return f"ProtectedFolder({str(self.out)!r}, {counts})"

    def _repr_html_(self) -> str:
        counts = "".join(f"<tr><th>{name}</th><td>{count:,}</td></tr>" for name, count in self.counts().items())
        return f"<table><caption>{escape(str(self.out))}</caption>{counts}</table>"
