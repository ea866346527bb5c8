"""Paths fitted to pairs of a blurred and a sharp picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur import BlurSpec, synthesize_with_motion
from deblur.blur.motion import rasterize
from deblur.errors import DeblurError
from deblur.path_search.fitting import _Copy, fit_path
from deblur.pictures import scale_down

SHARP = scale_down(photographs.astronaut()[:400], 300)


def decibels(picture: np.ndarray, sharp: np.ndarray) -> float:
    return -10 * np.log10(np.mean((picture / 255.0 - sharp / 255.0) ** 2))


def test_a_fitted_path_restores_nearly_as_the_true_one_does():
    blurred, motion = synthesize_with_motion(SHARP, BlurSpec("shake", 16), 3, "astronaut")
    fit = fit_path(blurred, SHARP)
    assert 0 < fit.unexplained < 0.3
    assert np.hypot(*fit.shift) < 0.5
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    untold, fitted, true = (decibels(deblurrer(blurred, path), SHARP) for path in (None, fit.path, motion))
    assert fitted > true - 1
    assert fitted > untold + 1
    # The way round is no matter of chance: kernels are alike, not one the other turned by 180 degrees.
    kernels = [
        rasterize(path.displacement(150, 120), path.of_row(120).weights, 41).ravel() for path in (fit.path, motion)
    ]
    alike, turned = (np.dot(smooth(kernels[0]), smooth(each)) for each in (kernels[1], kernels[1][::-1]))
    assert alike > turned


def smooth(kernel: np.ndarray) -> np.ndarray:
    side = round(len(kernel) ** 0.5)
    rows = kernel.reshape(side, side)
    return sum(np.roll(rows, (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3)).ravel()


def test_a_sharp_picture_from_another_moment_is_told_by_its_shift():
    part = SHARP[:150, 50:200]
    blurred, _ = synthesize_with_motion(part, BlurSpec("straight", 24), 3, "astronaut")
    moved = np.roll(part, (2, -3), (0, 1))  # 3 pixels to the left of the exposure's middle
    fit = fit_path(blurred, moved)
    assert fit.shift == pytest.approx((3, -2), abs=0.4)
    assert np.abs(fit.path.path.mean(axis=0)).max() < 1e-6


def test_what_is_fitted_in_a_smaller_copy_is_in_the_pictures_own_pixels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "deblur.path_search.fitting._COPIES", (_Copy(75, 0, 12, 40, 0.3, 6), _Copy(150, 4, 0, 40, 0.2, 4))
    )
    blurred, motion = synthesize_with_motion(SHARP, BlurSpec("straight", 24), 3, "astronaut")
    fit = fit_path(blurred, np.roll(SHARP, (4, -6), (0, 1)))
    assert fit.shift == pytest.approx((6, -4), abs=1)
    true = np.ptp(motion.displacement(150, 117), axis=0)
    assert np.ptp(fit.path.displacement(150, 117), axis=0) == pytest.approx(true, abs=4)
    assert fit.path.center == pytest.approx((149.5, 116.5), abs=1)


def test_it_begins_by_its_seed_alone():
    blurred, _ = synthesize_with_motion(SHARP[:64, :64], BlurSpec("shake", 28), 3, "astronaut")
    one, same, other = (fit_path(blurred, SHARP[:64, :64], seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.path.path, same.path.path)
    assert not np.array_equal(one.path.path, other.path.path)


@pytest.mark.parametrize(
    ("picture", "error"),
    [(SHARP / 255, TypeError), (SHARP[..., 0], ValueError), (SHARP[None], ValueError), (None, TypeError)],
)
def test_a_path_is_fitted_to_pictures_alone(picture, error):
    for pair in ((picture, picture), (SHARP, picture)):
        with pytest.raises(error, match="pictures are"):
            fit_path(*pair)


def test_other_types_of_numbers_around_it_change_no_fit():
    part = SHARP[:24, :24]
    usual = fit_path(part, part)
    with torch.autocast("cpu"):
        np.testing.assert_array_equal(fit_path(part, part).path.path, usual.path.path)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(fit_path(part, part).path.path, usual.path.path)
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_is_no_pair_or_shows_too_little_is_refused():
    with pytest.raises(ValueError, match="are no pair"):
        fit_path(SHARP, SHARP[:-1])
    for small in (SHARP[:23, :64], SHARP[:24, :120]):
        with pytest.raises(DeblurError, match="shows too little to fit a path"):
            fit_path(small, small)
    assert fit_path(SHARP[:24, :24], SHARP[:24, :24]).unexplained > 0
