"""A camera's path out of a file: what its gyroscope measured while the shutter was open, or a path in pixels."""

from __future__ import annotations

import csv
import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deblur.blur import Motion
from deblur.blur.motion import RollingShutter
from deblur.errors import DeblurError
from deblur.exposure.kernels import LARGEST_REACH
from deblur.exposure.paths import Rotation, Turned
from deblur.working_size import LOOK_SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from deblur.exposure.paths import CameraPath

RATES = ("wx", "wy", "wz")
"""Columns of a gyroscope."""
_PLACES, _ROLL = ("x", "y"), "roll"
_USED = ("t", *RATES, *_PLACES, _ROLL)  # others are not read
_LOGS = (["GYROFLOW IMU LOG"], ["CAMERA IMU LOG"])  # first lines
_LOG_NAMES = {"gx": "wx", "gy": "wy", "gz": "wz"}
# By EXIF's orientation: where what lies to the right and what lies down in the stored picture lie in the upright one.
_UPRIGHT: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {
    1: ((1, 0), (0, 1)),
    2: ((-1, 0), (0, 1)),
    3: ((-1, 0), (0, -1)),
    4: ((1, 0), (0, -1)),
    5: ((0, 1), (1, 0)),
    6: ((0, 1), (-1, 0)),
    7: ((0, -1), (-1, 0)),
    8: ((0, -1), (1, 0)),
}
_STEPS = 128  # even steps of time that an exposure is read at
_GAP, _LEAST_GAP = 5, 0.02  # times the usual step, and seconds: a longer step lacks samples
_CHECKED_ROWS = 17  # of a rolling shutter, for how far they move
_ROUNDED = 4  # units in the last place: times that are sums lie so far beside the same time as it is written
_MOST_STEPS = 100_000  # from the first row's opening to the last row's closing


