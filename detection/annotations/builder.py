"""The common end of every reader: checks boxes, maps names, keeps the report, and gives a GroundTruth."""

from __future__ import annotations

import math
import os
import posixpath
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from detection.annotations.class_names import NameMap
from detection.annotations.records import GroundTruth, TruthObjects, TruthPicture
from detection.errors import DetectionError
from detection.naming import refuse_one_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Box = tuple[float, float, float, float]
_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")


def stem_of(file_name: str) -> str:
    """What a picture is matched by, and what is made of it is called by: its path with ``/`` and without suffix.

    Always relative and inside its folder: of ``C:/set/1.png``, ``/set/1.png`` and ``../set/1.png`` it is ``set/1``. An
    accent that systems write as one character or as two is one (Unicode's NFC).
    """
    name = unicodedata.normalize("NFC", file_name.replace("\\", "/"))
    path = PurePosixPath(posixpath.normpath(_DRIVE.sub("", name)))
    inside = PurePosixPath(*(part for part in path.parts if part not in {"/", "//", ".."}))
    return str(inside.with_suffix("")) if inside.name else ""


class TruthBuilder:
    """Takes pictures and objects as a reader finds them.

    Args:
        source: The annotation file or folder, for messages and the report.
        kind: ``coco``, ``voc`` or ``yolo``, for the report.
        class_names: The detector's class names.
        repair: Clip boxes to the picture and leave out an object that repeats another's class and box. For hand-made
            labels; COCO boxes are taken as they are, so that figures agree with pycocotools on the same file.
    """

    def __init__(self, source: str | Path, kind: str, class_names: Sequence[str], *, repair: bool) -> None:
        refuse_one_name(class_names, "class_names")
        self._source = source
        self._kind = kind
        self._repair = repair
        self._class_names = tuple(class_names)
        if not self._class_names or len(set(self._class_names)) != len(self._class_names):
            raise ValueError("class_names are the detector's class names, each once")
        self.names = NameMap(self._class_names)
        self._pictures: dict[str, TruthPicture] = {}
        self._rows: dict[str, list[tuple[Box, str, float, bool, bool]]] = {}
        self._seen: set[tuple[str, str, Box]] = set()
        self._named: set[str] = set()
        self._degenerate: list[str] = []
        self._clipped: list[str] = []
        self._duplicates: list[str] = []
        self._notes: dict[str, Any] = {}

    def add_picture(self, file_name: str, width: int | None, height: int | None, image_id: int | None = None) -> str:
        """Add a picture and return its stem; without ``image_id`` pictures are numbered from 1 by stem.

        Raises:
            DetectionError: a name without a stem, or a second picture with the same stem.
        """
        name = file_name.replace("\\", "/").removeprefix("./")
        stem = stem_of(name)
        if not stem:
            raise DetectionError(f"{self._source}: {file_name!r} is not the name of a picture file")
        if stem in self._pictures:
            raise DetectionError(
                f"{self._source}: pictures {self._pictures[stem].file_name} and {name} have the same stem {stem}; "
                "rename one or put them in different folders"
            )
        sized = width is not None and height is not None and width > 0 and height > 0
        self._pictures[stem] = TruthPicture(
            stem, name, width if sized else None, height if sized else None, -1 if image_id is None else image_id
        )
        self._rows[stem] = []
        return stem

    def add_object(
        self,
        stem: str,
        raw_name: str,
        box: Box,
        *,
        area: float | None = None,
        iscrowd: bool = False,
        difficult: bool = False,
    ) -> None:
        """Add an object, or put on record why it is left out.

        Args:
            stem: Of a picture added before.
            raw_name: Class name as in the file.
            box: ``x1, y1, x2, y2`` in pixels; one without width or height is left out and reported.
            area: Square pixels; None for the box's. One below 0, as of a mask's outline that is drawn the other way
                round, is no size that scoring knows: the box's is taken, and reported.
            iscrowd: COCO's mark of a region of many objects.
            difficult: VOC's mark.

        Raises:
            DetectionError: the box has no finite area.
        """
        name = self.names.resolve(raw_name)
        if name is None:
            return
        self._named.add(name)
        picture = self._pictures[stem]
        said = f"{stem}: {name} {', '.join(f'{edge:g}' for edge in box)}"
        x1, y1, x2, y2 = box
        if self._repair and picture.width is not None and picture.height is not None:
            x1, x2 = max(x1, 0.0), min(x2, float(picture.width))
            y1, y2 = max(y1, 0.0), min(y2, float(picture.height))
        if not math.isfinite((x2 - x1) * (y2 - y1)):
            raise DetectionError(f"{self._source}: the box {said} is larger than numbers can say")
        if not (x2 > x1 and y2 > y1):
            self._degenerate.append(said)
            return
        if (x1, y1, x2, y2) != tuple(box):
            self._clipped.append(said)
            area = None
        if area is not None and area < 0:
            self._notes.setdefault("negative_areas", []).append(said)
            area = None
        key = (stem, name, (x1, y1, x2, y2))
        if key in self._seen:
            self._duplicates.append(said)
            if self._repair:
                return
        self._seen.add(key)
        whole = (x2 - x1) * (y2 - y1) if area is None else area
        self._rows[stem].append((key[2], name, whole, iscrowd, difficult))

    def note(self, key: str, value: Any) -> None:
        """Put something that only one reader knows on the report."""
        self._notes[key] = value

    def finish(
        self,
        *,
        strict: bool,
        category_ids: Mapping[str, int] | None = None,
        annotated: Collection[str] | None = None,
    ) -> GroundTruth:
        """The truth that was gathered.

        Args:
            strict: Refuse class names that the detector does not have, in place of leaving the objects out.
            category_ids: The file's own numbers of some of the detector's classes.
            annotated: Those of the detector's classes that were looked for; None for those of the objects, also of
                objects that are left out.

        Raises:
            DetectionError: no pictures, or (if strict) unknown class names.
        """
        if not self._pictures:
            raise DetectionError(f"{self._source}: no annotated pictures found")
        unknown = self.names.unknown()
        if strict and unknown:
            listed = ", ".join(
                f"{name!r} ({entry['count']} objects{_hint(entry['nearest'])})" for name, entry in unknown.items()
            )
            raise DetectionError(f"{self._source}: class names that the detector does not have: {listed}")
        pictures = sorted(self._pictures.values(), key=lambda picture: picture.stem)
        if any(picture.image_id < 0 for picture in pictures):
            pictures = [
                TruthPicture(picture.stem, picture.file_name, picture.width, picture.height, number)
                for number, picture in enumerate(pictures, start=1)
            ]
        objects = {picture.stem: _objects(self._rows[picture.stem]) for picture in pictures}
        return GroundTruth(
            pictures=tuple(pictures),
            class_names=self._class_names,
            objects=objects,
            category_ids=_number_classes(self._class_names, category_ids or {}),
            report=self._report(pictures, objects, annotated),
        )

    def _report(
        self,
        pictures: Sequence[TruthPicture],
        objects: Mapping[str, TruthObjects],
        annotated: Collection[str] | None,
    ) -> dict[str, Any]:
        if annotated is None:
            annotated = self._named
        return {
            "format": self._kind,
            "n_pictures": len(pictures),
            "n_objects": sum(map(len, objects.values())),
            "n_crowd": sum(int(each.iscrowd.sum()) for each in objects.values()),
            "n_difficult": sum(int(each.difficult.sum()) for each in objects.values()),
            "mapped_names": self.names.mapped(),
            "unknown_names": self.names.unknown(),
            "classes_not_annotated": [name for name in self._class_names if name not in annotated],
            "degenerate_boxes": self._degenerate,
            "clipped_boxes": self._clipped,
            "duplicates": self._duplicates,
            "duplicates_kept": not self._repair,
            "pictures_without_truth": [stem for stem, each in objects.items() if len(each) == 0],
            "pictures_without_size": [picture.stem for picture in pictures if picture.width is None],
            **self._notes,
        }


