"""The demonstration: a few real photos, protected with the packaged classifier, and the page that proves it.

Command: make demo, or python -m veil.recipes.demo --out demo
Cost:    under a minute on two cores.
Expect:  all photos protected against things100 at ±3 grey levels.

The photos are scikit-image's (extra ``demo``): a cat, a cup of coffee, an astronaut, a rocket; all free of rights.
"""

import argparse
import shlex
import shutil
from importlib.resources import files
from pathlib import Path

from rich.markup import escape

from veil.cli import main as veil
from veil.cli.terminal import output

PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"))
    folder = parser.parse_args().out
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    for name in PHOTOS:
        shutil.copyfile(str(files("skimage.data") / name), photos / name)
    command = ["protect", str(photos), "-o", str(folder / "protected"), "--survival"]
    output.print(f"[bold]veil {escape(shlex.join(command))}", soft_wrap=True)
    veil(command)


if __name__ == "__main__":
    main()
