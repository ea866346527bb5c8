from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from PIL import ExifTags, Image
from skimage import data as photographs

from deblur.blur import BlurSpec, synthesize_with_motion
from deblur.exposure.way_round import WayRound
from deblur.pictures import read_picture, write_picture
from pipelines.deblur_detect import main
from pipelines.video import VideoReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Document = Callable[[], dict[str, Any]]
    Flat = Callable[..., NDArray[np.uint8]]

pytestmark = pytest.mark.usefixtures("fakes")


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    """The camera's paths of both photos, as a gyroscope measured them."""
    for name in ("dark", "deep/bright"):
        file = tmp_path / "gyro" / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("t,wx,wy,wz\n0,0.5,0,0\n0.02,0.5,0,0\n")
    return tmp_path / "gyro"


@pytest.mark.usefixtures("motion")
def test_a_look_that_memory_does_not_suffice_for_costs_no_picture(
    photos: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def lack_memory(*_: object) -> None:
        looks.append(1)
        raise MemoryError

    monkeypatch.setattr(WayRound, "look", lack_memory)
    assert main(["photos", "--motion", "gyro", "--focal-length", "100", "--output", "out", "--json"]) == 0
    assert document()["n_ok"] == 2
    assert len(looks) == 1
    log = Path("out/log.txt").read_text()
    assert log.count("not enough memory to see whether the paths of --motion are turned") == 1


def test_the_deblurrer_is_told_each_pictures_path(
    photos: Path, motion: Path, flat: Flat, capsys: pytest.CaptureFixture[str], document: Document
) -> None:
    told = ["photos", "--motion", "gyro", "--focal-length", "100", "--save", "deblurred"]
    assert main([*told, "--output", "told"]) == 0
    np.testing.assert_array_equal(read_picture(Path("told/deblurred/dark.png")), flat(80))
    options = yaml.safe_load(Path("told/config.yaml").read_text())
    assert options["motion"] == "gyro"
    assert json.loads(Path("told/detections.json").read_text())["fused"] is True
    capsys.readouterr()
    assert main([*told, "--fuse", "--json"]) == 0
    assert document()["fused"] is True
    # A file that cannot be used costs its own picture.
    (motion / "dark.csv").write_text("t,wx,wy,wz\n0,0.5,0,0\n")
    capsys.readouterr()
    assert main([*told, "--json"]) == 1
    dark, bright = document()["pictures"]
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
def test_how_long_the_blur_is_is_said_where_the_deblurrer_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import deblur

    def spreads(output: str) -> list[float | None]:
        assert main(["photos", "--output", output]) == 0
        entries = json.loads(Path(output, "detections.json").read_text())["pictures"]
        return [entry.get("blur_spread") for entry in entries]

    assert spreads("unseen") == [None, None]
    monkeypatch.setattr(deblur.Deblurrer, "spread", 0.0123456, raising=False)
    assert spreads("seen") == [0.01235, 0.01235]


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


@pytest.mark.usefixtures("photos", "motion")
def test_weights_that_have_learnt_nothing_of_wrong_paths_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import deblur

    told = ["photos", "--motion", "gyro", "--focal-length", "100"]
    says = "brighter has not learnt to doubt a path: --motion is believed all over every picture"
    for trust, options, is_said in (("learnt", [], False), (None, [], True), (None, ["--trust-motion"], False)):
        monkeypatch.setattr(deblur.Deblurrer, "trust", trust, raising=False)
        assert main([*told, *options]) == 0
        assert (says in capsys.readouterr().err) is is_said


@pytest.mark.parametrize("sign", [1, -1])
def test_paths_that_are_turned_are_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str], sign: int) -> None:
    for folder in ("shaken", "paths"):
        (tmp_path / folder).mkdir()
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        blurred, motion = synthesize_with_motion(getattr(photographs, name)()[:300], BlurSpec("shake", 12), 5, name)
        Image.fromarray(blurred).save(f"shaken/{name}.png")
        lines = [f"{step},{x},{y},{roll}" for step, (x, y, roll) in enumerate(sign * motion.path[:, :3])]
        Path(f"paths/{name}.csv").write_text("\n".join(["t,x,y,roll", *lines]))
    assert main(["shaken", "--motion", "paths", "--output", "out"]) == 0
    said = capsys.readouterr()
    says = "pictures come out sharper along their paths turned by 180 degrees: the signs of --motion are wrong"
    assert said.err.count(says) == Path("out/log.txt").read_text().count(says) == (sign < 0)
    assert ("came of the camera's paths, which are turned by 180 degrees" in said.out) is (sign < 0)


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
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reaches: list[float], document: Document
) -> None:
    samples = "".join(f"{i / 100},0,{0 if i < 50 else 1},0\n" for i in range(101))
    (tmp_path / "drive.csv").write_text(f"t,wx,wy,wz\n{samples}")
    times = "picture , opened, closed \ndark ,0.1,0.15\ndeep/bright, 0.8 ,0.82\n"
    (tmp_path / "times.csv").write_text(times, encoding="utf-8-sig")  # as a spreadsheet writes it
    given = ["photos", "--motion", "drive.csv", "--focal-length", "100", "--exposures", "times.csv"]
    assert main([*given, "--save", "json"]) == 0
    # The camera stood still at first, then it turned by a radian a second.
    assert reaches == [0, pytest.approx(1, rel=0.02)]
    (tmp_path / "times.csv").write_text("picture,opened,closed\ndark,0.1,0.15\ndeep/bright,0.99,1.01\n")
    capsys.readouterr()
    assert main([*given, "--json"]) == 1
    error = document()["pictures"][1]["error"]
    assert "drive.csv tells of 0 to 1 seconds, and the shutter was open from 0.99 to 1.01" in error


