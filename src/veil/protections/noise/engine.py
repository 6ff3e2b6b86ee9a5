"""Signed gradient steps on many photos at once, in a batch that is kept full.

Photos finish at different steps. A finished one leaves the batch at once and a waiting one takes its place; one forward
and one backward pass per step serve both the score check and the gradient. Photos of different sizes share the
networks' batch, because each keeps its noise at its own full resolution and only the networks' inputs, all of one
size, are stacked.

How the parts fit together. A *scheme* is a generator per photo, a `Plan`: it yields the `Job`s that it wants done, gets
their `Outcome`s back, may ask for more, and returns the released photo. A `Job` is one descent: a photo and an *aim*,
which looks at what the networks say of the photo and answers with a goal for each. An *objective* turns logits and
goals into a loss and a score. The engine knows neither schemes nor targets.

What is released is judged as it will be stored: every score is that of the photo rounded to 8 bits, never of a float
image. Rounding is to nearest, inside the loop, and gradients pass straight through it.

What is guaranteed. A photo's outcome depends on its pixels, its aim and the settings. It does not depend on its
neighbours, its place in the batch or the order of the queue as long as the platform's kernels give each image of a
batch the same bits whatever the other images are. `Engine` checks that once, at the start, on random images: the batch
keeps one shape, and shrinks, when the queue runs dry, only to shapes whose logits and gradients came out equal to the
last bit (`Engine.shapes`). The number of threads, the device and the version of torch must be the same.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from veil.models.classifier import Classifier
from veil.protections.noise.scheme import Job, Objective, Outcome, Plan, StepSettings
from veil.runtime import devices

Precision = Literal["auto", "float32", "bfloat16"]

MAX_ACTIVE_PIXELS = 64_000_000  # about 40 bytes of state each


@dataclass(eq=False)
class _Task:
    """A plan under way, with the outcomes that it waits for."""

    key: Any
    plan: Plan
    outcomes: list[Outcome | None] = field(default_factory=list)
    finished: bool = False
    result: Any = None

    def advance(self, outcomes: list[Outcome | None] | None) -> list[tuple["_Task", int, Job]]:
        """Gives the plan what it waited for and returns the jobs that it wants next; none when it is finished."""
        try:
            jobs = next(self.plan) if outcomes is None else self.plan.send([o for o in outcomes if o is not None])
        except StopIteration as stop:
            self.finished, self.result = True, stop.value
            return []
        self.outcomes = [None] * len(jobs)
        return [(self, index, job) for index, job in enumerate(jobs)]


@dataclass(eq=False)
class _Slot:
    """A place in the batch and the descent that occupies it. ``noise`` is float32 in grey levels."""

    task: _Task
    index: int
    job: Job
    image: Tensor
    noise: Tensor
    goals: Sequence[Tensor] | None = None
    iteration: int = 0
    best_score: float = -math.inf
    best: Tensor | None = None


class Engine:
    """Runs plans on a set of classifiers.

    Args:
        classifiers: one, or an ensemble; a job is done when its score is reached on each.
        batch: photos in work at once; 8 on a CPU and 64 elsewhere by default.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        precision: of the descent. ``auto`` is bfloat16 where the hardware computes in it and no network has grouped
            convolutions (which it does not reliably speed up), float32 elsewhere. A score that counts is always
            taken in float32.
    """

    def __init__(
        self,
        classifiers: Sequence[Classifier],
        *,
        batch: int | None = None,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> None:
        if not classifiers:
            raise ValueError("at least one classifier is needed")
        self.device = devices.choose(device)
        self.classifiers = [classifier.to(self.device) for classifier in classifiers]
        if batch is not None and batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        self.batch = batch or (8 if self.device.type == "cpu" else 64)
        fast = devices.computes_bfloat16(self.device) and not any(c.has_depthwise for c in classifiers)
        self.bfloat16 = precision == "bfloat16" or (precision == "auto" and fast)
        self.shapes = self._equal_shapes()
        self.evaluations = 0

    def run(
        self, plans: Iterable[tuple[Any, Plan]], objective: Objective, settings: StepSettings
    ) -> Iterator[tuple[Any, Any]]:
        """Yields ``(key, what the plan returned)`` as plans finish. Plans are drawn only as places fall free."""
        waiting = iter(plans)
        queue: deque[tuple[_Task, int, Job]] = deque()
        slots: list[_Slot] = []
        while True:
            while len(slots) < self.batch:
                if not queue:
                    following = next(waiting, None)
                    if following is None:
                        break
                    task = _Task(*following)
                    queue.extend(task.advance(None))
                    if task.finished:
                        yield task.key, task.result
                elif slots and _pixels(slots) + queue[0][2].image[0].numel() > MAX_ACTIVE_PIXELS:
                    break
                else:
                    slots.append(self._slot(*queue.popleft()))
            if not slots:
                return
            finished = self._step(slots, objective, settings)
            slots = [slot for slot in slots if slot not in finished]
            for slot, outcome in finished.items():
                task = slot.task
                task.outcomes[slot.index] = outcome
                if all(task.outcomes):
                    queue.extendleft(reversed(task.advance(task.outcomes)))
                    if task.finished:
                        yield task.key, task.result

    def logits(self, images: Sequence[Tensor]) -> list[Tensor]:
        """What each classifier says of uint8 photos (C, H, W) of any sizes, in float32: one (N, K) tensor each.

        The answer for a photo has the same bits in any company, under the condition that `Engine` checks.
        """
        answers: list[list[Tensor]] = [[] for _ in self.classifiers]
        for start in range(0, len(images), self.shapes[-1]):
            part = [image.to(self.device).float().div_(255)[None] for image in images[start : start + self.shapes[-1]]]
            for answer, classifier in zip(answers, self.classifiers, strict=True):
                inputs = self._padded([classifier.preprocessing(image) for image in part])
                with torch.no_grad():
                    answer.append(classifier.network(inputs)[: len(part)].float())
        return [torch.cat(answer).cpu() for answer in answers]

    def _slot(self, task: _Task, index: int, job: Job) -> _Slot:
        image = job.image.to(self.device)
        return _Slot(task, index, job, image, torch.zeros_like(image, dtype=torch.float32))

    def _step(self, slots: list[_Slot], objective: Objective, settings: StepSettings) -> dict[_Slot, Outcome]:
        """Scores every photo, takes those that are done out, and moves the others one step."""
        self.evaluations += len(slots)
        with torch.enable_grad():
            candidates = [
                torch.add(slot.noise, slot.image).round_().clamp_(0, 255).div_(255)[None].requires_grad_()
                for slot in slots
            ]
            views = [[c.preprocessing(candidate) for candidate in candidates] for c in self.classifiers]
            inputs = [self._padded([v.detach() for v in view]).requires_grad_() for view in views]
            logits = [
                self._forward(c, x, self.bfloat16)[: len(slots)] for c, x in zip(self.classifiers, inputs, strict=True)
            ]
            for row, slot in enumerate(slots):
                if slot.goals is None:
                    answered = slot.job.aim([answers[row].detach() for answers in logits])
                    slot.goals = [goal.to(self.device) for goal in answered]
            losses, worst = [], []
            for number, answers in enumerate(logits):
                loss, score = objective(answers, torch.stack([slot.goals[number] for slot in slots]))  # type: ignore[index]
                losses.append(loss)
                worst.append(score.detach())
            scores: list[float] = torch.stack(worst).amin(0).tolist()
            if self.bfloat16:
                scores = self._confirmed(scores, slots, candidates, objective, settings)
            finished: dict[_Slot, Outcome] = {}
            for slot, value, candidate in zip(slots, scores, candidates, strict=True):
                if value > slot.best_score:
                    slot.best_score, slot.best = value, candidate
                reached = value >= settings.required_score
                if reached or slot.iteration >= settings.max_iterations:
                    finished[slot] = _outcome(slot, reached)
            if len(finished) == len(slots):
                return finished
            gradients = torch.autograd.grad(torch.stack(losses).sum(), inputs)
        for row, (slot, candidate) in enumerate(zip(slots, candidates, strict=True)):
            if slot in finished:
                continue
            gradient = sum(
                torch.autograd.grad(view[row], candidate, of_view[row : row + 1])[0][0]
                for view, of_view in zip(views, gradients, strict=True)
            )
            assert isinstance(gradient, Tensor)
            limit = int(settings.budget)
            slot.noise.sub_(gradient.sign_().mul_(settings.step)).clamp_(-limit, limit)
            slot.iteration += 1
        return finished

    def _confirmed(
        self,
        scores: list[float],
        slots: list[_Slot],
        candidates: list[Tensor],
        objective: Objective,
        settings: StepSettings,
    ) -> list[float]:
        """Takes scores that bfloat16 holds for reached again in float32."""
        rows = [row for row, score in enumerate(scores) if score >= settings.required_score]
        if rows:
            exact = [1.0] * len(rows)
            with torch.no_grad():
                for number, classifier in enumerate(self.classifiers):
                    inputs = self._padded([classifier.preprocessing(candidates[row]) for row in rows])
                    goals = torch.stack([slots[row].goals[number] for row in rows])  # type: ignore[index]
                    _, score = objective(classifier.network(inputs)[: len(rows)].float(), goals)
                    exact = [min(pair) for pair in zip(exact, score.tolist(), strict=True)]
            scores = list(scores)
            for row, score_32 in zip(rows, exact, strict=True):
                scores[row] = score_32
        return scores

    def _forward(self, classifier: Classifier, inputs: Tensor, bfloat16: bool) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            logits: Tensor = classifier.network(inputs)
        return logits.float()

    def _padded(self, inputs: list[Tensor]) -> Tensor:
        """Stacks inputs (1, C, h, w) and fills up with zeros to the nearest allowed batch shape."""
        shape = next(shape for shape in self.shapes if shape >= len(inputs))
        batch = inputs[0].new_zeros((shape, *inputs[0].shape[1:])).to(memory_format=torch.channels_last)
        for row, single in enumerate(inputs):
            batch[row] = single[0]
        return batch

    def _equal_shapes(self) -> list[int]:
        """Batch shapes, ascending, that give the same bits as the full batch; the full batch is always the last."""
        full = max(4, self.batch)
        shapes = [4 << i for i in range(12) if 4 << i < full]
        for classifier in self.classifiers:
            size = (full, classifier.preprocessing.channels, *classifier.preprocessing.size)
            images = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(self.device)
            for bfloat16 in {False, self.bfloat16} if shapes else ():
                whole = self._probe(classifier, images, bfloat16)
                parts = {shape: self._probe(classifier, images[-shape:], bfloat16) for shape in shapes}
                shapes = [
                    n for n in shapes if all(torch.equal(a[-n:], b) for a, b in zip(whole, parts[n], strict=True))
                ]
        return [*shapes, full]

    def _probe(self, classifier: Classifier, images: Tensor, bfloat16: bool) -> tuple[Tensor, Tensor]:
        """Logits, and gradients as the images get them."""
        inputs = images.clone(memory_format=torch.channels_last).requires_grad_()
        with torch.enable_grad():
            logits = self._forward(classifier, inputs, bfloat16)
            (gradient,) = torch.autograd.grad(logits.logsumexp(1).sum(), inputs)
        return logits.detach(), gradient


def _pixels(slots: Iterable[_Slot]) -> int:
    return sum(slot.image[0].numel() for slot in slots)


def _outcome(slot: _Slot, reached: bool) -> Outcome:
    assert slot.best is not None
    assert slot.goals is not None
    released = slot.best.detach()[0].mul(255).round_().to(torch.uint8).cpu()
    return Outcome(released, [goal.cpu() for goal in slot.goals], slot.best_score, slot.iteration, reached)
