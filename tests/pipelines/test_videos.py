from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import detection.yolo
from deblur.errors import DeblurError
from detection.types import Detections
from pipelines.account import Account
from pipelines.deblur_detect import main
from pipelines.video import LARGEST_FRAME_SIDE, VideoReader, VideoWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from detection.yolo import YoloDetector

    Document = Callable[[], dict[str, Any]]
    Files = Callable[[Path], list[str]]

pytestmark = pytest.mark.usefixtures("fakes")

HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none


def test_a_video_becomes_videos(
    tmp_path: Path, make_video: Callable[..., None], document: Document, files: Files
) -> None:
    make_video(tmp_path / "clip.mp4", [40, 80, 180, 220])
    assert main(["clip.mp4", "--save", "annotated,deblurred,side-by-side,txt,coco", "--json"]) == 0
    content = document()
    assert [(entry["file"], entry["frame"]) for entry in content["pictures"]] == [("clip.mp4", n) for n in range(4)]
    assert [len(entry["detections"]) for entry in content["pictures"]] == [1, 1, 2, 2]
    run = Path(content["run"])
    assert content["pictures"][3]["deblurred"] == str(run / "deblurred" / "clip.mp4")
    for kind in ("annotated", "deblurred", "side-by-side"):
        with VideoReader(run / kind / "clip.mp4") as video:
            assert (video.fps, video.n_frames) == (12.5, 4)
            frames = [frame.picture for frame in video]
        if kind == "deblurred":
            for frame, level in zip(frames, [50, 90, 190, 230], strict=True):
                assert abs(float(frame.mean()) - level) < 9
    assert files(run / "txt") == [f"clip/{number:06d}.txt" for number in range(4)]
    images = json.loads((run / "coco_images.json").read_text())["images"]
    assert images[2] == {"id": 3, "file_name": "clip.mp4", "width": 64, "height": 48, "frame": 2}


def test_a_frame_that_fails_goes_into_the_videos_as_it_came(
    tmp_path: Path, make_video: Callable[..., None], monkeypatch: pytest.MonkeyPatch, document: Document, files: Files
) -> None:
    import deblur
    from deblur.errors import DeblurError

    def refuse_dark_ones(_: object, picture: NDArray[np.uint8], path: object) -> NDArray[np.uint8]:
        if picture.mean() < 60:
            raise DeblurError("too dark")
        return picture + 30

    monkeypatch.setattr(deblur.Deblurrer, "__call__", refuse_dark_ones)
    make_video(tmp_path / "clip.mp4", [40, 180, 40, 90])
    assert main(["clip.mp4", "--save", "annotated,deblurred,side-by-side,txt", "--json"]) == 1
    content = document()
    errors = [entry["error"] for entry in content["pictures"]]
    assert errors == ["clip.mp4 frame 0: too dark", None, "clip.mp4 frame 2: too dark", None]
    run = Path(content["run"])
    assert [entry["deblurred"] is None for entry in content["pictures"]] == [True, False, True, False]
    for kind in ("annotated", "deblurred", "side-by-side"):
        with VideoReader(run / kind / "clip.mp4") as video:
            frames = [frame.picture for frame in video]
        assert len(frames) == 4
        if kind == "deblurred":
            assert [float(frame.mean()) for frame in frames] == pytest.approx([40, 210, 40, 120], abs=9)
    assert files(run / "txt") == ["clip/000001.txt", "clip/000003.txt"], "nothing is known of frames that failed"


def test_a_video_that_is_iterated_again_goes_on(tmp_path: Path, make_video: Callable[..., None]) -> None:
    make_video(tmp_path / "clip.mp4", [40, 80, 120])
    with VideoReader(tmp_path / "clip.mp4") as video:
        first = next(iter(video))
        others = list(video)
        assert list(video) == []
        assert video.doubt is None
    assert [frame.number for frame in (first, *others)] == [0, 1, 2]
    assert others[0].seconds == pytest.approx(1 / video.fps)