def positive_size(value: Any) -> int | None:
    """A width or height from a file: a whole number of at least 1, or None."""
    number = finite(value)
    return None if number is None or number < 1 else int(number)


def finite(value: Any) -> float | None:
    """A number from a file, or None where it is none, not finite or beyond what a float holds."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files with one of these suffixes at any depth, sorted, as `deblur.picture_folders` finds pictures.

    What is hidden is left out, as what a Mac or Jupyter leaves in folders is. Linked folders are entered, but for those
    that are there without the link.
    """
    found, waiting, entered = [], [folder], set()
    while waiting:
        for name_of_place, folders, names in os.walk(waiting.pop(0)):
            real = os.path.realpath(name_of_place)
            if real in entered:
                folders.clear()
                continue
            entered.add(real)
            place = Path(name_of_place)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            waiting += [place / name for name in folders if (place / name).is_symlink()]
            visible = (place / name for name in names if not name.startswith("."))
            found += [path for path in visible if path.suffix.lower() in suffixes and path.is_file()]
    return sorted(found)


def _objects(rows: list[tuple[Box, str, float, bool, bool]]) -> TruthObjects:
    return TruthObjects(
        boxes=np.array([row[0] for row in rows]),
        class_names=tuple(row[1] for row in rows),
        areas=np.array([row[2] for row in rows]),
        iscrowd=np.array([row[3] for row in rows]),
        difficult=np.array([row[4] for row in rows]),
    )


def _number_classes(class_names: Sequence[str], given: Mapping[str, int]) -> dict[str, int]:
    following = max(given.values(), default=0) + 1
    numbers: dict[str, int] = {}
    for name in class_names:
        if name in given:
            numbers[name] = given[name]
        else:
            numbers[name] = following
            following += 1
    return numbers


def _hint(nearest: str | None) -> str:
    return "" if nearest is None else f", perhaps {nearest!r}"
