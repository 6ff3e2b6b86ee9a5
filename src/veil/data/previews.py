"""Previews in notebooks: a few of many images, in one picture."""

import base64
from html import escape
from io import BytesIO

from PIL import Image
from torch import Tensor

SHOWN = 10
_HEIGHT = 64  # pixels, about


def strip(images: Tensor, captions: list[str] | None = None) -> str:
    """The first images in a row, as HTML.

    Args:
        images: uint8 (N, 1 or 3, H, W).
        captions: one for each image, shown when the pointer rests on it.
    """
    texts = captions or [""] * len(images)
    return "".join(_image(image, text) for image, text in zip(images[:SHOWN], texts[:SHOWN], strict=True))


def figure(title: str, *rows: str) -> str:
    """A title above rows of HTML."""
    return f"<div><p>{escape(title)}</p>{''.join(f'<div>{row}</div>' for row in rows)}</div>"


def _image(pixels: Tensor, caption: str) -> str:
    values = pixels.cpu().permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
    scale = max(1, round(_HEIGHT / picture.height))
    shown = picture.resize((scale * picture.width, scale * picture.height), Image.Resampling.NEAREST)
    data = BytesIO()
    shown.save(data, "PNG")
    source = base64.b64encode(data.getvalue()).decode()
    return f'<img src="data:image/png;base64,{source}" title="{escape(caption)}" style="display:inline;margin:1px">'
