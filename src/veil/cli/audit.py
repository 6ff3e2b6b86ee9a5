"""`veil audit`: what attackers recover from protected images."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from veil import training
from veil.attacks.images import ATTACKS
from veil.audits.images import audit as audited
from veil.audits.images import page as pages
from veil.audits.images.subjects import subject
from veil.audits.images.verdicts import Verdict, verdicts
from veil.cli import audit_features
from veil.cli import key as keys
from veil.cli.terminal import TrainingProgress, errors, output
from veil.data import small_images, synthetic
from veil.jobs import folders
from veil.jobs.rows import Row, RowFile
from veil.models import catalog
from veil.report import page as report
from veil.report.numbers import duration
from veil.runtime.files import printable
from veil.runtime.scales import Scale

ROWS, ALL = "rows.jsonl", "all"
_COLOURS = {"exact": "red", "broken": "red", "leaks": "yellow", "nothing": "green", "untried": "dim"}


def audit(
    protection: Annotated[
        str,
        typer.Argument(
            help="tanaka, pixel-same, pixel-different, transformation-cifar10, a transformation file, the client's "
            "file of an obfuscator, package.module:callable on uint8 images (N, 3, H, W), or plain."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help=f"Folder for {ROWS}, report.html and checkpoints.")],
    data: Annotated[
        str | None, typer.Option(help="Folder of a data set, as for `veil train`, or hub:NAME.", show_default=False)
    ] = None,
    attacks: Annotated[
        str, typer.Option(help=f"all, or some of {', '.join(ATTACKS)}, with commas between.")
    ] = ALL,
    scale: Annotated[
        Scale, typer.Option(help="smoke: seconds, on made images; cpu: an hour on two cores; paper: a GPU.")
    ] = "cpu",
    side: Annotated[
        int | None, typer.Option(min=1, help="Resize images to this. [default: as they are]", show_default=False)
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="Reads what came back: a model of these classes, see `veil models`. [default: none]",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Key file of the cipher. [default: one that is drawn]", show_default=False)
    ] = None,
    service: Annotated[
        Path | None, typer.Option(help="Of a client: its service's file, to say what it reads.", show_default=False)
    ] = None,
    embedder: Annotated[
        Path | None,
        typer.Option(help="Of a client: a face recogniser, ONNX, to say who is found again.", show_default=False),
    ] = None,
    save_reconstructions: Annotated[
        Path | None,
        typer.Option(
            help="Of a client: new folder for faces and what the strongest reconstructor draws of them, as "
            "`veil study new` takes them.",
            show_default=False,
        ),
    ] = None,
    reconstructions: Annotated[
        int, typer.Option(min=1, help="With --save-reconstructions: of how many faces, the first of those judged.")
    ] = 100,
    seed: Annotated[int, typer.Option(help="Of images, keys and attackers.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
) -> None:  # fmt: skip
    """Attack a protection in every way that Veil knows, and say what each kind of attacker gets.

    Attackers are trained from nothing, on images of their own, and judged on others. Rows are appended as they are
    measured; the same command goes on where it was stopped.
    """
    client = audit_features.client_of(protection)
    if client is not None:
        _refuse("images", attacks=attacks != ALL, side=side is not None, classifier=classifier is not None,
                key=key is not None)  # fmt: skip
        audit_features.audit(
            client, out=out, data=data, scale=scale, service=service, embedder=embedder, pictures=save_reconstructions,
            drawn=reconstructions, seed=seed, device=device, as_json=as_json,
        )  # fmt: skip
        return
    _refuse("clients", service=service is not None, embedder=embedder is not None,
            save_reconstructions=save_reconstructions is not None)  # fmt: skip
    chosen = _chosen(attacks)
    if data is None and scale != "smoke":
        raise typer.BadParameter("give --data, or --scale smoke, which makes its own")
    try:
        audited_one = subject(protection, keys.load(key) if key is not None else None, seed=seed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with errors.status("reading images"):
        parts = small_images.load(data, side) if data is not None else synthetic.small_images(train=60, test=30)
        reader = catalog.load(classifier) if classifier is not None else None
    if parts.cipher is not None:
        raise typer.BadParameter(f"the images of {data} are protected already ({parts.cipher}); audits need plain ones")
    if reader is not None and len(reader.classes) != len(parts.test.classes):
        raise typer.BadParameter(
            f"{classifier} knows {len(reader.classes)} classes, {parts.name} has {len(parts.test.classes)}"
        )
    runner = training.fabric(device, "auto")
    about = audited.about(audited_one, parts, scale, reader, seed)
    with folders.locked(out), RowFile(out / ROWS, about) as rows, TrainingProgress(shown=True) as progress:
        found = audited.audit(
            audited_one, parts, rows, scale=scale, attacks=chosen, classifier=reader, folder=out / "attackers",
            seed=seed, runner=runner, say=progress.say, stepped=progress.stepped, logged=lambda row: None,
        )  # fmt: skip
        rows.finish((seed,))
    written = report.write_html(pages.page(found, about, _source(found, about)), out)
    _print(verdicts(found), written, as_json)


def _refuse(belongs_to: str, **given: bool) -> None:
    """Options that say nothing here.

    Raises:
        BadParameter: where one was given.
    """
    for name, there in given.items():
        if there:
            raise typer.BadParameter(f"--{name.replace('_', '-')} belongs to audits of {belongs_to}")


def _chosen(attacks: str) -> list[str]:
    """Attacks by name, in the table's order.

    Raises:
        BadParameter: for a name that no attack has.
    """
    names = list(ATTACKS) if attacks == ALL else [name.strip() for name in attacks.split(",")]
    unknown = [name for name in names if name not in ATTACKS]
    if unknown:
        raise typer.BadParameter(f"there is no attack {unknown[0]!r}; there are {', '.join(ATTACKS)}")
    return [name for name in ATTACKS if name in names]


def _source(rows: list[Row], about: dict[str, Any]) -> str:
    seconds = sum(row["seconds"] for row in rows)
    return f"{about['data']} · seed {about['seed']} · {len(rows)} rows in {duration(seconds)} · `veil audit`"


def _print(found: list[Verdict], page: Path, as_json: bool) -> None:
    if as_json:
        result = {
            "verdicts": [
                {"attacker": each.attacker, "level": each.level, "text": each.text,
                 "attack": None if each.strongest is None else each.strongest.get("attack")}
                for each in found
            ],
            "report": printable(page),
        }  # fmt: skip
        output.print_json(json.dumps(result))
        return
    for each in found:
        level = f"[{_COLOURS[each.level]}]{pages.LEVELS[each.level]}[/]"
        output.print(f"an attacker who {each.attacker}: {level}", soft_wrap=True)
        output.print(f"  {escape(each.text)}", soft_wrap=True)
    output.print(f"report: {escape(printable(page))}", soft_wrap=True)
