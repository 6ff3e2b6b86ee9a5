"""Synthetic pictures for runs that only test that everything works, without any download.

Numbers measured on them say nothing about real photos. All randomness comes from an explicit generator.
"""

import math
from collections.abc import Iterator
from functools import cache

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Generator, Tensor
from torch.nn import functional as F

from veil.data.labelled_images import LabelledImages, Mnist, Parts
from veil.data.layouts.mnist import CLASSES
from veil.images import quantise
from veil.runtime.seeds import seed_of

SIDE = 28  # pixels, of a digit's picture
_FINE = 2 * SIDE  # digits are drawn at twice the size
_STROKES = 3  # stroke widths that digits are drawn with
_BATCH = 1000  # bounds memory
PHOTO_SIDES = (96, 160)  # pixels, the least and the most
_GOLDEN = (math.sqrt(5) - 1) / 2  # of a turn: any number of hues this far apart are spread evenly
SMALL_IMAGES = "made"
"""Name of the data set of `small_images`."""


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.empty(count).uniform_(low, high, generator=generator)


def _between(low: float, high: float, generator: Generator) -> float:
    return float(_uniform(1, low, high, generator))


def digits(count: int, generator: Generator) -> LabelledImages:
    """Digits 0 to 9 that look like MNIST: white on black, about 20 × 20 pixels in the middle of 28 × 28.

    A font's ten digits in some stroke widths, each picture with its own rotation within ±15°, shear, size, place and
    bend, slightly blurred and noisy. The classes are balanced, in random order.

    Raises:
        ValueError: where ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"make at least one digit, not {count}")
    labels = (torch.arange(count) % 10)[torch.randperm(count, generator=generator)]
    images = torch.cat([_written(part, generator) for part in torch.split(labels, _BATCH)])
    return LabelledImages(images, labels, CLASSES)


def mnist_like(counts: tuple[int, int, int], seed: int) -> Mnist:
    """Synthetic digits in the form of MNIST; the training, validation and test parts are independent."""
    parts = (
        digits(count, torch.Generator().manual_seed(seed_of("made digits", part, seed)))
        for part, count in zip(("train", "validation", "test"), counts, strict=True)
    )
    return Mnist(*parts)


def _written(labels: Tensor, generator: Generator) -> Tensor:
    """One picture per label: uint8 (N, 1, 28, 28)."""
    count = len(labels)
    stroke = torch.randint(0, _STROKES, (count,), generator=generator)
    turn = _uniform(count, -15, 15, generator).deg2rad()
    shear = _uniform(count, -0.25, 0.25, generator)
    height, width = (_uniform(count, 0.85, 1.15, generator) for _ in range(2))
    shift = torch.stack([_uniform(count, -2, 2, generator) * 2 / SIDE for _ in range(2)], 1)
    # From the picture to the drawn digit; coordinates of affine_grid, where a picture spans [-1, 1].
    cos, sin = turn.cos(), turn.sin()
    across = torch.stack([cos + shear * sin, shear * cos - sin], 1) / width[:, None]
    down = torch.stack([sin, cos], 1) / height[:, None]
    theta = torch.cat([torch.stack([across, down], 1), shift[:, :, None]], 2)
    grid = F.affine_grid(theta, [count, 1, _FINE, _FINE], align_corners=False)
    bend = torch.empty(count, 2, 4, 4).normal_(0, 0.05, generator=generator)
    grid = grid + F.interpolate(bend, (_FINE, _FINE), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
    fine = F.grid_sample(_drawn()[labels, stroke][:, None], grid, align_corners=False)
    images = F.avg_pool2d(F.avg_pool2d(fine, 3, 1, 1), 2)
    noise = torch.empty_like(images).normal_(0, 0.02, generator=generator)
    return quantise(images * 1.1 + noise)


@cache
def _drawn() -> Tensor:
    """Pillow's own font: (10, strokes, 56, 56) in [0, 1], each digit 40 pixels high and in the middle."""
    drawn = torch.zeros(10, _STROKES, _FINE, _FINE)
    font = ImageFont.load_default(size=48)
    for digit in range(10):
        for stroke in range(_STROKES):
            canvas = Image.new("L", (96, 96))
            ImageDraw.Draw(canvas).text((48, 48), str(digit), 255, font, "mm", stroke_width=stroke)
            ink = canvas.crop(canvas.getbbox())
            ink = ink.resize((max(1, round(40 * ink.width / ink.height)), 40), Image.Resampling.BILINEAR)
            values = torch.frombuffer(bytearray(ink.tobytes()), dtype=torch.uint8).view(ink.height, ink.width) / 255
            top, left = (_FINE - ink.height) // 2, (_FINE - ink.width) // 2
            drawn[digit, stroke, top : top + ink.height, left : left + ink.width] = values
    return drawn


def small_images(*, train: int = 1000, test: int = 200, classes: int = 10, side: int = 32, seed: int = 0) -> Parts:
    """Colourful figures on colourful backgrounds, in the form of CIFAR: a small network learns them in seconds.

    A class has its own hue, number of lobes and width of rings; each image has its own position, size, rotation, shade,
    background and noise. Classes look the same for every seed and are balanced in each part.

    Args:
        train, test: number of images of each part; the parts are independent.
        side: of the images, in pixels.

    Raises:
        ValueError: if a part has no image, there are less than two classes, or the side is below 8 pixels.
    """
    if min(train, test) < 1 or classes < 2 or side < 8:
        raise ValueError(
            "make at least one image for each part, two classes and 8 pixels a side, "
            f"not {train} and {test} images, {classes} classes and {side} pixels"
        )
    names = tuple(f"made{number:0{len(str(classes - 1))}}" for number in range(classes))

    def part(name: str, count: int) -> LabelledImages:
        generator = torch.Generator().manual_seed(seed_of("made small images", name, seed))
        labels = (torch.arange(count) % classes)[torch.randperm(count, generator=generator)]
        images = [_figures(some, side, generator) for some in torch.split(labels, _BATCH)]
        return LabelledImages(torch.cat(images), labels, names)

    return Parts(SMALL_IMAGES, part("train", train), part("test", test))


