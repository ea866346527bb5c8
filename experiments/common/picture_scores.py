"""How close a picture is to its sharp original, on the eight bits that a detector sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from deblur.metrics import psnr_of_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

SMALLEST_SIDE = 11  # of the Gaussian window


class Scored(Protocol):
    """Something with the scores of one picture; one that is None is not defined."""

    @property
    def psnr(self) -> float | None:
        """In dB; None for an exact match."""

    @property
    def ssim(self) -> float | None:
        """None of a picture too small for it."""


def pictures_with(name: Literal["psnr", "ssim"], rows: Iterable[Sequence[Scored]]) -> list[int]:
    """The places of the pictures that every row has this score of, so that means of rows can be set side by side.

    Args:
        name: of the score.
        rows: the scores of the same pictures, in one order.
    """
    places = enumerate(zip(*rows, strict=True))
    return [place for place, scores in places if all(getattr(score, name) is not None for score in scores)]


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
