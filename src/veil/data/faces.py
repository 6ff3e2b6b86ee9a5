"""Face data sets with yes-or-no attributes in memory: CelebA, or any folder with a table of attributes.

Source: CelebA, Liu et al. 2015 (Deep learning face attributes in the wild), as Li et al. 2019, section 4.1, use it:
some attributes are the service's target, others are private. `veil.data.layouts` has the layouts that are read.

Deviation: Li et al. split images at random, 160,000 to 40,000. A person may be in both parts, so an attacker may
recognise people instead of reading features. The splits here never put one person into two parts, if identities are
known.
"""

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from veil import images as pictures
from veil.data import previews
from veil.data.decoding import decode_photos, open_photo
from veil.data.face_lists import FaceList, Split
from veil.data.layouts import FacesLayout, expected, of_kind, typed
from veil.runtime.seeds import seed_of

PARTS = ("train", "validation", "test")
PAPER_SHARES = (0.72, 0.08, 0.2)
"""The paper's 160,000 to 40,000 images, with a tenth of the training part for validation."""
OWN_SHARES = (0.7, 0.1, 0.2)
"""For a list without a partition of its own."""
ATTACKERS_SHARE = 0.5
"""Of the test part, for attackers, where the client that is audited was trained with the same set."""
_PHOTOS = 4
"""Of a person, where faces are cut down."""
_ASKED = 9
"""Photos whose shape is asked for."""


@dataclass(frozen=True)
class Faces:
    """Face images with their attributes.

    Attributes:
        images: uint8 (N, 3, H, W).
        attributes: bool (N, A).
        names: of the A attributes, as CelebA's: ``Smiling``, ``Male``.
        identities: int64 (N,), the person on each image; None if unknown.
    """

    images: Tensor
    attributes: Tensor
    names: tuple[str, ...]
    identities: Tensor | None

    def __post_init__(self) -> None:
        count = len(self.images)
        if self.attributes.dtype != torch.bool or self.attributes.shape != (count, len(self.names)):
            raise ValueError(
                f"attributes of {count} images and {len(self.names)} names must be bool ({count}, {len(self.names)}), "
                f"not {self.attributes.dtype} {tuple(self.attributes.shape)}"
            )
        if self.identities is not None and self.identities.shape != (count,):
            raise ValueError(f"{count} images with identities of shape {tuple(self.identities.shape)}")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Faces({self._described()})"

    def _repr_html_(self) -> str:
        """The view in notebooks: the first faces with their attributes, and how many there are."""
        return previews.figure(self._described(), self._strip())

    def _described(self) -> str:
        people = "" if self.identities is None else f", {len(set(self.identities.tolist())):,} people"
        return f"{len(self):,} of {'×'.join(map(str, self.images.shape[1:]))}{people}, {len(self.names)} attributes"

    def _strip(self) -> str:
        shown = self.attributes[: previews.SHOWN].tolist()
        return previews.strip(
            self.images, [", ".join(name for name, true in zip(self.names, row, strict=True) if true) for row in shown]
        )

    def labels(self, names: Sequence[str]) -> Tensor:
        """The named attributes, in that order: bool (N, len(names)).

        Raises:
            ValueError: for an unknown attribute; the message names similar ones.
        """
        for name in names:
            if name not in self.names:
                lower = {known.casefold(): known for known in self.names}
                near = [lower[match] for match in difflib.get_close_matches(name.casefold(), lower)]
                raise ValueError(f"no attribute '{name}': {'did you mean' if near else 'there are'} "
                                 f"{', '.join(near or self.names)}{'?' if near else ''}")  # fmt: skip
        return self.attributes[:, [self.names.index(name) for name in names]]

    def take(self, index: Tensor) -> "Faces":
        """The faces at ``index``: int64 places, or bool (N,)."""
        identities = None if self.identities is None else self.identities[index]
        return Faces(self.images[index], self.attributes[index], self.names, identities)


