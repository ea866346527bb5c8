"""Whether a Matroska or WebM file is whole: it says how many bytes it has, while of frames it only tells a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FILE, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # how a file begins, and what holds all the rest of it
_HEADER = 4096  # bytes that what is before the segment may take; it is mostly 40


def is_whole_matroska(file: Path) -> bool:
    """Whether a file is Matroska or WebM and holds all the bytes that it announces; a recording's may be unknown."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEADER)
            length = stream.seek(0, os.SEEK_END)
    except OSError:
        return False
    place = head.find(_SEGMENT) + len(_SEGMENT)
    if not head.startswith(_FILE) or place < len(_SEGMENT) or not any(head[place : place + 1]):
        return False
    n_bytes = 9 - head[place].bit_length()  # of the size itself: as many zeros lead as bytes follow
    size = int.from_bytes(head[place : place + n_bytes], "big") & ((1 << 7 * n_bytes) - 1)
    return place + n_bytes + size <= length
