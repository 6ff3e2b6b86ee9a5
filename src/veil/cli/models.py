"""`veil models` and `veil inspect`: which networks there are, and what they see."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from veil.cli.options import DECODE_SECONDS, DecodeTimeout
from veil.cli.terminal import errors, output
from veil.models import names
from veil.runtime.files import printable

if TYPE_CHECKING:
    from torch import Tensor

    from veil.images.marks import Mark
    from veil.models.classifier import Classifier


def models(
    cards: Annotated[
        list[Path] | None, typer.Argument(help="Model cards, or folders of them.", show_default="none")
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="List the zoo's architectures whose names hold this.", show_default="none")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List classifiers: packaged ones, your model cards, and the zoo."""
    from veil.models import catalog, zoo

    entries = [catalog.describe(names.PACKAGED / f"{name}.toml", name) for name in names.packaged()]
    for path in cards or []:
        files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        entries += [catalog.describe(file, str(file)) for file in files]
    if search is not None:
        for library in zoo.LIBRARIES:
            entries += [
                catalog.Entry(f"{library}/{name}", f"{library}/{name}", "", None, "see the hub")
                for name in zoo.names(library)
                if search in name
            ]
    if as_json:
        output.print_json(json.dumps([entry.__dict__ for entry in entries]))
        return
    table = Table()
    for heading in ("name", "architecture", "input", "classes", "accuracy"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        table.add_row(
            escape(entry.name),
            escape(entry.architecture),
            entry.input,
            str(entry.classes or ""),
            escape(entry.accuracy),
        )
    output.print(table)
    output.print("Also: timm/<name> and torchvision/<name> (extra zoo; --search lists them), and model cards (*.toml).")


def inspect(
    photo: Annotated[Path, typer.Argument(help="The photo.", show_default=False)],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="Network to ask.", show_default=names.DEFAULT, autocompletion=names.packaged
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 5,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Ask also a network that cannot read the photo: one of encrypted images, of another key."
        ),
    ] = False,
    decode_timeout: DecodeTimeout = DECODE_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a network sees in a photo."""
    from veil import images
    from veil.images import marks

    if photo.is_dir():
        raise typer.BadParameter(f"{printable(photo)} is a folder; `veil evaluate MODEL {printable(photo)}` asks about "
                                 "labelled folders")  # fmt: skip
    loaded, mark = images.load(photo, limits=images.Limits(seconds=decode_timeout)), marks.of_file(photo)
    answers = [_answer(name, loaded.pixels, mark, top, anyway=anyway) for name in model or [names.DEFAULT]]
    if as_json:
        output.print_json(json.dumps(answers))
        return
    output.print(f"{loaded.width} × {loaded.height} pixels" + "".join(f"; {escape(note)}" for note in loaded.notes))
    for answer in answers:
        table = Table(
            title=f"{escape(answer['network'])}{_run_by(answer)}: entropy {answer['entropy']:.2f} nats",
            title_justify="left",
        )
        table.add_column("class")
        table.add_column("score", justify="right")
        for known in answer["classes"]:
            table.add_row(escape(known["name"]), f"{known['score']:.2%}")
        output.print(table)


def _answer(name: str, pixels: "Tensor", mark: "Mark | None", top: int, *, anyway: bool) -> dict[str, Any]:
    """A network's first classes for a photo, uint8 (C, H, W), and its entropy.

    Raises:
        NoFiniteAnswer: where it gives none.
        Misfit: where the network cannot read it, unless it is asked ``anyway``.
    """
    from veil import images
    from veil.metrics import privacy
    from veil.models import catalog
    from veil.models.classifier import TORCH

    classifier = catalog.load(name)
    _require_fit(classifier, mark, pixels, anyway=anyway)
    logits = classifier.answers(images.to_float(pixels)[None])
    best = logits.softmax(1)[0].topk(min(top, logits.shape[1]))
    return {
        "network": classifier.name,
        **({"run_by": classifier.run_by} if classifier.run_by != TORCH else {}),
        "entropy": float(privacy.ice(logits)),
        "classes": [
            {"index": int(index), "name": classifier.classes[int(index)], "score": float(score)}
            for score, index in zip(best.values, best.indices, strict=True)
        ],
    }


def _run_by(answer: dict[str, Any]) -> str:
    return f" (run by {answer['run_by']})" if "run_by" in answer else ""


def _require_fit(classifier: "Classifier", mark: "Mark | None", pixels: "Tensor", *, anyway: bool) -> None:
    """Refuses a photo that a network cannot read, or says so; and warns where nobody can tell."""
    from veil.models import fitting

    try:
        warning = fitting.require(classifier, mark, pixels)
    except fitting.Misfit as error:
        if not anyway:
            raise fitting.Misfit(f"{error} (--anyway asks all the same)") from None
        warning = str(error)
    if warning is not None:
        errors.print(f"[yellow]{escape(warning)}[/]")