@dataclass(frozen=True)
class FaceParts:
    """A set of faces in three parts with one set of attribute names.

    Attributes:
        name: of the set.
        split, seed, most: the arguments of `read` that gave these parts; ``most`` is None where it left nothing out.
        aspect: width by height of the training's photos before they were resized, the median of some; None where that
            is not known.
    """

    name: str
    train: Faces
    validation: Faces
    test: Faces
    _: KW_ONLY
    split: Split = "official"
    seed: int = 0
    most: int | None = None
    aspect: float | None = None

    def __repr__(self) -> str:
        return f"FaceParts({self._described()})"

    def _repr_html_(self) -> str:
        """The view in notebooks: the first faces of each part, and how many there are."""
        parts = (self.train, self.validation, self.test)
        return previews.figure(self._described(), *(part._strip() for part in parts))

    def _described(self) -> str:
        counts = (f"{len(part):,} for {name}" for part, name in
                  ((self.train, "training"), (self.validation, "validation"), (self.test, "test")))  # fmt: skip
        shape = "×".join(map(str, self.train.images.shape[1:]))
        return f"{self.name!r}: {', '.join(counts)}, of {shape}, {len(self.train.names)} attributes"

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that identify this data: the start of the SHA-256 of its content, in order.

        The same for the same pixels, attributes and identities from any folder and layout.
        """
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update("\n".join(part.names).encode())
            for values in (part.images, part.attributes, part.identities):
                if values is None:
                    continue
                digest.update(f"{values.dtype} {tuple(values.shape)} ".encode())
                digest.update(values.cpu().contiguous().view(-1).numpy().data)
        return digest.hexdigest()[:16]


def listed(folder: Path) -> FaceList:
    """The list of faces in ``folder``; does not open any photo.

    Raises:
        FileNotFoundError: where there is no such folder, or a file of the layout or a listed photo is missing.
        ValueError: where ``folder`` has none of the layouts, or its list is wrong: columns that do not fit, a value
            that is no attribute, a photo that is listed twice.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    layout = next((row for row in of_kind(FacesLayout) if row.matches(folder)), None)
    if layout is None:
        raise ValueError(f"{folder}: not a set of faces: expected {expected(FacesLayout)}")
    return layout.read(folder)


