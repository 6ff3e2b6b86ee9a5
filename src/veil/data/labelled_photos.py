"""Photo files with their true classes, and the indices of these classes in a classifier."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

IMAGENET_CLASSES = 1000
WORDNET_ID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class PhotoSet:
    """Photo files with their true classes.

    Attributes:
        name: ``nips17``, ``ilsvrc2012-val``, or the folder's name.
        files: in a stable order.
        labels: one per file, an index into the set's classes.
        class_ids: WordNet ids in the order of the labels, where the layout gives them.
        class_names: in the order of the labels, where there is a ``words.txt``.
        imagenet: whether labels are the indices 0 to 999 of ImageNet-1k, in the order of the WordNet ids.
    """

    name: str
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    class_ids: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    imagenet: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return f"PhotoSet({self.name!r}: {len(self):,} photos of {len(set(self.labels)):,} classes)"

    def take(self, count: int) -> "PhotoSet":
        """At most ``count`` photos, evenly spread over the set and in its order; always the same ones.

        Raises:
            ValueError: where ``count`` is less than 1.
        """
        if count < 1:
            raise ValueError(f"take at least one photo, not {count}")
        if count >= len(self):
            return self
        chosen = [index * len(self) // count for index in range(count)]
        return replace(self, files=tuple(self.files[i] for i in chosen), labels=tuple(self.labels[i] for i in chosen))


def truths_for(
    photo_set: PhotoSet, classes: Sequence[str], imagenet_ids: Sequence[str] | None = None
) -> tuple[int | None, ...]:
    """The index of each file's true class in a classifier; None if the classifier does not have the class.

    Classes match by name if all names are the same, by WordNet ids if both sides have them, or by index if the set has
    ImageNet-1k's indices: every classifier of 1000 classes is assumed to have these indices, too.

    Args:
        classes: the classifier's class names, in the order of its logits.
        imagenet_ids: their WordNet ids, if known; used only if every class has one.
    """
    if photo_set.class_names == tuple(classes):
        return photo_set.labels
    if photo_set.class_ids is not None and imagenet_ids is not None and len(imagenet_ids) == len(classes):
        place = {wordnet_id: index for index, wordnet_id in enumerate(imagenet_ids)}
        return tuple(place.get(photo_set.class_ids[label]) for label in photo_set.labels)
    if photo_set.imagenet and len(classes) == IMAGENET_CLASSES:
        return photo_set.labels
    return (None,) * len(photo_set)
