"""A whole audit from Python: what it takes, the object that it gives, and where its files go."""

import gc
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import veil
from veil.audits.images.api import parts_of
from veil.data import synthetic
from veil.data.labelled_images import Parts
from veil.jobs.job import UNFINISHED
from veil.jobs.rows import RowsError
from veil.report import page
from veil.runtime.tables import UnknownName


def negative(images: Tensor) -> Tensor:
    return 255 - images


@pytest.fixture(scope="module")
def result() -> veil.ImageAuditResult:
    return veil.audit(negative, scale="smoke", attacks=["feature-reconstruction", "affine"])


def test_the_result_says_what_attackers_get(result: veil.ImageAuditResult) -> None:
    assert result.protection == "negative"
    assert result.scale == "smoke"
    assert [verdict.level for verdict in result.verdicts] == ["smoke"] * 4
    assert result.verdicts[-1].text == "Affine map of every pixel gives every image back, byte for byte."
    assert result.report.is_file()
    assert repr(result).startswith("ImageAuditResult('negative', made ")
    assert "smoke scale" in repr(result)
    assert len(repr(result)) < 200
    html = result._repr_html_()
    assert html.count("<tr>") == 5
    assert "no verdict" in html
    assert "2 attacks, 24 images, smoke scale" in html


def test_the_result_is_a_table(result: veil.ImageAuditResult) -> None:
    pytest.importorskip("pandas")
    frame = result.to_dataframe()
    assert list(frame[frame.kind == "attack"].title) == ["feature reconstruction", "affine map of every pixel"]
    assert set(frame[frame.kind == "floor"].floor) == {"plain", "protected", "mean", "unrelated"}
    assert frame.set_index("attack").ssim["affine"] == pytest.approx(1)
    assert not {"pictures", "seconds"} & set(frame.columns)


def test_a_name_cannot_inject_markup() -> None:
    found = veil.audit(renamed("<b>x</b>"), scale="smoke", attacks=["affine"])
    assert "<b>x</b>" not in found._repr_html_()
    assert "&lt;b&gt;x" in found._repr_html_()


def renamed(name: str) -> Any:
    def protect(images: Tensor) -> Tensor:
        return images

    protect.__qualname__ = name
    return protect


def test_a_temporary_folder_goes_with_the_result() -> None:
    found = veil.audit("plain", scale="smoke", attacks=["feature-reconstruction"])
    folder = found.folder
    assert folder.is_dir()
    del found
    gc.collect()
    assert not folder.exists()


def test_a_folder_of_ones_own_stays_and_goes_on(tmp_path: Path) -> None:
    first = veil.audit("tanaka", scale="smoke", attacks=["affine"], out=tmp_path)
    again = veil.audit("tanaka", scale="smoke", attacks=["affine", "chosen-plaintext"], out=tmp_path)
    assert again.folder == tmp_path
    assert again.rows[: len(first.rows)] == first.rows
    assert [row["attack"] for row in again.rows[len(first.rows) :]] == ["chosen-plaintext"] * 2
    with pytest.raises(RowsError, match="other conditions"):
        veil.audit("pixel-same", scale="smoke", attacks=["affine"], out=tmp_path)


def test_the_page_is_written_while_the_folder_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what a process leaves that is killed at the page stays for ever."""
    held: list[bool] = []
    write = page.write_atomically

    def writing(file: Path, content: str | bytes) -> None:
        held.append((tmp_path / UNFINISHED).exists())
        write(file, content)

    monkeypatch.setattr(page, "write_atomically", writing)
    veil.audit("plain", scale="smoke", attacks=["feature-reconstruction"], control=False, out=tmp_path)
    assert held
    assert all(held)


def test_images_in_memory_are_shared_out() -> None:
    parts = synthetic.small_images(train=30, test=10, side=16)
    found = veil.audit("plain", parts, scale="smoke", attacks=["feature-reconstruction"])
    assert found.about["data"] == f"made {parts.fingerprint}"
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in parts.train.images]
    shared = parts_of(pictures, None, "cpu")
    assert (len(shared.train), len(shared.test)) == (24, 6)
    whole = torch.cat([shared.train.images, shared.test.images])
    assert sorted(image.sum().item() for image in whole) == sorted(image.sum().item() for image in parts.train.images)
    assert parts_of(parts.train.images, 8, "cpu").train.images.shape == (24, 3, 8, 8)


@pytest.mark.parametrize(
    ("what", "options", "error", "says"),
    [
        ("plain", {}, ValueError, "give data"),
        ("nothing", {"scale": "smoke"}, UnknownName, "no protection 'nothing'"),
        ("plain", {"scale": "huge"}, ValueError, "no scale 'huge'; there are smoke, cpu, paper"),
        ("plain", {"scale": "smoke", "attacks": ["gaa"]}, UnknownName, "no attack 'gaa'"),
        ("plain", {"scale": "smoke", "classifier": "things100"}, ValueError, "things100 knows 100 classes"),
        ("plain", {"data": torch.zeros(3, 3, 8, 8, dtype=torch.uint8)}, ValueError, "four images at least, not 3"),
        (3, {"scale": "smoke"}, TypeError, "cannot be called"),
    ],
)
def test_what_does_not_go_together_is_said(
    what: Any, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        veil.audit(what, **options)


def test_protected_images_are_refused() -> None:
    parts = synthetic.small_images(train=10, test=10)
    with pytest.raises(ValueError, match="audits need plain ones"):
        parts_of(Parts("x", parts.train, parts.test, "tanaka"), None, "cpu")


def test_a_client_goes_to_the_audit_of_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import obfuscators

    from veil.audits import features

    calls: list[Any] = []
    monkeypatch.setattr(features, "audit_client", lambda *given, **told: calls.append((given, told)), raising=False)
    client, service = obfuscators.write(tmp_path, size=(32, 32))
    veil.audit(client, "celeba/", scale="smoke", seed=3, service=service)
    ((given, options),) = calls
    assert given[0].size == (32, 32)
    assert given[1] == "celeba/"
    assert options == {"scale": "smoke", "out": None, "seed": 3, "device": "auto", "service": service}
    with pytest.raises(ValueError, match="what is audited is its client"):
        veil.audit(service, scale="smoke")


def test_pandas_is_asked_for_only_then(result: veil.ImageAuditResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        result.to_dataframe()
