"""What a file's graph says, taken over piece by piece: only what `veil.models.onnx.operators` lists, renamed.

Nothing of the file's own message is passed on. Names in it are used to find values, and replaced by numbers: a
converter may write them into Python source. Data outside the file is refused, and so is a weight whose shape does not
fit the bytes that it holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from veil.models.onnx.operators import DOMAINS, NEWEST, OLDEST, OPERATORS, attribute_of
from veil.models.onnx.reading import LIMITS, Limits, OnnxRefused, package
from veil.runtime.files import printable

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

Array = np.ndarray[Any, Any]
MOST_DIMENSIONS = 8
IMAGE = "images"
"""Name of the input."""


@dataclass(frozen=True)
class _Stored:
    """How a type is stored: NumPy's name of it, the field of numbers that may hold it, and their range."""

    dtype: str
    field: str
    least: int = 0
    most: int = 0


_STORED = {
    1: _Stored("<f4", "float_data"),
    2: _Stored("|u1", "int32_data", 0, 255),
    3: _Stored("|i1", "int32_data", -128, 127),
    6: _Stored("<i4", "int32_data", -(1 << 31), (1 << 31) - 1),
    7: _Stored("<i8", "int64_data", -(1 << 63), (1 << 63) - 1),
    9: _Stored("|b1", "int32_data", 0, 1),
    10: _Stored("<f2", "int32_data", 0, (1 << 16) - 1),
    11: _Stored("<f8", "double_data"),
}
"""By ONNX's number of a type."""


@dataclass(frozen=True)
class Graph:
    """A graph that was checked piece by piece.

    Attributes:
        nodes: in an order in which each has its inputs; values are named by numbers.
        constants: weights and other constants by name.
        image: shape of the input; None where a dimension may have any size.
        answer: name of the output.
        declared: shape of the output, as the file says it; empty where it does not.
        version: of the operator set.
    """

    nodes: Sequence[NodeProto]
    constants: dict[str, Array]
    image: tuple[int | None, ...]
    answer: str
    declared: tuple[int | None, ...]
    version: int


def taken_over(model: ModelProto, limits: Limits = LIMITS) -> Graph:
    """The graph of a message.

    Raises:
        OnnxRefused: where it holds anything that is not listed, or contradicts itself.
    """
    if len(model.functions):
        raise OnnxRefused("it defines functions of its own")
    if len(model.training_info) or len(model.graph.sparse_initializer):
        raise OnnxRefused("it holds training steps or sparse weights")
    if len(model.graph.node) > limits.nodes:
        raise OnnxRefused(f"it has more than {limits.nodes:,} operators")
    return _Taking(model, limits).graph()


