"""The table of attackers on features: every row, a stranger's too, keeps to what audits rest on."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from contracts import check_feature_attacker
from plugins import plug
from torch import Tensor

from veil import training
from veil.attacks.errors import AttackFailed
from veil.attacks.features import (
    FEATURE_ATTACKERS,
    AttributeAttacker,
    FeatureAttacker,
    ImageSearch,
    PersonFinder,
    Reconstructor,
    TrainedAttack,
    attackers_of,
)
from veil.attacks.features.attackers import KnownAttributes, KnownImages
from veil.training.run import Run


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """Of the attacker below."""


def nearest_mean(own: KnownAttributes, validation: KnownAttributes, settings: NoSettings, run: Run) -> TrainedAttack:
    """How far the features are from the mean of those without, rather than from that of those with the attribute."""
    values, labels = own.features.flatten(1).float(), own.labels.float()
    means = [part.T @ values / part.sum(0)[:, None] for part in (labels, 1 - labels)]

    def answer(features: Tensor) -> Tensor:
        yes, no = ((features.flatten(1).float()[:, None] - mean).square().sum(2) for mean in means)
        return no - yes

    return TrainedAttack(answer)


ROW = AttributeAttacker(
    name="nearest-mean", title="nearest class mean", knows="features with attributes", settings=NoSettings(),
    fit=nearest_mean,
)  # fmt: skip


@pytest.mark.parametrize("name", FEATURE_ATTACKERS)
def test_every_row_keeps_the_contract(name: str) -> None:
    check_feature_attacker(FEATURE_ATTACKERS[name])
    assert FEATURE_ATTACKERS[name].name == name


def test_a_strangers_row_keeps_the_contract() -> None:
    check_feature_attacker(ROW)


def test_a_strangers_row_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point, and by its path."""
    assert FEATURE_ATTACKERS.resolve(f"{__name__}:ROW") is ROW
    plug(monkeypatch, FEATURE_ATTACKERS, **{"nearest-mean": f"{__name__}:ROW"})
    assert FEATURE_ATTACKERS.names()[-1] == "nearest-mean"
    assert list(attackers_of(AttributeAttacker))[-1] == "nearest-mean"


def test_rows_are_told_apart_by_what_they_read() -> None:
    kinds: list[type[FeatureAttacker]] = [AttributeAttacker, Reconstructor, ImageSearch, PersonFinder]
    assert [len(attackers_of(kind)) for kind in kinds] == [6, 4, 1, 2]
    assert [name for name, row in FEATURE_ATTACKERS.items() if not row.retrained] == ["in-loop"]


def test_a_row_says_why_it_cannot_work(tmp_path: Path) -> None:
    maps = KnownAttributes(torch.randn(8, 3, 4, 5), torch.rand(8, 1) < 0.5)
    run = Run(folder=tmp_path, seed=0, runner=training.fabric("cpu", "32-true"))
    for name, title in (("neighbours", "nearest neighbours"), ("kernel", "kernel regression")):
        row = attackers_of(AttributeAttacker)[name]
        assert row.cannot((7, 1, 1)) is None
        with pytest.raises(AttackFailed, match=f"{title} reads vectors, not maps of 4×5"):
            row.train(maps, maps, row.settings, run)


def test_pairs_that_are_none_are_refused() -> None:
    features = torch.randn(4, 2, 3, 3)
    with pytest.raises(ValueError, match="labels of 4 images"):
        KnownAttributes(features, torch.zeros(3, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="4 features and 3 images are not pairs"):
        KnownImages(features, torch.zeros(3, 3, 12, 12, dtype=torch.uint8))
