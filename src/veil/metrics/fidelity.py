"""How similar a photo still looks after protection: noise, PSNR, SSIM, MS-SSIM and LPIPS.

Every function compares the *decoded files*, uint8 tensors of shape (C, H, W) or (N, C, H, W), C = 1 or 3, the original
first and the released image second.

Sources: SSIM, Wang et al. 2004 (Image quality assessment: from error visibility to structural similarity);
MS-SSIM, Wang et al. 2003 (Multiscale structural similarity for image quality assessment); LPIPS, Zhang et al.
2018.

SSIM and MS-SSIM filter with the separable 11×11 Gaussian as a sum of shifted copies, on a CPU much faster
than a dense convolution. Only places where the whole window lies inside the image count, as in the original
and in scikit-image; torchmetrics counts the mirrored border too. With the sum s = x + y and the difference
d = x − y of the two images, both exact integers, SSIM needs four filtered maps instead of five,

    2 μx μy = (μs² − μd²) / 2,    μx² + μy² = (μs² + μd²) / 2,
    2 σxy = (σs² − σd²) / 2,      σx² + σy² = (σs² + σd²) / 2,

does not lose a small difference in the rounding of float32, and is exactly 1 for d = 0. Images are read in
pieces of bounded size, one channel of a large photo at a time: 12 megapixels take some 250 MB beyond the two
images themselves.

All functions raise ``ValueError`` for anything but two uint8 images or batches of one and the same shape.
"""

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

GREY_LEVELS = 255.0
WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * GREY_LEVELS) ** 2
C2 = (0.03 * GREY_LEVELS) ** 2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST_TERM = 1e-4
PIECE = 1 << 18  # values of one map that are worked on at a time: what a core's cache holds
LPIPS_SMALLEST_SIDE = 31


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What a release added to an original, in grey levels (0 to 255).

    Of a batch, ``linf`` is the largest over its images and the others are means over its images.

    Attributes:
        linf: largest absolute change of a value.
        l2: Euclidean norm of the change over all pixels and channels of an image; grows with its size.
        mean_abs: mean of the absolute change over all values.
        mean_signed: mean of the change released − original. Not a size: +3 and −3 cancel out. The "average
            noise" of Liu et al. 2019 looks like this one.
    """

    linf: float
    l2: float
    mean_abs: float
    mean_signed: float

    @property
    def unit(self) -> "Noise":
        """The same noise of images in [0, 1]: every value divided by 255."""
        linf, l2, mean_abs, mean_signed = (value / GREY_LEVELS for value in astuple(self))
        return Noise(linf=linf, l2=l2, mean_abs=mean_abs, mean_signed=mean_signed)


def noise(original: Tensor, released: Tensor) -> Noise:
    """Sizes of the change from ``original`` to ``released`` in grey levels, from exact integer sums.

    Args:
        original: uint8, (C, H, W) or (N, C, H, W).
        released: the same shape.
    """
    original, released = _batches(original, released)
    squares, largest, absolute, signed = [], 0, 0, 0
    for x, y in _pieces(original, released):
        change = y.to(torch.int16) - x
        squares.append(_squares(change))
        signed += int(change.sum())
        change = change.abs_()
        largest = max(largest, int(change.max()))
        absolute += int(change.sum())
    squared_norms = torch.cat(squares).cpu().reshape(original.shape[:2]).sum(dim=1)
    return Noise(
        linf=float(largest),
        l2=float(squared_norms.double().sqrt().mean()),
        mean_abs=absolute / original.numel(),
        mean_signed=signed / original.numel(),
    )


def psnr(original: Tensor, released: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(255² / mean squared error); identical images have infinity.

    Of a batch, the squared error is pooled over its images first, so that one untouched image does not make
    the whole batch infinite.

    Args:
        original: uint8, (C, H, W) or (N, C, H, W).
        released: the same shape.
    """
    original, released = _batches(original, released)
    squared = sum(int(_squares(y.to(torch.int16) - x).sum()) for x, y in _pieces(original, released))
    return 10 * math.log10(GREY_LEVELS**2 * original.numel() / squared) if squared else math.inf


