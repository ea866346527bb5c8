"""The search for a camera's path: where it begins, how it goes down, what it tells, and who restores by it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur import BlurSpec, Motion, synthesize_with_motion
from deblur.blur.sensor import to_linear
from deblur.deblurrer import load_told
from deblur.devices import to_batch
from deblur.errors import DeblurError
from deblur.exposure.spectra import luma
from deblur.path_search import PathSearch
from deblur.path_search.critic import Critic
from deblur.path_search.descent import Stage, Trial, follow, follow_by_parts
from deblur.path_search.evidence import Judged, Look
from deblur.path_search.explaining import Explaining, explain
from deblur.path_search.search import Effort
from deblur.path_search.starts import random_starts
from deblur.path_search.trial_path import AXES, WAVES, Frame, spread_points, waves_of
from deblur.pictures import scale_down
from deblur.released import load_released
from tests.deblur.path_searching import BRIEF, CPU, Agrees, Shaken, Sulks, waves

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deblur.networks.guided import GuidedNetwork

QUICK = Effort(3, (Stage(2, 2, 0.2),), (Stage(1, 2, 0.1),), (Stage(1, 2, 0.1),))


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


def alike(frame: Frame, one: torch.Tensor, other: torch.Tensor) -> float:
    """Cosine of two paths' kernels, a little smoothed, at four places: it does not matter which way they were gone."""
    places = ([0.2 * frame.height, 0.8 * frame.height], [0.2 * frame.width, 0.8 * frame.width])
    kernels = (spread_points(frame.points(path, *places), 48) for path in (one, other))
    return float(torch.cosine_similarity(*(F.avg_pool2d(each, 3, 1).flatten(1) for each in kernels)).mean())


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


def test_the_best_paths_of_a_stage_go_on_in_the_next():
    far, near = (torch.full((WAVES, AXES), place) for place in (4.0, 1.0))
    stages = [Stage(2, 1, 0.1), Stage(1, 1, 0.1)]
    (best,) = follow(lambda judged: judged, Bowl(0.0, []), [far, near], stages)
    assert best.energy < near.square().sum()


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


def test_autocast_around_it_changes_no_search(small: Shaken):
    pleased, search = PathSearch.load(critic=Agrees(), effort=BRIEF), PathSearch.load(effort=BRIEF)

    starts = random_starts(search.first_look(small.blurred), 2)

    def found() -> tuple[Motion | None, list[float]]:
        tried = search.begin(search.first_look(small.blurred), starts)
        return pleased(small.blurred), [trial.energy for trial in tried]

    path, energies = found()
    with torch.autocast("cpu"):
        again, same = found()
    assert path is not None
    assert again is not None
    np.testing.assert_array_equal(again.path, path.path)
    assert same == energies


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
    plain = Deblurrer.load("default", "cpu", seen_side=320).describe()
    assert set(plain) == {"name", "sha256", "max_pixels", "seen_side", "bfloat16", "consistent", "trust"}
    assert (plain["seen_side"], plain["bfloat16"]) == (320, False)


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


def test_a_search_is_shown_what_the_network_itself_makes_along_a_path(shaken: Shaken, monkeypatch: pytest.MonkeyPatch):
    shown: list[NDArray[np.uint8]] = []

    def ask(self: PathSearch, picture: NDArray[np.uint8], restore: Callable[..., NDArray[np.uint8]]) -> None:
        shown.extend(restore(picture, path) for path in (None, shaken.motion))

    monkeypatch.setattr(PathSearch, "__call__", ask)
    Deblurrer.load("default+search", "cpu")(shaken.blurred)
    plain = Deblurrer.load("default", "cpu", consistent=False, doubting=False)
    for picture, path in zip(shown, (None, shaken.motion), strict=True):
        np.testing.assert_array_equal(picture, plain(shaken.blurred, path))


def test_a_network_without_a_guide_searches_for_nothing():
    with pytest.raises(DeblurError, match=r"mstsgm-nano\+search: mstsgm-nano has no guide"):
        Deblurrer.load("mstsgm-nano+search", "cpu")
    nano, _ = load_released("mstsgm-nano")
    with pytest.raises(ValueError, match="no guide"):
        Deblurrer(nano, name="mstsgm-nano", search=PathSearch.load(critic=Critic()))


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
