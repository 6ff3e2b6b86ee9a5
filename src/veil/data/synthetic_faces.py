"""Synthetic faces for runs that only test that everything works: drawn people with the attributes of Li et al. 2019.

`faces` returns people with several pictures per person, in the form of CelebA. The person decides skin, hair colour,
the width of the face, the distance of the eyes and ``Male``; a picture has its own expression, make-up, pose, light and
background. The attributes are drawn as follows:

- ``Smiling``: the corners of the mouth are up and teeth show; else they hang a little.
- ``Male``: short hair, a wide jaw, thick brows, most with a beard; else hair down to the shoulders and a narrow chin.
- ``High_Cheekbones``: bright patches high on the cheeks, and a shadow below.
- ``Heavy_Makeup``: deep red lips and coloured lids.

As in CelebA, make-up is rare among men and frequent among women, and high cheekbones go with a smile. Numbers measured
on drawn faces say nothing about real ones.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from veil.data.faces import PARTS, FaceParts, Faces
from veil.images import quantise
from veil.runtime.seeds import seed_of

NAMES = ("Heavy_Makeup", "High_Cheekbones", "Male", "Smiling")
PICTURES = 6  # of each person, as far as they go
SMALLEST_SIDE = 24
_SHARES = {"validation": 0.1, "test": 0.2}
_BATCH = 250  # bounds memory
_SKIN = ((0.98, 0.84, 0.74), (0.92, 0.72, 0.58), (0.76, 0.55, 0.40), (0.50, 0.34, 0.25))  # light to dark
_HAIR = ((0.10, 0.08, 0.08), (0.32, 0.19, 0.10), (0.62, 0.42, 0.20), (0.88, 0.74, 0.42), (0.55, 0.18, 0.10))
_RED, _WHITE, _BLACK = (0.78, 0.02, 0.16), (0.97, 0.96, 0.94), (0.06, 0.05, 0.06)


def faces(count: int, seed: int = 0, side: int = 48) -> FaceParts:
    """Synthetic faces: 70 % for training, 10 % validation and 20 % test; the parts have no person in common.

    Args:
        count: number of all images, at least 10.
        side: of the images, in pixels.

    Raises:
        ValueError: for fewer images, or a side of less than `SMALLEST_SIDE` pixels.
    """
    if count < 10 or side < SMALLEST_SIDE:
        raise ValueError(f"make at least 10 faces of {SMALLEST_SIDE} pixels a side, not {count} of {side}")
    counts = {part: round(share * count) for part, share in _SHARES.items()}
    counts["train"] = count - sum(counts.values())
    return FaceParts("made-faces", *(_part(number, counts[part], seed, side) for number, part in enumerate(PARTS)))


@dataclass(frozen=True)
class _Person:
    """What stays the same from picture to picture; (N, 1, 1), colours (N, 3, 1, 1)."""

    male: Tensor
    made_up: Tensor  # how often
    skin: Tensor
    hair: Tensor
    lids: Tensor
    width: Tensor
    eyes: Tensor
    beard: Tensor

    def take(self, index: Tensor) -> "_Person":
        return _Person(**{name: values[index] for name, values in vars(self).items()})


def _part(number: int, count: int, seed: int, side: int) -> Faces:
    """One part. Identities increase in steps of the number of parts, so that they differ between parts."""
    draw = torch.Generator().manual_seed(seed_of("made faces", PARTS[number], seed))
    person = torch.arange(count) // PICTURES
    people = _people(int(person[-1]) + 1, draw)
    images, attributes = [], []
    for some in torch.split(person, _BATCH):
        pictured = people.take(some)
        shows = _attributes(pictured, draw)
        images.append(_drawn(pictured, shows, side, draw))
        attributes.append(torch.stack([shows[name].flatten() for name in NAMES], 1))
    return Faces(torch.cat(images), torch.cat(attributes), NAMES, person * len(PARTS) + number)


def _people(count: int, draw: Generator) -> _Person:
    male = _uniform(count, 0, 1, draw) < 0.42
    often = torch.where(_uniform(count, 0, 1, draw) < 0.5, 0.9, 0.35)
    hue = 2 * math.pi * (_uniform(count, 0, 0.45, draw)[:, None] + 0.45 - torch.arange(3).view(1, 3, 1, 1) / 3)
    return _Person(
        male=male,
        made_up=torch.where(male, 0.03, often),
        skin=_shade(_SKIN, _uniform(count, 0, 1, draw)),
        hair=_shade(_HAIR, _uniform(count, 0, 1, draw)),
        lids=0.4 + 0.35 * torch.cos(hue),  # green, blue or violet
        width=_uniform(count, 0.46, 0.58, draw),
        eyes=_uniform(count, 0.19, 0.25, draw),
        beard=torch.where(_uniform(count, 0, 1, draw) < 0.85, _uniform(count, 0.5, 0.95, draw), 0.0) * male,
    )


def _attributes(person: _Person, draw: Generator) -> dict[str, Tensor]:
    """Attributes of a picture of each person: bool (N, 1, 1)."""
    count = len(person.male)
    smiling = _uniform(count, 0, 1, draw) < 0.48
    return {
        "Smiling": smiling,
        "Male": person.male,
        "High_Cheekbones": _uniform(count, 0, 1, draw) < torch.where(smiling, 0.75, 0.18),
        "Heavy_Makeup": _uniform(count, 0, 1, draw) < person.made_up,
    }


def _drawn(person: _Person, shows: dict[str, Tensor], side: int, draw: Generator) -> Tensor:
    """One picture of each person: uint8 (N, 3, side, side)."""
    count = len(person.male)
    x, y = _pose(count, side, draw)
    pixels = side / 2
    male, makeup = shows["Male"], shows["Heavy_Makeup"]

    def inside(across: Tensor | float, down: Tensor | float, wide: Tensor | float, high: Tensor | float) -> Tensor:
        """Mask (N, side, side) of an ellipse, with an edge of about a pixel."""
        radius = (((x - across) / wide) ** 2 + ((y - down) / high) ** 2).sqrt()
        return ((1 - radius) * torch.as_tensor(wide).clamp(max=high) * pixels + 0.5).clamp(0, 1)

    shirt, ground = (_colours(count, draw) for _ in range(2))
    picture = ground.expand(-1, -1, side, side)
    width = person.width
    long = inside(0, 0.08, width + 0.2, 0.92) * ~male
    picture = _paint(picture, person.hair, long)
    picture = _paint(picture, 0.85 * person.skin, inside(0, 0.7, 0.2 + 0.08 * male, 0.5))
    picture = _paint(picture, shirt, inside(0, 1.2, 0.95, 0.48))
    picture = _paint(picture, person.hair, inside(0, -0.16, width + 0.07, 0.68))
    jaw = torch.where((y > 0) & male, 3.2, 2.0)
    radius = ((x.abs() / width) ** jaw + (y.abs() / 0.66) ** jaw) ** (1 / jaw)
    head = ((1 - radius) * width * pixels + 0.5).clamp(0, 1)
    picture = _paint(picture, person.skin, head)
    below = ((y - 0.16 - 0.35 * (0.5 - x.abs()).clamp(min=0)) * pixels / 2 + 0.5).clamp(0, 1)
    picture = _paint(picture, person.hair, head * below * person.beard)
    fringe = ((-0.36 - 0.5 * x**2 * ~male - y) * pixels + 0.5).clamp(0, 1)
    picture = _paint(picture, person.hair, head * fringe)
    for sign in (-1, 1):
        bone = inside(sign * 0.68 * width, 0.1, 0.16, 0.09) * shows["High_Cheekbones"]
        picture = _paint(picture, 0.25 * person.skin + 0.75, 0.8 * bone)
        hollow = inside(sign * 0.72 * width, 0.29, 0.13, 0.09) * shows["High_Cheekbones"]
        picture = _paint(picture, 0.5 * person.skin, 0.7 * hollow)
        eye = sign * person.eyes
        picture = _paint(picture, person.lids, 0.9 * inside(eye, -0.14, 0.17, 0.115) * makeup)
        picture = _paint(picture, _WHITE, inside(eye, -0.09, 0.12, 0.065))
        picture = _paint(picture, _BLACK, inside(eye, -0.09, 0.055, 0.055))
        picture = _paint(picture, 0.6 * person.hair, 0.9 * inside(eye, -0.27, 0.16, 0.03 + 0.025 * male))
    picture = _paint(picture, 0.72 * person.skin, 0.8 * inside(0, 0.14, 0.06, 0.1))
    picture = _mouth(picture, person, shows, x, y, pixels)
    light = 1 + _uniform(count, -0.25, 0.25, draw) * x + _uniform(count, -0.15, 0.15, draw)
    noise = torch.empty_like(picture).normal_(0, 0.02, generator=draw)
    return quantise(picture * light[:, None] + noise)


def _pose(count: int, side: int, draw: Generator) -> tuple[Tensor, Tensor]:
    """Coordinates (N, side, side) in the face's own frame: moved, tilted by up to 8° and of another size."""
    line = torch.linspace(-1, 1, side)
    tilt = _uniform(count, -8, 8, draw).deg2rad()
    size = _uniform(count, 0.92, 1.08, draw)
    x = (line[None, None, :] - _uniform(count, -0.08, 0.08, draw)) / size
    y = (line[None, :, None] - _uniform(count, -0.06, 0.06, draw)) / size
    return tilt.cos() * x + tilt.sin() * y, tilt.cos() * y - tilt.sin() * x


