from __future__ import annotations

import math

import pytest

from pipelines.frame_times import FrameTimes


def placed(
    reads: list[float | None], fps: float | None = 10
) -> tuple[list[tuple[int, float | None] | None], FrameTimes]:
    """What becomes of frames at these milliseconds, None being a read that failed; times to a millisecond."""
    times = FrameTimes(fps)
    places: list[tuple[int, float | None] | None] = []
    n_failed = 0
    for position in reads:
        if position is None:
            n_failed += 1
            continue
        place = times.place(position, n_failed)
        n_failed = 0
        places.append(place and (place[0], None if place[1] is None else round(place[1], 3)))
    return places, times


@pytest.mark.parametrize(
    ("positions", "seconds"),
    [
        ([0, 100, 200, 300], [0, 0.1, 0.2, 0.3]),
        ([80, 180, 280], [0, 0.1, 0.2]),
        ([0, 33, 150, 900], [0, 0.033, 0.15, 0.9]),
        ([0, 0, 0, 0], [0, 0.1, 0.2, 0.3]),
        ([-1, -1, -1], [0, 0.1, 0.2]),
        ([math.nan, math.inf, math.nan], [0, 0.1, 0.2]),
        ([0, 100, 0, 100], [0, 0.1, 0.2, 0.3]),  # recordings that were joined
    ],
)
def test_whole_files_are_numbered_as_they_come_and_timed_by_themselves(
    positions: list[float | None], seconds: list[float]
) -> None:
    places, times = placed(positions)
    assert places == list(enumerate(seconds))
    assert (times.n_lost, times.lost_from) == (0, None)


def test_without_a_rate_times_are_taken_that_are_no_mere_numbers() -> None:
    assert placed([0, 33, 70], None)[0] == [(0, 0), (1, 0.033), (2, 0.07)]
    assert placed([0, 1, 2], None)[0] == [(0, 0), (1, None), (2, None)]
    assert placed([0, 0, 40], None)[0] == [(0, 0), (1, None), (2, None)]
    assert placed([0, None, 0], None)[0] == [(0, 0), (2, None)]
    assert placed([0, None, 40], None)[0] == [(0, 0), (2, 0.04)]


@pytest.mark.parametrize(
    ("reads", "numbers", "n_lost", "lost_from"),
    [
        ([0, 100, None, None, 400, 500], [0, 1, 4, 5], 2, 0.2),
        ([None, None, 200, 300], [2, 3], 2, 0.0),
        ([0, None, 100, 200, 500], [0, 1, 2, 5], 2, 0.1),  # one is known to fail, others are missing behind it
        ([0, 0, None, 0, 0], [0, 1, 3, 4], 1, 0.2),  # no times: each read stands for a frame
        ([0, None, 100, 500, 200, 600], [0, 1, 5, None, 6], 3, 0.1),  # out of order
        ([0, None, 100, 200, 5000, 50, 150], [0, 1, 2, 50, 51, 52], 47, 0.1),
        ([0, 100, None, 300, 310, 320], [0, 1, 3, 4, 5], 1, 0.2),  # closer than the rate: no two have one number
        ([0, 100, 450, None, 650, 750], [0, 1, 2, 4, 5], 1, 0.55),  # those before came unevenly and keep their numbers
        ([0, None, 100, 1050, 100, 1150], [0, 1, 10, None, 12], 9, 0.1),  # as late as a decoder gives one
        ([0, None, 100, 1150, 100, 200], [0, 1, 12, 13, 14], 10, 0.1),  # later: recordings that were joined
    ],
)
def test_behind_a_frame_that_cannot_be_decoded_numbers_follow_the_times(
    reads: list[float | None], numbers: list[int | None], n_lost: int, lost_from: float
) -> None:
    places, times = placed(reads)
    assert [place and place[0] for place in places] == numbers
    assert (times.n_lost, times.lost_from) == (n_lost, pytest.approx(lost_from))
