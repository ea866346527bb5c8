"""What a gyroscope's clock and axes and the focal length are off by, found by the blur of pictures taken beside it.

A kernel estimator says of a blurred picture how likely its blur is to reach every point. A gyroscope's record says, for
a clock that is off by so much and for axes that lie so and so, what the kernels of the picture must be. Where the two
agree best over several pictures, clock and axes are found: no scene repeats the camera's turns. What they
restore then says the rest: gradients are the sparsest where clock and focal length are exact.
"""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from deblur.devices import without_autocast
from deblur.errors import DeblurError
from deblur.exposure.deconvolution import CALM, KNOWN
from deblur.exposure.kernels import KERNEL, exposure_along, half_turned
from deblur.exposure.path_files import RATES, clock
from deblur.exposure.spectra import luma
from deblur.exposure.way_round import filters_by, log_density, sparser_than_turned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from deblur.exposure.kernels import Exposure
    from deblur.exposure.path_files import Record
    from deblur.exposure.paths import CameraPath
    from deblur.networks.kernel_estimator import KernelEstimator

_SURPRISE = 0.01  # share of kernels that an estimator knows nothing of: one picture that is misread must not rule
_LEAST = float(np.log(_SURPRISE / KERNEL**2))
_COARSE, _FINE = 0.003, 0.0005  # seconds between the offsets that are tried
_APART = 0.03  # seconds: offsets nearer than that are the same answer
_KEPT = 30  # guesses of the coarse search, in the middles of pictures, that are looked at everywhere
_REFINEMENTS = (  # factors of the focal length, then seconds, around what was found before
    (np.geomspace(0.7, 1.4, 13), np.arange(-0.006, 0.0065, 0.001)),
    (np.linspace(0.9, 1.1, 9), np.arange(-0.002, 0.0025, 0.0005)),
    (np.linspace(0.98, 1.02, 5), np.arange(-0.0005, 0.001, 0.0005)),
)
_SLACK = 0.01  # seconds that refinements may go beyond the search
SCALES = (0.72, 1.38)
"""Of the focal length given: one that is found outside may be the end of the search."""
CLEAR_MARGIN, _CLEAR_UPRIGHT = 0.4, 2.0
"""In nats and in standard errors, what pictures have to tell: another drive's record had not both (training log)."""
_by_fit = operator.attrgetter("fit")
_HALF_TURN = np.diag([-1, -1, 1])  # about the optical axis: a camera that hangs upside down


class Sight(NamedTuple):
    """What is seen of the exposure of one picture.

    Attributes:
        picture: RGB in [0, 1], (1, 3, H, W).
        focal_length: in its pixels.
        exposure: when the shutter opened and closed, by the camera's clock, in seconds.
        logarithms: of what the estimator thinks of the kernels (R, 48, 48), on the CPU, where the record is.
        places: the kernels' (x, y), R of them.
        orientation: by which the stored picture was turned; see ``Record.path``.
    """

    picture: Tensor
    focal_length: float
    exposure: tuple[float, float]
    logarithms: Tensor
    places: tuple[tuple[float, float], ...]
    orientation: int = 1


class Guess(NamedTuple):
    """A clock and axes.

    Attributes:
        offset: seconds to add to the camera's times to have the record's.
        axes: (3, 3) whole numbers: the camera's rates are this matrix times the record's.
        fit: mean logarithm of how likely the kernels are, in nats; the right guess has the greatest. Of a clock and a
            focal length that were refined: before that, when it compares with the others'.
        scale: the focal length in units of the one given.
    """

    offset: float
    axes: NDArray[np.int_]
    fit: float
    scale: float = 1.0


