"""Questions of the human study: a reconstruction, and several photos, one of which shows the same person.

Source: Li et al. 2019 (DeepObfuscator), section 4.4, "Human Perceptual Study": ten questions, each of one reconstructed
image and four raw images, one of which contains the person.

Choices that the paper leaves open:

- Nobody is in two questions, and a distractor is a person who is in no other question, as long as there are enough
  people; after that, the people who were shown least are used again. A familiar face would be a hint.
- Right answers are spread evenly over the places, so that always choosing the same place is right one time in four.
- Attention questions show a slightly blurred photo, so that everybody who looks can answer them. Participants who fail
  one did not try, and are reported separately.
- The right option is the photo that was reconstructed, as in the paper. With ``another_photo`` it is another photo of
  the same person: then participants must recognise the person, not a background or a hat.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Generator, Tensor

from veil.images import content_digest, require_batch
from veil.runtime.seeds import seed_of

MAX_OPTIONS, MAX_SIDE = 9, 640
_BLUR = 0.012  # of the longer side: at 218 pixels 2.6


class StudyError(ValueError):
    """A study that cannot be created or used; the message is one line for a person."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a study asks.

    Attributes:
        questions: how many, without the attention questions.
        options: photos to choose from, 2 to 9; the paper has four.
        attention: further questions that everybody can answer.
        another_photo: the right option is another photo of the person; needs identities.
        seed: of people, photos and places.
    """

    questions: int = 10
    options: int = 4
    attention: int = 2
    another_photo: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.questions < 1 or self.attention < 0:
            raise StudyError(f"a study has at least one question, not {self.questions} with {self.attention} more")
        if not 2 <= self.options <= MAX_OPTIONS:
            raise StudyError(f"a question has 2 to {MAX_OPTIONS} options, not {self.options}")


@dataclass(frozen=True)
class Question:
    """A stored question; pictures have neutral names.

    Attributes:
        name: neutral, the same for every participant.
        subject: the original of the reconstruction; never sent to participants.
        attention: whether it is an attention question.
        shown: the picture of the person to find.
        options: the photos, in the order in which everybody sees them.
        right: place of the right one in ``options``, from 0.
    """

    name: str
    subject: str
    attention: bool
    shown: str
    options: tuple[str, ...]
    right: int


@dataclass(frozen=True)
class Study:
    """Questions with their solutions.

    Attributes:
        name: 16 hexadecimal digits that belong to these questions and pictures.
        settings: what was asked for.
        questions: not in the order that participants see.
        contact: who runs the study, for the first page; may be empty.
    """

    name: str
    settings: Settings
    questions: tuple[Question, ...]
    contact: str = ""


@dataclass(frozen=True, eq=False)
class NewStudy:
    """A new study and its pictures by name: uint8 (3, H, W); all options are of one size, all pictures shown of one."""

    study: Study
    images: Mapping[str, Tensor] = field(repr=False)


@dataclass(frozen=True)
class Drawn:
    """Which pictures make a question.

    Attributes:
        subject: number of the original to find.
        reconstruction: number of the reconstruction that is shown; None for an attention question.
        options: numbers of originals.
        right: place of the right one.
    """

    subject: int
    reconstruction: int | None
    options: tuple[int, ...]
    right: int


def make(
    reconstructed: Tensor,
    originals: Tensor,
    identities: Tensor | None = None,
    settings: Settings | None = None,
    *,
    contact: str = "",
) -> NewStudy:
    """A study from images in memory.

    Args:
        reconstructed: uint8 (M, 3, H, W).
        originals: uint8 (N, 3, H', W'), N at least M: the first M were reconstructed, in the same order. The others are
            distractors only.
        identities: int64 (N,) of the originals; without them every original is a separate person.
        settings: None takes the paper's with two attention questions.
        contact: who runs the study, for the first page.

    Raises:
        StudyError: where there are too few people.
        ValueError: for other types or shapes.
    """
    require_batch(reconstructed, "studies take")
    require_batch(originals, "studies take")
    if len(originals) < len(reconstructed):
        raise ValueError(f"{len(reconstructed)} reconstructions need as many originals, not {len(originals)}")
    if identities is not None and identities.shape != originals.shape[:1]:
        raise ValueError(f"{len(originals)} originals need as many identities, not {tuple(identities.shape)}")
    people: list[Hashable] = list(range(len(originals))) if identities is None else identities.tolist()
    settings = settings or Settings()
    _check_identities(identities is not None, settings)
    root = content_digest(reconstructed).hex()
    drawn = plan(range(len(reconstructed)), people, settings, root)
    return compose(drawn, reconstructed.__getitem__, originals.__getitem__, str, settings, contact=contact, root=root)


def _check_identities(known: bool, settings: Settings) -> None:
    if settings.another_photo and not known:
        raise StudyError("another photo of the same person can only be taken where identities are given")


def plan(subjects: Sequence[int], people: Sequence[Hashable], settings: Settings, root: str) -> tuple[Drawn, ...]:
    """Draws people, photos and places: the questions, then the attention questions.

    Args:
        subjects: the original's number for every reconstruction.
        people: the person on every original.
        root: further input of the random draw, such as the file names, so that the seed alone does not reveal the right
            answers.

    Raises:
        StudyError: where there are too few people.
    """
    generator = torch.Generator().manual_seed(seed_of("study", settings.seed, root))
    photos: dict[Hashable, list[int]] = defaultdict(list)
    for number, person in enumerate(people):
        photos[person].append(number)
    asked = _asked(subjects, people, photos, settings, generator)
    in_questions = {people[subjects[number]] for number in asked}
    controls = _controls(photos, in_questions, settings, generator)
    seen = Counter([*in_questions, *(people[number] for number in controls)])
    places = [*_places(len(asked), settings.options, generator), *_places(len(controls), settings.options, generator)]
    drawn: list[Drawn] = []
    for number, right in zip([*asked, *controls], places, strict=True):
        control = len(drawn) >= len(asked)
        subject = number if control else subjects[number]
        others = _distractors(people[subject], photos, seen, settings.options - 1, generator)
        answer = subject
        if settings.another_photo and not control:
            answer = _one_of([photo for photo in photos[people[subject]] if photo != subject], generator)
        options = (*others[:right], answer, *others[right:])
        drawn.append(Drawn(subject, None if control else number, options, right))
    return tuple(drawn)


def _asked(
    subjects: Sequence[int],
    people: Sequence[Hashable],
    photos: Mapping[Hashable, list[int]],
    settings: Settings,
    generator: Generator,
) -> list[int]:
    """Numbers of reconstructions, one per person; with ``another_photo`` only of people who have a second photo."""
    needed = 2 if settings.another_photo else 1
    firsts: dict[Hashable, int] = {}
    for number in torch.randperm(len(subjects), generator=generator).tolist():
        person = people[subjects[number]]
        if len(photos[person]) >= needed:
            firsts.setdefault(person, number)
    if len(firsts) < settings.questions:
        of = "people with another photo" if settings.another_photo else "different people"
        raise StudyError(
            f"{settings.questions} questions need reconstructions of {settings.questions} {of}, and there are "
            f"{len(firsts)}: ask for fewer questions"
        )
    return list(firsts.values())[: settings.questions]


def _controls(
    photos: Mapping[Hashable, list[int]], taken: set[Hashable], settings: Settings, generator: Generator
) -> list[int]:
    """Originals of people who are in no other question, for the attention questions."""
    people = [person for person in photos if person not in taken]
    if len(people) < settings.attention or len(photos) < settings.options:
        needed = max(len(taken) + settings.attention, settings.options)
        raise StudyError(f"this study needs photos of {needed} people, and there are {len(photos)}")
    order = torch.randperm(len(people), generator=generator)[: settings.attention].tolist()
    return [_one_of(photos[people[place]], generator) for place in order]


def _distractors(
    person: Hashable,
    photos: Mapping[Hashable, list[int]],
    seen: Counter[Hashable],
    wanted: int,
    generator: Generator,
) -> tuple[int, ...]:
    """Photos of other people, who were shown least so far; counts them in ``seen``."""
    order = torch.randperm(len(photos), generator=generator).tolist()
    others = [(seen[other], place, other) for other, place in zip(photos, order, strict=True) if other != person]
    chosen = [other for _, _, other in heapq.nsmallest(wanted, others, key=lambda candidate: candidate[:2])]
    seen.update(chosen)
    return tuple(_one_of(photos[other], generator) for other in chosen)


def _places(number: int, options: int, generator: Generator) -> list[int]:
    """Places of the right answers, each as often as the others, in random order."""
    rounds = torch.cat([torch.randperm(options, generator=generator) for _ in range(-(-number // options) or 1)])
    places: list[int] = rounds[:number][torch.randperm(number, generator=generator)].tolist()
    return places


def _one_of(numbers: Sequence[int], generator: Generator) -> int:
    return numbers[int(torch.randint(len(numbers), (), generator=generator))]


def compose(
    drawn: Sequence[Drawn],
    reconstruction: Callable[[int], Tensor],
    original: Callable[[int], Tensor],
    called: Callable[[int], str],
    settings: Settings,
    *,
    contact: str,
    root: str,
) -> NewStudy:
    """Combines the drawn pictures; all options have one size, and all shown pictures have one size.

    Args:
        reconstruction, original: read a picture by its number: uint8 (1 or 3, H, W).
        called: the name of an original in the report.
        root: as in `plan`.
    """
    options = [original(number) for choice in drawn for number in choice.options]
    shown = [None if choice.reconstruction is None else reconstruction(choice.reconstruction) for choice in drawn]
    size = _common_size([picture for picture in shown if picture is not None])
    pictures = [
        fitted(blurred(original(choice.subject)) if picture is None else picture, size)
        for choice, picture in zip(drawn, shown, strict=True)
    ]
    size = _common_size(options)
    photos = iter([fitted(picture, size) for picture in options])
    names = (f"{seed_of('study', settings.seed, root, number):016x}" for number in count())
    images: dict[str, Tensor] = {}
    questions = []
    for choice, picture in zip(drawn, pictures, strict=True):
        name, shown_as, *called_so = (next(names) for _ in range(2 + len(choice.options)))
        images[shown_as] = picture
        images.update((photo, next(photos)) for photo in called_so)
        attention = choice.reconstruction is None
        questions.append(Question(name, called(choice.subject), attention, shown_as, tuple(called_so), choice.right))
    digests = [content_digest(image) for image in images.values()]
    return NewStudy(
        Study(f"{seed_of('study', *questions, *digests):016x}", settings, tuple(questions), contact), images
    )


def _common_size(pictures: Sequence[Tensor]) -> tuple[int, int]:
    """The most frequent height and width, the largest if several are; reduced if a side is over 640 pixels."""
    sizes = Counter((int(picture.shape[1]), int(picture.shape[2])) for picture in pictures)
    height, width = max(sizes, key=lambda size: (sizes[size], size))
    scale = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def fitted(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """The picture, uint8 (1 or 3, H, W), in colours and in another height and width: scaled to cover it, then cut."""
    colours = picture.expand(3, -1, -1)
    if colours.shape[1:] == size:
        return colours.contiguous()
    return _tensor(ImageOps.fit(_image(colours), (size[1], size[0]), Image.Resampling.LANCZOS))


def blurred(picture: Tensor) -> Tensor:
    """The picture, uint8 (1 or 3, H, W), in colours and blurred so little that everybody recognises the person."""
    radius = _BLUR * max(picture.shape[1:])
    return _tensor(_image(picture.expand(3, -1, -1)).filter(ImageFilter.GaussianBlur(radius)))


def _image(picture: Tensor) -> Image.Image:
    return Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
