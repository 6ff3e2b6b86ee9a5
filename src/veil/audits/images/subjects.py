"""What is audited: a protection by name, or any callable.

- ``tanaka``, ``pixel-same``, ``pixel-different``: the ciphers, with a key that is drawn for the audit, or a given one;
- ``transformation-cifar10``, or a transformation file;
- ``package.module:name``: a callable of one's own on uint8 images (N, 3, H, W), imported;
- ``plain``: nothing is done to the images, which is what an audit has to notice.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from veil.attacks.images import Form
from veil.protections.ciphers import CIPHERS
from veil.protections.ciphers.keys import Key
from veil.protections.ciphers.transforms import protection
from veil.protections.transformation import TransformationError, find, packaged
from veil.runtime.seeds import seed_of

FORMS: dict[str, Form] = {"tanaka": "blocks", "pixel-same": "pixels", "pixel-different": "pixels"}


@dataclass(frozen=True, eq=False)
class Subject:
    """A protection.

    Attributes:
        name: what reports call it.
        protect: uint8 images (N, 3, H, W), and a generator for what it draws, to the same type, N and channels.
        form: what an attacker may know of it.
        described: what tells it from others of that name; no key.
    """

    name: str
    protect: Callable[[Tensor, Generator], Tensor]
    form: Form = "image"
    described: str = ""


def subject(name: str, key: Key | None = None, *, seed: int = 0) -> Subject:
    """The protection that a person names.

    Args:
        key: of a cipher; None draws one from ``seed``, for the audit alone.

    Raises:
        ValueError: where there is none of that name, or ``key`` is given to one that takes none.
        TransformationError: where a transformation file cannot be used.
    """
    takes_key = name in CIPHERS and CIPHERS[name].decrypts
    if key is not None and not takes_key:
        raise ValueError(f"{name} takes no key")
    if name == "plain":
        return Subject(name, lambda images, generator: images)
    if name in CIPHERS:
        row = CIPHERS[name]
        if not row.decrypts:
            return Subject(name, protection(row.create()), FORMS[name])
        key = key or _drawn(seed)
        return Subject(name, protection(row.create(key)), FORMS[name], key.fingerprint)
    module, colon, attribute = name.partition(":")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return of_callable(name, _imported(module, attribute))
    try:
        found = find(name)
    except TransformationError as error:
        if name.endswith(".safetensors"):
            raise
        known = ", ".join(["plain", *CIPHERS, *packaged()])
        raise ValueError(
            f"there is no protection {name}; there are {known}, transformation files, and package.module:callable"
        ) from error
    return Subject(found.name, found, "image", found.fingerprint)


def of_callable(name: str, protect: Callable[[Tensor], Tensor]) -> Subject:
    """Any callable on uint8 images (N, 3, H, W) as a subject, about which an attacker knows nothing."""
    return Subject(name, lambda images, generator: protect(images))


def _drawn(seed: int) -> Key:
    secret = torch.randint(256, (32,), generator=Generator().manual_seed(seed_of("key", seed)), dtype=torch.uint8)
    return Key(secret.numpy().tobytes())


def _imported(module: str, attribute: str) -> Callable[[Tensor], Tensor]:
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{module}:{attribute} cannot be imported: {error}") from None
    if not callable(found):
        raise ValueError(f"{module}:{attribute} is not callable")
    return found
