"""Predictions on disk: a COCO results file, which any COCO program can score against the same annotations."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from detection.annotations.builder import finite, stem_of
from detection.annotations.coco import read_json, whole_number
from detection.errors import DetectionError
from detection.matching import coco_results, refuse_strangers
from detection.types import Detections
from detection.writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from detection.annotations.records import GroundTruth

_FARTHEST = 1e9  # pixels: beyond any picture, and well within what float32 holds


def save_predictions(path: str | Path, truth: GroundTruth, predictions: Mapping[str, Detections]) -> None:
    """Write predictions, without loss, in one step; an existing file is replaced.

    A results file names pictures and classes by the numbers of ``truth`` and has no entry for a picture where nothing
    was found: keep the list of pictures elsewhere.

    Raises:
        DetectionError: a picture or class that the truth does not know, or a file that cannot be written.
    """
    refuse_strangers(truth, predictions)
    entries = [
        json.dumps(entry)
        for picture in truth.pictures
        if picture.stem in predictions
        for entry in coco_results(truth, picture, predictions[picture.stem])
    ]
    try:
        write_atomically(Path(path), ("[" + ",\n".join(entries) + "]\n").encode("utf-8"))
    except OSError as error:
        raise DetectionError(f"cannot write {path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What a COCO results file says of the pictures and classes of a truth.

    Attributes:
        found: By picture stem; an entry for every picture of the truth, empty where the file has no box.
        other_pictures: How many boxes the file has on each picture that the truth does not have, by its number or name,
            whichever the file goes by.
        other_classes: How many it has on pictures of the truth of each class that the truth does not have, by number.
    """

    found: dict[str, Detections]
    other_pictures: Mapping[int | str, int]
    other_classes: Mapping[int, int]


def read_results(path: str | Path, truth: GroundTruth) -> Results:
    """Read a COCO results file, which may be of more pictures and classes than the truth.

    Numbers of pictures and categories are whole, at least 0, and may be written ``963.0``, as pandas does. A file whose
    ``image_id`` are the names of picture files, or whose ``file_name`` are those of other pictures than its numbers,
    goes by these names: ultralytics makes its numbers of names and knows no annotations. There a number without a name
    is a name of digits, and a name without folders is that of no picture where annotated pictures of several folders
    share it. What else an entry holds beside its box, such as a mask, is not looked at.

    Args:
        path: Written by any COCO program for the annotation file that the truth was read from.
        truth: Gives numbers their pictures and classes.

    Raises:
        DetectionError: not such a file; the message names the first entry that is none.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise DetectionError(f"{path} is not a COCO results file: a list is needed at the top level")
    names = {number: name for name, number in truth.category_ids.items()}
    rows: dict[str, list[tuple[list[float], float, str]]] = {stem: [] for stem in truth.stems}
    other_pictures: Counter[int | str] = Counter()
    other_classes: Counter[int] = Counter()
    entries = [_entry(f"{path}: [{index}]", entry) for index, entry in enumerate(content)]
    for (called, stem), entry in zip(_pictures_of(entries, truth), entries, strict=True):
        if stem is None:
            other_pictures[called] += 1
        elif entry.category_id not in names:
            other_classes[entry.category_id] += 1
        else:
            rows[stem].append((entry.box, entry.score, names[entry.category_id]))
    found = {
        stem: Detections.ordered([row[0] for row in own], [row[1] for row in own], [row[2] for row in own])
        for stem, own in rows.items()
    }
    return Results(found, other_pictures, other_classes)


def load_predictions(
    path: str | Path, truth: GroundTruth, picture_keys: Collection[str] | None = None
) -> dict[str, Detections]:
    """Read a COCO results file that is of these pictures and classes alone.

    Args:
        path: Written by `save_predictions` or any COCO program for the same annotation file.
        truth: Gives numbers their pictures and classes.
        picture_keys: The pictures (stems) that the detector looked at; None for all of the truth.

    Returns:
        An entry for each of those pictures, empty where the file has no box.

    Raises:
        DetectionError: as `read_results`, or a number in it that the truth (or ``picture_keys``) does not have.
    """
    results = read_results(path, truth if picture_keys is None else truth.subset(picture_keys))
    for what, others in (("picture", results.other_pictures), ("class", results.other_classes)):
        if others:
            raise DetectionError(f"{path}: {what} {next(iter(others))} is not in the truth")
    return results.found


class _Entry(NamedTuple):
    """One box of a results file.

    Attributes:
        number: Of its picture, None where ``image_id`` is a name.
        name: Of its picture's file, None where the entry has none.
        category_id: Its category's number.
        box: ``x1, y1, x2, y2`` in pixels.
        score: From 0 to 1.
    """

    number: int | None
    name: str | None
    category_id: int
    box: list[float]
    score: float


def _pictures_of(entries: Sequence[_Entry], truth: GroundTruth) -> Iterator[tuple[int | str, str | None]]:
    """What the file calls the picture of each entry, and the picture's stem; None where the truth does not have it."""
    numbers = {picture.image_id: picture.stem for picture in truth.pictures}
    names = _Names(truth.stems, {entry.name for entry in entries if entry.name is not None})
    by_name = any(
        entry.number is None or (entry.name is not None and names.contradict(numbers.get(entry.number), entry.name))
        for entry in entries
    )
    for entry in entries:
        if entry.name is not None and by_name:
            yield entry.name, names.stem(entry.name)
        elif entry.number is not None:
            yield entry.number, names.stem_of_number(entry.number) if by_name else numbers.get(entry.number)


