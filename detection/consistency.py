"""How well a detector agrees with itself: its boxes on restored pictures against its own boxes on the sharp ones.

Needs no annotations, and says nothing about being right: an object that the detector misses in the sharp picture counts
as a false box when it is found. So it is called consistency and never mAP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from detection.annotations.records import GroundTruth, TruthObjects
from detection.errors import DetectionError
from detection.scoring import score

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from detection.types import Detections


@dataclass(frozen=True, slots=True)
class Consistency:
    """Agreement with the detector's own result on sharp pictures.

    Attributes:
        consistency: Computed as AP is, with the sharp boxes in the place of truth; None where there are none.
        consistency50: The same at IoU .50 alone.
        confidence: From which a sharp box is taken.
        n_pictures: Pictures evaluated.
        n_references: Sharp boxes.
        n_predictions: Boxes compared with them.
    """

    consistency: float | None
    consistency50: float | None
    confidence: float
    n_pictures: int
    n_references: int
    n_predictions: int


def consistency(
    truth: GroundTruth,
    sharp: Mapping[str, Detections],
    predictions: Mapping[str, Detections],
    *,
    confidence: float = 0.25,
    classes: Collection[str] | None = None,
    picture_keys: Collection[str] | None = None,
    backend: str = "pycocotools",
) -> Consistency:
    """Score predictions against the same detector's predictions on sharp pictures.

    Args:
        truth: Whose pictures and class names are used; its objects are not.
        sharp: The detector's boxes on the sharp pictures, by stem.
        predictions: Its boxes on other versions of them, at the protocol's low confidence.
        confidence: Sharp boxes with a lower score are no reference.
        classes: As for `detection.scoring.score`.
        picture_keys: As for `detection.scoring.score`.
        backend: As for `detection.scoring.score`.

    Raises:
        DetectionError: as `detection.scoring.score`, also for a picture without sharp predictions.
    """
    chosen = truth if picture_keys is None else truth.subset(picture_keys)
    left_out = set(truth.stems).difference(chosen.stems)
    scores = score(
        references(chosen, sharp, confidence),
        {stem: found for stem, found in predictions.items() if stem not in left_out},
        classes=classes,
        backend=backend,
    )
    return Consistency(scores.ap, scores.ap50, confidence, scores.n_pictures, scores.n_truths, scores.n_predictions)


def references(truth: GroundTruth, sharp: Mapping[str, Detections], confidence: float = 0.25) -> GroundTruth:
    """The detector's confident boxes in the place of truth, on the pictures of ``truth``.

    Boxes without width or height are left out.

    Raises:
        DetectionError: a picture without sharp predictions.
    """
    missing = [stem for stem in truth.stems if stem not in sharp]
    if missing:
        raise DetectionError(f"{len(missing)} pictures have no sharp predictions, the first {missing[0]}")
    objects = {stem: _as_objects(sharp[stem].select(confidence)) for stem in truth.stems}
    report = {"format": "a detector's own boxes", "confidence": confidence, "n_pictures": len(objects)}
    return replace(truth, objects=objects, report=report | {"n_objects": sum(map(len, objects.values()))})


def _as_objects(found: Detections) -> TruthObjects:
    boxes = found.boxes.astype(np.float64)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    kept = np.flatnonzero((width > 0) & (height > 0))
    none = np.zeros(len(kept), bool)
    names = tuple(found.class_names[index] for index in kept)
    return TruthObjects(boxes[kept], names, (width * height)[kept], none, none)
