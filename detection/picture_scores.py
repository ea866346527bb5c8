"""One score a picture, by which the pictures that restoring helped or hurt most are found.

AP belongs to a set: on one picture it hangs on the ranking of boxes within that picture and is undefined where there is
no truth. So a picture's score is F1 at the confidence a user would draw boxes at, mean over the IoU thresholds
.50:.05:.95, over all classes that are annotated, with COCO's matching. A missed object and a false box cost the same,
tighter boxes score higher, and a picture without truth scores 1 when left alone and 0 with any box on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detection.matching import N_THRESHOLDS, match_classes, prepare

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from detection.annotations.records import GroundTruth
    from detection.types import Detections


@dataclass(frozen=True, slots=True)
class PictureScore:
    """How well the boxes on one picture fit its objects.

    Attributes:
        f1: Mean over IoU .50:.05:.95 of 2 hits / (truths + boxes), 0 to 1; 1 where there is neither truth nor box.
        n_truths: Objects that count.
        n_boxes: Boxes of enough confidence, those on ignored objects left out (at IoU .50).
        n_hits: Boxes that match an object at IoU .50.
    """

    f1: float
    n_truths: int
    n_boxes: int
    n_hits: int


def score_pictures(
    truth: GroundTruth,
    predictions: Mapping[str, Detections],
    *,
    confidence: float = 0.25,
    classes: Collection[str] | None = None,
    picture_keys: Collection[str] | None = None,
) -> dict[str, PictureScore]:
    """Score each picture by itself.

    Args:
        truth: As for `detection.scoring.score`.
        predictions: As for `detection.scoring.score`.
        confidence: Boxes with a lower score are left out.
        classes: Score these classes alone, in truth and boxes; None for all that are annotated.
        picture_keys: As for `detection.scoring.score`.

    Returns:
        Score by picture stem.

    Raises:
        DetectionError: as `detection.scoring.score`.
    """
    confident = {stem: found.select(confidence) for stem, found in predictions.items()}
    job = prepare(truth, confident, classes=truth.annotated if classes is None else classes, stems=picture_keys)
    n_pictures = len(job.pictures)
    truths = np.zeros(n_pictures, np.int64)
    hits, boxes = np.zeros((2, N_THRESHOLDS, n_pictures), np.int64)
    for matches in match_classes(job):
        truths += matches.positives
        for threshold in range(N_THRESHOLDS):
            for total, flags in ((hits, matches.hits), (boxes, matches.counted)):
                total[threshold] += np.bincount(matches.pictures[flags[threshold]], minlength=n_pictures)
    involved = truths + boxes
    f1 = np.divide(2 * hits, involved, out=np.ones(hits.shape), where=involved > 0).mean(axis=0)
    return {
        picture.stem: PictureScore(float(f1[i]), int(truths[i]), int(boxes[0, i]), int(hits[0, i]))
        for i, picture in enumerate(job.pictures)
    }