def test_a_video_that_was_closed_is_not_begun_anew(tmp_path: Path, make_video: Callable[..., None]) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", 10)
    writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.close()
    with pytest.raises(ValueError, match=r"clip\.mp4 is closed"):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.close()
    make_video(tmp_path / "three.mp4", [40, 80, 120])
    with VideoReader(tmp_path / "three.mp4") as video:
        next(iter(video))
    assert list(video) == []
    assert video.doubt is None


def test_a_video_that_cannot_be_begun_is_one_failure_of_its_source(
    tmp_path: Path,
    make_video: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    document: Document,
    files: Files,
) -> None:
    make_video(tmp_path / "clip.mp4", [40, 80])
    make_video(tmp_path / "next.mp4", [40])
    begin = VideoWriter._open

    def refuse(self: VideoWriter, width: int, height: int) -> cv2.VideoWriter:
        if self._path.match("annotated/clip.mp4"):
            raise DeblurError("too wide")
        return begin(self, width, height)

    monkeypatch.setattr(VideoWriter, "_open", refuse)
    assert main(["clip.mp4", "next.mp4", "--save", "annotated,deblurred", "--output", "out", "--json"]) == 1
    content = document()
    assert [entry["error"] for entry in content["pictures"]] == [None, None, "clip.mp4: too wide", None]
    assert (content["n_ok"], content["n_failed"]) == (3, 1)
    named = [entry["deblurred"] and Path(entry["deblurred"]).name for entry in content["pictures"]]
    assert named == ["clip.mp4", "clip.mp4", None, "next.mp4"], "another video is whole"
    assert files(Path("out/annotated")) == ["next.mp4"]
    assert files(Path("out/deblurred")) == ["clip.mp4", "next.mp4"]


def test_frames_side_by_side_are_made_to_fit_a_video(tmp_path: Path, make_video: Callable[..., None]) -> None:
    make_video(tmp_path / "wide.mp4", [40, 80], size=(5000, 64))
    assert main(["wide.mp4", "--save", "side-by-side", "--output", "out"]) == 0
    with VideoReader(Path("out/side-by-side/wide.mp4")) as video:
        assert [frame.picture.shape[1] for frame in video] == [LARGEST_FRAME_SIDE] * 2


def test_a_video_that_cannot_be_written_is_a_failure_of_its_source(
    tmp_path: Path, make_video: Callable[..., None], file_limit: Callable[..., Any], document: Document
) -> None:
    writer = VideoWriter(tmp_path / "noise.mp4", 10)
    for seed in range(8):
        writer.write(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8))
    writer.close()
    make_video(tmp_path / "grey.mp4", [40, 80])
    with file_limit(20_000):
        assert main(["noise.mp4", "grey.mp4", "--save", "deblurred", "--output", "out", "--json"]) == 1
    content = document()
    entries = content["pictures"]
    assert (content["n_ok"], content["n_failed"]) == (10, 1)
    assert [entry.get("frame") for entry in entries] == [*range(8), None, 0, 1]
    assert (
        entries[8]["error"]
        == "noise.mp4: cannot write out/deblurred/noise.mp4: it holds 0 of 8 frames; is the disk full?"
    )
    assert [entry["deblurred"] for entry in entries] == [None] * 9 + ["out/deblurred/grey.mp4"] * 2
    with VideoReader(Path("out/deblurred/grey.mp4")) as video:
        assert len(list(video)) == 2
    with file_limit(20_000):
        assert main(["grey.mp4", "noise.mp4", "--save", "deblurred", "--output", "again", "--json"]) == 1
    named = [entry["deblurred"] for entry in document()["pictures"]]
    assert named == ["again/deblurred/grey.mp4"] * 2 + [None] * 9, "those before it have their own"


