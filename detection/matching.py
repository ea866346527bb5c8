"""From truth and predictions to the two COCO libraries: what is scored, checked to be total, as they want it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

import numpy as np

from detection.errors import DetectionError
from detection.naming import refuse_one_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from detection.annotations.records import GroundTruth, TruthPicture
    from detection.types import Detections

BACKENDS = ("pycocotools", "faster-coco-eval")
N_THRESHOLDS = 10  # of IoU, .50:.05:.95

# An object with an area outside every range of sizes is ignored by pycocotools: it is no miss, and the first box that
# overlaps it is no false positive. VOC treats difficult objects so, however many boxes do; COCO's own mark `iscrowd` is
# another thing, since it replaces IoU by the share of the box that is inside.
_IGNORED_AREA = -1.0
_SILENCE = threading.RLock()
_MOST_BOXES = 100  # of a class, that are looked at in a picture


@dataclass(frozen=True, slots=True)
class Job:
    """What one evaluation scores, in the libraries' form.

    Attributes:
        pictures: The pictures evaluated, by image_id.
        class_names: The classes evaluated, in the detector's order.
        category_ids: Their COCO numbers.
        truth: COCO dataset of the truth.
        predictions: COCO dataset of the predictions.
        n_truths: Objects that count: neither crowd nor difficult.
        n_ignored: Crowd regions and difficult objects.
        n_predictions: Boxes of the evaluated classes.
    """

    pictures: tuple[TruthPicture, ...]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    truth: dict[str, Any]
    predictions: dict[str, Any]
    n_truths: int
    n_ignored: int
    n_predictions: int


def refuse_strangers(truth: GroundTruth, predictions: Collection[str]) -> None:
    """Raise DetectionError where there are predictions for pictures, by their stems, that the truth does not have."""
    strangers = sorted(set(predictions) - set(truth.objects))
    if strangers:
        raise DetectionError(f"predictions for {len(strangers)} pictures without annotation, the first {strangers[0]}")


def prepare(
    truth: GroundTruth,
    predictions: Mapping[str, Detections],
    *,
    classes: Collection[str] | None = None,
    stems: Collection[str] | None = None,
) -> Job:
    """Check that pictures and classes map without gaps, and restrict truth and predictions alike.

    Args:
        truth: All annotated pictures.
        predictions: By picture stem; every picture evaluated has an entry (`Detections.empty` where nothing was found).
        classes: Class names to score; None for all of the detector's.
        stems: Pictures to score; None for all.

    Raises:
        DetectionError: an unknown picture or class anywhere, or a picture without predictions.
        TypeError: ``classes`` is one name.
    """
    chosen = truth if stems is None else truth.subset(stems)
    known = set(truth.class_names)
    refuse_one_name(classes)
    unknown = sorted(set(classes or ()) - known)
    if unknown:
        raise DetectionError(f"classes {classes!r}: {unknown} are not among the detector's class names")
    refuse_strangers(truth, predictions)
    missing = [stem for stem in chosen.stems if stem not in predictions]
    if missing:
        raise DetectionError(
            f"{len(missing)} of {len(chosen.pictures)} pictures have no predictions, the first {missing[0]}: "
            "run the detector on them, or choose the pictures to score"
        )
    names = tuple(name for name in truth.class_names if classes is None or name in classes)
    if not names or not chosen.pictures:
        raise DetectionError(f"{len(names)} classes on {len(chosen.pictures)} pictures: there is nothing to score")
    pictures = tuple(sorted(chosen.pictures, key=lambda picture: picture.image_id))
    category_ids = tuple(truth.category_ids[name] for name in names)
    shared = {
        "images": [{"id": picture.image_id} for picture in pictures],
        "categories": [{"id": number, "name": name} for number, name in sorted(zip(category_ids, names, strict=True))],
    }
    objects = _truth_annotations(chosen, set(category_ids))
    boxes = [
        annotation
        for picture in pictures
        for annotation in _prediction_annotations(truth, picture, predictions[picture.stem], set(category_ids))
    ]
    for number, annotation in enumerate(boxes, start=1):
        annotation["id"] = number
    ignored = sum(annotation["iscrowd"] or annotation["area"] == _IGNORED_AREA for annotation in objects)
    return Job(
        pictures=pictures,
        class_names=names,
        category_ids=category_ids,
        truth=shared | {"annotations": [*objects, *_repeated(objects, boxes)]},
        predictions=shared | {"annotations": boxes},
        n_truths=len(objects) - ignored,
        n_ignored=ignored,
        n_predictions=len(boxes),
    )


def _repeated(objects: Sequence[dict[str, Any]], boxes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Difficult objects once more for each box beyond the first that may lie on them."""
    n_boxes = Counter((box["image_id"], box["category_id"]) for box in boxes)
    repeats = (
        entry
        for entry in objects
        if entry["area"] == _IGNORED_AREA
        for _ in range(1, min(_MOST_BOXES, n_boxes[entry["image_id"], entry["category_id"]]))
    )
    first = max((entry["id"] for entry in objects), default=0) + 1
    return [entry | {"id": number} for number, entry in enumerate(repeats, start=first)]


