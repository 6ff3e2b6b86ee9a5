"""Transformation networks: what people and a classifier still recognise in transformed images (section III-C, Figure
1d).

Paper:   Sirichotedumrong and Kiya 2020, sections III-C and IV-B, Figure 1(d)
Item:    transformation
Cost:    smoke seconds; cpu 1 h on two cores; paper days on a GPU
Expect:  nothing shows, and the classifier that a network was trained with still reads it
Command: veil reproduce sirichotedumrong2020 transformation --scale cpu --data DIR

The CycleGAN with the paper's losses, the same with Veil's, and the single U-Net with Veil's, all trained on CIFAR-10
with the classifier of the item ``preliminary``. At cpu scale generators have a quarter of the paper's channels.
"""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from veil import images, metrics, training
from veil.data.labelled_images import Parts
from veil.jobs.rows import Row, pack, unpack
from veil.protections.transformation import METHODS, trainer
from veil.protections.transformation.frozen_networks import FrozenNetworks
from veil.protections.transformation.trainer import TrainedTransformation, TransformationPlan
from veil.recipes import free_photos
from veil.recipes.recipe import Conditions, Evidence
from veil.recipes.sirichotedumrong2020 import preliminary, table1_accuracy
from veil.report import figures
from veil.report.page import Picture, Section, Table
from veil.runtime.scales import Scale
from veil.training.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ITEM = "transformation"
VARIANTS = (("unet", "veil"), ("cyclegan", "paper"), ("cyclegan", "veil"))
NAMES = {
    ("cyclegan", "paper"): "CycleGAN, the paper’s losses",
    ("cyclegan", "veil"): "CycleGAN, Veil’s losses",
    ("unet", "veil"): "single U-Net, Veil’s losses",
}
PHOTOS, SIDE = ("chelsea", "coffee"), 32


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The training data of networks at a scale, and the changes to their settings."""

    images: dict[str, int | None]
    changes: dict[str, dict[str, Any]]


SETTINGS: dict[Scale, Setting] = {
    "smoke": Setting(
        images=dict.fromkeys(METHODS, 60),
        changes={name: {**row.scales["smoke"], "epochs": 1} for name, row in METHODS.items()},
    ),
    "cpu": Setting(
        images={"cyclegan": 10_000, "unet": None},
        changes={name: dict(row.scales["cpu"]) for name, row in METHODS.items()},
    ),
    "paper": Setting(images=dict.fromkeys(METHODS), changes={name: {} for name in METHODS}),
}


def measure(conditions: Conditions) -> None:
    """A row for each network; the networks themselves are in the work folder."""
    setting = SETTINGS[conditions.scale]
    data = preliminary.SETTINGS[conditions.scale].data
    about = {"data": data, "settings": {f"{m} {p}": asdict(_settings(setting, m, p)) for m, p in VARIANTS}}
    with conditions.rows(ITEM, about) as rows:
        lacking = [variant for variant in VARIANTS if not rows.find(method=variant[0], preset=variant[1])]
        if lacking:
            runner = training.fabric(conditions.device, "auto")
            parts = table1_accuracy.load(conditions, data)
            frozen = FrozenNetworks.of(preliminary.classifier(conditions, parts, runner))
        for method, preset in lacking:
            conditions.say(NAMES[method, preset])
            rows.add(_row(conditions, setting, parts, frozen, method, preset, runner))
        rows.finish((0,))


def _settings(setting: Setting, method: str, preset: str) -> Any:
    return replace(METHODS[method].presets[preset], **setting.changes[method])


def _row(
    conditions: Conditions, setting: Setting, parts: Parts, frozen: FrozenNetworks, method: str, preset: str,
    runner: "Fabric",
) -> Row:  # fmt: skip
    settings = _settings(setting, method, preset)
    folder = conditions.work / conditions.paper / conditions.scale / f"{method}-{preset}"
    plan = TransformationPlan(
        name=f"{method}-{preset}", method=METHODS[method], settings=settings, count=setting.images[method]
    )
    run = Run(
        folder=folder, seed=0, runner=runner,
        logged=lambda row: conditions.say(
            f"epoch {row['epoch'] + 1}: h_θ right {row['watched_accuracy']:.3f}, SSIM {row['watched_ssim']:.3f}"
        ),
    )  # fmt: skip
    trained = trainer.train_transformation(parts, frozen, plan, run, shared=folder.parent, say=conditions.say)
    transformation, log = trained.transformation, trained.log
    judged = trainer.measure(transformation, frozen, parts.test, 0)
    file = folder / "transformation.safetensors"
    replace(transformation, measured={k: v for k, v in judged.items() if v is not None}).save(file)
    return {
        "data": parts.name, "fingerprint": parts.fingerprint, "images": setting.images[method] or len(parts.train),
        "method": method, "preset": preset, "seed": 0, "epochs": settings.epochs,
        "network": transformation.network.options,
        "parameters": sum(parameter.numel() for parameter in transformation.network.parameters()),
        "classifier": frozen.classifier.fingerprint(), "features": frozen.named,
        "transformation": transformation.fingerprint,
        **judged, "returned_ssim": _returned(trained, parts.test.images),
        "training_seconds": round(sum(row["seconds"] for row in log), 1),
        "precision": training.precision_of(runner),
        "pictures": {name: pack(_shown(transformation(_photo(name))[0])) for name in PHOTOS},
    }  # fmt: skip


def _returned(trained: TrainedTransformation, plain: Tensor) -> float | None:
    """SSIM of plain images and the images that the training's own inverse restores from transformed ones."""
    inverse = trained.inverse
    if inverse is None:
        return None
    inverse.cpu().eval()
    with torch.inference_mode():
        back = [
            images.quantise(inverse(images.to_float(trained.transformation(part)))) for part in torch.split(plain, 250)
        ]
    return metrics.ssim(plain, torch.cat(back))


