"""Figures of scores: AP by arm and severity, by size of object, by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.common.file_names import file_name_of
from experiments.gain.records import BLURRED, SHARP
from experiments.plotting.layout import panel_columns, panel_titles
from experiments.plotting.sheet import MAX_COLUMNS, Drawing, Plot, Skipped, wrapped
from experiments.plotting.style import LABEL_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from experiments.gain.records import ArmScore
    from experiments.plotting.runs import Runs, Series

AP_LABEL = "AP at IoU .50:.95 (points of 100)"
_AP_SIDE_LABEL = AP_LABEL.replace(" (", "\n(")
_WIDEST = 13.0  # inches, of panels side by side
_MOST_CLASSES = 20
_LEAST_AXIS = 1.0  # points of AP that an axis reaches, where nothing is found at all
_SIZES = {"small\n< 32² px": "ap_small", "medium\nto 96² px": "ap_medium", "large\n> 96² px": "ap_large"}


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
        " ".join(
            [_of_bars(runs)] * any(score.ap_low is not None for score in _all_scores(runs))
            + ["Dashed: the sharp pictures."] * bool(runs.of(SHARP))
        ),
        (max(6.2, columns * panel), 3.1 * rows + 0.4),
        runs.series,
    )
    axes = drawing.panels(body, detectors, columns, _AP_SIDE_LABEL, sharey=True)
    words = f"Blur: {runs.kind_words}" if runs.one_kind else "Blur"
    for ax, detector in zip(axes, detectors, strict=True):
        _arms_over_blurs(drawing, ax, detector)
        ax.set_xlabel("\n".join(wrapped(words, panel, LABEL_SIZE)))
    axes[0].set_ylim(0, _top(axes[0].get_ylim()))
    yield plot


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
        "Size is the object's area in the annotations. No intervals: the bootstrap is of the overall AP. 0: none of"
        " that size was found. Neither a bar nor 0: there is no such object.",
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
            for x, height in zip(at, heights, strict=True):
                if height == 0:
                    ax.annotate("0", (x, 0), ha="center", va="bottom", size=7, color=drawing.palette.soft)
        ax.set_xticks(range(len(_SIZES)), list(_SIZES))
        ax.tick_params(axis="x", length=0)
        ax.grid(axis="y")
    axes[0].set_ylim(0, _top(axes[0].get_ylim()))
    yield plot


def per_class(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """AP by class and arm of one pass, one panel a blur; one figure a detector."""
    runs = drawing.runs
    once = [series for series in runs.deblurred if series.of_deblurrer.kind != "fused"]
    # The blurred pictures last, on top: what restoring gives to a class is told from them.
    arms = [*runs.of(SHARP), *once, *runs.of(BLURRED)]
    of_one_pass = "; two passes are left out" if len(once) < len(runs.deblurred) else ""
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
            f" class{of_one_pass}. A class with few objects has a noisy AP.",
            (max(6.2, 2.3 * columns + 1.5), -(-len(blurs) // columns) * (0.9 + 0.24 * len(names))),
            arms,
        )
        labels = [f"{name} ({counts[name]:,})" for name in names]
        titles = [runs.blur_label(blur) for blur in blurs]
        axes = drawing.panels(body, titles, columns, sharey=True, sharex=True)
        for ax, blur in zip(axes, blurs, strict=True):
            _class_rows(drawing, ax, (detector, blur), arms, names)
            ax.set_yticks(range(len(names)), labels)
            ax.set_ylim(len(names) - 0.4, -0.6)
        right = _top(axes[0].get_xlim())
        axes[0].set_xlim(-0.03 * right, right)  # room for the left half of a mark at 0
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
            line = series.look.line
            ax.axhline(100 * score.ap, color=palette.ink, linestyle=line, linewidth=0.8, alpha=0.6, zorder=1)
    names = [runs.short_label(blur) if runs.one_kind else runs.blur_label(blur, narrow=True) for blur in blurs]
    labels = (["none"] if start else []) + names
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.tick_params(axis="x", length=0)
    ax.grid(axis="y")


def _top(limits: tuple[float, float]) -> float:
    """Where an axis of AP ends that all panels share: set before the last is drawn, it would cut off what is higher."""
    return max(limits[1], _LEAST_AXIS)


def _arm_point(drawing: Drawing, ax: Axes, series: Series, pair: tuple[str, str], x: float) -> float | None:
    """Draw an arm's AP; its height in points, None where there is no AP."""
    score = series.score(*pair)
    if score is None or score.ap is None:
        return None
    ends = None if score.ap_low is None or score.ap_high is None else (100 * score.ap_low, 100 * score.ap_high)
    bars = drawing.point(ax, series, (x, 100 * score.ap), y_interval=ends)
    bars.lines[0].set_clip_on(False)  # a mark at 0 is whole
    return 100 * score.ap


def _spread(place: int, count: int) -> float:
    """Places side by side around 0."""
    return place - (count - 1) / 2


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


def _of_bars(runs: Runs) -> str:
    other = "the AP differences in metrics.json and in the report"
    surer = "the recovered fraction and the harm" if runs.of(SHARP) else other
    return (
        f"Bars: {runs.confidence_percent} % basic bootstrap intervals over {runs.drawn_units}, which lie mostly below"
        " an AP and hold it less often than they say (docs/scoring.md). All arms share their pictures, so overlapping"
        f" bars do not mean that there is no difference: see {surer}."
    )


def _all_scores(runs: Runs) -> list[ArmScore]:
    return [score for pair in runs.pairs for score in _scores(runs.series, *pair)]


def _scores(arms: list[Series], detector: str, blur: str) -> list[ArmScore]:
    return [score for series in arms if (score := series.score(detector, blur)) is not None]


def _ap(series: Series, detector: str, blur: str) -> bool:
    score = series.score(detector, blur)
    return score is not None and score.ap is not None
