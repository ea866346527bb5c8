"""Data consistency: a restoration that, blurred again along a path that is known, is the picture it was made of.

A network's restoration is sharp, but blurred again along the camera's true path it misses the picture it was given by
several times the noise. Inverse filters take back what is missing, as in the data step of half-quadratic splitting
(Geman and Yang, IEEE Transactions on Image Processing, 1995), whose prior is here what the network made: of light Y and
a restoration x, x + F (Y - K x) with the Wiener filter F of the blur K.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from deblur.blur.sensor import to_linear, to_srgb
from deblur.exposure.deconvolution import Deconvolution, Regularization, blur
from deblur.exposure.kernels import exposure_along

if TYPE_CHECKING:
    from torch import Tensor

    from deblur.exposure.kernels import Exposure
    from deblur.exposure.paths import CameraPath

# Most of the gain for a sixth of the time (docs/training-log.md, 2026-11-28).
_HALF = 0.5
# Calmer than what a guide hands to a network, which can leave out what rings: a sensor's path is some percent off.
_CALM = Regularization(0.02, 0.03)
_CLIPPED = 0.98  # of an encoded value: the sensor's bound, light may have been more
_LOOK = 10  # pixels of the copy, around each, over which is told whether the path holds there
_UNEXPLAINED = 0.6  # share of the change's energy that may be missing where it does
_FLOOR = 1e-8  # of energies


def make_consistent(restored: Tensor, blurred: Tensor, path: CameraPath) -> Tensor:
    """Bring a restoration nearer to the light that its picture holds.

    A sensor averages light, but frames that a blur was made of may have been averaged as they were encoded, as those
    of GoPro were: the one of the two that leaves less unexplained is taken.

    Where the path does not hold, on what moves by itself or stands before a background that the camera follows past,
    light that is blurred again differs from the picture as much as it did before: there the restoration stays.

    Args:
        restored: (1, 3, H, W) RGB in [0, 1], by a network; what is outside is clipped.
        blurred: (1, 3, H, W) RGB in [0, 1], what it was made of.
        path: of the camera, as a sensor measures it, in pixels of this picture.

    Returns:
        (1, 3, H, W) in [0, 1].
    """
    size = blurred.shape[-2:]
    half = height, width = -(-size[0] // 2), -(-size[1] // 2)
    exposure = exposure_along(path.scaled(_HALF), height, width, blurred.device)
    restored = restored.clamp(0, 1)
    linear = to_linear(restored)
    clean, light, values, seen = (
        F.interpolate(each, half, mode="area") for each in (restored, linear, blurred, to_linear(blurred))
    )
    clipped = values > _CLIPPED
    averaged, encoded = _Change(light, seen, clipped, exposure), _Change(clean, values, clipped, exposure)
    if averaged.unexplained <= encoded.unexplained:
        return to_srgb(linear + F.interpolate(averaged.filtered(), size, mode="bilinear"))
    return (restored + F.interpolate(encoded.filtered(), size, mode="bilinear")).clamp(0, 1)


class _Change:
    """What a restoration lacks of its picture, in one of the lights."""

    def __init__(self, clean: Tensor, seen: Tensor, clipped: Tensor, exposure: Exposure) -> None:
        """Blur a restoration (1, 3, h, w) again and look at what was seen, a bound where it is ``clipped``."""
        self._exposure = exposure
        kernels, rows, columns, _ = exposure
        missing = seen - blur(clean, kernels.mean, rows, columns)
        self._missing = torch.where(clipped, missing.clamp_min(0), missing)
        self._share = _energy(self._missing) / (_energy(seen - clean) + _FLOOR)
        self.unexplained = float(self._share.clamp_max(1).mean())
        """Mean share of the blur's energy that is missing."""

    def filtered(self) -> Tensor:
        """(1, 3, h, w) what filters make of it, where the path holds."""
        kernels, rows, columns, _ = self._exposure
        holds = (1 - self._share / _UNEXPLAINED).clamp(0, 1)
        filters = Deconvolution(self._missing * holds, kernels, rows, columns)
        return filters.restore(filters.gain(_CALM)) * holds


def _energy(light: Tensor) -> Tensor:
    """(1, 1, h, w) mean square around each pixel."""
    return F.avg_pool2d(light.square().mean(1, keepdim=True), 2 * _LOOK + 1, 1, _LOOK, count_include_pad=False)
