"""Alignment undoes what it is made for, and its masked scores are those of a plain computation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut
from skimage.metrics import structural_similarity

from experiments.restoring.alignment import SSIM_BORDER, Aligned, align, masked_psnr, masked_ssim


def photograph(height: int = 160, width: int = 200) -> np.ndarray:
    return astronaut()[40 : 40 + height, 120 : 120 + width].astype(np.float32) / 255


def shifted(x: float, y: float, margin: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """(moved, sharp): both cut from one photograph, so that nothing is made up at the edges."""
    whole = photograph()
    moved = cv2.warpAffine(whole, np.float32([[1, 0, x], [0, 1, y]]), whole.shape[1::-1], flags=cv2.INTER_CUBIC)
    window = slice(margin, -margin)
    return moved[window, window].copy(), whole[window, window].copy()


def whole(picture: np.ndarray) -> Aligned:
    return Aligned(picture, np.ones(picture.shape[:2], np.float32), None)


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, -2), (2.5, 1.5)])
def test_a_shift_is_recovered(x: float, y: float) -> None:
    moved, sharp = shifted(x, y)
    before = masked_psnr(whole(moved), sharp)
    aligned = align(moved, sharp)
    after = masked_psnr(aligned, sharp)
    assert aligned.homography is not None
    centre = np.array([sharp.shape[1] / 2, sharp.shape[0] / 2, 1])
    there = aligned.homography @ centre
    assert np.allclose(there[:2] / there[2] - centre[:2], (x, y), atol=0.1)
    assert before is not None
    assert after is not None
    assert before < 25
    assert after > before + 10
    ssim = masked_ssim(aligned, sharp)
    assert ssim is not None
    assert ssim > 0.97  # half a pixel goes through two cubic filters


def test_a_far_shift_takes_many_rounds() -> None:
    sharp, moved = (astronaut()[100:228, left : left + 160].astype(np.float32) / 255 for left in (100, 116))
    aligned = align(moved, sharp)
    assert aligned.homography is not None
    assert np.allclose(aligned.homography[:2, 2], (-16, 0), atol=0.2)


def test_pixels_from_outside_are_masked_out() -> None:
    moved, sharp = shifted(4, 0)
    mask = align(moved, sharp).mask
    assert set(np.unique(mask)) == {0.0, 1.0}
    columns = mask.mean(axis=0)
    assert np.all(columns[-3:] < 0.1)
    assert np.all(columns[:-6] > 0.95)


def test_a_darker_picture_is_brought_to_the_sharp_ones_brightness() -> None:
    _, sharp = shifted(0, 0)
    score = masked_psnr(align(0.7 * sharp, sharp), sharp)
    assert score is not None
    assert score > 50


def test_what_has_no_structure_is_scored_as_it_is() -> None:
    _, sharp = shifted(0, 0)
    for flat in (np.zeros_like(sharp), np.full_like(sharp, 0.5)):
        aligned = align(flat, sharp)
        assert aligned.homography is None
        assert np.array_equal(aligned.picture, flat)
        assert aligned.mask.all()


def test_a_full_mask_gives_the_plain_scores() -> None:
    moved, sharp = shifted(1, 1)
    error = np.mean((moved.astype(np.float64) - sharp) ** 2)
    assert masked_psnr(whole(moved), sharp) == pytest.approx(-10 * np.log10(error), abs=1e-9)
    assert masked_ssim(whole(moved), sharp) == pytest.approx(
        structural_similarity(
            sharp.astype(np.float64),
            moved.astype(np.float64),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=-1,
        ),
        abs=1e-9,
    )


def test_only_the_masked_region_counts() -> None:
    _, sharp = shifted(0, 0)
    mask = np.zeros(sharp.shape[:2], np.float32)
    mask[:, :50] = 1
    picture = (sharp + 0.1).astype(np.float32) * mask[:, :, None]
    assert masked_psnr(Aligned(picture, mask, None), sharp) == pytest.approx(20, abs=1e-3)


def test_equal_or_tiny_pictures_have_no_figure() -> None:
    _, sharp = shifted(0, 0)
    assert masked_psnr(whole(sharp), sharp) is None
    tiny = sharp[: 2 * SSIM_BORDER]
    assert masked_ssim(whole(tiny), tiny) is None
    border = np.zeros(sharp.shape[:2], np.float32)
    border[:SSIM_BORDER] = 1
    assert masked_ssim(Aligned(sharp, border, None), sharp) is None
    border[SSIM_BORDER, SSIM_BORDER] = 1
    assert masked_ssim(Aligned(sharp, border, None), sharp) is not None
