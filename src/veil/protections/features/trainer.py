"""A client and its service from a set of faces: who is trained on what, and how well the service reads in the end.

`train_pair` trains and returns both halves. `judge` measures the service on the test images once, from features as they
are sent. An audit measures how much of the hidden attributes attackers read: see
`veil.protections.features.deep_obfuscator`. For the audit, cards keep which faces a client was trained with and how
well its training's own adversaries read in the end; `veil.protections.features.card` reads both.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor

from veil.data import synthetic_faces
from veil.data.faces import FaceParts, Faces
from veil.metrics import attributes
from veil.protections.features import framing
from veil.protections.features.deep_obfuscator import train
from veil.protections.features.encoding import Encoding, Sent
from veil.protections.features.file import Client, Service, pair
from veil.protections.features.monitoring import by_attribute
from veil.protections.features.settings import ObfuscatorSettings
from veil.protections.features.training_data import TrainedNetworks, TrainingFaces
from veil.runtime.seeds import seed_of
from veil.training import loop
from veil.training.run import Run

DRAWN = 600
"""Faces that are drawn where a person has none."""
LOGGED = 1000
"""Validation images that networks are asked about after each epoch."""
_RANGED = 256
"""Training images that the range of 8 bits is measured on."""
_PART = 500


@dataclass(frozen=True, eq=False)
class TrainedPair:
    """Both halves of an obfuscator, and the training that they came from."""

    client: Client
    service: Service
    trained: TrainedNetworks


def train_pair(
    parts: FaceParts,
    target: Sequence[str],
    hides: Sequence[str],
    settings: ObfuscatorSettings,
    run: Run,
    *,
    name: str,
    sent: Sent | None = None,
) -> TrainedPair:
    """Trains an obfuscator on the training part of ``parts``, and measures its service on the test part.

    Args:
        target: names of the attributes that the service asks for.
        hides: names of the attributes that are to stay hidden; none where only images are.
        name: of both halves.
        sent: type of what is sent; None chooses, see `Encoding.of`.

    Raises:
        ValueError: for attributes that are not known, on both sides, twice, or the same in all training images; and as
            `deep_obfuscator.train` does.
        TrainingError: as `deep_obfuscator.train` does.
    """
    check(parts.train, target, hides)
    faces, size = training_faces(parts.train, target, hides), (parts.train.images.shape[2], parts.train.images.shape[3])
    order = torch.randperm(len(parts.validation), generator=Generator().manual_seed(seed_of("watched", run.seed)))
    validation = training_faces(parts.validation.take(order[:LOGGED].sort().values), target, hides)
    about = {"data": parts.fingerprint, "target": list(target), "hides": list(hides)}
    trained = train(faces, settings, run.at(about=about), validation=validation)
    read = by_attribute(trained.networks, validation, run.runner.device)
    obfuscator = trained.networks.obfuscator.cpu()
    with torch.no_grad():
        ranged = obfuscator(faces.images[:_RANGED].float() / 255)
    training = {
        "data": parts.name, "fingerprint": parts.fingerprint, "split": parts.split, "split_seed": parts.seed,
        **({} if parts.most is None else {"faces_at_most": parts.most}), **framing.described(parts.name, parts.aspect),
        "images": len(faces), "seed": run.seed, "precision": loop.precision_of(run.runner),
        "settings": asdict(settings),
        "adversary": {
            "on": f"{len(validation):,} validation images",
            "balanced_accuracy": {name: round(share, 4) for name, share in zip(hides, read, strict=bool(read))},
        },
    }  # fmt: skip
    client, service = pair(
        obfuscator, trained.networks.classifier.cpu(), size=size, name=name, encoding=Encoding.of(sent, ranged),
        target=tuple(target), hides=tuple(hides), training=training,
    )  # fmt: skip
    measured = judge(client, service, parts.test) | {"on": f"{parts.name}, {len(parts.test):,} test images"}
    return TrainedPair(replace(client, measured=measured), replace(service, measured=measured), trained)


def drawn_faces(side: int, seed: int) -> FaceParts:
    """Drawn faces, to try things without a data set; training and audit draw the same ones."""
    return replace(synthetic_faces.faces(DRAWN, seed, side), seed=seed, aspect=1.0)


def check(faces: Faces, target: Sequence[str], hides: Sequence[str]) -> None:
    """Refuses attributes that nothing can be trained with.

    Raises:
        ValueError: says why.
    """
    if not target:
        raise ValueError("the service must ask for at least one attribute")
    both = sorted(set(target) & set(hides))
    if both:
        raise ValueError(f"what the service is to know cannot be hidden from it: {', '.join(both)}")
    names = [*target, *hides]
    if len(set(names)) < len(names):
        raise ValueError(f"named twice: {next(name for name in names if names.count(name) > 1)}")
    for name, column in zip(names, faces.labels(names).T, strict=True):
        if bool((column == column[0]).all()):
            raise ValueError(f"{name} is {'true' if column[0] else 'false'} of all {len(column):,} training images")


def judge(client: Client, service: Service, faces: Faces) -> dict[str, Any]:
    """How well a service tells its attributes of faces from what its client sends, by attribute.

    A result is a `metrics.attributes.AttributeResult` as a dict, rounded; None where all faces have one value.
    """
    logits = torch.cat([service.logits(client(part)) for part in torch.split(faces.images, _PART)])
    labels = faces.labels(client.target)
    return {
        name: _measured(scores, truths, faces.identities)
        for name, scores, truths in zip(client.target, logits.T, labels.T, strict=True)
    }  # fmt: skip


def _measured(scores: Tensor, truths: Tensor, people: Tensor | None) -> dict[str, Any] | None:
    if bool((truths == truths[0]).all()):
        return None
    return {
        key: _rounded(value)
        for key, value in asdict(attributes.measure(scores, truths, 0.0, people=people)).items() if value is not None
    }  # fmt: skip


def _rounded(value: float | tuple[float, float]) -> float | list[float]:
    return [round(bound, 4) for bound in value] if isinstance(value, tuple) else round(value, 4)


def training_faces(faces: Faces, target: Sequence[str], hides: Sequence[str]) -> TrainingFaces:
    """Faces with what the service asks about them and what it is not to know."""
    return TrainingFaces(faces.images, faces.labels(target), faces.labels(hides))
