from __future__ import annotations

import io
import math
import zipfile
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from deblur.blur import (
    KINDS,
    BlurSpec,
    Motion,
    average_frames,
    draw_motion,
    expose,
    expose_windows,
    generator_for,
    parse_blur,
    synthesize,
    synthesize_with_motion,
)
from deblur.blur.motion import Region, RollingShutter, rasterize, read_kernels, scaled_point, still
from deblur.blur.rendering import convolve, moving_share, render, sub_exposures
from deblur.blur.sensor import jpeg, noise, to_linear, to_srgb
from deblur.errors import DeblurError

CLEAN = "shot=0,read=0,jpeg=0"


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.ascontiguousarray(photographs.astronaut()[60:220, 120:340])


@pytest.fixture
def kernel_file(tmp_path):
    kernel = np.zeros((9, 9))
    kernel[4, 1:8] = 1.0
    np.savez(tmp_path / "kernels.npz", line=kernel, empty=np.zeros((3, 3)))
    return tmp_path / "kernels.npz"


def test_spec_text_goes_both_ways():
    for text in ("none", "shake:16", "straight:15,light=srgb,jpeg=0", "curved:7.5,shot=0.02", "shake:8,readout=16.0"):
        assert str(parse_blur(text)) == text
        assert parse_blur(str(parse_blur(text))) == parse_blur(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wobble:3", "unknown kind"),
        ("shake:abc", "length='abc' is not a number"),
        ("shake:16,light=dark", "light='dark'"),
        ("shake:16,speed=3", "unknown option 'speed'; known: length, roll, light"),
        ("shake:16,jpeg", "not NAME=VALUE"),
        ("shake:16,length=8", "length is given twice"),
        ("shake:16,jpeg=50,jpeg=60", "jpeg is given twice"),
        ("shake:-1", "length=-1"),
        ("shake:nan", "length=nan"),
        ("shake:20000", "length=20000.0 must be a number from 0 to below 10000"),
        ("shake:16,jpeg=101", "jpeg=101"),
        ("shake:16,jpeg=90.5", "jpeg=90.5 must be a quality from 1 to 100"),
        ("shake:16,jpeg=nan", "jpeg=nan must be"),
        ("shake:16,readout=-1", "readout=-1"),
        ("shake:16,readout=17", "readout=17 with shake: it is for shake, up to 16"),
        ("straight:16,readout=1", "readout=1 with straight"),
        ("measured:9", "needs kernels"),
        ("shake:9,kernels=a.npz", "kernels=a.npz with shake: they are for measured"),
    ],
)
def test_bad_spec_says_what_is_wrong(text, message):
    with pytest.raises(DeblurError, match=message):
        parse_blur(text)


def test_a_name_of_kernels_that_no_text_could_give_is_refused():
    with pytest.raises(DeblurError, match=r"the name 'a,b\.npz' of the file of kernels holds a comma: rename it"):
        BlurSpec("measured", kernels="a,b.npz")


def test_a_name_that_is_no_unicode_has_a_blur_of_its_own():
    one, again, other = (generator_for(BlurSpec(), 0, key).random() for key in ("a\udce9", "a\udce9", "a\udce8"))
    assert one == again != other


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "measured"])
def test_same_arguments_give_the_same_picture(picture, kind):
    spec = parse_blur(f"{kind}:12")
    first = synthesize(picture, spec, 3, "a")
    assert first.shape == picture.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, synthesize(picture, spec, 3, "a"))
    if kind != "none":
        assert not np.array_equal(first, synthesize(picture, spec, 4, "a"))
        assert not np.array_equal(first, synthesize(picture, spec, 3, "b"))


def test_a_picture_does_not_depend_on_its_batch(picture):
    specs = [parse_blur(text) for text in ("shake:6", "straight:20", "none", "object:14", "shake:24", "background:9")]
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    motions = [draw_motion(spec, generator_for(spec, 0, "k"), picture.shape[1], picture.shape[0]) for spec in specs]
    together = expose(tensor.expand(len(specs), *tensor.shape), motions, specs, range(len(specs)))
    for index, spec in enumerate(specs):
        alone = expose(tensor.unsqueeze(0), [motions[index]], [spec], [index])[0]
        # Sums in another order may round the other way, hardly ever and by one level.
        difference = (alone.int() - together[index].int()).abs()
        assert difference.max() <= 2
        assert (difference > 0).float().mean() < 1e-3


def test_light_and_encoded_values_are_averaged_side_by_side_in_a_batch(picture):
    specs = [parse_blur(f"straight:20,light={light},{CLEAN}") for light in ("linear", "srgb")]
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    motion = draw_motion(specs[0], generator_for(specs[0], 0, "k"), picture.shape[1], picture.shape[0])
    together = expose(tensor.expand(2, *tensor.shape), [motion] * 2, specs, [0, 0]).int()
    assert (together[0] - together[1]).abs().max() > 5
    for index, spec in enumerate(specs):
        alone = expose(tensor.unsqueeze(0), [motion], [spec], [0])[0].int()
        assert (alone - together[index]).abs().max() <= 1


def test_no_blur_leaves_a_clean_picture_alone(picture):
    assert np.array_equal(synthesize(picture, parse_blur(f"none,{CLEAN}"), 0, "a"), picture)
    assert np.array_equal(synthesize(picture, parse_blur(f"shake:0,{CLEAN}"), 0, "a"), picture)


def test_longer_blur_is_stronger(picture):
    errors = []
    for length in (4, 8, 16, 32):
        blurred = synthesize(picture, parse_blur(f"straight:{length},{CLEAN}"), 0, "a").astype(float)
        errors.append(((blurred - picture) ** 2).mean())
    # Each length has a direction of its own, so only the ends are compared.
    assert errors[0] < errors[2]
    assert errors[1] < errors[3]


@pytest.mark.parametrize("kind", ["straight", "curved", "shake"])
def test_path_has_the_length_it_was_asked_for_and_mean_zero(kind):
    for seed in range(5):
        motion = draw_motion(BlurSpec(kind=kind, length=20), generator_for(BlurSpec(), seed, ""), 1280, 720)
        arc = np.hypot(*np.diff(motion.path[:, :2], axis=0).T).sum()
        assert arc == pytest.approx(20 * 1280 / 640, rel=1e-6)
        assert motion.weights @ motion.path == pytest.approx([0, 0, 0, 0], abs=1e-9)
        assert np.hypot(*np.diff(motion.path[:, :2], axis=0).T).max() < 2.5


