"""The operators of ONNX that a classifier's file may hold, and the values that their attributes may have.

These are what convolutional networks and transformers for images consist of. What is not listed is refused: control
flow (``If``, ``Loop``, ``Scan``), sequences, strings, random numbers, operators of other domains and functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

OLDEST, NEWEST = 9, 25
"""Versions of the operator set that are read."""
DOMAINS = ("", "ai.onnx")
"""Names of the standard domain."""
_LARGEST = 4096  # of strides, kernels, padding: an image has no longer side


@dataclass(frozen=True)
class Attribute:
    """What an attribute may be.

    Attributes:
        kind: its type, by ONNX's name.
        allows: whether a value, or each value of a list, is allowed.
    """

    kind: str
    allows: Callable[[Any], bool]


def _between(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: least <= value <= most


def _one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: value in {word.encode() for word in words}


_FLAG, _AXIS, _SIZE, _REAL = _between(0, 1), _between(-8, 7), _between(1, _LARGEST), math.isfinite
_ANY: Callable[[Any], bool] = lambda value: True  # noqa: E731

ATTRIBUTES: Mapping[str, Attribute] = {
    **dict.fromkeys(
        ("keepdims", "ceil_mode", "count_include_pad", "transA", "transB", "allowzero", "saturate", "fmod"),
        Attribute("INT", _FLAG),
    ),
    **dict.fromkeys(("storage_order", "training_mode", "noop_with_empty_axes"), Attribute("INT", _between(0, 0))),
    **dict.fromkeys(("group", "blocksize", "size", "num_outputs"), Attribute("INT", _SIZE)),
    **dict.fromkeys(("kernel_shape", "strides", "dilations"), Attribute("INTS", _SIZE)),
    **dict.fromkeys(("axis", "start", "end"), Attribute("INT", _AXIS)),
    **dict.fromkeys(("axes", "perm"), Attribute("INTS", _AXIS)),
    **dict.fromkeys(
        ("alpha", "beta", "gamma", "epsilon", "momentum", "bias", "min", "max", "ratio", "value_float"),
        Attribute("FLOAT", _REAL),
    ),
    **dict.fromkeys(("starts", "ends", "value_ints"), Attribute("INTS", _ANY)),
    "pads": Attribute("INTS", _between(0, _LARGEST)),
    "split": Attribute("INTS", _between(0, 1 << 31)),
    "value_int": Attribute("INT", _ANY),
    "value_floats": Attribute("FLOATS", _REAL),
    "value": Attribute("TENSOR", _ANY),
    "stash_type": Attribute("INT", _between(1, 1)),
    "to": Attribute("INT", _between(1, 11)),
    "auto_pad": Attribute("STRING", _one_of("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")),
    "mode": Attribute("STRING", _one_of("constant", "reflect", "edge", "DCR", "CRD")),
    "approximate": Attribute("STRING", _one_of("none", "tanh")),
}
"""By name. Ranges keep ONNX's own code from dividing by zero, and sizes from overflowing."""

_CONVOLUTION = "auto_pad dilations group kernel_shape pads strides"
_REDUCTION = "axes keepdims noop_with_empty_axes"
_LISTED = {
    "Conv": _CONVOLUTION, "MatMul": "", "Gemm": "alpha beta transA transB",
    "AveragePool": "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides",
    "MaxPool": "auto_pad ceil_mode dilations kernel_shape pads storage_order strides",
    "GlobalAveragePool": "", "GlobalMaxPool": "",
    "BatchNormalization": "epsilon momentum training_mode", "InstanceNormalization": "epsilon",
    "LayerNormalization": "axis epsilon stash_type", "LRN": "alpha beta bias size",
    "Relu": "", "LeakyRelu": "alpha", "PRelu": "", "Elu": "alpha", "Selu": "alpha gamma", "Sigmoid": "",
    "HardSigmoid": "alpha beta", "HardSwish": "", "Tanh": "", "Softplus": "", "Softsign": "", "Erf": "",
    "Gelu": "approximate", "Clip": "min max", "Softmax": "axis", "LogSoftmax": "axis",
    "Add": "", "Sub": "", "Mul": "", "Div": "", "Pow": "", "Sqrt": "", "Reciprocal": "", "Exp": "", "Log": "",
    "Neg": "", "Abs": "", "Min": "", "Max": "", "Sum": "", "Mean": "", "Floor": "", "Ceil": "", "Sin": "", "Cos": "",
    "Mod": "fmod",
    "Equal": "", "Less": "", "Greater": "", "Not": "", "And": "", "Or": "", "Where": "",
    "ReduceMean": _REDUCTION, "ReduceSum": _REDUCTION, "ReduceMax": _REDUCTION, "ReduceMin": _REDUCTION,
    "ReduceProd": _REDUCTION, "ReduceL2": _REDUCTION,
    "Reshape": "allowzero", "Flatten": "axis", "Squeeze": "axes", "Unsqueeze": "axes", "Transpose": "perm",
    "Concat": "axis", "Split": "axis split num_outputs", "Slice": "starts ends axes", "Gather": "axis",
    "Expand": "", "Tile": "", "Pad": "mode pads value", "DepthToSpace": "blocksize mode", "SpaceToDepth": "blocksize",
    "Cast": "saturate to", "Shape": "start end", "Size": "", "Range": "", "ConstantOfShape": "value",
    "Constant": "value value_float value_floats value_int value_ints", "Identity": "",
    "Dropout": "ratio", "QuantizeLinear": "axis saturate", "DequantizeLinear": "axis",
}  # fmt: skip
OPERATORS: Mapping[str, frozenset[str]] = {name: frozenset(listed.split()) for name, listed in _LISTED.items()}
"""The attributes of each operator that a file may set."""


def attribute_of(operator: str, name: str) -> Attribute | None:
    """What an attribute of an operator may be; None where a file may not set it."""
    if name not in OPERATORS[operator]:
        return None
    if operator == "Pad" and name == "value":
        return Attribute("FLOAT", _REAL)
    return ATTRIBUTES[name]
