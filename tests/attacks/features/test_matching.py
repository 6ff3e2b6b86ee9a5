"""The matcher of people: against a reference, where the cosine does not find people, with odd values, and errors."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from veil.attacks.errors import AttackFailed
from veil.attacks.features.matching import Choice, Matcher, MatcherSettings
from veil.attacks.features.matching import fit as fit_matcher
from veil.metrics.identity import Identification, rank_one

NUISANCE = 20


def fit(features: Tensor, identities: Tensor, **settings: Any) -> Matcher:
    return fit_matcher(features, identities, MatcherSettings(**settings))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def people(count: int, photos: int = 6, values: int = 64, *, seed: int) -> tuple[Tensor, Tensor]:
    """Vectors of people who differ a little in all values; photos differ much more, in the same few directions."""
    identities = torch.arange(count).repeat_interleave(photos)
    directions = torch.linalg.qr(normal(values, min(NUISANCE, values), seed=99)).Q
    nuisance = 10 * normal(len(identities), directions.shape[1], seed=seed) @ directions.T
    own = normal(count, values, seed=seed + 1)[identities]
    features = 3 + own + nuisance + 0.3 * normal(len(identities), values, seed=seed + 2)
    return features[:, :, None, None], identities


def found(embeddings: Tensor, identities: Tensor) -> Identification:
    result = rank_one(embeddings, embeddings, identities, photo="another")
    assert result is not None
    return result


def by_cosine(features: Tensor, identities: Tensor, own: Tensor) -> Identification:
    return found((features.float() - own.float().mean(0)).flatten(1), identities)


def test_people_are_found_where_the_cosine_does_not() -> None:
    (own, known), (features, identities) = people(60, seed=1), people(50, seed=11)
    matcher = fit(own, known)
    embeddings = matcher(features)
    assert embeddings.dtype == torch.float32
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(len(features)))
    assert by_cosine(features, identities, own).rate < 0.2
    assert found(embeddings, identities).rate > 0.95


@pytest.mark.parametrize("evenness", [0.0, 0.3, 1.0])
def test_it_is_the_generalised_eigenproblem(evenness: float) -> None:
    """Against SciPy, of all values and without principal components; few people, so that nothing is chosen."""
    features, identities = people(9, 8, 12, seed=3)
    matcher = fit(features, identities, shrinkages=(0.2,), evennesses=(evenness,))
    assert matcher.choice == Choice(12, 0.2, evenness)

    x, person = features.flatten(1).double().numpy(), identities.numpy()
    x = (x - x.mean(0)) / x.std(0)
    around = x - np.stack([x[person == each].mean(0) for each in person])
    within = around.T @ around / (len(x) - 9)
    within = 0.8 * within + 0.2 * np.trace(within) / 12 * np.eye(12)
    variances, directions = scipy.linalg.eigh(x.T @ x / len(x), within)
    between = np.maximum(variances - 1, 0)
    between = (1 - evenness) * between + evenness * between.mean()
    wanted = x @ directions * np.sqrt(between / (1 + 2 * between))
    level = np.full((len(x), 1), np.sqrt(np.square(wanted).mean()))
    wanted = np.concatenate([wanted, level], 1)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    given = matcher(features).double().numpy()
    np.testing.assert_allclose(given @ given.T, wanted @ wanted.T, atol=1e-4)


def test_weights_are_those_of_the_likelihood_ratio() -> None:
    """One value, many people: cosines rise with the ratio's part that is of both photos, b / (1 + 2 b) times them."""
    b, count = 3.0, 4000
    identities = torch.arange(count).repeat_interleave(2)
    values = b**0.5 * normal(count, seed=1)[identities] + normal(2 * count, seed=2)
    matcher = fit(values[:, None, None, None], identities, shrinkages=(0.001,), evennesses=(0.0,))
    direction = float(matcher.directions.abs())
    assert direction**2 == pytest.approx(b / (1 + 2 * b), rel=0.1)
    assert matcher.level**2 == pytest.approx((1 + b) * b / (1 + 2 * b), rel=0.1)