def read(
    folder: Path | str, side: int | tuple[int, int] | None = None, *, split: Split = "official", seed: int = 0,
    most: int | None = None,
) -> FaceParts:  # fmt: skip
    """The face data set in ``folder``, decoded and resized (bicubic, not cropped).

    It needs memory for the result, 2.5 GB for all of CelebA at 64 × 64, and for four photos.

    Args:
        folder: or, as a person types it, ``LAYOUT:FOLDER`` or ``module:object:FOLDER`` (`veil.data.layouts.typed`).
        side: of the square to resize to, or (height, width), in pixels. With None images keep their size, which must be
            the same for all.
        split: ``"official"`` is the partition that comes with the set; where it has none, 70 % of the images are for
            training, 10 % validation, 20 % test. ``"paper"`` leaves a partition aside: 80 % and 20 % of the images, as
            Li et al. 2019 have 160,000 and 40,000, and a tenth of the 80 for validation. Both split by identity if
            identities are known, otherwise by image (the paper always splits by image). Shares are as exact as whole
            people allow.
        seed: of a random split.
        most: so many images are read of all three parts at most, in the shares 70, 10, 20 %: a few of each
            person, the same ones for the same seed. None reads all.

    Raises:
        FileNotFoundError: where there is no such folder, or a file of the layout or a listed photo is missing.
        OtherSize: if images differ in size and ``side`` is None.
        ValueError: for a folder or list as in `listed`; if a photo cannot be read, or a part has no images.
    """
    size = _size(side)
    if split not in get_args(Split):
        raise ValueError(f"the split is {' or '.join(get_args(Split))}, not {split}")
    named = typed(str(folder), FacesLayout)
    known = listed(Path(folder)) if named is None else named[0].read(named[1])
    if size is None:
        height, width, _ = open_photo(known.files[0]).shape
        size = height, width
    part_of = _partition(known, split, seed)
    most = None if most is None or len(known.files) <= most else most
    if most is not None:
        part_of = _fewer(known, part_of, most, seed)
    parts = []
    for number, part in enumerate(PARTS):
        places = (part_of == number).nonzero().flatten()
        if not len(places):
            raise ValueError(f"{folder}: no images for {part}")
        decoded = decode_photos([known.files[place] for place in places.tolist()], size, resizes=side is not None)
        identities = None if known.identities is None else known.identities[places]
        parts.append(Faces(decoded, known.attributes[places], known.names, identities))
    first_places = (part_of == 0).nonzero().flatten()
    aspect = _aspect([known.files[place] for place in first_places[:: max(1, len(first_places) // _ASKED)].tolist()])
    return FaceParts(known.name, *parts, split=split, seed=seed, most=most, aspect=aspect)


def _aspect(files: Sequence[Path]) -> float:
    """The median of width by height."""
    shapes = [open_photo(file).shape for file in files[:_ASKED]]
    return float(np.median([width / height for height, width, _ in shapes]))


def _fewer(known: FaceList, part_of: Tensor, most: int, seed: int) -> Tensor:
    """Parts of images with -1 for those that are left out.

    People are taken in the order of their hashes, each with a few photos (`_PHOTOS`), so that many people remain; then
    in the same order with their further ones.
    """
    names = known.files if known.identities is None else known.identities.tolist()
    people = [name.name if isinstance(name, Path) else str(name) for name in names]
    hashed = _hash(("fewer faces", seed))
    ranks = {person: hashed(person) for person in set(people)}
    taken: Counter[str] = Counter()
    order = []
    for place, person in enumerate(people):
        order.append((taken[person] // _PHOTOS, ranks[person], place))
        taken[person] += 1
    wanted = [share * most for share in OWN_SHARES]
    chosen = torch.full_like(part_of, -1)
    for _, _, place in sorted(order):
        part = int(part_of[place])
        if wanted[part] > 0:
            chosen[place] = part
            wanted[part] -= 1
    return chosen


def require_both_values(parts: Mapping[str, Faces], names: Sequence[str]) -> None:
    """Refuses attributes of which nothing can be said.

    Args:
        parts: by what the faces are for, as the end of a sentence.

    Raises:
        ValueError: where all faces of a part have an attribute, or none has; and for one that is not known.
    """
    for description, faces in parts.items():
        for name, column in zip(names, faces.labels(names).T, strict=True):
            if bool((column == column[0]).all()):
                raise ValueError(
                    f"{name} is {'true' if column[0] else 'false'} of all {len(column):,} faces that are "
                    f"{description}: nothing can be said of it"
                )


def require_auditable(parts: FaceParts, hides: Sequence[str], seed: int = 0) -> None:
    """Refuses parts that an audit of a client which was trained with them would refuse.

    Such an audit gives one half of the people of the test part to the attackers, and judges the other.

    Raises:
        ValueError: says why.
    """
    try:
        judged, own = for_attackers(parts.test, ATTACKERS_SHARE, seed)
        divided = {"the attackers' own": own, "for validation": parts.validation, "judged": judged}
        require_both_values(divided, hides)
    except ValueError as error:
        raise ValueError(f"an audit of this client would be refused: {error}; take another --split or --seed, or more "
                         "faces") from None  # fmt: skip


def for_attackers(faces: Faces, share: float, seed: int) -> tuple[Faces, Faces]:
    """Splits ``faces`` into the service's and the attackers' part without common people; both keep the order.

    People are ordered by a hash of the seed and the identity, and the last ones go to the attackers, so a larger share
    includes a smaller one. If identities are unknown, equal images count as one person.

    Args:
        share: of the images for the attackers, between 0 and 1; as exact as whole people allow.

    Raises:
        ValueError: for any other share, and if one of the parts would be empty.
    """
    if not 0 < share < 1:
        raise ValueError(f"the attackers' share must lie between 0 and 1, not {share}")
    if faces.identities is not None:
        people = list(map(str, faces.identities.tolist()))
    else:
        people = [pictures.content_digest(image).hex() for image in faces.images]
    attackers = _split(people, (1 - share, share), ("for attackers", seed)) == 1
    if attackers.all() or not attackers.any():
        raise ValueError(f"{share:g} of {len(faces)} faces of {len(set(people))} people leaves one side without any")
    return faces.take(~attackers), faces.take(attackers)


def _partition(known: FaceList, split: Split, seed: int) -> Tensor:
    if split == "official" and known.partition is not None:
        return known.partition
    shares = PAPER_SHARES if split == "paper" else OWN_SHARES
    if known.identities is not None:
        people = list(map(str, known.identities.tolist()))
    else:
        people = [file.name for file in known.files]
    return _split(people, shares, ("faces", split, seed))


def _split(people: Sequence[str], shares: Sequence[float], why: tuple[object, ...]) -> Tensor:
    """Part numbers (N,) of images; all images of a person are in the same part.

    People are in the order of their hashes; the middle of a person's images decides the part.
    """
    counts: dict[str, int] = {}
    for person in people:
        counts[person] = counts.get(person, 0) + 1
    bounds = np.cumsum(shares)[:-1] * len(people)
    part: dict[str, int] = {}
    before = 0
    for person in sorted(counts, key=_hash(why)):
        part[person] = int(np.searchsorted(bounds, before + counts[person] / 2, side="right"))
        before += counts[person]
    return torch.tensor([part[person] for person in people])


def _hash(why: tuple[object, ...]) -> Callable[[str], int]:
    return lambda person: seed_of(*why, person)


def _size(side: int | tuple[int, int] | None) -> tuple[int, int] | None:
    size = (side, side) if isinstance(side, int) else side
    if size is not None and min(size) < 1:
        raise ValueError(f"images need at least one pixel a side, not {size[0]} × {size[1]}")
    return size