def _photo(name: str) -> Tensor:
    return free_photos.read(name, SIDE)[None]


def _shown(image: Tensor) -> Any:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def show(evidence: Evidence) -> Section:
    """The remaining information, in a table and pictures."""
    rows = {(row["method"], row["preset"]): row for row in evidence.rows(ITEM)}
    first = next(iter(rows.values()))
    variants = [variant for variant in VARIANTS if variant in rows]
    table = Table(
        "Test images, plain beside transformed: how often h_θ is right, in %; SSIM; how much shows, 0 to 1; "
        "distance in h_θ’s features, in units of different plain images. "
        "Beside each, in brackets, the same with another image’s transformed one: what is no more than that is "
        "nothing. “Turned back” is the SSIM of what the training’s own inverse makes of transformed images.",
        ("", "h_θ right", "SSIM", "shows", "distance", "turned back"),
        (
            ("plain images", f"{100 * first['plain_accuracy']:.1f}", f"1 ({first['plain_ssim']:.3f})",
             f"1 ({first['plain_visible']:.3f})", f"0 ({first['plain_distance']:.2f})", "–"),
            *(
                (
                    NAMES[variant], f"{100 * row['accuracy']:.1f}",
                    *(f"{row[name]:.3f} ({row['unrelated_' + name]:.3f})" for name in ("ssim", "visible")),
                    f"{row['distance']:.2f} ({row['unrelated_distance']:.2f})",
                    "–" if row["returned_ssim"] is None else f"{row['returned_ssim']:.3f}",
                )
                for variant, row in ((variant, rows[variant]) for variant in variants)
            ),
        ),
    )  # fmt: skip
    caption = (
        f"Photos at {SIDE}×{SIDE} and what each network makes of them: "
        + "; ".join(free_photos.CREDITS[name] for name in PHOTOS) + "."
    )  # fmt: skip
    picture = Picture(ITEM, caption, lambda: figures.image_grid(_panels(rows, variants), columns=1 + len(variants)))
    return Section(
        ITEM, "Transformation networks · What is left", _text(rows), (table,), (picture,), evidence.source(ITEM)
    )


def _panels(rows: dict[tuple[str, str], Row], variants: list[tuple[str, str]]) -> dict[str, Any]:
    """Each photo and the networks' outputs for it, by title."""
    panels = {}
    for name in PHOTOS:
        panels[name] = _shown(_photo(name)[0])
        panels |= {f"{name}: {NAMES[variant]}": unpack(rows[variant]["pictures"][name]) for variant in variants}
    return panels


def _text(rows: dict[tuple[str, str], Row]) -> tuple[str, ...]:
    """The meaning of the numbers, in words."""
    return (
        "SSIM does not measure what people see: a photo with exchanged colours, or a negative, has an SSIM near 0 and "
        "still shows everything. So look at the pictures, and at “shows”.",
        " ".join(_said(NAMES[variant], rows[variant]) for variant in VARIANTS if variant in rows),
        f"These are short trainings: the paper’s CycleGAN sees its images 5,000 times. {_shown_by(rows)}".strip(),
        *(
            ()
            if any(row["lpips"] is not None for row in rows.values())
            else ("LPIPS is missing: its weights could not be fetched where this was measured.",)
        ),
    )


def shows(row: Row) -> bool:
    """Whether people can see more than in an unrelated image."""
    return bool(row["visible"] > 1.5 * row["unrelated_visible"])


def _shown_by(rows: dict[tuple[str, str], Row]) -> str:
    """The conclusions from all three networks, if rows support them."""
    if len(rows) < len(VARIANTS):
        return ""
    unet, paper, cyclegan = (rows[variant] for variant in VARIANTS)
    sentences = {
        "A network that passes all that it can stays readable to people, whatever it is told to be far from.": (
            shows(paper)
        ),
        "Those that pass coarse features only hide all, and have to learn to be read; it helps to begin as the "
        "classifier that reads them.": (
            not shows(unet) and not shows(cyclegan) and unet["accuracy"] > cyclegan["accuracy"]
        ),
    }
    return " ".join(sentence for sentence, holds in sentences.items() if holds)


def _said(name: str, row: Row) -> str:
    """What people and the classifier still see, in a sentence."""
    reads = row["accuracy"] > 0.9 * row["plain_accuracy"]
    people = "people still see what was in the images" if shows(row) else "nothing is left for people"
    classifier = "h_θ reads them nearly as well as plain ones" if reads else "h_θ reads them far worse than plain ones"
    return f"{name[0].upper() + name[1:]}: {people}, and {classifier}."
