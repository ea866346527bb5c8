from __future__ import annotations

import math

import pytest

from deblur.errors import DeblurError
from deblur.training.schedule import Progress, Schedule, crop_at, parse_crops


def test_cosine_rises_then_falls_to_the_floor():
    schedule = Schedule("cosine", peak=1.0, warmup=0.1, floor=0.05)
    rates = [schedule.rate(share / 100) for share in range(101)]
    assert rates[0] < 0.05
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 10
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.05)


def test_cosine_follows_half_a_cosine_from_the_peak_to_the_floor():
    schedule = Schedule("cosine", peak=2.0, warmup=0.1, floor=0.05)
    for share in (0.25, 0.5, 0.8):
        expected = 2 * (0.05 + 0.95 * (1 + math.cos(math.pi * share)) / 2)
        assert schedule.rate(0.1 + 0.9 * share) == pytest.approx(expected)
    assert schedule.rate(1.5) == pytest.approx(2 * 0.05)


def test_warming_up_begins_with_a_hundredth_and_without_it_the_first_step_is_at_the_peak():
    assert Schedule("cosine", peak=2.0, warmup=0.1).rate(0) == pytest.approx(0.02)
    assert Schedule("cosine", peak=2.0, warmup=0.1).rate(0.05) == pytest.approx(1)
    assert Schedule("cosine", peak=2.0, warmup=0).rate(0) == 2


def test_halving_is_the_papers():
    schedule = Schedule("halving", peak=1e-4)
    # Halved every 500 of 3000 epochs.
    for epoch, expected in ((0, 1e-4), (499, 1e-4), (500, 5e-5), (1499, 2.5e-5), (2999, 1e-4 / 32), (3000, 1e-4 / 32)):
        assert schedule.rate(epoch / 3000) == pytest.approx(expected)


def test_constant_stays():
    assert Schedule("constant", peak=0.3).rate(0.9) == 0.3


def test_progress_follows_whichever_ends_first():
    progress = Progress(step=50, seconds=60)
    assert progress.share(100, None) == 0.5
    assert progress.share(None, 4) == 0.25
    assert progress.share(1000, 1.25) == pytest.approx(0.8)
    assert progress.share(10, None) == 1.0


def test_crops_grow_at_their_starts():
    stages = parse_crops("128,192@0.5,256@0.8")
    assert [crop_at(stages, share) for share in (0, 0.49, 0.5, 0.79, 0.8, 1.0)] == [128, 128, 192, 192, 256, 256]
    assert crop_at(parse_crops("256"), 0.3) == 256


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write SIZE or SIZE,SIZE@START"),
        ("abc", "write SIZE or SIZE,SIZE@START"),
        ("100", "sizes must be multiples of 8, from 8 on"),
        ("0", "sizes must be multiples of 8, from 8 on"),
        ("-8", "sizes must be multiples of 8, from 8 on"),
        ("128@0.5", "the first stage must start at 0"),
        ("128,256", "the first stage must start at 0"),
        ("128,192@0.5,256@0.4", "the first stage must start at 0"),
        ("128,256@1", "the first stage must start at 0"),
    ],
)
def test_bad_crops_are_refused(text, said):
    with pytest.raises(DeblurError, match=f"--crop {text}: {said}"):
        parse_crops(text)