def _mouth(
    picture: Tensor, person: _Person, shows: dict[str, Tensor], x: Tensor, y: Tensor, pixels: float
) -> Tensor:  # fmt: skip
    smiling = shows["Smiling"]
    along = (x / (0.21 + 0.05 * smiling)) ** 2
    off = (y - 0.4 - 0.06 * smiling - torch.where(smiling, -0.14, 0.05) * along).abs()
    reach = (1 - along).clamp(min=0).sqrt()

    def within(half: Tensor) -> Tensor:
        return ((half * reach - off) * pixels + 0.5).clamp(0, 1) * (along < 1)

    red = torch.tensor(_RED).view(1, 3, 1, 1)
    lips = torch.where(
        shows["Heavy_Makeup"][:, None], red, person.skin * torch.tensor([0.72, 0.52, 0.52]).view(3, 1, 1)
    )
    picture = _paint(picture, lips, within(0.06 + 0.035 * smiling))
    return _paint(picture, _WHITE, within(0.045 * smiling) * smiling)


def _paint(picture: Tensor, colour: Tensor | tuple[float, float, float], mask: Tensor) -> Tensor:
    """The picture (N, 3, H, W) with a colour, (N, 3, 1, 1) or one for all, where the mask (N, H, W) is 1."""
    if not isinstance(colour, Tensor):
        colour = torch.tensor(colour).view(1, 3, 1, 1)
    return torch.lerp(picture, colour, mask[:, None])


def _shade(tones: tuple[tuple[float, float, float], ...], place: Tensor) -> Tensor:
    """Colours (N, 3, 1, 1) on the way through ``tones``; places (N, 1, 1) are 0 at the first and 1 at the last."""
    table = torch.tensor(tones)
    step = place.flatten() * (len(tones) - 1)
    low = step.long().clamp(max=len(tones) - 2)
    return torch.lerp(table[low], table[low + 1], (step - low)[:, None])[:, :, None, None]


def _colours(count: int, draw: Generator) -> Tensor:
    return torch.empty(count, 3, 1, 1).uniform_(0.15, 0.95, generator=draw)


def _uniform(count: int, low: float, high: float, draw: Generator) -> Tensor:
    return torch.empty(count, 1, 1).uniform_(low, high, generator=draw)
