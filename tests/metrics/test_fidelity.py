"""Fidelity metrics against scikit-image, torchmetrics and hand-worked images, and where they give out."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from skimage.filters import gaussian
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from veil.metrics import Noise, fidelity, lpips, ms_ssim, noise, psnr, ssim

METRICS = [noise, psnr, ssim, ms_ssim, lpips]
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# torchmetrics cannot be imported where torchvision's compiled part does not fit torch. A process of its own
# may be given the two missing operators, without giving them to everything else that runs in this one.
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
save_file({k: reference(*v.float()[:, None], data_range=255.0) for k, v in pairs.items()}, sys.argv[2])
"""


def photo(*shape: int, seed: int = 0) -> Tensor:
    """An image with structure at several scales: smooth random fields on top of each other, uint8."""
    generator = torch.Generator().manual_seed(seed)
    *batch, channels, height, width = shape
    field = torch.zeros(math.prod(batch), channels, height, width)
    for cells in (2, 5, 20, 80):
        coarse = torch.randn(*field.shape[:2], cells, cells, generator=generator)
        field += torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return (128 + 35 * field).round().clamp(0, 255).to(torch.uint8).reshape(shape)


def noisy(image: Tensor, level: float, seed: int = 1) -> Tensor:
    """The image with Gaussian noise of standard deviation ``level``, as 8 bits."""
    change = level * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + change).round().clamp(0, 255).to(torch.uint8)


def reference_ssim(original: Tensor, released: Tensor) -> float:
    x, y = original.numpy(), released.numpy()
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(x, y, data_range=255, channel_axis=0, **window))  # type: ignore[no-untyped-call]


def reference_ms_ssim(original: Tensor, released: Tensor, scales: int) -> float:
    """MS-SSIM in float64 straight from Wang et al.'s equations, with scikit-image's Gaussian filter."""
    x, y = original.double().numpy(), released.double().numpy()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def blurred(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        planes = [gaussian(plane, sigma=1.5, truncate=3.5) for plane in image]  # type: ignore[no-untyped-call]
        return np.stack(planes)[:, 5:-5, 5:-5]

    def halved(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        channels, height, width = image.shape
        even = image[:, : height // 2 * 2, : width // 2 * 2]
        return np.asarray(even.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4)))

    product = 1.0
    for scale in range(scales):
        mean_x, mean_y = blurred(x), blurred(y)
        variances = blurred(x * x) - mean_x**2 + blurred(y * y) - mean_y**2
        term = (2 * (blurred(x * y) - mean_x * mean_y) + c2) / (variances + c2)
        if scale == scales - 1:
            term = term * (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        product *= max(float(term.mean()), 1e-4) ** (WEIGHTS[scale] / sum(WEIGHTS[:scales]))
        x, y = halved(x), halved(y)
    return product


def test_noise_of_a_change_worked_by_hand() -> None:
    original = torch.tensor([[[10, 20], [30, 255]]], dtype=torch.uint8)
    released = torch.tensor([[[13, 16], [30, 243]]], dtype=torch.uint8)
    assert noise(original, released) == Noise(linf=12, l2=13, mean_abs=19 / 4, mean_signed=-13 / 4)
    assert noise(original, released).unit == Noise(
        linf=12 / 255, l2=13 / 255, mean_abs=19 / 4 / 255, mean_signed=-13 / 4 / 255
    )


def test_noise_does_not_wrap_around() -> None:
    black, white = torch.zeros(3, 4, 5, dtype=torch.uint8), torch.full((3, 4, 5), 255, dtype=torch.uint8)
    assert noise(black, white) == Noise(linf=255, l2=255 * math.sqrt(60), mean_abs=255, mean_signed=255)
    assert noise(white, black).mean_signed == -255


def test_noise_of_a_batch_is_the_mean_of_its_images_and_the_largest_linf() -> None:
    original = photo(3, 3, 20, 30)
    released = torch.stack([noisy(original[0], 1), noisy(original[1], 5), original[2]])
    single = [noise(x, y) for x, y in zip(original, released, strict=True)]
    batch = noise(original, released)
    assert batch.linf == max(one.linf for one in single)
    for name in ("l2", "mean_abs", "mean_signed"):
        assert getattr(batch, name) == pytest.approx(np.mean([getattr(one, name) for one in single]))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 28, 28), (3, 10, 10), (2, 3, 40, 31)])
