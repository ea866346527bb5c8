"""What names tell: the order of frames, and which pictures show one scene; and choosing whole scenes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Numbers at a name's end, each behind a sign, with what says that they count frames or places: -000047_s001, _448x704.
_COUNTERS = re.compile(r"([\W_]+(?:[a-z]|frame|crop|patch|tile)?[0-9]+(?:x[0-9]+)?)+$", re.IGNORECASE)
_COUNTER = re.compile(r"[0-9]+$")
# What only says that pictures are counted, as cameras and programs name them.
_NO_PLACE = re.compile(
    r"(?:[a-z]|frame|crop|patch|tile|image|img|picture|pic|photo|dsc[a-z]?)?[\W_]*[0-9]*", re.IGNORECASE
)


def scene_of(key: str) -> str:
    """The scene of a picture by its path without suffix: its sub-folder, else its name without the numbers at its end.

    Frames of one recording and crops of one frame stand close together, so ``GOPR0384_11_00-000047_s001`` and
    ``GOPR0384_11_05-000012_x448_y704`` are both of ``GOPR0384``. A number that only letters precede is taken away where
    no other is: ``frame0012`` is of ``frame``, ``kaggle000001_448_704`` of ``kaggle000001``. A name that is a number
    alone says nothing of its neighbours and is a scene by itself, as in COCO. HIDE names its frames
    ``<number>from<recording>``.
    """
    folder, _, name = key.rpartition("/")
    if folder:
        return folder
    of_hide = re.fullmatch(r"[0-9]+from(.+)", name)
    recording = _COUNTERS.sub("", of_hide[1] if of_hide else name)
    return (_COUNTER.sub("", name) if recording == name else recording) or name


def names_a_scene(scene: str) -> bool:
    """Whether a scene's name says more than that its pictures are counted, as ``000012``, ``IMG`` and ``frame`` do."""
    return _NO_PLACE.fullmatch(scene) is None


def by_numbers(name: str) -> list[tuple[str, int]]:
    """By what names sort where their numbers count as numbers: 2 comes before 10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]


def take_scenes(order: Sequence[str], sizes: Mapping[str, int], wanted: float) -> list[str]:
    """Whole scenes that together hold about so many pictures: of at least two, at least one is taken and one is left.

    Args:
        order: the scenes, those to take before others first.
        sizes: how many pictures each has.
        wanted: pictures, above 0.
    """
    chosen: list[str] = []
    taken = 0
    for scene in order:
        nearer = abs(taken + sizes[scene] - wanted) < abs(taken - wanted)
        if nearer and len(chosen) < len(order) - 1:
            chosen.append(scene)
            taken += sizes[scene]
    return chosen or [min(order, key=lambda scene: sizes[scene])]
