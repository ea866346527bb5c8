"""The boxes that figures and the report draw: which of those saved, and whether two are of the same object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detection.annotations.records import annotated_classes
from experiments.gain.picture_tables import Boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.plotting.runs import OpenRun

SAME_OBJECT_IOU = 0.5


def drawn_confidence(run: OpenRun) -> float:
    """From which score a run's boxes are drawn."""
    return float(run.record.protocol["drawn_confidence"])


def selected(run: OpenRun, boxes: Boxes, confidence: float) -> Boxes:
    """The predictions of at least that score, of the classes that the run scored, or else of those annotated."""
    wanted = run.record.protocol["scoring"]["classes"]
    names = run.predictions.class_names if run.predictions else []
    if wanted is None:
        wanted = annotated_classes(names, run.record.data["reports"].values())
    chosen = [
        place
        for place, (class_index, score) in enumerate(zip(boxes.classes, boxes.scores, strict=True))
        if score >= confidence and names[class_index] in wanted
    ]
    return Boxes(
        [boxes.boxes[place] for place in chosen],
        [boxes.classes[place] for place in chosen],
        [boxes.scores[place] for place in chosen],
    )


def found_in(boxes: Boxes, others: Boxes) -> list[bool]:
    """For each box whether the others have one of its class in its place."""
    return [
        any(
            name == other_name and iou(box, other) >= SAME_OBJECT_IOU
            for other, other_name in zip(others.boxes, others.classes, strict=True)
        )
        for box, name in zip(boxes.boxes, boxes.classes, strict=True)
    ]


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes ``x1, y1, x2, y2``."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high)