class _Taking:
    """Takes a graph over; ``names`` are the new names by the file's."""

    def __init__(self, model: ModelProto, limits: Limits) -> None:
        self.onnx, self.limits = package(), limits
        self.version = _version(model)
        self.names: dict[str, str] = {"": ""}
        self.constants: dict[str, Array] = {}
        self.nodes: list[NodeProto] = []
        self.proto: GraphProto = model.graph

    def graph(self) -> Graph:
        weights = 0
        for tensor in self.proto.initializer:
            array = array_of(tensor, self.limits)
            weights += array.nbytes
            self._hold(tensor.name, array)
        given = [value for value in self.proto.input if value.name not in self.names]
        if len(given) != 1 or len(self.proto.output) != 1:
            raise OnnxRefused(
                f"it has {len(given)} inputs and {len(self.proto.output)} outputs; a classifier has one of each"
            )
        self._name(given[0].name, IMAGE)
        for node in self.proto.node:
            self._take(node)
        (answer,) = self.proto.output
        if not answer.name or answer.name not in self.names:
            raise OnnxRefused("nothing computes its output")
        return Graph(
            self.nodes, self.constants, _image_shape(given[0]), self.names[answer.name], _shape(answer), self.version
        )

    def _hold(self, name: str, array: Array) -> None:
        own = f"constant_{len(self.constants)}"
        self.constants[own] = array
        self._name(name, own)

    def _name(self, theirs: str, own: str) -> None:
        if not theirs or theirs in self.names:
            raise OnnxRefused("a value has no name, or one that another has")
        self.names[theirs] = own

    def _take(self, node: NodeProto) -> None:
        kind = node.op_type
        if node.domain not in DOMAINS:
            raise OnnxRefused(f"it holds the operator {_word(kind)} of {_word(node.domain)}, which is not ONNX's own")
        if kind not in OPERATORS:
            raise OnnxRefused(f"it holds the operator {_word(kind)}, which is not allowed in a classifier")
        try:
            schema = self.onnx.defs.get_schema(kind, self.version, "")
        except self.onnx.defs.SchemaError:
            raise OnnxRefused(f"operator set {self.version} has no {kind}") from None
        attributes = self._attributes(node)
        if kind == "Constant":
            self._hold(_only(node.output, kind), _constant(attributes, self.limits))
            return
        inputs = [self._known(name, kind) for name in node.input]
        if not schema.min_input <= len(inputs) <= schema.max_input:
            raise OnnxRefused(f"{kind} has {len(inputs)} inputs")
        if kind in ("Identity", "Dropout"):  # Dropout's second output, the mask, is nobody's
            self._require_idle(inputs)
            self._name(node.output[0] if len(node.output) else "", inputs[0])
            return
        outputs = list(node.output) if kind == "Split" else [_only(node.output, kind)]
        if "num_outputs" in attributes and attributes["num_outputs"].i != len(outputs):
            raise OnnxRefused(f"Split says that it has {attributes['num_outputs'].i} outputs, and has {len(outputs)}")
        number = len(self.nodes)
        own = [f"value_{number}_{place}" for place in range(len(outputs))]
        for theirs, name in zip(outputs, own, strict=True):
            self._name(theirs, name)
        made = self.onnx.helper.make_node(kind, inputs, own, name=f"node_{number}")
        made.attribute.extend(attributes.values())
        self.nodes.append(made)

    def _known(self, name: str, kind: str) -> str:
        if name not in self.names:
            raise OnnxRefused(f"{kind} takes a value before it is computed: the graph has a loop, or a part is missing")
        return self.names[name]

    def _require_idle(self, inputs: Sequence[str]) -> None:
        """Refuses a Dropout that drops: its third input, where there is one, says so."""
        if not inputs or not inputs[0]:
            raise OnnxRefused("Identity or Dropout has no input")
        if len(inputs) > 2 and inputs[2] and bool(self.constants.get(inputs[2], np.ones(1)).any()):
            raise OnnxRefused("it holds a Dropout as for training; export it for evaluation")

    def _attributes(self, node: NodeProto) -> dict[str, AttributeProto]:
        taken: dict[str, AttributeProto] = {}
        kinds, helper = self.onnx.AttributeProto, self.onnx.helper
        for attribute in node.attribute:
            name, kind = attribute.name, node.op_type
            allowed = attribute_of(kind, name)
            if allowed is None:
                raise OnnxRefused(f"{kind} has the attribute {_word(name)}, which is not allowed")
            wanted = kinds.AttributeType.Value(allowed.kind)
            if attribute.type != wanted or attribute.ref_attr_name or name in taken:
                raise OnnxRefused(f"{kind} has the attribute {name} twice, or of another type")
            value = helper.get_attribute_value(attribute)
            values = value if allowed.kind in ("INTS", "FLOATS") else [value]
            if len(values) > self.limits.fields or not all(map(allowed.allows, values)):
                raise OnnxRefused(f"{kind} has the attribute {name} = {printable(str(value)[:40])}, out of range")
            if allowed.kind == "TENSOR":
                value = self.onnx.numpy_helper.from_array(array_of(value, self.limits))
            taken[name] = helper.make_attribute(name, value, attr_type=wanted)
        return taken


