"""Resizing of Pillow images."""

from PIL import Image


def resize(image: Image.Image, side: int) -> Image.Image:
    """The image with ``side`` × ``side`` pixels; itself if it has this size."""
    return image if image.size == (side, side) else image.resize((side, side), Image.Resampling.BICUBIC)
