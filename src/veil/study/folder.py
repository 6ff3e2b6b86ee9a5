"""A study as a folder: ``study.json`` with questions and solutions, ``images/`` with pictures under neutral names.

Pictures are written again as PNG files with pixels only: names, metadata and sizes do not reveal which option is right.
The folder holds the solutions and photos of people, and only its owner can open it; do not hand it to participants, who
answer in a browser.
"""

import csv
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Hashable
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import Any

from torch import Tensor

from veil.images import SUFFIXES, ImageError, Photo, encode, load, over_white
from veil.jobs import folders
from veil.runtime import names
from veil.runtime.files import PARTIAL, open_regular, printable, write_atomically
from veil.runtime.names import UnsafeName
from veil.study.questions import NewStudy, Question, Settings, Study, StudyError, compose, plan

FILE, IMAGES, KIND, VERSION = "study.json", "images", "veil-study", 1
_NAME = re.compile(r"[0-9a-f]{16}")


def from_folders(
    original: Path,
    reconstructed: Path,
    identities: Path | None = None,
    settings: Settings | None = None,
    *,
    contact: str = "",
) -> NewStudy:
    """A study from two folders, whose files are matched by their names below the folder, without the suffix.

    Originals without a reconstruction are distractors. Only the pictures that are drawn are read.

    Args:
        original: photos.
        reconstructed: reconstructions of some of them.
        identities: CSV of rows ``file,identity``, with or without a heading; files are named as below ``original``.
            Originals that are not in it are left out. Without it every original is a separate person.
        settings: None takes the paper's with two attention questions.
        contact: who runs the study, for the first page.

    Raises:
        StudyError: if a folder, a file or the people cannot be used; FolderError: if a folder holds no photo.
    """
    settings = settings or Settings()
    if settings.another_photo and identities is None:
        raise StudyError("another photo of the same person can only be taken where identities are given")
    photos, shown = _photos(original), _photos(reconstructed)
    if lonely := sorted(shown.keys() - photos.keys()):
        more = f", nor for {len(lonely) - 1} more" if len(lonely) > 1 else ""
        raise StudyError(f"there is no original for {printable(shown[lonely[0]])}{more}")
    known = None if identities is None else read_identities(identities)
    called = sorted(name for name in photos if known is None or name in known)
    people: list[Hashable] = [name if known is None else known[name] for name in called]
    place = {name: number for number, name in enumerate(called)}
    asked = sorted(name for name in shown if name in place)
    root = json.dumps([asked, called])
    drawn = plan([place[name] for name in asked], people, settings, root)
    return compose(
        drawn,
        lambda number: _read(shown[asked[number]]),
        lambda number: _read(photos[called[number]]),
        lambda number: photos[called[number]].relative_to(original).as_posix(),
        settings, contact=contact, root=root,
    )  # fmt: skip


