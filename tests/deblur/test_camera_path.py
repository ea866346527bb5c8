"""A camera's path that is known: files, rotations, a sensor's errors, and what a guide makes of it."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur import BlurSpec, Motion, draw_motion, expose_windows, generator_for, parse_blur, synthesize_with_motion
from deblur.blur.motion import RollingShutter, scaled_point, still
from deblur.errors import DeblurError
from deblur.exposure import kernels
from deblur.exposure.calibration import check_record
from deblur.exposure.kernels import KERNEL, LARGEST_REACH, exposure_along, half_turned, spread
from deblur.exposure.path_files import RATES, Record, read_path, read_record
from deblur.exposure.paths import Rotation, as_measured, camera_path, felt, felt_path, misread
from deblur.metrics import psnr
from deblur.networks.guided import CORRECTIONS, ExposureGuide, GuidedNetwork
from deblur.networks.kernel_estimator import KernelEstimator, KernelEstimatorConfig
from deblur.released import load_released
from deblur.training.batches import Batch, make_batch
from deblur.training.loop import guide_channels
from deblur.training.mix import BlurMix, parse_blur_range
from deblur.training.planning import Planner, Recipe, draw_examples
from deblur.training.sources import PictureStore, parse_source

GYROSCOPE_FILE = "t,wx,wy,wz\n0.00,0,0.5,0\n0.02,0,0.5,0\n"
CPU = torch.device("cpu")


def shaken(length: float) -> tuple[np.ndarray, np.ndarray, Motion]:
    """A sharp photograph, the same blurred by shake with roll, and the camera's path."""
    sharp = photographs.astronaut()[:448]
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("shake", length), 3, "astronaut")
    return sharp, blurred, motion


def decibels(picture: np.ndarray, sharp: np.ndarray) -> float:
    one, other = (torch.from_numpy(each).float().unsqueeze(0) / 255 for each in (picture, sharp))
    return psnr(one, other).item()


