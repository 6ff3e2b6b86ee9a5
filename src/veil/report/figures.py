"""Drawings for a paper's page: arrays and plain values in, Matplotlib figures out.

Nothing is measured and nothing is read here. A figure is at most `WIDTH` inches wide and meant for `DPI` pixels per
inch, on white, with text that can be read at that size. Its colours are told apart in grey and by the colour-blind;
series differ in their markers too. The same values give the same picture, whatever the user's Matplotlib is set to:
every drawing happens inside `style`.

Matplotlib is imported where it is needed, for it is slow to load, and its `pyplot` never.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from veil import folders

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import BboxBase

WIDTH = 8.0  # inches
DPI = 110  # pixels per inch
SIZE = 9.5  # of text, points
LINE = 1.35 * SIZE / 72  # height of a line of text, inches

INK, QUIET, RULE, TRACK = "#1c2326", "#5a656b", "#dfe2e4", "#e6e9ea"
PALETTE = ("#0a62a8", "#c2500a", "#0b7d62", "#93357f", "#8a6a00", "#3d4549")  # each at least 4.5 to 1 against white
MARKERS = ("o", "s", "^", "D", "v", "P")
NOISE = ("#0b2e6f", "#2f7bbd", "#ffffff", "#d6543f", "#7d0b1d")  # from the most negative to the most positive

Answers = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Curve:
    """Values ``y`` over ``x``, each ± ``spread``, in the units of ``y``."""

    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float] | None = None

    def __post_init__(self) -> None:
        spread = self.y if self.spread is None else self.spread
        if not len(self.x) == len(self.y) == len(spread) or not len(self.x):
            raise ValueError(f"a curve of {len(self.x)} places, {len(self.y)} values and {len(spread)} spreads")


@dataclass(frozen=True)
class Panel:
    """Curves by name over one quantity ``ylabel``; ``reference``: named values of it, drawn as level lines."""

    series: Mapping[str, Curve]
    ylabel: str
    reference: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """One setting's two measures; ``label`` says which setting."""

    x: float
    y: float
    label: str = ""


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults and ours, in place of the user's, while figures are drawn and saved."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({
            "font.family": "DejaVu Sans", "font.size": SIZE, "text.color": INK, "text.parse_math": False,
            "axes.titlesize": SIZE, "axes.labelcolor": INK, "axes.edgecolor": QUIET, "axes.linewidth": 0.8,
            "axes.spines.top": False, "axes.spines.right": False,
            "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": RULE,
            "xtick.color": QUIET, "xtick.labelcolor": INK, "ytick.color": QUIET, "ytick.labelcolor": INK,
            "legend.frameon": False, "figure.dpi": DPI, "savefig.dpi": DPI,
        })  # fmt: skip
        yield


def png(figure: "Figure") -> bytes:
    """The figure as a PNG file, which says neither when nor by what it was made."""
    buffer = BytesIO()
    with style():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


