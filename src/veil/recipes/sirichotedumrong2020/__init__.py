"""Sirichotedumrong and Kiya 2020, "A GAN-based image transformation scheme …": Table I."""

from veil.recipes.recipe import Paper
from veil.recipes.sirichotedumrong2020 import figure1, preliminary, table1_accuracy

PAPER = Paper(
    "sirichotedumrong2020",
    "Sirichotedumrong and Kiya 2020: images that networks learn from and people cannot read",
    "Warit Sirichotedumrong, Hitoshi Kiya: A GAN-based image transformation scheme for privacy-preserving deep neural "
    "networks. EUSIPCO 2020. https://arxiv.org/abs/2006.01342",
    (
        "So far: Figure 1 without the transformation network, the preliminary protection that one is trained with, and "
        "Table I’s columns of accuracy for the ciphers that the paper compares with. Transformation networks can be "
        "trained (`docs/transformation.md`); their rows and the attacks are under way.",
        "Where we deviate: the paper’s client normalises images before it protects them, which a cipher of bytes "
        "cannot take; here images are cropped and mirrored, protected as bytes, and normalised last. Of the "
        "pixel-based cipher, orders of colours are exchanged without loss. The paper does not say which first layers "
        "stand in front of ResNet-18; Tanaka’s adaptation network and two 1×1 convolutions do here.",
    ),
    (*figure1.RECIPES, *preliminary.RECIPES, *table1_accuracy.RECIPES),
)
