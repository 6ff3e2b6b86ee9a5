"""Wilson's interval against its formula, and bootstraps against simulated people and against older numbers."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from veil.metrics import intervals
from veil.metrics.intervals import bootstrap, draws, numbered, of_answers, over_people, sums, wilson


def by_formula(hits: float, count: int) -> tuple[float, float]:
    """The textbook's."""
    z, share = 1.959963984540054, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (7, 7), (3, 10), (58, 100), (1, 1), (2.5, 10), (36.5, 146)])
def test_wilson_is_its_formula(hits: float, count: int) -> None:
    """Of shared hits, too, which SciPy does not take."""
    low, high = wilson(hits, count)
    assert (low, high) == pytest.approx(by_formula(hits, count), abs=1e-12)
    assert 0 <= low <= hits / count <= high <= 1


def test_numbers_are_those_of_commit_7c1583f() -> None:
    generator = torch.Generator().manual_seed(1)
    right = torch.rand(60, generator=generator) < 0.4
    assert over_people(right, torch.arange(60) // 4) == pytest.approx((0.23333333333333334, 0.4666666666666667))
    shared = over_people(torch.full((30,), 0.25), torch.arange(30) // 3)
    assert shared == pytest.approx((0.08094782420999441, 0.5578185757214502), abs=1e-14)
    answers = np.random.default_rng(0).random((12, 7)) < 0.4
    assert of_answers(answers, 3) == (0.25, 0.47619047619047616)
    assert of_answers(answers, 3, questions=True) == (0.19047619047619047, 0.5476190476190477)


@pytest.mark.parametrize(("hits", "count"), [(0, 0), (3, 2), (-1, 2), (math.nan, 2)])
def test_wilson_refuses_what_is_no_share(hits: float, count: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(hits, count)


@pytest.mark.parametrize("sizes", [(10, 10), (1, 19)])
def test_intervals_over_people_hold_the_truth_as_often_as_they_say(sizes: tuple[int, int]) -> None:
    """Every person is right as often as they are, 0.7 on average; independent answers are far too sure of it."""
    held = taken_for_independent = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        own = 0.4 + 0.6 * torch.rand(80, generator=generator)
        people = torch.arange(80).repeat_interleave(torch.tensor(sizes).repeat(40))
        right = torch.rand(800, generator=generator) < own[people]
        low, high = over_people(right, people)
        assert low <= float(right.double().mean()) <= high
        held += low <= 0.7 <= high
        low, high = wilson(int(right.sum()), 800)
        taken_for_independent += low <= 0.7 <= high
    assert 0.9 <= held / 200 <= 0.985
    assert taken_for_independent < held - 20


def test_independent_answers_have_the_interval_of_independent_answers() -> None:
    right = torch.arange(400) < 100
    assert over_people(right, torch.arange(400)) == pytest.approx(wilson(100, 400), abs=0.005)


def test_draws_are_of_as_many_people_and_the_same_each_time() -> None:
    times = draws(30)
    assert times.shape == (intervals.DRAWS, 30)
    assert (times.sum(1) == 30).all()
    assert times.var(0).mean() == pytest.approx(29 / 30, rel=0.05)
    assert times.mean(0).tolist() == pytest.approx([1] * 30, abs=0.1)
    assert torch.equal(times, draws(30))


def test_order_and_numbers_of_people_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    right, people = torch.rand(60, generator=generator) < 0.5, torch.arange(60) // 5
    order = torch.randperm(60, generator=generator)
    assert over_people(right, people) == over_people(right[order], 1000 + 10 * people[order].int())


def test_people_are_numbered_and_summed() -> None:
    person = numbered(torch.tensor([70, -3, 70, 9], dtype=torch.int16), 4)
    assert person.tolist() == [2, 0, 2, 1]
    assert sums(torch.tensor([0.5, 1, 2, 3]), person).tolist() == [1, 3, 2.5]


def test_what_shows_no_variance_is_as_sure_as_its_people_allow() -> None:
    people = torch.arange(30) // 3
    assert over_people(torch.ones(30), people) == wilson(10, 10)
    assert over_people(torch.zeros(30), people) == wilson(0, 10)
    assert over_people(torch.arange(30) % 3 < 2, people) == pytest.approx(wilson(10 * 2 / 3, 10))
    assert over_people(torch.ones(3), torch.zeros(3, dtype=torch.uint8)) == (0, 1)


def test_an_interval_holds_its_share() -> None:
    resampled = torch.linspace(0.4, 0.6, 101, dtype=torch.float64)
    assert bootstrap(0.5, resampled, 10) == pytest.approx((0.405, 0.595))
    assert bootstrap(0.3, resampled, 10) == pytest.approx((0.3, 0.595))
    assert bootstrap(0.7, resampled, 10) == pytest.approx((0.405, 0.7))


def test_answers_of_a_person_stay_together() -> None:
    """Half of the people know everything, half nothing: shares are those of people, not of answers."""
    right = np.zeros((40, 10), dtype=np.bool_)
    right[:20] = True
    low, high = of_answers(right, 0) or (0, 0)
    spread = 1.96 * math.sqrt(0.25 / 40)
    assert (low, high) == pytest.approx((0.5 - spread, 0.5 + spread), abs=0.02)
    answers = wilson(200, 400)
    assert high - low > 2.5 * (answers[1] - answers[0])


def test_drawing_questions_anew_sees_what_people_share() -> None:
    """Everybody knows the same half of the questions: people do not differ, questions do."""
    right = np.zeros((40, 10), dtype=np.bool_)
    right[:, :5] = True
    assert of_answers(right, 0) == (0.5, 0.5)
    low, high = of_answers(right, 0, questions=True) or (0, 0)
    spread = 1.96 * math.sqrt(0.25 / 10)
    assert (low, high) == pytest.approx((0.5 - spread, 0.5 + spread), abs=0.06)


def test_an_interval_of_answers_has_a_seed_and_needs_two() -> None:
    right = np.random.default_rng(0).random((9, 7)) < 0.4
    assert of_answers(right, 3) == of_answers(right, 3)
    assert of_answers(right[:1], 0) is None
    assert of_answers(right[:, :1], 0, questions=True) is None
    assert of_answers(right[:0], 0) is None


@pytest.mark.parametrize("people", [torch.arange(3), torch.arange(4.0), torch.arange(4) > 1, torch.arange(4)[None]])
def test_wrong_people_are_refused(people: Tensor) -> None:
    with pytest.raises(ValueError, match=r"people must hold integers of shape \(4,\)"):
        over_people(torch.ones(4), people)
