"""Changes of ONNX networks that leave whole protobuf messages: lies about shapes, other operators, loops."""

from collections.abc import Sequence
from random import Random
from typing import Any

_KINDS = (
    "Conv", "MatMul", "Gemm", "Reshape", "Transpose", "Slice", "Gather", "Concat", "Split", "Pad", "Tile",
    "Expand", "Div", "Mod", "Cast", "Shape", "ConstantOfShape", "Range", "ReduceMean", "ReduceProd", "Softmax",
    "Flatten", "Where", "Squeeze", "Unsqueeze", "Clip", "Identity", "Dropout", "MaxPool", "AveragePool", "LRN",
    "DepthToSpace", "Gelu", "Loop", "If", "Scan", "QuantizeLinear", "BatchNormalization", "LayerNormalization",
    "Pow", "Min", "Size", "Sum",
)  # fmt: skip
_WORDS = ("", "images", "logits", 'x"); raise SystemExit; ("', "../../x", "a" * 3000, "\x1b[2J", "NOTSET", "é")
_WHOLE = (0, 1, -1, 2, 3, 7, 64, 255, 4096, 65_536, -4096, 1 << 31, 1 << 40, -(1 << 63), (1 << 63) - 1)


def onnx_network(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    """A network in which a node, a weight, an input or the version was changed."""
    from onnx import ModelProto

    model = ModelProto.FromString(data)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        random.choice((_node, _node, _attribute, _attribute, _weight, _weight, _end, _whole))(model, random)
    return bytes(model.SerializeToString())


def _node(model: Any, random: Random) -> None:
    nodes = model.graph.node
    place = random.randrange(len(nodes))
    node = nodes[place]
    names = [name for other in nodes for name in (*other.input, *other.output)]
    match random.randrange(6):
        case 0:
            node.op_type = random.choice(_KINDS)
        case 1 if len(node.input):
            node.input[random.randrange(len(node.input))] = random.choice([*names, *_WORDS])
        case 2:
            node.input.append(random.choice(names))
        case 3:
            nodes.append(node)
        case 4:
            del nodes[place]
        case _:
            field = random.choice(("name", "domain", "doc_string", "op_type"))
            setattr(node, field, random.choice(_WORDS).replace("\x1b", ""))


def _attribute(model: Any, random: Random) -> None:
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    attribute = random.choice(attributes)
    match random.randrange(5):
        case 0 if len(attribute.ints):
            attribute.ints[random.randrange(len(attribute.ints))] = random.choice(_WHOLE)
        case 1:
            attribute.i = random.choice(_WHOLE)
        case 2:
            attribute.ints.append(random.choice(_WHOLE))
        case 3:
            attribute.f = random.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
        case _:
            attribute.type = random.randrange(15)


def _weight(model: Any, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    match random.randrange(6):
        case 0 if len(tensor.dims):
            tensor.dims[random.randrange(len(tensor.dims))] = random.choice(_WHOLE)
        case 1:
            tensor.data_type = random.randrange(24)
        case 2:
            tensor.raw_data = tensor.raw_data[: random.randrange(len(tensor.raw_data) + 1)]
        case 3 if tensor.data_type == 7 and len(tensor.raw_data) == 8 * max(1, len(tensor.raw_data) // 8):
            place = 8 * random.randrange(len(tensor.raw_data) // 8)
            number = random.choice(_WHOLE).to_bytes(8, "little", signed=True)
            tensor.raw_data = tensor.raw_data[:place] + number + tensor.raw_data[place + 8 :]
        case 4:
            tensor.raw_data = bytes(random.choice((0, 127, 255)) for _ in range(len(tensor.raw_data)))
        case _:
            tensor.data_location = 1
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", random.choice(_WORDS)


def _end(model: Any, random: Random) -> None:
    end = random.choice([*model.graph.input, *model.graph.output])
    sizes = end.type.tensor_type.shape.dim
    match random.randrange(3):
        case 0 if len(sizes):
            sizes[random.randrange(len(sizes))].dim_value = random.choice(_WHOLE)
        case 1:
            end.type.tensor_type.elem_type = random.randrange(24)
        case _:
            end.name = random.choice(_WORDS).replace("\x1b", "")


def _whole(model: Any, random: Random) -> None:
    match random.randrange(4):
        case 0:
            model.opset_import[0].version = random.randrange(30)
        case 1:
            model.functions.add().name = "Relu"
        case 2:
            model.graph.sparse_initializer.add()
        case _:
            model.graph.output.append(model.graph.output[0])
