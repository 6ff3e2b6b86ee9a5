"""Attacks on noise: what is done to a protected photo so that classifiers see again what it shows."""

from veil.attacks.noise.attack import NoiseAttack
from veil.runtime.tables import Table

NOISE_ATTACKS: Table[NoiseAttack] = Table(
    "veil.noise_attacks",
    NoiseAttack,
    "attack on noise",
    {
        "jpeg90": "veil.attacks.noise.reprocessing:JPEG_90",
        "jpeg75": "veil.attacks.noise.reprocessing:JPEG_75",
        "half size and back": "veil.attacks.noise.reprocessing:HALF_SIZE",
    },
)
