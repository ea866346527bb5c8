"""What tests of contexts that threads enter share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

Seen = TypeVar("Seen")


def entered_by_two(context: Callable[[], AbstractContextManager[object]], inside: Callable[[], Seen]) -> Seen:
    """What the second of two threads sees inside, which asks to enter while the first is in there."""
    entered, left = threading.Event(), threading.Event()

    def first() -> None:
        with context():
            entered.set()
            left.wait(0.3)  # as long as it takes: the other one waits

    def second() -> Seen:
        entered.wait(20)
        with context():
            left.set()
            return inside()

    with ThreadPoolExecutor(2) as pool:
        earlier, later = pool.submit(first), pool.submit(second)
        earlier.result()
        return later.result()
