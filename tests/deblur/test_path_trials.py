"""Trials of a camera's path: paths of few numbers, pictures restored along them, and what a look at them shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data as photographs

from deblur.blur.motion import rasterize
from deblur.blur.sensor import to_linear
from deblur.devices import to_batch
from deblur.exposure.kernels import Exposure, known
from deblur.exposure.spectra import luma
from deblur.networks import Restored
from deblur.path_search.evidence import NAMES, Look
from deblur.path_search.reblurring import Reblurring
from deblur.path_search.squares import CELL, STATISTICS, as_shown, statistics
from deblur.path_search.trial_path import AXES, STEPS, WAVES, Frame, spread_points, waves_of
from deblur.pictures import scale_down
from tests.deblur.path_searching import CPU, Shaken, waves

if TYPE_CHECKING:
    from collections.abc import Callable

    from deblur.exposure.paths import CameraPath
    from deblur.networks.guided import GuidedNetwork

    RestoredAlong = Callable[[torch.Tensor, CameraPath], torch.Tensor]


def test_a_trial_path_and_the_motion_that_it_becomes_are_one():
    frame = Frame(200, 150)
    (path,) = waves(1)
    motion = frame.motion(path)
    points = frame.points(path, [20.0, 130.0], [10.0, 190.0])
    for place, (x, y) in enumerate([(10.0, 20.0), (190.0, 20.0), (10.0, 130.0), (190.0, 130.0)]):
        there = motion.displacement(x, y)
        ours = points[place].double().numpy()
        np.testing.assert_allclose(ours, there, atol=0.05)
    torch.testing.assert_close(waves_of(motion, frame), path, atol=1e-4, rtol=1e-4)


def test_the_path_of_a_shake_is_kept_to_a_fraction_of_a_pixel(shaken: Shaken):
    frame = Frame(300, 234)
    again = frame.motion(waves_of(shaken.motion, frame))
    times = (np.arange(STEPS) + 0.5) / STEPS
    known = (np.arange(len(shaken.motion.path)) + 0.5) / len(shaken.motion.path)
    for axis in (0, 1):
        true = np.interp(times, known, shaken.motion.path[:, axis])
        assert np.abs(again.path[:, axis] - true + true.mean()).max() < 0.75


def test_kernels_of_points_are_those_of_the_synthesis_and_differentiable():
    points = torch.tensor([[0.3, -2.6], [4.0, 1.25], [-3.7, 5.5]], requires_grad=True)
    kernel = spread_points(points, 48)
    weights = np.full(3, 1 / 3)
    np.testing.assert_allclose(
        kernel.detach().numpy(), rasterize(points.detach().double().numpy(), weights, 48), atol=1e-6
    )
    columns = torch.arange(48.0) - 24
    (kernel.sum(0) @ columns).backward()
    assert points.grad is not None
    # The mean place of the mass moves with the points.
    np.testing.assert_allclose(points.grad[:, 0], 1 / 3, atol=1e-5)


def test_along_the_true_path_a_picture_is_restored_best(shaken: Shaken, network: GuidedNetwork):
    copy = scale_down(shaken.blurred, 200)
    look = Look(network, to_batch(copy, CPU))
    true = waves_of(shaken.motion.scaled(200 / 300), look.frame)
    paths = torch.stack([true, -true, torch.zeros_like(true), *waves(5, 3)])
    judged = look.judge(paths)
    target = to_batch(scale_down(shaken.sharp, 200), CPU)
    errors = (judged.restored - target).square().mean((1, 2, 3, 4))
    assert int(errors.argmin()) == 0
    assert judged.evidence.shape == (6, 1, len(NAMES))
    assert judged.squares.shape == (6, 1, 2 * STATISTICS, copy.shape[0] // CELL, copy.shape[1] // CELL)
    assert torch.isfinite(judged.evidence).all()


def test_a_sharp_picture_blurred_along_the_true_path_is_the_one_that_was_given(shaken: Shaken):
    height, width = shaken.sharp.shape[:2]
    frame = Frame(width, height)
    true = waves_of(shaken.motion, frame)
    shape, corners = (150, 200), [(0, 0), (height - 150, width - 200)]
    light, given = (
        torch.cat([whole[..., top : top + 150, left : left + 200] for top, left in corners])
        for whole in (luma(to_linear(to_batch(picture, CPU))) for picture in (shaken.sharp, shaken.blurred))
    )
    reblurring = Reblurring(frame, shape, corners, CPU)
    inner = (..., slice(16, -16), slice(16, -16))
    wrong = [
        (reblurring(light, path[None]) - given)[inner].square().mean((1, 2, 3)).sqrt()
        for path in (true, -true, 0.5 * true, torch.zeros_like(true))
    ]
    assert (wrong[0] < 0.5 * torch.stack(wrong[1:]).amin(0)).all()


def test_windows_are_turned_about_the_middle_of_their_picture():
    width, height, shape, corners = 160, 100, (60, 90), [(0, 0), (40, 70)]
    rows, columns = torch.meshgrid(torch.arange(height) - 49.5, torch.arange(width) - 79.5, indexing="ij")
    frame = Frame(width, height)

    def seen(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 0.5 + 0.2 * torch.sin(x / 6) + 0.2 * torch.cos(y / 5)

    roll = 4 / frame.reach  # four pixels at the corners
    turned = seen(
        columns * math.cos(roll) + rows * math.sin(roll) - 2, rows * math.cos(roll) - columns * math.sin(roll) + 1
    )
    before, after = (
        torch.stack([whole[None, top : top + 60, left : left + 90] for top, left in corners])
        for whole in (seen(columns, rows), turned)
    )
    reblurring = Reblurring(frame, shape, corners, CPU)
    again = reblurring(before, torch.zeros(1, WAVES, AXES), torch.tensor([[2.0, -1.0, 4.0]]))
    inner = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(again[inner], after[inner], atol=0.02, rtol=0)


def test_windows_are_parts_of_the_picture_restored_as_the_whole_is(
    shaken: Shaken, network: GuidedNetwork, restored_along: RestoredAlong
):
    whole = Look(network, to_batch(shaken.blurred, CPU), windows=3)
    assert 1 < whole.windows <= 3
    index = torch.arange(shaken.blurred[..., 0].size).view(1, 1, *shaken.blurred.shape[:2]).double()
    places = whole.cut(index)
    height, width = places.shape[-2:]
    assert max(height, width) == 200
    true = waves_of(shaken.motion, whole.frame)
    restored = whole.judge(true[None]).restored[0]
    along = restored_along(to_batch(shaken.blurred, CPU), whole.frame.motion(true))[0]
    inner = (slice(None), slice(24, -24), slice(24, -24))
    for place, part in zip(places, restored, strict=True):
        top, left = divmod(int(place[0, 0, 0]), shaken.blurred.shape[1])
        there = along[:, top : top + height, left : left + width]
        assert (part[inner] - there[inner]).abs().mean() < 0.02
        assert torch.equal(place[0], index[0, 0, top : top + height, left : left + width])


def test_windows_with_margins_are_restored_as_the_whole_is_to_their_borders(
    shaken: Shaken, network: GuidedNetwork, restored_along: RestoredAlong
):
    blurred = to_batch(shaken.blurred, CPU)
    index = torch.arange(shaken.blurred[..., 0].size).view(1, 1, *shaken.blurred.shape[:2]).double()
    at_borders = {}
    for margin in (0, 16):
        look = Look(network, blurred, 3, margin)
        places = look.cut(index)
        height, width = places.shape[-2:]
        assert max(height, width) == 200 - 2 * margin
        true = waves_of(shaken.motion, look.frame)
        along = look.cut(restored_along(blurred, look.frame.motion(true)))
        difference = (look.judge(true[None]).restored[0] - along).abs()
        at_borders[margin] = (difference.mean() - difference[..., 32:-32, 32:-32].mean()).item()
        fewer = look.part(slice(1, 2)).judge(true[None]).restored
        torch.testing.assert_close(fewer[:, 0], look.judge(true[None]).restored[:, 1], atol=2e-3, rtol=2e-3)
        assert look.judge(true[None]).restored.shape[-2:] == look.blurred.shape[-2:] == (height, width)
    assert at_borders[16] < 0.7 * at_borders[0]


def test_a_picture_no_larger_than_a_window_has_no_margin(small: Shaken, network: GuidedNetwork):
    blurred = to_batch(small.blurred, CPU)
    plain, wide = Look(network, blurred), Look(network, blurred, 1, 16)
    assert torch.equal(plain.blurred, wide.blurred)
    for one, other in zip(plain.judge(waves(1)), wide.judge(waves(1)), strict=True):
        assert torch.equal(one, other)


def test_no_window_is_looked_at_twice(network: GuidedNetwork):
    middle = torch.zeros(1, 3, 230, 300)
    middle[..., 60:170, 70:230] = torch.rand(110, 160)
    look = Look(network, middle, windows=3)
    places = look.cut(torch.arange(230 * 300.0).view(1, 1, 230, 300))[:, 0, 0, 0].tolist()
    assert len(set(places)) == look.windows > 1


def test_gradients_of_what_is_seen_reach_the_path(shaken: Shaken, network: GuidedNetwork):
    look = Look(network, to_batch(scale_down(shaken.blurred, 200), CPU))
    paths = waves(2, 2).requires_grad_()
    judged = look.judge(paths)
    for part in judged:
        (gradient,) = torch.autograd.grad(part.sum(), paths, retain_graph=True)
        assert torch.isfinite(gradient).all()
        assert (gradient.abs().amax((1, 2)) > 0).all()


def test_trials_that_are_judged_together_are_judged_alike(shaken: Shaken, network: GuidedNetwork):
    look = Look(network, to_batch(shaken.blurred, CPU), windows=2)
    paths = waves(3, 3)
    together = look.judge(paths)
    for place, path in enumerate(paths):
        alone = look.judge(path[None])
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], other[place], atol=2e-3, rtol=2e-3)


def test_part_of_a_look_is_a_look_at_fewer_windows(shaken: Shaken, network: GuidedNetwork):
    blurred = to_batch(shaken.blurred, CPU)
    part, fewer = Look(network, blurred, windows=3).part(slice(1)), Look(network, blurred, windows=1)
    assert part.windows == fewer.windows == 1
    torch.testing.assert_close(part.blurred, fewer.blurred)
    for one, other in zip(
        (*part.judge(waves(3)), *part.by_itself), (*fewer.judge(waves(3)), *fewer.by_itself), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_any_part_of_a_look_is_judged_as_in_the_whole(shaken: Shaken, network: GuidedNetwork):
    whole = Look(network, to_batch(shaken.blurred, CPU), windows=3)
    part, path = whole.part(slice(1, 2)), waves_of(shaken.motion, whole.frame)[None]
    with torch.no_grad():
        judged = (*part.judge(path), *part.by_itself), (*whole.judge(path), *whole.by_itself)
    for one, other in zip(*judged, strict=True):
        torch.testing.assert_close(one, other[:, 1:2], atol=2e-3, rtol=2e-3)


class Makes:
    """A network that makes the same change of a picture along any path, and the same guide for it."""

    def __init__(self, estimate: Exposure, change: torch.Tensor, guide: torch.Tensor) -> None:
        self.change, self.guide = change, _Guide(estimate, guide)

    def __call__(self, blurred: torch.Tensor, guide: torch.Tensor, *, finest_only: bool) -> Restored:
        return Restored((blurred + self.change,), None)


class _Guide:
    def __init__(self, estimate: Exposure, made: torch.Tensor) -> None:
        self.estimated, self.made = estimate, made

    def estimate(self, blurred: torch.Tensor) -> Exposure:
        return self.estimated

    def __call__(self, blurred: torch.Tensor, exposure: Exposure) -> torch.Tensor:
        return self.made.expand(len(blurred), -1, *blurred.shape[-2:])


class Made(NamedTuple):
    """A look at a picture (1, 3, 96, 120), and the change and the guide that are made along any path."""

    look: Look
    blurred: torch.Tensor
    change: torch.Tensor
    guide: torch.Tensor


@pytest.fixture
def made() -> Made:
    generator = torch.Generator().manual_seed(0)
    blurred = to_batch(scale_down(photographs.astronaut()[:400, :500], 120), CPU)
    change = 0.3 * torch.rand(blurred.shape, generator=generator) - 0.1
    guide = 0.2 * torch.rand(1, 5, *blurred.shape[-2:], generator=generator)
    guide[:, 1] *= 0.5
    frame, places = Frame(120, 96), ((20.0, 75.0), (60.0,))
    kernels = spread_points(frame.points(waves(1)[0], *places), 48)[None]
    network: Any = Makes(Exposure(known(kernels), *places), change, guide)
    return Made(Look(network, blurred), blurred, change, guide)


def test_the_numbers_of_a_trial_are_what_their_names_say(made: Made):
    look, blurred, change, guide = made
    brightness, restored = luma(blurred), luma(blurred + change)
    linear, encoded, calm = guide[:, 0:1], guide[:, 1:2], guide[:, 2:3]
    light, again = (luma(to_linear(each.clamp(0, 1).expand(-1, 3, -1, -1))) for each in (brightness, restored))
    residual = (again - light)[..., 16:-16, 16:-16]

    def steps(picture: torch.Tensor) -> torch.Tensor:
        return torch.cat([picture.diff(dim=axis).flatten() for axis in (-1, -2)])

    def mean(values: torch.Tensor) -> torch.Tensor:
        return values.abs().mean()

    def rms(values: torch.Tensor) -> torch.Tensor:
        return values.square().mean().sqrt()

    expected = {
        "restored less filtered, encoded, rms": rms(restored - brightness - encoded),
        "restored less filtered, linear, mean": mean(restored - brightness - linear),
        "filters' difference, linear and encoded, rms": rms(linear - encoded),
        "filters' difference, keen and calm, rms": rms(encoded - calm),
        "restored less blurred, rms": rms(restored - brightness),
        "restored less blurred, mean": mean(restored - brightness),
        "out of range": mean((blurred + change) - (blurred + change).clamp(0, 1)) + 1e-5,
        "blurred again less blurred, rms": rms(residual),
        "blurred again less blurred, mean": mean(residual),
        "blurred again less blurred, gradient mean": mean(steps(residual)),
        "width of the estimated kernels": look.spread,
    }
    pictures = {f"restored gradient {{}}, 1/{scale}": F.avg_pool2d(restored, scale) for scale in (1, 2, 4)}
    for name, picture in (pictures | {"filtered gradient {}": brightness + linear}).items():
        expected |= {name.format("mean"): mean(steps(picture)), name.format("rms"): rms(steps(picture))}
        expected[name.format("root")] = (steps(picture).square() + 1e-6).pow(0.25).mean()
    strength = F.avg_pool2d(restored.diff(dim=-1).square()[..., :-1, :] + restored.diff(dim=-2).square()[..., :-1], 24)
    nowhere = torch.zeros(1, WAVES, AXES)
    evidence = look.judge(nowhere).evidence
    assert evidence.shape == (1, 1, len(NAMES))
    numbers = dict(zip(NAMES, evidence[0, 0].tolist(), strict=True))
    for name, value in expected.items():
        assert numbers[name] == pytest.approx(float(torch.as_tensor(value).log()), abs=2e-3), name
    evenness = numbers["evenness of gradients over blocks"]
    assert evenness == pytest.approx(float((strength / strength.mean()).log().mean()), abs=2e-3)
    # Beside each number it is told how much that is more than along no path.
    there = look.judge(waves(2)).evidence[0, 0]
    count = (len(NAMES) - 1) // 2
    torch.testing.assert_close(there[count : 2 * count], there[:count] - evidence[0, 0, :count])
    assert there[:count].sub(evidence[0, 0, :count]).abs().max() > 0.1


def test_squares_are_compared_to_those_of_what_the_network_makes_by_itself(made: Made):
    look = made.look
    squares = look.judge(torch.zeros(1, WAVES, AXES)).squares
    # Along no path this network makes what it makes by itself.
    assert squares[:, :, :STATISTICS].abs().amax() > 0.1
    torch.testing.assert_close(squares[:, :, STATISTICS:], torch.zeros_like(squares[:, :, STATISTICS:]))
    led = look.judge(waves(2)).squares
    torch.testing.assert_close(led[:, :, STATISTICS:], led[:, :, :STATISTICS] - squares[:, :, :STATISTICS])


def test_windows_with_margins_have_the_kernels_of_their_own_places(made: Made):
    index = torch.arange(200.0 * 300).view(1, 1, 200, 300)
    network: Any = Makes(made.look.estimate, torch.tensor(0.1), torch.zeros(1, 5, 1, 1))
    picture = torch.zeros(1, 3, 200, 300)
    for corner in (picture[..., :40, :40], picture[..., -40:, -40:]):
        corner.copy_(torch.rand(corner.shape, generator=torch.Generator().manual_seed(0)))
    look = Look(network, picture, 2, 16)
    assert look.windows == 2
    height, width = look.blurred.shape[-2:]
    path = torch.zeros(1, WAVES, AXES)
    path[0, 0, 2] = 20  # a roll, which moves what is farther from the middle more
    exposure = look.exposure(path)
    sides = []
    for kernels, place in zip(exposure.kernels.mean, look.cut(index)[:, 0, 0, 0].long().tolist(), strict=True):
        top, left = divmod(place, 300)
        # Margins lie within the picture.
        top, left = (min(max(at - 16, 0), side) for at, side in ((top, 200 - height - 32), (left, 300 - width - 32)))
        rows, columns = [top + y for y in exposure.rows], [left + x for x in exposure.columns]
        torch.testing.assert_close(kernels, spread_points(look.frame.points(path, rows, columns), 64)[0])
        sides.append((rows[0] + rows[-1] - 2 * top, columns[0] + columns[-1] - 2 * left))
    assert sides == [pytest.approx((height + 32, width + 32), abs=2)] * look.windows


def test_a_path_agrees_with_its_own_kernels_whichever_way_round(made: Made):
    look = made.look
    true = waves(1)[0]
    kernels = look.estimate.kernels.mean[0]
    smooth = F.avg_pool2d(kernels[:, None], 3, 1, 1)[:, 0]
    # Three of a hundred parts of an estimate may lie anywhere.
    likelihood = (kernels * (0.97 * smooth + 0.03 / 48**2).log()).sum((1, 2)).mean()
    cosine = torch.cosine_similarity(smooth.flatten(1), kernels.flatten(1)).mean()
    for path in (true, -true):
        found = look.likelihood(path)
        torch.testing.assert_close(torch.stack(found), torch.stack([likelihood, cosine]), atol=2e-3, rtol=2e-3)
    for path in (*waves(5, 3), 0.5 * true, torch.zeros_like(true)):
        found = look.likelihood(path)
        assert found[0] < likelihood
        assert found[1] < cosine


def test_a_square_tells_of_its_own_place_and_all_of_ringing_and_ghosts():
    torch.manual_seed(0)
    calm = (0.5 + 0.1 * torch.rand(1, 1, 6 * CELL, 8 * CELL)).repeat(1, 5, 1, 1)
    before = statistics(calm)
    assert before.shape == (1, STATISTICS, 6, 8)
    assert torch.isfinite(statistics(torch.full_like(calm, 0.5))).all()
    rings = calm.clone()
    place = torch.arange(2.0 * CELL)
    rings[:, 0, 16:32, 24:40] += 0.2 * torch.cos(place * torch.pi / 2)  # two by two squares in the restored picture
    changed = (statistics(rings) - before).abs().amax(1)[0] > 1e-3
    assert changed[2:4, 3:5].all()
    assert not changed[:, 7].any()
    assert not changed[5].any()


def test_a_trial_is_shown_by_its_pictures_and_by_the_root_of_what_is_left():
    restored, brightness, residual = torch.full((3, 1, 1, 2, 4), 0.3).unbind()
    guide = torch.stack([torch.full((2, 4), value) for value in (0.1, 0.2, 0.3, 0.4, 0.5)])[None]
    residual = residual * torch.tensor([0, 0.3, -0.3, 3])
    shown = as_shown(restored - 0.05, brightness, guide, residual)[0, :, 0]
    expected = [[0.25] * 4, [0.4] * 4, [0.5] * 4, [0.5, 0.65, 0.35, 0.5 + 0.9**0.5 / 2], [0.3] * 4]
    torch.testing.assert_close(shown, torch.tensor(expected), atol=1e-4, rtol=0)


def test_squares_are_such_as_released_critics_learned_to_weigh():
    # Other numbers need critics and trust networks that are trained anew.
    grey = torch.from_numpy(photographs.camera()[180:244, 190:270] / 255.0).float().view(1, 1, 64, 80)
    blurred = F.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)
    residual = 0.5 + 0.3 * (grey - blurred)
    shown = torch.cat([grey, 0.8 * grey + 0.2 * blurred.flip(-1), 1.1 * blurred + 0.05, residual, blurred], 1)
    expected = {
        "root mean squares": "-3.576 -3.202 -2.449 -2.554 -4.079 -3.722 -3.492 -3.837 -3.645 -4.574 -4.236 -4.66 "
        "-4.327 -3.506 -3.812 -3.287",
        "of gradients in half the size": "-3.591 -3.324 -4.098 -3.814",
        "mean gradients and their roots": "-4.061 -3.817 -4.152 -3.939 -4.734 -4.462 -2.177 -2.044",
        "correlations": "0.18 -0.328 0.879 0.927 0.412 0.432 0.055 0.012 -0.015 -0.016 -0.056 -0.043 0.082 0.042 0.225 "
        "0.104",
        "brightness and what is nearly white": "0.274 0.006",
    }
    numbers = [float(number) for line in expected.values() for number in line.split()]
    assert statistics(shown)[0].mean((1, 2)).tolist() == pytest.approx(numbers, abs=2e-3)
