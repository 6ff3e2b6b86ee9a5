"""What Veil 7c1583f wrote is read as before: output folders, keys, networks, noise, answers, audits, studies, rows.

Every test works in a copy of ``old_formats/7c1583f`` and gives the commands that made it once more. What depends on
the processor, networks' outputs, is compared with a tolerance; pixels and bytes that do not are compared exactly.
"""

import csv
import json
import lzma
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import rows_of, veil
from numpy.typing import NDArray
from old_formats import drawn
from old_formats.jobs import JOBS, PASSPHRASE
from old_formats.make import numbers
from PIL import Image
from repository import REPOSITORY

OLD = REPOSITORY / "tests/support/old_formats/7c1583f"
FOLDERS = {
    "protect-crs": "protected/crs", "protect-cis": "protected/cis", "protect-entropy": "protected/entropy",
    "protect-universal": "protected/universal", "encrypt-tanaka": "encrypted/tanaka", "encrypt-same": "encrypted/same",
    "encrypt-different": "encrypted/different", "decrypt-tanaka": "decrypted", "transform-apply": "transformed",
    "extract": "features/values", "extract-maps": "features/maps",
}  # fmt: skip
SOURCES = {"decrypted": "encrypted/tanaka", "protected/stopped": "some"}
MEASURED = {"reproduce-keys": "sirichotedumrong2020/key-statistics", "reproduce-trade-off": "li2019/trade-off"}
STATUS = json.loads((OLD / "said/statuses.json").read_text())
SAID = {file.stem: json.loads(file.read_text()) for file in (OLD / "said").glob("*.json")}
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixtures as they were made: with the data sets, and what Git does not keep, modes and times."""
    place, data = tmp_path_factory.mktemp("old") / "made", tmp_path_factory.mktemp("data")
    shutil.copytree(OLD, place)
    drawn.small_images(data / "small")
    drawn.faces(data / "faces")
    for name in ("small", "faces"):
        (place / name).symlink_to(data / name)
    packed = place / "transformation.safetensors.xz"
    packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    for folder in (*FOLDERS.values(), "protected/stopped"):
        for line in (place / folder / "rows.jsonl").read_text().splitlines():
            source = json.loads(line).get("source") if line.endswith("}") else None
            if source:
                file = place / SOURCES.get(folder, "photos") / json.loads(line)["file"]
                os.utime(file, ns=(source["modified_ns"],) * 2)
    return place


@pytest.fixture
def kept(restored: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fixtures as the current folder, for commands that only read them."""
    monkeypatch.chdir(restored)
    monkeypatch.setenv("VEIL_PASSPHRASE", PASSPHRASE)
    return restored


