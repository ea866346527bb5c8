"""What recovered accuracy goes with: restoration quality (PSNR) and cost (time, multiply-accumulates)."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import TYPE_CHECKING

from experiments.gain.records import BLURRED
from experiments.plotting.gains import RECOVERED_VIEW, defined, is_beyond, paired_bars, two_passes
from experiments.plotting.sheet import MAX_COLUMNS, Drawing, Ends, Plot, Skipped
from experiments.plotting.style import MINUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.axes import Axes

    from detection.bootstrap import Interval
    from experiments.plotting.runs import Runs, Series

    Place = tuple[Series, str, float, float, Ends]
    """(deblurrer, blur, PSNR, recovered fraction in percent, its interval)."""

RECOVERED_LABEL = "Recovered fraction (%)"
_APART = 0.24  # between the blurs of one deblurrer; from one deblurrer to the next it is 1
_BLUR_WIDTH, _SIDE_WIDTH = 0.18, 0.6  # inches, of a blur of a deblurrer, and beside a panel
_BROAD, _PALE = 5, 0.4  # points, and opacity, of intervals of two passes: those of one lie on them
_LETTER, _LINE = 0.06, 0.06  # of labels in a panel: inches, share of its height
_PASSES = " Hollow, with thin bars: one pass of the detector; filled, with broad bars: two, over the same pictures."
_COSTS = {
    "ms_per_picture": "Time per picture (ms)",
    "gmacs": "10⁹ multiply-accumulates\nof a 1280x720 picture",
}


def psnr_recovered(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """PSNR of the pictures against recovered fraction; one panel a detector."""
    runs = drawing.runs
    deblurred = _by_passes(runs)
    places = {detector: _psnr_places(runs, deblurred, detector) for detector in runs.detectors}
    detectors = [detector for detector, points in places.items() if points]
    if not detectors:
        yield Skipped("psnr_recovered", "no deblurrer has both a PSNR and a recovered fraction")
        return
    columns = min(MAX_COLUMNS, len(detectors))
    size = (max(6.2, 3.0 * columns), 3.0 * -(-len(detectors) // columns) + 0.6)
    plot, body = drawing.sheet(
        "psnr_recovered",
        "Does a higher PSNR mean better detection?",
        f"Blur: {runs.blurs_line}. Each line leads from the blurred pictures (0 % by definition) to the restored ones."
        f"{_PASSES if any(map(_has_two_passes, deblurred)) else ''}"
        f"{two_passes(runs)}{paired_bars(runs, _intervals(runs))} PSNR is of 8-bit RGB, mean over"
        f" {_averaged(runs)}.{_beyond(runs)}",
        size,
        [*runs.of(BLURRED)[:1], *deblurred],
    )
    labelled: list[tuple[Axes, dict[str, float]]] = []
    axes = drawing.panels(body, detectors, side=RECOVERED_LABEL, sharex=True, sharey=True)
    for ax, detector in zip(axes, detectors, strict=True):
        ax.axhline(0, color=drawing.palette.ink, linewidth=0.8, zorder=1)
        _draw_restored(drawing, ax, detector, places[detector])
        starts = _draw_starts(drawing, ax, detector, dict.fromkeys(blur for _, blur, *_ in places[detector]))
        if len(runs.blurs) > 1:
            labelled.append((ax, {runs.short_label(blur): start for blur, start in starts.items()}))
        ax.grid()
    _name_starts(drawing, labelled, plot.figure.get_figwidth() / columns - _SIDE_WIDTH)
    body.supxlabel("PSNR (dB)", size=9)
    yield plot


def cost_recovered(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """Cost of each deblurrer against recovered fraction; a row a detector, a column a kind of cost."""
    runs = drawing.runs
    costs = [cost for cost in _COSTS if any(getattr(series.of_deblurrer, cost) for series in runs.deblurred)]
    priced = [series for series in runs.deblurred if any(getattr(series.of_deblurrer, cost) for cost in costs)]
    detectors = [
        detector
        for detector in runs.detectors
        if any(_recovered(series, detector, blur) for series in priced for blur in runs.blurs)
    ]
    if not detectors:
        yield Skipped("cost_recovered", "no deblurrer has both a known cost and a recovered fraction")
        return
    points = "; its points are the blurs from left to right" if len(runs.blurs) > 1 else ""
    plot, body = drawing.sheet(
        "cost_recovered",
        "What does recovered accuracy cost?",
        f"Blur: {runs.blurs_line}. Each deblurrer at what it costs, the cheapest first, not to scale{points}."
        f"{paired_bars(runs, _intervals(runs))} Time is the median of its run, files not included, beside whatever else"
        " the machine did: near ones may stand the wrong way round. experiments.speed measures it properly."
        f"{_left_out(runs, costs)}{_beyond(runs)}",
        (
            max(6.2, len(costs) * (_SIDE_WIDTH + _BLUR_WIDTH * len(priced) * (len(runs.blurs) + 1))),
            2.5 * len(detectors) + 0.6,
        ),
        priced,
    )
    titles = [detector for detector in detectors for _ in costs]
    axes = drawing.panels(body, titles, len(costs), RECOVERED_LABEL, sharey=True, sharex="col")
    for number, ax in enumerate(axes):
        detector, cost = detectors[number // len(costs)], costs[number % len(costs)]
        price_of = operator.attrgetter(f"of_deblurrer.{cost}")
        ordered = sorted(filter(price_of, priced), key=price_of)
        ax.axhline(0, color=drawing.palette.ink, linewidth=0.8, zorder=1)
        for slot, series in enumerate(ordered):
            for place, blur in enumerate(runs.blurs):
                x = slot + _APART * (place - (len(runs.blurs) - 1) / 2)
                for value, ends in _recovered(series, detector, blur):
                    drawing.point(ax, series, (x, value), y_interval=ends)
        ax.set_xticks(range(len(ordered)), [_three_digits(price_of(series)) for series in ordered])
        ax.set_xlim(-0.6, len(ordered) - 0.4)
        if number >= len(axes) - len(costs):
            ax.set_xlabel(_COSTS[cost])
        ax.grid(axis="y")
    yield plot


def _has_two_passes(series: Series) -> bool:
    """Whether its boxes are of two passes of the detector; the control's are, too."""
    return series.of_deblurrer.kind == "fused"


