"""Files of features: what a client sends of one image, and nothing else; read by the service that belongs to it.

A file is sixteen bytes and the values: ``VEILFEA1``, the client's fingerprint (8 bytes), then the features of one
image, channel by channel, row by row, in the encoding's type, the least byte first. The shape, the type and the range
are in the cards that the fingerprint names, so a file has no room for a path, a date, or anything of the photo's
metadata. Eight values of 8 bits are 24 bytes; as safetensors they would be some 200.

`extract_folder` is a `veil.jobs.folders` job. Threads read images ahead and resize them to the client's size,
so waiting images take little memory even when the originals are large. Several images go through the network together.

Threat model: as for the client (`veil.protections.features.file`). File names are not hidden, and neither is what
``rows.jsonl`` says of each image: keep these rows, and send the files of features alone.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from veil import images
from veil.data.decoding import resized
from veil.images import Photo
from veil.jobs import folders, image_batches
from veil.jobs.folders import QUIET, FolderError, FolderResult, Job, Row, Run
from veil.jobs.image_batches import FAILS, ReadImage
from veil.jobs.job import Digest
from veil.jobs.listing import Files
from veil.jobs.row_formats import DoneRow, RowFormat
from veil.jobs.stream import Stages, as_written, stream
from veil.models.answers import finite_rows, no_answer
from veil.protections.features.encoding import Encoding
from veil.protections.features.file import Client, Service
from veil.protections.features.framing import Crop, framed
from veil.runtime.files import open_regular, printable
from veil.runtime.provenance import ARITHMETIC, arithmetic

SUFFIX = ".features"
VERSION = 1  # of what rows hold and outputs depend on; counted up when either changes
_MAGIC, _HEAD = b"VEILFEA1", 16
_TOGETHER = 64  # images that go through the network together


class ExtractedRow(DoneRow):
    """Row of an image whose features were made: the image's size, and the bytes of the file of features."""

    width: int
    height: int
    bytes: int


EXTRACTED_ROWS = RowFormat(command="`veil obfuscate extract`", done=ExtractedRow)


class FeatureError(ValueError):
    """A file cannot be used as features; the message is one line, without the path."""


class OtherClient(FeatureError):
    """Features of another client than the service's own."""


def pack(sent: Tensor, client: str) -> bytes:
    """A file's content.

    Args:
        sent: (C, h, w), as `Client.send` made it.
        client: the client's fingerprint.
    """
    values = sent.detach().cpu().contiguous().numpy()
    return _MAGIC + bytes.fromhex(client) + values.astype(values.dtype.newbyteorder("<")).tobytes()


def unpack(data: bytes, shape: tuple[int, int, int], encoding: Encoding, client: str) -> Tensor:
    """What was sent, (C, h, w) of the encoding's type, from a file's content.

    Args:
        client: fingerprint of the client whose features are wanted.

    Raises:
        OtherClient: for features of another one.
        FeatureError: for anything but features of that shape and type, and where a value is not finite.
    """
    if len(data) < _HEAD or not data.startswith(_MAGIC):
        raise FeatureError("not a file of features")
    if data[8:_HEAD].hex() != client:
        raise OtherClient(f"features of the client {data[8:_HEAD].hex()}, not of {client}, whose service this is")
    wanted = size_of(shape, encoding)
    if len(data) != wanted:
        raise FeatureError(f"{'cut off' if len(data) < wanted else 'too long'}: {wanted} bytes are expected")
    numbers = np.frombuffer(data, np.dtype(encoding.dtype).newbyteorder("<"), offset=_HEAD)
    sent = torch.from_numpy(numbers.astype(encoding.dtype).reshape(shape))
    if sent.is_floating_point() and not bool(torch.isfinite(sent).all()):
        raise FeatureError("values that are not finite")
    return sent


def size_of(shape: tuple[int, int, int], encoding: Encoding) -> int:
    """Bytes of a file of features of that shape."""
    channels, height, width = shape
    return _HEAD + channels * height * width * encoding.width


def read(file: Path, service: Service) -> Tensor:
    """Features that a service's client sent, decoded: float32 (C, h, w).

    Raises:
        OtherClient, FeatureError: as `unpack` does, and where the file cannot be read.
    """
    try:
        with open_regular(file) as handle:
            data = handle.read(size_of(service.shape, service.encoding) + 1)
    except OSError as error:
        raise FeatureError(f"cannot be read ({error.strerror})") from error
    return service.encoding.decode(unpack(data, service.shape, service.encoding, service.client))


