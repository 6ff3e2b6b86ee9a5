"""ONNX files that strangers made: each is refused in one line, before it takes memory or time. Nothing is executed."""

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files as made
import pytest
from onnx_files import CLASSES, SIDE, node, onnx

from veil.models import cards
from veil.models.cards import CardError
from veil.models.onnx import network, operators, reading
from veil.models.onnx.graph import taken_over
from veil.models.onnx.reading import LIMITS, OnnxRefused
from veil.models.onnx.rewriting import rewritten
from veil.runtime.foreign import Unreadable

IMAGE = (3, SIDE, SIDE)
Change = Callable[[Any], None]


def load(folder: Path, content: Any) -> network.OnnxNetwork:
    made.write(folder, content)
    return network.load(folder / "small.onnx", IMAGE)


def test_names_are_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch writes the names of a converted graph into Python source, between quotes, and runs it."""
    monkeypatch.chdir(tmp_path)
    code = 'training"); open("executed", "w"); getattr(self, "'
    content = made.model()
    for number, one in enumerate(content.graph.node):
        one.name = f"{code}{number}"
    content.graph.node[0].output[0] = content.graph.node[1].input[0] = code
    content.graph.initializer[0].name = content.graph.node[0].input[1] = f'{code} "'
    content.graph.name = content.producer_name = content.graph.node[0].doc_string = code
    converted = load(tmp_path, content)
    assert converted.run_by == "torch"
    converted(network.fixed_images(IMAGE))
    assert not (tmp_path / "executed").exists()


def _initializer(**fields: Any) -> Change:
    def change(content: Any) -> None:
        for name, value in fields.items():
            setattr(content.graph.initializer[0], name, value)

    return change


def _external(content: Any) -> None:
    tensor = content.graph.initializer[0]
    tensor.data_location = 1
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def _dims(*dims: int) -> Change:
    def change(content: Any) -> None:
        tensor = content.graph.initializer[0]
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return change


def _both(content: Any) -> None:
    content.graph.initializer[0].float_data.extend([0.0] * 108)


def _typed(content: Any) -> None:
    tensor = content.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([0.0] * 107)


def _not_finite(content: Any) -> None:
    content.graph.initializer[0].raw_data = struct.pack("<f", float("nan")) * 108


def _in_place_of_relu(*nodes: Any) -> Change:
    def change(content: Any) -> None:
        rest = list(content.graph.node)
        rest[1:2] = nodes
        del content.graph.node[:]
        content.graph.node.extend(rest)

    return change


def _of_domain(content: Any) -> None:
    content.graph.node[1].domain = "com.example"


def _function(content: Any) -> None:
    content.functions.add().name = "Relu"


def _loop_of_values(content: Any) -> None:
    content.graph.node[0].input[0] = "flat"


def _twice(content: Any) -> None:
    content.graph.node[1].output[0] = "convolved"


def _inputs(content: Any) -> None:
    content.graph.input.add().CopyFrom(content.graph.input[0])
    content.graph.input[1].name = "other"


def _input_size(*sizes: int | str) -> Change:
    def change(content: Any) -> None:
        value = onnx.helper.make_tensor_value_info("images", 1, list(sizes))
        content.graph.input[0].CopyFrom(value)

    return change


def _input_type(content: Any) -> None:
    content.graph.input[0].type.tensor_type.elem_type = 10


def _answer(*sizes: int | str) -> Change:
    def change(content: Any) -> None:
        content.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("logits", 1, list(sizes)))

    return change


def _attribute(number: int, name: str, value: Any) -> Change:
    def change(content: Any) -> None:
        kept = [one for one in content.graph.node[number].attribute if one.name != name]
        del content.graph.node[number].attribute[:]
        content.graph.node[number].attribute.extend([*kept, onnx.helper.make_attribute(name, value)])

    return change


def _misleading_attribute(content: Any) -> None:
    attribute = content.graph.node[4].attribute[0]
    attribute.type = onnx.AttributeProto.STRING


def _version(number: int) -> Change:
    def change(content: Any) -> None:
        content.opset_import[0].version = number

    return change


def _body() -> Any:
    helper = onnx.helper
    value = helper.make_tensor_value_info("x", 1, [1])
    return helper.make_graph([node("Relu", ["x"], "y")], "body", [value], [helper.make_tensor_value_info("y", 1, [1])])


def _missing_output(content: Any) -> None:
    content.graph.output[0].name = "nothing"


def _constant_answer(content: Any) -> None:
    content.graph.output[0].name = "shift"


def _scaled(number: float) -> Change:
    def change(content: Any) -> None:
        for tensor in content.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor) * number
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), tensor.name))

    return change


def constant(name: str, values: Any) -> Any:
    return node("Constant", [], name, value=onnx.numpy_helper.from_array(np.array(values)))


HOSTILE: dict[str, tuple[Change, str]] = {
    "external data": (_external, "keeps weights in another file"),
    "a shape that lies": (_dims(4, 3, 3, 4), r"shape \(4, 3, 3, 4\) does not fit the bytes"),
    "a shape of terabytes": (_dims(1 << 40, 3, 3, 3), "says that a tensor has the shape"),
    "a negative shape": (_dims(-4, 3, 3, -3), "negative size"),
    "a shape of many dimensions": (_dims(*[1] * 9, 108), "more than eight dimensions"),
    "values twice": (_both, "does not fit the bytes"),
    "too few values": (_typed, "does not fit the bytes"),
    "values that are no numbers": (_not_finite, "values that are not finite"),
    "words": (_initializer(data_type=8), "a tensor of type 8"),
    "a loop": (_in_place_of_relu(onnx.helper.make_node("Loop", ["", ""], ["bent"], body=_body())), "operator 'Loop'"),
    "a branch": (
        _in_place_of_relu(
            onnx.helper.make_node("If", ["bias"], ["bent"], then_branch=_body(), else_branch=_body())
        ),
        "operator 'If'",
    ),
    "a scan": (_in_place_of_relu(node("Scan", ["convolved"], "bent", body=_body())), "operator 'Scan'"),
    "random numbers": (_in_place_of_relu(node("RandomNormalLike", ["convolved"], "bent")), "'RandomNormalLike'"),
    "an operator of its own": (_of_domain, "'Relu' of 'com.example', which is not ONNX's own"),
    "a function": (_function, "functions of its own"),
    "values in a circle": (_loop_of_values, "before it is computed: the graph has a loop"),
    "one name twice": (_twice, "one that another has"),
    "two inputs": (_inputs, "2 inputs and 1 outputs"),
    "any height": (_input_size("n", 3, "h", 16), "are not fixed"),
    "five channels": (_input_size("n", 5, 16, 16), r"expected \(N, 3, H, W\)"),
    "a batch of seven": (_input_size(7, 3, 16, 16), "N free or 1"),
    "no image": (_input_size("n", 768), r"expected \(N, 3, H, W\)"),
    "another size": (_input_size("n", 3, 32, 32), "takes images of 32×32"),
    "half floats": (_input_type, "not of float32"),
    "other classes than it says": (_answer("n", 9), r"says that it gives .*9.*, and gives \(1, 5\)"),
    "a map": (_answer("n", CLASSES, 1, 1), "says that it gives"),
    "nothing": (_missing_output, "nothing computes its output"),
    "a constant": (_constant_answer, "does not depend on the image"),
    "a stride of zero": (_attribute(0, "strides", [0, 1]), "strides = .*out of range"),
    "a group of zero": (_attribute(0, "group", 0), "group = 0, out of range"),
    "padding of a mile": (_attribute(0, "pads", [1 << 40] * 4), "pads = .*out of range"),
    "less than no padding": (_attribute(0, "pads", [-1] * 4), "pads = .*out of range"),
    "a kernel that does not fit": (_attribute(0, "kernel_shape", [5, 5]), "Conv|onnxruntime cannot run it"),
    "an unknown attribute": (_attribute(1, "consumed_inputs", [0]), "attribute 'consumed_inputs'"),
    "an attribute of another type": (_misleading_attribute, "of another type"),
    "an old operator set": (_version(7), "operator set 7; 9 to 2"),
    "one to come": (_version(99), "operator set 99"),
    "overflowing": (_scaled(1e20), "outputs that are not finite"),
    "a division by zero": (
        _in_place_of_relu(
            constant("seven", 7), constant("none", 0), node("Div", ["seven", "none"], "size"),
            node("Expand", ["convolved", "size"], "bent"),
        ),
        "Div cannot be computed",
    ),
    "whole numbers of an image": (
        _in_place_of_relu(node("Cast", ["convolved"], "whole", to=7), node("Cast", ["whole"], "bent", to=1)),
        "whole numbers from what an image shows",
    ),
    "a value of terabytes": (
        _in_place_of_relu(
            constant("times", [1, 1 << 20, 1, 1 << 10]), node("Tile", ["convolved", "times"], "many"),
            node("ReduceMean", ["many"], "bent", axes=[1], keepdims=1),
        ),
        "one image would take more than",
    ),
    "a constant of terabytes": (
        _in_place_of_relu(
            constant("shape", [1 << 20, 1 << 20]), node("ConstantOfShape", ["shape"], "zeros"),
            node("Add", ["convolved", "zeros"], "bent"),
        ),
        "one image would take more than",
    ),
    "years of multiplications": (
        _in_place_of_relu(
            constant("times", [1, 1, 512, 256]), node("Tile", ["convolved", "times"], "wide"),
            node("Transpose", ["wide"], "turned", perm=[0, 1, 3, 2]), node("MatMul", ["wide", "turned"], "square"),
            node("ReduceMean", ["square"], "bent", axes=[3], keepdims=1),
        ),
        "multiplications|more than .* bytes",
    ),
    "an index beyond the end": (
        _in_place_of_relu(constant("far", [0, 1, 2, 99]), node("Gather", ["convolved", "far"], "bent", axis=1)),
        "onnxruntime cannot run it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_cannot_be_used(what: str, tmp_path: Path) -> None:
    change, message = HOSTILE[what]
    content = made.model()
    change(content)
    card = made.write(tmp_path, content)
    with pytest.raises(CardError, match=message) as refused:
        cards.load(card)
    assert "\n" not in str(refused.value)
    assert "small.onnx" in str(refused.value)


@pytest.mark.parametrize("length", [0, 1, 20, 300, -1, -100])
def test_truncated_files_are_refused(length: int, tmp_path: Path) -> None:
    data = made.model().SerializeToString()
    with pytest.raises(CardError, match=r"small\.onnx: not an ONNX classifier"):
        cards.load(made.write(tmp_path, data[:length]))


def test_other_files_are_refused(tmp_path: Path) -> None:
    for data in (b"\x80\x04cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04" + bytes(100), b"\x0b" * 100, b"\xff" * 40):
        with pytest.raises(CardError, match=r"small\.onnx: not an ONNX classifier"):
            cards.load(made.write(tmp_path, data))


def _field(number: int, content: bytes) -> bytes:
    length, size = b"", len(content)
    while size >= 128:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return _key(number) + length + bytes([size]) + content


def _key(number: int) -> bytes:
    key = number << 3 | 2
    return bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])


def test_many_small_parts_are_counted_before_they_are_parsed(tmp_path: Path) -> None:
    """Two bytes each, of which ONNX's own reader makes a hundred."""
    with pytest.raises(OnnxRefused, match="more than 500,000 fields"):
        load(tmp_path, _field(7, _field(1, b"") * 600_000))
    with pytest.raises(OnnxRefused, match="bytes of numbers in short form"):
        load(tmp_path, _field(7, _field(5, _field(7, bytes((1 << 24) + 1)))))


