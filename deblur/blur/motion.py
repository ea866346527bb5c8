"""How things move while the shutter is open: the truth behind a blurred picture.

Convention: while the shutter is open, the picture's content at place p is displaced by d_t(p) at time t, and

    blurred(p) = sum_t weight_t * sharp(p - d_t(p)).

So the density of d_t(p) over time is the blur kernel at p, in the sense of convolution. Displacements have mean zero
(over time, at the picture's centre): the blurred picture lies on the sharp one and boxes stay where they are.
"""

from __future__ import annotations

import functools
import math
import tokenize
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deblur.blur.spec import REFERENCE_SIDE, BlurSpec
from deblur.equal_files import resolved, sha256_of
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_STEPS = 128
"""Sub-exposures of a path at most. On paths longer than 85 pixels, as 32 are in a photograph of 1,700, they lie farther
apart than on shorter ones, where more would hardly add what eight bits can show: a few levels beside a lamp."""
_GRID = 256  # points of a walk in an exposure
_MOST_GRIDS = 4  # of a walk; over more exposures than this the points lie farther apart
_FINER, _FINEST = 3, 32  # times as fine as measured kernels are drawn: at least, and at most, for the memory it takes
_BRIGHTEST = 1e30  # of a value of a kernel: sums stay finite
BROKEN_ARCHIVE = (
    OSError,
    ValueError,
    EOFError,
    TypeError,
    OverflowError,
    RuntimeError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise on an ``.npz`` file that is damaged or lies about what it holds."""


@dataclass(frozen=True)
class Region:
    """A soft-edged ellipse: the object that moves, or that the camera follows.

    Attributes:
        center: (x, y) in pixels.
        radii: half axes in pixels, first the one that lies along x where ``angle`` is 0.
        angle: by how much the ellipse is turned, in radians, clockwise on screen.
        moves: True where the ellipse moves before a still background, False where it stays and the rest moves.
    """

    center: tuple[float, float]
    radii: tuple[float, float]
    angle: float
    moves: bool

    def scaled(self, factor: float) -> Region:
        """The same ellipse in a picture scaled by a factor."""
        return replace(
            self, center=scaled_point(self.center, factor), radii=(self.radii[0] * factor, self.radii[1] * factor)
        )


@dataclass(frozen=True)
class RollingShutter:
    """A camera that reads its picture row by row from the top: every row is exposed a little later than the one above.

    Attributes:
        steps: how many steps of the whole path one row's exposure takes.
        rows: of the whole picture.
        top: how many of its rows lie above the crop that the path is of.
    """

    steps: int
    rows: int
    top: int = 0

    def window(self, y: float, count: int) -> slice:
        """Which of the ``count`` steps of the whole path the row at ``y`` is exposed in."""
        share = min(max((y + self.top) / max(self.rows - 1, 1), 0.0), 1.0)
        first = round(share * (count - self.steps))
        return slice(first, first + self.steps)

    def cropped(self, top: int) -> RollingShutter:
        """The same shutter in the rows of a crop whose first one is ``top``."""
        return replace(self, top=self.top + top)

    def scaled(self, factor: float) -> RollingShutter:
        """The same shutter in the rows of a picture scaled by a factor."""
        return replace(self, rows=max(1, round(self.rows * factor)), top=round(self.top * factor))


@dataclass(frozen=True, eq=False)
class Motion:
    """One exposure.

    Attributes:
        path: (N, 4) over time: displacement x and y in pixels (right, down), roll in radians (clockwise on screen), and
            growth, the scale less 1.
        weights: (N,) share of the exposure spent at each point, sum 1.
        center: (x, y) in pixels of the point that the picture turns and grows about.
        region: the moving or followed object, or None where everything moves alike.
        shutter: None where all rows are exposed at once. Otherwise the path goes from the first row's opening to the
            last row's closing, at even steps of time, and each row's displacements are from where it lay in the mean
            over its own exposure: rows stay where they were seen, and what is bent in the picture stays bent.
        ordered: whether the path's points follow each other in time; a measured kernel does not tell when each was
            passed.
    """

    path: NDArray[np.float64]
    weights: NDArray[np.float64]
    center: tuple[float, float]
    region: Region | None = None
    shutter: RollingShutter | None = None
    ordered: bool = True

    @property
    def uniform(self) -> bool:
        """Whether every place of the picture (of its moving part) has the same kernel."""
        return self.shutter is None and not self.path[:, 2:].any()

    @property
    def steps(self) -> int:
        """Points of the path in the exposure of one place, N where all rows are exposed at once."""
        return len(self.path) if self.shutter is None else self.shutter.steps

    def of_row(self, y: float) -> Motion:
        """The exposure of the row at ``y``; this very one where all rows are exposed at once."""
        if self.shutter is None:
            return self
        return replace(self, shutter=None).part(self.shutter.window(y, len(self.path)))

    def row_paths(self, height: int) -> NDArray[np.float64]:
        """(steps, height, 4) path of each of the first rows under a rolling shutter, as ``of_row`` gives it."""
        assert self.shutter is not None
        first = np.array([self.shutter.window(row, len(self.path)).start for row in range(height)])
        steps = first + np.arange(self.shutter.steps)[:, None]
        weights = self.weights[steps] / self.weights[steps].sum(axis=0)
        paths = self.path[steps]
        return paths - (weights[..., None] * paths).sum(axis=0)

    def displacement(self, x: float | NDArray[np.float64], y: float) -> NDArray[np.float64]:
        """(..., steps, 2) displacement over time, in pixels, of the content at places of one row: x is (...)."""
        path = self.of_row(y).path
        scale = 1.0 + path[:, 3]
        cos, sin = scale * np.cos(path[:, 2]) - 1.0, scale * np.sin(path[:, 2])
        dx, dy = np.asarray(x)[..., None] - self.center[0], y - self.center[1]
        return path[:, :2] + np.stack([cos * dx - sin * dy, sin * dx + cos * dy], axis=-1)

    def kernel_at(self, x: float | NDArray[np.float64], y: float, size: int) -> NDArray[np.float32]:
        """The (..., size, size) blur kernels at places of one row, x is (...); see ``rasterize``.

        Each point of the path is spread over the four pixels around it, which is what bilinear sampling of the
        sub-exposures does. Where a ``region`` leaves a place still, this is not its kernel but that of what moves.
        """
        return rasterize(self.displacement(x, y), self.of_row(y).weights, size)

    def extent(self, x: float | NDArray[np.float64], y: float) -> float:
        """Largest displacement at places of one row in pixels."""
        return float(np.linalg.norm(self.displacement(x, y), axis=-1).max())

    def part(self, steps: slice) -> Motion:
        """The exposure of a shutter that was open during these steps of time only."""
        weights = self.weights[steps] / self.weights[steps].sum()
        path = self.path[steps]
        return replace(self, path=path - weights @ path, weights=weights)

    def cropped(self, left: int, top: int) -> Motion:
        """The same exposure in the coordinates of a crop whose first pixel is (left, top)."""
        region = self.region and replace(
            self.region, center=(self.region.center[0] - left, self.region.center[1] - top)
        )
        shutter = self.shutter and self.shutter.cropped(top)
        return replace(self, center=(self.center[0] - left, self.center[1] - top), region=region, shutter=shutter)

    def scaled(self, factor: float) -> Motion:
        """The same exposure in the coordinates of the picture scaled by a factor."""
        return replace(
            self,
            path=self.path * (factor, factor, 1, 1),
            center=scaled_point(self.center, factor),
            region=self.region and self.region.scaled(factor),
            shutter=self.shutter and self.shutter.scaled(factor),
        )


def scaled_point(point: tuple[float, float], factor: float) -> tuple[float, float]:
    """Where a point lies in a picture scaled by a factor; the middle of the first pixel is (0, 0) in both."""
    return (point[0] + 0.5) * factor - 0.5, (point[1] + 0.5) * factor - 0.5


def still(width: int, height: int) -> Motion:
    """No motion at all."""
    return Motion(np.zeros((1, 4)), np.ones(1), ((width - 1) / 2, (height - 1) / 2))


def draw_motion(spec: BlurSpec, generator: np.random.Generator, width: int, height: int) -> Motion:
    """Draw one exposure of ``spec`` for a picture of ``width`` x ``height`` pixels.

    Raises:
        DeblurError: the kernel file of a ``measured`` blur cannot be read.
    """
    length = spec.length * max(width, height) / REFERENCE_SIDE
    if spec.kind == "none" or length == 0:
        return still(width, height)
    if spec.kind == "measured":
        return _measured(spec.kernels, generator, length, width, height)
    if spec.kind == "forward":
        return _forward(generator, length, width, height)
    # Far above one exposure the velocity does not change and the path is straight.
    smoothness = 1e6 if spec.kind == "straight" else 10 ** generator.uniform(-0.7, 0.7)
    exposures = 1 + spec.readout
    path = _planar_path(generator, length, smoothness, exposures)
    motion = still(width, height)
    if spec.readout:
        motion = replace(motion, shutter=RollingShutter(_steps(length), height))
    if spec.kind in {"shake", "jolt"}:
        # The farthest corner sits half a diagonal away and is moved by the angle times that distance.
        reach = spec.roll * length * generator.uniform(0.0, 1.0) * exposures
        roll = _smooth_walk(generator, len(path), smoothness, exposures)
        roll *= reach / max(np.abs(np.diff(roll)).sum(), 1e-9) / (math.hypot(width, height) / 2)
        path = np.column_stack([path, roll, np.zeros(len(path))])
    else:
        path = _flat(path)
    if spec.kind == "jolt":
        path = _between_rests(generator, path)
    region = _draw_region(spec, generator, width, height) if spec.kind in {"object", "background"} else None
    path -= path.mean(axis=0)
    return replace(motion, path=path, weights=np.full(len(path), 1 / len(path)), region=region)


def _forward(generator: np.random.Generator, length: float, width: int, height: int) -> Motion:
    """A camera that moves ahead: the picture grows about the point that it heads for, and shakes by a part of that."""
    focus = (width * generator.uniform(0.3, 0.7), height * generator.uniform(0.3, 0.7))
    reach = math.hypot(max(focus[0], width - focus[0]), max(focus[1], height - focus[1]))
    # A vehicle's speed hardly changes in one exposure, a hand's does.
    shaken = _planar_path(generator, length * generator.uniform(0.0, 0.4), 10 ** generator.uniform(-0.7, 0.7))
    growth = np.linspace(0.0, length / reach, max(_steps(length), len(shaken)))
    shaken = _passed_at(np.linspace(0, 1, len(growth)), shaken)
    path = np.column_stack([shaken, np.zeros(len(growth)), growth])
    path -= path.mean(axis=0)
    return Motion(path, np.full(len(path), 1 / len(path)), focus)


def _between_rests(generator: np.random.Generator, path: NDArray[np.float64]) -> NDArray[np.float64]:
    """A path that is passed in a part of the exposure, with a rest before and after it: things come out twice."""
    share = generator.uniform(0.15, 0.5)
    begin = generator.uniform(0.1, 0.9) * (1 - share)
    times = np.linspace(0, 1, min(MAX_STEPS, math.ceil(len(path) / share)))
    return _passed_at((times - begin) / share, path)


def _passed_at(times: NDArray[np.float64], path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where an (N, D) path is at times from 0 to 1; before and after, at its ends."""
    places = times * (len(path) - 1)
    return np.column_stack([np.interp(places, np.arange(len(path)), along) for along in path.T])


def _flat(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """An (N, 2) path with neither roll nor growth: (N, 4)."""
    return np.column_stack([path, np.zeros((len(path), 2))])


def rasterize(points: NDArray[np.float64], weights: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Spread weighted points over kernels: (..., N, 2), x right and y down from the centre, to (..., size, size).

    A kernel has sum 1 and its centre at ``size // 2``. What falls outside is cut off; of what falls outside as a whole
    the centre is left.
    """
    many = points.reshape(-1, *points.shape[-2:])
    low = np.floor(many).astype(np.int64)
    fraction = many - low
    first = np.arange(len(many))[:, None] * size**2
    flat = np.zeros(len(many) * size**2)
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dx - fraction[..., 0]) * np.abs(1 - dy - fraction[..., 1]) * weights
            column, row = low[..., 0] + dx + size // 2, low[..., 1] + dy + size // 2
            inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
            flat += np.bincount((first + row * size + column)[inside], share[inside], len(flat))
    kernels = flat.reshape(-1, size, size)
    total = kernels.sum((1, 2))
    kernels[total == 0, size // 2, size // 2] = total[total == 0] = 1.0
    return (kernels / total[:, None, None]).astype(np.float32).reshape(*points.shape[:-2], size, size)


def _planar_path(
    generator: np.random.Generator, length: float, smoothness: float, exposures: float = 1.0
) -> NDArray[np.float64]:
    """An (N, 2) path of arc length ``length`` an exposure, random direction.

    On average points are two thirds of a pixel apart up to a length of 85 pixels, farther beyond it (``MAX_STEPS``).
    The speed is a smooth random walk: a straight path is one of infinite smoothness, and the smaller the number, the
    more it curls. Sampling is even in time, so slow stretches weigh more, as in a real exposure.
    """
    steps = round(_steps(length) * exposures)
    path = np.column_stack([_smooth_walk(generator, steps, smoothness, exposures) for _ in range(2)])
    arc = np.hypot(*np.diff(path, axis=0).T).sum()
    return path * (length * exposures / max(arc, 1e-9))


def _steps(length: float) -> int:
    """Points of a path of so many pixels."""
    return int(min(MAX_STEPS, max(3, math.ceil(1.5 * length) + 1)))


def _smooth_walk(
    generator: np.random.Generator, steps: int, smoothness: float, exposures: float = 1.0
) -> NDArray[np.float64]:
    """(steps,) integral of an Ornstein-Uhlenbeck velocity with correlation time ``smoothness`` exposures."""
    # The walk is drawn on a fixed grid, so that the same seed gives the same shape whatever the number of steps.
    grid = _GRID * min(math.ceil(exposures), _MOST_GRIDS)
    decay = math.exp(-exposures / (grid * smoothness))
    # Powers of the lag, and 0 for lags below 0, which index from the end.
    powers = np.concatenate([decay ** np.arange(grid), np.zeros(grid)])
    response = powers[_lags(grid)]
    shocks = generator.standard_normal(grid)
    shocks[1:] *= math.sqrt(1 - decay**2)
    position = np.concatenate([[0.0], np.cumsum(response @ shocks)]) / grid
    return np.interp(np.linspace(0, grid, steps), np.arange(grid + 1), position)


@functools.cache
def _lags(grid: int) -> NDArray[np.int64]:
    """(grid, grid) how far each point lies behind each other one."""
    return np.arange(grid)[:, None] - np.arange(grid)


def _draw_region(spec: BlurSpec, generator: np.random.Generator, width: int, height: int) -> Region:
    return Region(
        center=(width * generator.uniform(0.2, 0.8), height * generator.uniform(0.2, 0.8)),
        radii=(width * generator.uniform(0.12, 0.4), height * generator.uniform(0.12, 0.4)),
        angle=generator.uniform(-0.6, 0.6),
        moves=spec.kind == "object",
    )


def _measured(file: str, generator: np.random.Generator, length: float, width: int, height: int) -> Motion:
    """A measured kernel, turned by a random angle and scaled so that its points reach ``length`` end to end."""
    kernels = read_kernels(file)
    points, weights = kernels[int(generator.integers(len(kernels)))].points(length)
    angle = generator.uniform(0.0, 2 * math.pi)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return replace(still(width, height), path=_flat(points @ turn.T * length), weights=weights, ordered=False)


def check_kernels(spec: BlurSpec) -> None:
    """See early that the kernels of a ``measured`` blur can be read.

    Raises:
        DeblurError: as ``read_kernels``.
    """
    if spec.kernels:
        read_kernels(spec.kernels)


def kernels_sha256(file: str) -> str:
    """What tells a file of kernels from others, wherever it lies: the hash of its bytes.

    Raises:
        DeblurError: as ``read_kernels``.
    """
    read_kernels(file)
    return sha256_of(Path(file))


class MeasuredKernel:
    """A blur kernel that somebody has measured.

    Attributes:
        extent: the largest distance between two of its places that are not faint, in its own pixels.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        """Take an (H, W) array with a positive sum."""
        # Without what surrounds it, which would be drawn finer for nothing; its fading edge is the kernel's.
        rows, columns = np.nonzero(_bright(values))
        top, left = max(0, rows.min() - 1), max(0, columns.min() - 1)
        self._values = values[top : rows.max() + 2, left : columns.max() + 2]
        self.extent = _longest(_bright(_upsampled(self._values, _FINER))) / _FINER
        self._drawn: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def points(self, length: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """((N, 2) points about their mean, (N,) weights); it is 1 from end to end.

        Args:
            length: to which it will be scaled, in pixels. So fine are its points, as far as ``_FINEST`` allows, that no
                more than a pixel lies between neighbours then: detail would pass unblurred through gaps.
        """
        finer = min(max(_FINER, math.ceil(length / self.extent)), _FINEST)
        if finer not in self._drawn:
            kernel = _upsampled(self._values, finer)
            bright = _bright(kernel)
            rows, columns = np.nonzero(bright)
            weights = kernel[rows, columns] / kernel[rows, columns].sum()
            points = np.column_stack([columns, rows]).astype(np.float64)
            points = (points - weights @ points) / _longest(bright)
            points.flags.writeable = weights.flags.writeable = False  # what is kept is what every motion gets
            self._drawn[finer] = points, weights
        return self._drawn[finer]


def _bright(kernel: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where it is not faint: faint values are the camera's noise, not the path."""
    return kernel > 0.02 * kernel.max()


def read_kernels(file: str) -> list[MeasuredKernel]:
    """The kernels of an ``.npz`` file.

    What was read is kept for as long as the file stays as it is.

    Raises:
        DeblurError: the file is missing, is no ``.npz`` file, or holds no kernel.
    """
    try:
        there = resolved(Path(file))
        state = there.stat()
    except OSError as error:
        raise _no_kernels(file, error) from None
    return _kernels_of(file, there, state.st_mtime_ns, state.st_size)


def _no_kernels(file: str, error: Exception) -> DeblurError:
    return DeblurError(f"cannot read blur kernels from {file}: {error}; an .npz file of 2-D arrays is needed")


@functools.lru_cache(maxsize=16)
def _kernels_of(file: str, there: Path, _changed: int, _size: int) -> list[MeasuredKernel]:
    try:
        with there.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            held = [archive[name] for name in sorted(archive.files)]
            if any(array.dtype.kind not in "buif" for array in held):
                raise ValueError("it holds what are no real numbers")
            arrays = [array.astype(np.float64) for array in held]
    except BROKEN_ARCHIVE as error:
        raise _no_kernels(file, error) from None
    stacked = [kernel for array in arrays for kernel in (array if array.ndim == 3 else [array])]
    kernels = [
        MeasuredKernel(kernel)
        for kernel in stacked
        if kernel.ndim == 2 and np.abs(kernel).max(initial=0) < _BRIGHTEST and kernel.sum() > 0
    ]
    if not kernels:
        raise DeblurError(f"{file} holds no blur kernel: an .npz file of 2-D arrays with a positive sum is needed")
    return kernels


def _longest(bright: NDArray[np.bool_]) -> float:
    """The largest distance between two places that are set; 1 where there is but one."""
    rows = np.flatnonzero(bright.any(axis=1))
    # The two that are farthest apart are the first or the last of their rows.
    first, last = bright[rows].argmax(axis=1), bright.shape[1] - 1 - bright[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([rows + 1j * first, rows + 1j * last])
    return float(np.abs(ends[:, None] - ends).max()) or 1.0


def _upsampled(kernel: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """The array resampled bilinearly, ``factor`` times as fine."""
    for axis in (0, 1):
        size = kernel.shape[axis]
        at = np.linspace(0, size - 1, (size - 1) * factor + 1)
        low = np.minimum(at.astype(np.int64), size - 1)
        high = np.minimum(low + 1, size - 1)
        share = np.expand_dims(at - low, 1 - axis)
        kernel = np.take(kernel, low, axis) * (1 - share) + np.take(kernel, high, axis) * share
    return kernel
