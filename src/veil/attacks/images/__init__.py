"""Attacks on protected images: what each knows is in its row, and in its signature."""

from veil.attacks.images import (
    adversarial,
    block_statistics,
    feature_reconstruction,
    inverse_network,
    known_plaintext,
    pixel_affine,
    pixel_statistics,
)
from veil.attacks.images.adversarial import GanAttackSettings, UnsharedWeightSettings
from veil.attacks.images.attack import AttackRow, Form, Knowledge, Reconstruct
from veil.attacks.images.inverse_network import InverseSettings

ATTACKS: dict[str, AttackRow] = {
    "feature-reconstruction": AttackRow(
        title="feature reconstruction",
        knows="protected",
        make=lambda protected: feature_reconstruction.basic,
    ),
    "feature-reconstruction-advanced": AttackRow(
        title="feature reconstruction, advanced",
        knows="protected",
        make=lambda protected: feature_reconstruction.advanced,
    ),
    "pixel-statistics": AttackRow(
        title="key of pixels from statistics",
        knows="unpaired",
        make=pixel_statistics.recover,
    ),
    "block-statistics": AttackRow(
        title="key of blocks from statistics",
        knows="unpaired",
        make=block_statistics.recover,
    ),
    "uwa": AttackRow(
        title="unshared weight attack (UWA)",
        knows="unpaired",
        make=adversarial.unshared_weights,
        form=True,
        settings=UnsharedWeightSettings(),
        scales={"smoke": {"epochs": 2, "batch_size": 12}, "cpu": {"epochs": 20}, "paper": {}},
    ),
    "ga": AttackRow(
        title="GAN attack (GA)",
        knows="unpaired",
        make=adversarial.gan_attack,
        form=True,
        settings=GanAttackSettings(),
        scales={"smoke": {"epochs": 2, "batch_size": 12, "width": 8}, "cpu": {"epochs": 20, "width": 16}, "paper": {}},
    ),
    "known-plaintext": AttackRow(title="known plaintext", knows="few", make=known_plaintext.recover),
    "chosen-plaintext": AttackRow(title="chosen plaintext", knows="chosen", make=known_plaintext.recover_chosen),
    "affine": AttackRow(title="affine map of every pixel", knows="pairs", make=pixel_affine.fit),
    "inverse": AttackRow(
        title="inverse network",
        knows="pairs",
        make=inverse_network.train,
        settings=InverseSettings(),
        scales={"smoke": {"epochs": 2, "batch_size": 12, "width": 8}, "cpu": {"epochs": 8, "width": 16}, "paper": {}},
    ),
}

__all__ = [
    "ATTACKS",
    "AttackRow",
    "Form",
    "GanAttackSettings",
    "InverseSettings",
    "Knowledge",
    "Reconstruct",
    "UnsharedWeightSettings",
]