def prepared(
    photo: Photo, size: tuple[int, int], aspect: float | None = None, crop: Crop = "none"
) -> tuple[Tensor, list[str]]:
    """A photo as a client takes it, uint8 (3, H, W), and what was changed for that, or not checked.

    Args:
        size: (H, W); by `veil.data.decoding.resized`, as the training's images were.
        aspect, crop: see `veil.protections.features.framing.framed`.

    Raises:
        ImageError: for a photo of quite another shape than the client expects.
    """
    photo, framing_notes = framed(photo, aspect, crop)
    pixels, notes = image_batches.three_colours(photo, size, partial(resized, size=size))
    return pixels.contiguous(), [*framing_notes, *notes]


def extract_folder(
    inputs: Sequence[Path],
    out: Path,
    client: Client,
    *,
    crop: Crop = "none",
    limits: images.Limits = images.LIMITS,
    device: torch.device | None = None,
    run: Run = QUIET,
) -> FolderResult[ExtractedRow]:
    """Makes a file of features of each image into ``out``; goes on where an earlier run stopped.

    Args:
        crop: what becomes of photos that are not framed as the client expects: they fail, or their middle is taken.
        limits: of an image, before it is resized.
        device: where the network computes; the CPU if it is None.
        run: number of threads, and callbacks.

    Returns:
        Counts, and a row per image in the order of the inputs. Fields: docs/obfuscation.md.

    Raises:
        folders.FolderError: where the job cannot start or go on.
    """

    prepare = partial(prepared, size=client.size, aspect=client.aspect, crop=crop)

    def send(plain: Tensor) -> Tensor:
        return client.send(plain.to(device)).cpu()

    def write(image: ReadImage, sent: Tensor) -> tuple[Row, Digest]:
        data = pack(sent, client.fingerprint)
        digest = image_batches.write(image.item.out, data)
        return image.row({"width": image.width, "height": image.height, "bytes": len(data)}), digest

    stages = Stages(
        read=partial(image_batches.read, prepare=prepare, limits=limits),
        change=image_batches.in_batches(send, together=_TOGETHER), write=write, row=as_written, fails=FAILS,
    )  # fmt: skip
    job = Job(
        work=partial(stream, stages), suffixes=images.SUFFIXES, suffix=SUFFIX,
        settings={"version": VERSION, "client": client.fingerprint, "name": client.name, ARITHMETIC: arithmetic(device)}
        | ({} if crop == "none" else {"crop": crop}), rows=EXTRACTED_ROWS, synced=False,
    )  # fmt: skip
    return folders.run(inputs, out, job, run)


@dataclass(frozen=True)
class Answer:
    """What a service says of one file of features.

    Attributes:
        file: its name, as `veil.jobs.folders.find` gives it.
        probabilities: of the service's target attributes, in their order; None where the file cannot be used.
        error: why not.
    """

    file: str
    probabilities: tuple[float, ...] | None
    error: str | None


def find(inputs: Sequence[Path], out: Path | None = None) -> Files:
    """Files of features below ``inputs`` in a stable order, with their names.

    Args:
        out: what is never taken for one.

    Raises:
        FolderError: where an input does not exist, or there is no file of features.
    """
    try:
        return folders.find(inputs, frozenset({SUFFIX}), out or Path(os.devnull)).files
    except FolderError:
        if all(given.exists() for given in inputs):
            named = ", ".join(printable(path) for path in inputs)
            raise FolderError(f"no files of features ({SUFFIX}) found in {named}") from None
        raise


def classify(
    files: Iterable[tuple[Path, str]], service: Service, device: torch.device | None = None
) -> Iterator[Answer]:
    """What a service says of files of features, one answer each, in their order; files that are damaged say why.

    Raises:
        OtherClient: at the first file of another client.
    """
    group: list[tuple[str, Tensor | str]] = []
    for path, name in files:
        try:
            group.append((name, read(path, service)))
        except OtherClient as error:
            raise OtherClient(f"{printable(path)}: {error}") from None
        except FeatureError as error:
            group.append((name, str(error)))
        if len(group) == _TOGETHER:
            yield from _answers(group, service, device)
            group = []
    yield from _answers(group, service, device)


def _answers(
    group: Sequence[tuple[str, Tensor | str]], service: Service, device: torch.device | None
) -> Iterator[Answer]:
    features = [read for _, read in group if isinstance(read, Tensor)]
    names = [name for name, read in group if isinstance(read, Tensor)]
    answers = iter(answers_of(service, torch.stack(features).to(device), names) if features else ())
    for name, read in group:
        yield Answer(name, None, read) if isinstance(read, str) else next(answers)


def answers_of(service: Service, features: Tensor, names: Sequence[str]) -> Iterator[Answer]:
    """What a service says of features, decoded, (N, C, h, w); an error where that is not finite.

    Args:
        names: N of them, for the answers.
    """
    logits = service.logits(features)
    for name, one, finite in zip(names, logits.sigmoid().tolist(), finite_rows(logits), strict=True):
        error = None if finite else str(no_answer(service.name, "these features"))
        yield Answer(name, tuple(one) if finite else None, error)