def test_parts_within_parts_are_not_followed(tmp_path: Path) -> None:
    graph = b""
    for _ in range(2000):
        graph = _field(1, _field(5, _field(6, graph)))
    with pytest.raises(OnnxRefused, match="messages within messages"):
        load(tmp_path, _field(7, graph))


def test_limits_hold(tmp_path: Path) -> None:
    file = made.write(tmp_path).with_suffix(".onnx")
    with pytest.raises(Unreadable, match=r"small\.onnx has .* bytes, more than the 100"):
        reading.read(file, replace(LIMITS, file=100))
    content = reading.read(file)
    with pytest.raises(OnnxRefused, match="more than 4 operators"):
        taken_over(content, replace(LIMITS, nodes=4))
    graph = taken_over(content)
    for limits, message in (
        (replace(LIMITS, value=4000), "more than 4,000 bytes at once"),
        (replace(LIMITS, values=9000), "or 9,000 in all"),
        (replace(LIMITS, multiplications=20_000), "more than 20,000 multiplications"),
    ):
        with pytest.raises(OnnxRefused, match=message):
            rewritten(graph, limits)


def test_only_what_is_listed_is_written(tmp_path: Path) -> None:
    """What stands beside the graph, and what its answer does not need, is left behind."""
    content = made.model([*made.nodes(), node("Relu", ["convolved"], "idle")], held={"idle_weight": np.zeros(1000)})
    content.metadata_props.add().key = "secret"
    content.graph.value_info.add().name = "convolved"
    written = rewritten(taken_over(content)).model
    assert [one.op_type for one in written.graph.node] == [one.op_type for one in made.nodes()]
    assert not len(written.metadata_props)
    assert not len(written.graph.value_info)
    assert sum(len(tensor.raw_data) for tensor in written.graph.initializer) == sum(
        value.nbytes for value in made.weights().values()
    )


