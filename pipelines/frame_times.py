"""Number and time the frames of a video file, as far as it tells, where some of them cannot be decoded."""

from __future__ import annotations

import math

_LATE = 1.0  # seconds that a decoder gives frames out of order by, once one that others build on was lost
_LEAST_STEP = 0.0011  # seconds: where no rate is known, steps of a thousandth may number frames, not time them


class FrameTimes:
    """Numbers frames from 0 and says how long after the first each was, from the times that the file gives them.

    As long as all of them are read they are numbered as they come, whatever their times. From the first one that could
    not be decoded on, numbers follow the times at the file's rate, so that those behind keep theirs.

    Attributes:
        lost_from: seconds where the first of them was; None as long as there is none.
    """

    def __init__(self, fps: float | None) -> None:
        """Begin a file that names so many frames a second, or no number that can be believed."""
        self.lost_from: float | None = None
        self._fps = fps
        self._number = -1
        self._seconds: float | None = None
        self._position = 0.0
        self._anchor: tuple[int, float] | None = None  # number and time that others are counted from
        self._n_failed = self._n_skipped = 0

    @property
    def n_lost(self) -> int:
        """How many frames were not decoded, as far as reads that failed and times that were skipped tell."""
        return max(self._n_failed, self._n_skipped)

    def place(self, position: float, n_failed: int) -> tuple[int, float | None] | None:
        """Number and time of the next frame.

        Args:
            position: when it is shown, in milliseconds, as OpenCV says. Where it does not rise from frame to frame,
                such as where it is always 0, the time is computed from the rate instead.
            n_failed: reads that failed since the frame before.

        Returns:
            The number, and seconds after the first frame or None where neither times nor rate tell; None at all of a
            frame that belongs before one that was given already.
        """
        moment = max(position / 1000, 0.0) if math.isfinite(position) else self._position
        self._n_failed += n_failed
        if n_failed and self._anchor is None:
            self._anchor = (max(self._number, 0), self._seconds or 0.0)
            self.lost_from = self._following(0) or self._seconds or 0.0
        if self._anchor is not None and 0 < self._position - moment < _LATE:
            return None
        seconds = self._time(moment, n_failed)
        number = self._numbered(seconds, n_failed)
        self._n_skipped += number - self._number - 1
        self._number, self._seconds, self._position = number, seconds, moment
        return number, seconds

    def _following(self, n_failed: int) -> float | None:
        """When the next frame is by the rate."""
        if self._number < 0:
            return 0.0
        if self._seconds is None or self._fps is None:
            return None
        return self._seconds + (1 + n_failed) / self._fps

    def _time(self, moment: float, n_failed: int) -> float | None:
        if self._number < 0:
            return moment if n_failed else 0.0
        step = moment - self._position
        if self._seconds is not None and step > (0 if self._fps else _LEAST_STEP):
            return self._seconds + step
        return self._following(n_failed)

    def _numbered(self, seconds: float | None, n_failed: int) -> int:
        following = self._number + 1
        if self._anchor is None:
            return following
        if seconds is None or self._fps is None:
            return following + n_failed
        number, begin = self._anchor
        return max(following, number + round((seconds - begin) * self._fps))