def evaluator(job: Job, backend: str = "pycocotools") -> Any:
    """A COCOeval of the job, boxes and protocol set, not yet run. Neither library prints.

    Args:
        job: From `prepare`.
        backend: ``pycocotools``, or ``faster-coco-eval`` where that is installed.

    Raises:
        DetectionError: an unknown backend or one that is not installed.
    """
    if backend == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    elif backend == "faster-coco-eval":
        try:
            from faster_coco_eval import COCO
            from faster_coco_eval import COCOeval_faster as COCOeval
        except ImportError as error:
            raise DetectionError(
                "the backend faster-coco-eval is not installed; install the extra: pip install 'mstsgm[fast-coco]'"
            ) from error
    else:
        raise DetectionError(f"no scoring backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    with silence():
        sides = []
        for dataset in (job.truth, job.predictions):
            side = COCO()
            side.dataset = dataset
            side.createIndex()
            sides.append(side)
        judge = COCOeval(*sides, iouType="bbox")
    judge.params.imgIds = [picture.image_id for picture in job.pictures]
    judge.params.catIds = list(job.category_ids)
    return judge


@dataclass(frozen=True, slots=True, eq=False)
class ClassMatches:
    """Which of the D boxes of one class found an object, on P pictures at T IoU thresholds (.50:.05:.95).

    Attributes:
        scores: (D,) float64, best first; equal scores in the order in which pycocotools ranks them.
        pictures: (D,) index of each box's picture in `Job.pictures`.
        hits: (T, D) bool, the box is matched to an object that counts.
        counted: (T, D) bool, the box is a hit or a false positive; the others are on ignored objects.
        positives: (P,) objects that count, by picture.
    """

    scores: NDArray[np.float64]
    pictures: NDArray[np.intp]
    hits: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    positives: NDArray[np.int64]


def match_classes(job: Job) -> Iterator[ClassMatches]:
    """The matches by pycocotools for each class of the job, all sizes, at most 100 boxes a class and picture."""
    judge = evaluator(job)
    judge.params.areaRng, judge.params.areaRngLbl = judge.params.areaRng[:1], ["all"]
    judge.params.maxDets = judge.params.maxDets[-1:]
    with silence():
        judge.evaluate()
    n_pictures = len(job.pictures)
    for start in range(0, len(judge.evalImgs), n_pictures):
        rows = [(index, row) for index, row in enumerate(judge.evalImgs[start : start + n_pictures]) if row is not None]
        positives = np.zeros(n_pictures, np.int64)
        for index, row in rows:
            positives[index] = np.count_nonzero(np.asarray(row["gtIgnore"]) == 0)
        scores = np.array([value for _, row in rows for value in row["dtScores"]], dtype=np.float64)
        pictures = np.repeat([index for index, _ in rows], [len(row["dtScores"]) for _, row in rows]).astype(np.intp)
        none = np.zeros((N_THRESHOLDS, 0), bool)
        matched = np.concatenate([none, *(np.asarray(row["dtMatches"]) > 0 for _, row in rows)], axis=1)
        ignored = np.concatenate([none, *(np.asarray(row["dtIgnore"], bool) for _, row in rows)], axis=1)
        order = np.argsort(-scores, kind="stable")
        yield ClassMatches(
            scores=scores[order],
            pictures=pictures[order],
            hits=(matched & ~ignored)[:, order],
            counted=~ignored[:, order],
            positives=positives,
        )


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps the libraries' chatter off stdout, which belongs to ``--json`` and to the program's other threads.

    One thread at a time: stdout is one for all, and two that put it back crosswise would leave it lost.
    """
    with _SILENCE, contextlib.redirect_stdout(cast("TextIO", _OfOthers(sys.stdout))):
        yield


class _OfOthers:
    """A stream that takes nothing from the thread that made it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._silenced = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._silenced else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def coco_results(truth: GroundTruth, picture: TruthPicture, found: Detections) -> list[dict[str, Any]]:
    """The boxes of one picture as entries of a COCO results file: boxes ``x, y, width, height``, float64, best first.

    Raises:
        DetectionError: a class that is not among ``truth.class_names``.
    """
    unknown = sorted(set(found.class_names) - set(truth.class_names))
    if unknown:
        raise DetectionError(
            f"a prediction on {picture.stem} has the class {unknown[0]!r}, which is not among the "
            f"{len(truth.class_names)} class names that the truth was read with"
        )
    boxes = found.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return [
        {"image_id": picture.image_id, "category_id": truth.category_ids[name], "bbox": box, "score": score}
        for name, box, score in zip(found.class_names, boxes.tolist(), found.scores.tolist(), strict=True)
    ]


def _prediction_annotations(
    truth: GroundTruth, picture: TruthPicture, found: Detections, wanted: set[int]
) -> list[dict[str, Any]]:
    kept = [entry for entry in coco_results(truth, picture, found) if entry["category_id"] in wanted]
    # Equal scores would be ranked by their order here, so it must not depend on how they came in.
    kept.sort(key=lambda entry: (-entry["score"], entry["category_id"], entry["bbox"]))
    return [entry | {"area": entry["bbox"][2] * entry["bbox"][3], "iscrowd": 0} for entry in kept]


def _truth_annotations(truth: GroundTruth, wanted: set[int]) -> list[dict[str, Any]]:
    annotations = [entry for entry in truth.to_coco()["annotations"] if entry["category_id"] in wanted]
    return [entry | ({"area": _IGNORED_AREA} if entry.get("difficult") else {}) for entry in annotations]
