"""A face recogniser in an ONNX file: its embeddings measure re-identification (extra ``faces``).

Intended for MobileFaceNet (Chen et al. 2018, MobileFaceNets: Efficient CNNs for accurate real-time face verification on
mobile devices) and any network of the same form: one input (N or 1, 3, H, W) of RGB normalised with ImageNet's mean and
deviation, one output (N or 1, D). onnxruntime runs it on the CPU; an ONNX file is a graph of known operators, and holds
no code.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from veil import images as pictures
from veil.runtime.errors import UserError

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
_BATCH = 32  # images in a call, where the network takes several


class EmbedderMissing(UserError, ImportError):
    """The extra ``faces`` is not installed."""


class FaceEmbedder:
    """Embeds faces: call it with images.

    Attributes:
        side: (height, width) of the network's input.
        width: D, values of an embedding.
    """

    side: tuple[int, int]
    width: int

    def __init__(self, path: Path | str, *, crop: float = 0.75, threads: int | None = None) -> None:
        """Reads the network.

        Args:
            crop: share of each side that is kept around the centre before resizing: 0.75 suits loose crops of a
                detector, 1 suits aligned faces.
            threads: number of images that are embedded in parallel; None takes the number of cores.

        Raises:
            EmbedderMissing: where onnxruntime is not installed.
            FileNotFoundError: where there is no such file.
            ValueError: if the file is not such a network, the crop is outside (0, 1], or there is less than one thread.
        """
        if not 0 < crop <= 1:
            raise ValueError(f"the crop must keep a share in (0, 1], not {crop}")
        if threads is not None and threads < 1:
            raise ValueError(f"at least one thread is needed, not {threads}")
        self._crop = crop
        self._threads = threads or os.cpu_count() or 1
        self._session = _session(Path(path))
        self._batch, self.side, self.width = _form(self._session, Path(path))

    def __call__(self, images: Tensor) -> Tensor:
        """Embeddings of length 1, to be compared by their cosine: float32 (N, D), on the CPU.

        If the network returns only zeros for an image, its embedding is zero.

        Args:
            images: uint8, or floats in [0, 1]; RGB faces (N, 3, H, W).

        Raises:
            ValueError: for other images, or if the network returns numbers that are not finite.
        """
        _check(images)
        embeddings = torch.empty(len(images), self.width)
        with ThreadPoolExecutor(self._threads) as pool:
            for place, part in pool.map(self._embedded, self._parts(images)):
                embeddings[place] = part
        if not embeddings.isfinite().all():
            raise ValueError("the face recogniser returns numbers that are not finite")
        return F.normalize(embeddings, dim=1)

    def _parts(self, images: Tensor) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(images), self._batch):
            place = slice(start, min(start + self._batch, len(images)))
            yield place, images[place]

    def _embedded(self, part: tuple[slice, Tensor]) -> tuple[slice, Tensor]:
        place, images = part
        seen = preprocess(images, self._crop, self.side).numpy()
        (answer,) = self._session.run(None, {self._session.get_inputs()[0].name: seen})
        return place, torch.from_numpy(answer)


def preprocess(images: Tensor, crop: float, side: tuple[int, int]) -> Tensor:
    """The network's input: the centre of the images, resized (bilinear, antialiased), normalised; float32, CPU.

    Args:
        images: uint8, or floats in [0, 1]; (N, 3, H, W).
        crop: share of each side that is kept, in (0, 1].
        side: (height, width) to be resized to.
    """
    values = pictures.to_float(images) if images.dtype == torch.uint8 else images.detach().float()
    height, width = (max(1, round(crop * size)) for size in images.shape[-2:])
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    middle = values.cpu()[..., top : top + height, left : left + width]
    resized = F.interpolate(middle, side, mode="bilinear", align_corners=False, antialias=True)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return ((resized.clamp(0, 1) - mean) / deviation).contiguous()


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EmbedderMissing('face recognition needs onnxruntime: pip install "veil[faces]"') from error
    if not path.is_file():
        raise FileNotFoundError(f"there is no face recogniser {path}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # threads go to images, which scales better
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception of its own for every way to be broken
        raise ValueError(f"{path}: not an ONNX network ({' '.join(str(error).split())[:120]})") from error


def _form(session: Any, path: Path) -> tuple[int, tuple[int, int], int]:
    """Images in a call, the input's height and width, and the output's width."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    taken, returned = (tuple(ends[0].shape) if len(ends) == 1 else () for ends in (inputs, outputs))
    sized = taken[1:] + returned[1:]
    if (len(taken), len(returned)) != (4, 2) or not all(isinstance(size, int) for size in sized) or taken[1] != 3:
        raise ValueError(f"{path}: not a face recogniser: expected (N, 3, H, W) to (N, D), not {taken} to {returned}")
    if inputs[0].type != "tensor(float)":
        raise ValueError(f"{path}: not a face recogniser: its input is {inputs[0].type}, expected tensor(float)")
    batch = taken[0] if isinstance(taken[0], int) else _BATCH
    if batch not in (1, _BATCH):
        raise ValueError(f"{path}: takes {batch} images at once; expected one, or any number")
    return batch, (taken[2], taken[3]), returned[1]


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.numel() == 0:
        raise ValueError(f"faces must have shape (N, 3, H, W), not {tuple(images.shape)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"faces must be uint8, or floats in [0, 1], not {images.dtype}")
