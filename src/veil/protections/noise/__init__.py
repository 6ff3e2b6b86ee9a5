"""Noise that misleads classifiers and leaves the photo as it looks (Liu et al. 2019)."""

from veil.protections.noise import cis, crs, entropy
from veil.protections.noise.cis import CisSettings
from veil.protections.noise.crs import CrsSettings
from veil.protections.noise.engine import Engine
from veil.protections.noise.entropy import EntropySettings
from veil.protections.noise.scheme import Released, Scheme, Verdict
from veil.protections.noise.targets import cross_entropy
from veil.protections.noise.universal import NoNoise, UniversalNoise

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
