"""What a blurred picture's spectrum says about the path of its camera.

A kernel multiplies the picture's spectrum: its zeros and stripes stay visible through any scene, and the
autocorrelation of the picture's gradients, sharp peaks in a sharp picture, becomes the kernel's own. Spectra of many
overlapping blocks are averaged (Welch, IEEE Trans. Audio Electroacoustics, 1967), so that the scene averages out and
the kernel stays.

It multiplies the spectrum of what was averaged: of light, in a camera, of encoded values in many a data set. The
encoding of light afterwards smears its zeros; see docs/training-log.md for how much that costs.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deblur.borders import mirrored_window

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK = 192
"""Side of a block in pixels. A smaller one smears the spectrum of a long kernel."""
HOP = BLOCK // 3
REGION_BLOCKS = 2
"""A region is this many blocks wide and high, a hop apart: 256 pixels, seen mostly in the middle."""
REGION = (REGION_BLOCKS - 1) * HOP + BLOCK
"""Side of a region in pixels."""
REGION_SPACING = 4.1
"""About how many hops lie between the centres of neighbouring regions."""
LAGS = 96
"""Side of a map of lags in pixels: paths up to half of it are seen."""
LAG_MAPS = 6
"""Maps of each light: three of the region and three of the whole picture."""
_INNER = slice(BLOCK // 2 - LAGS // 2, BLOCK // 2 + LAGS // 2)
_LUMA = (0.299, 0.587, 0.114)
_WHITENING_FLOOR = 1e-3  # of the mean power: what lies below is noise and rounding


class Regions(NamedTuple):
    """Overlapping square parts of a picture, R = rows * columns of them, row by row.

    Attributes:
        maps: (B, R, 6 L, 96, 96) of L lights: autocorrelation of the horizontal and of the vertical gradient and
            cepstrum of the region in the first light, then in the next, then the same of the whole picture; lag 0 at
            [48, 48].
        rows: y of the regions' centres in pixels, ascending.
        columns: x of the regions' centres.
    """

    maps: Tensor
    rows: tuple[float, ...]
    columns: tuple[float, ...]


def luma(pictures: Tensor) -> Tensor:
    """(B, 1, H, W) brightness of RGB pictures (B, 3, H, W), in the same encoding (weights of ITU-R BT.601)."""
    red, green, blue = (weight * colour for weight, colour in zip(_LUMA, pictures.split(1, 1), strict=True))
    return red + green + blue


def lag_maps(lights: Tensor) -> Regions:
    """Autocorrelations and cepstra of a picture's regions and of all of it.

    Args:
        lights: (B, L, H, W) in [0, 1], L ways to write a picture's brightness, such as gamma-encoded and linear.
            Pictures smaller than a region are mirrored up to it.
    """
    height, width = lights.shape[-2:]
    rows, columns = _block_count(height), _block_count(width)
    # The blocks' grid lies in the middle of the picture.
    grid_height, grid_width = (rows - 1) * HOP + BLOCK, (columns - 1) * HOP + BLOCK
    top, left = (height - grid_height) // 2, (width - grid_width) // 2
    power = _block_power(mirrored_window(lights, left, top, grid_width, grid_height))
    region_rows, region_columns = _region_starts(rows), _region_starts(columns)
    parts = [_region_power(power, r, c) for r in region_rows for c in region_columns]
    regions = _lags(torch.stack(parts, 1))
    whole = _lags(power.mean((1, 2)).unsqueeze(1)).expand_as(regions)
    middle = REGION / 2
    return Regions(
        torch.cat([regions, whole], 2),
        tuple(top + start * HOP + middle for start in region_rows),
        tuple(left + start * HOP + middle for start in region_columns),
    )


def squared(spectrum: Tensor) -> Tensor:
    """The squared magnitude of complex numbers, without the root on the way that ``abs`` takes."""
    return torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)


def plane_mean(values: Tensor, width: int) -> Tensor:
    """(...) means over all frequencies of even (..., h, width // 2 + 1), of which a real transform gives one half."""
    columns = values.sum(-2)
    # The other half repeats the columns in between.
    twice = 2 * columns.sum(-1) - columns[..., 0] - (columns[..., -1] if width % 2 == 0 else 0)
    return twice / (values.shape[-2] * width)


def difference_power(size: Sequence[int], device: torch.device) -> Tensor:
    """(h, w // 2 + 1) power of the transfer functions of horizontal and vertical differences, together."""
    across, down = _difference_powers(size, device)
    return across + down


def _difference_powers(size: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Those of horizontal (w // 2 + 1) and of vertical (h, 1) differences."""
    y = torch.fft.fftfreq(size[0], dtype=torch.float32, device=device)
    x = torch.fft.rfftfreq(size[1], dtype=torch.float32, device=device)
    across, down = (2 - 2 * torch.cos(2 * math.pi * each) for each in (x, y))
    return across, down.unsqueeze(1)


def _block_count(side: int) -> int:
    return max((side - BLOCK) // HOP + 1, REGION_BLOCKS)


def _region_starts(blocks: int) -> list[int]:
    """First block of each region along an axis, spread evenly."""
    last = blocks - REGION_BLOCKS
    count = round(last / REGION_SPACING) + 1
    return [round(last * index / max(count - 1, 1)) for index in range(count)]


def _block_power(grid: Tensor) -> Tensor:
    """(B, rows, columns, L, 192, 97) power spectra of each block, scaled alike for all frequencies."""
    blocks = grid.unfold(2, BLOCK, HOP).unfold(3, BLOCK, HOP).permute(0, 2, 3, 1, 4, 5)
    taper = torch.hann_window(BLOCK, dtype=torch.float32, device=grid.device)
    taper = taper * taper.unsqueeze(1)
    # A taper on top of a level would be an edge all around.
    level = (blocks * taper).sum((-2, -1), keepdim=True) / taper.sum()
    power = squared(torch.fft.rfft2((blocks - level) * taper))
    # By the root of its gradients' energy, so that one block of strong edges does not speak for all.
    energy = (power * difference_power((BLOCK, BLOCK), grid.device)).mean((-2, -1), keepdim=True)
    return power / (energy + 1e-4).sqrt()


def _region_power(power: Tensor, row: int, column: int) -> Tensor:
    """The mean over the region that begins at a block: (B, L, 192, 97) of ``_block_power``'s."""
    offsets = itertools.product(range(REGION_BLOCKS), repeat=2)
    blocks = [power[:, row + down, column + across] for down, across in offsets]
    # One by one: a reduction over two outer axes at once is several times slower.
    return torch.stack(blocks).mean(0)


def _lags(power: Tensor) -> Tensor:
    """(B, R, 3 L, 96, 96) autocorrelations of gradients and cepstra of (B, R, L, 192, 97) averaged power spectra."""
    # The gradients' spectra are the picture's times the differences' transfer functions: one transform serves both.
    across, down = (power * each for each in _difference_powers((BLOCK, BLOCK), power.device))
    correlations = torch.fft.irfft2(torch.stack([across, down], 3), s=(BLOCK, BLOCK))
    correlations = correlations / correlations[..., :1, :1].clamp_min(1e-12)
    total = across + down
    logarithm = (total / total.mean((-2, -1), keepdim=True).clamp_min(1e-12) + _WHITENING_FLOOR).log()
    cepstra = torch.fft.irfft2(logarithm, s=(BLOCK, BLOCK))
    # Lag 0 is the mean level, many times the rest, and says nothing about the path.
    cepstra[..., 0, 0] = 0
    maps = torch.cat([correlations, cepstra.unsqueeze(3)], 3).flatten(2, 3)
    maps = torch.fft.fftshift(maps, dim=(-2, -1))[..., _INNER, _INNER]
    return maps / maps.flatten(-2).std(-1).clamp_min(1e-6)[..., None, None]
