"""Arms whose boxes come from two looks at a scene, the second one at a mirror image.

The second look is at the mirror image of what was restored, the first one at the picture as it came, or at what was
restored along a path that was told and believed (`detection.fusion.two_looks`). Of the control both are at the picture
as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detection.fusion import EVEN_SHARE, SAME_OBJECT, Looks, fuse, two_looks
from detection.types import Detections
from experiments.common.cache import key_of
from experiments.gain.picture_sets import MadeSet, pixel_hash
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
    from collections.abc import Callable, Collection, Mapping, Sequence

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
    """An arm without pictures of its own: what a detector finds in two looks is fused.

    Args:
        arm: whose boxes they are.
        came: the pictures as they came.
        restored: what was restored of them: the pictures to show, and to compare with sharp ones.
        looks: how a picture is looked at, by stem.
    """

    def __init__(self, arm: str, came: PictureSet, restored: PictureSet, looks: Callable[[str], Looks]) -> None:
        self.arm = arm
        self.blur = restored.blur
        self.mirrored = MirroredSet(restored)
        self._came = came
        self._restored = restored
        self._looks = looks

    def first(self, stem: str) -> tuple[PictureSet, float]:
        """Where the first look at a picture is; and the weight of the second one, which is at ``mirrored``."""
        looks = self._looks(stem)
        return (self._restored if looks.first_restored else self._came), looks.share

    def sha256(self, stem: str) -> str:
        """`pixel_hash` of the restored picture."""
        return self._restored.sha256(stem)

    def pixels(self, stem: str) -> NDArray[np.uint8]:
        """The restored picture."""
        return self._restored.pixels(stem)


def add_fused(
    sharp: PictureSet | None,
    through: dict[str, PictureSet],
    blurred: Mapping[str, PictureSet],
    deblurred: dict[tuple[str, str], PictureSet],
    told: Collection[str],
) -> None:
    """Put beside every deblurrer the boxes of two looks; two at the picture as it came are the control.

    Args:
        sharp: the sharp pictures; None for real blur.
        through: deblurrer to sharp pictures put through it; added to.
        blurred: blur to pictures.
        deblurred: (blur, deblurrer) to restored pictures; added to.
        told: the deblurrers that are told the camera's path.
    """
    restored = dict(deblurred)
    for (blur, name), pictures in restored.items():
        arm = deblurred_arm(fused_name(name))
        looks = _looks_of(pictures, told=name in told)
        deblurred[blur, fused_name(name)] = FusedSet(arm, blurred[blur], pictures, looks)
    for blur, source in blurred.items():
        deblurred[blur, CONTROL] = FusedSet(deblurred_arm(CONTROL), source, source, _alike)
    if sharp is None:
        return
    for name, pictures in list(through.items()):
        arm = sharp_through_arm(fused_name(name))
        through[fused_name(name)] = FusedSet(arm, sharp, pictures, _looks_of(pictures, told=name in told))
    through[CONTROL] = FusedSet(sharp_through_arm(CONTROL), sharp, sharp, _alike)


def _looks_of(restored: PictureSet, *, told: bool) -> Callable[[str], Looks]:
    def looks(stem: str) -> Looks:
        believed = restored.believed(stem) if told and isinstance(restored, MadeSet) else None
        return two_looks(told=told, believed=believed)

    return looks


def _alike(_: str) -> Looks:
    """Of the control: nothing was restored."""
    return Looks(False, EVEN_SHARE)


def fused_boxes(one: Detections, other: Detections, share: float) -> Detections:
    """The boxes of two looks fused, as they are scored and saved: rounded, and no more than of one."""
    fused = fuse(one, other, share)
    boxes, scores, names = *rounded(fused), fused.class_names
    return Detections.ordered(boxes[:MAX_DETECTIONS], scores[:MAX_DETECTIONS], names[:MAX_DETECTIONS])


def fused_records(records: Sequence[DeblurrerRecord], told: Collection[str]) -> list[DeblurrerRecord]:
    """What metrics say of fused boxes, beside what restores.

    Args:
        records: of what restores.
        told: the names of those that are told the camera's path.
    """
    fused = []
    for record in records:
        is_told = record.name in told
        share = two_looks(told=is_told, believed=None).share
        digest = key_of(part=record.identity, iou=SAME_OBJECT, share=share, told=is_told)
        fused.append(DeblurrerRecord(fused_name(record.name), "fused", digest))
    # Of the control what it was called by before others were looked at mirrored: nothing about it has changed.
    return [*fused, DeblurrerRecord(CONTROL, "fused", key_of(part=MIRRORED, iou=SAME_OBJECT))]
