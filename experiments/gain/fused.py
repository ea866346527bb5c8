"""Arms whose boxes come from two pictures: as it came and restored, or as it came and mirrored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deblur.exposure.paths import GYROSCOPE
from detection.fusion import RESTORED_SHARE, SAME_OBJECT, TOLD_SHARE, fuse
from detection.types import Detections
from experiments.gain.cache import key_of
from experiments.gain.picture_sets import pixel_hash
from experiments.gain.protocol import MAX_DETECTIONS, rounded
from experiments.gain.records import (
    BLURRED,
    CONTROL,
    MIRRORED,
    SHARP,
    DeblurrerRecord,
    deblurred_arm,
    fused_name,
    sharp_through_arm,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from experiments.gain.picture_sets import PictureSet
    from experiments.gain.scores import Found

_EVEN = 0.5  # weight of a mirror image


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
    """Put beside every deblurrer its boxes fused with those of what it restored; mere mirroring is the control.

    Args:
        sharp: the sharp pictures; None for real blur.
        through: deblurrer to sharp pictures put through it; added to.
        blurred: blur to pictures.
        deblurred: (blur, deblurrer) to restored pictures; added to.
    """
    restored = dict(deblurred)
    for (blur, name), pictures in restored.items():
        arm = deblurred_arm(fused_name(name))
        deblurred[blur, fused_name(name)] = FusedSet(arm, (blurred[blur], pictures), pictures, share_of(name))
    for blur, source in blurred.items():
        deblurred[blur, CONTROL] = FusedSet(deblurred_arm(CONTROL), (source, MirroredSet(source)), source, _EVEN)
    if sharp is None:
        return
    for name, pictures in list(through.items()):
        arm = sharp_through_arm(fused_name(name))
        through[fused_name(name)] = FusedSet(arm, (sharp, pictures), pictures, share_of(name))
    through[CONTROL] = FusedSet(sharp_through_arm(CONTROL), (sharp, MirroredSet(sharp)), sharp, _EVEN)


def share_of(deblurrer: str) -> float:
    """Weight of what a deblurrer restored beside the blurred picture."""
    return TOLD_SHARE if deblurrer.endswith(GYROSCOPE) else RESTORED_SHARE


def fused_boxes(blurred: Detections, other: Detections, share: float) -> Detections:
    """The boxes of two pictures fused, as they are scored and saved: rounded, and no more than of one picture."""
    fused = fuse(blurred, other, share)
    boxes, scores, names = *rounded(fused), fused.class_names
    return Detections.ordered(boxes[:MAX_DETECTIONS], scores[:MAX_DETECTIONS], names[:MAX_DETECTIONS])


def fused_anew(found: Found, deblurrers: Sequence[str]) -> Found:
    """Boxes with those of blurred and restored pictures fused once more.

    The control stays: boxes of mirror images are not saved, and how they are fused has not changed.

    Args:
        found: a detector's, of every arm.
        deblurrers: whose pictures were restored, without what is fused.
    """
    parts = {
        kind(fused_name(name)): (first, kind(name), share_of(name))
        for name in deblurrers
        for first, kind in ((BLURRED, deblurred_arm), (SHARP, sharp_through_arm))
    }
    anew = dict(found)
    for blur, arm in found:
        if arm in parts:
            first, second, share = parts[arm]
            one, other = found[blur, first], found[blur, second]
            anew[blur, arm] = {stem: fused_boxes(one[stem], other[stem], share) for stem in one}
    return anew


def fused_records(records: Sequence[DeblurrerRecord]) -> list[DeblurrerRecord]:
    """What metrics say of fused boxes, beside what restores.

    Args:
        records: of what restores.
    """
    parts = [(record.name, _part(record), {"share": share_of(record.name)}) for record in records]
    return [
        DeblurrerRecord(fused_name(name), "fused", key_of(part=part, iou=SAME_OBJECT, **shares))
        for name, part, shares in (*parts, (MIRRORED, MIRRORED, {}))
    ]


def _part(record: DeblurrerRecord) -> Any:
    """What fused boxes are of: of most ways of restoring what runs from before there were others knew of them."""
    if record.trust is not None:
        return record.identity
    if record.paths is not None:
        return record.identity[:4]
    plain = record.consistent is None and record.search is None
    return record.sha256 if plain else record.identity[:3]
