"""Supervised training of a small classifier on images in memory, common to both packaged recipes."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from veil.data.labelled_images import LabelledImages
from veil.models import weights
from veil.training.classification import Input
from veil.training.order import whole_batches


def shuffled(data: LabelledImages, batch_size: int, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of float [0, 1] images and labels in random order; the last, smaller one is dropped."""
    for index in whole_batches(len(data), batch_size, generator):
        yield data.images[index].float() / 255, data.labels[index]


@torch.inference_mode()
def calibrate(network: nn.Module, head: nn.Linear, data: LabelledImages, prepare: Input) -> float:
    """Scales the logits so that the cross-entropy on ``data`` is least, and folds the factor into ``head``.

    Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2). Label smoothing and mixed
    images make a network less confident than accurate; ICP and ICE are only meaningful for calibrated probabilities.

    Returns:
        The factor, between 0.5 and 3 in steps of 0.01. Predictions stay the same.
    """
    network.eval()
    parts = torch.split(data.images, 250)
    logits = torch.cat([network(prepare(part.to(head.weight.device), Generator())).cpu() for part in parts])
    factors = [step / 100 for step in range(50, 301)]
    best = min(factors, key=lambda factor: float(F.cross_entropy(factor * logits, data.labels)))
    head.weight.mul_(best)
    head.bias.mul_(best)
    return best


def save_float16(network: nn.Module, file: Path) -> None:
    """Writes the weights as float16 safetensors (integer buffers stay as they are)."""
    weights.write(file, weights.stored(network, weights.half))
