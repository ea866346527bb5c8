"""Arms whose boxes come from two passes of a detector over a scene, here called looks.

The first look is at the picture as it came, or at the restored picture where a path, given or found, was believed. The
second look is at the mirror image of the restored picture, smaller where the blur is long
(`detection.fusion.two_looks`). For the control nothing is restored: the first look is at the picture as it came, the
second one at the mirror image of that picture.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from detection.fusion import EVEN_SHARE, Looks, fuse, two_looks
from detection.types import Detections
from experiments.common.cache import key_of
from experiments.gain.picture_sets import MadeSet, pixel_hash
from experiments.gain.protocol import MAX_DETECTIONS, fusion_protocol, rounded
from experiments.gain.records import (
    CONTROL,
    DeblurrerRecord,
    deblurred_arm,
    fused_name,
    sharp_through_arm,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from experiments.gain.picture_sets import PictureSet


LooksOf = Callable[[str], Looks]
"""How a picture is looked at, by stem."""
SpreadOf = Callable[[str], float | None]
"""How long a picture's blur is, by stem (`deblur.outcome.Outcome`)."""


class SecondSet:
    """What the second look at the pictures of another set is at, made anew each time: it costs less than a file.

    Args:
        source: the pictures.
        looks: how they are looked at.
    """

    def __init__(self, source: PictureSet, looks: LooksOf) -> None:
        self.arm = f"mirrored:{source.arm}"
        self.blur = source.blur
        self.looks = looks
        self._source = source
        self._hashes: dict[str, str] = {}

    def sha256(self, stem: str) -> str:
        """`pixel_hash` of one picture."""
        if stem not in self._hashes:
            self._hashes[stem] = pixel_hash(self.pixels(stem))
        return self._hashes[stem]

    def pixels(self, stem: str) -> NDArray[np.uint8]:
        """One picture, RGB uint8 (H, W, 3)."""
        return self.looks(stem).second(self._source.pixels(stem))


class FusedSet:
    """An arm without pictures of its own: what a detector finds in two looks is fused.

    Args:
        arm: whose boxes they are.
        came: the pictures as they came.
        restored: what was restored of them: the pictures to show, and to compare with sharp ones.
        looks: how a picture is looked at.
    """

    def __init__(self, arm: str, came: PictureSet, restored: PictureSet, looks: LooksOf) -> None:
        self.arm = arm
        self.blur = restored.blur
        self.looks = functools.cache(looks)  # asked for several times by every detector, and read from files
        self.second = SecondSet(restored, self.looks)
        self._came = came
        self._restored = restored

    def first(self, stem: str) -> PictureSet:
        """Where the first look at a picture is; the second one is at ``second``."""
        return self._restored if self.looks(stem).first_restored else self._came

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
    seen = {blur: _seen({name: one for (its, name), one in restored.items() if its == blur}, told) for blur in blurred}
    for (blur, name), pictures in restored.items():
        looks = _looks_of(pictures, seen[blur], told=name in told)
        arm = deblurred_arm(fused_name(name))
        deblurred[blur, fused_name(name)] = FusedSet(arm, blurred[blur], pictures, looks)
    for blur, source in blurred.items():
        deblurred[blur, CONTROL] = FusedSet(deblurred_arm(CONTROL), source, source, _looks_of_control(seen[blur]))
    if sharp is None:
        return
    seen_sharp = _seen(through, told)
    for name, pictures in list(through.items()):
        looks = _looks_of(pictures, seen_sharp, told=name in told)
        through[fused_name(name)] = FusedSet(sharp_through_arm(fused_name(name)), sharp, pictures, looks)
    # What nobody blurred is looked at as it is, also where a guide takes it for blurred.
    through[CONTROL] = FusedSet(sharp_through_arm(CONTROL), sharp, sharp, _looks_of_control(lambda _: None))


def _looks_of(restored: PictureSet, seen: SpreadOf, *, told: bool) -> LooksOf:
    def looks(stem: str) -> Looks:
        if not isinstance(restored, MadeSet):  # another program's: it says nothing of the blur
            return two_looks(told=told, believed=None, spread=seen(stem))
        return two_looks(told=told, believed=restored.believed(stem), spread=restored.spread(stem))

    return looks


def _looks_of_control(seen: SpreadOf) -> LooksOf:
    return lambda stem: two_looks(told=False, believed=None, spread=seen(stem))._replace(share=EVEN_SHARE)


def _seen(restored: Mapping[str, PictureSet], told: Collection[str]) -> SpreadOf:
    """How long the blur of a picture is by the first deblurrer that says it and is told no path.

    By it the control's second look and those at other programs' pictures have the size that they have at ours.
    """
    made = [one for name, one in restored.items() if name not in told and isinstance(one, MadeSet)]

    def spread(stem: str) -> float | None:
        said = (pictures.spread(stem) for pictures in made)
        return next((one for one in said if one is not None), None)

    return spread


def fused_boxes(one: Detections, other: Detections, share: float) -> Detections:
    """The boxes of two looks fused, as they are scored and saved: rounded, and no more than of one."""
    fused = fuse(one, other, share)
    boxes, scores, names = *rounded(fused), fused.class_names
    return Detections.ordered(boxes[:MAX_DETECTIONS], scores[:MAX_DETECTIONS], names[:MAX_DETECTIONS])


def fused_records(
    records: Sequence[DeblurrerRecord], told: Collection[str], sizing_guide: str | None
) -> list[DeblurrerRecord]:
    """What metrics say of fused boxes, beside what restores.

    Args:
        records: of what restores.
        told: the names of those that are told the camera's path.
        sizing_guide: hash of what gives the second look its size where nothing restores, or another program does.
    """
    borrowed = {"sized_by": sizing_guide}
    fused = []
    for record in records:
        looks = fusion_protocol(told=record.name in told, searched=record.search is not None)
        looks |= borrowed if record.kind == "folder" else {}
        digest = key_of(part=record.identity, told=record.name in told, **looks)
        fused.append(DeblurrerRecord(fused_name(record.name), "fused", digest))
    control = key_of(part=CONTROL, **fusion_protocol(told=False, searched=False), **borrowed)
    return [*fused, DeblurrerRecord(CONTROL, "fused", control)]
