"""Reading what commands wrote: a file that is not there, or is not as they write it, is a mistake of one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Content = TypeVar("Content")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        DeblurError: the file is missing or no such document.
    """
    try:
        content = json.loads(read_text(path), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # of numbers too long and lists too deep as well
        raise DeblurError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DeblurError(f"{path} holds no JSON object")
    return content


def _refuse(constant: str) -> None:
    """Python reads NaN and Infinity, which JSON does not have and nothing here writes."""
    raise ValueError(f"{constant} is no number of JSON")


def decoded(path: Path, decode: Callable[[], Content]) -> Content:
    """What ``decode`` makes of a file's content.

    Raises:
        DeblurError: its complaint about missing or wrong parts, as one line that names ``path``.
    """
    try:
        return decode()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DeblurError(f"{path} is not as this program writes it: {type(error).__name__} {error}") from error


def read_text(path: Path) -> str:
    """The text of a file of a run.

    Raises:
        DeblurError: the file is missing or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeblurError(f"{path} does not exist; give the folder of a finished run") from None
    except OSError as error:
        raise DeblurError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DeblurError(f"cannot read {path}: {error}") from error
