"""What names tell: the order of frames, and which pictures show one scene; and choosing whole scenes."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

# Numbers at a name's end, each behind a sign, with what says that they count frames or places: -000047_s001, _448x704.
_COUNTERS = re.compile(r"([\W_]+(?:[a-z]|frame|crop|patch|tile)?[0-9]+(?:x[0-9]+)?)+$", re.IGNORECASE)
_COUNTER = re.compile(r"[0-9]+$")
_NUMBERED = re.compile(r"(.*?)([0-9]+)([^0-9]*)")  # the last number in a name
# What only says that pictures are counted, as cameras and programs name them.
_NO_PLACE_WORD = r"(?:[a-z]|frame|crop|patch|tile|image|img|picture|pic|photo|dsc[a-z]?)"
# What COCO and further cameras begin names with. A number behind may be a recording's, as in GOPR0384, so these say
# nothing by themselves alone. VID is none of them: its pictures are a video's frames.
_NO_PLACE_ALONE = r"coco_(?:train|val|test)20[0-9]{2}|gopr|gp|pxl|dji|mvimg|cimg|imgp|pict|_?mg|_dsc"
_NO_PLACE = re.compile(rf"{_NO_PLACE_WORD}?[\W_]*[0-9]*|{_NO_PLACE_ALONE}", re.IGNORECASE)
# What tells no scenes apart even within one set: words as above, and the year that names of PASCAL VOC begin with.
_NO_SCENE = re.compile(rf"{_NO_PLACE_WORD}?|{_NO_PLACE_ALONE}|(?:19|20)[0-9]{{2}}", re.IGNORECASE)


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


def recording_of(folder: str) -> str:
    """The recording that a folder's name means, of which it may hold a part: ``GOPR0384`` of ``GOPR0384_11_02``."""
    return _COUNTERS.sub("", folder) or folder


def names_a_scene(scene: str) -> bool:
    """Whether a scene's name says more than that its pictures are counted, as ``000012``, ``IMG`` and ``frame`` do."""
    return _NO_PLACE.fullmatch(scene) is None


def tells_a_scene(scene: str) -> bool:
    """Whether a scene that a file's name says is one within its set: ``IMG``, ``DSC`` or a year is not, ``000`` is."""
    return _NO_SCENE.fullmatch(scene) is None


@dataclass(frozen=True, slots=True)
class Units:
    """The units that a bootstrap of a set of pictures draws: scenes, or single pictures.

    Attributes:
        of: the unit of each picture by its key, in the order given: its scene, or the key itself.
    """

    of: Mapping[str, str]

    @property
    def name(self) -> str:
        """``scene`` where some unit has several pictures, else ``picture``."""
        return "picture" if len(self) == len(self.of) else "scene"

    def __len__(self) -> int:
        """How many units there are."""
        return len(set(self.of.values()))


def units_of(keys: Iterable[str]) -> Units:
    """The units of a set of pictures: their scenes where names tell at least two apart, else every picture by itself.

    Within one set a scene may be a number (``000_00000012`` of REDS is of ``000``), which between sets says nothing
    (`names_a_scene`). A folder that all pictures lie in tells none.
    """
    parts = {key: key.split("/") for key in keys}
    levels = zip(*(folders for *folders, _ in parts.values()), strict=False)
    shared = len(list(itertools.takewhile(lambda names: len(set(names)) == 1, levels)))
    scenes = {key: scene_of("/".join(own[shared:])) for key, own in parts.items()}
    units = {key: scene if tells_a_scene(scene) else key for key, scene in scenes.items()}
    return Units(units if 1 < len(set(units.values())) < len(units) else {key: key for key in units})


def by_numbers(name: str) -> list[tuple[str, int]]:
    """By what names sort where their numbers count as numbers: 2 comes before 10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]


def frame_runs(files: Iterable[Path]) -> list[list[Path]]:
    """A video's frames in the order of their names' numbers, parted where numbers are left out.

    The step from one number to the next may be any, as of every second frame: where it is more than half as long again
    as usual, or what stands around the number changes, a run ends. Names without numbers are one run.
    """
    ordered = sorted(files, key=lambda file: by_numbers(file.stem))
    found = [match for file in ordered if (match := _NUMBERED.fullmatch(file.stem))]
    if len(found) < len(ordered):
        return [ordered]
    steps = [int(later[2]) - int(one[2]) for one, later in itertools.pairwise(found)]
    usual = median(steps) if steps else 0
    ends = [
        place
        for place, step in enumerate(steps, start=1)
        if step > 1.5 * usual or found[place].group(1, 3) != found[place - 1].group(1, 3)
    ]
    return [ordered[first:last] for first, last in itertools.pairwise([0, *ends, len(ordered)])]


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
