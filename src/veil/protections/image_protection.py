"""What a protection of images is: a row of `veil.protections.PROTECTIONS`.

A protection takes uint8 images (N, 3, H, W) to uint8 images of the same number and channels, no smaller than before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from veil.images.forms import Form
    from veil.protections.ciphers.cipher import Cipher, Key

SECRET_BITS = 256
"""Bits of a secret key (`veil.protections.ciphers.keys`), from which all else is expanded."""

KeyUse = Literal["none", "one", "per image"]
KEYS: Mapping[KeyUse, str] = {
    "none": "no key",
    "one": "one key for all images",
    "per image": "a key for every image, which nobody keeps",
}
"""How a protection uses keys, in words."""


class Protect(Protocol):
    """A protection that is ready for use; it may be called from several threads."""

    def __call__(self, images: Tensor, generator: Generator | None = None, /) -> Tensor:
        """Protects uint8 images (N, 3, H, W), on their device; they stay as they are.

        Args:
            generator: for what is drawn at random; the same generator gives the same images. With None it is drawn
                from the operating system.

        Raises:
            ValueError: where the images are not such a batch.
        """


@dataclass(frozen=True, kw_only=True)
class ImageProtection:
    """A row of the table of protections of images.

    Attributes:
        name: by which it is chosen, and which ``run.json`` of an encrypted folder keeps.
        title: what it does to an image, in a few words.
        threat: whom it keeps from seeing what, and what these people lack.
        broken_by: what is known to break it.
        create: makes it ready for use: ``create(key, settings)``. The key is None unless ``key`` is "one".
        form: what an attacker may know of it.
        key: whether it takes a key, and for how many images that is.
        family: what ``--cipher`` calls it, together with others that differ in the use of keys alone.
        decrypts: whether whoever has the key gets the images back; then ``create`` returns a
            `veil.protections.ciphers.cipher.Cipher`.
        multiple: of which height and width of protected images are multiples: smaller images are padded to it.
        hides: whether it is meant to hide anything; the control of an audit is not.
        settings: their class, if it has any.
        key_space: number of keys for images of a height and width, exactly; slow above some 1,000 pixels a side.
        key_bits: its base-2 logarithm.
        adaptation: the network that makes its images fit for convolutions, a key of
            `veil.models.adaptation.ADAPTATIONS`; None where none is needed.
    """

    name: str
    title: str
    threat: str
    broken_by: str
    create: Callable[[Key | None, Any], Protect]
    form: Form = "image"
    key: KeyUse = "none"
    family: str | None = None
    decrypts: bool = False
    multiple: int = 1
    hides: bool = True
    settings: type[Any] | None = None
    key_space: Callable[[int, int], int] | None = None
    key_bits: Callable[[int, int], float] | None = None
    adaptation: str | None = None

    def __post_init__(self) -> None:
        if self.key not in KEYS:
            raise ValueError(f"the use of keys is one of {', '.join(KEYS)}, not {self.key!r}")
        if self.decrypts and self.key != "one":
            raise ValueError("what decrypts takes one key for all images")

    @property
    def takes_key(self) -> bool:
        """Whether `build` needs a key."""
        return self.key == "one"

    def build(self, key: Key | None = None, settings: object = None) -> Protect:
        """Makes it ready for use.

        Args:
            key: where it takes one.
            settings: of its class; the defaults unless given.

        Raises:
            ValueError: for a key too many or too few, or settings that it does not have.
        """
        if self.takes_key and key is None:
            raise ValueError(f"{self.name} takes a key: veil.Key.new() makes one, `veil key new` a file of one")
        if not self.takes_key and key is not None:
            why = ": every image has its own, which is thrown away" if self.key == "per image" else ""
            raise ValueError(f"{self.name} takes no key{why}")
        if settings is None and self.settings is not None:
            settings = self.settings()
        if settings is not None and not (self.settings is not None and isinstance(settings, self.settings)):
            raise ValueError(f"{self.name} has no such settings as {type(settings).__name__}")
        return self.create(key, settings)

    def cipher(self, key: Key, settings: object = None) -> Cipher:
        """Makes it ready for use in both directions; see `build`.

        Raises:
            ValueError: where nobody can decrypt its images; and as `build` does.
        """
        if not self.decrypts:
            raise ValueError(f"nobody can decrypt what {self.name} made")
        return cast("Cipher", self.build(key, settings))

    def effective_bits(self, height: int, width: int) -> float:
        """Bits that an attacker must guess to try all keys: at most the 256 of the secret. No known attack does that.

        Raises:
            ValueError: where there is no key to guess.
        """
        if self.key_bits is None:
            raise ValueError(f"{self.name} has no keys to count")
        return min(self.key_bits(height, width), SECRET_BITS)