class _Names:
    """The annotated picture that a file's name means.

    Args:
        stems: Of the annotated pictures.
        called: Every name in the results file. Where none of them has a folder the file tells none, so that a name
            which pictures of several folders share means no one of them.
    """

    def __init__(self, stems: Sequence[str], called: Collection[str]) -> None:
        self._by_last: dict[str, set[str]] = {}
        self._by_number: dict[int, set[str]] = {}
        for stem in stems:
            last = PurePosixPath(stem).name
            self._by_last.setdefault(last, set()).add(stem)
            if last.isdecimal():
                self._by_number.setdefault(int(last), set()).add(stem)
        self._whole = set(stems) if any("/" in stem_of(name) for name in called) else set()

    def stem(self, name: str) -> str | None:
        """The stem of the picture whose file a results file calls ``name``, with its suffix or without."""
        for called in (name, stem_of(name)):
            if called in self._whole:
                return called
            if called in self._by_last:
                return _only(self._by_last[called])
        return None

    def stem_of_number(self, number: int) -> str | None:
        """The stem of the picture whose name reads as ``number``: of 7 it is ``0007``, where no other one does."""
        return _only(self._by_number.get(number, set()))

    def contradict(self, stem: str | None, name: str) -> bool:
        """Whether ``name`` is that of another picture than ``stem``."""
        if stem is not None and PurePosixPath(stem).name in {name, stem_of(name)}:
            return False
        return self.stem(name) not in {None, stem}


def _only(stems: set[str]) -> str | None:
    return next(iter(stems)) if len(stems) == 1 else None


def _entry(place: str, entry: Any) -> _Entry:
    if not isinstance(entry, dict):
        raise DetectionError(f"{place} is not a mapping")
    image_id, file_name = entry.get("image_id"), entry.get("file_name")
    number, name = None, image_id
    if not isinstance(image_id, str) or not image_id:
        number, name = whole_number(place, entry, "image_id"), file_name if isinstance(file_name, str) else None
    category_id = whole_number(place, entry, "category_id")
    box, score = entry.get("bbox"), finite(entry.get("score"))
    edges = [finite(edge) for edge in box] if isinstance(box, list) and len(box) == 4 else [None]
    known = [edge for edge in edges if edge is not None and abs(edge) < _FARTHEST]
    if score is None or len(known) != 4:
        raise DetectionError(f"{place}: bbox is [x, y, width, height] and score a number, all finite")
    x, y, width, height = known
    if width < 0 or height < 0 or not 0 <= score <= 1:
        raise DetectionError(f"{place}: width and height are not negative, score is from 0 to 1")
    return _Entry(number, name, category_id, [x, y, x + width, y + height], score)
