"""What a run writes stays in its folder, which may be a stranger's."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, TextIO

from deblur.errors import DeblurError

if TYPE_CHECKING:
    from pathlib import Path


def refuse_links(folder: Path) -> None:
    """Refuse to go on in a folder of a run that holds a link: what is written there would take another file's place.

    The folder itself may be one.

    Raises:
        DeblurError: it holds a link, however deep.
    """
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            place = os.path.join(above, name)  # noqa: PTH118 - of thousands of files
            if os.path.islink(place):  # noqa: PTH114
                raise DeblurError(
                    f"{place} is a link, and what a run writes could go where it leads: put there what it stands for"
                )


def open_to_append(file: Path) -> TextIO:
    """A text file that is written on, in UTF-8 and with line ends as they are given; made where it is missing.

    A link is refused: in the folder of a stranger's run it could lead to a file of the user's own, which would grow by
    lines that the stranger chose.

    Raises:
        DeblurError: it is a link, or cannot be written to.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(file, flags, 0o666)
    except OSError as error:
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise DeblurError(f"cannot write {file}: {reason}") from error
    return os.fdopen(handle, "a", newline="", encoding="utf-8")