def array_of(tensor: TensorProto, limits: Limits = LIMITS) -> Array:
    """The values of a tensor, which is whole in the message.

    Raises:
        OnnxRefused: where it lies elsewhere, is of a type that is not read, does not fit its shape, or is not finite.
    """
    if tensor.data_location != 0 or len(tensor.external_data):
        raise OnnxRefused("it keeps weights in another file; store it as one file")
    stored = _STORED.get(tensor.data_type)
    if stored is None or tensor.HasField("segment"):
        raise OnnxRefused(f"it holds a tensor of type {tensor.data_type}, which is not read")
    shape = tuple(tensor.dims)
    if len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise OnnxRefused("it holds a tensor of more than eight dimensions, or of a negative size")
    dtype, count = np.dtype(stored.dtype), math.prod(shape)
    if count * dtype.itemsize > limits.file:
        raise OnnxRefused(f"it says that a tensor has the shape {printable(str(shape)[:80])}")
    numbers = getattr(tensor, stored.field)
    if tensor.HasField("raw_data"):
        there = len(tensor.raw_data) if not len(numbers) else -1
        if there != count * dtype.itemsize:
            raise _misfit(shape)
        array = np.frombuffer(tensor.raw_data, dtype)
    else:
        if len(numbers) != count:
            raise _misfit(shape)
        array = _from_numbers(numbers, stored)
    if dtype.kind == "f" and not bool(np.isfinite(array).all()):
        raise OnnxRefused("its weights hold values that are not finite")
    if dtype.kind == "b" and count and int(array.view(np.uint8).max()) > 1:
        raise OnnxRefused("it holds a truth value that is neither true nor false")
    return array.reshape(shape)


def _from_numbers(numbers: Iterable[float], stored: _Stored) -> Array:
    dtype = np.dtype(stored.dtype)
    if stored.field in ("float_data", "double_data"):
        return np.array(numbers, dtype)
    whole = np.array(numbers, np.int64)
    if whole.size and not stored.least <= int(whole.min()) <= int(whole.max()) <= stored.most:
        raise OnnxRefused("it holds a number that does not fit its type")
    return whole.astype("<u2").view(dtype) if dtype.kind == "f" else whole.astype(dtype)


def _misfit(shape: Sequence[int]) -> OnnxRefused:
    return OnnxRefused(f"a tensor of shape {printable(str(tuple(shape))[:80])} does not fit the bytes that it holds")


def _constant(attributes: dict[str, AttributeProto], limits: Limits) -> Array:
    if len(attributes) != 1:
        raise OnnxRefused("Constant holds no value, or several")
    ((name, attribute),) = attributes.items()
    if name == "value":
        return array_of(attribute.t, limits)
    kinds = {"value_float": (np.float32, attribute.f), "value_floats": (np.float32, list(attribute.floats)),
             "value_int": (np.int64, attribute.i), "value_ints": (np.int64, list(attribute.ints))}  # fmt: skip
    dtype, value = kinds[name]
    return np.array(value, dtype)


def _version(model: ModelProto) -> int:
    versions: set[int] = {imported.version for imported in model.opset_import if imported.domain in DOMAINS}
    newest = min(NEWEST, package().defs.onnx_opset_version())
    if len(versions) != 1 or not OLDEST <= min(versions) <= newest:
        shown = ", ".join(map(str, sorted(versions))) or "none"
        raise OnnxRefused(f"it is of operator set {shown:.80}; {OLDEST} to {newest} are read")
    return min(versions)


def _shape(value: ValueInfoProto) -> tuple[int | None, ...]:
    tensor = value.type.tensor_type
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)


def _image_shape(value: ValueInfoProto) -> tuple[int | None, ...]:
    """The shape of the input, four numbers; the first is 1 or None.

    Raises:
        OnnxRefused: where it is no image of one size in float32.
    """
    shape = _shape(value)
    if value.type.tensor_type.elem_type != 1:
        raise OnnxRefused("its input is not of float32 values")
    if len(shape) != 4 or shape[0] not in (None, 1):
        words = printable(str(shape)[:80])
        raise OnnxRefused(f"its input has the shape {words}; expected (N, 3, H, W), N free or 1")
    if any(size is None or size < 1 for size in shape[1:]):
        raise OnnxRefused("the height, width or channels of its input are not fixed; export it for one size")
    return shape


def _only(outputs: Sequence[str], kind: str) -> str:
    """The name of the one output; further ones may have no name."""
    if not len(outputs) or any(outputs[1:]):
        raise OnnxRefused(f"{kind} has {len(outputs)} outputs; one is read")
    return outputs[0]


def _word(text: str) -> str:
    return repr(printable(text[:60]))
