"""How close a picture is to its sharp original, on the eight bits that a detector sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.metrics import psnr_of_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST_SIDE = 11  # of the Gaussian window


def restoration_scores(picture: NDArray[np.uint8], sharp: NDArray[np.uint8]) -> dict[str, float | None]:
    """PSNR and SSIM of one picture.

    Args:
        picture: RGB uint8 (H, W, 3).
        sharp: RGB uint8 (H, W, 3).

    Returns:
        ``psnr`` in dB, None where every pixel is the same; ``ssim`` by scikit-image with a Gaussian window of standard
        deviation 1.5 as in Wang et al. (2004), None where a side is shorter than the window's 11 pixels.
    """
    from skimage.metrics import structural_similarity

    ssim = None
    if min(picture.shape[:2]) >= SMALLEST_SIDE:
        ssim = float(
            structural_similarity(
                picture,
                sharp,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=255,
                channel_axis=-1,
            )
        )
    return {"psnr": psnr_of_values(picture, sharp), "ssim": ssim}
