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

What is guaranteed. A photo's outcome depends on its pixels, its aim and the settings, and on what
`veil.protections.noise.passes.Passes.arithmetic` names: not on its neighbours, its place in the batch, the order of the
queue, or how many photos are in work. Passes have a few fixed shapes for that; where more photos are in work than the
largest takes, a step is several passes.

A photo for which a network, or the scheme, gives no finite number is lost: its plan ends, and what it came to is a
`NoFiniteAnswer`. The others of its pass take this step again without it.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from veil.models.answers import NoFiniteAnswer, finite_rows, no_answer
from veil.models.classifier import Classifier
from veil.protections.noise.passes import Passes
from veil.protections.noise.passes import Precision as Precision
from veil.protections.noise.scheme import Job, Objective, Outcome, Plan, StepSettings

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

    def lose(self, reason: NoFiniteAnswer) -> None:
        """Ends the plan without a photo."""
        self.plan.close()
        self.finished, self.result = True, reason


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
        batch, device, precision: see `Passes`. A score that counts is always taken in float32.

    Raises:
        NoGradients: for a network that can only judge.
    """

    def __init__(
        self,
        classifiers: Sequence[Classifier],
        *,
        batch: int | None = None,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> None:
        for classifier in classifiers:
            classifier.require_gradients()
        self.passes = Passes(classifiers, batch=batch, device=device, precision=precision)
        self.device, self.classifiers = self.passes.device, self.passes.classifiers
        self.batch, self.bfloat16 = self.passes.batch, self.passes.bfloat16
        self.evaluations = 0

    def run(
        self, plans: Iterable[tuple[Any, Plan]], objective: Objective, settings: StepSettings
    ) -> Iterator[tuple[Any, Any]]:
        """Yields ``(key, what the plan returned)`` as plans finish. Plans are drawn only as places fall free.

        Raises:
            NoFiniteAnswer: where a photo is lost.
        """
        for key, result in self.attempt(plans, objective, settings):
            if isinstance(result, NoFiniteAnswer):
                raise result
            yield key, result

    def attempt(
        self, plans: Iterable[tuple[Any, Plan]], objective: Objective, settings: StepSettings
    ) -> Iterator[tuple[Any, Any]]:
        """As `run`, but yields ``(key, NoFiniteAnswer)`` for a photo that is lost, and goes on with the others."""
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
            together = self.passes.shapes[-1]
            finished: dict[_Slot, Outcome | NoFiniteAnswer] = {}
            for start in range(0, len(slots), together):
                finished |= self._step(slots[start : start + together], objective, settings)
            slots = [slot for slot in slots if slot not in finished]
            for slot, outcome in finished.items():
                task = slot.task
                if task.finished:
                    continue  # another descent of the same photo was lost
                if isinstance(outcome, NoFiniteAnswer):
                    task.lose(outcome)
                else:
                    task.outcomes[slot.index] = outcome
                    if all(task.outcomes):
                        queue.extendleft(reversed(task.advance(task.outcomes)))
                if slot.task.finished:
                    yield task.key, task.result
            slots = [slot for slot in slots if not slot.task.finished]
            queue = deque(job for job in queue if not job[0].finished)

    def logits(self, images: Sequence[Tensor]) -> list[Tensor]:
        """See `Passes.logits`."""
        return self.passes.logits(images)

    def _slot(self, task: _Task, index: int, job: Job) -> _Slot:
        image = job.image.to(self.device)
        return _Slot(task, index, job, image, torch.zeros_like(image, dtype=torch.float32))

    def _step(
        self, slots: list[_Slot], objective: Objective, settings: StepSettings
    ) -> dict[_Slot, Outcome | NoFiniteAnswer]:
        """Scores the photos of a pass, takes those that are done out, and moves the others one step."""
        self.evaluations += len(slots)
        with torch.enable_grad():
            candidates = [
                torch.add(slot.noise, slot.image).round_().clamp_(0, 255).div_(255)[None].requires_grad_()
                for slot in slots
            ]
            views = [[c.preprocessing(candidate) for candidate in candidates] for c in self.classifiers]
            inputs = [self.passes.stacked([v.detach() for v in view]).requires_grad_() for view in views]
            logits = [
                self.passes.forward(c, x, bfloat16=self.bfloat16)[: len(slots)]
                for c, x in zip(self.classifiers, inputs, strict=True)
            ]
            if lost := self._unanswered(slots, logits):
                return lost
            for row, slot in enumerate(slots):
                if slot.goals is None:
                    answered = slot.job.aim([of_network[row].detach() for of_network in logits])
                    slot.goals = [goal.to(self.device) for goal in answered]
            goals = [torch.stack(of_network) for of_network in zip(*(slot.goals or () for slot in slots), strict=True)]
            losses, of_each = zip(*(objective(*pair) for pair in zip(logits, goals, strict=True)), strict=True)
            if lost := _unusable(slots, goals=goals, losses=losses, scores=of_each):
                return lost
            scores: list[float] = torch.stack([score.detach() for score in of_each]).amin(0).tolist()
            if self.bfloat16:
                scores, lost = self._confirmed(scores, slots, candidates, objective, settings)
                if lost:
                    return lost
            finished: dict[_Slot, Outcome | NoFiniteAnswer] = {}
            for slot, value, candidate in zip(slots, scores, candidates, strict=True):
                if value > slot.best_score:
                    slot.best_score, slot.best = value, candidate
                reached = value >= settings.required_score
                if reached or slot.iteration >= settings.max_iterations:
                    finished[slot] = _outcome(slot, reached)
            if len(finished) == len(slots):
                return finished
            gradients = torch.autograd.grad(torch.stack(losses).sum(), inputs)
            if lost := self._unanswered(slots, gradients, but=finished):
                return finished | lost
        for row, (slot, candidate) in enumerate(zip(slots, candidates, strict=True)):
            if slot in finished:
                continue
            gradient = sum(
                torch.autograd.grad(view[row], candidate, of_network[row : row + 1])[0][0]
                for view, of_network in zip(views, gradients, strict=True)
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
    ) -> tuple[list[float], dict[_Slot, Outcome | NoFiniteAnswer]]:
        """Takes scores that bfloat16 holds for reached again in float32, and says which photos are lost by that."""
        rows = [row for row, score in enumerate(scores) if score >= settings.required_score]
        if not rows:
            return scores, {}
        asked, logits, exact = [slots[row] for row in rows], [], []
        with torch.no_grad():
            for number, classifier in enumerate(self.classifiers):
                inputs = self.passes.stacked([classifier.preprocessing(candidates[row]) for row in rows])
                goals = torch.stack([slot.goals[number] for slot in asked])  # type: ignore[index]
                logits.append(self.passes.forward(classifier, inputs, bfloat16=False)[: len(rows)])
                exact.append(objective(logits[-1], goals)[1])
        confirmed = dict(zip(rows, torch.stack(exact).amin(0).tolist(), strict=True))
        return [confirmed.get(row, score) for row, score in enumerate(scores)], self._unanswered(asked, logits)

    def _unanswered(
        self, slots: Sequence[_Slot], answers: Sequence[Tensor], but: Collection[_Slot] = ()
    ) -> dict[_Slot, Outcome | NoFiniteAnswer]:
        """The photos for which a network gave logits, or gradients, that are not finite; ``but`` some."""
        lost: dict[_Slot, Outcome | NoFiniteAnswer] = {}
        for classifier, rows in zip(self.classifiers, answers, strict=True):
            for slot, finite in zip(slots, finite_rows(rows[: len(slots)]), strict=True):
                if not finite and slot not in but:
                    lost.setdefault(slot, no_answer(classifier.name))
        return lost


def _unusable(slots: Sequence[_Slot], **numbers: Sequence[Tensor]) -> dict[_Slot, Outcome | NoFiniteAnswer]:
    """The photos for which a scheme gave numbers that are not finite: rows of ``numbers``, by name, of each network."""
    lost: dict[_Slot, Outcome | NoFiniteAnswer] = {}
    for name, of_networks in numbers.items():
        for rows in of_networks:
            for slot, finite in zip(slots, finite_rows(rows), strict=True):
                if not finite:
                    lost.setdefault(slot, NoFiniteAnswer(f"the scheme gives {name} that are not finite for this photo"))
    return lost


def _pixels(slots: Iterable[_Slot]) -> int:
    return sum(slot.image[0].numel() for slot in slots)


def _outcome(slot: _Slot, reached: bool) -> Outcome:
    assert slot.best is not None
    assert slot.goals is not None
    released = slot.best.detach()[0].mul(255).round_().to(torch.uint8).cpu()
    return Outcome(released, [goal.cpu() for goal in slot.goals], slot.best_score, slot.iteration, reached)