class Calibration(NamedTuple):
    """What was found.

    Attributes:
        found: the best guess.
        given: the record as it is.
        other_clock: the best guess with another clock; None where there is no other to try.
        other_axes: the best guess with other axes, but for a half turn; None where the axes were kept.
        upright: by how much pictures are sharper restored by ``found`` than by the same upside down, in standard errors
            of their mean.
        roll: by how many nats ``found`` fits better than the same with roll the other way round; None where the axes
            were kept. Below ``CLEAR_MARGIN`` the pictures do not tell it, as where the camera hardly rolled, and the
            axes that were found are right-handed.
    """

    found: Guess
    given: Guess
    other_clock: Guess | None
    other_axes: Guess | None
    upright: float
    roll: float | None

    @property
    def clear(self) -> bool:
        """Whether the pictures tell: no other guess fits nearly as well, and what is up is beyond chance."""
        others = [other.fit for other in (self.other_clock, self.other_axes) if other is not None]
        margin = self.found.fit - max(others, default=_LEAST)
        return margin >= CLEAR_MARGIN and self.upright >= _CLEAR_UPRIGHT


def look(
    estimator: KernelEstimator,
    picture: Tensor,
    focal_length: float,
    exposure: tuple[float, float],
    orientation: int = 1,
) -> Sight:
    """What an estimator sees in one picture.

    Args:
        estimator: of a guided network (``deblur.networks.guided.estimator_of``), on the picture's device.
        picture: RGB in [0, 1], (1, 3, H, W), as ``deblur.devices.to_batch`` makes it of one in uint8. Scale larger ones
            to a longer side of 960 pixels first, as ``pipelines.calibrate_gyro`` does, so that blur is seen whole.
        focal_length: in pixels of this very picture, so scaled with it; right to a fifth.
        exposure: when the shutter opened and closed, of the first row where rows follow one another, by the camera's
            clock, in seconds.
        orientation: EXIF's number by which the stored picture was turned; see ``Record.path``.
    """
    with torch.inference_mode(), without_autocast(picture.device):
        logarithms, regions = estimator(picture)
    belief = (1 - _SURPRISE) * logarithms.mean[0].exp() + _SURPRISE / KERNEL**2
    places = tuple((x, y) for y in regions.rows for x in regions.columns)
    return Sight(picture, focal_length, exposure, belief.log().cpu(), places, orientation)


def calibrate(
    sights: Sequence[Sight], record: Record, reach: float, *, readout: float = 0.0, keep_axes: bool = False
) -> Calibration:
    """Find the clock's offset, the gyroscope's axes and the focal length.

    Args:
        sights: of some ten pictures in which the camera turned in different ways.
        record: a gyroscope's.
        reach: offsets are searched from minus this to this, in seconds.
        readout: of a rolling shutter, in seconds; see ``Record.path``.
        keep_axes: take the axes as they are.

    Raises:
        DeblurError: the record is a path in pixels, or does not tell of all the pictures' times moved by ``reach``
            both ways, or moves every picture too far.
    """
    check_record(record, [sight.exposure for sight in sights], reach, readout)
    search = _Search(sights, _near(sights, record, reach + readout), readout)
    search.check_length()
    offsets = (np.arange(-int(reach / _COARSE), int(reach / _COARSE) + 1) * _COARSE).tolist()
    same = np.eye(3, dtype=int)
    candidates = [same] if keep_axes else _all_axes()
    rough = (search.guess(offset, axes, middle_only=True) for axes in candidates for offset in offsets)
    guesses = [
        search.guess(guess.offset, turn @ guess.axes)
        for guess in _leading(rough)
        for turn in ([same] if keep_axes else [same, _HALF_TURN])
    ]
    best = max(guesses, key=_by_fit)
    near = (best.offset + np.arange(-_COARSE, _COARSE + _FINE / 2, _FINE)).tolist()
    best = max((search.guess(offset, best.axes) for offset in near), key=_by_fit)
    upright, roll = search.upright(best), None
    if not keep_axes:
        rolled = search.guess(best.offset, _HALF_TURN @ best.axes)
        roll = best.fit - rolled.fit
        if upright < 0:
            # The kernels that fit, the other way round: of the left hand, which programs write as well.
            best = best._replace(axes=-best.axes) if roll >= CLEAR_MARGIN else rolled
            roll = abs(roll)
            upright = search.upright(best)
    result = Calibration(
        best,
        search.guess(0.0, same),
        max((guess for guess in guesses if abs(guess.offset - best.offset) > _APART), key=_by_fit, default=None),
        max((guess for guess in guesses if not _alike(guess.axes, best.axes)), key=_by_fit, default=None),
        upright,
        roll,
    )
    return result._replace(found=search.refine(best)) if result.clear else result


