"""A deblurrer and a detector that need no weights, and small pictures and videos."""

from __future__ import annotations

import json
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import deblur
import deblur.deblurrer
import detection.yolo
from deblur.outcome import Outcome
from deblur.pictures import write_picture
from detection.types import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from deblur.exposure.paths import CameraPath

CLASSES = ("person", "bus", "traffic light")


class FakeDeblurrer:
    """Makes every picture 10 levels brighter, and 40 where it is told the camera's path."""

    sha256 = "a" * 64

    doubting: bool | None = None
    """How the last one was loaded."""
    believed: float | None = 0.62
    spread: float | None = None
    trust: object | None = "learnt"

    def __init__(self, name: str = "brighter") -> None:
        self.name = name
        self.takes_path = name != "blind"

    @classmethod
    def load(
        cls,
        name_or_file: str = "default",
        device: str = "auto",
        *,
        seen_side: int | None = None,
        doubting: bool = True,
    ) -> FakeDeblurrer:
        FakeDeblurrer.doubting = doubting
        return cls("brighter" if name_or_file == "default" else name_or_file)

    def restore_along(self, picture: NDArray[np.uint8], path: CameraPath | None) -> Outcome:
        knows = path is not None or (self.name.endswith("+search") and picture.mean() > 50)
        return Outcome(self(picture, path), self.believed if knows else None, self.spread)

    def describe(self) -> dict[str, str]:
        return {"name": self.name, "sha256": self.sha256}

    def __call__(self, picture: NDArray[np.uint8], path: CameraPath | None = None) -> NDArray[np.uint8]:
        return np.minimum(picture.astype(int) + (10 if path is None else 40), 255).astype(np.uint8)


class FakeDetector:
    """Finds a bus from a quarter to three quarters of each side, and a person in the lower half of bright pictures."""

    name = "fakenet"
    sha256 = "b" * 64
    class_names = CLASSES

    def __init__(self, weights: str = "yolo26n", **options: Any) -> None:
        self.options = options

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "sha256": self.sha256} | self.options

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        found = []
        for picture in pictures:
            height, width = picture.shape[:2]
            boxes = [[width / 4, height / 4, 3 * width / 4, 3 * height / 4]]
            scores, names = [0.9], ["bus"]
            if picture.mean() > 100:
                boxes.append([0, height / 2, width, height])
                scores.append(0.5)
                names.append("person")
            found.append(Detections.ordered(boxes, scores, names))
        return found


class FakeCamera:
    """Has a frame each 5 ms, as bright as its number (up to 200); the driver keeps the three oldest not taken yet."""

    opened: FakeCamera
    """The last one."""

    def __init__(self, number: int) -> None:
        self.asked: list[tuple[int, float]] = []
        self.is_connected = True
        self._start, self._n_seen = time.monotonic(), 0
        self._kept: deque[int] = deque()
        self._taken = 0
        FakeCamera.opened = self

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, which: int, value: float) -> None:
        self.asked.append((which, value))

    def get(self, which: int) -> float:
        return 0.0

    def grab(self) -> bool:
        self._see()
        while not self._kept:
            time.sleep(0.001)
            self._see()
        self._taken = self._kept.popleft()
        return self.is_connected

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        return True, _flat(self._taken % 200)

    def release(self) -> None:
        pass

    def _see(self) -> None:
        n_due = int((time.monotonic() - self._start) / 0.005)
        self._kept.extend(range(self._n_seen + 1, n_due + 1))
        self._n_seen = n_due
        while len(self._kept) > 3:
            self._kept.pop()


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    """Every camera is a fake one; files are read."""
    capture = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda source: (FakeCamera if isinstance(source, int) else capture)(source)
    )
    return FakeCamera


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command uses the fakes, and a folder of its own for runs."""
    monkeypatch.setitem(deblur.__dict__, "Deblurrer", FakeDeblurrer)
    monkeypatch.setattr(deblur.deblurrer, "Deblurrer", FakeDeblurrer)
    monkeypatch.setattr(detection.yolo, "YoloDetector", FakeDetector)
    monkeypatch.chdir(tmp_path)


def _flat(level: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


def _make_video(path: Path, levels: Sequence[int], fps: float = 12.5, size: tuple[int, int] = (64, 48)) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    assert writer.isOpened()
    for level in levels:
        writer.write(_flat(level, size[1], size[0]))
    writer.release()


def _turn_video(path: Path, degrees: int) -> None:
    content = bytearray(path.read_bytes())
    zero, one, minus = (number.to_bytes(4, "big") for number in (0, 0x10000, -0x10000 & 0xFFFFFFFF))

    def matrix(*turn: bytes) -> bytes:
        return b"".join([*turn[:2], zero, *turn[2:], zero * 3, (0x40000000).to_bytes(4, "big")])

    turns = {90: (zero, one, minus, zero), 180: (minus, zero, zero, minus), 270: (zero, minus, one, zero)}
    straight = matrix(one, zero, zero, one)
    place = content.index(straight, content.index(b"tkhd"))
    content[place : place + len(straight)] = matrix(*turns[degrees])
    path.write_bytes(content)


@pytest.fixture
def flat() -> Callable[..., NDArray[np.uint8]]:
    """Makes a grey picture of one level."""
    return _flat


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a dark and a bright picture, one of them deeper."""
    write_picture(tmp_path / "photos" / "dark.png", _flat(40))
    write_picture(tmp_path / "photos" / "deep" / "bright.jpg", _flat(200, 40, 80))
    return tmp_path / "photos"


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    """Reads the one JSON document on stdout."""
    return lambda: json.loads(capsys.readouterr().out)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Checks that a mistake was told in one line, with these words in it, and that it left no run behind."""

    def check(says: str) -> None:
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
        assert not Path("runs").exists()

    return check


@pytest.fixture
def files() -> Callable[[Path], list[str]]:
    """Lists the files of a folder at any depth."""
    return lambda folder: sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def make_video() -> Callable[..., None]:
    """Writes a video whose frames are grey pictures of the levels given."""
    return _make_video


@pytest.fixture
def turn_video() -> Callable[[Path, int], None]:
    """Lets an MP4 say that it is to be shown turned clockwise by 90, 180 or 270 degrees."""
    return _turn_video


@pytest.fixture
def file_limit() -> Callable[[int], AbstractContextManager[None]]:
    """Lets no file grow beyond so many bytes, as a full disk does; the file that a test run reports to neither."""
    resource = pytest.importorskip("resource", reason="limits of a process are Unix's")

    @contextmanager
    def limited(size: int) -> Generator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