def test_psnr_matches_scikit_image(shape: tuple[int, ...]) -> None:
    original = photo(*shape)
    released = original ^ 3
    x, y = original.numpy(), released.numpy()
    expected = peak_signal_noise_ratio(x, y, data_range=255)  # type: ignore[no-untyped-call]
    assert psnr(original, released) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_one_grey_level_and_of_black_for_white() -> None:
    black = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert psnr(black, black + 1) == pytest.approx(20 * math.log10(255))  # 48.13 dB
    assert psnr(black, black + 255) == 0


def test_psnr_of_a_batch_pools_the_error() -> None:
    original = photo(2, 3, 16, 16)
    released = torch.stack([noisy(original[0], 4), original[1]])
    assert psnr(original, released) == pytest.approx(psnr(original[0], released[0]) + 10 * math.log10(2))


@pytest.mark.parametrize("shape", [(1, 11, 11), (3, 11, 64), (1, 28, 28), (3, 176, 176), (3, 299, 180)])
@pytest.mark.parametrize("level", [1, 8, 60])
def test_ssim_matches_scikit_image(shape: tuple[int, ...], level: float) -> None:
    original = photo(*shape)
    released = noisy(original, level)
    assert ssim(original, released) == pytest.approx(reference_ssim(original, released), abs=2e-6)


def test_ssim_matches_scikit_image_where_float32_is_weakest() -> None:
    nearly_white = 255 - (photo(3, 64, 64) % 2)  # variances of 0.25 beside squares of 65,025
    released = noisy(nearly_white, 0.7)
    assert ssim(nearly_white, released) == pytest.approx(reference_ssim(nearly_white, released), abs=2e-5)
    black, white = torch.zeros(1, 16, 16, dtype=torch.uint8), torch.full((1, 16, 16), 255, dtype=torch.uint8)
    assert ssim(black, white) == pytest.approx(reference_ssim(black, white), abs=1e-6)  # 0.0001, luminance alone


@pytest.mark.parametrize(
    ("shape", "scales"),
    [
        ((1, 11, 11), 1),
        ((3, 21, 40), 1),
        ((3, 22, 22), 2),
        ((1, 28, 28), 2),
        ((3, 87, 44), 3),
        ((3, 175, 88), 4),
        ((3, 176, 176), 5),
        ((3, 299, 180), 5),
    ],
)
def test_ms_ssim_uses_the_scales_that_fit(shape: tuple[int, ...], scales: int) -> None:
    original = photo(*shape)
    for level in (2, 20):
        released = noisy(original, level)
        expected = reference_ms_ssim(original, released, scales)
        assert ms_ssim(original, released) == pytest.approx(expected, abs=2e-6)


def test_ms_ssim_is_torchmetrics_up_to_its_treatment_of_the_coarsest_border(tmp_path: Path) -> None:
    sizes = [(3, 176, 176), (3, 299, 180), (1, 320, 400)]
    cases = [(photo(*size), level) for size in sizes for level in (3, 25)]
    pairs = {str(i): torch.stack([image, noisy(image, level)]) for i, (image, level) in enumerate(cases)}
    save_file(pairs, tmp_path / "pairs")
    command = [sys.executable, "-c", TORCHMETRICS, str(tmp_path / "pairs"), str(tmp_path / "expected")]
    subprocess.run(command, check=True, timeout=300)
    expected = load_file(tmp_path / "expected")
    for key, (original, released) in pairs.items():
        assert ms_ssim(original, released) == pytest.approx(float(expected[key]), abs=1e-3)


def test_one_scale_of_ms_ssim_is_ssim() -> None:
    original = photo(3, 20, 17)
    released = noisy(original, 10)
    assert ms_ssim(original, released) == pytest.approx(ssim(original, released), abs=1e-7)


