"""Veil keeps private images private from deep networks.

>>> import veil
>>> veil.protect("cat.jpg", budget=8).save("cat.png")   # doctest: +SKIP

Names are imported when they are first used, so that ``import veil`` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veil import images as images
    from veil.audits import audit
    from veil.audits.features import FeatureAuditResult
    from veil.audits.images.result import ImageAuditResult
    from veil.models.catalog import load as load_classifier
    from veil.models.classifier import Classifier, Preprocessing
    from veil.protections import PROTECTIONS
    from veil.protections.ciphers.keys import Key
    from veil.protections.features.api import Answers, FeatureFolder, Features, classify, obfuscate
    from veil.protections.image_transforms import ImageTransform, decrypt, encrypt, transform
    from veil.protections.noise import SCHEMES
    from veil.protections.noise.api import protect
    from veil.protections.noise.protector import Protector
    from veil.protections.noise.results import Protected, ProtectedFolder

_WHERE = {
    "Answers": "veil.protections.features.api:Answers",
    "Classifier": "veil.models.classifier:Classifier",
    "FeatureAuditResult": "veil.audits.features:FeatureAuditResult",
    "FeatureFolder": "veil.protections.features.api:FeatureFolder",
    "Features": "veil.protections.features.api:Features",
    "ImageAuditResult": "veil.audits.images.result:ImageAuditResult",
    "ImageTransform": "veil.protections.image_transforms:ImageTransform",
    "Key": "veil.protections.ciphers.keys:Key",
    "PROTECTIONS": "veil.protections:PROTECTIONS",
    "Preprocessing": "veil.models.classifier:Preprocessing",
    "Protected": "veil.protections.noise.results:Protected",
    "ProtectedFolder": "veil.protections.noise.results:ProtectedFolder",
    "Protector": "veil.protections.noise.protector:Protector",
    "SCHEMES": "veil.protections.noise:SCHEMES",
    "audit": "veil.audits:audit",
    "classify": "veil.protections.features.api:classify",
    "decrypt": "veil.protections.image_transforms:decrypt",
    "encrypt": "veil.protections.image_transforms:encrypt",
    "images": "veil.images",
    "load_classifier": "veil.models.catalog:load",
    "obfuscate": "veil.protections.features.api:obfuscate",
    "protect": "veil.protections.noise.api:protect",
    "transform": "veil.protections.image_transforms:transform",
}
__all__ = [
    "PROTECTIONS",
    "SCHEMES",
    "Answers",
    "Classifier",
    "FeatureAuditResult",
    "FeatureFolder",
    "Features",
    "ImageAuditResult",
    "ImageTransform",
    "Key",
    "Preprocessing",
    "Protected",
    "ProtectedFolder",
    "Protector",
    "__version__",
    "audit",
    "classify",
    "decrypt",
    "encrypt",
    "images",
    "load_classifier",
    "obfuscate",
    "protect",
    "transform",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("veil")
    if name not in _WHERE:
        raise AttributeError(f"module 'veil' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    holder = importlib.import_module(module)
    return getattr(holder, attribute) if attribute else holder


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
