"""Sirichotedumrong and Kiya 2020, "A GAN-based image transformation scheme …": Table I, and what breaks it."""

from veil.recipes.paper import Paper, Recipe

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
        Recipe("figure1", "examples of protected images", f"{__name__}.figure1", measures=None),
        Recipe("preliminary", "how much noise preliminary protected images have", f"{__name__}.preliminary"),
        Recipe("transformation", "what people and a classifier see in transformed images",
               f"{__name__}.transformation"),
        Recipe("table1-accuracy", "accuracy of networks that learn from encrypted images",
               f"{__name__}.table1_accuracy"),
        Recipe("table1-length", "what the length of the training changes", f"{__name__}.table1_length",
               needs=("table1-accuracy",)),
        Recipe("key-statistics", "how many encrypted images give the key away", f"{__name__}.key_statistics"),
        Recipe("table1-ssim", "what attacks give back of protected images", f"{__name__}.table1_ssim",
               needs=("table1-accuracy",)),
    ),
)  # fmt: skip
