"""The audit: it runs any protection through all attacks, says what breaks, and does not cry wolf."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from veil import training
from veil.attacks.images import ATTACKS, ImageAttack, resolve
from veil.audits.images import page as pages
from veil.audits.images.audit import ImageAudit, audit
from veil.audits.images.subjects import Subject, subject
from veil.audits.images.verdicts import ATTACKERS, floor, guess, lift, strongest, verdicts
from veil.data import synthetic
from veil.data.labelled_images import Parts
from veil.jobs.rows import Row, RowFile
from veil.protections import of_callable
from veil.protections.ciphers.keys import Key
from veil.protections.transformation import TransformationError
from veil.report import page as report
from veil.training.run import Run

KEYS = ("pixel-statistics", "block-statistics", "known-plaintext", "chosen-plaintext", "affine")


@pytest.fixture(scope="module")
def parts() -> Parts:
    return synthetic.small_images(train=120, test=40, side=32, seed=0)


def audited(one: Subject, parts: Parts) -> ImageAudit:
    return ImageAudit(subject=one, parts=parts, scale="smoke")


def run(
    one: Subject, parts: Parts, folder: Path, attacks: Sequence[str | ImageAttack] | None = None, **other: Any
) -> list[Row]:
    with RowFile(folder / "rows.jsonl", audited(one, parts).about(0)) as rows:
        runner = training.fabric("cpu", "auto")
        return audit(
            audited(one, parts), resolve(ATTACKS if attacks is None else attacks), rows,
            Run(folder=folder / "attackers", seed=0, runner=runner, logged=lambda row: None), **other,
        )  # fmt: skip


def test_a_made_up_protection_goes_through_the_whole_audit(parts: Parts, tmp_path: Path) -> None:
    def upside_down(images: Tensor) -> Tensor:
        return 255 - images.flip(2)

    one = subject(of_callable("upside down", upside_down))
    rows = run(one, parts, tmp_path)
    assert {row["attack"] for row in rows if row["kind"] == "attack"} == set(ATTACKS)
    found = verdicts(rows)
    assert [each.attacker for each in found] == list(ATTACKERS)
    assert {each.level for each in found} <= {"exact", "broken", "leaks", "unshown"}
    assert {each.words for each in found if each.level == "unshown"} <= {"not shown: no control"}
    page = pages.page(rows, audited(one, parts).about(0), "somewhere", one.row)
    text = report.write_html(page, tmp_path).read_text()
    assert all(each.text.split(".")[0] in text for each in verdicts(rows, "smoke"))
    assert "upside down" in text


@pytest.mark.parametrize("name", ["tanaka", "pixel-same"])
def test_ciphers_with_one_key_fall_to_known_images(parts: Parts, name: str, tmp_path: Path) -> None:
    rows = run(subject(name), parts, tmp_path, list(KEYS))
    by_attacker = {each.attacker: each for each in verdicts(rows)}
    known = by_attacker["knows or chose a handful of the images"]
    assert known.level == "exact"
    assert "byte for byte" in known.text
    counts = [row["pairs"] for row in rows if row.get("attack") == "known-plaintext"]
    assert counts == sorted(counts)
    assert counts[-1] <= 16


def test_random_images_give_nothing_back(parts: Parts, tmp_path: Path) -> None:
    """The control: what holds nothing of the image cannot be reconstructed."""

    def random(images: Tensor, generator: Generator) -> Tensor:
        return torch.randint(0, 256, images.shape, dtype=torch.uint8, generator=generator)

    rows = run(Subject("random", random), parts, tmp_path)
    assert {each.words for each in verdicts(rows)} == {"not shown: no control"}
    failed = {row["attack"] for row in rows if "failed" in row}
    assert {"pixel-statistics", "block-statistics", "known-plaintext", "chosen-plaintext"} <= failed


def test_nothing_done_is_noticed(parts: Parts, tmp_path: Path) -> None:
    first = verdicts(run(subject("plain"), parts, tmp_path, ["feature-reconstruction"]))[0]
    assert first.level == "exact"
    assert first.text.startswith("The protected image itself")


def test_a_stopped_audit_goes_on(parts: Parts, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(line: str) -> None:
        if "inverse" in line:
            raise Stopped

    with pytest.raises(Stopped):
        run(subject("tanaka"), parts, tmp_path, [*KEYS, "inverse"], say=stop)
    before = len((tmp_path / "rows.jsonl").read_text().splitlines())
    said: list[str] = []
    rows = run(subject("tanaka"), parts, tmp_path, [*KEYS, "inverse"], say=said.append)
    assert said == [ATTACKS["inverse"].title]
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == before + 3  # a run, a row, and its pictures
    assert sum(row["kind"] == "attack" and row["attack"] == "inverse" for row in rows) == 1


def test_floors_and_lift() -> None:
    rows: list[Row] = [
        {"kind": "floor", "floor": "plain", "ssim": 1.0, "visible": 1.0, "accuracy": 0.8, "exact": 0.0},
        {"kind": "floor", "floor": "protected", "ssim": 0.05, "visible": 0.0, "accuracy": 0.1, "exact": 0.0},
        {"kind": "floor", "floor": "mean", "ssim": 0.2, "visible": 0.0, "accuracy": 0.1, "exact": 0.0},
        {"kind": "floor", "floor": "unrelated", "ssim": 0.1, "visible": 0.1, "accuracy": 0.05, "exact": 0.0},
        {"kind": "attack", "attack": "ga", "pairs": None, "ssim": 0.6, "visible": 0.1, "accuracy": 0.59, "exact": 0.0},
        {"kind": "attack", "attack": "uwa", "pairs": None, "failed": "no reason"},
    ]
    assert guess(rows, "ssim") == 0.2
    assert lift(rows, rows[4], "ssim") == pytest.approx(0.5)
    assert lift(rows, rows[4], "accuracy") == pytest.approx(0.7)
    assert lift(rows, rows[4], "visible") == 0.0
    best = strongest(rows, "ssim", 1, 1)
    assert best is rows[4]
    assert strongest(rows, "visible", 3, 3) is floor(rows, "protected")
    levels = [each.level for each in verdicts(rows)]
    assert levels == ["untried", "broken", "broken", "broken"]
    assert verdicts(rows)[2].text.startswith("As above: Images come back")


def row(attack: str, ssim: float = 0.2, *, exact: float = 0.0, **other: Any) -> Row:
    return {"kind": "attack", "attack": attack, "pairs": None, "ssim": ssim, "visible": 0.0, "accuracy": None,
            "exact": exact} | other  # fmt: skip


FLOORS: list[Row] = [
    {"kind": "floor", "floor": name, "ssim": value, "visible": value, "accuracy": None, "exact": float(value == 1)}
    for name, value in (("plain", 1.0), ("protected", 0.0), ("mean", 0.0), ("unrelated", 0.0))
]


def test_what_weaker_attackers_get_stronger_ones_get_too() -> None:
    """A line never says less than one above it: neither its level, nor its numbers."""
    found = verdicts([*FLOORS, row("feature-reconstruction", 0.4), row("ga", 0.2), row("inverse", 0.3)])
    assert [verdict.level for verdict in found] == ["leaks"] * 4
    assert all("SSIM 0.40 by feature reconstruction" in verdict.text for verdict in found)
    assert [verdict.text.startswith("As above: ") for verdict in found] == [False, True, True, True]
    found = verdicts([*FLOORS, row("ga", 0.2), row("inverse", 0.8)])
    assert [verdict.level for verdict in found] == ["untried", "leaks", "leaks", "broken"]
    assert not found[3].text.startswith("As above")
    found = verdicts([*FLOORS, row("known-plaintext", exact=1.0, pairs=2), row("inverse", 0.8)])
    assert [verdict.level for verdict in found] == ["untried", "untried", "exact", "exact"]
    assert found[3].text == "As above: Known plaintext gives every image back, byte for byte from 2 known images."


def test_what_was_not_tried_and_what_failed_is_said() -> None:
    failed = {"kind": "attack", "attack": "ga", "failed": "why"}
    found = verdicts([*FLOORS, row("feature-reconstruction", 0.05), failed])
    assert [verdict.level for verdict in found] == ["unshown", "unshown", "untried", "untried"]
    assert found[1].text.startswith("As above: No attack")
    assert found[1].text.endswith("No attack of this kind worked: GAN attack (GA): why.")


LOOK = ImageAttack(
    name="look", title="looking closely", knows="pairs", attack=lambda plain, protected: lambda images: 255 - images
)


def test_other_attacks_go_into_a_folder_that_stands(parts: Parts, tmp_path: Path) -> None:
    """Also when they are gone again: their rows speak for themselves, and nothing is imported for them."""
    one = subject("tanaka")
    before = run(one, parts, tmp_path, ["affine"])
    more = run(one, parts, tmp_path, ["affine", LOOK])
    assert more[: len(before)] == before
    assert {found.get("title") for found in more if found.get("attack") == "look"} == {"looking closely"}
    without = run(one, parts, tmp_path, ["affine"])
    assert without == more
    text = report.write_html(pages.page(without, audited(one, parts).about(0), "somewhere"), tmp_path).read_text()
    assert "looking closely" in text
    assert "half bytes of every block" not in text
    page = pages.page(without, audited(one, parts).about(0), "somewhere", one.row)
    assert "Half bytes of every block of 4×4 pixels permuted" in page.text[0]


def test_an_attack_that_gives_no_images_is_named(parts: Parts, tmp_path: Path) -> None:
    wrong = ImageAttack(name="wrong", title="x", knows="protected", attack=lambda protected: lambda images: images[:1])
    with pytest.raises(ValueError, match=r"the attack gives torch.uint8 \(1, 3, 32, 32\) for protected uint8"):
        run(subject("plain"), parts, tmp_path, [wrong])


def test_names(tmp_path: Path) -> None:
    assert subject("pixel-different").form == "pixels"
    assert subject("tanaka", Key(bytes(32))).described == Key(bytes(32)).fingerprint
    assert subject("torch:bitwise_not").protect(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), Generator()).eq(255).all()
    for name, match in (
        ("pixels", "no protection 'pixels'"), ("nowhere:thing", "cannot be imported"), ("math:pi", "a float, which"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            subject(name)
    with pytest.raises(ValueError, match="takes no key"):
        subject("pixel-different", Key(bytes(32)))
    (tmp_path / "x.safetensors").write_bytes(b"")
    with pytest.raises(TransformationError, match="safetensors"):
        subject(str(tmp_path / "x.safetensors"))


def fails(images: Tensor) -> Tensor:
    raise KeyError("colour")


def ends(images: Tensor) -> Tensor:
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda images: images.float(), "an audit needs images"),
        (lambda images: images[:, :, :8], "an audit needs images"),
        (lambda images: images[:, :1], "an audit needs images"),
        (lambda images: None, "gives a NoneType, not a tensor"),
        (fails, "fails on images .48, 3, 32, 32.: KeyError: 'colour'"),
        (ends, "fails on images .*: SystemExit: 0"),
    ],
)
def test_a_protection_that_gives_no_images_is_named(wrong: Any, says: str, parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        run(subject(of_callable("wrong", wrong)), parts, tmp_path, ["affine"])