def test_a_camera_is_seen_as_it_is_and_its_size_is_told(
    camera: Any, monkeypatch: pytest.MonkeyPatch, document: Document
) -> None:
    seen: list[float] = []

    def look(self: object, pictures: list[NDArray[np.uint8]]) -> list[Detections]:
        time.sleep(0.05)
        seen.append(time.time())
        return [Detections.empty() for _ in pictures]

    monkeypatch.setattr(detection.yolo.YoloDetector, "__call__", look)
    assert main(["0", "--limit", "4", "--camera-size", "1920x1080", "--output", "out", "--json"]) == 0
    taken = [entry["taken"] for entry in document()["pictures"]]
    assert all(later > earlier - 0.02 for later, earlier in zip(taken[1:], seen, strict=False)), "none is read ahead"
    says = "camera:0 gives 64x48 pixels, not the 1920x1080 that it was asked for"
    assert Path("out/log.txt").read_text().splitlines()[0] == says
    assert (cv2.CAP_PROP_FRAME_WIDTH, 1920) in camera.opened.asked
    again = ["--config", "out/config.yaml", "--limit", "1"]
    assert main([*again, "--output", "again"]) == 0
    assert Path("again/log.txt").read_text().splitlines()[0] == says
    assert main([*again, "--output", "high", "--camera-size", "64x36"]) == 0
    assert "64x48 pixels, not the 64x36 that" in Path("high/log.txt").read_text()
    assert main([*again, "--output", "fits", "--camera-size", "64x48"]) == 0
    assert Path("fits/log.txt").read_text().splitlines()[0] == "camera:0 gives 64x48 pixels"
    assert main(["0", "--limit", "1", "--output", "plain"]) == 0
    log = Path("plain/log.txt").read_text()
    assert log.startswith("camera:0 gives 64x48 pixels: ask for more by --camera-size WIDTHxHEIGHT\n")


def test_the_camera_of_a_configuration_may_be_another_source(photos: Path, camera: Any) -> None:
    assert main(["0", "--limit", "1", "--camera-size", "1920x1080", "--output", "out"]) == 0
    assert main(["photos", "--config", "out/config.yaml", "--output", "photos-out"]) == 0
    assert "camera_size" not in Path("photos-out/config.yaml").read_text()


def test_a_video_that_is_cut_off_fails_and_keeps_what_is_done(tmp_path: Path, document: Document) -> None:
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 48))
    for seed in range(10):
        writer.write(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    content = Path("clip.avi").read_bytes()
    Path("clip.avi").write_bytes(content[: len(content) * 55 // 100])
    assert main(["clip.avi", "--save", "annotated", "--output", "out", "--json"]) == 1
    *frames, end = document()["pictures"]
    assert [(entry["frame"], entry["error"]) for entry in frames] == [(number, None) for number in range(5)]
    assert end["error"].startswith("clip.avi gives 5 of the 10 frames that it announces")
    with VideoReader(Path("out/annotated/clip.mp4")) as video:
        assert len(list(video)) == 5
    assert main(["clip.avi", "--save", "annotated", "--limit", "5"]) == 0


def test_frames_are_never_all_in_memory(
    tmp_path: Path, make_video: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import weakref

    make_video(tmp_path / "clip.mp4", range(0, 240, 4))
    alive: list[weakref.ref[Any]] = []
    most = 0

    def watch(self: object, pictures: list[NDArray[np.uint8]]) -> list[Detections]:
        nonlocal most
        alive.append(weakref.ref(pictures[0]))
        most = max(most, sum(reference() is not None for reference in alive))
        return [Detections.empty()]

    monkeypatch.setattr(detection.yolo.YoloDetector, "__call__", watch)
    assert main(["clip.mp4", "--deblurrer", "none", "--save", "annotated"]) == 0
    assert len(alive) == 60
    assert most <= 8


def test_several_videos_and_pictures_in_one_run(
    photos: Path, make_video: Callable[..., None], document: Document, files: Files
) -> None:
    make_video(Path("one.mp4"), [40] * 3)
    make_video(Path("two.mp4"), [40] * 2)
    Path("bad.mp4").write_text("no video")
    assert main(["one.mp4", "photos/dark.png", "bad.mp4", "two.mp4", "--json"]) == 1
    content = document()
    assert (content["n_ok"], content["n_failed"]) == (6, 1)
    run = Path(content["run"])
    assert files(run / "annotated") == ["dark.jpg", "one.mp4", "two.mp4"]
    for name, count in (("one.mp4", 3), ("two.mp4", 2)):
        with VideoReader(run / "annotated" / name) as video:
            assert len(list(video)) == count


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, HANGUP])
def test_ctrl_c_and_the_end_of_a_service_or_a_terminal_keep_what_is_done(
    how: signal.Signals,
    tmp_path: Path,
    make_video: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_video(tmp_path / "clip.mp4", [40] * 30)
    n_seen = 0

    def stop_at_the_sixth(self: object, pictures: list[NDArray[np.uint8]]) -> list[Detections]:
        nonlocal n_seen
        n_seen += 1
        if n_seen == 6:
            os.kill(os.getpid(), how)
        return [Detections.empty() for _ in pictures]

    monkeypatch.setattr(detection.yolo.YoloDetector, "__call__", stop_at_the_sixth)
    # A shell starts what runs in its background with Ctrl-C ignored; this must not depend on how tests were started.
    before = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (HANGUP, signal.SIG_DFL))
    }
    ends = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["clip.mp4", "--json"]) == 130
        assert signal.getsignal(HANGUP) is signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert signal.getsignal(signal.SIGTERM) is ends
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert printed.err.splitlines()[-1] == "interrupted"
    assert content["interrupted"] is True
    assert content["n_ok"] == len(content["pictures"]) == 5
    with VideoReader(Path(content["run"], "deblurred/clip.mp4")) as video:
        assert len(list(video)) == 5


