"""Cards with ONNX networks on the command line: as surrogate, as judge, and refused in one line."""

import json
from pathlib import Path

import onnx_files as made
import pytest
from commands import kept_of, rows_of, said, veil

from veil import images
from veil.images import Photo
from veil.recipes import free_photos

Captured = pytest.CaptureFixture[str]
QUICK = ("--required-score", "0.3", "--budget", "60", "--step", "6", "--excluded-top", "1", "--max-iterations", "20")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("chelsea", "coffee"):
        images.save(Photo(free_photos.read(name, 64)), tmp_path / f"in/{name}.png")
    return tmp_path / "in"


@pytest.fixture
def surrogate(tmp_path: Path) -> Path:
    return made.write(tmp_path, name="surrogate")


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    return made.write(tmp_path, made.not_convertible(), name="judge")


def test_noise_is_made_on_one_and_judged_by_the_other(
    photos: Path, surrogate: Path, judge: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out"
    command = ("protect", photos, "-o", out, "-m", surrogate, "--verify-with", judge, *QUICK)
    assert veil(*command) in (0, 3)
    shown = capsys.readouterr().out
    assert "run by" in shown
    assert "onnxruntime" in shown
    rows = rows_of(out)
    assert len(rows) == 2
    for row in rows:
        first, second = row["networks"]
        assert (first["network"], first["role"], "run_by" in first) == ("surrogate", "descent", False)
        assert (second["network"], second["role"], second["run_by"]) == ("judge", "unseen", "onnxruntime")
        assert row["linf"] > 0
    page = kept_of(out, "report.html").read_text()
    assert "run by onnxruntime" in page
    assert veil(*command) in (0, 3)  # goes on, and finds everything done


def test_a_judge_alone_makes_no_noise(photos: Path, judge: Path, tmp_path: Path, capsys: Captured) -> None:
    for command in (
        ("protect", photos, "-o", tmp_path / "out", "-m", judge),
        ("fit-noise", photos, "-o", tmp_path / "noise.safetensors", "-m", judge, "--iterations", "1"),
    ):
        assert veil(*command) == 2
        line = said(capsys)
        assert (
            "judge is run by onnxruntime, which gives no gradients: it can judge noise, as with --verify-with" in line
        )
        assert "onnx2torch cannot convert it" in line
    assert not (tmp_path / "out").exists()


def test_judges_of_the_same_family_are_warned_of(
    photos: Path, surrogate: Path, judge: Path, tmp_path: Path, capsys: Captured
) -> None:
    for card in (surrogate, judge):
        card.write_text(f'family = "small"\n{card.read_text()}')
    veil("protect", photos, "-o", tmp_path / "out", "-m", surrogate, "--verify-with", judge, *QUICK)
    warning = "judge is of the same family as surrogate (small)"
    assert warning in said(capsys)
    assert warning in kept_of(tmp_path / "out", "report.html").read_text()
    assert {view["family"] for row in rows_of(tmp_path / "out") for view in row["networks"]} == {"small"}


def test_a_surrogate_cannot_judge(photos: Path, surrogate: Path, tmp_path: Path, capsys: Captured) -> None:
    again = made.write(tmp_path, name="again")
    again.write_text(again.read_text().replace("std = [0.5, 0.5, 0.5]", "std = [0.4, 0.5, 0.5]"))
    assert veil("protect", photos, "-o", tmp_path / "out", "-m", surrogate, "--verify-with", again) == 2
    assert "again has the weights of surrogate, which the noise is made against" in said(capsys)
    assert not (tmp_path / "out").exists()


def test_noise_is_fitted_to_one(photos: Path, surrogate: Path, tmp_path: Path) -> None:
    for number in range(6):
        images.save(Photo(free_photos.read("astronaut", 64)), photos / f"more{number}.png")
    out = tmp_path / "noise.safetensors"
    assert veil("fit-noise", photos, "-o", out, "-m", surrogate, "--iterations", "2") == 0
    assert out.exists()


def test_check_evaluate_and_inspect_take_both(
    photos: Path, surrogate: Path, judge: Path, tmp_path: Path, capsys: Captured
) -> None:
    veil("check", photos, "-m", surrogate, "--verify-with", judge, "--json")
    first, second = json.loads(capsys.readouterr().out)["networks"]
    assert (first["run_by"], second["run_by"]) == (None, "onnxruntime")
    veil("check", photos, "-m", judge)
    assert "judge (run by onnxruntime)" in " ".join(capsys.readouterr().out.split())
    for name in ("chelsea", "coffee"):
        (tmp_path / f"classes/thing {len(name) - 6}").mkdir(parents=True)
        (photos / f"{name}.png").rename(tmp_path / f"classes/thing {len(name) - 6}/{name}.png")
    for card, run_by in ((surrogate, "torch"), (judge, "onnxruntime")):
        assert veil("evaluate", card, tmp_path / "classes", "--json") == 0
        assert json.loads(capsys.readouterr().out)["run_by"] == run_by
    assert veil("evaluate", judge, tmp_path / "classes") == 0
    assert "(run by onnxruntime)" in capsys.readouterr().out
    photo = next((tmp_path / "classes").rglob("*.png"))
    assert veil("inspect", photo, "-m", judge) == 0
    assert "judge (run by onnxruntime)" in " ".join(capsys.readouterr().out.split())


def test_models_names_the_architecture(surrogate: Path, capsys: Captured) -> None:
    assert veil("models", surrogate, "--json") == 0
    entry = json.loads(capsys.readouterr().out)[-1]
    assert (entry["architecture"], entry["input"], entry["classes"]) == ("onnx", "16×16", 5)
    assert veil("models", surrogate) == 0
    assert "onnx" in capsys.readouterr().out


def _cut(data: bytes) -> bytes:
    return data[:-40]


def _external(data: bytes) -> bytes:
    content = made.onnx.ModelProto.FromString(data)
    tensor = content.graph.initializer[0]
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return bytes(content.SerializeToString())


def _looping(data: bytes) -> bytes:
    content = made.onnx.ModelProto.FromString(data)
    content.graph.node[0].input[0] = "flat"
    return bytes(content.SerializeToString())


def _lying(data: bytes) -> bytes:
    content = made.onnx.ModelProto.FromString(data)
    content.graph.initializer[0].dims[0] = 5
    return bytes(content.SerializeToString())


def _large(data: bytes) -> bytes:
    content = made.onnx.ModelProto.FromString(data)
    content.graph.node[1].op_type = "Tile"
    content.graph.node[1].input.append("times")
    content.graph.initializer.append(
        made.onnx.numpy_helper.from_array(made.np.array([1, 1, 1 << 14, 1 << 14]), "times")
    )
    return bytes(content.SerializeToString())


HOSTILE = {
    "truncated": (_cut, "it is damaged or cut off"),
    "external": (_external, "it keeps weights in another file"),
    "looping": (_looping, "the graph has a loop"),
    "lying": (_lying, "does not fit the bytes that it holds"),
    "too large": (_large, "one image would take more than 1,073,741,824 bytes at once"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("option", ["-m", "--verify-with"])
def test_a_file_that_cannot_be_used_is_one_line(
    what: str, option: str, photos: Path, tmp_path: Path, capsys: Captured
) -> None:
    change, reason = HOSTILE[what]
    card = made.write(tmp_path, change(made.model().SerializeToString()))
    assert veil("protect", photos, "-o", tmp_path / "out", option, card) == 2
    line = said(capsys)
    assert "Traceback" not in line
    assert "small.onnx: not an ONNX classifier" in line
    assert reason in line
    assert not (tmp_path / "out").exists()


def test_a_file_of_gibibytes_is_not_read(photos: Path, tmp_path: Path, capsys: Captured) -> None:
    card = made.write(tmp_path)
    with card.with_suffix(".onnx").open("r+b") as file:
        file.truncate(1 << 40)
    assert veil("inspect", photos / "coffee.png", "-m", card) == 2
    assert "small.onnx has 1,099,511,627,776 bytes, more than the 536,870,912 that are read" in said(capsys)