def ssim(original: Tensor, released: Tensor) -> float | None:
    """Structural similarity, in [−1, 1], 1 for identical images (Wang et al. 2004).

    Gaussian window 11×11 with σ = 1.5, K1 = 0.01, K2 = 0.03, population covariance, range 255; the mean over
    the places where the window fits, the channels and the images. The same number as scikit-image's
    ``structural_similarity`` with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=255``.

    Args:
        original: uint8, (C, H, W) or (N, C, H, W).
        released: the same shape.

    Returns:
        The similarity; None where a side is below 11, so that the window does not fit.
    """
    original, released = _batches(original, released)
    if min(original.shape[-2:]) < WINDOW:
        return None
    similarities = [_similarity_and_contrast(*_sum_and_difference(x, y))[0] for x, y in _pieces(original, released)]
    return float(torch.cat(similarities).mean())


def ms_ssim(original: Tensor, released: Tensor) -> float | None:
    """Multi-scale structural similarity, in [0.0001, 1], 1 for identical images (Wang et al. 2003).

    The product over M scales of the contrast-structure term to the power of its weight; at the coarsest scale
    the whole SSIM takes the term's place. Each scale halves the one before by means of 2×2 (an odd last row
    or column is left out). Terms are means over places and channels; those below 0.0001, as a photo negative
    has them, are raised to it before the power. Window and constants as in `ssim`.

    The number of scales is the largest M ≤ 5 for which both sides, halved M − 1 times, still hold the window
    of 11: sides from 176 have five scales, from 88 four, from 44 three, from 22 two, from 11 one. Fewer than
    five use the first M weights divided by their sum. Values from different numbers of scales are not
    comparable.

    Args:
        original: uint8, (C, H, W) or (N, C, H, W).
        released: the same shape.

    Returns:
        The similarity, of a batch the mean over its images; None where not even one scale fits.
    """
    original, released = _batches(original, released)
    scales = scale_count(min(original.shape[-2:]))
    if scales == 0:
        return None
    terms = torch.cat([_scale_terms(x, y, scales) for x, y in _pieces(original, released)], dim=1)
    terms = terms.reshape(scales, *original.shape[:2]).mean(dim=2).clamp_min(SMALLEST_TERM)
    weights = torch.tensor(SCALE_WEIGHTS[:scales], dtype=terms.dtype)
    return float((terms ** (weights / weights.sum()).unsqueeze(1)).prod(dim=0).mean())


def scale_count(side: int) -> int:
    """How many scales of MS-SSIM fit into a shorter side of so many pixels, 0 to 5."""
    return sum(side >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))


def lpips(original: Tensor, released: Tensor) -> float:
    """Learned perceptual distance on AlexNet's features, 0 for identical images (Zhang et al. 2018).

    Computed by torchmetrics with torchvision's AlexNet weights, which are never downloaded here. Grey images
    count as three equal channels; of a batch, the mean over its images. The network is read anew at every
    call.

    Args:
        original: uint8, (C, H, W) or (N, C, H, W), sides at least 31.
        released: the same shape.

    Raises:
        ImportError: where torchvision is missing, or does not load beside the installed torch.
        RuntimeError: where AlexNet's weights are not in torch.hub's folder.
        ValueError: also where a side is below 31.
    """
    original, released = _batches(original, released)
    if min(original.shape[-2:]) < LPIPS_SMALLEST_SIDE:
        raise ValueError(f"LPIPS needs sides of at least {LPIPS_SMALLEST_SIDE}, got {tuple(original.shape[-2:])}")
    try:
        from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity
        from torchvision.models import AlexNet_Weights
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision was compiled for another torch
        raise ImportError(f"LPIPS needs a torchvision that loads beside torch {torch.__version__}: {error}") from error
    url = AlexNet_Weights.DEFAULT.url
    weights = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not weights.exists():
        raise RuntimeError(f"LPIPS needs AlexNet's weights: save {url} as {weights}")
    # torchvision would unpickle the file without restraint; this reading refuses one that holds code.
    torch.load(weights, map_location="cpu", weights_only=True)
    x, y = (batch.expand(-1, 3, -1, -1).float() / GREY_LEVELS for batch in (original, released))
    with torch.no_grad():
        return float(learned_perceptual_image_patch_similarity(x, y, net_type="alex", normalize=True))