def test_a_run_that_is_stopped_twice_still_writes_what_is_done(
    tmp_path: Path, make_video: Callable[..., None], monkeypatch: pytest.MonkeyPatch, document: Document
) -> None:
    make_video(tmp_path / "clip.mp4", [40] * 30)
    settle = Account.settle
    outlived = []

    def stop(self: object, pictures: list[NDArray[np.uint8]]) -> list[Detections]:
        os.kill(os.getpid(), signal.SIGTERM)
        return [Detections.empty() for _ in pictures]

    def stop_again(self: Account) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        outlived.append(signal.SIGTERM)
        settle(self)

    monkeypatch.setattr(detection.yolo.YoloDetector, "__call__", stop)
    monkeypatch.setattr(Account, "settle", stop_again)
    assert main(["clip.mp4", "--output", "out", "--json"]) == 130
    assert document()["interrupted"] is True
    assert outlived, "the first one counts"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_a_run_below_nohup_outlasts_its_terminal(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detect = detection.yolo.YoloDetector.__call__

    def close_the_terminal(self: YoloDetector, pictures: list[NDArray[np.uint8]]) -> list[Detections]:
        os.kill(os.getpid(), HANGUP)
        return detect(self, pictures)

    monkeypatch.setattr(detection.yolo.YoloDetector, "__call__", close_the_terminal)
    before = signal.signal(HANGUP, signal.SIG_IGN)
    try:
        assert main(["photos", "--save", "json"]) == 0
        assert signal.getsignal(HANGUP) is signal.SIG_IGN
    finally:
        signal.signal(HANGUP, before)


@pytest.mark.parametrize("n_frames", [30, 3])  # main waits for room, or for the video's last frame
def test_ctrl_c_while_a_frame_is_written_keeps_the_video(
    n_frames: int,
    tmp_path: Path,
    make_video: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_video(tmp_path / "clip.mp4", [40] * n_frames)
    write = VideoWriter.write
    n_written = 0

    def stop_at_the_second(self: VideoWriter, frame: NDArray[np.uint8], number: int) -> None:
        nonlocal n_written
        n_written += 1
        if n_written == 2:
            time.sleep(0.5)  # whoever has something to do meanwhile has done it
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        write(self, frame, number)

    monkeypatch.setattr(VideoWriter, "write", stop_at_the_second)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["clip.mp4", "--save", "deblurred", "--json"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    content = json.loads(capsys.readouterr().out)
    assert content["interrupted"] is True
    assert content["n_ok"] == len(content["pictures"]) == n_written
    with VideoReader(Path(content["run"], "deblurred/clip.mp4")) as video:
        assert len(list(video)) == n_written
