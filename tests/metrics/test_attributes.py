"""Attribute metrics against pairs counted one by one, exact binomials and simulated attackers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from veil.metrics import attributes
from veil.metrics.attributes import auroc, best_threshold, from_utility, majority, measure, wilson


def drawn(count: int, apart: float, seed: int, share: float = 0.5) -> tuple[Tensor, Tensor]:
    """Normal scores whose means differ by ``apart`` between the classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(count, generator=generator) < share
    return torch.randn(count, generator=generator, dtype=torch.float64) + apart * labels, labels


def counted(scores: Tensor, labels: Tensor) -> float:
    """AUROC by its definition, over all pairs."""
    yes, no = scores[labels][:, None], scores[~labels]
    return float(((yes > no).double() + (yes == no).double() / 2).mean())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auroc_counts_pairs_with_ties(rows: list[tuple[int, bool]]) -> None:
    scores, labels = torch.tensor([float(score) for score, _ in rows]), torch.tensor([label for _, label in rows])
    if labels.all() or not labels.any():
        with pytest.raises(ValueError, match="both classes"):
            auroc(scores, labels)
        return
    assert auroc(scores, labels) == pytest.approx(counted(scores, labels), abs=1e-12)
    assert auroc(-scores, labels) == pytest.approx(1 - counted(scores, labels), abs=1e-12)
    test = stats.mannwhitneyu(scores[labels].numpy(), scores[~labels].numpy())
    assert auroc(scores, labels) == pytest.approx(test.statistic / (labels.sum() * (~labels).sum()).item())


def test_delong_is_the_variance_of_its_definition() -> None:
    scores, labels = drawn(80, 1, seed=3)
    scores = (4 * scores).round()
    yes, no = scores[labels], scores[~labels]
    wins = (yes[:, None] > no).double() + (yes[:, None] == no).double() / 2
    variance = wins.mean(1).var() / len(yes) + wins.mean(0).var() / len(no)
    half = 1.959963984540054 * math.sqrt(variance)
    result = measure(scores, labels, 0)
    assert result.auroc_interval == pytest.approx((float(wins.mean()) - half, float(wins.mean()) + half), abs=1e-9)


