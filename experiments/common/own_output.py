"""Where a command writes that keeps a file of this project up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.runs import prepare_output

if TYPE_CHECKING:
    from pathlib import Path


def prepare_own_output(output: Path, own: Path, what: str) -> None:
    """``deblur.runs.prepare_output``, for a command whose ``--output`` is by default a file of the project.

    Args:
        output: the file that will be written.
        own: the one of the project.
        what: what is written, for the message.

    Raises:
        DeblurError: as there, or this is an installed copy, which has no such folder and is no place for one.
    """
    if output == own and not own.parent.is_dir():
        raise DeblurError(f"there is no folder {own.parent}: say by --output FILE where to write the {what}")
    prepare_output(output)
