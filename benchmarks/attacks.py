"""The training speed of unshared weights for every pixel, compared with a plain loop and a batched matrix product.

    python benchmarks/attacks.py --scale smoke
    python benchmarks/attacks.py --scale cpu

It times a step of the attack with unshared weights, without loss and update: a forward pass on random images and a
backward pass to weights and biases (images need no gradient). In turns, on the same numbers: `layer`,
`veil.models.locally_connected.LocallyConnected`; `loop`, one product (N, 3)·(3, 3) for each of the H·W positions, in
Python; `bmm`, all of these as one `torch.baddbmm`. Their results are compared first.

Cost: smoke two seconds; cpu one minute on two cores.
Expected: the layer 50 times as fast as the loop.
"""

import itertools
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from lightning_fabric import Fabric
from torch import Tensor

from benchmark import Benchmark, Row, print_table, takes_device
from veil import training
from veil.models.locally_connected import LocallyConnected

HEADINGS = ("images", "batch", "layer, images/s", "loop, images/s", "bmm, images/s", "loop / layer", "bmm / layer")
CHANNELS = 3

Gradients = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured; a turn is ``passes`` passes of the fast variants and one pass of the loop."""

    sides: tuple[int, ...]
    batches: tuple[int, ...]
    passes: int
    turns: int


SCALES = {
    "smoke": Scale(sides=(8,), batches=(4,), passes=2, turns=1),
    "cpu": Scale(sides=(32, 64, 96), batches=(64, 128), passes=10, turns=5),
    "gpu": Scale(sides=(32, 64, 96), batches=(64, 128), passes=100, turns=5),
}


class Contest:
    """Three implementations of the same passes; they return the output and the gradients of weights and biases."""

    def __init__(self, side: int, batch: int, runner: Fabric) -> None:
        torch.manual_seed(0)
        self.runner = runner
        self.layer_ = LocallyConnected(CHANNELS, CHANNELS, side, side).to(runner.device)
        self.images, self.upstream = (torch.rand(batch, CHANNELS, side, side, device=runner.device) for _ in range(2))
        matrices = self.layer_.weight.detach().flatten(2).permute(2, 1, 0)  # (H·W, inputs, outputs)
        self.matrices = matrices.clone(memory_format=torch.contiguous_format).requires_grad_()
        self.biases = self.layer_.bias.detach().flatten(1).T.clone(memory_format=torch.contiguous_format)
        self.biases.requires_grad_()

    def layer(self) -> Gradients:
        y = self.layer_(self.images)
        return y, *torch.autograd.grad(y, [self.layer_.weight, self.layer_.bias], self.upstream)

    def loop(self) -> Gradients:
        positions = zip(self._by_position().unbind(), self.matrices.unbind(), self.biases.unbind(), strict=True)
        return self._backward(torch.stack([torch.addmm(bias, x, matrix) for x, matrix, bias in positions]))

    def bmm(self) -> Gradients:
        return self._backward(torch.baddbmm(self.biases.unsqueeze(1), self._by_position(), self.matrices))

    def _by_position(self) -> Tensor:
        """Images as (H·W, N, C)."""
        return self.images.flatten(2).permute(2, 0, 1).contiguous()

    def _backward(self, y: Tensor) -> Gradients:
        y = y.permute(1, 2, 0).reshape(self.images.shape)
        return y, *torch.autograd.grad(y, [self.matrices, self.biases], self.upstream)

    def check(self) -> None:
        """Raises AssertionError if the implementations differ by more than rounding."""
        y, of_weight, of_bias = self.layer()
        expected = y, of_weight.flatten(2).permute(2, 1, 0), of_bias.flatten(1).T
        for way in (self.loop, self.bmm):
            torch.testing.assert_close(way(), expected, rtol=1e-4, atol=1e-4)

    def seconds(self, way: Callable[[], Gradients], passes: int) -> float:
        """Seconds of one pass."""
        began = time.perf_counter()
        for _ in range(passes):
            way()
        if self.runner.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / passes


def compete(side: int, batch: int, scale: Scale, runner: Fabric) -> Row:
    """Lets the ways take turns, after the comparison, which warms them up."""
    contest = Contest(side, batch, runner)
    contest.check()
    ways = {
        "layer": partial(contest.seconds, contest.layer, scale.passes),
        "loop": partial(contest.seconds, contest.loop, 1),
        "bmm": partial(contest.seconds, contest.bmm, scale.passes),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(scale.turns):
        for way, measure in ways.items():
            seconds[way].append(measure())
    return {
        "width": side,
        "height": side,
        "batch": batch,
        **{f"seconds_{way}": [round(value, 7) for value in measured] for way, measured in seconds.items()},
        **{f"{way}_images_per_second": round(batch / median(measured), 1) for way, measured in seconds.items()},
        **{
            f"{way}_to_layer": round(median(a / b for a, b in zip(seconds[way], seconds["layer"], strict=True)), 2)
            for way in ("loop", "bmm")
        },
    }


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """Rows of all sizes and batches."""
    runner = training.fabric(given.device, "32-true")
    for side, batch in itertools.product(scale.sides, scale.batches):
        yield compete(side, batch, scale, runner)


def session(scale: Scale, given: Namespace) -> Row:
    """What all rows say."""
    precision = training.precision_of(training.fabric(given.device, "32-true"))
    return {"precision": precision, "threads": torch.get_num_threads()}


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    print_table(
        HEADINGS,
        [
            (
                f"{row['width']}×{row['height']}", str(row["batch"]),
                *(f"{row[f'{way}_images_per_second']:,.0f}" for way in ("layer", "loop", "bmm")),
                f"{row['loop_to_layer']:.1f}", f"{row['bmm_to_layer']:.1f}",
            )
            for row in rows
        ],
    )  # fmt: skip


BENCHMARK = Benchmark(
    name="attacks", doc=__doc__, scales=SCALES, measure=measure, show=show, options=takes_device, session=session,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
