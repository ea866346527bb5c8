"""Blur kernels from a blurred picture and a guess at the sharp one: least squares, region by region."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deblur.borders import mirrored_window
from deblur.exposure.kernels import KERNEL
from deblur.exposure.spectra import REGION

if TYPE_CHECKING:
    from collections.abc import Sequence

RIDGES = (0.1, 0.01)
"""Regularisations, as shares of the mean power of the guess's gradients."""
FITS = 2 * len(RIDGES)


def fit_kernels(sharp: Tensor, blurred: Tensor, rows: Sequence[float], columns: Sequence[float]) -> Tensor:
    """What kernel makes the gradients of ``blurred`` of those of ``sharp``, in least squares with a ridge.

    Where the guess is nearer to the truth than a linear filter of the blurred picture could be, as behind a network,
    the kernel comes out nearer too, and the right way round (Cho and Lee, SIGGRAPH Asia 2009).

    Args:
        sharp: guesses (B, C, H, W); differentiable.
        blurred: the same shape.
        rows: y of the regions' centres.
        columns: x of the regions' centres.

    Returns:
        (B, R, C * 4, 48, 48), R = rows * columns: for each channel the fit to the region by each of ``RIDGES``, then
        the fits to all regions together. Of the order of 1, and of either sign.
    """
    places = [(round(x - REGION / 2), round(y - REGION / 2)) for y in rows for x in columns]
    taper = torch.hann_window(REGION, device=sharp.device)
    taper = taper * taper.unsqueeze(1)
    spectra = []
    for picture in (sharp, blurred):
        windows = torch.stack([mirrored_window(picture, left, top, REGION, REGION) for left, top in places], 1)
        level = (windows * taper).sum((-2, -1), keepdim=True) / taper.sum()
        spectra.append(torch.fft.rfft2((windows - level) * taper))
    y = 2 - 2 * torch.cos(2 * math.pi * torch.fft.fftfreq(REGION, device=sharp.device))
    x = 2 - 2 * torch.cos(2 * math.pi * torch.fft.rfftfreq(REGION, device=sharp.device))
    differences = y.unsqueeze(1) + x
    cross = differences * spectra[0].conj() * spectra[1]
    power = differences * spectra[0].abs().square()
    fits = []
    for c, p in ((cross, power), (cross.mean(1, keepdim=True), power.mean(1, keepdim=True))):
        level = p.mean((-2, -1), keepdim=True) + 1e-6
        fits += [torch.fft.irfft2(c / (p + ridge * level), s=(REGION, REGION)) for ridge in RIDGES]
    fits = [fit.expand(-1, len(places), -1, -1, -1) for fit in fits]
    half = KERNEL // 2
    kernels = torch.cat(fits, 2).roll((half, half), (-2, -1))[..., :KERNEL, :KERNEL]
    # A kernel of sum 1 spread over a path of 10 pixels has values of 0.1.
    return kernels * 10
