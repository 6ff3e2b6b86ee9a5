"""Samples and colours: converts what Pillow decoded to 8-bit grey or sRGB, and notes every conversion.

Pillow takes the high byte of 16-bit colour, which is not the nearest 8-bit value. `eight_bit` gets both bytes
and rounds: v / 257 for 16 bits, in general 255 v / top.
"""

import re
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

from veil.images.photo import ImageError

Array = NDArray[Any]
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts to grey
_16_BIT = re.compile(r"(RGB|RGBA|RGBX|CMYK);16([BLN])")
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_PHOTOMETRIC, _BITS_PER_SAMPLE, _PLANAR_CONFIGURATION = 262, 258, 284  # TIFF tags
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# Two profiles whose results differ by no more than one level are the same to the eye and to a network.
_SAME = 1


def eight_bit(
    image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]
) -> tuple[Image.Image, Array | None, list[str]]:
    """Decodes ``image``, opened but not yet loaded.

    Args:
        reopen: opens the same file again; 16-bit colour is decoded twice, once for each byte.

    Returns:
        A picture in mode L, RGB, CMYK or LAB; alpha, uint8 (H, W), or None; notes.

    Raises:
        ImageError: for samples without a set range. Pillow's own errors pass through.
    """
    raw, mode = _raw_mode(image), image.mode
    if raw == "LA;16B":
        # A PNG that Pillow would make RGBA. Read as four samples of 8 bits it gives all four bytes.
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        image.load()
        levels = _rounded(_joined(np.asarray(image)[..., 0::2], np.asarray(image)[..., 1::2]), 65535)
        return Image.fromarray(levels[..., 0]), levels[..., 1], ["16 bit reduced to 8"]
    planes = _tiff_tag(image, _PLANAR_CONFIGURATION) == 2
    if planes and ";16" not in raw and 16 in (_tiff_tag(image, _BITS_PER_SAMPLE) or ()):
        # Pillow would read it as 8 bits.
        raise ImageError("16 bit colour in separate planes, not compressed, is not supported")
    if _16_BIT.fullmatch(raw) and not planes:
        low = reopen()
        low.tile = [tile._replace(args=_other_byte(tile.args)) for tile in low.tile]
        values = _joined(np.asarray(image), np.asarray(low))
        levels = _rounded(values, 65535)
        alpha = levels[..., 3] if mode == "RGBA" else None
        if mode == "RGB" and (key := _colour_key(image)):
            alpha = _alpha_of_key(values, key)
        colours = levels if mode == "CMYK" else levels[..., :3]
        picture = Image.frombytes("CMYK" if mode == "CMYK" else "RGB", image.size, colours.tobytes())
        return picture, alpha, ["16 bit reduced to 8"]
    image.load()
    if mode.startswith("I;16") or mode in ("I", "F"):
        return _one_wide_channel(image, raw)
    picture, alpha, notes = _narrow(image, raw)
    if ";16" in raw or image.info.get("bit_depth", 8) > 8:
        notes = ["more than 8 bits reduced to 8 by the decoder", *notes]
    return picture, alpha, notes


def to_srgb(image: Image.Image, profile: object) -> tuple[Image.Image, list[str]]:
    """Converts a picture in mode L, RGB, CMYK or LAB to L or sRGB by its ICC profile, if it has one; returns notes as
    well.

    A profile that is equivalent to sRGB changes nothing and is not mentioned; its effect on a grid of colours decides
    this, not its name. A broken profile is ignored. The intent is relative colorimetric with black point compensation.
    """
    notes = []
    if isinstance(profile, bytes) and profile and image.mode != "LAB":
        name = ""
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            name = _profile_name(source)
            return _by_profile(image, source, name)
        except Exception:  # PyCMSError, OSError, ValueError …: littleCMS on damaged data
            notes.append(f"colour profile {name}left out: it is damaged or made for other pixels")
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _transformed(image, _transform(lab, "LAB")), [*notes, "CIELAB converted to sRGB"]
    if image.mode == "CMYK":
        return image.convert("RGB"), [*notes, "CMYK converted to sRGB without a colour profile"]
    return image, notes


def _by_profile(image: Image.Image, source: ImageCms.ImageCmsProfile, name: str) -> tuple[Image.Image, list[str]]:
    space = _SPACES[source.profile.xcolor_space.strip()]
    if image.mode != space and (image.mode, space) != ("L", "RGB"):
        raise ValueError("the profile is made for other pixels")
    transform = _transform(source, space)
    if space == "CMYK":
        note = f"CMYK converted to sRGB by its colour profile {name}"
        return _transformed(image, transform), [note.rstrip()]
    probe = _probe(image.mode).convert(space)
    change = np.asarray(_transformed(probe, transform)).astype(int) - np.asarray(probe.convert("RGB"))
    if np.abs(change).max() <= _SAME:
        return image, []
    converted = _transformed(image.convert(space), transform)
    return converted.convert(image.mode), [f"colour profile {name}converted to sRGB"]


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    result = ImageCms.applyTransform(image, transform)
    assert result is not None  # None only where it works in place
    return result


