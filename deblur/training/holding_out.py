"""Which pictures are set aside to validate on: whole scenes, whole recordings where a folder is one."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.prepare.data_sets import SPLITS
from deblur.scenes import names_a_scene, recording_of, scene_of, tells_a_scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deblur.training.sources import Example, Source

# What folders are called whatever they show.
_SIDES = {"sharp", "blur"}
_NO_SCENE = {*SPLITS, "frames", "images", "photos", "pictures"}


def hold_out(source: Source, share: float, seed: int, most: int) -> tuple[Source, tuple[Example, ...]]:
    """Split off about ``share`` of the pictures of a ``sharp`` source for validation, whichever they are by ``seed``.

    Whole scenes go, as far as names tell scenes: a frame whose neighbours are trained on tells what was memorised. At
    least one goes and, of several, one stays. They go in an order by the seed and their names, so that a larger share
    only adds scenes and a picture more or fewer hardly moves others: what a run was trained on must not be validated on
    when it goes on. Scenes of more than a tenth of the pictures come last, the smallest first. No more than ``most``
    scenes go, the number of pictures that are looked at: the others would be of no use.
    """
    scenes = _scenes_of(source)
    if len(source.examples) < 2:
        return source, ()
    sizes = Counter(scenes)
    aside = _first_scenes(sizes, share * len(scenes), most, seed)
    kept, held = (
        tuple(example for example, scene in zip(source.examples, scenes, strict=True) if (scene in aside) is goes)
        for goes in (False, True)
    )
    return replace(source, examples=kept), held


def _first_scenes(sizes: Mapping[str, int], wanted: float, most: int, seed: int) -> set[str]:
    """At most ``most`` scenes that hold about ``wanted`` pictures, first in an order that depends on neither."""
    if not wanted:
        return set()
    small = sum(sizes.values()) / 10

    def place(scene: str) -> tuple[float, bytes]:
        digest = hashlib.sha256(f"{seed}\n{scene}".encode("utf-8", "surrogateescape")).digest()
        return max(sizes[scene], small), digest

    first, *others = sorted(sizes, key=place)
    aside, taken = {first}, sizes[first]
    for scene in others[: min(len(others), most) - 1]:
        if taken + sizes[scene] / 2 >= wanted:  # with this one there would be too many by more than there lack
            break
        aside.add(scene)
        taken += sizes[scene]
    return aside


def hold_out_recordings(
    sources: Sequence[Source], share: float, seed: int, most: int
) -> list[tuple[Source, tuple[Example, ...]]]:
    """``hold_out`` of sources that are a recording each, or a part of one: all of some recordings are held.

    So these sources have nothing left. The keys of what is held begin with the folder's name, as frames of several
    have one number.
    """
    folders = [source.examples[0].files[0].parent for source in sources]
    names = _names_of(folders)
    recordings = [_recording_of(folder) or name for folder, name in zip(folders, names, strict=True)]
    if len(set(recordings)) == 1:  # one of its parts has to stay
        recordings = names
    sizes: Counter[str] = Counter()
    for recording, source in zip(recordings, sources, strict=True):
        sizes[recording] += len(source.examples)
    aside = _first_scenes(sizes, share * sizes.total(), most, seed)
    return [
        (replace(source, examples=()), tuple(replace(one, key=f"{name}/{one.key}") for one in source.examples))
        if recording in aside
        else (source, ())
        for name, recording, source in zip(names, recordings, sources, strict=True)
    ]


def _recording_of(folder: Path) -> str:
    """The recording of which a folder's name says that it holds a part; empty where it says none."""
    named = _named(folder.parts)
    recording = recording_of(named)
    # Without a number of its own it is what several are called: clip_1 and clip_2 are no parts of one clip.
    numbered = any(letter.isdigit() for letter in recording)
    return recording if recording != named and numbered and names_a_scene(recording) else ""


def _named(folders: Sequence[str]) -> str:
    """The innermost folder that is not called by what side of pairs it holds."""
    return next((folder for folder in reversed(folders) if folder not in _SIDES), "")


def _names_of(folders: Sequence[Path]) -> list[str]:
    """As much of the ends of folders' paths as tells them apart: they keep their names where all are moved."""
    longest = max(len(folder.parts) for folder in folders)
    ends = ([Path(*folder.parts[-count:]).as_posix() for folder in folders] for count in range(1, longest + 1))
    return next(names for names in ends if len(set(names)) == len(set(folders)))


def _scenes_of(source: Source) -> list[str]:
    """The scene of each example; a picture whose name tells none is one, and each is where no two are told apart."""
    scenes = [scene_of(example.key) for example in source.examples]
    several = len(set(scenes)) > 1
    # What a folder is called tells a scene in any case: only names of files may say that a camera counts.
    return [
        scene
        if several and ("/" in example.key or tells_a_scene(scene))
        else str(example.files[0].relative_to(source.folder))
        for example, scene in zip(source.examples, scenes, strict=True)
    ]


def scenes_in_both(trained: Iterable[Example], validated: Iterable[Example]) -> set[str]:
    """The scenes, by their names, of which both hold pictures; names that only count tell none."""
    both = {_place(example) for example in trained} & {_place(example) for example in validated}
    return {place for place in both if names_a_scene(place)}


def _place(example: Example) -> str:
    """The scene of an example as other folders may call it too; empty where no name says one.

    The scene by a file's name is looked for in the folder's where it says none, as of the frames of a video.
    """
    *folders, _ = example.key.split("/")
    within = bool(folders)
    if not within:
        scene = scene_of(example.key)
        if names_a_scene(scene):
            return scene
        folders = list(example.files[0].parent.parts)
    named = _named(folders)
    recording = recording_of(named)
    # Pairs lie in a data set's folder, which is called alike for training and validation: only a part of a recording is
    # surely one.
    a_set = example.kind == "pairs" and not within and recording == named
    return "" if named in _NO_SCENE or a_set else recording
