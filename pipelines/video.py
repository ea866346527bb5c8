"""Video files and cameras through OpenCV: the only module where a picture is BGR, and only inside it."""

from __future__ import annotations

import math
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Self

import cv2
import numpy as np

from deblur.errors import DeblurError
from deblur.runs import make_folder
from pipelines.frame_times import FrameTimes
from pipelines.interlaced import Fields
from pipelines.matroska import is_whole_matroska
from pipelines.unreadable import why_unreadable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
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
# A read fails for every packet that is broken, and at the end of the file for ever, a thousand times in 0.1 seconds.
_MOST_FAILED = 1000

_MOST_REPEATED = 1000  # frames in the place of lost ones: a time may be broken too, and disks are not endless

LOSES_FIELDS = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 13)
"""Whether OpenCV makes no pictures of interlaced frames. With FFmpeg 8 it says nothing of that, and gives for each what
was in memory: at first anything, later the frame before."""
_NO_FIELDS = (
    f"of which OpenCV {cv2.__version__} makes no pictures: make it progressive first, for example by"
    " ffmpeg -i OLD -vf bwdif NEW.mp4"
)

_MOST_TICKS = 65535  # of MPEG-4's clock, in a second
_MOST_FPS = 999.98  # from 1000 on it is taken for a clock, not a rate

