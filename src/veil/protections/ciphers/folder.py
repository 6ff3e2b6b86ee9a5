"""Folders of images through a cipher and back: `veil encrypt` and `veil decrypt`.

Every file is written without loss, decoded again and compared (`veil.jobs.lossless`): what counts is the file. A file
that does not hold the encrypted pixels is a failure.

Threat model: as for the cipher (`veil.protections.ciphers`). Hidden are pixels, in the measure that the cipher hides
them, and metadata, which is left out. Not hidden are file names, sizes, and what ``rows.jsonl`` says of each image; the
key is in no file, only its fingerprint.

What lies beside the encrypted images (`veil.jobs.folders`) is needed to decrypt them. ``run.json`` says which cipher
and which key; a row says how large an image was, which Tanaka's padding hides, and whether it was grey. Decryption
looks for both in the folders above each file, so that it works on the folder, a part of it, or one file in it.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor

from veil import images
from veil.images import ImageError, Photo
from veil.jobs import folders, lossless
from veil.jobs.folders import FolderError, Item, Row
from veil.protections import PROTECTIONS
from veil.protections.ciphers.cipher import Cipher
from veil.protections.ciphers.keys import Key
from veil.protections.image_protection import ImageProtection
from veil.runtime.files import printable

VERSION = 1  # of what rows hold and outputs depend on; counted up when either changes
LOSSLESS = lossless.FORMATS
_HARM = "changed ones decrypt to noise, and networks learn other images"
_READ = {"out": str, "height": int, "width": int, "channels": int, "digest": str}  # of a row, to decrypt its image
_CHANGED = "changed since it was encrypted: changed pixels decrypt to noise"


@dataclass(frozen=True, eq=False)
class Encrypted:
    """A folder that `encrypt_folder` wrote.

    Attributes:
        folder: where its ``run.json`` lies.
        cipher: name of a row of `veil.protections.PROTECTIONS`.
        key: fingerprint of the key; None where every image had its own.
        size: height and width that all images were resized to, if they were.
        rows: of the images that are done, by their output's name.
    """

    folder: Path
    cipher: str
    key: str | None
    size: int | None
    rows: Mapping[str, Row]

    def row(self, file: Path) -> Row | None:
        """The row of an encrypted file, whose path is resolved."""
        return self.rows.get(file.relative_to(self.folder).as_posix())


def encrypt_folder(
    inputs: Sequence[Path],
    out: Path,
    cipher: str | ImageProtection,
    key: Key | None = None,
    *,
    format: str = "png",
    size: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
    workers: int = 2,
    started: Callable[[int, Sequence[Row], int], None] = lambda total, done, passed_over: None,
    finished: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Encrypts files and folders of images into ``out``; goes on where an earlier run stopped.

    Args:
        cipher: a row of `veil.protections.PROTECTIONS` that uses keys, or what `Table.resolve` takes.
        key: for the ciphers that decrypt; none for the others.
        format: one of `LOSSLESS`.
        size: resize images to ``size`` × ``size`` pixels first, for a network of that input.
        workers: threads that read, encrypt and write.
        started, finished: see `veil.jobs.folders.run`.

    Returns:
        A row per image, in the order of the inputs. Fields: docs/encryption.md.

    Raises:
        ValueError: for an unknown cipher, a key too many or too few, a format that loses, or a size out of range.
        folders.FolderError: where the job cannot start or go on.
    """
    row = _named(cipher)
    scheme = row.build(key)
    suffix = lossless.suffix_of(format, _HARM)
    lossless.check_size(size, max_pixels)

    def described(encrypted: Tensor) -> Row:
        return {
            "encrypted_width": encrypted.shape[2],
            "encrypted_height": encrypted.shape[1],
            "digest": _digest(encrypted),
        }

    settings = {
        "version": VERSION, "cipher": row.name, "key": key.fingerprint if key else None, "format": format, "size": size,
    }  # fmt: skip
    return lossless.run(
        inputs, out, scheme, settings=settings, format=format, suffix=suffix, size=size, max_pixels=max_pixels,
        workers=workers, described=described, started=started, finished=finished,
    )  # fmt: skip


