"""The frame of every figure: title and caption above, protocol below, and the files it is saved as."""

from __future__ import annotations

import functools
import io
import math
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from deblur.runs import OTHER_OUTPUT, make_folder, write_atomically
from experiments.plotting.style import LEGEND_SIZE, PANEL_TITLE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import SubFigure

    from experiments.plotting.runs import Runs, Series
    from experiments.plotting.style import Palette

FORMATS = ("png", "pdf")
MAX_COLUMNS = 3
_DPI = 200
_TITLE_SIZE, _CAPTION_SIZE, _FOOT_SIZE = 11.0, 8.5, 6.0  # points
_MARGIN = 0.12  # inches
_HINTED = 1.03  # a PNG's letters start at whole dots, which makes a line of some letters wider
_TIED = "\N{NO-BREAK SPACE}"
_BESIDE = 0.6  # inches, of what stands beside a row of panels
Symbols = Literal["points", "lines", "bars"]
_LEGEND_LINE = 0.18  # inches
# Of a legend, in units of its letters' size: width of a symbol, and what lies before the label and between columns.
_LEGEND_MARKS: dict[Symbols, float] = {"points": 1.0, "lines": 2.8, "bars": 1.8}
_LEGEND_GAP, _LEGEND_APART = 0.8, 1.6


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure and the words that go with it.

    Attributes:
        name: of its files, without suffix.
        title: what it shows.
        caption: how to read it, and on how many pictures it stands.
        figure: to be saved inside `experiments.plotting.style.styled`.
    """

    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class Skipped:
    """A figure whose data the runs lack."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """What every figure is drawn from.

    Attributes:
        runs: the data.
        palette: neutral colours.
        framed: whether title, caption and protocol are part of the picture; a page of HTML has its own.
    """

    runs: Runs
    palette: Palette
    framed: bool = True

    def sheet(
        self,
        name: str,
        title: str,
        caption: str,
        size: tuple[float, float],
        series: Sequence[Series] = (),
        symbols: Symbols = "points",
    ) -> tuple[Plot, SubFigure]:
        """A figure with a legend and nothing else yet.

        Args:
            name: of its files.
            title: above it.
            caption: above it, smaller; the number of pictures is added.
            size: width and height in inches of the part to draw in; the legend's height is added, and where it is the
                wider of the two its width is taken.
            series: what the legend names, in order.
            symbols: what stands for a series in the figure.

        Returns:
            The figure and the part of it to draw in.
        """
        beside = (_LEGEND_MARKS[symbols] + _LEGEND_GAP + _LEGEND_APART) * LEGEND_SIZE / 72
        labels = [beside + text_width(one.label, LEGEND_SIZE) for one in series]
        width = max([size[0], *(label + 2 * _MARGIN for label in labels)])
        columns = _legend_columns(labels, width - 2 * _MARGIN)
        height = size[1] + _legend_height(-(-len(series) // columns))
        caption = f"{caption} {self.runs.counts}."
        if not self.framed:
            figure = Figure(figsize=(width, height), layout="constrained")
            body = figure.subfigures(1, 1, squeeze=False)[0, 0]
            self._legend(body, series, symbols, columns)
            return Plot(name, title, caption, figure), body
        inside = width - 2 * _MARGIN
        heading = wrapped(title, inside, _TITLE_SIZE, bold=True)
        lines = wrapped(caption, inside, _CAPTION_SIZE)
        foot = wrapped(f"Protocol: {self.runs.protocol_line}", inside, _FOOT_SIZE)
        head_high = _MARGIN + len(heading) * _line(_TITLE_SIZE) + len(lines) * _line(_CAPTION_SIZE) + _MARGIN / 2
        foot_high = _MARGIN + len(foot) * _line(_FOOT_SIZE)
        total = head_high + height + foot_high
        figure = Figure(figsize=(width, total), layout="constrained")
        body = figure.subfigures(3, 1, squeeze=False, height_ratios=[head_high, height, foot_high])[1, 0]
        left, top = _MARGIN / width, 1 - _MARGIN / total
        figure.text(left, top, "\n".join(heading), size=_TITLE_SIZE, weight="bold", va="top")
        below = top - len(heading) * _line(_TITLE_SIZE) / total
        figure.text(left, below, "\n".join(lines), size=_CAPTION_SIZE, color=self.palette.soft, va="top")
        figure.text(left, _MARGIN / 2 / total, "\n".join(foot), size=_FOOT_SIZE, color=self.palette.soft, va="bottom")
        self._legend(body, series, symbols, columns)
        return Plot(name, title, caption, figure), body

    def panels(
        self, body: SubFigure, titles: Sequence[str], columns: int = MAX_COLUMNS, side: str = "", **options: Any
    ) -> list[Axes]:
        """One axes for each title, left to right and down; places left over stay empty.

        Args:
            body: to draw in.
            titles: above the axes.
            columns: at most so many in a row.
            side: what stands beside each row, upright.
            options: of ``SubFigure.subplots``.
        """
        columns = min(columns, len(titles))
        rows = math.ceil(len(titles) / columns)
        grid = body.subplots(rows, columns, squeeze=False, **options)
        axes = list(grid.flat)
        for place, ax in enumerate(axes):
            if place >= len(titles):
                ax.set_axis_off()
            elif place + columns >= len(titles):
                ax.tick_params(labelbottom=True)  # the lowest of its column, whatever sharing says
        wide = (body.figure.get_figwidth() - _BESIDE) / columns - _MARGIN
        for ax, title in zip(axes, titles, strict=False):
            ax.set_title("\n".join(wrapped(title, wide, PANEL_TITLE_SIZE, bold=True)))
        # Not a label of the whole part, which would lie across a high legend.
        for ax in axes[: len(titles) : columns]:
            ax.set_ylabel(side)
        return axes[: len(titles)]

    def point(
        self,
        ax: Axes,
        series: Series,
        at: tuple[float, float],
        *,
        x_interval: Ends = None,
        y_interval: Ends = None,
    ) -> ErrorbarContainer:
        """A marker of a series with its interval.

        Args:
            ax: to draw on.
            series: whose look it has.
            at: x and y.
            x_interval: ends of a horizontal interval.
            y_interval: ends of an upright interval.
        """
        colour = self.palette.of(series.look)
        x, y = at
        return ax.errorbar(
            x,
            y,
            xerr=_reach(x, x_interval),
            yerr=_reach(y, y_interval),
            fmt=series.look.marker,
            markersize=9 if series.look.marker == "*" else 6,
            color=colour,
            markerfacecolor=self.palette.paper if series.look.hollow else colour,
            markeredgecolor=colour,
            ecolor=colour,
            elinewidth=1.2,
            capsize=2.5,
            capthick=1.2,
            zorder=3,
        )

    def _legend(self, body: SubFigure, series: Sequence[Series], symbols: Symbols, columns: int) -> None:
        """Name each series above the panels."""
        if series:
            body.legend(
                handles=[self._symbol(one, symbols) for one in series],
                loc="outside upper left",
                ncols=columns,
                handlelength=_LEGEND_MARKS[symbols],
                handletextpad=_LEGEND_GAP,
                columnspacing=_LEGEND_APART,
            )

    def _symbol(self, series: Series, symbols: Symbols) -> Artist:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        look, colour = series.look, self.palette.of(series.look)
        if symbols == "bars":
            return Patch(facecolor=colour, hatch=look.hatch, linewidth=0, label=series.label)
        return Line2D(
            [],
            [],
            color=colour,
            marker=look.marker,
            markersize=9 if look.marker == "*" else 6,
            markerfacecolor=self.palette.paper if look.hollow else colour,
            linestyle=look.line if symbols == "lines" else "none",
            label=series.label,
        )


Ends = tuple[float | None, float | None] | None
"""Lower and upper end of an interval; None where there is none."""


def save(plot: Plot, folder: Path) -> list[Path]:
    """Write a figure as PNG and PDF, the same whenever it is drawn from the same files.

    matplotlib's layout is sure to ten digits alone, and a PDF says them all: there the last may differ.

    Raises:
        DeblurError: the files cannot be written.
    """
    make_folder(folder, OTHER_OUTPUT)
    paths = []
    for suffix in FORMATS:
        path = folder / f"{plot.name}.{suffix}"
        write_atomically(path, rendered(plot.figure, suffix, plot.title))
        paths.append(path)
    return paths


def rendered(figure: Figure, suffix: Literal["png", "pdf", "svg"] | str, title: str) -> bytes:
    """A figure as the content of a file, without a date in it."""
    metadata: dict[str, str | None] = {"Title": title}
    if suffix == "pdf":
        metadata |= {"CreationDate": None, "ModDate": None}
    elif suffix == "svg":
        metadata |= {"Date": None}
    stream = io.BytesIO()
    figure.savefig(stream, format=suffix, dpi=_DPI, metadata=metadata)
    return stream.getvalue()


def _legend_columns(widths: Sequence[float], width: float) -> int:
    """As many columns as fit, each as wide as the widest of its entries; matplotlib shares them out like this."""
    fitting = (n for n in range(len(widths), 1, -1) if sum(map(max, np.array_split(widths, n))) <= width)
    return next(fitting, 1)


def _legend_height(rows: int) -> float:
    """In inches."""
    return rows * _LEGEND_LINE + _MARGIN if rows else 0.0


def _reach(value: float, ends: Ends) -> list[list[float]] | None:
    if ends is None or ends[0] is None or ends[1] is None:
        return None
    # A percentile interval may leave out the value itself; the marker then stands beside the bar.
    return [[max(0.0, value - ends[0])], [max(0.0, ends[1] - value)]]


def _line(size: float) -> float:
    """Height of a line of text in inches."""
    return size * 1.32 / 72


def wrapped(text: str, width: float, size: float, *, bold: bool = False) -> list[str]:
    """Lines of at most ``width`` inches, inside `experiments.plotting.style.styled`.

    Args:
        text: to break between words; a word that is too wide is broken.
        width: in inches.
        size: of the letters in points.
        bold: whether the letters are.
    """
    text = re.sub(r"(?<=\d) (?=%)|(?<=\bn) (?==)|(?<=n =) ", _TIED, text)
    for characters in range(_most_letters(text, width, size, bold), 1, -1):
        lines = textwrap.wrap(text, characters, break_on_hyphens=False)
        if all(text_width(line, size, bold=bold) <= width for line in lines):
            return [line.replace(_TIED, " ") for line in lines]
    return list(text)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width that a line may have in inches, with the fonts of `experiments.plotting.style.styled`.

    Args:
        text: one line.
        size: of the letters in points.
        bold: whether the letters are.
    """
    return _HINTED * size / 72 * sum(_letter_width(letter, bold) for letter in text)


def _most_letters(text: str, width: float, size: float, bold: bool) -> int:
    """No line within the width has more: longer ones are not tried, which takes twenty times as long."""
    reach = np.cumsum([0.0, *(text_width(letter, size, bold=bold) for letter in text)])
    ends = np.searchsorted(reach, reach + width + 1e-9, "right") - 1  # of the longest line from each letter on
    return int((ends - np.arange(len(reach))).max())


@functools.cache
def _letter_width(letter: str, bold: bool) -> float:
    """In units of the letters' size; letters are asked for one by one because a line takes milliseconds."""
    font = FontProperties(size=1, weight="bold" if bold else "normal")
    # Not its outline, which a space has none of: how far apart two and three of it reach.
    two, three = (text_to_path.get_text_width_height_descent(letter * n, font, ismath=False)[0] for n in (2, 3))
    return float(three - two)
