"""`veil audit` of a client's features: what is shown while it runs, and what is printed; the audit itself is
`veil.audits.features.audit_client`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from veil.audits.levels import people_of
from veil.cli import audit_pictures
from veil.cli.options import ALL, attacks_of
from veil.cli.terminal import LEVEL_COLOURS, TrainingProgress, errors, output
from veil.runtime.files import printable
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from veil.audits.features import FeatureAuditResult
    from veil.audits.features.verdicts import FeatureVerdict
    from veil.jobs.rows import Row
    from veil.protections.features.file import Client


def audit(
    client: Client, *, out: Path, data: str | None, scale: Scale, service: Path | None, embedder: Path | None,
    pictures: Path | None, drawn: int, seed: int, device: str, as_json: bool, attacks: str = ALL, control: bool = True,
) -> None:  # fmt: skip
    """Attack what a client sends.

    Args:
        attacks: ``all``, or names of attackers and ``module:object`` with commas between.
        control: whether attackers that report nothing are given plain features, too.
        pictures: folder for the first ``drawn`` judged faces and for what the strongest reconstructor draws of them.
    """
    from veil.audits.features.api import Progress, audit_client

    if data is None and scale != "smoke":
        raise typer.BadParameter("give --data, or --scale smoke, which draws its own faces")
    if pictures is not None:
        audit_pictures.check(pictures, out)
    with TrainingProgress(shown=True) as progress:
        result = audit_client(
            client, data, scale=scale, out=out, seed=seed, device=device, service=service, embedder=embedder,
            attacks=attacks_of(attacks), control=control, reconstructed=0 if pictures is None else drawn,
            progress=Progress(say=progress.say, stepped=progress.stepped, warn=_warn),
        )  # fmt: skip
    if pictures is not None and result.reconstructed is not None:
        audit_pictures.write(*result.reconstructed, pictures)
    _print(result, pictures, as_json)


def _warn(line: str) -> None:
    errors.print(f"[yellow]{escape(line)}[/]", soft_wrap=True)


def _print(result: FeatureAuditResult, pictures: Path | None, as_json: bool) -> None:
    report = printable(result.report or "")
    if as_json:
        plain = {
            "scale": result.scale, "verdicts": [_plain(one) for one in result.verdicts], "gaps": result.gaps,
            "faces": result.about["faces"], "report": report,
            "reconstructions": None if pictures is None else printable(pictures),
        }  # fmt: skip
        output.print_json(json.dumps(plain))
        return
    for one in result.verdicts:
        words = f"[{LEVEL_COLOURS[one.level]}]{escape(one.words)}[/]"
        output.print(f"{escape(one.about)}: {words} ({escape(one.over)})", soft_wrap=True)
        output.print(f"  {escape(one.text)}", soft_wrap=True)
        if one.alarm:
            output.print(f"  [red]{escape(one.alarm)}[/]", soft_wrap=True)
        for gap in result.gaps:
            if gap["attribute"] == one.about:
                output.print(f"  {_gap(gap, one, result)}", soft_wrap=True)
    output.print(f"report: {escape(report)}", soft_wrap=True)
    if pictures is not None:
        output.print(f"next: {escape(audit_pictures.command(pictures))}", soft_wrap=True)


def _plain(one: FeatureVerdict) -> dict[str, Any]:
    """A verdict as JSON."""
    return {
        "about": one.about, "level": one.level, "verdict": one.words, "text": one.text,
        "attack": one.strongest.get("attack"), "attacks": one.attacks, "faces": one.count, "people": one.people,
        "scale": one.scale, "alarm": one.alarm or None,
    }  # fmt: skip


def _gap(gap: Row, one: FeatureVerdict, result: FeatureAuditResult) -> str:
    """What the training said of itself, beside what it did not know."""
    return (
        f"the training's own adversary read {_percent(gap['training'])} ({result.about['faces']['validation']:,} "
        f"validation faces), the strongest retrained attacker {_percent(gap['retrained'])} "
        f"({people_of(one.count, one.people)}): a gap of {100 * gap['gap']:+.1f} points"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
