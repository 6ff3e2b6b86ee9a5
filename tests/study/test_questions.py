"""Questions: whom they show, where the right answer is, and that the same seed draws the same."""

from collections import Counter

import pytest
import torch
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings
from study_faces import pictures, small

from veil.study.questions import Drawn, Settings, StudyError, blurred, fitted, make, plan


def drawn(people: list[int], subjects: list[int] | None = None, root: str = "", **settings: int) -> tuple[Drawn, ...]:
    return plan(range(len(people)) if subjects is None else subjects, people, Settings(**settings), root)


@hypothesis_settings(max_examples=40, deadline=None)
@given(strategies.integers(0, 2**31), strategies.integers(2, 6), strategies.booleans(), strategies.integers(14, 40))
def test_every_question_is_fair(seed: int, options: int, another_photo: bool, persons: int) -> None:
    people = [number % persons for number in range(2 * persons + 3)]
    for number, each in enumerate(drawn(people, options=options, another_photo=another_photo, seed=seed)):
        assert len(each.options) == options
        assert len({people[photo] for photo in each.options}) == options, "each option shows somebody else"
        answer = each.options[each.right]
        assert people[answer] == people[each.subject]
        assert (each.reconstruction is None) == (number >= 10)
        assert (answer == each.subject) == (each.reconstruction is None or not another_photo)


def test_nobody_comes_twice_where_there_are_people_enough() -> None:
    found = drawn(list(range(48)))
    assert sorted(photo for each in found for photo in each.options) == list(range(48))


def test_few_people_come_equally_often() -> None:
    found = drawn(list(range(14)))
    times = Counter(photo for each in found for photo in each.options)
    assert set(times.values()) <= {3, 4}


def test_right_answers_are_spread_over_the_places() -> None:
    for seed in range(20):
        found = drawn(list(range(100)), questions=10, seed=seed)
        assert sorted(Counter(each.right for each in found[:10]).values()) == [2, 2, 3, 3]
    firsts = Counter(drawn(list(range(60)), questions=1, seed=seed)[0].right for seed in range(200))
    assert min(firsts.values()) > 25


def test_the_same_seed_and_names_draw_the_same() -> None:
    people = list(range(50))
    assert drawn(people, root="a") == drawn(people, root="a")
    assert drawn(people, root="a") != drawn(people, root="b")
    assert drawn(people, root="a") != drawn(people, root="a", seed=1)


def test_a_study_of_tensors_holds_what_it_says() -> None:
    made = small()
    photos = pictures(30)
    assert len(made.images) == 4 * 5
    assert len({image.shape for image in made.images.values()}) == 1
    for each in made.study.questions:
        answer, shown = made.images[each.options[each.right]], made.images[each.shown]
        original = photos[int(each.subject)]
        assert torch.equal(answer, original)
        assert torch.equal(shown, blurred(original) if each.attention else 255 - original)
        assert not {each.name, each.shown, *each.options} & {each.subject, f"{each.right}"}
    again = small()
    assert again.study == made.study
    assert all(torch.equal(again.images[name], image) for name, image in made.images.items())
    assert small(seed=1).study.name != made.study.name


def test_pictures_of_other_sizes_are_brought_to_one() -> None:
    photos = pictures(20, side=40)
    found = make(pictures(20, side=16)[:10], photos, None, Settings(questions=10, options=3, attention=0))
    assert {image.shape[1:] for image in found.images.values()} == {(16, 16), (40, 40)}
    grey = torch.full((1, 900, 300), 77, dtype=torch.uint8)
    assert torch.equal(fitted(grey, (64, 48)), torch.full((3, 64, 48), 77, dtype=torch.uint8))


def test_large_photos_are_made_smaller() -> None:
    made = make(pictures(4), pictures(4, side=650), None, Settings(questions=1, attention=0, options=2))
    sides = {image.shape[1] for image in made.images.values()}
    assert sides == {12, 640}


def test_attention_blur_is_slight() -> None:
    smooth = torch.linspace(0, 255, 100).to(torch.uint8).expand(3, 100, 100)
    assert (blurred(smooth).int() - smooth.int()).abs().max() <= 4


@pytest.mark.parametrize(
    ("people", "subjects", "settings", "said"),
    [
        (9, None, {}, "10 different people, and there are 9"),
        (11, None, {}, "photos of 12 people"),
        (3, None, {"questions": 1, "attention": 0}, "photos of 4 people"),
        (30, None, {"another_photo": True}, "people with another photo, and there are 0"),
        (30, [1, 2], {}, "there are 2"),
    ],
)
def test_too_few_people_are_refused(
    people: int, subjects: list[int] | None, settings: dict[str, int], said: str
) -> None:
    with pytest.raises(StudyError, match=said):
        drawn(list(range(people)), subjects, **settings)


def test_bad_input_is_refused() -> None:
    photos = pictures(20)
    with pytest.raises(ValueError, match="as many originals"):
        make(photos, photos[:4])
    with pytest.raises(ValueError, match="as many identities"):
        make(photos, photos, torch.arange(3))
    with pytest.raises(ValueError, match="uint8"):
        make(photos.float(), photos)
    with pytest.raises(StudyError, match="identities are given"):
        make(photos, photos, None, Settings(another_photo=True))
    with pytest.raises(StudyError, match="2 to 9 options"):
        Settings(options=10)
    with pytest.raises(StudyError, match="at least one question"):
        Settings(questions=0)
