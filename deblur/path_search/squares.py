"""What small squares of a trial's pictures are like: numbers from which the error there can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

CELL = 8
"""Side of a square, in pixels."""
STATISTICS = 46
"""Numbers of a square."""
_DARKEST = 1e-7  # of a residual, where its root would be too steep
_LAGS = (2, 4, 7)  # pixels, at which a ghost may follow an edge


def as_shown(restored: Tensor, brightness: Tensor, guide: Tensor, residual: Tensor) -> Tensor:
    """The pictures of trials that ``statistics`` are of, (B, 5, H, W).

    They are brightness: restored, by the filter in linear light and in encoded values, what is left when the restored
    one is blurred again (a half where nothing is; its signed root), blurred.

    Args:
        restored: (B, 1, H, W) brightness, not clamped.
        brightness: (B, 1, H, W) of the blurred picture, in [0, 1].
        guide: (B, G, H, W) its guide's channels.
        residual: (B, 1, H, W) light of the restored one, blurred again, less the blurred picture's.
    """
    linear, encoded = guide[:, 0:1], guide[:, 1:2]
    root = residual.sign() * (residual.abs() + _DARKEST).sqrt()
    return torch.cat([restored, brightness + linear, brightness + encoded, root / 2 + 0.5, brightness], 1)


def statistics(shown: Tensor) -> Tensor:
    """What the squares of a trial's pictures are like.

    Args:
        shown: (B, 5, H, W) as ``as_shown`` gives them.

    Returns:
        (B, STATISTICS, H / 8, W / 8): logarithms of root mean squares, of mean absolute values and roots of gradients,
        and correlations.
    """
    restored, linear, encoded, root, blurred = shown.clamp(-0.5, 1.5).split(1, 1)
    change, over, under = restored - blurred, linear - restored, encoded - restored
    pairs = {name: gradients(of) for name, of in (("r", restored), ("l", linear), ("e", encoded), ("b", blurred))}
    across, down = pairs["r"]
    coarse = [gradients(F.avg_pool2d(of, 2)) for of in (restored, blurred)]
    squares = [
        *(change, over, under, linear - encoded, 2 * root - 1),
        *(gradient for pair in pairs.values() for gradient in pair),
        *(gradients(across)[0], gradients(across)[1], gradients(down)[1]),
    ]
    sizes = [*pairs["r"], *pairs["l"], *pairs["b"]]
    alike = [
        (over, under),
        (change, over),
        *((pairs["r"][axis], pairs[other][axis]) for other in "lb" for axis in (0, 1)),
        *((across, across.roll(lag, -1)) for lag in _LAGS),
        *((down, down.roll(lag, -2)) for lag in _LAGS),
        *((across, across.roll(lag, -2)) for lag in _LAGS[1:]),
        *((down, down.roll(lag, -1)) for lag in _LAGS[1:]),
    ]
    maps = [
        _log(F.avg_pool2d(torch.cat(squares, 1).square(), CELL)) / 2,
        _log(F.avg_pool2d(torch.cat([each for pair in coarse for each in pair], 1).square(), CELL // 2)) / 2,
        _log(F.avg_pool2d(torch.cat(sizes, 1).abs() + 1e-3, CELL)),
        _log(F.avg_pool2d((torch.cat(pairs["r"], 1).abs() + 1e-3).sqrt(), CELL)),
        _correlations(alike),
        F.avg_pool2d(torch.cat([blurred, (blurred - 0.9).relu() * 10], 1), CELL),
    ]
    return torch.cat(maps, 1)


def gradients(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """To the right and down, as large as the pictures."""
    return F.pad(pictures.diff(dim=-1), (0, 1)), F.pad(pictures.diff(dim=-2), (0, 0, 0, 1))


def _log(values: Tensor) -> Tensor:
    return (values + 1e-6).log()


def _correlations(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """(B, pairs, h, w) in [-1, 1], without taking means off."""
    first, second = (torch.cat(each, 1) for each in zip(*pairs, strict=True))
    both, one, other = (F.avg_pool2d(each, CELL) for each in (first * second, first.square(), second.square()))
    return both / (one * other + 1e-10).sqrt()
