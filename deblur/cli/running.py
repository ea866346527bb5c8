"""How a command ends: what is an expected mistake, and which exit code stands for what."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli.lines import one_line
from deblur.errors import DeblurError
from deblur.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
_FULL = frozenset((errno.EPIPE, errno.ENOSPC, errno.EDQUOT))
# What torch says where it has no kind of its own for that: on a processor, on Apple's GPUs, and on others where it is
# CUDA that lacks memory beside what torch has taken, or one of its libraries (CUBLAS_STATUS_ALLOC_FAILED and the like).
_LACKS_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "MPS backend out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "_ALLOC_FAILED",
    "_ALLOCATION_FAILED",
)
_REFUSED = frozenset((errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EROFS))


def run(body: Callable[[], int], expected: tuple[type[Exception], ...] = (DeblurError,)) -> int:
    """Call ``body`` and turn what it raises into an exit code.

    Exceptions in ``expected``, a full disk, a closed stdout, a file that the machine refuses (no permission, no name
    that a file can have) and memory that does not suffice become one line on stderr and exit code 1; Ctrl-C becomes
    130; anything else is a defect and passes through with its traceback. A standard stream that is not
    there leads nowhere.
    """
    _open_what_is_closed()
    keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: file names may hold bytes that are no UTF-8
    try:
        code = body()
        sys.stdout.flush()
        return code
    except expected as error:
        _say(f"error: {error}")
        return EXIT_FAILED
    except OSError as error:
        if error.errno in _FULL:
            where = f" to {error.filename}" if error.filename else ""
            _say(f"error: not all could be written{where}: {error.strerror}")
        elif error.errno in _REFUSED and error.filename:
            _say(f"error: cannot use {str(error.filename)!r}: {error.strerror}")
        else:
            raise
        return EXIT_FAILED
    except Exception as error:
        if not lacks_memory(error):
            raise
        reason = str(error).partition("\n")[0] or "this machine has no more"
        _say(f"error: not enough memory, give smaller batches, crops or pictures: {reason}")
        return EXIT_FAILED
    except KeyboardInterrupt as error:  # it may say how to go on
        _say(": ".join(["interrupted", *map(str, error.args)]))
        return EXIT_INTERRUPTED
    finally:
        _let_go_of_stdout()


def hangup() -> tuple[signal.Signals, ...]:
    """SIGHUP, by which a terminal that is closed ends its programs; nothing where nohup lets it be ignored."""
    number = getattr(signal, "SIGHUP", None)  # Windows has none
    return () if number is None or signal.getsignal(number) is signal.SIG_IGN else (number,)


def lacks_memory(error: Exception) -> bool:
    """Whether an exception says that memory does not suffice, the machine's or a GPU's, in whatever words."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in _LACKS_MEMORY):
        return True
    torch, cv2 = map(sys.modules.get, ("torch", "cv2"))  # not every command needs them
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return cv2 is not None and isinstance(error, cv2.error) and getattr(error, "code", None) == cv2.Error.STS_NO_MEM


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr)


def _open_what_is_closed() -> None:
    """Let standard streams that a supervisor or a shell's ``>&-`` closed lead to the null device.

    Python has None in their places, and the next file that is opened gets the number of one: what a library writes to
    descriptor 2 would be in the middle of a result.
    """
    nowhere = Path(os.devnull)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(nowhere, os.O_RDWR), True)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, nowhere.open(mode, encoding="utf-8", errors="backslashreplace"))


def _let_go_of_stdout() -> None:
    """What it still holds and cannot write would fail once more, with a traceback, when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