@pytest.mark.parametrize("metric", [ssim, ms_ssim])
@pytest.mark.parametrize("side", [(1, 1), (10, 10), (10, 300), (300, 10)])
def test_similarities_are_none_where_the_window_does_not_fit(
    metric: Callable[[Tensor, Tensor], float | None], side: tuple[int, int]
) -> None:
    image = photo(3, *side)
    assert metric(image, image) is None
    assert noise(image, image).linf == 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 11, 11), (3, 176, 200), (4, 3, 30, 30)])
def test_identical_images(shape: tuple[int, ...]) -> None:
    image = photo(*shape)
    assert noise(image, image) == Noise(linf=0, l2=0, mean_abs=0, mean_signed=0)
    assert psnr(image, image) == math.inf
    assert ssim(image, image) == ms_ssim(image, image) == (None if shape[-1] < 11 else 1)


@pytest.mark.parametrize("size", [(176, 176), (64, 64), (11, 11)])
def test_the_photo_negative_is_unlike_and_not_nan(size: tuple[int, int]) -> None:
    image = photo(3, *size)
    similarity = ssim(image, 255 - image)
    assert similarity is not None
    assert -1 <= similarity < 0
    smallest = ms_ssim(image, 255 - image)
    assert smallest is not None
    assert 1e-4 * (1 - 1e-6) <= smallest < 0.01


@pytest.mark.parametrize("metric", [psnr, ssim, ms_ssim])
def test_original_and_released_may_change_places(metric: Callable[[Tensor, Tensor], float | None]) -> None:
    original = photo(3, 50, 47)
    released = noisy(original, 12)
    assert metric(original, released) == metric(released, original)


@pytest.mark.parametrize("metric", [ssim, ms_ssim])
@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (2, 3, 100, 45)])
def test_a_batch_is_the_mean_of_its_images(metric: Callable[[Tensor, Tensor], float], shape: tuple[int, ...]) -> None:
    original = photo(*shape)
    released = noisy(original, 6)
    single = [metric(x, y) for x, y in zip(original, released, strict=True)]
    assert metric(original, released) == pytest.approx(np.mean(single), abs=1e-7)


@pytest.mark.parametrize("metric", [psnr, ssim, ms_ssim])
def test_more_noise_is_less_alike(metric: Callable[[Tensor, Tensor], float]) -> None:
    original = photo(3, 64, 64)
    values = [metric(original, noisy(original, level)) for level in (1, 3, 9, 27)]
    assert values == sorted(values, reverse=True)


def test_reading_in_small_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    original = photo(2, 3, 90, 101)
    released = noisy(original, 6)
    whole = [ssim(original, released), ms_ssim(original, released), psnr(original, released)]
    noise_of_whole = noise(original, released)
    for piece in (1, 1000, 90 * 101, 2 * 90 * 101 + 1):
        monkeypatch.setattr(fidelity, "PIECE", piece)
        pieces = [ssim(original, released), ms_ssim(original, released), psnr(original, released)]
        assert pieces == pytest.approx(whole, abs=1e-6)
        assert noise(original, released) == noise_of_whole


def test_inputs_are_left_as_they_are() -> None:
    original = photo(3, 30, 30)
    released = noisy(original, 6)
    copies = original.clone(), released.clone()
    for metric in (noise, psnr, ssim, ms_ssim):
        metric(original.transpose(1, 2), released.transpose(1, 2))  # not contiguous either
    assert torch.equal(original, copies[0])
    assert torch.equal(released, copies[1])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
