"""One list of boxes out of two: what a detector finds in two passes, test-time augmentation by a flip.

The blurred picture and the restored one each show it what the other hides: a restored picture has its edges back where
the blur was understood, and twice drawn contours where it was not. And a detector does not find the same in a mirror
image, so that the second pass is over one. What is found in both is there; what is found in one is less sure.

Where the blur is long, what was restored is soft, and a detector finds more in a smaller picture of it: the second pass
is over a copy of seven tenths of the size then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from pycocotools import mask

from detection.types import Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_OBJECT = 0.55
"""Two boxes of a class that overlap by more than this IoU show one object; the default of weighted boxes fusion."""
RESTORED_SHARE = 0.6
"""Weight of the restored picture's mirror image beside the blurred picture (docs/training-log.md)."""
EVEN_SHARE = 0.5
"""Weight of the mirror image beside the very picture."""
BELIEVED = 0.5
"""What share of a restored picture a camera's path has to have made; a right one mostly makes more."""
SMALLER = 0.7
"""Scale of the second pass where the blur is long; 448 of 640 pixels."""
LONG_SPREAD = 0.007
"""Of a picture's longer side, the spread of its blur (`deblur.Deblurrer.restore_along`) above which it counts as long.

4.5 of 640 pixels; shakes of 8, 16 and 28 pixels have 2.6, 4.6 and 7.1 in the median (docs/training-log.md).
"""
LOWEST_CONFIDENCE = 0.001
"""What a detector should still report, so that a box is there to confirm one of the other picture."""
_GREY = 114  # around a smaller picture, as detectors pad in training


class Looks(NamedTuple):
    """Which two pictures are detected in; the second one is the mirror image of the restored picture.

    Attributes:
        first_restored: whether the first one is the restored picture, in place of the picture as it came.
        share: weight of the second pass.
        scale: of the second picture, 1 or less.
    """

    first_restored: bool
    share: float
    scale: float = 1.0

    def second(self, restored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture of the second pass (H, W, 3), as large as the restored one.

        Args:
            restored: RGB uint8 (H, W, 3). Scaled down, it lies in the middle of grey, so that a detector which scales
                pictures to a size of its own sees it smaller.
        """
        mirrored = restored[:, ::-1].copy()  # of a picture one pixel wide numpy takes any stride for contiguous
        if self.scale == 1:
            return mirrored
        left, top, width, height = self._place(restored.shape[1], restored.shape[0])
        canvas = np.full_like(mirrored, _GREY)
        scaled = cv2.resize(mirrored, (width, height), interpolation=cv2.INTER_AREA)
        canvas[top : top + height, left : left + width] = scaled
        return canvas

    def back(self, found: Detections, width: int, height: int) -> Detections:
        """What was found in the second picture, in pixels of the restored one, whose size is given.

        A box that reaches out of it is cut off; one that lies in the grey alone is left out.
        """
        if self.scale < 1:
            left, top, *size = self._place(width, height)
            corners = (found.boxes.reshape(-1, 2, 2) - (left, top)) * (np.array([width, height]) / size)
            corners = corners.clip(0, (width, height))
            kept = np.flatnonzero((corners[:, 0] < corners[:, 1]).all(1))
            names = [found.class_names[index] for index in kept]
            found = Detections.ordered(corners[kept].reshape(-1, 4), found.scores[kept], names)
        return found.mirrored(width)

    def _place(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, width and height of the scaled picture on its canvas."""
        smaller = (max(1, round(self.scale * width)), max(1, round(self.scale * height)))
        return (width - smaller[0]) // 2, (height - smaller[1]) // 2, *smaller


def two_looks(*, told: bool, believed: float | None, spread: float | None) -> Looks:
    """Which two passes a detector makes over a picture and what was restored of it.

    Args:
        told: whether it was restored along a path that was given, not estimated or searched for.
        believed: share of it, from 0 to 1, that came of a path, given or found; None where nobody says, there was none,
            or nothing moved.
        spread: how long the blur is, as a share of the picture's longer side (`deblur.Deblurrer.restore_along`); None
            where nobody says.
    """
    along_path = told if believed is None else believed >= BELIEVED
    # What comes of a path that was given is sharp however long the blur was, of one that was found nearly so.
    soft = not (told and along_path) and spread is not None and spread > LONG_SPREAD
    scale = SMALLER if soft else 1.0
    # Along a path a picture comes out so well that the one that came has little to add.
    return Looks(True, EVEN_SHARE, scale) if along_path else Looks(False, RESTORED_SHARE, scale)


def fuse(one: Detections, other: Detections, share: float = 0.5) -> Detections:
    """Fuse what a detector finds in two pictures of the same scene and size, best first.

    Weighted boxes fusion (Solovyev, Wang and Gabruseva, Image and Vision Computing 2021) of two lists, with pairs in
    the place of clusters, so that neighbours found in one picture stay apart. Scores are first multiplied by the weight
    of their picture. The surest box first, each takes the free box of its class in the other list that overlaps it
    most. A pair becomes the mean of its boxes, weighted by their scores, with the sum of these; a box without a partner
    keeps its place and its score.

    Args:
        one: found in the first picture.
        other: found in the second.
        share: weight of the second picture, from 0 to 1; the first one has the rest.
    """
    lists = (_weighted(one, 1 - share), _weighted(other, share))
    boxes: list[NDArray[np.float32]] = []
    scores: list[float] = []
    names: list[str] = []
    free = [np.ones(len(found), dtype=bool) for found in lists]
    overlap = _overlap(one, other)
    ranked = [(-score, side, index) for side, found in enumerate(lists) for index, score in enumerate(found.scores)]
    for _, side, index in sorted(ranked):
        if not free[side][index]:
            continue
        free[side][index] = False
        box, score = lists[side].boxes[index], lists[side].scores[index]
        row = overlap[index] if side == 0 else overlap[:, index]
        candidates = np.where(free[1 - side], row, 0.0)
        partner = int(candidates.argmax()) if len(candidates) else -1
        if partner >= 0 and candidates[partner] > SAME_OBJECT:
            free[1 - side][partner] = False
            its_box, its_score = lists[1 - side].boxes[partner], lists[1 - side].scores[partner]
            nearness = its_score / max(score + its_score, np.finfo(np.float32).tiny)  # of the mean to its box
            box, score = box + nearness * (its_box - box), score + its_score
        boxes.append(box)
        scores.append(float(score))
        names.append(lists[side].class_names[index])
    return Detections.ordered(boxes, scores, names)


def _weighted(found: Detections, weight: float) -> Detections:
    return replace(found, scores=found.scores * weight)


def _overlap(one: Detections, other: Detections) -> NDArray[np.float64]:
    """(len(one), len(other)) IoU, 0 between boxes of different classes."""
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)))
    sides = [np.concatenate([each.boxes[:, :2], each.boxes[:, 2:] - each.boxes[:, :2]], 1) for each in (one, other)]
    iou = mask.iou(*(side.astype(np.float64) for side in sides), np.zeros(len(other), np.uint8))
    same_class = np.array(one.class_names)[:, None] == np.array(other.class_names)
    return np.where(same_class, iou, 0.0)
