"""Liu et al. 2019, "Adversaries or allies? Privacy and deep learning in big data era": every table and figure."""

from veil.recipes.paper import Paper, Recipe

PAPER = Paper(
    "liu2019",
    "Liu et al. 2019: CRS, CIS, ICP and ICE",
    "Bo Liu, Ming Ding, Tianqing Zhu, Yang Xiang, Wanlei Zhou: Adversaries or allies? Privacy and deep learning in "
    "big data era. Concurrency and Computation: Practice and Experience 31, e5102 (2019). "
    "https://doi.org/10.1002/cpe.5102",
    (
        "Every table and figure of the paper's experiments, its value beside ours, and items of our own. "
        "(Figure 1 is a drawing of the system, Table 1 a list of related work.)",
        "Where the paper contradicts itself, we do as follows. Algorithm 1 adds the sign of the gradient of the "
        "loss to the target class, which walks away from it; we subtract. Its line 12 adds the noise to the image "
        "of the step before, which counts it twice; the released image is x + η. The sum of Algorithm 2 may leave "
        "the limit; we clip it, and show the raw sum beside it. The base of the logarithm in ICE is not given; nats "
        "fit. The data set is called ILSVRC-2012 with 48,238 images; its validation part has 50,000. “Noise” of "
        "0.013 and 0.0015 can only be signed means; we give those and mean magnitudes. About 5 s a photo in the "
        "text is 0.585 s in the table.",
    ),
    (
        Recipe("table2", "accuracy with a universal noise for each digit", f"{__name__}.table2", "table2"),
        Recipe("figure2", "the ten noises", f"{__name__}.table2", "figure2", None, ("table2",)),
        Recipe("figure3", "errors with the noise for class 0", f"{__name__}.table2", "figure3", None, ("table2",)),
        Recipe("figure4", "sums of noises: all ten, every pair and triple, three rules", f"{__name__}.combinations",
               "figure4", needs=("table2",)),
        Recipe("figure5", "errors with the sum of all noises", f"{__name__}.combinations", "figure5", None,
               ("table2", "figure4")),
        Recipe("figure6", "the sum of the noises of 2 and 3", f"{__name__}.combinations", "figure6", None,
               ("table2", "figure4")),
        Recipe("figure7", "errors with the noises of 2 and 3", f"{__name__}.combinations", "figure7", None,
               ("table2", "figure4")),
        Recipe("universal-entropy", "universal noise that raises ICE itself, against the sum of ten",
               f"{__name__}.universal_entropy", needs=("table2", "figure4")),
        Recipe("universal-losses", "losses that were tried for universal noise", f"{__name__}.universal_losses",
               needs=("table2",)),
        Recipe("digit-entropy", "direct ICE for each digit", f"{__name__}.digit_entropy", needs=("table2",)),
        Recipe("table3", "CRS on photos", f"{__name__}.table3"),
        Recipe("figure8", "CRS on a photo of a cat (the paper: a black swan)", f"{__name__}.examples",
               "figure8", "measure8"),
        Recipe("figure9", "CRS on a cup of coffee (the paper: a minibus)", f"{__name__}.examples",
               "figure9", "measure9"),
        Recipe("figure10", "CIS on a photo of a cat (the paper: a black swan)", f"{__name__}.examples",
               "figure10", "measure10"),
        Recipe("figure11", "CIS on a cup of coffee (the paper: a minibus)", f"{__name__}.examples",
               "figure11", "measure11"),
        Recipe("figure12", "entropy and noise against the number of targets", f"{__name__}.figure12"),
        Recipe("photo-entropy", "direct ICE against CIS and joint CIS, on photos", f"{__name__}.photo_entropy",
               needs=("figure12",)),
    ),
)  # fmt: skip
