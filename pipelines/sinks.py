"""What a run of the chain leaves behind: pictures, videos, and detections in several formats."""

from __future__ import annotations

import itertools
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from deblur.cli import lacks_memory
from deblur.errors import DeblurError
from deblur.pictures import scale_down, write_picture
from deblur.runs import make_folder, printable, write_atomically, write_json
from detection.drawing import draw_detections, side_by_side
from detection.naming import refuse_one_name
from pipelines.video import LARGEST_FRAME_SIDE, VideoWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path, PurePosixPath

    import numpy as np
    from numpy.typing import NDArray

    from detection.types import Detections
    from pipelines.chain import DeblurDetectResult
    from pipelines.sources import Item, Source

# Restored pictures are kept without loss; the others are for looking at.
STILL_SUFFIXES = {"annotated": ".jpg", "deblurred": ".png", "side-by-side": ".jpg"}
_NOT_IN_COCO = frozenset((12, 26, 29, 30, 45, 66, 68, 69, 71, 83))  # numbers of classes that COCO gave up


def detection_entries(detections: Detections) -> list[dict[str, Any]]:
    """Detections as JSON holds them: box x1, y1, x2, y2 in pixels to 0.01, score to 0.0001, class name; best first."""
    return [
        {"box": [round(float(edge), 2) for edge in box], "score": round(float(score), 4), "class": name}
        for box, score, name in zip(detections.boxes, detections.scores, detections.class_names, strict=True)
    ]


def refuse_collisions(sources: Sequence[Source], kinds: Collection[str]) -> None:
    """See that no output of one source is a file where those of another need a folder.

    So it would be with ``clips/clip.mp4`` and ``frames/clip.mp4/1.png``. Letter case counts for nothing, as on some
    file systems.

    Args:
        sources: what is to be written.
        kinds: as of `PictureSink`.

    Raises:
        DeblurError: two sources are such.
    """
    for kind in sorted({*STILL_SUFFIXES, "txt"} & {*kinds}):
        by_folder: dict[str, Source] = {}
        for source in sources:
            stem = source.stem_of(0) if kind == "txt" and source.is_video else source.stem
            by_folder |= {str(folder).casefold(): source for folder in stem.parents}
        for source in sources:
            if kind == "txt" and source.is_video:
                continue  # its files are in a folder of its own
            name = _with_suffix(source.stem, ".mp4" if source.is_video else STILL_SUFFIXES.get(kind, ".txt"))
            other = by_folder.get(str(name).casefold())
            if other is not None:
                raise DeblurError(
                    f"{kind}/{name} would be the output of {source.file} and the folder for that of {other.file}; "
                    "rename one of the two, or take each in a run of its own"
                )


class PictureSink:
    """Writes the pictures of a run below its folder: ``annotated/``, ``deblurred/``, ``side-by-side/`` and ``txt/``.

    Stills become files of their own, the frames of a video one video. ``write`` may be called from several threads, but
    with frames of videos in their order and one at a time, and `finish_videos` behind the last frame of each.
    """

    def __init__(self, folder: Path, kinds: Collection[str], class_names: Sequence[str]) -> None:
        """Choose what to write.

        Args:
            folder: the run's folder.
            kinds: annotated, deblurred, side-by-side, txt; others are for other sinks.
            class_names: the detector's, in its order: their places are the class numbers of ``txt``.

        Raises:
            TypeError: ``kinds`` or ``class_names`` is a single one.
        """
        refuse_one_name(kinds, "kinds")
        refuse_one_name(class_names, "class_names")
        self.folder = folder
        self.kinds = frozenset(kinds)
        self._class_numbers = {name: number for number, name in enumerate(class_names)}
        self._videos: dict[str, VideoWriter] = {}  # of one source, by kind
        self._without_video: dict[str, str] = {}  # kinds whose video could not be begun, and why

    @property
    def writes_anything(self) -> bool:
        """Whether `write` has something to do."""
        return bool(self.kinds & {*STILL_SUFFIXES, "txt"})

    def path_of(self, kind: str, item: Item) -> Path:
        """Where the picture or the video of one kind goes."""
        suffix = STILL_SUFFIXES[kind] if item.frame is None else ".mp4"
        return self.folder / kind / _with_suffix(item.source.stem, suffix)

    def write(self, item: Item, result: DeblurDetectResult | None) -> dict[str, str]:
        """Write everything that was chosen for one picture.

        Args:
            item: the picture or frame.
            result: what became of it; None of a frame that failed, which goes into the videos as it came, so that those
                behind it keep their time.

        Returns:
            What could not be written: why, by kind.
        """
        assert item.picture is not None
        picture, restored, title = item.picture, item.picture, "failed"
        if result is not None:
            restored = result.restored
            title = f"{'not restored' if result.times.deblur is None else 'restored'}, {len(result.detections)} found"

        @cache
        def annotated() -> NDArray[np.uint8]:
            return restored if result is None else draw_detections(restored, result.detections)

        def both() -> NDArray[np.uint8]:
            beside = side_by_side([("input", picture), (title, annotated())])
            # It is for looking at: smaller is better than none.
            return beside if item.frame is None else scale_down(beside, LARGEST_FRAME_SIDE)

        # Drawn within its job, since memory may not suffice for one kind and suffice for the others.
        drawers: dict[str, Callable[[], NDArray[np.uint8]]] = {
            "deblurred": lambda: restored,
            "annotated": annotated,
            "side-by-side": both,
        }
        jobs = {
            kind: partial(self._write_picture, kind, item, draw) for kind, draw in drawers.items() if kind in self.kinds
        }
        if "txt" in self.kinds and result is not None:
            jobs["txt"] = partial(self._write_labels, item, result.detections)
        return _failures(jobs)

    def finish_videos(self) -> dict[str, str]:
        """Close the videos of a source after its last frame.

        Returns:
            Those that are not whole: why, by kind.
        """
        failures = _failures({kind: writer.close for kind, writer in self._videos.items()}) | self._without_video
        self._videos.clear()
        self._without_video.clear()
        return failures

    def _write_picture(self, kind: str, item: Item, draw: Callable[[], NDArray[np.uint8]]) -> None:
        path = self.path_of(kind, item)
        picture = draw()
        if item.frame is None:
            write_picture(path, picture)
        elif kind in self._videos:
            self._videos[kind].write(picture, item.frame)
        elif kind not in self._without_video:
            writer = VideoWriter(path, item.fps)
            try:
                writer.write(picture, item.frame)
            except DeblurError as error:  # no other frame would fit either: it is said once, when the source ends
                self._without_video[kind] = str(error)
            else:
                self._videos[kind] = writer

    def _write_labels(self, item: Item, detections: Detections) -> None:
        """One line an object, as YOLO tools read predictions: class number, centre and size as shares, score."""
        assert item.picture is not None
        height, width = item.picture.shape[:2]
        lines = []
        for (x1, y1, x2, y2), score, name in zip(
            detections.boxes.tolist(), detections.scores.tolist(), detections.class_names, strict=True
        ):
            shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            numbers = " ".join(f"{share:.6f}" for share in shares)
            lines.append(f"{self._class_numbers[name]} {numbers} {score:.6f}\n")
        path = self.folder / "txt" / _with_suffix(item.stem, ".txt")
        make_folder(path.parent)
        write_atomically(path, "".join(lines).encode("utf-8"))


