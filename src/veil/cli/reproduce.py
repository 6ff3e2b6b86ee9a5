"""`veil reproduce` and `veil report`: the tables and figures of papers, measured and shown."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from veil.cli.options import AUTO_DEVICE, SCALE_HELP, Device, completion
from veil.cli.terminal import INTERRUPTED, errors, output
from veil.models import names
from veil.recipes import PAPERS
from veil.recipes.paper import Paper
from veil.runtime.files import printable, write_atomically
from veil.runtime.scales import Scale

if TYPE_CHECKING:
    from veil.recipes.recipe import Conditions

_PAPER = f"Name of the paper: {', '.join(PAPERS.names())}; or module:object."
Results = Annotated[Path, typer.Option("--out", "-o", help="Folder of the rows and reports.")]
Data = Annotated[
    list[Path] | None,
    typer.Option(help="Folder in which data sets lie, or a data set's own. Repeatable.", show_default="none"),
]


def reproduce(
    paper: Annotated[
        str, typer.Argument(help=_PAPER, autocompletion=completion(PAPERS), show_default="all, listed")
    ] = "",
    items: Annotated[
        list[str] | None, typer.Argument(help="Tables and figures.", show_default="all")
    ] = None,
    scale: Annotated[Scale, typer.Option(help=SCALE_HELP)] = "cpu",
    seed: Annotated[
        list[int] | None, typer.Option(help="Repeatable.", show_default="the recipe's")
    ] = None,
    data: Data = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Classifier for photos: see `veil models`.", autocompletion=names.packaged,
                     show_default="the paper's"),
    ] = None,
    out: Results = Path("results"),
    work: Annotated[Path, typer.Option(help="Folder for what can be made again: networks, downloads.")] = Path("runs"),
    device: Device = AUTO_DEVICE,
    show_list: Annotated[bool, typer.Option("--list", help="List items, cost and state; measure nothing.")] = False,
) -> None:  # fmt: skip
    """Measure the tables and figures of a paper and write the report.

    Rows are appended as they are measured. The same command goes on where it was stopped.
    """
    from veil.recipes.recipe import Conditions

    if show_list or not paper:
        for row in [PAPERS.resolve(paper)] if paper else PAPERS.values():
            _print_list(row, scale, out)
        return
    chosen = PAPERS.resolve(paper)
    conditions = Conditions(
        paper=chosen.name, scale=scale, seeds=tuple(dict.fromkeys(seed)) if seed else None,
        data=_folders(data), model=model, results=out, work=work, device=device,
    )  # fmt: skip
    page = _measured(chosen, items or [], conditions)
    output.print(f"report: {escape(printable(page))}", soft_wrap=True)


def _measured(paper: Paper, items: list[str], conditions: "Conditions") -> Path:
    """Measures what is missing, says so meanwhile, and writes the report."""
    from veil.recipes import papers

    with errors.status("") as status:
        count: dict[str, int] = {}

        def added(item: str, _: dict[str, Any]) -> None:
            count[item] = count.get(item, 0) + 1
            status.update(f"{item}: {count[item]} new rows")

        def say(line: str) -> None:
            errors.print(escape(line))
            status.update(escape(line))

        try:
            papers.reproduce(paper, items, replace(conditions, added=added, say=say))
        except KeyboardInterrupt:
            errors.print("stopped; the same command goes on from here")
            raise typer.Exit(INTERRUPTED) from None
        return papers.write(paper, conditions)


def report(
    paper: Annotated[str, typer.Argument(help=_PAPER, autocompletion=completion(PAPERS))],
    scale: Annotated[Scale | None, typer.Option(help=SCALE_HELP, show_default="the largest that was measured")] = None,
    data: Data = None,
    out: Results = Path("results"),
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the page as Markdown to this file.", show_default="none")
    ] = None,
) -> None:
    """Rebuild a paper's tables and figures from its rows; measures nothing.

    Figures with pictures of a data set are drawn where --data has it.
    """
    from veil.recipes import papers
    from veil.recipes.recipe import Conditions
    from veil.report import page as report_page

    chosen = PAPERS.resolve(paper)
    measured = papers.measured_scales(chosen, out)
    if not measured or (scale and scale not in measured):
        at = f" at {scale} scale" if scale else ""
        raise typer.BadParameter(f"{out} has no rows of {paper}{at}; `veil reproduce {paper}` measures them")
    conditions = Conditions(paper=chosen.name, scale=scale or measured[-1], data=_folders(data), results=out)
    page = papers.write(chosen, conditions)
    output.print(f"report: {escape(printable(page))}", soft_wrap=True)
    if markdown is not None:
        figures = Path(os.path.relpath(papers.folder(chosen, conditions) / "figures", markdown.parent))
        text = report_page.markdown(papers.page(chosen, conditions), figures.as_posix())
        write_atomically(markdown, text)
        output.print(f"page: {escape(printable(markdown))}", soft_wrap=True)


def _folders(data: list[Path] | None) -> tuple[Path, ...]:
    for folder in data or ():
        if not folder.is_dir():
            raise typer.BadParameter(f"--data {folder}: there is no such folder")
    return tuple(data or ())


def _print_list(paper: Paper, scale: Scale, out: Path) -> None:
    from veil.recipes.recipe import Conditions

    conditions = Conditions(paper=paper.name, scale=scale, results=out)
    table = Table(title=escape(f"{paper.name} · {paper.title} · {scale} scale"), title_justify="left")
    for heading in ("item", "", "cost", "state"):
        table.add_column(heading)
    for recipe in paper.recipes:
        table.add_row(*map(escape, (recipe.item, recipe.title, recipe.cost(scale), recipe.state(conditions))))
    output.print(table)
