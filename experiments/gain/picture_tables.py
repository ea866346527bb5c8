"""The tables of a detection-gain run, picture by picture; `experiments.gain.records` describes the folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from experiments.gain.protocol import rounded
from experiments.gain.records import is_sharp_arm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detection.scoring import PrecisionRecall
    from detection.truth import GroundTruth
    from detection.types import Detections

PictureKey = tuple[str, str, str, str]  # (detector, blur, arm, picture), as of `Predictions.predicted`


@dataclass(frozen=True, slots=True)
class PictureRow:
    """One picture of one arm as one detector saw it: a line of ``per_image.csv``.

    Attributes:
        picture: stem.
        detector: name.
        blur: name, empty for ``sharp`` and ``sharp-through:NAME``.
        arm: name.
        n_truths: boxes of the truth that count.
        n_predictions: boxes at the protocol's confidence.
        n_confident: boxes with a score of at least ``protocol.drawn_confidence``.
        f1: agreement of the confident boxes with the truth of this picture (`detection.picture_scores`), 0 to 1.
        psnr: dB against the sharp picture; None for ``sharp``, without sharp pictures, and for an exact match.
        ssim: the same, 1 for an exact match.
    """

    picture: str
    detector: str
    blur: str
    arm: str
    n_truths: int
    n_predictions: int
    n_confident: int
    f1: float
    psnr: float | None
    ssim: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision over recall of one arm: an entry of ``curves.json``, where ``values`` stand beside the names.

    Attributes:
        detector: name.
        blur: name, empty for ``sharp`` and ``sharp-through:NAME``.
        arm: name.
        values: what was found there.
    """

    detector: str
    blur: str
    arm: str
    values: PrecisionRecall


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes in one picture.

    Attributes:
        boxes: ``[x1, y1, x2, y2]`` in pixels, of predictions rounded to 0.001.
        classes: for each box its place in `Predictions.class_names`.
        scores: for each box, descending, rounded to 0.000001; empty for the truth.
    """

    boxes: list[list[float]]
    classes: list[int]
    scores: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, found: Detections, index_of: Mapping[str, int]) -> Self:
        """A detector's boxes, rounded; ``index_of`` says the place of each class."""
        # The numbers of the cache again: float32 keeps them to well below the digits they were rounded to.
        boxes, scores = rounded(found)
        return cls(boxes.tolist(), [index_of[name] for name in found.class_names], scores.tolist())


@dataclass(frozen=True, slots=True)
class PictureTruth:
    """One picture and the boxes in it; ``ignored`` are those that count for nothing (difficult, crowd).

    Width and height are in pixels, 0 where neither the annotations tell them nor anybody saw the picture.
    """

    picture: str
    file_name: str
    width: int
    height: int
    truth: Boxes
    ignored: list[bool]


@dataclass(frozen=True, slots=True)
class Predictions:
    """The content of ``predictions.json``: the very boxes the scores were computed from.

    Attributes:
        class_names: every class named in the file.
        truths: one a picture.
        predicted: (detector, blur, arm, picture) to boxes; ``blur`` is empty for ``sharp`` and ``sharp-through:NAME``.
    """

    class_names: list[str]
    truths: list[PictureTruth]
    predicted: dict[PictureKey, Boxes]

    @staticmethod
    def key(detector: str, blur: str, arm: str, picture: str) -> PictureKey:
        """Of ``predicted``; any ``blur`` will do for an arm that does not depend on it."""
        return detector, "" if is_sharp_arm(arm) else blur, arm, picture

    def boxes(self, detector: str, blur: str, arm: str, picture: str) -> Boxes:
        """One picture's predictions; arguments as for ``key``."""
        return self.predicted[self.key(detector, blur, arm, picture)]


def truth_boxes(
    truths: Iterable[GroundTruth], sizes: Mapping[str, tuple[int, int]], index_of: Mapping[str, int]
) -> list[PictureTruth]:
    """Every object that some detector has a class for, once, although each detector has a truth of its own.

    Args:
        truths: one a detector, of the same pictures.
        sizes: (width, height) by stem, as far as they are known.
        index_of: the place of each class in `Predictions.class_names`.
    """
    pictures: dict[str, PictureTruth] = {}
    for truth in truths:
        for picture in truth.pictures:
            objects = truth.objects[picture.stem]
            entry = pictures.setdefault(
                picture.stem,
                PictureTruth(picture.stem, picture.file_name, *sizes.get(picture.stem, (0, 0)), Boxes([], []), []),
            )
            known = set(zip(map(tuple, entry.truth.boxes), entry.truth.classes, strict=True))
            ignored = (objects.iscrowd | objects.difficult).tolist()
            for box, name, left_out in zip(objects.boxes.tolist(), objects.class_names, ignored, strict=True):
                if (tuple(box), index_of[name]) not in known:
                    entry.truth.boxes.append(box)
                    entry.truth.classes.append(index_of[name])
                    entry.ignored.append(left_out)
    return list(pictures.values())
