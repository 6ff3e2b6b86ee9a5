"""Figures for a paper's page: Matplotlib figures from arrays and plain values.

This module measures nothing and reads no files. A figure is at most `WIDTH` inches wide and meant for `DPI` pixels per
inch, on white, with text that can be read at that size. Colour-blind people can distinguish its colours, and lines also
differ in their markers. Equal values give equal pictures, whatever the user's Matplotlib settings: all drawing happens
inside `style`.

Matplotlib is slow to load, so functions import it when they need it; `pyplot` is never imported.
"""

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from veil.report.label_placement import DPI, LETTER, LINE, SIZE, WIDTH, name_groups, name_lines, name_points, shorten
from veil.runtime.files import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, RULE, TRACK = "#1c2326", "#5a656b", "#dfe2e4", "#e6e9ea"
PALETTE = ("#0a62a8", "#c2500a", "#20262a", "#0b7d62", "#7a1f5c")  # each at least 4.5 to 1 against white
MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚"}  # as drawn, and as written
NOISE = ("#0b2e6f", "#2f7bbd", "#ffffff", "#d6543f", "#7d0b1d")  # from the most negative to the most positive

Answers = Sequence[tuple[str, float]]  # names and probabilities
Point = tuple[float, float, str]  # x, y, and a label that may be empty


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
        _check_finite(*self.x, *self.y, *spread)


@dataclass(frozen=True)
class Panel:
    """Curves by name over one quantity ``ylabel``; ``reference``: named values of it, drawn as level lines."""

    series: Mapping[str, Curve]
    ylabel: str
    reference: Mapping[str, float] = field(default_factory=dict)


