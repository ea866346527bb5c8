"""What a user names as SOURCE: a picture, a folder, a glob, a video file or a camera, and the pictures they give."""

from __future__ import annotations

import glob
import itertools
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.picture_folders import folders_below, list_pictures
from deblur.pictures import PICTURE_SUFFIXES, NoPictureError, read_upright
from detection.naming import refuse_one_name
from pipelines.run_folder import holds_run
from pipelines.video import VIDEO_SUFFIXES, Camera, VideoReader

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pipelines.video import Frame

_CAMERA = re.compile("(?:/dev/video)?([0-9]+)")  # Linux calls its cameras so; OpenCV counts them alike

_HOW_VIDEOS_END = f"; a video is known by its suffix, one of {', '.join(sorted(VIDEO_SUFFIXES))}"


@dataclass(frozen=True, slots=True)
class Source:
    """One file or camera, with the place of its outputs.

    Attributes:
        file: what results call it: the path as given, or ``camera:0``.
        stem: where its outputs go below a folder of outputs, without suffix; no other source has the same.
        origin: the file, or the number of the camera.
        size: width and height that are asked of the camera; None takes its own.
    """

    file: str
    stem: PurePosixPath
    origin: Path | int
    size: tuple[int, int] | None = None

    @property
    def is_video(self) -> bool:
        """Whether it gives frames rather than one picture."""
        return isinstance(self.origin, int) or self.origin.suffix.lower() in VIDEO_SUFFIXES

    def stem_of(self, frame: int | None) -> PurePosixPath:
        """The name of one of its frames, or its own where there is none; see ``stem``."""
        return self.stem if frame is None else self.stem / f"{frame:06d}"


@dataclass(frozen=True, slots=True)
class Item:
    """One picture or frame that was read, or what kept it from being read.

    Attributes:
        source: where it comes from.
        frame: number of the frame in its video, from 0; None for a still picture.
        fps: frames a second of its video; None for a still picture.
        picture: RGB uint8 (H, W, 3), upright; None where ``error`` says why, and beside a ``note``.
        orientation: how it was turned for that; see ``deblur.pictures.Upright``.
        error: one line; None where the picture is there.
        read_ms: time that reading and decoding took.
        taken: when the frame came from a camera, in seconds since 1970; None of files.
        seconds: how long after its video's first frame this one was, by the file; None where it does not tell.
        note: one line for the user about a video, where nothing failed; such an item is no picture.
    """

    source: Source
    frame: int | None
    fps: float | None
    picture: NDArray[np.uint8] | None
    orientation: int
    error: str | None
    read_ms: float
    taken: float | None = None
    seconds: float | None = None
    note: str | None = None

    @property
    def stem(self) -> PurePosixPath:
        """Its own name below a folder of outputs, without suffix: the source's, or ``NAME/000000`` of a frame."""
        return self.source.stem_of(self.frame)


def find_sources(
    arguments: Sequence[str], camera_size: tuple[int, int] | None = None
) -> tuple[list[Source], list[str]]:
    """Find out what each SOURCE is.

    A folder gives its pictures at any depth, by suffix, but not those of earlier runs below it; a glob (``**``
    included) the pictures and videos it matches. A file that is named alone is taken whatever its suffix. Outputs of a
    folder or a glob keep their path below it, and begin with its name where there are several SOURCEs. Sources that
    would still share a place (``a.jpg`` and ``a.png``, or ``a/000001.png`` and a frame of ``a.mp4``) get ``a``,
    ``a-2``, ...

    Args:
        arguments: at least one; a whole number that is no file's name is a camera, as is ``/dev/video`` with one or a
            link there.
        camera_size: width and height to ask of cameras; None takes their own.

    Returns:
        The sources in their order, and notes for the user: one line for each output that is not named as its source,
        and on what is left out of a folder.

    Raises:
        DeblurError: an argument is nothing of these, a folder holds no picture, or a glob matches none.
        TypeError: ``arguments`` is a single one.
    """
    refuse_one_name(arguments, "what sources are named by")
    found: list[Source] = []
    notes: list[str] = []
    taken = _Taken()
    for argument in arguments:
        for source in _expand(argument, notes, is_one_of_several=len(arguments) > 1):
            stem = source.stem
            number = 1
            while not taken.add(stem, is_video=source.is_video):
                number += 1
                stem = source.stem.with_name(f"{source.stem.name}-{number}")
            if stem != source.stem:
                notes.append(f"outputs of {source.file} are named {stem}: {source.stem} is taken")
            found.append(replace(source, stem=stem, size=camera_size if isinstance(source.origin, int) else None))
    return found, notes


