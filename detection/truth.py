"""Ground truth for scoring: one call that reads whatever annotation files there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from detection.annotations.coco import read_coco
from detection.annotations.records import GroundTruth, TruthObjects, TruthPicture
from detection.annotations.voc import read_voc
from detection.annotations.yolo import read_yolo
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GroundTruth", "TruthObjects", "TruthPicture", "read_truth", "report_lines"]


def read_truth(
    path: Path | str, class_names: Sequence[str], *, strict: bool = False, split: str | None = None
) -> GroundTruth:
    """Read annotations in a detector's class names.

    Args:
        path: A COCO JSON file; a folder of VOC XML files, or one with such an ``Annotations`` folder; a YOLO data file
            (``data.yaml``) or the folder it lies in.
        class_names: The detector's class names, each once; those of the file are mapped to them by name.
        strict: Refuse class names that the detector does not have. Without it their objects are left out and reported.
        split: The split of a YOLO data file: ``train``, ``val`` or ``test``; None for ``val``. An error elsewhere.

    Raises:
        DetectionError: nothing that can be read there, or content that cannot be understood; one line that names it.
    """
    path = Path(path)
    if not path.exists():
        raise DetectionError(f"no annotations at {path}: give a COCO .json, a folder of VOC .xml or a YOLO data.yaml")
    if path.is_dir() and (path / "data.yaml").is_file():
        path /= "data.yaml"
    if path.suffix.lower() in {".yaml", ".yml"} and path.is_file():
        return read_yolo(path, class_names, split=split or "val", strict=strict)
    if split is not None:
        raise DetectionError(f"{path}: only YOLO data files have splits; leave out {split!r}")
    if path.is_dir():
        return read_voc(path, class_names, strict=strict)
    if path.suffix.lower() == ".json":
        return read_coco(path, class_names, strict=strict)
    raise DetectionError(f"{path} is no annotation file: give a COCO .json, a folder of VOC .xml or a YOLO data.yaml")


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report of a GroundTruth in words: one line on what was read, and one for each thing changed or left out."""
    lines = [f"{report['n_pictures']} pictures with {report['n_objects']} objects ({report['format']})"]
    lines += [
        f"class {raw!r} read as {entry['name']!r}: {entry['count']} objects"
        for raw, entry in report["mapped_names"].items()
    ]
    for raw, entry in report["unknown_names"].items():
        hint = "" if entry["nearest"] is None else f" (nearest: {entry['nearest']!r})"
        lines.append(f"class {raw!r} is not the detector's{hint}: {entry['count']} objects left out")
    lines += [
        f"{words}: {_size(report[key])}"
        for key, words in (
            (
                "classes_not_annotated",
                "the detector's classes that are not annotated, whose boxes do not count",
            ),
            ("degenerate_boxes", "boxes without width or height, left out"),
            ("clipped_boxes", "boxes clipped to their picture"),
            ("negative_areas", "areas below 0, the box's taken for them"),
            ("duplicates", "repeated objects, kept" if report["duplicates_kept"] else "repeated objects, left out"),
            ("n_difficult", "difficult objects, ignored in scoring"),
            ("n_crowd", "crowd regions, ignored in scoring"),
            ("pictures_without_truth", "pictures without objects, where every box counts as false"),
            ("pictures_without_label_file", "pictures without a label file, taken as empty"),
            ("pictures_without_size", "pictures without a size"),
            ("split_paths_without_parent", "paths of the split that are not there, read without their first ../"),
            ("renumbered_annotations", "annotations numbered anew from 1"),
            ("renamed_pictures", "files whose <filename> is another, matched by their own name"),
        )
        if report.get(key)
    ]
    return lines


def _size(entry: int | list[str]) -> str:
    if isinstance(entry, int):
        return str(entry)
    return f"{len(entry)} ({entry[0]}{', ...' if len(entry) > 1 else ''})"
