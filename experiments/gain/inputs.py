"""Which pictures are measured: the annotated ones, each with its file in every folder, and nothing by position.

And what is known of a folder of them: the data set and blur that its manifest names.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from deblur.errors import DeblurError
from deblur.picture_folders import composed, pictures_by_key
from deblur.pictures import PICTURE_SUFFIXES, picture_size
from deblur.runs import printable
from detection.truth import GroundTruth, read_truth
from experiments.common.cache import key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from experiments.gain.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Truths:
    """The truth in every detector's class names, on the same pictures.

    Attributes:
        by_detector: detector name to truth, of the pictures measured.
        stems: the pictures measured, sorted.
        everything: the truth of all annotated pictures, in the first detector's class names.
        sha256: of pictures and objects, whatever format they were read from.
        sha256_by_detector: detector name to what ``sha256`` is in a run of that detector alone.
    """

    by_detector: Mapping[str, GroundTruth]
    stems: tuple[str, ...]
    everything: GroundTruth
    sha256: str
    sha256_by_detector: Mapping[str, str]

    @property
    def n_annotated(self) -> int:
        """How many pictures the annotations have."""
        return len(self.everything.stems)

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """(width, height) of the pictures whose size the annotations give."""
        return {
            picture.stem: (picture.width, picture.height)
            for picture in self.everything.pictures
            if picture.width is not None and picture.height is not None
        }


def read_truths(
    path: Path,
    class_names: Mapping[str, tuple[str, ...]],
    limit: int | None,
    split: str | None = None,
    keys: Collection[str] | None = None,
) -> Truths:
    """Read annotations once for each set of class names.

    Args:
        path: COCO JSON, VOC folder or YOLO data file.
        class_names: detector name to every class of it.
        limit: keep the first so many pictures by stem; None for all.
        split: of a YOLO data file, as `detection.truth.read_truth` takes it.
        keys: keep these pictures, by path without suffix, as far as they are annotated; None for all.

    Raises:
        DetectionError: as `detection.truth.read_truth` and `GroundTruth.match`.
        DeblurError: the annotations hold no picture, or none of ``keys``, or one whose name is not UTF-8.
    """
    by_names: dict[tuple[str, ...], GroundTruth] = {}
    for names in class_names.values():
        if names not in by_names:
            by_names[names] = read_truth(path, names, split=split)
    everything = next(iter(by_names.values()))
    stems = everything.stems
    if keys is not None:
        kept = everything.match(keys)
        stems = tuple(stem for stem in stems if stem in kept)
        if not stems:
            raise DeblurError(f"{path} has none of the {len(keys)} pictures that are to be scored")
    stems = stems[:limit]
    if not stems:
        raise DeblurError(f"{path} holds no picture: there is nothing to measure")
    garbled = next((stem for stem in stems if printable(stem) != stem), None)
    if garbled is not None:
        raise DeblurError(
            f"{path}: the name {printable(garbled)} is not UTF-8, in which results are written: rename the picture"
        )
    chosen = {detector: by_names[names].subset(stems) for detector, names in class_names.items()}
    hashes = {detector: _truth_hash(truth) for detector, truth in chosen.items()}
    alone = {detector: _combined([digest]) for detector, digest in hashes.items()}
    return Truths(chosen, stems, everything, _combined(hashes.values()), alone)


def listed_pictures(place: Path) -> list[str]:
    """The pictures that lie in a folder or are listed in a text file, one a line, by their paths without suffix.

    Raises:
        DeblurError: the folder holds none, or the file cannot be read or lists none.
    """
    if place.is_dir():
        return list(pictures_by_key(place))
    try:
        lines = map(str.strip, place.read_text(encoding="utf-8-sig").splitlines())
    except OSError as error:
        raise DeblurError(f"cannot read {place}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise DeblurError(f"{place} is no list of pictures: a text file is needed, one name a line") from None
    paths = [PurePosixPath(composed(line.replace("\\", "/"))) for line in lines if line]
    if not paths:
        raise DeblurError(f"{place} lists no picture")
    # Names may end in no suffix and hold a point all the same.
    keys = (str(path.with_suffix("") if path.suffix.lower() in PICTURE_SUFFIXES else path) for path in paths)
    return list(dict.fromkeys(keys))


def match_folder(folder: Path, truths: Truths) -> tuple[dict[str, Path], int]:
    """The file of each measured picture below a folder, by name without suffix.

    Returns:
        Files by stem, and the number of pictures in the folder that have no annotation.

    Raises:
        DeblurError: a measured picture has no file, or two files have its name.
        DetectionError: as `GroundTruth.match`.
    """
    files = pictures_by_key(folder)
    keys = truths.everything.match(files)
    missing = [stem for stem in truths.stems if stem not in keys]
    if missing:
        raise DeblurError(
            f"{len(missing)} of {len(truths.stems)} annotated pictures have no file in {folder}, the first is "
            f"{missing[0]!r}: add them, or give the annotations of the pictures that are there"
        )
    return {stem: files[keys[stem]] for stem in truths.stems}, len(files) - len(keys)


def check_sizes(folders: Iterable[Mapping[str, Path]], sizes: Mapping[str, tuple[int, int]]) -> None:
    """Compare the sizes of all pictures, of nearly all by their headers alone: hours may pass until one's turn comes.

    Args:
        folders: stem to file, of each folder.
        sizes: (width, height) by stem as far as the annotations give them; elsewhere the first folder decides.

    Raises:
        DeblurError: a file is no picture, or `check_size` refuses it.
    """
    known = dict(sizes)
    for files in folders:
        for stem, file in files.items():
            size = picture_size(file)
            check_size(file, stem, size, known.setdefault(stem, size))


def check_size(file: Path, stem: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Refuse a picture of another (width, height) than the others of its stem: boxes would not fit."""
    if size != expected:
        (width, height), (expected_width, expected_height) = size, expected
        raise DeblurError(
            f"{file} is {width}x{height} pixels, but {stem} is {expected_width}x{expected_height} in the annotations "
            "or the pictures it is compared with: give them all in one size"
        )