def test_rows_of_a_rolling_shutter_are_exposed_one_after_the_other():
    spec = BlurSpec(length=20, readout=2)
    motion = draw_motion(spec, generator_for(spec, 3, ""), 640, 480)
    assert motion.steps == len(draw_motion(BlurSpec(length=20), generator_for(spec, 3, ""), 640, 480).path)
    assert len(motion.path) == 3 * motion.steps
    arc = np.hypot(*np.diff(motion.path[:, :2], axis=0).T).sum()
    assert arc == pytest.approx(3 * 20, rel=1e-6)
    first, last = motion.of_row(0), motion.of_row(479)
    np.testing.assert_allclose(np.diff(first.path, axis=0), np.diff(motion.path[: motion.steps], axis=0))
    np.testing.assert_allclose(np.diff(last.path, axis=0), np.diff(motion.path[-motion.steps :], axis=0))
    for row in (first, last):
        assert row.weights @ row.path == pytest.approx([0, 0, 0, 0], abs=1e-9)
    paths = motion.row_paths(480)
    for y in (0, 200, 479):
        np.testing.assert_allclose(paths[:, y], motion.of_row(y).path, atol=1e-12)
    assert not motion.uniform
    np.testing.assert_array_equal(motion.cropped(100, 300).kernel_at(0, 50, 49), motion.kernel_at(100, 350, 49))


def test_a_rolling_shutter_blurs_each_row_by_its_own_kernel():
    spec = parse_blur(f"shake:10,roll=0,readout=3,{CLEAN}")
    motion = draw_motion(spec, generator_for(spec, 1, ""), 96, 64)
    light = torch.rand(2, 3, 64, 96)
    at_once = draw_motion(parse_blur("shake:10"), generator_for(spec, 1, ""), 96, 64)
    rendered, other = render(light, [motion, at_once])
    for y in (20, 43):
        kernel = torch.from_numpy(motion.kernel_at(48, y, 25))
        direct = torch.nn.functional.conv2d(light[:1], kernel.flip(0, 1).expand(3, 1, 25, 25), groups=3)[0]
        assert torch.allclose(rendered[:, y, 12:-12], direct[:, y - 12], atol=1e-5)
        assert not torch.allclose(rendered[:, 63 - y, 12:-12], direct[:, 51 - y], atol=0.02)
    # One without, in the same batch, is what it is alone.
    assert torch.equal(other, render(light[1:], [at_once])[0])


def test_straight_is_straight_and_curved_is_not():
    def bend(kind: str) -> float:
        motion = draw_motion(BlurSpec(kind=kind, length=30), generator_for(BlurSpec(), 1, ""), 640, 480)
        return float(np.linalg.svd(motion.path[:, :2], compute_uv=False)[1] / np.linalg.svd(motion.path[:, :2])[1][0])

    assert bend("straight") < 0.01
    assert bend("curved") > 0.02


def test_shake_differs_from_place_to_place_and_the_kernel_says_how():
    spec = BlurSpec(kind="shake", length=24)
    motion = draw_motion(spec, generator_for(spec, 2, ""), 640, 480)
    corner, center = motion.kernel_at(0, 0, 81), motion.kernel_at(319.5, 239.5, 81)
    assert corner.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(corner - center).sum() > 0.2


def test_forward_grows_about_a_point_and_is_as_long_as_asked_for_in_the_farthest_corner():
    for seed in range(5):
        motion = draw_motion(BlurSpec(kind="forward", length=24), generator_for(BlurSpec(), seed, ""), 1280, 720)
        growing = replace(motion, path=motion.path * [0, 0, 0, 1])
        corners = [np.ptp(growing.displacement(x, y), axis=0) for x in (0, 1280) for y in (0, 720)]
        assert max(np.hypot(*corner) for corner in corners) == pytest.approx(48, rel=1e-6)
        assert growing.extent(*motion.center) == 0
        right = growing.displacement(motion.center[0] + 100, motion.center[1])
        assert right[0, 0] < 0 < right[-1, 0], "what is right of the point moves to the right"
        assert motion.extent(*motion.center) < 0.5 * 48, "the camera shakes less than it moves ahead"
        assert not motion.uniform


def test_a_jolt_is_a_shake_between_two_rests():
    for seed in range(5):
        motion = draw_motion(BlurSpec(kind="jolt", length=20), generator_for(BlurSpec(), seed, ""), 640, 480)
        moved = np.diff(motion.path, axis=0).any(axis=1)
        first, last = np.flatnonzero(moved)[[0, -1]]
        assert moved[first : last + 1].all(), "it moves in one go"
        assert 0.12 < moved.mean() < 0.55
        assert min(first, len(moved) - 1 - last) > 0.03 * len(moved), "it rests before and after"
        assert np.hypot(*np.diff(motion.path[:, :2], axis=0).T).sum() == pytest.approx(20, rel=0.02)
        assert np.abs(motion.path.mean(axis=0)).max() < 1e-9
        ends = np.sort(motion.kernel_at(319.5, 239.5, 48).ravel())[::-1]
        assert ends[:8].sum() > 0.45, "most of the light lies where it rests"
        assert not motion.uniform


@pytest.mark.parametrize("kind", ["shake", "jolt", "forward"])
def test_kernel_is_the_response_to_a_point(kind):
    spec = parse_blur(f"{kind}:18,{CLEAN}")
    motion = draw_motion(spec, generator_for(spec, 5, ""), 201, 161)
    for x, y in ((100, 80), (40, 120)):
        light = torch.zeros(1, 3, 161, 201)
        light[..., y, x] = 1.0
        spread = render(light, [motion])[0, 0]
        window = spread[y - 20 : y + 21, x - 20 : x + 21].numpy()
        # A roll bends the kernel over its own length a little; the two agree to a few percent of the light.
        assert np.abs(window - motion.kernel_at(x, y, 41)).sum() < 0.1