# What goes wrong is said once, by an exception; OpenCV and FFmpeg would add lines of their own on stderr.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# Of 4.13 on it is in a module of its own; both take the number of silence.
(cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel)(0)


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        number: its place in the video, from 0; see `FrameTimes` where some cannot be decoded.
        seconds: how long after the first one it was, by the file; None where the file does not tell.
        picture: RGB uint8 (H, W, 3).
    """

    number: int
    seconds: float | None
    picture: NDArray[np.uint8]


class VideoReader:
    """Frames of a video file, one at a time; a context manager.

    A file's rotation is applied, so that a video taken with a turned telephone stands upright.

    Attributes:
        fps: frames a second; None where the file does not say, or says 1000 or more, which is a clock.
        orientation: how its frames were turned, as EXIF counts it; see ``deblur.pictures.Upright``.
        pixel_aspect: how many times as wide as high its pixels are to be shown; 1 where the file does not say.
        n_frames: how many frames a file announces; None where it does not say. An estimate in some formats, and files
            that are cut off hold fewer.
        doubt: a warning in one line, set after the last frame, where a file gave fewer frames than it announces but may
            still be whole; None otherwise.
    """

    def __init__(self, source: Path) -> None:
        """Open a video file.

        Raises:
            DeblurError: it does not open, or its path is not UTF-8.
        """
        self.doubt: str | None = None
        self._source = source
        self._capture = _opened(source)
        if not self._capture.isOpened():
            self._capture.release()
            raise DeblurError(why_unreadable(source))
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self.orientation = _ORIENTATIONS.get(self._capture.get(cv2.CAP_PROP_ORIENTATION_META), 1)
        self.fps = _rate(self._capture)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        aspect = [self._capture.get(part) for part in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN)]
        self.pixel_aspect = aspect[0] / aspect[1] if min(aspect) > 0 else 1.0
        self.n_frames = int(count) if math.isfinite(count) and count > 0 else None
        self._frames = self._read_frames()

    def __iter__(self) -> Iterator[Frame]:
        """Each next frame until the file ends; those that cannot be decoded are left out.

        Who iterates again goes on behind the last frame that was given.

        Raises:
            DeblurError: before the first interlaced frame, where OpenCV makes no picture of it; after the last frame,
                of a file that ends before what it announces or with frames that cannot be decoded.
        """
        return self._frames

    def _read_frames(self) -> Generator[Frame]:
        fields = Fields(self._source)
        self._refuse_fields(fields)
        times = FrameTimes(self.fps)
        n_read = n_failed = n_taken = 0
        before: NDArray[np.uint8] | None = None
        while n_failed < _MOST_FAILED:
            is_there, bgr = self._capture.read()
            if not is_there:
                n_failed += 1
                continue
            picture = np.asarray(bgr, np.uint8)
            if LOSES_FIELDS and before is not None and np.array_equal(before, picture) and fields.until(n_taken):
                raise DeblurError(f"{self._source} is interlaced from its frame {n_taken} on or before, {_NO_FIELDS}")
            before = picture
            n_taken += 1 + n_failed
            place = times.place(self._capture.get(cv2.CAP_PROP_POS_MSEC), n_failed)
            n_failed = 0
            if place is not None:
                n_read += 1
                yield Frame(*place, _swapped(picture))
        if self.n_frames is not None and n_read < self.n_frames:
            self._explain(n_read, self.n_frames, is_broken=times.lost_from is not None)
        if times.lost_from is not None:
            raise DeblurError(
                f"{self._source} has frames that cannot be decoded, about {times.n_lost} from {times.lost_from:.2f} s"
                " on: it is broken, copy or record it anew"
            )

    def _refuse_fields(self, fields: Fields) -> None:
        """Find out whether OpenCV makes pictures of the first frames; those behind are compared as they come.

        Raises:
            DeblurError: it makes none.
        """
        if not LOSES_FIELDS:
            return
        capture = _opened(self._source)
        (_, first), (_, second) = capture.read(), capture.read()
        capture.release()
        if (second is None or np.array_equal(first, second)) and fields.until(1):
            raise DeblurError(f"{self._source} is interlaced, {_NO_FIELDS}")

    def _explain(self, n_read: int, announced: int, *, is_broken: bool) -> None:
        """Find out why there were fewer frames than a file announces.

        Raises:
            DeblurError: they are missing by their number and by their time, and not only left out where it is shown.
        """
        fps = self.fps or _FALLBACK_FPS
        n_stored, end = _packets(self._source, fps)
        missing = announced / fps - end
        is_short = n_stored < announced and missing > min(_SLACK, _SLACK_SHARE * announced / fps)
        told = f"{self._source} gives {n_read} of the {announced} frames that it announces"
        if is_short and not is_whole_matroska(self._source):
            raise DeblurError(f"{told}: it is cut off or broken, copy or record it anew")
        # What an editor cut without encoding anew is stored and never shown. An AVI counts on over broken frames.
        if not is_broken and (n_read < n_stored or self._source.suffix.lower() == ".avi"):
            self.doubt = f"{told}: the others were cut out by an editor or are broken"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._frames.close()
        self._capture.release()


class Camera:
    """The newest frame of a camera whenever one is asked for; a context manager.

    Drivers keep several frames and give the oldest first: to whoever is slower than the camera, each would be several
    frames old. So a thread takes them all as they come, which is cheap, and makes a picture of that which is wanted.

    Attributes:
        fps: frames a second; None where the camera does not say.
    """

    def __init__(self, number: int, size: tuple[int, int] | None = None) -> None:
        """Open a camera.

        Args:
            number: 0 is the first.
            size: width and height to ask for, of which a camera may make the nearest that it has; None takes OpenCV's,
                640x480 of most.

        Raises:
            DeblurError: it does not open.
        """
        self._number = number
        try:
            self._capture = cv2.VideoCapture(number)
        except cv2.error:  # a number that no camera can have
            self._capture = cv2.VideoCapture()
        if not self._capture.isOpened():
            self._capture.release()
            raise DeblurError(f"camera {number} does not open: is it connected, and free of other programs?")
        if size is not None:
            # First: without compression USB has no room for many frames of more than 640x480.
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        self.fps = _rate(self._capture)
        self._n_given = 0
        self._is_wanted, self._is_over = threading.Event(), threading.Event()
        self._newest: SimpleQueue[tuple[NDArray[np.uint8], float] | None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="camera")
        self._work: Future[None] | None = None

    def newest(self) -> tuple[NDArray[np.uint8], float]:
        """The next frame that comes, RGB uint8 (H, W, 3), and when it came, in seconds since 1970.

        Raises:
            DeblurError: the camera gives no more.
        """
        if self._work is None:
            self._work = self._pool.submit(self._take_all)
        self._is_wanted.set()
        newest = self._newest.get()
        if newest is None:
            self._newest.put(None)  # for who asks again
            self._work.result()  # raises what went wrong beside that
            given = f"camera {self._number} gave {self._n_given} frames"
            raise DeblurError(f"{given} and then none: is it still connected?")
        self._n_given += 1
        return newest

    def _take_all(self) -> None:
        try:
            while not self._is_over.is_set() and self._capture.grab():
                taken = time.time()
                if not self._is_wanted.is_set():
                    continue
                self._is_wanted.clear()
                is_there, bgr = self._capture.retrieve()
                if not is_there:
                    break
                self._newest.put((_swapped(np.asarray(bgr, np.uint8)), taken))
        finally:
            self._newest.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._pool.shutdown()
        self._capture.release()


LARGEST_FRAME_SIDE = 8190
"""Of a frame that MPEG-4 video can hold, in pixels."""


class VideoWriter:
    """Writes frames to an MP4 file (MPEG-4 video, no sound). The first frame decides the size.

    No side may be above ``LARGEST_FRAME_SIDE``. MPEG-4 has even sizes only: an odd width or height grows by one pixel,
    which repeats the border. The file is whole only after `close`.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        """Remember where to write, and at how many frames a second; None takes 25."""
        self._path = path
        self._fps = fps or _FALLBACK_FPS
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._n_frames = 0
        self._number = -1  # of the last one
        self._is_closed = False

    def write(self, frame: NDArray[np.uint8], number: int | None = None) -> None:
        """Append a frame.

        Args:
            frame: RGB uint8 (H, W, 3).
            number: its place in the video, from 0, by default the next one. Where others before it are missing it
                stands for them too (up to 1000), so that it keeps its time.

        Raises:
            DeblurError: the file cannot be made, or the frame is of another size than the first.
            ValueError: the video is closed.
        """
        if self._is_closed:
            raise ValueError(f"the video {self._path} is closed: it would be begun anew")
        height, width = frame.shape[:2]
        if self._writer is None:
            self._writer = self._open(width, height)
            self._size = (width, height)
        if (width, height) != self._size:
            raise DeblurError(
                f"cannot append a frame of {width}x{height} to {self._path}, whose frames are"
                f" {self._size[0]}x{self._size[1]}"
            )
        bgr = _swapped(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
        number = self._number + 1 if number is None else number
        for _ in range(max(1, min(number - self._number, _MOST_REPEATED))):
            self._writer.write(bgr)
            self._n_frames += 1
        self._number = number

    def close(self) -> None:
        """Finish the file; without a frame there is none.

        Raises:
            DeblurError: the file does not hold what was written, for example because the disk is full. One that
                nothing can be read of is removed.
        """
        self._is_closed = True
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


def _opened(path: Path) -> cv2.VideoCapture:
    """The file as OpenCV sees it, which may not be open."""
    return cv2.VideoCapture(_named(path))


def _rate(capture: cv2.VideoCapture) -> float | None:
    """Frames a second; None where nothing is said, or 1000 or more, which is a clock."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return float(fps) if math.isfinite(fps) and 0 < fps < 1000 else None


def _packets(file: Path, fps: float) -> tuple[int, float]:
    """How many frames a file stores, shown and decodable or not, and when the last one ends, in seconds."""
    capture = _opened(file)
    capture.set(cv2.CAP_PROP_FORMAT, -1)
    count, last, n_failed = 0, -1 / fps, 0
    while n_failed < _MOST_FAILED:
        if not capture.grab():
            n_failed += 1
            continue
        n_failed = 0
        count += 1
        last = max(last, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return count, last + 1 / fps


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
    step = next(step for step in (1, 2, 4, 5, 8, 10, 20) if fps * 1000 / step <= _MOST_TICKS)
    return round(fps * 1000 / step) * step / 1000


def _swapped(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB from BGR and the other way round, contiguous as OpenCV needs it."""
    return np.ascontiguousarray(picture[:, :, ::-1])
