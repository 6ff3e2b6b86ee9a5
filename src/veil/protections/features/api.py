"""What `veil.obfuscate` and `veil.classify` call: photos become features, and features become answers.

    features = veil.obfuscate("cat.jpg", "smile/client.safetensors")
    veil.classify(features, "smile/service.safetensors")["Smiling"]

Nothing that goes from the one to the other is more than what a file of features holds (`feature_files`): the values
and the client's fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from veil.images.conversion import convert
from veil.runtime.dataframe import dataframe
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from veil.images.conversion import ImageLike
    from veil.protections.features.encoding import Encoding
    from veil.protections.features.feature_files import Answer
    from veil.protections.features.file import Client, Service
    from veil.protections.features.framing import Crop

    Batch = Sequence[ImageLike] | NDArray[np.uint8] | Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """What a client sends of images.

    Attributes:
        sent: (N, C, h, w) of the encoding's type.
        encoding: by which they were encoded.
        client: the client's fingerprint: its service reads them, and no other.
    """

    sent: Tensor
    encoding: Encoding
    client: str

    def __len__(self) -> int:
        return len(self.sent)

    @property
    def values(self) -> Tensor:
        """What arrives at the service: float32 (N, C, h, w), decoded."""
        return self.encoding.decode(self.sent)

    def files(self) -> list[bytes]:
        """The content of a file of features for each image."""
        from veil.protections.features.feature_files import pack

        return [pack(one, self.client) for one in self.sent]

    def save(self, file: Path | str) -> None:
        """Writes the features of one image as a file, ``*.features``.

        Raises:
            ValueError: where they are of several images; `files` gives what to write of them.
        """
        from veil.runtime.files import write_atomically

        if len(self) != 1:
            raise ValueError(f"a file holds the features of one image, not of {len(self)}")
        write_atomically(Path(file), self.files()[0])

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.sent.shape[1:]))
        return f"Features({len(self)} × {shape} {self.encoding.dtype}, client {self.client})"


@dataclass(frozen=True, eq=False, repr=False)
class FeatureFolder:
    """A folder of features. Its rows stay in their file and are read as they are asked for.

    Attributes:
        out: the folder.
    """

    out: Path

    @property
    def rows(self) -> Iterator[Mapping[str, Any]]:
        """A row per image, in the order of the inputs; fields in docs/obfuscation.md.

        Raises:
            FolderError: where a row cannot be read, or is not of `veil obfuscate extract`.
        """
        from veil.jobs import folders
        from veil.protections.features.feature_files import EXTRACTED_ROWS

        return folders.read_checked(self.out, EXTRACTED_ROWS)

    def to_dataframe(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame.

        Raises:
            ImportError: where pandas is not installed.
        """
        return dataframe(self.rows)

    def __repr__(self) -> str:
        failed = [bool(row["error"]) for row in self.rows]
        return f"FeatureFolder({str(self.out)!r}, {len(failed)} images, {sum(failed)} failed)"


@dataclass(frozen=True, eq=False, repr=False)
class Answers(Sequence["Answer"]):
    """What a service says of features, one answer for each image.

    Attributes:
        names: of the attributes.
        answers: `veil.protections.features.feature_files.Answer`, each with its ``probabilities`` in the order of
            ``names``, or its ``error``; ``file`` is the place in the batch, or the file.
    """

    names: tuple[str, ...]
    answers: tuple[Answer, ...]

    def __len__(self) -> int:
        return len(self.answers)

    @overload
    def __getitem__(self, index: str) -> list[float | None]: ...
    @overload
    def __getitem__(self, index: int) -> Answer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Answer]: ...
    def __getitem__(self, index: str | int | slice) -> Any:
        """An image's answer, or how probable an attribute is for every image; None where a file could not be read.

        Raises:
            KeyError: for an attribute that the service does not tell.
        """
        if not isinstance(index, str):
            return self.answers[index]
        if index not in self.names:
            raise KeyError(f"{index}: the service tells {', '.join(self.names)}")
        place = self.names.index(index)
        return [None if one.probabilities is None else one.probabilities[place] for one in self.answers]

    def to_dataframe(self) -> pd.DataFrame:
        """A line for each image, a column for each attribute.

        Raises:
            ImportError: where pandas is not installed.
        """
        columns = {"file": [one.file for one in self.answers], **{name: self[name] for name in self.names},
                   "error": [one.error for one in self.answers]}  # fmt: skip
        return dataframe(dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True))

    def __repr__(self) -> str:
        if len(self) == 1 and self.answers[0].probabilities is not None:
            shares = zip(self.names, self.answers[0].probabilities, strict=True)
            return f"Answers({', '.join(f'{name}: {share:.3f}' for name, share in shares)})"
        return f"Answers({len(self)} of {', '.join(self.names)})"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.names)
        lines = (
            f"<tr><td>{escape(one.file)}</td>"
            + (f"<td colspan={len(self.names)}>{escape(one.error or '')}</td>" if one.probabilities is None
               else "".join(f"<td>{share:.3f}</td>" for share in one.probabilities))
            + "</tr>" for one in self.answers
        )  # fmt: skip
        return f"<table><tr><th></th>{head}</tr>{''.join(lines)}</table>"