def test_uniform_blur_is_a_convolution_with_the_kernel(picture):
    spec = parse_blur(f"curved:15,{CLEAN}")
    motion = draw_motion(spec, generator_for(spec, 7, ""), picture.shape[1], picture.shape[0])
    light = torch.rand(1, 3, 64, 72)
    kernel = torch.from_numpy(motion.kernel_at(0, 0, 25))
    direct = torch.nn.functional.conv2d(light, kernel.flip(0, 1).expand(3, 1, 25, 25), groups=3)
    assert torch.allclose(render(light, [motion])[..., 12:-12, 12:-12], direct, atol=1e-5)


def test_convolution_reflects_at_borders_even_in_a_tiny_picture():
    kernel = torch.zeros(1, 9, 9)
    kernel[0, 4, :] = 1 / 9
    assert torch.allclose(convolve(torch.full((1, 3, 2, 3), 0.4), kernel), torch.full((1, 3, 2, 3), 0.4), atol=1e-6)


def test_what_an_object_leaves_still_has_no_sub_exposures():
    spec = parse_blur("object:20")
    motion = draw_motion(spec, generator_for(spec, 0, "a"), 64, 48)
    with pytest.raises(ValueError, match="motions of the whole picture only"):
        sub_exposures(torch.rand(3, 48, 64), motion, [0])


@pytest.mark.parametrize("blur", ["shake:10", "jolt:10", "forward:10", "shake:10,readout=0.7"])
def test_sub_exposures_average_to_the_blurred_light(blur):
    spec = parse_blur(f"{blur},{CLEAN}")
    motion = draw_motion(spec, generator_for(spec, 1, ""), 64, 48)
    light = torch.rand(3, 48, 64)
    frames = sub_exposures(light, motion, range(motion.steps))
    weights = torch.from_numpy(motion.of_row(0).weights).float().view(-1, 1, 1, 1)
    assert torch.allclose((frames * weights).sum(0), render(light.unsqueeze(0), [motion])[0], atol=1e-5)


def test_object_moves_on_a_still_background_and_the_other_way_round(picture):
    for kind in ("object", "background"):
        spec = parse_blur(f"{kind}:20,{CLEAN}")
        height, width = picture.shape[:2]
        motion = draw_motion(spec, generator_for(spec, 0, "a"), width, height)
        blurred = synthesize(picture, spec, 0, "a").astype(int)
        still = (np.abs(blurred - picture).max(axis=2) <= 1).mean()
        assert 0.05 < still < 0.99
        x, y = (int(value) for value in motion.region.center)
        changed = np.abs(blurred - picture)[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].max()
        assert (changed > 1) == (kind == "object")


def test_measured_kernels_are_read_scaled_and_bad_files_named(picture, kernel_file, tmp_path):
    spec = BlurSpec(kind="measured", length=30, kernels=str(kernel_file))
    motion = draw_motion(spec, generator_for(spec, 0, ""), 640, 480)
    assert end_to_end(motion) == pytest.approx(30)
    assert motion.weights @ motion.path == pytest.approx([0, 0, 0, 0], abs=1e-9)
    # Drawn larger, the line has no gaps.
    assert (motion.kernel_at(0, 0, 41) > 1e-3).sum() >= 30
    (tmp_path / "text.npz").write_text("no kernels")
    (tmp_path / "cut.npz").write_bytes(kernel_file.read_bytes()[:-40])
    with (tmp_path / "single.npz").open("wb") as stream:
        np.save(stream, np.ones((3, 3)))
    np.savez(tmp_path / "words.npz", words=np.array(["a"]))
    np.savez(tmp_path / "complex.npz", numbers=np.ones((3, 3), complex))
    np.savez(tmp_path / "dates.npz", dates=np.ones((3, 3), "M8[s]"))
    np.savez(tmp_path / "huge.npz", kernel=np.full((3, 3), 1e308))
    np.savez(tmp_path / "pairs.npz", pairs=np.ones((3, 3), [("a", int), ("b", int)]))
    with zipfile.ZipFile(tmp_path / "header.npz", "w") as archive:
        archive.writestr("kernel.npy", b"\x93NUMPY\x01\x00\x80\x00" + b"(" * 127 + b"\n")
    lies = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 1), }" % 10**30
    with zipfile.ZipFile(tmp_path / "shape.npz", "w") as archive:
        archive.writestr("kernel.npy", b"\x93NUMPY\x01\x00\x80\x00" + lies.ljust(127) + b"\n")
    damaged = ("text", "missing", "cut", "single", "words", "complex", "dates", "huge", "pairs", "header", "shape")
    for name in (f"{stem}.npz" for stem in damaged):
        with pytest.raises(DeblurError, match=name):
            synthesize(picture, BlurSpec(kind="measured", kernels=str(tmp_path / name)), 0, "a")


def test_a_spec_of_a_path_is_the_one_of_its_text(kernel_file):
    spec = BlurSpec(kind="measured", kernels=kernel_file)
    assert spec == BlurSpec(kind="measured", kernels=str(kernel_file))
    assert str(spec) == f"measured:16,kernels={kernel_file}"


@pytest.mark.parametrize("number", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("text", ["shake:16", "shake:16,readout=1", "curved:12,light=srgb", "object:20", "forward:9"])
def test_another_default_type_of_numbers_changes_no_blur(text, number):
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    blurred = synthesize(picture, parse_blur(text), 0, "a")
    torch.set_default_dtype(number)
    try:
        again = synthesize(picture, parse_blur(text), 0, "a")
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(again, blurred)


def test_what_is_kept_of_kernels_cannot_be_written_over(picture, kernel_file):
    _, motion = synthesize_with_motion(picture, BlurSpec(kind="measured", kernels=kernel_file), 0, "a")
    with pytest.raises(ValueError, match="read-only"):
        motion.weights *= 2
    with pytest.raises(ValueError, match="read-only"):
        read_kernels(str(kernel_file))[0].points(30)[0][:] = 0


def test_equal_specs_have_one_text_and_so_one_blur(picture):
    whole = BlurSpec("shake", 16, roll=0, shot=0, read=0, jpeg=0, readout=1)
    same = BlurSpec("shake", 16.0, roll=0.0, shot=0.0, read=np.float32(0), jpeg=np.int64(0), readout=np.float64(1))
    assert whole == same == parse_blur(str(whole))
    assert str(whole) == str(same) == "shake:16,roll=0.0,shot=0.0,read=0.0,jpeg=0,readout=1.0"
    assert np.array_equal(synthesize(picture, whole, 0, "a"), synthesize(picture, same, 0, "a"))


@pytest.mark.parametrize("wrong", [{"length": "16"}, {"roll": None}, {"jpeg": "90"}, {"jpeg": 90.5}])
def test_what_is_no_number_is_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(DeblurError, match=f"blur: {name}={value} must be a "):
        BlurSpec(**wrong)


def test_a_file_of_kernels_that_changes_is_read_anew(picture, tmp_path, monkeypatch):
    spec = BlurSpec(kind="measured", length=30, kernels="k.npz")
    blurred = {}
    for folder, kernel in (("line", np.eye(9)), ("dots", np.eye(9) * (np.arange(9) % 8 == 0))):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "k.npz", kernel=kernel)
        monkeypatch.chdir(tmp_path / folder)
        blurred[folder] = synthesize(picture, spec, 0, "a")
    assert not np.array_equal(blurred["line"], blurred["dots"])
    (tmp_path / "line" / "k.npz").write_bytes((tmp_path / "dots" / "k.npz").read_bytes())
    of_another_name = replace(spec, kernels=str(tmp_path / "line" / "k.npz"))
    assert np.array_equal(synthesize(picture, of_another_name, 0, "a"), blurred["dots"])