def _by_passes(runs: Runs) -> list[Series]:
    """Restored pictures; where some have two passes, those of one are hollow: the PSNR of both is the same."""
    if not any(map(_has_two_passes, runs.deblurred)):
        return runs.deblurred
    return [
        series if _has_two_passes(series) else replace(series, look=replace(series.look, hollow=True))
        for series in runs.deblurred
    ]


def _psnr_places(runs: Runs, deblurred: Sequence[Series], detector: str) -> list[Place]:
    """Where restored pictures lie in a detector's panel: those that have both a PSNR and a recovered fraction."""
    return [
        (series, blur, score.psnr, value, ends)
        for blur in runs.blurs
        for series in deblurred
        if (score := series.score(detector, blur)) is not None and score.psnr is not None
        for value, ends in _recovered(series, detector, blur)
    ]


def _draw_restored(drawing: Drawing, ax: Axes, detector: str, places: Sequence[Place]) -> None:
    """Draw the restored pictures, each with a line from the blurred ones; what had one pass above what had two."""
    for series, blur, psnr, value, ends in sorted(places, key=lambda place: place[0].look.hollow):
        for start in _blurred_psnr(drawing, detector, blur):
            ax.plot([start, psnr], [0, value], color=drawing.palette.of(series.look), lw=0.9, alpha=0.5, zorder=2)
        bars = drawing.point(ax, series, (psnr, value), y_interval=ends)
        if _has_two_passes(series):
            for bar in bars.lines[2]:
                bar.set(linewidth=_BROAD, alpha=_PALE, zorder=2)
            for cap in bars.lines[1]:
                cap.set_visible(False)
        elif series.look.hollow:
            bars.lines[0].set_markerfacecolor("none")  # what had two passes may lie below it


def _draw_starts(drawing: Drawing, ax: Axes, detector: str, blurs: Iterable[str]) -> dict[str, float]:
    """Draw the blurred pictures, at 0 % by definition; returns their PSNR by blur."""
    starts = {blur: start for blur in blurs for start in _blurred_psnr(drawing, detector, blur)}
    for start in starts.values():
        drawing.point(ax, drawing.runs.of(BLURRED)[0], (start, 0))
    return starts


