"""What a detector gives and what a detector is: the two types every other module speaks in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import numpy as np

from detection.naming import refuse_one_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects found in one picture, best first.

    Two ``Detections`` compare by identity: a comparison of boxes needs a tolerance, which only the caller knows.

    Attributes:
        boxes: (N, 4) float32, ``x1, y1, x2, y2`` in pixels of the picture, ``x1 <= x2`` and ``y1 <= y2``. The origin is
            the outer corner of the top left pixel, so a box around the whole picture is ``0, 0, width, height``.
        scores: (N,) float32 from 0 to 1, descending.
        class_names: N names, one a box.

    Raises:
        ValueError: shapes that do not fit together, a number that is not finite, a box turned inside out, a score
            outside 0 to 1, or scores that do not descend (see `Detections.ordered`).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, dtype=np.float32)
        scores = np.asarray(self.scores, dtype=np.float32)
        names = tuple(self.class_names)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes are (N, 4), not {boxes.shape}")
        if scores.shape != (len(boxes),) or len(names) != len(boxes):
            raise ValueError(f"{len(boxes)} boxes, scores of shape {scores.shape} and {len(names)} class names")
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError("boxes and scores are finite numbers")
        if (boxes[:, :2] > boxes[:, 2:]).any():
            raise ValueError("boxes are x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")
        if ((scores < 0) | (scores > 1)).any():
            raise ValueError("scores are from 0 to 1")
        if (np.diff(scores) > 0).any():
            raise ValueError("scores descend; Detections.ordered sorts")
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "class_names", names)

    def __len__(self) -> int:
        return len(self.class_names)

    @classmethod
    def empty(cls) -> Self:
        """Nothing found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())

    @classmethod
    def ordered(cls, boxes: ArrayLike, scores: ArrayLike, class_names: Sequence[str]) -> Self:
        """Detections from boxes in any order; equal scores keep the order they came in.

        Args:
            boxes: (N, 4), also an empty list.
            scores: (N,).
            class_names: N names.

        Raises:
            ValueError: as of the class, but for the order.
        """
        box_array = np.asarray(boxes, dtype=np.float32)
        score_array = np.asarray(scores, dtype=np.float32)
        if box_array.size == 0:
            box_array = box_array.reshape(0, 4)
        if score_array.ndim != 1 or not len(box_array) == len(score_array) == len(class_names):
            raise ValueError(
                f"{len(box_array)} boxes, scores of shape {score_array.shape} and {len(class_names)} class names"
            )
        order = np.argsort(-score_array, kind="stable")
        return cls(box_array[order], score_array[order], tuple(class_names[index] for index in order))

    def mirrored(self, width: int) -> Self:
        """The same in the mirror image, left for right, of a picture ``width`` pixels wide."""
        boxes = self.boxes.copy()
        boxes[:, 0], boxes[:, 2] = width - self.boxes[:, 2], width - self.boxes[:, 0]
        return type(self)(boxes, self.scores, self.class_names)

    def select(self, confidence: float = 0.0, classes: Collection[str] | None = None) -> Self:
        """Those with a score of at least ``confidence`` and, unless it is None, a class among ``classes``.

        Raises:
            TypeError: ``classes`` is a single text.
        """
        refuse_one_name(classes)
        keep = self.scores >= np.float32(confidence)  # or .7 of float64 would be more than .7 here
        if classes is not None:
            keep &= np.fromiter((name in classes for name in self.class_names), dtype=bool, count=len(self))
        kept = np.flatnonzero(keep)
        return type(self)(self.boxes[kept], self.scores[kept], tuple(self.class_names[index] for index in kept))


@runtime_checkable
class Detector(Protocol):
    """Finds objects in pictures; anything with these members is one."""

    @property
    def name(self) -> str:
        """What results call it, for example ``yolo26n``."""

    @property
    def sha256(self) -> str:
        """Hash of its weights in lower-case hexadecimal: two detectors with the same one give the same boxes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Every class it can find, in its own order."""

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Detections of each picture, in their order.

        Args:
            pictures: RGB uint8 (H, W, 3), C-contiguous, of any sizes; the sequence may be empty.
        """