@dataclass(frozen=True, eq=False)
class Record:
    """What a sensor wrote down.

    Two records compare by identity, as paths do: whether arrays are near enough only the caller knows.

    Attributes:
        file: where it was read from.
        times: (N,) seconds, rising, N at least 2.
        columns: (N,) each, by name. They hold either ``wx``, ``wy`` and ``wz``, a gyroscope's rates in radians a second
            about the camera's axes (right, down, ahead; right-hand rule), or ``x`` and ``y``, where the content lies,
            in pixels (right, down), and optionally ``roll`` in radians (clockwise on the screen). Others are ignored.

    Raises:
        DeblurError: times or columns are not that.
    """

    file: Path
    times: NDArray[np.float64]
    columns: Mapping[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        if not any(set(kind) <= set(self.columns) for kind in (RATES, _PLACES)):
            raise DeblurError(
                f"{self.file} has the columns {', '.join(self.columns) or 'none'} beside its times; a camera's path "
                "needs wx, wy and wz of a gyroscope or x and y in pixels"
            )
        # A program may use its buffers again, and what was checked here has to stay.
        used = {name: self._own(name, self.columns[name]) for name in _USED if name in self.columns}
        object.__setattr__(self, "times", self._own("t", self.times))
        object.__setattr__(self, "columns", {**self.columns, **used})
        for name, values in {"t": self.times, **used}.items():
            if values.ndim != 1 or len(values) != len(self.times):
                raise DeblurError(f"{self.file}: {name} has the shape {values.shape}, with {len(self.times)} times")
            if not np.isfinite(values).all():
                raise DeblurError(f"{self.file}: {name} holds what is no finite number")
        if len(self.times) < 2:
            raise DeblurError(
                f"{self.file} holds {len(self.times)} samples: at least 2 are needed, at the shutter's opening and at "
                "its closing"
            )
        if not math.isfinite(float(self.times[-1]) - float(self.times[0])):
            raise DeblurError(f"{self.file}: t goes farther than numbers can say")
        falls = np.flatnonzero(np.diff(self.times) <= 0)
        if len(falls):
            raise DeblurError(f"{self.file}: t does not rise from {clock(self.times[falls[0]])} on, put it in order")

    def _own(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        """A copy of what was given that nobody changes; masked values are none."""
        try:
            own: NDArray[np.float64] = np.ma.filled(np.ma.array(values, dtype=np.float64, copy=True), np.nan)
        except (TypeError, ValueError):
            raise DeblurError(f"{self.file}: {name} holds what is no finite number") from None
        own.flags.writeable = False
        return own

    @property
    def of_gyroscope(self) -> bool:
        """Whether it holds angular velocities rather than a path in pixels."""
        return set(RATES) <= set(self.columns)

    def path(
        self,
        width: int,
        height: int,
        focal_length: float | None = None,
        *,
        exposure: Sequence[float] | NDArray[np.float64] | None = None,
        readout: float = 0.0,
        orientation: int = 1,
    ) -> CameraPath:
        """The camera's path of one picture.

        Args:
            width: of the picture in pixels, upright as it is given to a ``Deblurrer``; the optical axis is in its
                middle.
            height: likewise.
            focal_length: in pixels of this picture; what a gyroscope measured needs it.
            exposure: when the shutter opened and closed, of the first row where rows follow one another, in seconds of
                ``times``; None takes all of the record: its first sample is the opening, its last one the closing.
            readout: by how many seconds the last row's exposure is later than the first one's; 0 for a global shutter.
                First is the first row that is stored.
            orientation: EXIF's number by which the stored picture was turned to be upright, as
                ``deblur.pictures.read_upright`` gives it: the record is of the picture as it is stored.

        Raises:
            DeblurError: the record tells of another time or lacks samples of this one, moves the picture by more than
                ``largest_reach``, there is no focal length, or the exposure is too short beside the readout.
            ValueError: the orientation is none of EXIF's.
        """
        if orientation not in _UPRIGHT:
            raise ValueError(f"an orientation is EXIF's number from 1 to 8, not {orientation}")
        if orientation != 1:
            return self._turned(orientation, width, height, focal_length, exposure, readout)
        opened, closed = (self.times[0], self.times[-1] - readout) if exposure is None else exposure
        opened, closed, end = map(self.within, (opened, closed, closed + readout))
        if not self.times[0] <= opened < closed <= end <= self.times[-1]:
            raise DeblurError(
                f"{self.file} tells of {clock(self.times[0])} to {clock(self.times[-1])} seconds, and the shutter was "
                f"open from {clock(opened)} to {clock(closed)}{f', in the last row to {clock(end)}' * bool(readout)}: "
                "give a record of all of the exposure"
            )
        self._refuse_gap(opened, end)
        middle = ((width - 1) / 2, (height - 1) / 2)
        share = (closed - opened) / (end - opened)
        steps = round(min(_STEPS, _MOST_STEPS * share))
        if steps < 2:
            raise DeblurError(
                f"{self.file}: the shutter was open for {closed - opened:.1g} seconds, from {clock(opened)}, which is "
                f"too short beside a readout of {readout:g}: give both in seconds"
            )
        whole = self._sampled(np.linspace(opened, end, round(steps / share)), focal_length, middle)
        path = replace(whole, shutter=RollingShutter(steps, height) if readout else None)
        # Corners move the farthest, by roll above all; where rows follow one another, each at its own time.
        ends, rows = np.array([0.0, width - 1]), np.linspace(0, height - 1, _CHECKED_ROWS if readout else 2)
        with np.errstate(over="ignore", invalid="ignore"):
            reach = float(np.max([path.extent(ends, row) for row in rows.tolist()]))
        most = largest_reach(width, height)
        if not reach <= most:  # also what is so far that it is no number any more
            raise DeblurError(
                f"{self.file} moves the picture by up to {reach:.0f} pixels from the middle of its path, and "
                f"{most:.0f} are the most in {width}x{height}: rates are in radians a second, times in seconds, "
                "places and the focal length in pixels"
            )
        return path

    def within(self, time: float) -> float:
        """A time in seconds, or the record's first or last one where that differs from it by rounding alone."""
        first, last = self.times[0], self.times[-1]
        nearest = min(max(time, first), last)
        rounded = _ROUNDED * np.spacing(max(abs(first), abs(last)))
        return float(nearest if abs(nearest - time) <= rounded else time)

    def check_focal_length(self, focal_length: float | None) -> None:
        """Refuse to do without a focal length where one is needed.

        Raises:
            DeblurError: a gyroscope wrote the record, and there is none, or it is no number above 0.
        """
        if self.of_gyroscope and focal_length is None:
            raise DeblurError(f"{self.file} holds what a gyroscope measured: give the focal length in pixels with it")
        if focal_length is not None and not 0 < focal_length < float("inf"):
            raise DeblurError(f"the focal length is {focal_length} pixels: give a number above 0")

    def _refuse_gap(self, opened: float, end: float) -> None:
        """Refuse a record that lacks samples while the shutter was open, as a logger that drops some leaves it."""
        times = self.times[self._around(opened, end)]
        steps = np.diff(times)
        longest = int(np.argmax(steps))
        if steps[longest] > max(_GAP * self._usual_step, _LEAST_GAP):
            raise DeblurError(
                f"{self.file} has no samples from {clock(times[longest])} to {clock(times[longest + 1])} "
                "seconds, while the shutter was open: leave the picture out, or tell it no path"
            )

    @functools.cached_property
    def _usual_step(self) -> float:
        return float(np.median(np.diff(self.times)))

    def _around(self, opened: float, end: float) -> slice:
        """The samples of this time and one to each side: a record may be of hours, and a picture asks for little."""
        return slice(
            max(int(np.searchsorted(self.times, opened, "right")) - 1, 0), int(np.searchsorted(self.times, end)) + 1
        )

    def _turned(
        self,
        orientation: int,
        width: int,
        height: int,
        focal_length: float | None,
        exposure: Sequence[float] | NDArray[np.float64] | None,
        readout: float,
    ) -> Turned:
        """The path of a picture of this size that was turned or mirrored to be upright; see ``path``."""
        axes = np.array(_UPRIGHT[orientation])
        wide, high = np.abs(axes) @ (width, height)
        stored = self.path(int(wide), int(high), focal_length, exposure=exposure, readout=readout)
        # The middle of one is the middle of the other.
        return Turned(stored, axes, (np.array([wide, high]) - 1) / 2 - axes @ ((width - 1) / 2, (height - 1) / 2))

    def _angles(self, even: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3) what the rates add up to by each of N even times.

        All samples between them count: vibration that is faster than these times would otherwise look like slow motion.
        """
        # Since the first of them, for a step of microseconds is not much more than what tells times since 1970 apart.
        near = self._around(even[0], even[-1])
        own, length = self.times[near] - even[0], even[-1] - even[0]
        since = np.linspace(0, length, len(even))
        fine = np.union1d(since, own[(own > 0) & (own < length)])
        rates = np.column_stack([np.interp(fine, own, self.columns[name][near]) for name in RATES])
        turned = (rates[1:] + rates[:-1]) / 2 * np.diff(fine)[:, None]
        angles = np.concatenate([np.zeros((1, 3)), np.cumsum(turned, axis=0)])
        return np.column_stack([np.interp(since, fine, axis) for axis in angles.T])

    def _sampled(
        self, even: NDArray[np.float64], focal_length: float | None, middle: tuple[float, float]
    ) -> Motion | Rotation:
        """The path of the stored picture at even steps of time."""
        if self.of_gyroscope:
            self.check_focal_length(focal_length)
            assert focal_length is not None
            angles = self._angles(even)
            return Rotation(angles - angles.mean(axis=0), focal_length, middle)
        x, y = (np.interp(even, self.times, self.columns[name]) for name in _PLACES)
        nothing = np.zeros(len(even))
        roll = np.interp(even, self.times, self.columns[_ROLL]) if _ROLL in self.columns else nothing
        path = np.column_stack([x, y, roll, nothing])
        return Motion(path - path.mean(axis=0), np.full(len(even), 1 / len(even)), middle)


def read_path(
    file: str | Path,
    width: int,
    height: int,
    focal_length: float | None = None,
    *,
    exposure: Sequence[float] | NDArray[np.float64] | None = None,
    readout: float = 0.0,
    orientation: int = 1,
) -> CameraPath:
    """The camera's path of the one picture that a file is of; see ``read_record`` and ``Record.path``."""
    return read_record(file).path(
        width, height, focal_length, exposure=exposure, readout=readout, orientation=orientation
    )


def clock(seconds: float) -> str:
    """A time for a message, to a tenth of a millisecond of a clock that counts from 1970."""
    return f"{seconds:.14g}"


def largest_reach(width: int, height: int) -> float:
    """How far a path may move a picture of this size, in its pixels, from the middle of the path.

    Where blur is long, a copy of ``LOOK_SIDE`` pixels is restored of a larger picture: it is the copy's kernels that
    may not reach farther than ``LARGEST_REACH``, in the corners too.
    """
    return LARGEST_REACH * max(1.0, max(width, height) / LOOK_SIDE)


def read_record(file: str | Path) -> Record:
    """Read what a sensor wrote down, of one exposure or of many.

    The file is CSV with a header and one line a sample. ``t`` is in seconds and rises. Without other word of when the
    shutter was open (``Record.path``), the first line is its opening and the last one its closing. Beside ``t`` are
    either ``wx``, ``wy`` and ``wz``, what a gyroscope says of the camera's axes (right, down and ahead; radians a
    second, by the right hand), or ``x`` and ``y``, where the picture's content lies (pixels, right and down), and
    ``roll``, if wanted, how far it has turned about the picture's middle (radians, clockwise on the screen). Of a path
    only the differences count. Right and down are those of the picture as the camera stored it, not as an EXIF
    orientation or a video's rotation shows it.

    A Gyroflow log (``.gcsv``, https://docs.gyroflow.xyz/app/technical-details/gcsv-format) is read as well: ``gx``,
    ``gy`` and ``gz`` by its ``gscale``, ``t`` by its ``tscale``. Its axes are the sensor's, whatever its
    ``orientation`` says.

    Raises:
        DeblurError: the file cannot be read, or does not hold that.
    """
    place = Path(file)
    columns = _read_columns(place)
    return Record(place, columns.pop("t"), columns)


def _read_columns(file: Path) -> dict[str, NDArray[np.float64]]:
    """The columns by name, ``t`` among them."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            names = [name.strip() for name in next(reader, [])]
            header: dict[str, str] = {}
            log = names in _LOGS
            if log:
                names = [_LOG_NAMES.get(name, name) for name in _read_log_header(reader, header)]
            used = _used_columns(file, names, log=log)
            rows = _read_rows(reader, len(names), used)
    except OSError as error:
        raise DeblurError(f"cannot read the camera's path {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DeblurError(f"{file} is not UTF-8: save it as CSV in UTF-8") from None
    except (ValueError, csv.Error) as error:
        raise DeblurError(f"{file}, line {reader.line_num}: {error}") from None
    columns = dict(zip(used, np.array(rows).reshape(-1, len(used)).T, strict=True))
    if log:
        columns = {name: columns[name] * _scale(file, header, name) for name in ("t", *RATES)}
    return columns


def _used_columns(file: Path, names: Sequence[str], *, log: bool) -> dict[str, int]:
    """Where in a row each column lies that is read: ``t`` and the rates, or in a file of our own places."""
    kinds = (RATES,) if log else (RATES, _PLACES)
    if "t" not in names or not any(set(kind) <= set(names) for kind in kinds):
        if log:
            raise DeblurError(f"{file} is a Gyroflow log without a gyroscope's columns t,gx,gy,gz")
        raise DeblurError(
            f"{file} begins with {','.join(names)!r}; a camera's path needs the columns t,wx,wy,wz of a "
            "gyroscope or t,x,y[,roll] in pixels, or a Gyroflow log"
        )
    twice = [name for name in _USED if names.count(name) > 1]
    if twice:
        raise DeblurError(f"{file} has more than one column {twice[0]!r}: leave one of them")
    return {name: names.index(name) for name in _USED if name in names}


def _read_rows(reader: Iterator[list[str]], width: int, used: Mapping[str, int]) -> list[list[float]]:
    """The numbers of the columns that are used, ``t`` first, from rows that have ``width`` values each.

    Raises:
        ValueError: a row is no such row, or ``t`` does not rise; the last row that was read is at fault.
    """
    rows: list[list[float]] = []
    for row in reader:
        if row:
            if len(row) != width:
                raise ValueError(f"{width} values are needed, one for each named column")
            rows.append([float(row[place]) for place in used.values()])
            if not np.isfinite(rows[-1]).all():
                raise ValueError(f"{', '.join(used)} must be finite numbers")
            if len(rows) > 1 and rows[-1][0] <= rows[-2][0]:
                raise ValueError("t does not rise from line to line")
    return rows


def _read_log_header(reader: Iterator[list[str]], header: dict[str, str]) -> list[str]:
    """Fill in what a Gyroflow log says of itself, up to the line that names the columns, which are returned."""
    for row in reader:
        cells = [cell.strip() for cell in row]
        if cells and cells[0] == "t":
            return cells
        if len(cells) > 1:
            header[cells[0]] = cells[1]
    return []


def _scale(file: Path, header: Mapping[str, str], name: str) -> float:
    """What a column of a Gyroflow log is to be multiplied by to be in seconds or radians a second."""
    key, unit = ("tscale", "seconds") if name == "t" else ("gscale", "radians a second")
    try:
        scale = float(header[key])
    except (KeyError, ValueError):
        scale = 0.0
    if not 0 < scale < np.inf:
        raise DeblurError(
            f"{file} has no line {key},NUMBER: its samples have no unit; add it above the line of columns; NUMBER is "
            f"how many {unit} a value of 1 stands for"
        )
    return scale
