"""The protocol of an audit of features: which faces attackers have, which faces are judged, and what is refused.

Nobody is judged who was among the client's training faces or an attacker's. The client's card says which faces it was
trained with and how they were split. If the audit is given the same faces (`faces_for`), it splits them the same way.
Nobody has seen the people of the test part: half of them become the attackers' own, the other half are judged. If the
audit is given another set, which nobody has seen, attackers get its training part, and its test part is judged. A set
with the name of the client's own faces but other content is refused, because training faces might then be judged.

For experiments that train a service, `shared` gives it some people of the training part, and attackers the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veil.runtime.files import printable
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from veil.data.face_lists import Split
    from veil.data.faces import FaceParts, Faces
    from veil.protections.features.card import TrainedWith
    from veil.protections.features.file import Client

_PARTS = {"own": "the attackers' own", "validation": "for validation", "judged": "judged"}


class UnknownTrainingFaces(UserWarning):
    """A client does not say which faces it was trained with: the judged ones may be among them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditFaces:
    """Faces of an audit. The people who are judged are in no other part.

    Attributes:
        name: of the data.
        own: the attackers', to learn from.
        validation: the attackers', to choose epochs and thresholds by.
        judged: everybody is judged on.
        service: what the service was trained with, where an attacker may have these, too.

    Raises:
        ValueError: where somebody who is judged is in another part, as far as identities are known.
    """

    name: str
    own: Faces
    validation: Faces
    judged: Faces
    service: Faces | None = None

    def __post_init__(self) -> None:
        others = {"the attackers' own": self.own, "for validation": self.validation, "the service's": self.service}
        for whose, faces in others.items():
            if faces is None or faces.identities is None or self.judged.identities is None:
                continue
            if both := len(set(self.judged.identities.tolist()) & set(faces.identities.tolist())):
                raise ValueError(
                    f"{both} of the people who would be judged are among the faces that are {whose}: "
                    "an audit judges people whom nobody has learnt from"
                )

    @property
    def known(self) -> bool:
        """Whether the service was trained with faces of this set."""
        return self.service is not None

    @property
    def most(self) -> Faces:
        """All faces that an attacker can learn from."""
        return self.own if self.service is None else joined(self.service, self.own)

    def require_both_values(self, target: Sequence[str], hides: Sequence[str]) -> None:
        """Says what cannot be audited before anything is trained.

        Args:
            target, hides: names of attributes: those that the service asks for, and the private ones.

        Raises:
            ValueError: for attributes that are not known, and for hidden ones that all faces of a part have, or none.
        """
        from veil.data import faces

        self.judged.labels(target)
        faces.require_both_values({description: getattr(self, part) for part, description in _PARTS.items()}, hides)


def warn_unknown(message: str) -> None:
    warnings.warn(message, UnknownTrainingFaces, stacklevel=4)


def faces_for(
    client: Client, data: FaceParts | Path | str | None, *, seed: int = 0, warn: Callable[[str], None] = warn_unknown
) -> AuditFaces:
    """The faces of an audit of a client; see the head of this module.

    Args:
        data: a folder, as `veil.data.faces.read` takes it; faces that were read; or None, for which they are drawn.
            Give the folder where you can: only then are the client's own faces recognised under another name.
        seed: of the two halves of the test part, where the client was trained with these faces.
        warn: called with a line where the client does not say which faces it was trained with.

    Raises:
        ValueError: for a set that is called as the client's own faces and holds others; for faces of another size; and
            where too few people are in the test part for two halves.
    """
    parts, known = parts_for(client, data, warn=warn)
    name = f"{parts.name} {parts.fingerprint}"
    if not known:
        return AuditFaces(name=name, own=parts.train, validation=parts.validation, judged=parts.test)
    from veil.data import faces

    judged, own = faces.for_attackers(parts.test, faces.ATTACKERS_SHARE, seed)
    return AuditFaces(name=name, own=own, validation=parts.validation, judged=judged, service=parts.train)


def parts_for(
    client: Client, data: FaceParts | Path | str | None, *, warn: Callable[[str], None] = warn_unknown
) -> tuple[FaceParts, bool]:
    """The faces of an audit, and whether the client was trained with them; then its training part is theirs.

    Raises:
        ValueError: as `faces_for` does.
    """
    from veil.protections.features.card import trained_with

    trained = trained_with(client.training)
    for parts in _read(client, data, trained):
        if trained is not None and parts.fingerprint == trained.fingerprint:
            return parts, True
    if trained is None:
        warn(
            f"{printable(client.name)} does not say which faces it was trained with: the numbers hold if none of "
            f"{parts.name}'s test part are among them"
        )
    elif data is not None and parts.name == trained.name:
        given = f"{data} is a set" if isinstance(data, str | Path) else "this is a set"
        raise ValueError(
            f"{given} called {parts.name}, as the one that {printable(client.name)} was trained with, "
            f"but not the same ({parts.fingerprint}, not {printable(trained.fingerprint)}): faces that would "
            "be judged may have been trained with; give that very set, or faces of other people under another name"
        )
    return parts, False


def _read(client: Client, data: FaceParts | Path | str | None, trained: TrainedWith | None) -> Iterator[FaceParts]:
    """The faces, in the split of the training; then as anybody reads them."""
    from veil.data import faces
    from veil.protections.features.trainer import drawn_faces

    if data is None:
        yield drawn_faces(client.size[0], 0 if trained is None else trained.seed)
    elif isinstance(data, str | Path):
        ways: list[tuple[Split, int, int | None]] = (
            [] if trained is None else [(trained.split, trained.seed, trained.most)]
        )
        for split, seed, most in dict.fromkeys([*ways, ("official", 0, None)]):
            yield faces.read(Path(data), client.size, split=split, seed=seed, most=most)
    else:
        if tuple(data.train.images.shape[2:]) != client.size:
            raise ValueError(f"{client.name} takes faces of {client.size}, not {tuple(data.train.images.shape[2:])}")
        yield data


def shared(parts: FaceParts, share: float) -> AuditFaces:
    """Faces of an experiment: the service and the attackers divide the people of the training part.

    Args:
        share: of the training part's images for attackers, between 0 and 1.

    Raises:
        ValueError: where too few people are in the training part for that.
    """
    from veil.data import faces

    service, own = faces.for_attackers(parts.train, share, 0)
    name = f"{parts.name} {parts.fingerprint}"
    return AuditFaces(name=name, own=own, validation=parts.validation, judged=parts.test, service=service)


def joined(first: Faces, second: Faces) -> Faces:
    """Both, one after the other.

    Raises:
        ValueError: where they know other attributes, or only one of them identities.
    """
    from veil.data.faces import Faces

    if first.names != second.names or (first.identities is None) != (second.identities is None):
        raise ValueError("faces with other attributes cannot be joined")
    people = None
    if first.identities is not None and second.identities is not None:
        people = torch.cat([first.identities, second.identities])
    return Faces(
        torch.cat([first.images, second.images]), torch.cat([first.attributes, second.attributes]), first.names, people
    )


def mirrored(faces: Faces) -> Faces:
    """Faces, and behind them the same ones mirrored."""
    return joined(faces, replace(faces, images=faces.images.flip(3)))


def counts(faces: AuditFaces) -> Mapping[str, Any]:
    """How many faces are in each part, for what rows depend on."""
    parts = {name: len(getattr(faces, name)) for name in ("own", "validation", "judged")}
    return parts | {"service": 0 if faces.service is None else len(faces.service)}
