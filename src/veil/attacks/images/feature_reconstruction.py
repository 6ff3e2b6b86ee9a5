"""Feature reconstruction: pixel-based encryption without its key (A. H. Chang and B. M. Case, "Attacks on image
encryption schemes for privacy-preserving deep neural networks", 2020, https://arxiv.org/abs/2004.13263; details after
their code, https://github.com/ahchang98/image-encryption-scheme-attacks).

What the attacker knows: one protected image. No key, no pairs, no training, no other image. Every value of the cipher
is v or 255 - v, and the three values of a pixel have changed places. So min(v, 255 - v) is the same before and after,
but for the order of colours, with one key for all images and with a key for each.

`basic` is that minimum. `advanced` takes, pixel by pixel, of the 6 orders × 8 complements the one that is nearest to
its neighbour, as reconstructed already. Theirs walks through the image for that; what it finds can be said at once.

What does not come back is the half of the range that a value was in. Differences between neighbours do not tell it:
min(v, 255 - v) of two pixels is never further apart than v is, so that of all reconstructions this one is the
smoothest. What is bright comes back as a negative, with all its outlines.

Deviations: the search is done in closed form. The first pixel, which their code is given, is guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from veil.attacks.images.attack import ImageAttack
from veil.images import require_batch
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.attacks.images.attack import Reconstruct


def basic(protected: Tensor) -> Tensor:
    """v ≤ 127 ? v : 255 - v, for every value: uint8 (N, 3, H, W) to the same, of values up to 127.

    The paper's form, not stretched to the full range: doubled values look brighter, but are less like photos (SSIM 0.12
    in place of 0.26, mean of 200 photos of NIPS 2017 at 64×64).

    Raises:
        ValueError: where the images are not such a batch.
    """
    require_batch(protected, "feature reconstruction takes")
    return torch.minimum(protected, 255 - protected)


def advanced(protected: Tensor) -> Tensor:
    """`basic` with the three values of each pixel in descending order: uint8 (N, 3, H, W) to the same.

    It is what a search for the nearest candidate may end in, whichever neighbours it asks, in whichever order:

    - Of v and 255 - v, the one in the neighbour's half of the range is nearer to it. So every pixel stays in the halves
      of the first one.
    - Three values are nearest to three others, by any convex distance, where the largest stands beside the largest and
      the smallest beside the smallest (rearrangement inequality). So every pixel may have the order of the first one.

    Both hold for all pairs of neighbours at once: none of the 48 ^ (H W) choices has smaller differences. Other orders
    are often as near by their distance, the sum of absolute differences. A search that takes any of them soon loses the
    order that it began with (SSIM 0.29 in place of 0.37, on the photos named at `basic`).

    The first pixel is one of 48. It is taken to be dark in all colours, with red ≥ green ≥ blue: more photos are darker
    than mid-grey than are lighter (62 to 74 % in NIPS 2017, in a JPEG copy of CIFAR-10, and in classes of Tiny
    ImageNet), and no other order is as frequent in their pixels (43 to 52 %). Of all choices, this one has the highest
    SSIM on each of the three sets.

    Raises:
        ValueError: where the images are not such a batch.
    """
    return basic(protected).sort(1, descending=True).values


def _basic(protected: Tensor) -> Reconstruct:
    return basic


def _advanced(protected: Tensor) -> Reconstruct:
    return advanced


BASIC = ImageAttack(name="feature-reconstruction", title="feature reconstruction", knows="protected", attack=_basic)
ADVANCED = ImageAttack(
    name="feature-reconstruction-advanced",
    title="feature reconstruction, advanced",
    knows="protected",
    attack=_advanced,
)
