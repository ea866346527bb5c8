"""PSNR and SSIM of one restored picture, and their means over many."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from deblur.metrics import psnr_of_values
from experiments.common.picture_scores import pictures_with, restoration_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

PROTOCOL = {
    "pairs": "matched by relative path without suffix",
    "psnr": "RGB, whole picture, 8 bits (clamped and rounded), data range 255, by picture, then the mean; exact matches"
    " are infinite: counted in n_exact, and a picture that any row has exactly is averaged in no row; n_psnr are left",
    "psnr_float": "the same, over the same pictures, on the network's clamped, unrounded output; null where a method"
    " gives 8 bits alone of any of them",
    "ssim": "scikit-image structural_similarity: gaussian_weights, sigma 1.5, use_sample_covariance off, data_range"
    " 255, channel_axis -1; by picture, then the mean; pictures with a side under 11 pixels have none",
    "gain": "a row's mean less that of the input, over the same pictures",
    "alignment": "none",
    "ms_per_picture": "median; from the uint8 picture in memory to the restored one in memory, device synchronised,"
    " batch 1; without reading and writing files; the first picture of each size is left out as warm-up",
}
ALIGNED_PROTOCOL = {
    "alignment": "as the RealBlur authors score: brightness matched, ECC homography, cubic warp, scored over the valid"
    " region on floats; the 8 bits are rounded before alignment; the input is aligned too; n_not_aligned pictures"
    " did not converge and are scored as they are (docs/restoration.md)",
    "ssim": "the same settings on aligned floats with data_range 1, the map averaged over the valid region without a"
    " border of 5 pixels",
}


@dataclass(frozen=True)
class PictureScore:
    """Scores of one picture; None where there is none (see ``PROTOCOL``).

    ``exact``: every pixel is the sharp one's. ``aligned``: None where alignment was not asked for, False where it did
    not converge. ``milliseconds``: None where the method was not timed.
    """

    psnr: float | None
    psnr_float: float | None
    ssim: float | None
    exact: bool
    aligned: bool | None = None
    milliseconds: float | None = None


def score_picture(
    picture: NDArray[np.uint8],
    sharp: NDArray[np.uint8],
    *,
    unrounded: NDArray[np.float32] | None = None,
    aligned: bool = False,
    milliseconds: float | None = None,
) -> PictureScore:
    """Score a picture against its sharp one.

    Args:
        picture: RGB uint8 (H, W, 3), restored or blurred.
        sharp: RGB uint8 (H, W, 3).
        unrounded: what ``picture`` was before rounding, (H, W, 3) in [0, 255], where there is such a thing.
        aligned: lay the picture over the sharp one first, see ``experiments.restoring.alignment``.
        milliseconds: the time the picture took, kept with its scores.

    Raises:
        ValueError: the shapes differ.
    """
    if picture.shape != sharp.shape:
        raise ValueError(f"pictures of shapes {picture.shape} and {sharp.shape} cannot be compared")
    exact = bool(np.array_equal(picture, sharp))
    if aligned and not exact:
        return _score_aligned(picture, sharp, unrounded, milliseconds)
    scores = restoration_scores(picture, sharp)
    return PictureScore(
        psnr=scores["psnr"],
        psnr_float=None if unrounded is None else psnr_of_values(unrounded, sharp),
        ssim=scores["ssim"],
        exact=exact,
        aligned=True if aligned else None,
        milliseconds=milliseconds,
    )


def summarize(rows: Mapping[str, Sequence[PictureScore]], before: str) -> dict[str, dict[str, Any]]:
    """The means of each row over the pictures that every row has a score of; a mean over nothing is None.

    Args:
        rows: by name, the scores of the same pictures in one order.
        before: name of the row of the blurred pictures, which the others gain over.

    Returns:
        By name ``psnr``, ``psnr_float``, ``ssim``, ``ms_per_picture`` (a median), ``n_exact``, with alignment
        ``n_not_aligned``, and of all but ``before`` what it gains, ``psnr_gain`` and ``ssim_gain``.
    """
    with_psnr, with_ssim = (pictures_with(name, rows.values()) for name in ("psnr", "ssim"))
    summaries: dict[str, dict[str, Any]] = {}
    for name, scores in rows.items():
        times = [score.milliseconds for score in scores if score.milliseconds is not None]
        floats = [scores[place].psnr_float for place in with_psnr]
        summary: dict[str, Any] = {
            "psnr": _mean([scores[place].psnr for place in with_psnr]),
            "psnr_float": None if None in floats else _mean(floats),
            "ssim": _mean([scores[place].ssim for place in with_ssim]),
            "ms_per_picture": round(float(np.median(times)), 3) if times else None,
            "n_exact": sum(score.exact for score in scores),
        }
        if any(score.aligned is not None for score in scores):
            summary["n_not_aligned"] = sum(score.aligned is False for score in scores)
        summaries[name] = summary
    base = summaries[before]
    for summary in (summary for name, summary in summaries.items() if name != before):
        for score in ("psnr", "ssim"):
            summary[f"{score}_gain"] = difference(summary[score], base[score])
    return summaries


def difference(after: float | None, before: float | None) -> float | None:
    """What a score gained; None where one of the two is missing."""
    return None if after is None or before is None else after - before


def _score_aligned(
    picture: NDArray[np.uint8],
    sharp: NDArray[np.uint8],
    unrounded: NDArray[np.float32] | None,
    milliseconds: float | None,
) -> PictureScore:
    # OpenCV is imported only where pictures are aligned.
    from experiments.restoring.alignment import align, masked_psnr, masked_ssim

    reference = _to_unit(sharp)
    laid = align(_to_unit(picture), reference)
    psnr_float = None
    if unrounded is not None:
        psnr_float = masked_psnr(align(_to_unit(unrounded), reference), reference)
    return PictureScore(
        psnr=masked_psnr(laid, reference),
        psnr_float=psnr_float,
        ssim=masked_ssim(laid, reference),
        exact=False,
        aligned=laid.homography is not None,
        milliseconds=milliseconds,
    )


def _to_unit(picture: NDArray[Any]) -> NDArray[np.float32]:
    return (picture / 255).astype(np.float32)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
