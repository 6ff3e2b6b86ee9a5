"""The face recogniser's frame with tiny networks whose answers are known, and the real one on real faces."""

import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from veil.data import faces
from veil.metrics.attributes import auroc
from veil.models import face_embedder
from veil.models.face_embedder import EmbedderMissing, FaceEmbedder


@pytest.fixture(scope="module")
def onnx() -> Any:
    pytest.importorskip("onnxruntime")
    return pytest.importorskip("onnx")


def network(onnx: Any, file: Path, batch: int | str = 1, channels: int = 3, kind: str = "mean") -> Path:
    """What sees 8 × 6 pixels and answers with their mean per channel, or with itself flattened."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    if kind == "mean":
        nodes = [
            helper.make_node("GlobalAveragePool", ["faces"], ["means"]),
            helper.make_node("Flatten", ["means"], ["embedding"]),
        ]
    else:
        nodes = [helper.make_node("Flatten", ["faces"], ["embedding"])]
    width = channels if kind == "mean" else channels * 48
    graph = helper.make_graph(
        nodes,
        "embedder",
        [helper.make_tensor_value_info("faces", floats, [batch, channels, 8, 6])],
        [helper.make_tensor_value_info("embedding", floats, [batch, width])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file.write_bytes(model.SerializeToString())
    return file


def random_faces(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 20, 16), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("crop", [1.0, 0.5])
def test_embeddings_are_the_networks_of_unit_length(batch: int | str, crop: float, onnx: Any, tmp_path: Path) -> None:
    embedder = FaceEmbedder(network(onnx, tmp_path / "n.onnx", batch), crop=crop, threads=2)
    assert (embedder.side, embedder.width) == ((8, 6), 3)
    images = random_faces(70)
    embeddings = embedder(images)
    assert (embeddings.shape, embeddings.dtype) == ((70, 3), torch.float32)
    middle = images if crop == 1 else images[:, :, 5:15, 4:12]
    resized = F.interpolate(middle / 255, (8, 6), mode="bilinear", antialias=True)
    mean, deviation = (torch.tensor(each) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = F.normalize((resized.mean((2, 3)) - mean) / deviation, dim=1)
    torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(embedder(images / 255), embeddings, atol=1e-6, rtol=0)
    torch.testing.assert_close(embedder(images[5:6]), embeddings[5:6], atol=1e-6, rtol=0)


def test_every_place_is_seen_where_it_was(onnx: Any, tmp_path: Path) -> None:
    embedder = FaceEmbedder(network(onnx, tmp_path / "n.onnx", kind="flat"), crop=1)
    images = torch.rand(3, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    expected = F.normalize(face_embedder.preprocess(images, 1, (8, 6)).flatten(1), dim=1)
    torch.testing.assert_close(embedder(images), expected)


def test_wrong_images_are_refused(onnx: Any, tmp_path: Path) -> None:
    embedder = FaceEmbedder(network(onnx, tmp_path / "n.onnx"))
    for wrong in (torch.zeros(3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(0, 3, 8, 8)):
        with pytest.raises(ValueError, match=r"\(N, 3, H, W\)"):
            embedder(wrong)
    with pytest.raises(ValueError, match="uint8, or floats"):
        embedder(torch.zeros(1, 3, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match="not finite"):
        embedder(torch.full((1, 3, 8, 8), torch.nan))


def test_wrong_networks_are_refused(onnx: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a face recogniser"):
        FaceEmbedder(network(onnx, tmp_path / "grey.onnx", channels=1))
    with pytest.raises(ValueError, match="takes 5 images at once"):
        FaceEmbedder(network(onnx, tmp_path / "five.onnx", batch=5))
    (tmp_path / "broken.onnx").write_bytes(b"nothing of that kind")
    with pytest.raises(ValueError, match=r"broken\.onnx: not an ONNX network"):
        FaceEmbedder(tmp_path / "broken.onnx")
    with pytest.raises(FileNotFoundError, match="no face recogniser"):
        FaceEmbedder(tmp_path / "none.onnx")


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    for crop in (0, 1.1):
        with pytest.raises(ValueError, match="crop"):
            FaceEmbedder(tmp_path, crop=crop)
    with pytest.raises(ValueError, match="at least one thread"):
        FaceEmbedder(tmp_path, threads=0)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EmbedderMissing, match=r'pip install "veil\[faces\]"'):
        FaceEmbedder(tmp_path)


@pytest.mark.slow
@pytest.mark.shared
def test_mobilefacenet_tells_real_people_apart(shared: Path, tmp_path: Path) -> None:
    """400 of CelebA's faces: the area that was measured with the weights was 0.959 with this crop."""
    pytest.importorskip("onnxruntime")
    with tarfile.open(shared / "celeba-faces.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    found = next(tmp_path.rglob("list_attr_celeba.txt")).parent
    test = faces.read(found).test
    assert test.identities is not None
    people = [person for person in test.identities.unique().tolist() if (test.identities == person).sum() >= 4][:100]
    chosen = test.take(torch.cat([(test.identities == person).nonzero().flatten()[:4] for person in people]))
    assert chosen.identities is not None
    embeddings = FaceEmbedder(shared / "weights" / "mobilefacenet.onnx")(chosen.images)
    assert embeddings.shape == (len(chosen), 128)
    pairs = torch.ones(len(chosen), len(chosen), dtype=torch.bool).triu(1)
    same = chosen.identities[:, None] == chosen.identities
    assert auroc((embeddings @ embeddings.T)[pairs], same[pairs]) > 0.94
