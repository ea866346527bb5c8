"""Blur kernels of a picture's regions: the true ones of a synthetic exposure, and what is measured on kernels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deblur.blur.rendering import moving_share
from deblur.exposure.spectra import REGION, difference_power, plane_mean, squared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deblur.blur import Motion
    from deblur.exposure.paths import CameraPath
    from deblur.exposure.spectra import Regions

KERNEL = 48
"""Side of a kernel in pixels; its centre is at [24, 24]."""
LARGEST_REACH = 80
"""Of a known path, in pixels from its middle."""
_SPACINGS = (112, 80, 56, 40, 28)  # pixels, between places that kernels are made for
_LARGEST_CHANGE = 0.7  # pixels, root mean square; see ``_change``
_GRID = 64  # of spectra of kernels
_NOISE = 0.01  # strength of the regularisation that estimates are judged by; see deconvolution.Deconvolution
_FLOOR = 0.02  # a blur of less error than this counts as none
SHARP = 0.7
"""Of `sharpness`: a picture whose kernels all have that much or more has nothing that a network would restore.

30 photographs of COCO as they are and shaken by 1 to 8 pixels: with more, ``mstsgm-guided`` gains .06 dB or less in the
mean and changes pixels by .1 of 255 or less (docs/training-log.md).
"""


class Belief(NamedTuple):
    """What is believed of blur kernels, each (..., K, K) with sum 1 and its centre at [K / 2, K / 2].

    Attributes:
        mean: of the kernels that are thought possible.
        power: a kernel whose power spectrum is the mean of theirs; the same as ``mean`` where the kernel is known.
    """

    mean: Tensor
    power: Tensor

    def changed(self, change: Callable[[Tensor], Tensor]) -> Belief:
        """The belief with ``change`` made to its kernels; once, and still the same, where these are known."""
        mean = change(self.mean)
        return Belief(mean, mean if self.power is self.mean else change(self.power))


class Exposure(NamedTuple):
    """The kernels of a batch of pictures, place by place.

    Attributes:
        kernels: what is believed of the kernels (B, R, K, K) of R = rows * columns places, row by row. K is 48 where
            they are estimated and even in any case.
        rows: y of the places in pixels, ascending.
        columns: x of the places.
        certain: whether the kernels are known rather than read from spectra, which cannot tell their way round.
    """

    kernels: Belief
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    certain: bool = False

    @property
    def blurred(self) -> Tensor:
        """(B,) bool, the pictures that are not sharp at some place."""
        return (sharpness(self.kernels.mean) < SHARP).any(1)

    @property
    def spread(self) -> Tensor:
        """(B,) how long the pictures' blur is, in pixels: the `spread` of their kernels, mean over the places."""
        return spread(self.kernels.mean).mean(1)

    def only(self, chosen: Tensor) -> Exposure:
        """The exposure of some of the pictures: ``chosen`` is (B,) bool."""
        return self._replace(kernels=self.kernels.changed(lambda kernels: kernels[chosen]))


class PlacedKernels(NamedTuple):
    """Kernels of one picture that are known, before they go to a device: (1, R, K, K) and their places."""

    kernels: NDArray[np.float32]
    rows: tuple[float, ...]
    columns: tuple[float, ...]

    def on(self, device: torch.device) -> Exposure:
        """The exposure, on a device."""
        return Exposure(known(torch.from_numpy(self.kernels).to(device)), self.rows, self.columns, certain=True)


def known(kernels: Tensor) -> Belief:
    """The belief of someone who knows the kernels."""
    return Belief(kernels, kernels)


def exposure_along(path: CameraPath, height: int, width: int, device: torch.device) -> Exposure:
    """The exposure, on ``device``, of one picture whose camera's path is known; see ``kernels_along``."""
    return kernels_along(path, height, width).on(device)


def kernels_along(path: CameraPath, height: int, width: int) -> PlacedKernels:
    """The kernels of one picture whose camera's path is known.

    Kernels are made for places 112 to 28 pixels apart, the closer the more they change from one to the next: by roll,
    by perspective, by a camera that moves ahead, and down the rows of a rolling shutter most of all. They are as large
    as the longest path needs, up to ``LARGEST_REACH`` from the middle.

    Args:
        path: of the camera.
        height: of the picture.
        width: of the picture.
    """
    # Windows are as much wider than their part of the picture as kernels are large: close places would cost too much.
    least = _side(path, *(even_places(each, _SPACINGS[0]) for each in (height, width))) / 2
    rows, columns = (_places(path, height, width, axis, least) for axis in (0, 1))
    side = _side(path, rows, columns)
    across = np.array(columns)
    kernels = np.concatenate([path.kernel_at(across, y, side) for y in rows])
    return PlacedKernels(kernels[None], rows, columns)


def together(exposures: Sequence[Exposure]) -> Exposure:
    """The exposure of a batch, of its pictures': all of one size, with kernels of one size for the same places."""
    beliefs = [one.kernels for one in exposures]
    kernels = known(torch.cat([belief.mean for belief in beliefs]))
    if any(belief.power is not belief.mean for belief in beliefs):
        kernels = kernels._replace(power=torch.cat([belief.power for belief in beliefs]))
    return exposures[0]._replace(kernels=kernels)