def decrypt_folder(
    inputs: Sequence[Path],
    out: Path,
    key: Key,
    cipher: str | ImageProtection | None = None,
    *,
    format: str = "png",
    max_pixels: int = images.MAX_PIXELS,
    workers: int = 2,
    started: Callable[[int, Sequence[Row], int], None] = lambda total, done, passed_over: None,
    finished: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Decrypts files and folders that `encrypt_folder` wrote into ``out``; goes on where an earlier run stopped.

    Args:
        cipher: needed only for images that lie in no folder of `encrypt_folder`, whose padding stays on; and where the
            cipher is in no table.
        format: one of `LOSSLESS`.
        workers, started, finished: as for `encrypt_folder`.

    Returns:
        A row per image, in the order of the inputs. Fields: docs/encryption.md.

    Raises:
        ValueError: for an unknown cipher or one whose keys nobody has, or a format that loses.
        folders.FolderError: where the job cannot start or go on; before anything is written where images were encrypted
            with another key or cipher, or with keys that were thrown away.
    """
    suffix = lossless.suffix_of(format, _HARM)
    given = None if cipher is None else _named(cipher)
    if given is not None and not given.decrypts:
        known = ", ".join(name for name, row in PROTECTIONS.items() if row.decrypts)
        raise ValueError(f"a cipher that decrypts is one of {known}, not {given.name!r}")
    find = _finder()
    sources = [path for path, _ in folders.find(inputs, images.SUFFIXES, out).files]
    agreed = _agreed(sources, find, key.fingerprint, given)
    scheme = agreed.cipher(key)

    def decrypt(item: Item) -> Row:
        begun = time.perf_counter()
        photo = images.load(item.source, max_pixels=max_pixels)
        source = folders.stamp(item.source)
        _require_lossless(item.source)
        origin, row = find(item.source)
        plain, notes = _decrypted(photo, scheme, origin, row)
        if row is None and agreed.multiple > 1:
            padding = f"padding to a multiple of {agreed.multiple} pixels"
            notes.append(f"no row of its encryption beside it: {padding}, if any, stays on")
        lossless.save(plain, item.out, format)
        return {
            "file": item.name,
            "out": item.out_name,
            "width": plain.shape[2],
            "height": plain.shape[1],
            "channels": plain.shape[0],
            "seconds": round(time.perf_counter() - begun, 3),
            "error": None,
            "notes": [*photo.notes, *notes],
            "source": source,
        }

    # Not "cipher": these images are encrypted no more.
    settings = {"version": VERSION, "decrypted": agreed.name, "key": key.fingerprint, "format": format}
    return folders.run(
        inputs, out, lambda items: folders.in_threads(items, decrypt, fails=lossless.FAILS, workers=workers),
        suffixes=images.SUFFIXES, suffix=suffix, settings=settings, synced=False, started=started, finished=finished,
    )  # fmt: skip


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


def _decrypted(photo: Photo, cipher: Cipher, origin: Encrypted | None, row: Row | None) -> tuple[Tensor, list[str]]:
    """uint8 (1 or 3, height, width) as it was before, as far as its row tells, and what there is to say of it."""
    pixels, notes = photo.pixels.expand(3, -1, -1).contiguous(), []
    if photo.alpha is not None:
        notes.append("alpha left out")
    size = None
    if origin is not None and row is not None:
        size = (origin.size, origin.size) if origin.size else (row["height"], row["width"])
        if _digest(pixels) != row["digest"]:
            notes.append(_CHANGED)
    try:
        plain = cipher.decrypt(pixels[None], size)[0]
    except ValueError as error:
        raise ImageError(str(error)) from error
    if row is not None and row["channels"] == 1 and bool((plain == plain[:1]).all()):
        plain = plain[:1].contiguous()
    return plain, notes


def _digest(pixels: Tensor) -> str:
    """16 hexadecimal digits that tell whether an encrypted image is still the same."""
    return images.content_digest(pixels).hex()[:16]


def _require_lossless(file: Path) -> None:
    """Refuses JPEG, lossy WebP and HEIC by their first bytes.

    Raises:
        ImageError: with the reason.
    """
    with file.open("rb") as handle:
        head = handle.read(16)
    if head.startswith(b"\xff\xd8\xff") or head[8:16] == b"WEBPVP8 " or head[4:8] == b"ftyp":
        raise ImageError(
            "stored with loss (JPEG, lossy WebP, HEIC), which changed its pixels, and changed pixels decrypt to noise: "
            "decrypt the file as `veil encrypt` wrote it"
        )


Finder = Callable[[Path], tuple[Encrypted | None, Row | None]]


def _finder() -> Finder:
    """What finds the encrypted folder that a file lies in, and the file's row there; each folder is read once."""

    @cache
    def around(folder: Path) -> Encrypted | None:
        if (folder / folders.MANIFEST).is_file():
            return _read_encrypted(folder)
        return around(folder.parent) if folder.parent != folder else None

    def find(file: Path) -> tuple[Encrypted | None, Row | None]:
        resolved = Path(os.path.realpath(file))  # never fails, unlike Path.resolve: a link may lead to itself
        origin = around(resolved.parent)
        return origin, origin.row(resolved) if origin else None

    return find


def _read_encrypted(folder: Path) -> Encrypted | None:
    """What lies in ``folder``; None where another command wrote it.

    Raises:
        FolderError: where its ``run.json`` cannot be read, or a later Veil wrote it.
    """
    try:
        settings = folders.read_manifest(folder)
    except (OSError, ValueError, RecursionError):
        raise FolderError(f"{printable(folder / folders.MANIFEST)} cannot be read") from None
    cipher = settings.get("cipher") if isinstance(settings, dict) else None
    if cipher is None:
        return None
    if not isinstance(cipher, str) or settings.get("version") != VERSION:
        raise FolderError(f"{printable(folder)} was encrypted by another version of Veil")
    key, size = settings.get("key"), settings.get("size")
    if not isinstance(key, str | None) or not isinstance(size, int | None):
        raise FolderError(f"{printable(folder / folders.MANIFEST)} names no key and size as `veil encrypt` writes them")
    rows = [row for row in folders.read_rows(folder / folders.ROWS) if not row.get("error")]
    for row in rows:
        if not all(isinstance(row.get(field), kind) for field, kind in _READ.items()):
            raise FolderError(
                f"{printable(folder / folders.ROWS)}: the row of {printable(row['file'])} is not of `veil encrypt`"
            )
    return Encrypted(folder, cipher, key, size, {row["out"]: row for row in rows})


def _agreed(files: Sequence[Path], find: Finder, key: str, given: ImageProtection | None) -> ImageProtection:
    """The cipher that all files were encrypted with, as their folders say, and the caller.

    Args:
        key: fingerprint of the key to decrypt with.
        given: by the caller. What a folder names is looked up among the rows of the table, and never imported.

    Raises:
        FolderError: where they do not agree, the key is another one, or nobody says which cipher it was.
    """
    rows = {given.name: given} if given is not None else {}
    for origin, file in {find(file)[0]: file for file in files}.items():
        if origin is None:
            if given is None:
                raise FolderError(
                    f"which cipher? No run.json of `veil encrypt` lies beside or above {printable(file)}; say --cipher"
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
