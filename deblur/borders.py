"""What is taken to lie beyond a picture's border: its mirror image, as often as it takes, or the border itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mirrored_index(first: int, last: int, size: int, device: torch.device | None = None) -> Tensor:
    """For places ``first`` to ``last`` - 1, which may lie outside [0, ``size``), the pixel that is shown there."""
    period = max(2 * (size - 1), 1)
    index = torch.remainder(torch.arange(first, last, device=device), period)
    return torch.minimum(index, period - index) if size > 1 else torch.zeros_like(index)


def continued_index(first: int, last: int, size: int) -> Tensor:
    """For places ``first`` to ``last`` - 1, which may lie outside [0, ``size``), the nearest pixel."""
    return torch.arange(first, last).clamp(0, size - 1)


def mirrored_window(picture: Tensor, left: int, top: int, width: int, height: int) -> Tensor:
    """Cut a window out of a picture, which is mirrored beyond its borders.

    Args:
        picture: (..., H, W).
        left: column of the window's first pixel; the window may reach over the picture's borders.
        top: row of the window's first pixel.
        width: of the window, in pixels.
        height: of the window, in pixels.

    Returns:
        (..., height, width); a view of the picture where the window lies inside it.
    """
    right, bottom = left + width - picture.shape[-1], top + height - picture.shape[-2]
    inner = picture[..., max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    around = [max(beyond, 0) for beyond in (-left, right, -top, bottom)]
    if not any(around):
        return inner
    # Many times as fast as gathering row by row, but it folds once, and not every kind of number.
    if max(around[:2]) < inner.shape[-1] and max(around[2:]) < inner.shape[-2] and picture.is_floating_point():
        padded = F.pad(inner.reshape(-1, *inner.shape[-2:]), around, mode="reflect")
        return padded.view(*inner.shape[:-2], height, width)
    rows = mirrored_index(top, top + height, picture.shape[-2], picture.device)
    columns = mirrored_index(left, left + width, picture.shape[-1], picture.device)
    return picture.index_select(-2, rows).index_select(-1, columns)
