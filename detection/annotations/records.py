"""What every annotation file is read into: pictures, the objects on them, and a report of how they were read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from detection.errors import DetectionError
from detection.naming import refuse_one_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TruthPicture:
    """One annotated picture.

    Attributes:
        stem: What pictures are matched by: the path relative to the annotated folder, with ``/``, without its suffix.
        file_name: The same with its suffix, as far as the annotation file gives one.
        width: Pixels, None where the annotation file does not say.
        height: Pixels, None where the annotation file does not say.
        image_id: Its number in COCO files.
    """

    stem: str
    file_name: str
    width: int | None
    height: int | None
    image_id: int


@dataclass(frozen=True, slots=True, eq=False)
class TruthObjects:
    """The N objects of one picture; the arrays are read-only.

    Attributes:
        boxes: (N, 4) float64, ``x1, y1, x2, y2`` in pixels, origin at the outer corner of the top left pixel.
        class_names: N names.
        areas: (N,) float64, square pixels; the mask's area where the file gives one, else the box's. Sizes (small,
            medium, large) go by it.
        iscrowd: (N,) bool; a region of many objects that are not counted one by one, ignored in scoring.
        difficult: (N,) bool; objects that VOC marks so, ignored in scoring.

    Raises:
        ValueError: shapes that do not fit together, or a box turned inside out.
    """

    boxes: NDArray[np.float64]
    class_names: tuple[str, ...]
    areas: NDArray[np.float64]
    iscrowd: NDArray[np.bool_]
    difficult: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.class_names)
        for name, shape, kind in (
            ("boxes", (count, 4), np.float64),
            ("areas", (count,), np.float64),
            ("iscrowd", (count,), np.bool_),
            ("difficult", (count,), np.bool_),
        ):
            array = np.array(getattr(self, name), dtype=kind)
            if name == "boxes" and count == 0:
                array = array.reshape(0, 4)
            if array.shape != shape:
                raise ValueError(f"{name} of {count} objects has the shape {array.shape}, not {shape}")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not (self.boxes[:, :2] <= self.boxes[:, 2:]).all():
            raise ValueError("boxes are x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")

    @classmethod
    def none(cls) -> Self:
        """Those of a picture without any."""
        nothing = np.zeros(0)
        return cls(nothing, (), nothing, nothing.astype(bool), nothing.astype(bool))

    def __len__(self) -> int:
        return len(self.class_names)


def annotated_classes(class_names: Sequence[str], reports: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The classes that reports of one file's annotations do not say to be missing; all where none is left."""
    missing = {name for report in reports for name in report.get("classes_not_annotated", ())}
    return tuple(name for name in class_names if name not in missing) or tuple(class_names)


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """Annotated pictures in a detector's class names.

    Attributes:
        pictures: Sorted by stem; each stem and each image_id once.
        class_names: Every class of the detector, in its order, whether or not the truth has objects of it.
        objects: By picture stem; every picture has an entry, which may be empty.
        category_ids: COCO category number of each class; the annotation file's own numbers where it has them.
        report: JSON-ready account of what was mapped, changed or left out in reading; see docs/scoring.md.

    Raises:
        ValueError: a stem, number or class that is there twice, or a picture, class or object that lacks its entry:
            what would be scored as another one or not at all.
    """

    pictures: tuple[TruthPicture, ...]
    class_names: tuple[str, ...]
    objects: Mapping[str, TruthObjects]
    category_ids: Mapping[str, int]
    report: dict[str, Any]

    def __post_init__(self) -> None:
        for what, values in (
            ("stem", self.stems),
            ("image_id", [picture.image_id for picture in self.pictures]),
            ("class", self.class_names),
            ("category number", self.category_ids.values()),
        ):
            counts = Counter(values)
            twice = [value for value, count in counts.items() if count > 1]
            if twice:
                raise ValueError(f"each {what} is there once, and {twice[0]!r} {counts[twice[0]]} times")
        for what, needed, given in (
            ("pictures and objects", self.stems, self.objects),
            ("class_names and category_ids", self.class_names, self.category_ids),
        ):
            apart = sorted(set(needed) ^ set(given))
            if apart:
                raise ValueError(f"{what} are of the same: {apart[0]!r} is in one of them alone")
        strange = set().union(*(objects.class_names for objects in self.objects.values())) - set(self.class_names)
        if strange:
            raise ValueError(f"objects of {min(strange)!r}, which is none of the class_names")

    @property
    def stems(self) -> tuple[str, ...]:
        """The stem of every picture, sorted."""
        return tuple(picture.stem for picture in self.pictures)

    @property
    def annotated(self) -> tuple[str, ...]:
        """The classes that were looked for, as far as the annotations tell; all where none is told of.

        A box of another class is neither right nor false: nobody said whether there is such an object.
        """
        return annotated_classes(self.class_names, [self.report])

    def subset(self, stems: Collection[str]) -> GroundTruth:
        """The truth of some pictures only; the report stays that of the whole file.

        Raises:
            DetectionError: a stem that is no annotated picture.
            TypeError: ``stems`` is a single one.
        """
        refuse_one_name(stems, "a choice of pictures")
        wanted = set(stems)
        unknown = sorted(wanted - set(self.objects))
        if unknown:
            raise DetectionError(f"{_listed(unknown)} not among the {len(self.pictures)} annotated pictures")
        kept = tuple(picture for picture in self.pictures if picture.stem in wanted)
        return replace(self, pictures=kept, objects={picture.stem: self.objects[picture.stem] for picture in kept})

    def match(self, keys: Iterable[str]) -> dict[str, str]:
        """Find the annotated picture of each key: same relative path or, where no path fits, same name in any folder.

        Args:
            keys: Relative paths of picture files without suffix.

        Returns:
            Truth stem to key, for the annotated pictures that have one; keys without annotation are left out.

        Raises:
            DetectionError: a key that stands for two annotated pictures, or two keys that stand for one.
        """
        given = list(keys)
        found = {key: key for key in given if key in self.objects}
        if found:  # the folder is laid out as the annotations are: what has a like name elsewhere is another picture
            return found
        by_name: dict[str, list[str]] = {}
        for stem in self.objects:
            by_name.setdefault(stem.rpartition("/")[2], []).append(stem)
        loose: dict[str, str] = {}
        for key in given:
            candidates = by_name.get(key.rpartition("/")[2], [])
            if len(candidates) > 1:
                raise DetectionError(
                    f"picture {key} may be {candidates[0]} or {candidates[1]} of the annotations; "
                    "give it the same folder"
                )
            for stem in candidates:
                if stem in loose:
                    raise DetectionError(f"pictures {loose[stem]} and {key} both match the annotated picture {stem}")
                loose[stem] = key
        return loose

    def to_coco(self) -> dict[str, Any]:
        """The same as the content of a COCO annotation file; annotations are numbered from 1.

        ``difficult`` objects keep that mark, which only this project reads: other COCO programs count them.
        """
        annotations: list[dict[str, Any]] = []
        for picture in self.pictures:
            objects = self.objects[picture.stem]
            for index, name in enumerate(objects.class_names):
                x1, y1, x2, y2 = objects.boxes[index].tolist()
                annotation: dict[str, Any] = {
                    "id": len(annotations) + 1,
                    "image_id": picture.image_id,
                    "category_id": self.category_ids[name],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": float(objects.areas[index]),
                    "iscrowd": int(objects.iscrowd[index]),
                }
                if objects.difficult[index]:
                    annotation["difficult"] = 1
                annotations.append(annotation)
        images = []
        for picture in self.pictures:
            image: dict[str, Any] = {"id": picture.image_id, "file_name": picture.file_name}
            if picture.width is not None and picture.height is not None:
                image |= {"width": picture.width, "height": picture.height}
            images.append(image)
        categories = [{"id": self.category_ids[name], "name": name} for name in self.class_names]
        return {"images": images, "annotations": annotations, "categories": categories}


def _listed(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more} {'is' if len(names) == 1 else 'are'}"
