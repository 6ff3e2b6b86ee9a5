"""Universal noise, judged against the closed form on linear classifiers."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from networks import convolutional, linear, photos
from safetensors.torch import load_file, save
from torch import Generator

from veil.metrics.privacy import ice, icp
from veil.models.weights import HEADER
from veil.protections.noise import entropy, universal
from veil.protections.noise.engine import Engine
from veil.protections.noise.entropy import EntropySettings
from veil.protections.noise.universal import NoNoise, UniversalNoise, UniversalSettings

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


def test_an_ensemble_of_one_network_twice_is_that_network() -> None:
    classifier, losses = linear(weights(), 8), {"1": universal.towards(1), "unsure": universal.unsure(1)}
    twice = universal.fit(
        [classifier, classifier], images(), labels(), losses, SETTINGS, generator=Generator().manual_seed(2)
    )
    for name, noise in fit(losses).items():
        assert torch.equal(twice[name], noise)


def test_an_ensemble_follows_the_mean_of_its_networks() -> None:
    """Of two classes: limit · sign of the sum of w₁ − w₀, weighed by how wrong each network still is; in the first
    step, on images that both find alike, these weights are equal."""
    one, other = torch.randn(2, 2, 64, generator=Generator().manual_seed(5))
    centred = [weight - weight.mean(1, keepdim=True) for weight in (one, other)]
    grey = torch.full((4, 1, 8, 8), 128, dtype=torch.uint8)
    found = universal.fit(
        [linear(weight, 8) for weight in centred], grey, torch.zeros(4, dtype=torch.long), {"1": universal.towards(1)},
        UniversalSettings(limit=0.1, iterations=1, penalty=0), generator=Generator(),
    )["1"]  # fmt: skip
    direction = sum(weight[1] - weight[0] for weight in centred)
    assert torch.equal(found.sign(), direction.sign().view(1, 8, 8))


def test_networks_of_other_classes_have_labels_of_their_own() -> None:
    classifiers, loss = [linear(weights(), 8), linear(weights(5), 8)], {"u": universal.unsure(5)}
    both = torch.stack([labels(), labels() + 2])
    universal.fit(classifiers, images(), both, loss, SETTINGS, generator=Generator())
    with pytest.raises(ValueError, match="with a label each"):
        universal.fit(classifiers[:1], images(), both, loss, SETTINGS, generator=Generator())
    with pytest.raises(ValueError, match="at least one classifier"):
        universal.fit([], images(), labels(), loss, SETTINGS, generator=Generator())


def noise_of(*sizes: universal.Size, seed: int = 0) -> UniversalNoise:
    generator = Generator().manual_seed(seed)
    return UniversalNoise(
        noises={size: torch.rand(size, generator=generator) * 0.2 - 0.1 for size in sizes},
        models={"net “ä”": "0123456789abcdef"}, settings={"budget": 3.0, "seed": 0}, photos=dict.fromkeys(sizes, 7),
    )  # fmt: skip


def test_noise_is_kept_in_a_file(tmp_path: Path) -> None:
    noise = noise_of((3, 5, 8), (1, 5, 8), (3, 8, 5))
    noise.save(tmp_path / "noise.safetensors")
    again = UniversalNoise.load(tmp_path / "noise.safetensors")
    assert set(load_file(tmp_path / "noise.safetensors")) == {"3x5x8", "1x5x8", "3x8x5"}
    assert set(again.noises) == set(noise.noises)
    assert all(torch.equal(again.noises[size], noise.noises[size]) for size in noise.noises)
    assert (again.models, again.settings, again.photos) == (noise.models, noise.settings, noise.photos)
    assert again.fingerprint == noise.fingerprint
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "noise.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.safetensors", "noise.safetensors"]


def test_fingerprint_is_that_of_the_noises_alone() -> None:
    noise = noise_of((3, 5, 8))
    assert re.fullmatch(r"[0-9a-f]{16}", noise.fingerprint)
    assert UniversalNoise(noises=noise.noises).fingerprint == noise.fingerprint
    assert noise_of((3, 8, 5)).fingerprint != noise.fingerprint
    assert noise_of((3, 5, 8), seed=1).fingerprint != noise.fingerprint


ORIGIN = {"kind": universal.KIND, "models": {}, "settings": {}, "photos": {}}
CARD = {HEADER: json.dumps(ORIGIN)}
SMALL = torch.zeros(3, 4, 5)
REFUSED = {
    "empty": (b"", "not a safetensors file"),
    "a photo": (b"\x89PNG\r\n\x1a\n" + bytes(200), "not a safetensors file"),
    "weights": (save({"head.weight": SMALL}), "header does not say so"),
    "another kind": (save({"3x4x5": SMALL}, {HEADER: '{"kind": "x"}'}), "header does not say so"),
    "no JSON": (save({"3x4x5": SMALL}, {HEADER: "{"}), "header is damaged"),
    "a list": (save({"3x4x5": SMALL}, {HEADER: "[]"}), "header is damaged"),
    "deep": (save({"3x4x5": SMALL}, {HEADER: "[" * 100_000}), "header is damaged"),
    "no models": (save({"3x4x5": SMALL}, {HEADER: json.dumps(ORIGIN | {"models": 3})}), "header is damaged"),
    "no count": (
        save({"3x4x5": SMALL}, {HEADER: json.dumps(ORIGIN | {"photos": {"3x4x5": float("inf")}})}), "damaged"
    ),
    "nothing in it": (save({}, CARD), "there is no noise"),
    "a wrong name": (save({"noise": SMALL}, CARD), "'noise' is no size"),
    "two channels": (save({"2x4x5": torch.zeros(2, 4, 5)}, CARD), "'2x4x5' is no size"),
    "no pixels": (save({"3x0x5": torch.zeros(3, 0, 5)}, CARD), "'3x0x5' is no size"),
    "another shape": (save({"3x5x4": SMALL}, CARD), r"'3x5x4' is F32 of the shape \(3, 4, 5\)"),
    "another type": (save({"3x4x5": SMALL.half()}, CARD), "'3x4x5' is F16"),
    "NaN": (save({"3x4x5": SMALL.index_fill(2, torch.tensor([1]), math.nan)}, CARD), "3x4x5 holds values"),
    "infinite": (save({"3x4x5": SMALL + math.inf}, CARD), "3x4x5 holds values"),
    "too large": (save({"3x4x5": SMALL - 1.01}, CARD), "beyond ±1"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_other_files_are_refused_in_one_line(what: str, tmp_path: Path) -> None:
    content, message = REFUSED[what]
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        UniversalNoise.load(tmp_path / "file")
    assert str(tmp_path / "file") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_a_value_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ValueError, match="cannot be read"):
            UniversalNoise.load(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    noise_of((3, 2, 2)).save(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for end in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(ValueError, match="not a safetensors file"):
            UniversalNoise.load(tmp_path / "cut")


def test_a_plan_adds_the_noise_and_nothing_else() -> None:
    engine = Engine([convolutional(), convolutional(1, classes=4, name="other")], device="cpu")
    pictures = photos(5)
    noise = noise_of(*{tuple(picture.shape) for picture in pictures})
    plans = [(number, noise.plan(picture, [10, 4])) for number, picture in enumerate(pictures)]
    released = dict(engine.run(plans, entropy.divergence, EntropySettings()))
    assert engine.evaluations == 0
    for number, picture in enumerate(pictures):
        exact = (picture.double() + 255 * noise.noises[tuple(picture.shape)].double()).clamp(0, 255)
        assert float((released[number].pixels.double() - exact).abs().max()) <= 0.5 + 1e-4
        assert torch.equal(released[number].pixels, universal.add(picture, noise.noises[tuple(picture.shape)]))
        assert (released[number].iterations, released[number].reached) == (0, True)
        ((first, second),) = released[number].goals
        assert torch.equal(first, entropy.alike(10))
        assert torch.equal(second, entropy.alike(4))


def test_a_photo_of_another_size_is_refused_at_once() -> None:
    noise = noise_of((3, 5, 8), (1, 5, 8))
    with pytest.raises(NoNoise, match=r"3x8x5 \(channels, height, width\); there is for 1x5x8, 3x5x8$"):
        noise.plan(torch.zeros(3, 8, 5, dtype=torch.uint8), [10])
    many = noise_of(*((3, 5, width) for width in range(1, 16)))
    with pytest.raises(NoNoise, match=r"3x5x10 and 5 more$"):
        many.plan(torch.zeros(3, 8, 5, dtype=torch.uint8), [10])
