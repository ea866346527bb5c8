"""How panels are laid out and named where there is one for each detector and blur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.plotting.sheet import MAX_COLUMNS

if TYPE_CHECKING:
    from experiments.plotting.sheet import Drawing


def panel_columns(drawing: Drawing, count: int) -> int:
    """How many panels stand in a row: a row is a detector where the blurs fit into it."""
    blurs = len(drawing.runs.blurs)
    return min(count, blurs if 1 < blurs <= MAX_COLUMNS else MAX_COLUMNS)


def panel_titles(drawing: Drawing, pairs: list[tuple[str, str]]) -> list[str]:
    """Detector and blur; the blur alone where there are several of one detector."""
    runs = drawing.runs
    if len(runs.detectors) == 1 and len(runs.blurs) > 1:
        return [runs.blur_label(blur) for _, blur in pairs]
    return [f"{detector}, {runs.blur_label(blur)}" for detector, blur in pairs]
