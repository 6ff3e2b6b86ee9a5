"""What the networks of a training say of images that they are not trained on.

``classifier`` and ``adversary`` are balanced accuracies, means over their attributes; the strongest adversary counts,
in `by_attribute` the strongest on each.
``reconstructor`` is the MS-SSIM of what AR draws. These are the adversaries of the training itself: what one who comes
later learns is for an audit to say.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Protocol

import torch
from torch import Tensor, nn

from veil import images, metrics
from veil.metrics import attributes

_PART = 250


class Watched(Protocol):
    """The four networks, as `veil.protections.features.deep_obfuscator.Networks` has them."""

    @property
    def obfuscator(self) -> nn.Module: ...
    @property
    def classifier(self) -> nn.Module: ...
    @property
    def adversaries(self) -> Sequence[nn.Module]: ...
    @property
    def reconstructor(self) -> nn.Module | None: ...


@torch.inference_mode()
def watch(
    networks: Watched, plain: Tensor, target: Tensor, private: Tensor, device: torch.device, *, attackers: bool = True
) -> dict[str, float]:
    """Scalars for the log, in float32.

    Args:
        plain: uint8 (N, 3, H, W).
        target, private: bool (N, T) and (N, P).
        attackers: whether AC and AR have anything to say; not before they have learnt.
    """
    readers = [networks.classifier, *(networks.adversaries if attackers else ())]
    reconstructor = networks.reconstructor if attackers else None
    for each in (networks.obfuscator, *readers, *([reconstructor] if reconstructor else [])):
        each.eval()  # the next epoch trains them again
    logits: list[list[Tensor]] = [[] for _ in readers]
    drawn = []
    for part in torch.split(plain, _PART):
        features = networks.obfuscator(images.to_float(part.to(device)))
        for found, reader in zip(logits, readers, strict=True):
            found.append(reader(features).cpu())
        if reconstructor is not None:
            drawn.append(images.quantise(reconstructor(features).clamp(0, 1)).cpu())
    scores = [torch.cat(each) for each in logits]
    row = {"watched_classifier": mean_balanced_accuracy(scores[0], target)}
    if scores[1:]:
        row["watched_adversary"] = max(mean_balanced_accuracy(each, private) for each in scores[1:])
    if drawn:
        row["watched_reconstructor"] = metrics.ms_ssim(plain, torch.cat(drawn)) or 0.0
    return row


@torch.inference_mode()
def by_attribute(networks: Watched, plain: Tensor, private: Tensor, device: torch.device) -> list[float]:
    """Balanced accuracies of the strongest adversary on each private attribute, as `watch` counts; none without any.

    Args:
        plain: uint8 (N, 3, H, W).
        private: bool (N, P).
    """
    if not networks.adversaries:
        return []
    for each in (networks.obfuscator, *networks.adversaries):
        each.eval()
    logits: list[list[Tensor]] = [[] for _ in networks.adversaries]
    for part in torch.split(plain, _PART):
        features = networks.obfuscator(images.to_float(part.to(device)))
        for found, adversary in zip(logits, networks.adversaries, strict=True):
            found.append(adversary(features).cpu())
    scores = [torch.cat(each) for each in logits]
    columns = [slice(place, place + 1) for place in range(private.shape[1])]
    return [max(mean_balanced_accuracy(each[:, one], private[:, one]) for each in scores) for one in columns]


def mean_balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Mean over attributes of the balanced accuracy, 0.5 is a guess; of logits and labels (N, A).

    An attribute that all images have, or none, counts with the accuracy.
    """
    return fmean(
        (attributes.accuracy if bool((truth == truth[0]).all()) else attributes.balanced_accuracy)(scores, truth, 0.0)
        for scores, truth in zip(logits.T, labels.T, strict=True)
    )
