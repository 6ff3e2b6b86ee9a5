"""What an attacker recovered from protected images, and what is visible without any attack.

An attack's number means nothing without its floor: `floors` returns pictures that need no attack, and `recovery`
measures them like reconstructions. No single metric is enough. SSIM and PSNR are low for a negative, which a person can
read and `visible` detects; a classifier may recognise what no person would; an image that comes back byte for byte is
proof.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from veil import images
from veil.metrics import fidelity
from veil.metrics.visibility import SMALLEST_SIDE, visible

_PART = 250


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What an attacker recovered, over all images, as numbers that JSON can hold.

    Attributes:
        ssim: `veil.metrics.ssim`, which is scikit-image's; None where a side is below 11.
        ms_ssim: `veil.metrics.ms_ssim`; None where a side is below 11.
        psnr: `veil.metrics.psnr` in dB; None if all images are identical, which makes it infinite.
        lpips: `veil.metrics.lpips`, a distance; None without its weights, or where a side is below 31.
        visible: mean of `veil.metrics.visibility`, 0 to 1; None where a side is below 9.
        exact: share of images that were recovered byte for byte, 0 to 1.
        accuracy: share of reconstructions that a classifier recognises correctly, 0 to 1; None without a classifier.
    """

    ssim: float | None
    ms_ssim: float | None
    psnr: float | None
    lpips: float | None
    visible: float | None
    exact: float
    accuracy: float | None


@torch.inference_mode()
def recovery(
    plain: Tensor,
    reconstructed: Tensor,
    labels: Tensor | None = None,
    classify: Callable[[Tensor], Tensor] | None = None,
) -> Recovery:
    """Measures reconstructions against the images that were protected.

    Args:
        plain: uint8 (N, 3, H, W).
        reconstructed: the same shape, in the same order.
        labels: integers (N,), the classes of ``plain``.
        classify: maps float [0, 1] images (n, 3, H, W) to logits (n, K), a batch at a time. It should be trained on
            plain images: the question is whether it recognises reconstructions as well.

    Raises:
        ValueError: where the images are not two such batches of one shape, or only one of ``labels`` and ``classify``
            is given, or there is not a label for each image.
    """
    images.require_batch(plain, "recovery takes")
    images.require_batch(reconstructed, "recovery takes")
    if plain.shape != reconstructed.shape:
        raise ValueError(f"reconstructions {tuple(reconstructed.shape)} of images {tuple(plain.shape)}: shapes differ")
    psnr = fidelity.psnr(plain, reconstructed)
    return Recovery(
        ssim=fidelity.ssim(plain, reconstructed),
        ms_ssim=fidelity.ms_ssim(plain, reconstructed),
        psnr=psnr if math.isfinite(psnr) else None,
        lpips=_lpips(plain, reconstructed),
        visible=_visible(plain, reconstructed),
        exact=int((plain == reconstructed).flatten(1).all(1).sum()) / len(plain),
        accuracy=_accuracy(reconstructed, labels, classify),
    )


def floors(plain: Tensor, protected: Tensor, public: Tensor) -> dict[str, Tensor]:
    """Pictures that need no attack, by name, each uint8 of the shape of ``plain``, for `recovery`.

    ``mean`` is the mean of public images, the same for all; ``unrelated`` is another one of the plain images and shows
    what a guess is worth. ``protected`` is the protected image itself, without padding, and shows what is visible
    before any attack.

    Args:
        plain: uint8 (N, 3, H, W), at least two.
        protected: uint8 (N, 3, h, w), of the same images in the same order, h ≥ H, w ≥ W.
        public: uint8 (M, 3, H, W), others.

    Raises:
        ValueError: for anything else.
    """
    for batch in (plain, protected, public):
        images.require_batch(batch, "floors take")
    height, width = plain.shape[2:]
    if len(plain) < 2:
        raise ValueError("a floor needs at least two images: one of them stands in for another")
    if len(protected) != len(plain) or protected.shape[2] < height or protected.shape[3] < width:
        raise ValueError(f"protected images {tuple(protected.shape)} are not those of plain ones {tuple(plain.shape)}")
    if public.shape[1:] != plain.shape[1:]:
        raise ValueError(f"public images {tuple(public.shape)} are not of the size of plain ones {tuple(plain.shape)}")
    return {
        "mean": mean_image(public).round().to(torch.uint8).expand(plain.shape),
        "unrelated": plain.roll(1, 0),
        "protected": protected[:, :, :height, :width],
    }


def mean_image(batch: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The mean of uint8 images (N, C, H, W), values 0 to 255: (C, H, W), on the CPU; summed exactly, part by part.

    Args:
        dtype: of the division and of the result.
    """
    total = torch.zeros(batch.shape[1:], dtype=torch.int64)
    for part in torch.split(batch, _PART):
        total += part.sum(0, dtype=torch.int64).cpu()
    return total.to(dtype) / len(batch)


def _lpips(plain: Tensor, reconstructed: Tensor) -> float | None:
    try:
        return fidelity.lpips(plain, reconstructed)
    except (ImportError, RuntimeError, ValueError):
        return None


def _visible(plain: Tensor, reconstructed: Tensor) -> float | None:
    if min(plain.shape[2:]) < SMALLEST_SIDE:
        return None
    shown = 0.0
    for one, other in zip(torch.split(plain, _PART), torch.split(reconstructed, _PART), strict=True):
        shown += float(visible(images.to_float(one), images.to_float(other)).sum())
    return shown / len(plain)


def _accuracy(
    reconstructed: Tensor, labels: Tensor | None, classify: Callable[[Tensor], Tensor] | None
) -> float | None:
    if (labels is None) != (classify is None):
        raise ValueError("labels and a classifier go together")
    if labels is None or classify is None:
        return None
    if labels.shape != reconstructed.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be integers ({len(reconstructed)},), not {labels.dtype} {tuple(labels.shape)}")
    hits = 0
    for part, truths in zip(torch.split(reconstructed, _PART), torch.split(labels, _PART), strict=True):
        hits += int(classify(images.to_float(part)).argmax(1).cpu().eq(truths.cpu()).sum())
    return hits / len(labels)
