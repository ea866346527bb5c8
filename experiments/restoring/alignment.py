"""Laying a restored picture over its sharp one before scoring, as RealBlur is scored.

RealBlur's two cameras see the scene by a beam splitter, so blurred and sharp picture differ by a small homography and
in brightness. Its authors (Rim et al., ECCV 2020, after Köhler et al. 2012) therefore

1. scale the restored picture z by the one factor sum(x z) / sum(z z) that brings it nearest to the sharp picture x;
2. find the homography of highest enhanced correlation (ECC, Evangelidis and Psarakis 2008; 100 iterations from the
   identity, no early stop, Gaussian of 5) between the grey pictures, and warp z by it, cubic;
3. score over the pixels that the warp brings from inside z alone: squared error summed over them divided by their
   number; the SSIM map averaged over them, without a border of 5.

All of it on floats in [0, 1] without rounding. What is done differently here: the blurred input is aligned like any
restored picture (the authors' script aligns it and then scores the unaligned one), and where ECC does not converge the
picture is scored as it is and counted, where the script stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from skimage.metrics import structural_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITERATIONS = 100  # with OpenCV's default Gaussian filter of 5
# scikit-image's window at sigma 1.5, truncated at 3.5 sigma, reaches 5 pixels to each side.
SSIM_BORDER = 5


class Aligned(NamedTuple):
    """A picture laid over its sharp one.

    Attributes:
        picture: float32 RGB (H, W, 3), 0 outside the mask; cubic warping may leave [0, 1] a little.
        mask: float32 (H, W), 1 where the warp read inside the picture, else 0.
        homography: float32 (3, 3), from pixels (x, y, 1) of the sharp picture to those of the unaligned one; None where
            no alignment was found, and then the picture is as it was.
    """

    picture: NDArray[np.float32]
    mask: NDArray[np.float32]
    homography: NDArray[np.float32] | None


def align(picture: NDArray[np.float32], sharp: NDArray[np.float32]) -> Aligned:
    """Lay ``picture`` over ``sharp``.

    Args:
        picture: RGB (H, W, 3) in [0, 1].
        sharp: RGB (H, W, 3) in [0, 1].
    """
    height, width = sharp.shape[:2]
    energy = float(np.sum(picture.astype(np.float64) ** 2))
    brightness = float(np.sum(sharp.astype(np.float64) * picture)) / energy if energy else 1.0
    scaled = (picture * np.float32(brightness)).astype(np.float32)
    homography = _find_homography(scaled, sharp)
    if homography is None:
        return Aligned(picture, np.ones((height, width), np.float32), None)
    warped = cv2.warpPerspective(
        scaled,
        homography,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    mask = cv2.warpPerspective(
        np.ones((height, width), np.float32),
        homography,
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    ).astype(np.float32)
    if not mask.any():
        return Aligned(picture, np.ones((height, width), np.float32), None)
    return Aligned(warped * mask[:, :, np.newaxis], mask, homography)


def masked_psnr(aligned: Aligned, sharp: NDArray[np.float32]) -> float | None:
    """PSNR in dB over the mask; None where nothing differs.

    Args:
        aligned: from ``align``.
        sharp: RGB (H, W, 3) in [0, 1].
    """
    mask = aligned.mask[:, :, np.newaxis].astype(np.float64)
    squares = (mask * (aligned.picture.astype(np.float64) - sharp)) ** 2
    error = float(squares.sum() / (3 * mask.sum()))
    return -10 * float(np.log10(error)) if error else None


def masked_ssim(aligned: Aligned, sharp: NDArray[np.float32]) -> float | None:
    """SSIM averaged over the mask; None where a side is shorter than the window or the mask has only border pixels.

    Args:
        aligned: from ``align``.
        sharp: RGB (H, W, 3) in [0, 1].
    """
    inner = aligned.mask[SSIM_BORDER:-SSIM_BORDER, SSIM_BORDER:-SSIM_BORDER].astype(np.float64)
    if not inner.any():
        return None
    masked_sharp = sharp.astype(np.float64) * aligned.mask[:, :, np.newaxis]
    _, similarity = structural_similarity(
        masked_sharp,
        aligned.picture.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
        full=True,
    )
    similarity = similarity[SSIM_BORDER:-SSIM_BORDER, SSIM_BORDER:-SSIM_BORDER]
    return float((similarity * inner[:, :, np.newaxis]).sum() / (3 * inner.sum()))


def _find_homography(picture: NDArray[np.float32], sharp: NDArray[np.float32]) -> NDArray[np.float32] | None:
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, 0)
    try:
        _, homography = cv2.findTransformECC(
            cv2.cvtColor(sharp, cv2.COLOR_RGB2GRAY),
            cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY),
            np.eye(3, dtype=np.float32),
            cv2.MOTION_HOMOGRAPHY,
            criteria,
        )
    except cv2.error as error:
        if error.code != cv2.Error.StsNoConv:
            raise
        return None
    return homography.astype(np.float32) if np.isfinite(homography).all() else None