@contextmanager
def style() -> Iterator[None]:
    """Uses Matplotlib's defaults and ours, instead of the user's, while figures are drawn and saved."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({
            "font.family": "DejaVu Sans", "font.size": SIZE, "text.color": INK, "text.parse_math": False,
            "axes.titlesize": SIZE, "axes.labelcolor": INK, "axes.edgecolor": QUIET, "axes.linewidth": 0.8,
            "axes.spines.top": False, "axes.spines.right": False,
            "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": RULE,
            "xtick.color": QUIET, "xtick.labelcolor": INK, "ytick.color": QUIET, "ytick.labelcolor": INK,
            "legend.frameon": False, "figure.constrained_layout.h_pad": 0.07, "figure.constrained_layout.w_pad": 0.07,
            "figure.dpi": DPI, "savefig.dpi": DPI,
        })  # fmt: skip
        yield


def png(figure: "Figure") -> bytes:
    """The figure as a PNG file without date and software."""
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
        limit: values at or beyond ± this have the full colour.
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
    colours = LinearSegmentedColormap.from_list("noise", NOISE, N=257)  # an odd number has a middle
    for axes, noise in zip(panels, arrays, strict=True):
        shown = axes.imshow(noise, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
    low, high = (any(bool((sign * noise > limit).any()) for noise in arrays) for sign in (-1, 1))
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[low, high]
    rows = -(-len(panels) // columns)
    bar = figure.colorbar(shown, ax=panels, aspect=12 * rows + 6, ticks=np.linspace(-limit, limit, 5), extend=extend)
    bar.set_label(label)
    bar.outline.set_edgecolor(QUIET)
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
def image_grid(images: Mapping[str, NDArray[Any]], *, columns: int = 4) -> "Figure":
    """Colour images by title, each uint8 (H, W, 3), shown pixel by pixel.

    Raises:
        ValueError: where an image has another type or shape, or there is none.
    """
    for title, image in images.items():
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"{title}: an image must be uint8 (H, W, 3), not {_shape(image)}")
    figure, panels = _grid(list(images.values()), list(images), columns)
    for axes, image in zip(panels, images.values(), strict=True):
        axes.imshow(image, interpolation="nearest")
    return figure


@style()
def bars(
    series: Mapping[str, Mapping[str, float]],
    ylabel: str,
    *,
    xlabel: str = "",
    errors: Mapping[str, Mapping[str, float]] | None = None,
    reference: Mapping[str, float] | None = None,
    values: str | None = None,
) -> "Figure":
    """Bars in groups along x; a group has one bar per series, in the colour of the series.

    Args:
        series: value by group by series, as ``{"paper": {"0": 17.8}, "Veil": {"0": 16.2}}``; the place of a missing
            group stays empty.
        errors: half the length of the error bars, likewise.
        reference: named values, drawn as level lines.
        values: format of the numbers on the bars, as ``.1f``; None for no numbers.

    Raises:
        ValueError: if there is no bar, a height is not finite, or an error has no bar.
    """
    errors = errors or {}
    groups = _names(series.values())
    if not groups:
        raise ValueError("there is nothing to draw as bars")
    _check_finite(*(height for heights in series.values() for height in heights.values()))
    for name, lengths in errors.items():
        if strangers := lengths.keys() - series.get(name, {}).keys():
            raise ValueError(f"{name}: errors for {', '.join(sorted(strangers))}, where it has no bar")
    figure, axes = _axes(3.6, xlabel, ylabel)
    width = 0.82 / len(series)
    for number, (name, heights) in enumerate(series.items()):
        first = (number - (len(series) - 1) / 2) * width
        drawn = axes.bar(
            [groups.index(group) + first for group in heights], list(heights.values()), 0.94 * width,
            color=PALETTE[number % len(PALETTE)], label=name,
            yerr=[errors[name].get(group, np.nan) for group in heights] if name in errors else None,
            error_kw={"ecolor": INK, "elinewidth": 1.1, "capsize": 2.5},
        )  # fmt: skip
        if values is not None:
            numbers = [f"{height:{values}}".replace("-", "−") for height in heights.values()]
            axes.bar_label(drawn, numbers, padding=2, fontsize=SIZE - 1.5)
    name_groups(figure, axes, groups)
    axes.margins(y=0.08)
    if axes.get_ylim()[0] < 0:
        axes.axhline(0, color=QUIET, linewidth=0.8)
    name_lines(axes, _references(axes, reference or {}), 3.6)
    _legend(figure, list(series))
    return figure


@style()
def curves(panels: Sequence[Panel], xlabel: str) -> "Figure":
    """Panels one below the other over the same x: lines with markers, their spread as a shade, named at their ends.

    Raises:
        ValueError: where there is no panel, or one without a curve.
    """
    if not panels or not all(panel.series for panel in panels):
        raise ValueError("there is nothing to draw as curves")
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, MaxNLocator

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
            axes.plot(x, y, color=colour, marker=_marker(number)[0], markersize=5.5, linewidth=1.8)
            ends.append((float(y[-1]), f"{_marker(number)[1]} {name}", colour))
        axes.set_ylabel(textwrap.fill(panel.ylabel, int(0.9 * height / LETTER)))
        ends += _references(axes, panel.reference)
        if all(x.is_integer() for x in every):
            axes.xaxis.set_major_locator(FixedLocator(sorted(every)) if len(every) <= 12 else MaxNLocator(integer=True))
        name_lines(axes, ends if len(names) > 1 or panel.reference else [], height)
    drawn[-1].set_xlabel(xlabel)
    figure.align_ylabels(drawn)
    return figure


@style()
def scatter(
    series: Mapping[str, Sequence[Point]],
    xlabel: str,
    ylabel: str,
    *,
    connected: Collection[str] = (),
    reference: Mapping[str, float] | None = None,
) -> "Figure":
    """One measure against another: points with labels, which stand beside their points if there is room.

    Args:
        series: points, ``(x, y, label)``, by name.
        connected: names of the series whose points a line connects in their order.
        reference: named values of y, drawn as level lines.

    Raises:
        ValueError: if there is no point, a point is not finite, or a name in ``connected`` is not a series.
    """
    if not any(series.values()) or not set(connected) <= series.keys():
        raise ValueError(f"no points, or no series to connect: {', '.join(connected)} of {', '.join(series)}")
    _check_finite(*(number for points in series.values() for x, y, _ in points for number in (x, y)))
    figure, axes = _axes(4.2, xlabel, ylabel)
    axes.grid(visible=True, axis="both")
    axes.margins(0.08)
    marked = []
    for number, (name, points) in enumerate(series.items()):
        colour = PALETTE[number % len(PALETTE)]
        axes.plot(
            [x for x, _, _ in points], [y for _, y, _ in points], label=name, color=colour, linewidth=1.6,
            marker=_marker(number)[0], markersize=6.5, linestyle="-" if name in connected else "",
        )  # fmt: skip
        marked += [(*point, colour) for point in points]
    unseen = [line for line, name in zip(axes.lines, series, strict=True) if name not in connected]
    name_lines(axes, _references(axes, reference or {}), 4.2)
    _legend(figure, list(series))
    axes.autoscale(enable=False)
    figure.draw_without_rendering()  # settles the layout
    name_points(axes, marked, [line for line in axes.lines if line not in unseen])
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
        answers_before: names and probabilities, best first; all of them are shown.
        answers_after: the same for the released photo.
        factor: by which the noise was multiplied.
        truth: the answer to mark in bold and in another colour.

    Raises:
        ValueError: if the pictures are not uint8 of one shape (H, W, 3), or a probability is not within [0, 1].
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
    count = max(len(ranking) for ranking in answers.values())
    if not all(0 <= share <= 1 for ranking in answers.values() for _, share in ranking):
        raise ValueError("a probability is not within [0, 1]")
    column = (WIDTH - 0.6) / 3
    heights = [min(column * original.shape[0] / original.shape[1], 1.4 * column), 0.36 * max(count, 1)]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.65), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=heights)
    for place, (title, picture) in enumerate(pictures.items()):
        axes = figure.add_subplot(grid[0, place])
        axes.imshow(picture)
        axes.set_title(title)
        axes.set_axis_off()
    for place, ranking in enumerate(answers.values()):
        _draw_answers(figure.add_subplot(grid[1, place]), ranking, count, truth, column)
    return figure


def _draw_answers(axes: "Axes", answers: Answers, count: int, truth: str | None, width: float) -> None:
    """A line of text and a bar below it for each answer, in ``count`` places; ``width``: of the axes, inches."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(max(count, 1), 0))
    for place, (name, share) in enumerate(answers):
        weight = "bold" if name == truth else "normal"
        text = axes.text(0, place + 0.54, printable(name), va="baseline", fontweight=weight)
        number = axes.text(1, place + 0.54, f"{100 * share:.2f} %", va="baseline", ha="right", fontweight=weight)
        shorten(text, width - number.get_window_extent().width / DPI - 0.1)
        axes.barh(place + 0.8, 1, 0.16, color=TRACK)
        axes.barh(place + 0.8, share, 0.16, color=PALETTE[1 if name == truth else 0])


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
    titles = [textwrap.fill(title, int(side / LETTER)) for title in titles]
    heading = (0.8 + max(title.count("\n") + 1 for title in titles)) * LINE
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
    """Every name once, in order of first appearance."""
    return list(dict.fromkeys(name for group in groups for name in group))


