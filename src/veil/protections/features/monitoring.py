"""What the networks of a training say of images that they are not trained on.

In rows of the log: ``watched_classifier`` and ``watched_adversary`` are balanced accuracies, means over their
attributes; the strongest adversary counts, in `by_attribute` the strongest on each attribute. ``watched_reconstructor``
is the MS-SSIM of what AR draws. These are the adversaries of the training itself. What attackers read who are trained
later, an audit measures.
"""

from statistics import fmean

import torch
from torch import Tensor

from veil import images, metrics
from veil.metrics import attributes
from veil.protections.features.training_data import Networks, TrainingFaces

_PART = 250


@torch.inference_mode()
def scalars_of(
    networks: Networks, faces: TrainingFaces, device: torch.device, *, attackers: bool = True
) -> dict[str, float]:
    """Scalars for the log, in float32.

    Args:
        attackers: whether AC and AR have anything to say; not before they have learnt.
    """
    readers = [networks.classifier, *(networks.adversaries if attackers else ())]
    reconstructor = networks.reconstructor if attackers else None
    for network in (networks.obfuscator, *readers, *([reconstructor] if reconstructor else [])):
        network.eval()  # the next epoch trains it again
    logits: list[list[Tensor]] = [[] for _ in readers]
    drawn = []
    for part in torch.split(faces.images, _PART):
        features = networks.obfuscator(images.to_float(part.to(device)))
        for parts, reader in zip(logits, readers, strict=True):
            parts.append(reader(features).cpu())
        if reconstructor is not None:
            drawn.append(images.quantise(reconstructor(features).clamp(0, 1)).cpu())
    classifier, *adversaries = (torch.cat(parts) for parts in logits)
    row = {"watched_classifier": mean_balanced_accuracy(classifier, faces.target)}
    if adversaries:
        row["watched_adversary"] = max(mean_balanced_accuracy(scores, faces.private) for scores in adversaries)
    if drawn:
        row["watched_reconstructor"] = metrics.ms_ssim(faces.images, torch.cat(drawn)) or 0.0
    return row


@torch.inference_mode()
def by_attribute(networks: Networks, faces: TrainingFaces, device: torch.device) -> list[float]:
    """Balanced accuracies of the strongest adversary on each private attribute, as `scalars_of` counts; none without
    any adversary."""
    if not networks.adversaries:
        return []
    for network in (networks.obfuscator, *networks.adversaries):
        network.eval()
    logits: list[list[Tensor]] = [[] for _ in networks.adversaries]
    for part in torch.split(faces.images, _PART):
        features = networks.obfuscator(images.to_float(part.to(device)))
        for parts, adversary in zip(logits, networks.adversaries, strict=True):
            parts.append(adversary(features).cpu())
    adversaries = [torch.cat(parts) for parts in logits]
    columns = [slice(place, place + 1) for place in range(faces.private.shape[1])]
    return [
        max(mean_balanced_accuracy(scores[:, one], faces.private[:, one]) for scores in adversaries) for one in columns
    ]


def mean_balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Mean over attributes of the balanced accuracy, 0.5 is a guess; of logits and labels (N, A).

    An attribute that all images have, or none, counts with the accuracy.
    """
    return fmean(
        (attributes.accuracy if bool((truth == truth[0]).all()) else attributes.balanced_accuracy)(scores, truth, 0.0)
        for scores, truth in zip(logits.T, labels.T, strict=True)
    )
