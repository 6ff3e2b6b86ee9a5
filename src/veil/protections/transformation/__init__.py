"""Transformation networks: images without visual information, that classifiers can still learn from, and no key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from veil.protections.transformation import cyclegan, unet
from veil.protections.transformation.cyclegan import CycleGanSettings
from veil.protections.transformation.file import Transformation, TransformationError, find, packaged
from veil.protections.transformation.fitting import Fitted, Material
from veil.protections.transformation.frozen_networks import Guide
from veil.protections.transformation.preliminary import PreliminarySettings
from veil.protections.transformation.unet import UNetSettings


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A way to train a transformation network.

    Attributes:
        summary: in a few words.
        train: see `veil.protections.transformation.cyclegan.train`.
        presets: settings by name: ``paper`` and ``veil``.
        scales: changes to either by scale: ``smoke``, ``cpu``, ``paper``.
        preliminary: whether it is trained with preliminary protected images.
    """

    summary: str
    train: Callable[..., Fitted]
    presets: Mapping[str, Any]
    scales: Mapping[str, Mapping[str, Any]]
    preliminary: bool


METHODS: dict[str, MethodRow] = {
    "cyclegan": MethodRow(
        summary="two U-Nets and two judges, towards preliminary protected images (Sirichotedumrong and Kiya 2020)",
        train=cyclegan.train,
        presets={
            "paper": CycleGanSettings(),
            "veil": CycleGanSettings(
                learning_rate=1e-3, perceptual=-0.25, classification=1.0, margin=2.0, hiding=1.0, skips=2
            ),
        },
        scales={
            "smoke": {"epochs": 2, "width": 8, "discriminator_width": 8, "batch_size": 20},
            "cpu": {"epochs": 6, "width": 16, "discriminator_width": 32},
            "paper": {},
        },
        preliminary=True,
    ),
    "unet": MethodRow(
        summary="one U-Net against a frozen classifier (Ito et al. 2021)",
        train=unet.train,
        presets={
            "paper": UNetSettings(),
            "veil": UNetSettings(
                batch_size=64,
                optimizer="adam",
                learning_rate=2e-3,
                weight=0.1,
                margin=2.0,
                padding=4,
                flip=True,
                hiding=1.0,
                skips=2,
                start=True,
            ),
        },
        scales={
            "smoke": {"epochs": 2, "width": 8, "batch_size": 20},
            "cpu": {"epochs": 12, "width": 16},
            "paper": {},
        },
        preliminary=False,
    ),
}

__all__ = [
    "METHODS",
    "CycleGanSettings",
    "Fitted",
    "Guide",
    "Material",
    "MethodRow",
    "PreliminarySettings",
    "Transformation",
    "TransformationError",
    "UNetSettings",
    "find",
    "packaged",
]
