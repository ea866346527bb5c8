"""The original folders of each data set, read as a flat list of pairs.

Layouts, below SOURCE:

- gopro (GOPRO_Large, Nah et al. 2017): ``train|test/<part>/{blur,blur_gamma,sharp}/NNNNNN.png``
- hide (Shen et al. 2019): ``train/*.png``, ``test/test-close-ups/*.png``, ``test/test-long-shot/*.png``, ``GT/*.png``
- realblur (Rim et al. 2020): ``RealBlur_J_train_list.txt``, ``RealBlur_J_test_list.txt`` (or ``_R_``) with
  ``gt_path blur_path`` a line, relative to SOURCE
- reds (Nah et al. 2019): ``train/train_blur/NNN/XXXXXXXX.png``, ``train/train_sharp/...``, and ``val`` likewise
- pairs: ``{blur,sharp}/...`` or ``train|val|test/{blur,sharp}/...``
- sharp: photographs at any depth

What is wrong with the folders is collected in ``Layout.problems``, so that a user sees all of it in one go.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.picture_folders import NOT_TOLD_APART, key_of, list_pictures, refuse_pairs
from deblur.prepare.data_sets import SPLITS
from deblur.scenes import scene_of, units_of

if TYPE_CHECKING:
    from pathlib import Path

_GOPRO_FOLDERS = {"linear": "blur", "gamma": "blur_gamma"}


@dataclass(frozen=True)
class Pair:
    """One picture of a data set: where its files are, and where they belong.

    ``name`` is the path below ``<split>/blur`` and ``<split>/sharp``, without suffix and with ``/``. ``blurred`` is
    None where a data set has sharp pictures alone.
    """

    name: str
    split: str
    scene: str
    blurred: Path | None
    sharp: Path


@dataclass
class Layout:
    """What the folders of a data set hold, and what is wrong with them (one line a problem)."""

    pairs: list[Pair] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_layout(data_set: str, source: Path, blur: str | None = None, split: str | None = None) -> Layout:
    """List the pairs of a data set in its original layout.

    Args:
        data_set: one of ``data_sets.DATA_SETS``.
        source: the folder the data set was unpacked to.
        blur: gopro: ``linear`` or ``gamma``; realblur: ``J`` or ``R``; of no effect elsewhere.
        split: where all pictures of ``pairs`` and ``sharp`` go, whatever splits SOURCE has; None keeps those, or is
            ``train`` where it has none.

    Raises:
        DeblurError: the folder is missing or is not laid out as that data set.
    """
    if not source.is_dir():
        raise DeblurError(f"{source} {'is not a folder' if source.exists() else 'does not exist'}")
    layout = Layout()
    if data_set == "gopro":
        _read_gopro(layout, source, _GOPRO_FOLDERS[blur or "linear"])
    elif data_set == "realblur":
        _read_realblur(layout, source, blur or "J")
    elif data_set == "pairs":
        _read_pairs(layout, source, split)
    elif data_set == "sharp":
        _read_sharp(layout, source, split or "train")
    else:
        {"hide": _read_hide, "reds": _read_reds}[data_set](layout, source)
    _find_duplicates(layout)
    layout.pairs.sort(key=lambda pair: (SPLITS.index(pair.split), pair.name))
    return layout


def _read_gopro(layout: Layout, source: Path, blur_folder: str) -> None:
    splits = [split for split in ("train", "test") if (source / split).is_dir()]
    if not splits:
        raise DeblurError(f"{source} holds neither train/ nor test/: give the folder that GOPRO_Large was unpacked to")
    for split in splits:
        for folder in sorted(path for path in (source / split).iterdir() if _is_part(path)):
            for key, blurred, sharp in _matched(layout, folder / blur_folder, folder / "sharp"):
                name = f"{folder.name}_{key}"
                # A folder is one part of a recording, and other parts may show the same place.
                layout.pairs.append(Pair(name, split, scene_of(name), blurred, sharp))


def _is_part(path: Path) -> bool:
    """Whether it is a part of a recording; hidden folders are of a file manager or an editor."""
    return path.is_dir() and not path.name.startswith(".")


def _read_hide(layout: Layout, source: Path) -> None:
    sharp = _keyed(layout, source / "GT")
    test = [source / "test" / group for group in ("test-close-ups", "test-long-shot")]
    folders = [("train", source / "train")] * (source / "train").is_dir() + [("test", folder) for folder in test]
    for split, folder in folders:
        for key, blurred in _keyed(layout, folder).items():
            if key not in sharp:
                layout.problems.append(f"{blurred} has no sharp picture {source / 'GT' / key}.*")
            else:
                layout.pairs.append(Pair(key, split, scene_of(key), blurred, sharp[key]))


def _read_realblur(layout: Layout, source: Path, subset: str) -> None:
    lists = {split: source / f"RealBlur_{subset}_{split}_list.txt" for split in ("train", "test")}
    if not any(path.is_file() for path in lists.values()):
        raise DeblurError(
            f"{source} holds no {lists['test'].name}: put the authors' list files beside the RealBlur-{subset} folder"
        )
    for split, path in lists.items():
        if path.is_file():
            _read_realblur_list(layout, source, path, split)


def _read_realblur_list(layout: Layout, source: Path, path: Path, split: str) -> None:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        layout.problems.append(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): fetch it again")
        return
    except OSError as error:
        layout.problems.append(f"cannot read {path}: {error.strerror}")
        return
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            layout.problems.append(f"{path}, line {number}: 'gt_path blur_path' is needed, not {line.strip()!r}")
            continue
        outside = [word for word in words if PurePosixPath(word).is_absolute() or ".." in PurePosixPath(word).parts]
        if outside:
            layout.problems.append(
                f"{path}, line {number}: {outside[0]} leads out of {source}: name it below that folder"
            )
            continue
        sharp, blurred = source / words[0], source / words[1]
        missing = [file for file in (sharp, blurred) if not os.path.isfile(file)]  # noqa: PTH113 - a long name: no OSError
        layout.problems += [f"{path}, line {number}: {file} does not exist" for file in missing]
        number_sharp, number_blurred = _last_number(sharp.stem), _last_number(blurred.stem)
        scene = sharp.parent.parent.name
        if scene != blurred.parent.parent.name or number_sharp != number_blurred:
            layout.problems.append(f"{path}, line {number}: {words[0]} and {words[1]} are not of one place and number")
        elif not missing:
            layout.pairs.append(Pair(f"{scene}_{number_sharp}", split, scene, blurred, sharp))


def _read_reds(layout: Layout, source: Path) -> None:
    found = False
    for split in ("train", "val"):
        # The archives unpack to train/train_blur; some copies leave out the outer folder.
        for parent in (source / split, source):
            folders = parent / f"{split}_blur", parent / f"{split}_sharp"
            if any(folder.is_dir() for folder in folders):
                found = True
                for key, blurred, sharp in _matched(layout, *folders):
                    # Train and val both count their scenes from 000.
                    scene = f"{split}_{key.split('/')[0]}"
                    layout.pairs.append(Pair(key.replace("/", "_"), split, scene, blurred, sharp))
                break
    if not found:
        raise DeblurError(
            f"{source} holds no train/train_blur or val/val_blur: give the folder that REDS was unpacked to"
        )


def _read_pairs(layout: Layout, source: Path, split: str | None) -> None:
    own = [name for name in SPLITS if (source / name / "blur").is_dir() or (source / name / "sharp").is_dir()]
    folders = [(name, source / name) for name in own] or [("train", source)]
    for name, folder in folders:
        for key, blurred, sharp in _matched(layout, folder / "blur", folder / "sharp"):
            layout.pairs.append(Pair(key, split or name, scene_of(key), blurred, sharp))


def _read_sharp(layout: Layout, source: Path, split: str) -> None:
    pictures = _keyed(layout, source)
    refuse_pairs(source, pictures.values(), f"sharp {source}", lambda sides: f"{sides.sharp}, or prepare its pairs")
    # Photographs are often named by their number alone, so that one without a folder may be a scene by itself.
    named = units_of(pictures).of
    for key, sharp in pictures.items():
        folder, _, _ = key.rpartition("/")
        layout.pairs.append(Pair(key, split, folder or named[key], None, sharp))


def _last_number(stem: str) -> str:
    return stem.rpartition("_")[2]


def _matched(layout: Layout, blurred: Path, sharp: Path) -> list[tuple[str, Path, Path]]:
    """(key, blurred, sharp) of the pictures two folders share; those without a partner become problems."""
    blurred_pictures, sharp_pictures = _keyed(layout, blurred), _keyed(layout, sharp)
    if not blurred_pictures or not sharp_pictures:
        return []
    for key in sorted(blurred_pictures.keys() - sharp_pictures.keys()):
        layout.problems.append(f"{blurred_pictures[key]} has no sharp picture {sharp / key}.*")
    for key in sorted(sharp_pictures.keys() - blurred_pictures.keys()):
        layout.problems.append(f"{sharp_pictures[key]} has no blurred picture {blurred / key}.*")
    shared = sorted(blurred_pictures.keys() & sharp_pictures.keys())
    return [(key, blurred_pictures[key], sharp_pictures[key]) for key in shared]


def _keyed(layout: Layout, folder: Path) -> dict[str, Path]:
    """The pictures of a folder by `key_of`; an unusable folder becomes a problem."""
    try:
        pictures = list_pictures(folder)
    except DeblurError as error:
        layout.problems.append(str(error))
        return {}
    keyed: dict[str, Path] = {}
    for path in pictures:
        key = key_of(path, folder)
        if key in keyed:
            layout.problems.append(f"{keyed[key]} and {path.name} {NOT_TOLD_APART}; keep one of them")
        keyed[key] = path
    return keyed


def _find_duplicates(layout: Layout) -> None:
    """One name twice would let one file silently take the other's place."""
    seen: dict[tuple[str, str], Pair] = {}
    for pair in layout.pairs:
        first = seen.setdefault((pair.split, pair.name), pair)
        if first is not pair:
            layout.problems.append(f"{first.sharp} and {pair.sharp} would both be named {pair.split}/{pair.name}")
