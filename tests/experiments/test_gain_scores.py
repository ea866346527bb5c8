"""From boxes to figures: what the arms are compared with."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from detection.truth import read_truth
from detection.types import Detections
from experiments.gain.scores import score_detector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.truth import GroundTruth
    from experiments.gain.scores import Key
    from experiments.gain.settings import Settings


def found_in(truth: GroundTruth, count: int) -> dict[str, Detections]:
    """The right box in so many pictures, none in the others: AP falls with the number."""
    nothing = Detections.ordered([], [], [])
    right = {
        stem: Detections.ordered(objects.boxes, [0.5] * len(objects.boxes), objects.class_names)
        for stem, objects in truth.objects.items()
    }
    return {stem: right[stem] if place < count else nothing for place, stem in enumerate(truth.stems)}


def no_pixels(_key: Key, _stem: str) -> Mapping[str, float | None]:
    return {"psnr": None, "ssim": None}


def test_where_the_second_look_helps_without_restoring_that_is_no_part_of_what_is_recovered(
    settings_of_six: Settings,
) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    hits = {
        ("", "sharp"): 5,
        ("", "sharp-through:mirrored+blurred"): 6,
        ("", "sharp-through:net"): 5,
        ("x", "blurred"): 1,
        ("x", "deblurred:net"): 3,
        ("x", "deblurred:net+mirrored"): 5,
        ("x", "deblurred:mirrored+blurred"): 2,
    }
    found = {key: found_in(truth, count) for key, count in hits.items()}
    done: list[int] = []
    (result,) = score_detector(settings_of_six, "finder", truth, found, no_pixels, done.append).results
    ap = {arm: score.ap or 0 for arm, score in result.arms.items()}
    assert list(ap) == [arm for _, arm in hits]
    assert len(set(ap.values())) == 5
    assert result.recovered["net+mirrored"].value == 1  # of one look: of sharp pictures it finds as much
    assert set(result.recovered_looking_twice or {}) == {"net+mirrored"}
    twice = (result.recovered_looking_twice or {})["net+mirrored"]
    fused, control = ap["deblurred:net+mirrored"], ap["deblurred:mirrored+blurred"]
    assert twice.value == pytest.approx((fused - control) / (ap["sharp-through:mirrored+blurred"] - control))
    assert 0.7 < (twice.value or 0) < 0.8
    assert len(done) == len(hits)


def test_without_sharp_pictures_or_any_that_lose_by_blur_nothing_says_what_two_looks_recover(
    settings_of_six: Settings,
) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    settings = dataclasses.replace(settings_of_six, resamples=0)
    restored = {("x", "deblurred:net"): 3, ("x", "deblurred:net+mirrored"): 5, ("x", "deblurred:mirrored+blurred"): 2}
    arms = {("x", "blurred"): 1} | restored
    for sharp in ({}, {("", "sharp"): 5, ("", "sharp-through:mirrored+blurred"): 2}):
        found = {key: found_in(truth, count) for key, count in (sharp | arms).items()}
        (result,) = score_detector(settings, "finder", truth, found, no_pixels, lambda _: None).results
        (twice,) = (result.recovered_looking_twice or {}).values()
        assert twice.value is None
        assert (result.beyond_control or {})["net+mirrored"].value is not None