def camera_of(argument: str) -> int | None:
    """The number of the camera that a SOURCE stands for; None where it is something else."""
    path = Path(argument)
    if path.is_dir() or path.is_file():
        return None
    match = _CAMERA.fullmatch(argument) or _CAMERA.fullmatch(os.path.realpath(argument))
    return None if match is None else int(match[1])


def name_of(argument: str, first: Source) -> str:
    """What a run on a SOURCE is called: as the folder, or the fixed part of the glob, or its one picture or video.

    Args:
        argument: as of `find_sources`.
        first: the first source that it gave.
    """
    folder = Path(argument)
    if not folder.is_dir():
        if isinstance(first.origin, int) or first.file == argument:
            return first.stem.name
        folder, _ = _split(argument)
    return _called(folder) or first.stem.name


def _called(folder: Path) -> str:
    """What a folder is called as it was given: a link by its own name; empty for the root."""
    return folder.resolve().name if folder.name in {"", ".."} else folder.name


class _Taken:
    """The names that sources have, and those of their frames."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._videos: set[str] = set()
        self._numbered: set[str] = set()  # what frames of a video of that name could be

    def add(self, stem: PurePosixPath, *, is_video: bool) -> bool:
        """Take a name, unless a source or a frame of one has it; returns whether it is taken now."""
        # Some file systems do not tell A.png from a.png.
        name, parent = str(stem).casefold(), str(stem.parent).casefold()
        is_numbered = re.fullmatch(r"[0-9]{6,}", stem.name) is not None
        if name in self._names or (is_video and name in self._numbered) or (is_numbered and parent in self._videos):
            return False
        self._names.add(name)
        if is_video:
            self._videos.add(name)
        if is_numbered:
            self._numbered.add(parent)
        return True


def count_pictures(sources: Sequence[Source]) -> int | None:
    """How many pictures and frames the sources announce; None where one of them cannot tell."""
    total = 0
    for source in sources:
        if not source.is_video:
            total += 1
            continue
        if isinstance(source.origin, int):
            return None
        try:
            with VideoReader(source.origin) as video:
                n_frames = video.n_frames
        except DeblurError:
            n_frames = 1  # it will be one entry, which says that the video cannot be read
        if n_frames is None:
            return None
        total += n_frames
    return total


def read_items(sources: Sequence[Source]) -> Generator[Item]:
    """Read pictures and frames one after the other. What cannot be read gives one item that says so."""
    for source in sources:
        if isinstance(source.origin, int):
            yield from _read_camera(source, source.origin)
        elif source.is_video:
            yield from _read_video(source)
        else:
            yield _read_still(source)


def _read_still(source: Source) -> Item:
    assert isinstance(source.origin, Path)
    start = time.perf_counter()
    picture, orientation, error = None, 1, None
    try:
        picture, orientation = read_upright(source.origin)
    except NoPictureError as reason:
        error = f"{reason}{_HOW_VIDEOS_END * (source.origin.suffix.lower() not in PICTURE_SUFFIXES)}"
    except DeblurError as reason:
        error = str(reason)
    return Item(source, None, None, picture, orientation, error, _since(start))


def _read_camera(source: Source, camera_number: int) -> Generator[Item]:
    start = time.perf_counter()
    try:
        with Camera(camera_number, source.size) as camera:
            for number in itertools.count():
                picture, taken = camera.newest()
                yield Item(source, number, camera.fps, picture, 1, None, _since(start), taken)
                start = time.perf_counter()
    except DeblurError as reason:
        yield Item(source, None, None, None, 1, str(reason), _since(start))


def _read_video(source: Source) -> Generator[Item]:
    assert isinstance(source.origin, Path)
    start = time.perf_counter()
    try:
        with VideoReader(source.origin) as video:
            frame = None
            is_even = True
            if video.pixel_aspect != 1:
                yield _note(
                    source,
                    f"{source.file} has pixels that are not square, {video.pixel_aspect:.3g} times as wide as high: "
                    "its frames are taken and written as they are stored; scale it first where that matters",
                )
            for frame in video:
                if is_even and (note := _uneven(source, frame, video.fps)):
                    is_even = False
                    yield _note(source, note)
                yield Item(
                    source,
                    frame.number,
                    video.fps,
                    frame.picture,
                    video.orientation,
                    None,
                    _since(start),
                    seconds=frame.seconds,
                )
                start = time.perf_counter()
            if frame is None:
                raise DeblurError(f"{source.file} holds no frame that can be read")
            if video.doubt is not None:
                yield _note(source, video.doubt)
    except DeblurError as reason:
        yield Item(source, None, None, None, 1, str(reason), _since(start))


def _uneven(source: Source, frame: Frame, fps: float | None) -> str | None:
    """A line where a frame is half a frame or more away from where the rate puts it."""
    if fps is None or frame.seconds is None or abs(frame.seconds * fps - frame.number) < 0.5:
        return None
    return (
        f"{source.file} frame {frame.number} is from {frame.seconds:.2f} s, not {frame.number / fps:.2f} as {fps:g} "
        "frames a second say: its rate varies or frames are lost; entries tell the file's own times, written videos "
        "play evenly"
    )


def _note(source: Source, note: str) -> Item:
    return Item(source, None, None, None, 1, None, 0.0, note=note)


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def _expand(argument: str, notes: list[str], *, is_one_of_several: bool) -> list[Source]:
    path = Path(argument)
    if path.is_dir():
        left = _LeftOut(path)
        try:
            paths = list_pictures(path, left.leaves_out)
        except DeblurError as error:
            raise DeblurError("; ".join([str(error), *left.notes()])) from None
        notes += left.notes()
        return _below(path, paths, is_one_of_several=is_one_of_several)
    if path.is_file():
        if not path.stem.strip("."):
            raise DeblurError(f"{argument} has no name before its suffix for results to be called by: rename it")
        return [Source(argument, PurePosixPath(path.stem), path)]
    number = camera_of(argument)
    if number is not None:
        return [Source(f"camera:{number}", PurePosixPath(f"camera{number}"), number)]
    if glob.has_magic(argument):
        return _matches(argument, is_one_of_several=is_one_of_several)
    if path.exists():
        raise DeblurError(f"{argument} is neither a file nor a folder: give a copy of it that is")
    raise DeblurError(f"{argument} does not exist: give a picture, folder, glob, video file or the number of a camera")


class _LeftOut:
    """What is left out of a folder that a user names for its pictures: videos, and the folders of earlier runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_videos = 0
        self._runs: list[Path] = []

    def leaves_out(self, place: Path, names: list[str]) -> bool:
        """Whether a folder below it holds a run, whose pictures would be restored once more; else count its videos."""
        if place != self._folder and holds_run(names):
            self._runs.append(place)
            return True
        self._n_videos += sum(Path(name).suffix.lower() in VIDEO_SUFFIXES for name in names)
        return False

    def notes(self) -> list[str]:
        """A line on the videos and one on the runs, where there are any."""
        notes, where = [], f"left out of {self._folder}"
        if self._n_videos:
            notes.append(f"videos {where}: {self._n_videos} (name them, or give a glob in quotes)")
        if self._runs:
            more = f" and {len(self._runs) - 1} more" if len(self._runs) > 1 else ""
            notes.append(f"earlier runs {where}: {self._runs[0]}{more} (name the pictures of one to take them)")
        return notes


