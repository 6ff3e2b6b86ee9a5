"""Photos that anybody may show: scikit-image's, CC0 or in the public domain. They replace photos of a paper that are
not available. They come with the extra ``demo``."""

from importlib.resources import files

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from veil import images
from veil.models.classifier import centre_crop

CREDITS = {
    "chelsea": "“chelsea”, Stéfan van der Walt, CC0",
    "coffee": "“coffee”, Rachel Michetti, CC0",
    "astronaut": "“astronaut” Eileen Collins, NASA, public domain",
}


def read(name: str, side: int) -> Tensor:
    """The middle of a photo: uint8 (3, side, side).

    Raises:
        ValueError: where scikit-image is not installed.
    """
    try:
        whole = images.decode((files("skimage.data") / f"{name}.png").read_bytes()).pixels
    except ModuleNotFoundError:
        raise ValueError('the photos shown are scikit-image\'s: pip install "veil[demo]"') from None
    square = Image.fromarray(centre_crop(whole, min(whole.shape[1:])).permute(1, 2, 0).numpy())
    resized = square.resize((side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(resized).transpose(2, 0, 1).copy())
