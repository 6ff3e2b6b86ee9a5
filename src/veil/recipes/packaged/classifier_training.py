"""Supervised training of a small classifier on images held in memory: what both packaged recipes share."""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from veil.data.class_folders import LabelledImages


def shuffled(data: LabelledImages, batch_size: int, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of float [0, 1] images and labels in random order; the last, smaller one is dropped."""
    order = torch.randperm(len(data), generator=generator)
    for start in range(0, len(order) - batch_size + 1, batch_size):
        index = order[start : start + batch_size]
        yield data.images[index].float() / 255, data.labels[index]


@torch.inference_mode()
def accuracy(
    network: nn.Module, data: LabelledImages, normalise: tuple[Tensor, Tensor], batch_size: int = 250
) -> dict[str, float]:
    """Top-1 and top-5 accuracy, in float32. ``normalise`` is mean and standard deviation, on the network's device."""
    network.eval()
    mean, std = normalise
    hits = torch.zeros(2)
    for start in range(0, len(data), batch_size):
        part = slice(start, start + batch_size)
        logits = network((data.images[part].to(mean.device).float() / 255 - mean) / std).cpu()
        best = logits.topk(min(5, logits.shape[1])).indices == data.labels[part, None]
        hits += torch.stack([best[:, 0].sum(), best.any(1).sum()])
    return {"top1": float(hits[0]) / len(data), "top5": float(hits[1]) / len(data)}


@torch.inference_mode()
def calibrate(network: nn.Module, head: nn.Linear, data: LabelledImages, normalise: tuple[Tensor, Tensor]) -> float:
    """Scales the logits so that the cross-entropy on ``data`` is least, and folds the factor into ``head``.

    Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2). Label smoothing and mixed
    images leave a network less sure than it is right; ICP and ICE are only meaningful of probabilities that are.

    Returns:
        The factor, between 0.5 and 3 in steps of 0.01. Predictions stay the same.
    """
    network.eval()
    mean, std = normalise
    parts = torch.split(data.images, 250)
    logits = torch.cat([network((part.to(mean.device).float() / 255 - mean) / std).cpu() for part in parts])
    factors = [step / 100 for step in range(50, 301)]
    best = min(factors, key=lambda factor: float(F.cross_entropy(factor * logits, data.labels)))
    head.weight.mul_(best)
    head.bias.mul_(best)
    return best


def one_cycle(progress: float, peak: float, warmup: float = 0.05) -> float:
    """Learning rate: linear from zero to ``peak`` over the first ``warmup`` of the run, then a half cosine to zero."""
    if progress < warmup:
        return peak * progress / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def save_float16(network: nn.Module, file: Path) -> None:
    """Writes the weights as float16 safetensors (integer buffers stay as they are)."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, file)
