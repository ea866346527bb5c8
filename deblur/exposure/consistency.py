"""Data consistency: a restoration that, blurred again along a path that is known, is the picture it was made of.

A network's restoration is sharp, but blurred again along the camera's true path it misses the picture it was given by
several times the noise. Inverse filters take back what is missing, as in the data step of half-quadratic splitting
(Geman and Yang, IEEE Transactions on Image Processing, 1995), whose prior is here what the network made: of a picture y
and a restoration x, x + F (y - s(K l(x))) with the Wiener filter F of the blur K, which averages light: l(x) is the
light of x, and s encodes it again. Encoded values are corrected because where it is dark a little light is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from deblur.blur.sensor import to_linear, to_srgb
from deblur.exposure.deconvolution import CALM, Deconvolution, blur
from deblur.exposure.kernels import exposure_along

if TYPE_CHECKING:
    from torch import Tensor

    from deblur.exposure.kernels import Exposure
    from deblur.exposure.paths import CameraPath

_CLIPPED = 0.98  # of an encoded value: the sensor's bound, light may have been more
_LOOK = 20  # pixels around each, over which is told whether the path holds there
_UNEXPLAINED = 0.6  # share of the change's energy that may be missing where it does
_FLOOR = 1e-8  # of energies
_LONGEST = 2048  # pixels, of a side along which means are a matrix product


def make_consistent(
    restored: Tensor,
    blurred: Tensor,
    path: CameraPath,
    as_light: bool | None = None,
) -> Tensor:
    """Bring a restoration nearer to the light that its picture holds.

    A sensor averages light, but frames that a blur was made of may have been averaged as they were encoded, as those
    of GoPro were: the one of the two that leaves less unexplained is taken.

    It is brought nearer once: to correct what is then left as well gains more on the synthesis, and costs as much on
    frames of real video.

    Where the path does not hold, on what moves by itself or stands before a background that the camera follows past,
    light that is blurred again differs from the picture as much as it did before: there the restoration stays.

    Args:
        restored: (1, 3, H, W) RGB in [0, 1], by a network; what is outside is clipped.
        blurred: (1, 3, H, W) RGB in [0, 1], what it was made of.
        path: of the camera, as a sensor measures it, in pixels of this picture.
        as_light: whether light was averaged rather than encoded values; None looks which.

    Returns:
        (1, 3, H, W) in [0, 1].
    """
    restored = restored.clamp(0, 1)
    clipped = blurred > _CLIPPED
    height, width = blurred.shape[-2:]
    exposure = exposure_along(path, height, width, blurred.device)
    if as_light is None:
        as_light = evidence_of_light(restored, blurred, path) >= 0
    again = to_srgb(_again(to_linear(restored), exposure)) if as_light else _again(restored, exposure)
    return _Change(restored, again, blurred, clipped, exposure).corrected()


def evidence_of_light(restored: Tensor, blurred: Tensor, path: CameraPath) -> float:
    """How much less is left unexplained once linear light is corrected than once encoded values are; below 0 if more.

    Seen in grey copies of half the size. A restoration was made of filters that took its picture for light, so it
    explains it better as light, whatever was averaged, until it is corrected. What the parts of a picture say may be
    added up. Arguments as for ``make_consistent``.
    """
    restored = restored.clamp(0, 1)
    height, width = (-(-side // 2) for side in blurred.shape[-2:])

    def small(pictures: Tensor) -> Tensor:
        return F.interpolate(pictures.mean(1, keepdim=True), (height, width), mode="area")

    clipped = small(blurred) > _CLIPPED
    exposure = exposure_along(path.scaled(0.5), height, width, blurred.device)

    def left(clean: Tensor, seen: Tensor) -> float:
        def look(clean: Tensor) -> _Change:
            return _Change(clean, _again(clean, exposure), seen, clipped, exposure, _LOOK // 2)

        return look(look(clean).corrected()).unexplained

    return left(small(restored), small(blurred)) - left(small(to_linear(restored)), small(to_linear(blurred)))


def _again(clean: Tensor, exposure: Exposure) -> Tensor:
    """(1, C, h, w) blurred once more, in the values that it has."""
    return blur(clean, exposure.kernels.mean, exposure.rows, exposure.columns)


class _Change:
    """What a restoration that was blurred again lacks of its picture."""

    def __init__(
        self, clean: Tensor, again: Tensor, seen: Tensor, clipped: Tensor, exposure: Exposure, look: int = _LOOK
    ) -> None:
        """Compare what is blurred ``again`` with what was ``seen``, a bound where it is ``clipped``."""
        self._clean, self._exposure = clean, exposure
        missing = seen - again
        self._missing = torch.where(clipped, missing.clamp_min(0), missing)
        left, self._energy = _energies(torch.cat([self._missing, seen - clean]), look).split(1)
        self._share = left / (self._energy + _FLOOR)

    @property
    def unexplained(self) -> float:
        """Share of the blur's energy that is missing, the median over that half of the picture which blur changes most.

        So neither what moves by itself counts for much nor where nothing but noise is to be explained.
        """
        return float(self._share[self._energy >= self._energy.median()].median())

    def corrected(self) -> Tensor:
        """(1, C, h, w) in [0, 1]: the restoration and what filters make of what is missing, where the path holds."""
        kernels, rows, columns, _ = self._exposure
        holds = (1 - self._share / _UNEXPLAINED).clamp(0, 1)
        filters = Deconvolution(self._missing * holds, kernels, rows, columns)
        return (self._clean + filters.restore(filters.gain(CALM)) * holds).clamp(0, 1)


def _energies(light: Tensor, look: int) -> Tensor:
    """(B, 1, h, w) mean square of (B, C, h, w) over ``look`` pixels around each."""
    down = _means(light.square().mean(1, keepdim=True).mT, look).mT
    return _means(down, look)


def _means(values: Tensor, look: int) -> Tensor:
    """(B, 1, h, w) means along rows, over ``look`` places to both sides of each."""
    side = values.shape[-1]
    if side > _LONGEST:  # the matrix would grow with the square
        rows = values.flatten(0, 2).unsqueeze(1)
        return F.avg_pool1d(rows, 2 * look + 1, 1, look, count_include_pad=False).view_as(values)
    places = torch.arange(side, device=values.device)
    near = ((places[:, None] - places).abs() <= look).float()
    return values @ (near / near.sum(1, keepdim=True)).T  # in a third of the time that pooling takes
