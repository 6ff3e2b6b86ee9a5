"""Li et al. 2019, "DeepObfuscator: adversarial training framework for privacy-preserving image classification"."""

from veil.recipes.paper import Paper, Recipe

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
        Recipe("audits", "every variant, attacked", f"{__name__}.audits"),
        Recipe("trade-off", "values sent and λ against what leaks", f"{__name__}.tradeoff"),
        Recipe("table3", "MS-SSIM by reconstructor", f"{__name__}.table3", measures=None, needs=("audits",)),
        Recipe("table4", "reconstructions beside the baselines", f"{__name__}.table4", measures=None,
               needs=("audits",)),
        Recipe("figure2", "only images or only attributes defended", f"{__name__}.figure2", measures=None,
               needs=("audits",)),
        Recipe("figure5", "who is shown, one of four", f"{__name__}.figure5", measures=None, needs=("audits",)),
        Recipe("figure6", "losses of the adversarial training", f"{__name__}.figure6", measures=None,
               needs=("audits", "trade-off", "figure7")),
        Recipe("figure7", "six sets of attributes", f"{__name__}.figure7", needs=("trade-off",)),
    ),
)  # fmt: skip
