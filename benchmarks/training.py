"""The cost of Veil's training loop compared with bare passes of the same network, and protection's share of a step.

    python benchmarks/training.py --scale smoke
    python benchmarks/training.py --scale cpu

Random images, ResNet-18 in its form for CIFAR, batches of 128 images of 32×32. For plain images and each cipher, in
turns: `loop`, an epoch of `veil.training.classification.train` with all that it does (order, crops, mirrors,
protection, normalisation, the log, the checkpoint at the end); `bare`, forward, backward and the optimiser's step on
one existing batch, in the same precision; `protection`, only the protection of the same number of batches.

Cost: smoke five seconds; cpu ten minutes on two cores.
Expected: the loop within 1.15 times the bare passes, the protection below a tenth of a step.
"""

import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor
from torch.nn import functional as F

from benchmark import Benchmark, Row, print_table, takes_device
from veil import training
from veil.data.labelled_images import LabelledImages
from veil.models.residual import ResNet18
from veil.protections import PROTECTIONS
from veil.protections.ciphers.keys import Key
from veil.training import classification
from veil.training.classification import ClassifierSettings, Input, Protection, unprotected
from veil.training.run import Run

CLASSES, SIDE = 10, 32
CONTESTANTS = ("plain", "tanaka", "pixel-same", "pixel-different")
HEADINGS = ("protection", "precision", "loop, images/s", "bare, images/s", "loop / bare", "protection / step")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured."""

    width: int
    batch: int
    steps: int
    turns: int


SCALES = {
    "smoke": Scale(width=4, batch=16, steps=3, turns=1),
    "cpu": Scale(width=64, batch=128, steps=25, turns=3),
    "gpu": Scale(width=64, batch=128, steps=400, turns=5),
}


class Contest:
    """One protection: a loop's epoch, the bare passes, the protection alone."""

    def __init__(self, name: str, scale: Scale, device: str) -> None:
        self.name, self.scale = name, scale
        self.runner: Fabric = training.fabric(device, "auto")
        count = scale.batch * scale.steps
        generator = Generator().manual_seed(0)
        self.data = LabelledImages(
            torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator),
            torch.randint(0, CLASSES, (count,), generator=generator),
            tuple(map(str, range(CLASSES))),
        )
        row = PROTECTIONS[name]
        self.protect: Protection = row.build(Key.new() if row.takes_key else None) if row.hides else unprotected
        self.adaptation = row.adaptation
        self.prepare = Input.of(self.data.images, self.protect, seed=0)
        self.settings = ClassifierSettings(epochs=1, batch_size=scale.batch)
        self.batch = self.data.images[: scale.batch].to(self.runner.device)

    def network(self) -> ResNet18:
        """A new network."""
        torch.manual_seed(0)
        return ResNet18(CLASSES, self.scale.width, self.adaptation)

    def loop(self) -> float:
        """Seconds of an epoch."""
        with tempfile.TemporaryDirectory() as folder:
            run = Run(folder=Path(folder), seed=0, runner=self.runner, logged=lambda row: None)
            log = classification.train(self.network(), self.data, self.settings, run, prepare=self.prepare)
        return float(log[0]["seconds"])

    def bare(self) -> float:
        """Seconds of the same number of forward and backward passes and updates."""
        network = self.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        model, prepared = self.runner.setup(network, optimizer)
        inputs: Tensor = self.prepare(self.batch, Generator())
        targets = self.data.labels[: self.scale.batch].to(self.runner.device)

        def step() -> None:
            self.runner.backward(F.cross_entropy(model(inputs).float(), targets))
            prepared.step()
            prepared.zero_grad()

        return self._timed(step)

    def protection(self) -> float:
        """Seconds of protecting the same number of batches."""
        generator = Generator().manual_seed(0)
        return self._timed(lambda: self.protect(self.batch, generator))

    def _timed(self, step: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(self.scale.steps):
            step()
        if self.runner.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    def row(self, seconds: dict[str, list[float]]) -> Row:
        """What the turns come to."""
        images = self.scale.batch * self.scale.steps
        middle = {way: median(measured) for way, measured in seconds.items()}
        return {
            "protection": self.name,
            "precision": training.precision_of(self.runner),
            **{f"seconds_{way}": [round(value, 4) for value in measured] for way, measured in seconds.items()},
            "loop_images_per_second": round(images / middle["loop"], 1),
            "bare_images_per_second": round(images / middle["bare"], 1),
            "loop_to_bare": round(median(a / b for a, b in zip(seconds["loop"], seconds["bare"], strict=True)), 4),
            "protection_share": round(middle["protection"] / middle["loop"], 5),
        }


def compete(name: str, scale: Scale, device: str) -> Row:
    """Warms up, then lets the ways take turns."""
    contest = Contest(name, scale, device)
    ways = {"loop": contest.loop, "bare": contest.bare, "protection": contest.protection}
    warm = Contest(name, replace(scale, steps=2), device)
    for warm_up in (warm.loop, warm.bare, warm.protection):
        warm_up()
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(scale.turns):
        for way, measure in ways.items():
            seconds[way].append(measure())
    return contest.row(seconds)


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """A row for plain images, and for each protection."""
    return (compete(name, scale, given.device) for name in CONTESTANTS)


def session(scale: Scale, given: Namespace) -> Row:
    """What all rows say."""
    return {"width": scale.width, "batch": scale.batch, "steps": scale.steps, "threads": torch.get_num_threads()}


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    print_table(
        HEADINGS,
        [
            (
                row["protection"], row["precision"],
                f"{row['loop_images_per_second']:,.0f}", f"{row['bare_images_per_second']:,.0f}",
                f"{row['loop_to_bare']:.3f}", f"{row['protection_share']:.2%}",
            )
            for row in rows
        ],
    )  # fmt: skip


BENCHMARK = Benchmark(
    name="training", doc=__doc__, scales=SCALES, measure=measure, show=show, options=takes_device, session=session,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
