"""Blurring a picture again along a trial path, differentiable: what a restoration has to stand."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.path_search.trial_path import STEPS, Frame, cosines

if TYPE_CHECKING:
    from collections.abc import Sequence


class Reblurring:
    """Averages the light of a picture's windows along paths, every pixel by its own displacement."""

    def __init__(
        self,
        frame: Frame,
        shape: tuple[int, int],
        corners: Sequence[tuple[int, int]],
        device: torch.device,
        every: int = 4,
    ) -> None:
        """W windows of one picture.

        Args:
            frame: the picture.
            shape: rows and columns of each window.
            corners: top and left of each.
            device: where they are.
            every: so many points of a path light is averaged once.
        """
        self._sampled = slice(every // 2, STEPS, every)
        self._frame = frame
        number = functools.partial(torch.tensor, dtype=torch.float32, device=device)
        self._half = number([(side - 1) / 2 for side in shape[::-1]])
        x, y = frame.center
        middles = number([[left - x, top - y] for top, left in corners]) + self._half
        self._x, self._y = middles.unbind(-1)

    def __call__(self, light: Tensor, waves: Tensor, middle: Tensor | None = None) -> Tensor:
        """Blur windows along paths. What moves in from outside a window is its own content, mirrored at its border.

        Args:
            light: (N W, 1, h, w) linear light of the windows, those of a path side by side.
            waves: (N, 8, 3) amplitudes of the paths; see ``trial_path.Frame``.
            middle: (N, 3) displacement of each path's middle, along ``AXES``; None where it is the light's own place.

        Returns:
            (N W, 1, h, w).
        """
        path = (cosines(waves.device) @ waves)[:, self._sampled]
        if middle is not None:
            path = path + middle.unsqueeze(1)
        where = self._sources(path.unsqueeze(2)).transpose(0, 1).flatten(1, 2)
        total = torch.zeros_like(light)
        for step in where:
            grid = F.affine_grid(step, list(light.shape), align_corners=True)
            total = total + F.grid_sample(light, grid, padding_mode="reflection", align_corners=True)
        return total / len(where)

    def _sources(self, position: Tensor) -> Tensor:
        """(N, T, W, 2, 3) where the pixels of windows come from at positions (N, T, 1, 3): affine, in [-1, 1]."""
        cos, sin = self._frame.turn(position)
        width, height = self._half
        x, y = (-self._frame.displacements(position, self._x, self._y) / self._half).unbind(-1)
        along, across, down = (each.expand_as(x) for each in (1 - cos, sin * height / width, -sin * width / height))
        return torch.stack([along, across, x, down, along, y], -1).unflatten(-1, (2, 3))
