"""What the C library does with memory that torch frees."""

from __future__ import annotations

import ctypes
import platform

# Of <malloc.h>; 32 MB is the most that glibc takes from its heap when left to itself, too, but only by and by.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_PIECE, _KEPT = 32 * 2**20, 2**30


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GB that was freed, in pieces of up to 32 MB, for the next picture.

    glibc gives a freed heap back to the system after each picture and gets it anew, page by page, for the next, which
    takes a processor a good part of a picture's time. Every command calls this (``deblur.cli.run``); programs of your
    own may.

    Returns:
        Whether there is a glibc that does so; elsewhere nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_PIECE)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT))
