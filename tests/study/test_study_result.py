"""What answers come to, against closed forms."""

import math
from pathlib import Path

import numpy as np
import pytest
from study_faces import small, take_part

from veil.images import Photo, encode
from veil.report import page
from veil.study import page as pages
from veil.study.answers import Answer, Answers
from veil.study.questions import Study
from veil.study.result import Result, as_json, result, verdict, widest
from veil.study.statistics import Share, p_value


def wilson(right: int, total: int) -> tuple[float, float]:
    """The textbook's formula."""
    z, share = 1.959963984540054, right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return middle - half, middle + half


@pytest.mark.parametrize(("right", "total"), [(112, 400), (11, 40), (1, 1), (0, 7), (7, 7), (1, 4)])
def test_intervals_are_wilsons(right: int, total: int) -> None:
    assert Share(right, total).interval == pytest.approx(wilson(right, total), abs=1e-12)
    assert Share(right, total).accuracy == right / total


def test_shares_of_nothing_are_refused() -> None:
    for right, total in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="no share"):
            Share(right, total)


@pytest.mark.parametrize(("right", "total"), [(5, 10), (0, 6), (9, 20), (5, 20)])
def test_p_is_the_sum_of_what_is_no_likelier(right: int, total: int) -> None:
    chances = [math.comb(total, k) * 0.25**k * 0.75 ** (total - k) for k in range(total + 1)]
    expected = sum(each for each in chances if each <= chances[right] * (1 + 1e-7))
    assert p_value(Share(right, total), 0.25) == pytest.approx(expected)


def counted(tmp_path: Path, rights: list[int], questions: int = 4, **settings: int) -> tuple[Study, Result]:
    study = small(questions=questions, **settings).study
    with Answers(tmp_path / "answers.sqlite", study.name) as answers:
        for right in rights:
            take_part(study, answers, right)
        return study, result(study, answers.participants(), answers.given())


def test_those_count_who_answered_everything_and_paid_attention(tmp_path: Path) -> None:
    study = small(questions=4, attention=2).study
    with Answers(tmp_path / "answers.sqlite", study.name) as answers:
        take_part(study, answers, 1)
        take_part(study, answers, 3)
        take_part(study, answers, 4, attentive=False)
        take_part(study, answers, 4, attentive=False, stop=4)
        take_part(study, answers, 2, stop=5)
        answers.join()
        found = result(study, answers.participants(), answers.given())
    assert found.people == {"counted": 2, "failed": 2, "incomplete": 1, "nothing": 1}
    assert found.share == Share(4, 8)
    assert found.failed == Share(6, 6)
    assert found.incomplete == Share(2, 3)
    assert (found.chance, found.attention) == (0.25, 2)
    assert [each.share for each in found.questions] == [Share(2, 2), Share(1, 2), Share(1, 2), Share(0, 2)]
    assert all(each.choices[each.right] == each.share.right for each in found.questions if each.share)
    assert found.p == pytest.approx(p_value(Share(4, 8), 0.25))


def test_answers_to_nothing_are_passed_over() -> None:
    study = small().study
    found = result(
        study, ["one"], [Answer("one", "no question", 0, 1.0), Answer("two", study.questions[0].name, 0, 1.0)]
    )
    assert found.people["nothing"] == 1
    assert found.share is None
    assert verdict(found)[0] == "none"


@pytest.mark.parametrize(
    ("rights", "level", "said"),
    [
        ([4] * 12, "above", "people recognise somebody"),
        ([1] * 12, "guessing", "does not show that people recognise"),
        ([0] * 12, "below", "lead people to others"),
        ([1, 1], "guessing", "fewer than 10 people"),
        ([], "none", "nothing can be said"),
    ],
)
def test_verdicts_say_what_the_interval_means(tmp_path: Path, rights: list[int], level: str, said: str) -> None:
    _, found = counted(tmp_path, rights)
    assert verdict(found)[0] == level
    assert said in verdict(found)[1]


def test_a_verdict_takes_the_wider_interval(tmp_path: Path) -> None:
    """People who are right in all or nothing: by answers far above guessing, by people it cannot be told."""
    _, found = counted(tmp_path, [4, 4, 0, 0, 0])
    assert found.share is not None
    assert found.over_people is not None
    assert widest(found) == (
        min(found.share.interval[0], found.over_people[0]), max(found.share.interval[1], found.over_people[1])
    )  # fmt: skip
    assert verdict(found)[0] == "guessing"


def test_a_result_that_rests_on_few_pictures_says_so(tmp_path: Path) -> None:
    _, found = counted(tmp_path, [2] * 12, questions=4)
    level, text = verdict(found)
    assert level == "above"
    assert "may rest on a few of them" in text


@pytest.mark.parametrize("rights", [[], [2, 1, 0, 2]])
def test_the_page_holds_the_result(tmp_path: Path, rights: list[int]) -> None:
    made = small(questions=2)
    study, found = counted(tmp_path, rights, questions=2)
    images = {name: encode(Photo(image)) for name, image in made.images.items()}
    text = page.write_html(pages.page(study, found, images, "here"), tmp_path).read_text()
    assert verdict(found)[1][:60] in text
    assert "112 of 400" in text
    assert ("5 of 8" in text) == bool(rights)
    assert (tmp_path / "figures" / "question-2.png").is_file()
    assert as_json(found)["share"] == (
        {"right": 5, "total": 8, "accuracy": 0.625, "interval": Share(5, 8).interval} if rights else None
    )  # fmt: skip


def test_a_strip_frames_the_right_option() -> None:
    shown, options = np.zeros((5, 4, 3), np.uint8), [np.full((20, 16, 3), 9, np.uint8)] * 3
    drawn = pages.strip(shown, options, 1)
    assert drawn.shape == (30, 26 + 12 + 3 * 26, 3)
    frames = [tuple(drawn[0, 38 + 26 * place]) for place in range(3)]
    assert [frame == (255, 255, 255) for frame in frames] == [True, False, True]
