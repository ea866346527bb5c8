from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import ExifTags, Image

import detection.yolo
from deblur.blur.motion import still
from deblur.pictures import read_picture, write_picture
from detection.types import Detections
from pipelines import deblur_detect
from pipelines.chain import DeblurDetect
from pipelines.deblur_detect import main
from pipelines.video import VideoReader, VideoWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Flat = Callable[..., NDArray[np.uint8]]

pytestmark = pytest.mark.usefixtures("fakes")


@pytest.fixture
def photos(tmp_path: Path, flat: Flat) -> Path:
    """A folder with a dark and a bright picture, one of them deeper."""
    write_picture(tmp_path / "photos" / "dark.png", flat(40))
    write_picture(tmp_path / "photos" / "deep" / "bright.jpg", flat(200, 40, 80))
    return tmp_path / "photos"


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON document on stdout."""
    return json.loads(capsys.readouterr().out)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


RECORDS = ["config.yaml", "detections.json", "env.json", "log.txt"]


def test_the_chain_detects_on_the_restored_picture(flat: Flat) -> None:
    from deblur import Deblurrer
    from detection.yolo import YoloDetector

    picture = flat(95)
    restored, detections, times, believed = DeblurDetect(Deblurrer.load(), YoloDetector())(picture)
    assert believed is None
    np.testing.assert_array_equal(restored, flat(105))
    np.testing.assert_array_equal(picture, flat(95))
    assert detections.class_names == ("bus", "person"), "the person is seen in bright pictures only"
    assert times.deblur is not None
    assert times.deblur > 0
    assert times.detect > 0
    untouched = DeblurDetect(None, YoloDetector())(picture)
    assert untouched.restored is picture
    assert untouched.detections.class_names == ("bus",)
    assert untouched.times.deblur is None


def test_fusing_looks_twice(flat: Flat, monkeypatch: pytest.MonkeyPatch) -> None:
    from deblur import Deblurrer
    from detection.yolo import YoloDetector

    chain = DeblurDetect(Deblurrer.load(), YoloDetector(), fuse=True)
    detections = chain(flat(95)).detections
    assert detections.class_names == ("bus", "person")
    assert detections.scores == pytest.approx([0.9, 0.3]), "the person is in the restored picture only"
    told = chain(flat(95), still(8, 8)).detections
    assert told.scores == pytest.approx([0.9, 0.5]), "of what is restored along a path it is in both looks"
    monkeypatch.setattr(Deblurrer, "believed", 0.25)
    assert chain(flat(95), still(8, 8)).detections.scores == pytest.approx([0.9, 0.3]), "but not of one not believed"
    surer = DeblurDetect(Deblurrer.load(), YoloDetector(), fuse=True, confidence=0.35)
    assert surer(flat(95)).detections.class_names == ("bus",)
    assert surer(flat(150)).detections.class_names == ("bus", "person")
    with pytest.raises(ValueError, match="fuse needs a deblurrer"):
        DeblurDetect(None, YoloDetector(), fuse=True)


def test_the_second_look_is_at_a_mirror_image_whose_boxes_are_turned_back() -> None:
    from detection.yolo import YoloDetector

    class Leftmost(YoloDetector):
        """Finds a bus where the brightest column is."""

        def __call__(self, pictures: Any) -> list[Detections]:
            asked.append([int(picture.mean((0, 2)).argmax()) for picture in pictures])
            return [Detections.ordered([[column, 0, column + 1, 40]], [0.5], ["bus"]) for column in asked[-1]]

    asked: list[list[int]] = []
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 10] = 200
    found = DeblurDetect(np.copy, Leftmost(), fuse=True)(picture).detections
    assert asked == [[10, 69]]
    np.testing.assert_allclose(found.boxes, [[10, 0, 11, 40]])
    assert found.scores == pytest.approx([0.5]), "of one place"


def test_fused_boxes_are_kept_by_their_own_score(
    tmp_path: Path, flat: Flat, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "dusk.png", flat(95))
    assert main(["dusk.png", "--conf", "0.25", "--json"]) == 0
    content = document(capsys)
    assert (content["fused"], content["confidence"]) == (True, 0.25)
    assert [found["score"] for found in content["pictures"][0]["detections"]] == pytest.approx([0.9, 0.3])
    env = json.loads(Path(content["run"], "env.json").read_text())
    assert env["detector"]["confidence"] == 0.001, "faint boxes are needed to confirm others"
    assert main(["dusk.png", "--fuse", "--conf", "0.35", "--json"]) == 0
    assert [found["class"] for found in document(capsys)["pictures"][0]["detections"]] == ["bus"]
    # Without fusing the person keeps all of its score. What a run writes down is what it did.
    assert main(["dusk.png", "--no-fuse", "--conf", "0.35", "--json"]) == 0
    content = document(capsys)
    assert content["fused"] is False
    assert [found["score"] for found in content["pictures"][0]["detections"]] == pytest.approx([0.9, 0.5])
    assert yaml.safe_load(Path(content["run"], "config.yaml").read_text())["fuse"] is False
    assert main(["dusk.png", "--deblurrer", "none", "--json"]) == 0
    content = document(capsys)
    assert (content["fused"], content["confidence"]) == (False, 0.25)
    config = Path(content["run"], "config.yaml")
    assert not {"fuse", "conf"} & yaml.safe_load(config.read_text()).keys(), "nobody chose"
    assert main(["--config", str(config), "--deblurrer", "default", "--json"]) == 0
    content = document(capsys)
    assert (content["fused"], content["confidence"]) == (True, 0.2)


def test_fusing_needs_a_deblurrer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["dusk.png", "--fuse", "--deblurrer", "none"])
    assert stopped.value.code == 2
    assert "--fuse needs a deblurrer" in capsys.readouterr().err


def test_the_configuration_of_a_run_that_fused_takes_no_deblurrer_as_well(
    tmp_path: Path, flat: Flat, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "dusk.png", flat(95))
    assert main(["dusk.png", "--json"]) == 0
    content = document(capsys)
    assert content["fused"] is True
    config = Path(content["run"], "config.yaml")
    assert main(["--config", str(config), "--deblurrer", "none", "--json"]) == 0
    content = document(capsys)
    assert (content["fused"], content["confidence"]) == (False, 0.25)
    # One that chose, and has more that is about restoring.
    (tmp_path / "gyro").mkdir()
    chosen = (
        "fuse: true\nfull-size: true\nmotion: gyro\nfocal-length: 100\nreadout: 0.01\ntrust-motion: true\nconf: 0.6\n"
    )
    config.write_text(f"source: [dusk.png]\n{chosen}")
    none = ["--config", str(config), "--deblurrer", "none"]
    assert main([*none, "--json"]) == 0
    content = document(capsys)
    assert (content["fused"], content["confidence"]) == (False, 0.6)
    written = yaml.safe_load(Path(content["run"], "config.yaml").read_text())
    assert not {"fuse", "motion", "exposures", "focal_length", "readout"} & written.keys()
    assert (written["full_size"], written["trust_motion"]) == (False, False)
    for typed in (["--fuse"], ["--motion", "gyro"], ["--full-size"]):
        with pytest.raises(SystemExit) as stopped:
            main([*none, *typed])
        assert stopped.value.code == 2
        assert f"{typed[0]} needs a deblurrer" in capsys.readouterr().err


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    """The camera's paths of both photos, as a gyroscope measured them."""
    for name in ("dark", "deep/bright"):
        file = tmp_path / "gyro" / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("t,wx,wy,wz\n0,0.5,0,0\n0.02,0.5,0,0\n")
    return tmp_path / "gyro"


