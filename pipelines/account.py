"""The account of a run: one entry for each picture, on disk as soon as it is done, and ``detections.json`` of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from deblur.errors import DeblurError
from deblur.runs import to_utf8, writing_atomically
from pipelines.overlap import WriteBehind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType

Entry = dict[str, Any]
PART = "detections.part.jsonl"
MOST_LINES = 20  # of pictures in the printed summary; log.txt has all
_MOST_OPEN = 16  # entries; more than pictures can wait to be written


def counted(names: Counter[str]) -> str:
    """For example ``4 person, 1 bus``, most frequent first; ``nothing`` where there is none."""
    return ", ".join(f"{count} {name}" for name, count in names.most_common()) or "nothing"


@dataclass(slots=True)
class Tally:
    """What the entries so far come to.

    Attributes:
        n_ok: entries without an error.
        n_failed: those with one, which count nowhere else.
        found: objects by class.
        n_stills: pictures that are no frames.
        stills: a line on each of the first `MOST_LINES` of them.
        n_paths: pictures whose camera path was told or searched for.
        n_believed: those of them where it was believed at all.
        believed: sum of the shares to which it was there.
    """

    n_ok: int = 0
    n_failed: int = 0
    found: Counter[str] = field(default_factory=Counter)
    n_stills: int = 0
    stills: list[str] = field(default_factory=list)
    n_paths: int = 0
    n_believed: int = 0
    believed: float = 0.0

    def add(self, entry: Entry) -> None:
        """Count one that is final."""
        if entry["error"] is not None:
            self.n_failed += 1
            return
        self.n_ok += 1
        names = Counter(detection["class"] for detection in entry["detections"])
        self.found += names
        if "frame" not in entry:
            self.n_stills += 1
            if self.n_stills <= MOST_LINES:
                self.stills.append(f"{entry['file']}: {counted(names)}")
        if "path_believed" in entry:
            self.n_paths += 1
            if entry["path_believed"] is not None:
                self.n_believed += 1
                self.believed += entry["path_believed"]


class Account:
    """Keeps the entries of a run in a file of its folder, a line each: a camera may run longer than memory lasts.

    A context manager. The file, `PART`, goes when ``detections.json`` is written; a run that was killed leaves it. A
    thread writes it, for only the main one is stopped by Ctrl-C: every line is whole and there once.

    Attributes:
        n_added: how many entries there are.
        tally: what those come to that are written, after `settle` all.
    """

    def __init__(self, folder: Path) -> None:
        """Begin the file in the run's folder."""
        self.n_added = 0
        self.tally = Tally()
        self._document = folder / "detections.json"
        self._part = folder / PART
        self._stream = self._part.open("ab", buffering=0)  # what the system has, a kill does not take
        self._lines = WriteBehind(_MOST_OPEN)
        self._without_video: list[range] = []
        self._is_written = False

    def make_room(self) -> None:
        """Wait while many entries are not written. Beforehand, so that Ctrl-C cannot come between a picture and `add`.

        Raises:
            DeblurError: an earlier one could not be written.
        """
        self._lines.make_room()

    def add(self, entry: Entry, written: Future[None] | None = None) -> None:
        """Take up the next entry, without a wait.

        Args:
            entry: as ``detections.json`` holds it.
            written: the job that writes its picture and fills in what came of that; the entry is final behind it.
        """
        self._lines.follow_up(partial(self._take, entry, written))
        self.n_added += 1

    def lose_video(self, begin: int) -> None:
        """Name no restored video in the entries from number ``begin`` on: the one they went into is not whole."""
        self._without_video.append(range(begin, self.n_added))

    def settle(self) -> None:
        """Wait until every entry is written.

        Raises:
            DeblurError: one could not be.
        """
        self._lines.settle()

    def entries(self) -> Iterator[Entry]:
        """All of them in their order, read from the file; not before `settle`."""
        with self._part.open("rb") as stream:
            for number, line in enumerate(stream):
                entry = json.loads(line)
                if any(number in lost for lost in self._without_video):
                    entry["deblurred"] = None
                yield entry

    def errors(self) -> Iterator[str]:
        """What failed, as the entries say it."""
        return (entry["error"] for entry in self.entries() if entry["error"] is not None)

    def write(self, document: dict[str, Any]) -> None:
        """Write ``detections.json`` in one step: ``document`` with the entries as its ``pictures``.

        Raises:
            DeblurError: it cannot be written.
        """
        with writing_atomically(self._document) as write:
            for piece in json_pieces(document, self.entries(), indent=2):
                write(to_utf8(piece))
            write(b"\n")
        self._is_written = True

    def _take(self, entry: Entry, written: Future[None] | None) -> None:
        if written is not None:
            wait([written])  # what it raises is raised where it was submitted
        line = to_utf8(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n")
        begin = self._stream.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self._stream.write(line) :]
        except OSError as error:
            self._stream.truncate(begin)  # half a line could not be read
            raise DeblurError(f"cannot write {self._part}: {error.strerror}") from error
        self.tally.add(entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stream:
            self._lines.__exit__(kind, value, traceback)
        if self._is_written:
            self._part.unlink(missing_ok=True)


def json_pieces(document: dict[str, Any], entries: Iterable[Entry], *, indent: int | None = None) -> Iterator[str]:
    """The text that `json.dumps` makes of ``document`` with ``entries`` as its ``pictures``, never all of it at once.

    Args:
        document: has ``pictures``, an empty list, in the place that they take.
        entries: are asked for one after the other.
        indent: spaces a level, and all letters as they are; None makes one line in ASCII.
    """
    dumps = partial(json.dumps, allow_nan=False, indent=indent, ensure_ascii=indent is None)
    head, tail = dumps(document).split('"pictures": []')  # inside of a text its quotes would be escaped
    gap, end = ("", "") if indent is None else (f"\n{' ' * 2 * indent}", f"\n{' ' * indent}")
    yield f'{head}"pictures": ['
    between = ""
    for entry in entries:
        yield between + gap + dumps(entry).replace("\n", gap)
        between = ", " if indent is None else ","
    yield f"{end * bool(between)}]{tail}"
