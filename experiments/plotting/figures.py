"""Every figure of a set of runs, in the order of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.plotting import curves, gains, scores, strips, tradeoffs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from experiments.plotting.sheet import Drawing, Plot, Skipped


def charts(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """Draw every chart, or say why there is none."""
    yield from scores.ap_by_arm(drawing)
    yield from gains.recovered(drawing)
    yield from gains.recovered_looking_twice(drawing)
    yield from gains.harm(drawing)
    yield from scores.ap_by_size(drawing)
    yield from scores.per_class(drawing)
    yield from curves.precision_recall(drawing)
    yield from tradeoffs.psnr_recovered(drawing)
    yield from tradeoffs.cost_recovered(drawing)


def figures(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """Draw every chart, and the strips of crops."""
    yield from charts(drawing)
    yield from strips.strips(drawing)
