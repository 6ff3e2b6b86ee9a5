"""Sirichotedumrong and Kiya 2020, "A GAN-based image transformation scheme …": Table I, and what breaks it."""

from veil.recipes.recipe import Paper
from veil.recipes.sirichotedumrong2020 import (
    figure1,
    key_statistics,
    preliminary,
    table1_accuracy,
    table1_length,
    table1_ssim,
    transformation,
)

PAPER = Paper(
    "sirichotedumrong2020",
    "Sirichotedumrong and Kiya 2020: images that networks learn from and people cannot read",
    "Warit Sirichotedumrong, Hitoshi Kiya: A GAN-based image transformation scheme for privacy-preserving deep neural "
    "networks. EUSIPCO 2020. https://arxiv.org/abs/2006.01342",
    (
        "Figure 1, the preliminary protection and the transformation networks, Table I’s columns of accuracy, how many "
        "encrypted images give a key away (which the paper does not consider), and Table I’s columns of SSIM beside "
        "all that `veil audit` can do (`docs/audit.md`).",
        "Where we deviate: the paper’s client normalises images before it protects them, which a cipher of bytes "
        "cannot take; here images are cropped and mirrored, protected as bytes, and normalised last. Of the "
        "pixel-based cipher, orders of colours are exchanged without loss. The paper does not say which first layers "
        "stand in front of ResNet-18; Tanaka’s adaptation network and two 1×1 convolutions do here.",
    ),
    (
        *figure1.RECIPES,
        *preliminary.RECIPES,
        *transformation.RECIPES,
        *table1_accuracy.RECIPES,
        *table1_length.RECIPES,
        *key_statistics.RECIPES,
        *table1_ssim.RECIPES,
    ),
)
