"""Figures of what restoring gives and takes: recovered fraction and harm, a row of marks for each deblurrer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.markers import CARETLEFTBASE, CARETRIGHTBASE

from experiments.gain.records import CONTROL
from experiments.plotting.sheet import MAX_COLUMNS, Drawing, Plot, Skipped
from experiments.plotting.style import in_hundredths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

    from detection.bootstrap import Interval
    from experiments.plotting.runs import Runs, Series

RECOVERED_VIEW = (-1.0, 2.0)
"""Of recovered fractions; beyond it an axis would show nothing but one wide interval."""
_EVERYTHING = (-math.inf, math.inf)
_LEAST_SPAN = 0.5  # points or percent
_ARROWHEAD = " An arrowhead: the fraction or its interval goes on beyond."
_TWO_PASSES = (
    " NAME+mirrored compares two passes of the detector with one over sharp and blurred pictures; in"
    f" {CONTROL} nothing is restored."
)


class _Row(NamedTuple):
    """A deblurrer's mark.

    Attributes:
        series: whose it is.
        interval: None where it was not measured.
        is_sure: whether it is filled.
    """

    series: Series
    interval: Interval | None
    is_sure: bool


class _Scale(NamedTuple):
    """How figures are shown.

    Attributes:
        view: what lies beyond is drawn at its ends.
        unit: behind a figure, which is 100 times what the runs have.
        digits: behind the point; more where they alone say on which side of 0 a figure lies.
        whole: where everything is, beside 0, where nothing is; None where there is no such place.
    """

    view: tuple[float, float]
    unit: str
    digits: int
    whole: float | None = None


def recovered(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """Recovered fraction of each deblurrer at each severity, with its interval; one panel a detector."""
    runs = drawing.runs

    def row(series: Series, detector: str, blur: str) -> _Row:
        interval = series.recovered(detector, blur)
        beyond = series.beyond_control(detector, blur)
        is_sure = _leaves_out_0(interval)
        if series.deblurrer == CONTROL or (is_sure and series.is_fused):
            is_sure = beyond is not None and beyond.low is not None and beyond.low > 0
        return _Row(series, interval, is_sure)

    yield _rows(
        drawing,
        "recovered",
        "How much of what blur took does restoring give back?",
        "Recovered fraction: (AP restored - AP blurred) / (AP sharp - AP blurred). 0 %: as bad as blurred; 100 %: as"
        f" good as sharp.{two_passes(runs)}",
        {d: {blur: [row(series, d, blur) for series in runs.deblurred] for blur in runs.blurs} for d in runs.detectors},
        _Scale(RECOVERED_VIEW, " %", 0, 100),
        "Recovered fraction (%)",
    ) or Skipped("recovered", "no recovered fraction: it needs a deblurrer, sharp pictures, and AP lost to blur")


def recovered_looking_twice(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """The same of fused boxes; the detector makes two passes over sharp and blurred pictures as well."""
    runs = drawing.runs
    fused = [series for series in runs.deblurred if series.is_fused]

    def row(series: Series, detector: str, blur: str) -> _Row:
        interval = series.recovered(detector, blur, looking_twice=True)
        return _Row(series, interval, _leaves_out_0(interval))

    yield _rows(
        drawing,
        "recovered_looking_twice",
        "How much does restoring give back with two passes of the detector?",
        "Recovered fraction of fused boxes: (AP restored - AP blurred) / (AP sharp - AP blurred), each of two passes,"
        " the second over a mirror image (test-time augmentation by a flip). 0 %: as bad as blurred; 100 %: as good"
        " as sharp.",
        {d: {blur: [row(series, d, blur) for series in fused] for blur in runs.blurs} for d in runs.detectors},
        _Scale(RECOVERED_VIEW, " %", 0, 100),
        "Recovered fraction (%)",
    ) or Skipped("recovered_looking_twice", _why_not_twice(runs))


def harm(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """AP that sharp pictures lose by going through each deblurrer, with its interval; one panel a detector."""
    runs = drawing.runs

    def row(series: Series, detector: str) -> _Row:
        blur = next(blur for blur in runs.blurs if (detector, blur) in runs.pairs)  # it is the same at all of them
        interval = series.harm(detector, blur)
        return _Row(series, interval, _leaves_out_0(interval))

    detectors = [detector for detector in runs.detectors if any(detector == pair[0] for pair in runs.pairs)]
    shown = [series for series in runs.deblurred if series.deblurrer != CONTROL]
    yield _rows(
        drawing,
        "harm",
        "What does restoring take from sharp pictures?",
        "AP of sharp pictures less that of the same pictures put through the deblurrer. 0: they lose nothing; below 0:"
        " they gain."
        + (" Of NAME+mirrored both are of two passes." if any(series.is_fused for series in shown) else ""),
        {detector: {"": [row(series, detector) for series in shown]} for detector in detectors},
        _Scale(_EVERYTHING, "", 1),
        "AP lost (points of 100)",
    ) or Skipped("harm", "no sharp pictures that went through a deblurrer")


def two_passes(runs: Runs) -> str:
    """A sentence for the caption where fractions compare two passes with one; empty where none does."""
    return _TWO_PASSES if any(series.is_fused for series in runs.deblurred) else ""


def paired_bars(runs: Runs, intervals: Iterable[Interval]) -> str:
    """A sentence for the caption where some of the figures drawn have an interval; empty where none has."""
    if all(interval.low is None for interval in intervals):
        return ""
    return f" Bars: {runs.confidence_percent} % paired bootstrap intervals over {runs.drawn_units}."


def is_beyond(interval: Interval, view: tuple[float, float] = RECOVERED_VIEW) -> tuple[bool, bool]:
    """Whether an interval, or a fraction that has none, goes on below and above what an axis shows."""
    low, high = _reach(interval)
    return low < view[0], high > view[1]


def _why_not_twice(runs: Runs) -> str:
    if not any(series.is_fused for series in runs.deblurred):
        return "no detector made two passes: it needs --fuse"
    results = [result for run in runs.runs for result in run.record.results]
    if not any(result.recovered_looking_twice for result in results):
        return "not measured when the run was scored, which experiments.rescore may add"
    return "no recovered fraction of two passes: it needs sharp pictures, and AP lost to blur"


def defined(interval: Interval | None) -> Interval | None:
    """The interval; None where there is no figure that it is of."""
    return None if interval is None or interval.value is None else interval


def _leaves_out_0(interval: Interval | None) -> bool:
    if interval is None or interval.low is None or interval.high is None:
        return False
    return not interval.low <= 0 <= interval.high


def _rows(
    drawing: Drawing,
    name: str,
    title: str,
    caption: str,
    panels: dict[str, dict[str, list[_Row]]],
    scale: _Scale,
    label: str,
) -> Plot | None:
    """A panel for each detector, in it a row for each deblurrer within each blur; None where nothing is defined.

    Args:
        drawing: what is drawn from.
        name: of the figure's files.
        title: above it.
        caption: to which is added what bars and marks are.
        panels: rows by detector and blur, in all panels of the same series.
        scale: of the figures.
        label: below the axes.
    """
    of_all = [row for panel in panels.values() for rows in panel.values() for row in rows]
    intervals = [interval for row in of_all if (interval := defined(row.interval))]
    if not intervals:
        return None
    shown = list(dict.fromkeys(row.series for row in of_all if defined(row.interval)))
    known = {
        detector: {blur: [row for row in rows if row.series in shown] for blur, rows in panel.items()}
        for detector, panel in panels.items()
        if any(defined(row.interval) for rows in panel.values() for row in rows)
    }
    columns = min(MAX_COLUMNS, len(known))
    blurs = len(next(iter(known.values())))
    panel_height = 0.9 + (0.34 * len(shown) + 0.15) * blurs
    hollow = " Hollow: the interval includes 0, or there is none."
    if any(not row.is_sure and _leaves_out_0(row.interval) for row in of_all):
        hollow = f"{hollow[:-1]}; or the AP does not surely lie beyond that of {CONTROL}, whose own mark always is."
    plot, body = drawing.sheet(
        name,
        title,
        f"{caption}{paired_bars(drawing.runs, intervals)}{hollow}"
        + (_ARROWHEAD if any(any(is_beyond(each, scale.view)) for each in intervals) else ""),
        (max(6.2, 3.2 * columns + 1.4), -(-len(known) // columns) * panel_height),
        shown,
    )
    axes = drawing.panels(body, list(known), sharey=True, sharex=True)
    for ax, panel in zip(axes, known.values(), strict=True):
        _draw_rows(drawing, ax, panel, scale)
    left, right = axes[0].get_xlim()
    if right - left < _LEAST_SPAN:  # nothing differs: of its own an axis would show rounding errors
        axes[0].set_xlim(-_LEAST_SPAN, _LEAST_SPAN)
    body.supxlabel(label, size=9)
    return plot


def _draw_rows(drawing: Drawing, ax: Axes, panel: dict[str, list[_Row]], scale: _Scale) -> None:
    """One detector's rows, those of a blur together."""
    palette, runs = drawing.palette, drawing.runs
    ax.axvline(0, color=palette.ink, linewidth=0.9, zorder=1)
    if scale.whole is not None:
        ax.axvline(scale.whole, color=palette.ink, linewidth=0.9, linestyle="--", zorder=1)
    ticks, y = {}, 0.0
    for number, (blur, rows) in enumerate(panel.items()):
        if number % 2 == 0 and len(panel) > 1:
            ax.axhspan(y - 0.6, y + len(rows) - 0.4, color=palette.band, zorder=0, linewidth=0)
        if blur:
            ticks[y + (len(rows) - 1) / 2] = runs.blur_label(blur, narrow=True)
        for row in rows:
            _draw_row(drawing, ax, row, y, scale)
            y += 1
        y += 0.2
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(y - 0.6, -0.6)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def _draw_row(drawing: Drawing, ax: Axes, row: _Row, y: float, scale: _Scale) -> None:
    palette, (series, interval, is_sure) = drawing.palette, row
    text = _text(interval, scale)
    if interval is not None and interval.value is not None:
        lowest, highest = _reach(interval)
        ends, cut = None, is_beyond(interval, scale.view)
        if (interval.low is not None and interval.high is not None) or any(cut):
            ends = (100 * float(np.clip(lowest, *scale.view)), 100 * float(np.clip(highest, *scale.view)))
        bars = drawing.point(ax, series, (100 * float(np.clip(interval.value, *scale.view)), y), x_interval=ends)
        bars.lines[0].set_markerfacecolor(palette.of(series.look) if is_sure else palette.paper)
        _point_onwards(bars, cut)
    ax.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", size=7, color=palette.soft)


def _reach(interval: Interval) -> tuple[float, float]:
    """From where to where an interval goes; of a fraction without one, the fraction itself twice."""
    value = interval.value or 0.0
    return (
        value if interval.low is None else interval.low,
        value if interval.high is None else interval.high,
    )


def _point_onwards(bars: ErrorbarContainer, cut: tuple[bool, bool]) -> None:
    """Put arrowheads in the place of caps where an interval is cut, so that caps are ends and nothing else."""
    for cap, marker, is_cut in zip(bars.lines[1], (CARETLEFTBASE, CARETRIGHTBASE), cut, strict=False):
        if is_cut:
            # The base lies on the cut and the tip beyond, past the mark of a fraction that is cut itself.
            cap.set(marker=marker, markersize=7, clip_on=False)


def _text(interval: Interval | None, scale: _Scale) -> str:
    if interval is None:
        return "not measured"
    if interval.value is None:
        return "not defined"
    value = f"{in_hundredths(interval.value, scale.digits)}{scale.unit}"
    if interval.low is None or interval.high is None:
        return f"{value} (no interval)"
    return f"{value} [{in_hundredths(interval.low, scale.digits)}, {in_hundredths(interval.high, scale.digits)}]"
