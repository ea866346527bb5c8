"""A gyroscope's clock and axes, found by the blur of pictures."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from skimage import data as photographs

from deblur.blur import BlurSpec, Motion, expose_windows
from deblur.devices import to_batch
from deblur.errors import DeblurError
from deblur.exposure import calibration
from deblur.exposure.calibration import CLEAR_MARGIN, SCALES, Calibration, Guess, Sight, calibrate
from deblur.exposure.kernels import KERNEL, half_turned
from deblur.exposure.path_files import RATES, read_record
from deblur.pictures import read_picture, write_picture
from pipelines import calibrate_gyro
from pipelines.calibrate_gyro import main
from pipelines.video import VideoReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deblur.exposure.path_files import Record

FOCAL_LENGTH = 900.0
AHEAD = 0.0375  # seconds, of the record's clock
# The sensor's x looks down, its y ahead, its z to the right.
SENSOR = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
GIVEN = ["--motion", "drive.csv", "--exposures", "times.csv", "--focal-length", "900", "--search", "0.045"]


def write_record(file: Path | str, rates: NDArray[np.float64], begin: float = 0.0) -> Path:
    times = begin + np.arange(len(rates)) * 0.005
    table = np.column_stack([times, rates])
    np.savetxt(file, table, delimiter=",", header="t,wx,wy,wz", comments="")
    return Path(file)


def turning(seed: int) -> NDArray[np.float64]:
    """Angular velocities of a camera in a hand, 200 a second for 10 seconds, about its own axes."""
    frequencies = np.fft.rfftfreq(2000, 0.005)
    noise = np.fft.rfft(np.random.default_rng(seed).standard_normal((3, 2000))) * np.exp(-((frequencies / 4) ** 2))
    rates = np.fft.irfft(noise, 2000)
    return (0.8 * rates / rates.std(axis=1, keepdims=True)).T


def blurred(sharp: NDArray[np.uint8], record: Record, exposure: tuple[float, float]) -> NDArray[np.uint8]:
    height, width = sharp.shape[:2]
    path = record.path(width, height, FOCAL_LENGTH, exposure=exposure)
    x, y = center = ((width - 1) / 2, (height - 1) / 2)
    middle, side = path.displacement(x, y), path.displacement(x + 200, y)  # type: ignore[attr-defined]
    roll = np.arctan2((side - middle)[:, 1], 200 + (side - middle)[:, 0])
    steps = np.column_stack([middle, roll, np.zeros(len(roll))])
    motion = Motion(steps - steps.mean(axis=0), np.full(len(steps), 1 / len(steps)), center)
    picture = torch.from_numpy(sharp.copy()).permute(2, 0, 1)
    return expose_windows([picture], [(0, 0, width, height)], [motion], [BlurSpec()], [0])[0].permute(1, 2, 0).numpy()


@pytest.fixture(autouse=True)
def drive(taken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, with what was taken in it."""
    shutil.copytree(taken, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def roughly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few clocks and focal lengths are tried in the end: most of the work, and not what every test is about."""
    few = (np.array([0.9, 1.0, 1.1]), np.array([-0.003, 0.0, 0.003]))
    monkeypatch.setattr(calibration, "_REFINEMENTS", (few,))


@pytest.fixture
def few_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of the twelve ways in which axes may lie are tried, the right one among them."""
    three = calibration._all_axes()[:3]
    monkeypatch.setattr(calibration, "_all_axes", lambda: three)


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six blurred pictures, when they were taken, and what the sensor said, by its own clock and axes."""
    folder = tmp_path_factory.mktemp("taken")
    rates = turning(3)
    truth = read_record(write_record(folder / "truth.csv", rates))
    sharp = [
        photographs.astronaut()[128:384, 96:416],
        photographs.coffee()[72:328, 140:460],
        photographs.stereo_motorcycle()[0][122:378, 210:530],
        photographs.rocket()[85:341, 160:480],
        photographs.astronaut()[128:384, 415:95:-1],
        photographs.coffee()[327:71:-1, 140:460],
    ]
    lines = ["picture,opened,closed"]
    for index, picture in enumerate(sharp):
        opened = 1.3 + 1.35 * index
        write_picture(folder / f"robot/{index}.png", blurred(picture, truth, (opened, opened + 0.02)))
        lines.append(f"{index},{opened},{opened + 0.02}")
    (folder / "times.csv").write_text("\n".join(lines))
    write_record(folder / "drive.csv", rates @ SENSOR.T, AHEAD)
    return folder


@pytest.mark.usefixtures("roughly")
def test_the_page_finds_in_python_what_the_command_finds() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/camera-path.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "calibrate(" in block)
    names: dict[str, Any] = {}
    exec(code.replace("820", "900").replace("reach=0.25", "reach=0.045"), names)
    assert names["result"].clear
    assert names["result"].found.offset == pytest.approx(AHEAD, abs=0.005)
    assert names["focal_length"] == pytest.approx(FOCAL_LENGTH, rel=0.11)
    truth = read_record("truth.csv")
    np.testing.assert_allclose(names["record"].columns["wx"], truth.columns["wx"], atol=1e-6)


def test_clock_and_axes_are_found_and_the_record_is_written_by_them(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["robot", *GIVEN, "--output", "found", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(Path("found/calibration.json").read_text())
    assert document["offset"] == pytest.approx(AHEAD, abs=0.0012)
    assert document["axes"] == {"wx": "wz", "wy": "wx", "wz": "wy"}
    assert document["focal_length"] == pytest.approx(FOCAL_LENGTH, rel=0.04)
    assert document["fit"]["found"] > document["fit"]["given"] + 1
    assert document["upright"] > 2
    assert document["roll"] is not None
    assert document["pictures"] == 6
    corrected, truth = read_record(Path(document["record"])), read_record(Path("truth.csv"))
    for name in RATES:
        np.testing.assert_allclose(corrected.columns[name], truth.columns[name], atol=1e-6)
    np.testing.assert_allclose(corrected.times, truth.times, atol=0.0012)
    assert json.loads(Path("found/env.json").read_text())["estimator"] == "mstsgm-guided"
    # What was written is a record like any other, and right as it is.
    request.getfixturevalue("roughly")
    assert main(["robot", *GIVEN[2:], "--motion", document["record"], "--keep-axes"]) == 0
    said = capsys.readouterr().out
    assert "axes: wx = wx, wy = wy, wz = wz of the record" in said
    (fits,) = (line for line in said.splitlines() if line.startswith("fit:"))
    assert re.fullmatch(r"fit: \S+, as given \S+, another clock \S+ \(nats\); what is up is told by .*", fits)
    assert Path("runs/calibrate_gyro/drive/drive.csv").is_file()


@pytest.fixture
def turned(drive: None) -> None:
    """Two of the pictures are to be shown standing, one of them the other way round."""
    for index, orientation in ((1, 6), (4, 8)):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        with Image.open(f"robot/{index}.png") as lying:
            lying.save(f"robot/{index}.png", exif=exif)


@pytest.mark.usefixtures("turned", "roughly")
def test_pictures_that_stand_tell_the_clock_too_where_the_axes_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    write_record("drive.csv", turning(3), AHEAD)
    assert main(["robot", *GIVEN, "--keep-axes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["offset"] == pytest.approx(AHEAD, abs=0.0012)
    assert found["focal_length"] == pytest.approx(FOCAL_LENGTH, rel=0.04)
    assert found["fit"]["found"] > -4
    assert found["fit"]["other_axes"] is None


@pytest.mark.usefixtures("turned", "roughly")
def test_a_rolling_shutter_reads_pictures_that_stand_too(capsys: pytest.CaptureFixture[str]) -> None:
    write_record("drive.csv", turning(3), AHEAD)
    assert main(["robot", *GIVEN, "--keep-axes", "--readout", "0.004", "--json"]) == 0
    # All rows were exposed at once: a shutter that reads would have been at the middle one, half its readout later.
    assert json.loads(capsys.readouterr().out)["offset"] == pytest.approx(AHEAD - 0.002, abs=0.0012)


@pytest.mark.usefixtures("roughly")
def test_a_picture_that_is_white_all_over_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write_record("drive.csv", turning(3), AHEAD)
    write_picture(Path("robot/6.png"), np.full((256, 320, 3), 255, np.uint8))
    with Path("times.csv").open("a") as times:
        times.write("\n6,4.7,4.72")
    assert main(["robot", *GIVEN, "--keep-axes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["offset"] == pytest.approx(AHEAD, abs=0.0012)
    assert found["focal_length"] == pytest.approx(FOCAL_LENGTH, rel=0.04)


@pytest.mark.usefixtures("roughly", "few_axes")
def test_a_camera_upside_down_is_seen_by_what_it_restores(capsys: pytest.CaptureFixture[str]) -> None:
    write_record("drive.csv", turning(3) * (-1, -1, 1))
    assert main(["robot", *GIVEN, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["axes"] == {"wx": "-wx", "wy": "-wy", "wz": "wz"}
    # Axes that are kept are not turned, but it is noticed, whatever a picture says that is white all over.
    write_picture(Path("robot/5.png"), np.full((256, 320, 3), 255, np.uint8))
    assert main(["robot", *GIVEN, "--keep-axes"]) == 1
    assert "what is up is told by -" in capsys.readouterr().err


def seen(file: Path, truth: Record, places: Sequence[tuple[float, float]]) -> Sight:
    """A picture of the drive, seen by an estimator that knows the kernels of these places, but not their way round."""
    picture = read_picture(file)
    opened = 1.3 + 1.35 * int(file.stem)
    path = truth.path(picture.shape[1], picture.shape[0], FOCAL_LENGTH, exposure=(opened, opened + 0.02))
    kernels = torch.stack([torch.from_numpy(path.kernel_at(*place, KERNEL)) for place in places])
    belief = (kernels + half_turned(kernels)) / 2 + 1e-4
    return Sight(
        to_batch(picture, torch.device("cpu")), FOCAL_LENGTH, (opened, opened + 0.02), belief.log(), tuple(places)
    )


@pytest.mark.usefixtures("roughly", "few_axes")
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, -1), (1, 1, -1), (-1, 1, 1)])
@pytest.mark.parametrize("corners", [True, False])
def test_axes_by_the_left_hand_are_found_where_places_tell_how_the_camera_rolled(
    signs: tuple[int, ...], corners: bool
) -> None:
    truth = read_record("truth.csv")
    places = [(x, y) for x in (20.0, 300.0) for y in (20.0, 236.0)] if corners else [(160.0, 128.0)]
    sights = [seen(file, truth, places) for file in sorted(Path("robot").glob("*.png"))]
    record = read_record(write_record("signs.csv", turning(3) * signs))
    found = calibrate(sights, record, 0.045)
    assert found.clear
    assert found.roll is not None
    assert (found.roll >= CLEAR_MARGIN) is corners
    # Without places only the axes of the right hand are left, which turn and pan alike.
    right = np.diag(signs) if corners else np.diag([*signs[:2], np.prod(signs[:2])])
    np.testing.assert_array_equal(found.found.axes, right)


@pytest.mark.usefixtures("few_axes")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "the pictures do not tell: the best fit is"),
        (["--motion", "degrees.csv"], "degrees.csv moves the picture by"),
        (["--estimator", "mstsgm-nano"], "--estimator: mstsgm-nano has none"),
        (["--search", "0.04", "--keep-axes"], "the pictures do not tell: the best fit is -"),
    ],
)
def test_what_cannot_be_told_is_said_in_one_line(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record("drive.csv", turning(8))  # of another drive
    write_record("degrees.csv", np.rad2deg(turning(3)))
    assert main(["robot", *GIVEN, *given]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert says in error
    assert ", ," not in error
    assert "another clock -" in error or "the best fit" not in error
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            ["robot", "--search", "9"],
            "too little to search 9 seconds around pictures of 1.3 to 8.07: leave pictures at",
        ),
        (["robot/0.png", "robot/1.png", "robot/2.png"], "3 pictures are too few to tell a clock by: give 4 at least"),
        (["robot", "--motion", "path.csv"], "path.csv is a path in pixels: only a gyroscope's record is calibrated"),
        (["robot", "--motion", "times.csv"], "times.csv begins with 'picture,opened,closed'; a camera's path needs"),
        (["robot", "--motion", "none.csv"], "cannot read the camera's path none.csv: No such file or directory"),
        (["robot", "--output", "robot"], "--output robot holds files already: give a new or an empty folder"),
        (["robot", "--output", "drive.csv"], "cannot use --output drive.csv: Not a directory"),
        (["robot", "--output", "drive.csv/new"], "cannot make --output drive.csv/new: drive.csv is no folder"),
        (["robot", "--output", "locked/new"], "cannot make --output locked/new: locked is not yours to write to"),
        (["ride.mp4"], "ride.mp4 is not a video: the file is empty"),
        (["robot", "--motion", "a" * 300], "File name too long"),
    ],
)
def test_what_cannot_be_done_is_said_before_pictures_are_looked_at(
    given: list[str], says: str, monkeypatch: pytest.MonkeyPatch, refused: Callable[[str], None]
) -> None:
    monkeypatch.delattr(calibrate_gyro, "_estimator")
    monkeypatch.delattr(calibrate_gyro, "_look")
    Path("path.csv").write_text("t,x,y\n0,0,0\n10,1,1\n")
    Path("ride.mp4").touch()
    Path("locked").mkdir()
    monkeypatch.setattr(os, "access", lambda place, _: Path(place).name != "locked")
    with Path("times.csv").open("a") as times:
        times.write("\nride,1,1.01\n")
    assert main([*GIVEN, *given]) == 1
    refused(says)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--limit", "3"], "--limit 3: 3 pictures are too few to tell a clock by: give 4 at least, better 12"),
        (["--motion", "robot"], "--motion robot is a folder: a clock is searched in one record of all the pictures"),
        (["--search", "0.039"], "--search 0.039 holds no other clock to compare with: give 0.04 at least"),
    ],
)
def test_too_little_to_compare_is_wrong_usage(given: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["robot", *GIVEN, *given])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float, float]]:
    """How bright each picture is that is looked at, when its shutter opened, and its focal length in widths of it.

    Nothing is searched then.
    """
    seen: list[tuple[float, float, float]] = []

    def see(
        _: object, picture: torch.Tensor, focal_length: float, exposure: tuple[float, float], orientation: int
    ) -> None:
        assert orientation == 1
        seen.append((round(float(picture.mean()) * 255), exposure[0], focal_length / picture.shape[-1]))

    def stop(*_: object, **__: object) -> None:
        raise DeblurError("looked")

    monkeypatch.setattr(calibration, "look", see)
    monkeypatch.setattr(calibration, "calibrate", stop)
    monkeypatch.setattr(calibrate_gyro, "_estimator", lambda *_: ("none", None))
    with Path("times.csv").open("a") as times:
        times.write("\nride,2,2.01\n")
    return seen


def test_pictures_and_frames_are_looked_at_evenly(
    make_video: Callable[..., None], looked: list[tuple[float, float, float]]
) -> None:
    make_video("ride.mp4", [0, 20, 40, 60, 80, 100], fps=10)
    assert main(["ride.mp4", "robot/0.png", "robot/1.png", *GIVEN, "--limit", "4"]) == 1
    levels, opened, _ = zip(*looked, strict=True)
    assert levels[:3] == pytest.approx((20, 60, 100), abs=4)
    assert opened == pytest.approx((2.1, 2.3, 2.5, 2.65))


@pytest.mark.parametrize("duration", [b"\x44\x89", b"\xec\x89"])
def test_frames_of_a_video_without_a_rate_are_counted_and_timed_by_reading_it(
    duration: bytes, flat: Callable[..., NDArray[np.uint8]], looked: list[tuple[float, float, float]]
) -> None:
    writer = cv2.VideoWriter("ride.mkv", cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in (0, 20, 40, 60, 80, 100):
        writer.write(flat(level))
    writer.release()
    content = Path("ride.mkv").read_bytes()
    # A frame lasts a tick of the clock, a thousandth, so that it announces 600, or none where its duration is left out.
    content = content.replace(b"\x23\xe3\x83\x84\x05\xf5\xe1\x00", b"\x23\xe3\x83\x84\x00\x0f\x42\x40")
    Path("ride.mkv").write_bytes(content.replace(b"\x44\x89\x88", duration + b"\x88"))
    with VideoReader(Path("ride.mkv")) as video:
        assert (video.fps, video.n_frames) == (None, 600 if duration == b"\x44\x89" else None)
    assert main(["ride.mkv", *GIVEN, "--limit", "4"]) == 1
    levels, opened, _ = zip(*looked, strict=True)
    assert levels == pytest.approx((0, 40, 60, 100), abs=4)
    assert opened == pytest.approx((2.0, 2.2, 2.3, 2.5))


def test_the_focal_length_of_a_picture_that_is_scaled_down_is_scaled_with_it(
    monkeypatch: pytest.MonkeyPatch, looked: list[tuple[float, float, float]]
) -> None:
    monkeypatch.setattr(calibrate_gyro, "LARGEST_SIDE", 160)  # of 320
    assert main(["robot", *GIVEN]) == 1
    assert [share for _, _, share in looked] == pytest.approx([FOCAL_LENGTH / 320] * 6)


def test_a_focal_length_is_refined_from_the_one_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (np.array([1.0, 1.25]), np.zeros(1)), (np.array([0.98, 1.0, 1.02]), np.zeros(1))
    monkeypatch.setattr(calibration, "_REFINEMENTS", stages)
    truth = read_record("truth.csv")
    sights = [seen(file, truth, [(160.0, 128.0)]) for file in sorted(Path("robot").glob("*.png"))]
    wrong = [sight._replace(focal_length=FOCAL_LENGTH / 1.25) for sight in sights]
    assert calibrate(wrong, truth, 0.003, keep_axes=True).found.scale == pytest.approx(1.25, rel=0.03)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is restored: what is up is taken as given, and the clock and the focal length are not refined."""
    monkeypatch.setattr(calibration, "sparser_than_turned", lambda *_: 1.0)
    monkeypatch.setattr(calibration, "_REFINEMENTS", ())


def some_seen(truth: Record) -> list[Sight]:
    """Two of the pictures, seen as by ``seen``."""
    return [seen(file, truth, [(160.0, 128.0)]) for file in sorted(Path("robot").glob("*.png"))[:2]]


@pytest.mark.usefixtures("searched")
def test_a_picture_that_a_guess_moves_too_far_counts_against_it() -> None:
    sights = some_seen(truth := read_record("truth.csv"))
    rates = np.column_stack([truth.columns[name] for name in RATES])
    rates[(truth.times > 2.5) & (truth.times < 2.8)] *= 100  # while the other was taken
    wild = calibrate(sights, read_record(write_record("wild.csv", rates)), 0.003, keep_axes=True)
    least = np.log(0.01 / KERNEL**2)  # of a kernel that is a surprise
    one = calibrate(sights[:1], truth, 0.003, keep_axes=True)
    assert wild.given.fit == pytest.approx((one.given.fit + least) / 2)


@pytest.mark.usefixtures("searched")
def test_a_slow_rolling_shutter_is_searched_as_far_as_any() -> None:
    sights = some_seen(truth := read_record("truth.csv"))[:1]
    found = calibrate(sights, truth, 0.003, readout=0.03, keep_axes=True)
    assert found.given.fit > np.log(0.01 / KERNEL**2) + 1, "the record tells of the last row"


@pytest.mark.usefixtures("searched")
def test_what_is_up_is_told_in_standard_errors_of_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = iter([0.1, 0.5])
    monkeypatch.setattr(calibration, "sparser_than_turned", lambda *_: next(gains))
    found = calibrate(some_seen(truth := read_record("truth.csv")), truth, 0.003, keep_axes=True)
    assert found.upright == pytest.approx(0.3 / 0.2)


@pytest.mark.parametrize(
    ("clock_fit", "axes_fit", "upright", "clear"),
    [(-9, -9, 3, True), (-1.3, -9, 3, False), (-9, -1.3, 3, False), (-9, -9, 1.9, False)],
)
def test_pictures_tell_where_nothing_else_fits_nearly_as_well(
    clock_fit: float, axes_fit: float, upright: float, clear: bool
) -> None:
    best = Guess(0.01, np.eye(3, dtype=int), -1.0)
    found = Calibration(best, best, best._replace(fit=clock_fit), best._replace(fit=axes_fit), upright, None)
    assert found.clear is clear


def test_a_focal_length_at_the_end_of_the_search_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    widest, _ = calibration._REFINEMENTS[0]
    monkeypatch.setattr(calibration, "_REFINEMENTS", ((widest[::3], np.zeros(1)),))
    write_record("drive.csv", turning(3))
    assert main(["robot", *GIVEN, "--keep-axes", "--focal-length", "620"]) == 1
    assert "pixels: check --focal-length" in capsys.readouterr().err


@pytest.mark.usefixtures("roughly")
def test_a_clock_at_the_end_of_the_search_is_not_believed(capsys: pytest.CaptureFixture[str]) -> None:
    write_record("drive.csv", turning(3), 0.048)
    assert main(["robot", *GIVEN, "--keep-axes"]) == 1
    assert "the best clock lies at the end of the search, 0.04" in capsys.readouterr().err


def found_at(offset: float, scale: float = 1.0, roll: float | None = None) -> Callable[..., Calibration]:
    """A search that finds this clock and focal length, and nothing that fits nearly as well."""
    best = Guess(offset, np.eye(3, dtype=int), -1.0, scale)
    other = best._replace(fit=-9.0)
    return lambda *_, **__: Calibration(best, other, other, None, 9.0, roll)


@pytest.mark.usefixtures("looked")
@pytest.mark.parametrize(
    ("offset", "scale", "says"),
    [
        (0.0401, 1.0, "the best clock lies at the end of the search, 0.0401 seconds: give --search 0.09"),
        (-0.0401, 1.0, "the best clock lies at the end of the search, -0.0401 seconds: give --search 0.09"),
        (0.0, SCALES[0], "the best focal length lies at the end of the search, 648 pixels: check --focal-length"),
        (0.0, SCALES[1], "the best focal length lies at the end of the search, 1242 pixels: check --focal-length"),
    ],
)
def test_what_lies_at_either_end_of_the_search_is_not_believed(
    offset: float, scale: float, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibration, "calibrate", found_at(offset, scale))
    assert main(["robot", *GIVEN]) == 1
    assert says in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.usefixtures("looked")
def test_times_of_a_record_are_moved_and_not_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "calibrate", found_at(0.0001234))
    assert main(["robot", *GIVEN, "--output", "found"]) == 0
    moved = read_record("drive.csv").times - 0.0001234
    np.testing.assert_allclose(read_record("found/drive.csv").times, moved, rtol=0, atol=1e-9)
    assert "focal_length: 900.0" in Path("found/config.yaml").read_text()


@pytest.mark.usefixtures("looked")
def test_a_roll_that_is_assumed_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for roll, assumed in ((CLEAR_MARGIN / 2, True), (2 * CLEAR_MARGIN, False)):
        monkeypatch.setattr(calibration, "calibrate", found_at(0.01, roll=roll))
        assert main(["robot", *GIVEN]) == 0
        assert ("too little: the record is taken to be of right-handed axes" in capsys.readouterr().out) is assumed


@pytest.mark.usefixtures("looked")
def test_frames_that_a_video_only_promised_are_no_pictures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = calibrate_gyro._read
    monkeypatch.setattr(calibrate_gyro, "_read", lambda places: read(places[:3]))
    assert main(["robot", *GIVEN]) == 1
    assert "3 pictures are too few to tell a clock by" in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    Path("robot/3.png").write_bytes(b"no picture")
    assert main(["robot", *GIVEN]) == 1
    assert "robot/3.png" in capsys.readouterr().err.splitlines()[-1]
