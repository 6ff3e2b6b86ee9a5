"""Whether a classifier can read an image at all: plain, encrypted, and under which key.

A network answers whatever it is shown. One that was trained on encrypted images knows nothing of plain ones, nor of
images under another key. Its card names cipher and key, an encrypted file carries a mark (`veil.images.marks`): what
does not fit is refused, and what nobody can tell is warned of. Where every training image had a key of its own, no key
is special: such a network reads images under any key, and plain ones, which is one more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from veil.images.marks import NO_KEY
from veil.runtime.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from veil.images.marks import Mark
    from veil.models.classifier import Classifier

TRANSFORMED = "transformation"
_ALIKE = 0.3
"""Correlation of neighbouring pixels, from which an image without a mark counts as plain: of photos it is above 0.8, of
encrypted ones near 0."""


class Misfit(UserError, ValueError):
    """An image and a classifier do not fit together."""


def require(classifier: Classifier, mark: Mark | None, pixels: Tensor | None = None) -> str | None:
    """Refuses what the classifier cannot read.

    Args:
        mark: of the image; None where it has none.
        pixels: of an image without a mark, uint8 (C, H, W): files of older versions carry none, and look like noise.

    Returns:
        A warning where nobody can tell; else None.

    Raises:
        Misfit: where they do not fit.
    """
    reads, name = classifier.reads, classifier.name
    if reads is not None and reads.cipher == TRANSFORMED:
        if mark is None or mark.cipher == TRANSFORMED:
            return None
        raise Misfit(f"{name} was trained on transformed images; this one is {mark.words}")
    if reads is None:
        if mark is None:
            return None
        how = "transformed" if mark.cipher == TRANSFORMED else mark.words
        raise Misfit(f"{name} was trained on plain images; this one is {how}")
    if reads.key == NO_KEY and (mark is None or _family(mark) == _family(reads)):
        plain = "; it reads a plain one as if it were one of these"
        return None if mark is not None else f"{name} was trained on images {reads.words}{plain}"
    if mark is None:
        if pixels is not None and neighbours(pixels) < _ALIKE:
            return (
                f"{name} was trained on images {reads.words}; the image does not say how it is encrypted (files of "
                "older versions do not)"
            )
        raise Misfit(f"{name} was trained on images {reads.words}; this one is plain")
    if mark.cipher != reads.cipher or (None not in (mark.key, reads.key) and mark.key != reads.key):
        raise Misfit(f"{name} was trained on images {reads.words}; this one is {mark.words}")
    if None in (mark.key, reads.key):
        return f"{name} was trained on images {reads.words}; under which key is not known (an older version trained it)"
    return None


def _family(mark: Mark) -> str:
    """What a cipher is called whatever its keys are used for: ``pixel`` of ``pixel-same`` and ``pixel-different``."""
    return mark.cipher.split("-")[0]


def neighbours(pixels: Tensor) -> float:
    """The correlation of horizontal neighbours in an image, uint8 (C, H, W); 1 where all pixels are alike."""
    values = pixels.double()
    if values.shape[2] < 2:
        return 1.0
    left, right = (part - part.mean() for part in (values[:, :, :-1], values[:, :, 1:]))
    scale = float((left.square().mean() * right.square().mean()).sqrt())
    return float((left * right).mean()) / scale if scale > 0 else 1.0
