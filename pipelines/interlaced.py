"""Whether a video is interlaced, of which OpenCV says nothing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_interlaced(path: Path) -> bool:
    """Whether the first frame of a video is made of two fields, each of every other row, taken one after the other.

    Args:
        path: of the file. One that cannot be decoded is taken for progressive.
    """
    # FFmpeg once more beside OpenCV's: macOS prints a warning about that, so only who asks loads it.
    import av

    try:
        with av.open(path) as container:
            return any(frame.interlaced_frame for frame in itertools.islice(container.decode(video=0), 1))
    except (av.FFmpegError, IndexError):  # IndexError: it has no video
        return False
