"""Whether a curve had gone flat: the rule that "nothing found" needs."""

import pytest

from veil.metrics.curves import best_was_early, flat


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.5, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8], True),
        ([0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95], False),
        ([0.5, 0.9, 0.9, 0.9004], True),
        ([0.5, 0.9, 0.9, 0.906], False),
        ([0.5, 0.9, 0.9], False),  # too few to tell
        ([0.9, 0.8, 0.7, 0.6], True),
        ([-10.0, -1.0, -1.0, -0.95], True),  # a hundredth of what was gained
    ],
)
def test_the_last_quarter_brings_little(scores: list[float], expected: bool) -> None:
    assert flat(scores) is expected


def test_scores_without_a_scale_have_no_gain_that_means_nothing() -> None:
    falling = [-0.05, -0.02, -0.011, -0.01]
    assert flat(falling) is True
    assert flat(falling, least=0.0) is False


def test_the_best_epoch_alone_tells_it_where_it_came_early() -> None:
    assert best_was_early(5, 8)
    assert not best_was_early(6, 8)
    assert not best_was_early(0, 3)


def test_no_epochs_are_no_curve() -> None:
    with pytest.raises(ValueError, match="an epoch at least"):
        flat([])
