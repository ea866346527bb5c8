"""YOLO text labels with their ``data.yaml`` (https://docs.ultralytics.com/datasets/detect/)."""

from __future__ import annotations

import contextlib
import math
import os
import re
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from PIL import Image, PngImagePlugin, TiffImagePlugin

from detection.annotations.builder import Box, TruthBuilder, files_below, stem_of
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detection.annotations.records import GroundTruth

PICTURE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in "avif bmp gif jfif jp2 jpeg jpg pbm pgm png pnm ppm tif tiff webp".split()  # noqa: SIM905
)
"""Those of `deblur.pictures`, which this package does not import."""
# What Pillow raises on a damaged header; RuntimeError of AVIF, MemoryError of a JPEG 2000 that promises too much.
_DAMAGED = (OSError, SyntaxError, ValueError, LookupError, struct.error, RuntimeError, MemoryError)
_OVERSHOOT = 0.01  # beyond 0 and 1, as rounding leaves it; ultralytics allows as much
_PNG_MARKS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # the chunks that may hold an orientation
_PILLOW = r"PIL\."  # the modules whose warnings are silenced
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 turn the picture by a quarter


def read_yolo(path: str | Path, class_names: Sequence[str], *, split: str = "val", strict: bool = False) -> GroundTruth:
    """Read one split of a YOLO data file.

    The split is a folder of pictures, a text file that lists them, or a list of such; relative to the data file's
    ``path``, itself relative to the data file. A path that is not there is read without the ``../`` it begins with, as
    Roboflow's data files mean it.

    The labels of ``images/a.jpg`` are ``labels/a.txt``, or ``a.txt`` beside it; a picture without that file has no
    objects. A row is ``class cx cy w h`` as fractions of the upright picture, or ``class x1 y1 x2 y2 x3 y3 ...``, a
    polygon, of which the box around it is taken; a number further than 0.01 beyond 0 or 1 is no fraction and refused.
    Where the data file has ``kpt_shape``, every row is a box with keypoints behind it, which are not read.

    Args:
        path: ``data.yaml``, with ``names`` as a list or a mapping of numbers to names.
        class_names: The detector's class names.
        split: ``train``, ``val`` or ``test``.
        strict: Refuse class names that the detector does not have.

    Raises:
        DetectionError: anything that is missing or cannot be understood, by file and line.
    """
    path = Path(path)
    content = _read_yaml(path)
    names = _names(path, content.get("names"))
    keypoints = _keypoint_numbers(path, content.get("kpt_shape"))
    root = path.parent / _as_here(path.parent, content.get("path") or "")
    builder = TruthBuilder(path, "yolo", class_names, repair=True)
    unlabelled: dict[str, Path] = {}
    pictures, nearer = _pictures(path, root, content, split)
    for relative, picture in pictures:
        width, height = _upright_size(picture)
        stem = builder.add_picture(relative, width, height)
        places = _label_places(picture)
        label = next((place for place in places if place.is_file()), None)
        if label is None:
            unlabelled[stem] = places[0]
            continue
        for number, line in enumerate(_lines(label), start=1):
            row = line.split()
            if row:
                index, box = _parse(f"{label}:{number}", row, keypoints, width, height)
                if index not in names:
                    raise DetectionError(f"{label}:{number}: class {index} is not among the names of {path}")
                builder.add_object(stem, names[index], box)
    if nearer:
        builder.note("split_paths_without_parent", nearer)
    if unlabelled:
        builder.note("pictures_without_label_file", list(unlabelled))
        builder.note("label_file_looked_for", str(next(iter(unlabelled.values()))))
    annotated = {name for raw in names.values() if (name := builder.names.find(raw)) is not None}
    return builder.finish(strict=strict, annotated=annotated)


