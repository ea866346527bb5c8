"""Restorations that are made to agree with the picture they were made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur import BlurSpec, Motion, parse_blur, synthesize_with_motion
from deblur.blur.rendering import render
from deblur.devices import to_batch
from deblur.exposure.consistency import evidence_of_light, make_consistent
from deblur.exposure.paths import as_measured
from deblur.metrics import psnr

if TYPE_CHECKING:
    from collections.abc import Callable

    from deblur.exposure.paths import CameraPath
    from deblur.networks.guided import GuidedNetwork

    RestoredAlong = Callable[[torch.Tensor, CameraPath], torch.Tensor]


def shaken(blur: BlurSpec, photograph: str = "astronaut") -> tuple[np.ndarray, np.ndarray, Motion]:
    sharp = getattr(photographs, photograph)()[:448]
    return sharp, *synthesize_with_motion(sharp, blur, 3, photograph)


@pytest.mark.parametrize(("blur", "least"), [("shake:8", 1.2), ("shake:28", 0.8), ("shake:28,light=srgb", 1.6)])
def test_a_restoration_gains_by_it(restored_along: RestoredAlong, blur: str, least: float):
    sharp, blurred, motion = shaken(parse_blur(blur))
    x, truth = to_batch(blurred, "cpu"), to_batch(sharp, "cpu")
    for path in (motion, as_measured(motion, np.random.default_rng(0))):
        restored = restored_along(x, path)
        consistent = make_consistent(restored, x, path)
        assert consistent.shape == x.shape
        assert 0 <= consistent.min() <= consistent.max() <= 1
        assert psnr(consistent, truth).item() > psnr(restored, truth).item() + least


@pytest.mark.parametrize("photograph", ["astronaut", "chelsea", "coffee"])
@pytest.mark.parametrize("light", ["linear", "srgb"])
@pytest.mark.parametrize("blur", ["shake:16", "straight:15"])
def test_it_is_seen_which_light_was_averaged(restored_along: RestoredAlong, photograph: str, blur: str, light: str):
    sharp, blurred, motion = shaken(parse_blur(f"{blur},light={light}"), photograph)
    x, truth = to_batch(blurred, "cpu"), to_batch(sharp, "cpu")
    path = as_measured(motion, np.random.default_rng(0))
    restored = restored_along(x, path)
    # The other light costs each of these pictures a tenth of a decibel and more.
    assert psnr(make_consistent(restored, x, path), truth).item() > psnr(restored, truth).item() + 0.2


@pytest.mark.parametrize(("light", "sign"), [("linear", 1), ("srgb", -1)])
def test_what_is_flat_says_nothing_of_the_light_beside_what_is_not(light: str, sign: int):
    sharp = np.full((160, 320, 3), 120, np.uint8)
    sharp[:, :112] = photographs.astronaut()[100:260, 150:262]
    blurred, motion = synthesize_with_motion(sharp, parse_blur(f"straight:24,jpeg=0,light={light}"), 3, "a")
    assert sign * evidence_of_light(to_batch(sharp, "cpu"), to_batch(blurred, "cpu"), motion) > 0.08


def test_what_a_network_makes_beyond_black_and_white_is_black_and_white():
    sharp, blurred, motion = shaken(BlurSpec("shake", 12))
    x, restored = (to_batch(picture[:160, :200], "cpu") for picture in (blurred, sharp))
    beyond = (restored - 0.5) * 1.5 + 0.5
    for found in (make_consistent, evidence_of_light):
        torch.testing.assert_close(found(beyond, x, motion), found(beyond.clamp(0, 1), x, motion))


def test_a_long_strip_is_made_consistent_as_its_parts_are(restored_along: RestoredAlong, monkeypatch):
    _, blurred, motion = shaken(BlurSpec("shake", 16))
    x = to_batch(blurred, "cpu")
    restored = restored_along(x, motion)
    usual = make_consistent(restored, x, motion)
    monkeypatch.setattr("deblur.exposure.consistency._LONGEST", 300)
    torch.testing.assert_close(make_consistent(restored, x, motion), usual, atol=1e-5, rtol=0)


def test_dark_places_gain_by_it_as_well(restored_along: RestoredAlong):
    sharp, blurred, motion = shaken(BlurSpec("shake", 28), "coffee")
    x, truth = to_batch(blurred, "cpu"), to_batch(sharp, "cpu")
    dark = (truth.amax(1, keepdim=True) < 0.2).expand_as(truth)
    path = as_measured(motion, np.random.default_rng(0))
    restored = restored_along(x, path)
    before, after = ((each - truth)[dark].square().mean() for each in (restored, make_consistent(restored, x, path)))
    assert after < 0.8 * before


def test_what_a_path_does_not_hold_for_stays(restored_along: RestoredAlong):
    sharp, _, motion = shaken(BlurSpec("shake", 16))
    still = to_batch(sharp, "cpu")
    torch.testing.assert_close(make_consistent(still, still, motion), still, rtol=0, atol=1e-3)
    # A camera that follows an object past its background: in the picture it is sharp, and stays nearly as it is.
    sharp, blurred, motion = shaken(BlurSpec("background", 16))
    x, truth = to_batch(blurred, "cpu"), to_batch(sharp, "cpu")
    restored = restored_along(x, motion)
    assert psnr(make_consistent(restored, x, motion), truth).item() > psnr(restored, truth).item()


def test_where_a_path_does_not_hold_a_restoration_stays_and_what_is_beside_it_gains_all_the_same():
    path = np.column_stack([np.linspace(-12, 12, 25), np.zeros((25, 3))])
    motion = Motion(path, np.full(25, 1 / 25), (79.5, 31.5))
    sharp = 0.2 + 0.6 * torch.rand(1, 3, 64, 160, generator=torch.Generator().manual_seed(0))
    seen = render(sharp, [motion])
    seen[..., 80:] = sharp[..., 80:]
    restored = sharp.clone()
    restored[..., :80] *= 0.97
    consistent = make_consistent(restored, seen, motion, as_light=False)
    before, after = ((each - sharp)[..., :60].square().mean() for each in (restored, consistent))
    assert after < 0.3 * before
    assert torch.equal(consistent[..., 101:], restored[..., 101:])  # farther than the path is looked at


def test_clipped_light_may_have_been_more():
    sharp = np.zeros((120, 160, 3), np.uint8)
    sharp[50:70, 70:90] = 255
    path = np.column_stack([np.linspace(-4, 4, 33), np.zeros((33, 3))])
    motion = Motion(path, np.full(33, 1 / 33), (79.5, 59.5))
    lamp = to_batch(sharp, "cpu")
    clipped = lamp.clone()
    clipped[..., 50:70, 60:100] = 1  # the streak of a lamp that is much lighter than the sensor can tell
    restored = make_consistent(lamp, clipped, motion)
    assert restored[..., 55:65, 76:84].min() > 0.999


def test_clipped_light_is_not_taken_for_less_than_what_was_restored():
    path = np.column_stack([np.linspace(-4, 4, 9), np.zeros((9, 3))])
    motion = Motion(path, np.full(9, 1 / 9), (47.5, 31.5))
    white = torch.ones(1, 3, 64, 96)
    white[..., :48] = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0)) * 0.8
    seen = render(white, [motion])
    seen[..., 56:] = 0.985  # as bright as the sensor tells, beside a texture that the path explains
    restored = make_consistent(white, seen, motion, as_light=False)
    assert restored[..., 60:].min() > 0.999


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (64, 33)])
def test_pictures_of_any_size(height: int, width: int):
    _, _, motion = shaken(BlurSpec("shake", 8))
    picture = torch.rand(1, 3, height, width)
    assert make_consistent(picture, picture, motion).shape == picture.shape


def test_what_is_restored_along_a_path_is_made_consistent_where_the_network_is_meant_to(
    network: GuidedNetwork, restored_along: RestoredAlong
):
    _, blurred, motion = shaken(BlurSpec("shake", 16))
    x = to_batch(blurred, "cpu")
    restored = restored_along(x, motion)
    deblurrer = Deblurrer(network, name="default")
    told = to_batch(deblurrer(blurred, motion), "cpu")
    torch.testing.assert_close(told, make_consistent(restored, x, motion), rtol=0, atol=1 / 255)
    plain = Deblurrer(network, name="default", consistent=False)
    torch.testing.assert_close(to_batch(plain(blurred, motion), "cpu"), restored, rtol=0, atol=1 / 255)
    deblurrer.search = plain.search = lambda picture, restore: motion  # type: ignore[assignment]
    found = to_batch(deblurrer(blurred), "cpu")
    torch.testing.assert_close(found, told, rtol=0, atol=0)
    torch.testing.assert_close(to_batch(plain(blurred), "cpu"), restored, rtol=0, atol=1 / 255)
