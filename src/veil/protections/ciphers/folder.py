"""Folders of images through a cipher and back: `veil encrypt` and `veil decrypt`.

Every file is written without loss, decoded again and compared (`veil.jobs.lossless`): what counts is the file. A file
that does not hold the encrypted pixels is a failure.

Threat model: as for the cipher (`veil.protections.ciphers`). The cipher hides pixels, as well as it can; metadata is
left out. File names, sizes, and what ``rows.jsonl`` says of each image are not hidden. No file holds the key, only its
fingerprint: ``run.json``, and every encrypted image (`veil.images.marks`).

What lies in the private folder beside the encrypted images (`veil.jobs.layout`) is needed to decrypt them as they were.
``run.json`` says which cipher and which key; a row says how large an image was, which Tanaka's padding hides, and
whether it was grey. Decryption looks for both beside the folders above each file, so that it works on the folder, a
part of it, or one file in it. Images that travelled without them are decrypted by ``rows``, the folder where they lie,
which knows the images by their pixels; or with the cipher's name, and padding stays on.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from torch import Tensor

from veil import images
from veil.images import ImageError, Photo
from veil.images.marks import NO_KEY, Mark
from veil.jobs import folders, image_batches, lossless
from veil.jobs.database import Database
from veil.jobs.folders import QUIET, FolderError, FolderResult, Item, Job, Row, Run
from veil.jobs.image_batches import FAILS, ReadImage
from veil.jobs.job import Digest
from veil.jobs.layout import layout_of
from veil.jobs.lossless import ImageRow, Lossless, Output
from veil.jobs.row_formats import RowFormat, RowsError
from veil.jobs.row_index import RowIndex
from veil.jobs.stream import Stages, as_written, one_by_one, stream
from veil.protections import PROTECTIONS
from veil.protections.ciphers.cipher import Cipher
from veil.protections.ciphers.keys import Key
from veil.protections.image_protection import ImageProtection
from veil.runtime.files import open_regular, printable

VERSION = 1  # of what rows hold and outputs depend on; counted up when either changes
LOSSLESS = lossless.FORMATS
_HARM = "changed ones decrypt to noise, and networks learn other images"
_CHANGED = "changed since it was encrypted: changed pixels decrypt to noise"


class EncryptedRow(ImageRow):
    """Row of an encrypted image: its new size, and a digest that shows whether it was changed since."""

    encrypted_width: int
    encrypted_height: int
    digest: str


class DecryptedRow(ImageRow):
    """Row of a decrypted image; size and channels are those after decryption."""


ENCRYPTED_ROWS = RowFormat(command="`veil encrypt`", done=EncryptedRow)
DECRYPTED_ROWS = RowFormat(command="`veil decrypt`", done=DecryptedRow)


@dataclass(frozen=True, eq=False)
class Encrypted:
    """A folder that `encrypt_folder` wrote.

    Attributes:
        folder: of its outputs.
        cipher: name of a row of `veil.protections.PROTECTIONS`.
        key: fingerprint of the key; None where every image had its own.
        size: height and width that all images were resized to, if they were.
        rows: of its images.
    """

    folder: Path
    cipher: str
    key: str | None
    size: int | None
    rows: RowIndex

    def row(self, file: Path) -> Row | None:
        """The row of an encrypted file, whose path is resolved."""
        return self.rows.row_of_output(file.relative_to(self.folder).as_posix())

    @cached_property
    def _outputs(self) -> Database:
        """The names of outputs, by the digest of their pixels."""
        database = Database()
        database.run("CREATE TABLE outputs (digest TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID")
        done = ((row["digest"], row["out"]) for row in self.rows if not row["error"])
        database.insert("INSERT OR IGNORE INTO outputs VALUES (?, ?)", done)
        return database

    def row_of_pixels(self, digest: str) -> Row | None:
        """The row of an encrypted image, wherever its file lies now."""
        found = self._outputs.find("SELECT name FROM outputs WHERE digest = ?", digest)
        return self.rows.row_of_output(found[0]) if found else None


def encrypt_folder(
    inputs: Sequence[Path],
    out: Path,
    cipher: str | ImageProtection,
    key: Key | None = None,
    *,
    format: str = "png",
    size: int | None = None,
    limits: images.Limits = images.LIMITS,
    run: Run = QUIET,
) -> FolderResult[EncryptedRow]:
    """Encrypts files and folders of images into ``out``; goes on where an earlier run stopped.

    Args:
        cipher: a row of `veil.protections.PROTECTIONS` that uses keys, or what `Table.resolve` takes.
        key: for the ciphers that decrypt; none for the others.
        format, size, limits: see `veil.jobs.lossless.Output`; ``size`` is for a network of that input.
        run: number of threads, and callbacks.

    Returns:
        Counts, and a row per image in the order of the inputs. Fields: docs/encryption.md.

    Raises:
        ValueError: for an unknown cipher, a key too many or too few, a format that loses, or a size out of range.
        folders.FolderError: where the job cannot start or go on.
    """
    row = _named(cipher)
    scheme = row.build(key)
    output = Output(format=format, size=size, limits=limits).checked(_HARM)

    def describe(encrypted: Tensor) -> Row:
        return {
            "encrypted_width": encrypted.shape[2],
            "encrypted_height": encrypted.shape[1],
            "digest": _digest(encrypted),
        }

    settings = {
        "version": VERSION, "cipher": row.name, "key": key.fingerprint if key else None, "format": format, "size": size,
    }  # fmt: skip
    job = Lossless(
        change=scheme, output=output, settings=settings, rows=ENCRYPTED_ROWS, describe=describe,
        mark=Mark(row.name, key.fingerprint if key else NO_KEY),
    )  # fmt: skip
    return lossless.run(inputs, out, job, run)


def decrypt_folder(
    inputs: Sequence[Path],
    out: Path,
    key: Key,
    cipher: str | ImageProtection | None = None,
    *,
    rows: Path | None = None,
    format: str = "png",
    limits: images.Limits = images.LIMITS,
    run: Run = QUIET,
) -> FolderResult[DecryptedRow]:
    """Decrypts files and folders that `encrypt_folder` wrote into ``out``; goes on where an earlier run stopped.

    Args:
        cipher: needed only for images that lie in no folder of `encrypt_folder`, whose padding stays on; and where the
            cipher is in no table.
        rows: folder that `encrypt_folder` wrote, or its private folder, for images that lie elsewhere now.
        format, limits, run: as for `encrypt_folder`.

    Returns:
        Counts, and a row per image in the order of the inputs. Fields: docs/encryption.md.

    Raises:
        ValueError: for an unknown cipher or one whose keys nobody has, or a format that loses.
        folders.FolderError: where the job cannot start or go on; before anything is written where images were encrypted
            with another key or cipher, or with keys that were thrown away.
    """
    output = Output(format=format, limits=limits).checked(_HARM)
    given = None if cipher is None else _named(cipher)
    if given is not None and not given.decrypts:
        known = ", ".join(name for name, row in PROTECTIONS.items() if row.decrypts)
        raise ValueError(f"a cipher that decrypts is one of {known}, not {given.name!r}")
    folders.refuse_in_place(inputs, out)
    origins = _Origins(rows)
    sources = (path for path, _ in folders.find(inputs, images.SUFFIXES, out).files)
    agreed = _agreed(sources, origins, key.fingerprint, given)
    decryption = _Decryption(agreed, agreed.cipher(key), origins, output)
    stages = Stages(
        read=decryption.read, change=one_by_one(decryption.decrypt, FAILS), write=decryption.write, row=as_written,
        fails=FAILS,
    )  # fmt: skip
    job = Job(
        work=partial(stream, stages), suffixes=images.SUFFIXES, suffix=output.suffix,
        # Not "cipher": these images are encrypted no more.
        settings={"version": VERSION, "decrypted": agreed.name, "key": key.fingerprint, "format": format},
        rows=DECRYPTED_ROWS, synced=False,
    )  # fmt: skip
    return folders.run(inputs, out, job, run)


def _named(cipher: str | ImageProtection) -> ImageProtection:
    """The row of a cipher.

    Raises:
        UnknownName: where there is none.
        ValueError: for a protection that is no cipher.
    """
    row = PROTECTIONS.resolve(cipher) if isinstance(cipher, str) else cipher
    if row.key == "none":
        raise ValueError(f"{row.name} is no cipher: it uses no key")
    return row


def _as_it_is(photo: Photo) -> tuple[Tensor, list[str]]:
    """An encrypted image in three channels."""
    pixels = photo.pixels.expand(3, -1, -1).contiguous()
    return pixels, ["alpha left out"] if photo.alpha is not None else []


@dataclass(frozen=True, eq=False)
class _Decryption:
    """Decrypts images and writes them.

    Attributes:
        protection: whose cipher it is.
        cipher: with the key.
        origins: where images were encrypted.
        output: how images are written.
    """

    protection: ImageProtection
    cipher: Cipher
    origins: "_Origins"
    output: Output

    def read(self, item: Item) -> ReadImage:
        """An encrypted image."""
        image = image_batches.read(item, _as_it_is, limits=self.output.limits)
        _require_lossless(item.source)
        return image

    def decrypt(self, image: ReadImage) -> tuple[Tensor, list[str]]:
        """uint8 (1 or 3, height, width) as it was before, as far as its row tells, and what there is to say of it."""
        digest = _digest(image.plain)
        origin, row = self.origins.find(image.item.source, digest)
        size, notes = None, []
        if origin is not None and row is not None:
            size = (origin.size, origin.size) if origin.size else (row["height"], row["width"])
            if digest != row["digest"]:
                notes.append(_CHANGED)
        elif self.protection.multiple > 1:
            padding = f"padding to a multiple of {self.protection.multiple} pixels"
            notes.append(f"no row of its encryption beside it: {padding}, if any, stays on")
        try:
            plain = self.cipher.decrypt(image.plain[None], size)[0]
        except ValueError as error:
            raise ImageError(str(error)) from error
        if row is not None and row["channels"] == 1 and bool((plain == plain[:1]).all()):
            plain = plain[:1].contiguous()
        return plain, notes

    def write(self, image: ReadImage, decrypted: tuple[Tensor, list[str]]) -> tuple[Row, Digest]:
        """Writes an image, and returns its row."""
        plain, notes = decrypted
        digest = lossless.save(plain, image.item.out, self.output.format)
        about = {"width": plain.shape[2], "height": plain.shape[1], "channels": plain.shape[0]}
        return image.row(about, notes), digest


def _digest(pixels: Tensor) -> str:
    """16 hexadecimal digits that tell whether an encrypted image is still the same."""
    return images.content_digest(pixels).hex()[:16]


def _require_lossless(file: Path) -> None:
    """Refuses JPEG, lossy WebP and HEIC by their first bytes.

    Raises:
        ImageError: with the reason.
    """
    with open_regular(file) as handle:
        head = handle.read(16)
    if head.startswith(b"\xff\xd8\xff") or head[8:16] == b"WEBPVP8 " or head[4:8] == b"ftyp":
        raise ImageError(
            "stored with loss (JPEG, lossy WebP, HEIC), which changed its pixels, and changed pixels decrypt to noise: "
            "decrypt the file as `veil encrypt` wrote it"
        )


class _Origins:
    """The folders that files were encrypted into, and their rows there; each folder is looked at once.

    Args:
        given: folder of all files, wherever they lie.

    Raises:
        FolderError: where `veil encrypt` wrote no rows there.
    """

    def __init__(self, given: Path | None = None) -> None:
        self._known: dict[Path, Encrypted | None] = {}
        self._given = None if given is None else _around_rows(given)

    def folder(self, file: Path) -> Encrypted | None:
        """The encrypted folder that a file lies in, or lay in."""
        return self._given or self._around(_resolved(file).parent)

    def find(self, file: Path, digest: str) -> tuple[Encrypted | None, Row | None]:
        """The folder, and the file's row in it.

        Args:
            digest: of its pixels.
        """
        if self._given is not None:
            return self._given, self._given.row_of_pixels(digest)
        resolved = _resolved(file)
        origin = self._around(resolved.parent)
        return origin, origin.row(resolved) if origin else None

    def _around(self, folder: Path) -> Encrypted | None:
        if folder not in self._known:
            if layout_of(folder).manifest.is_file():
                self._known[folder] = _read_encrypted(folder)
            else:
                self._known[folder] = self._around(folder.parent) if folder.parent != folder else None
        return self._known[folder]


def _around_rows(folder: Path) -> Encrypted:
    encrypted = _read_encrypted(folder) if layout_of(folder).manifest.is_file() else None
    if encrypted is None:
        raise FolderError(f"no run.json of `veil encrypt` lies in {printable(folder)} or beside it")
    return encrypted


def _resolved(file: Path) -> Path:
    """The path without links; never fails, unlike Path.resolve: a link may lead to itself."""
    return Path(os.path.realpath(file))


def _read_encrypted(folder: Path) -> Encrypted | None:
    """What lies in ``folder``; None where another command wrote it.

    Raises:
        FolderError: where its ``run.json`` cannot be read, or a later Veil wrote it.
    """
    layout = layout_of(folder)
    try:
        settings = folders.read_manifest(folder)
    except (OSError, ValueError):
        raise FolderError(f"{printable(layout.manifest)} cannot be read") from None
    cipher = settings.get("cipher") if isinstance(settings, dict) else None
    if cipher is None:
        return None
    if not isinstance(cipher, str) or settings.get("version") != VERSION:
        raise FolderError(f"{printable(folder)} was encrypted by another version of Veil")
    key, size = settings.get("key"), settings.get("size")
    if not isinstance(key, str | None) or not isinstance(size, int | None):
        raise FolderError(f"{printable(layout.manifest)} names no key and size as `veil encrypt` writes them")
    rows = RowIndex(layout.rows)
    for row in rows:
        try:
            ENCRYPTED_ROWS.check(row)
        except RowsError as error:
            raise FolderError(f"{printable(rows.file)}: {error}") from None
    return Encrypted(folder, cipher, key, size, rows)


def _agreed(files: Iterable[Path], origins: _Origins, key: str, given: ImageProtection | None) -> ImageProtection:
    """The cipher that all files were encrypted with, as their folders say, and the caller.

    Args:
        key: fingerprint of the key to decrypt with.
        given: by the caller. What a folder names is looked up among the rows of the table, and never imported.

    Raises:
        FolderError: where they do not agree, the key is another one, or nobody says which cipher it was.
    """
    rows = {given.name: given} if given is not None else {}
    for origin, file in {origins.folder(file): file for file in files}.items():
        if origin is None:
            if given is None:
                raise FolderError(
                    f"which cipher? No run.json of `veil encrypt` lies beside or above {printable(file)}; say --rows "
                    "and the private folder of its encryption, or say --cipher"
                )
            continue
        named, called = printable(origin.folder), printable(origin.cipher)
        if given is not None and given.name != origin.cipher:
            raise FolderError(f"{named} was encrypted with {called}, not with {given.name}")
        if given is None and origin.cipher not in PROTECTIONS:
            raise FolderError(f"{named} was encrypted with {called}, which this Veil does not have; say --cipher")
        row = rows.setdefault(origin.cipher, given or PROTECTIONS[origin.cipher])
        if not row.decrypts:
            raise FolderError(f"{named} was encrypted with a key per image, thrown away: nobody can decrypt it")
        if origin.key != key:
            raise FolderError(f"{named} was encrypted with the key {origin.key}, not with {key}")
    if len(rows) > 1:
        raise FolderError(f"encrypted with {', '.join(sorted(rows))}: decrypt one after the other")
    return next(iter(rows.values()))