def test_measured_blur_is_of_what_the_file_holds_and_not_of_where_it_lies(picture, kernel_file, tmp_path, monkeypatch):
    spec = BlurSpec(kind="measured", length=30, kernels=str(kernel_file))
    blurred = synthesize(picture, spec, 0, "a")
    (tmp_path / "elsewhere.npz").write_bytes(kernel_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(synthesize(picture, replace(spec, kernels="./elsewhere.npz"), 0, "a"), blurred)
    np.savez(tmp_path / "other.npz", line=np.eye(9))
    other = replace(spec, kernels="other.npz")
    assert generator_for(other, 0, "a").random() != generator_for(spec, 0, "a").random()


@pytest.mark.parametrize("shape", ["disk", "corner", "point"])
def test_a_measured_kernel_is_as_long_as_asked_for_however_it_is_turned(tmp_path, shape):
    y, x = np.mgrid[-7:8, -7:8]
    kernel = {"disk": y**2 + x**2 <= 49, "corner": (y == 7) | (x == -7), "point": (y == 0) & (x == 0)}[shape]
    np.savez(tmp_path / "k.npz", kernel=kernel.astype(float))
    spec = BlurSpec(kind="measured", length=30, kernels=str(tmp_path / "k.npz"))
    for seed in range(4):
        motion = draw_motion(spec, generator_for(spec, seed, ""), 640, 480)
        # Drawn finer, a point has a size too.
        assert end_to_end(motion) == pytest.approx(30)


def end_to_end(motion):
    points = motion.path[:, :2]
    return np.linalg.norm(points[:, None] - points, axis=-1).max()


@pytest.mark.parametrize("kind", ["shake", "forward"])
def test_cropping_a_motion_keeps_its_kernels(kind):
    spec = BlurSpec(kind=kind, length=24)
    motion = draw_motion(spec, generator_for(spec, 2, ""), 640, 480)
    assert np.allclose(motion.cropped(100, 50).kernel_at(20, 30, 61), motion.kernel_at(120, 80, 61), atol=1e-7)


def test_a_part_of_a_part_is_exposed_when_it_was_in_the_whole():
    spec = BlurSpec(length=24, readout=3)
    motion = draw_motion(spec, generator_for(spec, 2, ""), 640, 480)
    twice, once = motion.cropped(60, 200).cropped(40, 100), motion.cropped(100, 300)
    np.testing.assert_array_equal(twice.kernel_at(20, 30, 61), once.kernel_at(20, 30, 61))


def test_an_object_goes_with_its_picture_into_a_part_and_a_smaller_copy():
    motion = replace(still(400, 300), region=Region((300.0, 100.0), (60.0, 40.0), 0.4, moves=True))
    for x, y in ((240, 80), (300, 60), (330, 120)):
        share = moving_share(motion, x, y, 40)
        assert 0.1 < share < 0.95
        assert moving_share(motion.cropped(70, 50), x - 70, y - 50, 40) == pytest.approx(share, abs=1e-4)
        assert moving_share(motion.scaled(0.5), x / 2, y / 2, 20) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("point", "factor", "scaled"),
    [((-0.5, -0.5), 0.5, (-0.5, -0.5)), ((99.5, 59.5), 0.5, (49.5, 29.5)), ((0.0, 0.0), 2, (0.5, 0.5))],
    ids=["corner", "opposite corner", "first pixel"],
)
def test_corners_of_a_picture_stay_its_corners_in_a_scaled_one(point, factor, scaled):
    assert scaled_point(point, factor) == pytest.approx(scaled)


def test_linear_light_and_srgb_differ_where_bright_meets_dark():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    linear, srgb = (
        synthesize(picture, parse_blur(f"straight:30,light={light},{CLEAN}"), 1, "x") for light in ("linear", "srgb")
    )
    assert linear.mean() > srgb.mean() + 1


def test_lamps_brighter_than_white_leave_streaks():
    sharp = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    sharp[..., 30:33, 30:33] = 255
    spec = parse_blur(f"straight:200,{CLEAN}")
    motion = draw_motion(spec, generator_for(spec, 0, ""), 64, 64)
    plain, bright = (expose(sharp, [motion], [spec], [0], [gain])[0].float().mean() for gain in (1.0, 4.0))
    assert bright > 1.3 * plain


@pytest.mark.parametrize(("light", "times"), [("linear", 2.0), ("srgb", 1.353)])
def test_lamps_are_brighter_in_light_whatever_is_averaged(light, times):
    """Twice as much light is 1.353 times the encoded value (IEC 61966-2-1)."""
    sharp = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    sharp[..., 46:50, 46:50] = 255
    spec = parse_blur(f"straight:200,light={light},{CLEAN}")
    motion = draw_motion(spec, generator_for(spec, 0, ""), 96, 96)
    plain, same, bright = (
        expose(sharp, [motion], [spec], [0], gains)[0].float() / 255 for gains in (None, [1.0], [2.0])
    )
    torch.testing.assert_close(same, plain, rtol=0, atol=1 / 255)
    if light == "linear":
        plain, bright = to_linear(plain), to_linear(bright)
    streak = plain > 0.3 * plain.max()
    assert bright.max() < 1
    assert bright[streak].sum() / plain[streak].sum() == pytest.approx(times, rel=0.01)