def _side(path: CameraPath, rows: Sequence[float], columns: Sequence[float]) -> int:
    """Of the kernels that the path needs at these places."""
    reach = max(path.extent(np.array(columns), y) for y in rows)
    return min(max(KERNEL, 16 * math.ceil((reach + 2) / 8)), 2 * LARGEST_REACH)


def even_places(side: int, spacing: float) -> tuple[float, ...]:
    """Middles of even parts of a side of a picture."""
    count = max(1, round(side / spacing))
    return tuple((index + 0.5) * side / count for index in range(count))


def _places(path: CameraPath, height: int, width: int, axis: int, least: float) -> tuple[float, ...]:
    """Places along a picture's height (axis 0) or width (1), ``least`` or more apart."""
    side, across = (height, width) if axis == 0 else (width, height)
    for spacing in _SPACINGS:
        if spacing < least:
            break
        places = even_places(side, spacing)
        neighbours = places if len(places) > 1 else (0.0, float(side))
        if _change(path, neighbours, across, axis) <= _LARGEST_CHANGE:
            break
    return places


def _change(path: CameraPath, places: Sequence[float], across: int, axis: int) -> float:
    """By how many pixels displacements at neighbouring places differ: root mean square over time and places.

    Args:
        path: of the camera.
        places: along ``axis``.
        across: the picture's other side.
        axis: 0 where the places lie one below the other, 1 where they lie side by side.
    """
    lines = np.array([across / 4, 3 * across / 4])
    if axis == 0:
        displacements = np.stack([path.displacement(lines, place) for place in places])
    else:
        displacements = np.stack([path.displacement(np.array(places), line) for line in lines], 1)
    return float(np.sqrt(np.square(np.diff(displacements, axis=0)).sum(-1).mean()))


def true_kernels(motions: Sequence[Motion], regions: Regions) -> Tensor:
    """(B, R, 48, 48) kernels in the middles of the regions, sum 1; what reaches further is cut off.

    Where an object moves by itself, or the camera follows one, a kernel is the mean over its region: of the motion's
    kernel and of the point that stillness is.
    """
    places = [(x, y) for y in regions.rows for x in regions.columns]
    return torch.stack([torch.stack([_true_kernel(m, x, y) for x, y in places]) for m in motions]).to(regions.maps)


def _true_kernel(motion: Motion, x: float, y: float) -> Tensor:
    share = moving_share(motion, x - REGION / 2, y - REGION / 2, REGION)
    kernel = share * torch.from_numpy(motion.kernel_at(x, y, KERNEL))
    kernel[KERNEL // 2, KERNEL // 2] += 1 - share
    return kernel


def half_turned(kernels: Tensor) -> Tensor:
    """Kernels (..., 48, 48) turned by 180 degrees about their centre [24, 24]."""
    return kernels.flip(-2, -1).roll((1, 1), (-2, -1))


def sharpness(kernels: Tensor) -> Tensor:
    """(...) how near kernels (..., K, K) come to being one point, from 0 to 1: their root of summed squares.

    Of an estimate it is low where the blur is long as well as where it could be many.
    """
    return kernels.square().sum((-2, -1)).sqrt()


def spread(kernels: Tensor) -> Tensor:
    """(...) root mean square distance, in pixels, of the mass of kernels (..., K, K) from its centroid."""
    side = kernels.shape[-1]
    place = torch.arange(side, device=kernels.device, dtype=kernels.dtype) - side // 2
    total = kernels.sum((-2, -1)).clamp_min(1e-9)
    variance = torch.zeros_like(total)
    for along in (-1, -2):
        profile = kernels.sum(-2 if along == -1 else -1) / total.unsqueeze(-1)
        mean = (profile * place).sum(-1, keepdim=True)
        variance = variance + (profile * (place - mean).square()).sum(-1)
    return variance.clamp_min(0).sqrt()


def expected_error(belief: Belief, true: Tensor) -> Tensor:
    """What deconvolution by a belief leaves wrong in scenes whose spectrum falls as 1 / f, (...).

    The true kernel and the filter of ``deconvolution.Deconvolution`` make a transfer function whose distance from 1 is
    weighed by the scene's power at each frequency and averaged. 0 is a perfect restoration; not to restore at all is
    ``expected_error`` of a kernel that is one point.

    Args:
        belief: of kernels (..., 48, 48); differentiable.
        true: (..., 48, 48).
    """
    differences = difference_power((_GRID, _GRID), true.device)
    weights = 1 / (differences + _NOISE)
    weights[0, 0] = 0
    mean, spread, kernel = (torch.fft.rfft2(each, s=(_GRID, _GRID)) for each in (*belief, true))
    power = torch.maximum(squared(mean), squared(spread))
    left = mean.conj() * kernel / (power + _NOISE * differences + 1e-5) - 1
    return plane_mean(weights * squared(left), _GRID) / plane_mean(weights, _GRID)


def left_share(belief: Belief, true: Tensor) -> Tensor:
    """The error of deconvolution as a share of itself and the error of leaving the blur, from 0 (perfect) to 1, (...).

    A half is the worth of doing nothing. A share keeps estimates that would amplify noise a hundredfold from ruling a
    mean or a gradient.
    """
    point = torch.zeros_like(true)
    point[..., KERNEL // 2, KERNEL // 2] = 1
    error, blurred = expected_error(belief, true), expected_error(known(point), true)
    return error / (error + blurred + _FLOOR)
