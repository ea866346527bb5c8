"""Blurring a picture again along a trial path, differentiable: what a restoration has to stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.path_search.trial_path import STEPS, Frame, cosines

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLED = slice(2, STEPS, 4)  # points of a path that light is averaged at


class Reblurring:
    """Averages the light of a picture's windows along paths, every pixel by its own displacement."""

    def __init__(
        self, frame: Frame, shape: tuple[int, int], corners: Sequence[tuple[int, int]], device: torch.device
    ) -> None:
        """W windows of one picture.

        Args:
            frame: the picture.
            shape: rows h and columns w of each window.
            corners: top and left of each.
            device: where they are.
        """
        self._frame = frame
        height, width = shape
        rows = torch.arange(height, device=device).unsqueeze(1).expand(shape)
        columns = torch.arange(width, device=device).expand(shape)
        x, y = frame.center
        self._inside = torch.stack([columns, rows], -1).float()
        self._x = torch.stack([columns + left - x for _, left in corners]).float()
        self._y = torch.stack([rows + top - y for top, _ in corners]).float()
        self._unit = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=device)

    def __call__(self, light: Tensor, waves: Tensor) -> Tensor:
        """Windows (N W, 1, h, w) along paths (N, 8, 3), a path's windows side by side.

        What moves in from outside a window is the window's own content mirrored at its border.
        """
        path = (cosines(waves.device) @ waves)[:, _SAMPLED]
        total = torch.zeros_like(light)
        for step in range(path.shape[1]):
            moved = self._frame.displacements(path[:, step].view(-1, 1, 1, 1, 3), self._x, self._y)
            grid = (self._inside - moved) / self._unit - 1
            total = total + F.grid_sample(light, grid.flatten(0, 1), padding_mode="reflection", align_corners=True)
        return total / path.shape[1]
