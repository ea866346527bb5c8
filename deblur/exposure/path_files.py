"""A camera's path out of a file: what its gyroscope measured while the shutter was open, or a path in pixels."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from deblur.blur import Motion
from deblur.errors import DeblurError
from deblur.exposure.kernels import LARGEST_REACH
from deblur.exposure.paths import Rotation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from deblur.exposure.paths import CameraPath

_RATES = ("wx", "wy", "wz")
_PLACES = ("x", "y")
_STEPS = 128  # even steps of time that a file is read at


def read_path(
    file: Path,
    width: int,
    height: int,
    focal_length: float | None = None,
    exposure: tuple[float, float] | None = None,
) -> CameraPath:
    """The camera's path of one picture.

    The file is CSV with a header and one line a sample, from the shutter's opening to its closing or, with
    ``exposure``, from before the one to after the other. ``t`` is in seconds and rises. Beside it are either ``wx``,
    ``wy`` and ``wz``, what a gyroscope says of the camera's axes (right, down and ahead; radians a second, by the right
    hand), or ``x`` and ``y``, where the picture's content lies (pixels, right and down), and ``roll``, if wanted, how
    far it has turned about the picture's middle (radians, clockwise on the screen). Of a path only the differences
    count.

    Args:
        file: of the picture.
        width: of the picture in pixels; the optical axis is in its middle.
        height: likewise.
        focal_length: in pixels of this picture; a gyroscope's file needs it.
        exposure: when the shutter opened and closed, in the file's ``t``; None takes all of the file.

    Raises:
        DeblurError: the file cannot be read, does not hold that, or moves the picture by more than ``LARGEST_REACH``.
    """
    columns = _read_columns(file)
    middle = ((width - 1) / 2, (height - 1) / 2)
    times = columns.pop("t")
    opened, closed = exposure or (times[0], times[-1])
    if not times[0] <= opened < closed <= times[-1]:
        raise DeblurError(
            f"{file} tells of {times[0]:g} to {times[-1]:g} seconds, and the shutter was open from {opened:g} to "
            f"{closed:g}: give a record of all of the exposure"
        )
    path = _sampled_path(file, columns, times, (opened, closed), focal_length, middle)
    reach = path.extent(*middle)
    if reach > LARGEST_REACH:
        raise DeblurError(
            f"{file} moves the picture by {reach:.0f} pixels, and {LARGEST_REACH} are the most: rates are in radians a "
            "second, times in seconds, places and the focal length in pixels"
        )
    return path


def _sampled_path(
    file: Path,
    columns: Mapping[str, NDArray[np.float64]],
    times: NDArray[np.float64],
    exposure: tuple[float, float],
    focal_length: float | None,
    middle: tuple[float, float],
) -> CameraPath:
    even = np.linspace(*exposure, _STEPS)
    sampled = {name: np.interp(even, times, values) for name, values in columns.items()}
    if set(_RATES) <= set(sampled):
        if focal_length is None:
            raise DeblurError(f"{file} holds what a gyroscope measured: give the focal length in pixels with it")
        rates = np.column_stack([sampled[name] for name in _RATES])
        turned = (rates[1:] + rates[:-1]) / 2 * (even[1] - even[0])
        angles = np.concatenate([np.zeros((1, 3)), np.cumsum(turned, axis=0)])
        return Rotation(angles - angles.mean(axis=0), focal_length, middle)
    roll = sampled.get("roll", np.zeros(_STEPS))
    path = np.column_stack([sampled["x"], sampled["y"], roll, np.zeros(_STEPS)])
    return Motion(path - path.mean(axis=0), np.full(_STEPS, 1 / _STEPS), middle)


def _read_columns(file: Path) -> dict[str, NDArray[np.float64]]:
    """The columns by name, all of one length of 2 or more, ``t`` rising among them."""
    rows: list[list[float]] = []
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            names = [name.strip() for name in next(reader, [])]
            for row in reader:
                if row:
                    rows.append([float(cell) for cell in row])
                    if len(row) != len(names) or not np.isfinite(rows[-1]).all():
                        raise ValueError(f"{len(names)} finite numbers are needed")
    except OSError as error:
        raise DeblurError(f"cannot read the camera's path {file}: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise DeblurError(f"{file}, line {reader.line_num}: {error}") from None
    if "t" not in names or not any(set(kind) <= set(names) for kind in (_RATES, _PLACES)):
        raise DeblurError(
            f"{file} begins with {','.join(names)!r}; a camera's path needs the columns t,wx,wy,wz of a gyroscope or "
            "t,x,y[,roll] in pixels"
        )
    if len(rows) < 2:
        raise DeblurError(
            f"{file} holds {len(rows)} samples: from the shutter's opening to its closing 2 are the least"
        )
    columns = dict(zip(names, np.array(rows).T, strict=True))
    if (np.diff(columns["t"]) <= 0).any():
        raise DeblurError(f"{file}: t does not rise from line to line")
    return columns
