"""The boxes that figures and the report draw: which of those saved, and whether two are of the same object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from detection.annotations.records import annotated_classes
from experiments.gain.picture_tables import Boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.gain.picture_tables import PictureTruth
    from experiments.plotting.runs import OpenRun

SAME_OBJECT_IOU = 0.5


def drawn_confidence(run: OpenRun) -> float:
    """From which score a run's boxes are drawn."""
    return float(run.record.protocol["drawn_confidence"])


def selected(run: OpenRun, boxes: Boxes, confidence: float) -> Boxes:
    """The predictions of at least that score, of the classes that the run scored, or else of those annotated."""
    wanted = run.record.protocol["scoring"]["classes"]
    names = run.predictions.class_names
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


def scored_truth(run: OpenRun, detector: str, truth: PictureTruth) -> PictureTruth:
    """A picture's truth without boxes of classes that were not scored, or that the detector has none for."""
    names = run.predictions.class_names
    known = next(record.class_names for record in run.record.detectors if record.name == detector)
    wanted = set(names if known is None else known)  # older runs do not say what a detector knows
    chosen = run.record.protocol["scoring"]["classes"]
    if chosen is not None:
        wanted &= set(chosen)
    boxes = truth.truth
    kept = [place for place, class_index in enumerate(boxes.classes) if names[class_index] in wanted]
    left = Boxes([boxes.boxes[place] for place in kept], [boxes.classes[place] for place in kept])
    return replace(truth, truth=left, ignored=[truth.ignored[place] for place in kept])


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
