"""Predictions on disk: a COCO results file, which any COCO program can score against the same annotations."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detection.annotations.coco import read_json
from detection.errors import DetectionError
from detection.matching import coco_results
from detection.types import Detections
from detection.writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from detection.annotations.records import GroundTruth


def save_predictions(path: str | Path, truth: GroundTruth, predictions: Mapping[str, Detections]) -> None:
    """Write predictions, without loss, in one step; an existing file is replaced.

    A results file names pictures and classes by the numbers of ``truth`` and has no entry for a picture where nothing
    was found: keep the list of pictures elsewhere.

    Raises:
        DetectionError: a picture or class that the truth does not know, or a file that cannot be written.
    """
    strangers = sorted(set(predictions) - set(truth.objects))
    if strangers:
        raise DetectionError(f"predictions for {len(strangers)} pictures without annotation, the first {strangers[0]}")
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


def load_predictions(
    path: str | Path, truth: GroundTruth, picture_keys: Collection[str] | None = None
) -> dict[str, Detections]:
    """Read a COCO results file.

    Args:
        path: Written by `save_predictions` or any COCO program for the same annotation file.
        truth: Gives numbers their pictures and classes.
        picture_keys: The pictures (stems) that the detector looked at; None for all of the truth.

    Returns:
        An entry for each of those pictures, empty where the file has no box.

    Raises:
        DetectionError: not such a file, or a number in it that the truth (or ``picture_keys``) does not have.
    """
    chosen = truth if picture_keys is None else truth.subset(picture_keys)
    content = read_json(path)
    if not isinstance(content, list):
        raise DetectionError(f"{path} is not a COCO results file: a list is needed at the top level")
    stems = {picture.image_id: picture.stem for picture in chosen.pictures}
    names = {number: name for name, number in truth.category_ids.items()}
    rows: dict[str, list[tuple[list[float], float, str]]] = {stem: [] for stem in chosen.stems}
    for index, entry in enumerate(content):
        image_id, category_id, box, score = _entry(f"{path}: [{index}]", entry)
        if image_id not in stems or category_id not in names:
            raise DetectionError(f"{path}: [{index}]: picture {image_id} or class {category_id} is not in the truth")
        x, y, width, height = box
        rows[stems[image_id]].append(([x, y, x + width, y + height], score, names[category_id]))
    return {
        stem: Detections.ordered([row[0] for row in found], [row[1] for row in found], [row[2] for row in found])
        for stem, found in rows.items()
    }


def _entry(place: str, entry: Any) -> tuple[int, int, list[float], float]:
    if not isinstance(entry, dict):
        raise DetectionError(f"{place} is not a mapping")
    image_id, category_id = entry.get("image_id"), entry.get("category_id")
    if not isinstance(image_id, int) or not isinstance(category_id, int):
        raise DetectionError(f"{place}: image_id and category_id are whole numbers")
    box: Any = entry.get("bbox")
    score: Any = entry.get("score")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, [*box, score])):
        raise DetectionError(f"{place}: bbox is [x, y, width, height] and score a number, all finite")
    if box[2] < 0 or box[3] < 0 or not 0 <= score <= 1:
        raise DetectionError(f"{place}: width and height are not negative, score is from 0 to 1")
    return image_id, category_id, box, float(score)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