@overload
def obfuscate(
    what: ImageLike | Batch, client: Client | Path | str, out: None = None, *, crop: Crop = ..., device: str = ...
) -> Features: ...
@overload
def obfuscate(
    what: Path | str | Sequence[Path | str],
    client: Client | Path | str,
    out: Path | str,
    *,
    crop: Crop = ...,
    device: str = ...,
) -> FeatureFolder: ...
def obfuscate(
    what: ImageLike | Batch,
    client: Client | Path | str,
    out: Path | str | None = None,
    *,
    crop: Crop = "none",
    device: str = "auto",
) -> Features | FeatureFolder:
    """Makes the features of images, which are sent instead of them.

    Images are turned upright and resized as the client's were in its training.

    Args:
        what: an image (path, Pillow image, array or tensor; see `veil.images.conversion`), or several: a list of these,
            a tensor (N, 3, H, W), an array (N, H, W, 3); or, with ``out``, files and folders of photos.
        client: of ``veil obfuscate train``, or its file.
        out: folder for a file of features for each photo, and their rows; the same call goes on where it was stopped.
        crop: ``centre`` takes the middle of photos that are not framed as the client expects; else they are refused.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ObfuscatorError: for a file that is no client's.
        ImageError, TypeError: for what is no image, or not framed as the client expects.
        FolderError: where the job of a folder cannot start or go on.
        ValueError: for a folder without ``out``, and for no images at all.
    """
    from veil.protections.features.feature_files import extract_folder, prepared
    from veil.protections.features.file import Client
    from veil.runtime import devices

    sender = client if isinstance(client, Client) else Client.load(Path(client))
    where = devices.choose(device)
    if out is not None:
        extract_folder(_paths(what), Path(out), sender, crop=crop, device=where)
        return FeatureFolder(Path(out))
    plain = [prepared(convert(one).photo, sender.size, sender.aspect, crop)[0] for one in _images(what)]
    if not plain:
        raise ValueError("there is no image")
    return Features(sender.send(torch.stack(plain).to(where)).cpu(), sender.encoding, sender.fingerprint)


def _paths(what: Any) -> list[Path]:
    """Files and folders."""
    given = [what] if isinstance(what, str | Path) else list(what) if isinstance(what, list | tuple) else [what]
    if wrong := [type(one).__name__ for one in given if not isinstance(one, str | Path)]:
        raise TypeError(f"with out, files and folders of photos are taken, not {wrong[0]}")
    return [Path(path) for path in given]


def _images(what: Any) -> Sequence[Any]:
    """One image, or several, as a sequence of single ones."""
    if isinstance(what, str | Path) and Path(what).is_dir():
        raise ValueError("a folder of photos needs a folder for its features: veil.obfuscate(what, client, out)")
    several = isinstance(what, list | tuple) or (isinstance(what, np.ndarray | torch.Tensor) and what.ndim == 4)
    return what if several else [what]


def classify(
    features: Features | Tensor | Path | str | Sequence[Path | str], service: Service | Path | str, *,
    device: str = "auto",
) -> Answers:  # fmt: skip
    """Reads features: how probable the service's attributes are. Neither images nor the client are needed.

    Args:
        features: of `obfuscate`; decoded features, floats (N, C, h, w); or files of features and folders of them.
        service: of ``veil obfuscate train``, or its file.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ObfuscatorError: for a file that is no service's.
        OtherClient: for features of another client.
        FolderError: where there is no file of features.
        ValueError: for features of another shape.
    """
    from veil.protections.features import feature_files
    from veil.protections.features.feature_files import OtherClient
    from veil.protections.features.file import Service
    from veil.runtime import devices

    reader = service if isinstance(service, Service) else Service.load(Path(service))
    where = devices.choose(device)
    if isinstance(features, Features | torch.Tensor):
        if isinstance(features, Features) and features.client != reader.client:
            raise OtherClient(
                f"features of the client {features.client}, not of {reader.client}, whose service this is"
            )
        values = features.values if isinstance(features, Features) else features
        names = [str(place) for place in range(len(values))]
        answers = list(feature_files.answers_of(reader, values.to(where), names))
    else:
        paths = [features] if isinstance(features, str | Path) else features
        files = feature_files.find([Path(path) for path in paths])
        answers = list(feature_files.classify(files, reader, where))
    return Answers(reader.target, tuple(answers))