@pytest.mark.parametrize("where", [0.0, 100.0])
def test_one_value(where: float) -> None:
    """Of people whose photos are alike, nearer than others': they are ordered as the values are."""
    identities = torch.arange(40).repeat_interleave(4)
    values = (where + normal(40, seed=1)[identities] + 1e-4 * normal(160, seed=2))[:, None, None, None]
    embeddings = fit(values[:80], identities[:80])(values[80:])
    assert embeddings.shape == (80, 2)
    assert found(embeddings, identities[80:]).rate > 0.9


def test_few_levels_and_constant_values() -> None:
    """Most values say the same of a photo and nothing of its person, and some say nothing at all."""

    def four_levels(count: int, seed: int) -> tuple[Tensor, Tensor]:
        identities = torch.arange(count).repeat_interleave(6)
        own = normal(count, 32, seed=seed)[identities] + 0.3 * normal(len(identities), 32, seed=seed + 1)
        own[:, 12:] = normal(len(identities), 1, seed=seed + 2) + 0.15 * normal(len(identities), 20, seed=seed + 3)
        levels = ((own + 1.5).round().clamp(0, 3) - 1.5) / 1.5
        levels[:, ::5] = 1 / 3
        return levels[:, :, None, None], identities

    (own, known), (features, identities) = four_levels(60, 1), four_levels(50, 11)
    embeddings = fit(own, known)(features)
    assert bool(embeddings.isfinite().all())
    assert found(embeddings, identities).rate > by_cosine(features, identities, own).rate + 0.1


def test_what_photos_share_exactly_is_found() -> None:
    """A value that is the same in all photos of a person: nothing varies within people there."""
    features, identities = people(30, seed=1)
    features[:, 0, 0, 0] = normal(30, seed=5)[identities]
    assert found(fit(features, identities, shrinkages=(1e-3,))(features), identities).rate > 0.9
    same = normal(30, 5, 1, 1, seed=6)[identities]
    assert found(fit(same[:90], identities[:90])(same[90:]), identities[90:]).rate == 1


def test_maps_of_half_precision_with_empty_places() -> None:
    """Many more values than photos or components; some places are empty in all photos, one in nearly all."""
    identities = torch.arange(60).repeat_interleave(5)
    maps = 2 * normal(60, 6, seed=1)[identities] @ normal(6, 3000, seed=2)
    maps += 5 * normal(300, 10, seed=3) @ normal(10, 3000, seed=4) + normal(300, 3000, seed=5)
    maps = maps.relu().unflatten(1, (30, 10, 10))
    maps[:, :, 0] = 0
    maps[7, :, 0, 0] = 1e-3
    maps[:, 3] = 0.1
    own, asked = maps[:200], maps[200:]
    matcher = fit(own.half(), identities[:200], components=20)
    assert matcher.directions.shape[1] <= 20
    embeddings = matcher(asked.half())
    learnt, plain = found(embeddings, identities[200:]), by_cosine(asked, identities[200:], own)
    assert learnt.rate > max(0.9, plain.rate + 0.3)
    torch.testing.assert_close(matcher(asked), embeddings, atol=0.02, rtol=0)
    torch.testing.assert_close(matcher(asked[3:4].half()), embeddings[3:4])
    assert matcher(asked[:0]).shape == (0, embeddings.shape[1])


