"""Reading ahead and writing behind, so that the network in between does not wait for files."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Self, TypeVar

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
    """Runs jobs in threads, at most as many at a time as it has; a context manager that waits for the last.

    What a job raises is raised by a later ``submit`` or at the end.
    """

    def __init__(self, n_threads: int) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="writer")
        self._n_threads = n_threads
        self._pending: deque[Future[None]] = deque()

    def submit(self, job: Callable[[], None], *, in_order: bool = False) -> None:
        """Run ``job`` in a free thread; waits until there is one.

        Args:
            job: what to do.
            in_order: start only when every job before it is done, as the frames of one video need it.
        """
        while len(self._pending) >= (1 if in_order else self._n_threads):
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(job))

    def finish(self) -> None:
        """Wait until every job is done."""
        while self._pending:
            self._pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if kind is None:
            self.finish()
