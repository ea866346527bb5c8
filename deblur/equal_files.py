"""Files that hold the same bytes under whatever names: copies, hard links and symbolic links of each other."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    _Place = tuple[int, object]


def resolved(path: Path) -> Path:
    """The path from the root on without links; of links that go round in a circle, one that does not exist."""
    return Path(os.path.realpath(path))


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def contents_of(files: Iterable[Path]) -> dict[Path, str]:
    """An identifier of each file's content, the same for files that are one file or equal byte for byte.

    Only files that are as large as another one are read. A file that cannot be read is equal only to itself.
    """
    return _contents({file: _place(file) for file in files})


def copies_of(originals: Iterable[Path], files: Iterable[Path]) -> set[Path]:
    """Those of the files that are one of the originals or equal to one byte for byte; files of one size are read."""
    places = {file: _place(file) for file in originals}
    sizes = {size for size, _ in places.values()}
    as_large = {file: place for file in files if (place := _place(file))[0] in sizes}
    contents = _contents(places | as_large)
    held = {contents[file] for file in places}
    return {file for file in as_large if contents[file] in held}


def _contents(places: Mapping[Path, _Place]) -> dict[Path, str]:
    """What ``contents_of`` gives for files whose places are known."""
    one_of = {place: file for file, place in places.items()}
    sizes = Counter(size for size, _ in one_of)
    contents = {place: _content(file) if sizes[place[0]] > 1 else None for place, file in one_of.items()}
    return {file: contents[place] or f"{place}" for file, place in places.items()}


def _place(file: Path) -> _Place:
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
