"""The marks of a page, and what is written between them.

    <!--n crs.photos-->400<!--/n-->                     a number: rewritten
    <!--c li2019.gender-->does not hold<!--/c-->        a conclusion: written by hand, and true of the rows
    <!--t li2019.presets-->                             a table: on lines of their own, rewritten
    <!--/t-->

A line of Markdown that begins with a comment is HTML to its end, so that a number or a conclusion never begins one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from quoted.sources import Conclusions, Numbers

_MARK = re.compile(r"<!--(?P<kind>[nct]) (?P<name>[\w.-]+)-->(?P<text>(?:(?!<!--).)*)<!--/(?P=kind)-->", re.DOTALL)
_ANY = re.compile(r"<!--(?:[nct]\s|/[nct]\b)")
_FIRST = re.compile(r"^[ \t]*(?:(?:[-*+>]|\d+[.)])[ \t]+)*<!--[nc] ([\w.-]+)-->", re.MULTILINE)


@dataclass(frozen=True)
class Quoted:
    """Everything that pages may quote, by name."""

    numbers: Numbers
    conclusions: Conclusions
    tables: Numbers

    def written(self, kind: str, name: str, text: str) -> str:
        """What belongs between the marks of a name."""
        if kind == "n":
            return self.numbers[name]()
        return f"\n\n{self.tables[name]()}\n\n" if kind == "t" else text

    def names(self) -> set[tuple[str, str]]:
        """Kind and name of each."""
        kinds = {"n": [*self.numbers], "c": [*self.conclusions], "t": [*self.tables]}
        return {(kind, name) for kind, named in kinds.items() for name in named}


def names(page: str) -> Iterator[tuple[str, str]]:
    """Kind and name of each mark of a page."""
    for mark in _MARK.finditer(page):
        yield mark["kind"], mark["name"]


def filled(page: str, quoted: Quoted) -> str:
    """The page with every number and table as the rows have it.

    Raises:
        KeyError: for a name that is not there.
    """
    return _MARK.sub(
        lambda mark: (
            f"<!--{mark['kind']} {mark['name']}-->"
            f"{quoted.written(mark['kind'], mark['name'], mark['text'])}<!--/{mark['kind']}-->"
        ),
        page,
    )


def faults(page: str, quoted: Quoted) -> Iterator[str]:
    """What is wrong with the marks of a page, and which conclusions the rows contradict; a line for each."""
    whole, known = list(names(page)), quoted.names()
    if len(_ANY.findall(page)) != 2 * len(whole):
        yield "a mark is not closed, or not written as others are"
    for first in _FIRST.findall(page):
        yield f"{first} begins a line, which Markdown then takes for HTML"
    for kind, name in whole:
        if (kind, name) not in known:
            yield f"there is no {name}"
        elif kind == "c" and not quoted.conclusions[name]():
            yield f"the rows contradict {name}"


def without(page: str) -> str:
    """The page with blanks in place of everything that is marked, and of the marks."""
    return _MARK.sub(lambda mark: re.sub(r"[^\n]", " ", mark.group()), page)
