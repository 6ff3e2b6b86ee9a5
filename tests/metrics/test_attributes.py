"""Attribute metrics against pairs counted one by one, exact binomials and simulated attackers."""

import json
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from veil.metrics import attributes, intervals
from veil.metrics.attributes import AttributeResult, auroc, best_threshold, from_utility, majority, measure
from veil.metrics.intervals import draws, wilson

METRICS = ["accuracy", "balanced_accuracy", "auroc"]
TRUTHS = torch.tensor([True, False])


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


@pytest.mark.parametrize("metric", METRICS)
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


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_no_threshold_is_more_often_right_than_the_plainly_best(rows: list[tuple[int, bool]]) -> None:
    scores, labels = torch.tensor([float(score) for score, _ in rows]), torch.tensor([label for _, label in rows])
    if labels.all() or not labels.any():
        return
    best = attributes.accuracy(scores, labels, best_threshold(scores, labels, balanced=False))
    assert best >= majority(labels)
    for threshold in torch.arange(-3.5, 4):
        assert attributes.accuracy(scores, labels, float(threshold)) <= best


def test_always_the_same_may_be_right_most_often() -> None:
    scores, few = torch.arange(10.0), torch.arange(10) == 4
    never = best_threshold(scores, few, balanced=False)
    assert never == math.nextafter(9, 10)
    assert json.loads(json.dumps(never)) == never
    assert best_threshold(scores, ~few, balanced=False) == 0
    assert 3 < best_threshold(scores, few) < 4
    result = measure(scores, few, best_threshold(scores, few), accuracy_threshold=never)
    assert (result.accuracy, result.accuracy_interval, result.accuracy_threshold) == (0.9, wilson(9, 10), never)
    alone = measure(scores, few, best_threshold(scores, few))
    assert alone.accuracy == 0.5
    assert alone.accuracy_threshold == alone.threshold
    assert result.balanced_accuracy == alone.balanced_accuracy


def of_people(count: int, each: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, labels and people: so many images each, of one label, whose scores have half of their variance in common.

    Means differ by 1 between the classes, variances are 1.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(count, generator=generator) < 0.4
    own, other = (torch.randn(count, n, generator=generator, dtype=torch.float64) for n in (1, each))
    scores = (own + other) / math.sqrt(2) + labels[:, None]
    return scores.flatten(), labels.repeat_interleave(each), torch.arange(count).repeat_interleave(each)


def test_intervals_over_people_hold_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "DRAWS", 500)
    hit, rejection = stats.norm.sf(0.4 - 1), stats.norm.cdf(0.4)
    truths = (0.4 * hit + 0.6 * rejection, (hit + rejection) / 2, stats.norm.cdf(1 / math.sqrt(2)))
    held = {True: [0, 0, 0], False: [0, 0, 0]}
    for seed in range(200):
        scores, labels, people = of_people(60, 10, seed)
        for known in held:
            result = measure(scores, labels, 0.4, people=people if known else None)
            for place, (metric, truth) in enumerate(zip(METRICS, truths, strict=True)):
                low, high = getattr(result, f"{metric}_interval")
                held[known][place] += low <= truth <= high
    assert all(0.9 <= times / 200 <= 0.985 for times in held[True])
    assert all(times / 200 < 0.75 for times in held[False])


def test_points_do_not_depend_on_people() -> None:
    scores, labels, people = of_people(20, 5, seed=1)
    alone, known = measure(scores, labels, 0.3), measure(scores, labels, 0.3, people=people)
    assert (alone.people, known.people, known.count) == (None, 20, 100)
    for name in (*METRICS, "threshold", "majority"):
        assert getattr(alone, name) == getattr(known, name)
    for metric in METRICS:
        low, high = getattr(known, f"{metric}_interval")
        assert 0 <= low < getattr(known, metric) < high <= 1
    assert known == measure(scores, labels, 0.3, people=people)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    turned = measure(scores[order], labels[order], 0.3, people=(7 * people - 30)[order].int())
    for metric in METRICS:
        assert getattr(turned, f"{metric}_interval") == getattr(known, f"{metric}_interval")


def resampled(scores: Tensor, labels: Tensor, people: Tensor) -> dict[str, tuple[float, float]]:
    """Intervals by images of the people drawn, put together one by one."""
    found: dict[str, list[float]] = {metric: [] for metric in METRICS}
    images = [(people == person).nonzero().flatten() for person in people.unique()]
    for times in draws(len(images)).int().tolist():
        some = torch.cat([place for place, often in zip(images, times, strict=True) for _ in range(often)])
        found["accuracy"].append(attributes.accuracy(scores[some], labels[some], 0.3))
        if labels[some].any() and not labels[some].all():
            found["balanced_accuracy"].append(attributes.balanced_accuracy(scores[some], labels[some], 0.5))
            found["auroc"].append(auroc(scores[some], labels[some]))
    return {metric: tuple(np.quantile(values, [0.025, 0.975])) for metric, values in found.items()}  # type: ignore


