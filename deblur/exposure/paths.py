"""What is known of a camera's path while the shutter was open, and how wrong such knowledge is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import numpy as np

from deblur.blur import Motion, draw_motion, generator_for
from deblur.blur.motion import RollingShutter, rasterize, scaled_point, still

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deblur.blur import BlurSpec

_SCALE_ERROR = 0.03  # standard deviations: of the focal length and the sensor's scale together
_ANGLE_ERROR = 0.02  # radians, between the axes of the sensor and of the camera
_TIMING_ERROR = 0.05  # most of an exposure that is left out at its begin or end


@runtime_checkable
class CameraPath(Protocol):
    """Something that knows the blur kernel at every place of a picture.

    A ``Motion`` of synthetic blur, or what ``Record.path`` makes of a gyroscope's record.
    """

    def displacement(self, x: float | NDArray[np.float64], y: float) -> NDArray[np.float64]:
        """(..., N, 2) displacement of the content over its exposure, in pixels, at places of one row: x is (...)."""

    def kernel_at(self, x: float | NDArray[np.float64], y: float, size: int) -> NDArray[np.float32]:
        """The (..., size, size) blur kernels at places of one row, x is (...); see ``rasterize``."""

    def extent(self, x: float | NDArray[np.float64], y: float) -> float:
        """Largest displacement at places of one row in pixels."""

    def cropped(self, left: int, top: int) -> Self:
        """The same path in the coordinates of a crop whose first pixel is (left, top)."""

    def scaled(self, factor: float) -> Self:
        """The same path in the coordinates of the picture scaled by a factor."""


class _AtEvenSteps(ABC):
    """What a path at even steps of time is asked beside its displacements."""

    @abstractmethod
    def displacement(self, x: float | NDArray[np.float64], y: float) -> NDArray[np.float64]:
        """See ``CameraPath``."""

    def kernel_at(self, x: float | NDArray[np.float64], y: float, size: int) -> NDArray[np.float32]:
        """See ``CameraPath``."""
        points = self.displacement(x, y)
        steps = points.shape[-2]
        return rasterize(points, np.full(steps, 1 / steps), size)

    def extent(self, x: float | NDArray[np.float64], y: float) -> float:
        """See ``CameraPath``."""
        return float(np.linalg.norm(self.displacement(x, y), axis=-1).max())


@dataclass(frozen=True, eq=False)
class Rotation(_AtEvenSteps):
    """A camera that turns about its own centre: a pinhole without distortion.

    Attributes:
        angles: (N, 3) radians at even steps of time: rotations about the axes to the right, down and ahead (right-hand
            rule), less their mean over time. They are small, so that their order does not matter.
        focal_length: in pixels.
        center: (x, y) of the optical axis in pixels.
        shutter: see ``Motion``.
    """

    angles: NDArray[np.float64]
    focal_length: float
    center: tuple[float, float]
    shutter: RollingShutter | None = None

    def of_row(self, y: float) -> Rotation:
        """The turns while the row at ``y`` is exposed; all of them where all rows are exposed at once."""
        if self.shutter is None:
            return self
        return replace(self, shutter=None).part(self.shutter.window(y, len(self.angles)))

    def displacement(self, x: float | NDArray[np.float64], y: float) -> NDArray[np.float64]:
        """See ``CameraPath``."""
        angles = self.of_row(y).angles
        right, down = np.broadcast_arrays(np.asarray(x) - self.center[0], y - self.center[1])
        ray = np.stack([right / self.focal_length, down / self.focal_length, np.ones(right.shape)], -1)[..., None, :]
        # What stands still turns against the camera (Rodrigues' formula by the negative angle).
        angle = np.linalg.norm(angles, axis=1, keepdims=True)
        axis = angles / np.maximum(angle, 1e-12)
        along = (axis * ray).sum(-1, keepdims=True)
        seen = ray * np.cos(angle) - np.cross(axis, ray) * np.sin(angle) + axis * along * (1 - np.cos(angle))
        return self.focal_length * (seen[..., :2] / seen[..., 2:] - ray[..., :2])

    def cropped(self, left: int, top: int) -> Rotation:
        """See ``CameraPath``."""
        shutter = self.shutter and self.shutter.cropped(top)
        return replace(self, center=(self.center[0] - left, self.center[1] - top), shutter=shutter)

    def scaled(self, factor: float) -> Rotation:
        """See ``CameraPath``."""
        return replace(
            self,
            focal_length=self.focal_length * factor,
            center=scaled_point(self.center, factor),
            shutter=self.shutter and self.shutter.scaled(factor),
        )

    def part(self, steps: slice) -> Rotation:
        """The turns while a shutter was open during these steps of time only."""
        angles = self.angles[steps]
        return replace(self, angles=angles - angles.mean(axis=0))


@dataclass(frozen=True, eq=False)
class Turned(_AtEvenSteps):
    """The path of a picture as it is stored, seen in the upright picture that was made of it.

    Rows that a rolling shutter read one after the other may be columns there.

    Attributes:
        stored: the path in the stored picture, at even steps of time.
        axes: (2, 2) whole numbers. A place p, (right, down) in this picture, lies at ``axes @ p + origin`` in the
            stored one, so the rows are the stored picture's directions right and down, as seen in this one.
        origin: (x, y), in pixels of the stored picture, of what is at (0, 0) in this one.
    """

    stored: CameraPath
    axes: NDArray[np.int_]
    origin: NDArray[np.float64]

    def displacement(self, x: float | NDArray[np.float64], y: float) -> NDArray[np.float64]:
        """See ``CameraPath``."""
        places = self._stored(x, y)
        # One by one: what was one row here may have been a column.
        moved = np.stack([self.stored.displacement(*place) for place in places.reshape(-1, 2).tolist()])
        return (moved @ self.axes).reshape(*places.shape[:-1], *moved.shape[1:])

    def cropped(self, left: int, top: int) -> Turned:
        """See ``CameraPath``."""
        return replace(self, origin=self._stored(left, top))

    def scaled(self, factor: float) -> Turned:
        """See ``CameraPath``."""
        x, y = self._stored(*scaled_point((0, 0), 1 / factor)).tolist()
        return replace(self, stored=self.stored.scaled(factor), origin=np.array(scaled_point((x, y), factor)))

    def _stored(self, x: float | NDArray[np.float64], y: float) -> NDArray[np.float64]:
        """(..., 2) where places of one row of this picture are in the stored one."""
        right, down = np.broadcast_arrays(np.asarray(x, np.float64), y)
        return np.stack([right, down], axis=-1) @ self.axes.T + self.origin


def camera_path(motion: Motion) -> Motion:
    """What a sensor on the camera feels of an exposure: nothing of an object that moves by itself."""
    if motion.region is None:
        return motion
    if motion.region.moves:
        return replace(still(1, 1), center=motion.center)
    return replace(motion, region=None)


def felt_path(spec: BlurSpec, seed: int, key: str, width: int, height: int) -> Motion:
    """What a gyroscope measures, with its errors, while ``synthesize`` blurs a picture of this size: turns alone."""
    motion = draw_motion(spec, generator_for(spec, seed, key), width, height)
    return felt(motion, generator_for(spec, seed, f"{key}\nsensor"))


def felt(motion: Motion, generator: np.random.Generator) -> Motion:
    """What a gyroscope measures of a motion, with the errors that a generator draws: turns of the camera alone."""
    motion = camera_path(motion)
    turns = motion.path * (1, 1, 1, 0)  # of a camera that moves ahead it feels how it shakes, not how all grows
    return as_measured(replace(motion, path=turns), generator)


def as_measured(motion: Motion, generator: np.random.Generator) -> Motion:
    """A camera's path with the errors of a sensor that is calibrated with ordinary care.

    Its scale is off by some percent, its axes are turned by a degree or so, and it misses up to a twentieth of the
    exposure at the begin or the end. Of a path whose order in time nobody knows it misses nothing.

    Args:
        motion: as ``camera_path`` gives it.
        generator: of the errors.
    """
    scale = 1 + _SCALE_ERROR * generator.standard_normal()
    angle = _ANGLE_ERROR * generator.standard_normal()
    timing = generator.uniform(-_TIMING_ERROR, _TIMING_ERROR)
    # The first points of a measured kernel are its upper rows: without them it is no part of that exposure.
    missed = round(motion.steps * timing) if motion.ordered else 0
    felt = misread(motion, scale, angle).part(slice(max(missed, 0), len(motion.path) + min(missed, 0)))
    # What is missed of every row's exposure is missed of the whole path too, so rows begin where they did.
    shutter = motion.shutter and replace(motion.shutter, steps=motion.shutter.steps - abs(missed))
    return replace(felt, shutter=shutter)


def misread(motion: Motion, scale: float, angle: float) -> Motion:
    """A path by a sensor whose scale is off by a factor and whose axes are turned by an angle in radians."""
    path = motion.path * scale
    cos, sin = np.cos(angle), np.sin(angle)
    path[:, :2] = path[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    return replace(motion, path=path)