def data_of(settings: Settings, truths: Truths, sharp: str | None, blurred: Mapping[str, str]) -> dict[str, Any]:
    """What `GainRun.data` says of any run: its truth, and hashes of the sharp pictures (or None) and of each blur's.

    What only some runs know is there as nothing: where the sharp ones lie, data set and blur, what was left out.
    """
    classes = None if settings.classes is None else sorted(settings.classes)
    return {
        "sha256": key_of(truth=truths.sha256, sharp=sharp, blurred=dict(blurred), classes=classes),
        "annotations": {"path": str(settings.annotations), "sha256": truths.sha256},
        "sharp": None,
        "blurred": dict(blurred),
        "data_set": None,
        "blur": None,
        "n_pictures": len(truths.stems),
        "n_annotated": truths.n_annotated,
        "limit": None,
        "n_without_annotation": {},
        "classes": classes,
        "reports": {detector: truth.report for detector, truth in truths.by_detector.items()},
    }


def hash_of_set(hashes: Mapping[str, str]) -> str:
    """One hash of a set of pictures from the hash of each, by stem."""
    return _combined(f"{stem}\0{hashes[stem]}" for stem in sorted(hashes))


def _combined(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in sorted(set(parts)):
        digest.update(f"{part}\n".encode())
    return digest.hexdigest()


def _truth_hash(truth: GroundTruth) -> str:
    """Of what is scored: names and boxes by picture, and neither ids nor the order of objects."""
    content = {}
    for stem, objects in truth.objects.items():
        rows = zip(
            objects.class_names,
            objects.boxes.tolist(),
            objects.areas.tolist(),
            objects.iscrowd.tolist(),
            objects.difficult.tolist(),
            strict=True,
        )
        content[stem] = sorted(map(list, rows))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()
