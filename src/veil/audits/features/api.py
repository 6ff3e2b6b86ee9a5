"""What ``veil audit CLIENT`` and `veil.audit` call: the whole audit of a client's file, from its faces to the page.

People whom the client was trained with are not judged: `veil.audits.protocol`. Rows and verdicts:
`veil.audits.features.running` and `veil.audits.features.verdicts`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veil.attacks.features import FEATURE_ATTACKERS, FeatureAttacker
from veil.audits import protocol
from veil.audits.features.result import FeatureAuditResult
from veil.audits.features.running import Embed, RunningAudit
from veil.audits.features.settings import SCALES, FeatureAuditSettings, goes_on, recorded_before, without_attackers
from veil.audits.features.subject import FeatureSubject, subject_of
from veil.audits.protocol import AuditFaces, faces_for
from veil.jobs.rows import RowFile
from veil.runtime.lazy import torch
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from veil.data.faces import FaceParts
    from veil.jobs.rows import Row
    from veil.protections.features.file import Client, Service

ROWS = "rows.jsonl"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What an audit reports to while it runs.

    Attributes:
        say: called with a line before an attack.
        stepped: called after each step of a training with how many of all steps are done.
        warn: called with a line where the client does not say which faces it was trained with.
    """

    say: Callable[[str], None] = lambda line: None
    stepped: Callable[[int, int], None] = lambda done, total: None
    warn: Callable[[str], None] = protocol.warn_unknown


SILENT = Progress()


def audit_client(
    client: Client | Path | str,
    data: FaceParts | Path | str | None = None,
    *,
    scale: Scale = "cpu",
    out: Path | str | None = None,
    seed: int = 0,
    device: str = "auto",
    attacks: Sequence[str | FeatureAttacker] | None = None,
    service: Service | Path | str | None = None,
    embedder: Path | str | None = None,
    reconstructed: int = 0,
    control: bool = True,
    progress: Progress = SILENT,
) -> FeatureAuditResult:
    """Attacks what a client sends, in every way that Veil knows, and says what the strongest attacker gets.

    Attackers are trained from nothing, on faces of their own. They are judged on other people, whom neither they nor
    the client have seen.

    Args:
        client: a client, or its file.
        data: faces with attributes: a folder, as ``veil obfuscate train`` takes it, or faces that were read. None draws
            faces, which ``smoke`` alone allows: numbers of these mean nothing.
        scale: ``smoke`` takes seconds, ``cpu`` hours on two cores, ``paper`` a GPU.
        out: folder for rows, the report, and checkpoints; a later call goes on from what is there. With None all of it
            is gone in the end but what is returned.
        seed: of attackers, and of who is judged.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        attacks: names of `veil.attacks.features.FEATURE_ATTACKERS`, ``module:object``, or rows; None for all of the
            scale.
        service: the client's service, or its file, to say what it reads.
        embedder: an ONNX file of a face recogniser, to say who is found again in pictures.
        reconstructed: of how many judged faces the result holds what the strongest reconstructor draws.
        control: whether attackers that report nothing are given plain features, too
            (`veil.audits.features.controls`); without, no verdict says that nothing was found.
        progress: what is reported to.

    Raises:
        ValueError: for faces that nothing can be said of, for a service of another client, and where ``data`` is
            missing or is called as the client's own faces and holds others.
        ObfuscatorError: where a file is no client's or service's.
        UnknownName: for an attack that there is not.
        RowsError: where ``out`` holds rows of another audit.
        FolderError: where ``out`` is in use.
    """
    from veil import training
    from veil.training.run import Run

    if data is None and scale != "smoke":
        raise ValueError("an audit needs faces: give data, or the scale smoke, which draws its own")
    client, service = _loaded(client, service)
    settings, embed = _settings(scale, attacks), _embed(embedder)
    progress.say("reading faces")
    faces = faces_for(client, data, seed=seed, warn=progress.warn)
    faces.require_both_values(client.target, client.hides)
    runner = training.fabric(device, "auto")
    subject = subject_of(client, service, runner.device)
    wanted = about(subject, faces, settings, seed) | _of_client(client, faces, embedder)
    with _folder(out) as folder, _rows(folder, wanted) as rows:
        audit = RunningAudit(
            subject=subject, faces=faces, settings=settings, rows=rows, embed=embed, say=progress.say,
            recorded=recorded_before(rows.about["settings"]),
            run=Run(folder=folder / "attackers", seed=seed, runner=runner, stepped=progress.stepped,
                    logged=lambda row: None),
        )  # fmt: skip
        return _measured(audit, reconstructed, None if out is None else folder, control=control)


