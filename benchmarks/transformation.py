"""The cost of training and applying a transformation, compared with the bare passes of its networks.

    python benchmarks/transformation.py --scale smoke
    python benchmarks/transformation.py --scale cpu

Random images of 32×32; the frozen classifier is an untrained VGG-13. In turns: `train`, an epoch of a method's training
with all that it does (order, losses, replay, updates, the log, validation, the checkpoint at the end); `bare`, only the
forward and backward passes that its mathematics needs, on existing tensors, in the same precision, without losses and
updates. And `apply`, bytes to bytes, beside `forward`, the network alone on batches in floating point.

Cost: smoke ten seconds; cpu ten minutes on two cores.
Expected: training within 1.2 times the bare passes, applying within 1.1 times the forward pass.
"""

import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from benchmark import Benchmark, Row, print_table, takes_device
from veil import training
from veil.models.classifier import Classifier, Preprocessing
from veil.models.patch_discriminator import PatchDiscriminator
from veil.models.unet import UNet
from veil.models.vgg import VGG13
from veil.protections.transformation import METHODS, Transformation
from veil.protections.transformation.fitting import TrainingImages
from veil.protections.transformation.frozen_networks import FrozenNetworks
from veil.training.run import Run

SIDE, CLASSES = 32, 10
TRAINED = ("cyclegan", "unet")
HEADINGS = ("what", "precision", "Veil, images/s", "bare, images/s", "time / bare")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured."""

    width: int
    batch: int
    steps: int
    applied: int
    turns: int


SCALES = {
    "smoke": Scale(width=8, batch=8, steps=2, applied=64, turns=1),
    "cpu": Scale(width=16, batch=64, steps=30, applied=4_096, turns=3),
    "gpu": Scale(width=64, batch=64, steps=200, applied=50_000, turns=5),
}


class Contest:
    """The contenders at a scale; random images and networks."""

    def __init__(self, scale: Scale, device: str) -> None:
        self.scale = scale
        self.runner = training.fabric(device, "auto")
        torch.manual_seed(0)
        count = scale.batch * scale.steps
        plain, protected = (torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8) for _ in range(2))
        labels = torch.randint(0, CLASSES, (count,))
        self.images = TrainingImages(plain, labels, plain[:2], labels[:2], protected, protected[:2])
        resize = Preprocessing(resize=(SIDE, SIDE), mean=(0.5,) * 3, std=(0.25,) * 3)
        classifier = Classifier("vgg13", VGG13(CLASSES, 2 * scale.width), resize, [str(c) for c in range(CLASSES)])
        self.frozen = FrozenNetworks.of(classifier).to(self.runner.device)
        self.batch = torch.rand(scale.batch, 3, SIDE, SIDE, device=self.runner.device)

    def train(self, method: str) -> float:
        """Seconds of an epoch."""
        settings = replace(
            METHODS[method].presets["veil"], epochs=1, batch_size=self.scale.batch, width=self.scale.width
        )
        if method == "cyclegan":
            settings = replace(settings, discriminator_width=2 * self.scale.width)
        with tempfile.TemporaryDirectory() as folder:
            run = Run(folder=Path(folder), seed=0, runner=self.runner, logged=lambda row: None)
            trained = METHODS[method].train(self.images, self.frozen, settings, run)
        return float(trained.log[0]["seconds"])

    def bare(self, method: str) -> float:
        """Seconds of the passes alone.

        CycleGAN: two generators twice each; the frozen networks on 2 batches, and φ once without gradients; each
        discriminator once for the generators, with the gradient to its input alone, and twice for itself. U-Net: the
        generator once, the frozen networks on one batch, and φ once.
        """
        skips, width, gan = METHODS[method].presets["veil"].skips, self.scale.width, method == "cyclegan"
        forth = self._network(UNet(width, skips) if gan else UNet(2 * width, skips, up=width, norm="batch"))
        back, judge = self._network(UNet(width)), self._network(PatchDiscriminator(2 * width))
        seen = self.batch.repeat(2, 1, 1, 1) if gan else self.batch

        def frozen() -> None:
            with self.runner.autocast():
                with torch.no_grad():
                    self.frozen.features(self.batch)
                features, logits = self.frozen.both(inputs := seen.clone().requires_grad_())
                self.runner.backward(features.float().mean() + logits.float().mean())
            assert inputs.grad is not None

        def step() -> None:
            self._pass(forth)
            frozen()
            if gan:
                self._pass(forth, inner=True)
                self._pass(back)
                self._pass(back, inner=True)
                judge.requires_grad_(False)
                for _ in range(2):
                    self._pass(judge, inner=True)
                judge.requires_grad_(True)
                for _ in range(4):
                    self._pass(judge)

        return self._timed(step, self.scale.steps)

    def _network(self, network: nn.Module) -> nn.Module:
        module: nn.Module = self.runner.setup_module(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        return module

    def _pass(self, network: nn.Module, *, inner: bool = False) -> None:
        """Forward and backward; ``inner`` asks for the gradient of the input, too."""
        inputs = self.batch.clone().requires_grad_() if inner else self.batch
        self.runner.backward(network(inputs).float().mean())

    def apply(self) -> float:
        """Seconds of bytes to bytes."""
        transformation = Transformation("random", UNet(self.scale.width), "unet")
        images = torch.randint(
            0, 256, (self.scale.applied, 3, SIDE, SIDE), dtype=torch.uint8, device=self.runner.device
        )
        return self._timed(lambda: transformation(images), 1)

    def forward(self) -> float:
        """Seconds of the network alone, on the same batches."""
        network = UNet(self.scale.width).eval().to(memory_format=torch.channels_last).to(self.runner.device)  # type: ignore[call-overload]
        size = min(self.scale.applied, 256)
        inputs: Tensor = torch.rand(size, 3, SIDE, SIDE, device=self.runner.device)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return self._timed(lambda: network(inputs), self.scale.applied // size)

    def _timed(self, step: Callable[[], object], times: int) -> float:
        step()  # warm
        began = time.perf_counter()
        for _ in range(times):
            step()
        if self.runner.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


def compete(what: str, ours: Callable[[], float], floor: Callable[[], float], images: int, turns: int) -> Row:
    """Lets the two take turns, after one to warm up."""
    ours(), floor()
    seconds = [(ours(), floor()) for _ in range(turns)]
    return {
        "what": what,
        "seconds": [round(one, 4) for one, _ in seconds],
        "seconds_bare": [round(other, 4) for _, other in seconds],
        "images_per_second": round(images / median(one for one, _ in seconds), 1),
        "bare_images_per_second": round(images / median(other for _, other in seconds), 1),
        "to_bare": round(median(one / other for one, other in seconds), 4),
    }


def measure(scale: Scale, given: Namespace) -> Iterator[Row]:
    """A row for each method's training, and for applying."""
    contest = Contest(scale, given.device)
    trained, precision = scale.batch * scale.steps, training.precision_of(contest.runner)
    for name in TRAINED:
        ours, bare = partial(contest.train, name), partial(contest.bare, name)
        yield {"precision": precision} | compete(f"train {name}", ours, bare, trained, scale.turns)
    yield {"precision": "32-true"} | compete("apply", contest.apply, contest.forward, scale.applied, scale.turns)


def session(scale: Scale, given: Namespace) -> Row:
    """What all rows say."""
    return {"width": scale.width, "batch": scale.batch, "steps": scale.steps, "threads": torch.get_num_threads()}


def show(rows: Sequence[Row]) -> None:
    """The table, rebuilt from the rows."""
    print_table(
        HEADINGS,
        [
            (
                row["what"], row["precision"], f"{row['images_per_second']:,.0f}",
                f"{row['bare_images_per_second']:,.0f}", f"{row['to_bare']:.3f}",
            )
            for row in rows
        ],
    )  # fmt: skip


BENCHMARK = Benchmark(
    name="transformation", doc=__doc__, scales=SCALES, measure=measure, show=show, options=takes_device,
    session=session,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