def _photos(folder: Path) -> dict[str, Path]:
    """The photos below a folder by their names without suffix."""
    if not folder.is_dir():
        raise StudyError(f"{printable(folder)} is no folder")
    paths: dict[str, Path] = {}
    for path, name in folders.find([folder], SUFFIXES, folder / ".none").files:
        stem = _stem(name)
        if stem in paths:
            raise StudyError(f"{printable(paths[stem])} and {printable(path)} have one name")
        paths[stem] = path
    return paths


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def read_identities(file: Path) -> dict[str, str]:
    """The person on each photo: identity by file name without suffix, from CSV rows ``file,identity``.

    Raises:
        StudyError: for a file that cannot be read, has other rows, or names a file twice.
    """
    try:
        with open_regular(file) as data, TextIOWrapper(data, newline="", encoding="utf-8-sig") as handle:
            rows = [[cell.strip() for cell in row] for row in csv.reader(handle) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{printable(file)}: {error}") from None
    if rows and rows[0] == ["file", "identity"]:
        rows = rows[1:]
    if not rows or not all(len(row) == 2 and all(row) for row in rows):
        raise StudyError(f"{printable(file)}: every row must be a file and an identity, as 000001.jpg,2880")
    twice = [name for name, times in Counter(_stem(row[0]) for row in rows).items() if times > 1]
    if twice:
        raise StudyError(f"{printable(file)} names {printable(twice[0])} more than once")
    return {_stem(name): identity for name, identity in rows}


def _read(path: Path) -> Tensor:
    try:
        return over_white(load(path)).pixels
    except ImageError as error:
        raise StudyError(f"{printable(path)}: {error}") from None


def write(new: NewStudy, out: Path) -> None:
    """Writes a study to a new or empty folder, which appears whole or not at all.

    Raises:
        StudyError: if the folder is not empty or cannot be written.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - a folder such as `.` needs a name, and links stay links
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StudyError(f"{printable(out)} is not empty; choose another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".", suffix=PARTIAL, dir=out.parent))
    except OSError as error:
        raise StudyError(f"cannot write to {printable(out.parent)}: {error.strerror}") from None
    try:
        (partial / IMAGES).mkdir()
        for name, image in new.images.items():
            write_atomically(partial / IMAGES / f"{name}.png", encode(Photo(image)))
        write_atomically(partial / FILE, json.dumps(_as_json(new.study), indent=2) + "\n")
        partial.rename(out)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise StudyError(f"cannot write {printable(out)}: {error.strerror}") from None
        raise


def _as_json(study: Study) -> dict[str, Any]:
    return {"kind": KIND, "version": VERSION, **asdict(study)}


def read(folder: Path) -> Study:
    """Reads the study that `write` wrote to a folder.

    Raises:
        StudyError: if there is no study, or it is damaged.
    """
    file = folder / FILE
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"there is no study in {printable(folder)}; make one by `veil study new`") from None
    except (OSError, ValueError) as error:
        raise StudyError(f"{printable(file)} cannot be read: {printable(str(error))}") from None
    if not isinstance(fields, dict) or fields.pop("kind", None) != KIND or fields.pop("version", None) != VERSION:
        raise StudyError(f"{printable(file)} is no study of version {VERSION}")
    try:
        study = _from_json(**fields)
    except (TypeError, KeyError, AttributeError) as error:
        raise StudyError(f"{printable(file)} is damaged: {printable(str(error))}") from None
    if not _is_sound(study):
        raise StudyError(f"{printable(file)} is damaged: names or places are not as they were written")
    return study


def _from_json(name: str, settings: dict[str, Any], questions: list[dict[str, Any]], contact: str) -> Study:
    read = (Question(**{**question, "options": tuple(question["options"])}) for question in questions)
    return Study(name, Settings(**settings), tuple(read), contact)


def _is_sound(study: Study) -> bool:
    names = [study.name]
    for question in study.questions:
        names += [question.name, question.shown, *question.options]
    whole = all(isinstance(name, str) and _NAME.fullmatch(name) for name in names) and len(set(names)) == len(names)
    places = all(
        isinstance(question.right, int) and 0 <= question.right < len(question.options) == study.settings.options
        for question in study.questions
    )
    return whole and places and bool(study.questions) and isinstance(study.contact, str)


def read_images(folder: Path, study: Study) -> dict[str, bytes]:
    """The PNG files of a study by name.

    Raises:
        StudyError: if a file is missing, or a link leads out of the folder: participants would see another file.
    """
    called = [name for question in study.questions for name in (question.shown, *question.options)]
    resolver = names.Resolver(folder)
    try:
        return {name: resolver.path(f"{IMAGES}/{name}.png").read_bytes() for name in called}
    except UnsafeName as error:
        raise StudyError(f"a picture of the study cannot be used: {error}") from None
    except OSError as error:
        raise StudyError(f"a picture of the study is missing: {printable(str(error))}") from None
