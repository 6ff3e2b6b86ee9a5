"""Readers of folders that Veil wrote, or says to have written: outputs, measurements, trainings, studies.

A job that goes on in such a folder may write, but nowhere else: a file beside the folder is compared afterwards.
"""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fuzzing.reader import CORPUS, OLD, REPOSITORY, Prepared, Reader

_TRAINING = {"seed": 0}
_VICTIM = b"what lies beside an output folder"


def _rows(folder: Path) -> Prepared:
    """Rows as commands that show them read them: by the formats of all jobs, one of which is the seed's."""
    from veil.jobs import folders
    from veil.jobs.row_formats import RowFormat
    from veil.protections.ciphers.folder import DECRYPTED_ROWS, ENCRYPTED_ROWS
    from veil.protections.features.feature_files import EXTRACTED_ROWS
    from veil.protections.noise.rows import PROTECTED_ROWS

    formats: tuple[RowFormat[Any], ...] = (PROTECTED_ROWS, ENCRYPTED_ROWS, DECRYPTED_ROWS, EXTRACTED_ROWS)

    def read(file: Path) -> None:
        refused = []
        for form in formats:
            try:
                for _ in folders.read_checked(folder, form):
                    pass
            except folders.FolderError as error:
                refused.append(error)
        if len(refused) == len(formats):
            raise refused[0]

    return Prepared(read, (folders.FolderError,))


def _goes_on(mutated: str, folder: Path) -> Prepared:
    """`veil encrypt` in a folder whose rows or settings were mutated."""
    from veil.jobs.folders import FolderError
    from veil.jobs.layout import layout_of
    from veil.protections.ciphers.folder import encrypt_folder
    from veil.protections.ciphers.keys import Key

    (folder / "private.key").touch(mode=0o600)
    shutil.copyfile(REPOSITORY / OLD / "keys/plain.key", folder / "private.key")
    key = Key.load(folder / "private.key")
    photos, good, out = folder / "photos", folder / "good", folder / "jobs" / "out"
    shutil.copytree(REPOSITORY / OLD / "photos", photos)
    encrypt_folder([photos], good, "tanaka", key)
    private = layout_of(good).private
    of_out = out.with_name(private.name.replace("good", "out"))
    out.parent.mkdir()
    (out.parent / "victim").write_bytes(_VICTIM)

    def read(file: Path) -> None:
        for source, copy in ((good, out), (private, of_out)):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source, copy)
        shutil.copyfile(file, of_out / mutated)
        try:
            encrypt_folder([photos], out, "tanaka", key)
        finally:
            assert (out.parent / "victim").read_bytes() == _VICTIM, "a file outside was changed"
            there = sorted(entry.name for entry in out.parent.iterdir())
            assert there == ["out", of_out.name, "victim"], "a file appeared outside"

    return Prepared(read, (FolderError,))


def _measured(folder: Path) -> Prepared:
    """Rows of an audit or a recipe, with the arrays in them."""
    from veil.jobs import rows

    def read(file: Path) -> None:
        for row in rows.RowFile(file, _about(file)).rows:
            for value in row.values():
                if isinstance(value, dict) and "zlib" in value:
                    rows.unpack(value)

    return Prepared(read, (rows.RowsError,))


def _about(file: Path) -> dict[str, object]:
    """What a file says itself: only then its rows are read."""
    try:
        about = json.loads(file.read_bytes().split(b"\n", 1)[0])["about"]
        return about if isinstance(about, dict) else {}
    except Exception:
        return {}


def save_checkpoint(folder: Path) -> Any:
    """Writes the checkpoint of a training of the smallest network, and returns what was trained."""
    import torch

    from veil.training import checkpoints

    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    trained = checkpoints.Trained({"network": network}, {"network": optimizer})
    checkpoints.save(trained, folder, _TRAINING, [{"epoch": 0, "loss": 1.0}])
    return trained


def _checkpoint(mutated: str, folder: Path) -> Prepared:
    """A training that goes on from a checkpoint."""
    from veil.training import checkpoints

    trained = save_checkpoint(folder / "checkpoint")

    def read(file: Path) -> None:
        shutil.copyfile(file, folder / "checkpoint" / mutated)
        checkpoints.load(trained, folder / "checkpoint", _TRAINING)

    return Prepared(read, (ValueError,))


def _study(folder: Path) -> Prepared:
    from veil.study import folder as studies
    from veil.study.questions import StudyError

    shutil.copytree(REPOSITORY / OLD / "study/images", folder / "images")
    return Prepared(lambda file: studies.read_images(folder, studies.read(folder)), (StudyError,))


def _answers(folder: Path) -> Prepared:
    """`veil study report`, whose pictures are left out."""
    from veil.study import folder as studies
    from veil.study import result
    from veil.study.answers import Answers
    from veil.study.questions import StudyError

    study = studies.read(REPOSITORY / OLD / "study")

    def read(file: Path) -> None:
        for beside in ("-wal", "-shm", "-journal"):
            file.with_name(file.name + beside).unlink(missing_ok=True)
        with Answers(file, study.name) as answers:
            result.result(study, answers.participants(), answers.given(), 0)

    return Prepared(read, (StudyError,))


def _row(
    name: str, title: str, file: str, seeds: tuple[str, ...], prepare: Callable[[Path], Prepared], root: str = OLD
) -> Reader:
    below = tuple(f"{root}/{seed}" for seed in seeds)
    return Reader(name=name, title=title, file=file, seeds=below, prepare=prepare, seconds=20)


ROWS = (
    _row("rows", "rows of outputs", "rows.jsonl", ("protected/*/rows.jsonl", "encrypted/*/rows.jsonl",
         "decrypted/rows.jsonl", "features/*/rows.jsonl"), _rows),
    _row("rows-of-a-job", "rows of a job that goes on", "mutated.jsonl", ("encrypted/tanaka/rows.jsonl",),
         partial(_goes_on, "rows.jsonl")),
    _row("settings-of-a-job", "settings of a job that goes on", "mutated.json", ("encrypted/tanaka/run.json",),
         partial(_goes_on, "run.json")),
    _row("measured-rows", "rows of an audit or a paper", "rows.jsonl", ("audits/*/rows.jsonl", "results/*/*/*.jsonl"),
         _measured),
    _row("checkpoint", "the state of a training", "state.json", ("checkpoint/state.json",),
         partial(_checkpoint, "state.json"), CORPUS),
    _row("checkpoint-tensors", "the tensors of a training", "tensors.safetensors", ("checkpoint/tensors.safetensors",),
         partial(_checkpoint, "tensors.safetensors"), CORPUS),
    _row("study", "the questions of a study", "study.json", ("study/study.json",), _study),
    _row("answers", "the answers of a study", "answers.sqlite", ("study/answers.sqlite",), _answers),
)  # fmt: skip
