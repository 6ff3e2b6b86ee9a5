"""Drawn pictures for studies, each of a colour of its own, and folders of them."""

from pathlib import Path

import torch
from torch import Tensor

from veil.images import Photo, save
from veil.study.answers import Answers
from veil.study.questions import NewStudy, Settings, Study, make


def pictures(count: int, side: int = 12) -> Tensor:
    """uint8 (count, 3, side, side), no two alike, none uniform."""
    values = torch.randint(
        256, (count, 3, side, side), generator=torch.Generator().manual_seed(count), dtype=torch.uint8
    )
    values[:, 0] = torch.arange(count, dtype=torch.uint8)[:, None, None]
    return values


def small(people: int = 30, side: int = 12, **settings: int) -> NewStudy:
    """A study of few questions about as many people as there are pictures."""
    photos = pictures(people, side)
    return make(255 - photos, photos, None, Settings(**{"questions": 3, "attention": 1, **settings}))


def write(folder: Path, photos: Tensor, suffix: str = "png") -> None:
    """Files ``00.png`` and on."""
    folder.mkdir(parents=True)
    for number, each in enumerate(photos):
        save(Photo(each), folder / f"{number:02}.{suffix}", "jpeg" if suffix == "jpg" else suffix)


def take_part(study: Study, answers: Answers, right: int, *, attentive: bool = True, stop: int | None = None) -> str:
    """A participant who is right in the first ``right`` questions, and answers the first ``stop`` only."""
    name = answers.join()
    real = [each for each in study.questions if not each.attention]
    controls = [each for each in study.questions if each.attention]
    for number, each in enumerate([*controls, *real][:stop]):
        good = attentive if each.attention else number - len(controls) < right
        answers.show(name, each.name)
        answers.give(name, each.name, each.right if good else (each.right + 1) % len(each.options))
    return name
