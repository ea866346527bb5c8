"""Videos with frames that cannot be decoded, that come unevenly or that are not shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest

from pipelines import interlaced
from pipelines.calibrate_gyro import Place, _read
from pipelines.deblur_detect import main
from pipelines.interlaced import Fields
from pipelines.matroska import is_whole_matroska
from pipelines.motions import Motions
from pipelines.sources import Source, find_sources, read_items
from pipelines.video import LOSES_FIELDS, VideoReader, VideoWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Document = Callable[[], dict[str, Any]]
    Fake = Callable[..., None]


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Forty frames of noise, 25 a second."""
    writer = VideoWriter(tmp_path / "clip.mp4", 25)
    for seed in range(40):
        writer.write(noise(seed))
    writer.close()
    return tmp_path / "clip.mp4"


def make_interlaced(file: Path, n_frames: int) -> None:
    with av.open(file, "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"flags": "+ildct+ilme"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frames = [av.VideoFrame.from_ndarray(noise(seed), format="rgb24") for seed in range(n_frames)]
        for frame in (*frames, None):
            container.mux(stream.encode(frame))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Lets every video give frames at these milliseconds, None being a read that fails, and store others unseen."""

    def make(
        reads: Sequence[float | None], fps: float = 10.0, announced: float = 0.0, stored: Sequence[float] = ()
    ) -> None:
        class Capture:
            def __init__(self, file: str) -> None:
                self.left: list[float | None] = list(reads)
                self.position: float | None = None

            def isOpened(self) -> bool:  # noqa: N802
                return True

            def set(self, which: int, value: float) -> None:
                if which == cv2.CAP_PROP_FORMAT:
                    self.left = list(stored or reads)

            def get(self, which: int) -> float:
                known = {cv2.CAP_PROP_FPS: fps, cv2.CAP_PROP_FRAME_COUNT: announced}
                return self.position or 0.0 if which == cv2.CAP_PROP_POS_MSEC else known.get(which, 0.0)

            def grab(self) -> bool:
                self.position = self.left.pop(0) if self.left else None
                return self.position is not None

            def read(self) -> tuple[bool, object]:
                return self.grab(), np.zeros((4, 6, 3), np.uint8)

            def release(self) -> None:
                pass

        monkeypatch.setattr(cv2, "VideoCapture", Capture)

    return make


def read(name: str) -> tuple[list[tuple[int | None, float | None]], list[str | None], list[str]]:
    """Numbers and times of the frames of a video, what failed, and the notes."""
    Path(name).touch()
    items = list(read_items(find_sources([name])[0]))
    frames = [(item.frame, item.seconds) for item in items if item.picture is not None]
    return frames, [item.error for item in items if item.error is not None], [item.note for item in items if item.note]


def test_interlaced_videos_are_told_from_others(tmp_path: Path, clip: Path) -> None:
    make_interlaced(tmp_path / "fields.mp4", 3)
    (tmp_path / "words.mp4").write_text("words")
    assert Fields(tmp_path / "fields.mp4").until(0)
    for name in (clip.name, "words.mp4", "absent.mp4"):
        assert not Fields(tmp_path / name).until(99)


@pytest.mark.parametrize("n_frames", [1, 6])
def test_an_interlaced_video_is_read_or_refused_and_never_what_was_in_memory(tmp_path: Path, n_frames: int) -> None:
    make_interlaced(tmp_path / "fields.mp4", n_frames)
    items = list(read_items(find_sources([str(tmp_path / "fields.mp4")])[0]))
    pictures = [item.picture for item in items if item.picture is not None]
    errors = [item.error for item in items if item.error is not None]
    if LOSES_FIELDS:
        assert pictures == []
        assert errors[0].startswith(f"{tmp_path / 'fields.mp4'} is interlaced, of which OpenCV {cv2.__version__} makes")
    else:
        assert len({picture.tobytes() for picture in pictures}) == n_frames
        assert errors == []


def test_a_video_is_looked_at_for_fields_no_further_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interlaced, "_interlaced", lambda _: iter([False, False, False, True, False]))
    fields = Fields(Path("clip.mp4"))
    assert [fields.until(number) for number in range(6)] == [False, False, False, True, True, True]


@pytest.mark.skipif(not LOSES_FIELDS, reason="this OpenCV makes pictures of interlaced frames")
def test_an_interlaced_video_with_a_name_like_a_protocol_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_interlaced(tmp_path / "fields.mp4", 3)
    (tmp_path / "fields.mp4").rename(tmp_path / "10:30.mp4")
    monkeypatch.chdir(tmp_path)
    (item,) = read_items(find_sources(["10:30.mp4"])[0])
    assert item.error is not None
    assert item.error.startswith("10:30.mp4 is interlaced, of which OpenCV")


def test_a_video_that_is_interlaced_in_part_is_read_up_to_there(tmp_path: Path) -> None:
    parts = []
    for flags in ("", "+ildct+ilme"):
        with av.open(tmp_path / "part.ts", "w", format="mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=25, options={"flags": flags} if flags else {})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            frames = [av.VideoFrame.from_ndarray(noise(seed), format="rgb24") for seed in range(6)]
            for frame in (*frames, None):
                container.mux(stream.encode(frame))
        parts.append((tmp_path / "part.ts").read_bytes())
    (tmp_path / "mixed.ts").write_bytes(b"".join(parts))
    items = list(read_items(find_sources([str(tmp_path / "mixed.ts")])[0]))
    pictures = [item.picture.tobytes() for item in items if item.picture is not None]
    assert len(set(pictures)) == len(pictures) >= 5
    errors = [item.error for item in items if item.error is not None]
    assert any("is interlaced from its frame" in error for error in errors) == LOSES_FIELDS


def test_a_video_of_equal_frames_is_read_whole(tmp_path: Path, make_video: Callable[..., None]) -> None:
    make_video(tmp_path / "still.mp4", [100] * 5)
    items = list(read_items(find_sources([str(tmp_path / "still.mp4")])[0]))
    assert [item.frame for item in items] == list(range(5))


def test_frames_behind_broken_ones_are_read_and_keep_their_numbers_and_times(clip: Path) -> None:
    with VideoReader(clip) as video:
        clean = [frame.picture.astype(int) for frame in video]
    content = bytearray(clip.read_bytes())
    begin = content.index(b"mdat") + len(content) * 4 // 10
    content[begin : begin + len(content) // 10] = bytes(len(content) // 10)
    clip.write_bytes(content)
    *frames, end = read_items(find_sources([str(clip)])[0])
    numbers = [item.frame for item in frames]
    assert 30 <= len(numbers) < 40
    assert numbers[-1] == 39
    for item in frames[:4] + frames[-4:]:
        assert item.picture is not None
        assert item.frame is not None
        assert item.seconds == pytest.approx(item.frame / 25)
        assert int(np.argmin([np.abs(picture - item.picture).mean() for picture in clean])) == item.frame
    assert end.error is not None
    assert f"{clip} has frames that cannot be decoded, about {40 - len(numbers)} from 0." in end.error
    assert "it is broken, copy or record it anew" in end.error


@pytest.mark.usefixtures("fakes")
def test_lost_frames_have_no_entry_and_others_stand_for_them_in_the_videos(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, document: Document
) -> None:
    take = cv2.VideoCapture

    class Capture:
        """The whole video, of which frames 0, 5 and 6 cannot be decoded."""

        def __init__(self, file: str) -> None:
            self.capture = take(file)
            self.number = -1

        def read(self) -> tuple[bool, object]:
            self.number += 1
            is_there, picture = self.capture.read()
            return is_there and self.number not in (0, 5, 6), picture

        def __getattr__(self, name: str) -> Any:
            return getattr(self.capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", lambda file: Capture(file) if file.endswith("clip.mp4") else take(file))
    assert main(["clip.mp4", "--save", "deblurred,txt", "--output", "out", "--json"]) == 1
    *frames, end = document()["pictures"]
    numbers = [number for number in range(40) if number not in (0, 5, 6)]
    assert [(entry["frame"], entry["seconds"]) for entry in frames] == [(n, round(n / 25, 4)) for n in numbers]
    assert end["error"].startswith("clip.mp4 has frames that cannot be decoded, about 3 from 0.00 s on")
    assert sorted(path.stem for path in Path("out/txt/clip").iterdir()) == [f"{number:06d}" for number in numbers]
    monkeypatch.setattr(cv2, "VideoCapture", take)
    with VideoReader(Path("out/deblurred/clip.mp4")) as video:
        assert video.n_frames == 40


def test_a_rate_that_varies_is_noted_once(fake: Fake, tmp_path: Path) -> None:
    fake([0, 100, 200, 500, 533, 700], announced=8)
    frames, errors, notes = read(str(tmp_path / "clip.mkv"))
    assert frames == [(n, pytest.approx(time)) for n, time in enumerate([0, 0.1, 0.2, 0.5, 0.533, 0.7])]
    assert errors == []
    assert notes == [
        f"{tmp_path}/clip.mkv frame 3 is from 0.50 s, not 0.30 as 10 frames a second say: its rate varies or frames "
        "are lost; entries tell the file's own times, written videos play evenly"
    ]


@pytest.mark.usefixtures("fakes")
def test_notes_are_said_and_are_no_pictures(
    fake: Fake, tmp_path: Path, document: Document, capsys: pytest.CaptureFixture[str]
) -> None:
    fake([0, 100, 400, 500], announced=4)
    (tmp_path / "clip.mp4").touch()
    assert main(["clip.mp4", "--save", "json", "--limit", "4", "--output", "out", "--json"]) == 0
    output = capsys.readouterr()
    assert "clip.mp4 frame 2 is from 0.40 s, not 0.20" in output.err
    assert "clip.mp4 frame 2 is from 0.40 s, not 0.20" in Path("out/log.txt").read_text()
    assert output.out.count('"seconds"') == 4


def test_paths_are_of_the_files_own_times(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake([0, 100, 450, None, 600])
    for name, line in (("drive", "t,wx,wy,wz\n0,0,1,0\n1,0,1,0"), ("times", "picture,opened,closed\nclip,0.1,0.12")):
        (tmp_path / f"{name}.csv").write_text(line)
    asked: list[tuple[float, float]] = []
    times_of = Motions.times_of

    def note(self: Motions, source: Source, frame: int | None, seconds: float | None) -> tuple[float, float]:
        asked.append(times_of(self, source, frame, seconds))
        return asked[-1]

    monkeypatch.setattr(Motions, "times_of", note)
    (tmp_path / "clip.mp4").touch()
    motions = Motions(tmp_path / "drive.csv", 100, tmp_path / "times.csv")
    for item in read_items(find_sources([str(tmp_path / "clip.mp4")])[0]):
        if item.picture is not None:
            motions.path_of(item)
    assert [opened for opened, _ in asked] == pytest.approx([0.1, 0.2, 0.55, 0.7])


def test_a_gyroscope_is_calibrated_by_videos_whose_rate_varies(fake: Fake, tmp_path: Path) -> None:
    fake([0, 100, 450, 550, 600])
    (tmp_path / "clip.mp4").touch()
    (source,) = find_sources([str(tmp_path / "clip.mp4")])[0]
    items = list(_read([Place(source, 1, 0.1), Place(source, 3, 0.3)]))
    assert [item.seconds for item in items] == pytest.approx([0.1, 0.55])


@pytest.mark.parametrize(
    ("name", "reads", "stored"),
    [
        ("cut.mp4", [0, 100, 200], [0, 100, 200, 300]),  # the first or the last one is there and not shown
        ("lost.avi", [index * 100 for index in range(39)], []),  # its clock goes on over what is broken
        ("LOST.AVI", [index * 100 for index in range(39)], []),
    ],
)
def test_frames_that_are_not_shown_are_a_doubt(
    name: str, reads: list[float], stored: list[float], fake: Fake, tmp_path: Path
) -> None:
    fake(reads, announced=len(reads) + 1, stored=stored)
    frames, errors, (note,) = read(str(tmp_path / name))
    assert (len(frames), errors) == (len(reads), [])
    assert note == (
        f"{tmp_path}/{name} gives {len(reads)} of the {len(reads) + 1} frames that it announces: the others were cut "
        "out by an editor or are broken"
    )


def test_the_end_of_a_file_that_is_cut_off_is_not_called_undecodable(fake: Fake, tmp_path: Path) -> None:
    fake([0, 100, 200, None, 300], announced=10)
    frames, errors, notes = read(str(tmp_path / "cut.mp4"))
    assert [number for number, _ in frames] == [0, 1, 2, 3]
    assert errors == [
        f"{tmp_path}/cut.mp4 gives 4 of the 10 frames that it announces: it is cut off or broken, copy or record it "
        "anew"
    ]
    assert notes == []


def test_a_video_of_which_no_frame_can_be_read_fails(fake: Fake, tmp_path: Path) -> None:
    fake([])
    file = tmp_path / "clip.mp4"
    assert read(str(file)) == ([], [f"{file} holds no frame that can be read"], [])


def test_a_second_that_is_missing_of_a_long_video_is_no_rounding(fake: Fake, tmp_path: Path) -> None:
    reads = [index * 100 for index in range(600)]
    fake(reads, announced=608)
    assert read(str(tmp_path / "rounded.mp4"))[1] == []
    fake(reads, announced=612)
    _, (error,), _ = read(str(tmp_path / "cut.mp4"))
    assert error is not None
    assert "gives 600 of the 612 frames that it announces: it is cut off or broken" in error


def sized(size: bytes, n_bytes: int) -> bytes:
    return b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67" + size + bytes(n_bytes)


@pytest.mark.parametrize(
    ("content", "is_whole"),
    [
        (sized(b"\x90", 16), True),
        (sized(b"\x90", 15), False),
        (sized(b"\x40\x10", 16), True),
        (sized(b"\x40\x10", 15), False),
        (sized(b"\x01\0\0\0\0\0\0\x10", 16), True),
        (sized(b"\x01\0\0\0\0\0\0\x10", 15), False),
        (sized(b"\x01" + b"\xff" * 7, 16), False),  # a recording that goes on
        (sized(b"", 16), False),
        (sized(b"", 0), False),
        (b"\x1a\x45\xdf\xa3", False),
        (b"RIFF" + bytes(60), False),
        (b"", False),
    ],
)
def test_a_matroska_file_says_how_long_it_is(content: bytes, is_whole: bool, tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").write_bytes(content)
    assert is_whole_matroska(tmp_path / "clip.mkv") == is_whole


def test_sound_that_lasts_longer_than_a_whole_matroska_file_is_no_failure(tmp_path: Path, fake: Fake) -> None:
    fake([index * 100 for index in range(10)], announced=40)
    file = tmp_path / "clip.mkv"
    file.write_bytes(sized(b"\x90", 16))
    assert read(str(file))[1:] == ([], [])
    file.write_bytes(sized(b"\x90", 15))
    _, (error,), _ = read(str(file))
    assert error is not None
    assert "gives 10 of the 40 frames that it announces" in error
