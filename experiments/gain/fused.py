"""Arms whose boxes come from two looks at a scene, the second one at a mirror image.

The first look is at the picture as it came, and where a network was told the camera's path at what it restored; the
second one is at the mirror image of what was restored. Of the control both are at the picture as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deblur.exposure.paths import GYROSCOPE
from detection.fusion import EVEN_SHARE, RESTORED_SHARE, SAME_OBJECT, fuse
from detection.types import Detections
from experiments.gain.cache import key_of
from experiments.gain.picture_sets import pixel_hash
from experiments.gain.protocol import MAX_DETECTIONS, rounded
from experiments.gain.records import (
    CONTROL,
    MIRRORED,
    DeblurrerRecord,
    deblurred_arm,
    fused_name,
    sharp_through_arm,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from experiments.gain.picture_sets import PictureSet


class MirroredSet:
    """The pictures of another set with left and right exchanged, made anew each time: it costs less than a file."""

    def __init__(self, source: PictureSet) -> None:
        self.arm = f"mirrored:{source.arm}"
        self.blur = source.blur
        self._source = source
        self._hashes: dict[str, str] = {}

    def sha256(self, stem: str) -> str:
        """`pixel_hash` of one picture."""
        if stem not in self._hashes:
            self._hashes[stem] = pixel_hash(self.pixels(stem))
        return self._hashes[stem]

    def pixels(self, stem: str) -> NDArray[np.uint8]:
        """One picture, RGB uint8 (H, W, 3)."""
        return np.ascontiguousarray(self._source.pixels(stem)[:, ::-1])


class FusedSet:
    """An arm without pictures of its own: what a detector finds in two sets is fused.

    Args:
        arm: whose boxes they are.
        parts: the two sets that are detected in.
        shown: the set to look at, and to compare with sharp pictures.
        share: weight of the second part.
    """

    def __init__(self, arm: str, parts: tuple[PictureSet, PictureSet], shown: PictureSet, share: float) -> None:
        self.arm = arm
        self.blur = shown.blur
        self.parts = parts
        self.share = share
        self._shown = shown

    def sha256(self, stem: str) -> str:
        """`pixel_hash` of the picture shown."""
        return self._shown.sha256(stem)

    def pixels(self, stem: str) -> NDArray[np.uint8]:
        """The picture shown."""
        return self._shown.pixels(stem)


def add_fused(
    sharp: PictureSet | None,
    through: dict[str, PictureSet],
    blurred: Mapping[str, PictureSet],
    deblurred: dict[tuple[str, str], PictureSet],
) -> None:
    """Put beside every deblurrer the boxes of two looks; two at the picture as it came are the control.

    Args:
        sharp: the sharp pictures; None for real blur.
        through: deblurrer to sharp pictures put through it; added to.
        blurred: blur to pictures.
        deblurred: (blur, deblurrer) to restored pictures; added to.
    """
    restored = dict(deblurred)
    for (blur, name), pictures in restored.items():
        arm = deblurred_arm(fused_name(name))
        deblurred[blur, fused_name(name)] = _two_looks(arm, name, blurred[blur], pictures)
    for blur, source in blurred.items():
        deblurred[blur, CONTROL] = FusedSet(deblurred_arm(CONTROL), (source, MirroredSet(source)), source, EVEN_SHARE)
    if sharp is None:
        return
    for name, pictures in list(through.items()):
        arm = sharp_through_arm(fused_name(name))
        through[fused_name(name)] = _two_looks(arm, name, sharp, pictures)
    through[CONTROL] = FusedSet(sharp_through_arm(CONTROL), (sharp, MirroredSet(sharp)), sharp, EVEN_SHARE)


def _two_looks(arm: str, deblurrer: str, came: PictureSet, restored: PictureSet) -> FusedSet:
    first = restored if _is_told(deblurrer) else came
    return FusedSet(arm, (first, MirroredSet(restored)), restored, _share_of(deblurrer))


def _is_told(deblurrer: str) -> bool:
    return deblurrer.endswith(GYROSCOPE)


def _share_of(deblurrer: str) -> float:
    """Weight of the second look."""
    return EVEN_SHARE if _is_told(deblurrer) else RESTORED_SHARE


def fused_boxes(one: Detections, other: Detections, share: float) -> Detections:
    """The boxes of two looks fused, as they are scored and saved: rounded, and no more than of one."""
    fused = fuse(one, other, share)
    boxes, scores, names = *rounded(fused), fused.class_names
    return Detections.ordered(boxes[:MAX_DETECTIONS], scores[:MAX_DETECTIONS], names[:MAX_DETECTIONS])


def fused_records(records: Sequence[DeblurrerRecord]) -> list[DeblurrerRecord]:
    """What metrics say of fused boxes, beside what restores.

    Args:
        records: of what restores.
    """
    fused = [
        DeblurrerRecord(
            fused_name(record.name),
            "fused",
            key_of(part=record.identity, iou=SAME_OBJECT, share=_share_of(record.name), told=_is_told(record.name)),
        )
        for record in records
    ]
    # Of the control what it was called by before others were looked at mirrored: nothing about it has changed.
    return [*fused, DeblurrerRecord(CONTROL, "fused", key_of(part=MIRRORED, iou=SAME_OBJECT))]
