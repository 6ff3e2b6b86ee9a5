"""The training loss against the reported metric and two libraries, and the way out of the photo negative."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from veil import images
from veil.metrics import fidelity
from veil.metrics.structural import ms_ssim

# As in test_fidelity: torchvision's missing operators are given to a process of its own.
TORCHMETRICS = """
import sys, torch
from safetensors.torch import load_file, save_file
try:
    import torchvision
except ImportError:
    pass
except RuntimeError:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as reference
pairs = load_file(sys.argv[1])
save_file({k: reference(*v, data_range=1.0, reduction="none") for k, v in pairs.items()}, sys.argv[2])
"""


def photos(*shape: int, seed: int = 0) -> Tensor:
    """Smooth random fields of several scales, rounded to 8 bits, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    field = torch.zeros(shape)
    for cells in (2, 5, 20, 80):
        coarse = torch.randn(*shape[:2], cells, cells, generator=generator)
        field += torch.nn.functional.interpolate(coarse, shape[-2:], mode="bilinear", align_corners=False)
    return images.to_float(images.quantise(0.5 + 0.14 * field))


def noisy(batch: Tensor, level: float, seed: int = 1) -> Tensor:
    change = level * torch.randn(batch.shape, generator=torch.Generator().manual_seed(seed))
    return images.to_float(images.quantise(batch + change))


@pytest.mark.parametrize("shape", [(11, 11), (21, 40), (64, 64), (109, 89), (218, 178), (176, 201)])
@pytest.mark.parametrize("level", [0.02, 0.2])
def test_it_is_the_reported_metric(shape: tuple[int, int], level: float) -> None:
    original = photos(3, 3, *shape)
    changed = noisy(original, level)
    found = ms_ssim(original, changed)
    assert (found.shape, found.dtype) == ((3,), torch.float32)
    for one, other, value in zip(original, changed, found, strict=True):
        expected = fidelity.ms_ssim(images.quantise(one), images.quantise(other))
        assert float(value) == pytest.approx(expected, abs=2e-5)


def test_pytorch_msssim_agrees() -> None:
    """On one channel: of several it takes the mean after the product, not before."""
    reference = pytest.importorskip("pytorch_msssim", exc_type=ImportError)
    original = photos(2, 1, 176, 176)
    for level in (0.02, 0.3):
        changed = noisy(original, level)
        expected = reference.ms_ssim(original, changed, data_range=1.0, size_average=False)
        torch.testing.assert_close(ms_ssim(original, changed), expected, atol=1e-4, rtol=0)


def test_torchmetrics_agrees(tmp_path: Path) -> None:
    """But for the mirrored border, which it counts."""
    original = photos(1, 3, 256, 256)
    pairs = {str(level): torch.stack((original, noisy(original, level))) for level in (0.02, 0.3)}
    save_file(pairs, tmp_path / "pairs")
    command = [sys.executable, "-c", TORCHMETRICS, str(tmp_path / "pairs"), str(tmp_path / "values")]
    subprocess.run(command, check=True)
    for name, expected in load_file(tmp_path / "values").items():
        torch.testing.assert_close(ms_ssim(*pairs[name]), expected, atol=2e-3, rtol=0)


def test_identical_images_are_exactly_one() -> None:
    batch = photos(2, 3, 50, 60)
    assert ms_ssim(batch, batch).tolist() == [1, 1]
    flat = torch.full((2, 3, 20, 20), 0.3)
    assert ms_ssim(flat, flat).tolist() == [1, 1]


def test_an_image_does_not_mind_the_others_of_its_batch() -> None:
    original = photos(4, 3, 48, 48)
    changed = noisy(original, 0.1)
    alone = torch.cat([ms_ssim(x[None], y[None]) for x, y in zip(original, changed, strict=True)])
    torch.testing.assert_close(ms_ssim(original, changed), alone, atol=1e-6, rtol=0)


def test_half_precision_and_autocast_change_nothing() -> None:
    original, changed = (batch.bfloat16() for batch in (photos(2, 3, 64, 64), noisy(photos(2, 3, 64, 64), 0.1)))
    expected = ms_ssim(original.float(), changed.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for pair in ((original, changed), (original.double(), changed.double()), (original.float(), changed.float())):
            found = ms_ssim(*pair)
            assert found.dtype == torch.float32
            assert torch.equal(found, expected)


@pytest.mark.parametrize("other", ["noisy", "negative", "unrelated"])
def test_the_gradient_is_that_of_finite_differences(other: str) -> None:
    original = photos(1, 3, 44, 44)
    changed = {"noisy": noisy(original, 0.1), "negative": 1 - original, "unrelated": photos(1, 3, 44, 44, seed=9)}[
        other
    ]
    changed.requires_grad_()
    (gradient,) = torch.autograd.grad(ms_ssim(original, changed).sum(), changed)
    assert gradient.isfinite().all()
    direction = gradient / gradient.norm()
    with torch.no_grad():
        step = 0.05
        rise = (ms_ssim(original, changed + step * direction) - ms_ssim(original, changed - step * direction)).item()
    assert rise / (2 * step) == pytest.approx(float(gradient.norm()), rel=0.05)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_images_have_finite_gradients(value: float) -> None:
    flat = torch.full((2, 3, 32, 32), value, requires_grad=True)
    for other in (torch.zeros(2, 3, 32, 32), photos(2, 3, 32, 32)):
        similarity = ms_ssim(other, flat)
        assert ((similarity > 0) & (similarity <= 1)).all()
        (gradient,) = torch.autograd.grad(similarity.sum(), flat)
        assert gradient.isfinite().all()


def clamped(x: Tensor, y: Tensor) -> Tensor:
    """One scale with a plain clamp, as the common libraries have it, from SSIM's definition by box windows."""
    mean = lambda image: torch.nn.functional.avg_pool2d(image, 11, 1)  # noqa: E731
    covariance = mean(x * y) - mean(x) * mean(y)
    variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
    return ((2 * covariance + 9e-4) / (variances + 9e-4)).mean((1, 2, 3)).clamp_min(1e-4)


@pytest.mark.parametrize(("similarity", "reached"), [(ms_ssim, True), (clamped, False)])
def test_the_photo_negative_can_be_left(similarity: object, reached: bool) -> None:
    assert callable(similarity)
    original = photos(1, 3, 44, 44)
    start = 1 - original
    assert fidelity.ms_ssim(images.quantise(original)[0], images.quantise(start)[0]) == pytest.approx(1e-4)
    guess = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([guess], 0.05)
    for _ in range(80):
        optimizer.zero_grad()
        (1 - similarity(original, guess)).sum().backward()
        optimizer.step()
        with torch.no_grad():
            guess.clamp_(0, 1)
    end = fidelity.ms_ssim(images.quantise(original)[0], images.quantise(guess.detach())[0])
    assert end is not None
    assert end > 0.9 if reached else end == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(1, 3, 20, 20, dtype=torch.uint8), torch.zeros(1, 3, 20, 20), "x must hold floats"),
        (torch.zeros(3, 20, 20), torch.zeros(3, 20, 20), r"\(N, C, H, W\)"),
        (torch.zeros(1, 4, 20, 20), torch.zeros(1, 4, 20, 20), "C 1 or 3"),
        (torch.zeros(1, 3, 10, 20), torch.zeros(1, 3, 10, 20), "at least 11"),
        (torch.zeros(0, 3, 20, 20), torch.zeros(0, 3, 20, 20), "shape"),
        (torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 21), "shapes differ"),
    ],
)
def test_wrong_images_are_refused(x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ms_ssim(x, y)
