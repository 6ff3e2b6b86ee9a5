"""ONNX classifiers as torch modules: the same answers as in onnxruntime, gradients, logits, one image or several."""

import csv
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files as made
import pytest
import torch
from onnx_files import CLASSES, SIDE, node
from torch import Tensor, nn

from veil import images
from veil.metrics.intervals import wilson
from veil.models import catalog
from veil.models.cards import CardError
from veil.models.classifier import NoGradients
from veil.models.onnx import network
from veil.models.onnx.graph import taken_over
from veil.models.onnx.network import CLOSE, Session
from veil.models.onnx.reading import LIMITS, OnnxMissing, OnnxRefused, read
from veil.models.onnx.rewriting import TOGETHER, rewritten

IMAGE = (3, SIDE, SIDE)
IMAGES = network.fixed_images(IMAGE)


def load(folder: Path, content: Any = None) -> network.OnnxNetwork:
    made.write(folder, content)
    return network.load(folder / "small.onnx", IMAGE)


def gradient(of: nn.Module, images: Tensor) -> Tensor:
    asked = images.clone().requires_grad_()
    return torch.autograd.grad(of(asked).square().sum(), asked)[0]


def test_a_card_loads(tmp_path: Path) -> None:
    classifier = catalog.load(str(made.write(tmp_path)))
    assert (classifier.name, classifier.run_by, classifier.classes[3]) == ("small", "torch", "thing 3")
    photos = torch.rand(5, 3, 40, 30)
    torch.testing.assert_close(classifier(photos), made.logits(classifier.preprocessing(photos)))
    assert classifier.weight_count == sum(value.size for value in made.weights().values())
    assert not any(weight.requires_grad for weight in classifier.parameters())
    assert {weight.dtype for weight in classifier.parameters()} == {torch.float32}
    classifier.require_gradients()
    assert classifier.fingerprint() == catalog.load(str(made.write(tmp_path))).fingerprint()
    assert classifier.fingerprint() != catalog.load(str(made.write(tmp_path, made.model(seed=1)))).fingerprint()


def test_gradients_are_torchs(tmp_path: Path) -> None:
    converted = load(tmp_path)
    asked = IMAGES.clone().requires_grad_()
    (expected,) = torch.autograd.grad(made.logits(asked).square().sum(), asked)
    torch.testing.assert_close(gradient(converted, IMAGES), expected)


def test_the_graph_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    """Two networks may have the same weights."""
    bent = made.nodes()
    bent[1] = node("LeakyRelu", ["convolved"], "bent", alpha=0.1)
    prints = [
        catalog.load(str(made.write(tmp_path, content))).fingerprint() for content in (None, made.model(bent), None)
    ]
    assert prints[0] == prints[2] != prints[1]


@pytest.mark.parametrize("batch", ["n", 1, None])
def test_one_image_or_several(tmp_path: Path, batch: int | str | None) -> None:
    converted = load(tmp_path, made.model(batch=batch, answer=(batch, CLASSES)))
    many = torch.rand(TOGETHER + 3, *IMAGE)
    torch.testing.assert_close(converted(many), made.logits(many))
    assert converted.together == TOGETHER  # nothing in this network depends on their number


@pytest.mark.parametrize("batch", ["n", 1])
def test_what_is_written_for_one_image_gets_one(tmp_path: Path, batch: int | str) -> None:
    flat = made.nodes()
    flat[3] = node("Reshape", ["means", "shape"], "flat")
    converted = load(tmp_path, made.model(flat, batch=batch, held={"shape": np.array([1, 4])}))
    assert converted.together == 1
    torch.testing.assert_close(converted(IMAGES), made.logits(IMAGES))


def test_shapes_that_are_computed_are_known(tmp_path: Path) -> None:
    """As torch writes ``x.view(x.size(0), -1)``; the number of images is left free."""
    flat = made.nodes()
    flat[3:4] = [
        node("Shape", ["means"], "sizes"),
        node("Gather", ["sizes", "first"], "count", axis=0),
        node("Unsqueeze", ["count", "axes"], "counts"),
        node("Concat", ["counts", "four"], "shape", axis=0),
        node("Reshape", ["means", "shape"], "flat"),
    ]
    held = {"first": np.array(0), "axes": np.array([0]), "four": np.array([4])}
    converted = load(tmp_path, made.model(flat, held=held))
    assert converted.together == TOGETHER
    torch.testing.assert_close(converted(IMAGES), made.logits(IMAGES))


