"""Li et al. 2019, "DeepObfuscator: adversarial training framework for privacy-preserving image classification"."""

from veil.recipes.li2019 import audits, figure2, figure5, figure6, figure7, table3, table4, tradeoff
from veil.recipes.recipe import Paper

PAPER = Paper(
    "li2019",
    "Li et al. 2019: features that serve one purpose, and what else they serve",
    "Ang Li, Jiayi Guo, Huanrui Yang, Yiran Chen: DeepObfuscator: Adversarial Training Framework for "
    "Privacy-Preserving Image Classification. 2019. https://arxiv.org/abs/1909.04126",
    (
        "What the paper trains, attacked by who comes later: attackers that are trained from nothing against frozen "
        "features, on faces of other people. The human study (section 4.4, Figure 5) is run by `veil study` "
        "(`docs/study.md`); a face recogniser stands in for people in Figure 5.",
        "Where we deviate: the data are 12,000 faces of CelebA at cpu scale, no person is in two parts, classifiers "
        "have small heads, and trainings are shorter. What is not defended is trained as suits it best on validation "
        "faces. MS-SSIM is ours, with its floor beside it.",
    ),
    (
        *audits.RECIPES,
        *tradeoff.RECIPES,
        *table3.RECIPES,
        *table4.RECIPES,
        *figure2.RECIPES,
        *figure5.RECIPES,
        *figure6.RECIPES,
        *figure7.RECIPES,
    ),
)
