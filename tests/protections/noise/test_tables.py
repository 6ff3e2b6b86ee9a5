"""Every row of the tables of noise."""

import pytest
from contracts import check_noise_attack, check_scheme

from veil.attacks.noise import NOISE_ATTACKS
from veil.images.processing import PLATFORMS
from veil.protections.noise import SCHEMES


@pytest.mark.parametrize("name", SCHEMES.names())
def test_schemes(name: str) -> None:
    check_scheme(SCHEMES[name])


@pytest.mark.parametrize("name", NOISE_ATTACKS.names())
def test_attacks_on_noise(name: str) -> None:
    check_noise_attack(NOISE_ATTACKS[name])


def test_what_survival_measures_by_default_are_rows() -> None:
    assert [name for name, row in NOISE_ATTACKS.items() if row.process in PLATFORMS.values()] == list(PLATFORMS)
