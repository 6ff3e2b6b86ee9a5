"""The photo part of Liu et al. 2019: photos, network, and descents on photos without rows.

This module is not an item; Table 3, Figures 8 to 12 and Veil's own items on photos use it.

Photos come from any set in a standard layout (`veil.data.photo_sets`). The network is the paper's Inception v3 if it is
available, otherwise the packaged things100, or the network of ``--model``. If the network does not have a set's
classes, its own first choice on the original is used as the true class.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor

from veil import images
from veil.data import photo_sets, synthetic
from veil.data.labelled_photos import truths_for
from veil.data.layouts import PhotosLayout, expected
from veil.jobs.rows import Row, RowFile
from veil.metrics import fidelity
from veil.models import catalog, zoo
from veil.models.classifier import Classifier
from veil.protections.noise import SCHEMES
from veil.protections.noise.engine import Engine
from veil.protections.noise.readings import reading_of
from veil.protections.noise.scheme import Objective, Plan, Released, StepSettings
from veil.recipes.recipe import Conditions
from veil.runtime.scales import Scale

DEFAULT_MODEL = "timm/inception_v3.tf_in1k"
FALLBACK = "things100"
COUNT: dict[Scale, int] = {"smoke": 4, "cpu": 400, "paper": 50_000}
SEEDS: dict[Scale, int] = {"smoke": 1, "cpu": 1, "paper": 1}


S = TypeVar("S", bound=StepSettings)
Planned = Callable[[Tensor, int | None], Plan]


@dataclass(frozen=True)
class Photos:
    """Photos by number: their name in rows, a function that reads them, and the true class for the network."""

    description: str
    names: tuple[str, ...]
    read: Callable[[int], Tensor]
    truths: tuple[int | None, ...]


@dataclass(frozen=True)
class Bench:
    """Photos and the engine that works on them."""

    photos: Photos
    engine: Engine

    @property
    def classifier(self) -> Classifier:
        """The one network."""
        return self.engine.classifiers[0]

    def about(self, settings: StepSettings) -> dict[str, Any]:
        """What rows depend on."""
        return {
            "data": self.photos.description,
            "model": self.classifier.name,
            "weights": self.classifier.fingerprint(),
            "classes": len(self.classifier.classes),
            "precision": "bfloat16" if self.engine.bfloat16 else "float32",
            "settings": asdict(settings),
        }

    def missing(self, rows: RowFile, **fields: Any) -> list[int]:
        """Numbers of the photos that have no row with these fields yet."""
        done = {row["photo"] for row in rows.find(**fields)}
        return [number for number, name in enumerate(self.photos.names) if name not in done]

    def descend(
        self,
        numbers: Iterable[int],
        plan: Planned,
        objective: Objective,
        settings: StepSettings,
    ) -> Iterator[tuple[int, Tensor, Any]]:
        """Runs a plan on each photo; yields its number, its original pixels, and what the plan returned."""

        def plans() -> Iterator[tuple[tuple[int, Tensor], Plan]]:
            for number in numbers:
                pixels = self.photos.read(number)
                yield (number, pixels), plan(pixels, self.photos.truths[number])

        for (number, pixels), result in self.engine.run(plans(), objective, settings):
            yield number, pixels, result

    def protect(
        self, numbers: Iterable[int], scheme: str, settings: StepSettings, seed: int
    ) -> Iterator[tuple[int, Tensor, Released]]:
        """`descend` by the plan of one of `SCHEMES`."""
        row = SCHEMES[scheme]

        def plan(pixels: Tensor, truth: int | None) -> Plan:
            return row.plan(pixels, settings, label_spaces=[0], truth=truth, seed=seed)

        return self.descend(numbers, plan, row.objective, settings)

    def answers(self, pixels: Tensor, count: int = 5) -> list[tuple[str, float]]:
        """The network's first choices on a photo, with their probabilities."""
        best = self.engine.logits([pixels])[0][0].softmax(0).topk(min(count, len(self.classifier.classes)))
        return [
            (self.classifier.classes[index], value)
            for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def judge(self, number: int, original: Tensor, released: Sequence[tuple[Tensor, Sequence[int]]]) -> list[Row]:
        """What the network says of a photo before and after, on released photos as PNG files give them back.

        Each of ``released`` comes with its target classes; ``target_score`` is the probability of the best of them.
        """
        truth = self.photos.truths[number]
        decoded = [images.decode(images.encode(images.Photo(pixels))).pixels for pixels, _ in released]
        (logits,) = self.engine.logits([original, *decoded])
        rows = []
        for after, pixels, (_, targets) in zip(logits[1:], decoded, released, strict=True):
            reading = asdict(reading_of(self.classifier.name, torch.stack([logits[0], after]), truth))
            noise = fidelity.noise(original, pixels)
            rows.append(
                {
                    "photo": self.photos.names[number],
                    "truth_known": truth is not None,
                    **{key: value for key, value in reading.items() if key != "network"},
                    "mean_signed": noise.mean_signed / 255,
                    "mean_abs": noise.mean_abs / 255,
                    "linf": noise.linf,
                    "target_score": float(after.softmax(0)[list(targets)].max()) if targets else None,
                }
            )
        return rows


def load(conditions: Conditions) -> Bench:
    """The photos and the network that the conditions name."""
    classifier = network(conditions)
    photos = (
        _synthetic(classifier)
        if conditions.scale == "smoke" and not conditions.data
        else _from_folder(conditions, classifier)
    )
    return Bench(photos, Engine([classifier], device=conditions.device))


def network(conditions: Conditions) -> Classifier:
    """The requested network; otherwise the paper's, or things100 if that is not available or too slow."""
    if conditions.model is not None:
        return catalog.load(conditions.model)
    if conditions.scale == "smoke":
        return catalog.load(FALLBACK)
    try:
        return catalog.load(DEFAULT_MODEL)
    except (zoo.HubError, zoo.ZooMissing) as error:
        conditions.say(f"{DEFAULT_MODEL} cannot be had ({error}); going on with {FALLBACK}")
        return catalog.load(FALLBACK)


def _synthetic(classifier: Classifier) -> Photos:
    pixels = synthetic.photos(COUNT["smoke"], Generator().manual_seed(0))
    names = tuple(f"made-{number}" for number in range(len(pixels)))
    return Photos(f"{len(pixels)} made photos", names, pixels.__getitem__, (None,) * len(pixels))


def _from_folder(conditions: Conditions, classifier: Classifier) -> Photos:
    if not conditions.data:
        raise ValueError(f"photos are needed: --data FOLDER, with {expected(PhotosLayout)}")
    photo_set = photo_sets.find(conditions.data)
    chosen = photo_set.take(COUNT[conditions.scale])
    truths = truths_for(chosen, classifier.classes, zoo.imagenet_ids())
    of = f" of {len(photo_set):,}" if len(chosen) < len(photo_set) else ""
    names = tuple(f"{file.parent.name}/{file.name}" for file in chosen.files)
    return Photos(
        f"{photo_set.name}, {len(chosen):,}{of} photos",
        names,
        lambda number: images.load(chosen.files[number]).pixels,
        truths,
    )


def settings(conditions: Conditions, chosen: S) -> S:
    """The settings; at smoke scale with few steps and the budget that things100's small input needs."""
    if conditions.scale != "smoke":
        return chosen
    fewer = {"retries": 0} if hasattr(chosen, "retries") else {}
    return replace(chosen, budget=8.0, max_iterations=12, **fewer)


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over photos: ``icp_*``, ``ice_*``, ``top1_*`` in %, ``mean_abs``, ``mean_signed``."""
    count = len(rows)
    averages = {
        key: sum(row[key] for row in rows) / count
        for key in ("icp_before", "icp_after", "ice_before", "ice_after", "mean_abs", "mean_signed")
    }
    for when in ("before", "after"):
        averages[f"top1_{when}"] = 100 * sum(row[f"class_{when}"] == row["true_class"] for row in rows) / count
    return averages
