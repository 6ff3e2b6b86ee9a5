"""The shape of every value of a graph, and what computing it costs, found out before anything is computed.

The graph is walked for a number of images. ONNX's own rules say the shape of each result, given the shapes of what goes
in and the values that are known: constants, and what is made of shapes. Such values are few numbers; they are computed
on the way by ONNX's reference implementation. What is left over afterwards works on images alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from veil.models.onnx.graph import IMAGE, Array, Graph
from veil.models.onnx.reading import LIMITS, Limits, OnnxRefused, package
from veil.runtime.files import printable

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

_FEW = 1 << 16
"""Numbers of a value that is computed on the way."""
_FOLDED = {
    "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Min", "Max", "Floor", "Ceil", "Sqrt", "Pow", "Reciprocal",
    "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose",
    "Concat", "Split", "Slice", "Gather", "Expand", "Tile", "Where", "Equal", "Less", "Greater", "Not", "And", "Or",
    "Cast", "Range", "ConstantOfShape", "Pad",
}  # fmt: skip
_AT_RUN_TIME = {"f4", "f2", "f8", "b1", "u1", "i1"}
"""Types of values that depend on the image. Whole numbers could be divided by zero, which ends the process."""
_OPSET_IR = 8


@dataclass(frozen=True)
class Value:
    """Type and shape of a value; ``dtype`` as NumPy writes it, without the order of bytes."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.numbers * int(self.dtype[1:])


@dataclass
class Walk:
    """What a walk through a graph found, for a number of images.

    Attributes:
        images: their number.
        values: every value, by name.
        known: values that do not depend on what the images show, if they are small.
        left: the nodes that do depend on it, or on large constants.
        multiplications: that they take.
    """

    images: int
    values: dict[str, Value] = field(default_factory=dict)
    known: dict[str, Array] = field(default_factory=dict)
    left: list[NodeProto] = field(default_factory=list)
    multiplications: int = 0


Folds = dict[tuple[str, bytes], list[Array]]


def walk(graph: Graph, images: int, limits: Limits = LIMITS, folds: Folds | None = None) -> Walk:
    """Walks through a graph for so many images.

    Args:
        limits: for one image; more of them may take as many times as much.
        folds: keeps values that were computed on the way, for the next walk.

    Raises:
        OnnxRefused: where a shape depends on what an image shows or contradicts another, or the graph takes too much.
    """
    return _Walking(graph, images, limits, {} if folds is None else folds).run()


