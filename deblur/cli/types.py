"""What one word of a command line may be: argument types, each of which says what is wrong with a word that is none."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deblur.blur import BlurSpec

_MOST_THREADS = 1024
_LARGEST = 1e30  # what is made of it, as of a learning rate, is still a number of 32 bits


def positive_int(text: str) -> int:
    """Argument type: a whole number of at least 1."""
    return _whole(text, 1)


def detector_side(text: str) -> int:
    """Argument type: side of the square that a detector sees, in pixels, a multiple of 32 (P6 detectors want 64)."""
    side = positive_int(text)
    if side % 32:
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of 32")
    return side


def whole_number(text: str) -> int:
    """Argument type: a whole number of at least 0."""
    return _whole(text, 0)


def seed_number(text: str) -> int:
    """Argument type: a whole number that every generator of random numbers takes."""
    seed = whole_number(text)
    if seed >= 2**63:
        raise argparse.ArgumentTypeError(f"{text} is larger than a seed can be, {2**63 - 1}")
    return seed


def thread_count(text: str) -> int:
    """Argument type: threads of a CPU; torch dies of more than the system can start, without a word."""
    count = positive_int(text)
    if count > _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text} is more than {_MOST_THREADS} threads")
    return count


def not_negative(text: str) -> float:
    """Argument type: a number of at least 0, not so large that a network cannot be trained with it."""
    return _number(text, lambda value: 0.0 <= value < math.inf, "a number of at least 0")


def above_zero(text: str) -> float:
    """Argument type: a number above 0, as large as ``not_negative``'s at most."""
    return _number(text, lambda value: 0.0 < value < math.inf, "a number above 0")


def unit_interval(text: str) -> float:
    """Argument type: a number from 0 to 1."""
    return _number(text, lambda value: 0.0 <= value <= 1.0, "a number from 0 to 1")


def below_one(text: str) -> float:
    """Argument type: a number from 0 up to but not including 1."""
    return _number(text, lambda value: 0.0 <= value < 1.0, "a number from 0 to below 1")


def folder_name(text: str) -> str:
    """Argument type: a name that a folder can have."""
    if text in {"", ".", ".."} or {"/", "\\"} & {*text}:
        raise argparse.ArgumentTypeError(f"{text!r} is no name for a folder: no / and no \\, and not nothing")
    return text


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A folder or file, and what results call what is in it; its text is ``NAME=PATH`` again."""

    name: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name}={self.path}"


def named_folder(text: str) -> NamedPath:
    """Argument type: ``NAME=DIR``; folders are made of NAME."""
    name, folder = _named(text, "DIR")
    return NamedPath(folder_name(name), folder)


def named_file(text: str) -> NamedPath:
    """Argument type: ``NAME=FILE``."""
    name, file = _named(text, "FILE")
    return NamedPath(printed_name(name), file)


def printed_name(text: str) -> str:
    """Argument type: a name that stands in tables and files of results."""
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no name that can be printed")
    return text


def not_empty(text: str) -> str:
    """Argument type: text, and not the nothing of a shell's variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty: is a variable of the shell not set?")
    return text


def given_path(text: str) -> Path:
    """Argument type: a path, and not the empty one, which would be the folder that one works in (``not_empty``)."""
    return Path(not_empty(text))


def blur_spec(text: str) -> BlurSpec:
    """Argument type: a kind of synthetic blur, ``shake:16`` (``deblur.blur.parse_blur``)."""
    from deblur.blur import parse_blur

    try:
        return parse_blur(text)
    except DeblurError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def blur_text(text: str) -> str:
    """Argument type: as ``blur_spec``, but the text itself, for records of what was asked."""
    blur_spec(text)
    return text


def _named(text: str, what: str) -> tuple[str, Path]:
    """The two sides of ``NAME=PATH``; ``what`` stands for PATH in the complaint."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME={what}")
    return name, Path(path)


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return value


def _number(text: str, fits: Callable[[float], bool], words: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan  # which fits nothing
    if not fits(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {words}")
    if value > _LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_LARGEST:g}")
    return value