def _matches(pattern: str, *, is_one_of_several: bool) -> list[Source]:
    base, rest = _split(pattern)
    by_place: dict[tuple[str, str], Path] = {}  # each real folder's files once, as of a folder
    for match in _expand_glob(base, rest):
        if match.is_file():
            by_place.setdefault((os.path.realpath(match.parent), match.name), match)
    files = sorted(by_place.values(), key=str)
    suffixes = PICTURE_SUFFIXES | VIDEO_SUFFIXES
    known = [file for file in files if file.suffix.lower() in suffixes and file.stem.strip(".")]
    if not known:
        what = f"{len(files)} files, none of them a picture or video by its suffix" if files else "no file"
        raise DeblurError(f"{pattern} matches {what}")
    return _below(base, known, is_one_of_several=is_one_of_several)


def _expand_glob(base: Path, rest: Path) -> list[Path]:
    """What matches a glob below a folder. ``**`` is each real folder once: that of `glob` goes round loops of links."""
    places = [base]
    for part in (*rest.parts, "*") if rest.name == "**" else rest.parts:
        if part == "**":
            places = [folder for folder, _ in folders_below(*places)]
        else:
            # Not Path.glob: `*` there matches hidden files too, which no shell does.
            places = [place / name for place in places for name in sorted(glob.glob(part, root_dir=place))]  # noqa: PTH207
    return places


def _split(pattern: str) -> tuple[Path, Path]:
    """The part of a glob without wildcards, and the rest. A folder that is there may have brackets in its name."""
    parts = Path(pattern).parts
    depth = 0
    while depth < len(parts) - 1 and (not glob.has_magic(parts[depth]) or Path(*parts[: depth + 1]).is_dir()):
        depth += 1
    return Path(*parts[:depth]), Path(*parts[depth:])


def _below(folder: Path, paths: Sequence[Path], *, is_one_of_several: bool) -> list[Source]:
    prefix = PurePosixPath(_called(folder) if is_one_of_several else "")
    return [
        Source(str(path), prefix / PurePosixPath(path.relative_to(folder).with_suffix("").as_posix()), path)
        for path in paths
    ]
