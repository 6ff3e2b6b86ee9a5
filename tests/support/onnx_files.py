"""Small classifiers as ONNX files with cards, made by `onnx.helper`; what they say is computed by torch beside them."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

if missing := [name for name in ("onnx", "onnxruntime", "onnx2torch") if find_spec(name) is None]:
    pytest.skip(f'{", ".join(missing)} missing: pip install "veil[onnx]"', allow_module_level=True)
onnx: Any = import_module("onnx")

SIDE, CLASSES = 16, 5
CARD = """
name = "{name}"
architecture = "onnx"
weights = "{name}.onnx"
labels = "{name}.txt"
[input]
resize = [{side}, {side}]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""
FLOAT = 1


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Of a convolution and a linear layer."""
    random = np.random.default_rng(seed)
    shapes = {"kernel": (4, 3, 3, 3), "bias": (4,), "matrix": (CLASSES, 4), "shift": (CLASSES,)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def logits(images: Tensor, seed: int = 0) -> Tensor:
    """What `model` says of normalised images (N, 3, 16, 16)."""
    known = {name: torch.from_numpy(value) for name, value in weights(seed).items()}
    means = F.conv2d(images, known["kernel"], known["bias"], padding=1).relu().mean((2, 3))
    return means @ known["matrix"].T + known["shift"]


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    """One of a graph."""
    return onnx.helper.make_node(kind, list(inputs), [output], **attributes)


def nodes() -> list[Any]:
    """From ``images`` to ``logits``."""
    return [
        node("Conv", ["images", "kernel", "bias"], "convolved", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Relu", ["convolved"], "bent"),
        node("GlobalAveragePool", ["bent"], "means"),
        node("Flatten", ["means"], "flat", axis=1),
        node("Gemm", ["flat", "matrix", "shift"], "logits", transB=1),
    ]


def model(
    made: Sequence[Any] | None = None,
    *,
    batch: int | str | None = "n",
    image: Sequence[int | str | None] = (3, SIDE, SIDE),
    output: str = "logits",
    answer: Sequence[int | str | None] = ("n", CLASSES),
    held: dict[str, np.ndarray] | None = None,
    opset: int = 17,
    seed: int = 0,
) -> Any:
    """A model; that of `nodes` unless others are given.

    Args:
        image, answer: shapes that the file says.
        held: further constants.
    """
    helper = onnx.helper
    graph = helper.make_graph(
        list(nodes() if made is None else made), "classifier",
        [helper.make_tensor_value_info("images", FLOAT, [batch, *image])],
        [helper.make_tensor_value_info(output, FLOAT, list(answer))],
        [onnx.numpy_helper.from_array(value, name) for name, value in (weights(seed) | (held or {})).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def write(folder: Path, content: Any = None, name: str = "small", card: str = CARD) -> Path:
    """A card with network and labels beside it; returns the card's path.

    Args:
        content: a model, or the bytes of a file.
    """
    data = content if isinstance(content, bytes) else (model() if content is None else content).SerializeToString()
    (folder / f"{name}.onnx").write_bytes(data)
    (folder / f"{name}.txt").write_text("".join(f"thing {k}\n" for k in range(CLASSES)))
    path = folder / f"{name}.toml"
    path.write_text(card.format(name=name, side=SIDE))
    return path


def not_convertible() -> Any:
    """A model with whole numbers of eight bits inside, which onnxruntime runs and onnx2torch does not know."""
    made = nodes()
    made[1:2] = [
        node("Relu", ["convolved"], "positive"),
        node("QuantizeLinear", ["positive", "step", "zero"], "whole"),
        node("DequantizeLinear", ["whole", "step", "zero"], "bent"),
    ]
    return model(made, held={"step": np.array(0.05, np.float32), "zero": np.array(0, np.uint8)})