def about(subject: FeatureSubject, faces: AuditFaces, settings: FeatureAuditSettings, seed: int) -> dict[str, Any]:
    """What all rows of an audit depend on."""
    return {
        "protection": subject.name, "described": subject.described, "target": list(subject.target),
        "hides": list(subject.hides), "data": faces.name, "faces": dict(protocol.counts(faces)),
        "size": list(faces.judged.images.shape[2:]), "settings": settings.common(), "seed": seed,
    }  # fmt: skip


def _of_client(client: Client, faces: AuditFaces, embedder: Path | str | None) -> dict[str, Any]:
    """What they depend on where a client's file is audited, and what its card says of its training."""
    from veil.protections.features.card import adversary_accuracies

    read = adversary_accuracies(client.training)
    return {
        "embedder": Path(embedder).name if embedder else None, "known": faces.known,
        "adversary": {name: read[name] for name in client.hides if name in read},
    }  # fmt: skip


def _loaded(client: Client | Path | str, service: Service | Path | str | None) -> tuple[Client, Service | None]:
    from veil.protections.features.file import Client, Service

    client = client if isinstance(client, Client) else Client.load(Path(client))
    reader = service if service is None or isinstance(service, Service) else Service.load(Path(service))
    if reader is not None and reader.client != client.fingerprint:
        named = reader.name if service is reader else service
        raise ValueError(f"{named} is not the service of {client.name}: it reads another client's features")
    return client, reader


def _settings(scale: Scale, attacks: Sequence[str | FeatureAttacker] | None) -> FeatureAuditSettings:
    if attacks is None:
        return SCALES[scale]
    rows = (FEATURE_ATTACKERS.resolve(one) if isinstance(one, str) else one for one in attacks)
    return replace(SCALES[scale], attackers=tuple(rows))


def _embed(embedder: Path | str | None) -> Embed | None:
    if embedder is None:
        return None
    from veil.models.face_embedder import FaceEmbedder

    return FaceEmbedder(Path(embedder))


@contextmanager
def _folder(out: Path | str | None) -> Iterator[Path]:
    """The folder of an audit, for this process alone; one that is gone in the end where none is given."""
    from veil.jobs import folders

    if out is None:
        with tempfile.TemporaryDirectory(prefix="veil-audit-") as folder:
            yield Path(folder)
    else:
        with folders.locked(Path(out)):
            yield Path(out)


def _rows(folder: Path, wanted: Mapping[str, Any]) -> RowFile:
    def today(before: dict[str, Any]) -> dict[str, Any]:
        return before | {"settings": without_attackers(before.get("settings", {}))}

    return RowFile(folder / ROWS, goes_on(folder / ROWS, wanted, today))


def _measured(
    audit: RunningAudit, reconstructed: int, folder: Path | None, *, control: bool
) -> FeatureAuditResult:  # fmt: skip
    """Measures, and writes the page where there is a folder."""
    from veil.audits.features import controls, picture_rows
    from veil.audits.features.audit import measure
    from veil.audits.features.page import page
    from veil.audits.features.readings import gaps
    from veil.audits.features.verdicts import verdicts
    from veil.report.page import write_html

    rows, recorded = measure(audit), audit.rows.about
    if control:
        rows = controls.measure(audit)
    audit.rows.finish((audit.run.seed,))
    drawn = None
    if reconstructed:
        some = audit.faces.judged.take(torch.arange(min(reconstructed, len(audit.faces.judged))))
        drawn = some, picture_rows.drawn_again(audit, some.images)
    report = None if folder is None else write_html(page(rows, recorded, _source(rows, recorded)), folder)
    unknown = gaps(rows, recorded["adversary"])
    return FeatureAuditResult(
        audit.subject.name,
        verdicts(rows, audit.subject.hides, audit.settings.scale),
        unknown,
        rows,
        recorded,
        report,
        drawn,
    )


def _source(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    from veil.report.numbers import duration

    seconds, data = sum(row["seconds"] for row in rows), about["data"]
    if about["known"]:
        data += " (which the client was trained with; of its test part, half of the people are the attackers’)"
    return f"{data} · seed {about['seed']} · {len(rows)} rows in {duration(seconds)} · `veil audit`"
