"""`veil demo`: a few real photos, protected with the packaged classifier, and the page that proves it.

Cost: under a minute on two cores. Expect all photos protected against things100 at ±8 grey levels. The photos are
scikit-image's (extra ``demo``): a cat, a cup of coffee, an astronaut, a rocket; all free of rights.
"""

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from veil.cli.terminal import output

PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for photos and report.")] = Path("demo"),
) -> None:
    """Protect a few real photos, to see what comes out."""
    from veil.cli import main as veil  # the whole command line, of which this is a part

    photos = out / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    try:
        for name in PHOTOS:
            (photos / name).write_bytes((files("skimage.data") / name).read_bytes())
    except ModuleNotFoundError:
        raise typer.BadParameter('the photos are scikit-image\'s: pip install "veil[demo]"') from None
    command = [str(photos), "-o", str(out / "protected"), "--budget", "8", "--retries", "5", "--survival"]
    output.print(f"[bold]veil protect {escape(shlex.join(command))}", soft_wrap=True)
    veil(["protect", *command])