def exposed(sharp: np.ndarray, motion: Motion) -> np.ndarray:
    """The picture as a camera on this path takes it."""
    height, width = sharp.shape[:2]
    picture = torch.from_numpy(sharp.copy()).permute(2, 0, 1)
    return expose_windows([picture], [(0, 0, width, height)], [motion], [BlurSpec()], [0])[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("turn", [(0.02, 0, 0), (0, 0.03, 0), (0, 0, 0.05), (0.01, -0.02, 0.03)])
def test_what_stands_still_moves_as_the_homography_of_the_turn_says(turn):
    camera = Rotation(np.array([[0.0, 0.0, 0.0], turn]), 500.0, (300.0, 200.0))
    intrinsic = np.array([[500, 0, 300], [0, 500, 200], [0, 0, 1.0]])
    homography = intrinsic @ cv2.Rodrigues(np.array(turn, float))[0].T @ np.linalg.inv(intrinsic)
    for x, y in [(300.0, 200.0), (10.0, 390.0), (590.0, 20.0)]:
        seen = homography @ (x, y, 1.0)
        nothing, moved = camera.displacement(x, y)
        np.testing.assert_allclose(nothing, 0, atol=1e-12)
        np.testing.assert_allclose(moved, seen[:2] / seen[2] - (x, y), atol=1e-6)
        np.testing.assert_allclose(camera.cropped(7, 9).displacement(x - 7, y - 9)[1], moved)


def test_a_camera_that_turns_right_moves_what_it_sees_left_and_more_at_the_sides(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(GYROSCOPE_FILE)
    path = read_path(file, 641, 481, 800.0)
    assert isinstance(path, Rotation)
    middle = path.displacement(320, 240)
    # 0.5 radians a second for 0.02 seconds turn by 0.01 radians: 8 pixels.
    assert middle[0, 0] == pytest.approx(4, abs=0.05)
    assert middle[-1, 0] == pytest.approx(-4, abs=0.05)
    assert np.abs(middle[:, 1]).max() < 1e-6
    side = path.displacement(640, 240)
    assert np.ptp(side[:, 0]) == pytest.approx(8 * (1 + (320 / 800) ** 2), rel=0.01)
    kernel = path.kernel_at(320, 240, KERNEL)
    assert kernel.sum() == pytest.approx(1)
    assert kernel[24, 20:29].sum() == pytest.approx(1)


def test_a_file_is_of_the_exposure_exactly_or_it_is_said_when_the_shutter_was_open(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("t,wx,wy,wz\n" + "".join(f"{i * 0.005},0,0.5,0\n" for i in range(5)))
    assert read_path(file, 641, 481, 800.0).extent(320, 240) == pytest.approx(4, abs=0.05)
    assert read_path(file, 641, 481, 800.0, exposure=(0.005, 0.015)).extent(320, 240) == pytest.approx(2, abs=0.05)


def test_a_path_in_pixels_may_roll_and_its_samples_may_lie_unevenly_in_time(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("t, x, y, roll\n0, 100, 50, 0.1\n0.003, 103, 50, 0.1\n\n0.010, 110, 50, 0.1\n")
    even = read_path(file, 101, 101).displacement(50, 50)
    np.testing.assert_allclose(even[:, 0], np.linspace(-5, 5, len(even)), atol=1e-9)
    file.write_text("t,x,y,roll\n0,0,0,-0.05\n1,0,0,0.05\n")
    rolled = read_path(file, 101, 101)
    assert np.abs(rolled.displacement(50, 50)).max() < 1e-9
    # Clockwise on the screen: what lies right of the middle goes down.
    assert rolled.displacement(90, 50)[-1, 1] == pytest.approx(40 * np.sin(0.05))


def test_what_a_gyroscope_measures_of_a_shake_gives_the_kernels_of_the_shake(tmp_path):
    motion = draw_motion(BlurSpec("shake", 24), np.random.default_rng(4), 640, 480)
    focal_length = 3000.0  # long: perspective is small, as in the synthesis
    times = np.linspace(0, 0.02, len(motion.path))
    # Panning to the right moves the picture left, pitching up moves it down, and a roll turns it the other way.
    turns = np.column_stack([motion.path[:, 1], -motion.path[:, 0], -motion.path[:, 2] * focal_length]) / focal_length
    rates = np.gradient(turns, times, axis=0)
    file = tmp_path / "a.csv"
    np.savetxt(file, np.column_stack([times, rates]), delimiter=",", header="t,wx,wy,wz", comments="")
    path = read_path(file, 640, 480, focal_length)
    for x, y in [(320.0, 240.0), (30.0, 40.0), (600.0, 420.0)]:
        one, other = (each.kernel_at(x, y, KERNEL).ravel() for each in (path, motion))
        assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.93


LOG_HEADER = """version,1.3
id,logger
orientation,YxZ
tscale,0.001
gscale,0.0125
"""
GYROFLOW_LOG = f"""GYROFLOW IMU LOG
{LOG_HEADER}t,gx,gy,gz,ax,ay,az
10,8,40,-16,1,2,3
12,8,44,-16,1,2,3
15,8,48,-16,1,2,3
"""


def test_a_gyroflow_log_is_a_record_in_seconds_and_radians(tmp_path):
    file = tmp_path / "flight.gcsv"
    file.write_text(GYROFLOW_LOG)
    record = read_record(file)
    np.testing.assert_allclose(record.times, [0.010, 0.012, 0.015])
    assert list(record.columns) == ["wx", "wy", "wz"]
    np.testing.assert_allclose(record.columns["wy"], [0.5, 0.55, 0.6])
    assert record.of_gyroscope
    file.write_text(GYROFLOW_LOG.replace("GYROFLOW", "CAMERA"))
    np.testing.assert_array_equal(read_record(file).columns["wz"], record.columns["wz"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gscale,0.0125\n", "", "has no line gscale,NUMBER: its samples have no unit"),
        ("tscale,0.001", "tscale,ms", "has no line tscale,NUMBER"),
        (LOG_HEADER, "", "has no line tscale,NUMBER: its samples have no unit; add it above the line of columns"),
        ("gx,gy,gz,ax,ay", "x,y,roll,ax,ay", "is a Gyroflow log without a gyroscope's columns t,gx,gy,gz"),
        ("12,8,44", "12,8", "line 9: 7 values are needed, one for each named column"),
        ("t,gx,gy,gz", "time,gx,gy,gz", "is a Gyroflow log without a gyroscope's columns t,gx,gy,gz"),
        ("gx,gy,gz,", "ax,ay,az,", "is a Gyroflow log without a gyroscope's columns t,gx,gy,gz"),
    ],
)
def test_a_gyroflow_log_that_lacks_something_is_named_in_one_line(tmp_path, old, new, message):
    file = tmp_path / "flight.gcsv"
    file.write_text(GYROFLOW_LOG.replace(old, new, 1))
    with pytest.raises(DeblurError, match=message) as caught:
        read_record(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [GYROSCOPE_FILE, GYROFLOW_LOG], ids=["gyroscope", "log"])
def test_a_file_that_a_spreadsheet_marked_as_utf_8_is_read_as_without_the_mark(tmp_path, content):
    file = tmp_path / "a.csv"
    file.write_text(content, encoding="utf-8")
    plain = read_record(file)
    file.write_text(content, encoding="utf-8-sig")
    marked = read_record(file)
    np.testing.assert_array_equal(marked.times, plain.times)
    np.testing.assert_array_equal(marked.columns["wy"], plain.columns["wy"])


def test_a_part_of_a_path_is_that_of_a_shutter_open_meanwhile():
    motion = draw_motion(BlurSpec("shake", 20), np.random.default_rng(1), 640, 480)
    part = motion.part(slice(10, 40))
    np.testing.assert_allclose(np.diff(part.path, axis=0), np.diff(motion.path[10:40], axis=0))
    np.testing.assert_allclose(part.weights @ part.path, 0, atol=1e-12)
    turning = Rotation(np.linspace([0, 0, 0], [0.02, 0.04, 0], 101), 500.0, (0.0, 0.0))
    half = turning.part(slice(50, 101))
    np.testing.assert_allclose(half.angles[[0, -1]], [[-0.005, -0.01, 0], [0.005, 0.01, 0]], atol=1e-12)


def test_every_row_of_a_rolling_shutter_has_its_own_exposure(tmp_path):
    file = tmp_path / "a.csv"
    # Still for ten milliseconds, then to the right by 1.2 pixels a millisecond.
    file.write_text("t,x,y\n0,0,0\n0.010,0,0\n0.030,24,0\n")
    path = read_path(file, 101, 101, readout=0.02)
    assert path.extent(50, 0) == pytest.approx(0, abs=0.05)
    assert path.extent(50, 100) == pytest.approx(6, abs=0.1)
    assert path.extent(50, 25) == pytest.approx(4.5, abs=0.1)  # half of its time still, then by 6 pixels
    lower = path.cropped(0, 60)
    np.testing.assert_array_equal(lower.kernel_at(50, 40, KERNEL), path.kernel_at(50, 100, KERNEL))
    for far in (-30, 200):  # places of kernels may lie outside
        assert path.kernel_at(50, far, KERNEL).sum() == pytest.approx(1)
    # Without a readout the whole record is one exposure.
    assert read_path(file, 101, 101).extent(50, 0) == pytest.approx(16, abs=0.1)
    with pytest.raises(DeblurError, match=r"open from 0 to -0.01, in the last row to 0.03: give a record of all"):
        read_path(file, 101, 101, readout=0.04)


def test_a_record_ends_with_its_last_sample_however_sums_are_rounded(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("t,x,y\n0,0,0\n0.711,24,0\n")
    assert 0.711 - 0.185 + 0.185 > 0.711
    assert read_path(file, 101, 101, readout=0.185).extent(50, 0) == pytest.approx(24 * 0.526 / 0.711 / 2, abs=0.1)


def test_a_record_may_end_with_the_last_row_that_was_exposed_however_sums_are_rounded():
    record = Record(Path("imu"), np.array([0.931, 0.969]), {"x": np.array([0.0, 38.0]), "y": np.zeros(2)})
    assert 0.936 + 0.033 > 0.969
    path = record.path(101, 101, exposure=(0.931, 0.936), readout=0.033)
    assert path.extent(50, 0) == pytest.approx(2.5, abs=0.1)
    # A sum that is too small is as good; a thousandth of a millisecond is no rounding.
    assert record.path(101, 101, exposure=(np.nextafter(0.931, 0), 0.969)).extent(50, 0) == pytest.approx(19, abs=0.1)
    gyroscope = Record(Path("imu"), np.array([0.2, 0.41]), dict.fromkeys(RATES, np.zeros(2)))
    assert 0.3 - 0.1 < 0.2
    assert 0.31 + 0.1 > 0.41
    check_record(gyroscope, [(0.3, 0.31)], 0.1)
    for opened, closed in ((0.930999, 0.969), (0.931, 0.969001)):
        with pytest.raises(DeblurError, match="give a record of all of the exposure"):
            record.path(101, 101, exposure=(opened, closed))


def test_a_record_to_be_calibrated_tells_of_the_last_row_too():
    gyroscope = Record(Path("imu"), np.array([0.2, 0.42]), dict.fromkeys(RATES, np.zeros(2)))
    check_record(gyroscope, [(0.3, 0.31)], 0.1, 0.01)
    with pytest.raises(DeblurError, match=r"too little to search 0\.1 seconds around pictures of 0\.3 to 0\.33"):
        check_record(gyroscope, [(0.3, 0.31)], 0.1, 0.02)


def test_a_sensor_misses_the_same_part_of_every_row():
    spec = BlurSpec("shake", 20, readout=1.5)
    motion = draw_motion(spec, generator_for(spec, 0, "a"), 640, 480)
    most = 0
    for seed in range(8):
        felt = as_measured(motion, np.random.default_rng(seed))
        missed = motion.steps - felt.steps
        assert missed <= 0.05 * motion.steps + 1
        assert missed == len(motion.path) - len(felt.path)  # so that the rows begin where they did
        most = max(most, missed)
        for y in (0, 200, 479):
            row, own = felt.of_row(y), motion.of_row(y)
            starts = (own.part(slice(first, first + felt.steps)) for first in (0, missed))
            # Scale and angle are a few percent off, so a row of another time would lie farther away.
            assert min(abs(start.path - row.path).max() for start in starts) < 0.25 * abs(own.path[:, :2]).max()
    assert most > 0


def test_a_rolling_shutter_is_restored_row_by_row():
    sharp = photographs.astronaut()[:256, 60:450]
    travel = 60 * np.linspace(0, 1, 257) ** 2  # of the content to the right, ever faster
    whole = Motion(np.column_stack([travel, np.zeros((257, 3))]), np.full(257, 1 / 257), (195.0, 128.0))
    path = replace(whole, shutter=RollingShutter(97, 256))
    blurred, truth = np.empty_like(sharp), np.empty_like(sharp)
    wide = photographs.astronaut()[:256].astype(np.float32)
    for row in range(256):
        seen = travel[(first := round(row / 255 * 160)) : first + 97]
        at = [np.arange(60, 450) - moved for moved in seen - seen.mean()]
        for channel in range(3):
            line = wide[row, :, channel]
            exposed = np.mean([np.interp(columns, np.arange(512), line) for columns in at], axis=0)
            blurred[row, :, channel] = exposed.round()
            truth[row, :, channel] = line[60:450]
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    rolling, at_once = (deblurrer(blurred, each) for each in (path, whole.part(slice(80, 177))))
    assert decibels(rolling, truth) > decibels(blurred, truth) + 1
    assert decibels(rolling, truth) > decibels(at_once, truth) + 1


UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}
"""By EXIF's orientation, what turns stored pixels to be upright."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("readout", [0, 0.03])
@pytest.mark.parametrize(
    "samples",
    [
        "t,wx,wy,wz\n0,1.5,0.3,2\n0.02,-0.5,1.8,-1\n0.05,-1.0,0.7,1.5\n",
        "t,x,y,roll\n0,0,0,0\n0.02,9,2,0.03\n0.05,13,-8,0.02\n",
    ],
)
def test_a_record_is_of_the_picture_as_it_is_stored(tmp_path, samples, readout, orientation):
    file = tmp_path / "a.csv"
    file.write_text(samples)
    height, width = 40, 60
    upright = UPRIGHT[orientation]
    seen = upright(np.arange(height * width).reshape(height, width))
    path, stored = (
        read_path(file, *size, 400, readout=readout, orientation=given)
        for size, given in ((seen.shape[::-1], orientation), ((width, height), 1))
    )
    for x, y in [(3, 2), (50, 10), (7, 33)]:
        ((row, column),) = np.argwhere(seen == y * width + x)
        kernel = upright(stored.kernel_at(x, y, 49))
        np.testing.assert_allclose(path.kernel_at(column, row, 49), kernel, atol=1e-6)
        np.testing.assert_allclose(path.cropped(5, -2).kernel_at(column - 5, row + 2, 49), kernel, atol=1e-6)
        there, here = (scaled_point(place, 0.5) for place in ((x, y), (column, row)))
        halved = upright(stored.scaled(0.5).kernel_at(*there, 49))
        np.testing.assert_allclose(path.scaled(0.5).kernel_at(*here, 49), halved, atol=1e-6)
    line = np.arange(4.0)
    one_by_one = [path.displacement(x, 7) for x in line]
    np.testing.assert_allclose(path.displacement(line, 7), one_by_one, atol=1e-9)
    assert path.extent(line, 7) == pytest.approx(np.linalg.norm(one_by_one, axis=-1).max())


@pytest.mark.parametrize("readout", [0, 0.02])
def test_a_picture_that_was_turned_is_restored_as_it_would_be_lying(tmp_path, readout):
    file = tmp_path / "a.csv"
    file.write_text("t,x,y\n0,0,0\n0.01,14,3\n" + "0.02,4,16\n0.03,20,18\n" * bool(readout))
    sharp = photographs.astronaut()[:256, :320]
    stored = read_path(file, 320, 256, readout=readout)
    blurred = exposed(sharp, stored)
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    lying = decibels(deblurrer(blurred, stored), sharp)
    restored = deblurrer(np.rot90(blurred, -1).copy(), read_path(file, 256, 320, readout=readout, orientation=6))
    assert lying > decibels(blurred, sharp) + 2
    assert decibels(restored, np.rot90(sharp, -1).copy()) > lying - 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "begins with ''; a camera's path needs the columns t,wx,wy,wz"),
        ("t,x\n0,1\n1,2\n", "begins with 't,x'"),
        ("x,y\n0,1\n1,2\n", "begins with 'x,y'"),
        ("t,x,y,x\n0,0,0,0\n1,1,1,9\n", "has more than one column 'x': leave one of them"),
        ("t,x,y\n0,0,0\n", "holds 1 samples"),
        ("t,x,y\n0,0,0\n1,1,1\n1,2,2\n2,3,3\n", "line 4: t does not rise"),
        ("t,x,y\n0,0,0\n1,1\n", "line 3: 3 values are needed"),
        ("t,x,y\n0,0,nan\n1,1,1\n", "line 2: t, x, y must be finite numbers"),
        ("t,x,y\n0,0,zero\n1,1,1\n", "line 2: could not convert"),
        (GYROSCOPE_FILE, "give the focal length in pixels"),
        ("t,x,y\n0,0,0\n1,300,0\n", "moves the picture by up to 150 pixels from the middle of its path, and 80 are"),
    ],
)
def test_a_file_that_is_no_path_is_named_in_one_line(tmp_path, content, message):
    file = tmp_path / "path.csv"
    file.write_text(content)
    with pytest.raises(DeblurError, match=message) as caught:
        read_path(file, 640, 480)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("times", "columns", "message"),
    [
        ([0, 1, 2], {"gx": [0, 0, 0]}, "imu has the columns gx beside its times; a camera's path needs wx, wy and wz"),
        ([0, 1, 2], {"x": [0, 1, 2], "y": [0, 1]}, "imu: y has the shape (2,), with 3 times"),
        ([0, 1, 2], {"x": [0, 1, 2], "y": [0, 1, np.nan]}, "imu: y holds what is no finite number"),
        ([0, 2, 1], {"x": [0, 1, 2], "y": [0, 1, 2]}, "imu: t does not rise from 2 on"),
        ([0], {"x": [0], "y": [0]}, "imu holds 1 samples"),
    ],
)
def test_a_record_made_in_python_is_checked_as_one_of_a_file_is(times, columns, message):
    with pytest.raises(DeblurError, match=f"^{re.escape(message)}"):
        Record(Path("imu"), np.array(times), {name: np.array(values) for name, values in columns.items()})


def test_columns_that_no_path_needs_may_hold_anything(tmp_path):
    file = tmp_path / "path.csv"
    file.write_text("frame,y,t,x,satellites\nleft-1,0,0,0,\nleft-2,8,1,6,nan\n")
    record = read_record(file)
    assert {name: values.tolist() for name, values in record.columns.items()} == {"x": [0, 6], "y": [0, 8]}
    assert record.times.tolist() == [0, 1]
    held = {"temperature": np.array(["warm", "hot"]), "humidity": np.array([np.nan]), **record.columns}
    assert Record(file, record.times, held).path(9, 9).extent(4, 4) == record.path(9, 9).extent(4, 4)


@pytest.mark.parametrize("orientation", [0, 9, -1])
def test_an_orientation_that_exif_does_not_know_is_refused(tmp_path, orientation):
    file = tmp_path / "path.csv"
    file.write_text("t,x,y\n0,0,0\n1,6,8\n")
    with pytest.raises(ValueError, match=f"EXIF's number from 1 to 8, not {orientation}"):
        read_path(file, 640, 480, orientation=orientation)


def test_a_large_picture_may_move_by_as_much_as_a_small_one_that_shows_the_same(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("t,x,y\n0,0,0\n1,300,0\n")
    assert read_path(file, 1600, 1200).extent(800, 600) == pytest.approx(150, abs=0.5)
    with pytest.raises(
        DeblurError, match="by up to 150 pixels from the middle of its path, and 149 are the most in 1190x900"
    ):
        read_path(file, 1190, 900)
    with pytest.raises(DeblurError, match="and 80 are the most in 320x240"):
        read_path(file, 320, 240)


@pytest.mark.parametrize("readout", [0, 0.01])
@pytest.mark.parametrize("rates", ["0.5,0.5,60", "0,0,60"])
def test_a_picture_may_not_move_too_far_in_its_corners_either(tmp_path, rates, readout):
    file = tmp_path / "a.csv"
    file.write_text(f"t,wx,wy,wz\n0,{rates}\n0.02,{rates}\n")  # degrees
    with pytest.raises(DeblurError, match=r"moves the picture by up to \d+ pixels .* rates are in radians a second"):
        read_path(file, 640, 480, 800, readout=readout)
    file.write_text(f"t,wx,wy,wz\n0,{rates.replace('60', '6')}\n0.02,{rates.replace('60', '6')}\n")
    assert read_path(file, 640, 480, 800, readout=readout).extent(0, 0) < LARGEST_REACH


@pytest.mark.parametrize("start", [0, 1_732_000_000])
@pytest.mark.parametrize("orientation", [1, 3])
def test_a_clock_that_counts_from_1970_turns_the_camera_as_far(tmp_path, start, orientation):
    file = tmp_path / "a.csv"
    file.write_text(f"t,wx,wy,wz\n{start},0,2,0\n{start + 1},0,2,0\n")
    opened = start + 0.25
    for seconds in (0.0005, 0.0012, 0.005):
        path = read_path(file, 640, 480, 800, orientation=orientation, exposure=(opened, opened + seconds))
        assert np.ptp(path.displacement(319.5, 239.5)[:, 0]) == pytest.approx(800 * 2 * seconds, rel=1e-3)


@pytest.mark.parametrize("columns", ["wx,wy,wz", "x,y,roll"])
def test_damaged_numbers_that_overflow_move_too_far(tmp_path, columns):
    file = tmp_path / "a.csv"
    file.write_text(f"t,{columns}\n0,0,0,0\n0.02,0,1e300,1e300\n")
    with pytest.raises(DeblurError, match="moves the picture by up to"):
        read_path(file, 640, 480, 800)


def test_no_row_of_a_rolling_shutter_may_move_too_far(tmp_path):
    file = tmp_path / "a.csv"
    # Still but for a jerk by 400 pixels that neither the first nor the middle nor the last row sees.
    file.write_text("t,x,y\n0,0,0\n0.025,0,0\n0.028,400,0\n0.1,400,0\n")
    with pytest.raises(DeblurError, match=r"moves the picture by up to \d+ pixels"):
        read_path(file, 640, 480, readout=0.08)


def test_long_shake_in_a_large_picture_is_restored(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("t,x,y\n0,0,0\n0.05,104,60\n0.1,185,30\n")
    sharp = cv2.resize(photographs.coffee(), (1600, 1066), interpolation=cv2.INTER_CUBIC)
    path = read_path(file, 1600, 1066)
    assert path.extent(800, 533) > LARGEST_REACH
    blurred = exposed(sharp, path)
    restored = Deblurrer.load("mstsgm-guided", "cpu")(blurred, path)
    assert decibels(restored, sharp) > decibels(blurred, sharp) + 1


def test_a_file_of_another_encoding_is_named(tmp_path):
    file = tmp_path / "path.csv"
    file.write_text(GYROSCOPE_FILE, encoding="utf-16")
    with pytest.raises(DeblurError, match=r"path\.csv is not UTF-8: save it as CSV in UTF-8"):
        read_path(file, 640, 480, 800)


@pytest.mark.parametrize("closed", [0.5 + 1e-11, 0.5 + 1e-7])
def test_an_exposure_that_is_too_short_beside_the_readout_is_refused(tmp_path, closed):
    file = tmp_path / "drive.csv"
    file.write_text("t,x,y\n0,0,0\n1,10,0\n")
    with pytest.raises(
        DeblurError, match=r"drive\.csv: the shutter was open for 1e-\d+ seconds, from 0\.5, which is too short"
    ):
        read_record(file).path(640, 480, exposure=(0.5, closed), readout=0.02)
    assert read_record(file).path(640, 480, exposure=(0.5, 0.500001), readout=0.02).extent(320, 0) < 0.01


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(DeblurError, match=r"cannot read the camera's path .*none\.csv: No such file"):
        read_path(tmp_path / "none.csv", 640, 480)


def test_a_sensor_on_the_camera_feels_nothing_of_objects():
    moving, followed = (
        draw_motion(BlurSpec(kind, 20), generator_for(BlurSpec(kind, 20), 0, "a"), 300, 200)
        for kind in ("object", "background")
    )
    assert not camera_path(moving).path.any()
    assert camera_path(moving).center == moving.center
    assert camera_path(followed).region is None
    np.testing.assert_array_equal(camera_path(followed).path, followed.path)


def test_a_sensor_is_off_by_a_little():
    motion = draw_motion(BlurSpec("shake", 20), np.random.default_rng(1), 640, 480)
    errors = []
    for seed in range(40):
        measured = as_measured(motion, np.random.default_rng(seed))
        assert measured.weights.sum() == pytest.approx(1)
        np.testing.assert_allclose(measured.weights @ measured.path, 0, atol=1e-12)
        one, other = measured.kernel_at(320, 240, KERNEL), motion.kernel_at(320, 240, KERNEL)
        errors.append(1 - (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))
    assert 0.02 < np.median(errors) < 0.3
    assert max(errors) > 2 * min(errors)
    assert not as_measured(still(30, 20), np.random.default_rng(0)).path.any()


def test_a_sensor_errs_by_percents_and_degrees():
    line = np.column_stack([np.linspace(-50, 50, 51), np.zeros(51), np.linspace(-0.1, 0.1, 51), np.zeros(51)])
    motion = Motion(line, np.full(51, 1 / 51), (0.0, 0.0), ordered=False)
    spans = []
    for seed in range(400):
        measured = as_measured(motion, np.random.default_rng(seed)).path
        spans.append(measured[-1] - measured[0])
    x, y, roll, _ = np.array(spans).T
    scales, angles = np.hypot(x, y) / 100, np.arctan2(y, x)
    assert scales.mean() == pytest.approx(1, abs=0.006)
    assert scales.std() == pytest.approx(0.03, abs=0.004)
    assert angles.mean() == pytest.approx(0, abs=0.004)
    assert angles.std() == pytest.approx(0.02, abs=0.003)
    np.testing.assert_allclose(roll / 0.2, scales)


def test_axes_that_are_turned_turn_a_path_clockwise_and_leave_its_roll():
    motion = Motion(np.array([[-1, 0, -0.1, 0], [1, 0, 0.1, 0]]), np.full(2, 0.5), (0.0, 0.0))
    turned = misread(motion, 2, 0.3).path[1]
    np.testing.assert_allclose(turned, [2 * np.cos(0.3), 2 * np.sin(0.3), 0.2, 0])


def test_a_sensor_misses_a_part_of_the_exposure_at_its_begin_or_at_its_end():
    path = np.column_stack([np.linspace(-50, 50, 201), np.zeros((201, 3))])
    motion = Motion(path, np.arange(1, 202) / (101 * 201), (0.0, 0.0))
    missed = []
    for seed in range(60):
        weights = as_measured(motion, np.random.default_rng(seed)).weights
        begin = round(weights[0] / (weights[1] - weights[0])) - 1  # by its weight each step tells which one it was
        missed.append((begin, 201 - begin - len(weights)))
    assert all(min(both) == 0 for both in missed)
    for most in np.max(missed, axis=0):
        assert 8 <= most <= 10  # a twentieth of 201 steps


def test_of_a_kernel_whose_order_in_time_nobody_knows_a_sensor_misses_nothing(tmp_path):
    kernel = np.zeros((31, 31))
    kernel[:, 15], kernel[0] = 1.0, 1.0  # a tenth of the light falls on the upper edge
    np.savez(tmp_path / "k.npz", kernel=kernel)
    spec = BlurSpec("measured", 30, kernels=str(tmp_path / "k.npz"))
    motion = draw_motion(spec, generator_for(spec, 0, "a"), 640, 480)
    for seed in range(10):
        generator, other = (np.random.default_rng(seed) for _ in range(2))
        felt = as_measured(motion, generator)
        np.testing.assert_allclose(felt.weights, motion.weights)
        # Scaled and turned, which leaves the distances between points to each other what they were.
        lengths = [np.linalg.norm(each.path[:, :2], axis=1) for each in (felt, motion)]
        assert np.ptp(lengths[0][lengths[1] > 1] / lengths[1][lengths[1] > 1]) < 1e-9
        as_measured(replace(motion, ordered=True), other)
        assert generator.random() == other.random()  # what is drawn next does not depend on the kind of blur


def test_a_guide_that_is_told_a_path_undoes_it_place_by_place_and_the_right_way_round():
    sharp, blurred, motion = shaken(24)
    exposure = exposure_along(motion, 448, 512, CPU)
    assert exposure.certain
    assert (len(exposure.rows), len(exposure.columns)) == (4, 5)
    np.testing.assert_array_equal(
        exposure.kernels.mean[0, 7].numpy(), motion.kernel_at(exposure.columns[2], exposure.rows[1], KERNEL)
    )
    picture = torch.from_numpy(blurred).permute(2, 0, 1).unsqueeze(0).float() / 255
    truth = torch.from_numpy(sharp).permute(2, 0, 1).unsqueeze(0).float() / 255
    guide = ExposureGuide(KernelEstimator(KernelEstimatorConfig(widths=(4, 6, 8, 10)))).eval()
    with torch.inference_mode():
        channels = guide(picture, exposure)
        turned = guide(picture, exposure._replace(kernels=exposure.kernels.changed(half_turned)))
    before = psnr(picture, truth).item()
    for correction in range(CORRECTIONS):
        right, wrong = (psnr(picture + each[:, [correction]], truth).item() for each in (channels, turned))
        assert right > before + 1
        assert wrong < right - 0.5
    detailed, calm = ((picture + channels[:, [i]]).diff(dim=-1).abs().mean().item() for i in (1, 2))
    assert calm < detailed


@pytest.mark.parametrize(
    "path",
    [
        draw_motion(BlurSpec("shake", 20, readout=1), np.random.default_rng(2), 640, 480),
        Rotation(np.linspace([0, 0, 0], [0.02, 0.04, 0.1], 65), 500.0, (320.0, 240.0), RollingShutter(33, 480)),
    ],
)
def test_places_of_a_row_are_each_as_by_themselves(path):
    places = np.array([-20.0, 0.0, 317.5, 700.0])
    kernels_of_row, moved = path.kernel_at(places, 100, 49), path.displacement(places, 100)
    for place, kernel, points in zip(places, kernels_of_row, moved, strict=True):
        np.testing.assert_allclose(path.kernel_at(place, 100, 49), kernel, atol=1e-7)
        np.testing.assert_allclose(path.displacement(place, 100), points)
    assert path.extent(places, 100) == max(path.extent(place, 100) for place in places)


@pytest.mark.parametrize(
    ("blur", "rows", "columns"),
    [
        ("straight:40", 4, 6),  # the same everywhere
        ("shake:20,roll=0,readout=2", 17, 6),  # the same along each row
        ("forward:30", 12, 16),
    ],
)
def test_kernels_are_made_for_closer_places_where_they_change_faster(blur, rows, columns):
    spec = parse_blur(blur)
    motion = draw_motion(spec, generator_for(spec, 0, "a"), 640, 480)
    exposure = exposure_along(motion, 480, 640, CPU)
    assert (len(exposure.rows), len(exposure.columns)) == (rows, columns)


def test_a_small_picture_that_rolls_has_kernels_for_more_than_its_middle():
    roll = np.column_stack([np.zeros((21, 2)), np.linspace(-0.02, 0.02, 21), np.zeros(21)])
    exposure = exposure_along(Motion(roll, np.full(21, 1 / 21), (63.5, 63.5)), 128, 128, CPU)
    assert (len(exposure.rows), len(exposure.columns)) == (3, 3)


def test_large_kernels_are_made_for_fewer_places():
    motion = draw_motion(parse_blur("forward:90"), generator_for(BlurSpec(), 0, "a"), 640, 480)
    exposure = exposure_along(motion, 480, 640, CPU)
    assert exposure.kernels.mean.shape[-1] == 112
    assert (len(exposure.rows), len(exposure.columns)) == (9, 11)


@pytest.mark.parametrize("blur", ["forward:30", "shake:16,readout=2"])
def test_close_places_restore_what_changes_fast(blur, monkeypatch):
    sharp = photographs.astronaut()[:360, :480]
    blurred, motion = synthesize_with_motion(sharp, parse_blur(blur), 0, "a")
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    close = decibels(deblurrer(blurred, motion), sharp)
    monkeypatch.setattr(kernels, "_LARGEST_CHANGE", 1e9)
    assert close > decibels(deblurrer(blurred, motion), sharp) + 0.5


def test_a_long_path_has_a_large_kernel():
    sharp = photographs.astronaut()
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("straight", 90), 5, "astronaut")
    assert exposure_along(motion, 512, 512, CPU).kernels.mean.shape[2:] == (80, 80)
    far = exposure_along(Rotation(np.linspace([0, -1, 0], [0, 1, 0], 99), 500.0, (256.0, 256.0)), 512, 512, CPU)
    assert far.kernels.mean.shape[2:] == (160, 160)
    restored = Deblurrer.load("mstsgm-guided", "cpu")(blurred, motion)
    assert decibels(restored, sharp) > decibels(blurred, sharp) + 1


def test_a_picture_of_a_batch_is_restored_as_by_itself():
    blurred, motion = shaken(8)[1:]
    blurred = blurred[:192, :256]
    other = draw_motion(parse_blur("shake:120,readout=2"), np.random.default_rng(0), *blurred.shape[1::-1])
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    both = deblurrer(np.stack([blurred] * 2), [motion, other])
    np.testing.assert_array_equal(both[0], deblurrer(blurred, motion))


@pytest.mark.parametrize("per_second", [256, 509, 1270])
def test_vibration_faster_than_an_exposure_is_read_at_moves_nothing(tmp_path, per_second):
    exposure = 127 / per_second  # at 128 even steps it would be seen at the same phase each time
    times = np.linspace(0, exposure, 40 * 128)
    rates = 0.5 * np.cos(2 * np.pi * per_second * times)
    table = np.column_stack([times, np.zeros_like(times), rates, np.zeros_like(times)])
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header="t,wx,wy,wz", comments="")
    path = read_path(tmp_path / "a.csv", 640, 480, focal_length=600)
    assert path.extent(np.array([0.0, 639.0]), 240.0) < 0.3


@pytest.mark.parametrize(("exposure", "refused"), [((0.3, 0.34), True), ((0.19, 0.21), True), ((0.1, 0.15), False)])
def test_a_record_that_lacks_samples_while_the_shutter_was_open_is_refused(tmp_path, exposure, refused):
    times = np.arange(0, 1, 0.005)
    times = times[(times < 0.2) | (times > 0.45)]
    table = np.column_stack([times, np.full((len(times), 3), 0.1)])
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header="t,wx,wy,wz", comments="")
    record = read_record(tmp_path / "a.csv")
    if refused:
        with pytest.raises(DeblurError, match=r"no samples from 0\.195 to 0\.455 seconds, while the"):
            record.path(320, 240, 300, exposure=exposure)
    else:
        assert record.path(320, 240, 300, exposure=exposure).extent(np.array([0.0]), 0.0) < 5


@pytest.mark.parametrize(("per_second", "lacking"), [(1000, range(41, 52)), (20, ())])
def test_some_samples_of_many_may_lack_and_few_a_second_are_no_gap(per_second, lacking):
    times = np.array([step / per_second for step in range(per_second) if step not in lacking])
    record = Record(Path("imu.csv"), times, {name: np.full(len(times), 0.1) for name in ("wx", "wy", "wz")})
    assert record.path(320, 240, 300, exposure=(0.0, 0.09)).extent(0.0, 0.0) > 1


def test_a_rate_that_rises_between_two_samples_turns_the_camera_by_its_mean():
    nothing = np.zeros(2)
    record = Record(Path("imu.csv"), np.array([0, 0.1]), {"wx": nothing, "wy": np.array([0.0, 1.0]), "wz": nothing})
    angles = record.path(320, 240, 300).angles
    np.testing.assert_allclose(angles[-1] - angles[0], [0, 0.05, 0])


@pytest.mark.parametrize("focal_length", [0, -300, float("nan"), float("inf")])
def test_a_focal_length_that_is_none_is_refused(tmp_path, focal_length):
    (tmp_path / "a.csv").write_text(GYROSCOPE_FILE)
    with pytest.raises(DeblurError, match="give a number above 0"):
        read_path(tmp_path / "a.csv", 320, 240, focal_length=focal_length)


def test_a_gyroscope_feels_how_a_camera_that_moves_ahead_shakes_and_not_how_all_grows():
    spec = parse_blur("forward:24")
    moved = draw_motion(spec, generator_for(spec, 0, "a"), 640, 480)
    assert np.abs(moved.path[:, 3]).max() > 0.01
    felt = felt_path(spec, 0, "a", 640, 480)
    assert not felt.path[:, 3].any()
    assert 0.8 < np.ptp(felt.path[:, 0]) / np.ptp(moved.path[:, 0]) < 1.2


@pytest.mark.parametrize("seed", [0, 1])
def test_what_a_sensor_errs_by_is_drawn_for_each_picture_apart_from_its_blur(seed):
    spec = BlurSpec("shake", 16)
    motion = draw_motion(spec, generator_for(spec, seed, "a"), 640, 480)
    expected = felt(motion, generator_for(spec, seed, "a\nsensor"))
    np.testing.assert_array_equal(felt_path(spec, seed, "a", 640, 480).path, expected.path)


def test_a_deblurrer_restores_more_where_it_is_told_the_path():
    sharp, blurred, motion = shaken(16)
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    assert deblurrer.takes_path
    told = deblurrer(blurred, motion)
    assert decibels(told, sharp) > decibels(deblurrer(blurred), sharp) + 0.5
    # Tiles know their place in the path.
    tiled = Deblurrer.load("mstsgm-guided", "cpu", max_pixels=448 * 448)
    assert decibels(tiled(blurred, motion), told) > 38
    # In a batch each picture has its own path, or none.
    part = blurred[:128, :160]
    alone, untold = deblurrer(part, motion), deblurrer(part)
    assert not np.array_equal(alone, untold)
    both = deblurrer(np.stack([part, part[::-1]]), [motion, still(160, 128)])
    np.testing.assert_array_equal(both[0], alone)
    one = deblurrer(np.stack([part] * 2), [motion, None])
    np.testing.assert_array_equal(one, [alone, untold])


@pytest.mark.parametrize("evidence", [(0.3, -0.1), (0.1, -0.3)])
def test_tiles_of_one_picture_agree_which_light_was_averaged(evidence, monkeypatch):
    _, blurred, motion = shaken(16)
    found, taken = iter(evidence), []
    monkeypatch.setattr("deblur.along_path.evidence_of_light", lambda *pictures: next(found))
    monkeypatch.setattr("deblur.along_path.make_consistent", lambda *given: taken.append(given[3]) or given[0])
    Deblurrer.load("mstsgm-guided", "cpu", max_pixels=448 * 448)(blurred, motion)
    assert taken == [sum(evidence) > 0] * 2


def test_a_path_that_does_not_fit_is_refused():
    picture = np.zeros((20, 30, 3), np.uint8)
    with pytest.raises(ValueError, match="mstsgm-nano has no guide and takes no camera path"):
        Deblurrer.load("mstsgm-nano", "cpu")(picture, still(30, 20))
    nano = Deblurrer.load("mstsgm-nano", "cpu")
    np.testing.assert_array_equal(nano(picture[None], [None]), nano(picture[None]))
    with pytest.raises(ValueError, match="mstsgm-nano has no guide that could be told a path to believe"):
        nano.trust = Deblurrer.load("mstsgm-guided", "cpu").trust
    with pytest.raises(ValueError, match="2 camera paths for 1 pictures"):
        Deblurrer.load("mstsgm-guided", "cpu")(picture, [still(30, 20)] * 2)


@pytest.mark.parametrize(
    "given", ["gyro.csv", np.zeros((9, 2)), [np.zeros((9, 2))], Path("gyro.csv"), [[0, 1], [2, 3]]]
)
def test_what_is_no_path_is_said_to_be_none(given):
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    picture = np.zeros((20, 30, 3), np.uint8)
    for restore in (deblurrer, deblurrer.unrounded, deblurrer.restore_along):
        with pytest.raises(TypeError, match=r"what deblur\.exposure\.path_files\.read_path makes"):
            restore(picture, given)


def test_an_exposure_may_be_a_row_of_numpy_and_a_file_a_name(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("t,x,y\n0,0,0\n1,8,0\n2,16,0\n")
    times = np.array([[0.0, 1.0], [1.0, 2.0]])
    for opened, closed in times:
        expected = read_path(file, 64, 48, exposure=(opened, closed)).displacement(0, 0)
        row = np.array([opened, closed])
        np.testing.assert_array_equal(read_path(str(file), 64, 48, exposure=row).displacement(0, 0), expected)
        np.testing.assert_array_equal(read_record(file).path(64, 48, exposure=row).displacement(0, 0), expected)


def test_telling_paths_changes_no_picture_of_a_batch(tmp_path, photos):
    mix = BlurMix((parse_blur_range("shake:8-20"),))
    source = parse_source("sharp", str(photos))
    store = PictureStore(CPU, 1 << 30)
    planners = (
        Planner(lambda step: draw_examples([source], 0, step, range(4)), store.size_of, Recipe(mix, path_share=share))
        for share in (0.0, 1.0)
    )
    untold, told = (make_batch(planner.plans(0, 64), store, 64) for planner in planners)
    torch.testing.assert_close(told.blurred, untold.blurred, rtol=0, atol=0)
    assert untold.exposures == (None,) * 4
    for exposure, motion in zip(told.exposures, told.motions, strict=True):
        assert exposure is not None
        assert motion is not None
        assert exposure.certain
        found, true = exposure.kernels.mean[0, 0], exposure_along(motion, 64, 64, CPU).kernels.mean[0, 0]
        assert spread(found).item() == pytest.approx(spread(true).item(), rel=0.3)
        assert not torch.equal(found, true)  # a sensor errs
    assert [exposure is None for exposure in told.portions(2)[1].exposures] == [False, False]


def test_kernels_that_are_told_and_those_that_are_not_each_reach_their_picture():
    pictures, motions = [], []
    for blur in ("straight:12", "straight:90", "straight:16", "straight:20", "shake:12,readout=4"):
        blurred, motion = synthesize_with_motion(photographs.astronaut()[:64, :64], parse_blur(blur), 1, "a")
        pictures.append(torch.from_numpy(blurred).permute(2, 0, 1).float() / 255)
        motions.append(replace(motion, path=motion.path * 10))  # pictures are small and kernels are to differ in size
    told = tuple(exposure_along(motion, 64, 64, CPU) for motion in motions)
    assert len({exposure.kernels.mean.shape for exposure in told}) > 2
    assert len({exposure.rows for exposure in told}) > 1
    given = (told[0], told[1], None, *told[3:])
    batch = Batch(torch.stack(pictures), torch.stack(pictures), tuple(motions), given, ())
    network = load_released("mstsgm-guided")[0]
    assert isinstance(network, GuidedNetwork)
    with torch.inference_mode():
        found = guide_channels(network.guide, batch)
        for place, (picture, exposure) in enumerate(zip(pictures, batch.exposures, strict=True)):
            torch.testing.assert_close(found[place], network.guide(picture[None], exposure)[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("columns", ["wx,wy,wz", "x,y,roll"])
def test_rows_of_a_part_and_of_a_smaller_copy_are_exposed_when_they_were(tmp_path, columns):
    # Ever faster, so that no two rows are alike.
    rates = [(i / 1000, 0.2 + i / 200, 0.4 - i / 300, i / 100) for i in range(61)]
    np.savetxt(tmp_path / "a.csv", rates, delimiter=",", header=f"t,{columns}", comments="")
    path = read_path(tmp_path / "a.csv", 320, 240, 300.0, readout=0.03)
    for x, y in ((20.0, 10.0), (100.0, 60.0), (180.0, 110.0)):
        whole = path.displacement(x + 100, y + 90)
        there = ((x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5)
        np.testing.assert_allclose(path.cropped(100, 90).displacement(x, y), whole, atol=1e-6)
        np.testing.assert_allclose(path.cropped(100, 90).scaled(0.5).displacement(*there), whole / 2, atol=0.02)


@pytest.mark.parametrize("consistent", [False, True])
def test_every_tile_is_told_its_own_part_of_the_path(monkeypatch, consistent):
    asked = []

    def along(path, *size):
        asked.append(path.center)
        return exposure_along(path, *size)

    def light(restored, blurred, path):
        asked.append(path.center)
        return 1.0

    def made(restored, blurred, path, *rest):
        asked.append(path.center)
        return restored

    monkeypatch.setattr("deblur.along_path.exposure_along", along)
    monkeypatch.setattr("deblur.along_path.evidence_of_light", light)
    monkeypatch.setattr("deblur.along_path.make_consistent", made)
    picture = np.tile(photographs.astronaut(), (2, 1, 1))[:600, :500]
    motion = Motion(np.outer(np.arange(-9.0, 10), (1, 0, 0, 0)), np.full(19, 1 / 19), (250.0, 300.0))
    Deblurrer.load("mstsgm-guided", "cpu", max_pixels=448 * 500, consistent=consistent)(picture, motion)
    assert set(asked) == {(250.0, 300.0), (250.0, 148.0)}


def test_a_record_that_lacks_samples_while_the_last_rows_were_read_is_refused(tmp_path):
    times = [each / 1000 for each in range(100) if not 40 < each < 80]
    (tmp_path / "a.csv").write_text("t,wx,wy,wz\n" + "".join(f"{t},0.1,0.1,0.1\n" for t in times))
    read_path(tmp_path / "a.csv", 320, 240, 300.0, exposure=(0.0, 0.03))
    with pytest.raises(DeblurError, match=r"no samples from 0\.04 to 0\.08"):
        read_path(tmp_path / "a.csv", 320, 240, 300.0, readout=0.05, exposure=(0.0, 0.03))


def test_pauses_of_a_record_do_not_hide_that_samples_lack_elsewhere():
    take = np.arange(100) / 100
    times = np.concatenate([take, 500 + take[take < 0.3], 500 + take[take > 0.6]])
    record = Record(Path("imu"), times, dict.fromkeys(RATES, np.full(len(times), 0.1)))
    with pytest.raises(DeblurError, match=r"no samples from 500\.29 to 500\.61"):
        record.path(320, 240, 300.0, exposure=(500.2, 500.7))


def test_a_last_row_that_is_read_before_the_first_is_refused():
    record = Record(Path("imu"), np.array([0.0, 1.0]), {"x": np.array([0.0, 9.0]), "y": np.zeros(2)})
    with pytest.raises(DeblurError, match=r"open from 0\.1 to 0\.2, in the last row to 0\.15"):
        record.path(101, 101, exposure=(0.1, 0.2), readout=-0.05)


def test_a_record_is_what_it_was_made_of_whatever_becomes_of_the_buffers():
    times, x = np.array([0, 1, 2], np.uint8), np.ma.array([0.0, 4.0, 8.0], mask=[0, 0, 0])
    record = Record(Path("imu"), times, {"x": x, "y": [0, 0, 0]})
    before = record.path(9, 9).extent(4, 4)
    times[:], x[:] = 0, 0
    assert record.path(9, 9).extent(4, 4) == before > 0
    assert record.times.dtype == np.float64
    with pytest.raises(DeblurError, match="t does not rise from 3"):
        Record(Path("imu"), np.array([1, 3, 2], np.uint64), {"x": x, "y": x})
    with pytest.raises(DeblurError, match="imu: t goes farther than numbers can say"):
        Record(Path("imu"), np.array([-1e308, 0, 1e308]), {"x": x, "y": x})
    with pytest.raises(DeblurError, match="imu: x holds what is no finite number"):
        Record(Path("imu"), times, {"x": np.ma.array([0.0, 4.0, 8.0], mask=[0, 1, 0]), "y": x})
    with pytest.raises(DeblurError, match="imu: y holds what is no finite number"):
        Record(Path("imu"), times, {"x": x, "y": ["a", "b", "c"]})


def test_paths_and_records_are_compared_by_identity_and_kept_in_sets():
    record = Record(Path("imu"), np.array([0.0, 1.0]), dict.fromkeys(RATES, np.full(2, 0.1)))
    turned = [record.path(9, 9, 100.0, orientation=orientation) for orientation in (1, 6)]
    motion = Record(Path("imu"), np.array([0.0, 1.0]), {"x": np.arange(2.0), "y": np.zeros(2)}).path(9, 9)
    for each in (record, *turned, motion):
        assert each != copy.copy(each), "and no array is asked whether it is true"
        assert len({each, each, copy.copy(each)}) == 2
