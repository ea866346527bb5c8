"""The search for a camera's path: paths of few numbers, what trials show, and what a search makes of them."""

from __future__ import annotations

import hashlib
import json
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur import BlurSpec, Motion, synthesize_with_motion
from deblur.blur.motion import rasterize
from deblur.blur.sensor import to_linear
from deblur.deblurrer import load_told
from deblur.devices import to_batch
from deblur.errors import DeblurError
from deblur.exposure.kernels import Exposure, known
from deblur.exposure.spectra import luma
from deblur.networks import Restored
from deblur.path_search import Judge, PathSearch
from deblur.path_search.critic import RELEASED, Critic, ErrorMap
from deblur.path_search.descent import Stage, Trial, follow, follow_by_parts
from deblur.path_search.evidence import NAMES, Judged, Look, width_of
from deblur.path_search.explaining import Explaining, explain
from deblur.path_search.judging import judge_file
from deblur.path_search.reblurring import Reblurring
from deblur.path_search.search import Effort
from deblur.path_search.squares import CELL, STATISTICS, as_shown, statistics
from deblur.path_search.starts import random_starts
from deblur.path_search.trial_path import AXES, STEPS, WAVES, Frame, spread_points, waves_of
from deblur.pictures import scale_down
from deblur.released import load_released

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from deblur.exposure.paths import CameraPath
    from deblur.networks.guided import GuidedNetwork

    RestoredAlong = Callable[[torch.Tensor, CameraPath], torch.Tensor]

CPU = torch.device("cpu")
QUICK = Effort(3, (Stage(2, 2, 0.2),), (Stage(1, 2, 0.1),), (Stage(1, 2, 0.1),))
BRIEF = Effort(2, (Stage(2, 1, 0.2),), (), ())


class Shaken(NamedTuple):
    """A photograph, sharp and blurred, and the camera's path."""

    sharp: NDArray[np.uint8]
    blurred: NDArray[np.uint8]
    motion: Motion


def shake(side: int) -> Shaken:
    sharp = scale_down(photographs.astronaut()[:400], side)
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("shake", 28), 3, "astronaut")
    return Shaken(sharp, blurred, motion)


@pytest.fixture(scope="module")
def shaken() -> Shaken:
    return shake(300)


@pytest.fixture(scope="module")
def small() -> Shaken:
    """The same, for what does not depend on how well a path is found."""
    return shake(120)


@pytest.fixture
def small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies in which a search goes on are little larger than the first."""
    monkeypatch.setattr("deblur.path_search.search.MIDDLE", 240)
    monkeypatch.setattr("deblur.path_search.search.LARGEST", 300)


class Knows(Critic):
    """A critic that has seen the sharp picture: what a search does with a perfect one."""

    def __init__(self, sharp: NDArray[np.uint8]) -> None:
        super().__init__()
        self.sharp = sharp
        self.calls = 0

    def forward(self, judged: Judged) -> torch.Tensor:
        self.calls += len(judged.evidence)
        side = max(judged.restored.shape[-2:])
        target = to_batch(scale_down(self.sharp, side), CPU)
        return (judged.restored - target).square().mean((1, 2, 3, 4)).log() / 2


def waves(seed: int, count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    slow = torch.arange(1, WAVES + 1).view(-1, 1) ** 1.5
    return 4 * torch.randn(count, WAVES, AXES, generator=generator) / slow


def alike(frame: Frame, one: torch.Tensor, other: torch.Tensor) -> float:
    """Cosine of two paths' kernels, a little smoothed, at four places: it does not matter which way they were gone."""
    places = ([0.2 * frame.height, 0.8 * frame.height], [0.2 * frame.width, 0.8 * frame.width])
    kernels = (spread_points(frame.points(path, *places), 48) for path in (one, other))
    return float(torch.cosine_similarity(*(F.avg_pool2d(each, 3, 1).flatten(1) for each in kernels)).mean())


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


