"""A new model of what is left of a graph: fixed sizes, logits at the end, operators that torch's converter knows.

**One image or several.** What was made of shapes is a constant in the new model. If it comes to the same for one image,
two and `TOGETHER`, and values grow no faster than the images, the model takes several at once; else one.

**Logits.** Veil's classifiers give logits, and whoever wants probabilities takes a softmax of them. A model that ends
in a softmax over its classes loses it here; so does one that ends in a log-softmax, whose own softmax is the same.

**Operator sets** after 17 are written as 17: their operators do the same, but for the form in which they get their
parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from veil.models.onnx.graph import IMAGE, Array, Graph
from veil.models.onnx.reading import LIMITS, Limits, OnnxRefused, package
from veil.models.onnx.sizes import Folds, Walk, walk

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

TOGETHER = 64
"""Images that go through a model at once at most."""
NEWEST_WRITTEN, _IR = 17, 8
_LAST = "images_with_channels_last"
_SAME_NUMBERS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_CHANNELS = (1, 3)


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """A model that Veil wrote, of a file that somebody else wrote.

    Attributes:
        model: takes images (N, channels, height, width), float32, and gives logits (N, classes).
        image: channels, height, width.
        several: whether N is free; else it is 1.
        ended_in: ``Softmax`` or ``LogSoftmax``, where the file ended in one; else None.
        parameters: numbers that the weights are.
    """

    model: ModelProto
    image: tuple[int, int, int]
    classes: int
    several: bool
    ended_in: str | None
    parameters: int


def rewritten(graph: Graph, limits: Limits = LIMITS) -> Rewritten:
    """Writes the model.

    Raises:
        OnnxRefused: where the graph is no classifier of images, takes too much, or contradicts itself.
    """
    folds: Folds = {}
    one = walk(graph, 1, limits, folds)
    classes = _classes(graph, one)
    writing = _Writing(graph, one)
    ended_in = writing.without_softmax()
    writing.drop_what_is_idle()
    free = _free_of_count(graph, one, writing.nodes, limits, folds)
    return writing.result(classes, free, ended_in)


def _classes(graph: Graph, one: Walk) -> int:
    """The number of classes, by the shape of the output.

    Raises:
        OnnxRefused: where it is no list of numbers for each image, or another than the file says.
    """
    value = one.values[graph.answer]
    if graph.answer in one.known or graph.answer in graph.constants:
        raise OnnxRefused("its answer does not depend on the image")
    if value.dtype != "f4" or len(value.shape) != 2 or value.shape[0] != 1:
        raise OnnxRefused(f"it gives {value.shape} for one image; expected (1, classes) in float32")
    said = graph.declared
    if said and (len(said) != 2 or said[1] not in (None, value.shape[1]) or said[0] not in (None, 1)):
        raise OnnxRefused(f"it says that it gives {said}, and gives {value.shape} for one image")
    return value.shape[1]


@dataclass(frozen=True)
class _Free:
    """What was made of shapes, as it is for any number of images.

    Attributes:
        constants: by name.
        repeated: of these, shapes to which one thing is expanded that every image gets.
    """

    constants: dict[str, Array]
    repeated: set[str]


def _free_of_count(graph: Graph, one: Walk, nodes: Sequence[NodeProto], limits: Limits, folds: Folds) -> _Free | None:
    """What was made of shapes, without the number of images in it; None where something depends on that.

    A `Reshape` to a shape that has the number of images somewhere can do without. An `Expand` to a shape that begins
    with it gives one thing, which is repeated otherwise.
    """
    made = {name for node in nodes for name in node.input if name in one.known and name not in graph.constants}
    others = []
    for count in (2, TOGETHER):
        try:
            other = walk(graph, count, limits, folds)
        except OnnxRefused:
            return None
        computed = [name for node in nodes for name in node.output]
        if not made <= other.known.keys() or any(
            other.values[name].bytes > count * one.values[name].bytes for name in computed
        ):
            return None
        if other.values[graph.answer].shape != (count, *one.values[graph.answer].shape[1:]):
            return None
        others.append(other)
    uses = [(name, node.op_type, place) for node in nodes for place, name in enumerate(node.input) if name in made]
    of_reshapes, of_expands = (
        made - {name for name, used, place in uses if (used, place) != (kind, 1)} for kind in ("Reshape", "Expand")
    )
    outputs: dict[str, list[str]] = {name: [] for name in of_reshapes}
    for node in nodes:
        if node.op_type == "Reshape" and node.input[1] in outputs:
            outputs[node.input[1]].append(node.output[0])
    freed = {name: _same(name, one, others) for name in made}
    freed |= {name: _without_count(of, one, others) for name, of in outputs.items() if freed[name] is None}
    repeated = {name for name in of_expands if freed[name] is None and _begins_with_count(name, one, others)}
    kept = {name: one.known[name] if name in repeated else array for name, array in freed.items()}
    constants = {name: array for name, array in kept.items() if array is not None}
    return _Free(constants, repeated) if len(constants) == len(made) else None


def _begins_with_count(name: str, one: Walk, others: Sequence[Walk]) -> bool:
    """Whether a shape begins with the number of images and is the same in everything else."""
    rest = list(one.known[name][1:])
    return all(list(walk.known[name]) == [walk.images, *rest] for walk in (one, *others))


def _same(name: str, one: Walk, others: Sequence[Walk]) -> Array | None:
    """A constant that does not depend on the number of images."""
    first = one.known[name]
    return first if all(np.array_equal(first, other.known[name]) for other in others) else None


def _without_count(outputs: Sequence[str], one: Walk, others: Sequence[Walk]) -> Array | None:
    """The shape of what some reshapes give, the number of images left to be computed (-1)."""
    shapes = [{walk.values[name].shape for name in outputs} for walk in (one, *others)]
    if any(len(found) != 1 for found in shapes) or len({len(shape) for (shape,) in shapes}) != 1:
        return None
    first, *rest = (np.array(next(iter(found)), np.int64) for found in shapes)
    differs = first != rest[0]
    grows = all(
        np.array_equal(shape, np.where(differs, first * other.images, first))
        for shape, other in zip(rest, others, strict=True)
    )
    return np.where(differs, -1, first) if grows and int(differs.sum()) == 1 else None


class _Writing:
    def __init__(self, graph: Graph, one: Walk) -> None:
        self.onnx, self.graph, self.one = package(), graph, one
        self.nodes: list[NodeProto] = list(one.left)
        self.answer = graph.answer
        self.version = min(graph.version, NEWEST_WRITTEN)
        self.constants: dict[str, Array] = {}
        self.written: list[NodeProto] = []

    def without_softmax(self) -> str | None:
        """Takes a softmax off the end; between it and the end, values may only get another shape.

        Raises:
            OnnxRefused: for a sigmoid there, which answers a question for each class, not one for all.
        """
        by_output = {name: node for node in self.nodes for name in node.output}
        after, name = None, self.answer
        while (node := by_output.get(name)) is not None and node.op_type in _SAME_NUMBERS:
            after, name = node, node.input[0]
        if node is None or node.op_type not in ("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid"):
            return None
        if "Sigmoid" in node.op_type:
            raise OnnxRefused("it ends in a sigmoid: a yes or no for every class, not a choice of one")
        shape = self.one.values[name].shape
        axis = next((a.i for a in node.attribute if a.name == "axis"), -1 if self.graph.version >= 13 else 1)
        over = shape[axis] if self.graph.version >= 13 else math.prod(shape[axis:])
        if over != math.prod(shape):
            raise OnnxRefused(f"it ends in a {node.op_type} over something else than its classes")
        self.nodes.remove(node)
        if after is None:
            self.answer = node.input[0]
        else:
            changed = type(after)()
            changed.CopyFrom(after)
            changed.input[0] = node.input[0]
            self.nodes[self.nodes.index(after)] = changed
        return str(node.op_type)

    def drop_what_is_idle(self) -> None:
        """Drops nodes that the answer does not need.

        Raises:
            OnnxRefused: where it does not need the image.
        """
        needed, kept = {self.answer}, []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                kept.append(node)
        if IMAGE not in needed:
            raise OnnxRefused("its answer does not depend on the image")
        self.nodes = kept[::-1]

    def result(self, classes: int, free: _Free | None, ended_in: str | None) -> Rewritten:
        """The model; for one image at a time where ``free`` is None."""
        helper, several = self.onnx.helper, free is not None
        constants, repeated = (free.constants, free.repeated) if free is not None else ({}, set())
        image, last = _arranged(self.graph.image)
        if last:
            self._emit("Transpose", [IMAGE], _LAST, perm=[0, 2, 3, 1])
        renamed = {IMAGE: _LAST} if last else {}
        for node in self.nodes:
            self._write(node, renamed)
            if node.op_type == "Expand" and node.input[1] in repeated:
                renamed[node.output[0]] = self._for_every_image(node.output[0])
        there = self.graph.constants | self.one.known | self.constants
        weights = {name: there[name] for name in self._wanted() if name in there}
        weights |= {name: array for name, array in constants.items() if name in weights}
        count: int | str = "n" if several else 1
        floats = self.onnx.TensorProto.FLOAT
        made = helper.make_graph(
            self.written, "classifier",
            [helper.make_tensor_value_info(IMAGE, floats, [count, *image])],
            [helper.make_tensor_value_info(self.answer, floats, [count, classes])],
            [self.onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
        )  # fmt: skip
        return Rewritten(
            model=helper.make_model(made, opset_imports=[helper.make_opsetid("", self.version)], ir_version=_IR),
            image=image, classes=classes, several=several, ended_in=ended_in,
            parameters=sum(array.size for array in weights.values() if array.dtype.kind == "f" and array.ndim),
        )  # fmt: skip

    def _wanted(self) -> list[str]:
        return list(dict.fromkeys(name for node in self.written for name in node.input if name))

    def _write(self, node: NodeProto, renamed: dict[str, str]) -> None:
        inputs = [renamed.get(name, name) for name in node.input]
        attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Split" and len(inputs) < 2 and "split" not in attributes:
            inputs, attributes = self._split(node, inputs, attributes)
        if node.op_type == "Gelu":
            self._gelu(inputs[0], node.output[0], attributes.get("approximate", b"none") == b"tanh")
            return
        if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
            attributes |= {"auto_pad": b"NOTSET", "pads": self._automatic(node, attributes)}
        if node.op_type == "Slice" and len(inputs) > 3 and inputs[3]:
            rank = len(self.one.values[node.input[0]].shape)
            axes = [axis % rank for axis in self._numbers(inputs[3], "Slice")]
            inputs[3] = self._constant(np.array(axes, np.int64))
        if self.graph.version > NEWEST_WRITTEN:
            inputs, attributes = self._as_before(node, inputs, attributes)
        made = self.onnx.helper.make_node(node.op_type, inputs, list(node.output), name=f"node_{len(self.written)}")
        kinds = {a.name: a.type for a in node.attribute} | dict.fromkeys(
            ("axes", "pads"), self.onnx.AttributeProto.INTS
        )
        made.attribute.extend(
            self.onnx.helper.make_attribute(name, value, attr_type=kinds.get(name))
            for name, value in attributes.items()
        )
        self.written.append(made)

    def _as_before(
        self, node: NodeProto, inputs: list[str], attributes: dict[str, Any]
    ) -> tuple[list[str], dict[str, Any]]:
        """Parameters of an operator of a later set as sets up to 17 have them."""
        kind = node.op_type
        attributes = {name: value for name, value in attributes.items() if name not in ("saturate", "num_outputs")}
        if kind == "AveragePool" and set(attributes.pop("dilations", ())) - {1}:
            raise OnnxRefused("it holds an AveragePool with gaps, which is not read")
        if kind.startswith("Reduce") and kind != "ReduceSum":
            attributes.pop("noop_with_empty_axes", None)
            if len(inputs) > 1 and inputs[1]:
                attributes["axes"] = self._numbers(inputs[1], kind)
            inputs = inputs[:1]
        if kind == "Pad" and len(inputs) > 3:
            inputs = [inputs[0], self._pads(node, inputs), *inputs[2:3]]
        return inputs, attributes

    def _automatic(self, node: NodeProto, attributes: dict[str, Any]) -> list[int]:
        """Padding that a file leaves to whoever runs it: none, or as much as keeps the size but for strides."""
        given = self.one.values[node.input[0]].shape[2:]
        sides = attributes.get("kernel_shape") or self.one.values[node.input[1]].shape[2:]
        ones = [1] * len(given)
        strides, gaps = attributes.get("strides", ones), attributes.get("dilations", ones)
        before, after = [], []
        for size, kernel, stride, gap in zip(given, sides, strides, gaps, strict=True):
            needed = (math.ceil(size / stride) - 1) * stride + (kernel - 1) * gap + 1 - size
            total = 0 if attributes["auto_pad"] == b"VALID" else max(0, needed)
            less, more = total // 2, total - total // 2
            before.append(less if attributes["auto_pad"] == b"SAME_UPPER" else more)
            after.append(more if attributes["auto_pad"] == b"SAME_UPPER" else less)
        return [*before, *after]

    def _split(
        self, node: NodeProto, inputs: list[str], attributes: dict[str, Any]
    ) -> tuple[list[str], dict[str, Any]]:
        """A split in equal parts says how long they are."""
        axis = attributes.get("axis", 0)
        parts = [self.one.values[name].shape[axis] for name in node.output]
        without = {name: value for name, value in attributes.items() if name != "num_outputs"}
        if self.version < 13:
            return inputs, without
        return [inputs[0], self._constant(np.array(parts, np.int64))], without

    def _pads(self, node: NodeProto, inputs: list[str]) -> str:
        """Padding of some axes as padding of all."""
        rank = len(self.one.values[node.input[0]].shape)
        given, axes = self._numbers(inputs[1], "Pad"), self._numbers(inputs[3], "Pad") if inputs[3] else range(rank)
        pads = np.zeros(2 * rank, np.int64)
        for place, axis in enumerate(axes):
            pads[axis % rank], pads[axis % rank + rank] = given[place], given[place + len(given) // 2]
        return self._constant(pads)

    def _numbers(self, name: str, kind: str) -> list[int]:
        if name not in self.one.known:
            raise OnnxRefused(f"the parameters of {kind} depend on the image")
        return [int(value) for value in self.one.known[name].reshape(-1)]

    def _for_every_image(self, name: str) -> str:
        """What is the same for all images, with a copy for each: a zero for every image is added."""
        means = self._emit("ReduceMean", [IMAGE], axes=[1, 2, 3], keepdims=0)
        zeros = self._emit("Mul", [means, self._scalar(0)])
        shape = [-1, *[1] * (len(self.one.values[name].shape) - 1)]
        spread = self._emit("Reshape", [zeros, self._constant(np.array(shape, np.int64))])
        return self._emit("Add", [name, spread])

    def _gelu(self, given: str, out: str, tanh: bool) -> None:
        """x Φ(x), or its approximation by tanh, in operators of set 17."""
        half, one = self._scalar(0.5), self._scalar(1)
        if tanh:
            cube = self._emit("Pow", [given, self._scalar(3)])
            inner = self._emit("Add", [given, self._emit("Mul", [cube, self._scalar(0.044715)])])
            bent = self._emit("Tanh", [self._emit("Mul", [inner, self._scalar(math.sqrt(2 / math.pi))])])
        else:
            bent = self._emit("Erf", [self._emit("Mul", [given, self._scalar(math.sqrt(0.5))])])
        share = self._emit("Mul", [self._emit("Add", [bent, one]), half])
        self._emit("Mul", [given, share], out)

    def _emit(self, kind: str, inputs: list[str], out: str | None = None, **attributes: Any) -> str:
        number = len(self.written)
        out = out or f"made_{number}"
        self.written.append(self.onnx.helper.make_node(kind, inputs, [out], name=f"node_{number}", **attributes))
        return out

    def _scalar(self, value: float) -> str:
        return self._constant(np.array(value, np.float32))

    def _constant(self, array: Array) -> str:
        name = f"made_constant_{len(self.constants)}"
        self.constants[name] = array
        return name


def _arranged(shape: tuple[int | None, ...]) -> tuple[tuple[int, int, int], bool]:
    """Channels, height and width of an input, and whether its channels come last."""
    sizes = [size or 0 for size in shape[1:]]
    last = sizes[0] not in _CHANNELS
    channels, height, width = (sizes[2], sizes[0], sizes[1]) if last else sizes
    if channels not in _CHANNELS:
        raise OnnxRefused(f"its input has the shape {shape}; expected (N, 3, H, W) or (N, H, W, 3)")
    return (channels, height, width), last
