"""Files that hold the same bytes under whatever names: copies, hard links and symbolic links of each other."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def contents_of(files: Iterable[Path]) -> dict[Path, str]:
    """A word for what each file holds: the same for files that are one or equal byte for byte, and for no others.

    Only files that are as large as another one are read. A file that cannot be read is equal to none but itself.
    """
    places = {file: _place(file) for file in files}
    one_of = {place: file for file, place in places.items()}
    sizes = Counter(size for size, _ in one_of)
    contents = {place: _content(file) if sizes[place[0]] > 1 else None for place, file in one_of.items()}
    return {file: contents[place] or f"{place}" for file, place in places.items()}


def _place(file: Path) -> tuple[int, object]:
    """A file's size, and what tells it from all others, however it is named."""
    try:
        found = file.stat()
    except OSError:
        return -1, file
    return found.st_size, (found.st_dev, found.st_ino)


def _content(file: Path) -> str | None:
    try:
        return sha256_of(file)
    except OSError:
        return None
