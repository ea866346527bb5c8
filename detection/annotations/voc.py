"""PASCAL VOC XML files as labelImg writes them, one a picture.

labelImg stores the edges of the drawn box rounded to whole pixels, with 1 in place of a left or upper edge at 0; the
right edge of a box at the border equals the picture's width. So its numbers are edges counted from 0 and are taken as
they are. The PASCAL VOC devkit's own files count pixels from 1, both ends inside: ``one_based`` reads those.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from xml.parsers import expat

from detection.annotations.builder import Box, TruthBuilder, files_below, positive_size
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.annotations.records import GroundTruth, TruthObjects, TruthPicture


def read_voc(
    folder: str | Path, class_names: Sequence[str], *, strict: bool = False, one_based: bool = False
) -> GroundTruth:
    """Read a folder of VOC XML files, subfolders included; what is hidden is left out.

    A picture is matched by its XML file's own path, as labelImg names it after the picture; where ``<filename>`` says
    otherwise the report lists it. Boxes are clipped to the picture, repeated and empty ones left out, all on report.

    Args:
        folder: Of XML files, or one with such a folder ``Annotations``.
        class_names: The detector's class names.
        strict: Refuse class names that the detector does not have.
        one_based: Boxes count pixels from 1 and include both ends (the devkit), not labelImg's edges from 0.

    Raises:
        DetectionError: no XML files, one that is not VOC, or that has a document type (entities are never expanded).
    """
    folder = Path(folder)
    root = folder / "Annotations" if (folder / "Annotations").is_dir() else folder
    files = files_below(root, {".xml"})
    if not files:
        raise DetectionError(f"no .xml files in {root}: give a COCO .json, a folder of VOC .xml or a YOLO data.yaml")
    builder = TruthBuilder(folder, "voc", class_names, repair=True)
    renamed = []
    for path in files:
        tree = _read_xml(path)
        own = path.relative_to(root)
        said = PurePosixPath((tree.findtext("filename") or "").strip().replace("\\", "/"))
        if said.stem and said.stem != own.stem:
            renamed.append(f"{own.as_posix()}: {said.name}")
        # .jpg is the suffix of VOC's own pictures; only the stem is ever compared.
        file_name = str(PurePosixPath(own.with_suffix("").as_posix() + (said.suffix or ".jpg")))
        stem = builder.add_picture(file_name, _size(tree, "width"), _size(tree, "height"))
        for item in tree.findall("object"):
            builder.add_object(
                stem,
                (item.findtext("name") or "").strip(),
                _box(path, item, 1.0 if one_based else 0.0),
                iscrowd=_flag(item, "iscrowd"),
                difficult=_flag(item, "difficult"),
            )
    if renamed:
        builder.note("renamed_pictures", renamed)
    return builder.finish(strict=strict)


def write_voc(truth: GroundTruth, folder: str | Path) -> list[Path]:
    """Write one XML file a picture, in labelImg's layout; edges keep their fractions.

    VOC has no place for mask areas (read back, sizes go by boxes). Crowd regions get an ``iscrowd`` element, which
    other programs do not read.

    Returns:
        The files, sorted.

    Raises:
        DetectionError: a file that exists already or cannot be written.
    """
    written = []
    for picture in truth.pictures:
        path = Path(folder) / f"{picture.stem}.xml"
        tree = _to_xml(picture, truth.objects[picture.stem])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as stream:
                ET.ElementTree(tree).write(stream, encoding="utf-8", xml_declaration=True)
        except FileExistsError as error:
            raise DetectionError(f"{path} exists; choose another folder") from error
        except OSError as error:
            raise DetectionError(f"cannot write {path}: {error.strerror}") from error
        written.append(path)
    return written


def _to_xml(picture: TruthPicture, objects: TruthObjects) -> ET.Element:
    tree = ET.Element("annotation")
    ET.SubElement(tree, "filename").text = PurePosixPath(picture.file_name).name
    size = ET.SubElement(tree, "size")
    for key, value in (("width", picture.width), ("height", picture.height), ("depth", 3)):
        ET.SubElement(size, key).text = str(value or 0)
    for index, name in enumerate(objects.class_names):
        item = ET.SubElement(tree, "object")
        ET.SubElement(item, "name").text = name
        ET.SubElement(item, "difficult").text = str(int(objects.difficult[index]))
        if objects.iscrowd[index]:
            ET.SubElement(item, "iscrowd").text = "1"
        box = ET.SubElement(item, "bndbox")
        for key, edge in zip(("xmin", "ymin", "xmax", "ymax"), objects.boxes[index].tolist(), strict=True):
            ET.SubElement(box, key).text = str(int(edge)) if edge.is_integer() else repr(edge)
    ET.indent(tree, "\t")
    return tree


def _read_xml(path: Path) -> ET.Element:
    def refuse(*_: object) -> None:
        raise DetectionError(f"{path} has a document type; files with entities are not read")

    try:
        content = path.read_bytes()
        # Entities need a document type, and a file with one is refused before anything could be expanded.
        checker = expat.ParserCreate()
        checker.StartDoctypeDeclHandler = refuse
        checker.Parse(content, True)
        tree = ET.fromstring(content)
    except OSError as error:
        raise DetectionError(f"cannot read {path}: {error.strerror}") from error
    except (expat.ExpatError, ET.ParseError, ValueError, LookupError) as error:  # the last of an unknown encoding
        raise DetectionError(f"{path} is not XML: {error}") from error
    if tree.tag != "annotation":
        raise DetectionError(f"{path} is not a VOC annotation: its root is <{tree.tag}>, not <annotation>")
    return tree


def _size(tree: ET.Element, key: str) -> int | None:
    try:
        return positive_size(float(tree.findtext(f"size/{key}") or 0))
    except ValueError:
        return None


def _flag(item: ET.Element, key: str) -> bool:
    return (item.findtext(key) or "").strip().casefold() in {"1", "true", "yes"}


def _box(path: Path, item: ET.Element, offset: float) -> Box:
    edges = []
    for key in ("xmin", "ymin", "xmax", "ymax"):
        text = item.findtext(f"bndbox/{key}")
        try:
            edge = float(text or "")
        except ValueError:
            edge = math.nan
        if not math.isfinite(edge):
            raise DetectionError(f"{path}: <{key}> of object {item.findtext('name')!r} is {text!r}, not a number")
        edges.append(edge)
    return edges[0] - offset, edges[1] - offset, edges[2], edges[3]
