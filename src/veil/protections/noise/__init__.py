"""Noise that misleads classifiers and leaves the photo as it looks (Liu et al. 2019)."""

from veil.protections.noise.scheme import Scheme
from veil.runtime.tables import Table

SCHEMES: Table[Scheme] = Table(
    "veil.schemes",
    Scheme,
    "scheme",
    {name: f"veil.protections.noise.{name}:SCHEME" for name in ("crs", "cis", "entropy")},
)