@pytest.fixture
def old(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in, which is the current folder."""
    place = tmp_path / "old"
    shutil.copytree(kept, place, symlinks=True)
    monkeypatch.chdir(place)
    return place


def again(job: str, capsys: Captured) -> Any:
    """Gives a job's command once more and returns what it said, which is JSON."""
    capsys.readouterr()
    assert veil(*JOBS[job]) == STATUS[job]
    return json.loads(capsys.readouterr().out)


def anew(job: str, out: Path) -> Path:
    """Gives a job's command with another ``--out``, and returns that."""
    words: list[object] = list(JOBS[job])
    words[words.index("-o") + 1] = out
    assert veil(*words) == STATUS[job]
    return out


def pairs(fresh: Path, before: Path) -> Iterator[tuple[Path, Path]]:
    """The outputs of a folder that was made anew, each with the old one of the same file."""
    names = {row["file"]: row["out"] for row in rows_of(fresh)}
    for row in rows_of(before):
        yield fresh / names[row["file"]], before / row["out"]


def holds(found: Any, wanted: Any) -> bool:
    """Whether all that was there is there still, numbers about the same; there may be more."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and holds(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    if isinstance(wanted, float):
        return isinstance(found, float) and found == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    return bool(found == wanted)


def pixels(file: Path) -> NDArray[Any]:
    """An image's values as they are stored."""
    with Image.open(file) as image:
        return np.asarray(image)


def written(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Outputs with their times: no rows, nothing that is built anew from them."""
    rebuilt = {"rows.jsonl", "report.html", ".lock"}
    return {
        file.relative_to(folder).as_posix(): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.rglob("*") if file.is_file() and file.name not in rebuilt and file.parent.name != "figures"
    }  # fmt: skip


def tells(page: Path, old: Path) -> bool:
    """Whether a page's tables hold all numbers that they held."""
    wanted = Counter(SAID["numbers"][page.relative_to(old).as_posix()])
    return bool(wanted) and not wanted - Counter(numbers(page.read_text(encoding="utf-8")))


# Folders of outputs


@pytest.mark.parametrize("job", FOLDERS)
def test_a_finished_folder_stays_as_it_is(job: str, old: Path, capsys: Captured) -> None:
    folder = old / FOLDERS[job]
    outputs, rows = written(folder), rows_of(folder)
    said = again(job, capsys)
    assert written(folder) == outputs
    assert holds(rows_of(folder), rows)
    assert holds(said, {name: value for name, value in SAID[job].items() if name != "report"})
    if job.startswith("protect"):
        assert tells(folder / "report.html", old)


def test_a_stopped_folder_goes_on(old: Path, capsys: Captured) -> None:
    folder = old / "protected/stopped"
    outputs = written(folder)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()[:-1]]
    done = {row["file"]: row for row in rows if not row["error"]}
    assert sorted(done) == ["colour.png", "grey.png"]
    said = again("protect-stopped", capsys)
    assert (said["photos"], said["failed"]) == (4, 1)
    found = {row["file"]: row for row in rows_of(folder)}
    assert list(found) == ["alpha.png", "broken.png", "colour.png", "grey.png"]
    assert all(holds(found[name], row) for name, row in done.items())
    assert found["broken.png"]["error"]
    assert pixels(folder / found["alpha.png"]["out"]).shape == pixels(old / "some/alpha.png").shape
    left = outputs.keys() - {".0123456789abcdef.part"}
    assert {name: outputs[name] for name in left} == {name: written(folder)[name] for name in left}
    assert not list(folder.rglob("*.part"))


# Keys and ciphers


def test_old_keys_are_good(kept: Path, capsys: Captured) -> None:
    assert again("key-show", capsys) == SAID["key-show"]
    for name, job in (("plain", "encrypt-tanaka"), ("sealed", "encrypt-same")):
        assert veil("key", "check", f"keys/{name}.key") == 0
        assert SAID[job]["key"] in capsys.readouterr().out


@pytest.mark.parametrize(("cipher", "key"), [("tanaka", "plain"), ("same", "sealed")])
def test_old_keys_decrypt_to_the_originals(cipher: str, key: str, kept: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    assert veil("decrypt", f"encrypted/{cipher}", "-o", fresh, "--key", f"keys/{key}.key") == 0
    for name in ("colour.png", "grey.png", "sub/odd.png"):
        assert np.array_equal(pixels(fresh / name), pixels(kept / "photos" / name))
    for name in ("alpha.png", "deep.png"):
        assert np.array_equal(pixels(fresh / name), pixels(kept / "decrypted" / name))


@pytest.mark.parametrize("job", ["encrypt-tanaka", "encrypt-same"])
def test_old_keys_encrypt_as_before(job: str, kept: Path, tmp_path: Path) -> None:
    for fresh, before in pairs(anew(job, tmp_path / "fresh"), kept / FOLDERS[job]):
        assert np.array_equal(pixels(fresh), pixels(before))


@pytest.mark.parametrize("folder", ["encrypted/different", "encrypted/same"])
def test_what_was_encrypted_with_other_keys_is_refused(folder: str, kept: Path, tmp_path: Path) -> None:
    assert veil("decrypt", folder, "-o", tmp_path / "fresh", "--key", "keys/plain.key") == 2
    assert not list(tmp_path.rglob("*.png"))


# Networks and noise: what they say and do


@pytest.mark.parametrize("job", ["inspect", "transform-show", "show-client", "show-service"])
def test_old_networks_say_the_same(job: str, kept: Path, capsys: Captured) -> None:
    assert holds(again(job, capsys), SAID[job])


def test_an_old_universal_noise_changes_photos_as_before(kept: Path, tmp_path: Path) -> None:
    for fresh, before in pairs(anew("protect-universal", tmp_path / "fresh"), kept / "protected/universal"):
        assert np.array_equal(pixels(fresh), pixels(before))


def test_an_old_transformation_changes_images_as_before(kept: Path, tmp_path: Path) -> None:
    for fresh, before in pairs(anew("transform-apply", tmp_path / "fresh"), kept / "transformed"):
        assert abs(pixels(fresh).astype(int) - pixels(before)).max() <= 1
        assert pixels(before).std() > 5


@pytest.mark.parametrize(("job", "dtype"), [("extract", "u1"), ("extract-maps", "<f2")])
def test_old_clients_send_as_before(job: str, dtype: str, kept: Path, tmp_path: Path) -> None:
    agreeing = []
    for files in pairs(anew(job, tmp_path / "fresh"), kept / FOLDERS[job]):
        fresh, before = (file.read_bytes() for file in files)
        assert (len(fresh), fresh[:16]) == (len(before), before[:16])
        values = [np.frombuffer(data, dtype, offset=16).astype(float) for data in (fresh, before)]
        agreeing.append(np.isclose(*values, rtol=0.01, atol=0.01))
    assert np.concatenate(agreeing).mean() > 0.9  # a value between two levels may go to either


def test_an_old_service_answers_as_before(kept: Path, tmp_path: Path) -> None:
    with anew("classify-csv", tmp_path / "fresh.csv").open() as fresh, (kept / "answers.csv").open() as before:
        for now, then in zip(csv.DictReader(fresh), csv.DictReader(before), strict=True):
            assert (now["file"], now["error"]) == (then["file"], then["error"])
            assert float(now["Smiling"]) == pytest.approx(float(then["Smiling"]), abs=1e-4)
    files = anew("classify-jsonl", tmp_path / "fresh.jsonl"), kept / "answers.jsonl"
    answers = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    assert holds(*answers)


def test_an_old_training_goes_on(old: Path) -> None:
    log = old / "training/log.jsonl"
    (first,) = map(json.loads, log.read_text().splitlines())
    assert veil(*JOBS["train-stopped"]) == 0
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert rows[0] == first
    assert [row["epoch"] for row in rows] == [0, 1]
    assert (old / "training/model.toml").is_file()


# What was measured


@pytest.mark.parametrize("job", ["audit-images", "audit-features"])
def test_an_old_audit_measures_nothing_anew(job: str, old: Path, capsys: Captured) -> None:
    folder = old / JOBS[job][JOBS[job].index("-o") + 1]
    before = (folder / "rows.jsonl").read_text()
    said = again(job, capsys)
    after = (folder / "rows.jsonl").read_text()
    assert after.startswith(before)
    new = [json.loads(line) for line in after.removeprefix(before).splitlines()]
    assert {row["kind"] for row in new if "kind" in row} <= {"control", "answer-floor"}  # which came later
    assert tells(folder / "report.html", old)
    for now, then in zip(said["verdicts"], SAID[job]["verdicts"], strict=True):
        assert (now["level"], now["attack"]) == ("smoke", then["attack"])


def test_an_old_study_counts_the_same(old: Path, capsys: Captured) -> None:
    known = {name: value for name, value in SAID["study-report"].items() if name not in ("verdict", "report")}
    said = again("study-report", capsys)
    assert holds(said, known)
    assert said["verdict"]["level"] == SAID["study-report"]["verdict"]["level"]
    assert tells(old / "study/report.html", old)


def test_old_reconstructions_make_a_study(kept: Path, tmp_path: Path) -> None:
    fresh = anew("study-new", tmp_path / "fresh")
    assert len(list((fresh / "images").iterdir())) == len(list((kept / "study/images").iterdir()))


@pytest.mark.parametrize("job", MEASURED)
def test_old_rows_of_a_paper_are_complete(job: str, old: Path) -> None:
    rows = old / "results" / MEASURED[job] / "smoke.jsonl"
    before = rows.read_text()
    assert veil(*JOBS[job]) == 0
    assert rows.read_text() == before
    shown = old / "results" / Path(MEASURED[job]).parent / "report/smoke/report.html"
    assert tells(shown, old)


def test_old_rows_of_a_paper_go_on(old: Path) -> None:
    rows = old / "results" / MEASURED["reproduce-keys"] / "smoke.jsonl"
    whole = rows.read_text().splitlines()
    rows.write_text("\n".join(whole[:3]) + '\n{"run": 1, "ciph')
    assert veil(*JOBS["reproduce-keys"]) == 0
    found = [json.loads(line) for line in rows.read_text().splitlines() if not line.endswith('"ciph')]
    assert found[:3] == [json.loads(line) for line in whole[:3]]
    measured = [(row["cipher"], row["images"]) for row in found if "cipher" in row]
    assert sorted(measured) == [("pixel-same", 4), ("pixel-same", 32), ("tanaka", 4), ("tanaka", 32)]
    assert found[-1]["complete"] == [0]


@pytest.mark.parametrize("paper", sorted(p.name for p in (REPOSITORY / "results").iterdir() if (p / "report").is_dir()))
def test_the_results_of_the_repository_are_whole(paper: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert veil("reproduce", paper, "--list", "--scale", "cpu", "-o", REPOSITORY / "results") == 0
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    state = {words[1].strip(): words[4].strip() for words in lines}
    items = [file.parent.name for file in (REPOSITORY / "results" / paper).glob("*/cpu.jsonl")]
    assert len(items) > 2
    assert all(state[item].startswith("complete") for item in items)
