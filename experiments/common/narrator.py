"""What a run says while it works: lines and bars on stderr, and the lines in the run's ``log.txt`` as well."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tqdm import tqdm

from deblur.cli import one_line
from deblur.own_files import open_to_append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Narrator:
    """Speaks for one process; one that is silent says nothing anywhere.

    Args:
        log: file that lines are added to; None for none.
        silent: for all processes but the first.
    """

    def __init__(self, log: Path | None = None, silent: bool = False) -> None:
        self._log = log
        self._silent = silent

    def say(self, line: str) -> None:
        """One line."""
        if self._silent:
            return
        line = one_line(line)
        print(line, file=sys.stderr)
        if self._log is not None:
            with open_to_append(self._log) as stream:
                stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")

    @contextmanager
    def progress(self, total: int, what: str, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar with the time left; yields the function that moves it by a number of steps."""
        with tqdm(total=total, desc=what, unit=unit, file=sys.stderr, disable=self._silent, smoothing=0.1) as bar:

            def advance(steps: int) -> None:
                bar.update(steps)

            yield advance
