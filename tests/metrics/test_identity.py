"""Re-identification of embeddings whose answers are known."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from veil.metrics.identity import one_of, rank_one, tar_at_far
from veil.metrics.intervals import over_people, wilson

IDENTITIES = torch.arange(12).repeat_interleave(3)
MEASURES = [one_of, rank_one, tar_at_far]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def people(spread: float) -> Tensor:
    """Three photos each of twelve people at right angles to each other, so far from their middle."""
    return F.one_hot(IDENTITIES, 12) + spread * normal(36, 12)


@pytest.mark.parametrize("photo", ["same", "another"])
@pytest.mark.parametrize("measure", MEASURES)
def test_clear_people_are_found(measure: object, photo: str) -> None:
    assert callable(measure)
    found = measure(7 * people(0.01), people(0.02), IDENTITIES, photo=photo)
    assert (found.rate, found.count) == (1, 36)
    assert found.interval == wilson(12, 12)


@pytest.mark.parametrize("photo", ["same", "another"])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_blind_recogniser_is_at_chance(measure: object, photo: str) -> None:
    assert callable(measure)
    found = [measure(normal(36, 12, seed=seed + 1), people(0.5), IDENTITIES, photo=photo) for seed in range(40)]
    rate = sum(each.rate for each in found) / 40
    half = 4 * math.sqrt(found[0].chance * (1 - found[0].chance) / (36 * 40))
    assert rate == pytest.approx(found[0].chance, abs=half)


@pytest.mark.parametrize("k", [2, 4, 12])
def test_chance_is_one_of_k_and_all_ties_are_chance(k: int) -> None:
    found = one_of(torch.ones(36, 5), torch.ones(36, 5), IDENTITIES, k=k)
    assert found is not None
    assert found.rate == pytest.approx(1 / k)
    assert found.chance == 1 / k


def test_ties_of_the_whole_gallery_are_chance() -> None:
    for photo, chance in (("same", 3 / 36), ("another", 2 / 35)):
        found = rank_one(torch.ones(36, 5), torch.ones(36, 5), IDENTITIES, photo=photo)  # type: ignore[arg-type]
        assert found is not None
        assert found.rate == pytest.approx(chance)
        assert found.chance == pytest.approx(chance)
    accepted = tar_at_far(torch.ones(36, 5), torch.ones(36, 5), IDENTITIES)
    assert accepted is not None
    assert accepted.rate == 0


def test_the_same_photo_is_easier_than_the_person() -> None:
    """Photos that have nothing in common but are found again themselves."""
    gallery = normal(36, 64)
    for measure in MEASURES:
        same, another = (measure(gallery, gallery, IDENTITIES, photo=photo) for photo in ("same", "another"))
        assert same is not None
        assert another is not None
        assert same.rate == 1
        assert another.interval[0] < another.chance + 0.05
        assert another.rate < 0.6


def test_distractors_are_of_other_people() -> None:
    """A gallery in which all photos of a person are one: with a distractor of the same person there would be ties."""
    gallery = F.one_hot(IDENTITIES, 12).float()
    for seed in range(20):
        found = one_of(gallery, gallery, IDENTITIES, seed=seed)
        assert found is not None
        assert found.rate == 1


def test_a_probe_does_not_mind_the_others() -> None:
    probes, gallery = people(1.5) + 4 * normal(36, 12, seed=3), people(1.5)
    source = torch.randperm(36, generator=torch.Generator().manual_seed(1))
    whole = one_of(probes, gallery, IDENTITIES, seed=5)
    turned = one_of(probes[source], gallery, IDENTITIES, seed=5, source=source)
    assert whole == turned
    assert 0.3 < whole.rate < 1
    one = [one_of(probes[[n]], gallery, IDENTITIES, seed=5, source=torch.tensor([n])) for n in range(36)]
    assert sum(each.rate for each in one if each) / 36 == pytest.approx(whole.rate)
    rates = {one_of(probes, gallery, IDENTITIES, seed=seed).rate for seed in range(8)}  # type: ignore[union-attr]
    assert len(rates) > 1


@pytest.mark.parametrize("photo", ["same", "another"])
@pytest.mark.parametrize("measure", MEASURES)
def test_intervals_are_over_the_people_of_the_probes(measure: object, photo: str) -> None:
    """Five people of twelve are lost altogether, with all their probes; only the first ten are asked about."""
    assert callable(measure)
    probes = people(0.01)
    probes[: 5 * 3] = -probes[: 5 * 3]
    found = measure(probes[:30], people(0.02), IDENTITIES, photo=photo)
    assert (found.rate, found.count) == (0.5, 30)
    assert found.interval == over_people(IDENTITIES[:30] >= 5, IDENTITIES[:30])
    assert found.interval[1] - found.interval[0] > 1.5 * (wilson(15, 30)[1] - wilson(15, 30)[0])
    source = torch.arange(36).roll(7)[:30]
    assert measure(people(0.01)[source], people(0.02), IDENTITIES, photo=photo, source=source).interval[0] < 1


def test_people_without_another_photo_do_not_count() -> None:
    identities = torch.tensor([0, 0, 1, 1, 2, 3])
    gallery = F.one_hot(identities, 4).float()
    for measure in (one_of, rank_one):
        found = measure(gallery, gallery, identities, photo="another")
        assert found is not None
        assert found.interval == wilson(2, 2)
    alone = one_of(gallery[:2], gallery, identities)
    assert alone is not None
    assert alone.interval == (0, 1)


def test_tar_at_far_by_hand() -> None:
    """Cosines of one probe with its own photo 0.8, and 0.9, 0.7, … 0.1 with strangers: at 0.2 of them one is above."""
    own, others = 0.8, [0.9, 0.7, 0.5, 0.3, 0.1]
    gallery = torch.tensor([[cosine, math.sqrt(1 - cosine**2)] for cosine in (own, *others)])
    probe, identities = torch.tensor([[2.0, 0.0]]), torch.arange(6)
    assert tar_at_far(probe, gallery, identities, far=0.2) is not None
    assert tar_at_far(probe, gallery, identities, far=0.2).rate == 1  # type: ignore[union-attr]
    assert tar_at_far(probe, gallery, identities, far=0.19) is None
    gallery[0] = torch.tensor([0.6, 0.8])
    assert tar_at_far(probe, gallery, identities, far=0.2).rate == 0  # type: ignore[union-attr]
    assert tar_at_far(probe, gallery, identities, far=0.4).rate == 1  # type: ignore[union-attr]


def test_what_cannot_be_asked_is_none() -> None:
    lonely = torch.arange(5)
    gallery = normal(5, 8)
    assert all(measure(gallery, gallery, lonely, photo="another", far=0.5) is None for measure in (tar_at_far,))
    assert one_of(gallery, gallery, lonely, photo="another") is None
    assert rank_one(gallery, gallery, lonely, photo="another") is None
    assert one_of(gallery, gallery, lonely, k=6) is None
    alike = torch.zeros(5, dtype=torch.int64)
    assert rank_one(gallery, gallery, alike) is None
    assert tar_at_far(gallery, gallery, alike) is None
    mixed = torch.tensor([0, 0, 1, 2, 3])
    asked = one_of(gallery, gallery, mixed, photo="another")
    assert asked is not None
    assert asked.count == 2


GALLERY = normal(4, 8)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("probes", "gallery", "identities", "source", "message"),
    [
        (GALLERY[0], GALLERY, torch.arange(4), None, "probes must hold floats"),
        (GALLERY[:0], GALLERY, torch.arange(4), None, "probes must hold floats"),
        (GALLERY, GALLERY.int(), torch.arange(4), None, "gallery must hold floats"),
        (GALLERY * math.nan, GALLERY, torch.arange(4), None, "finite"),
        (GALLERY[:, :5], GALLERY, torch.arange(4), None, "5 and of 8"),
        (GALLERY, GALLERY, torch.arange(3), None, "identities must hold integers"),
        (GALLERY, GALLERY, torch.arange(4.0), None, "identities must hold integers"),
        (GALLERY, GALLERY, torch.arange(4), torch.arange(3), "source must hold integers"),
        (GALLERY, GALLERY, torch.arange(4), torch.tensor([0, 1, 2, 4]), "places in a gallery"),
        (torch.cat([GALLERY, GALLERY]), GALLERY, torch.arange(4), None, "places in a gallery"),
    ],
)
def test_wrong_embeddings_are_refused(
    measure: object, probes: Tensor, gallery: Tensor, identities: Tensor, source: Tensor | None, message: str
) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match=message):
        measure(probes, gallery, identities, source=source)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        one_of(GALLERY, GALLERY, torch.arange(4), k=1)
    for far in (0, 1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            tar_at_far(GALLERY, GALLERY, torch.arange(4), far=far)
