"""`veil encrypt` and `veil decrypt`: folders of images through a cipher and back."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from veil import images
from veil.cli import key as keys
from veil.cli.options import (
    DECODE_SECONDS,
    DecodeTimeout,
    KeepDates,
    LosslessFormat,
    MaxMegapixels,
    cipher_help,
    cipher_named,
    ciphers,
    limits_of,
    starting,
)
from veil.cli.terminal import FolderProgress, errors, output, places
from veil.jobs.folders import FolderResult
from veil.runtime.files import printable

FAILED = 1
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def encrypt(
    inputs: Annotated[list[Path], typer.Argument(help="Images, and folders of images.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the encrypted images; rows go beside it.")],
    cipher: Annotated[str, typer.Option(help=cipher_help(), show_default=False, autocompletion=starting(ciphers()))],
    key: Annotated[Path | None, typer.Option(help="Key file, made by `veil key new`.", show_default="none")] = None,
    per_image: Annotated[
        bool, typer.Option("--per-image", help="A key for every image that nobody keeps (pixel): nobody decrypts it.")
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Resize to this side first, for a network of that input: encrypted images cannot be resized.",
            show_default="as they are",
        ),
    ] = None,
    format: LosslessFormat = "png",
    max_megapixels: MaxMegapixels = images.MAX_PIXELS / 1e6,
    decode_timeout: DecodeTimeout = DECODE_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Encrypt images: people see noise, networks can learn from it. It is no strong encryption: see docs/encryption.md.

    The same command goes on where it was stopped. Exit status: 0 all encrypted, 1 some failed, 2 wrong usage.
    """
    from veil.protections.ciphers.folder import encrypt_folder

    row = cipher_named(cipher, key, per_image)
    secret = keys.load(key) if key is not None else None
    if secret is None:
        errors.print("no key is kept: nobody can decrypt these images, so keep the originals")
    with FolderProgress({"encrypted": "green"}, files="images") as progress:
        result = encrypt_folder(
            inputs, out, row, secret, format=format, size=size, limits=limits_of(max_megapixels, decode_timeout),
            run=progress.run,
        )  # fmt: skip
    _finish(result, "encrypted", out, secret.fingerprint if secret is not None else None, as_json)


def decrypt(
    inputs: Annotated[
        list[Path], typer.Argument(help="Folders that `veil encrypt` wrote, parts of them, files.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the decrypted images; rows go beside it.")],
    key: Annotated[Path, typer.Option(help="Key file that they were encrypted with.", show_default=False)],
    cipher: Annotated[
        str | None,
        typer.Option(
            help=f"Of images that lie in no folder of `veil encrypt`. {cipher_help()}",
            show_default="what the folder's run.json says",
            autocompletion=starting(ciphers()),
        ),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="Private folder of their encryption, OUT-private, for images that lie elsewhere now.",
            show_default="none",
        ),
    ] = None,
    format: LosslessFormat = "png",
    keep_dates: KeepDates = False,
    max_megapixels: MaxMegapixels = images.MAX_PIXELS / 1e6,
    decode_timeout: DecodeTimeout = DECODE_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Decrypt images that `veil encrypt` wrote, to the pixels that they had.

    The same command goes on where it was stopped. Exit status: 0 all decrypted, 1 some failed, 2 wrong usage.
    """
    from veil.protections.ciphers.folder import decrypt_folder

    secret = keys.load(key)
    row = cipher_named(cipher, key, per_image=False) if cipher is not None else None
    with FolderProgress({"decrypted": "green"}, files="images") as progress:
        result = decrypt_folder(
            inputs, out, secret, row, rows=rows, format=format, limits=limits_of(max_megapixels, decode_timeout),
            run=replace(progress.run, keep_dates=keep_dates),
        )  # fmt: skip
    _finish(result, "decrypted", out, secret.fingerprint, as_json)


def _finish(result: FolderResult[Any], done: str, out: Path, key: str | None, as_json: bool) -> None:
    """Prints what became of the images, and ends with the status that says so."""
    if as_json:
        counts = {"images": result.total, done: result.done, "failed": result.failed}
        summary = {**counts, "key": key, "out": printable(out)}
        output.print_json(json.dumps(summary))
    else:
        named = f"key {key}" if key is not None else "no key kept"
        output.print(
            f"{result.total} images: [green]{result.done} {done}[/], [red]{result.failed} failed[/]; {named}; "
            f"in {places(result)}",
            soft_wrap=True,
        )
    raise typer.Exit(FAILED if result.failed else 0)
