"""All contenders: Veil, three attack libraries, a plain loop, and the floor below all of them.

`noise.py` runs this file in fresh processes, the libraries' in an environment of their own
(`requirements-peers.txt`), where Veil is installed without its dependencies: all attack the very same
`Classifier`, preprocessing included.

Each library runs targeted projected gradient descent with signed steps and no random start, as its documentation shows.
It gets the best options: Veil's fast gradient of the resize, frozen parameters, no progress bar and its best batch,
while Veil keeps its default. None of these attacks removes a finished photo from its batch.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark import peak_mib
from veil.images import to_float
from veil.models import catalog
from veil.models.classifier import Classifier
from veil.protections.noise.engine import Engine, Precision
from veil.protections.noise.scheme import Job, Outcome, Plan, StepSettings
from veil.protections.noise.targets import cross_entropy
from veil.runtime.memory import keep_memory

TUNING_STEPS = 2


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules for every contender. Noise in grey levels.

    Attributes:
        model: name or card of the network, for `veil.models.catalog.load`.
        batches: the batches among which a contender finds its best.
    """

    model: str
    step: float
    budget: float
    max_steps: int
    required_score: float
    batches: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The problem for every contender; one safetensors file.

    Attributes:
        photos: uint8, (N, C, H, W).
        targets: int64, (N,): the target class of each photo.
        before: int64, (N,): the network's first choice on each original; only the judge looks at it.
    """

    photos: Tensor
    targets: Tensor
    before: Tensor
    rules: Rules

    def save(self, path: Path) -> None:
        tensors = {"photos": self.photos, "targets": self.targets, "before": self.before}
        save_file(tensors, path, metadata={"rules": json.dumps(asdict(self.rules))})

    @classmethod
    def load(cls, path: Path) -> Self:
        with safe_open(path, framework="pt") as file:
            rules = json.loads(file.metadata()["rules"])
            tensors = {name: file.get_tensor(name) for name in ("photos", "targets", "before")}
        return cls(rules=Rules(**rules | {"batches": tuple(rules["batches"])}), **tensors)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The result of a run.

    Attributes:
        images: the perturbed photos, uint8 or float in [0, 1]; None if the run has none.
        evaluations: total forward and backward passes of single photos.
        iterations: mean steps per photo; None without images.
    """

    images: Tensor | None
    evaluations: int
    iterations: float | None = None


Run = Callable[[int, int, int], RunResult]  # on so many of the photos, for so many steps, in such a batch
Prepare = Callable[[Classifier, Problem], Run]
Attack = Callable[[Tensor, Tensor], Tensor]  # one batch: float photos in [0, 1], targets
Build = Callable[[Classifier, Problem, int], Attack]


def descent(photo: Tensor, target: int, classes: int) -> Plan:
    """One descent of CRS to a given target, without retries."""
    goal = F.one_hot(torch.tensor(target), classes).float()
    (outcome,) = yield [Job(photo, lambda logits: [goal])]
    return outcome


def veil_crs(precision: Precision) -> Prepare:
    def prepare(classifier: Classifier, problem: Problem) -> Run:
        keep_memory()  # as the command line of Veil does
        rules = problem.rules
        limits = StepSettings(step=rules.step, budget=rules.budget, required_score=rules.required_score)

        @cache
        def engine(batch: int) -> Engine:
            return Engine([classifier], batch=batch, device="cpu", precision=precision)

        def run(count: int, steps: int, batch: int) -> RunResult:
            settings = replace(limits, max_iterations=steps)
            work = zip(problem.photos[:count], problem.targets[:count].tolist(), strict=True)
            plans = ((i, descent(*start, len(classifier.classes))) for i, start in enumerate(work))
            earlier = engine(batch).evaluations
            outcomes: dict[int, Outcome] = dict(engine(batch).run(plans, cross_entropy, settings))
            return RunResult(
                images=torch.stack([outcomes[i].released for i in sorted(outcomes)]),
                evaluations=engine(batch).evaluations - earlier,
                iterations=statistics.fmean(outcome.iterations for outcome in outcomes.values()),
            )

        return run

    return prepare


def floor(precision: Precision, *, preprocessing: bool) -> Prepare:
    """Only forward and backward passes: to the network's input, or through its preprocessing to the photo."""

    def prepare(classifier: Classifier, problem: Problem) -> Run:
        keep_memory()  # as Veil does: the floor is what the hardware allows
        images, targets = to_float(problem.photos[: max(problem.rules.batches)]), problem.targets
        network: nn.Module = classifier
        if not preprocessing:
            network = classifier.network
            images = classifier.preprocessing(images).contiguous(memory_format=torch.channels_last)

        def run(count: int, steps: int, batch: int) -> RunResult:
            for start in range(0, count * steps, batch):
                x = images[: min(batch, count * steps - start)].requires_grad_()
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                    logits = network(x)
                loss = F.cross_entropy(logits.float(), targets[: len(x)], reduction="sum")
                torch.autograd.grad(loss, x)
            return RunResult(images=None, evaluations=count * steps)

        return run

    return prepare


def fixed_steps(build: Build) -> Prepare:
    """Runs batch after batch, all photos with the same number of steps."""

    def prepare(classifier: Classifier, problem: Problem) -> Run:
        photos = to_float(problem.photos)

        def run(count: int, steps: int, batch: int) -> RunResult:
            attack = build(classifier, problem, steps)
            parts = zip(*(torch.split(x[:count], batch) for x in (photos, problem.targets)), strict=True)
            images = torch.cat([attack(*part).detach() for part in parts])
            return RunResult(images=images, evaluations=count * steps, iterations=steps)

        return run

    return prepare


