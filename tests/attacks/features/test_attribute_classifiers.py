"""Attribute attackers: they find what is there by hidden rules, nothing where nothing is, and resume exactly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from veil import training
from veil.attacks.errors import AttackFailed
from veil.attacks.features import AttributeAttacker, TrainedAttack, attackers_of, closed_forms
from veil.attacks.features.attackers import KnownAttributes
from veil.attacks.features.attribute_classifiers import AttributeSettings, balanced, mean_auroc
from veil.metrics.attributes import auroc, balanced_accuracy, best_threshold
from veil.training.run import Run

Pair = tuple[Tensor, Tensor]
ATTRIBUTE_ATTACKERS = attackers_of(AttributeAttacker)
CURVED = [name for name in ATTRIBUTE_ATTACKERS if name != "linear"]
BRIEF: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 64,
    "width": 1 / 8,
    "dropout": 0.0,
    "learning_rate": 1e-2,
    "head": "pool",
}


def ring(count: int, seed: int) -> Pair:
    """Two values, one of them small and far from zero; the attribute is a distance of more than the median from the
    middle, and a second one is on the other side of it."""
    values = torch.randn(count, 2, generator=Generator().manual_seed(seed))
    far = values.norm(dim=1) > 1.17741
    return (values * torch.tensor([0.01, 1.0]) + torch.tensor([5.0, 0.0]))[:, :, None, None], torch.stack(
        [far, ~far], 1
    )


def exclusive_or(count: int, seed: int) -> Pair:
    """Maps whose first two channels have a sign each; the attribute is that these differ."""
    generator = Generator().manual_seed(seed)
    signs = torch.randint(2, (count, 2), generator=generator).float() * 2 - 1
    maps = torch.randn(count, 4, 8, 8, generator=generator)
    maps[:, :2] += 2 * signs[:, :, None, None]
    return maps.half(), (signs[:, :1] != signs[:, 1:])


def nothing(count: int, seed: int) -> Pair:
    generator = Generator().manual_seed(seed)
    return torch.randn(count, 3, 1, 1, generator=generator), torch.rand(count, 1, generator=generator) < 0.3


def brief(name: str, **changes: Any) -> Any:
    settings = ATTRIBUTE_ATTACKERS[name].settings
    if not isinstance(settings, AttributeSettings):
        return replace(settings, centres=100, bandwidths=(0.3,), ridges=(1e-4,))
    return replace(settings, **(BRIEF | changes))


def train(own: Pair, others: Pair, name: str, settings: Any, folder: Path, **other: Any) -> TrainedAttack:
    run = Run(folder=folder, seed=0, runner=training.fabric("cpu", "32-true"), **({"logged": lambda row: None} | other))
    return ATTRIBUTE_ATTACKERS[name].train(KnownAttributes(*own), KnownAttributes(*others), settings, run)


def judged(name: str, make: Any, folder: Path, count: int = 1000) -> tuple[float, tuple[float, float], Tensor]:
    """Balanced accuracy at the attacker's threshold, AUROC with that of validation, and scores."""
    own, others, test = make(count, 1), make(400, 2), make(1000, 3)
    attack = train(own, others, name, brief(name), folder)
    scores, kept = attack(test[0]), attack(others[0])
    assert scores.shape == test[1].shape
    assert scores.dtype == torch.float32
    share = balanced_accuracy(scores[:, 0], test[1][:, 0], best_threshold(kept[:, 0], others[1][:, 0]))
    return share, (auroc(scores[:, 0], test[1][:, 0]), mean_auroc(kept, others[1])), scores


@pytest.mark.parametrize("name", CURVED)
def test_a_ring_is_found(name: str, tmp_path: Path) -> None:
    share, _, scores = judged(name, ring, tmp_path)
    assert share > 0.95
    assert float(torch.corrcoef(scores.double().T)[0, 1]) < -0.5  # each attribute has its own answer


@pytest.mark.parametrize("name", ["mlp", "vgg", "resnet"])
def test_maps_are_read(name: str, tmp_path: Path) -> None:
    share, *_ = judged(name, exclusive_or, tmp_path, 400)
    assert share > 0.95


@pytest.mark.parametrize("make", [ring, exclusive_or])
def test_a_line_cannot_follow(make: Any, tmp_path: Path) -> None:
    _, (area, _), _ = judged("linear", make, tmp_path)
    assert abs(area - 0.5) < 0.08


def test_a_line_finds_a_line(tmp_path: Path) -> None:
    def half(count: int, seed: int) -> Pair:
        values, _ = ring(count, seed)
        return values, values[:, :1, 0, 0] > 5

    assert judged("linear", half, tmp_path)[0] > 0.95


@pytest.mark.parametrize("name", ATTRIBUTE_ATTACKERS)
def test_where_nothing_is_nothing_is_found(name: str, tmp_path: Path) -> None:
    _, (area, _), _ = judged(name, nothing, tmp_path)
    assert abs(area - 0.5) < 4 * 0.02  # four deviations of the area, for 300 and 700 images


