"""How much noise preliminary protected images have: the sweep over ε that the paper leaves out (equations 1 to 3).

Paper:   Sirichotedumrong and Kiya 2020, section III-B, without a table there
Item:    preliminary
Cost:    smoke seconds; cpu 20 min on two cores, most of it for the classifier; paper an hour on a GPU
Expect:  the classifier is right about nearly all of them at every ε; what shows in them falls as ε grows
Command: veil reproduce sirichotedumrong2020 preliminary --scale cpu --data DIR

h_θ is VGG-13 with batch normalisation, trained here on CIFAR-10. The images are training images, for that is what
preliminary protected images are made from.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Generator

from veil import images, metrics, training
from veil.data.labelled_images import LabelledImages, Parts
from veil.jobs.rows import Row
from veil.models import cards
from veil.models.classifier import Classifier
from veil.protections.transformation import preliminary, trainer
from veil.protections.transformation.preliminary import PreliminarySettings
from veil.recipes.recipe import Conditions, Evidence
from veil.recipes.sirichotedumrong2020 import table1_accuracy
from veil.report.page import Section, Table
from veil.runtime.scales import Scale
from veil.runtime.seeds import seed_of
from veil.training import classification
from veil.training.classifier_settings import PRESETS, ClassifierSettings
from veil.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ITEM = "preliminary"
EPSILONS = (32, 64, 96, 128)
CHOSEN = int(PreliminarySettings().epsilon)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """h_θ and the images of the sweep at a scale."""

    training: ClassifierSettings
    width: int
    images: int
    data: str


SETTINGS: dict[Scale, Setting] = {
    "smoke": Setting(training=replace(PRESETS["fast"], epochs=2, batch_size=50), width=8, images=40, data="made10"),
    "cpu": Setting(training=replace(PRESETS["fast"], epochs=20), width=32, images=2_000, data="cifar10"),
    "paper": Setting(training=PRESETS["paper"], width=64, images=50_000, data="cifar10"),
}


def classifier(conditions: Conditions, parts: Parts, runner: "Fabric") -> Classifier:
    """h_θ, trained unless it was trained before; its checkpoint and card are in the work folder."""
    setting = SETTINGS[conditions.scale]
    folder = conditions.work / conditions.paper / conditions.scale / f"vgg13-{setting.data}"
    card = folder / "model.toml"
    run = Run(
        folder=folder, seed=0, runner=runner,
        logged=lambda row: conditions.say(f"h_θ, epoch {row['epoch'] + 1}: accuracy in training {row['accuracy']:.3f}"),
    )  # fmt: skip
    fitted = classification.fit(parts, setting.training, run, architecture="vgg13", width=setting.width)
    fitted.save(
        card, name="vgg13", on=f"{parts.name} test", training=asdict(setting.training) | {"data": parts.fingerprint}
    )
    return cards.load(card).to(runner.device)


def measure(conditions: Conditions) -> None:
    """A row for each ε."""
    setting = SETTINGS[conditions.scale]
    about = {"data": setting.data, "width": setting.width, "settings": asdict(setting.training)}
    with conditions.rows(ITEM, about) as rows:
        lacking = [epsilon for epsilon in EPSILONS if not rows.find(epsilon=epsilon)]
        if lacking:
            runner = training.fabric(conditions.device, "auto")
            parts = table1_accuracy.load(conditions, setting.data)
            surrogate = classifier(conditions, parts, runner)
            order = torch.randperm(len(parts.train), generator=Generator().manual_seed(seed_of("sweep", 0)))
            plain, labels = (part[order[: setting.images]] for part in (parts.train.images, parts.train.labels))
        for epsilon in lacking:
            conditions.say(f"preliminary protection with ε = {epsilon}")
            settings = PreliminarySettings(epsilon=epsilon)
            protected = preliminary.protect(plain, labels, surrogate, settings, runner=runner)
            x, x_p = images.to_float(plain), images.to_float(protected)
            rows.add({
                "data": setting.data, "images": len(plain), "seed": 0, "classifier": surrogate.fingerprint(),
                **asdict(settings), "alpha": settings.step,
                "accuracy": trainer.accuracy(surrogate, LabelledImages(protected, labels, parts.train.classes)),
                "plain_accuracy": trainer.accuracy(surrogate, LabelledImages(plain, labels, parts.train.classes)),
                "ssim": metrics.ssim(plain, protected), "unrelated_ssim": metrics.ssim(plain, plain.roll(1, 0)),
                "visible": float(metrics.visible(x, x_p).mean()),
                "unrelated_visible": float(metrics.visible(x, x.roll(1, 0)).mean()),
                "change": float((x_p - x).abs().mean()) * 255,
            })  # fmt: skip
        rows.finish((0,))


def show(evidence: Evidence) -> Section:
    """A table of the sweep."""
    rows = sorted(evidence.rows(ITEM), key=lambda row: row["epsilon"])
    first = rows[0]
    table = Table(
        f"Preliminary protected images by the limit of their noise; {first['steps']:.0f} steps of 2.5 ε / "
        f"{first['steps']:.0f}, all in grey levels; {first['images']:,} training images. “Shows” is 0 for nothing "
        "and 1 for all of the image: squared correlation of shapes and outlines.",
        ("ε", "mean change", "h_θ right, %", "SSIM", "shows"),
        (
            ("plain", "0", f"{100 * first['plain_accuracy']:.1f}", "1.000", "1.000"),
            *(
                (
                    f"{row['epsilon']:.0f}", f"{row['change']:.0f}", f"{100 * row['accuracy']:.1f}",
                    f"{row['ssim']:.3f}", f"{row['visible']:.3f}",
                )
                for row in rows
            ),
            ("another image", "–", "–", f"{first['unrelated_ssim']:.3f}", f"{first['unrelated_visible']:.3f}"),
        ),
    )  # fmt: skip
    return Section(
        ITEM, "Preliminary protection · The limit of the noise", (_text(rows),), (table,), (), evidence.source(ITEM)
    )


def _text(rows: Sequence[Row]) -> str:
    """The result of the sweep, by growing ε."""
    last = rows[-1]
    least = min(row["accuracy"] for row in rows)
    falls = all(one["visible"] > other["visible"] for one, other in pairwise(rows))
    return (
        "The paper gives neither the limit ε nor the step α of its preliminary protection. At every ε the classifier, "
        f"h_θ, is right about {'nearly all' if least > 0.99 else f'at least {100 * least:.1f} %'} of these images"
        + (", more often than about plain ones: they were moved towards its answer. "
           if least > last["plain_accuracy"] else ". ")
        + (f"What shows falls with ε throughout, so that Veil takes the largest one of the sweep, {CHOSEN}. "
           if falls else f"What shows does not fall with ε throughout; Veil takes {CHOSEN}. ")
        + ("Even at the largest one more shows than in an image that has nothing to do with it: noise within a limit "
           "covers a photo, it does not replace it"
           if last["visible"] > last["unrelated_visible"] else
           "At the largest one no more shows than in an image that has nothing to do with it")
        + f", and on average values change by {100 * last['change'] / last['epsilon']:.0f} % of what they may."
    )  # fmt: skip
