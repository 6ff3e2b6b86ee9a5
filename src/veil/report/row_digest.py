"""The part of `veil protect`'s rows that a page needs. Memory does not grow with the number of rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from veil.jobs.row_formats import Row
from veil.report.summary import Summary

SHOWN = 24  # photos with pictures
LISTED = 2000  # rows in the table of all photos, and errors in theirs


@dataclass(frozen=True)
class Digest:
    """The part of the rows that a page needs.

    Attributes:
        summary: of all rows; see `veil.report.summary.summarise`.
        shown: rows of the photos that are shown with pictures.
        listed: the first rows of photos that were written, `LISTED` at most.
        errors: the first rows of photos that failed, as many at most.
    """

    summary: Mapping[str, Any]
    shown: list[Row]
    listed: list[Row]
    errors: list[Row]


def digest(rows: Iterable[Row], shown: int = SHOWN) -> Digest:
    """Goes through rows twice.

    Args:
        rows: such as `veil.jobs.folders.FolderResult`, or a list.
        shown: photos with pictures at most; see `select`.

    Raises:
        TypeError: for rows that can be gone through only once.
    """
    if iter(rows) is rows:
        raise TypeError("rows are gone through twice, and an iterator gives them only once")
    summary = Summary()
    listed: list[Row] = []
    errors: list[Row] = []
    for row in rows:
        summary.add(row)
        some = errors if row["error"] else listed
        if len(some) < LISTED:
            some.append(row)
    chosen = _select(rows, shown, missed=summary.not_protected, protected=summary.protected)
    return Digest(summary.result(), chosen, listed, errors)


def select(rows: Iterable[Row], shown: int) -> list[Row]:
    """The photos that get a card: first those that are not protected, in the order of the rows.

    Where a part is larger than its places, it is represented by photos at equal distances.
    """
    return digest(rows, shown).shown


def _select(rows: Iterable[Row], shown: int, *, missed: int, protected: int) -> list[Row]:
    places = {False: _spread(missed, shown)}
    places[True] = _spread(protected, shown - len(places[False]))
    chosen: dict[bool, list[Row]] = {False: [], True: []}
    seen = {False: 0, True: 0}
    for row in rows:
        if row["error"]:
            continue
        kind = bool(row["protected"])
        if seen[kind] in places[kind]:
            chosen[kind].append(row)
        seen[kind] += 1
    return chosen[False] + chosen[True]


def _spread(count: int, places: int) -> set[int]:
    places = min(places, count)
    return {number * count // places for number in range(places)}
