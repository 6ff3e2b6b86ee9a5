"""Placement of labels without overlap: names at the ends of lines, below bars and beside points.

Matplotlib is slow to load, so functions import it when they need it.
"""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation, Text
    from matplotlib.transforms import Bbox

WIDTH = 8.0  # of a figure, inches
DPI = 110  # pixels per inch
SIZE = 9.5  # of text, points
LINE, LETTER = 1.3 * SIZE / 72, 0.62 * SIZE / 72  # height of a line of text and width of a letter, inches

# Where a label may stand: offset from its point in points, and which side of the text is turned towards it.
_PLACES = (
    (7, 0, "left", "center"), (0, 7, "center", "bottom"), (0, -7, "center", "top"), (-7, 0, "right", "center"),
    (5, 5, "left", "bottom"), (5, -5, "left", "top"), (-5, 5, "right", "bottom"), (-5, -5, "right", "top"),
)  # fmt: skip


def name_lines(axes: "Axes", ends: Sequence[tuple[float, str, str]], height: float) -> None:
    """Names lines at the right edge, each as near to its height as the others allow; fixes the range of y.

    Args:
        ends: height, name and colour of each.
        height: of the panel, inches; its frame is some 0.5 inches less.
    """
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    names = [textwrap.fill(name, 26) for _, name, _ in ends]
    sizes = [(high - low) * LINE * (name.count("\n") + 1) / (height - 0.5) for name in names]
    places = apart([value for value, _, _ in ends], sizes)
    for place, name, (_, _, colour) in zip(places, names, ends, strict=True):
        axes.annotate(
            name, (1, place), (7, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points", va="center",
            color=colour, annotation_clip=False,
        )  # fmt: skip


def apart(places: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """The centres of items of ``sizes``, moved from ``places`` by the least squares so that they do not overlap.

    Their order stays. This is isotonic regression: after subtracting the space of the items before it, no place may lie
    below the previous one; items that would are pooled at their mean.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    room = np.cumsum([sizes[index] for index in order]) - np.array([sizes[index] for index in order]) / 2
    pools: list[tuple[float, int]] = []
    for index, before in zip(order, room, strict=True):
        pools.append((places[index] - before, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (first, many), (second, few) = pools.pop(-2), pools.pop()
            pools.append(((first * many + second * few) / (many + few), many + few))
    moved = [0.0] * len(places)
    for index, mean, before in zip(order, (mean for mean, count in pools for _ in range(count)), room, strict=True):
        moved[index] = float(mean + before)
    return moved


def name_groups(figure: "Figure", axes: "Axes", names: Sequence[str]) -> None:
    """Names below groups of bars: long names are wrapped, and slanted if single words are still too long."""
    letters = max(int((WIDTH - 1) / len(names) / LETTER), 1)
    wrapped = [textwrap.wrap(name, letters, break_long_words=False) for name in names]
    if max((len(line) for lines in wrapped for line in lines), default=0) <= letters:
        axes.set_xticks(range(len(names)), ["\n".join(lines) for lines in wrapped])
    else:
        axes.set_xticks(range(len(names)), list(names), rotation=30, ha="right", rotation_mode="anchor")
        figure.set_figheight(figure.get_figheight() + LETTER * max(map(len, names)) / 2)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(names) - 0.4)


def name_points(axes: "Axes", points: Sequence[tuple[float, float, str, str]], lines: Sequence["Line2D"]) -> None:
    """Labels points where the label covers nothing: it avoids points and other labels first, then lines.

    The layout of the figure must be settled, and stays as it is.

    Args:
        points: x, y, label and colour of each; an empty label is none.
        lines: what is drawn through and between the points.
    """
    taken = [_around(axes, x, y) for x, y, _, _ in points]
    paths = [line.get_path().transformed(line.get_transform()) for line in lines]
    for x, y, label, colour in points:
        if label:
            text = axes.annotate(label, (x, y), (0, 0), textcoords="offset points", color=colour, fontsize=SIZE - 1)
            text.set_in_layout(False)
            costs = []
            for place in range(len(_PLACES)):
                box = _placed(text, place)
                overlaps = sum(bool(box.overlaps(other)) for other in taken) + 2 * (not _within(box, axes.bbox))
                costs.append((overlaps, sum(path.intersects_bbox(box, filled=False) for path in paths), place))
            taken.append(_placed(text, min(costs)[-1]))


def _placed(text: "Annotation", place: int) -> "Bbox":
    """Moves a label to one of its places; returns the pixels that it covers there."""
    across, up, horizontal, vertical = _PLACES[place]
    text.set(position=(across, up), ha=horizontal, va=vertical)
    return text.get_window_extent()


def _around(axes: "Axes", x: float, y: float) -> "Bbox":
    """The pixels that a point's marker covers."""
    from matplotlib.transforms import Bbox

    across, up = axes.transData.transform((x, y))
    half = 4 * DPI / 72
    return Bbox.from_extents(across - half, up - half, across + half, up + half)


def _within(inner: "Bbox", outer: "Bbox") -> bool:
    return bool(inner.x0 >= outer.x0 and inner.x1 <= outer.x1 and inner.y0 >= outer.y0 and inner.y1 <= outer.y1)


def shorten(text: "Text", width: float) -> None:
    """Cuts a text's last letters until it is at most ``width`` inches wide."""
    whole = text.get_text()
    for letters in range(len(whole) - 1, 0, -1):
        if text.get_window_extent().width <= width * DPI:
            return
        text.set_text(whole[:letters].rstrip(" ,") + "…")