@pytest.mark.parametrize("constant", [True, False])
def test_resamples_are_those_of_the_images_drawn(constant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six people with 1 to 6 images, scores with ties; by people's labels, some resamples have one class only."""
    people = torch.repeat_interleave(torch.arange(6), torch.arange(1, 7))
    scores, labels = drawn(21, 1, seed=5)
    if constant:
        labels = (people % 3) == 2
    scores = (scores * 2).round() / 2
    expected = resampled(scores, labels, people)
    whole = measure(scores, labels, 0.5, accuracy_threshold=0.3, people=people)
    for metric in METRICS:
        assert getattr(whole, f"{metric}_interval") == pytest.approx(expected[metric], abs=1e-12)
    monkeypatch.setattr(attributes, "_PART", 900)
    assert measure(scores, labels, 0.5, accuracy_threshold=0.3, people=people) == whole


@pytest.mark.parametrize("turn", [1, -1])
def test_all_right_or_all_wrong_is_not_certain_of_people(turn: int) -> None:
    people = torch.arange(40) // 2
    labels = people >= 14
    result = measure(turn * labels.double(), labels, 0.5 * turn, people=people)
    share = float(turn > 0)
    assert result.auroc_interval == result.balanced_accuracy_interval == wilson(6 * share, 6)
    assert result.accuracy_interval == wilson(20 * share, 20)


def test_an_answer_that_is_always_the_same_is_uncertain_over_people() -> None:
    result = measure(torch.ones(40), torch.arange(40) >= 28, 0, people=torch.arange(40) // 2)
    assert result.balanced_accuracy == result.auroc == 0.5
    assert result.balanced_accuracy_interval == result.auroc_interval == wilson(3, 6)


def test_one_person_tells_nothing() -> None:
    scores, labels = drawn(20, 1, seed=0)
    alone = measure(scores, labels, 0.5, people=torch.zeros(20, dtype=torch.int64))
    assert {getattr(alone, f"{metric}_interval") for metric in METRICS} == {(0, 1)}
    one = measure(scores, torch.arange(20) >= 18, 0.5, people=torch.arange(20) // 2)
    assert one.balanced_accuracy_interval == one.auroc_interval == (0, 1)
    assert one.accuracy_interval[1] < 1


def test_a_person_may_have_images_of_both_classes() -> None:
    """Every person's own images are told apart, those of different people are not: the interval holds the share."""
    people, labels = torch.arange(80) // 2, torch.arange(80) % 2 == 1
    result = measure(torch.arange(80.0), labels, 40, people=people)
    assert result.auroc == counted(torch.arange(80.0), labels)
    assert result.auroc_interval[0] <= result.auroc <= result.auroc_interval[1]


def test_many_images_of_many_people_take_no_time() -> None:
    generator = torch.Generator().manual_seed(0)
    people = torch.randint(1000, (20_000,), generator=generator)
    labels = people < 400
    scores = torch.randn(20_000, generator=generator) + labels
    start = time.process_time()
    result = measure(scores, labels, 0.5, people=people)
    assert time.process_time() - start < 10
    assert result.people == 1000
    alone = measure(scores, labels, 0.5)
    for metric in METRICS:  # Images are independent here: so the two ways agree.
        assert getattr(result, f"{metric}_interval") == pytest.approx(getattr(alone, f"{metric}_interval"), abs=0.003)


@pytest.mark.parametrize("people", [torch.arange(3), torch.arange(2.0), TRUTHS, torch.arange(2)[None]])
def test_wrong_people_are_refused(people: Tensor) -> None:
    with pytest.raises(ValueError, match=r"people must hold integers of shape \(2,\)"):
        measure(torch.tensor([0.1, 0.2]), TRUTHS, 0, people=people)


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
    assert floor.accuracy == pytest.approx(0.6, abs=0.03)
    equal = from_utility(utility[:2000], utility[:2000, 1], utility[2000:], utility[2000:, 1])
    assert (equal.accuracy, equal.balanced_accuracy, equal.auroc) == (1, 1, 1)


def test_the_floor_knows_people_and_the_majority() -> None:
    """Of a rare attribute, always no is right most often; balanced accuracy is best by another threshold."""
    utility = torch.tensor([[1]] * 50 + [[0]] * 50)
    private = torch.arange(100) % 50 < torch.where(utility[:, 0] > 0, 20, 2)
    people = torch.arange(100) // 2
    floor: AttributeResult = from_utility(utility, private, utility, private, people_test=people)
    assert floor.accuracy == floor.majority == 0.78
    assert floor.balanced_accuracy > 0.7
    assert floor.accuracy_threshold > 0.4 > floor.threshold
    scores = torch.where(utility[:, 0] > 0, 0.4, 0.04)
    judged = measure(scores, private, 0.2, accuracy_threshold=0.5, people=people)
    assert floor.people == 50
    for metric in METRICS:
        assert getattr(floor, f"{metric}_interval") == getattr(judged, f"{metric}_interval")


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
    with pytest.raises(ValueError, match="NaN"):
        measure(torch.tensor([0.1, 0.2]), TRUTHS, 0, accuracy_threshold=math.nan)
    table = torch.zeros(2, 3, dtype=torch.bool)
    for wrong in (table[:1], table[:, 0], table[:, :0], table[:, :2]):
        with pytest.raises(ValueError, match="do not fit"):
            from_utility(table, TRUTHS, wrong, TRUTHS)
    with pytest.raises(ValueError, match="do not fit"):
        from_utility(table[:, 0], TRUTHS, table, TRUTHS)