def _marker(number: int) -> tuple[str, str]:
    """The marker of a series, as Matplotlib calls it and as a letter."""
    return list(MARKERS.items())[number % len(MARKERS)]


def _legend(figure: "Figure", names: Sequence[str]) -> None:
    """A legend above the frame if there are several series: in one line, or in pairs if the line would be too long."""
    if len(names) > 1:
        width = sum(LETTER * len(name) + 0.75 for name in names)
        figure.legend(loc="outside upper left", ncols=len(names) if width <= WIDTH else 2, handlelength=1.6)


def _references(axes: "Axes", reference: Mapping[str, float]) -> list[tuple[float, str, str]]:
    """Draws the level lines; returns their heights, names and colour."""
    for value in reference.values():
        axes.axhline(value, color=QUIET, linewidth=1.1, linestyle=(0, (5, 3)), zorder=1)
    return [(value, name, QUIET) for name, value in reference.items()]


def _check_finite(*numbers: float) -> None:
    if not np.isfinite(numbers).all():
        raise ValueError("numbers to draw must be finite; leave out what is not known")


def _pixels(image: NDArray[Any], title: str) -> NDArray[np.float64]:
    """An image as numbers (H, W), or a ValueError."""
    array = np.asarray(image, dtype=np.float64)
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{title}: an image must be finite numbers of shape (H, W), not {_shape(array)}")
    return array


def _shape(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
