"""Model cards: a TOML file that says what a classifier is, with its weights as safetensors beside it.

.. code-block:: toml

    name = "mobilenetv2_100"
    architecture = "timm/mobilenetv2_100"   # or torchvision/<name>, or veil/ and a row of `ARCHITECTURES`
    weights = "mobilenetv2_100.safetensors" # beside the card; safetensors only
    labels = "imagenet_labels.txt"          # beside the card; one class a line
    [options]                               # given to the architecture; those that a card can set
    num_classes = 1000
    [input]
    resize = 256                            # shorter side, or [height, width]
    crop = 224
    mean = [0.5, 0.5, 0.5]
    std = [0.5, 0.5, 0.5]
    [accuracy]                              # optional; top-1 and top-5 in percent, and on what
    top1 = 89.2
    on = "..."
    [noise]                                 # optional
    budget = 8                              # limit in grey levels that most photos need on this network
    subject = "handwritten digits"          # what its pictures show; photos, unless it says so
    [training]                              # optional, for people, but for two fields: how its images were encrypted
    cipher = "tanaka"
    key = "0123456789abcdef"                # fingerprint of the key

A card may come from a stranger. Paths may not leave its folder, not even through a link. Weights are read as plain
tensors, never unpickled, and must fit the architecture exactly. A constructor can do more than build a network: timm's
opens files and fetches weights. So only options that are known to be harmless are passed to it.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from veil.images.marks import Mark
from veil.models import weights, zoo
from veil.models.architectures import ARCHITECTURES, Architecture
from veil.models.classifier import Classifier, Preprocessing
from veil.models.options import ZOO, OptionRefused, check
from veil.runtime.files import open_regular, write_atomically
from veil.runtime.tables import UnknownName

MOST_CARD_BYTES, MOST_LABEL_BYTES = 1 << 20, 1 << 24
_LONGEST_LINE = 2000  # a key of n parts takes `tomllib` n² steps: minutes for one of 100,000 bytes


class CardError(ValueError):
    """A card, or what it points to, cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The checked content of a card. Paths are absolute; ``reads`` says how its training images were encrypted."""

    name: str
    architecture: str
    weights: Path
    labels: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    noise: Mapping[str, Any] = field(default_factory=dict)
    reads: Mark | None = None


def _beside(card: Path, name: object, suffixes: tuple[str, ...]) -> Path:
    if not isinstance(name, str) or not name:
        raise CardError(f"{card}: expected a file name, not {name!r:.80}")
    if not name.isprintable() or len(name.encode()) > 255:
        raise CardError(f"{card}: {name!r:.80} is no name for a file")
    path, folder = card.parent / name, card.parent.resolve()
    try:
        inside = not {"/", "\\"} & set(name) and path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # links in a circle
        inside = False
    if not inside:
        raise CardError(f"{card}: {name!r} must lie beside the card, and may not be a link out of its folder")
    if path.suffix not in suffixes:
        raise CardError(f"{card}: {name!r} must be one of {', '.join(suffixes)}; nothing else is loaded")
    if not path.is_file():
        raise CardError(f"{card}: {name!r} is missing")
    return path


def _content(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            raw = file.read(MOST_CARD_BYTES + 1)
        if len(raw) > MOST_CARD_BYTES:
            raise ValueError(f"it has more than {MOST_CARD_BYTES:,} bytes")
        if any(len(line) > _LONGEST_LINE for line in raw.splitlines()):
            raise ValueError(f"it has a line of more than {_LONGEST_LINE:,} bytes")
        return tomllib.loads(raw.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(f"{path}: not a readable model card: {error}") from None


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def read(path: Path) -> Card:
    """Reads and checks a card.

    Raises:
        CardError: where it is not TOML, lacks a field, has an unknown one, or points to what is not there.
    """
    content = _content(path)
    known = {"name", "architecture", "weights", "labels", "options", "input", "accuracy", "noise", "training"}
    if unknown := set(content) - known:
        raise CardError(f"{path}: unknown field {sorted(unknown)[0]!r}; a card has {', '.join(sorted(known))}")
    if missing := {"name", "architecture", "weights", "labels", "input"} - set(content):
        raise CardError(f"{path}: the field {sorted(missing)[0]!r} is missing")
    for name in ("options", "input", "accuracy", "noise"):
        if not isinstance(content.get(name, {}), dict):
            raise CardError(f"{path}: [{name}] must be a table")
    try:
        preprocessing = Preprocessing(**{"resize": None} | {k: _pair(v) for k, v in content["input"].items()})
    except (TypeError, ValueError) as error:
        raise CardError(f"{path}: [input]: {error}") from None
    labels = _beside(path, content["labels"], (".txt",))
    if labels.stat().st_size > MOST_LABEL_BYTES:
        raise CardError(f"{path}: {labels.name} has more than {MOST_LABEL_BYTES:,} bytes")
    return Card(
        name=str(content["name"]),
        architecture=str(content["architecture"]),
        weights=_beside(path, content["weights"], (".safetensors",)),
        labels=labels,
        options=content.get("options", {}),
        preprocessing=preprocessing,
        accuracy=content.get("accuracy", {}),
        noise=_noise(path, content.get("noise", {})),
        reads=_reads(content.get("training", {})),
    )


def _noise(card: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``[noise]``, as `Classifier` takes them."""
    budget, subject = fields.get("budget"), fields.get("subject", "photos")
    if unknown := set(fields) - {"budget", "subject"}:
        raise CardError(f"{card}: unknown field {min(unknown)!r:.80}; [noise] has budget, subject")
    if budget is not None and not (type(budget) in (int, float) and 1 <= budget <= 255):
        raise CardError(f"{card}: [noise] budget must be from 1 to 255 grey levels")
    if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= 80:
        raise CardError(f"{card}: [noise] subject must be a few words")
    return {"budget": budget, "subject": subject}