@pytest.mark.parametrize("size", [0.7, 1.0])
def test_the_path_that_explains_the_sharp_picture_is_the_true_one(shaken: Shaken, size: float):
    blurred, sharp = (to_batch(picture, CPU) for picture in (shaken.blurred, shaken.sharp))
    explaining = Explaining(blurred)
    true = waves_of(shaken.motion, explaining.frame)
    starts = torch.stack([waves(7)[0], size * true, -true])
    found = explaining.path(sharp, starts)
    light = luma(to_linear(sharp))
    unlike = explaining.unlike(light, torch.stack([found, true, size * true, -true]))
    assert unlike[0] <= unlike[1] < 0.9 * unlike[3]
    assert alike(explaining.frame, found, true) > 0.8


def test_a_search_begins_beside_what_explains_the_restoration(shaken: Shaken, monkeypatch: pytest.MonkeyPatch):
    begun: list[torch.Tensor] = []

    def watched(self: PathSearch, look: Look, starts: torch.Tensor) -> list[Trial]:
        begun.append(starts)
        return [Trial(0.0, starts[0])]

    monkeypatch.setattr(PathSearch, "begin", watched)
    search = PathSearch.load(critic=Sulks(), effort=BRIEF._replace(starts=3))
    asked: list[Motion | None] = []

    def restore(picture: NDArray[np.uint8], path: Motion | None) -> NDArray[np.uint8]:
        assert picture.shape == shaken.blurred.shape
        asked.append(path)
        return shaken.sharp

    search(shaken.blurred)
    search(shaken.blurred, restore)
    assert [path is None for path in asked] == [True, False]
    without, starts = begun
    assert torch.equal(starts[: len(without)], without)
    frame = search.first_look(shaken.blurred).frame
    true = waves_of(shaken.motion.scaled(frame.longest / 300), frame)
    likenesses = [alike(frame, path, true) for path in starts]
    assert max(likenesses[len(without) :]) > max(0.6, *likenesses[: len(without)])


def test_what_explains_a_restoration_is_judged_as_it_is_and_begun_with_a_little_longer(
    shaken: Shaken, monkeypatch: pytest.MonkeyPatch
):
    begun: list[torch.Tensor] = []
    told: list[torch.Tensor] = []
    explained = torch.stack([2 * waves(1)[0], 3 * waves(1)[0]])

    def begin(self: PathSearch, look: Look, starts: torch.Tensor) -> list[Trial]:
        begun.append(starts)
        return [Trial(0.0, starts[0])]

    def explains(picture: NDArray[np.uint8], restore: object, starts: torch.Tensor) -> torch.Tensor:
        told.append(starts)
        return explained

    monkeypatch.setattr(PathSearch, "begin", begin)
    monkeypatch.setattr("deblur.path_search.search.explain", explains)
    search = PathSearch.load(critic=Agrees(), effort=BRIEF)
    found = search(shaken.blurred, lambda picture, path: picture)
    larger = 300 / search.first_look(shaken.blurred).frame.longest
    assert larger > 1
    torch.testing.assert_close(told[0], begun[0][:4] * larger)
    torch.testing.assert_close(begun[0][4:], torch.cat([length * explained / larger for length in (1, 1.1, 1.2)]))
    # The judge likes long paths, and the longest of those that explain is longer than any other that it is shown.
    assert found is not None
    np.testing.assert_allclose(found.path, Frame(300, 234).motion(explained[1]).path, atol=1e-4)


