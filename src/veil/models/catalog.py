"""Classifiers by name: packaged ones, the zoo's, and cards.

- ``things100``, ``mnist-cnn``: packaged with Veil, trained by us;
- ``timm/<name>``, ``torchvision/<name>``: the zoo (extra ``zoo``), pretrained weights from the hub, those of a revision
  with ``<name>@<revision>``;
- ``path/to/card.toml``: a model card (`veil.models.cards`).
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

import torch

from veil.models import cards, zoo
from veil.models.architectures import ARCHITECTURES, Architecture
from veil.models.classifier import Classifier
from veil.models.names import PACKAGED, packaged


class UnknownModel(ValueError):
    """No classifier has this name; the message suggests similar names."""


@dataclass(frozen=True)
class Entry:
    """One line of `veil models`. ``architecture`` is as the card names it; ``accuracy`` is in words, with what it was
    measured on."""

    name: str
    architecture: str
    input: str
    classes: int | None
    accuracy: str


def describe(card: Path, name: str) -> Entry:
    """The line of `veil models` for a card."""
    content = cards.read(card)
    size = content.preprocessing.size
    top1, on = content.accuracy.get("top1"), content.accuracy.get("on", "")
    top5 = f", top-5 {content.accuracy['top5']} %" if "top5" in content.accuracy else ""
    return Entry(
        name,
        content.architecture,
        f"{size[0]}×{size[1]}",
        len(cards.classes_of(content)),
        f"top-1 {top1} %{top5} ({on})" if top1 is not None else "not stated",
    )


def load(name: str, architecture: str | Architecture | None = None) -> Classifier:
    """Loads a classifier by name, frozen and in evaluation mode, on the CPU.

    A new network draws random weights before its own are read; torch's random state is restored afterwards.

    Args:
        architecture: the architecture of a card, if no package registers it: a row, or ``module:object``.

    Raises:
        UnknownName: if the architecture does not exist.
        UnknownModel: if no classifier has this name.
        cards.CardError: where a card or its weights cannot be used.
        zoo.ZooMissing, OnnxMissing: where the name needs the extra ``zoo``, or ``onnx``.
    """
    with torch.random.fork_rng(devices=()):
        return _load(name, architecture)


def _load(name: str, architecture: str | Architecture | None) -> Classifier:
    if name in packaged():
        return cards.load(PACKAGED / f"{name}.toml")
    library, _, network = name.partition("/")
    if library in zoo.LIBRARIES and network and not name.endswith(".toml"):
        try:
            return zoo.pretrained(library, network)
        except KeyError:
            near = [
                f"{library}/{n}"
                for n in difflib.get_close_matches(network.partition("@")[0], zoo.names(library), 4, 0.5)
            ]
            raise UnknownModel(_unknown(name, near)) from None
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise UnknownModel(f"there is no model card {name}")
        row = ARCHITECTURES.resolve(architecture) if isinstance(architecture, str) else architecture
        return cards.load(Path(name), row)
    raise UnknownModel(_unknown(name, difflib.get_close_matches(name, packaged(), 4, 0.3)))


def _unknown(name: str, near: list[str]) -> str:
    hint = f"; near it: {', '.join(near)}" if near else ""
    return f"there is no model {name!r}{hint}. `veil models` lists what is available."
