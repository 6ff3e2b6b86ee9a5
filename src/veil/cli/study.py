"""`veil study`: do people recognise whom reconstructions show? Make the questions, ask them, count the answers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from veil.cli.examples import examples
from veil.cli.terminal import errors, output
from veil.runtime.files import printable

if TYPE_CHECKING:
    from veil.study.result import Result

commands = typer.Typer(
    no_args_is_help=True,
    help="Ask people whom reconstructions show, and count their answers.",
    epilog=examples("veil study serve study"),
)
Folder = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of the study.", show_default=False)]
_COLOURS = {"above": "red", "guessing": "green", "below": "yellow", "none": "dim"}


@commands.command(
    epilog=examples("veil study new --original faces/original --reconstructed faces/reconstructed -o study")
)
def new(
    original: Annotated[Path, typer.Option(help="Folder of photos; those not reconstructed are distractors.")],
    reconstructed: Annotated[Path, typer.Option(help="Folder of reconstructions, called as the photos are.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the study.")],
    identities: Annotated[
        Path | None,
        typer.Option(help="CSV of file and identity of the photos.",
                     show_default="all are of different people"),
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="How many, without those for attention.")] = 10,
    options: Annotated[int, typer.Option(min=2, max=9, help="Photos to choose from.")] = 4,
    attention: Annotated[
        int, typer.Option(min=0, help="Further questions, of slightly blurred photos, that everybody can answer.")
    ] = 2,
    another_photo: Annotated[
        bool, typer.Option("--another-photo", help="The right option is another photo of the same person.")
    ] = False,
    contact: Annotated[str, typer.Option(help="Who asks, for the first page.", show_default="none")] = "",
    seed: Annotated[int, typer.Option(help="Of people, photos and places.")] = 0,
) -> None:  # fmt: skip
    """Make a study: questions of one reconstruction and a few photos, one of them of the same person.

    Files belong together by their names without the suffix. The folder holds the solutions: give it to nobody.
    """
    from veil.study import folder
    from veil.study.questions import Settings

    settings = Settings(
        questions=questions, options=options, attention=attention, another_photo=another_photo, seed=seed
    )
    new = folder.from_folders(original, reconstructed, identities, settings, contact=contact)
    folder.write(new, out)
    output.print(f"{escape(printable(out))}: {questions} questions of {options} options, {attention} more for "
                 "attention", soft_wrap=True)  # fmt: skip
    output.print(f"next: veil study serve {escape(printable(out))}", soft_wrap=True)


@commands.command(epilog=examples("veil study serve study", "veil study serve study --port 0"))
def serve(
    study: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8765,
    address: Annotated[
        str | None,
        typer.Option(help="How participants reach a proxy before it, as https://study.example.org.",
                     show_default="the address that it listens on"),
    ] = None,
    participants: Annotated[int, typer.Option(min=1, help="Accept so many at most; later ones are told so.")] = 10_000,
) -> None:  # fmt: skip
    """Show a study in browsers and keep the answers. Ctrl-C ends it; nothing is lost, and it may be started again."""
    from veil.study import answers as kept
    from veil.study import folder
    from veil.study.limits import Limits
    from veil.study.server import StudyServer

    limits = Limits(participants=participants)
    opened = folder.read(study)
    images = folder.read_images(study, opened)
    with kept.Answers(study / kept.FILE, opened.name) as answers:
        with StudyServer(opened, images, answers, host=host, port=port, address=address, limits=limits) as server:
            if not server.local:
                errors.print(
                    "[yellow]others on the network can reach this server, and read what is sent[/]; for participants "
                    "elsewhere put a proxy with HTTPS before it"
                )
            output.print(f"open {server.url} in a browser; Ctrl-C ends", soft_wrap=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                errors.print("stopped")
        people, given = len(answers.participants()), len(answers.given())
    output.print(f"{people} started, {given} answers are kept", soft_wrap=True)


@commands.command(epilog=examples("veil study report study"))
def report(
    study: Folder,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Count a study's answers: accuracy with intervals beside guessing, and what it means; writes report.html.

    Those count who answered everything, and the attention questions rightly. May run while the study is served.
    """
    from veil.report import page as report_page
    from veil.study import answers as kept
    from veil.study import folder, page
    from veil.study import result as results

    opened = folder.read(study)
    with kept.Answers(study / kept.FILE, opened.name) as answers:
        counted = results.result(opened, answers.participants(), answers.given(), seed)
    people = sum(counted.people.values())
    source = f"study `{opened.name}` · {people} participants · seed {seed} · `veil study report`"
    with errors.status("drawing"):
        written = report_page.write_html(page.page(opened, counted, folder.read_images(study, opened), source), study)
    if as_json:
        output.print_json(json.dumps(results.as_json(counted) | {"report": printable(written)}))
        return
    level, text = results.verdict(counted)
    output.print(f"[{_COLOURS[level]}]{escape(text)}[/]", soft_wrap=True)
    _print(counted)
    output.print(f"report: {escape(printable(written))}", soft_wrap=True)


def _print(counted: "Result") -> None:
    from veil.study import page

    for table in (page.result_table(counted), page.people_table(counted)):
        for name, *cells in table.rows:
            output.print(escape(f"  {name}: {', '.join(cell for cell in cells if cell) or '–'}"), soft_wrap=True)
