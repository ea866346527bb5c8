"""From boxes to figures: what the arms are compared with."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detection.annotations.builder import TruthBuilder
from detection.truth import read_truth
from detection.types import Detections
from experiments.gain.inputs import read_truths
from experiments.gain.picture_tables import truth_boxes
from experiments.gain.protocol import scoring_protocol
from experiments.gain.scores import score_detector, truths_by_class

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
        ("", "sharp-through:net+mirrored"): 4,
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
    assert len(set(ap.values())) == 6
    assert result.recovered["net+mirrored"].value == 1  # of one look: of sharp pictures it finds as much
    assert set(result.recovered_looking_twice) == {"net+mirrored"}
    twice = result.recovered_looking_twice["net+mirrored"]
    fused, control = ap["deblurred:net+mirrored"], ap["deblurred:mirrored+blurred"]
    assert twice.value == pytest.approx((fused - control) / (ap["sharp-through:mirrored+blurred"] - control))
    assert 0.7 < (twice.value or 0) < 0.8
    assert set(result.harm_looking_twice) == {"net+mirrored"}
    lost = result.harm_looking_twice["net+mirrored"]
    assert lost.value == pytest.approx(ap["sharp-through:mirrored+blurred"] - ap["sharp-through:net+mirrored"])
    assert (lost.value or 0) > (result.harm["net+mirrored"].value or 0) > 0  # beside sharp pictures looked at once
    assert lost.low is not None
    assert lost.high is not None
    # In each draw what is put through finds a part of what the control does: less by two pictures, or the same.
    assert 0 <= lost.low <= (lost.value or 0) <= lost.high
    assert lost.high - lost.low < 1
    assert len(done) == len(hits)


def test_intervals_draw_whole_scenes_where_names_tell_them(
    settings_of_six: Settings, settings_of_scenes: Settings
) -> None:
    """Twins in every scene tell no more than one of them: the same draws, and intervals as wide."""
    intervals = []
    for settings, per_scene in ((settings_of_six, 1), (settings_of_scenes, 2)):
        truth = read_truth(settings.annotations, ("blue", "red"))
        hits = {("x", "blurred"): 2 * per_scene, ("x", "deblurred:net"): 5 * per_scene}
        found = {key: found_in(truth, count) for key, count in hits.items()}
        (result,) = score_detector(settings, "finder", truth, found, no_pixels, lambda steps: None).results
        intervals.append(result.ap_difference["net"])
        units = scoring_protocol(settings, truth.stems)["bootstrap"]
        assert units["unit"] == f"{'picture' if per_scene == 1 else 'scene'}, the same draws for every arm"
        assert units["n_units"] == 6
    alone, twins = intervals
    assert (twins.low, twins.high) == pytest.approx((alone.low, alone.high))
    assert alone.low != alone.high


def test_intervals_are_of_95_percent_and_of_draws_by_the_seed(settings_of_six: Settings) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    found = {("x", "blurred"): found_in(truth, 2), ("x", "deblurred:net"): found_in(truth, 5)}
    intervals = []
    for seed in (0, 0, 1):
        settings = dataclasses.replace(settings_of_six, seed=seed)
        (result,) = score_detector(settings, "finder", truth, found, no_pixels, lambda _: None).results
        intervals.append(result.ap_difference["net"])
        assert intervals[-1].confidence == scoring_protocol(settings, truth.stems)["bootstrap"]["confidence"] == 0.95
    assert intervals[0] == intervals[1] != intervals[2]


def test_an_ap_lies_between_the_ends_of_its_interval(settings_of_six: Settings) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    found = {("x", "blurred"): found_in(truth, 3)}
    (result,) = score_detector(settings_of_six, "finder", truth, found, no_pixels, lambda _: None).results
    arm = result.arms["blurred"]
    assert (arm.ap_low or 0) < (arm.ap or 0) < (arm.ap_high or 0)


def test_boxes_of_a_picture_and_of_the_reference_have_a_score_of_a_quarter(settings: Settings) -> None:
    truth = read_truth(settings.annotations, ("blue", "red"))
    boxes = {
        stem: Detections.ordered(objects.boxes, [0.25 if stem in "ab" else 0.24], objects.class_names)
        for stem, objects in truth.objects.items()
    }
    scored = score_detector(
        settings, "finder", truth, {("", "sharp"): boxes, ("x", "blurred"): boxes}, no_pixels, lambda _: None
    )
    assert [(row.picture, row.n_predictions, row.n_confident, row.f1) for row in scored.rows] == 2 * [
        ("a", 1, 1, 1),
        ("b", 1, 1, 1),
        ("c", 1, 0, 0),
        ("d", 1, 0, 0),
    ]
    agreement = scored.results[0].consistency["blurred"]
    assert (agreement.n_references, agreement.n_predictions, agreement.confidence) == (2, 4, 0.25)
    assert scored.results[0].arms["blurred"].ap == pytest.approx(1)  # AP is of all boxes


def test_each_blur_has_the_gains_of_its_own_arms(settings: Settings) -> None:
    truth = read_truth(settings.annotations, ("blue", "red"))
    hits = {
        "x": {"blurred": 1, "deblurred:a": 2, "deblurred:b": 4},
        "y": {"blurred": 2, "deblurred:a": 1, "deblurred:b": 2},
    }
    found = {("", "sharp"): found_in(truth, 4)}
    found |= {(blur, arm): found_in(truth, count) for blur, arms in hits.items() for arm, count in arms.items()}
    results = score_detector(settings, "finder", truth, found, no_pixels, lambda _: None).results
    assert [result.blur for result in results] == ["x", "y"]
    for result in results:
        assert list(result.arms) == ["sharp", *hits[result.blur]]
        ap = {arm: score.ap or 0 for arm, score in result.arms.items()}
        assert {name: one.value for name, one in result.ap_difference.items()} == {
            name: pytest.approx(ap[f"deblurred:{name}"] - ap["blurred"]) for name in "ab"
        }
        assert {name: list(others) for name, others in result.over.items()} == {"b": ["a"]}
        assert result.over["b"]["a"].value == pytest.approx(ap["deblurred:b"] - ap["deblurred:a"])
    assert results[0].ap_difference["a"].value > 0 > results[1].ap_difference["a"].value


def test_crowds_and_difficult_objects_are_not_counted_among_the_truths_of_a_class() -> None:
    builder = TruthBuilder("made up", "coco", ("blue", "red"), repair=False)
    builder.add_picture("a.jpg", 100, 100)
    for place, marks in enumerate(({}, {"difficult": True}, {"iscrowd": True}, {})):
        builder.add_object("a", "red", (20 * place, 0.0, 20 * place + 10, 10.0), **marks)
    assert truths_by_class(builder.finish(strict=True)) == {"red": 2}


def test_objects_that_several_detectors_know_are_saved_once_and_those_that_do_not_count_are_marked() -> None:
    truths = []
    for names in (("blue", "red"), ("red", "green")):
        builder = TruthBuilder("made up", "coco", names, repair=False)
        builder.add_picture("a.jpg", 100, 50)
        for place, (name, marks) in enumerate(
            (("red", {}), ("red", {"difficult": True}), ("blue", {"iscrowd": True}), ("green", {}))
        ):
            if name in names:
                builder.add_object("a", name, (20.0 * place, 0.0, 20.0 * place + 10, 10.0), **marks)
        truths.append(builder.finish(strict=True))
    (saved,) = truth_boxes(truths, {"a": (100, 50)}, {"blue": 0, "red": 1, "green": 2})
    assert (saved.picture, saved.file_name, saved.width, saved.height) == ("a", "a.jpg", 100, 50)
    assert {
        (box[0], name, ignored)
        for box, name, ignored in zip(saved.truth.boxes, saved.truth.classes, saved.ignored, strict=True)
    } == {(0, 1, False), (20, 1, True), (40, 0, True), (60, 2, False)}
    assert len(saved.ignored) == 4


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
        (twice,) = result.recovered_looking_twice.values()
        (lost,) = result.harm_looking_twice.values()
        assert (twice.value, lost.value) == (None, None)
        assert result.beyond_control["net+mirrored"].value is not None


@pytest.mark.parametrize(("through", "sign"), [(2, 1), (5, 0), (6, -1)])
def test_what_sharp_pictures_lose_in_two_looks_has_the_sign_of_the_loss(
    settings_of_six: Settings, through: int, sign: int
) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    hits = {
        ("", "sharp"): 4,
        ("", "sharp-through:mirrored+blurred"): 5,
        ("", "sharp-through:net+mirrored"): through,
        ("x", "blurred"): 1,
        ("x", "deblurred:net"): 1,
        ("x", "deblurred:net+mirrored"): 1,
        ("x", "deblurred:mirrored+blurred"): 1,
    }
    found = {key: found_in(truth, count) for key, count in hits.items()}
    (result,) = score_detector(settings_of_six, "finder", truth, found, no_pixels, lambda _: None).results
    (lost,) = result.harm_looking_twice.values()
    assert np.sign(lost.value) == sign
    if not sign:
        assert (lost.low, lost.high) == (0, 0)  # the same draws for both, so that what is the same differs in none


@pytest.mark.parametrize("missing", ["sharp-through:mirrored+blurred", "sharp-through:net+mirrored"])
def test_where_one_side_was_not_looked_at_twice_nothing_says_what_sharp_pictures_lose_so(
    settings_of_six: Settings, missing: str
) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    sharp = ("sharp", "sharp-through:mirrored+blurred", "sharp-through:net+mirrored")
    restored = ("deblurred:net", "deblurred:net+mirrored", "deblurred:mirrored+blurred")
    keys = [("", arm) for arm in sharp if arm != missing] + [("x", arm) for arm in ("blurred", *restored)]
    found = {key: found_in(truth, 3) for key in keys}
    (result,) = score_detector(settings_of_six, "finder", truth, found, no_pixels, lambda _: None).results
    (lost,) = result.harm_looking_twice.values()
    assert (lost.value, lost.low, lost.high) == (None, None, None)


def test_without_fused_boxes_nothing_is_said_of_two_looks(settings_of_six: Settings) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    keys = [("", "sharp"), ("", "sharp-through:net"), ("x", "blurred"), ("x", "deblurred:net")]
    found = {key: found_in(truth, 3) for key in keys}
    (result,) = score_detector(settings_of_six, "finder", truth, found, no_pixels, lambda _: None).results
    assert (result.harm_looking_twice, result.recovered_looking_twice, result.over) == ({}, {}, {})


def test_every_deblurrer_is_compared_with_those_before_it_on_the_same_draws(settings_of_six: Settings) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    hits = {"a": 2, "b": 5, "c": 2, "a+mirrored": 1, "b+mirrored": 6, "c+mirrored": 1, "mirrored+blurred": 4}
    found = {("x", f"deblurred:{name}"): found_in(truth, count) for name, count in hits.items()}
    found |= {("", "sharp"): found_in(truth, 6), ("x", "blurred"): found_in(truth, 1)}
    (result,) = score_detector(settings_of_six, "finder", truth, found, no_pixels, lambda _: None).results
    over = result.over
    assert {name: list(others) for name, others in over.items()} == {
        "b": ["a"],
        "c": ["a", "b"],
        "b+mirrored": ["a+mirrored"],
        "c+mirrored": ["a+mirrored", "b+mirrored"],
    }
    ap = {name: result.arms[f"deblurred:{name}"].ap or 0 for name in hits}
    for name, others in over.items():
        for other, difference in others.items():
            assert difference.value == pytest.approx(ap[name] - ap[other])
    same = over["c"]["a"]
    assert (same.value, same.low, same.high) == (0, 0, 0)  # drawn apart they would differ
    assert (over["b"]["a"].low or 0) >= 0
    assert result.over_first["c+mirrored"] == ("a+mirrored", over["c+mirrored"]["a+mirrored"])
    assert set(result.over_first) == set(over)


@pytest.mark.usefixtures("blue_object")
def test_one_truth_has_one_hash_however_many_detectors_know_it_and_in_which_order(settings: Settings) -> None:
    both, red = ("blue", "red"), ("red",)

    def read(**names: tuple[str, ...]) -> str:
        return read_truths(settings.annotations, names, None).sha256

    assert read(a=both, b=both) == read(a=both) != read(a=red)
    assert read(a=both, b=red) == read(a=red, b=both) == read(a=red, b=both, c=red) != read(a=both)


def test_sharp_pictures_that_one_network_leaves_alone_are_averaged_for_another(settings_of_six: Settings) -> None:
    truth = read_truth(settings_of_six.annotations, ("blue", "red"))
    through = ("sharp-through:calm", "sharp-through:net")
    restored = ("blurred", "deblurred:calm", "deblurred:net")
    keys = [*(("", arm) for arm in ("sharp", *through)), *(("x", arm) for arm in restored)]
    found = {key: found_in(truth, 3) for key in keys}

    def restoration(key: Key, _stem: str) -> Mapping[str, float | None]:
        if key[1] == "sharp":
            return {"psnr": None, "ssim": None}
        return {"psnr": None, "ssim": 1.0} if key[1] == "sharp-through:calm" else {"psnr": 40.0, "ssim": 0.9}

    (result,) = score_detector(settings_of_six, "finder", truth, found, restoration, lambda _: None).results
    calm, net = (result.arms[arm] for arm in through)
    assert (calm.psnr, calm.n_psnr, calm.n_exact) == (None, 0, 6)
    assert (net.psnr, net.n_psnr, net.n_exact) == (40, 6, 0)