def _name_starts(drawing: Drawing, labelled: list[tuple[Axes, dict[str, float]]], width: float) -> None:
    """Write what blur each place stands for along the lower edge, below all that is drawn, and lead up to it.

    Args:
        drawing: whose colours it has.
        labelled: panels that share their axes, each with PSNR by blur.
        width: of a panel in inches.
    """
    if not labelled:
        return
    left, right = labelled[0][0].get_xlim()
    low, high = labelled[0][0].get_ylim()
    lines = []
    for ax, starts in labelled:
        free: list[float] = []  # where the last label of each line ends, in inches
        for label, start in sorted(starts.items(), key=operator.itemgetter(1)):
            half = _LETTER * len(label) / 2
            middle = min(max((start - left) / (right - left) * width, half), max(width - half, half))
            line = next((number for number, end in enumerate(free) if end <= middle - half), len(free))
            free[line : line + 1] = [middle + half + _LETTER]
            lines.append((ax, label, start, left + middle / width * (right - left), line))
    bottom = low - (0.03 + _LINE * (1 + max(line for *_, line in lines))) * (high - low)
    for ax, label, start, middle, line in lines:
        ax.set_ylim(bottom, high)
        height = bottom + _LINE * (line + 0.2) * (high - low)
        ax.text(middle, height, label, size=7, ha="center", va="bottom", zorder=4)
        ends = [height + _LINE * (high - low), 0]
        ax.plot([start, start], ends, color=drawing.palette.soft, linestyle=":", linewidth=0.7, zorder=1)


def _recovered(series: Series, detector: str, blur: str) -> list[tuple[float, Ends]]:
    """Recovered fraction in percent with its interval: one entry, or none where it is not defined."""
    interval = series.recovered(detector, blur)
    if interval is None or interval.value is None:
        return []
    if interval.low is None or interval.high is None:
        return [(_percent_shown(interval.value), None)]
    return [(_percent_shown(interval.value), (_percent_shown(interval.low), _percent_shown(interval.high)))]


def _percent_shown(fraction: float) -> float:
    """In percent, no farther than the axis goes: few pictures may say minus ten times, which would flatten all else."""
    low, high = RECOVERED_VIEW
    return 100 * min(max(fraction, low), high)


def _beyond(runs: Runs) -> str:
    """A sentence for the caption where something lies beyond the axis."""
    if not any(any(is_beyond(each)) for each in _intervals(runs)):
        return ""
    low, high = RECOVERED_VIEW
    return f" What lies beyond {100 * low:.0f} or {100 * high:.0f} % is drawn there.".replace("-", MINUS)


def _intervals(runs: Runs) -> list[Interval]:
    """Of every recovered fraction."""
    known = (defined(series.recovered(*pair)) for series in runs.deblurred for pair in runs.pairs)
    return [interval for interval in known if interval is not None]


def _left_out(runs: Runs, costs: Sequence[str]) -> str:
    """A sentence for the caption on deblurrers that a column lacks; empty where none lacks any."""

    def lacking(cost: str) -> str:
        once = [series for series in runs.deblurred if series.of_deblurrer.kind == "network" and cost in costs]
        return ", ".join(series.label for series in once if not getattr(series.of_deblurrer, cost))

    parts = []
    if untimed := lacking("ms_per_picture"):
        parts.append(f"time of {untimed}, by which the last sitting restored nothing")
    if uncounted := lacking("gmacs"):
        parts.append(f"multiply-accumulates of {uncounted}, which depend on the picture")
    if others := ", ".join(series.label for series in runs.deblurred if series.of_deblurrer.kind == "folder"):
        parts.append(f"{others}, restored by other programs at a cost that is not known")
    if any(series.is_fused for series in runs.deblurred):
        parts.append("two passes, which take the detector's time twice")
    return f" Left out: {'; '.join(parts)}." if parts else ""


def _averaged(runs: Runs) -> str:
    """Which pictures PSNR is the mean over, in words."""
    scores = (series.score(detector, blur) for series in runs.deblurred for detector, blur in runs.pairs)
    fewer = any(score.n_psnr is not None and score.n_psnr < score.n_pictures for score in scores if score)
    return "the pictures that no arm of the blur has exactly" if fewer else "pictures"


def _blurred_psnr(drawing: Drawing, detector: str, blur: str) -> list[float]:
    scores = (series.score(detector, blur) for series in drawing.runs.of(BLURRED))
    return [score.psnr for score in scores if score is not None and score.psnr is not None][:1]


def _three_digits(cost: float) -> str:
    """0.251, 18.6, 227 or 1,093."""
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"
