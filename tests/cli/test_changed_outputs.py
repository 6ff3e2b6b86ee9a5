"""What every folder job does where somebody changed its outputs: it says so, and does those files again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cards
import obfuscators
import pytest
import transformations
from commands import kept_of, rows_of, said, same, veil
from networks import photos
from PIL import Image

Captured = pytest.CaptureFixture[str]
QUICK = ("--required-score", "0.8", "--budget", "16", "--step", "2")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """Every command that writes a folder, without its inputs and outputs."""
    folder = tmp_path_factory.mktemp("networks")
    transformations.tiny(folder / "tiny.safetensors")
    client, _ = obfuscators.write(folder / "client")
    veil("key", "new", folder / "a.key")
    return {
        "protect": ["protect", "-m", cards.write(folder), *QUICK],
        "encrypt": ["encrypt", "--cipher", "pixel", "--key", folder / "a.key"],
        "transform": ["transform", "apply", "--with", folder / "tiny.safetensors"],
        "extract": ["obfuscate", "extract", "--client", client],
    }


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for number, pixels in enumerate(photos(4)):
        image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        image.save(tmp_path / "in" / ("sub" if number == 3 else "") / f"{number}.png")
    return tmp_path / "in"


def swapped(output: Path, original: Path) -> None:
    shutil.copyfile(original, output)


def junk(output: Path, original: Path) -> None:
    output.write_bytes(b"junk")


def one_bit(output: Path, original: Path) -> None:
    content = output.read_bytes()
    output.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("name", ["protect", "encrypt", "transform", "extract"])
@pytest.mark.parametrize("change", [swapped, junk, one_bit])
def test_a_changed_output_is_noticed_and_done_again(
    commands: dict[str, list[object]], inputs: Path, tmp_path: Path, name: str, change: Callable[[Path, Path], None],
    capsys: Captured,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    command = [*commands[name], inputs, "-o", out]
    status, whole = veil(*command), same(out)
    capsys.readouterr()
    row = rows_of(out)[1]
    change(out / row["out"], inputs / row["file"])
    assert veil(*command) == status
    told = said(capsys)
    assert f"{row['out']} was changed since it was written; it is done again" in told
    assert told.count("changed since") == 1
    assert same(out) == whole


def test_outputs_of_an_older_veil_stay_and_it_is_said(
    commands: dict[str, list[object]], inputs: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    command = [*commands["encrypt"], inputs, "-o", out]
    veil(*command)
    older = [{key: value for key, value in row.items() if not key.endswith("sha256")} for row in rows_of(out)]
    kept_of(out, "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in older))
    capsys.readouterr()
    assert veil(*command) == 0
    told = said(capsys)
    assert "4 outputs were written by an older Veil, and cannot be compared" in told
    assert "4 of 4 images are done already" in told