def check_record(record: Record, exposures: Sequence[tuple[float, float]], reach: float, readout: float = 0.0) -> None:
    """Refuse before any picture is looked at what ``calibrate`` cannot do; see there.

    Args:
        record: a gyroscope's.
        exposures: when the shutter opened and closed for each picture, by the camera's clock, in seconds.
        reach: as of ``calibrate``.
        readout: likewise.

    Raises:
        DeblurError: the record is a path in pixels, or does not tell of all the pictures' times moved by ``reach``
            both ways.
    """
    if not record.of_gyroscope:
        raise DeblurError(f"{record.file} is a path in pixels: only a gyroscope's record is calibrated")
    first = min(opened for opened, _ in exposures)
    last = max(closed for _, closed in exposures) + readout
    if record.within(first - reach) < record.times[0] or record.within(last + reach) > record.times[-1]:
        raise DeblurError(
            f"{record.file} tells of {clock(record.times[0])} to {clock(record.times[-1])} seconds, too little to "
            f"search {reach:g} seconds around pictures of {clock(first)} to {clock(last)}: leave pictures at its ends "
            "out"
        )


def calibrated(record: Record, guess: Guess) -> Record:
    """The record by the camera's clock, its rates in the camera's axes."""
    rates = guess.axes @ np.array([record.columns[name] for name in RATES])
    columns = {**record.columns, **dict(zip(RATES, rates, strict=True))}
    return replace(record, times=record.times - guess.offset, columns=columns)