def test_what_every_image_gets_is_repeated(tmp_path: Path) -> None:
    """As transformers write ``token.expand(x.size(0), -1, -1)`` and put it before what they see."""
    tokens = [
        *made.nodes()[:3],
        node("Shape", ["means"], "sizes", start=0, end=1),
        node("Concat", ["sizes", "rest"], "shape", axis=0),
        node("Expand", ["token", "shape"], "tokens"),
        node("Concat", ["tokens", "means"], "both", axis=2),
        node("ReduceSum", ["both", "axes"], "flat", keepdims=0),
        made.nodes()[4],
    ]
    token = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
    held = {"rest": np.array([4, 1, 1]), "token": token, "axes": np.array([2, 3])}
    converted = load(tmp_path, made.model(tokens, held=held))
    assert (converted.together, converted.run_by) == (TOGETHER, "torch")
    matrix = torch.from_numpy(made.weights()["matrix"])
    torch.testing.assert_close(converted(IMAGES), made.logits(IMAGES) + torch.from_numpy(token[:, :, 0, 0]) @ matrix.T)


def test_an_answer_that_depends_on_other_images_is_taken_alone(tmp_path: Path) -> None:
    mixed = made.nodes()
    mixed[3:4] = [
        node("ReduceMean", ["means"], "mean", axes=[0], keepdims=1),
        node("Sub", ["means", "mean"], "less"),
        node("Add", ["less", "means"], "sum"),
        node("Flatten", ["sum"], "flat", axis=1),
    ]
    converted = load(tmp_path, made.model(mixed))
    assert converted.together == 1
    torch.testing.assert_close(converted(IMAGES)[1:2], converted(IMAGES[1:2]))


def test_parts_of_a_batch_are_taken_alone(tmp_path: Path) -> None:
    """Split in one part each, along the images."""
    parts = made.nodes()
    parts[1:2] = [node("Split", ["convolved"], "bent", axis=0)]
    converted = load(tmp_path, made.model(parts, opset=13))
    assert converted.together == 1
    assert converted(IMAGES).shape == (3, CLASSES)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, 20, 21])
@pytest.mark.parametrize("ending", ["Softmax", "LogSoftmax"])
def test_a_softmax_at_the_end_is_taken_off_once(tmp_path: Path, ending: str, opset: int) -> None:
    content = made.model([*made.nodes(), node(ending, ["logits"], "shares", axis=1)], output="shares", opset=opset)
    converted = load(tmp_path, content)
    torch.testing.assert_close(converted(IMAGES), made.logits(IMAGES))
    classifier = catalog.load(str(tmp_path / "small.toml"))
    said = Session(rewritten_with_softmax(content))(IMAGES)
    theirs = said if ending == "Softmax" else said.exp()
    torch.testing.assert_close(classifier.network(IMAGES).softmax(1), theirs)


def rewritten_with_softmax(content: Any) -> Any:
    """The file as it is, for onnxruntime."""
    written = rewritten(taken_over(content))
    object.__setattr__(written, "model", content)
    return written


def test_a_softmax_before_another_shape_is_taken_off_too(tmp_path: Path) -> None:
    ending = [
        node("Unsqueeze", ["logits", "axes"], "deep"),
        node("Softmax", ["deep"], "shares", axis=1),
        node("Squeeze", ["shares", "axes"], "answer"),
    ]
    converted = load(tmp_path, made.model([*made.nodes(), *ending], output="answer", held={"axes": np.array([2])}))
    torch.testing.assert_close(converted(IMAGES), made.logits(IMAGES))


def test_a_softmax_inside_stays(tmp_path: Path) -> None:
    inside = made.nodes()
    inside[3:4] = [node("Flatten", ["means"], "list", axis=1), node("Softmax", ["list"], "flat", axis=-1)]
    converted = load(tmp_path, made.model(inside))
    assert not torch.allclose(converted(IMAGES), made.logits(IMAGES))
    session = Session(rewritten(taken_over(read(tmp_path / "small.onnx"))))
    torch.testing.assert_close(converted(IMAGES), session(IMAGES), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ([node("Sigmoid", ["logits"], "answer")], "a yes or no for every class"),
        (
            [
                node("Exp", ["logits"], "powers"),
                node("ReduceSum", ["powers", "axes"], "sum"),
                node("Div", ["powers", "sum"], "answer"),
            ],
            "gives probabilities, and no softmax",
        ),
        ([node("Softmax", ["logits"], "answer", axis=0)], "over something else than its classes"),
    ],
    ids=["sigmoid", "a softmax of parts", "over images"],
)
def test_other_ends_are_refused(tmp_path: Path, ending: list[Any], message: str) -> None:
    with pytest.raises(OnnxRefused, match=message):
        load(tmp_path, made.model([*made.nodes(), *ending], output="answer", held={"axes": np.array([1])}))


