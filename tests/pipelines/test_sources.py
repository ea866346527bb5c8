from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import struct
import time
from contextlib import closing, nullcontext
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

import cv2
import numpy as np
import pytest
from PIL import Image

from deblur.errors import DeblurError
from pipelines.sinks import refuse_collisions
from pipelines.sources import Source, count_pictures, find_sources, name_of, read_items
from pipelines.video import VideoReader, VideoWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

LACKS_INDEX = (
    "clip.mp4 lacks the index that MP4 and MOV have: its recording was never finished, or it was not copied whole; "
    "copy it anew, or repair it first"
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of pictures, with files among them that are none."""
    for name in ("a/1.png", "a/1.jpg", "a/deep/v1.2.png", "a/notes.txt", "a/.hidden.png", "b/1.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no picture")
        else:
            Image.new("RGB", (8, 6), (len(name), 0, 0)).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stems(*arguments: str) -> list[str]:
    return [str(source.stem) for source in find_sources(arguments)[0]]


def test_one_picture(tree: Path) -> None:
    with pytest.raises(TypeError, match=r"is a list of names, not the one name 'a/1\.png'"):
        find_sources("a/1.png")
    (source,), notes = find_sources(["a/1.png"])
    assert (source.file, str(source.stem), source.origin, source.is_video) == ("a/1.png", "1", Path("a/1.png"), False)
    assert notes == []


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("a/1.png", "1"),
        ("a", "a"),
        ("./a/deep/", "deep"),
        ("a/**/*.png", "a"),
        ("b/../a/*.jpg", "a"),
        ("a/deep/v1.2.png", "v1.2"),
        ("7", "camera7"),
    ],
)
def test_a_run_is_called_as_what_was_given(tree: Path, argument: str, name: str) -> None:
    (first, *_), _ = find_sources([argument])
    assert name_of(argument, first) == name
    assert name_of(".", first) == tree.name


def test_a_folder_keeps_relative_paths_and_tells_equal_stems_apart(tree: Path) -> None:
    sources, notes = find_sources(["a"])
    assert [source.file for source in sources] == ["a/1.jpg", "a/1.png", "a/deep/v1.2.png"]
    assert [str(source.stem) for source in sources] == ["1", "1-2", "deep/v1.2"]
    assert notes == ["outputs of a/1.png are named 1-2: 1 is taken"]


def test_several_folders_are_told_apart_by_their_names(tree: Path) -> None:
    assert stems("a/deep", "b") == ["deep/v1.2", "b/1"]
    assert stems("a/1.png", "b/1.png") == ["1", "1-2"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["b.mp4", "b"], ["b", "b/000001-2", "b/00002"]),
        (["b", "b.mp4"], ["b/000001", "b/00002", "b-2"]),
        (["**/*.mp4"], ["b", "b/000001-2"]),  # when its first frame was taken is told by the name of a frame of b
    ],
)
def test_frames_of_a_video_share_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], found: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b").mkdir()
    for name in ("b.mp4", "b/000001.png", "b/00002.png", "b/000001.mp4"):
        Path(name).touch()
    sources, notes = find_sources(arguments)
    assert [str(source.stem) for source in sources] == found
    assert sum(note.endswith(" is taken") for note in notes) == 1


def test_names_that_differ_in_letter_case_alone_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("B").mkdir()
    for name in ("A.png", "a.jpg", "b.mp4", "B/000001.png"):
        Path(name).touch()
    assert stems("A.png", "a.jpg") == ["A", "a-2"]
    assert stems("b.mp4", "B/*.png") == ["b", "B/000001-2"]


@pytest.mark.parametrize(
    ("names", "collide"),
    [
        (["clip.mov", "clip.mp4/1.png"], {"annotated", "deblurred", "side-by-side"}),
        (["CLIP.avi", "clip.MP4/deep/1.png"], {"annotated", "deblurred", "side-by-side"}),
        (["a.png", "a.jpg/1.png"], {"annotated", "side-by-side"}),
        (["a.jpg", "a.png/1.png"], {"deblurred"}),
        (["a.jpg", "a.txt/1.png"], {"txt"}),
        (["a.jpg", "a.txt.mp4"], {"txt"}),
        (["clip.mov", "clip/1.png", "clip.mp4.mov", "a.png", "a.mp4/1.png"], set()),
    ],
)
def test_no_output_is_both_a_file_and_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], collide: set[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    sources, _ = find_sources(["**"])
    assert len(sources) == len(names)
    for kind in ("annotated", "deblurred", "side-by-side", "txt", "coco"):
        with pytest.raises(DeblurError, match="rename one of the two") if kind in collide else nullcontext():
            refuse_collisions(sources, {kind})


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a/*", ["1", "1-2"]),
        ("a/**/*.png", ["1", "deep/v1.2"]),
        ("*/1.png", ["a/1", "b/1"]),
        ("a/[0-9].jp?", ["1"]),
        ("./a/../b/*.png", ["1"]),
    ],
)
def test_glob(tree: Path, pattern: str, found: list[str]) -> None:
    assert stems(pattern) == found
    assert stems(str(tree / pattern)) == found


def test_a_glob_takes_files_as_cameras_name_them(tree: Path) -> None:
    for name in ("a/IMG_1.JPG", "a/MVI_2.MOV", "a/NOTES.TXT"):
        Path(name).touch()
    assert stems("a/*") == ["1", "1-2", "IMG_1", "MVI_2"]


def test_a_glob_takes_a_folder_once_however_many_links_lead_there(tree: Path) -> None:
    Path("a/deep/up").symlink_to(tree / "a")
    Path("a/also").symlink_to(tree / "b")
    Path("a/same.png").symlink_to("1.png")
    assert stems("a/**/*.png") == ["1", "also/1", "deep/v1.2", "same"]
    assert stems("a/deep/up/*.png") == ["1", "same"]
    assert stems("a/**/deep/*.png") == ["deep/v1.2"]


def test_a_folder_that_is_a_link_has_the_name_that_it_is_given_by(tree: Path) -> None:
    for name, target in (("left", "a/deep"), ("right", "b")):
        Path(name).symlink_to(tree / target)
    assert stems("left", "right") == stems("left/*.png", "right/*.png") == ["left/v1.2", "right/1"]
    assert stems("left/", "a/../right") == ["left/v1.2", "right/1"]
    sources, _ = find_sources(["left"])
    assert (name_of("left", sources[0]), name_of("left/*", sources[0])) == ("left", "left")
    assert name_of(".", sources[0]) == name_of("a/..", sources[0]) == tree.name


def test_a_glob_comes_to_an_end_in_folders_with_several_loops(tree: Path) -> None:
    for link in ("again", "b/back", "a/back", "a/deep/back"):
        Path(link).symlink_to(tree)
    assert stems("**/*.png") == ["a/1", "a/deep/v1.2", "b/1"]
    assert stems("**") == ["a/1", "a/1-2", "a/deep/v1.2", "b/1"]


def test_a_file_with_a_glob_in_its_name_is_that_file(tree: Path) -> None:
    Path("a/1.png").rename("a/[1].png")
    assert stems("a/[1].png") == ["[1]"]


def test_a_number_is_a_camera_unless_a_file_has_that_name(tree: Path) -> None:
    (source,), _ = find_sources(["0"])
    assert (source.file, source.origin, source.is_video) == ("camera:0", 0, True)
    assert find_sources(["/dev/video0"])[0] == [source]
    Path("by-id").symlink_to("/dev/video0")
    assert find_sources(["by-id"])[0] == [source]
    Path("a/1.png").rename("0")
    (source,), _ = find_sources(["0"])
    assert source.origin == Path("0")


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("nowhere.jpg", r"nowhere\.jpg does not exist: give a picture, folder, glob, video file or the number"),
        ("empty", "empty holds no picture"),
        ("a/*.bmp", r"a/\*\.bmp matches no file"),
        ("a/*.txt", r"a/\*\.txt matches 1 files, none of them a picture"),
        ("-1", "-1 does not exist"),
        ("/dev/videos", "/dev/videos does not exist"),
        ("a/..png", r"a/\.\.png has no name before its suffix for results to be called by: rename it"),
        ("a/..p*", r"a/\.\.p\* matches 1 files, none of them a picture"),
        (os.devnull, f"{os.devnull} is neither a file nor a folder"),
    ],
)
def test_what_is_no_source(tree: Path, argument: str, says: str) -> None:
    Path("empty").mkdir()
    shutil.copy("a/1.png", "a/..png")
    with pytest.raises(DeblurError, match=says):
        find_sources([argument])


def test_a_folder_of_videos_alone_says_what_to_do(tree: Path) -> None:
    Path("clips").mkdir()
    Path("clips/a.mp4").touch()
    with pytest.raises(DeblurError, match=r"clips holds no picture .*; videos left out of clips: 1 \(name them"):
        find_sources(["clips"])


def test_videos_beside_pictures_are_left_out_with_a_word(tree: Path) -> None:
    for name in ("a/b.mp4", "a/deep/c.MOV", "a/.d.mp4"):
        Path(name).touch()
    sources, notes = find_sources(["b", "a"])
    assert [source.file for source in sources] == ["b/1.png", "a/1.jpg", "a/1.png", "a/deep/v1.2.png"]
    assert notes[0] == "videos left out of a: 2 (name them, or give a glob in quotes)"


def test_earlier_runs_below_a_folder_are_left_out_with_a_word(tree: Path) -> None:
    for run in ("a/out", "a/runs/deblur_detect/a"):
        for name in ("config.yaml", "env.json", "deblurred/1.png", "annotated/clip.mp4"):
            path = Path(run, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    sources, notes = find_sources(["a"])
    assert [source.file for source in sources] == ["a/1.jpg", "a/1.png", "a/deep/v1.2.png"]
    says = "earlier runs left out of {}: {} (name the pictures of one to take them)"
    assert notes[0] == says.format("a", "a/out and 1 more")
    for named in ("a/out/deblurred", "a/out"):
        sources, notes = find_sources([named])
        assert [source.file for source in sources] == ["a/out/deblurred/1.png"]
        assert not any("runs" in note for note in notes)
    with pytest.raises(DeblurError) as refusal:
        find_sources(["a/runs"])
    assert str(refusal.value).endswith("; " + says.format("a/runs", "a/runs/deblur_detect/a"))


def test_what_cannot_be_read_is_an_item_and_the_rest_follows(tree: Path) -> None:
    Path("a/1.jpg").write_text("no picture")
    items = list(read_items(find_sources(["a"])[0]))
    assert [item.error is None for item in items] == [False, True, True]
    assert items[0].error == "a/1.jpg is not a picture: no known picture format"
    assert items[0].picture is None
    assert items[1].picture is not None
    assert items[1].picture.shape == (6, 8, 3)
    assert all(item.read_ms > 0 for item in items)


@pytest.mark.parametrize("suffix", [".3gp", ".FLV", ".m2ts", ".MTS"])
def test_videos_of_cameras_are_known_by_their_suffixes(
    tree: Path, make_video: Callable[..., None], suffix: str
) -> None:
    make_video(tree / "clip.mp4", [20, 120])
    (tree / "clip.mp4").rename(f"clip{suffix}")
    assert [item.error for item in read_items(find_sources([f"clip{suffix}"])[0])] == [None, None]


@pytest.mark.parametrize(("name", "is_told"), [("clip.dav", True), ("clip", True), ("clip.jpg", False)])
def test_what_is_no_picture_and_has_another_suffix_is_told_how_videos_end(
    tree: Path, make_video: Callable[..., None], name: str, is_told: bool
) -> None:
    make_video(tree / "clip.mp4", [20])
    (tree / "clip.mp4").rename(name)
    (item,) = read_items(find_sources([name])[0])
    assert item.error is not None
    assert item.error.startswith(f"{name} is not a picture: no known picture format")
    assert ("a video is known by its suffix, one of .3gp, .avi" in item.error) == is_told


def test_a_folder_with_brackets_in_its_name(tree: Path) -> None:
    (tree / "ho [x]").mkdir()
    (tree / "a/1.png").rename(tree / "ho [x]/1.png")
    sources, _ = find_sources(["ho [x]/*.png"])
    assert [source.file for source in sources] == ["ho [x]/1.png"]


def test_frames_of_a_video(tree: Path, make_video: Callable[..., None]) -> None:
    make_video(tree / "clip.mp4", [20, 120, 220])
    sources, _ = find_sources(["clip.mp4", "b/1.png"])
    assert count_pictures(sources) == 4
    items = list(read_items(sources))
    assert [item.frame for item in items] == [0, 1, 2, None]
    assert [item.fps for item in items] == [12.5, 12.5, 12.5, None]
    for item, level in zip(items[:3], [20, 120, 220], strict=True):
        assert item.picture is not None
        assert abs(float(item.picture.mean()) - level) < 4


def test_a_camera_has_no_count(tree: Path) -> None:
    assert count_pictures(find_sources(["a/1.png", "7"])[0]) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("text.mp4", "not a video"),
        ("63", "camera 63 does not open"),
        ("4000000000", "camera 4000000000 does not open"),
    ],
)
def test_videos_that_do_not_open(tree: Path, name: str, says: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("text.mp4").write_text("no video" * 100)
    (item,) = read_items(find_sources([name])[0])
    assert item.error is not None
    assert says in item.error
    assert capfd.readouterr().err == "", "OpenCV must not add lines of its own"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: b"", "clip.mp4 is not a video: the file is empty"),
        (lambda content: content[: content.index(b"moov") - 4], LACKS_INDEX),  # the power went while it recorded
        (lambda content: content[: content.index(b"moov") // 2], LACKS_INDEX),  # half of it was copied
        (lambda content: content.replace(b"vide", b"soun"), "clip.mp4 is not a video: it holds sound only"),
        (lambda content: b"no", "clip.mp4 is not a video that OpenCV can read"),
        (lambda content: b"\0\0\0\x01mdat" + b"\xff" * 40, LACKS_INDEX),
        (lambda content: b"\0\0\0\x08ftyp\0\0\0\0moov" + b"\xff" * 40, "clip.mp4 is not a video that OpenCV can read"),
    ],
)
def test_why_a_video_does_not_open(
    tree: Path, make_video: Callable[..., None], spoil: Callable[[bytes], bytes], says: str
) -> None:
    make_video(tree / "clip.mp4", [20, 120])
    Path("clip.mp4").write_bytes(spoil(Path("clip.mp4").read_bytes()))
    (item,) = read_items(find_sources(["clip.mp4"])[0])
    assert item.error == says


def test_a_video_that_may_not_be_read_or_is_gone(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("clip.mp4").touch()
    sources, _ = find_sources(["clip.mp4"])

    def refuse(path: Path, mode: str) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert [item.error for item in read_items(sources)] == ["cannot read clip.mp4: Permission denied"]
    Path("clip.mp4").unlink()
    assert [item.error for item in read_items(sources)] == ["clip.mp4 does not exist"]


def test_colours_survive_a_video(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "new" / "clip.mp4", fps=10)
    orange = np.full((33, 65, 3), (255, 128, 0), np.uint8)
    for _ in range(5):
        writer.write(orange)
    writer.close()
    with VideoReader(tmp_path / "new" / "clip.mp4") as video:
        assert (video.fps, video.n_frames) == (10, 5)
        frames = [frame.picture for frame in video]
    assert len(frames) == 5
    assert frames[0].shape == (34, 66, 3), "odd sizes grow by one pixel, nothing is cut off"
    np.testing.assert_allclose(frames[4].mean((0, 1)), (255, 128, 0), atol=6)


def test_an_odd_size_grows_right_and_below(tmp_path: Path) -> None:
    picture = np.zeros((33, 65, 3), np.uint8)
    picture[16:, 32:] = 255
    writer = VideoWriter(tmp_path / "clip.mp4", fps=10)
    writer.write(picture)
    writer.close()
    with VideoReader(tmp_path / "clip.mp4") as video:
        (frame,) = (frame.picture for frame in video)
    assert np.abs(frame[:33, :65].astype(int) - picture).max() < 40


@pytest.mark.parametrize(("number", "n_frames"), [(60, 61), (5000, 1001)])
def test_a_frame_stands_for_those_before_it_that_are_missing(tmp_path: Path, number: int, n_frames: int) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", fps=10)
    for place in (0, number):
        writer.write(np.zeros((16, 16, 3), np.uint8), place)
    writer.close()
    with VideoReader(tmp_path / "clip.mp4") as video:
        assert video.n_frames == n_frames


@pytest.mark.parametrize("fps", [12.5, 59.94, 66.713, 119.891, 240.017, 960.1, 999.99])
def test_any_rate_is_written(tmp_path: Path, fps: float) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", fps)
    for _ in range(3):
        writer.write(np.zeros((16, 16, 3), np.uint8))
    writer.close()
    with VideoReader(tmp_path / "clip.mp4") as video:
        assert video.n_frames == 3
        assert video.fps == pytest.approx(fps, abs=0.011)


def test_pixels_that_are_not_square_are_told_of(tree: Path, make_video: Callable[..., None]) -> None:
    make_video(Path("clip.mp4"), [20, 120])
    content = bytearray(Path("clip.mp4").read_bytes())
    boxes, place = [], 0
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v"):
        place = content.index(name, place)
        boxes.append(place - 4)
    end = boxes[-1] + int.from_bytes(content[boxes[-1] : boxes[-1] + 4], "big")
    content[end:end] = struct.pack(">I4sII", 16, b"pasp", 4, 3)
    for box in boxes:
        content[box : box + 4] = (int.from_bytes(content[box : box + 4], "big") + 16).to_bytes(4, "big")
    Path("wide.mp4").write_bytes(content)
    notes = {
        name: [item.note for item in read_items(find_sources([name])[0]) if item.note]
        for name in ("clip.mp4", "wide.mp4")
    }
    assert notes["clip.mp4"] == []
    (note,) = notes["wide.mp4"]
    assert note.startswith("wide.mp4 has pixels that are not square, 1.33 times as wide as high")


@pytest.mark.parametrize(("fps", "stored"), [(600.01, 600.01), (570.37, 570.37), (300.005, 300.005)])
def test_a_rate_is_no_farther_than_the_nearest_that_can_be_stored(tmp_path: Path, fps: float, stored: float) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", fps)
    for _ in range(2):
        writer.write(np.zeros((16, 16, 3), np.uint8))
    writer.close()
    with VideoReader(tmp_path / "clip.mp4") as video:
        assert video.fps == pytest.approx(stored, abs=0.002)


def test_a_name_that_begins_like_a_protocol(
    tmp_path: Path, make_video: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video(tmp_path / "10:30:00.mp4", [20, 120])
    monkeypatch.chdir(tmp_path)
    with VideoReader(Path("10:30:00.mp4")) as video:
        frames = [frame.picture for frame in video]
    assert len(frames) == 2
    writer = VideoWriter(Path("10:31/a:b.mp4"), 10)
    writer.write(frames[0])
    writer.close()
    assert Path("10:31/a:b.mp4").is_file()


def test_a_video_whose_path_is_no_utf8_is_refused(tree: Path, garbled_name: str) -> None:
    Path(f"{garbled_name}.mp4").touch()
    sources, _ = find_sources([f"{garbled_name}.mp4"])
    assert count_pictures(sources) == 1
    (item,) = read_items(sources)
    assert item.error is not None
    assert item.error.endswith("is not UTF-8, which OpenCV needs: rename it")
    with pytest.raises(DeblurError, match="is not UTF-8"):
        VideoWriter(tree / garbled_name / "clip.mp4", 10).write(np.zeros((16, 16, 3), np.uint8))


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", fps=10)
    writer.write(np.zeros((32, 64, 3), np.uint8))
    with pytest.raises(DeblurError, match="cannot append a frame of 32x64"):
        writer.write(np.zeros((64, 32, 3), np.uint8))
    writer.close()


def test_a_video_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeblurError, match="cannot make the folder"):
        VideoWriter(tmp_path / "file" / "clip.mp4", fps=10).write(np.zeros((32, 64, 3), np.uint8))


def test_a_video_that_the_disk_does_not_hold(
    tmp_path: Path, file_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", fps=10)
    cut = pytest.raises(DeblurError, match=r"cannot write .*clip\.mp4: it holds 0 of 8 frames; is the disk full\?")
    with file_limit(20_000):
        for seed in range(8):
            writer.write(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8))
        with cut:
            writer.close()
    assert not (tmp_path / "clip.mp4").exists(), "what cannot be read only takes room"


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_a_video_that_is_cut_off_says_so_behind_its_last_frame(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"clip{suffix}"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 48))
    for seed in range(10):
        writer.write(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    assert [item.error for item in read_items(find_sources([str(file)])[0])] == [None] * 10
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 55 // 100])
    *frames, end = read_items(find_sources([str(file)])[0])
    assert [(item.frame, item.error) for item in frames] == [(number, None) for number in range(5)]
    assert end.frame is None
    assert end.error == (
        f"{file} gives 5 of the 10 frames that it announces: it is cut off or broken, copy or record it anew"
    )


@pytest.mark.parametrize(
    ("stored", "last", "is_whole"),
    [
        (10, 900.0, True),  # an editor cut the first frames without encoding anew: they are stored, and not shown
        (8, 880.0, True),  # frames came unevenly, and their number was worked out from the time
        (9, 800.0, False),
        (5, 400.0, False),
    ],
)
def test_frames_are_missing_by_their_number_and_by_their_time(
    monkeypatch: pytest.MonkeyPatch, stored: int, last: float, is_whole: bool
) -> None:
    class Capture:
        """Ten frames in a second are announced, eight can be read at most."""

        def __init__(self, file: str) -> None:
            self.asked = 0
            self.is_raw = False

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def set(self, which: int, value: float) -> None:
            self.is_raw |= which == cv2.CAP_PROP_FORMAT

        def get(self, which: int) -> float:
            return {cv2.CAP_PROP_FPS: 10.0, cv2.CAP_PROP_FRAME_COUNT: 10.0}.get(which, last * self.asked / stored)

        def grab(self) -> bool:
            self.asked += 1
            return self.asked <= (stored if self.is_raw else min(stored, 8))

        def read(self) -> tuple[bool, object]:
            return self.grab(), np.zeros((4, 6, 3), np.uint8)

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    items = list(read_items([Source("clip.mp4", PurePosixPath("clip"), Path("clip.mp4"))]))
    assert [item.error for item in items[:-1]] == [None] * (len(items) - 1)
    assert (items[-1].error is None) == is_whole


def test_a_camera_gives_its_newest_frame_and_says_when_it_came(camera: Any) -> None:
    times, shown = [time.time()], []
    with closing(read_items(find_sources(["0"])[0])) as items:
        for item in itertools.islice(items, 3):
            assert item.picture is not None
            assert item.taken is not None
            shown.append(int(item.picture[0, 0, 0]))
            times += [item.taken, time.time()]
            time.sleep(0.05)  # ten frames
        assert times == sorted(times)
        assert [(later - earlier) % 200 > 2 for earlier, later in itertools.pairwise(shown)] == [True, True], (
            "not the next"
        )
        camera.opened.is_connected = False
        *_, end = items
    assert end.frame is None
    assert end.error is not None
    assert re.fullmatch("camera 0 gave [34] frames and then none: is it still connected[?]", end.error)


def test_a_camera_is_asked_for_a_size_before_its_first_frame(camera: Any) -> None:
    for size in ((1920, 1080), None):
        with closing(read_items(find_sources(["0"], size)[0])) as items:
            next(items)
        assert camera.opened.asked == [
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
            (cv2.CAP_PROP_FRAME_WIDTH, 1920),
            (cv2.CAP_PROP_FRAME_HEIGHT, 1080),
        ] * (size is not None)


def test_what_goes_wrong_in_a_camera_is_raised(camera: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(camera, "grab", fail)
    with pytest.raises(ZeroDivisionError):
        next(read_items(find_sources(["0"])[0]))


@pytest.mark.parametrize(("degrees", "orientation"), [(90, 6), (180, 3), (270, 8)])
def test_rotation_of_a_video_is_applied_and_told(
    tmp_path: Path, turn_video: Callable[[Path, int], None], degrees: int, orientation: int
) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255
    writer = VideoWriter(tmp_path / "turned.mp4", 10)
    writer.write(picture)
    writer.close()
    (straight,) = read_items(find_sources([str(tmp_path / "turned.mp4")])[0])
    turn_video(tmp_path / "turned.mp4", degrees)
    (turned,) = read_items(find_sources([str(tmp_path / "turned.mp4")])[0])
    assert straight.picture is not None
    assert turned.picture is not None
    np.testing.assert_allclose(turned.picture.astype(int), np.rot90(straight.picture, -degrees // 90), atol=2)
    assert (straight.orientation, turned.orientation) == (1, orientation)


def test_the_orientation_of_a_picture_is_told(tree: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (8, 6)).save("b/1.png", exif=exif)
    items = read_items(find_sources(["a", "b"])[0])
    assert [item.orientation for item in items] == [1, 1, 1, 8]
