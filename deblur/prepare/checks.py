"""Reading every picture of a data set once: size, hash, and whether a blurred picture lies over its sharp one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from deblur.equal_files import sha256_of
from deblur.errors import DeblurError
from deblur.metrics import psnr_of_values
from deblur.pictures import read_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deblur.prepare.layouts import Pair

# GoPro and REDS pairs measure 17.9 dB and more; two frames of different places lie around 10.
LOW_PSNR = 15.0
# Motion blur moves the correlation's peak by many pixels on true pairs, so a peak alone says nothing. A pair is called
# shifted where undoing a shift of at least 2 pixels raises PSNR by this much: on 380 true GoPro and REDS pairs the most
# was 1.17 dB. Shifts of one pixel occur in GoPro itself.
SHIFT_GAIN = 1.5
SMALLEST_SHIFT = 2
_WINDOW = 512


@dataclass(frozen=True)
class Checked:
    """What was measured on one pair.

    ``psnr`` (dB, grey) and ``shift`` ((x, y) pixels the blurred picture lies off, where that explains the difference)
    are None for a sharp picture alone; ``psnr`` is None for equal pictures. ``problems`` keep the data set from being
    prepared, ``warnings`` are reported only.
    """

    width: int = 0
    height: int = 0
    sharp_sha256: str = ""
    blurred_sha256: str | None = None
    psnr: float | None = None
    shift: tuple[int, int] | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check_pairs(pairs: Sequence[Pair], workers: int) -> list[Checked]:
    """Check every pair, with a progress bar on stderr; the order is kept."""
    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(tqdm(pool.map(check_pair, pairs), total=len(pairs), desc="checking", unit="pair", leave=False))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)  # else all that is queued is checked before the command ends
            raise


def check_pair(pair: Pair) -> Checked:
    """Read a pair's files and compare them."""
    problems = []
    pictures = []
    files = [file for file in (pair.sharp, pair.blurred) if file is not None]
    for file in files:
        try:
            pictures.append(read_picture(file))
        except DeblurError as error:
            problems.append(str(error))
    if problems:
        return Checked(problems=tuple(problems))
    sharp = pictures[0]
    height, width = sharp.shape[:2]
    hashes = [sha256_of(file) for file in files]
    if pair.blurred is None:
        return Checked(width, height, hashes[0])
    blurred = pictures[1]
    if blurred.shape != sharp.shape:
        size = f"{blurred.shape[1]}x{blurred.shape[0]}"
        return Checked(problems=(f"{pair.blurred} is {size}, its sharp picture {pair.sharp} is {width}x{height}",))
    psnr, shift, warnings = _compare(pair, blurred, sharp)
    return Checked(width, height, hashes[0], hashes[1], psnr, shift, warnings=warnings)


def find_shift(blurred: NDArray[np.float64], sharp: NDArray[np.float64]) -> tuple[int, int]:
    """How far ``blurred`` lies off ``sharp``, in whole pixels (x, y), by phase correlation under a Hann window.

    Args:
        blurred: grey (H, W).
        sharp: grey (H, W).
    """
    height, width = sharp.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    spectra = [np.fft.rfft2((picture - picture.mean()) * window) for picture in (blurred, sharp)]
    cross = spectra[0] * np.conj(spectra[1])
    peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=sharp.shape).argmax()
    y, x = np.unravel_index(int(peak), sharp.shape)
    return int(x) - width * (2 * int(x) > width), int(y) - height * (2 * int(y) > height)


def _compare(
    pair: Pair, blurred: NDArray[np.uint8], sharp: NDArray[np.uint8]
) -> tuple[float | None, tuple[int, int] | None, tuple[str, ...]]:
    grey_blurred, grey_sharp = _centre(blurred), _centre(sharp)
    before = psnr_of_values(grey_blurred, grey_sharp)
    if before is None:
        equal = np.array_equal(blurred, sharp)
        return None, None, (f"{pair.blurred} equals its sharp picture {pair.sharp}",) if equal else ()
    shift, warnings = None, []
    x, y, after = _best_move(grey_blurred, grey_sharp)
    if max(abs(x), abs(y)) >= SMALLEST_SHIFT and (after is None or after - before > SHIFT_GAIN):
        shift = (x, y)
        gain = "the pictures are then equal" if after is None else f"PSNR {before:.1f} dB, without it {after:.1f} dB"
        warnings.append(f"{pair.blurred} is shifted by ({x}, {y}) pixels against {pair.sharp}: {gain}")
    if not warnings and before < LOW_PSNR:
        warnings.append(f"{pair.blurred} is far from {pair.sharp}: PSNR {before:.1f} dB; are they one picture?")
    return round(before, 2), shift, tuple(warnings)


def _best_move(blurred: NDArray[np.float64], sharp: NDArray[np.float64]) -> tuple[int, int, float | None]:
    """The shift (x, y) near the correlation's peak that fits best, and the PSNR (None: equal) once it is undone."""
    height, width = sharp.shape
    peak_x, peak_y = find_shift(blurred, sharp)
    # A peak beyond a quarter of the window leaves too little overlap to judge by.
    if 4 * abs(peak_x) >= width or 4 * abs(peak_y) >= height:
        return 0, 0, psnr_of_values(blurred, sharp)
    # An even stroke has no middle pixel, so that blur alone moves the peak by one.
    moves = [(peak_x + x, peak_y + y) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    fits = [(psnr_of_values(overlap(blurred, x, y), overlap(sharp, -x, -y)), x, y) for x, y in moves]
    after, x, y = max(fits, key=lambda fit: float("inf") if fit[0] is None else fit[0])
    return x, y, after


def _centre(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The grey centre of a picture, at most 512 x 512: enough to judge by, and quick."""
    height, width = picture.shape[:2]
    top, left = max(0, height - _WINDOW) // 2, max(0, width - _WINDOW) // 2
    return picture[top : top + _WINDOW, left : left + _WINDOW].mean(axis=2)


def overlap(picture: NDArray[np.float64], x: int, y: int) -> NDArray[np.float64]:
    """The part of a picture that still lies over its partner when its content stands (x, y) pixels further on."""
    height, width = picture.shape
    return picture[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)]