def test_every_operator_exists() -> None:
    for name, attributes in operators.OPERATORS.items():
        known: set[str] = set()
        for version in range(operators.OLDEST, onnx.defs.onnx_opset_version() + 1):
            if onnx.defs.has(name, version, ""):
                known |= set(onnx.defs.get_schema(name, version, "").attributes)
        assert known or onnx.defs.has(name, ""), name
        assert attributes <= known, name
        assert all(operators.attribute_of(name, attribute) for attribute in attributes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"small.onnx"', '"small.safetensors"', "must be one of .onnx"),
        ('"small.onnx"', '"../small.onnx"', "beside the card"),
        ("[input]", "[options]\nnum_classes = 5\n[input]", r"takes no \[options\]"),
        ("[16, 16]", "[17, 16]", "prepares 17×16"),
        ("mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]", "mean = [0.5]\nstd = [0.5]", "with 1 channels"),
        ('architecture = "onnx"', 'architecture = "veil/resnet18"', "must be one of .safetensors"),
    ],
)
def test_a_card_says_what_is_wrong(old: str, new: str, message: str, tmp_path: Path) -> None:
    card = made.write(tmp_path)
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new))
    with pytest.raises(CardError, match=message):
        cards.load(card)


def test_labels_must_be_as_many_as_classes(tmp_path: Path) -> None:
    card = made.write(tmp_path)
    card.with_suffix(".txt").write_text("one\ntwo\n")
    with pytest.raises(CardError, match=r"\(5,\) outputs for 2 labels"):
        cards.load(card)


def test_a_card_alone_builds_no_onnx_network() -> None:
    with pytest.raises(CardError, match="cannot be built without it"):
        cards.build_network("onnx", {})