class _Walking:
    def __init__(self, graph: Graph, images: int, limits: Limits, folds: Folds) -> None:
        self.onnx, self.graph, self.images, self.limits, self.folds = package(), graph, images, limits, folds
        self.refusals = self.onnx.shape_inference.InferenceError, self.onnx.checker.ValidationError
        self.walk = Walk(images)
        self.opset = [self.onnx.helper.make_opsetid("", graph.version)]
        self.protos: dict[str, TensorProto] = {}
        self.bytes = 0

    def run(self) -> Walk:
        self._place(IMAGE, Value("f4", (self.images, *(size or 0 for size in self.graph.image[1:]))))
        for name, array in self.graph.constants.items():
            self.walk.values[name] = Value(array.dtype.str[1:], array.shape)
            if array.size <= _FEW:
                self._know(name, array)
        for node in self.graph.nodes:
            results = self._results(node)
            if (computed := self._computed(node, results)) is not None:
                for name, array in zip(node.output, computed, strict=True):
                    self.walk.values[name] = Value(array.dtype.str[1:], array.shape)
                    self._know(name, array)
                continue
            for name, value in results.items():
                self._place(name, value)
            self._charge(node)
            self.walk.left.append(node)
        return self.walk

    def _know(self, name: str, array: Array) -> None:
        self.walk.known[name] = array
        self.protos[name] = self.onnx.numpy_helper.from_array(array, name)

    def _place(self, name: str, value: Value) -> None:
        """Notes a value that has to be computed for every image."""
        if value.dtype not in _AT_RUN_TIME:
            raise OnnxRefused("it computes whole numbers from what an image shows")
        if any(size < 1 for size in value.shape):
            raise OnnxRefused(f"a value has the shape {value.shape}")
        self.bytes += value.bytes
        if value.bytes > self.images * self.limits.value or self.bytes > self.images * self.limits.values:
            raise OnnxRefused(
                f"one image would take more than {self.limits.value:,} bytes at once, or {self.limits.values:,} in all"
            )
        self.walk.values[name] = value

    def _results(self, node: NodeProto) -> dict[str, Value]:
        """Types and shapes of what a node gives, by ONNX's rules."""
        inputs = {name: self._type(self.walk.values[name]) for name in node.input if name}
        data = {name: self.protos[name] for name in node.input if name in self.protos}
        schema = self.onnx.defs.get_schema(node.op_type, self.graph.version, "")
        try:
            found = self.onnx.shape_inference.infer_node_outputs(
                schema, node, inputs, data, opset_imports=self.opset, ir_version=_OPSET_IR
            )
        except (*self.refusals, RuntimeError, ValueError, TypeError, LookupError) as error:
            raise OnnxRefused(f"{node.op_type} does not fit what goes into it: {_reason(error)}") from None
        results = {}
        for name in node.output:
            tensor = found[name].tensor_type if name in found else None
            if tensor is None or not tensor.HasField("shape"):
                raise OnnxRefused(f"the size of what {node.op_type} gives cannot be told without running it")
            if not all(size.HasField("dim_value") for size in tensor.shape.dim):
                raise OnnxRefused(f"the size of what {node.op_type} gives cannot be told without running it")
            dtype = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).str[1:]
            results[name] = Value(dtype, tuple(size.dim_value for size in tensor.shape.dim))
        return results

    def _type(self, value: Value) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
        return self.onnx.helper.make_tensor_type_proto(kind, value.shape)

    def _computed(self, node: NodeProto, results: dict[str, Value]) -> list[Array] | None:
        """What a node gives, where that depends on shapes and small constants alone."""
        if node.op_type in ("Shape", "Size"):
            return [self._shape(node)]
        known = self.walk.known
        if node.op_type not in _FOLDED or not all(name in known for name in node.input if name):
            return None
        if node.op_type == "Expand" and results[node.output[0]].dtype == "f4":
            return None  # a weight for every image: `veil.models.onnx.rewriting` finds another way
        if any(value.numbers > _FEW or any(size < 0 for size in value.shape) for value in results.values()):
            return None
        inputs = {name: known[name] for name in node.input if name}
        key = node.name, b"".join(f"{a.dtype}{a.shape}".encode() + a.tobytes() for a in inputs.values())
        if key not in self.folds:
            self.folds[key] = self._evaluated(node, inputs, results)
        return self.folds[key]

    def _shape(self, node: NodeProto) -> Array:
        shape = self.walk.values[node.input[0]].shape
        if node.op_type == "Size":
            return np.array(math.prod(shape), np.int64)
        bounds = {attribute.name: attribute.i for attribute in node.attribute}
        return np.array(shape[bounds.get("start", 0) : bounds.get("end", len(shape))], np.int64)

    def _evaluated(self, node: NodeProto, inputs: dict[str, Array], results: dict[str, Value]) -> list[Array]:
        from onnx.reference import ReferenceEvaluator

        helper = self.onnx.helper
        ends = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
        model = helper.make_model(helper.make_graph([node], "one", ends, outputs), opset_imports=self.opset)
        try:
            with np.errstate(divide="raise", invalid="raise", over="ignore"):
                computed = ReferenceEvaluator(model).run(None, inputs)
        except (
            ArithmeticError,
            RuntimeError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            MemoryError,
        ) as error:
            raise OnnxRefused(f"{node.op_type} cannot be computed: {_reason(error)}") from None
        arrays = [
            np.asarray(value, dtype=results[name].dtype) for name, value in zip(node.output, computed, strict=True)
        ]
        if any(array.size > _FEW for array in arrays):
            raise OnnxRefused(f"{node.op_type} gives more than its shape says")
        return arrays

    def _charge(self, node: NodeProto) -> None:
        """Adds what a node costs, in multiplications."""
        values = self.walk.values
        given = sum(values[name].numbers for name in node.output if name)
        first = values[node.input[0]] if len(node.input) and node.input[0] else None
        each = 1
        if node.op_type == "Conv":
            each = math.prod(values[node.input[1]].shape[1:])
        elif node.op_type in ("MatMul", "Gemm") and first is not None and first.shape:
            each = first.shape[-1] if node.op_type == "MatMul" else max(first.shape)
        elif node.op_type in ("AveragePool", "MaxPool", "LRN"):
            sizes = {a.name: list(a.ints) or [a.i] for a in node.attribute if a.name in ("kernel_shape", "size")}
            each = math.prod(size for all_sizes in sizes.values() for size in all_sizes)
        taken = first.numbers if first is not None else 0
        self.walk.multiplications += given * each + taken
        if self.walk.multiplications > self.images * self.limits.multiplications:
            raise OnnxRefused(f"one image would take more than {self.limits.multiplications:,} multiplications")


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split())[:160])