def _figures(labels: Tensor, side: int, generator: Generator) -> Tensor:
    """One picture per label: uint8 (N, 3, side, side)."""
    count = len(labels)

    def drawn(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, generator)[:, None, None]

    kind = labels[:, None, None]
    y, x = _plane(side, side)
    x, y, turn = x - drawn(-0.3, 0.3), y - drawn(-0.3, 0.3), drawn(0, 2 * math.pi)
    angle, radius = torch.atan2(y, x) + turn, (x**2 + y**2).sqrt()
    edge = drawn(0.45, 0.7) * (1 + 0.25 * torch.cos((2 + kind % 5) * angle))
    mask = ((edge - radius) * side / 2 + 0.5).clamp(0, 1)[:, None]
    rings = 1 + 0.3 * torch.sin((3 + 3 * (kind % 3)) * math.pi * radius + drawn(0, 2 * math.pi))
    hue = kind * _GOLDEN + drawn(-0.02, 0.02)
    figure = _rainbow(hue) * (rings * drawn(0.7, 1))[:, None]
    ground = torch.empty(count, 3, 4, 4).uniform_(0.2, 0.8, generator=generator)
    ground = F.interpolate(ground, (side, side), mode="bicubic", align_corners=False)
    noise = torch.empty_like(ground).normal_(0, 0.05, generator=generator)
    return quantise(torch.lerp(ground, figure, mask) + noise)


def _rainbow(hue: Tensor) -> Tensor:
    """Bright colours (N, 3, 1, 1) of hues (N, 1, 1), which count in turns."""
    thirds = torch.arange(3).view(1, 3, 1, 1) / 3
    return 0.5 + 0.45 * torch.cos(2 * math.pi * (hue[:, None] - thirds))


def photos(count: int, generator: Generator) -> list[Tensor]:
    """Colourful pictures of soft textures, gradients and shaded ellipses: uint8 (3, H, W), sides of 96 to 160 pixels.

    Raises:
        ValueError: where ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"make at least one photo, not {count}")
    return list(_photos(count, generator))


def _photos(count: int, generator: Generator) -> Iterator[Tensor]:
    for _ in range(count):
        height, width = torch.randint(PHOTO_SIDES[0], PHOTO_SIDES[1] + 1, (2,), generator=generator).tolist()
        scene = _surface(height, width, generator)
        for _ in range(int(torch.randint(2, 7, (), generator=generator))):
            mask, shade = _ellipse(height, width, generator)
            scene = scene + mask * (_surface(height, width, generator) * shade - scene)
        scene = scene + torch.empty_like(scene).normal_(0, 0.015, generator=generator)
        yield quantise(scene)


def _surface(height: int, width: int, generator: Generator) -> Tensor:
    """A textured surface between two colours of its own, with a gradient across: (3, H, W) about [0, 1]."""
    dark, bright = torch.rand(2, 3, generator=generator).sort(0).values[:, :, None, None]
    y, x = _plane(height, width)
    angle, slope = _between(0, 2 * math.pi, generator), _between(0, 0.5, generator)
    gradient = 0.5 + slope * (x * math.cos(angle) + y * math.sin(angle))
    texture = 0.35 * _texture(height, width, _between(0.4, 0.8, generator), generator)
    return torch.lerp(dark, bright, gradient + texture)


def _texture(height: int, width: int, rough: float, generator: Generator) -> Tensor:
    """Smooth noise (H, W) over several octaves; an octave is ``rough`` times as strong as the next coarser one."""
    total, strength = torch.zeros(1, 1, height, width), 1.0
    for cells in (3, 6, 12, 24, 48):
        noise = torch.empty(1, 1, cells, cells).normal_(generator=generator)
        total += strength * F.interpolate(noise, (height, width), mode="bicubic", align_corners=False)
        strength *= rough
    return total[0, 0]


def _ellipse(height: int, width: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """A tilted ellipse: its mask (H, W) with an edge of about a pixel, and a shading (H, W) that lets it look round."""
    y, x = _plane(height, width)
    left, top = _uniform(2, -0.8, 0.8, generator).tolist()
    tilt, light = _between(0, math.pi, generator), _between(0, 2 * math.pi, generator)
    long, short = _uniform(2, 0.12, 0.7, generator).tolist()
    along = ((x - left) * math.cos(tilt) + (y - top) * math.sin(tilt)) / long
    across = ((y - top) * math.cos(tilt) - (x - left) * math.sin(tilt)) / short
    radius = (along**2 + across**2).sqrt()
    mask = ((1 - radius) * min(long, short) * min(height, width) / 2 + 0.5).clamp(0, 1)
    lit = (along * math.cos(light) + across * math.sin(light)).clamp(-1, 1)
    return mask, 1 - 0.4 * radius.clamp(max=1) ** 2 + 0.25 * lit


def _plane(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Coordinates (H, 1) and (1, W) from -1 to 1."""
    return torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None, :]
