"""What lies beyond a picture's border: the picture itself, mirrored about the border pixel as often as it takes."""

from __future__ import annotations

import torch
from torch import Tensor


def mirrored_index(first: int, last: int, size: int, device: torch.device | None = None) -> Tensor:
    """For places ``first`` to ``last`` - 1, which may lie outside [0, ``size``), the pixel that is shown there."""
    period = max(2 * (size - 1), 1)
    index = torch.remainder(torch.arange(first, last, device=device), period)
    return torch.minimum(index, period - index) if size > 1 else torch.zeros_like(index)


def mirrored_window(picture: Tensor, left: int, top: int, width: int, height: int) -> Tensor:
    """(..., height, width) of a (..., H, W) picture from (left, top), which may reach over its borders.

    A view where it does not.
    """
    if min(left, top) >= 0 and left + width <= picture.shape[-1] and top + height <= picture.shape[-2]:
        return picture[..., top : top + height, left : left + width]
    rows = mirrored_index(top, top + height, picture.shape[-2], picture.device)
    columns = mirrored_index(left, left + width, picture.shape[-1], picture.device)
    return picture.index_select(-2, rows).index_select(-1, columns)