def test_srgb_and_linear_are_inverse_and_fix_black_and_white():
    values = torch.linspace(0, 1, 256)
    assert torch.allclose(to_srgb(to_linear(values)), values, atol=1e-6)
    assert to_linear(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0, 1])
    assert to_linear(torch.tensor(0.5)).item() == pytest.approx(0.21404, abs=1e-4)


def test_noise_is_standard_normal_and_depends_on_the_seed_alone():
    values = noise(torch.Size((2, 3, 200, 200)), torch.tensor([1, 2]))
    assert values.mean().abs() < 0.01
    assert values.std().item() == pytest.approx(1, abs=0.01)
    assert (values.abs() > 3).float().mean().item() == pytest.approx(0.0027, abs=0.0007)
    assert torch.equal(values[1:], noise(torch.Size((1, 3, 200, 200)), torch.tensor([2])))
    assert torch.corrcoef(values.flatten(1))[0, 1].abs() < 0.01


def test_noise_of_a_seed_stays_what_it_was():
    values = noise(torch.Size((2, 1, 2, 3)), torch.tensor([7, 2**40 + 1]))
    known = [
        [-1.15112, -1.27037, -0.12404, -0.69988, -1.24857, -0.56953],
        [0.10965, 0.66265, -0.00626, 1.82719, 1.72416, -1.17435],
    ]
    np.testing.assert_allclose(values.flatten(1), known, atol=1e-4)


def test_jpeg_is_close_to_the_library_that_cameras_use(picture):
    for quality in (10, 30, 49, 51, 60, 75, 80, 90):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
        theirs = np.asarray(Image.open(buffer)).astype(float)
        tensor = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0) / 255
        ours = (jpeg(tensor, torch.tensor([quality]))[0] * 255).permute(1, 2, 0).numpy()
        loss = ((theirs - picture) ** 2).mean()
        assert ((ours - theirs) ** 2).mean() < 0.2 * loss
        assert np.abs(ours - theirs).mean() < 2
        assert ((ours - picture) ** 2).mean() == pytest.approx(loss, rel=0.1)


