"""An audit of features that is under way: what is audited, on which faces, what was sent of these, and the rows.

Attackers know the client (it is on every phone), have faces of their own with their attributes, and what is sent of
these. They are trained from nothing, keep the epoch that did best on a part of their own, and are judged on faces of
people that neither they nor the service have seen (`veil.audits.protocol`). A row is a measurement; `kind` says which:

- ``service``: how well the service's own classifier tells a target attribute;
- ``sent``: how many values, and how many different features of the judged faces;
- ``floor``, ``answer-floor``: what is known of a private attribute without any features, from the true target
  attributes, or from the service's answers as sent (`veil.audits.features.floors`);
- ``attacker``: the settings of one attacker, on which its rows depend;
- ``attribute``: an attacker's answer about a private attribute;
- ``picture-floor`` and ``reconstruction``: pictures that need no features, and what attackers draw from them;
- ``shown``: pictures of some reconstructions, of the first judged faces or of others that are given;
- ``identity``: whether people are found again by their features alone, as they are or by a matcher that was learnt;
- ``control``: what an attacker who reports nothing does with plain features (`veil.audits.features.controls`).

An attacker who has the client can also send mirrored photos, so attackers learn from both. The service's own answers
count as they are: yes from 0 on. Each attacker's threshold is chosen on its validation part, once for balanced and once
for plain accuracy. Intervals are over people where these are known.

The adversaries of the client's training can be given, too. Their rows have ``attack`` ``in-loop``; they show what the
training reports about itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veil.audits.protocol import AuditFaces, mirrored
from veil.jobs.rows import Row, RowFile, RowsError, pack
from veil.models.features import is_vector
from veil.runtime.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from veil.attacks.features import FeatureAttacker
    from veil.audits.features.settings import FeatureAuditSettings
    from veil.audits.features.subject import FeatureSubject
    from veil.data.faces import Faces
    from veil.metrics.attributes import Guess
    from veil.training.run import Run

Embed = Callable[["Tensor"], "Tensor"]
SHOWN = 8
PART = 250
"""Images, or features, that are worked on at a time."""
LEARNT = ("most", "own")
"""What attackers learn from."""
_IN_MEMORY = 1 << 34
"""Bytes of features; more of them lie in a file."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RunningAudit:
    """An audit that is under way.

    Attributes:
        faces: who has which, and who is judged.
        rows: where rows go.
        run: folder for checkpoints of attacks that are trained, seed, device, and what their trainings report to.
        embed: a face recogniser: uint8 images (N, 3, H, W) to embeddings (N, D); None leaves re-identification out.
        mark: fields of this audit's rows that tell them from others among ``rows``.
        recorded: settings of attackers by name, on which rows depend that an older version measured.
        shown_instead: faces of the size of the judged ones, uint8 (N, 3, H, W), that reports show instead of the first
            of these; none are shown where N is 0.
        say: called with a line before an attack.
        guessed: what floors say of private attributes, see `veil.audits.features.floors`; filled in as they are asked.
    """

    subject: FeatureSubject
    faces: AuditFaces
    settings: FeatureAuditSettings
    rows: RowFile
    run: Run
    embed: Embed | None = None
    mark: Mapping[str, Any] = field(default_factory=dict)
    recorded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shown_instead: Tensor | None = None
    say: Callable[[str], None] = lambda line: None
    guessed: dict[str, dict[str, tuple[Guess, str]]] = field(default_factory=dict, init=False, repr=False)
    _sent: dict[str, Tensor] = field(default_factory=dict, init=False)
    _seen: dict[str, Faces] = field(default_factory=dict, init=False)

    def find(self, **fields: Any) -> list[Row]:
        """This audit's rows with such fields."""
        return self.rows.find(**self.mark, **fields)

    def there(self, **fields: Any) -> bool:
        return bool(self.find(**fields))

    def all_there(self, attributes: Sequence[str], **fields: Any) -> bool:
        """Whether there is such a row for each of some attributes: an audit may have been stopped between two."""
        return all(self.there(**fields, attribute=name) for name in attributes)

    def add(self, **fields: Any) -> None:
        self.rows.add({**self.mark, **fields})

    def record(self, row: FeatureAttacker) -> None:
        """Keeps the settings of an attacker, before its first row.

        Raises:
            RowsError: as `require_same_settings` does.
        """
        self.require_same_settings(row)
        if self._settings_before(row) is None:
            self.add(kind="attacker", attack=row.name, settings=self.settings.recorded(row))

    def require_same_settings(self, row: FeatureAttacker) -> None:
        """Refuses to add to rows of an attacker that were measured with other settings.

        Raises:
            RowsError: says which.
        """
        before, wanted = self._settings_before(row) or {}, self.settings.recorded(row)
        if other := sorted(name for name, value in before.items() if wanted.get(name) != value):
            raise RowsError(
                f"{self.rows.file} holds rows of {row.name} that were measured with other settings "
                f"({', '.join(other)}); choose another --out, or remove it to measure again"
            )

    def _settings_before(self, row: FeatureAttacker) -> Mapping[str, Any] | None:
        """Settings that the rows of an attacker were measured with; None where there are none of it."""
        kept: list[Mapping[str, Any]] = [line["settings"] for line in self.find(kind="attacker", attack=row.name)]
        if kept:
            return kept[0]
        return self.recorded.get(row.name, {}) if self.there(attack=row.name) else None

    def features(self, name: str) -> Tensor:
        """What is sent of a part of the faces: ``most``, ``own``, ``validation``, ``judged``."""
        if name not in self._sent:
            self._sent[name] = self._send(name, torch.split(self.faces_of(name).images, PART))
        return self._sent[name]

    def _send(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        room, done = torch.empty(0), 0
        for part in parts:
            sent = self.subject.send(part).cpu()
            if not sent.is_floating_point() or sent.ndim != 4 or len(sent) != len(part):
                raise ValueError(
                    f"{self.subject.name} sends {sent.dtype} {tuple(sent.shape)}: an audit needs floats (N, C, h, w)"
                )
            if not done:
                vector = is_vector(sent.shape[1:])
                shape = (sum(map(len, parts)), *sent.shape[1:])
                room = _room(shape, sent.dtype if vector else torch.half, self.run.folder / f"sent-{name}")
            room[done : done + len(part)] = sent
            done += len(part)
        return room

    def faces_of(self, name: str) -> Faces:
        """A part of the faces; those that attackers learn from are followed by their mirror images."""
        if name not in self._seen:
            part: Faces = getattr(self.faces, name)
            self._seen[name] = mirrored(part) if self.settings.mirrored and name in LEARNT else part
        return self._seen[name]

    def private(self, name: str) -> Tensor:
        """The private attributes of a part of the faces."""
        return self.faces_of(name).labels(self.subject.hides)

    def gallery(self) -> Tensor:
        """Embeddings of the judged faces, by the face recogniser."""
        assert self.embed is not None
        if "gallery" not in self._sent:
            self._sent["gallery"] = self.embed(self.faces.judged.images)
        return self._sent["gallery"]

    @property
    def shown(self) -> Tensor:
        """The faces that reports show."""
        return self.faces.judged.images[:SHOWN] if self.shown_instead is None else self.shown_instead

    @property
    def pictures(self) -> Tensor:
        """The images that reconstructions are judged on."""
        return self.faces.judged.images[: self.settings.judged]

    def show(self, draw: Callable[[], Tensor], **of_it: Any) -> None:
        """Keeps pictures of the faces that are shown, uint8, unless they are there or none are wanted."""
        if len(self.shown) and not self.there(kind="shown", **of_it):
            self.add(kind="shown", **of_it, pictures=pack(draw().permute(0, 2, 3, 1).contiguous().numpy()))

    def sent_of_shown(self) -> Tensor:
        """What is sent of them."""
        return self.subject.send(self.shown).cpu().float()

    def training(self, *folder: str, seed: int, **about: object) -> Run:
        """One training of an attacker on these features.

        Args:
            folder: below that of the audit.
            about: what its result depends on, beside the protection and the faces.
        """
        described = {
            "protection": f"{self.subject.name} {self.subject.described}", "data": self.faces.name,
            "mirrored": self.settings.mirrored,
        }  # fmt: skip
        return self.run.at(*folder, seed=seed, about=described | about)


def _room(shape: tuple[int, ...], dtype: torch.dtype, file: Path) -> Tensor:
    """Room for features: in memory, or on disk where they are many."""
    count = math.prod(shape)
    if count * dtype.itemsize <= _IN_MEMORY:
        return torch.empty(shape, dtype=dtype)
    file.parent.mkdir(parents=True, exist_ok=True)
    return torch.from_file(str(file), shared=True, size=count, dtype=dtype).view(shape)
