"""The commands that `kills` interrupts, and the data that they take: drawn images, a small network, a client, a key."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SIDE, FACE = 24, 32
_CPU = ("--device", "cpu")
_SMOKE = ("--scale", "smoke", *_CPU)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of images: small ones, and photos for noise."""

    small: int
    photos: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command, given in a folder with links to the data; all that it writes begins with ``out``."""

    words: tuple[str, ...]
    images: Callable[[Sizes], int]


JOBS = {
    "protect": Job(
        words=("protect", "photos", "-o", "out", "--model", "card/model.toml", *_CPU, "--precision", "float32",
               "--max-iterations", "10", "--budget", "8"),
        images=lambda sizes: sizes.photos,
    ),
    "encrypt": Job(
        words=("encrypt", "small", "-o", "out", "--cipher", "tanaka", "--key", "my.key"),
        images=lambda sizes: sizes.small,
    ),
    "extract": Job(
        words=("obfuscate", "extract", "small", "--client", "client.safetensors", "-o", "out", *_CPU),
        images=lambda sizes: sizes.small,
    ),
    "fit-noise": Job(
        words=("fit-noise", "photos", "-o", "out.safetensors", "--model", "card/model.toml", *_CPU, "--budget",
               "8", "--iterations", "60"),
        images=lambda sizes: sizes.photos,
    ),
    "train": Job(
        words=("train", "--data", "set", "-o", "out", "--network", "resnet18", *_CPU, "--precision", "32-true",
               "--width", "2", "--epochs", "20", "--batch-size", "8"),
        images=lambda sizes: 4 * (12 + 6),
    ),
    "obfuscate-train": Job(
        words=("obfuscate", "train", "-o", "out", "--data", "faces", "--target", "Smiling", "--hide", "Male", *_SMOKE,
               "--precision", "32-true", "--values", "8"),
        images=lambda sizes: 144,
    ),
    "audit": Job(
        words=("audit", "pixel-same", "-o", "out", "--data", "set", *_SMOKE, "--key", "my.key", "--attacks",
               "pixel-statistics,known-plaintext,inverse"),
        images=lambda sizes: 4 * (12 + 6),
    ),
}  # fmt: skip


def prepare(folder: Path, sizes: Sizes) -> None:
    """Draws all data into a new folder."""
    import torch

    from veil.protections.ciphers.keys import Key

    folder.mkdir()
    torch.manual_seed(0)
    _images(folder / "small", sizes.small, SIDE)
    _images(folder / "photos", sizes.photos, 2 * SIDE)
    for part, count in (("train", 12), ("test", 6)):
        for kind in range(4):
            _images(folder / "set" / part / f"class{kind}", count, 16)
    _faces(folder / "faces")
    _card(folder / "card")
    _client(folder / "client.safetensors")
    Key.new().save(folder / "my.key")


def _images(folder: Path, count: int, side: int) -> None:
    """Random colours in random stripes: no two alike, and small as files."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    random = np.random.default_rng([count, side])
    for number in range(count):
        colours = random.integers(0, 256, (2, 3), dtype=np.uint8)
        stripes = (np.add.outer(np.arange(side), np.arange(side)) // random.integers(2, 7)) % 2
        Image.fromarray(colours[stripes]).save(folder / f"{number:05}.png", compress_level=1)


def _faces(folder: Path) -> None:
    """48 people, each three times; a table of attributes."""
    _images(folder, 144, FACE)
    lines = [f"{number:05}.png,{number * 7 % 5 % 2},{number // 3 % 2},{number // 3}" for number in range(144)]
    (folder / "attributes.csv").write_text("\n".join(["file,Smiling,Male,identity", *lines]) + "\n")


def _card(folder: Path) -> None:
    from veil.models import cards
    from veil.models.residual import ResidualNet

    folder.mkdir()
    options = {"num_classes": 4, "stem": 8, "widths": [16], "depths": [1]}
    network = ResidualNet(4, stem=8, widths=(16,), depths=(1,)).eval()
    network.head.weight.data.mul_(30)
    cards.write(
        folder / "model.toml", network, name="small", architecture="veil/residual", options=options,
        classes=[f"thing {number}" for number in range(4)], accuracy={}, training={},
        input_fields={"resize": [32, 32], "mean": [0.5] * 3, "std": [0.25] * 3},
    )  # fmt: skip


def _client(file: Path) -> None:
    import torch

    from veil.models.obfuscator import FeatureClassifier, Obfuscator
    from veil.protections.features.encoding import Encoding
    from veil.protections.features.file import pair

    obfuscator = Obfuscator(8, "batch", 8)
    classifier = FeatureClassifier(obfuscator.shape((FACE, FACE)), 1, 8, head="pool")
    with torch.no_grad():
        encoding = Encoding.of(None, obfuscator.eval()(torch.rand(4, 3, FACE, FACE)))
    client, _ = pair(
        obfuscator, classifier, size=(FACE, FACE), encoding=encoding, name="small", target=("Smiling",),
        hides=("Male",), training={},
    )  # fmt: skip
    client.save(file)
