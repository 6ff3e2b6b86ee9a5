"""Universal noise, judged against the closed form on linear classifiers."""

import pytest
import torch
from torch import Generator

from networks import linear
from veil.metrics.privacy import ice, icp
from veil.noise import universal
from veil.noise.universal import UniversalSettings

SETTINGS = UniversalSettings(limit=0.1, iterations=60, penalty=0)


def weights(classes: int = 3) -> torch.Tensor:
    return torch.randn(classes, 64, generator=Generator().manual_seed(0))


def images(count: int = 40) -> torch.Tensor:
    return torch.randint(60, 196, (count, 1, 8, 8), dtype=torch.uint8, generator=Generator().manual_seed(1))


def labels(count: int = 40) -> torch.Tensor:
    return torch.arange(count) % 3


def fit(losses: dict[str, universal.Loss], settings: UniversalSettings = SETTINGS) -> dict[str, torch.Tensor]:
    generator = Generator().manual_seed(2)
    return universal.fit(linear(weights(), 8), images(), labels(), losses, settings, generator=generator)


def test_two_classes_reach_the_best_noise_within_the_limit() -> None:
    """Towards class 1 of two it is limit · sign(w₁ − w₀), whatever the images."""
    weight = weights(2)
    found = universal.fit(
        linear(weight, 8), images(), labels() % 2, {"1": universal.towards(1)}, SETTINGS,
        generator=Generator().manual_seed(2),
    )["1"]  # fmt: skip
    best = SETTINGS.limit * (weight[1] - weight[0]).sign().view(1, 8, 8)
    assert torch.allclose(found, best, atol=0.01)


def test_noises_fitted_together_are_those_fitted_alone() -> None:
    losses = {str(target): universal.towards(target) for target in range(3)}
    together = fit(losses)
    for name, loss in losses.items():
        assert torch.allclose(together[name], fit({name: loss})[name], atol=1e-5)


def test_noise_misleads_to_its_target_within_the_limit() -> None:
    classifier, wide = linear(weights(), 8), UniversalSettings(limit=0.25, penalty=0)
    for target, noise in fit({str(target): universal.towards(target) for target in range(3)}, wide).items():
        assert float(noise.abs().max()) <= wide.limit
        released = universal.add(images(), noise)
        assert (released.int() - images().int()).abs().max() <= round(255 * wide.limit)
        chosen = classifier(released.float() / 255).argmax(1)
        assert float((chosen == int(target)).float().mean()) > 0.9


def test_unsure_raises_ice_and_its_weight_lowers_icp() -> None:
    classifier = linear(weights(), 8)
    truth = classifier(images().float() / 255).argmax(1)
    found = universal.fit(
        classifier, images(), truth, {str(w): universal.unsure(w) for w in (0, 4)}, SETTINGS,
        generator=Generator().manual_seed(2),
    )  # fmt: skip
    before = classifier(images().float() / 255)
    plain, hiding = (classifier(universal.add(images(), noise).float() / 255) for noise in found.values())
    assert ice(plain).mean() > ice(before).mean()
    assert icp(hiding, truth).mean() < icp(plain, truth).mean()


def test_penalty_makes_the_noise_smaller() -> None:
    loss = {"0": universal.towards(0)}
    strong = UniversalSettings(limit=0.1, iterations=60, penalty=50)
    assert float(fit(loss, strong)["0"].norm()) < float(fit(loss)["0"].norm())


def test_add_rounds_and_stays_in_range() -> None:
    image = torch.tensor([[[0, 100, 255]]], dtype=torch.uint8)
    assert universal.add(image, torch.tensor([[[-0.35, 0.35, 0.35]]])).tolist() == [[[0, 189, 255]]]


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": 1.5}, {"iterations": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"penalty": -1}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        UniversalSettings(**wrong)  # type: ignore[arg-type]


def test_images_and_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="with a label each"):
        universal.fit(
            linear(weights(), 8), images(), labels(5), {"0": universal.towards(0)}, SETTINGS, generator=Generator()
        )