class _Search:
    """Pictures and the record that is compared with them."""

    def __init__(self, sights: Sequence[Sight], record: Record, readout: float) -> None:
        self._sights = sights
        self._record = record
        self._readout = readout

    def check_length(self) -> None:
        """Refuse a record that moves every picture too far."""
        if all(self._path(sight, self._record) is None for sight in self._sights):
            self._told(self._sights[0], self._record, 1.0)  # says why

    def guess(self, offset: float, axes: NDArray[np.int_], *, middle_only: bool = False) -> Guess:
        """A guess and how it fits, where pictures take the way round that fits better: spectra cannot tell it."""
        unrated = Guess(offset, axes, 0.0)
        record = calibrated(self._record, unrated)
        fits = []
        for sight in self._sights:
            path = self._path(sight, record)
            if path is None:
                fits.append(_LEAST)
                continue
            chosen = [_middle(sight)] if middle_only else list(range(len(sight.places)))
            kernels = torch.stack([torch.from_numpy(path.kernel_at(*sight.places[index], KERNEL)) for index in chosen])
            seen = sight.logarithms[chosen]
            fits.append(max(float((way * seen).sum((-2, -1)).mean()) for way in (kernels, half_turned(kernels))))
        return unrated._replace(fit=float(np.mean(fits)))

    def upright(self, guess: Guess) -> float:
        """By how much gradients are sparser restored by the guess than by the same upside down; see ``Calibration``."""
        record = calibrated(self._record, guess)
        gains = []
        for sight in self._sights:
            path = self._path(sight, record)
            if path is not None:
                gains.append(sparser_than_turned(sight.picture, _exposure(sight, path), CALM))
        error = np.std(gains, ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0
        return float(np.mean(gains) / error) if error else 0.0

    def refine(self, guess: Guess) -> Guess:
        """The guess with the clock and the focal length by which pictures are restored with the sparsest gradients."""
        # The focal length first: with one that is far off, no clock is right. Beliefs' clock is, nearly.
        for scales, offsets in _REFINEMENTS:
            scaled = [guess._replace(scale=guess.scale * scale) for scale in scales.tolist()]
            guess = min(scaled, key=self._mean_density)
            moved = [guess._replace(offset=guess.offset + offset) for offset in offsets.tolist()]
            guess = min(moved, key=self._mean_density)
        return guess

    def _mean_density(self, guess: Guess) -> float:
        record = calibrated(self._record, guess)
        logarithms = []
        for sight in self._sights:
            path = self._path(sight, record, guess.scale)
            restored = luma(sight.picture)
            if path is not None:
                filters = filters_by(sight.picture, _exposure(sight, path))
                restored = filters.restore(filters.gain(KNOWN))
            logarithms.append(log_density(restored))
        return float(np.mean(logarithms))

    def _told(self, sight: Sight, record: Record, scale: float) -> CameraPath:
        height, width = sight.picture.shape[-2:]
        return record.path(
            width,
            height,
            sight.focal_length * scale,
            exposure=sight.exposure,
            readout=self._readout,
            orientation=sight.orientation,
        )

    def _path(self, sight: Sight, record: Record, scale: float = 1.0) -> CameraPath | None:
        """The camera's path of a picture; None where it is too long for any kernel."""
        try:
            return self._told(sight, record, scale)
        except DeblurError:
            return None


def _near(sights: Sequence[Sight], record: Record, reach: float) -> Record:
    """The record's samples around the pictures: thousands of guesses turn them, and a drive has millions more."""
    near = np.zeros(len(record.times), bool)
    for sight in sights:
        opened, closed = sight.exposure
        first = np.searchsorted(record.times, opened - reach - _SLACK, "right") - 1
        last = np.searchsorted(record.times, closed + reach + _SLACK)
        near[max(first, 0) : last + 1] = True
    columns = {name: record.columns[name][near] for name in RATES}
    return replace(record, times=record.times[near], columns=columns)


def _exposure(sight: Sight, path: CameraPath) -> Exposure:
    """The kernels of a picture along a path."""
    height, width = sight.picture.shape[-2:]
    return exposure_along(path, height, width, sight.picture.device)


def _all_axes() -> list[NDArray[np.int_]]:
    """How a gyroscope's axes may lie along the camera's: of those that are `_alike` the right-handed ones."""
    same = np.eye(3, dtype=int)
    found: list[NDArray[np.int_]] = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            axes = np.diag(signs) @ same[list(order)]
            if round(np.linalg.det(axes)) == 1 and not any(_alike(axes, other) for other in found):
                found.append(axes)
    return found


def _alike(one: NDArray[np.int_], other: NDArray[np.int_]) -> bool:
    """Whether axes are the same but for a half turn, and for all signs: spectra do not see kernels turned round."""
    return any(np.array_equal(one, sign * each) for each in (other, _HALF_TURN @ other) for sign in (1, -1))


def _leading(guesses: Iterable[Guess]) -> list[Guess]:
    """The best ones; of those with the same axes and about the same clock only one."""
    kept: list[Guess] = []
    for guess in sorted(guesses, key=_by_fit, reverse=True):
        if not any(_alike(guess.axes, other.axes) and abs(guess.offset - other.offset) <= _APART for other in kept):
            kept.append(guess)
        if len(kept) == _KEPT:
            break
    return kept


def _middle(sight: Sight) -> int:
    """The region nearest to the picture's middle."""
    height, width = sight.picture.shape[-2:]
    return min(
        range(len(sight.places)),
        key=lambda index: np.hypot(sight.places[index][0] - width / 2, sight.places[index][1] - height / 2),
    )
