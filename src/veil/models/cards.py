"""Model cards: a TOML file that says what a classifier is, with its weights as safetensors or ONNX beside it.

.. code-block:: toml

    name = "mobilenetv2_100"
    architecture = "timm/mobilenetv2_100"   # or torchvision/<name>, or veil/ and a row of `ARCHITECTURES`, or onnx
    weights = "mobilenetv2_100.safetensors" # beside the card; safetensors, and an .onnx file where it is onnx
    labels = "imagenet_labels.txt"          # beside the card; one class a line
    family = "mobilenet"                    # optional; networks that see alike (`veil.models.families`)
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
    [training]                              # optional; anything, for people. Two fields are used: how its images
    cipher = "tanaka"                       # were encrypted,
    key = "0123456789abcdef"                # and the fingerprint of the key

A card may come from a stranger. It has no other fields than these. Paths may not leave its folder, not even through a
link. Weights are read as plain tensors, never unpickled, and must fit the architecture exactly, which is checked before
they or the network take memory. A constructor can do more than build a network: timm's opens files and fetches weights.
So only options that are known to be harmless are passed to it. A file of ONNX holds network and weights
(`veil.models.onnx`); it takes no options.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from veil.images.marks import Mark
from veil.models import footprint, weights, zoo
from veil.models.architectures import ARCHITECTURES, Architecture
from veil.models.classifier import Classifier, Preprocessing
from veil.models.families import family_of
from veil.models.options import MOST_CLASSES, ZOO, OptionRefused, check
from veil.runtime import foreign, names
from veil.runtime.files import printable, write_atomically
from veil.runtime.tables import UnknownName

ONNX = "onnx"
"""The architecture of cards whose network is an ONNX file."""
MOST_CARD_BYTES, MOST_LABEL_BYTES = 1 << 20, 1 << 24
_NEEDED = {"name", "architecture", "weights", "labels", "input"}
_TEXTS = {*_NEEDED, "family"} - {"input"}
_KNOWN = {
    "input": {"resize", "crop", "mean", "std"},
    "accuracy": {"top1", "top5", "on"},
    "noise": {"budget", "subject"},
}
_TABLES = {*_KNOWN, "options", "training"}


class CardError(ValueError):
    """A card, or what it points to, cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The checked content of a card. Paths are absolute; ``reads`` says how its training images were encrypted.

    ``family`` is as `Classifier` has it.
    """

    name: str
    architecture: str
    weights: Path
    labels: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    noise: Mapping[str, Any] = field(default_factory=dict)
    reads: Mark | None = None
    family: str | None = None


def _beside(card: Path, name: object, suffixes: tuple[str, ...]) -> Path:
    try:
        path = names.below(card.parent, names.checked(name, windows=True))
    except names.UnsafeName as error:
        raise CardError(f"{printable(card)}: {error}: it must lie beside the card") from None
    if path.name != name or not path.name.isprintable():
        raise CardError(f"{printable(card)}: {name!r:.80} is no name of a file beside the card")
    if path.suffix not in suffixes:
        raise CardError(f"{printable(card)}: {name!r} must be one of {', '.join(suffixes)}; nothing else is loaded")
    if not path.is_file():
        raise CardError(f"{printable(card)}: {name!r} is missing")
    return path


def _content(card: Path) -> dict[str, Any]:
    """The fields of a card, known ones alone, its tables tables and its words words."""
    try:
        content = foreign.read_toml(card, MOST_CARD_BYTES)
    except (OSError, ValueError) as error:
        raise CardError(f"not a readable model card: {error}") from None
    _require_known(card, content, _TEXTS | _TABLES, "a card")
    if missing := _NEEDED - set(content):
        raise CardError(f"{printable(card)}: the field {min(missing)!r} is missing")
    for name, value in content.items():
        if not isinstance(value, dict if name in _TABLES else str):
            raise CardError(f"{printable(card)}: {name} must be {f'a table, [{name}]' if name in _TABLES else 'text'}")
    if not content["name"].isprintable():
        raise CardError(f"{printable(card)}: the name holds characters that cannot be shown")
    family = content.get("family", "some")
    if not family.isprintable() or not 0 < len(family) <= 80:
        raise CardError(f"{printable(card)}: family must be a word")
    for table, known in _KNOWN.items():
        _require_known(card, content.get(table, {}), known, f"[{table}]")
    for name, value in content.get("accuracy", {}).items():
        if not (isinstance(value, str) if name == "on" else type(value) in (int, float) and 0 <= value <= 100):
            raise CardError(f"{printable(card)}: [accuracy] {name} must be {'text' if name == 'on' else 'in percent'}")
    return content


def _require_known(card: Path, fields: Mapping[str, Any], known: set[str], what: str) -> None:
    if unknown := set(fields) - known:
        raise CardError(f"{printable(card)}: unknown field {min(unknown)!r:.80}; {what} has {', '.join(sorted(known))}")


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def read(path: Path) -> Card:
    """Reads and checks a card.

    Raises:
        CardError: where it is not TOML, lacks a field, has an unknown one, or points to what is not there.
    """
    content = _content(path)
    try:
        preprocessing = Preprocessing(**{"resize": None} | {k: _pair(v) for k, v in content["input"].items()})
    except (TypeError, ValueError) as error:
        raise CardError(f"{printable(path)}: [input]: {error}") from None
    return Card(
        name=content["name"],
        architecture=content["architecture"],
        weights=_beside(path, content["weights"], _suffixes(content["architecture"])),
        labels=_beside(path, content["labels"], (".txt",)),
        options=content.get("options", {}),
        preprocessing=preprocessing,
        accuracy=content.get("accuracy", {}),
        noise=_noise(path, content.get("noise", {})),
        reads=_reads(content.get("training", {})),
        family=content.get("family") or _family(content),
    )


def _family(content: Mapping[str, Any]) -> str | None:
    """By the architecture; that of an ONNX file has no name, so that its card's name has to do."""
    return family_of(content["name"] if content["architecture"] == ONNX else content["architecture"])


