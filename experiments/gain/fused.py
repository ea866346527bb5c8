"""Arms whose boxes come from two pictures: as it came and restored, or as it came and mirrored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.gain.picture_sets import pixel_hash
from experiments.gain.records import CONTROL, deblurred_arm, fused_name, sharp_through_arm

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """

    def __init__(self, arm: str, parts: tuple[PictureSet, PictureSet], shown: PictureSet) -> None:
        self.arm = arm
        self.blur = shown.blur
        self.parts = parts
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
        deblurred[blur, fused_name(name)] = FusedSet(arm, (blurred[blur], pictures), pictures)
    for blur, source in blurred.items():
        deblurred[blur, CONTROL] = FusedSet(deblurred_arm(CONTROL), (source, MirroredSet(source)), source)
    if sharp is None:
        return
    for name, pictures in list(through.items()):
        arm = sharp_through_arm(fused_name(name))
        through[fused_name(name)] = FusedSet(arm, (sharp, pictures), pictures)
    through[CONTROL] = FusedSet(sharp_through_arm(CONTROL), (sharp, MirroredSet(sharp)), sharp)