def test_channels_may_come_last(tmp_path: Path) -> None:
    last = [node("Transpose", ["images"], "first", perm=[0, 3, 1, 2]), *made.nodes()]
    last[1].input[0] = "first"
    converted = load(tmp_path, made.model(last, image=(SIDE, SIDE, 3)))
    torch.testing.assert_close(converted(IMAGES), made.logits(IMAGES))


def test_what_torch_cannot_do_is_run_by_onnxruntime(tmp_path: Path) -> None:
    judge = load(tmp_path, made.not_convertible())
    assert judge.run_by == "onnxruntime"
    assert "QuantizeLinear" in str(judge.without_gradients)
    assert float((judge(IMAGES) - made.logits(IMAGES)).abs().max()) < 0.5
    classifier = catalog.load(str(tmp_path / "small.toml"))
    assert classifier.run_by == "onnxruntime"
    with pytest.raises(NoGradients, match=r"small is run by onnxruntime, which gives no gradients: it can judge noise"):
        classifier.require_gradients()
    assert classifier.device == torch.device("cpu")
    assert classifier.fingerprint() != catalog.load(str(made.write(tmp_path))).fingerprint()


def test_a_module_that_answers_otherwise_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: Any) -> nn.Module:
        class Wrong(nn.Module):
            def forward(self, images: Tensor) -> Tensor:
                return made.logits(images) + 1e-3

        return Wrong()

    monkeypatch.setattr(network, "_converter", lambda: wrong)
    judge = load(tmp_path)
    assert judge.run_by == "onnxruntime"
    assert judge.without_gradients == "converted to torch, it answers otherwise than in onnxruntime"


def test_what_would_take_long_to_convert_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnx2torch's time grows with the square of the operators, and it copies a weight for every use."""
    monkeypatch.setattr(network, "MOST_CONVERTED", 4)
    assert load(tmp_path).without_gradients == "it has more than 4 operators, too many to be converted to torch"
    monkeypatch.undo()
    often = made.nodes()
    often[1:2] = [node("Add", ["convolved", "map"], "v0")]
    often[2:2] = [node("Add", [f"v{k}", "map"], f"v{k + 1}" if k < 19 else "bent") for k in range(20)]
    content = made.model(often, held={"map": np.zeros((4, SIDE, SIDE), np.float32)})
    made.write(tmp_path, content)
    judge = network.load(tmp_path / "small.onnx", IMAGE, replace(LIMITS, value=21 * 4096))
    assert judge.without_gradients == "converted to torch, its weights would take more than 86,016 bytes"
    assert load(tmp_path, content).run_by == "torch"


def test_flat_networks_are_not_descended_on(tmp_path: Path) -> None:
    """`Ceil` has the gradient zero everywhere."""
    steps = made.nodes()
    steps[1] = node("Ceil", ["convolved"], "bent")
    assert "no gradients" in str(load(tmp_path, made.model(steps)).without_gradients)


@pytest.mark.parametrize("name", ["onnx", "onnxruntime", "onnx2torch"])
def test_a_missing_extra_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    card = made.write(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OnnxMissing, match=r'pip install "veil\[onnx\]"'):
        catalog.load(str(card))