class _Loader(yaml.SafeLoader):
    """Refuses aliases of lists: a few hundred letters would stand for more than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            if not isinstance(self.anchors.get(event.anchor), yaml.ScalarNode | None):
                raise ValueError(f"*{event.anchor} stands for a list or a mapping: write it out")
        return super().compose_node(parent, index)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise DetectionError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError of dates that cannot be, and of bytes
        raise DetectionError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except (LookupError, AttributeError):  # as of !!bool maybe
        raise DetectionError(f"{path} is not YAML: a value is not of the kind that its tag says") from None
    except RecursionError:
        raise DetectionError(f"{path} is not YAML that can be read: it nests too deep") from None
    if not isinstance(content, dict):
        raise DetectionError(f"{path} is not a YOLO data file: a mapping with 'names' is needed at the top level")
    return content


def _names(path: Path, entry: Any) -> dict[int, str]:
    mapping = dict(enumerate(entry)) if isinstance(entry, list) else entry
    try:
        # Numbers in quotes count, as they do for ultralytics.
        names = {int(number): str(name) for number, name in mapping.items()}
    except (AttributeError, TypeError, ValueError, OverflowError):
        names = {}
    if not names:
        raise DetectionError(f"{path}: 'names' is a list of class names or a mapping of numbers to them")
    if len(names) < len(mapping):
        raise DetectionError(f"{path}: 'names' holds a number twice, as 0 and \"0\" are: keep one name for each")
    return names


def _keypoint_numbers(path: Path, shape: Any) -> int | None:
    """How many numbers of keypoints follow the box in every row; None where rows have none."""
    if shape is None:
        return None
    if isinstance(shape, list) and len(shape) == 2 and all(type(number) is int for number in shape):
        count, each = shape
        if count > 0 and each in {2, 3}:
            return count * each
    raise DetectionError(
        f"{path}: kpt_shape is {shape!r:.60}, not two whole numbers: how many keypoints, and 2 or 3 for the numbers of "
        "each"
    )


def _pictures(path: Path, root: Path, content: dict[str, Any], split: str) -> tuple[list[tuple[str, Path]], list[str]]:
    """The name and file of every picture of a split, and the paths that were read without their first ``../``."""
    entry = content.get(split)
    if not entry:
        raise DetectionError(f"{path} has no split {split!r}")
    found: list[tuple[str, Path]] = []
    nearer: list[str] = []
    for each in entry if isinstance(entry, list) else [entry]:
        try:
            written = _as_here(root, each)
            place, below = root / written, root / written.removeprefix("../")
            if not place.exists() and below.exists():
                place = below
                nearer.append(str(each))
            is_folder = place.is_dir()
        except OSError as error:  # no path at all
            raise DetectionError(f"{path}: {split} is {each!r:.60}...: {error.strerror}") from error
        if is_folder:
            found += [(file.relative_to(place).as_posix(), file) for file in files_below(place, PICTURE_SUFFIXES)]
        elif place.is_file():
            listed = [_as_here(root, line.strip()) for line in _lines(place) if line.strip()]
            files = [(place.parent if line.startswith("./") else root) / line for line in listed]
            found += [(_below_images(line), file) for line, file in zip(listed, files, strict=True)]
        else:
            raise DetectionError(f"{path}: {split} is {each!r}, but there is no {place}")
    if not found:
        raise DetectionError(f"{path}: split {split!r} holds no pictures")
    if len({stem_of(name) for name, _ in found}) < len(found):
        found = _named_from_common_folder([file for _, file in found])
    return found, nearer


def _as_here(root: Path, written: object) -> str:
    """A path as this system writes it: one from Windows has backslashes, which elsewhere are letters of a name."""
    text = str(written)
    return text if "\\" not in text or (root / text).exists() else text.replace("\\", "/")


def _named_from_common_folder(files: Sequence[Path]) -> list[tuple[str, Path]]:
    """Pictures of several folders that have like names, by their paths below the folder that holds them all."""
    common = os.path.commonpath([file.parent.absolute() for file in files])
    return [(Path(os.path.relpath(file, common)).as_posix(), file) for file in files]


def _below_images(line: str) -> str:
    """The part of a listed path that names the picture: below the last folder ``images``, or the bare name."""
    parts = Path(line).parts
    places = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    return "/".join(parts[places[-1] + 1 :]) if places else parts[-1]


def _label_places(picture: Path) -> list[Path]:
    """Where the label file of a picture may lie, the likeliest first."""
    parts = list(picture.parts)
    places = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    beside = picture.with_suffix(".txt")
    if not places:
        return [beside]
    parts[places[-1]] = "labels"
    return [Path(*parts).with_suffix(".txt"), beside]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DetectionError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DetectionError(f"{path} is not text: {error}") from error


def _upright_size(path: Path) -> tuple[int, int]:
    """Width and height as the picture is shown, from its header; as `deblur.pictures` tells it."""
    try:
        with _pillow_silenced(), Image.open(path) as picture:
            width, height = picture.size
            if isinstance(picture, TiffImagePlugin.TiffImageFile):  # versions of Pillow differ: turned yet or not
                width, height = (
                    picture.tag_v2[tag] for tag in (TiffImagePlugin.IMAGEWIDTH, TiffImagePlugin.IMAGELENGTH)
                )
            turned = _says_orientation(path, picture) and _orientation(picture) in {5, 6, 7, 8}
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise DetectionError(f"cannot read the picture {path}: {error}") from error
    return (height, width) if turned else (width, height)


@contextlib.contextmanager
def _pillow_silenced() -> Iterator[None]:
    """Of what Pillow dislikes in a header nothing matters here.

    One filter comes and goes; to save all and put them back would be crosswise with other threads' filters.
    """
    warnings.filterwarnings("ignore", module=_PILLOW)
    try:
        yield
    finally:
        filters: Any = warnings.filters  # a list, which types do not tell
        with contextlib.suppress(ValueError):
            filters.remove(("ignore", None, Warning, re.compile(_PILLOW), 0))


def _says_orientation(path: Path, picture: Image.Image) -> bool:
    """Whether Pillow should look for an orientation: of a PNG it would decode all pixels to look behind them too."""
    if not isinstance(picture, PngImagePlugin.PngImageFile):
        return True
    content = path.read_bytes()
    return any(mark in content for mark in _PNG_MARKS)


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(_ORIENTATION, 1)
    except _DAMAGED:  # which takes nothing from the pixels
        return 1


def _parse(place: str, row: list[str], keypoints: int | None, width: int, height: int) -> tuple[int, Box]:
    """Number of the class and box in pixels; ``keypoints`` as of `_keypoint_numbers`."""
    try:
        number, *numbers = map(float, row)
        if not number.is_integer():
            raise ValueError(f"{number} is no class")
    except ValueError as error:
        raise DetectionError(f"{place}: {' '.join(row)[:60]!r} is not 'class cx cy w h'") from error
    if keypoints is not None:
        if len(numbers) != 4 + keypoints:
            raise DetectionError(
                f"{place}: {len(numbers)} numbers after the class, but with the kpt_shape of the data file a row has "
                f"{4 + keypoints}: cx cy w h and the keypoints"
            )
        numbers = numbers[:4]
    elif len(numbers) == 5 and 0 <= numbers[4] <= 1:
        raise DetectionError(
            f"{place}: a sixth number looks like a score: these are detections, which are no annotations; "
            "a row of truth is 'class cx cy w h'"
        )
    if not all(map(math.isfinite, numbers)):
        raise DetectionError(f"{place}: the row has numbers that are not finite")
    if len(numbers) != 4 and (len(numbers) < 6 or len(numbers) % 2):
        raise DetectionError(f"{place}: {len(numbers)} numbers after the class, 4 or a polygon are needed")
    strange = next((number for number in numbers if not -_OVERSHOOT <= number <= 1 + _OVERSHOOT), None)
    if strange is not None:
        raise DetectionError(
            f"{place}: the row has numbers {'above 1' if strange > 1 else 'below 0'} ({strange:g}): YOLO rows are "
            "fractions of the picture; divide pixels by its width and height"
        )
    if len(numbers) == 4:
        center_x, center_y, box_width, box_height = numbers
        edges = (
            center_x - box_width / 2,
            center_y - box_height / 2,
            center_x + box_width / 2,
            center_y + box_height / 2,
        )
    else:
        xs, ys = numbers[::2], numbers[1::2]
        edges = (min(xs), min(ys), max(xs), max(ys))
    return int(number), (edges[0] * width, edges[1] * height, edges[2] * width, edges[3] * height)
