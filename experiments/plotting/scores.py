"""Figures of scores: AP by arm and severity, recovered fraction, AP by size of object, AP by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.markers import CARETLEFTBASE, CARETRIGHTBASE

from experiments.gain.picture_sets import file_name_of
from experiments.gain.records import SHARP
from experiments.plotting.layout import panel_columns, panel_titles
from experiments.plotting.sheet import MAX_COLUMNS, Drawing, Plot, Skipped, wrapped
from experiments.plotting.style import LABEL_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

    from detection.bootstrap import Interval
    from experiments.gain.records import ArmScore
    from experiments.plotting.runs import Series

AP_LABEL = "AP at IoU .50:.95 (points of 100)"
MINUS = "\N{MINUS SIGN}"
_AP_SIDE_LABEL = AP_LABEL.replace(" (", "\n(")
_WIDEST = 13.0  # inches, of panels side by side
_MOST_CLASSES = 20
_SIZES = {"small\n< 32² px": "ap_small", "medium\nto 96² px": "ap_medium", "large\n> 96² px": "ap_large"}
_ARROWHEAD = " An arrowhead: the fraction or its interval goes on beyond."
RECOVERED_VIEW = (-1.0, 2.0)
"""Of recovered fractions; beyond it an axis would show nothing but one wide interval."""


def ap_by_arm(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """AP of each arm over the severity of blur, with its interval; one panel a detector."""
    runs = drawing.runs
    scored = [(detector, blur) for detector, blur in runs.pairs if any(_ap(s, detector, blur) for s in runs.series)]
    if not scored:
        yield Skipped("ap_by_arm", "no arm has an AP")
        return
    detectors = [detector for detector in runs.detectors if any(detector == pair[0] for pair in scored)]
    arms_aside = len(runs.deblurred) + 1
    panel = max(2.6, (0.16 * arms_aside + 0.25) * (len(runs.blurs) + 1))
    columns = max(1, min(MAX_COLUMNS, len(detectors), int(_WIDEST / panel)))
    rows = -(-len(detectors) // columns)
    plot, body = drawing.sheet(
        "ap_by_arm",
        "Detection accuracy on sharp, blurred and restored pictures",
        f"Bars: {runs.confidence_percent} % bootstrap intervals over {runs.drawn_units}. All arms share their"
        " pictures, so overlapping bars do not mean that there is no difference: see the recovered fraction."
        + (" Dashed: the sharp pictures." if runs.of(SHARP) else ""),
        (max(6.2, columns * panel), 3.1 * rows + 0.4),
        runs.series,
    )
    axes = drawing.panels(body, detectors, columns, _AP_SIDE_LABEL, sharey=True)
    words = f"Blur: {runs.kind_words}" if runs.one_kind else "Blur"
    for ax, detector in zip(axes, detectors, strict=True):
        _arms_over_blurs(drawing, ax, detector)
        ax.set_xlabel("\n".join(wrapped(words, panel, LABEL_SIZE)))
    yield plot


def recovered(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """Recovered fraction of each deblurrer at each severity, with its interval; one panel a detector."""
    yield _recovered(
        drawing,
        "How much of what blur took does restoring give back?",
        "Recovered fraction: (AP restored - AP blurred) / (AP sharp - AP blurred). 0 %: as bad as blurred; 100 %: as"
        " good as sharp.",
    ) or Skipped("recovered", "no recovered fraction: it needs a deblurrer, sharp pictures, and AP lost to blur")


def recovered_looking_twice(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """The same of fused boxes, if there are any; the detector looks twice at sharp and blurred pictures as well."""
    if all(record.kind != "fused" for run in drawing.runs.runs for record in run.record.deblurrers):
        return
    yield _recovered(
        drawing,
        "How much does restoring give back to a detector that looks twice?",
        "Recovered fraction of fused boxes: (AP restored - AP blurred) / (AP sharp - AP blurred), each of two looks,"
        " the second at a mirror image. 0 %: as bad as blurred; 100 %: as good as sharp.",
        looking_twice=True,
    ) or Skipped("recovered_looking_twice", "no recovered fraction of two looks: it needs sharp pictures")


def _recovered(drawing: Drawing, title: str, caption: str, *, looking_twice: bool = False) -> Plot | None:
    runs = drawing.runs

    def fraction(series: Series, detector: str, blur: str) -> Interval | None:
        interval = series.recovered(detector, blur, looking_twice=looking_twice)
        return None if interval is None or interval.value is None else interval

    known = [d for d in runs.detectors if any(fraction(s, d, blur) for s in runs.deblurred for blur in runs.blurs)]
    if not known:
        return None
    shown = [s for s in runs.deblurred if not looking_twice or any(fraction(s, *pair) for pair in runs.pairs)]
    panels = {d: {blur: [(s, fraction(s, d, blur)) for s in shown] for blur in runs.blurs} for d in known}
    intervals = [interval for panel in panels.values() for rows in panel.values() for _, interval in rows if interval]
    columns = min(MAX_COLUMNS, len(known))
    panel_height = 0.9 + (0.34 * len(shown) + 0.15) * len(runs.blurs)
    plot, body = drawing.sheet(
        "recovered_looking_twice" if looking_twice else "recovered",
        title,
        f"{caption} Bars: {runs.confidence_percent} % paired bootstrap intervals over {runs.drawn_units}; hollow: the"
        " interval includes 0, or there is none."
        f"{_ARROWHEAD if any(any(is_beyond(each)) for each in intervals) else ''}",
        (max(6.2, 3.2 * columns + 1.4), -(-len(known) // columns) * panel_height),
        shown,
    )
    axes = drawing.panels(body, known, sharey=True, sharex=True)
    for ax, panel in zip(axes, panels.values(), strict=True):
        _recovered_rows(drawing, ax, panel)
    body.supxlabel("Recovered fraction (%)", size=9)
    return plot


def ap_by_size(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """AP of small, medium and large objects by arm; one panel a detector and blur."""
    runs = drawing.runs
    arms = [series for series in runs.series if series.deblurrer is None or not series.is_sharp]
    pairs = [
        pair
        for pair in runs.pairs
        if any(getattr(score, size) is not None for score in _scores(arms, *pair) for size in _SIZES.values())
    ]
    if not pairs:
        yield Skipped("ap_by_size", "no arm has an AP by size")
        return
    columns = panel_columns(drawing, len(pairs))
    plot, body = drawing.sheet(
        "ap_by_size",
        "Detection accuracy by size of object",
        "Size is the object's area in the annotations. No intervals: the bootstrap is of the overall AP. A missing bar"
        " means that there is no such object.",
        (max(6.2, 2.9 * columns), 2.3 * -(-len(pairs) // columns) + 0.5),
        arms,
        "bars",
    )
    axes = drawing.panels(body, panel_titles(drawing, pairs), columns, _AP_SIDE_LABEL, sharey=True)
    for ax, pair in zip(axes, pairs, strict=True):
        wide = 0.84 / len(arms)
        for place, series in enumerate(arms):
            score = series.score(*pair)
            values = [None if score is None else getattr(score, size) for size in _SIZES.values()]
            at = [x + _spread(place, len(arms)) * wide for x, value in enumerate(values) if value is not None]
            colour = drawing.palette.of(series.look)
            heights = [100 * value for value in values if value is not None]
            ax.bar(at, heights, wide * 0.92, color=colour, hatch=series.look.hatch)
        ax.set_xticks(range(len(_SIZES)), list(_SIZES))
        ax.tick_params(axis="x", length=0)
        ax.grid(axis="y")
    yield plot


def per_class(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """AP by class and arm, one panel a blur; one figure a detector."""
    runs = drawing.runs
    arms = [series for series in runs.series if series.deblurrer is None or not series.is_sharp]
    found = False
    for detector in runs.detectors:
        blurs = [blur for blur in runs.blurs if (detector, blur) in runs.pairs]
        counts = _objects_by_class(arms, detector, blurs)
        if not counts:
            continue
        found = True
        names = sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_CLASSES]
        several = len(runs.detectors) > 1
        columns = min(MAX_COLUMNS, len(blurs))
        shown = (
            f"The {len(names)} most frequent of {len(counts)} classes" if len(names) < len(counts) else "All classes"
        )
        plot, body = drawing.sheet(
            "per_class" + (f"_{file_name_of(detector)}" if several else ""),
            "Detection accuracy by class" + (f": {detector}" if several else ""),
            f"{shown} with objects in the truth, by number of objects (in brackets). Thin lines join the arms of a"
            " class. A class with few objects has a noisy AP.",
            (max(6.2, 2.3 * columns + 1.5), -(-len(blurs) // columns) * (0.9 + 0.24 * len(names))),
            arms,
        )
        labels = [f"{name} ({counts[name]:,})" for name in names]
        titles = [runs.blur_label(blur) for blur in blurs]
        for ax, blur in zip(drawing.panels(body, titles, columns, sharey=True, sharex=True), blurs, strict=True):
            _class_rows(drawing, ax, (detector, blur), arms, names)
            ax.set_yticks(range(len(names)), labels)
            ax.set_ylim(len(names) - 0.4, -0.6)
        body.supxlabel(AP_LABEL, size=9)
        yield plot
    if not found:
        yield Skipped("per_class", "no arm has an AP by class")


def _arms_over_blurs(drawing: Drawing, ax: Axes, detector: str) -> None:
    """Blur grows from left to right, from none; arms stand side by side within a severity."""
    runs, palette = drawing.runs, drawing.palette
    blurs = [blur for blur in runs.blurs if (detector, blur) in runs.pairs]
    sharp_arms = [series for series in runs.series if series.is_sharp]
    others = [series for series in runs.series if not series.is_sharp]
    start = 1 if sharp_arms else 0
    step = min(0.16, 0.7 / max(len(others), len(sharp_arms), 1))
    for place, series in enumerate(sharp_arms):
        _arm_point(drawing, ax, series, (detector, blurs[0]), _spread(place, len(sharp_arms)) * step)
    for place, series in enumerate(others):
        shift = start + _spread(place, len(others)) * step
        heights = [_arm_point(drawing, ax, series, (detector, blur), x + shift) for x, blur in enumerate(blurs)]
        if runs.one_kind:
            track = [(x + shift, height) for x, height in enumerate(heights) if height is not None]
            ax.plot(
                *zip(*track, strict=True), color=palette.of(series.look), linestyle=series.look.line, lw=1, alpha=0.6
            )
    for series in runs.of(SHARP):
        score = series.score(detector, blurs[0])
        if score is not None and score.ap is not None:
            ax.axhline(100 * score.ap, color=palette.ink, linestyle="--", linewidth=0.8, alpha=0.6, zorder=1)
    names = [runs.short_label(blur) if runs.one_kind else runs.blur_label(blur, narrow=True) for blur in blurs]
    labels = (["none"] if start else []) + names
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.tick_params(axis="x", length=0)
    ax.set_ylim(bottom=0)
    ax.grid(axis="y")


def _arm_point(drawing: Drawing, ax: Axes, series: Series, pair: tuple[str, str], x: float) -> float | None:
    """Draw an arm's AP; its height in points, None where there is no AP."""
    score = series.score(*pair)
    if score is None or score.ap is None:
        return None
    ends = None if score.ap_low is None or score.ap_high is None else (100 * score.ap_low, 100 * score.ap_high)
    drawing.point(ax, series, (x, 100 * score.ap), y_interval=ends)
    return 100 * score.ap