def test_the_largest_components_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a singular value decomposition, worked on in parts; people differ in the largest only."""
    monkeypatch.setattr("veil.attacks.features.matching._VALUES_AT_ONCE", 7 * 400)
    identities = torch.arange(40).repeat_interleave(5)
    spread = torch.linalg.qr(normal(400, 5, seed=2)).Q * torch.tensor([50.0, 40.0, 30.0, 25.0, 20.0])
    features = (normal(40, 5, seed=1)[identities] + 0.2 * normal(200, 5, seed=3)) @ spread.T + normal(200, 400, seed=4)
    matcher = fit(features[:, None, None], identities, components=5, shrinkages=(0.1,), evennesses=(0.0,))
    deviation = features.std(0, correction=0)
    deviation = (0.9 * deviation.square() + 0.1 * deviation.square().mean()).sqrt()
    largest = torch.linalg.svd((features - features.mean(0)) / deviation, full_matrices=False).Vh[:5]
    directions = F.normalize(matcher.directions * deviation[:, None], dim=0)
    assert torch.allclose((largest @ directions).norm(dim=0), torch.ones(directions.shape[1]), atol=1e-3)


def test_where_nothing_is_nothing_is_found() -> None:
    identities = torch.arange(100).repeat_interleave(4)
    matcher = fit(normal(400, 16, 1, 1, seed=1), identities)
    result = found(matcher(normal(400, 16, 1, 1, seed=2)), identities)
    assert abs(result.rate - result.chance) < 4 * (result.chance / 400) ** 0.5


def test_people_with_one_photo_do_no_harm() -> None:
    (own, known), (features, identities) = people(60, seed=1), people(50, seed=11)
    strangers, _ = people(100, 1, seed=21)
    matcher = fit(torch.cat([own, strangers]), torch.cat([known, 1000 + torch.arange(100)]))
    assert found(matcher(features), identities).rate > 0.9


def test_few_people_get_the_most_cautious_choice() -> None:
    features, identities = people(11, seed=1)
    assert fit(features, identities, shrinkages=(0.01, 0.5), evennesses=(0.0, 0.7)).choice == Choice(64, 0.5, 0.7)
    assert fit(features, identities, components=5, shrinkages=(0.2,)).choice.components == 5


def test_the_same_again_and_no_other_random_numbers_are_drawn() -> None:
    features, identities = people(30, seed=1)
    torch.manual_seed(5)
    first = fit(features, identities)
    drawn = torch.rand(3)
    torch.manual_seed(6)
    again = fit(features, identities)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    assert first.choice == again.choice
    assert torch.equal(first(features), again(features))
    named = fit(features, 7 * identities.int() - 3)
    torch.testing.assert_close(named(features), first(features))


@pytest.mark.parametrize(
    ("features", "identities", "settings", "message"),
    [
        (normal(6, 4), torch.arange(6), {}, "features are floats"),
        (normal(6, 4, 1, 1).int(), torch.arange(6), {}, "features are floats"),
        (normal(0, 4, 1, 1), torch.arange(0), {}, "features are floats"),
        (normal(6, 4, 1, 1), torch.arange(5), {}, r"identities are integers \(6,\)"),
        (normal(6, 4, 1, 1), torch.arange(6).float(), {}, r"identities are integers \(6,\)"),
        (normal(6, 4, 1, 1), torch.arange(6) < 3, {}, r"identities are integers \(6,\)"),
        (normal(6, 4, 1, 1) / 0, torch.arange(6) // 2, {}, "finite"),
        (normal(6, 4, 1, 1), torch.arange(6) // 2, {"components": 0}, "needs a component"),
        (normal(6, 4, 1, 1), torch.arange(6) // 2, {"shrinkages": ()}, "needs a component"),
        (normal(6, 4, 1, 1), torch.arange(6) // 2, {"shrinkages": (0.0,)}, "must be shares"),
        (normal(6, 4, 1, 1), torch.arange(6) // 2, {"evennesses": (1.5,)}, "must be shares"),
    ],
)
def test_what_is_refused(features: Tensor, identities: Tensor, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(features, identities, **settings)


@pytest.mark.parametrize("identities", [[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0], [0, 0, 1, 2, 3, 4]])
def test_fewer_than_two_people_with_two_photos_tell_nothing(identities: list[int]) -> None:
    with pytest.raises(AttackFailed, match="two people with two photos"):
        fit(normal(6, 4, 1, 1), torch.tensor(identities))


def test_features_that_are_all_alike_tell_nothing() -> None:
    with pytest.raises(AttackFailed, match="alike"):
        fit(torch.full((6, 4, 2, 2), 0.1), torch.arange(6) // 2)


def test_a_matcher_is_for_features_of_one_shape() -> None:
    matcher: Matcher = fit(*people(4, values=5, seed=1))
    for wrong in (normal(3, 6, 1, 1), normal(3, 5), normal(3, 5, 1, 1).int()):
        with pytest.raises(ValueError, match="this matcher is for floats"):
            matcher(wrong)
