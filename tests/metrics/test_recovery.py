"""What came back, of images that came back whole, in part or not at all, and the floors beside it."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from veil.data import synthetic
from veil.metrics import Recovery, fidelity, floors, ms_ssim, visible
from veil.metrics.recovery import mean_image, recovery


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return synthetic.small_images(train=40, test=10, seed=0).train.images


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_images_that_came_back(photos: Tensor) -> None:
    found = recovery(photos, photos.clone())
    assert found.psnr is None
    assert found.ssim == pytest.approx(1)
    assert found.ms_ssim == pytest.approx(1)
    assert found.visible == pytest.approx(1, abs=1e-4)
    assert found.exact == 1
    assert found.accuracy is None


def test_values_are_those_of_the_metrics(photos: Tensor) -> None:
    other = photos.roll(1, 0)
    found = recovery(photos, other)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssims = [
        structural_similarity(x, y, data_range=255, channel_axis=0, **window)
        for x, y in zip(photos.numpy(), other.numpy(), strict=True)
    ]
    assert found.ssim == pytest.approx(np.mean(ssims), abs=1e-4)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(photos.numpy(), other.numpy(), data_range=255))
    assert found.ms_ssim == ms_ssim(photos, other)
    assert found.visible == pytest.approx(float(visible(photos / 255, other / 255).mean()), abs=1e-5)


def test_unrelated_images_are_far_from_those_that_came_back(photos: Tensor) -> None:
    found = recovery(photos, photos.roll(1, 0))
    assert found.ssim < 0.2
    assert found.visible < 0.15
    assert found.psnr < 15
    assert found.exact == 0


def test_a_negative_shows_all_and_is_like_nothing(photos: Tensor) -> None:
    found = recovery(photos, 255 - photos)
    assert found.ssim < 0.1
    assert found.ms_ssim < 0.1
    assert found.visible == pytest.approx(1, abs=2e-3)
    assert found.exact == 0


def test_exact_is_counted_by_images(photos: Tensor) -> None:
    changed = photos.clone()
    changed[:10, 1, 3, 5] ^= 1
    found = recovery(photos, changed)
    assert found.exact == 30 / 40
    assert found.psnr > 60


def test_the_classifier_is_asked_in_parts(photos: Tensor) -> None:
    many = photos.repeat(15, 1, 1, 1)
    labels = torch.arange(len(many)) % 3
    wrong = labels.clone()
    wrong[::4] = (wrong[::4] + 1) % 3
    asked: list[Tensor] = []

    def classify(part: Tensor) -> Tensor:
        assert part.dtype == torch.float32
        assert not torch.is_grad_enabled()
        done = sum(map(len, asked))
        asked.append(part)
        return torch.nn.functional.one_hot(wrong[done : done + len(part)], 3).float()

    found = recovery(many, 255 - many, labels, classify)
    assert found.accuracy == 450 / 600
    assert len(asked) > 1
    assert max(map(len, asked)) < len(many)
    assert torch.equal((torch.cat(asked) * 255).round().byte(), 255 - many)  # the reconstructions, in order


@pytest.mark.parametrize("side", [1, 7, 8, 9, 10, 11, 31])
def test_what_does_not_fit_is_none(side: int) -> None:
    plain, other = noise(3, 3, side, side), noise(3, 3, side, side, seed=1)
    found = recovery(plain, other)
    assert (found.visible is None) == (side < 9)
    assert (found.ssim is None) == (found.ms_ssim is None) == (side < 11)
    assert found.psnr > 0


@pytest.mark.parametrize("trouble", [ImportError, RuntimeError, ValueError])
def test_lpips_is_none_where_it_cannot_be_had(photos: Tensor, monkeypatch: pytest.MonkeyPatch, trouble: type) -> None:
    def lpips(original: Tensor, released: Tensor) -> float:
        raise trouble("no weights")

    monkeypatch.setattr(fidelity, "lpips", lpips)
    assert recovery(photos, photos).lpips is None
    monkeypatch.setattr(fidelity, "lpips", lambda original, released: 0.25)
    assert recovery(photos, photos).lpips == 0.25


@pytest.mark.parametrize("reconstructed", [0, 1], ids=["the same", "another one"])
def test_json_holds_it(photos: Tensor, reconstructed: int) -> None:
    labels = torch.zeros(len(photos), dtype=torch.int64)
    found = recovery(photos, photos.roll(reconstructed, 0), labels, lambda part: part.mean((2, 3)))
    assert Recovery(**json.loads(json.dumps(asdict(found), allow_nan=False))) == found
    assert all(value is None or type(value) is float for value in asdict(found).values())


def test_wrong_arguments_are_refused(photos: Tensor) -> None:
    labels = torch.zeros(len(photos), dtype=torch.int64)

    def classify(part: Tensor) -> Tensor:
        return part.mean((2, 3))

    with pytest.raises(ValueError, match="uint8"):
        recovery(photos, photos / 255)
    with pytest.raises(ValueError, match="shapes differ"):
        recovery(photos, photos[:-1])
    with pytest.raises(ValueError, match="shapes differ"):
        recovery(photos, photos[..., :-1])
    with pytest.raises(ValueError, match="go together"):
        recovery(photos, photos, labels)
    with pytest.raises(ValueError, match="go together"):
        recovery(photos, photos, classify=classify)
    for wrong in (labels[:-1], labels[:, None], labels.float(), labels.bool()):
        with pytest.raises(ValueError, match="labels must be integers"):
            recovery(photos, photos, wrong, classify)


def test_floors(photos: Tensor) -> None:
    plain, public = photos[:10], photos[10:]
    protected = noise(10, 3, 34, 36)
    found = floors(plain, protected, public)
    assert list(found) == ["mean", "unrelated", "protected"]
    for reconstruction in found.values():
        assert reconstruction.shape == plain.shape
        assert reconstruction.dtype == torch.uint8
        assert recovery(plain, reconstruction).exact == 0
    assert torch.equal(found["protected"], protected[:, :, :32, :32])
    assert bool(found["mean"].eq(found["mean"][0]).all())
    assert (found["mean"][0] - public.float().mean(0)).abs().max() <= 0.5
    assert not any(torch.equal(one, other) for one, other in zip(plain, found["unrelated"], strict=True))
    assert {each.numpy().tobytes() for each in plain} == {each.numpy().tobytes() for each in found["unrelated"]}


def test_floors_are_lower_than_what_came_back_in_part(photos: Tensor) -> None:
    plain, public = photos[:10], photos[10:]
    found = recovery(plain, plain // 4 * 3 + noise(*plain.shape) // 4)
    for name, floor in floors(plain, noise(*plain.shape, seed=1), public).items():
        measured = recovery(plain, floor)
        assert measured.visible < found.visible, name
        assert measured.ssim < found.ssim, name


def test_floors_refuse_what_does_not_belong_together(photos: Tensor) -> None:
    with pytest.raises(ValueError, match="at least two"):
        floors(photos[:1], photos[:1], photos)
    for protected in (photos[:3], photos[:2, :, :-1], photos[:2, :, :, :-1]):
        with pytest.raises(ValueError, match="not those of plain ones"):
            floors(photos[:2], protected, photos)
    with pytest.raises(ValueError, match="not of the size"):
        floors(photos[:2], photos[:2], photos[..., :-1])
    with pytest.raises(ValueError, match="floors take"):
        floors(photos[:2], photos[:2], photos / 255)


def test_the_mean_image_is_as_exact_as_its_type() -> None:
    """And bit by bit what three functions of commit 7c1583f gave: one that rounds, one for weights, one for targets."""
    images = noise(600, 3, 5, 4)
    torch.testing.assert_close(mean_image(images, torch.float64), images.double().mean(0))
    assert torch.equal(mean_image(images).round(), (images.sum(0, dtype=torch.int64) / len(images)).round())
    assert torch.equal(mean_image(images) / 255, images.double().sum(0).float() / len(images) / 255)
    target = (images.double().sum(0) / len(images) / 255).float()
    assert torch.equal((mean_image(images, torch.float64) / 255).float(), target)
