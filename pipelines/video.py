"""Video files and cameras through OpenCV: the only module where a picture is BGR, and only inside it."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np

from deblur.errors import DeblurError
from deblur.runs import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ts webm wmv".split()  # noqa: SIM905
)
_FALLBACK_FPS = 25.0  # where a camera or a file does not say; any value plays, none is right
_ORIENTATIONS = {90.0: 6, 180.0: 3, 270.0: 8}  # EXIF's numbers, by degrees clockwise
# Some formats announce a time, not frames, and sound or a last frame that stands may be what lasts so long.
_SLACK, _SLACK_SHARE = 1.0, 0.05  # the smaller one: seconds, and a share of what is announced

_MOST_TICKS = 65535  # of MPEG-4's clock, in a second
_MOST_FPS = 999.98  # from 1000 on it is taken for a clock, not a rate

# What goes wrong is said once, by an exception; OpenCV and FFmpeg would add lines of their own on stderr.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# Of 4.13 on it is in a module of its own; both take the number of silence.
(cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel)(0)


class VideoReader:
    """Frames of a video file or a camera, one at a time; a context manager.

    A file's rotation is applied, so that a video taken with a turned telephone stands upright.

    Attributes:
        fps: frames a second of the file or camera; None where it does not say, or says 1000 or more, which is a clock.
        orientation: how its frames were turned, as EXIF counts it; see ``deblur.pictures.Upright``.
        n_frames: how many frames a file announces; None for a camera or where it does not say. An estimate in some
            formats, and files that are cut off hold fewer.
    """

    def __init__(self, source: Path | int) -> None:
        """Open a video file or a camera.

        Args:
            source: a file, or the number of a camera, 0 being the first.

        Raises:
            DeblurError: it does not open, or its path is not UTF-8.
        """
        self._source = source
        self._capture = _opened(source)
        if not self._capture.isOpened():
            self._capture.release()
            if isinstance(source, int):
                raise DeblurError(f"camera {source} does not open: is it connected, and free of other programs?")
            raise DeblurError(f"{source} is not a video that OpenCV can read")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self.orientation = _ORIENTATIONS.get(self._capture.get(cv2.CAP_PROP_ORIENTATION_META), 1)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if math.isfinite(fps) and 0 < fps < 1000 else None
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        is_file = not isinstance(source, int)
        self.n_frames = int(count) if is_file and math.isfinite(count) and count > 0 else None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Each next frame, RGB uint8 (H, W, 3), until the file ends or the camera gives none.

        Raises:
            DeblurError: after the last frame, of a file that ends before what it announces, and of a camera, which has
                no end of its own.
        """
        n_read = 0
        while True:
            is_there, bgr = self._capture.read()
            if not is_there:
                break
            n_read += 1
            yield _swapped(np.asarray(bgr, np.uint8))
        if isinstance(self._source, int):
            raise DeblurError(f"camera {self._source} gave {n_read} frames and then none: is it still connected?")
        if self.n_frames is not None and n_read < self.n_frames and self._is_cut_off():
            raise DeblurError(
                f"{self._source} ends after {n_read} of the {self.n_frames} frames that it announces: it is cut off,"
                " copy or record it anew"
            )

    def _is_cut_off(self) -> bool:
        """Whether the file lacks frames, by their number and by their time."""
        # What an editor cut without encoding anew is stored and never shown, so stored frames are counted.
        stored = _opened(self._source)
        stored.set(cv2.CAP_PROP_FORMAT, -1)
        fps, announced = stored.get(cv2.CAP_PROP_FPS) or _FALLBACK_FPS, stored.get(cv2.CAP_PROP_FRAME_COUNT)
        ends = []
        while stored.grab():
            ends.append(stored.get(cv2.CAP_PROP_POS_MSEC) / 1000 + 1 / fps)
        stored.release()
        missing = announced / fps - max(ends, default=0.0)
        return len(ends) < announced and missing > min(_SLACK, _SLACK_SHARE * announced / fps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._capture.release()


class VideoWriter:
    """Writes frames to an MP4 file (MPEG-4 video, no sound). The first frame decides the size.

    MPEG-4 has even sizes only: an odd width or height grows by one pixel, which repeats the border.
    The file is whole only after `close`.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        """Remember where to write, and at how many frames a second; None takes 25."""
        self._path = path
        self._fps = fps or _FALLBACK_FPS
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._n_frames = 0

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, RGB uint8 (H, W, 3).

        Raises:
            DeblurError: the file cannot be made, or the frame is of another size than the first.
        """
        height, width = frame.shape[:2]
        if self._writer is None:
            self._writer = self._open(width, height)
            self._size = (width, height)
        if (width, height) != self._size:
            raise DeblurError(
                f"cannot append a frame of {width}x{height} to {self._path}, whose frames are"
                f" {self._size[0]}x{self._size[1]}"
            )
        self._writer.write(_swapped(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")))
        self._n_frames += 1

    def close(self) -> None:
        """Finish the file; without a frame there is none.

        Raises:
            DeblurError: the file does not hold what was written, for example because the disk is full. One that
                nothing can be read of is removed.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        # OpenCV says nothing of a write that failed. MP4 says at its end what it holds: that is lost then.
        held = 0
        try:
            with VideoReader(self._path) as video:
                held = video.n_frames or 0
        except DeblurError:
            self._path.unlink(missing_ok=True)  # it takes the room that other results need, and nothing can read it
        if held != self._n_frames:
            raise DeblurError(
                f"cannot write {self._path}: it holds {held} of {self._n_frames} frames; is the disk full?"
            )

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        make_folder(self._path.parent)
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        fps = _storable(self._fps)
        writer = cv2.VideoWriter(_named(self._path), codec, fps, (width + width % 2, height + height % 2))
        if not writer.isOpened():
            writer.release()
            raise DeblurError(
                f"OpenCV cannot write the video {self._path} with {width}x{height} pixels and {fps:g} frames a second"
            )
        return writer


def _opened(source: Path | int) -> cv2.VideoCapture:
    """The file or camera as OpenCV sees it, which may not be open."""
    try:
        return cv2.VideoCapture(source if isinstance(source, int) else _named(source))
    except cv2.error:  # a number that no camera can have
        return cv2.VideoCapture()


def _named(path: Path) -> str:
    """The path as FFmpeg takes it: absolute, since it reads ``10:30.mp4`` as a protocol and an address.

    Raises:
        DeblurError: it is not UTF-8. OpenCV would crash.
    """
    name = str(path.absolute())
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise DeblurError(f"the path of the video {path} is not UTF-8, which OpenCV needs: rename it") from None
    return name


def _storable(fps: float) -> float:
    """The nearest rate below 1000 that MPEG-4 holds, numerator up to 65535; OpenCV counts in thousandths."""
    fps = min(fps, _MOST_FPS)
    step = next(step for step in (1, 2, 4, 8, 20) if fps * 1000 / step <= _MOST_TICKS)
    return round(fps * 1000 / step) * step / 1000


def _swapped(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB from BGR and the other way round, contiguous as OpenCV needs it."""
    return np.ascontiguousarray(picture[:, :, ::-1])
