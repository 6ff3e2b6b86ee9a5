"""The optional model zoo: networks of timm and torchvision by name (extra ``zoo``).

torchvision's wheels carry operators compiled against one build of torch. Beside another build (its CUDA wheel beside a
CPU-only torch, say) they do not load, and ``import torchvision`` fails at "operator torchvision::nms does not exist",
and timm with it. Veil uses neither ``nms`` nor ``qnms``: if the import fails for this reason, both are declared without
an implementation and the import is tried again. Classification networks need nothing more.
"""

import importlib
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from veil.models.classifier import Classifier, Preprocessing
from veil.models.families import family_of
from veil.runtime.errors import UserError
from veil.runtime.provenance import commit_of, is_revision, note_fetched

LIBRARIES = ("timm", "torchvision")

# torch.library withdraws a declaration when its Library object goes.
_declared: list[torch.library.Library] = []


class ZooMissing(UserError, ImportError):
    """The extra ``zoo`` is not installed."""


class HubError(UserError, OSError):
    """Weights could not be fetched from the hub."""


def import_torchvision() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)
        importlib.import_module("torchvision")


@cache
def _library(name: str) -> ModuleType:
    try:
        import_torchvision()
        return importlib.import_module("torchvision.models" if name == "torchvision" else name)
    except ModuleNotFoundError as error:
        raise ZooMissing(f'{name} is not installed: pip install "veil[zoo]"') from error


def names(library: str) -> list[str]:
    """The classification architectures that ``timm`` or ``torchvision`` offers, sorted."""
    module = _library(library)
    return sorted(module.list_models() if library == "timm" else module.list_models(module=module))


def imagenet_ids() -> tuple[str, ...] | None:
    """WordNet ids of ImageNet's 1000 classes in the order of networks' logits; None where the extra is missing."""
    try:
        timm = _library("timm")
    except ZooMissing:
        return None
    return tuple(timm.data.ImageNetInfo("imagenet-1k").label_names())


def build(library: str, architecture: str, options: Mapping[str, Any]) -> nn.Module:
    """An untrained network of the zoo.

    Raises:
        ZooMissing: where the extra is not installed.
        KeyError: where the library has no such architecture.
        TypeError: where the architecture does not take one of the options.
    """
    module = _library(library)
    if architecture not in names(library):
        raise KeyError(architecture)
    if library == "timm":
        return module.create_model(architecture, pretrained=False, **options)  # type: ignore[no-any-return]
    return module.get_model(architecture, weights=None, **options)  # type: ignore[no-any-return]


def pretrained(library: str, architecture: str) -> Classifier:
    """A pretrained classifier; its weights come from the hub on first use and from the hub's cache later.

    timm's weights are fetched as safetensors. torchvision publishes pickles: they are checked against their hash and
    read as plain tensors (``weights_only=True``). Which revision was fetched is noted (`veil.runtime.provenance`).

    Args:
        architecture: a name, or ``name@revision``: of timm a commit, tag or branch of the weights' repository, of
            torchvision the name of the weights, such as ``IMAGENET1K_V1``.

    Raises:
        ZooMissing: where the extra is not installed.
        KeyError: where the library has no such architecture.
        HubError: where the weights cannot be fetched, or are not published as Veil reads them.
    """
    architecture, at, revision = architecture.partition("@")
    if architecture.partition(".")[0] not in names(library):
        raise KeyError(architecture)
    name = f"{library}/{architecture}"
    if at and not is_revision(revision):
        raise HubError(f"{revision!r:.80} is no revision of {name}")
    try:
        if library == "timm":
            return _from_timm(name, architecture, revision or None)
        return _from_torchvision(name, architecture, revision or "DEFAULT")
    except OSError as error:  # the hub's errors, time-outs and missing files are all of this kind
        reason = " ".join(str(error).split())[:200]
        raise HubError(f"the weights of {name} could not be fetched: {reason}") from error


def _from_timm(name: str, architecture: str, revision: str | None) -> Classifier:
    timm = _library("timm")
    try:
        network = timm.create_model(architecture, pretrained=False)
    except RuntimeError:  # "Invalid pretrained tag"
        raise KeyError(architecture) from None
    config = timm.data.resolve_model_data_config(network)
    repository = network.pretrained_cfg.get("hf_hub_id")
    if not repository:
        raise HubError(f"{name} has no published weights")
    hub = importlib.import_module("huggingface_hub")
    file = hub.hf_hub_download(repository, "model.safetensors", revision=revision)
    note_fetched(name, commit_of(file))
    network.load_state_dict(load_file(file), strict=True)
    subset = timm.data.infer_imagenet_subset(network)
    if subset is None:
        raise HubError(f"{name}: the names of its {network.num_classes} classes are not known")
    classes = timm.data.ImageNetInfo(subset).label_descriptions()
    side = config["input_size"][-1]
    preprocessing = Preprocessing(
        resize=round(side / config["crop_pct"]),
        crop=side,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    return Classifier(name, network, preprocessing, classes, family=family_of(name))


def _from_torchvision(name: str, architecture: str, revision: str) -> Classifier:
    models = _library("torchvision")
    published = models.get_model_weights(architecture)
    if revision not in published.__members__:
        there = ", ".join(published.__members__)
        raise HubError(f"torchvision has no weights {revision!r} for {architecture}; there are {there}")
    weights = published[revision]
    note_fetched(name, weights.name)
    network = models.get_model(architecture, weights=None)
    network.load_state_dict(weights.get_state_dict(progress=True, check_hash=True, weights_only=True))
    transform = weights.transforms()
    preprocessing = Preprocessing(
        resize=transform.resize_size[0], crop=transform.crop_size[0],
        mean=tuple(transform.mean), std=tuple(transform.std),
    )  # fmt: skip
    return Classifier(name, network, preprocessing, weights.meta["categories"], family=family_of(name))
