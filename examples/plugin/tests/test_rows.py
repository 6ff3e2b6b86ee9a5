"""The rows keep what Veil asks of every row of these tables, and do what they say."""

import torch
from veil_example import least_likely, nearest_mean, nearest_pair

from veil.attacks.features.attackers import KnownAttributes
from veil.attacks.images import ATTACKS
from veil.protections.noise import SCHEMES


def test_veil_finds_them_by_name() -> None:
    assert SCHEMES["least-likely"] is least_likely.SCHEME
    assert ATTACKS["nearest-pair"] is nearest_pair.ATTACK


def test_the_aim_is_the_least_likely_class() -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    settings = least_likely.SCHEME.settings()
    (job,) = next(least_likely.plan(image, settings, label_spaces=[0], truth=None, seed=0))
    (goal,) = job.aim([torch.tensor([0.5, -2.0, 1.0])])
    assert goal.tolist() == [0, 1, 0]


def test_a_known_image_comes_back() -> None:
    plain = torch.randint(256, (20, 3, 8, 8), dtype=torch.uint8)
    reconstruct = nearest_pair.attack(plain, 255 - plain)
    assert reconstruct(255 - plain[3:5]).equal(plain[3:5])


def test_two_clusters_are_told_apart() -> None:
    labels = torch.arange(40)[:, None] % 2 == 0
    features = torch.randn(40, 4, 1, 1) + 5 * labels[:, :, None, None]
    known = KnownAttributes(features, labels)
    trained = nearest_mean.fit(known, known, nearest_mean.NearestMeanSettings(), None)  # type: ignore[arg-type]
    assert ((trained(features) > 0) == labels).all()
