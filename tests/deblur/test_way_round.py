"""Which way round camera's paths go, seen in what is restored along them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from deblur.blur import BlurSpec, Motion, synthesize_with_motion
from deblur.blur.motion import still
from deblur.devices import to_batch
from deblur.exposure.deconvolution import KNOWN
from deblur.exposure.kernels import exposure_along
from deblur.exposure.paths import as_measured
from deblur.exposure.way_round import WayRound, sparser_than_turned

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


def shaken(length: float) -> list[tuple[np.ndarray, Motion]]:
    """Four blurred photographs and their paths, with a sensor's errors."""
    pictures = []
    for name in NAMES:
        blurred, motion = synthesize_with_motion(getattr(photographs, name)()[:400], BlurSpec("shake", length), 5, name)
        pictures.append((blurred, as_measured(motion, np.random.default_rng(0))))
    return pictures


def turned(motion: Motion) -> Motion:
    """What a gyroscope would say whose signs are all wrong."""
    return replace(motion, path=-motion.path)


@pytest.mark.parametrize("length", [12, 24])
def test_wrong_signs_are_found_within_four_pictures_and_right_ones_never_doubted(length: float):
    right, wrong = WayRound(), WayRound()
    for blurred, motion in shaken(length):
        right.look(blurred, motion)
        if wrong.wanted:
            wrong.look(blurred, turned(motion))
    assert wrong.turned
    assert not wrong.wanted
    assert not right.turned
    assert right.wanted


def test_the_paths_of_other_pictures_are_not_taken_for_turned_ones():
    pictures = shaken(12)
    for shift in (1, 2, 3):
        way_round = WayRound()
        for index, (blurred, _) in enumerate(pictures):
            way_round.look(blurred, pictures[(index + shift) % len(pictures)][1])
        assert not way_round.turned


def test_turning_a_path_turns_the_sign():
    blurred, motion = shaken(12)[0]
    picture = to_batch(blurred, torch.device("cpu"))
    gain, other = (
        sparser_than_turned(picture, exposure_along(path, *blurred.shape[:2], picture.device), KNOWN)
        for path in (motion, turned(motion))
    )
    assert gain > 0.01
    assert other == pytest.approx(-gain, abs=0.002)


def test_a_large_picture_is_looked_at_in_a_smaller_copy():
    blurred, motion = shaken(12)[0]
    height, width = blurred.shape[:2]
    large = np.array(Image.fromarray(blurred).resize((3 * width, 3 * height), Image.Resampling.BICUBIC))
    way_round = WayRound()
    for _ in range(8):
        way_round.look(large, turned(motion.scaled(3)))
    assert way_round.turned


def test_the_path_of_a_narrow_strip_is_scaled_as_its_longer_side_is(monkeypatch: pytest.MonkeyPatch):
    scale, scales = Motion.scaled, []

    def scaled(motion: Motion, factor: float) -> Motion:
        scales.append(factor)
        return scale(motion, factor)

    monkeypatch.setattr(Motion, "scaled", scaled)
    strip = np.full((3200, 3, 3), 128, np.uint8)
    strip[1600:] = 0
    WayRound().look(strip, still(3, 3200))
    assert scales == [0.2]


def test_what_tells_nothing_counts_for_nothing():
    way_round = WayRound()
    assert not way_round.turned
    sharp = photographs.astronaut()[:200, :200]
    way_round.look(sharp, still(200, 200))
    assert way_round._gains == []
    blurred, motion = shaken(12)[0]
    for _ in range(30):
        way_round.look(np.zeros_like(blurred), turned(motion))
    assert not way_round.turned
    assert way_round.wanted, "nothing was seen yet"
    way_round.look(blurred, turned(motion))
    assert len(way_round._gains) == 1


def test_few_pictures_are_looked_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deblur.exposure.way_round.sparser_than_turned", lambda *_: 0.01)
    way_round, (blurred, motion) = WayRound(), shaken(12)[0]
    looks = 0
    while way_round.wanted:
        way_round.look(blurred, motion)
        looks += 1
    assert looks == 24
    assert not way_round.turned
