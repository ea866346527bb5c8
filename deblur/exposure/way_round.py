"""Which way round a camera's path goes: turned by 180 degrees a blur looks the same, what is restored does not."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING

import torch

from deblur.devices import to_batch
from deblur.exposure.deconvolution import KNOWN, Deconvolution, density
from deblur.exposure.kernels import exposure_along
from deblur.exposure.spectra import luma
from deblur.pictures import scale_down
from deblur.working_size import LOOK_SIDE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from deblur.exposure.deconvolution import Regularization
    from deblur.exposure.kernels import Exposure
    from deblur.exposure.paths import CameraPath

_EMPTY = 1e-12  # of a density of gradients
_MOST = 24  # pictures that are looked at
_CHANCE = 0.01  # standard deviation, over pictures, by paths of other pictures (docs/training-log.md)
_SURE = 3.0  # standard errors


def filters_by(picture: Tensor, exposure: Exposure) -> Deconvolution:
    """What undoes the kernels of a picture, (1, 3, H, W) RGB in [0, 1], in its brightness."""
    return Deconvolution(luma(picture), exposure.kernels, exposure.rows, exposure.columns)


def log_density(restored: Tensor) -> float:
    """Logarithm of how dense gradients are; a picture that is white or black all over has none and says nothing."""
    return density(restored).clamp_min(_EMPTY).log().item()


def sparser_than_turned(picture: Tensor, exposure: Exposure, regularization: Regularization) -> float:
    """By how much gradients are sparser restored by kernels than by the same kernels turned by 180 degrees.

    Args:
        picture: blurred, (1, 3, H, W) RGB in [0, 1].
        exposure: its kernels, which are known but for the way round.
        regularization: of the filters that restore it.

    Returns:
        A difference of logarithms: above 0 where they are the right way round, of turned ones the negative.
    """
    filters = filters_by(picture, exposure)
    gain, turned = filters.gain(regularization), torch.ones(1, dtype=torch.bool, device=picture.device)
    one, other = (log_density(filters.restore(gain, way)) for way in (None, turned))
    return other - one


class WayRound:
    """Finds out over a few pictures whether their camera's paths are all turned by 180 degrees.

    Rates of a gyroscope whose signs are all wrong make such paths, and the blur fits them as well as the right ones.

    Attributes:
        wanted: whether another picture may still say something new.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """Look at pictures on a device."""
        self._device = torch.device(device)
        self._gains: list[float] = []

    @property
    def wanted(self) -> bool:
        """Whether more pictures are worth looking at: it is not known yet, and few were looked at."""
        return len(self._gains) < _MOST and not self.turned

    @property
    def turned(self) -> bool:
        """Whether the pictures looked at are restored better along the paths turned, beyond chance."""
        if not self._gains:
            return False
        return fmean(self._gains) <= -_SURE * _CHANCE / math.sqrt(len(self._gains))

    def look(self, picture: NDArray[np.uint8], path: CameraPath) -> None:
        """Look at one picture.

        Args:
            picture: blurred, RGB uint8 (H, W, 3); a large one is looked at in a copy of 640 pixels.
            path: in its pixels.
        """
        small = scale_down(picture, LOOK_SIDE)
        if small.min() == small.max():  # black before a video fades in: it would take the place of one that tells
            return
        height, width = small.shape[:2]
        scale = max(height, width) / max(picture.shape[:2])
        with torch.inference_mode():
            exposure = exposure_along(path.scaled(scale), height, width, self._device)
            if exposure.blurred.item():
                self._gains.append(sparser_than_turned(to_batch(small, self._device), exposure, KNOWN))
