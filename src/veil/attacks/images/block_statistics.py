"""The key of Tanaka's cipher from encrypted images alone, where one key serves all of them. Ours: no pairs, no
training.

What the attacker knows: images that were encrypted by one key, and plain images of their own, which are others.

The cipher permutes the 96 nibbles of every block and complements some. How strongly two nibbles of a block, or of
neighbouring blocks, go together is the same before and after, but for the permutation, if it is taken such that
complements do not count: of the squared distance to the middle, or as a correlation without its sign. In photos these
strengths are much the same everywhere. So

1. nibbles are told apart by their strengths in order of size, whoever they belong to, and encrypted ones assigned to
   plain ones such that the squared differences are least (a linear assignment);
2. that is refined by comparing strengths place by place, which the assignment now allows, until nothing changes;
3. complements follow from the signs of means and correlations.

High nibbles, which are what is seen, come out first: sixteen images of 32×32 were always enough. Low nibbles are nearly
noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from veil.attacks.errors import AttackFailed
from veil.attacks.images.attack import ImageAttack
from veil.attacks.images.recovered_keys import NIBBLES, BlockKey, has_whole_blocks, nibbles, size_of
from veil.images import require_batch
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

_MIDDLE = 7.5
_VALUES = 1 << 24  # at a time, bounds memory
_MEANS = 10.0
"""What means weigh, beside strengths: there are 96 of these for one mean."""
_ROUNDS = 100
_ALIKE = 0.5
"""Correlation of strengths below which they are not those of photos; it is above 0.9 for Tanaka's cipher."""


@dataclass(frozen=True, eq=False)
class _Strengths:
    """What nibbles of images have to do with each other.

    Attributes:
        mean, signed: means, (96,), and mean products in a block, with the block at the right and the one below, (3, 96,
            96), of distances to the middle, in units of equally frequent values.
        unsigned: what complements do not change: (K, 96, 96) strengths.
        square: means of squared distances, (96,).
    """

    mean: Tensor
    signed: Tensor
    unsigned: Tensor
    square: Tensor

    @classmethod
    def of(cls, images: Tensor) -> _Strengths:
        sums, counts = torch.zeros(3, 2 * NIBBLES, 2 * NIBBLES), torch.zeros(3)
        total = torch.zeros(2 * NIBBLES)
        for part in torch.split(images, max(1, _VALUES // (4 * images[0].numel()))):
            across, down = part.shape[3] // 4, part.shape[2] // 4
            values = nibbles(part[:, :, : 4 * down, : 4 * across]).float() - _MIDDLE
            odd, even = values / 21.25**0.5, (values.square() - 21.25) / 357.0**0.5  # variance 1 each
            grid = torch.cat([odd, even]).view(2 * NIBBLES, len(part), down, across)
            for number, (one, other) in enumerate((
                (grid, grid), (grid[..., :-1], grid[..., 1:]), (grid[:, :, :-1], grid[:, :, 1:]),
            )):  # fmt: skip
                sums[number] += one.flatten(1) @ other.flatten(1).T
                counts[number] += one[0].numel()
            total += grid.flatten(1).sum(1)
        products, means = sums / counts.clamp_min(1)[:, None, None], total / counts[0]
        odd_odd, even_even = products[:, :NIBBLES, :NIBBLES], products[:, NIBBLES:, NIBBLES:]
        unsigned = torch.cat([even_even, odd_odd.abs()])
        turned = unsigned[[1, 2, 4, 5]].transpose(1, 2)  # to the left and above
        return cls(means[:NIBBLES], odd_odd, torch.cat([unsigned, turned]), means[NIBBLES:])

    def profiles(self) -> Tensor:
        """What tells a nibble apart wherever the others are: (96, K)."""
        sizes = self.unsigned.sort(2).values.transpose(0, 1).flatten(1)
        return torch.cat([sizes, _MEANS * self.mean.abs()[:, None], _MEANS * self.square[:, None]], 1)

    def places(self, order: Tensor) -> Tensor:
        """The same, of the others in an order: (96, K)."""
        sizes = self.unsigned[:, :, order].transpose(0, 1).flatten(1)
        return torch.cat([sizes, _MEANS * self.mean.abs()[:, None], _MEANS * self.square[:, None]], 1)


def recover(protected: Tensor, public: Tensor) -> BlockKey:
    """The key, from images that were encrypted by it and plain ones of the attacker's own.

    Args:
        protected: uint8 (N, 3, H, W), all by one key.
        public: uint8 (M, 3, h, w), of any size.

    Raises:
        AttackFailed: where protected images are not made of blocks, or nibbles do not go together as in photos.
        ValueError: where either is no such batch.
    """
    for images in (protected, public):
        require_batch(images, "statistics are of")
    if not has_whole_blocks(protected):
        raise AttackFailed(f"protected images of {size_of(protected)} are not made of blocks of 4×4")
    encrypted, own = _Strengths.of(protected.cpu()), _Strengths.of(public.cpu())
    match = _assigned(encrypted.profiles(), own.profiles())
    everyone = torch.arange(NIBBLES)
    for _ in range(_ROUNDS):
        refined = _assigned(encrypted.places(everyone), own.places(match))
        if refined.equal(match):
            break
        match = refined
    matched = own.unsigned[:, match][:, :, match]
    alike = float(torch.corrcoef(torch.stack([encrypted.unsigned.flatten(), matched.flatten()]))[0, 1])
    if not alike > _ALIKE:
        raise AttackFailed("nibbles of a block do not go together as those of photos do: there is no common key")
    sources = match.argsort()
    return BlockKey(sources, (15 * (_signs(encrypted, own, match)[sources] < 0)).byte()[:, None])


def _assigned(encrypted: Tensor, own: Tensor) -> Tensor:
    """For each encrypted nibble the plain one that it is, such that squared differences are least: int64 (96,)."""
    from scipy.optimize import linear_sum_assignment

    return torch.from_numpy(linear_sum_assignment(torch.cdist(encrypted, own).square().numpy())[1])


def _signs(encrypted: _Strengths, own: _Strengths, match: Tensor) -> Tensor:
    """Which encrypted nibbles are complements, -1, and which are not, 1: (96,).

    From those whose means say so most clearly on: each further one is what its products with those before it say.
    """
    expected = own.signed[:, match][:, :, match]
    together = (encrypted.signed * expected).sum(0)
    together = (together + together.T).fill_diagonal_(0)
    alone = 2 * encrypted.mean * own.mean[match]
    signs = torch.zeros(NIBBLES)
    for _ in range(NIBBLES):
        evidence = together @ signs + alone
        best = evidence.abs().masked_fill(signs != 0, -1).argmax()
        signs[best] = 1.0 if evidence[best] >= 0 else -1.0
    for _ in range(_ROUNDS):
        better = torch.where(together @ signs + alone < 0, -1.0, 1.0)
        if better.equal(signs):
            break
        signs = better
    return signs


ATTACK = ImageAttack(
    name="block-statistics", title="key of blocks from statistics", knows="unpaired", attack=recover, control="tanaka"
)  # fmt: skip
