"""What bytes depend on: not on the batch; on what run.json and checkpoints say, under which alone a job goes on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cards
import obfuscators
import pytest
import torch
import transformations
from commands import kept_of, rows_of, said, veil
from networks import photos
from PIL import Image
from repository import REPOSITORY

from veil.runtime.provenance import ARITHMETIC

Captured = pytest.CaptureFixture[str]
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""Makes a newer processor compute as many others do: there, an image's place in a batch of 8 changes its last bits."""
TWICE = """
import sys
from veil.cli import main
for batch in (8, 16):
    try:
        main([word.replace("BATCH", str(batch)) for word in sys.argv[1:]])
    except SystemExit as stop:
        assert stop.code in (0, 3), stop.code
"""


def test_the_same_bytes_in_any_batch(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    (tmp_path / "in").mkdir()
    for number in range(16):  # rough photos have many pixels whose gradient is nearly zero
        rough = torch.randint(60, 190, (256, 256, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(rough.numpy()).save(tmp_path / f"in/{number:02}.png")
    words = (
        "protect", tmp_path / "in", "-o", tmp_path / "outBATCH", "-m", cards.write(tmp_path), "--budget", "6",
        "--retries", "0", "--required-score", "0.9999", "--max-iterations", "6", "--precision", "float32", "--batch",
        "BATCH",
    )  # fmt: skip
    environment = {**os.environ, **AVX2, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-c", TWICE, *map(str, words)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    outs = [row["out"] for row in rows_of(tmp_path / "out8")]
    one, other = ({out: (tmp_path / name / out).read_bytes() for out in outs} for name in ("out8", "out16"))
    assert [out for out in outs if one[out] != other[out]] == []


@pytest.fixture
def other_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inputs = tmp_path / "in"
    inputs.mkdir()
    for number, pixels in enumerate(photos(3)):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(inputs / f"{number}.png")
    return inputs


def commands(folder: Path, tmp_path: Path) -> dict[str, tuple[object, ...]]:
    """A job of each kind whose outputs come from a network."""
    return {
        "protect": ("protect", folder, "-m", cards.write(tmp_path), "--budget", "16"),
        "transform": ("transform", "apply", folder, "--with", _transformation(tmp_path)),
        "extract": ("obfuscate", "extract", folder, "--client", obfuscators.write(tmp_path)[0]),
    }


def _transformation(folder: Path) -> Path:
    transformations.tiny(folder / "transformation.safetensors")
    return folder / "transformation.safetensors"


@pytest.mark.usefixtures("other_threads")
@pytest.mark.parametrize("job", ["protect", "transform", "extract"])
def test_a_job_does_not_go_on_with_other_threads(job: str, folder: Path, tmp_path: Path, capsys: Captured) -> None:
    out, words = tmp_path / "out", commands(folder, tmp_path)[job]
    threads = torch.get_num_threads()
    assert veil(*words, "-o", out) == 0
    manifest = json.loads((kept_of(out) / "run.json").read_text())
    assert set(manifest[ARITHMETIC]) >= {"device", "threads", "kernels", "torch", "bits"}
    torch.set_num_threads(threads + 1)
    assert veil(*words, "-o", out) == 2
    assert f"threads {threads} → {threads + 1}" in said(capsys)
    torch.set_num_threads(threads)
    assert veil(*words, "-o", out) == 0


@pytest.mark.parametrize("job", ["protect", "transform", "extract"])
def test_what_an_older_run_did_not_say_is_not_compared(
    job: str, folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    out, words = tmp_path / "out", commands(folder, tmp_path)[job]
    assert veil(*words, "-o", out) == 0
    file = kept_of(out) / "run.json"
    manifest = json.loads(file.read_text())
    arithmetic = manifest.pop(ARITHMETIC)
    file.write_text(json.dumps(manifest))
    assert veil(*words, "-o", out) == 0
    file.write_text(json.dumps(manifest | {ARITHMETIC: {"torch": arithmetic["torch"]}}))
    assert veil(*words, "-o", out) == 0
    file.write_text(json.dumps(manifest | {ARITHMETIC: {"torch": "1.0"}}))
    assert veil(*words, "-o", out) == 2
    assert "torch 1.0 → " in said(capsys)


def test_a_run_goes_on_with_another_batch(folder: Path, tmp_path: Path) -> None:
    out, words = tmp_path / "out", commands(folder, tmp_path)["protect"]
    assert veil(*words, "-o", out, "--batch", "8") == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    (out / "1.png").unlink()
    assert veil(*words, "-o", out, "--batch", "1") == 0
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