def plain(classifier: Classifier, problem: Problem, steps: int) -> Attack:
    """A loop of ten lines: it shows the cost of a library's own bookkeeping."""
    keep_memory()
    step, budget = problem.rules.step / 255, problem.rules.budget / 255

    def attack(images: Tensor, targets: Tensor) -> Tensor:
        noise = torch.zeros_like(images)
        for _ in range(steps):
            candidate = (images + noise).clamp(0, 1).requires_grad_()
            loss = F.cross_entropy(classifier(candidate), targets, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, candidate)
            noise = (noise - step * gradient.sign()).clamp(-budget, budget)
        return (images + noise).clamp(0, 1)

    return attack


def torchattacks_pgd(classifier: Classifier, problem: Problem, steps: int) -> Attack:
    import torchattacks

    step, budget = problem.rules.step / 255, problem.rules.budget / 255
    pgd = torchattacks.PGD(classifier, eps=budget, alpha=step, steps=steps, random_start=False)
    pgd.set_mode_targeted_by_label(quiet=True)

    def attack(images: Tensor, targets: Tensor) -> Tensor:
        result: Tensor = pgd(images, targets)
        return result

    return attack


def foolbox_pgd(classifier: Classifier, problem: Problem, steps: int) -> Attack:
    import foolbox

    step, budget = problem.rules.step / 255, problem.rules.budget / 255
    model = foolbox.PyTorchModel(classifier, bounds=(0, 1), device="cpu")
    pgd = foolbox.attacks.LinfPGD(abs_stepsize=step, steps=steps, random_start=False)

    def attack(images: Tensor, targets: Tensor) -> Tensor:
        clipped: Tensor
        _, clipped, _ = pgd(model, images, foolbox.TargetedMisclassification(targets), epsilons=budget)
        return clipped

    return attack


def art_pgd(classifier: Classifier, problem: Problem, steps: int) -> Attack:
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    step, budget = problem.rules.step / 255, problem.rules.budget / 255
    classes = len(classifier.classes)
    estimator = PyTorchClassifier(
        classifier, loss=nn.CrossEntropyLoss(), input_shape=tuple(problem.photos.shape[1:]),
        nb_classes=classes, clip_values=(0.0, 1.0), device_type="cpu",
    )  # fmt: skip
    options = {"eps": budget, "eps_step": step, "max_iter": steps, "targeted": True, "verbose": False}
    pgd = ProjectedGradientDescent(estimator, batch_size=max(problem.rules.batches), **options)

    def attack(images: Tensor, targets: Tensor) -> Tensor:
        return torch.from_numpy(pgd.generate(images.numpy(), F.one_hot(targets, classes).numpy()))

    return attack


@dataclass(frozen=True)
class Contender:
    """A contender; ``distribution`` is the package whose version is recorded, ``batch`` None takes the best."""

    prepare: Prepare
    distribution: str
    batch: int | None = None


CONTENDERS = {
    "veil": Contender(veil_crs("float32"), "veil", batch=8),  # what `Engine` takes on a CPU
    "floor (network alone)": Contender(floor("float32", preprocessing=False), "torch"),
    "floor (with preprocessing)": Contender(floor("float32", preprocessing=True), "torch"),
    "plain": Contender(fixed_steps(plain), "torch"),
    "torchattacks": Contender(fixed_steps(torchattacks_pgd), "torchattacks"),
    "foolbox": Contender(fixed_steps(foolbox_pgd), "foolbox"),
    "art": Contender(fixed_steps(art_pgd), "adversarial-robustness-toolbox"),
    "veil-bf16": Contender(veil_crs("bfloat16"), "veil", batch=8),
    "floor-bf16 (network alone)": Contender(floor("bfloat16", preprocessing=False), "torch"),
    "floor-bf16 (with preprocessing)": Contender(floor("bfloat16", preprocessing=True), "torch"),
}


def timed(run: Run, count: int, steps: int, batch: int) -> tuple[float, RunResult]:
    """Seconds of wall-clock time, and the run's result."""
    started = time.perf_counter()
    result = run(count, steps, batch)
    return time.perf_counter() - started, result


def best_batch(run: Run, batches: Sequence[int]) -> int:
    """The batch that is fastest for a few photos and steps, after a warm-up turn."""
    seconds = {}
    for batch in batches:
        run(batch, 1, batch)
        seconds[batch], _ = timed(run, max(batches), TUNING_STEPS, batch)
    return min(seconds, key=seconds.__getitem__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one contender and prints what was measured, in JSON, as the last line; images go into a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=list(CONTENDERS))
    parser.add_argument("problem", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--batch", type=int, help="found out if not given")
    parser.add_argument("--evaluations", type=int, help="of the floor: how many passes")
    given = parser.parse_args(arguments)
    problem = Problem.load(given.problem)
    rules = problem.rules
    contender = CONTENDERS[given.contender]
    run = contender.prepare(catalog.load(rules.model), problem)
    batch = given.batch or contender.batch or best_batch(run, rules.batches)
    count, steps = (given.evaluations, 1) if given.evaluations else (len(problem.photos), rules.max_steps)
    run(batch, 1, batch)
    seconds, result = timed(run, count, steps, batch)
    measured: dict[str, Any] = {
        "seconds": seconds, "batch": batch, "evaluations": result.evaluations, "iterations": result.iterations,
        "peak_mib": peak_mib(), "version": version(contender.distribution), "torch": torch.__version__,
    }  # fmt: skip
    if result.images is not None:
        save_file({"images": result.images.contiguous()}, given.images)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
