"""Large pictures with long blur: restored in a smaller copy, and what that keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from skimage import data as photographs
from torch import nn

from deblur import Deblurrer
from deblur.blur import BlurSpec, Motion, synthesize_with_motion
from deblur.blur.motion import Region, RollingShutter
from deblur.exposure.kernels import exposure_along
from deblur.exposure.paths import Rotation
from deblur.networks import Restored
from deblur.networks.guided import GuidedNetwork
from deblur.pictures import scale_down
from deblur.released import load_released
from deblur.working_size import LOOK_SIDE, carry_over, fitting_side

if TYPE_CHECKING:
    from collections.abc import Generator


class Inverse(nn.Module):
    """Turns a picture into its negative, and remembers what it was given."""

    multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor, *, finest_only: bool) -> Restored:
        self.shapes.append(tuple(x.shape[2:]))
        return Restored((1 - x,), None)


@pytest.mark.parametrize(
    ("side", "spread", "fitting"),
    [
        (1280, 0.0, 1280),  # nothing moved
        (1280, 4.25, 1280),
        (1280, 4.7, 1280),  # nearly the picture's own size: not worth a copy
        (1280, 5.44, 1000),
        (4000, 5.44, 1000),
        (1280, 20.0, LOOK_SIDE),  # never smaller than what was looked at
        (LOOK_SIDE, 20.0, LOOK_SIDE),
        (300, 20.0, 300),
    ],
)
def test_a_picture_is_made_so_small_that_its_blur_fits(side: int, spread: float, fitting: int) -> None:
    assert fitting_side(side, spread) == fitting


def test_a_picture_keeps_what_its_copy_does_not_show() -> None:
    chance = np.random.default_rng(0)
    picture = chance.integers(60, 190, (90, 120, 3), dtype=np.uint8)
    smaller = picture[::3, ::3]
    np.testing.assert_array_equal(carry_over(picture, smaller, smaller), picture)
    # Brighter to the right by half a grey level a pixel of the copy.
    ramp = np.linspace(0, 20, 40, dtype=np.float32)[:, None]
    change = carry_over(picture, smaller, smaller + ramp) - picture
    assert np.abs(change[:, 3:-3, 0] - np.interp(np.arange(3, 117), np.arange(40) * 3 + 1, ramp[:, 0])).max() < 0.1
    assert carry_over(picture, smaller, np.full_like(smaller, 255)).max() <= 255


def test_the_network_sees_twice_what_is_looked_at_at_most() -> None:
    network = Inverse()
    deblurrer = Deblurrer(network, name="inverse", seen_side=50)
    picture = np.full((150, 300, 3), 200, np.uint8)
    np.testing.assert_array_equal(deblurrer(picture), 255 - picture)
    np.testing.assert_allclose(deblurrer.unrounded(picture), 255 - picture, atol=0.001)
    np.testing.assert_array_equal(deblurrer(np.stack([picture] * 2)), np.stack([255 - picture] * 2))
    assert network.shapes == [(50, 100)] * 4
    deblurrer(picture[:80, :100])
    assert network.shapes[-1] == (80, 100)
    with pytest.raises(ValueError, match="seen_side is 0"):
        Deblurrer(network, name="inverse", seen_side=0)


def test_a_copy_may_still_go_in_tiles() -> None:
    network = Inverse()
    picture = np.tile(np.arange(200, dtype=np.uint8)[:, None, None], (5, 1500, 3))
    whole = 255 - picture.astype(int)
    for seen_side in (None, 600):
        tiled = Deblurrer(network, name="inverse", max_pixels=400 * 400, seen_side=seen_side)(picture)
        assert np.abs(tiled[20:180] - whole[20:180]).max() <= 1
    assert len(network.shapes) > 2
    assert max(height * width for height, width in network.shapes) <= 400 * 400 + 4 * 1200


class Watched(NamedTuple):
    """A guided network, and height and width of what went through it and through its estimator."""

    network: GuidedNetwork
    restored: list[tuple[int, ...]]
    looked_at: list[tuple[int, ...]]

    def deblurrer(self, seen_side: int | None = None) -> Deblurrer:
        return Deblurrer(self.network, name="mstsgm-guided", seen_side=seen_side)


@pytest.fixture(scope="module")
def loaded() -> GuidedNetwork:
    network, _ = load_released("mstsgm-guided")
    assert isinstance(network, GuidedNetwork)
    return network


@pytest.fixture
def guided(loaded: GuidedNetwork) -> Generator[Watched]:
    watched = Watched(loaded, [], [])
    hooks = [
        module.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(tuple(given[0].shape[2:])))
        for module, seen in ((loaded, watched.restored), (loaded.guide.estimator, watched.looked_at))
    ]
    yield watched
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("told", [False, True])
def test_the_copy_that_shows_the_blur_is_looked_at_once(
    told: bool, guided: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharp = cv2.resize(photographs.astronaut()[80:400], (1024, 640), interpolation=cv2.INTER_CUBIC)
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("shake", 40), 2, "astronaut")
    path = motion if told else None
    small = scale_down(blurred, LOOK_SIDE)
    restored = guided.deblurrer().unrounded(small, path and path.scaled(LOOK_SIDE / 1024))
    along = []
    monkeypatch.setattr(
        "deblur.deblurrer.exposure_along", lambda *given: along.append(given[1:3]) or exposure_along(*given)
    )
    for seen in guided[1:]:
        seen.clear()
    deblurrer = guided.deblurrer(seen_side=320)  # a copy of 640 at most
    np.testing.assert_array_equal(deblurrer.unrounded(blurred, path), carry_over(blurred, small, restored))
    assert guided.restored == [(400, LOOK_SIDE)]
    looks = [(400, LOOK_SIDE)]
    assert (guided.looked_at, along) == (([], looks) if told else (looks, []))


@pytest.mark.parametrize("told", [False, True])
def test_long_blur_in_a_large_picture_is_undone_in_a_smaller_one(
    told: bool, guided: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharp = cv2.resize(photographs.astronaut()[80:400], (1024, 640), interpolation=cv2.INTER_CUBIC)
    deblurrer = guided.deblurrer()

    def error(picture: np.ndarray) -> float:
        return float(np.square(picture[40:-40, 40:-40].astype(float) - sharp[40:-40, 40:-40]).mean())

    blurred, motion = synthesize_with_motion(sharp, BlurSpec("shake", 28), 2, "astronaut")
    path = motion if told else None
    restored = deblurrer(blurred, path)
    (size,) = guided.restored
    assert max(size) < 900
    np.testing.assert_array_equal(np.rint(deblurrer.unrounded(blurred, path)), restored)
    # What is made of a measured path afterwards takes more of the whole picture, so what the network does is compared.
    monkeypatch.setattr("deblur.along_path.make_consistent", lambda restored, *_: restored)
    smaller = deblurrer(blurred, path)
    monkeypatch.setattr("deblur.deblurrer.fitting_side", lambda side, spread: side)
    whole = deblurrer(blurred, path)
    assert guided.restored[-1] == (640, 1024)
    # Told the path, the whole picture is restored as well, but for several times the work.
    assert error(smaller) < (1.05 if told else 0.85) * error(whole)
    assert error(restored) < (0.6 if told else 0.85) * error(blurred)


def test_light_blur_is_undone_in_the_picture_itself(guided: Watched) -> None:
    sharp = cv2.resize(photographs.astronaut()[80:400], (1024, 640), interpolation=cv2.INTER_CUBIC)
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("shake", 6), 1, "astronaut")
    deblurrer = guided.deblurrer()
    deblurrer(blurred)
    deblurrer(np.stack([blurred] * 2), [motion] * 2)
    assert guided.restored == [(640, 1024)] * 3


@pytest.mark.parametrize(("told", "length"), [(False, 1), (True, 0.6)])  # twice that many of 1280 pixels
def test_blur_that_does_not_show_to_who_looks_stays(told: bool, length: float, guided: Watched) -> None:
    sharp = photographs.rocket()
    sharp = np.pad(sharp, ((0, 800 - len(sharp)), (0, 1280 - 640), (0, 0)), mode="symmetric")
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("straight", length), 1, "rocket")
    path = motion if told else None
    for seen_side, passes in [(320, 0), (LOOK_SIDE, 0), (1280, 1), (None, 1)]:
        deblurrer = guided.deblurrer(seen_side)
        guided.restored.clear()
        restored = deblurrer.unrounded(blurred, path)
        assert len(guided.restored) == passes
        assert np.array_equal(restored, blurred) == (passes == 0)
        assert restored.dtype == np.float32
        assert not np.shares_memory(deblurrer(blurred, path), blurred)


@pytest.mark.parametrize(
    "path",
    [
        Motion(
            np.array([[-6, 2, -0.02, -0.03], [1, 3, 0.01, 0], [5, -5, 0.01, 0.03]], float),
            np.array([0.5, 0.25, 0.25]),
            (319.5, 239.5),
            Region((200.0, 100.0), (50.0, 30.0), 0.2, moves=True),
        ),
        Rotation(np.array([[0.01, 0, -0.02], [-0.01, 0, 0.02]]), 800.0, (319.5, 239.5)),
        Motion(np.cumsum(np.ones((30, 4)) * 0.01, 0), np.full(30, 1 / 30), (99.5, 79.5), None, RollingShutter(20, 160)),
        Rotation(np.cumsum(np.ones((30, 3)) * 0.001, 0), 500.0, (99.5, 79.5), RollingShutter(20, 160)),
    ],
)
def test_a_path_scaled_is_that_of_the_picture_scaled(path: Motion | Rotation) -> None:
    half = path.scaled(0.5)
    for x, y in [(0.0, 0.0), (101.0, 63.0), (319.0, 151.0)]:
        there = ((x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5)
        np.testing.assert_allclose(half.displacement(*there), path.displacement(x, y) / 2, atol=0.02)
    if isinstance(path, Motion) and path.region is not None:
        assert half.region == replace(path.region, center=(99.75, 49.75), radii=(25.0, 15.0))