@pytest.mark.parametrize(
    ("longest", "width", "side"),
    [(640, 0, 400), (640, 1.4, 400), (640, 2, 280), (640, 3, 200), (640, 30, 200), (300, 2, 210), (300, 0.5, 300)],
)
def test_a_search_begins_in_the_smallest_copy_that_shows_the_blur(
    monkeypatch: pytest.MonkeyPatch, longest: int, width: float, side: int
):
    seen = SimpleNamespace(spread=torch.tensor([float(width)]))
    monkeypatch.setattr(PathSearch, "_estimate", lambda self, picture, side: seen)
    monkeypatch.setattr(PathSearch, "look", lambda self, picture, side, windows: (side, windows))
    search = PathSearch.load(critic=Sulks(), effort=BRIEF)
    assert search.first_look(np.zeros((longest // 2, longest, 3), np.uint8)) == (side, 1)


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
    assert at_borders[16] < 0.6 * at_borders[0]


def test_a_picture_no_larger_than_a_window_has_no_margin(small: Shaken, network: GuidedNetwork):
    blurred = to_batch(small.blurred, CPU)
    plain, wide = Look(network, blurred), Look(network, blurred, 1, 16)
    assert torch.equal(plain.blurred, wide.blurred)
    for one, other in zip(plain.judge(waves(1)), wide.judge(waves(1)), strict=True):
        assert torch.equal(one, other)


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


class Bowl:
    """A part of a picture whose energy is least at one path."""

    windows = 2

    def __init__(self, lowest: float, order: list[float]) -> None:
        self.lowest, self.order = lowest, order

    def judge(self, paths: torch.Tensor) -> torch.Tensor:
        self.order.append(self.lowest)
        return (paths - self.lowest).square().sum((1, 2))


def test_parts_that_see_a_path_in_turn_lead_to_what_is_best_for_all_of_them():
    def energy(judged: torch.Tensor) -> torch.Tensor:
        return judged

    order: list[float] = []
    parts = [Bowl(lowest, order) for lowest in (0.0, 1.0)]
    stage = Stage(2, 40, 0.2)
    starts = [torch.full((WAVES, AXES), place) for place in (3.0, -2.0, 9.0)]
    together = follow_by_parts(energy, parts, starts, stage)
    alone = follow_by_parts(energy, parts[:1], starts, stage)
    assert order[:40] == [0.0, 1.0] * 20
    assert len(together) == len(alone) == 2
    for path in together:
        torch.testing.assert_close(path, torch.full_like(path, 0.5), atol=0.15, rtol=0)
    for path in alone:
        torch.testing.assert_close(path, torch.zeros_like(path), atol=0.15, rtol=0)
    torch.testing.assert_close(starts[0], torch.full((WAVES, AXES), 3.0))


def test_of_a_way_down_the_best_place_is_kept_with_its_energy():
    look = Bowl(1.0, [])
    near, far = torch.full((WAVES, AXES), 1.001), torch.full((WAVES, AXES), 4.0)
    # A first step of a whole pixel leads away from where it is nearly lowest.
    first, second = follow(lambda judged: judged, look, [near, far], [Stage(2, 3, 1.0)])
    assert torch.equal(first.waves, near)
    assert second.energy < 0.5 * (far - 1).square().sum()
    for trial in (first, second):
        assert trial.energy == pytest.approx(float((trial.waves - 1).square().sum()), rel=1e-4)


def test_steps_on_a_way_down_shorten_evenly():
    class Slope(Bowl):
        def judge(self, paths: torch.Tensor) -> torch.Tensor:
            return 3 * paths.sum((1, 2))

    (led,) = follow_by_parts(lambda judged: judged, [Slope(0.0, [])], [torch.zeros(WAVES, AXES)], Stage(1, 4, 0.5))
    # On a slope that is even all over, Adam goes as far as the rate says: by 5, 4, 3 and 2 fifths of the first one's.
    torch.testing.assert_close(led, torch.full_like(led, -0.5 * (5 + 4 + 3 + 2) / 5), atol=1e-4, rtol=0)


def test_a_search_with_a_critic_that_knows_comes_near_the_true_path(shaken: Shaken):
    critic = Knows(shaken.sharp)
    effort = Effort(4, (Stage(2, 5, 0.2), Stage(1, 7, 0.15)), (), ())
    search = PathSearch.load(critic=critic, effort=effort)
    look = search.look(shaken.blurred, 200)
    true = waves_of(shaken.motion.scaled(200 / 300), look.frame)
    with torch.no_grad():
        told, still = (float(critic(look.judge(each[None]))) for each in (true, torch.zeros_like(true)))
        itself = float(critic(look.by_itself))
    critic.calls = 0
    found = search.begin(look, random_starts(look, effort.starts))
    assert critic.calls == 8 + 2 * 6 + 8
    assert [trial.energy for trial in found] == sorted(trial.energy for trial in found)
    # In decibels of the error: most of what telling the path is worth, and more than the network sees by itself.
    assert found[0].energy < min(itself, still + 0.7 * (told - still))
    quick = PathSearch.load(critic=critic, effort=BRIEF)
    once, again = (quick.begin(look, random_starts(look, BRIEF.starts))[0] for _ in range(2))
    assert again.energy == once.energy
    assert torch.equal(again.waves, once.waves)


@pytest.mark.usefixtures("small_copies")
@pytest.mark.parametrize("times", [1, 2])
def test_a_path_that_is_found_is_in_the_pictures_own_pixels(
    shaken: Shaken, monkeypatch: pytest.MonkeyPatch, times: int
):
    size = (times * shaken.blurred.shape[1], times * shaken.blurred.shape[0])
    picture = np.array(Image.fromarray(shaken.blurred).resize(size, Image.Resampling.BICUBIC))
    (path,) = waves(1)
    # Sure of one path from the first copy on, and not led away from it.
    monkeypatch.setattr(PathSearch, "begin", lambda self, look, starts: [Trial(-9.0, path)])
    monkeypatch.setattr(PathSearch, "follow", lambda self, look, paths, stages: [Trial(-9.0, paths[0])])
    search = PathSearch.load(critic=Agrees(), effort=QUICK)
    found = search(picture)
    assert found is not None
    first = search.first_look(picture).frame
    there = first.motion(path).scaled(size[0] / first.width)
    for x, y in [(0.0, 0.0), (size[0] - 1.0, 0.3 * size[1])]:
        np.testing.assert_allclose(found.displacement(x, y), there.displacement(x, y), atol=0.02 * times)
    np.testing.assert_allclose(found.center, [(side - 1) / 2 for side in size], atol=1)


@pytest.mark.parametrize("shape", [(1, 1), (40, 300), (300, 40), (30, 30)])
def test_pictures_that_show_too_little_are_restored_without_a_search(shape: tuple[int, int]):
    blurred = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    patient = Deblurrer.load("default", "cpu")
    own = patient(blurred)
    patient.search = PathSearch.load(critic=Sulks(), effort=QUICK)
    np.testing.assert_array_equal(patient(blurred), own)


@pytest.mark.parametrize(
    ("picture", "error"),
    [
        (np.zeros((300, 400, 3)), TypeError),
        (np.zeros((300, 400), np.uint8), ValueError),
        (np.zeros((2, 300, 400, 3), np.uint8), ValueError),
    ],
)
def test_a_path_is_searched_for_in_pictures_alone(picture: NDArray[Any], error: type[Exception]):
    with pytest.raises(error, match="pictures are"):
        PathSearch.load(critic=Sulks(), effort=QUICK)(picture)


def test_a_search_works_where_the_caller_has_switched_gradients_off(small: Shaken):
    critic = Sulks()
    search = PathSearch.load(critic=critic, effort=BRIEF)
    with torch.inference_mode():
        assert search(small.blurred) is None
    calls = critic.calls
    with torch.no_grad():
        assert search(small.blurred) is None
    assert critic.calls == 2 * calls > 0


def test_no_window_is_looked_at_twice(network: GuidedNetwork):
    middle = torch.zeros(1, 3, 230, 300)
    middle[..., 60:170, 70:230] = torch.rand(110, 160)
    look = Look(network, middle, windows=3)
    places = look.cut(torch.arange(230 * 300.0).view(1, 1, 230, 300))[:, 0, 0, 0].tolist()
    assert len(set(places)) == look.windows > 1


def test_a_search_needs_a_stage():
    with pytest.raises(ValueError, match="stage"):
        PathSearch.load(critic=Critic(), effort=Effort(3, (), (), ()))


def test_a_network_that_is_told_its_paths_searches_for_none():
    for name in ("default+search+gyro", "default+gyro+search"):
        with pytest.raises(DeblurError, match="leave one of the two out"):
            load_told(name, "cpu")
    deblurrer, told = load_told("default+search", "cpu")
    assert not told
    assert deblurrer.name == "mstsgm-guided+search"
    said = deblurrer.describe()
    assert said["sha256"] == said["search"]["network"]
    assert set(Deblurrer.load("default", "cpu").describe()) == {"name", "sha256", "max_pixels", "consistent", "trust"}


class Sulks(Critic):
    """Finds fault with every path, and none with what the network restores by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, judged: Judged) -> torch.Tensor:
        self.calls += 1
        return judged.evidence[..., NAMES.index("path's width")].mean(1)


class Agrees(Sulks):
    """Likes every path, the longer the better."""

    def forward(self, judged: Judged) -> torch.Tensor:
        return -super().forward(judged)


def test_the_judge_has_the_last_word_with_the_network_that_restores(small: Shaken, network: GuidedNetwork):
    paths = torch.stack([*waves(1, 2) / 4, waves(1)[0]])
    likes, objects = Judge(network, Agrees()), Judge(network, Sulks())
    look = likes.look(small.blurred, CPU)
    liked, objected = likes.try_all(look, paths), objects.try_all(look, paths)
    torch.testing.assert_close([trial.energy for trial in objected], [-trial.energy for trial in reversed(liked)])
    assert torch.equal(liked[0].waves, paths[2])
    chosen = likes.choose(look, several := list(paths))
    assert chosen is not None
    assert torch.equal(chosen, paths[2])
    assert objects.choose(look, several) is None
    assert Judge(network, Agrees(), doubt=1e6).choose(look, several) is None
    # Whatever the critic that leads the search thinks of its own paths.
    judged = PathSearch.load(critic=Sulks(), effort=BRIEF, judge=likes)
    assert judged(small.blurred) is not None
    assert judged.describe()["judge"] == likes.describe() != judged.describe()["critic"]
    assert PathSearch.load(critic=Agrees(), effort=BRIEF, judge=objects)(small.blurred) is None


def test_the_last_word_is_said_after_a_look_at_more_of_the_picture(network: GuidedNetwork):
    class Counts(Agrees):
        """Notes how many windows it judges by."""

        def forward(self, judged: Judged) -> torch.Tensor:
            seen.append(judged.evidence.shape[1])
            return super().forward(judged)

    seen: list[int] = []
    judge = Judge(network, Counts())
    look = judge.look(np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8), CPU)
    judge.try_all(look, waves(1))
    judge.choose(look, waves(1))
    assert seen == [4, look.windows, look.windows]
    assert look.windows > 6


def test_a_judge_leads_by_the_strongest_windows_or_by_all_in_turn(monkeypatch: pytest.MonkeyPatch):
    class Windows:
        def __init__(self, places: Sequence[int]) -> None:
            self.places, self.windows = places, len(places)

        def part(self, windows: slice) -> Windows:
            return Windows(self.places[windows])

    def in_turn(critic: Critic, parts: Sequence[Windows], paths: object, stage: Stage) -> list[torch.Tensor]:
        seen.append([list(part.places) for part in parts])
        return []

    def once(critic: Critic, part: Windows, paths: object, stages: Sequence[Stage]) -> list[Trial]:
        seen.append([list(part.places)])
        return []

    seen: list[list[list[int]]] = []
    monkeypatch.setattr("deblur.path_search.judging.follow_by_parts", in_turn)
    monkeypatch.setattr("deblur.path_search.judging.follow", once)
    judge = Judge(torch.nn.Identity(), Critic())  # type: ignore[arg-type]
    # Of an odd number the weakest one leads nowhere.
    for count, pairs in ((1, [[0]]), (2, [[0, 1]]), (4, [[0, 1], [2, 3]]), (5, [[0, 1], [2, 3]])):
        look: Any = Windows(range(count))
        judge.follow(look, [], Stage(1, 2, 0.1))
        judge.follow_all_over(look, [], Stage(1, 2, 0.1))
        assert seen == [pairs[:1], pairs]
        seen.clear()


@pytest.mark.parametrize(("record", "margin"), [({"margin": 24}, 24), ({}, 0)])
def test_a_judge_looks_with_the_margin_that_its_critic_has_learnt_from(
    monkeypatch: pytest.MonkeyPatch, record: dict[str, int], margin: int
):
    monkeypatch.setattr("deblur.path_search.judging.learnt_from", lambda file, card: record)
    monkeypatch.setattr(Critic, "load", lambda file: Critic())
    monkeypatch.setattr("deblur.path_search.judging.Look", lambda *given: given[2:])
    judge = Judge.released(torch.nn.Identity(), {"name": "mine"})  # type: ignore[arg-type]
    assert judge is not None
    picture = np.zeros((60, 80, 3), np.uint8)
    assert judge.look(picture, CPU, 3) == (3, margin)


@pytest.mark.usefixtures("small_copies")
def test_the_judge_leads_in_two_copies(shaken: Shaken, network: GuidedNetwork, monkeypatch: pytest.MonkeyPatch):
    def follow(look: Look, paths: Sequence[torch.Tensor], stage: Stage) -> list[torch.Tensor]:
        """Led to paths that are longer."""
        led.append((look.frame.longest, stage, paths[0]))
        return [2 * path for path in paths[: stage.kept]]

    led: list[tuple[int, Stage, torch.Tensor]] = []
    judge = Judge(network, Agrees())
    monkeypatch.setattr(judge, "follow", follow)
    monkeypatch.setattr(judge, "follow_all_over", follow)
    effort = BRIEF._replace(judged_middle=Stage(2, 5, 0.1), judged_largest=Stage(1, 8, 0.1))
    found = PathSearch.load(critic=Sulks(), effort=effort, judge=judge)(shaken.blurred)
    assert [(side, stage) for side, stage, _ in led] == [(240, effort.judged_middle), (300, effort.judged_largest)]
    # The best path of the smaller copy goes on in the larger one, in its pixels, and the best of all is told.
    torch.testing.assert_close(led[1][2], 2 * 1.25 * led[0][2])
    assert found is not None
    np.testing.assert_allclose(found.path, Frame(300, 234).motion(2 * led[1][2]).path, atol=1e-5)


def test_the_judge_leads_at_the_end(small: Shaken, network: GuidedNetwork):
    class Follows(Judge):
        """Looks where it was led."""

        def try_all(self, look: Look, paths: torch.Tensor) -> list[Trial]:
            asked.append(paths)
            return super().try_all(look, paths)

    asked: list[torch.Tensor] = []
    judge = Follows(network, Agrees())
    judged = PathSearch.load(critic=Sulks(), effort=BRIEF._replace(judged_largest=Stage(2, 3, 0.3)), judge=judge)
    found = judged(small.blurred)
    tried, led = asked
    # This judge likes long paths, so it has led both to longer ones, and one of these is told.
    frame = Frame(small.blurred.shape[1], small.blurred.shape[0])
    estimate = judge.look(small.blurred, CPU).estimate
    assert width_of(led, frame, estimate).min() > width_of(tried, frame, estimate).max()
    assert found is not None
    longest = led[width_of(led, frame, estimate).argmax()]
    np.testing.assert_allclose(found.path, frame.motion(longest).path)
    # Without another network's judge there is nothing to lead by that has not led before.
    same, without = (
        PathSearch.load(critic=Agrees(), effort=BRIEF._replace(judged_middle=stage, judged_largest=stage))(
            small.blurred
        )
        for stage in (Stage(1, 3, 0.3), None)
    )
    assert same is not None
    assert without is not None
    np.testing.assert_array_equal(same.path, without.path)


def test_no_path_is_told_where_the_networks_own_restoration_seems_better(small: Shaken):
    critic = Sulks()
    deblurrer = Deblurrer.load("default", "cpu")
    own = deblurrer(small.blurred)
    deblurrer.search = PathSearch.load(critic=critic, effort=BRIEF)
    np.testing.assert_array_equal(deblurrer(small.blurred), own)
    assert critic.calls > 0


def test_nothing_is_searched_where_the_path_is_told_or_no_blur_shows(shaken: Shaken):
    critic = Sulks()
    patient = Deblurrer.load("default", "cpu")
    told = patient(shaken.blurred, shaken.motion)
    sharp = scale_down(photographs.astronaut(), 400)
    patient.search = PathSearch.load(critic=critic, effort=QUICK)
    np.testing.assert_array_equal(patient(shaken.blurred, shaken.motion), told)
    np.testing.assert_array_equal(patient(sharp), sharp)
    assert critic.calls == 0


def test_a_found_path_is_told_as_a_measured_one(shaken: Shaken, monkeypatch: pytest.MonkeyPatch):
    patient = Deblurrer.load("default", "cpu")
    told = patient(shaken.blurred, shaken.motion)
    patient.search = PathSearch.load(critic=Sulks(), effort=QUICK)
    monkeypatch.setattr(PathSearch, "__call__", lambda self, picture, restore: shaken.motion)
    np.testing.assert_array_equal(patient(shaken.blurred), told)
    np.testing.assert_array_equal(patient(np.stack([shaken.blurred] * 2))[1], told)
    np.testing.assert_array_equal(np.rint(patient.unrounded(shaken.blurred)), told)
    restored, believed, spread = patient.restore_along(shaken.blurred, None)
    assert spread == patient.spread(shaken.blurred), "what the guide sees, and not by the path that was found"
    np.testing.assert_array_equal(restored, told)
    assert believed is not None
    assert 0.3 < believed < 1
    monkeypatch.setattr(PathSearch, "__call__", lambda self, picture, restore: None)
    assert patient.restore_along(shaken.blurred, None).believed is None


def test_a_network_without_a_guide_searches_for_nothing():
    with pytest.raises(DeblurError, match=r"mstsgm-nano\+search: mstsgm-nano has no guide"):
        Deblurrer.load("mstsgm-nano+search", "cpu")
    nano, _ = load_released("mstsgm-nano")
    with pytest.raises(ValueError, match="no guide"):
        Deblurrer(nano, name="mstsgm-nano", search=PathSearch.load(critic=Critic()))


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_a_critic_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None):
    file = tmp_path / "critic.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DeblurError, match=r"critic\.safetensors"):
        Critic.load(file)


def test_the_total_of_a_map_is_the_error_of_the_picture():
    errors = torch.rand(2, 3, 5)
    torch.testing.assert_close(ErrorMap.total(errors.log()), errors.mean((1, 2)).log() / 2)


def test_a_critic_sees_and_weighs():
    torch.manual_seed(0)
    critic = Critic().eval()
    judged = Judged(torch.randn(3, 2, len(NAMES)), torch.randn(3, 2, 2 * STATISTICS, 16, 25), torch.empty(0))
    energies = critic(judged)
    assert energies.shape == (3,)
    other = judged._replace(squares=judged.squares.flip(-1))
    assert not torch.equal(critic(other), energies)
    other = judged._replace(evidence=judged.evidence + 1)
    assert not torch.equal(critic(other), energies)
    assert critic.sees(judged.squares[0]).shape == (2, 16, 25)


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


def test_the_released_critic_is_of_the_released_default_network():
    record = json.loads(RELEASED.with_suffix(".json").read_text())
    _, card = load_released("default")
    assert record["network"] == {"name": card["name"], "sha256": card["sha256"]}, "make it anew: docs/path-search.md"
    assert record["sha256"] == hashlib.sha256(RELEASED.read_bytes()).hexdigest()
    sha256 = record["sha256"]
    leads = PathSearch.load(critic=Critic.load())  # and has the last word, where there is no judge
    assert leads.describe() == {"network": card["sha256"], "critic": sha256, "judge": sha256}
    judge = json.loads(judge_file(card["name"]).with_suffix(".json").read_text())["sha256"]
    assert PathSearch.load().describe() == {"network": card["sha256"], "critic": sha256, "judge": judge}


@pytest.mark.parametrize("name", ["mstsgm-guided", "mstsgm-guided-large"])
def test_the_released_judges_are_of_the_released_networks(network: GuidedNetwork, name: str):
    record = json.loads(judge_file(name).with_suffix(".json").read_text())
    _, card = load_released(name)
    assert record["network"] == {"name": card["name"], "sha256": card["sha256"]}, "make it anew: docs/path-search.md"
    assert record["sha256"] == hashlib.sha256(judge_file(name).read_bytes()).hexdigest()
    patient = Deblurrer.load(f"{name}+search", "cpu")
    assert patient.describe()["search"]["judge"] == record["sha256"]
    # Of other weights it knows nothing, whatever their name.
    assert Judge.released(network, card | {"sha256": "0" * 64}) is None
    assert Judge.released(network, card | {"name": "another"}) is None


def test_a_random_start_is_followed_by_its_half_turn(shaken: Shaken, network: GuidedNetwork):
    starts = random_starts(Look(network, to_batch(scale_down(shaken.blurred, 200), CPU)), 2)
    assert torch.equal(starts[1::2], -starts[::2])


def test_paths_that_explain_are_in_the_pixels_of_the_picture(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deblur.path_search.explaining._SIDE", 100)
    monkeypatch.setattr("deblur.path_search.explaining._STEPS", 0)  # where it begins is where it ends
    starts = torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(0))
    told: list[Motion | None] = []

    def restore(given: NDArray[np.uint8], path: Motion | None) -> NDArray[np.uint8]:
        told.append(path)
        return given

    paths = explain(photographs.astronaut()[:300, :400], restore, starts)
    torch.testing.assert_close(paths, starts.expand(2, -1, -1))
    unled, led = told[:2]
    assert unled is None
    assert led is not None
    np.testing.assert_allclose(led.path, Frame(400, 300).motion(starts[0]).path, atol=1e-4)


def test_any_part_of_a_look_is_judged_as_in_the_whole(shaken: Shaken, network: GuidedNetwork):
    whole = Look(network, to_batch(shaken.blurred, CPU), windows=3)
    part, path = whole.part(slice(1, 2)), waves_of(shaken.motion, whole.frame)[None]
    with torch.no_grad():
        judged = (*part.judge(path), *part.by_itself), (*whole.judge(path), *whole.by_itself)
    for one, other in zip(*judged, strict=True):
        torch.testing.assert_close(one, other[:, 1:2], atol=2e-3, rtol=2e-3)


@pytest.mark.slow
def test_a_search_restores_more_of_a_photograph():
    """One photograph; how it is on others experiments.restoration measures."""
    sharp = scale_down(photographs.coffee(), 480)
    blurred, _ = synthesize_with_motion(sharp, BlurSpec("shake", 10), 0, "coffee")
    restored, believed, _ = Deblurrer.load("mstsgm-guided+search", "cpu").restore_along(blurred, None)
    alone = Deblurrer.load("mstsgm-guided", "cpu")(blurred)
    error, before = (np.square(each.astype(float) - sharp).mean() for each in (restored, alone))
    assert error < 0.8 * before  # a decibel
    assert believed is not None
    assert believed > 0.4