def test_the_deblurrer_is_told_each_pictures_path(
    photos: Path, motion: Path, flat: Flat, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["photos", "--motion", "gyro", "--focal-length", "100", "--save", "deblurred"]
    assert main([*told, "--output", "told"]) == 0
    np.testing.assert_array_equal(read_picture(Path("told/deblurred/dark.png")), flat(80))
    options = yaml.safe_load(Path("told/config.yaml").read_text())
    assert options["motion"] == "gyro"
    assert json.loads(Path("told/detections.json").read_text())["fused"] is True
    capsys.readouterr()
    assert main([*told, "--fuse", "--json"]) == 0
    assert document(capsys)["fused"] is True
    # A file that cannot be used costs its own picture.
    (motion / "dark.csv").write_text("t,wx,wy,wz\n0,0.5,0,0\n")
    capsys.readouterr()
    assert main([*told, "--json"]) == 1
    dark, bright = document(capsys)["pictures"]
    assert dark["error"].startswith("photos/dark.png: gyro/dark.csv holds 1 samples")
    assert bright["error"] is None
    assert main([*told, "--deblurrer", "blind", "--output", "none"]) == 1
    assert "blind has no guide to be told the camera's path" in capsys.readouterr().err
    (motion / "dark.csv").unlink()
    assert main([*told, "--output", "none"]) == 1
    assert "1 of 2 sources have no file in gyro, the first is 'dark'" in capsys.readouterr().err
    assert not Path("none").exists()


@pytest.mark.usefixtures("photos", "motion")
@pytest.mark.parametrize(
    ("believed", "says"),
    [
        (0.6249, "of what was restored 62% came of the camera's paths\n"),
        (0.34, "of what was restored 34% came of the camera's paths: the pictures speak against them, so check clock"),
        (None, ""),
    ],
)
def test_how_far_a_record_is_believed_is_said(
    believed: float | None, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import deblur

    monkeypatch.setattr(deblur.Deblurrer, "believed", believed, raising=False)
    assert main(["photos", "--motion", "gyro", "--focal-length", "100", "--output", "told"]) == 0
    said = capsys.readouterr().out
    assert says in said
    assert ("came of the camera's paths" in said) is (believed is not None)
    entries = json.loads(Path("told/detections.json").read_text())["pictures"]
    assert [entry["path_believed"] for entry in entries] == [believed and round(believed, 3)] * 2
    assert main(["photos", "--output", "untold"]) == 0
    assert all(
        "path_believed" not in entry for entry in json.loads(Path("untold/detections.json").read_text())["pictures"]
    )


@pytest.mark.usefixtures("photos")
def test_where_a_search_found_a_path_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import deblur

    assert main(["photos", "--deblurrer", "found+search", "--output", "found"]) == 0
    said = capsys.readouterr().out
    assert "a camera path was found in 1 of 2 pictures, and 62% of what was restored there came of it\n" in said
    entries = json.loads(Path("found/detections.json").read_text())["pictures"]
    assert sorted(entry["path_believed"] or 0 for entry in entries) == [0, 0.62]
    monkeypatch.setattr(deblur.Deblurrer, "believed", None, raising=False)
    assert main(["photos", "--deblurrer", "found+search"]) == 0
    assert "a camera path was found in 0 of 2 pictures\n" in capsys.readouterr().out


@pytest.mark.usefixtures("photos", "motion")
def test_a_record_is_believed_everywhere_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    import deblur

    told = ["photos", "--motion", "gyro", "--focal-length", "100"]
    for options, doubting in (([], True), (["--trust-motion"], False)):
        assert main([*told, *options]) == 0
        assert vars(deblur.Deblurrer)["doubting"] is doubting  # the one of conftest.py
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["photos", "--trust-motion"])
    assert stop.value.code == 2
    assert "--trust-motion is for --motion" in capsys.readouterr().err


@pytest.fixture
def reaches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How far the pictures that a Deblurrer is given move, at their first row, as it is told."""
    import deblur

    found: list[float] = []

    def told(_: object, picture: NDArray[np.uint8], path: Any) -> NDArray[np.uint8]:
        found.append(path.extent(picture.shape[1] / 2, 0))
        return picture

    monkeypatch.setattr(deblur.Deblurrer, "__call__", told)
    return found


def test_one_record_tells_of_every_picture_by_its_time(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reaches: list[float]
) -> None:
    samples = "".join(f"{i / 100},0,{0 if i < 50 else 1},0\n" for i in range(101))
    (tmp_path / "drive.csv").write_text(f"t,wx,wy,wz\n{samples}")
    (tmp_path / "times.csv").write_text("picture,opened,closed\ndark,0.1,0.15\ndeep/bright,0.8,0.82\n")
    given = ["photos", "--motion", "drive.csv", "--focal-length", "100", "--exposures", "times.csv"]
    assert main([*given, "--save", "json"]) == 0
    # The camera stood still at first, then it turned by a radian a second.
    assert reaches == [0, pytest.approx(1, rel=0.02)]
    (tmp_path / "times.csv").write_text("picture,opened,closed\ndark,0.1,0.15\ndeep/bright,0.99,1.01\n")
    capsys.readouterr()
    assert main([*given, "--json"]) == 1
    error = document(capsys)["pictures"][1]["error"]
    assert "drive.csv tells of 0 to 1 seconds, and the shutter was open from 0.99 to 1.01" in error


def test_a_clock_that_counts_from_1970_is_said_to_the_millisecond(photos: Path, motion: Path, capsys: Any) -> None:
    Path("gyro/dark.csv").write_text("t,x,y\n1732000000.125,0,0\n1732000000.25,0,0\n")
    Path("t.csv").write_text("picture,opened,closed\ndark,1732000000.2,1732000000.2505\n")
    given = ["photos/dark.png", "--motion", "gyro", "--exposures", "t.csv", "--json"]
    assert main(given) == 1
    error = document(capsys)["pictures"][0]["error"]
    assert "tells of 1732000000.125 to 1732000000.25 seconds" in error
    assert "was open from 1732000000.2 to 1732000000.2505" in error


RECORD = "t,wx,wy,wz\n0,0,0,0\n1,0,0,0\n"


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ("dark,0,1\n", "1 of 2 sources have no times"),
        ("dark,0,x\n", "t.csv, line 2: could not convert"),
        ("dark,0\n", "t.csv, line 2: picture, opened, closed are needed"),
        ("dark,,1\n", "t.csv, line 2: picture, opened, closed are needed"),
        (",0,1\n", "t.csv, line 2: picture, opened, closed are needed"),
        ("dark,0,1\ndeep/bright,0,nan\n", "t.csv, line 3: a shutter opens and then closes, not at 0 and nan"),
        ("dark,0,inf\n", "t.csv, line 2: a shutter opens and then closes, not at 0 and inf"),
        ("dark,1,0.5\n", "t.csv, line 2: a shutter opens and then closes, not at 1 and 0.5"),
        ("dark,1,1\n", "t.csv, line 2: a shutter opens and then closes, not at 1 and 1"),
        ("dark,1732000000.25,1732000000.2\n", "not at 1732000000.25 and 1732000000.2"),
        ("dark,0,1\ndeep/bright,0,1\ndark,1,2\n", "t.csv, line 4: dark has times above: leave one of the two"),
    ],
)
def test_times_that_are_none_are_refused_in_one_line(
    photos: Path, times: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("drive.csv").write_text(RECORD)
    Path("t.csv").write_text(f"picture,opened,closed\n{times}")
    assert main(["photos", "--motion", "drive.csv", "--exposures", "t.csv", "--focal-length", "100"]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["drive.csv", "--exposures", "plain.csv"], "needs the columns picture, opened, closed"),
        (["drive.csv", "--exposures", "none.csv"], "cannot read --exposures none.csv: No such file"),
        (["drive.csv", "--exposures", "utf-16.csv"], "--exposures utf-16.csv is not UTF-8: save it as CSV in UTF-8"),
        (["drive.csv", "--exposures", "t.csv"], "drive.csv holds what a gyroscope measured: give the focal length"),
        (["none.csv", "--exposures", "t.csv"], "cannot read the camera's path none.csv: No such file"),
        (["t.csv", "--exposures", "t.csv"], "t.csv begins with 'picture,opened,closed'; a camera's path needs"),
        (["missing"], "--motion missing does not exist"),
        (["photos"], "2 of 2 sources have no file in photos"),
        (["photos", "--exposures", "t.csv", "--focal-length", "100"], "2 of 2 sources have no file in photos"),
        (["gyro", "--exposures", "one.csv", "--focal-length", "100"], "1 of 2 sources have no times in --exposures"),
        (["gyro"], "gyro/deep/bright.csv holds what a gyroscope measured: give the focal length"),
        (["gyro", "--exposures", "t.csv"], "gyro/deep/bright.csv holds what a gyroscope measured: give the focal"),
    ],
)
def test_what_tells_no_path_is_refused_before_anything_is_loaded(
    photos: Path,
    motion: Path,
    given: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import deblur

    monkeypatch.delattr(deblur.Deblurrer, "load")
    times = "picture,opened,closed\ndark,0,1\ndeep/bright,0,1\n"
    (motion / "dark.csv").write_text("broken: a picture's own affair")
    Path("one.csv").write_text("picture,opened,closed\ndark,0,1\n")
    Path("drive.csv").write_text(RECORD)
    Path("plain.csv").write_text("dark,0,1\n")
    Path("t.csv").write_text(times)
    Path("utf-16.csv").write_text(times, encoding="utf-16")
    assert main(["photos", "--motion", *given]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["t.csv"], "--motion t.csv is one record: say by --exposures FILE when each picture was taken"),
        ([os.devnull], f"--motion {os.devnull} is one record"),
    ],
)
def test_a_record_needs_exposures(
    photos: Path, given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.csv").touch()
    with pytest.raises(SystemExit) as stop:
        main(["photos", "--motion", *given])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


@pytest.fixture
def spinning(tmp_path: Path) -> Path:
    """A record of one second: the camera turns ever faster."""
    samples = "".join(f"{i / 100},0,{i / 100},0\n" for i in range(101))
    (tmp_path / "drive.csv").write_text(f"t,wx,wy,wz\n{samples}")
    return Path("drive.csv")


def spun(opened: float, closed: float) -> float:
    """How far the content moves from its mean place meanwhile, in pixels of a focal length of 1000."""
    angles = np.linspace(opened, closed, 100) ** 2 / 2
    return 1000 * float(np.abs(angles - angles.mean()).max())


def test_frames_of_a_video_follow_its_first_one_or_have_times_of_their_own(
    make_video: Callable[..., Path], spinning: Path, tmp_path: Path, reaches: list[float], capsys: Any
) -> None:
    make_video("ride.mp4", [40, 60, 80])
    (tmp_path / "t.csv").write_text("picture,opened,closed\nride,0.0,0.1\nride/000002,0.85,0.95\n")
    given = ["ride.mp4", "--motion", str(spinning), "--exposures", "t.csv", "--focal-length", "1000"]
    assert main([*given, "--save", "json"]) == 0
    # Frames lie 0.08 seconds apart.
    assert reaches == [pytest.approx(spun(*times), rel=0.02) for times in [(0.0, 0.1), (0.08, 0.18), (0.85, 0.95)]]
    (tmp_path / "t.csv").write_text("picture,opened,closed\nride/000001,0.0,0.1\n")
    capsys.readouterr()
    assert main([*given, "--json"]) == 1
    frames = document(capsys)["pictures"]
    assert [frame["error"] for frame in frames] == [
        "ride.mp4 frame 0: --exposures has no times of ride/000000",
        None,
        "ride.mp4 frame 2: --exposures has no times of ride/000002",
    ]


def test_the_rate_of_a_video_that_does_not_say_it_is_not_made_up(
    make_video: Callable[..., Path], spinning: Path, tmp_path: Path, reaches: list[float], capsys: Any
) -> None:
    make_video("ride.avi", [40, 60], fps=1000)  # as files do that name a clock
    (tmp_path / "t.csv").write_text("picture,opened,closed\nride,0.0,0.1\nride/000001,0.85,0.95\n")
    given = ["ride.avi", "--motion", str(spinning), "--exposures", "t.csv", "--focal-length", "1000"]
    assert main([*given, "--save", "deblurred", "--json"]) == 1
    content = document(capsys)
    first, second = content["pictures"]
    assert first["error"] == (
        "ride.avi frame 0: --exposures has no times of ride/000000, and ride.avi does not say how many frames it has a "
        "second: give each of its frames a line"
    )
    assert second["error"] is None
    assert reaches == [pytest.approx(spun(0.85, 0.95), rel=0.02)]
    with VideoReader(Path(content["run"], "deblurred/ride.mp4")) as video:
        assert (video.fps, video.n_frames) == (25, 2)


@pytest.mark.parametrize("suffix", [".csv", ".gcsv"])
def test_a_video_may_have_a_record_of_its_own(
    make_video: Callable[..., Path], spinning: Path, reaches: list[float], suffix: str, capsys: Any
) -> None:
    make_video("ride.mp4", [40, 60])
    make_video("walk.mp4", [40])
    Path("gyro").mkdir()
    rows = spinning.read_text().splitlines()[1:]
    header = "t,wx,wy,wz\n" if suffix == ".csv" else "GYROFLOW IMU LOG\ntscale,1\ngscale,1\nt,gx,gy,gz\n"
    Path("gyro", f"ride{suffix}").write_text(header + "\n".join(rows) + "\n")
    Path("gyro", f"walk{suffix}").write_text(header + "0,0,0,0\n1,0,0,0\n")
    given = ["ride.mp4", "walk.mp4", "--motion", "gyro", "--focal-length", "1000"]
    assert main(given) == 1
    record = f"gyro/ride{suffix} is one record of the video ride.mp4"
    assert f"{record}: say by --exposures FILE when its frames were taken" in capsys.readouterr().err
    Path("t.csv").write_text("picture,opened,closed\nride,0.0,0.1\nwalk,0.0,0.1\n")
    assert main([*given, "--exposures", "t.csv", "--save", "json"]) == 0
    assert reaches == [pytest.approx(spun(*times), rel=0.02) for times in [(0.0, 0.1), (0.08, 0.18)]] + [0]
    Path("gyro", f"walk{suffix}").write_text(header + "0,0,0,0\n1,0,0\n")
    capsys.readouterr()
    assert main([*given, "--exposures", "t.csv", "--output", "broken"]) == 1
    assert f"error: gyro/walk{suffix}, line " in capsys.readouterr().err
    assert not Path("broken").exists()


def test_frames_of_a_video_may_have_files_of_their_own(
    make_video: Callable[..., Path], motion: Path, reaches: list[float], capsys: Any
) -> None:
    make_video("ride.mp4", [40, 60])
    assert main(["ride.mp4", "--motion", "gyro", "--focal-length", "100"]) == 1
    assert "1 of 1 sources have no file in gyro, the first is 'ride'" in capsys.readouterr().err
    (motion / "ride").mkdir()
    (motion / "dark.csv").rename(motion / "ride/000001.csv")
    assert main(["ride.mp4", "--motion", "gyro", "--focal-length", "1000", "--json"]) == 1
    first, second = document(capsys)["pictures"]
    missing = "cannot read the camera's path gyro/ride/000000.csv: No such file or directory"
    assert first["error"] == f"ride.mp4 frame 0: {missing}"
    assert second["error"] is None
    assert reaches == [pytest.approx(5, rel=0.02)]


def test_files_that_go_on_before_and_after_need_times(
    photos: Path, tmp_path: Path, reaches: list[float], capsys: Any
) -> None:
    # A radian a second for 0.01 seconds, and 200 samples a second; each file has a clock of its own.
    for name, begin in (("dark", -0.005), ("deep/bright", 100.0)):
        samples = "".join(f"{begin + i * 0.005:.3f},0,1,0\n" for i in range(5))
        (tmp_path / f"gyro/{name}.csv").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"gyro/{name}.csv").write_text(f"t,wx,wy,wz\n{samples}")
    Path("t.csv").write_text("picture,opened,closed\ndark,0,0.01\ndeep/bright,100.004,100.014\n")
    given = ["photos", "--motion", "gyro", "--focal-length", "1000"]
    assert main([*given, "--exposures", "t.csv", "--save", "json"]) == 0
    assert reaches == pytest.approx([5, 5], rel=0.02)
    reaches.clear()
    assert main([*given, "--save", "json"]) == 0
    assert reaches == pytest.approx([10, 10], rel=0.02)  # from the first line to the last
    Path("t.csv").write_text("picture,opened,closed\ndark,0,0.01\ndeep/bright,0,0.01\n")
    capsys.readouterr()
    assert main([*given, "--exposures", "t.csv", "--json"]) == 1
    dark, bright = document(capsys)["pictures"]
    assert dark["error"] is None
    assert (
        "gyro/deep/bright.csv tells of 100 to 100.02 seconds, and the shutter was open from 0 to 0.01"
        in bright["error"]
    )


def test_a_frames_file_may_need_times_too(
    make_video: Callable[..., Path], tmp_path: Path, reaches: list[float], capsys: Any
) -> None:
    make_video("ride.mp4", [40, 60])  # frames lie 0.08 seconds apart
    (tmp_path / "gyro/ride").mkdir(parents=True)
    for frame in (0, 1):
        Path(f"gyro/ride/00000{frame}.csv").write_text(f"t,wx,wy,wz\n{frame * 0.08 - 0.01},0,1,0\n{frame + 1},0,1,0\n")
    Path("t.csv").write_text("picture,opened,closed\nride,0,0.01\n")
    given = ["ride.mp4", "--motion", "gyro", "--exposures", "t.csv"]
    assert main(given) == 1
    assert "gyro/ride/000000.csv holds what a gyroscope measured: give the focal length" in capsys.readouterr().err
    assert main([*given, "--focal-length", "1000", "--save", "json"]) == 0
    assert reaches == pytest.approx([5, 5], rel=0.02)


def test_a_rolling_shutter_is_told(photos: Path, spinning: Path, reaches: list[float], capsys: Any) -> None:
    times = photos.parent / "t.csv"
    times.write_text("picture,opened,closed\ndark,0.1,0.2\ndeep/bright,0.1,0.2\n")
    given = ["photos", "--motion", str(spinning), "--exposures", "t.csv", "--focal-length", "1000"]
    assert main([*given, "--readout", "0.7", "--save", "json"]) == 0
    assert reaches == [pytest.approx(spun(0.1, 0.2), rel=0.02)] * 2
    assert main([*given, "--readout", "0.9", "--output", "late"]) == 1
    assert "open from 0.1 to 0.2, in the last row to 1.1: give a record of all" in capsys.readouterr().err


@pytest.fixture
def directions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Which way the middles of pictures that a Deblurrer is given move, and how far, as it is told."""
    import deblur

    found: list[tuple[float, float]] = []

    def told(_: object, picture: NDArray[np.uint8], path: Any) -> NDArray[np.uint8]:
        height, width = picture.shape[:2]
        points = path.displacement((width - 1) / 2, (height - 1) / 2)
        found.append(tuple((points[-1] - points[0]).tolist()))
        return picture

    monkeypatch.setattr(deblur.Deblurrer, "__call__", told)
    return found


def test_paths_are_of_pictures_and_frames_as_they_are_stored(
    flat: Flat,
    make_video: Callable[..., None],
    turn_video: Callable[[Path, int], None],
    directions: list[tuple[float, float]],
) -> None:
    Path("photos").mkdir()
    for name, orientation in (("lying", 1), ("standing", 6)):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        Image.fromarray(flat(40)).save(f"photos/{name}.png", exif=exif)
    make_video("ride.mp4", [40])
    turn_video(Path("ride.mp4"), 270)
    Path("drive.csv").write_text("t,wx,wy,wz\n0,0,1,0\n1,0,1,0\n")  # to the right: what is seen goes left
    Path("t.csv").write_text("picture,opened,closed\nlying,0,0.1\nstanding,0.2,0.3\nride,0.4,0.5\n")
    given = ["photos/lying.png", "photos/standing.png", "ride.mp4"]
    told = ["--motion", "drive.csv", "--exposures", "t.csv", "--focal-length", "100"]
    assert main([*given, *told, "--save", "json"]) == 0
    np.testing.assert_allclose(directions, [(-10, 0), (0, -10), (0, 10)], atol=0.2)
    Path("gyro/ride").mkdir(parents=True)
    for name in ("lying", "standing", "ride/000000"):
        Path(f"gyro/{name}.csv").write_text("t,x,y\n0,0,0\n0.1,-10,0\n")
    directions.clear()
    assert main([*given, "--motion", "gyro", "--save", "json"]) == 0
    np.testing.assert_allclose(directions, [(-10, 0), (0, -10), (0, 10)], atol=0.2)
    # A rolling shutter read their rows, whatever has become of these.
    directions.clear()
    assert main([*given, *told, "--readout", "0.3", "--save", "json"]) == 0
    np.testing.assert_allclose(directions, [(-10, 0), (0, -10), (0, 10)], atol=0.2)


def test_a_live_camera_has_no_record(motion: Path, capsys: Any) -> None:
    assert main(["0", "--motion", "gyro"]) == 1
    assert "--motion is for what was taken before, and camera:0 is live" in capsys.readouterr().err


def test_json_is_one_document_as_documented(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photos", "--json"]) == 0
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert list(content) == ["run", "deblurrer", "detector", "fused", "confidence", "pictures", "n_ok", "n_failed"]
    assert (content["deblurrer"], content["detector"], content["fused"]) == ("brighter", "fakenet", True)
    assert content["confidence"] == 0.2
    assert (content["run"], content["n_ok"], content["n_failed"]) == ("runs/deblur_detect/photos", 2, 0)
    assert "interrupted" not in content
    dark, bright = content["pictures"]
    assert list(dark) == ["file", "deblurred", "detections", "time_ms", "error"]
    assert (dark["file"], dark["deblurred"]) == ("photos/dark.png", "runs/deblur_detect/photos/deblurred/dark.png")
    assert dark["detections"] == [{"box": [16, 12, 48, 36], "score": 0.9, "class": "bus"}]
    assert bright["detections"][1] == {"box": [0, 20, 80, 40], "score": 0.5, "class": "person"}
    assert dark["error"] is None
    assert list(dark["time_ms"]) == ["read", "deblur", "detect", "write"]
    assert all(time > 0 for time in dark["time_ms"].values())
    assert json.loads(Path(content["run"], "detections.json").read_text()) == content
    assert "2/2" in printed.err


def test_a_run_leaves_its_pictures_and_records(photos: Path, flat: Flat) -> None:
    assert main(["photos", "--save", "annotated", "deblurred,side-by-side", "--save", "txt", "coco"]) == 0
    run = Path("runs/deblur_detect/photos")
    assert files(run) == sorted(
        [
            *RECORDS,
            "coco_images.json",
            "coco_results.json",
            *(f"{kind}/{name}" for kind in ("annotated", "side-by-side") for name in ("dark.jpg", "deep/bright.jpg")),
            "deblurred/dark.png",
            "deblurred/deep/bright.png",
            "txt/dark.txt",
            "txt/deep/bright.txt",
        ]
    )
    np.testing.assert_array_equal(read_picture(run / "deblurred" / "dark.png"), flat(50))
    annotated = read_picture(run / "annotated" / "dark.jpg")
    assert annotated.shape == (48, 64, 3)
    assert np.ptp(annotated) > 100, "boxes are drawn"
    assert read_picture(run / "side-by-side" / "dark.jpg").shape[1] > 2 * 64
    assert (run / "txt" / "dark.txt").read_text() == "1 0.500000 0.500000 0.500000 0.500000 0.900000\n"
    assert (run / "txt" / "deep" / "bright.txt").read_text().splitlines()[1] == (
        "0 0.500000 0.750000 1.000000 0.500000 0.500000"
    )
    env = json.loads((run / "env.json").read_text())
    assert env["deblurrers"] == [{"name": "brighter", "sha256": "a" * 64}]
    assert env["detector"]["sha256"] == "b" * 64
    assert (run / "log.txt").read_text().splitlines() == [
        "photos/dark.png: 1 bus",
        "photos/deep/bright.jpg: 1 bus, 1 person",
    ]


def test_coco_results_say_what_their_numbers_mean(photos: Path) -> None:
    assert main(["photos", "--save", "coco"]) == 0
    run = Path("runs/deblur_detect/photos")
    results = json.loads((run / "coco_results.json").read_text())
    meaning = json.loads((run / "coco_images.json").read_text())
    assert results[0] == {"image_id": 1, "category_id": 2, "bbox": [16, 12, 32, 24], "score": pytest.approx(0.9)}
    assert [result["image_id"] for result in results] == [1, 2, 2]
    assert meaning["images"][1] == {"id": 2, "file_name": "photos/deep/bright.jpg", "width": 80, "height": 40}
    assert {"id": 2, "name": "bus"} in meaning["categories"]


def test_detections_are_collected_for_coco_only_where_it_is_asked_for(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr("pipelines.sinks.CocoSink.add", lambda _, item, detections: taken.append(item.source.file))
    assert main(["photos", "--save", "txt"]) == 0
    assert taken == []
    assert main(["photos", "--save", "txt,coco"]) == 0
    assert taken == ["photos/dark.png", "photos/deep/bright.jpg"]


def test_coco_uses_the_numbers_of_coco_pictures_and_classes(
    tmp_path: Path, flat: Flat, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["person", *(f"c{number}" for number in range(78)), "toothbrush"]
    names[5], names[11] = "bus", "stop sign"
    monkeypatch.setattr(detection.yolo.YoloDetector, "class_names", tuple(names))
    for number in ("000000000139", "000000000285"):
        write_picture(tmp_path / "coco" / f"{number}.jpg", flat(40))
    assert main(["coco", "--save", "coco", "--output", "out"]) == 0
    results = json.loads(Path("out/coco_results.json").read_text())
    assert [(result["image_id"], result["category_id"]) for result in results] == [(139, 6), (285, 6)]
    categories = {
        entry["name"]: entry["id"] for entry in json.loads(Path("out/coco_images.json").read_text())["categories"]
    }
    assert (categories["stop sign"], categories["toothbrush"]) == (13, 90)


def test_options_reach_the_detector_and_the_record(photos: Path) -> None:
    options = ["--conf", "0.4", "--imgsz", "320", "--classes", "person,traffic light", "bus", "--device", "cpu"]
    assert main(["photos", "--no-fuse", *options, "--save", "json"]) == 0
    run = Path("runs/deblur_detect/photos")
    detector = json.loads((run / "env.json").read_text())["detector"]
    assert (detector["confidence"], detector["image_size"], detector["device"]) == (0.4, 320, "cpu")
    assert detector["classes"] == ["person", "traffic light", "bus"]
    assert files(run) == RECORDS
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["classes"] == ["person", "traffic light", "bus"]
    assert config["save"] == ["json"]


@pytest.mark.parametrize(("options", "side"), [([], 640), (["--imgsz", "320"], 320), (["--full-size"], None)])
def test_no_more_is_restored_than_a_detector_sees(
    options: list[str], side: int | None, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import deblur

    asked: list[dict[str, Any]] = []
    load = deblur.Deblurrer.load
    monkeypatch.setattr(deblur.Deblurrer, "load", lambda *args, **options: asked.append(options) or load(*args))
    assert main(["photos", *options]) == 0
    assert [each["seen_side"] for each in asked] == [side]


def test_a_recorded_config_makes_the_run_again(photos: Path) -> None:
    assert main(["photos", "--save", "txt,coco", "--conf", "0.4", "--classes", "bus"]) == 0
    first = Path("runs/deblur_detect/photos")
    assert main(["--config", str(first / "config.yaml")]) == 0
    again = Path("runs/deblur_detect/photos-2")
    assert files(again) == files(first)
    assert (again / "config.yaml").read_text() == (first / "config.yaml").read_text()


def test_without_deblurrer_nothing_is_called_deblurred(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photos", "--deblurrer", "none", "--json"]) == 0
    content = document(capsys)
    assert content["deblurrer"] is None
    assert content["pictures"][0]["deblurred"] is None
    assert content["pictures"][0]["time_ms"]["deblur"] is None
    assert not Path(content["run"], "deblurred").exists()
    assert Path(content["run"], "annotated/dark.jpg").is_file()


def test_limit_is_marked(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photos", "--limit", "1", "--json"]) == 0
    content = document(capsys)
    assert content["limit"] == 1
    assert [entry["file"] for entry in content["pictures"]] == ["photos/dark.png"]


def test_a_file_that_is_no_picture_fails_alone(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "broken.jpg").write_text("no picture")
    assert main(["photos", "--json"]) == 1
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert (content["n_ok"], content["n_failed"]) == (2, 1)
    broken, dark, _ = content["pictures"]
    assert broken["error"] == "photos/broken.jpg is not a picture: no known picture format"
    assert broken["detections"] == []
    assert dark["error"] is None
    lines = [line.strip() for line in printed.err.replace("\r", "\n").splitlines()]
    assert f"failed: {broken['error']}" in lines
    assert lines[-2:] == ["1 of 3 failed:", broken["error"]]
    assert "Traceback" not in printed.err


def test_a_picture_that_cannot_be_written_fails_alone(
    tmp_path: Path, flat: Flat, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "in" / "a.png", flat(40, 1, 70000))
    write_picture(tmp_path / "in" / "b.png", flat(40))
    assert main(["in", "--save", "annotated", "--json"]) == 1
    a, b = document(capsys)["pictures"]
    assert "JPEG refuses 70000x1" in a["error"]
    assert b["error"] is None


def test_what_could_be_written_of_a_picture_is_recorded(
    tmp_path: Path, flat: Flat, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "wide.png", flat(40, 2, 70000))
    assert main(["wide.png", "--save", "annotated,deblurred,side-by-side,txt", "--output", "out", "--json"]) == 1
    (wide,) = document(capsys)["pictures"]
    assert wide["deblurred"] == "out/deblurred/wide.png"
    assert Path("out/txt/wide.txt").is_file()
    assert wide["error"].startswith("wide.png: cannot write out/annotated/wide.jpg: JPEG refuses 70000x2 pixels")
    assert "; cannot write out/side-by-side/wide.jpg: JPEG refuses" in wide["error"]
    assert "\n" not in wide["error"]


def test_a_restored_picture_that_was_not_written_is_not_named(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from deblur.errors import DeblurError

    def full(path: Path, picture: NDArray[np.uint8]) -> None:
        raise DeblurError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr("pipelines.sinks.write_picture", full)
    assert main(["photos/dark.png", "--save", "deblurred,txt", "--output", "out", "--json"]) == 1
    (dark,) = document(capsys)["pictures"]
    assert dark["deblurred"] is None
    assert dark["detections"]
    assert dark["error"].endswith("cannot write out/deblurred/dark.png: the disk is full")
    assert Path("out/txt/dark.txt").is_file()


def test_a_picture_that_cannot_be_restored_fails_alone(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import deblur
    from deblur.errors import DeblurError

    def refuse(_: object, picture: NDArray[np.uint8], path: object) -> NDArray[np.uint8]:
        if picture.shape[1] == 80:
            raise DeblurError("too wide")
        return picture

    monkeypatch.setattr(deblur.Deblurrer, "__call__", refuse)
    assert main(["photos", "--json"]) == 1
    assert [entry["error"] for entry in document(capsys)["pictures"]] == [None, "photos/deep/bright.jpg: too wide"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.jpg"], "nowhere.jpg does not exist"),
        (["nothing*.jpg"], "nothing*.jpg matches no file"),
        (["photos", "--device", "quantum"], "unknown device 'quantum'"),
        (["photos", "--output", "photos"], "--output photos holds files already"),
        (["photos", "--output", "photos/dark.png"], "cannot use --output photos/dark.png"),
        (["a.jpg\n" * 60], "File name too long"),  # "$(ls *.jpg)"
        (["photos", "--motion", "a" * 300], "File name too long"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    photos: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(photos.parent)
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert files(photos.parent) == before
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "SOURCE"),
        (["photos", ""], "SOURCE: it is empty: is a variable of the shell not set?"),
        (["photos", "--save", "gif"], "gif is none of annotated, deblurred"),
        (["photos", "--save", ","], "nothing is none of"),
        (["photos", "--classes", ","], "a class name is empty"),
        (["photos", "--conf", "2"], "not a number from 0 to 1"),
        (["photos", "--limit", "0"], "at least 1"),
        (["photos", "--imgsz", "100"], "--imgsz: 100 is not a multiple of 32"),
        (["photos", "--motion", "gyro", "--deblurrer", "none"], "--motion needs a deblurrer"),
        (["photos", "--full-size", "--deblurrer", "none"], "--full-size needs a deblurrer"),
        (["photos", "--focal-length", "800"], "are for --motion"),
        (["photos", "--motion", "gyro", "--focal-length", "0"], "not a number above 0"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_output_is_the_exact_folder(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photos", "--output", "new/out", "--save", "json"]) == 0
    assert files(Path("new/out")) == RECORDS
    assert "results: new/out" in capsys.readouterr().out


def test_a_second_run_gets_a_folder_of_its_own(photos: Path) -> None:
    assert main(["photos", "--save", "json"]) == 0
    first = Path("runs/deblur_detect/photos/detections.json").read_bytes()
    assert main(["photos", "--save", "json"]) == 0
    assert Path("runs/deblur_detect/photos/detections.json").read_bytes() == first
    assert Path("runs/deblur_detect/photos-2/detections.json").is_file()


def test_the_summary_for_a_person(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photos", "--save", "json"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "photos/dark.png: 1 bus",
        "photos/deep/bright.jpg: 1 bus, 1 person",
        "2 done, found in all: 2 bus, 1 person",
        "results: runs/deblur_detect/photos",
    ]


def test_a_video_becomes_videos(
    tmp_path: Path, make_video: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    make_video(tmp_path / "clip.mp4", [40, 80, 180, 220])
    assert main(["clip.mp4", "--save", "annotated,deblurred,side-by-side,txt,coco", "--json"]) == 0
    content = document(capsys)
    assert [(entry["file"], entry["frame"]) for entry in content["pictures"]] == [("clip.mp4", n) for n in range(4)]
    assert [len(entry["detections"]) for entry in content["pictures"]] == [1, 1, 2, 2]
    run = Path(content["run"])
    assert content["pictures"][3]["deblurred"] == str(run / "deblurred" / "clip.mp4")
    for kind in ("annotated", "deblurred", "side-by-side"):
        with VideoReader(run / kind / "clip.mp4") as video:
            assert (video.fps, video.n_frames) == (12.5, 4)
            frames = list(video)
        if kind == "deblurred":
            for frame, level in zip(frames, [50, 90, 190, 230], strict=True):
                assert abs(float(frame.mean()) - level) < 9
    assert files(run / "txt") == [f"clip/{number:06d}.txt" for number in range(4)]
    images = json.loads((run / "coco_images.json").read_text())["images"]
    assert images[2] == {"id": 3, "file_name": "clip.mp4", "width": 64, "height": 48, "frame": 2}


def test_a_frame_that_fails_goes_into_the_videos_as_it_came(
    tmp_path: Path,
    make_video: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
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
    content = document(capsys)
    errors = [entry["error"] for entry in content["pictures"]]
    assert errors == ["clip.mp4 frame 0: too dark", None, "clip.mp4 frame 2: too dark", None]
    run = Path(content["run"])
    assert [entry["deblurred"] is None for entry in content["pictures"]] == [True, False, True, False]
    for kind in ("annotated", "deblurred", "side-by-side"):
        with VideoReader(run / kind / "clip.mp4") as video:
            frames = list(video)
        assert len(frames) == 4
        if kind == "deblurred":
            assert [float(frame.mean()) for frame in frames] == pytest.approx([40, 210, 40, 120], abs=9)
    assert files(run / "txt") == ["clip/000001.txt", "clip/000003.txt"], "nothing is known of frames that failed"


def test_a_video_that_cannot_be_written_is_a_failure_of_its_source(
    tmp_path: Path, make_video: Callable[..., None], file_limit: Callable[..., Any], capsys: Any
) -> None:
    writer = VideoWriter(tmp_path / "noise.mp4", 10)
    for seed in range(8):
        writer.write(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8))
    writer.close()
    make_video(tmp_path / "grey.mp4", [40, 80])
    with file_limit(20_000):
        assert main(["noise.mp4", "grey.mp4", "--save", "deblurred", "--output", "out", "--json"]) == 1
    content = document(capsys)
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


def test_a_video_that_is_cut_off_fails_and_keeps_what_is_done(tmp_path: Path, capsys: Any) -> None:
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 48))
    for seed in range(10):
        writer.write(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    content = Path("clip.avi").read_bytes()
    Path("clip.avi").write_bytes(content[: len(content) * 55 // 100])
    assert main(["clip.avi", "--save", "annotated", "--output", "out", "--json"]) == 1
    *frames, end = document(capsys)["pictures"]
    assert [(entry["frame"], entry["error"]) for entry in frames] == [(number, None) for number in range(5)]
    assert end["error"].startswith("clip.avi ends after 5 of the 10 frames that it announces")
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
    photos: Path, make_video: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    make_video(Path("one.mp4"), [40] * 3)
    make_video(Path("two.mp4"), [40] * 2)
    Path("bad.mp4").write_text("no video")
    assert main(["one.mp4", "photos/dark.png", "bad.mp4", "two.mp4", "--json"]) == 1
    content = document(capsys)
    assert (content["n_ok"], content["n_failed"]) == (6, 1)
    run = Path(content["run"])
    assert files(run / "annotated") == ["dark.jpg", "one.mp4", "two.mp4"]
    for name, count in (("one.mp4", 3), ("two.mp4", 2)):
        with VideoReader(run / "annotated" / name) as video:
            assert len(list(video)) == count


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_the_end_of_a_service_keep_what_is_done(
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
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    ends = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["clip.mp4", "--json"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGTERM) is ends
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert printed.err.splitlines()[-1] == "interrupted"
    assert content["interrupted"] is True
    assert content["n_ok"] == len(content["pictures"]) == 5
    with VideoReader(Path(content["run"], "deblurred/clip.mp4")) as video:
        assert len(list(video)) == 5


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

    def stop_at_the_second(self: VideoWriter, frame: NDArray[np.uint8]) -> None:
        nonlocal n_written
        n_written += 1
        if n_written == 2:
            time.sleep(0.5)  # whoever has something to do meanwhile has done it
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        write(self, frame)

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


def test_a_name_that_is_no_utf8(tmp_path: Path, flat: Flat, garbled_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{garbled_name}.png"
    write_picture(tmp_path / name, flat(40))
    monkeypatch.setattr(sys, "argv", ["deblur_detect", name])
    assert main([name, "--output", "out", "--save", "annotated,txt,coco"]) == 0
    document = json.loads(Path("out/detections.json").read_text(encoding="utf-8"))
    assert document["pictures"][0]["file"] == r"caf\udce9.png"
    assert os.fsdecode(b"annotated/caf\xe9.jpg") in files(Path("out"))


def test_help_comes_without_heavy_imports() -> None:
    program = (
        "import sys; from pipelines.deblur_detect import make_parser; make_parser().format_help();"
        "print([name for name in ('torch', 'cv2', 'ultralytics', 'PIL') if name in sys.modules])"
    )
    project = Path(deblur_detect.__file__).parent.parent
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=project)
    assert answer.stdout.strip() == "[]"