def test_times_of_an_accented_name_are_found_however_it_is_written(
    tmp_path: Path, flat: Flat, reaches: list[float]
) -> None:
    one, two = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    write_picture(tmp_path / f"in/{two}.png", flat(40))
    (tmp_path / "drive.csv").write_text("t,wx,wy,wz\n0,0,1,0\n1,0,1,0\n")
    (tmp_path / "times.csv").write_text(f"picture,opened,closed\n{one},0.1,0.12\n", encoding="utf-8")
    given = ["in", "--motion", "drive.csv", "--focal-length", "100", "--exposures", "times.csv"]
    assert main([*given, "--save", "json"]) == 0
    assert len(reaches) == 1


def test_a_clock_that_counts_from_1970_is_said_to_the_millisecond(
    photos: Path, motion: Path, document: Document
) -> None:
    Path("gyro/dark.csv").write_text("t,x,y\n1732000000.125,0,0\n1732000000.25,0,0\n")
    Path("t.csv").write_text("picture,opened,closed\ndark,1732000000.2,1732000000.2505\n")
    given = ["photos/dark.png", "--motion", "gyro", "--exposures", "t.csv", "--json"]
    assert main(given) == 1
    error = document()["pictures"][0]["error"]
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
    photos: Path, times: str, says: str, refused: Callable[[str], None]
) -> None:
    Path("drive.csv").write_text(RECORD)
    Path("t.csv").write_text(f"picture,opened,closed\n{times}")
    assert main(["photos", "--motion", "drive.csv", "--exposures", "t.csv", "--focal-length", "100"]) == 1
    refused(says)


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
    refused: Callable[[str], None],
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
    refused(says)


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
    make_video: Callable[..., Path],
    spinning: Path,
    tmp_path: Path,
    reaches: list[float],
    capsys: Any,
    document: Document,
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
    frames = document()["pictures"]
    assert [frame["error"] for frame in frames] == [
        "ride.mp4 frame 0: --exposures has no times of ride/000000",
        None,
        "ride.mp4 frame 2: --exposures has no times of ride/000002",
    ]


def test_the_rate_of_a_video_that_does_not_say_it_is_not_made_up(
    make_video: Callable[..., Path], spinning: Path, tmp_path: Path, reaches: list[float], document: Document
) -> None:
    make_video("ride.avi", [40, 60, 80], fps=1000)  # as files do that name a clock
    (tmp_path / "t.csv").write_text("picture,opened,closed\nride,0.0,0.1\nride/000002,0.85,0.95\n")
    given = ["ride.avi", "--motion", str(spinning), "--exposures", "t.csv", "--focal-length", "1000"]
    assert main([*given, "--save", "deblurred", "--json"]) == 1
    content = document()
    first, second, third = content["pictures"]
    assert first["error"] is third["error"] is None
    assert second["error"] == (
        "ride.avi frame 1: --exposures has no times of ride/000001, and ride.avi does not tell when its frames were: "
        "give each of them a line"
    )
    assert reaches == [pytest.approx(spun(*times), rel=0.02) for times in [(0.0, 0.1), (0.85, 0.95)]]
    with VideoReader(Path(content["run"], "deblurred/ride.mp4")) as video:
        assert (video.fps, video.n_frames) == (25, 3)


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


def test_files_of_pictures_beside_a_video_do_not_hide_its_record(
    make_video: Callable[..., Path], spinning: Path, reaches: list[float]
) -> None:
    make_video("ride.mp4", [40])
    Path("ride").mkdir()
    write_picture(Path("ride/0001.png"), np.full((48, 64, 3), 60, np.uint8))
    Path("gyro/ride").mkdir(parents=True)
    for record in ("gyro/ride.csv", "gyro/ride/0001.csv"):
        shutil.copy(spinning, record)
    Path("t.csv").write_text("picture,opened,closed\nride,0.0,0.1\nride/0001,0.0,0.1\n")
    given = ["--motion", "gyro", "--focal-length", "1000", "--exposures", "t.csv", "--save", "json"]
    assert main(["ride.mp4", "ride", *given]) == 0
    assert reaches == pytest.approx([spun(0.0, 0.1)] * 2, rel=0.02)


def test_frames_of_a_video_may_have_files_of_their_own(
    make_video: Callable[..., Path], motion: Path, reaches: list[float], capsys: Any, document: Document
) -> None:
    make_video("ride.mp4", [40, 60])
    assert main(["ride.mp4", "--motion", "gyro", "--focal-length", "100"]) == 1
    assert "1 of 1 sources have no file in gyro, the first is 'ride'" in capsys.readouterr().err
    (motion / "ride").mkdir()
    (motion / "dark.csv").rename(motion / "ride/000001.csv")
    assert main(["ride.mp4", "--motion", "gyro", "--focal-length", "1000", "--json"]) == 1
    first, second = document()["pictures"]
    missing = "cannot read the camera's path gyro/ride/000000.csv: No such file or directory"
    assert first["error"] == f"ride.mp4 frame 0: {missing}"
    assert second["error"] is None
    assert reaches == [pytest.approx(5, rel=0.02)]


def test_files_that_go_on_before_and_after_need_times(
    photos: Path, tmp_path: Path, reaches: list[float], capsys: Any, document: Document
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
    dark, bright = document()["pictures"]
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