def _suffixes(architecture: str) -> tuple[str, ...]:
    return (".onnx",) if architecture == ONNX else (".safetensors",)


def _noise(card: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``[noise]``, as `Classifier` takes them."""
    budget, subject = fields.get("budget"), fields.get("subject", "photos")
    if budget is not None and not (type(budget) in (int, float) and 1 <= budget <= 255):
        raise CardError(f"{card}: [noise] budget must be from 1 to 255 grey levels")
    if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= 80:
        raise CardError(f"{card}: [noise] subject must be a few words")
    return {"budget": budget, "subject": subject}


def _reads(training: Mapping[str, Any]) -> Mark | None:
    """How the training images were encrypted, by ``cipher`` and ``key`` of a card's ``[training]``."""
    cipher, key = (
        value if isinstance(value := training.get(name), str) and value.isprintable() and len(value) <= 80 else None
        for name in ("cipher", "key")
    )
    return None if cipher is None else Mark(cipher, key)


def classes_of(card: Card) -> list[str]:
    """The names of a card's classes, in the order of the logits.

    Raises:
        CardError: where the file is not text, or has too many lines, or names that cannot be shown.
    """
    try:
        text = foreign.text_of(card.labels, MOST_LABEL_BYTES)
    except (OSError, ValueError) as error:
        raise CardError(f"labels of {card.name}: {error}") from None
    classes = [line.strip() for line in text.splitlines() if line.strip()]
    if len(classes) > MOST_CLASSES:
        raise CardError(f"{printable(card.labels)} names more than {MOST_CLASSES:,} classes")
    if hidden := next((name for name in classes if names.CONTROL.search(name)), None):
        raise CardError(f"{printable(card.labels)} has a class whose name holds control characters: {hidden!r:.80}")
    return classes


def build_network(architecture: str, options: Mapping[str, Any], row: Architecture | None = None) -> nn.Module:
    """An untrained network of ``veil/…``, ``timm/…`` or ``torchvision/…``.

    Args:
        row: the row of ``veil/…``, if no package registers it.

    Raises:
        CardError: if the architecture does not exist or does not take these options, or a card may not set them.
        zoo.ZooMissing: where it needs the extra ``zoo``.
    """
    with _refusing(architecture, options):
        return _built(architecture, options, row)


def _built(architecture: str, options: Mapping[str, Any], row: Architecture | None) -> nn.Module:
    library, _, name = architecture.partition("/")
    if library == "veil":
        return (row if row is not None and row.name == name else ARCHITECTURES[name]).build(options)
    if architecture == ONNX:
        raise CardError("an ONNX file holds its network, which cannot be built without it")
    if library not in zoo.LIBRARIES:
        raise CardError(f"there is no architecture {architecture!r:.80}; write veil/…, timm/…, torchvision/… or onnx")
    if name not in zoo.names(library):
        raise CardError(f"there is no architecture {architecture!r:.80}")
    check(options, ZOO[library])
    return zoo.build(library, name, options)


@contextmanager
def _refusing(architecture: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Every reason why a network cannot be built as a `CardError`."""
    try:
        yield
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
        zoo.ZooMissing, OnnxMissing: where the architecture needs the extra ``zoo``, or ``onnx``.
    """
    card = read(path)
    classes = classes_of(card)
    network = _onnx_network(path, card) if card.architecture == ONNX else _network(card, architecture)
    classifier = Classifier(
        card.name, network, card.preprocessing, classes, reads=card.reads, family=card.family, **card.noise
    )
    _check_answers(path, classifier)
    return classifier


def _network(card: Card, architecture: Architecture | None) -> nn.Module:
    _check_size(card, architecture)
    network = build_network(card.architecture, card.options, architecture)
    with weights.reading(card.weights, f"weights of {card.architecture}", CardError):
        weights.load_into(network, card.weights)
    return network


def _onnx_network(path: Path, card: Card) -> nn.Module:
    from veil.models.onnx.network import load as load_onnx

    if card.options:
        raise CardError(f"{printable(path)}: an ONNX network takes no [options]")
    with weights.reading(card.weights, "an ONNX classifier", CardError):
        return load_onnx(card.weights, (card.preprocessing.channels, *card.preprocessing.size))


def _check_size(card: Card, architecture: Architecture | None) -> None:
    """Refuses weights that do not fit the network, and a network that is too large, before there is one."""
    with _refusing(card.architecture, card.options):
        outline = footprint.outline(partial(_built, card.architecture, card.options, architecture))
    if outline is None:
        return
    with (
        weights.reading(card.weights, f"weights of {card.architecture}", CardError),
        weights.opened(card.weights) as content,
    ):
        weights.require_fit(content, outline.state_dict())
    with _refusing(card.architecture, card.options):
        footprint.require_small(outline, (card.preprocessing.channels, *card.preprocessing.size))


def _check_answers(path: Path, classifier: Classifier) -> None:
    """Refuses a network that gives another number of outputs than there are labels, or outputs that are not finite."""
    preprocessing = classifier.preprocessing
    values = preprocessing.channels * preprocessing.size[0] * preprocessing.size[1]
    photo = torch.linspace(0, 1, values).view(1, preprocessing.channels, *preprocessing.size)
    with torch.inference_mode():
        outputs = classifier(photo)
    if tuple(outputs.shape) != (1, len(classifier.classes)):
        raise CardError(
            f"{printable(path)}: the network gives {tuple(outputs.shape)[1:]} outputs for "
            f"{len(classifier.classes)} labels"
        )
    if not bool(torch.isfinite(outputs).all()):
        raise CardError(f"{printable(path)}: the network gives outputs that are not finite")


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
    shown = (names.CONTROL.sub("_", " ".join(name.split())) for name in classes)
    write_atomically(labels, "".join(f"{name}\n" for name in shown))
    top = {"name": printable(name), "architecture": architecture, "weights": of_network.name, "labels": labels.name}
    tables = {"options": options, "input": input_fields, "accuracy": accuracy, "training": training}
    lines = [*_fields(top), *(line for name, table in tables.items() for line in ("", f"[{name}]", *_fields(table)))]
    write_atomically(file, "\n".join(lines) + "\n")


def _fields(table: Mapping[str, Any]) -> list[str]:
    """Lines of TOML; its strings, numbers, booleans and arrays are those of JSON."""
    return [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None]
