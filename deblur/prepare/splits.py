"""Setting scenes aside for validation: a scene is never cut in two."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from deblur.equal_files import contents_of
from deblur.errors import DeblurError
from deblur.prepare.data_sets import SPLITS
from deblur.scenes import names_a_scene, scene_of, take_scenes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deblur.prepare.checks import Checked
    from deblur.prepare.layouts import Pair


def join_scenes(pairs: Sequence[Pair]) -> dict[str, str]:
    """The training scenes, each with the name of the group that stays on one side: that of the group's first scene.

    Scenes are of one group where sharp pictures of theirs are equal files, as those of a folder and of its backup.
    """
    trained = [pair for pair in pairs if pair.split == "train"]
    contents = contents_of(pair.sharp for pair in trained)
    groups = {pair.scene: {pair.scene} for pair in trained}
    holders: dict[str, str] = {}
    for pair in trained:
        one, other = groups[pair.scene], groups[holders.setdefault(contents[pair.sharp], pair.scene)]
        if one is not other:
            one |= other
            groups |= dict.fromkeys(other, one)
    return {scene: min(group) for scene, group in groups.items()}


def choose_scenes(pairs: Sequence[Pair], fraction: float, seed: int, groups: Mapping[str, str]) -> list[str]:
    """Whole training scenes that hold about ``fraction`` of the training pictures.

    Groups of scenes are taken in an order that depends on the seed and on their names alone. Of at least two, at least
    one is taken and at least one is left.

    Args:
        pairs: of all splits.
        fraction: of the training pictures, above 0 and below 1.
        seed: of the order.
        groups: of the training scenes, as ``join_scenes`` finds them.

    Returns:
        The names of the scenes, sorted.
    """
    sizes = Counter(groups[pair.scene] for pair in pairs if pair.split == "train")
    if len(sizes) < 2:
        return []
    order = sorted(
        sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogateescape")).digest()
    )
    taken = set(take_scenes(order, sizes, fraction * sizes.total()))
    return sorted(scene for scene, group in groups.items() if group in taken)


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


def equal_pictures(pairs: Sequence[Pair], checked: Sequence[Checked]) -> list[tuple[Pair, Pair]]:
    """The sharp pictures that are equal byte for byte to one of an earlier split, each with the first of these."""
    first: dict[str, Pair] = {}
    found = []
    for pair, one in sorted(zip(pairs, checked, strict=True), key=lambda both: SPLITS.index(both[0].split)):
        other = first.setdefault(one.sharp_sha256, pair)
        if other.split != pair.split:
            found.append((other, pair))
    return found