def test_ranges_hold_for_unrelated_images(seed: int, height: int, width: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pair = torch.randint(0, 256, (2, channels, height, width), generator=generator, dtype=torch.uint8)
    sizes = noise(*pair)
    assert abs(sizes.mean_signed) <= sizes.mean_abs <= sizes.linf <= sizes.l2 * (1 + 1e-12)
    assert psnr(*pair) >= 0
    similarity, multi_scale = ssim(*pair), ms_ssim(*pair)
    assert (similarity is None) == (multi_scale is None) == (min(height, width) < 11)
    if similarity is not None and multi_scale is not None:
        assert -1 <= similarity <= 1
        assert 0 < multi_scale <= 1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("original", "released", "message"),
    [
        (torch.zeros(3, 32, 32), torch.zeros(3, 32, 32), "uint8"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), torch.zeros(3, 32, 32), "released must be uint8"),
        (*torch.zeros(2, 3, 32, 32, dtype=torch.int64), "uint8"),
        (*torch.zeros(2, 32, 32, dtype=torch.uint8), "shape"),
        (*torch.zeros(2, 4, 32, 32, dtype=torch.uint8), "shape"),
        (*torch.zeros(2, 32, 32, 3, dtype=torch.uint8), "shape"),
        (*torch.zeros(2, 1, 1, 3, 32, 32, dtype=torch.uint8), "shape"),
        (*torch.zeros(2, 0, 3, 32, 32, dtype=torch.uint8), "shape"),
        (*torch.zeros(2, 3, 32, 0, dtype=torch.uint8), "shape"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), torch.zeros(3, 32, 33, dtype=torch.uint8), "differ"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), torch.zeros(1, 32, 32, dtype=torch.uint8), "differ"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "differ"),
    ],
)
def test_wrong_images_are_refused(
    metric: Callable[[Tensor, Tensor], object], original: Tensor, released: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric(original, released)


def test_lpips_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    image = photo(3, 32, 32)
    with pytest.raises((ImportError, RuntimeError), match="LPIPS needs"):
        lpips(image, image)
    with pytest.raises(ValueError, match="sides of at least 31"):
        lpips(image[:, :30], image[:, :30])


@pytest.fixture
def seen_by_torchmetrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Stand-ins for torchvision and torchmetrics; what the latter compares is kept, its answer is 0.25."""
    seen = []

    def distance(x: Tensor, y: Tensor, net_type: str, normalize: bool) -> Tensor:
        assert net_type == "alex"
        assert normalize
        seen.append((x, y))
        return torch.tensor(0.25)

    weights = SimpleNamespace(DEFAULT=SimpleNamespace(url="https://example.org/alexnet.pth"))
    module = SimpleNamespace(learned_perceptual_image_patch_similarity=distance)
    for name in ("torchvision", "torchmetrics", "torchmetrics.functional", "torchmetrics.functional.image"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, "torchvision.models", SimpleNamespace(AlexNet_Weights=weights))
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image.lpips", module)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    return seen


def test_lpips_never_downloads(seen_by_torchmetrics: list[tuple[Tensor, Tensor]], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"LPIPS needs AlexNet's weights: save https://.* as .*alexnet\.pth"):
        lpips(photo(3, 32, 32), photo(3, 32, 32))
    assert not seen_by_torchmetrics
    assert not list(tmp_path.iterdir())


def test_lpips_hands_over_three_channels_in_the_unit_range(
    seen_by_torchmetrics: list[tuple[Tensor, Tensor]], tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save({"weight": torch.zeros(1)}, tmp_path / "checkpoints" / "alexnet.pth")
    original, released = photo(1, 32, 32), torch.full((1, 32, 32), 255, dtype=torch.uint8)
    assert lpips(original, released) == 0.25
    [(x, y)] = seen_by_torchmetrics
    assert x.shape == y.shape == (1, 3, 32, 32)
    torch.testing.assert_close(x[0, 2], original[0] / 255)
    assert y.min() == y.max() == 1


class RunsCode:
    """What a hostile weights file does when it is unpickled without restraint."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return print, ("executed",)


def test_lpips_refuses_weights_that_run_code(
    seen_by_torchmetrics: list[tuple[Tensor, Tensor]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save({"weight": RunsCode()}, tmp_path / "checkpoints" / "alexnet.pth")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        lpips(photo(3, 32, 32), photo(3, 32, 32))
    assert not seen_by_torchmetrics
    assert "executed" not in capsys.readouterr().out
