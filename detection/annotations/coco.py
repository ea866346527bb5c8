"""COCO annotation files (https://cocodataset.org/#format-data): ``images``, ``annotations``, ``categories``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detection.annotations.builder import TruthBuilder, finite, positive_size
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.annotations.records import GroundTruth


def read_coco(path: str | Path, class_names: Sequence[str], *, strict: bool = False) -> GroundTruth:
    """Read a COCO annotation file.

    Boxes and areas are taken as they are, also where a box leaves its picture; a box without width or height is left
    out. Pictures and categories keep their numbers, annotations are counted anew from 1 (number 0, or one number
    twice, makes pycocotools lose matches), and the report says where that was needed. Numbers of pictures and
    categories are whole, at least 0, and may be written ``963.0``, as pandas does.

    Args:
        path: The JSON file.
        class_names: The detector's class names, to which the categories are mapped by name.
        strict: Refuse categories in use that the detector does not have.

    Raises:
        DetectionError: a file that is missing, is not JSON or has not the shape of a COCO file; two pictures with one
            stem; see also ``strict``.
    """
    content = _read(path)
    categories = _categories(path, content)
    builder = TruthBuilder(path, "coco", class_names, repair=False)
    stems: dict[int, str] = {}
    for place, image in _entries(path, content, "images"):
        number = whole_number(place, image, "id")
        if number in stems:
            raise DetectionError(f"{place}: a second picture with the id {number}")
        width, height = positive_size(image.get("width")), positive_size(image.get("height"))
        stems[number] = builder.add_picture(_text(place, image, "file_name"), width, height, number)
    numbers: list[Any] = []
    for place, annotation in _entries(path, content, "annotations"):
        numbers.append(annotation.get("id"))
        picture, category_id = (whole_number(place, annotation, key) for key in ("image_id", "category_id"))
        if picture not in stems:
            raise DetectionError(f"{place}: image_id {picture} is not among 'images'")
        if category_id not in categories:
            raise DetectionError(f"{place}: category_id {category_id} is not among 'categories'")
        x, y, width_px, height_px = _box(place, annotation)
        area = annotation.get("area")
        builder.add_object(
            stems[picture],
            categories[category_id],
            (x, y, x + width_px, y + height_px),
            area=None if area is None else _number(f"{place}: area", area),
            iscrowd=_flag(place, annotation, "iscrowd"),
            difficult=_flag(place, annotation, "difficult"),
        )
    if 0 in numbers or None in numbers or len({repr(number) for number in numbers}) != len(numbers):
        builder.note("renumbered_annotations", len(numbers))
    category_ids: dict[str, int] = {}
    for number, raw in sorted(categories.items()):
        name = builder.names.find(raw)
        if name is not None:
            category_ids.setdefault(name, number)
    return builder.finish(strict=strict, category_ids=category_ids, annotated=category_ids)


def category_names(path: str | Path) -> tuple[str, ...]:
    """The names of a COCO annotation file's categories, by their numbers.

    Raises:
        DetectionError: as `read_coco`, or there is no category, or two have one name.
    """
    categories = _categories(path, _read(path))
    if not categories:
        raise DetectionError(f"{path} has no categories: there is no class to score")
    numbers: dict[str, int] = {}
    for number, name in sorted(categories.items()):
        if name in numbers:
            raise DetectionError(f"{path}: the categories {numbers[name]} and {number} are both called {name!r}")
        numbers[name] = number
    return tuple(numbers)


def _read(path: str | Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DetectionError(
            f"{path} is not a COCO annotation file: a mapping with 'images' is needed at the top level"
        )
    return content


def _categories(path: str | Path, content: dict[str, Any]) -> dict[int, str]:
    categories: dict[int, str] = {}
    for place, category in _entries(path, content, "categories"):
        number = whole_number(place, category, "id")
        if number in categories:
            raise DetectionError(f"{place}: a second category with the id {number}")
        categories[number] = _text(place, category, "name")
    return categories


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        DetectionError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DetectionError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, and numbers of thousands of digits
        raise DetectionError(f"{path} is not JSON: {error}") from error


def _entries(path: str | Path, content: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    entries = content.get(key)
    if not isinstance(entries, list):
        raise DetectionError(f"{path} is not a COCO annotation file: it has no list {key!r}")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DetectionError(f"{path}: {key}[{index}] is not a mapping")
    return [(f"{path}: {key}[{index}]", entry) for index, entry in enumerate(entries)]


def whole_number(place: str, entry: dict[str, Any], key: str) -> int:
    """A number of a picture or category in an entry of a COCO file: at least 0, and ``963.0`` is 963.

    Raises:
        DetectionError: it is none; the message begins with ``place``.
    """
    value = entry.get(key)
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise DetectionError(f"{place}: {key} is {value!r}, not a whole number")
    return number


def _text(place: str, entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DetectionError(f"{place}: {key} is {value!r}, not a name")
    return value


def _flag(place: str, entry: dict[str, Any], key: str) -> bool:
    value = entry.get(key)
    if value not in (None, 0, 1):  # of a tuple: what a file holds may not be hashable
        raise DetectionError(f"{place}: {key} is {value!r}, neither 0 nor 1")
    return bool(value)


def _number(place: str, value: Any) -> float:
    number = finite(value)
    if number is None:
        raise DetectionError(f"{place} is {value!r:.60}, not a finite number")
    return number


def _box(place: str, entry: dict[str, Any]) -> list[float]:
    box = entry.get("bbox")
    if box is None and entry.get("segmentation"):
        raise DetectionError(
            f"{place}: it has a segmentation but no bbox, which is needed: add the box around it, [x, y, width, height]"
        )
    if not isinstance(box, list) or len(box) != 4:
        raise DetectionError(f"{place}: bbox is {box!r}, not [x, y, width, height]")
    return [_number(f"{place}: bbox", edge) for edge in box]