class CocoSink:
    """Collects detections as a COCO results file, with the pictures and classes that its numbers stand for.

    Where the names of all pictures are different whole numbers, as those of COCO are, these are their ids; otherwise
    pictures are numbered from 1. A detector with COCO's 80 classes has COCO's numbers, which leave some out; the
    classes of another one are numbered from 1. So the results of COCO's pictures fit COCO's annotation file.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        is_coco = len(class_names) == 80 and class_names[0] == "person" and class_names[-1] == "toothbrush"
        numbers = (number for number in itertools.count(1) if not is_coco or number not in _NOT_IN_COCO)
        self._category_ids = dict(zip(class_names, numbers, strict=False))
        self._pictures: list[tuple[dict[str, Any], str, Detections]] = []

    def add(self, item: Item, detections: Detections) -> None:
        """Take up one picture; its pixels are not kept."""
        assert item.picture is not None
        height, width = item.picture.shape[:2]
        image: dict[str, Any] = {"file_name": printable(item.source.file), "width": width, "height": height}
        if item.frame is not None:
            image["frame"] = item.frame
        self._pictures.append((image, item.source.stem.name if item.frame is None else "", detections))

    def write(self, folder: Path) -> None:
        """Write ``coco_results.json`` (boxes x, y, width, height) and ``coco_images.json`` (what the numbers mean)."""
        names = [name for _, name, _ in self._pictures]
        has_numbers = all(name.isascii() and name.isdecimal() for name in names) and len(set(map(int, names))) == len(
            names
        )
        images, results = [], []
        for position, (image, name, detections) in enumerate(self._pictures, start=1):
            image_id = int(name) if has_numbers else position
            images.append({"id": image_id} | image)
            for (x1, y1, x2, y2), score, class_name in zip(
                detections.boxes.tolist(), detections.scores.tolist(), detections.class_names, strict=True
            ):
                box = [x1, y1, x2 - x1, y2 - y1]
                category_id = self._category_ids[class_name]
                results.append({"image_id": image_id, "category_id": category_id, "bbox": box, "score": score})
        categories = [{"id": number, "name": name} for name, number in self._category_ids.items()]
        write_json(folder / "coco_results.json", results)
        write_json(folder / "coco_images.json", {"images": images, "categories": categories})


def _failures(jobs: Mapping[str, Callable[[], None]]) -> dict[str, str]:
    """Do every job; returns why those failed that did."""
    failures = {}
    for kind, job in jobs.items():
        try:
            job()
        except DeblurError as error:
            failures[kind] = str(error)
        except Exception as error:
            if not lacks_memory(error):
                raise
            failures[kind] = f"not enough memory to write {kind}"
    return failures


def _with_suffix(stem: PurePosixPath, suffix: str) -> PurePosixPath:
    """The name with a suffix added; `with_suffix` would cut ``v1.2`` to ``v1``."""
    return stem.with_name(stem.name + suffix)
