"""Why a video file does not open, of which OpenCV says nothing."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_FIRST_BOXES = {b"ftyp", b"free", b"mdat", b"skip", b"wide"}  # that a file of the MP4 family may begin with
_MOST_INDEX = 2**26  # bytes of it that are looked at; hours of video have a few million


def why_unreadable(path: Path) -> str:
    """One line for the user on a file that OpenCV did not open as a video."""
    try:
        with path.open("rb") as stream:
            return f"{path} {_fault(stream)}"
    except FileNotFoundError:
        return f"{path} does not exist"
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"


def _fault(stream: BinaryIO) -> str:
    length = stream.seek(0, os.SEEK_END)
    if length == 0:
        return "is not a video: the file is empty"
    kinds, index = _outer_boxes(stream, length)
    if kinds and kinds[0] in _FIRST_BOXES and b"moov" not in kinds:
        return (
            "lacks the index that MP4 and MOV have: its recording was never finished, or it was not copied whole; copy "
            "it anew, or repair it first"
        )
    if b"soun" in index and b"vide" not in index:
        return "is not a video: it holds sound only"
    return "is not a video that OpenCV can read"


def _outer_boxes(stream: BinaryIO, length: int) -> tuple[list[bytes], bytes]:
    """The kinds of the outermost boxes that MP4 and MOV are made of, and what is in their index, the box ``moov``.

    The first bytes of another file are taken for a kind that there is not.
    """
    kinds, index, start = [], b"", 0
    while start + 8 <= length:
        stream.seek(start)
        size, kind = struct.unpack(">I4s", stream.read(8))
        if size == 1:  # of 4 GiB or more, perhaps: its true size follows
            size = int.from_bytes(stream.read(8), "big")
        if kind == b"moov":
            index = stream.read(_MOST_INDEX if size == 0 else min(size, _MOST_INDEX))
        kinds.append(kind)
        if size < 8:  # it lasts to the end of the file, or is none
            break
        start += size
    return kinds, index
