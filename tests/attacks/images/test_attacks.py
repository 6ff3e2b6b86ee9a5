"""The table of attacks on images: its rows, a stranger's, and what decides what an attack is called with."""

from pathlib import Path

import pytest
import torch
from contracts import check_image_attack
from torch import Tensor

from veil.attacks.images import ATTACKS, KNOWLEDGE, ImageAttack, knowledge_of, resolve, title_of, words_of
from veil.attacks.images.attack import AttackersImages, Reconstruct
from veil.runtime.tables import UnknownName


@pytest.mark.parametrize("name", ATTACKS)
def test_every_row_keeps_the_contract(name: str, tmp_path: Path) -> None:
    assert ATTACKS[name].name == name
    check_image_attack(ATTACKS[name], tmp_path)


def negative(protected: Tensor) -> Reconstruct:
    return lambda images: 255 - images


NEGATIVE = ImageAttack(name="negative", title="the negative", knows="protected", attack=negative)


def test_a_strangers_row_keeps_it_too(tmp_path: Path) -> None:
    check_image_attack(NEGATIVE, tmp_path)


def test_what_an_attacker_knows_decides_what_the_attack_gets() -> None:
    plain = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 6, 5)
    given = AttackersImages(plain, 255 - plain, lambda chosen: chosen)
    got = {name: known.arguments(given, 1) for name, known in KNOWLEDGE.items()}
    protected, public = got["unpaired"]
    assert got["protected"][0].equal(protected)
    assert protected.equal(255 - plain[:2])
    assert public.equal(plain[2:])  # no image is in both
    assert [images.shape[0] for images in got["few"]] == [1, 1]
    assert [images.shape[0] for images in got["pairs"]] == [4, 4]
    assert got["chosen"] == (given.protect, 6, 5)
    ranks = [known.rank for known in KNOWLEDGE.values()]
    assert ranks == sorted(ranks)
    assert set(ranks) == set(range(max(ranks) + 1))


def test_attacks_that_a_person_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_attacks.py").write_text(
        "from veil.attacks.images import ImageAttack\n"
        "def look(protected):\n    return lambda images: images\n"
        "LOOK = ImageAttack(name='look', title='looking at it', knows='protected', attack=look)\n"
        "GA = ImageAttack(name='ga', title='another', knows='protected', attack=look)\n"
    )
    monkeypatch.chdir(tmp_path)
    found = resolve(["own_attacks:LOOK", "affine", "ga", "ga"])
    assert [row.name for row in found] == ["ga", "affine", "look"]
    for typed, says in (
        (["gaa"], "there is no attack 'gaa'"),
        (["own_attacks:GA"], "calls itself 'ga', as another attack does"),
        ([NEGATIVE, ImageAttack(name="negative", title="x", knows="pairs", attack=negative)], "another attack"),
        (["own_attacks:look"], "is of the type function, not ImageAttack"),
    ):  # fmt: skip
        with pytest.raises(UnknownName, match=says):
            resolve(typed)  # type: ignore[arg-type]


def test_rows_of_attacks_from_elsewhere_speak_for_themselves() -> None:
    assert words_of(ATTACKS["ga"]) == {}
    row = {"attack": "negative", **words_of(NEGATIVE)}
    assert title_of(row) == "the negative"
    assert knowledge_of(row) is KNOWLEDGE["protected"]
    assert title_of({"attack": "gone"}) == "gone"
    assert knowledge_of({"attack": "gone"}) is None
    assert title_of({"attack": "ga", "title": "mine"}) == ATTACKS["ga"].title


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"name": "Two Words"}, "named by words of a-z"), ({"name": "../x"}, "named by"), ({"knows": "all"}, "knows one")],
)
def test_a_row_that_cannot_be_is_refused(fields: dict[str, str], says: str) -> None:
    whole = {"name": "x", "title": "x", "knows": "pairs"} | fields
    with pytest.raises(ValueError, match=says):
        ImageAttack(attack=negative, **whole)
