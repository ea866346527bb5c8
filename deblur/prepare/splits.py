"""Setting scenes aside for validation: a scene is never cut in two."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.scenes import names_a_scene, scene_of, take_scenes

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
    order = sorted(
        sizes, key=lambda scene: hashlib.sha256(f"{seed}:{scene}".encode("utf-8", "surrogateescape")).digest()
    )
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


def name_scenes(pairs: Sequence[Pair], pattern: str) -> list[Pair]:
    """The pairs with scenes by a regular expression: what its first group finds in their names, or all that it finds.

    Raises:
        DeblurError: it finds nothing in a name.
    """
    found = [re.search(pattern, pair.name) for pair in pairs]
    scenes = [match and match[1 if match.re.groups else 0] for match in found]
    nameless = [pair.name for pair, scene in zip(pairs, scenes, strict=True) if not scene]
    if nameless:
        others = f" and {len(nameless) - 1} more" if len(nameless) > 1 else ""
        raise DeblurError(
            f"--scene-pattern {pattern!r} finds no scene in {nameless[0]!r}{others}: give one that fits every name"
        )
    return [replace(pair, scene=scene) for pair, scene in zip(pairs, scenes, strict=True) if scene]


def parted_names(pairs: Sequence[Pair]) -> list[str]:
    """What names call one scene although its pictures, each taken as one by itself, stand in more than one split."""
    splits: dict[str, set[str]] = {}
    for pair in pairs:
        name = scene_of(pair.name)
        if pair.scene == pair.name != name and names_a_scene(name):
            splits.setdefault(name, set()).add(pair.split)
    return sorted(name for name, of in splits.items() if len(of) > 1)


def scenes_in_several_splits(pairs: Sequence[Pair]) -> list[str]:
    """The scenes that stand in more than one split; two scenes may well have one number, which alone is no evidence."""
    splits: dict[str, set[str]] = {}
    for pair in pairs:
        splits.setdefault(pair.scene, set()).add(pair.split)
    return sorted(scene for scene, of in splits.items() if len(of) > 1 and not scene.isdecimal())
