"""A client and its service that take no time, as files, and images for them."""

from pathlib import Path
from typing import Any

import torch

from veil.models.obfuscator import FeatureClassifier, Obfuscator
from veil.protections.features import CLIENT_FILE, SERVICE_FILE
from veil.protections.features.encoding import Encoding, Sent
from veil.protections.features.file import Client, Service, pair


def tiny(
    values: int | None = 8, sent: Sent | None = None, size: tuple[int, int] = (32, 36), seed: int = 0, **options: Any
) -> tuple[Client, Service]:
    """Networks of width 8 with drawn weights and drawn statistics of their normalisation."""
    torch.manual_seed(seed)
    obfuscator = Obfuscator(8, options.pop("norm", "batch"), values)
    classifier = FeatureClassifier(obfuscator.shape(size), 2, 8, head=options.pop("head", "pool"))
    for network in (obfuscator, classifier):
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        ranged = obfuscator.eval()(torch.rand(4, 3, *size))
    both: dict[str, Any] = {
        "name": "tiny", "target": ("Smiling", "Young"), "hides": ("Male",), "training": {"data": "made"},
    }  # fmt: skip
    return pair(obfuscator, classifier, size=size, encoding=Encoding.of(sent, ranged), **(both | options))


def write(folder: Path, **options: Any) -> tuple[Path, Path]:
    """The files of `tiny` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    client, service = tiny(**options)
    client.save(folder / CLIENT_FILE)
    service.save(folder / SERVICE_FILE)
    return folder / CLIENT_FILE, folder / SERVICE_FILE


def drawn(count: int, height: int = 32, width: int = 36, seed: int = 0) -> torch.Tensor:
    """Images, uint8 (N, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)
