"""What a notebook or an interpreter shows of data in memory: sizes and a few pictures, no tensors."""

import base64
import re
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from veil.data import previews, synthetic, synthetic_faces
from veil.data.face_lists import FaceList
from veil.data.labelled_images import LabelledImages, Parts
from veil.data.labelled_photos import PhotoSet


def test_data_in_memory_is_described_by_its_sizes() -> None:
    parts = synthetic.small_images(train=1200, test=20, classes=4, side=16)
    assert repr(parts) == "Parts('made': 1,200 training and 20 test images of 3×16×16, 4 classes)"
    assert repr(parts.test) == "LabelledImages(20 images of 3×16×16, 4 classes)"
    protected = Parts("x", parts.test, parts.test, "tanaka")
    assert repr(protected).endswith("4 classes, protected (tanaka))")
    assert repr(synthetic.mnist_like((30, 10, 10), 0)) == "Mnist(30 for train, 10 for validation, 10 for test)"
    found = synthetic_faces.faces(60, 0, 24)
    assert repr(found) == (
        "FaceParts('made-faces': 42 for training, 6 for validation, 12 for test, of 3×24×24, 4 attributes)"
    )
    assert repr(found.test) == "Faces(12 of 3×24×24, 2 people, 4 attributes)"
    assert repr(PhotoSet("nips17", (Path("a"), Path("b")), (4, 4))) == "PhotoSet('nips17': 2 photos of 1 classes)"
    known = FaceList("celeba", (Path("a"),), torch.zeros(1, 1, dtype=torch.bool), ("Male",), None, None)
    assert repr(known) == "FaceList('celeba': 1 photos, 1 attributes)"


@pytest.mark.parametrize("channels", [1, 3])
def test_notebooks_show_the_first_images(channels: int) -> None:
    images = torch.arange(40 * channels * 8 * 8, dtype=torch.int64).mul(7).remainder(256).to(torch.uint8)
    data = LabelledImages(images.view(40, channels, 8, 8), torch.arange(40) % 2, ("<b>cat", "dog"))
    html = data._repr_html_()
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(sources) == previews.SHOWN
    with Image.open(BytesIO(base64.b64decode(sources[1]))) as picture:
        assert picture.size == (64, 64)
        assert picture.getpixel((0, 0)) == (images.view(40, channels, 8, 8)[1, 0, 0, 0] if channels == 1 else
                                            tuple(images.view(40, 3, 8, 8)[1, :, 0, 0].tolist()))  # fmt: skip
    assert "&lt;b&gt;cat" in html
    assert "<b>" not in html


def test_notebooks_show_every_part() -> None:
    found = synthetic_faces.faces(60, 0, 24)
    assert found._repr_html_().count("<img ") == 10 + 6 + 10
    assert 'title="' in found.test._repr_html_()
    parts = synthetic.small_images(train=5, test=3, classes=2, side=8)
    assert parts._repr_html_().count("<img ") == 5 + 3
