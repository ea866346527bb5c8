"""Paths of few numbers that a search can move: smooth, and differentiable down to the kernels they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from deblur.blur import Motion

if TYPE_CHECKING:
    from collections.abc import Sequence

WAVES = 8
"""Cosines that a path is made of. Those of the synthesis' shakes lie within a third of a pixel of it."""
STEPS = 48
"""Points of a path."""
AXES = 3
"""Of a path: to the right and down in pixels, and the roll in pixels at the picture's corners."""


@dataclass(frozen=True)
class Frame:
    """The picture that paths are of.

    Attributes:
        width: in pixels.
        height: likewise.
    """

    width: int
    height: int

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) of the point that it rolls about, its middle."""
        return (self.width - 1) / 2, (self.height - 1) / 2

    @property
    def longest(self) -> int:
        """Its longer side."""
        return max(self.width, self.height)

    @property
    def reach(self) -> float:
        """Pixels from its middle to a corner."""
        return math.hypot(self.width, self.height) / 2

    def points(self, waves: Tensor, rows: Sequence[float], columns: Sequence[float]) -> Tensor:
        """Where the content at places of the picture lies over the exposure.

        Args:
            waves: (..., 8, 3) amplitudes of a path's cosines, the slowest first, along ``AXES``.
            rows: y of the places.
            columns: x of the places.

        Returns:
            (..., R, 48, 2) displacements in pixels, R = rows * columns, row by row.
        """
        places = torch.tensor([(x, y) for y in rows for x in columns], dtype=torch.float32, device=waves.device)
        x, y = (place.unsqueeze(-1) - middle for place, middle in zip(places.unbind(1), self.center, strict=True))
        return self.displacements((cosines(waves.device) @ waves)[..., None, :, :], x, y)

    def displacements(self, position: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """How far the content at places lies from its own place, while the camera is at a position.

        Args:
            position: (..., 3) along ``AXES``.
            x: (...) pixels from the middle to the right.
            y: (...) down.

        Returns:
            (..., 2) right and down in pixels.
        """
        cos, sin = self.turn(position)
        return position[..., :2] + torch.stack([cos * x - sin * y, sin * x + cos * y], -1)

    def turn(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """(...) cosine less 1, and sine, of the roll at a camera's positions (..., 3)."""
        roll = position[..., 2] / self.reach
        return torch.cos(roll) - 1, torch.sin(roll)

    def motion(self, waves: Tensor) -> Motion:
        """Convert a trial path to a ``Motion``: 48 points, in pixels of this picture, with the roll in radians.

        Args:
            waves: (8, 3) amplitudes, as for ``points``.
        """
        path = (cosines(waves.device) @ waves).detach().cpu().double().numpy()
        path = np.column_stack([path[:, :2], path[:, 2] / self.reach, np.zeros(STEPS)])
        return Motion(path - path.mean(axis=0), np.full(STEPS, 1 / STEPS), self.center)


def waves_of(motion: Motion, frame: Frame) -> Tensor:
    """(8, 3) amplitudes of the trial path that comes nearest to a path at even steps of time, which does not grow."""
    times = (np.arange(STEPS) + 0.5) / STEPS
    known = (np.arange(len(motion.path)) + 0.5) / len(motion.path)
    axes = [np.interp(times, known, along) for along in motion.path[:, :AXES].T]
    path = torch.from_numpy(np.stack(axes, 1) * (1, 1, frame.reach)).float()
    basis = cosines(path.device)
    # The cosines are orthogonal at these times.
    return basis.mT @ (path - path.mean(0)) / basis.square().sum(0).unsqueeze(1)


def cosines(device: torch.device) -> Tensor:
    """(48, 8) what the amplitudes of a path multiply: none has a mean, so paths lie about the sharp picture's place."""
    times = (torch.arange(STEPS, dtype=torch.float32, device=device) + 0.5) / STEPS
    return torch.stack([torch.cos(math.pi * wave * times) for wave in range(1, WAVES + 1)], 1)


def spread_points(points: Tensor, size: int) -> Tensor:
    """Kernels (..., size, size), sum 1, of points (..., N, 2) as ``rasterize`` makes them, but differentiable.

    What falls outside is cut off.
    """
    many = points.reshape(-1, *points.shape[-2:])
    low = many.detach().floor()
    fraction, low = many - low, low.long() + size // 2
    first = torch.arange(len(many), device=points.device).unsqueeze(-1) * size**2
    kernels = many.new_zeros(len(many) * size**2)
    shares = (1 - fraction, fraction)
    for across in (0, 1):
        for down in (0, 1):
            share = shares[across][..., 0] * shares[down][..., 1]
            column, row = low[..., 0] + across, low[..., 1] + down
            inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
            place = first + row.clamp(0, size - 1) * size + column.clamp(0, size - 1)
            kernels = kernels.index_add(0, place.flatten(), (share * inside).flatten())
    kernels = kernels.view(*points.shape[:-2], size, size)
    return kernels / kernels.sum((-2, -1), keepdim=True).clamp_min(1e-6)