def _spread(place: int, count: int) -> float:
    """Places side by side around 0."""
    return place - (count - 1) / 2


def _recovered_rows(drawing: Drawing, ax: Axes, panel: dict[str, list[tuple[Series, Interval | None]]]) -> None:
    """One detector's fractions, a row for each series within each blur."""
    palette, runs = drawing.palette, drawing.runs
    low, high = RECOVERED_VIEW
    ax.axvline(0, color=palette.ink, linewidth=0.9, zorder=1)
    ax.axvline(100, color=palette.ink, linewidth=0.9, linestyle="--", zorder=1)
    ticks, y = {}, 0.0
    for number, (blur, rows) in enumerate(panel.items()):
        if number % 2 == 0 and len(panel) > 1:
            ax.axhspan(y - 0.6, y + len(rows) - 0.4, color=palette.band, zorder=0, linewidth=0)
        ticks[y + (len(rows) - 1) / 2] = runs.blur_label(blur, narrow=True)
        for series, interval in rows:
            text = _fraction_text(interval)
            if interval is not None and interval.value is not None:
                value = float(np.clip(interval.value, low, high))
                lowest, highest = _reach(interval)
                has_interval = interval.low is not None and interval.high is not None
                ends, cut = None, is_beyond(interval)
                if has_interval or any(cut):
                    ends = (100 * float(np.clip(lowest, low, high)), 100 * float(np.clip(highest, low, high)))
                sure = has_interval and not lowest <= 0 <= highest
                bars = drawing.point(ax, series, (100 * value, y), x_interval=ends)
                bars.lines[0].set_markerfacecolor(palette.of(series.look) if sure else palette.paper)
                _point_onwards(bars, cut)
            ax.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", size=7, color=palette.soft)
            y += 1
        y += 0.2
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(y - 0.6, -0.6)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def is_beyond(interval: Interval) -> tuple[bool, bool]:
    """Whether an interval, or a fraction that has none, goes on below and above what the axis shows."""
    low, high = _reach(interval)
    return low < RECOVERED_VIEW[0], high > RECOVERED_VIEW[1]


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


