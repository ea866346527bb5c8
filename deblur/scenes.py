"""Which pictures show one scene, and choosing whole scenes: frames of one recording look alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMELESS_SCENE = "."
"""The scene of pictures whose names are numbers alone."""


def scene_of(key: str) -> str:
    """The scene of a picture by its path without suffix: its sub-folder, else its name without the number at its end.

    Frames of one recording stand close together, so ``GOPR0372_07_00_000047`` belongs to ``GOPR0372_07_00``; HIDE names
    its frames ``<number>from<recording>``. Names that are numbers alone all belong to one scene, written ``.``.
    """
    folder, _, name = key.rpartition("/")
    if folder:
        return folder
    of_hide = re.fullmatch(r"[0-9]+from(.+)", name)
    return of_hide[1] if of_hide else re.sub(r"[^0-9A-Za-z]*[0-9]*$", "", name) or NAMELESS_SCENE


def take_scenes(order: Sequence[str], sizes: Mapping[str, int], wanted: float) -> list[str]:
    """Whole scenes that together hold about so many pictures: of at least two, at least one is taken and one is left.

    Args:
        order: the scenes, those to take before others first.
        sizes: how many pictures each has.
        wanted: pictures, above 0.
    """
    chosen: list[str] = []
    for scene in order:
        taken = sum(sizes[name] for name in chosen)
        nearer = abs(taken + sizes[scene] - wanted) < abs(taken - wanted)
        if nearer and len(chosen) < len(order) - 1:
            chosen.append(scene)
    return chosen or [min(order, key=lambda scene: sizes[scene])]