class Stopped(Exception):
    pass


def test_a_stopped_training_keeps_the_same_epoch(tmp_path: Path) -> None:
    own, others = ring(200, 1), ring(100, 2)
    settings = brief("mlp", dropout=0.3)
    whole = train(own, others, "mlp", settings, tmp_path / "a")

    def stop(row: Any) -> None:
        if row["epoch"] == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train(own, others, "mlp", settings, tmp_path / "b", logged=stop)
    again = train(own, others, "mlp", settings, tmp_path / "b")
    assert again(others[0]).equal(whole(others[0]))
    assert again.best_epoch == whole.best_epoch
    scores = [row["validation"] for row in whole.log]
    assert scores[whole.best_epoch] == max(scores)
    assert mean_auroc(whole(others[0]), others[1]) == pytest.approx(max(scores))
    loaded = train(own, others, "mlp", settings, tmp_path / "b")
    assert loaded(others[0]).equal(whole(others[0]))


def test_a_training_ends_when_nothing_gets_better(tmp_path: Path) -> None:
    own, others = nothing(100, 1), nothing(100, 2)
    settings = brief("linear", epochs=50, patience=1)
    first, again = (train(own, others, "linear", settings, tmp_path) for _ in range(2))
    assert len(first.log) < 50
    assert len(first.log) == first.best_epoch + 2
    assert again.log == first.log
    assert again(others[0]).equal(first(others[0]))


def test_features_of_others_are_not_resumed(tmp_path: Path) -> None:
    own, settings = ring(50, 1), brief("linear", epochs=1)
    train(own, own, "linear", settings, tmp_path, about={"of": "a"})
    with pytest.raises(ValueError, match="other settings"):
        train(own, own, "linear", settings, tmp_path, about={"of": "b"})


def test_what_is_refused(tmp_path: Path) -> None:
    own, maps = ring(40, 1), exclusive_or(40, 1)
    with pytest.raises(ValueError, match="ClosedFormSettings"):
        train(own, own, "kernel", brief("mlp"), tmp_path)
    with pytest.raises(ValueError, match="unlike"):
        train(own, maps, "mlp", brief("mlp"), tmp_path)
    with pytest.raises(ValueError, match="labels of validation"):
        train(own, (own[0], own[1][:, :1]), "mlp", brief("mlp"), tmp_path)
    with pytest.raises(ValueError, match="labels of 40"):
        train((own[0], own[1][:30]), own, "mlp", brief("mlp"), tmp_path)
    with pytest.raises(ValueError, match="labels of 40"):
        train((own[0], own[1].long()), own, "mlp", brief("mlp"), tmp_path)
    with pytest.raises(ValueError, match="features are floats"):
        train((own[0].long(), own[1]), own, "mlp", brief("mlp"), tmp_path)
    with pytest.raises(ValueError, match="two images"):
        train((own[0][:1], own[1][:1]), own, "mlp", brief("mlp"), tmp_path)


def test_both_classes_weigh_the_same() -> None:
    labels = torch.tensor([[True, True], [False, True], [False, True], [False, True]])
    weights = balanced(labels)
    assert weights[:, 0].tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])
    assert weights[:, 1].tolist() == [1, 1, 1, 1]


def test_neighbours_are_counted() -> None:
    known = torch.tensor([[0.0], [1.0], [10.0]]).double()
    asked = closed_forms.Neighbours(known, torch.tensor([[1.0], [-0.5], [-0.5]]).double(), 2)
    assert asked(torch.tensor([0.2, 9.0]).view(2, 1, 1, 1))[:, 0].tolist() == pytest.approx([0.25, -0.5])


def test_the_kernel_without_a_ridge_goes_through_what_it_knows() -> None:
    values = torch.linspace(-1, 1, 9).view(9, 1, 1, 1)
    labels = (torch.arange(9) % 2 == 0)[:, None]
    settings = closed_forms.ClosedFormSettings(bandwidths=(0.2,), ridges=(1e-9,))
    known = KnownAttributes(values, labels)
    kernel, score = closed_forms.best_of(closed_forms.kernels(known, settings), known)
    assert score == 1
    assert kernel(values)[:, 0].tolist() == pytest.approx((2 * labels[:, 0].float() - 1).tolist(), abs=0.05)


def test_attributes_that_all_have_say_nothing() -> None:
    scores = torch.tensor([[0.0, 3.0], [1.0, 2.0]])
    assert mean_auroc(scores, torch.tensor([[False, True], [True, True]])) == 1
    assert mean_auroc(scores, torch.ones(2, 2, dtype=torch.bool)) == 0.5


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    own = ring(64, 1)
    with pytest.raises(AttackFailed, match="diverged"):
        train(own, own, "linear", brief("linear", learning_rate=1e35, epochs=2), tmp_path)