def test_jpeg_cuts_blocks_at_the_right_and_at_the_bottom_as_the_library_does():
    y, x = np.mgrid[:41, :53]
    ramps = np.stack([3 * x + 90, 2 * y + 90, x + y + 90], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(ramps).save(buffer, "JPEG", quality=30, subsampling="4:2:0")
    theirs = np.asarray(Image.open(buffer)).astype(float)
    tensor = torch.from_numpy(ramps).permute(2, 0, 1).unsqueeze(0) / 255
    ours = (jpeg(tensor, torch.tensor([30]))[0] * 255).permute(1, 2, 0).numpy()
    for border in (np.s_[:, -5:], np.s_[-9:]):
        assert np.abs(ours - theirs)[border].mean() < 2


def test_a_picture_without_jpeg_stays_as_it_is_beside_one_with_it(picture):
    tensor = (torch.from_numpy(picture).permute(2, 0, 1) / 255).expand(2, -1, -1, -1)
    plain, written = jpeg(tensor, torch.tensor([0, 30]))
    assert torch.equal(plain, tensor[0])
    assert not torch.equal(written, tensor[1])


def test_mean_of_frames():
    frames = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    frames[1] = 255
    assert average_frames(frames, parse_blur(f"none,light=srgb,{CLEAN}"), 0).float().mean().item() == pytest.approx(
        128, abs=1
    )
    assert average_frames(frames, parse_blur(f"none,{CLEAN}"), 0).float().mean().item() == pytest.approx(188, abs=1)


def test_every_mean_of_frames_has_noise_of_its_own():
    frames = torch.full((3, 3, 16, 16), 100, dtype=torch.uint8)
    one, again, other = (average_frames(frames, BlurSpec("none", shot=0.02, jpeg=0), seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (37, 61)])
def test_any_size(size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for kind in ("shake:28", "straight:28", "object:28"):
        assert synthesize(picture, parse_blur(kind), 0, "a").shape == picture.shape


def test_only_rgb_uint8_is_taken():
    for picture in ("a.png", [[0, 0, 0]], np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(TypeError, match="pictures are numpy arrays of uint8, not"):
            synthesize(picture, BlurSpec(), 0, "a")
    for shape in ((4, 4), (4, 4, 4), (0, 4, 3)):
        with pytest.raises(ValueError, match=r"pictures are \(H, W, 3\), not \("):
            synthesize(np.zeros(shape, np.uint8), BlurSpec(), 0, "a")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_gives_the_same_picture(picture):
    for text in ("shake:16", "curved:12", "object:20"):
        spec = parse_blur(text)
        motion = draw_motion(spec, generator_for(spec, 0, "a"), picture.shape[1], picture.shape[0])
        sharp = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0)
        here = expose(sharp, [motion], [spec], [1]).int()
        there = expose(sharp.cuda(), [motion], [spec], [1]).cpu().int()
        assert ((here - there).abs() > 1).float().mean() < 1e-2


def test_the_motion_that_comes_with_a_picture_is_the_one_that_made_it(picture):
    spec = parse_blur(f"shake:18,{CLEAN}")
    blurred, motion = synthesize_with_motion(picture, spec, 2, "a")
    assert np.array_equal(blurred, synthesize(picture, spec, 2, "a"))
    sharp = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0)
    assert np.array_equal(expose(sharp, [motion], [spec], [0])[0].permute(1, 2, 0).numpy(), blurred)


def test_a_window_is_the_same_whatever_else_is_in_the_batch(picture):
    sharp = torch.from_numpy(picture).permute(2, 0, 1)
    specs = [parse_blur("shake:6,jpeg=60"), parse_blur("shake:40,jpeg=60")]
    motions = [draw_motion(spec, generator_for(spec, 1, ""), picture.shape[1], picture.shape[0]) for spec in specs]
    window = (8, 30, 70, 50)
    alone = expose_windows([sharp], [window], motions[:1], specs[:1], [5])[0]
    beside = expose_windows([sharp] * 2, [window] * 2, motions, specs, [5, 6])[0]
    assert (alone.int() - beside.int()).abs().max() <= 1


@pytest.mark.parametrize("blur", ["shake:24", "curved:24", "object:24", "background:24", "shake:24,readout=2"])
def test_a_window_shows_what_the_whole_picture_shows_there(picture, blur):
    spec = parse_blur(f"{blur},{CLEAN}")
    motion = draw_motion(spec, generator_for(spec, 1, ""), picture.shape[1], picture.shape[0])
    sharp = torch.from_numpy(picture).permute(2, 0, 1)
    whole = expose(sharp.unsqueeze(0), [motion], [spec], [0])[0].int()
    window = expose_windows([sharp], [(-6, 30, 70, 50)], [motion], [spec], [0])[0].int()
    assert window.shape == (3, 50, 70)
    assert (window[..., 6:] - whole[:, 30:80, :64]).abs().max() <= 1


def test_a_window_at_the_bottom_shows_what_moves_in_from_far_off_the_middle_of_the_turn(picture):
    height, width = picture.shape[:2]
    roll = np.column_stack([np.zeros((41, 2)), np.linspace(-0.2, 0.2, 41), np.zeros(41)])
    motion = Motion(roll, np.full(41, 1 / 41), (width / 2, 10.0))
    spec = parse_blur(f"shake:1,{CLEAN}")
    sharp = torch.from_numpy(picture).permute(2, 0, 1)
    whole = expose(sharp.unsqueeze(0), [motion], [spec], [0])[0].int()
    window = expose_windows([sharp], [(80, height - 40, 40, 30)], [motion], [spec], [0])[0].int()
    assert (window - whole[:, height - 40 : height - 10, 80:120]).abs().max() <= 1


@pytest.mark.parametrize("moves", [True, False])
def test_an_object_at_the_border_is_mirrored_with_the_picture(picture, moves):
    spec = parse_blur(f"{'object' if moves else 'background'}:40,{CLEAN}")
    height, width = picture.shape[:2]
    across = np.column_stack([np.linspace(-20, 20, 41), np.zeros((41, 3))])
    region = Region((4.0, height / 2), (30.0, 40.0), 0.3, moves)
    motion = Motion(across, np.full(41, 1 / 41), (width / 2, height / 2), region=region)
    sharp = torch.from_numpy(picture).permute(2, 0, 1)
    whole = expose(sharp.unsqueeze(0), [motion], [spec], [0])[0].int()
    window = expose_windows([sharp], [(0, 0, width, height)], [motion], [spec], [0])[0].int()
    assert (window - whole).abs().max() <= 1


def test_length_grows_with_the_longer_side_however_a_picture_stands():
    spec = BlurSpec("curved", 20)
    for width, height in ((640, 480), (480, 640)):
        path = draw_motion(spec, generator_for(spec, 0, "a"), width, height).path
        assert np.hypot(*np.diff(path[:, :2], axis=0).T).sum() == pytest.approx(20)


def test_measured_kernels_lie_in_every_direction(tmp_path):
    np.savez(tmp_path / "line.npz", line=np.pad(np.ones((1, 9)), 4))
    spec = BlurSpec("measured", 20, kernels=str(tmp_path / "line.npz"))
    paths = [draw_motion(spec, generator_for(spec, 0, str(key)), 640, 480).path for key in range(40)]
    across, down = (np.array([np.ptp(path[:, axis]) for path in paths]) for axis in (0, 1))
    assert (across > 1.2 * down).any()
    assert (down > 1.2 * across).any()


def test_the_share_that_moves_is_that_of_the_square_asked_about():
    motion = replace(still(400, 300), region=Region((300.0, 150.0), (60.0, 60.0), 0.0, moves=True))
    assert moving_share(motion, 270, 120, 60) == pytest.approx(1)
    assert moving_share(motion, 20, 120, 60) == 0
    assert moving_share(replace(motion, region=replace(motion.region, moves=False)), 20, 120, 60) == 1


def test_a_window_has_what_moves_in_between_its_first_row_and_its_last():
    travel = 60 * np.exp(-(((np.arange(240) - 120) / 45) ** 2))  # far away and back in the middle rows alone
    path = np.column_stack([travel, np.zeros((240, 3))])
    motion = Motion(path, np.full(240, 1 / 240), (150.0, 100.0), shutter=RollingShutter(20, 200))
    spec = BlurSpec("shake", 20, shot=0, read=0, jpeg=0, readout=11)
    picture = torch.from_numpy(photographs.astronaut()[:200, :300].copy()).permute(2, 0, 1)
    (window,) = expose_windows([picture], [(120, 0, 64, 200)], [motion], [spec], [0])
    (whole,) = expose(picture[None], [motion], [spec], [0])
    assert (window.int() - whole[..., 120:184].int()).abs().max() <= 1


def test_only_what_is_clipped_in_all_colours_was_brighter_than_white():
    spec = BlurSpec("straight", 9, shot=0, read=0, jpeg=0)
    motion = Motion(np.column_stack([[-9.0, 0, 9], np.zeros((3, 3))]), np.full(3, 1 / 3), (15.0, 15.0))
    lamps = torch.zeros(2, 3, 31, 31, dtype=torch.uint8)
    lamps[0, :, 15, 15] = 255
    lamps[1, 0, 15, 15] = 255  # a red that is as bright as it can be
    ours, plain = (expose(lamps, [motion] * 2, [spec] * 2, [0] * 2, gains) for gains in ([3.0, 3.0], None))
    assert ours[0].max() > plain[0].max()
    assert torch.equal(ours[1], plain[1])
    nearly = torch.tensor([249, 250], dtype=torch.uint8).expand(1, 3, 1, 2)
    brightest = expose(nearly, [still(2, 1)], [spec], [0], [3.0])
    assert brightest[0, :, 0].tolist() == [[249, 255]] * 3, "which is from 250 of 255"


@pytest.mark.parametrize("light", ["linear", "srgb"])
@pytest.mark.parametrize(("shot", "read"), [(0.04, 0.01), (0.04, 0), (0, 0.01)])
@pytest.mark.parametrize("level", [80, 130, 188])
def test_noise_is_that_of_a_sensor_and_of_the_light_that_falls_on_it(level, shot, read, light):
    grey = np.full((128, 128, 3), level, np.uint8)
    noisy = synthesize(grey, BlurSpec("none", shot=shot, read=read, jpeg=0, light=light), 0, "grey")
    seen = to_linear(torch.from_numpy(noisy).double() / 255)
    fallen = float(to_linear(torch.tensor(level / 255, dtype=torch.float64)))
    assert float(seen.std()) == pytest.approx(np.sqrt(read**2 + shot**2 * fallen), rel=0.02)
    assert float(seen.mean()) == pytest.approx(fallen, abs=5e-4)


def test_a_rolling_shutter_goes_from_the_first_step_to_the_last():
    shutter = RollingShutter(10, 4)
    windows = [shutter.window(y, 110) for y in (-5, 0, 1, 2, 3, 9)]
    assert [window.start for window in windows] == [0, 0, 33, 67, 100, 100]
    assert {window.stop - window.start for window in windows} == {10}
    assert shutter.cropped(2).window(1, 110) == windows[4]


# What the synthesis draws, in numbers: the first and the last place of a path (x, y, roll, growth), how long it is,
# where it turns and grows, and what moves. Whoever changes them makes other data: all that was measured on synthetic
# blur is to be measured anew then, and no run from before compares with one from after.
MIDDLE = (319.5, 239.5)
OBJECT = Region((201.9493, 105.7834), (81.77395, 77.68978), -0.0002509244, moves=True)
FOLLOWED = Region((290.8105, 333.1169), (135.0317, 102.482), -0.5570862, moves=False)


@pytest.mark.parametrize(
    ("text", "first", "last", "arc", "center", "region"),
    [
        ("straight:16", (-7.508046, -2.763894, 0, 0), (7.507552, 2.761662, 0, 0), 16, MIDDLE, None),
        ("curved:16", (6.119763, 4.393553, 0, 0), (-4.19879, -5.745158, 0, 0), 16, MIDDLE, None),
        ("measured:16,kernels={}", (4.046939, 6.90089, 0, 0), (-4.046939, -6.90089, 0, 0), 141.7423, MIDDLE, None),
        ("shake:16", (-6.649863, 3.93487, 0.009375842, 0), (6.677547, -3.417224, -0.004817763, 0), 16, MIDDLE, None),
        (
            "shake:16,readout=2",
            (-12.81764, 17.75504, 0.03666244, 0),
            (18.19862, -17.41555, -0.02705992, 0),
            48,
            MIDDLE,
            None,
        ),
        (
            "shake:16,readout=5",
            (14.40856, 31.17305, -0.03282394, 0),
            (23.68655, -3.363202, 0.02303889, 0),
            96,
            MIDDLE,
            None,
        ),
        (
            "jolt:16",
            (6.00547, -6.569942, 0.003687342, 0),
            (-4.541407, 3.738216, -0.002057735, 0),
            15.98208,
            MIDDLE,
            None,
        ),
        (
            "forward:16",
            (2.015065, -1.664535, 0, -0.01764476),
            (-1.103686, 1.871429, 0, 0.01764476),
            5.065187,
            (265.6334, 224.2377),
            None,
        ),
        ("object:16", (-2.253591, -2.338255, 0, 0), (-2.959885, -3.838002, 0, 0), 16, MIDDLE, OBJECT),
        ("background:16", (-3.042039, -7.06291, 0, 0), (3.271729, 7.344867, 0, 0), 16, MIDDLE, FOLLOWED),
    ],
)
def test_what_is_drawn_of_each_kind_of_blur_stays_what_it_was(kernel_file, text, first, last, arc, center, region):
    spec = parse_blur(text.format(kernel_file))
    # Of a measured kernel the generator depends on its file's bytes, which another numpy may write otherwise.
    generator = np.random.default_rng(0) if spec.kernels else generator_for(spec, 0, "a")
    motion = draw_motion(spec, generator, 640, 480)
    np.testing.assert_allclose(motion.path[[0, -1]], [first, last], rtol=1e-5, atol=1e-8)
    assert np.hypot(*np.diff(motion.path[:, :2], axis=0).T).sum() == pytest.approx(arc, rel=1e-6)
    assert motion.center == pytest.approx(center)
    assert (motion.region is None) == (region is None)
    for name, drawn in asdict(motion.region).items() if region else ():
        assert drawn == pytest.approx(getattr(region, name), rel=1e-5)


def test_the_camera_of_a_blur_that_says_nothing_of_it_stays_what_it_was():
    spec = asdict(parse_blur("shake:16"))
    assert spec == {
        "kind": "shake",
        "length": 16,
        "roll": 1,
        "light": "linear",
        "shot": 0.005,
        "read": 0.0005,
        "jpeg": 95,
        "kernels": "",
        "readout": 0,
    }
    y, x = np.mgrid[:24, :32]
    blurred = synthesize(np.stack([8 * x, 10 * y, 4 * (x + y)], axis=-1).astype(np.uint8), BlurSpec(**spec), 0, "a")
    seen = [[[1, 1, 1], [117, 3, 59], [236, 3, 120]], [[3, 99, 42], [119, 100, 99], [240, 100, 161]]]
    np.testing.assert_allclose(blurred[:20:10, ::15].astype(int), seen, rtol=0, atol=1)  # other sums round otherwise


@pytest.mark.parametrize("moves", [True, False])
def test_an_object_that_moves_and_one_that_is_followed_leave_a_flat_picture_flat(moves):
    across = np.column_stack([np.linspace(-10, 10, 21), np.zeros((21, 3))])
    motion = Motion(across, np.full(21, 1 / 21), (47.5, 31.5), Region((48.0, 32.0), (20.0, 12.0), 0.4, moves))
    blurred = render(torch.full((1, 3, 64, 96), 0.5), [motion])
    torch.testing.assert_close(blurred, torch.full_like(blurred, 0.5), rtol=0, atol=1e-5)


def test_an_object_is_an_ellipse_turned_clockwise_with_a_soft_edge():
    slanted = replace(still(200, 200), region=Region((100.0, 100.0), (60.0, 20.0), 0.5, moves=True))
    along, mirrored = (
        moving_share(slanted, 99 + 45 * math.cos(0.5), 99 + side * 45 * math.sin(0.5), 3) for side in (1, -1)
    )
    assert (along, mirrored) == (1, 0)
    round_one = replace(slanted, region=Region((100.0, 100.0), (60.0, 60.0), 0.0, moves=True))
    edge = [moving_share(round_one, 100 + out, 100, 1) for out in (57, 60, 63)]
    assert edge == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize("readout", [0, 2])
def test_rotation_alone_moves_the_farthest_corner_by_up_to_its_share_of_the_length(readout):
    spec = BlurSpec("shake", 16, roll=2, readout=readout)
    shares = []
    for key in range(60):
        motion = draw_motion(spec, generator_for(spec, 0, str(key)), 640, 480)
        turned = np.abs(np.diff(motion.path[:, 2])).sum()
        shares.append(turned * math.hypot(320, 240) / (16 * (1 + readout)))
    assert 1.8 < max(shares) <= 2 + 1e-9
    assert min(shares) < 0.3
    assert np.mean(shares) == pytest.approx(1, abs=0.25)


def read_kernel(tmp_path, kernel):
    """The points and the weights of a kernel out of a file of its own."""
    file = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
    np.savez(file, kernel=kernel)
    (read,) = read_kernels(str(file))
    return read.points(20)


@pytest.mark.parametrize("length", [12, 56, 112])
def test_a_measured_kernel_that_is_scaled_up_lets_no_detail_through_between_its_points(tmp_path, length):
    kernel = np.zeros((17, 17))
    kernel[8, 2:15] = 1
    np.savez(tmp_path / "line.npz", kernel=kernel)
    (read,) = read_kernels(str(tmp_path / "line.npz"))
    points, weights = read.points(length)
    drawn = rasterize(points * length, weights, 129)
    transfer = np.abs(np.fft.rfft(drawn.sum(0)))
    path = np.linspace([-0.5, 0], [0.5, 0], 999) * length
    even = np.abs(np.fft.rfft(rasterize(path, np.full(999, 1 / 999), 129).sum(0)))
    assert np.abs(transfer - even).max() < 0.15
    assert transfer[40:].max() < 0.1


def test_a_small_measured_kernel_is_drawn_fine_enough_for_a_long_blur(tmp_path):
    kernel = np.zeros((7, 7))
    kernel[3, 1:5] = 1
    np.savez(tmp_path / "short.npz", kernel=kernel)
    (read,) = read_kernels(str(tmp_path / "short.npz"))
    points, _ = read.points(112)
    assert np.diff(np.unique(points[:, 0])).max() * 112 <= 1


def test_a_stack_of_measured_kernels_holds_each_of_them(tmp_path):
    kernels = np.zeros((2, 9, 9))
    kernels[0, 4, 1:8] = kernels[1, 4, 3:6] = 1
    np.savez(tmp_path / "stack.npz", kernels=kernels)
    np.savez(tmp_path / "each.npz", a=kernels[0], b=kernels[1])
    files = (str(tmp_path / name) for name in ("stack.npz", "each.npz"))
    stacked, single = ([read.extent for read in read_kernels(file)] for file in files)
    assert stacked == single
    assert len(set(single)) == 2


def handedness(points, weights):
    """A number of weighted points that no turn changes and that a mirror gives the other sign."""
    z = points @ [1, 1j]
    z = z - weights @ z
    return float((weights @ z**2 * np.conj(weights @ (z**2 * z.conj())) ** 2).imag)


def test_a_measured_kernel_is_turned_and_never_mirrored(tmp_path):
    kernel = np.zeros((21, 21))
    kernel[3:18, 4] = kernel[17, 4:10] = 1
    rows, columns = np.nonzero(kernel)
    expected = handedness(np.column_stack([columns, rows]), np.full(len(rows), 1 / len(rows)))
    np.savez(tmp_path / "k.npz", kernel=kernel)
    spec = BlurSpec("measured", 30, kernels=str(tmp_path / "k.npz"))
    for key in range(4):
        motion = draw_motion(spec, generator_for(spec, 0, str(key)), 640, 480)
        assert handedness(motion.path[:, :2], motion.weights) * expected > 0


def test_a_measured_kernel_keeps_the_share_of_light_of_each_place(tmp_path):
    kernel = np.zeros((5, 11))
    kernel[2, 2], kernel[2, 8] = 1, 0.25
    points, weights = read_kernel(tmp_path, kernel)
    left = points[:, 0] < points[:, 0].mean()
    assert weights[left].sum() / weights[~left].sum() == pytest.approx(4)


def test_what_is_faint_in_a_measured_kernel_is_noise_and_no_part_of_the_path(tmp_path):
    line = np.zeros((21, 21))
    line[10, 3:18] = 1
    for share, is_path in ((0.01, False), (0.1, True)):
        marked = line.copy()
        marked[0, 0] = share
        (points, _), (plain, _) = (read_kernel(tmp_path, each) for each in (marked, line))
        assert (len(points) > len(plain)) == is_path
        assert (np.ptp(points[:, 1]) > 0.4) == is_path


def test_a_measured_kernel_is_drawn_as_finely_down_as_across(tmp_path):
    kernel = np.zeros((9, 9))
    kernel[4, 1:8] = np.arange(1, 8)
    (across, _), (down, _) = (read_kernel(tmp_path, each) for each in (kernel, kernel.T))
    assert len(np.unique(across[:, 0].round(6))) > 19
    assert sorted(map(tuple, across.round(9))) == sorted(map(tuple, down[:, ::-1].round(9)))


def test_what_lies_where_a_picture_turns_stays_there():
    light = torch.zeros(1, 3, 24, 31)
    light[..., 9, 12] = 1
    turning = np.column_stack([np.zeros((9, 2)), np.linspace(-1, 1, 9), np.zeros(9)])
    (blurred,) = render(light, [Motion(turning, np.full(9, 1 / 9), (12.0, 9.0))])
    torch.testing.assert_close(blurred[:, 9, 12], torch.ones(3), rtol=0, atol=1e-4)


def test_borders_are_mirrored_for_what_turns_as_for_what_does_not():
    light = torch.rand(1, 3, 24, 31)
    across = np.column_stack([np.arange(-6, 7), np.zeros((13, 3))])
    still_one = Motion(across, np.full(13, 1 / 13), (15.0, 11.5))
    turning = replace(still_one, path=across + np.array([0, 0, 1e-9, 0]))
    assert not turning.uniform
    torch.testing.assert_close(render(light, [turning]), render(light, [still_one]), rtol=0, atol=1e-4)
