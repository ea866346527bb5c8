"""Keeping a second process away from a run that goes on in one: both would write the same files."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.own_files import refuse_links

if sys.platform != "win32":  # which has no such locks
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".lock"
"""The file in a run's folder that is locked. It holds nothing and stays; the lock goes with the process that has it."""


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Refuse other processes the run in a folder, until the block ends or this process does, however it ends.

    Nobody is refused where the system or the folder's disk has no locks, as some network disks.

    Raises:
        DeblurError: another process has it, or the folder cannot be written to or holds links.
    """
    file = folder / LOCK
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise DeblurError(f"cannot write {file}: {error.strerror}") from error
    try:
        if not _lock(handle):
            raise DeblurError(f"another process is at work in {folder}: wait for its end or stop it, then go on")
        refuse_links(folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a file until it is closed; False where another process has done so."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # of a disk without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    return True
