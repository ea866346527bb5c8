"""COCO scores of predictions against truth, by pycocotools; docs/scoring.md has the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detection.matching import evaluator, prepare, silence

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from detection.annotations.records import GroundTruth
    from detection.types import Detections

# The order of pycocotools' `stats`.
FIGURES = (
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar1",
    "ar10",
    "ar",
    "ar_small",
    "ar_medium",
    "ar_large",
)
_WHOLE_RANGE = 0  # index of the sizes "all" in pycocotools' arrays
_MAX_DETECTIONS = -1  # index of 100 boxes a class and picture there


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Interpolated precision at 101 levels of recall, mean over the classes that have truth.

    Attributes:
        recall: 0, .01, ..., 1.
        precision: Mean over the IoU thresholds .50:.05:.95; its mean is AP. None without truth.
        precision50: At IoU .50; its mean is AP50. None without truth.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...] | None
    precision50: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class CocoScores:
    """The 12 COCO figures, fractions from 0 to 1; None where there is no truth to score against, never -1 or NaN.

    Attributes:
        ap: Average precision, mean over IoU .50:.05:.95 and the classes with truth.
        ap50: At IoU .50.
        ap75: At IoU .75.
        ap_small: Of objects with an area below 32² pixels.
        ap_medium: From 32² to 96².
        ap_large: Above 96².
        ar1: Average recall with at most 1 box a class and picture.
        ar10: With at most 10.
        ar: With at most 100.
        ar_small: As `ar`, of small objects.
        ar_medium: As `ar`, of medium objects.
        ar_large: As `ar`, of large objects.
        per_class: AP by class name; None for a class without truth.
        curve: Precision over recall.
        n_pictures: Pictures evaluated, those without truth included.
        n_truths: Objects that count.
        n_ignored: Crowd regions and difficult objects, which do not.
        n_predictions: Boxes that were scored.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    per_class: Mapping[str, float | None]
    curve: PrecisionRecall
    n_pictures: int
    n_truths: int
    n_ignored: int
    n_predictions: int


def score(
    truth: GroundTruth,
    predictions: Mapping[str, Detections],
    *,
    classes: Collection[str] | None = None,
    picture_keys: Collection[str] | None = None,
    backend: str = "pycocotools",
) -> CocoScores:
    """COCO scores: IoU .50:.05:.95, at most 100 boxes a class and picture, pictures without truth included.

    Nothing found anywhere is an AP of 0 with ``n_predictions`` 0; no truth is an AP of None. The order of pictures and
    of boxes with equal scores does not matter.

    Args:
        truth: Read with the detector's class names.
        predictions: By picture stem. Every picture evaluated needs an entry, which may be empty: a picture that was not
            looked at is not one where nothing was found.
        classes: Score these classes alone, in truth and predictions; None for all.
        picture_keys: Score these pictures (stems) alone; None for all of the truth.
        backend: ``pycocotools``, the one of record, or ``faster-coco-eval``.

    Raises:
        DetectionError: a picture or class that the truth does not know, a picture without predictions, or a backend
            that is not there.
    """
    job = prepare(truth, predictions, classes=classes, stems=picture_keys)
    judge = evaluator(job, backend)
    with silence():
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    # (IoU thresholds, recall levels, classes by category number, sizes, numbers of boxes); -1 where there is no truth.
    precision = np.asarray(judge.eval["precision"], dtype=np.float64)[..., _WHOLE_RANGE, _MAX_DETECTIONS]
    by_number = sorted(zip(job.category_ids, job.class_names, strict=True))
    class_ap = {name: _mean(precision[:, :, index]) for index, (_, name) in enumerate(by_number)}
    figures = {name: _known(value) for name, value in zip(FIGURES, judge.stats[: len(FIGURES)], strict=True)}
    return CocoScores(
        **figures,
        per_class={name: class_ap[name] for name in job.class_names},
        curve=_curve(precision, np.asarray(judge.params.recThrs)),
        n_pictures=len(job.pictures),
        n_truths=job.n_truths,
        n_ignored=job.n_ignored,
        n_predictions=job.n_predictions,
    )


def _curve(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> PrecisionRecall:
    with_truth = precision[:, :, precision[0, 0] > -1]
    if with_truth.shape[2] == 0:
        return PrecisionRecall(tuple(recall.tolist()), None, None)
    mean = with_truth.mean(axis=2)
    return PrecisionRecall(
        recall=tuple(recall.tolist()),
        precision=tuple(mean.mean(axis=0).tolist()),
        precision50=tuple(mean[0].tolist()),
    )


def _mean(precision: NDArray[np.float64]) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def _known(value: float) -> float | None:
    return float(value) if value > -1 else None
