"""Noise that misleads classifiers and leaves the photo as it looks (Liu et al. 2019)."""

from veil.noise import cis, crs, entropy
from veil.noise.cis import CisSettings
from veil.noise.crs import CrsSettings
from veil.noise.engine import Engine
from veil.noise.entropy import EntropySettings
from veil.noise.scheme import Released, Scheme, Verdict
from veil.noise.targets import cross_entropy
from veil.noise.universal import NoNoise, UniversalNoise

SCHEMES: dict[str, Scheme] = {
    "crs": Scheme("networks see another class", CrsSettings, crs.plan, cross_entropy, crs.protects),
    "cis": Scheme("networks hesitate between classes", CisSettings, cis.plan, cross_entropy, cis.protects),
    "entropy": Scheme(
        "networks hold all classes alike", EntropySettings, entropy.plan, entropy.divergence, entropy.protects
    ),
}

__all__ = [
    "SCHEMES",
    "CisSettings",
    "CrsSettings",
    "Engine",
    "EntropySettings",
    "NoNoise",
    "Released",
    "Scheme",
    "UniversalNoise",
    "Verdict",
]