@style()
def noise_grid(
    noises: Mapping[str, NDArray[Any]], limit: float, *, columns: int = 5, label: str = "noise, parts of the grey range"
) -> "Figure":
    """Noises by title on one scale: red is positive, blue negative, white nothing.

    Args:
        noises: each (H, W).
        limit: the value, and with it its negative, that has the full colour; what is beyond has it too.
        columns: panels in a row.
        label: what the colour bar measures, with its unit.

    Raises:
        ValueError: where a noise is no finite (H, W), or ``limit`` no positive number.
    """
    from matplotlib.colors import LinearSegmentedColormap

    if not 0 < limit < np.inf:
        raise ValueError(f"the limit of a noise must be a positive number, not {limit}")
    arrays = [_pixels(noise, title) for title, noise in noises.items()]
    figure, panels = _grid(arrays, list(noises), columns, margin=1.0)
    colours = LinearSegmentedColormap.from_list("noise", NOISE)
    for axes, noise in zip(panels, arrays, strict=True):
        shown = axes.imshow(noise, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    low, high = (any(bool((sign * noise > limit).any()) for noise in arrays) for sign in (-1, 1))
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[low, high]
    rows = -(-len(panels) // columns)
    bar = figure.colorbar(shown, ax=panels, aspect=12 * rows + 6, ticks=np.linspace(-limit, limit, 5), extend=extend)
    bar.set_label(label)
    bar.outline.set_edgecolor(QUIET)  # type: ignore[operator]  # Matplotlib calls it a method
    return figure


@style()
def digit_grid(images: Sequence[NDArray[Any]], titles: Sequence[str], *, columns: int = 5) -> "Figure":
    """Grey images with a title each, as ``7 → 0``.

    Args:
        images: each (H, W) in [0, 1], 0 black.
        titles: one for each image.
        columns: images in a row.

    Raises:
        ValueError: where an image has another shape or range, or the numbers of images and titles differ.
    """
    if len(images) != len(titles):
        raise ValueError(f"{len(images)} images with {len(titles)} titles")
    arrays = [_pixels(image, title) for image, title in zip(images, titles, strict=True)]
    for title, array in zip(titles, arrays, strict=True):
        if array.min() < 0 or array.max() > 1:
            raise ValueError(f"{title}: an image from {array.min():g} to {array.max():g}, not within [0, 1]")
    figure, panels = _grid(arrays, titles, columns)
    for axes, array in zip(panels, arrays, strict=True):
        axes.imshow(array, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    return figure


@style()
def bars(
    groups: Mapping[str, Mapping[str, float]],
    *,
    xlabel: str,
    ylabel: str,
    errors: Mapping[str, Mapping[str, float]] | None = None,
    reference: Mapping[str, float] | None = None,
    values: str | None = None,
) -> "Figure":
    """Bars in groups along x; in a group one bar for each series, in that series' colour.

    Args:
        groups: value by series by group, as ``{"0": {"paper": 17.8, "Veil": 16.2}}``; a series that a group lacks
            leaves its place empty.
        errors: half the length of the error bars, by series by group.
        reference: named values, drawn as level lines.
        values: format of the numbers on the bars, as ``.1f``; None for no numbers.

    Raises:
        ValueError: where there is no bar, or an error without its bar.
    """
    names = _names(groups.values())
    if not names:
        raise ValueError("there is nothing to draw as bars")
    for group, each in (errors or {}).items():
        if strangers := each.keys() - groups.get(group, {}).keys():
            raise ValueError(f"{group}: an error of {', '.join(sorted(strangers))}, which has no bar there")
    figure, axes = _axes(3.6, xlabel, ylabel)
    width = 0.82 / len(names)
    for number, name in enumerate(names):
        present = [(place, group) for place, group in enumerate(groups) if name in groups[group]]
        drawn = axes.bar(
            [place + (number - (len(names) - 1) / 2) * width for place, _ in present],
            [groups[group][name] for _, group in present],
            0.94 * width,
            color=PALETTE[number % len(PALETTE)],
            yerr=[(errors or {}).get(group, {}).get(name, np.nan) for _, group in present] if errors else None,
            error_kw={"ecolor": INK, "elinewidth": 1.1, "capsize": 2.5},
            label=name,
        )
        if values is not None:
            axes.bar_label(drawn, fmt=f"{{:{values}}}", padding=2, fontsize=SIZE - 1.5)
    _name_groups(axes, list(groups))
    axes.margins(y=0.08)
    axes.grid(visible=False, axis="x")
    _name_lines(axes, _references(axes, reference or {}), 3.6)
    if len(names) > 1:
        figure.legend(loc="outside upper left", ncols=len(names), handlelength=1.1)
    return figure


@style()
def curves(panels: Sequence[Panel], *, xlabel: str) -> "Figure":
    """Panels one below the other over the same x: lines with markers, their spread as a shade, named at their ends.

    Raises:
        ValueError: where there is no panel, or one without a curve.
    """
    if not panels or not all(panel.series for panel in panels):
        raise ValueError("there is nothing to draw as curves")
    from matplotlib.figure import Figure

    height = 3.4 if len(panels) == 1 else 2.6
    figure = Figure(figsize=(WIDTH, height * len(panels)), layout="constrained")
    names = _names(panel.series for panel in panels)
    every = {float(x) for panel in panels for curve in panel.series.values() for x in curve.x}
    drawn = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(drawn, panels, strict=True):
        ends = []
        for name, curve in panel.series.items():
            number = names.index(name)
            colour = PALETTE[number % len(PALETTE)]
            x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
            if curve.spread is not None:
                axes.fill_between(x, y - curve.spread, y + curve.spread, color=colour, alpha=0.16, linewidth=0)
            axes.plot(x, y, color=colour, marker=MARKERS[number % len(MARKERS)], markersize=5.5, linewidth=1.8)
            ends.append((float(y[-1]), name, colour))
        axes.set_ylabel(panel.ylabel)
        ends += _references(axes, panel.reference)
        if len(every) <= 12 and all(x.is_integer() for x in every):
            axes.set_xticks(sorted(every))
        _name_lines(axes, ends if len(names) > 1 or panel.reference else [], height)
    drawn[-1].set_xlabel(xlabel)
    figure.align_ylabels(drawn)
    return figure


@style()
def trade_off(
    series: Mapping[str, Sequence[Point]],
    *,
    xlabel: str,
    ylabel: str,
    connected: bool = True,
    reference: Mapping[str, float] | None = None,
) -> "Figure":
    """Two measures against each other: points with their labels, those of a series connected in their order.

    Args:
        reference: named values of y, drawn as level lines.

    Raises:
        ValueError: where there is no point.
    """
    if not any(series.values()):
        raise ValueError("there is no point to draw")
    figure, axes = _axes(4.2, xlabel, ylabel)
    axes.grid(visible=True, axis="both")
    axes.margins(0.08)
    marked: list[tuple[Point, str]] = []
    for number, (name, points) in enumerate(series.items()):
        colour = PALETTE[number % len(PALETTE)]
        axes.plot(
            [point.x for point in points], [point.y for point in points], label=name, color=colour, linewidth=1.6,
            marker=MARKERS[number % len(MARKERS)], markersize=6.5, linestyle="-" if connected else "",
        )  # fmt: skip
        marked += [(point, colour) for point in points]
    lines = list(axes.lines)
    _name_lines(axes, _references(axes, reference or {}), 4.2)
    if len(series) > 1:
        figure.legend(loc="outside upper left", ncols=3)
    axes.autoscale(enable=False)
    figure.draw_without_rendering()  # the places of the points on paper are known only now
    # A label avoids the points and the labels before it first, then the lines.
    taken: list[BboxBase] = [_around(axes, point) for point, _ in marked]
    paths = [line.get_path().transformed(line.get_transform()) for line in lines]
    for point, colour in marked:
        if point.label:
            text = axes.annotate(
                point.label, (point.x, point.y), (0, 0), textcoords="offset points", color=colour, fontsize=SIZE - 1
            )
            text.set_in_layout(False)
            costs = [
                (
                    sum(box.overlaps(other) for other in taken) + 2 * (not _within(box, axes.bbox)),
                    sum(path.intersects_bbox(box, filled=False) for path in paths),
                    place,
                )
                for place, box in enumerate(_placed(text, place) for place in _PLACES)
            ]
            taken.append(_placed(text, _PLACES[min(costs)[-1]]))
    return figure


@style()
def photo_comparison(
    original: NDArray[np.uint8],
    released: NDArray[np.uint8],
    noise_amplified: NDArray[np.uint8],
    answers_before: Answers,
    answers_after: Answers,
    factor: float,
    *,
    truth: str | None = None,
) -> "Figure":
    """A photo before and after with a network's first answers beneath, and the noise, amplified around grey.

    Args:
        original: (H, W, 3).
        released: (H, W, 3).
        noise_amplified: (H, W, 3), 128 where nothing changed.
        answers_before: names and probabilities, best first; as many as are to be seen.
        answers_after: the same for the released photo.
        factor: by which the noise was multiplied.
        truth: the answer that is to be marked, in bold and in another colour.

    Raises:
        ValueError: where the pictures are not uint8 of one shape (H, W, 3), or a probability is not within [0, 1].
    """
    from matplotlib.figure import Figure

    pictures = {
        "original": original, "released": released, f"noise × {factor:g} (grey: no change)": noise_amplified
    }  # fmt: skip
    for title, picture in pictures.items():
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise ValueError(f"{title}: a picture must be uint8 of shape (H, W, 3), not {_shape(picture)}")
        if picture.shape != original.shape:
            raise ValueError(f"{title}: {_shape(picture)}, but the original is {_shape(original)}")
    answers = {"original": answers_before, "released": answers_after}
    count = max(len(each) for each in answers.values())
    if not all(0 <= share <= 1 for each in answers.values() for _, share in each):
        raise ValueError("a probability is not within [0, 1]")
    column = (WIDTH - 0.4) / 3
    heights = [min(column * original.shape[0] / original.shape[1], 1.4 * column), 0.36 * max(count, 1)]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.55), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=heights)
    for place, (title, picture) in enumerate(pictures.items()):
        axes = figure.add_subplot(grid[0, place])
        axes.imshow(picture)
        axes.set_title(title)
        axes.set_axis_off()
    for place, each in enumerate(answers.values()):
        _draw_answers(figure.add_subplot(grid[1, place]), each, count, truth)
    return figure


def _draw_answers(axes: "Axes", answers: Answers, count: int, truth: str | None) -> None:
    """A line of text and a bar below it for each answer, in ``count`` places."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(max(count, 1), 0))
    for place, (name, share) in enumerate(answers):
        true = name == truth
        weight = "bold" if true else "normal"
        axes.text(0, place + 0.56, _clipped(name, 22 if true else 25), va="baseline", fontweight=weight)
        axes.text(1, place + 0.56, f"{100 * share:.2f} %", va="baseline", ha="right", fontweight=weight)
        axes.barh(place + 0.74, 1, 0.16, color=TRACK)
        axes.barh(place + 0.74, share, 0.16, color=PALETTE[1 if true else 0])


def _axes(height: float, xlabel: str, ylabel: str) -> tuple["Figure", "Axes"]:
    """A figure of the full width with one frame, its axes named."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def _grid(
    images: Sequence[NDArray[Any]], titles: Sequence[str], columns: int, margin: float = 0.0
) -> tuple["Figure", list["Axes"]]:
    """A figure with one framed panel for each image, without ticks; ``margin`` inches are kept beside them."""
    from matplotlib.figure import Figure

    if not images or columns < 1:
        raise ValueError(f"a grid of {len(images)} images in {columns} columns")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    side = min((WIDTH - margin) / columns, 2.8)
    tall = max(image.shape[0] / image.shape[1] for image in images)
    heading = 2 * LINE if any(titles) else LINE / 2
    figure = Figure(figsize=(side * columns + margin, (side * tall + heading) * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in every[len(images) :]:
        axes.remove()
    panels = every[: len(images)]
    for axes, title in zip(panels, titles, strict=True):
        axes.set(title=title, xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color=RULE)
    return figure, panels


def _names(groups: Iterable[Iterable[str]]) -> list[str]:
    """Every name once, in the order in which they come."""
    return list(dict.fromkeys(name for group in groups for name in group))


def _name_groups(axes: "Axes", names: Sequence[str]) -> None:
    """Names below their bars: in several lines where they are long, slanting where words are too long even so."""
    letters = max(int((WIDTH - 1) / len(names) / (0.6 * SIZE / 72)), 1)
    if max(len(word) for name in names for word in [*name.split(), ""]) <= letters:
        axes.set_xticks(range(len(names)), [textwrap.fill(name, letters) for name in names])
    else:
        axes.set_xticks(range(len(names)), list(names), rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(names) - 0.4)


def _references(axes: "Axes", reference: Mapping[str, float]) -> list[tuple[float, str, str]]:
    """Draws the level lines; gives the heights at which they end, their names and their colour."""
    for value in reference.values():
        axes.axhline(value, color=QUIET, linewidth=1.1, linestyle=(0, (5, 3)), zorder=1)
    return [(value, name, QUIET) for name, value in reference.items()]


def _name_lines(axes: "Axes", ends: Sequence[tuple[float, str, str]], height: float) -> None:
    """Names lines at the right edge, each as near to its height as the others allow; fixes the range of y.

    Args:
        ends: height, name and colour of each.
        height: of the panel, inches; its frame is some 0.6 inches less.
    """
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    places = _apart([value for value, _, _ in ends], (high - low) * LINE / (height - 0.6))
    for place, (_, name, colour) in zip(places, ends, strict=True):
        axes.annotate(
            textwrap.fill(name, 24), (1, place), (7, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", va="center", color=colour, annotation_clip=False,
        )  # fmt: skip


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """``places`` moved as little as possible, in squares, until any two are at least ``gap`` apart."""
    order = sorted(range(len(places)), key=lambda each: places[each])
    # Less its distance from the first, no place may lie below the one before it: those that do share their mean.
    pools: list[tuple[float, int]] = []
    for rank, each in enumerate(order):
        pools.append((places[each] - rank * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (upper, many), (lower, few) = pools.pop(-2), pools.pop()
            pools.append(((upper * many + lower * few) / (many + few), many + few))
    level = [mean for mean, count in pools for _ in range(count)]
    moved = [0.0] * len(places)
    for rank, each in enumerate(order):
        moved[each] = level[rank] + rank * gap
    return moved


# Where a label may stand: offset from its point in points, and which side of the text is turned towards it.
_PLACES = (
    (7, 0, "left", "center"), (0, 7, "center", "bottom"), (0, -7, "center", "top"), (-7, 0, "right", "center"),
    (5, 5, "left", "bottom"), (5, -5, "left", "top"), (-5, 5, "right", "bottom"), (-5, -5, "right", "top"),
)  # fmt: skip


def _placed(text: "Annotation", place: tuple[int, int, str, str]) -> "BboxBase":
    """Moves a label to ``place``; gives the pixels that it covers there."""
    *offset, horizontal, vertical = place
    text.set(position=offset, ha=horizontal, va=vertical)
    return text.get_window_extent()


def _around(axes: "Axes", point: Point) -> "BboxBase":
    """The pixels that a point's marker covers."""
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform((point.x, point.y))
    half = 4 * DPI / 72
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _within(inner: "BboxBase", outer: "BboxBase") -> bool:
    return bool(inner.x0 >= outer.x0 and inner.x1 <= outer.x1 and inner.y0 >= outer.y0 and inner.y1 <= outer.y1)


def _pixels(image: NDArray[Any], title: str) -> NDArray[np.float64]:
    """An image as numbers (H, W), or a ValueError."""
    array = np.asarray(image, dtype=np.float64)
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{title}: an image must be finite numbers of shape (H, W), not {_shape(array)}")
    return array


def _shape(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"


def _clipped(name: str, letters: int) -> str:
    name = folders.printable(name)
    return name if len(name) <= letters else name[: letters - 1].rstrip(" ,") + "…"