def test_a_hundred_thousand_scores_take_no_time() -> None:
    scores, labels = drawn(100_000, 1, seed=0)
    result = measure(scores, labels, 0.5)
    expected = stats.norm.cdf(1 / math.sqrt(2))
    assert result.auroc == pytest.approx(expected, abs=0.005)
    assert result.auroc_interval[1] - result.auroc_interval[0] < 0.01


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "auroc"])
def test_intervals_hold_the_truth_as_often_as_they_say(metric: str) -> None:
    apart, share, threshold = 1.0, 0.3, 0.4
    hit, rejection = stats.norm.sf(threshold - apart), stats.norm.cdf(threshold)
    truth = {
        "accuracy": share * hit + (1 - share) * rejection,
        "balanced_accuracy": (hit + rejection) / 2,
        "auroc": stats.norm.cdf(apart / math.sqrt(2)),
    }[metric]
    held = 0
    for seed in range(400):
        result = measure(*drawn(120, apart, seed, share), threshold)
        low, high = getattr(result, f"{metric}_interval")
        assert low <= getattr(result, metric) <= high
        held += low <= truth <= high
    assert 0.92 < held / 400 < 0.985


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (7, 7), (3, 10), (58, 100), (1, 1)])
def test_wilson_solves_its_equation(hits: int, count: int) -> None:
    low, high = wilson(hits, count)
    expected = stats.binomtest(hits, count).proportion_ci(0.95, "wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= hits / count <= high <= 1


@pytest.mark.parametrize(("hits", "count"), [(0, 0), (3, 2), (-1, 2), (math.nan, 2)])
def test_wilson_refuses_what_is_no_share(hits: float, count: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(hits, count)


def test_measure_by_hand() -> None:
    scores, labels = torch.tensor([0.9, 0.4, 0.6, 0.1, 0.2]), torch.tensor([1, 1, 0, 0, 0])
    result = measure(scores, labels, 0.4)
    assert result.accuracy == 4 / 5
    assert result.balanced_accuracy == pytest.approx((1 + 2 / 3) / 2)
    assert result.auroc == pytest.approx(5 / 6)
    assert (result.majority, result.count, result.threshold) == (0.6, 5, 0.4)
    assert result.accuracy_interval == wilson(4, 5)
    assert attributes.accuracy(scores, labels, 0.4) == result.accuracy
    assert attributes.balanced_accuracy(scores, labels, 0.4) == pytest.approx(result.balanced_accuracy)


@pytest.mark.parametrize(("turn", "area"), [(1, 1.0), (-1, 0.0)])
def test_perfect_separation_is_not_certain(turn: int, area: float) -> None:
    scores = turn * torch.cat([torch.zeros(30), torch.ones(10)])
    result = measure(scores, torch.arange(40) >= 30, 0.5 * turn)
    assert result.auroc == area
    assert result.auroc_interval == wilson(10 * area, 10)
    alone = measure(scores[29:31], torch.tensor([False, True]), 0.5 * turn)
    assert alone.auroc_interval == (0, 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_no_threshold_is_better_than_the_best(rows: list[tuple[int, bool]]) -> None:
    scores, labels = torch.tensor([float(score) for score, _ in rows]), torch.tensor([label for _, label in rows])
    if labels.all() or not labels.any():
        return
    best = attributes.balanced_accuracy(scores, labels, best_threshold(scores, labels))
    assert best >= 0.5
    for threshold in torch.arange(-3.5, 4):
        assert attributes.balanced_accuracy(scores, labels, float(threshold)) <= best + 1e-12


def test_the_threshold_is_in_the_middle_of_the_gap() -> None:
    labels = torch.tensor([False, False, True, True])
    assert best_threshold(torch.tensor([0.0, 1.0, 4.0, 5.0]), labels) == 2.5
    assert best_threshold(torch.tensor([2.0, 2.0, 2.0, 2.0]), labels) == 2
    close = torch.tensor([0.0, 1.0, math.nextafter(1.0, 2.0), 2.0], dtype=torch.float64)
    assert attributes.accuracy(close, labels, best_threshold(close, labels)) == 1


def test_majority() -> None:
    assert majority(torch.tensor([1, 1, 0, 1], dtype=torch.uint8)) == 0.75
    assert majority(torch.tensor([False] * 3)) == 1
    with pytest.raises(ValueError, match="N at least 1"):
        majority(torch.zeros(0, dtype=torch.bool))


def test_the_floor_from_utility_labels_by_hand() -> None:
    """Smiling says yes in 3 of 4 cases; the test set has the same table, and one combination that is new."""
    utility = torch.tensor([[1, 0]] * 4 + [[0, 0]] * 4)
    private = torch.tensor([1, 1, 1, 0, 1, 0, 0, 0])
    floor = from_utility(utility, private, utility, private)
    assert floor.balanced_accuracy == 0.75
    assert floor.auroc == pytest.approx(counted(utility[:, 0].double(), private.bool()))
    assert 0.25 < floor.threshold < 0.75
    new = from_utility(
        utility, private, torch.cat([utility, torch.tensor([[0, 1]])]), torch.cat([private, private[:1]])
    )
    assert new.count == 9


def test_independent_utility_labels_give_nothing_away() -> None:
    generator = torch.Generator().manual_seed(0)
    utility, private = (torch.rand(*shape, generator=generator) < 0.4 for shape in ((4000, 3), (4000,)))
    floor = from_utility(utility[:2000], private[:2000], utility[2000:], private[2000:])
    assert floor.balanced_accuracy_interval[0] < 0.5 < floor.balanced_accuracy_interval[1]
    equal = from_utility(utility[:2000], utility[:2000, 1], utility[2000:], utility[2000:, 1])
    assert (equal.accuracy, equal.balanced_accuracy, equal.auroc) == (1, 1, 1)


TRUTHS = torch.tensor([True, False])


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (torch.tensor([0.1, math.nan]), TRUTHS, "finite"),
        (torch.tensor([0.1, math.inf]), TRUTHS, "finite"),
        (torch.tensor([0.1, 0.2]), torch.tensor([True, True]), "both classes"),
        (torch.tensor([0.1, 0.2]), torch.tensor([0, 2]), "0 and 1"),
        (torch.tensor([0.1, 0.2]), torch.tensor([0.0, 1.0]), "0 and 1"),
        (torch.tensor([[0.1, 0.2]]), TRUTHS[None], "one shape"),
        (torch.tensor([0.1, 0.2, 0.3]), TRUTHS, "one shape"),
        (torch.zeros(0), torch.zeros(0, dtype=torch.bool), "at least 1"),
        (torch.tensor([True, False]), TRUTHS, "numbers"),
    ],
)
def test_wrong_scores_and_labels_are_refused(scores: Tensor, labels: Tensor, message: str) -> None:
    for judge in (lambda: measure(scores, labels, 0), lambda: best_threshold(scores, labels)):
        with pytest.raises(ValueError, match=message):
            judge()


def test_wrong_thresholds_and_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        measure(torch.tensor([0.1, 0.2]), TRUTHS, math.nan)
    table = torch.zeros(2, 3, dtype=torch.bool)
    for wrong in (table[:1], table[:, 0], table[:, :0], table[:, :2]):
        with pytest.raises(ValueError, match="do not fit"):
            from_utility(table, TRUTHS, wrong, TRUTHS)
    with pytest.raises(ValueError, match="do not fit"):
        from_utility(table[:, 0], TRUTHS, table, TRUTHS)
