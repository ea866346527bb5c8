"""What is known of a camera's path while the shutter was open, and how wrong such knowledge is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deblur.blur.motion import still

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deblur.blur import Motion

_SCALE_ERROR = 0.03  # standard deviations: of the focal length and the sensor's scale together
_ANGLE_ERROR = 0.02  # radians, between the axes of the sensor and of the camera
_TIMING_ERROR = 0.05  # most of an exposure that is left out at its begin or end


class CameraPath(Protocol):
    """Something that knows the blur kernel at every place of a picture: a ``Motion``, or a gyroscope's record."""

    def kernel_at(self, x: float, y: float, size: int) -> NDArray[np.float32]:
        """The (size, size) blur kernel at (x, y), sum 1, centre at ``size // 2``; what falls outside is cut off."""


def camera_path(motion: Motion) -> Motion:
    """What a sensor on the camera feels of an exposure: nothing of an object that moves by itself."""
    if motion.region is None:
        return motion
    if motion.region.moves:
        return replace(still(1, 1), center=motion.center)
    return replace(motion, region=None)


def as_measured(motion: Motion, generator: np.random.Generator) -> Motion:
    """A camera's path with the errors of a sensor that is calibrated with ordinary care.

    Its scale is off by some percent, its axes are turned by a degree or so, and it misses up to a twentieth of the
    exposure at the begin or the end.

    Args:
        motion: as ``camera_path`` gives it.
        generator: of the errors.
    """
    scale = 1 + _SCALE_ERROR * generator.standard_normal()
    angle = _ANGLE_ERROR * generator.standard_normal()
    missed = round(len(motion.path) * generator.uniform(-_TIMING_ERROR, _TIMING_ERROR))
    seen = slice(max(missed, 0), len(motion.path) + min(missed, 0))
    path = motion.path[seen] * scale
    cos, sin = np.cos(angle), np.sin(angle)
    path[:, :2] = path[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    weights = motion.weights[seen] / motion.weights[seen].sum()
    return replace(motion, path=path - weights @ path, weights=weights)