def _reads(training: object) -> Mark | None:
    """How the training images were encrypted, by ``cipher`` and ``key`` of a card's ``[training]``."""
    if not isinstance(training, dict) or not isinstance(cipher := training.get("cipher"), str):
        return None
    key = training.get("key")
    return Mark(cipher, key if isinstance(key, str) else None)


def build_network(architecture: str, options: Mapping[str, Any], row: Architecture | None = None) -> nn.Module:
    """An untrained network of ``veil/…``, ``timm/…`` or ``torchvision/…``.

    Args:
        row: the row of ``veil/…``, if no package registers it.

    Raises:
        CardError: if the architecture does not exist or does not take these options, or a card may not set them.
        zoo.ZooMissing: where it needs the extra ``zoo``.
    """
    library, _, name = architecture.partition("/")
    if library not in ("veil", *zoo.LIBRARIES):
        raise CardError(f"there is no architecture {architecture!r:.80}; write veil/…, timm/… or torchvision/…")
    try:
        if library == "veil":
            return (row if row is not None and row.name == name else ARCHITECTURES[name]).build(options)
        if name not in zoo.names(library):
            raise CardError(f"there is no architecture {architecture!r:.80}")
        check(options, ZOO[library])
        return zoo.build(library, name, options)
    except UnknownName:
        raise CardError(
            f"there is no architecture {architecture!r:.80}: neither Veil's own, nor one that an installed package adds"
        ) from None
    except OptionRefused as error:
        raise CardError(f"{architecture} does not take the options {error}") from None
    except CardError:
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError, AssertionError, AttributeError, LookupError) as error:
        reason = weights.one_line(error)
        raise CardError(f"{architecture} does not take the options {dict(options)}: {reason}") from None


def load(path: Path, architecture: Architecture | None = None) -> Classifier:
    """The classifier that a card describes, in float32 on the CPU.

    Args:
        architecture: the row that the card names, where no package registers it.

    Raises:
        CardError: if the card, the labels or the weights cannot be used or do not match.
        zoo.ZooMissing: where the architecture needs the extra ``zoo``.
    """
    card = read(path)
    network = build_network(card.architecture, card.options, architecture)
    with weights.reading(card.weights, f"weights of {card.architecture}", CardError):
        weights.load_into(network, card.weights)
    classes = [line.strip() for line in card.labels.read_text(encoding="utf-8").splitlines() if line.strip()]
    classifier = Classifier(card.name, network, card.preprocessing, classes, reads=card.reads, **card.noise)
    with torch.inference_mode():
        outputs = classifier(torch.zeros(1, card.preprocessing.channels, *card.preprocessing.size)).shape
    if tuple(outputs) != (1, len(classes)):
        raise CardError(f"{path}: the network gives {tuple(outputs)[1:]} outputs for {len(classes)} labels")
    return classifier


def write(
    file: Path,
    network: nn.Module,
    *,
    name: str,
    architecture: str,
    options: Mapping[str, Any],
    classes: Sequence[str],
    input_fields: Mapping[str, Any],
    accuracy: Mapping[str, Any],
    training: Mapping[str, Any],
) -> None:
    """Writes a card, and beside it the network's weights and the names of its classes; the card last.

    Args:
        file: the card's, ending in ``.toml``.
        name: what reports call the classifier.
        options: the options that the architecture was built with.
        input_fields: the fields of ``[input]``.
        accuracy: the fields of ``[accuracy]``; top-1 and top-5 in percent.
        training: the fields of ``[training]``, for people.
    """
    of_network, labels = file.with_suffix(".safetensors"), file.with_suffix(".labels.txt")
    weights.write(of_network, weights.stored(network, weights.exact))
    write_atomically(labels, "".join(" ".join(name.split()) + "\n" for name in classes))
    top = {"name": name, "architecture": architecture, "weights": of_network.name, "labels": labels.name}
    tables = {"options": options, "input": input_fields, "accuracy": accuracy, "training": training}
    lines = [*_fields(top), *(line for name, table in tables.items() for line in ("", f"[{name}]", *_fields(table)))]
    write_atomically(file, "\n".join(lines) + "\n")


def _fields(table: Mapping[str, Any]) -> list[str]:
    """Lines of TOML; its strings, numbers, booleans and arrays are those of JSON."""
    return [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None]