@pytest.mark.parametrize("padding", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("kind", ["Conv", "MaxPool"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padding_that_is_left_open_has_gradients(tmp_path: Path, padding: str, kind: str, stride: int) -> None:
    padded = made.nodes()
    inputs = ["images", "kernel", "bias"] if kind == "Conv" else ["plain"]
    padded[0:1] = [
        node("Conv", ["images", "kernel", "bias"], "plain", pads=[1, 1, 1, 1]),
        node(kind, inputs, "convolved", auto_pad=padding, kernel_shape=[3, 3], strides=[stride] * 2),
    ]
    content = made.model(padded)
    converted = load(tmp_path, content)
    assert converted.run_by == "torch", converted.without_gradients
    torch.testing.assert_close(converted(IMAGES), Session(rewritten_with_softmax(content))(IMAGES), atol=1e-5, rtol=0)


OTHERS = {
    "gelu": [node("Gelu", ["convolved"], "bent")],
    "gelu by tanh": [node("Gelu", ["convolved"], "bent", approximate="tanh")],
    "parts": [
        onnx_split := made.onnx.helper.make_node("Split", ["convolved"], ["a", "b"], axis=1, num_outputs=2),
        node("Concat", ["b", "a"], "bent", axis=1),
    ],
    "padding": [node("Pad", ["convolved", "pads", "", "sides"], "bent")],
    "means": [node("ReduceMean", ["convolved", "sides"], "bent")],
    "slices": [node("Slice", ["convolved", "zero", "end", "sides"], "bent")],
}


@pytest.mark.parametrize("what", OTHERS)
def test_later_operator_sets_have_gradients_too(tmp_path: Path, what: str) -> None:
    later = made.nodes()
    later[1:2] = OTHERS[what]
    held = {
        "sides": np.array([-1, 2]), "pads": np.array([1, 0, 2, 3]), "zero": np.array([1, 2]), "end": np.array([-1, 9]),
    }  # fmt: skip
    content = made.model(later, held=held, opset=20)
    converted = load(tmp_path, content)
    assert converted.run_by == "torch", converted.without_gradients
    said = Session(rewritten_with_softmax(content))(IMAGES)
    torch.testing.assert_close(converted(IMAGES), said, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def photos(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Tensor], Tensor]:
    """The first 48 photos of NIPS 2017, and their classes."""
    folder = tmp_path_factory.mktemp("photos")
    with tarfile.open(shared / "nips17-400.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    rows = list(csv.DictReader((folder / "nips17/images.csv").read_text().splitlines()))[:48]
    files = [folder / f"nips17/images/{row['ImageId']}.jpg" for row in rows]
    return [images.load(file).pixels for file in files], torch.tensor([int(row["TrueLabel"]) - 1 for row in rows])


@pytest.mark.shared
@pytest.mark.parametrize(("name", "stated"), [("darknet_tiny", 0.71), ("mobilenetv1_075_192", 0.78)])
def test_real_networks_see_real_photos(
    shared: Path, photos: tuple[list[Tensor], Tensor], name: str, stated: float
) -> None:
    """``stated`` is the share of the first 100 photos that the weights' README says."""
    pixels, truths = photos
    classifier = catalog.load(str(shared / "weights" / f"{name}.toml"))
    assert classifier.run_by == "torch"
    inputs = torch.cat([classifier.preprocessing(images.to_float(photo[None])) for photo in pixels])
    with torch.no_grad():
        answers = classifier.network(inputs)
    low, high = wilson(int((answers.argmax(1) == truths).sum()), len(truths))
    assert low < stated < high
    theirs = Session(rewritten(taken_over(read(shared / "weights" / f"{name}.onnx"))))(inputs)
    assert float((answers - theirs).abs().max()) <= CLOSE * (1 + float(theirs.abs().max()))
    assert torch.equal(answers.argmax(1), theirs.argmax(1))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["darknet_tiny", "mobilenetv1_075_192"])
def test_real_networks_end_in_logits(shared: Path, name: str) -> None:
    """Neither file ends in a softmax, so none is taken off; their answers are no probabilities."""
    written = rewritten(taken_over(read(shared / "weights" / f"{name}.onnx")))
    assert written.ended_in is None
    assert written.several
    answers = Session(written)(network.fixed_images(written.image))
    assert bool((answers < 0).any())


@pytest.mark.shared
def test_a_card_must_fit_its_network(shared: Path, tmp_path: Path) -> None:
    for file in (shared / "weights").glob("darknet_tiny.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "imagenet_labels.txt").write_bytes((shared / "weights/imagenet_labels.txt").read_bytes())
    card = tmp_path / "darknet_tiny.toml"
    card.write_text(card.read_text().replace("[224, 224]", "[192, 224]"))
    with pytest.raises(CardError, match=r"it takes images of 224×224 with 3 channels; .* prepares 192×224"):
        catalog.load(str(card))
