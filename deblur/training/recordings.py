"""What neighbouring pictures tell: whether a folder is one recording, and how far the frames of videos move."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deblur.errors import DeblurError
from deblur.pictures import read_picture, scale_down
from deblur.prepare.checks import find_shift, overlap
from deblur.scenes import by_numbers, scene_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deblur.training.sources import Source

# Neighbours in REDS, in fast pans, have 0.56 as the median of five pairs; of pairs of unrelated photographs half have
# more than 0.0, one in twenty more than 0.38.
_ALIKE = 0.5
LARGEST_SHIFT = 3
"""Pixels of a long side of 640 between neighbouring frames, of which a mean still looks blurred."""
_SIDE = 640
_VIDEOS, _PAIRS = 3, 5


class Step(NamedTuple):
    """From one picture to its neighbour.

    Attributes:
        shift: pixels that the content moves, of a picture whose long side has 640.
        likeness: correlation of what both show once the move is undone, -1 to 1; 0 where sizes differ.
    """

    shift: float
    likeness: float


def is_recording(source: Source) -> bool:
    """Whether the pictures of a ``sharp`` source look like frames of one recording; a few are read for that.

    They lie in one folder, their names tell one scene at most or are numbers with few left out, and neighbours show one
    place.
    """
    files = [example.files[0] for example in source.examples]
    names = {file.stem for file in files}
    if len({file.parent for file in files}) > 1 or not (len({*map(scene_of, names)}) == 1 or _count_on(names)):
        return False
    steps = _steps([sorted(files, key=lambda file: by_numbers(file.stem))])
    return bool(steps) and median(step.likeness for step in steps) > _ALIKE


def shift_of_frames(source: Source) -> float:
    """How far neighbouring frames of a source's videos move, in pixels of a long side of 640: the median of a few."""
    videos = [source.examples[place].files for place in _spread(len(source.examples), _VIDEOS)]
    steps = _steps(videos)
    return median(step.shift for step in steps) if steps else 0.0


def _count_on(names: Iterable[str]) -> bool:
    """Whether names are numbers alone, of which no more than every other one is left out."""
    names = list(names)
    if not all(name.isdecimal() for name in names):
        return False
    numbers = [int(name) for name in names]
    return max(numbers) - min(numbers) < 2 * len(numbers)


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` places, evenly apart."""
    return sorted({place * count // most for place in range(most)}) if count else []


def _steps(videos: Iterable[Sequence[Path]]) -> list[Step]:
    """The steps between some neighbours of each video; files that cannot be read are for others to name."""
    steps = []
    for files in videos:
        for first in _spread(len(files) - 1, _PAIRS):
            try:
                steps.append(_step(files[first], files[first + 1]))
            except DeblurError:
                continue
    return steps


def _step(first: Path, second: Path) -> Step:
    one, other = (scale_down(read_picture(file), _SIDE).mean(axis=2) for file in (first, second))
    if one.shape != other.shape:
        return Step(0.0, 0.0)
    x, y = find_shift(one, other)
    scale = _SIDE / max(one.shape)
    if 4 * abs(x) >= one.shape[1] or 4 * abs(y) >= one.shape[0]:  # too little is left to compare
        return Step(float(np.hypot(x, y)) * scale, 0.0)
    shared = [part - part.mean() for part in (overlap(one, x, y), overlap(other, -x, -y))]
    spread = float(np.prod([np.sqrt(np.square(part).sum()) for part in shared]))
    return Step(float(np.hypot(x, y)) * scale, float((shared[0] * shared[1]).sum()) / spread if spread else 0.0)