def _probe(mode: str) -> Image.Image:
    """All greys, or a grid of 18³ colours."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    axis = np.arange(0, 256, 15, dtype=np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(axis, axis, axis), -1).reshape(1, -1, 3))


def _profile_name(profile: ImageCms.ImageCmsProfile) -> str:
    """The profile's name in quotes, followed by a space, printable and short; empty if it has none."""
    try:
        name = ImageCms.getProfileDescription(profile)
    except Exception:  # the description is as foreign as the rest
        return ""
    name = "".join(letter for letter in " ".join(name.split()) if letter.isprintable())[:60]
    return f"'{name}' " if name else ""


def _narrow(image: Image.Image, raw: str) -> tuple[Image.Image, Array | None, list[str]]:
    """A decoded picture of at most 8 bits per sample."""
    mode, key, notes = image.mode, image.info.get("transparency"), []
    if mode == "1":
        image, notes = image.convert("L"), ["1 bit expanded to 8"]
    elif mode in ("P", "PA"):
        clear = mode == "PA" or isinstance(key, (int, bytes)) or image.has_transparency_data
        colours = np.array(image.getpalette() or [0, 0, 1]).reshape(-1, 3)
        plain = "L" if (colours == colours[:, :1]).all() else "RGB"
        image, notes = image.convert(plain + "A" if clear else plain), ["palette expanded"]
    elif mode in ("La", "RGBa"):
        image, notes = image.convert(mode.upper()), ["premultiplied alpha divided out"]
    elif mode in ("YCbCr", "HSV"):
        image, notes = image.convert("RGB"), [f"{mode} converted to sRGB"]
    elif mode == "RGBX":
        image = image.convert("RGB")
    elif mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        raise ImageError(f"pixels of the kind {mode} are not supported")
    if image.mode in ("LA", "RGBA"):
        bands = image.split()
        return Image.merge("RGB", bands[:3]) if len(bands) == 4 else bands[0], np.array(bands[-1]), notes
    values = np.asarray(image)
    if mode in ("1", "L") and isinstance(key, int):
        # PNG gives the key in the file's own depth.
        key *= {"L;2": 85, "L;4": 17}.get(raw, 1)
        return image, _alpha_of_key(values[..., None], (key & 255,)), notes
    if mode == "RGB" and (colour := _colour_key(image)):
        return image, _alpha_of_key(values, tuple(part & 255 for part in colour)), notes
    return image, None, notes


def _one_wide_channel(image: Image.Image, raw: str) -> tuple[Image.Image, Array | None, list[str]]:
    """Grey of 12, 16 or 32 bits."""
    # Pillow does not invert TIFFs in which white is zero, unlike those of 8 bits.
    inverted = _tiff_tag(image, _PHOTOMETRIC) == 0
    values: Array = np.asarray(image)
    if image.mode == "F":
        if not ((values >= 0) & (values <= 1)).all():  # NaN fails too
            raise ImageError("floating point pixels are only supported from 0 to 1")
        values = 1 - values if inverted else values
        levels = (values * 255).round().astype(np.uint8)
        return Image.fromarray(levels), None, ["floating point reduced to 8 bit"]
    if image.mode == "I" and image.format != "PPM":  # Pillow scales PPM to 16 bits itself
        raise ImageError("signed and 32 bit integer pixels are not supported: their range is not known")
    if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise ImageError("pixels outside the range of 16 bits")
    values = values.astype(np.uint16)
    key = image.info.get("transparency")
    alpha = _alpha_of_key(values[..., None], (key,)) if isinstance(key, int) else None
    bits = 12 if raw.startswith("I;12") else 16
    levels = _rounded(~values if inverted and bits == 16 else values, 2**bits - 1)
    return Image.fromarray(levels), alpha, [f"{bits} bit reduced to 8"]


def _rounded(values: Array, top: int) -> Array:
    """0 … ``top`` to 0 … 255, to nearest, by a table."""
    table = (np.arange(65536, dtype=np.int64) * 510 + top) // (2 * top)
    return table.clip(0, 255).astype(np.uint8)[values]


def _joined(high: Array, low: Array) -> Array:
    return (high.astype(np.uint16) << 8) | low


def _alpha_of_key(values: Array, key: tuple[int, ...]) -> Array:
    """Transparent where all samples (H, W, C) equal the key, opaque elsewhere."""
    return np.where((values == np.array(key)).all(-1), 0, 255).astype(np.uint8)


def _colour_key(image: Image.Image) -> tuple[int, ...] | None:
    """The colour that a PNG declares transparent. (A text chunk with this name appears there, too.)"""
    key = image.info.get("transparency")
    return key if isinstance(key, tuple) and len(key) == 3 else None


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    return getattr(image, "tag_v2", {}).get(tag)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Pillow's raw mode for the samples, for instance "RGB" or "RGB;16B"."""
    args = image.tile[0].args if image.tile else ""
    raw = str(args[0] if isinstance(args, tuple) and args else args)
    deep = image.format == "PPM" and isinstance(args, tuple) and isinstance(args[-1], int) and args[-1] > 255
    return f"{raw};16" if deep else raw


def _other_byte(args: Any) -> Any:
    raw = args if isinstance(args, str) else args[0]
    raw = raw[:-1] + _OTHER_BYTE[raw[-1]]
    return raw if isinstance(args, str) else (raw, *args[1:])
