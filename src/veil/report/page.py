"""A paper's page: printed and measured results side by side, as HTML with PNG figures and as Markdown.

The page is independent of any paper and measures nothing: it takes texts, tables of texts, and pictures as functions
that draw them. Equal pages give equal bytes.

Two kinds of text are put into a page. *Plain* text, in titles, captions and cells, has no markup. *Prose*, in
paragraphs, citations and sources, may hold ``code`` in backquotes and ``[links](https://…)``, to http, https, or a
relative address; all other Markdown is literal. Both go through `veil.jobs.printable` and are escaped for HTML or
Markdown, because names of classes and files were written by others.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import jinja2
from markupsafe import Markup, escape
from PIL import Image

from veil.jobs.job import FolderError
from veil.report.figures import png, style
from veil.runtime.files import printable, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, FIGURES = "report.html", "figures"
_OURS = "· Veil</title>"  # stands in every page
PAPER = "a paper, measured again"
_NAME = re.compile(r"[a-z0-9-]+")
_MARK = re.compile(
    r"(?<!`)` ?([^`\s](?:[^`]*[^`\s])?) ?`(?!`)"  # code
    r"|\[([^\[\]\s](?:[^\[\]]*[^\[\]\s])?)\]"  # the text of a link
    r"\(((?:[^()\s]|\([^()\s]*\))+)\)"  # and its address, which may hold a pair of brackets
)
# What Markdown would take for more than itself: anywhere; at a word's edge; before a name; at the end of a heading.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~$]|(?<![^\W_])_|_(?![^\W_])|&(?=[#\w])|#$")
# The same where a paragraph starts: headings, lists and rules.
_START = re.compile(r"^(\d{0,9})([#=+.)-])(?=[\s#=-]|$)")


@dataclass(frozen=True)
class Table:
    """Cells of plain text below ``head``; the first column names the rows.

    Columns are shown as numbers are, but for those that hold words (`kinds`).
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.head or any(len(row) != len(self.head) for row in self.rows):
            cells = sorted({len(row) for row in self.rows})
            raise ValueError(f"a table of {len(self.head)} columns with rows of {cells} cells: {self.caption}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """``said`` for columns of sentences, ``words`` for those of words, and nothing for numbers and for names."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.head)
        return ("", *map(_kind, columns[1:]))


def _kind(cells: Sequence[str]) -> str:
    said = (cell for cell in cells if 2 * sum(map(str.isalpha, cell)) > len(cell))
    longest = max(map(len, said), default=0)
    return "said" if longest > 80 else "words" if longest > 24 else ""


@dataclass(frozen=True)
class Picture:
    """A figure that ``draw`` draws when the page is written, as ``figures/<name>.png``; ``caption`` is plain text."""

    name: str
    caption: str
    draw: "Callable[[], Figure]"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a picture's name has the letters a-z, 0-9 and - only, unlike {self.name!r}")
        if not self.caption.strip():
            raise ValueError(f"the picture {self.name} needs a caption, for those who cannot see it too")


@dataclass(frozen=True)
class Section:
    """One item of a paper: a table, a figure, or a further measurement.

    Attributes:
        item: its short name, ``table2``, which also gives the section's address on the page.
        title: plain text.
        text: paragraphs of prose.
        source: prose: scale, seeds, data, hardware, time, command.
        state: plain text about the state of the item, as ``not run yet``.
    """

    item: str
    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    source: str = ""
    state: str = ""

    @property
    def anchor(self) -> str:
        """The section's address on the HTML page."""
        return re.sub(r"[^a-z0-9]+", "-", self.item.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A paper: plain ``title``, ``citation`` and ``text`` in prose, then its items.

    Attributes:
        kind: the kind of page, above its title, if it is not a paper's page.
    """

    title: str
    citation: str
    text: tuple[str, ...]
    sections: tuple[Section, ...]
    kind: str = PAPER

    def __post_init__(self) -> None:
        anchors = [section.anchor for section in self.sections]
        names = [picture.name for picture in self.pictures]
        for identifiers in (anchors, names):
            if len(set(identifiers)) < len(identifiers) or "" in identifiers:
                raise ValueError(f"items and pictures need names of their own: {', '.join(identifiers)}")

    @property
    def rebuilt(self) -> bool:
        """Whether `veil report` writes it."""
        return self.kind == PAPER

    @property
    def pictures(self) -> list[Picture]:
        """The pictures of all sections."""
        return [picture for section in self.sections for picture in section.pictures]


def write_html(page: Page, out: Path) -> Path:
    """Writes ``out/report.html`` and ``out/figures/*.png``; every file appears whole or not at all.

    All figures are drawn before anything is written: if a drawing fails, an earlier page stays unchanged. Figures that
    the earlier page showed and this one does not are removed. No file of others is replaced or removed.

    Returns:
        The page's path.

    Raises:
        FolderError: where others' files have the names of the page or of a figure.
        ValueError: for a link that is neither http, https nor a relative address; also whatever a drawing raises.
        OSError: if a file cannot be written.
    """
    with style():
        drawn = {picture.name: png(picture.draw()) for picture in page.pictures}
    text = _environment().get_template("paper.html").render(
        page=page, sizes={name: Image.open(BytesIO(data)).size for name, data in drawn.items()}, figures=FIGURES
    )  # fmt: skip
    file, folder = out / PAGE, out / FIGURES
    earlier = _earlier_figures(file)
    for name, data in drawn.items():
        if name not in earlier and (folder / f"{name}.png").exists() and not _holds(folder / f"{name}.png", data):
            raise _in_the_way(folder / f"{name}.png")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in drawn.items():
        write_atomically(folder / f"{name}.png", data)
    write_atomically(file, text)
    for name in earlier - drawn.keys():
        (folder / f"{name}.png").unlink(missing_ok=True)
    return file


def _holds(file: Path, data: bytes) -> bool:
    return file.is_file() and file.stat().st_size == len(data) and file.read_bytes() == data


def _earlier_figures(file: Path) -> set[str]:
    """The names of the figures that an earlier page shows; none where there is no page.

    Raises:
        FolderError: where others wrote it.
    """
    if not os.path.lexists(file):
        return set()
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() and not file.is_symlink() else ""
    if _OURS not in text:
        raise _in_the_way(file)
    return set(re.findall(rf'"{FIGURES}/({_NAME.pattern})\.png"', text))


def _in_the_way(file: Path) -> FolderError:
    return FolderError(f"{printable(file)} was not written by Veil, and is left as it is: move it away for the report")


def markdown(page: Page, figures: str) -> str:
    """The page in GitHub's Markdown.

    Args:
        page: the page to convert.
        figures: the folder of the PNG files as seen from the Markdown file, with slashes.

    Raises:
        ValueError: for a link to elsewhere than http, https or a relative address.
    """
    return "\n\n".join(filter(None, _blocks(page, figures.rstrip("/")))) + "\n"


def _blocks(page: Page, figures: str) -> Iterator[str]:
    yield f"# {_md(page.title)}"
    yield _md_prose(page.citation)
    yield from map(_md_prose, page.text)
    if len(page.sections) > 1:
        yield "\n".join(f"- [{_md(section.title)}](#{_github_anchor(section.title)})" for section in page.sections)
    for section in page.sections:
        yield f"## {_md(section.title)}"
        if section.state:
            yield f"**{_md(section.state)}**"
        yield from map(_md_prose, section.text)
        for table in section.tables:
            yield from [_md(table.caption)] if table.caption else []
            yield _md_table(table)
        for picture in section.pictures:
            yield f"![{_md(picture.caption)}]({_md_address(f'{figures}/{picture.name}.png')})"
            yield f"*{_md(picture.caption)}*"
        if section.source:
            yield f"<sub>{_md_prose(section.source)}</sub>"


def _md_table(table: Table) -> str:
    rules = (":---", *["---:"] * (len(table.head) - 1))
    lines = [map(_md, table.head), rules, *(map(_md, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _md(text: str) -> str:
    """Plain text, escaped so that Markdown shows it unchanged everywhere."""
    return _START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", _plain(text)))


def _md_prose(text: str) -> str:
    markdown = ""
    for plain, code, label, address in _parts(text):
        markdown += _SPECIAL.sub(r"\\\g<0>", plain)
        if code:
            markdown += f"`{code}`"
        elif address:  # behind an exclamation mark it would be a picture
            markdown = f"{markdown[:-1]}\\!" if markdown.endswith("!") else markdown
            markdown += f"[{_md(label)}]({_md_address(address)})"
    return _START.sub(r"\1\\\2", markdown)


def _md_address(address: str) -> str:
    return address.replace("&", "&amp;").replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")


def _github_anchor(title: str) -> str:
    """GitHub's address of a heading."""
    return re.sub(r"[^\w\- ]", "", _plain(title).lower()).replace(" ", "-")


def _html_prose(text: str) -> Markup:
    parts = []
    for plain, code, label, address in _parts(text):
        parts.append(escape(plain))
        if code:
            parts.append(Markup("<code>{}</code>").format(code))
        elif address:
            parts.append(Markup('<a href="{}">{}</a>').format(address, label))
    return Markup("").join(parts)


def _parts(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Prose in pieces: plain text, code, and the text and address of a link; missing parts are empty."""
    text = _plain(text)
    end = 0
    for match in _MARK.finditer(text):
        code, label, address = (part or "" for part in match.groups())
        if address:
            _check_address(address)
        yield text[end : match.start()], code, label, address
        end = match.end()
    yield text[end:], "", "", ""


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ValueError(f"no address for a link: {address}") from None
    elsewhere = parts.scheme in {"http", "https"} and bool(parts.netloc)
    here = not parts.scheme and not address.startswith("/")
    if "\\" in address or not (elsewhere or here):
        raise ValueError(f"a link leads to http, https or a relative address only, not to {address}")


def _plain(text: str) -> str:
    """Text in one line, spaces single, and printable."""
    return printable(" ".join(text.split()))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("veil.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_finalised,
    )  # fmt: skip
    environment.filters["prose"] = _html_prose
    return environment


def _finalised(value: object) -> object:
    """Plain text as `_plain` has it, unless it is a piece of the template."""
    return _plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
