"""Setting scenes aside for validation: a scene is never cut in two."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.scenes import NAMELESS_SCENE, take_scenes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deblur.prepare.layouts import Pair


def choose_scenes(pairs: Sequence[Pair], fraction: float, seed: int) -> list[str]:
    """Whole training scenes that hold about ``fraction`` of the training pictures.

    Scenes are taken in an order that depends on the seed and on their names alone. With a fraction above 0 and at least
    two scenes, at least one is taken and at least one is left.

    Returns:
        The names of the scenes, sorted.
    """
    sizes = Counter(pair.scene for pair in pairs if pair.split == "train")
    if fraction == 0.0 or len(sizes) < 2:
        return []
    order = sorted(sizes, key=lambda scene: hashlib.sha256(f"{seed}:{scene}".encode()).digest())
    return sorted(take_scenes(order, sizes, fraction * sizes.total()))


def move_to_val(pairs: Sequence[Pair], scenes: Sequence[str]) -> list[Pair]:
    """The pairs with the named training scenes in ``val``.

    Raises:
        DeblurError: a scene is not among the training scenes, or none would be left to train on.
    """
    known = {pair.scene for pair in pairs if pair.split == "train"}
    unknown = sorted(set(scenes) - known)
    if unknown:
        listed = ", ".join(sorted(known)[:20]) + (", ..." if len(known) > 20 else "")
        raise DeblurError(f"--val-scenes: no training scene is named {unknown[0]!r}; there are: {listed or 'none'}")
    if scenes and known == set(scenes):
        raise DeblurError("--val-scenes names every training scene; leave at least one to train on")
    return [replace(pair, split="val") if pair.split == "train" and pair.scene in scenes else pair for pair in pairs]


def shared_scenes(pairs: Sequence[Pair]) -> list[str]:
    """The scenes that stand in more than one split; the scene of nameless frames (``.``) is no evidence."""
    splits: dict[str, set[str]] = {}
    for pair in pairs:
        splits.setdefault(pair.scene, set()).add(pair.split)
    return sorted(scene for scene, of in splits.items() if len(of) > 1 and scene != NAMELESS_SCENE)
