"""Which frames of a video are interlaced, of which OpenCV says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Fields:
    """Whether a video has frames of two fields, each of every other row, that were taken one after the other.

    It is read only as far as is asked, once.
    """

    def __init__(self, path: Path) -> None:
        """Remember the file. One that cannot be decoded is taken for progressive."""
        self._flags = _interlaced(path)
        self._n_read = 0
        self._found = False

    def until(self, number: int) -> bool:
        """Whether any frame up to this one, from 0, is interlaced."""
        while not self._found and self._n_read <= number:
            flag = next(self._flags, None)
            if flag is None:
                break
            self._found = flag
            self._n_read += 1
        return self._found


def _interlaced(path: Path) -> Iterator[bool]:
    # FFmpeg once more beside OpenCV's: macOS prints a warning about that, so only who asks loads it.
    import av

    try:
        with av.open(path.absolute()) as container:
            for frame in container.decode(video=0):
                yield frame.interlaced_frame
    except (av.FFmpegError, IndexError):  # IndexError: it has no video
        return