def _fraction_text(interval: Interval | None) -> str:
    if interval is None or interval.value is None:
        return "not defined"
    if interval.low is None or interval.high is None:
        return f"{_percent(interval.value)} % (no interval)"
    return f"{_percent(interval.value)} % [{_percent(interval.low)}, {_percent(interval.high)}]"


def _percent(fraction: float) -> str:
    """Whole percents, with decimals where they alone say on which side of 0 the fraction lies."""
    rounded = (f"{100 * fraction:z.{digits}f}" for digits in range(4))
    return next((text for text in rounded if float(text)), "0").replace("-", MINUS)


def _class_rows(drawing: Drawing, ax: Axes, pair: tuple[str, str], arms: list[Series], names: list[str]) -> None:
    reached: dict[int, list[float]] = {}
    for series in arms:
        score = series.score(*pair)
        for y, name in enumerate(names):
            value = None if score is None else score.per_class.get(name, {}).get("ap")
            if value is not None:
                drawing.point(ax, series, (100 * value, y))
                reached.setdefault(y, []).append(100 * value)
    for y, values in reached.items():
        ax.plot([min(values), max(values)], [y, y], color=drawing.palette.faint, linewidth=1.4, zorder=1)
    ax.set_xlim(left=-2)  # room for the left half of a mark at 0
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


def _objects_by_class(arms: list[Series], detector: str, blurs: list[str]) -> dict[str, int]:
    """Number of objects of each class that has an AP."""
    return {
        name: int(entry.get("n_truths") or 0)
        for blur in blurs
        for score in _scores(arms, detector, blur)
        for name, entry in score.per_class.items()
        if entry.get("ap") is not None
    }


def _scores(arms: list[Series], detector: str, blur: str) -> list[ArmScore]:
    return [score for series in arms if (score := series.score(detector, blur)) is not None]


def _ap(series: Series, detector: str, blur: str) -> bool:
    score = series.score(detector, blur)
    return score is not None and score.ap is not None
