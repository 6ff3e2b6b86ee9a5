"""The cost of a DeepObfuscator training, compared with a straightforward implementation and with its bare passes.

    python benchmarks/obfuscation.py --scale smoke
    python benchmarks/obfuscation.py --scale cpu

Algorithm 1, cycles of four batches, on random images: `ours`, an epoch of `deep_obfuscator.train` with all
that it does; `obvious`, a straightforward implementation of the same four phases: float32, all four networks compute
gradients in every phase, and the phase's optimiser steps; `bare`, only the forward and backward passes that the phases
need, on existing tensors, in our precision, without losses and updates. All three take turns.

`ours` in float32 must have the same losses as `obvious`: rows contain their difference after an epoch.

Cost: smoke ten seconds; cpu two minutes on two cores.
Expected: at least 2.5 times as fast as the obvious way with bfloat16; within 1.2 times the bare passes.
"""

import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor, nn

from benchmark import Benchmark, Row, print_table, takes_device
from veil import training
from veil.images import to_float
from veil.protections.features import ObfuscatorSettings, losses
from veil.protections.features.deep_obfuscator import ADVERSARIAL, noise, train
from veil.protections.features.training_data import Networks, TrainingFaces
from veil.runtime.seeds import seed_of
from veil.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

HEADINGS = ("precision", "ours, images/s", "obvious", "bare", "obvious / ours", "ours / bare", "losses differ by")
NAMES = ("obfuscator", "classifier", "adversary0", "reconstructor")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured: networks of Table 1 with that width, on images of that side."""

    width: int
    side: int
    batch: int
    cycles: int
    turns: int


SCALES = {
    "smoke": Scale(width=8, side=32, batch=8, cycles=1, turns=1),
    "cpu": Scale(width=64, side=64, batch=64, cycles=2, turns=3),
    "gpu": Scale(width=64, side=64, batch=64, cycles=50, turns=5),
}


class Contest:
    """The contenders at a scale."""

    def __init__(self, scale: Scale, device: str) -> None:
        self.scale, self.count = scale, 4 * scale.batch * scale.cycles
        self.settings = ObfuscatorSettings(
            width=scale.width, reader=4 * scale.width, head="pool", pretraining=0, attackers=0, epochs=1,
            batch_size=scale.batch, idle="train", target="fixed-noise",
        )  # fmt: skip
        generator = Generator().manual_seed(0)
        half = torch.randint(
            0, 256, (self.count, 3, scale.side, scale.side // 2), dtype=torch.uint8, generator=generator
        )
        labels = torch.rand(2, self.count, 1, generator=generator) < 0.5
        self.faces = TrainingFaces(torch.cat([half, half.flip(3)], 3), labels[0], labels[1])  # the same when mirrored
        self.runner, self.exact = training.fabric(device, "auto"), training.fabric(device, "32-true")

    def ours(self, runner: "Fabric | None" = None) -> tuple[float, dict[str, float]]:
        """Seconds of an epoch, and its mean losses."""
        with tempfile.TemporaryDirectory() as folder:
            run = Run(folder=Path(folder), seed=0, runner=runner or self.runner, logged=lambda row: None)
            trained = train(self.faces, self.settings, run)
        row = trained.logs[ADVERSARIAL][0]
        return float(row["seconds"]), {name: row[name] for name in ("classifier", "adversary", "reconstructor")}

    def obvious(self) -> tuple[float, dict[str, float]]:
        """The same epoch in float32, everything computed every time."""
        device, settings = self.runner.device, self.settings
        networks = Networks.create(self.faces, settings, 0)
        modules = {name: module.to(device).train() for name, module in networks.named().items()}
        obfuscator, classifier, adversary, reconstructor = (modules[name] for name in NAMES)
        optimizers = {
            name: torch.optim.Adam(module.parameters(), lr=settings.learning_rate) for name, module in modules.items()
        }
        wanted = noise(self.faces.images[:1].shape, Generator().manual_seed(seed_of("noise", 0)))[0].to(device)
        order = torch.randperm(self.count, generator=Generator().manual_seed(seed_of("order", 0, ADVERSARIAL, 0)))
        sums: dict[str, float] = {"classifier": 0.0, "adversary": 0.0, "reconstructor": 0.0}
        began = time.perf_counter()
        for number, index in enumerate(torch.split(order, self.scale.batch)):
            x = to_float(self.faces.images[index].to(device))
            target, private = (part[index].to(device) for part in (self.faces.target, self.faces.private))
            features = obfuscator(x)
            drawn = reconstructor(features)
            read = losses.attributes(classifier(features), target)
            guessed = losses.attributes(adversary(features), private)
            original, towards = losses.reconstruction(x, drawn), losses.towards(wanted, drawn)
            phase = number % 4
            loss = (read + towards - original, read - guessed, original + guessed, read)[phase]
            for optimizer in optimizers.values():
                optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for name in (("obfuscator",), ("obfuscator",), ("adversary0", "reconstructor"), ("classifier",))[phase]:
                optimizers[name].step()
            if phase == 2:
                sums["adversary"] += float(guessed.detach())
                sums["reconstructor"] += float(original.detach())
            else:
                sums["classifier"] += float(read.detach())
        seconds = time.perf_counter() - began
        times = {"classifier": 3, "adversary": 1, "reconstructor": 1}
        return seconds, {name: value / (times[name] * self.scale.cycles) for name, value in sums.items()}

    def bare(self) -> float:
        """Seconds of the passes alone."""
        networks = Networks.create(self.faces, self.settings, 0)
        modules = [
            self.runner.setup_module(module.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
            for module in networks.named().values()
        ]
        obfuscator, classifier, adversary, reconstructor = modules
        x = torch.rand(self.scale.batch, 3, self.scale.side, self.scale.side, device=self.runner.device)
        x = x.contiguous(memory_format=torch.channels_last)

        def phase(forward: Callable[[Tensor], list[Tensor]], *, through: bool, learning: tuple[nn.Module, ...]) -> None:
            for module in modules:
                module.requires_grad_(module in learning)
            with torch.set_grad_enabled(through):
                features = obfuscator(x)
            self.runner.backward(torch.stack([output.float().mean() for output in forward(features)]).sum())

        def cycle() -> None:
            phase(lambda f: [classifier(f), reconstructor(f)], through=True, learning=(obfuscator,))
            phase(lambda f: [classifier(f), adversary(f)], through=True, learning=(obfuscator,))
            phase(lambda f: [adversary(f), reconstructor(f)], through=False, learning=(adversary, reconstructor))
            phase(lambda f: [classifier(f)], through=False, learning=(classifier,))

        began = time.perf_counter()
        for _ in range(self.scale.cycles):
            cycle()
        if self.runner.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


def compete(contest: Contest, turns: int) -> Row:
    """Lets the three take turns, after one to warm up."""
    _, exact = contest.ours(contest.exact)
    _, plain = contest.obvious()
    contest.ours(), contest.bare()
    seconds = [(contest.ours()[0], contest.obvious()[0], contest.bare()) for _ in range(turns)]
    return {
        "images": contest.count,
        "seconds": [round(times[0], 4) for times in seconds],
        "seconds_obvious": [round(times[1], 4) for times in seconds],
        "seconds_bare": [round(times[2], 4) for times in seconds],
        "from_obvious": round(median(obvious / ours for ours, obvious, _ in seconds), 4),
        "to_bare": round(median(ours / bare for ours, _, bare in seconds), 4),
        "largest_difference": max(abs(exact[name] - plain[name]) for name in exact),
    }


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """The one row."""
    contest = Contest(scale, given.device)
    yield {"precision": training.precision_of(contest.runner), **compete(contest, scale.turns)}


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    lines = []
    for row in rows:
        rates = [row["images"] / median(row[name]) for name in ("seconds", "seconds_obvious", "seconds_bare")]
        ratios = (f"{row['from_obvious']:.2f}", f"{row['to_bare']:.3f}", f"{row['largest_difference']:.1e}")
        lines.append((row["precision"], *(f"{rate:,.1f}" for rate in rates), *ratios))
    print_table(HEADINGS, lines)


BENCHMARK = Benchmark(
    name="obfuscation", doc=__doc__, scales=SCALES, measure=measure, show=show, options=takes_device,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