def _batches(original: Tensor, released: Tensor) -> tuple[Tensor, Tensor]:
    """Both as (N, C, H, W), or ``ValueError``."""
    for name, image in (("original", original), ("released", released)):
        if image.dtype != torch.uint8:
            raise ValueError(f"{name} must be uint8, as decoded from a file, got {image.dtype}")
        if image.ndim not in (3, 4) or image.shape[-3] not in (1, 3) or image.numel() == 0:
            raise ValueError(f"{name} must have shape (C, H, W) or (N, C, H, W), C 1 or 3, got {tuple(image.shape)}")
    if original.shape != released.shape:
        raise ValueError(f"shapes differ: original {tuple(original.shape)}, released {tuple(released.shape)}")
    shape = original.shape[-3:]
    return original.reshape(-1, *shape), released.reshape(-1, *shape)


def _pieces(original: Tensor, released: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Channels of both, (P, H, W), as many at a time as `PIECE` allows; one at least. Order as in (N, C)."""
    planes = max(1, PIECE // (original.shape[-2] * original.shape[-1]))
    x, y = original.flatten(0, 1), released.flatten(0, 1)
    yield from zip(torch.split(x, planes), torch.split(y, planes), strict=True)


def _squares(change: Tensor) -> Tensor:
    """Sum of squares of every channel: int16 (P, H, W) to int64 (P,), exact."""
    return change.to(torch.int32).square_().sum(dim=(1, 2))


def _sum_and_difference(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """x + y − 255 and x − y of uint8 in float32, exact; centred, because small squares round less."""
    x, y = x.float(), y.float()
    return (x + y).sub_(GREY_LEVELS), x - y


def _similarity_and_contrast(s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean contrast-structure term per channel: (P, H, W) to (P,) each, float64 on the CPU."""
    planes, height, width = s.shape
    rows = max(1, PIECE // (planes * width))
    places = (height - WINDOW + 1) * (width - WINDOW + 1)
    similarity, contrast = torch.zeros(2, planes, dtype=torch.float64)
    for top in range(0, height - WINDOW + 1, rows):
        band = slice(top, top + rows + WINDOW - 1)
        for total, term in zip((similarity, contrast), _ssim_maps(s[:, band], d[:, band]), strict=True):
            total += term.sum(dim=(1, 2)).cpu()
    return similarity / places, contrast / places


def _ssim_maps(s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure term at every place where the window fits: (P, H − 10, W − 10) each."""
    mean_s, mean_d, square_s, square_d = _gaussian(torch.stack((s, d, s * s, d * d)))
    variance_s = (square_s - mean_s**2).clamp_min_(0)  # rounding may leave −1e-3
    variance_d = (square_d - mean_d**2).clamp_min_(0)
    mean_s = mean_s + GREY_LEVELS
    contrast = (variance_s - variance_d + 2 * C2) / (variance_s + variance_d + 2 * C2)
    luminance = (mean_s**2 - mean_d**2 + 2 * C1) / (mean_s**2 + mean_d**2 + 2 * C1)
    return luminance * contrast, contrast


def _gaussian(x: Tensor) -> Tensor:
    """Filters with the Gaussian window where it fits: (..., H, W) to (..., H − 10, W − 10)."""
    weights = [math.exp(-(((i - WINDOW // 2) / SIGMA) ** 2) / 2) for i in range(WINDOW)]
    total = sum(weights)
    for dim in (-1, -2):
        length = x.shape[dim] - WINDOW + 1
        filtered = x.narrow(dim, 0, length) * (weights[0] / total)
        for offset in range(1, WINDOW):
            filtered.add_(x.narrow(dim, offset, length), alpha=weights[offset] / total)
        x = filtered
    return x


def _scale_terms(x: Tensor, y: Tensor, scales: int) -> Tensor:
    """Terms of MS-SSIM before clamp and weight: uint8 (P, H, W) to (scales, P), the coarsest scale last."""
    s, d = _sum_and_difference(x, y)
    terms = []
    for scale in range(scales):
        if scale > 0:
            s, d = F.avg_pool2d(s, 2), F.avg_pool2d(d, 2)
        similarity, contrast = _similarity_and_contrast(s, d)
        terms.append(similarity if scale == scales - 1 else contrast)
    return torch.stack(terms)
