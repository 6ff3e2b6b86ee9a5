"""ICP, ICE and ranks: cases worked by hand, huge logits, and properties that hold for every classifier."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from veil.metrics import ice, ice_normalised, icp, rank, survives

QUARTER = [math.log(0.25), math.log(0.75)]


@st.composite
def logits_and_classes(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits (N, K) of up to ±10,000, many of them equal, and a true class each."""
    images, classes = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    value = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e4, 1e4, width=32))
    row = st.lists(value, min_size=classes, max_size=classes)
    logits = torch.tensor([draw(row) for _ in range(images)], dtype=torch.float32)
    true_class = torch.tensor([draw(st.integers(0, classes - 1)) for _ in range(images)])
    return logits, true_class


def test_icp_is_the_probability_of_the_true_class() -> None:
    logits = torch.tensor([QUARTER, QUARTER, [0.0, 0.0], [0.0, 1e4]])
    torch.testing.assert_close(icp(logits, torch.tensor([0, 1, 0, 0])), torch.tensor([0.25, 0.75, 0.5, 0.0]))


def test_ice_is_in_nats() -> None:
    two_classes = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))  # 0.5623
    logits = torch.tensor([QUARTER, [5.0, 5.0], [0.0, 1e4]])
    torch.testing.assert_close(ice(logits), torch.tensor([two_classes, math.log(2), 0.0]))
    torch.testing.assert_close(ice_normalised(logits), torch.tensor([two_classes / math.log(2), 1.0, 0.0]))


@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
def test_equal_logits_reach_the_bounds(classes: int) -> None:
    logits = torch.full((3, classes), -7.5)
    true_class = torch.tensor([0, classes // 2, classes - 1])
    torch.testing.assert_close(ice(logits), torch.full((3,), math.log(classes)))
    torch.testing.assert_close(ice_normalised(logits), torch.full((3,), float(classes > 1)))
    torch.testing.assert_close(icp(logits, true_class), torch.full((3,), 1 / classes))
    assert rank(logits, true_class).tolist() == [1, 1, 1]


def test_rank_gives_the_true_class_the_best_place_among_equals() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0, 2.0, 0.0]]).expand(5, 5)
    ranks = rank(logits, torch.arange(5))
    assert ranks.dtype == torch.int64
    assert ranks.tolist() == [1, 4, 2, 2, 5]
    assert survives(logits, torch.arange(5), k=2).tolist() == [True, False, True, True, False]
    assert survives(logits, torch.arange(5), k=99).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_huge_logits_stay_exact(dtype: torch.dtype) -> None:
    logits = torch.tensor([[1e4, -1e4, -1e4], [-1e4, -1e4, 1e4], [1e4, 1e4, -1e4]], dtype=dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    expected = torch.tensor([0.0, 0.0, math.log(2)], dtype=wide)
    torch.testing.assert_close(ice(logits), expected)
    torch.testing.assert_close(icp(logits, torch.tensor([0, 0, 0])), torch.tensor([1.0, 0.0, 0.5], dtype=wide))


def test_logits_at_the_end_of_the_number_range_give_no_nan() -> None:
    largest = torch.finfo(torch.float32).max
    assert ice(torch.tensor([[largest, -largest]])).tolist() == [0.0]
    assert icp(torch.tensor([[largest, -largest]]), torch.tensor([1])).tolist() == [0.0]


def test_an_empty_batch_has_empty_answers() -> None:
    logits, true_class = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    assert icp(logits, true_class).shape == ice(logits).shape == rank(logits, true_class).shape == (0,)


def test_both_metrics_have_gradients() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0]], requires_grad=True)
    for metric in (icp(logits, torch.tensor([0])), ice(logits)):
        (gradient,) = torch.autograd.grad(metric.sum(), logits)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0


@settings(deadline=None)
@given(logits_and_classes())
def test_ice_lies_between_certainty_and_ln_k(case: tuple[Tensor, Tensor]) -> None:
    logits, _ = case
    assert (ice(logits) >= 0).all()
    assert (ice(logits) <= math.log(logits.shape[1]) + 1e-6).all()
    assert ((ice_normalised(logits) >= 0) & (ice_normalised(logits) <= 1)).all()


@settings(deadline=None)
@given(logits_and_classes())
def test_icp_sums_to_one_over_the_classes(case: tuple[Tensor, Tensor]) -> None:
    logits, _ = case
    images, classes = logits.shape
    total = sum(icp(logits, torch.full((images,), c)) for c in range(classes))
    torch.testing.assert_close(total, torch.ones(images))


@settings(deadline=None)
@given(logits_and_classes())
def test_rank_agrees_with_survives_and_with_icp(case: tuple[Tensor, Tensor]) -> None:
    logits, true_class = case
    ranks = rank(logits, true_class)
    assert ((ranks >= 1) & (ranks <= logits.shape[1])).all()
    for k in range(1, logits.shape[1] + 1):
        assert torch.equal(survives(logits, true_class, k), ranks <= k)
    # A class that has more than half of the probability can only be the first.
    assert (ranks[icp(logits, true_class) > 0.5 + 1e-6] == 1).all()


@settings(deadline=None)
@given(logits_and_classes())
def test_a_batch_is_its_images_one_by_one(case: tuple[Tensor, Tensor]) -> None:
    logits, true_class = case
    singles = [icp(logits[i : i + 1], true_class[i : i + 1]) for i in range(len(logits))]
    torch.testing.assert_close(icp(logits, true_class), torch.cat(singles))
    torch.testing.assert_close(ice(logits), torch.cat([ice(row[None]) for row in logits]))


@pytest.mark.parametrize("metric", [ice, ice_normalised])
@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(3), "shape"),
        (torch.zeros(2, 3, 4), "shape"),
        (torch.zeros(2, 0), "shape"),
        (torch.zeros(2, 3, dtype=torch.int64), "floats"),
        (torch.tensor([[0.0, math.nan]]), "finite"),
        (torch.tensor([[0.0, -math.inf]]), "finite"),
    ],
)
def test_wrong_logits_are_refused(metric: Callable[[Tensor], Tensor], logits: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(logits)


@pytest.mark.parametrize("metric", [icp, rank, lambda logits, true_class: survives(logits, true_class, 1)])
@pytest.mark.parametrize(
    ("logits", "true_class", "message"),
    [
        (torch.zeros(3), torch.tensor([0]), "logits must have shape"),
        (torch.full((1, 3), math.inf), torch.tensor([0]), "finite"),
        (torch.zeros(2, 3), torch.tensor(0), "true_class must have shape"),
        (torch.zeros(2, 3), torch.tensor([0]), "true_class must have shape"),
        (torch.zeros(2, 3), torch.tensor([0.0, 1.0]), "integers"),
        (torch.zeros(2, 3), torch.tensor([True, False]), "integers"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), r"\[0, 3\)"),
        (torch.zeros(2, 3), torch.tensor([-1, 0]), r"\[0, 3\)"),
    ],
)
def test_wrong_true_classes_are_refused(
    metric: Callable[[Tensor, Tensor], Tensor], logits: Tensor, true_class: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric(logits, true_class)


def test_small_integer_types_serve_as_class_indices() -> None:
    logits = torch.zeros(1, 300)
    assert rank(logits, torch.tensor([255], dtype=torch.uint8)).tolist() == [1]
    assert icp(logits, torch.tensor([127], dtype=torch.int8)).tolist() == pytest.approx([1 / 300])


def test_no_answers_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        survives(torch.zeros(1, 3), torch.tensor([0]), k=0)
