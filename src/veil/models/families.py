"""Families of networks: those that see alike. Noise made on one misleads the others more than it does strangers.

A judge of the same family as a surrogate says little of networks of other families. A card may name its family; else
the architecture's name tells, by how it begins (`PREFIXES`). Where nothing tells, a network has no family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

PREFIXES: dict[str, tuple[str, ...]] = {
    "alexnet": ("alexnet",),
    "convnext": ("convnext",),
    "darknet": ("darknet", "cspdarknet"),
    "densenet": ("densenet",),
    "efficientnet": ("efficientnet", "mixnet", "mnasnet", "fbnet", "spnasnet", "tinynet"),
    "inception": ("inception", "googlenet", "xception"),
    "mixer": ("mixer", "resmlp", "gmlp", "gmixer"),
    "mobilenet": ("mobilenet", "lcnet", "hardcorenas"),
    "regnet": ("regnet",),
    "resnet": ("resnet", "resnext", "wide_resnet", "seresnet", "seresnext", "ecaresnet", "skresnet", "resnest",
               "residual", "res2net", "res2next", "senet", "gcresnet", "cspresnet"),
    "shufflenet": ("shufflenet",),
    "squeezenet": ("squeezenet",),
    "swin": ("swin",),
    "vgg": ("vgg", "repvgg"),
    "vit": ("vit", "deit", "beit", "eva", "flexivit", "cait", "xcit"),
}  # fmt: skip
"""How names of architectures begin, by family."""
_LIBRARIES = re.compile(r"^(timm|torchvision|veil)/")
_MADE_BY = re.compile(r"^(tf|gluon|legacy|ssl|swsl|ig|test)_")


def family_of(architecture: str) -> str | None:
    """The family of an architecture, ``timm/mobilenetv2_100`` or ``mobilenetv2_100``; None where nothing tells."""
    name = _MADE_BY.sub("", _LIBRARIES.sub("", architecture.lower()))
    found = [(len(prefix), family) for family, prefixes in PREFIXES.items() for prefix in prefixes
             if name.startswith(prefix)]  # fmt: skip
    return max(found)[1] if found else None


def related(
    surrogates: Iterable[tuple[str, str | None]], judges: Iterable[tuple[str, str | None]]
) -> list[tuple[str, str, str]]:
    """Judges of the same family as a surrogate.

    Args:
        surrogates, judges: names with families.

    Returns:
        Judge, surrogate and family.
    """
    known = list(surrogates)
    return [
        (judge, surrogate, family)
        for judge, family in judges
        for surrogate, other in known
        if family is not None and family == other
    ]


def warning(judge: str, surrogate: str, family: str) -> str:
    """What a person must know of such a pair."""
    return (
        f"{judge} is of the same family as {surrogate} ({family}): what it says of the noise is no measure for "
        "networks of other families."
    )
