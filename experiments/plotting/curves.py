"""Precision over recall of each arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.plotting.layout import panel_columns, panel_titles
from experiments.plotting.sheet import Drawing, Plot, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

# Attribute of a curve: file name, title, what is averaged, what the area is.
_KINDS = {
    "precision": (
        "precision_recall",
        "Precision over recall, IoU .50:.95",
        "IoU thresholds .50:.05:.95 and classes",
        "AP",
    ),
    "precision50": ("precision_recall_iou50", "Precision over recall, IoU .50", "classes, at IoU .50", "AP50"),
}


def precision_recall(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """One panel a detector and blur; a figure of the mean over IoU thresholds and one at IoU .50."""
    runs = drawing.runs
    arms = [series for series in runs.series if series.deblurrer is None or not series.is_sharp]
    for attribute, (name, title, averaged, score) in _KINDS.items():
        lines = {
            pair: [
                (series, curve.recall, precision)
                for series in arms
                if (curve := series.curve(*pair)) is not None and (precision := getattr(curve, attribute)) is not None
            ]
            for pair in runs.pairs
        }
        pairs = [pair for pair in runs.pairs if lines[pair]]
        if not pairs:
            yield Skipped(name, "no precision over recall in curves.json")
            continue
        columns = panel_columns(drawing, len(pairs))
        plot, body = drawing.sheet(
            name,
            title,
            f"Interpolated precision, mean over {averaged}; the area below a line is that arm's {score}.",
            (max(6.2, 2.6 * columns), 2.4 * -(-len(pairs) // columns) + 0.5),
            arms,
            "lines",
        )
        axes = drawing.panels(body, panel_titles(drawing, pairs), columns, "Precision", sharex=True, sharey=True)
        for ax, pair in zip(axes, pairs, strict=True):
            for number, (series, recall, precision) in enumerate(lines[pair]):
                colour = drawing.palette.of(series.look)
                ax.plot(recall, precision, color=colour, linestyle=series.look.line, zorder=3)
                # Sparse markers, each arm at its own recalls, tell lines apart where colours cannot.
                at = np.arange(6 + 3 * number, len(recall), 24)
                at = at[np.asarray(precision)[at] > 0]
                ax.plot(
                    np.asarray(recall)[at],
                    np.asarray(precision)[at],
                    series.look.marker,
                    color=colour,
                    markersize=6 if series.look.marker == "*" else 4,
                    zorder=4,
                )
            ax.set(xlim=(0, 1), ylim=(0, 1.02))
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_ticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".50", ".75", "1"])
            ax.grid()
        body.supxlabel("Recall", size=9)
        yield plot
