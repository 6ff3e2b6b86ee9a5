"""What "nothing found" is worth: it needs a control that was passed, and a curve that is flat."""

import pytest

from veil.audits.features.verdicts import FeatureVerdict
from veil.audits.levels import Evidence, Judgement, level_of, of_nothing, people_of, share

GOOD = Evidence("an attack", True, "breaks pixel-same exactly", True)
WITHOUT_CURVE = Evidence("a closed form", True, "breaks tanaka, SSIM 0.90")
FAILED = Evidence("a network", False, "finds nothing of pixel-same, SSIM 0.10", True)
IMPROVING = Evidence("a slow one", True, "breaks pixel-same, SSIM 0.60", False)


@pytest.mark.parametrize(
    ("own", "others", "words"),
    [
        ([GOOD], [], "nothing found (the same attack breaks pixel-same exactly: an attack)"),
        ([WITHOUT_CURVE], [], "nothing found (the same attack breaks tanaka, SSIM 0.90: a closed form)"),
        ([GOOD, FAILED], [], "nothing found (the same attack breaks pixel-same exactly: an attack; not counted, for "
                             "their controls failed: a network)"),
        ([Evidence("an attack")], [GOOD], "not shown: no control"),
        ([FAILED], [GOOD], "not shown: the control failed too (a network finds nothing of pixel-same, SSIM 0.10)"),
        ([GOOD, IMPROVING], [], "lower bound: still improving (a slow one)"),
        ([GOOD], [IMPROVING], "lower bound: still improving (a slow one)"),
    ],
)  # fmt: skip
def test_of_nothing(own: list[Evidence], others: list[Evidence], words: str) -> None:
    assert of_nothing(own, others).words == words


def test_words_and_numbers() -> None:
    assert [level_of(lift) for lift in (0.0, 0.1, 0.5)] == ["nothing", "leaks", "broken"]
    assert Judgement("smoke").words == "smoke scale: shows that everything runs; no verdict"
    assert share(0.75, 4, "faces") == "75 % (3 of 4 faces)"
    assert people_of(2387, 146) == "2,387 faces of 146 people"
    assert people_of(None, None) == "faces: not recorded"


def test_a_warning_keeps_its_capitals() -> None:
    verdict = FeatureVerdict("the image", "nothing", "It drew a grey face.", {}, alarm="below its floor: SSIM 0.06")
    assert verdict.because == "It drew a grey face. Below its floor: SSIM 0.06."
