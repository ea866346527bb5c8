from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from typing import TYPE_CHECKING

import pytest

from pipelines.overlap import WriteBehind, read_ahead

if TYPE_CHECKING:
    from collections.abc import Generator


def test_items_come_in_order_from_another_thread() -> None:
    names = set()

    def items() -> Generator[int]:
        for number in range(20):
            names.add(threading.current_thread().name)
            yield number

    assert list(read_ahead(items(), 3)) == list(range(20))
    assert threading.current_thread().name not in names


def test_never_further_ahead_than_allowed() -> None:
    taken = []

    def items() -> Generator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    ahead = read_ahead(items(), 3)
    assert next(ahead) == 0
    time.sleep(0.1)
    assert len(taken) <= 4
    ahead.close()


def test_what_the_reader_raises_arrives_after_what_it_gave() -> None:
    def items() -> Generator[int]:
        yield 1
        raise ZeroDivisionError

    ahead = read_ahead(items(), 2)
    assert next(ahead) == 1
    with pytest.raises(ZeroDivisionError):
        next(ahead)


def test_closing_early_closes_the_reader() -> None:
    closed = []

    def items() -> Generator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    ahead = read_ahead(items(), 2)
    next(ahead)
    ahead.close()
    assert closed == [True]


def test_jobs_in_order_do_not_overlap() -> None:
    done = []

    def job(number: int) -> None:
        time.sleep(0.02 if number % 2 == 0 else 0)
        done.append(number)

    with WriteBehind(4) as writers:
        for number in range(10):
            writers.submit(lambda number=number: job(number), in_order=True)  # type: ignore[misc]
    assert done == list(range(10))


def test_jobs_overlap_otherwise() -> None:
    meeting = threading.Barrier(3, timeout=10)
    with WriteBehind(3) as writers:
        for _ in range(3):
            writers.submit(lambda: meeting.wait() and None)


def test_a_job_more_than_there_are_threads_waits_until_one_is_done() -> None:
    done, went_on = threading.Event(), threading.Event()

    def one_more() -> None:
        writers.submit(lambda: None)
        went_on.set()

    with WriteBehind(2) as writers:
        for _ in range(2):
            writers.submit(lambda: done.wait(10))
        caller = threading.Thread(target=one_more)
        caller.start()
        waited = not went_on.wait(0.2)
        done.set()
        caller.join()
    assert waited
    assert went_on.is_set()


def test_what_a_job_raises_is_not_lost() -> None:
    with pytest.raises(ZeroDivisionError), WriteBehind(2) as writers:
        writers.submit(lambda: 1 // 0 and None)


def test_what_a_job_raises_is_raised_as_soon_as_somebody_asks_for_room() -> None:
    writers = WriteBehind(8)
    failed = writers.submit(lambda: 1 // 0)
    wait([failed])
    with pytest.raises(ZeroDivisionError):
        writers.make_room()
    writers.__exit__(None, None, None)


def test_settling_waits_for_all() -> None:
    with WriteBehind(4) as writers:
        jobs = [writers.follow_up(lambda: time.sleep(0.01)) for _ in range(6)]
        writers.settle()
        assert all(job.done() for job in jobs)


def test_settling_waits_for_all_where_one_raises() -> None:
    writers = WriteBehind(4)
    writers.follow_up(lambda: 1 // 0)
    last = writers.follow_up(lambda: time.sleep(0.05))
    with pytest.raises(ZeroDivisionError):
        writers.settle()
    assert last.done()
    writers.__exit__(None, None, None)


def test_reading_working_and_writing_overlap() -> None:
    # The third is read while the second is worked on and the first is written, or nobody meets anybody.
    meeting = threading.Barrier(3, timeout=10)

    def items() -> Generator[int]:
        for number in range(3):
            if number == 2:
                meeting.wait()
            yield number

    with WriteBehind(2) as writers:
        for number in read_ahead(items(), 2):
            if number == 1:
                meeting.wait()
            writers.submit(lambda number=number: number == 0 and meeting.wait())  # type: ignore[misc]
    assert not meeting.broken
