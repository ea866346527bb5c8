"""What a command is asked to detect by, ``[NAME=]WEIGHTS``, and what its results call that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Collection


class Asked(NamedTuple):
    """A detector that is asked for.

    Attributes:
        name: NAME, what results call it; None for the stem of the weights' file.
        weights: name or file, for ``find_weights``.
    """

    name: str | None
    weights: str


def refuse_one_name(names: Collection[str] | None, what: str = "classes") -> None:
    """Refuse text in place of a list of names: it would be taken for the names of its letters.

    Raises:
        TypeError: it is text.
    """
    if isinstance(names, str):
        raise TypeError(f"{what} is a list of names, not the one name {names!r}")


def parse_detector(text: str) -> Asked:
    """Read ``WEIGHTS``, an official name or a file, with ``NAME=`` before it where results should say NAME.

    Training calls every detector ``best.pt``: NAME tells two of them apart. A file that is there is never NAME=FILE,
    nor is a path with = in a folder's name.

    Raises:
        DetectionError: NAME or what it stands for is missing, or NAME cannot name files.
    """
    name, equals, weights = text.partition("=")
    slashes = {"/", "\\"} & {*name}
    if not equals or Path(text).is_file() or (slashes and not Path(weights).is_file()):
        return Asked(None, text)
    if not weights:
        raise DetectionError(f"{text!r} lacks weights: give NAME=FILE, with a .pt file or an official detector's name")
    if slashes or name in {"", ".", ".."}:
        raise DetectionError(f"{text!r} is not NAME=FILE: NAME names files, and has no /")
    return Asked(name, weights)
