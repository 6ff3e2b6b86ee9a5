"""Liu et al. 2019, "Adversaries or allies? Privacy and deep learning in big data era": every table and figure."""

from veil.recipes.liu2019 import (
    combinations,
    digit_entropy,
    examples,
    figure12,
    photo_entropy,
    table2,
    table3,
    universal_entropy,
    universal_losses,
)
from veil.recipes.recipe import Paper

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
        *table2.RECIPES, *combinations.RECIPES, *universal_entropy.RECIPES, *universal_losses.RECIPES,
        *digit_entropy.RECIPES, *table3.RECIPES, *examples.RECIPES, *figure12.RECIPES, *photo_entropy.RECIPES,
    ),
)  # fmt: skip
