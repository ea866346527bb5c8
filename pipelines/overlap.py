"""Reading ahead and writing behind, so that the network in between does not wait for files."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

T = TypeVar("T")


def read_ahead(items: Generator[T], depth: int) -> Generator[T]:
    """Take ``items`` in a thread of its own, at most ``depth`` ahead of the caller, and hand them on in order.

    What ``items`` raises is raised here. Closing this generator stops the thread and closes ``items``.
    """
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="reader")
    with closing(items):
        try:
            pending: deque[Future[T | object]] = deque(pool.submit(next, items, end) for _ in range(depth))
            while (item := pending.popleft().result()) is not end:
                pending.append(pool.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            pool.shutdown(cancel_futures=True)


class WriteBehind:
    """Runs jobs in threads, those of a video in one of their own; a context manager that waits for the last.

    What a job raises is raised by a later wait, here or at the end. Ctrl-C may come at any wait: what was submitted is
    done all the same, in its order.
    """

    def __init__(self, n_threads: int) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="writer")
        self._lane = ThreadPoolExecutor(1, thread_name_prefix="video writer")
        self._most = n_threads
        self._pending: deque[Future[Any]] = deque()

    def submit(self, job: Callable[[], T], *, in_order: bool = False) -> Future[T]:
        """Run ``job``; waits while as many are not done as there are threads, for each holds a picture.

        Args:
            job: what to do.
            in_order: one at a time and in the order of their coming, as the frames of one video need it.
        """
        self.make_room()
        self._pending.append(submitted := (self._lane if in_order else self._pool).submit(job))
        return submitted

    def follow_up(self, job: Callable[[], T]) -> Future[T]:
        """Have ``job`` run behind all that are ``in_order``, without a wait for room."""
        self._pending.append(follower := self._lane.submit(job))
        return follower

    def make_room(self) -> None:
        """Wait while as many are not done as there are threads."""
        while self._pending and (len(self._pending) >= self._most or self._pending[0].done()):
            self._take_first()

    def settle(self) -> None:
        """Wait until all are done, also where one of them raises something."""
        wait(self._pending)
        while self._pending:
            self._take_first()

    def _take_first(self) -> None:
        wait([self._pending[0]])  # it stays in the queue meanwhile, or Ctrl-C would make it forgotten
        self._pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        self._lane.shutdown()
        if kind is None:
            self.settle()
