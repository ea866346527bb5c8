"""The bootstrap against pycocotools on sets that are really resampled, and against answers known beforehand."""

from __future__ import annotations

import json
import math
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detection import bootstrap
from detection.annotations.builder import TruthBuilder
from detection.annotations.coco import read_coco
from detection.bootstrap import (
    FEWEST_UNITS,
    ArmDraws,
    BootstrapResult,
    average_precision,
    class_average_precision,
    draw_copies,
    interval,
    paired_bootstrap,
    recovered_fraction,
    recovered_fractions,
)
from detection.matching import ClassMatches, match_classes, prepare
from detection.scoring import score
from detection.types import Detections

if TYPE_CHECKING:
    from pathlib import Path

    from detection.annotations.records import GroundTruth

BOX = (10.0, 10.0, 60.0, 60.0)
EMPTY = Detections.empty()
HIT = Detections.ordered([BOX], [0.9], ["cat"])


@pytest.fixture(scope="module")
def forty(shared: Path) -> GroundTruth:
    path = shared / "data" / "coco_eval" / "instances.json"
    names = [category["name"] for category in json.loads(path.read_text())["categories"]]
    truth = read_coco(path, names)
    return truth.subset(truth.stems[:40])


def really_drawn(
    truth: GroundTruth, predictions: dict[str, Detections], copies: np.ndarray
) -> tuple[GroundTruth, dict[str, Detections]]:
    """The set with every picture written out as often as it was drawn."""
    builder = TruthBuilder("drawn", "coco", truth.class_names, repair=False)
    drawn = {}
    for picture, count in zip(truth.pictures, copies, strict=True):
        for copy in range(int(count)):
            stem = builder.add_picture(f"{picture.stem}-{copy}.jpg", picture.width, picture.height)
            objects = truth.objects[picture.stem]
            for name, box in zip(objects.class_names, objects.boxes.tolist(), strict=True):
                builder.add_object(stem, name, tuple(box))
            drawn[stem] = predictions[picture.stem]
    return builder.finish(strict=True), drawn


def arms_of(**draws: list[float]) -> BootstrapResult:
    """A result with given draws; the figure itself is the first of them."""
    arms = {
        name: ArmDraws(values[0], values[0], np.array(values, dtype=float), np.array(values, dtype=float))
        for name, values in draws.items()
    }
    return BootstrapResult(arms, 0.95, len(next(iter(draws.values()))), 0, 10)


def test_undrawn_figures_are_those_of_pycocotools(forty, perturb):
    arms = {"sharp": perturb(forty, 1, noise=2.0), "blurred": perturb(forty, 2, noise=8.0)}
    result = paired_bootstrap(forty, arms, resamples=5)
    for name, predictions in arms.items():
        expected = score(forty, predictions)
        assert result.arms[name].ap == pytest.approx(expected.ap, abs=1e-9)
        assert result.arms[name].ap50 == pytest.approx(expected.ap50, abs=1e-9)


def test_ignored_objects_are_ignored_as_in_pycocotools(forty, perturb):
    generator = np.random.default_rng(6)
    marks = {stem: generator.random((2, len(objects))) < 0.2 for stem, objects in forty.objects.items()}
    objects = {
        stem: replace(each, iscrowd=marks[stem][0], difficult=marks[stem][1]) for stem, each in forty.objects.items()
    }
    truth = replace(forty, objects=objects)
    predictions = perturb(forty, 5)
    expected = score(truth, predictions)
    assert expected.n_ignored > 100
    result = paired_bootstrap(truth, {"arm": predictions}, resamples=2)
    assert result.arms["arm"].ap == pytest.approx(expected.ap, abs=1e-9)
    assert result.arms["arm"].ap50 == pytest.approx(expected.ap50, abs=1e-9)


def test_each_draw_is_pycocotools_on_the_set_written_out(forty, perturb):
    predictions = perturb(forty, 3)
    result = paired_bootstrap(forty, {"arm": predictions}, resamples=4, seed=7)
    assert (result.seed, result.resamples) == (7, 4)
    copies = draw_copies(40, 4, seed=7)
    assert copies.max() >= 3
    for draw in range(4):
        expected = score(*really_drawn(forty, predictions, copies[:, draw]))
        assert result.arms["arm"].ap_draws[draw] == pytest.approx(expected.ap, abs=1e-9)
        assert result.arms["arm"].ap50_draws[draw] == pytest.approx(expected.ap50, abs=1e-9)


def test_each_class_is_that_of_pycocotools(forty, perturb):
    predictions = perturb(forty, 4)
    expected = score(forty, predictions).per_class
    job = prepare(forty, predictions)
    by_number = [name for _, name in sorted(zip(job.category_ids, job.class_names, strict=True))]
    for name, matches in zip(by_number, match_classes(job), strict=True):
        precision, present = class_average_precision(matches, np.ones((40, 1)))
        assert bool(present[0]) is (expected[name] is not None)
        if present[0]:
            assert precision.mean() == pytest.approx(expected[name], abs=1e-9)


def test_draws_are_of_whole_sets_and_depend_on_the_seed_alone():
    copies = draw_copies(12, 50, seed=1)
    assert copies.shape == (12, 50)
    assert (copies.sum(axis=0) == 12).all()
    assert (copies == draw_copies(12, 50, seed=1)).all()
    assert (copies != draw_copies(12, 50, seed=2)).any()


def test_scenes_are_drawn_whole_and_pictures_by_themselves_as_ever(forty, perturb):
    arms = {"arm": perturb(forty, 3)}
    alone = paired_bootstrap(forty, arms, resamples=6, seed=2)
    each = paired_bootstrap(forty, arms, resamples=6, seed=2, units={stem: stem for stem in forty.stems})
    assert (each.arms["arm"].ap_draws == alone.arms["arm"].ap_draws).all()
    assert each.n_units == alone.n_units == 40

    job = prepare(forty, arms["arm"])
    scene_of = {stem: f"scene {place % 8}" for place, stem in enumerate(forty.stems)}
    scenes = list(dict.fromkeys(scene_of[picture.stem] for picture in job.pictures))
    by_scene = dict(zip(scenes, draw_copies(8, 6, seed=2), strict=True))
    copies = np.array([by_scene[scene_of[picture.stem]] for picture in job.pictures])
    drawn = paired_bootstrap(forty, arms, resamples=6, seed=2, units=scene_of)
    assert drawn.n_units == 8
    assert drawn.arms["arm"].ap_draws == pytest.approx(average_precision(match_classes(job), copies)[0], abs=1e-12)
    few = paired_bootstrap(forty, arms, resamples=6, units={stem: scene_of[stem][:-1] for stem in forty.stems})
    assert (few.n_units, few.ap("arm").low) == (1, None)


def test_scenes_are_of_their_own_pictures_whatever_numbers_these_have(make_truth):
    # What is found is the cat of a, which is a scene by itself, and has the last number.
    truth = make_truth({stem: [("cat", BOX)] for stem in "abc"})
    numbers = {"a": 9, "b": 1, "c": 2}
    truth = replace(truth, pictures=[replace(picture, image_id=numbers[picture.stem]) for picture in truth.pictures])
    predictions = {"a": HIT, "b": EMPTY, "c": EMPTY}
    scenes = {"a": "alone", "b": "pair", "c": "pair"}
    result = paired_bootstrap(truth, {"arm": predictions}, resamples=60, units=scenes)
    pairs, alone = draw_copies(2, 60, seed=0)
    # Recall is 0, 1 of 3 (34 of the 101 levels) or 1.
    assert set(alone) == {0.0, 1.0, 2.0}
    assert (pairs + alone == 2).all()
    assert result.arms["arm"].ap_draws == pytest.approx(np.array([0, 34 / 101, 1])[alone.astype(int)])


def test_equal_arms_never_differ(make_truth):
    truth = make_truth({stem: [("cat", BOX)] for stem in "abcdef"})
    predictions = {stem: HIT if stem < "d" else EMPTY for stem in "abcdef"}
    result = paired_bootstrap(truth, {"one": predictions, "other": dict(predictions)}, resamples=50)
    difference = result.difference("one", "other")
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
    assert result.ap("one").low < result.ap("one").high


def test_many_arms_at_once_leave_stdout_alone(forty, perturb, capsys):
    arms = {str(seed): perturb(forty, seed) for seed in range(12)}
    stdout = sys.stdout
    with ThreadPoolExecutor(2) as pool:
        together, _ = pool.map(lambda _: paired_bootstrap(forty, arms, resamples=20), range(2))
    for name, predictions in arms.items():
        alone = paired_bootstrap(forty, {name: predictions}, resamples=20)
        np.testing.assert_array_equal(alone.arms[name].ap_draws, together.arms[name].ap_draws)
    assert sys.stdout is stdout
    assert capsys.readouterr().out == ""


def test_a_class_out_of_a_draw_is_left_out_of_its_mean(make_truth):
    # a holds the only cat, which is found; b the only dog, which is not. Both drawn: .5; only a: 1; only b: 0.
    truth = make_truth({"a": [("cat", BOX)], "b": [("dog", BOX)]})
    result = paired_bootstrap(truth, {"arm": {"a": HIT, "b": EMPTY}}, resamples=60)
    drawn = draw_copies(2, 60, seed=0)[0]
    assert set(drawn) == {0.0, 1.0, 2.0}
    assert result.arms["arm"].ap_draws == pytest.approx(drawn / 2)


def test_draws_without_truth_are_excluded_and_counted(make_truth):
    truth = make_truth({stem: [("cat", BOX)] if stem == "a" else [] for stem in "abcdef"})
    predictions = {stem: HIT if stem == "a" else EMPTY for stem in "abcdef"}
    result = paired_bootstrap(truth, {"arm": predictions}, resamples=200)
    without = int((draw_copies(6, 200, seed=0)[0] == 0).sum())
    assert without > 0
    ap = result.ap("arm")
    assert (ap.value, ap.low, ap.high) == pytest.approx((1.0, 1.0, 1.0))
    assert (ap.n_excluded, ap.n_draws) == (without, 200 - without)


def test_no_truth_at_all_is_null(make_truth):
    nothing = {stem: [] for stem in "abcdef"}
    result = paired_bootstrap(make_truth(nothing), {"arm": dict.fromkeys(nothing, HIT)}, resamples=10)
    assert asdict(result.ap("arm")) == {
        "value": None,
        "low": None,
        "high": None,
        "confidence": 0.95,
        "n_draws": 0,
        "n_excluded": 10,
    }


@pytest.mark.parametrize("count", [1, FEWEST_UNITS - 1, FEWEST_UNITS])
def test_of_few_pictures_there_is_no_interval(make_truth, count):
    stems = "abcdef"[:count]
    truth = make_truth({stem: [("cat", BOX)] for stem in stems})
    arms = {"sharp": dict.fromkeys(stems, HIT), "blurred": dict.fromkeys(stems, EMPTY)}
    result = paired_bootstrap(truth, arms, resamples=20)
    # Every picture says that 1 was lost: of five of them one of the other sign would be no surprise.
    for found in (
        result.ap("sharp"),
        result.ap50("sharp"),
        result.difference("sharp", "blurred"),
        result.recovered("sharp", "blurred", "sharp"),
    ):
        ends = [1, 1] if count == FEWEST_UNITS else [None, None]
        assert [found.value, found.low, found.high] == pytest.approx([1, *ends])


def test_a_picture_subset_is_all_that_is_drawn(make_truth):
    truth = make_truth({"a": [("cat", BOX)], "b": [("cat", BOX)]})
    result = paired_bootstrap(truth, {"arm": {"a": HIT, "b": EMPTY}}, resamples=10, picture_keys=["a"])
    assert result.n_units == 1
    assert result.arms["arm"].ap_draws == pytest.approx(np.ones(10))


def test_only_the_best_hundred_boxes_of_a_picture_and_class_are_matched(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)]})
    false = [("cat", (70.0, 70.0, 90.0, 90.0), 0.9)] * 100
    for boxes, ap in ((false[1:], 0.01), (false, 0.0)):
        predictions = {"a": found(*boxes, ("cat", BOX, 0.5))}
        result = paired_bootstrap(truth, {"arm": predictions}, resamples=2)
        assert result.arms["arm"].ap == pytest.approx(score(truth, predictions).ap) == pytest.approx(ap)


def test_interval_is_the_percentiles_of_the_known_draws():
    draws = np.append(np.arange(101.0), np.nan)
    answer = interval(50.0, draws, 0.9)
    assert (answer.value, answer.low, answer.high) == pytest.approx((50.0, 5.0, 95.0))
    assert (answer.n_draws, answer.n_excluded) == (101, 1)


def test_a_basic_interval_lies_where_the_draws_do_not():
    draws = np.append(np.arange(101.0), np.nan)
    answer = interval(40.0, draws, 0.9, basic=True)
    assert (answer.value, answer.low, answer.high) == pytest.approx((40.0, -15.0, 75.0))
    assert (answer.n_draws, answer.n_excluded) == (101, 1)


def test_ap_has_a_basic_interval_and_what_is_between_arms_has_percentiles():
    draws = np.linspace(0.3, 0.5, 101)  # of an AP of .3: draws lie above it, as draws do
    flat = ArmDraws(0.1, 0.1, np.full(101, 0.1), np.full(101, 0.1))
    top = ArmDraws(0.5, 0.5, np.full(101, 0.9), np.full(101, 0.9))
    result = BootstrapResult({"arm": ArmDraws(0.3, 0.3, draws, draws), "flat": flat, "top": top}, 0.9, 101, 0, 10)
    for found in (result.ap("arm"), result.ap50("arm")):
        assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.11, 0.29))
    difference = result.difference("arm", "flat")
    assert (difference.low, difference.high) == pytest.approx((0.21, 0.39))
    recovered = result.recovered("top", "flat", "arm")
    assert (recovered.low, recovered.high) == pytest.approx((0.21 / 0.8, 0.39 / 0.8))


def test_ap50_has_an_interval_of_its_own():
    arm = ArmDraws(0.3, 0.6, np.linspace(0.2, 0.4, 101), np.linspace(0.5, 0.7, 101))
    found = BootstrapResult({"arm": arm}, 0.9, 101, 0, 10).ap50("arm")
    assert (found.value, found.low, found.high) == pytest.approx((0.6, 0.51, 0.69))


def test_intervals_have_the_confidence_that_is_asked_for(make_truth):
    truth = make_truth({stem: [("cat", BOX)] for stem in "abcdef"})
    arms = {"arm": {stem: HIT if stem < "d" else EMPTY for stem in "abcdef"}}
    half, usual = (
        paired_bootstrap(truth, arms, resamples=200, confidence_level=share).ap("arm") for share in (0.5, 0.95)
    )
    assert (half.confidence, usual.confidence) == (0.5, 0.95)
    assert usual.low < half.low < half.high < usual.high
    for wrong in ({"confidence_level": 0.0}, {"confidence_level": 1.0}, {"resamples": 0}):
        with pytest.raises(ValueError, match=r"resamples .* is at least 1, confidence_level .* between 0 and 1"):
            paired_bootstrap(truth, arms, **wrong)


def test_an_ap_is_never_below_0_nor_above_1():
    result = arms_of(low=[0.05, 0.3, 0.3], high=[0.95, 0.7, 0.7])
    assert result.ap("low").low == 0
    assert result.ap("high").high == 1


@pytest.mark.parametrize(
    ("sharp", "blurred", "deblurred", "expected"),
    [
        (0.4, 0.2, 0.3, 0.5),
        (0.4, 0.2, 0.1, -0.5),
        (0.4, 0.2, 0.5, 1.5),
        (0.4, 0.4, 0.5, None),
        (0.3, 0.4, 0.5, None),
        (None, 0.2, 0.3, None),
        (0.4, 0.2, None, None),
    ],
)
def test_recovered_fraction(sharp, blurred, deblurred, expected):
    answer = recovered_fraction(sharp, blurred, deblurred)
    assert answer is None if expected is None else answer == pytest.approx(expected)


def test_recovered_interval_pairs_the_draws():
    # Whatever pictures are drawn, half of what was lost comes back: the interval is a point, though each arm's is wide.
    blurred = np.linspace(0.1, 0.4, 101)
    lost = np.linspace(0.2, 0.1, 101)
    result = arms_of(sharp=list(blurred + lost), blurred=list(blurred), deblurred=list(blurred + lost / 2))
    answer = result.recovered("sharp", "blurred", "deblurred")
    assert (answer.value, answer.low, answer.high) == pytest.approx((0.5, 0.5, 0.5))


def test_draws_where_nothing_was_lost_are_excluded_and_too_many_leave_no_interval():
    few = arms_of(sharp=[0.4] * 99 + [0.2], blurred=[0.2] * 100, deblurred=[0.3] * 100)
    answer = few.recovered("sharp", "blurred", "deblurred")
    assert (answer.n_draws, answer.n_excluded) == (99, 1)
    assert (answer.low, answer.high) == pytest.approx((0.5, 0.5))
    many = arms_of(sharp=[0.4] * 97 + [0.2] * 3, blurred=[0.2] * 100, deblurred=[0.3] * 100)
    answer = many.recovered("sharp", "blurred", "deblurred")
    assert (answer.value, answer.low, answer.high) == (pytest.approx(0.5), None, None)
    assert (answer.n_draws, answer.n_excluded) == (97, 3)
    # An interval of half has a quarter of the draws below it.
    assert replace(many, confidence=0.5).recovered("sharp", "blurred", "deblurred").low == pytest.approx(0.5)
    quarter = arms_of(sharp=[0.4] * 75 + [0.2] * 25, blurred=[0.2] * 100, deblurred=[0.3] * 100)
    assert replace(quarter, confidence=0.5).recovered("sharp", "blurred", "deblurred").low == pytest.approx(0.5)


def coverage(make_truth, experiments: int, n_pictures: int, resamples: int) -> tuple[float, float]:
    """How often 95% intervals of AP, and of an AP difference, hold the answer that is known.

    One cat a picture and never a false box: AP is recall, which is found with probability .7 in one arm, and in the
    other .5 (only ever where the first finds it), so the difference is .2.
    """
    generator = np.random.default_rng(11)
    stems = [f"{number:04}" for number in range(n_pictures)]
    truth = make_truth({stem: [("cat", BOX)] for stem in stems})
    inside = inside_difference = 0
    for experiment in range(experiments):
        luck = dict(zip(stems, generator.random(n_pictures), strict=True))
        arms = {
            name: {stem: HIT if luck[stem] < chance else EMPTY for stem in stems}
            for name, chance in (("better", 0.7), ("worse", 0.5))
        }
        result = paired_bootstrap(truth, arms, resamples=resamples, seed=experiment)
        ap, difference = result.ap("better"), result.difference("better", "worse")
        inside += ap.low <= 0.7 + 0.005 and ap.high >= 0.7 - 0.005
        inside_difference += difference.low <= 0.2 <= difference.high
    return inside / experiments, inside_difference / experiments


def test_the_spread_of_draws_is_that_of_a_share(make_truth):
    # 140 of 200 found: AP is a share, whose standard error is sqrt(.7 .3 / 200).
    stems = [f"{number:04}" for number in range(200)]
    truth = make_truth({stem: [("cat", BOX)] for stem in stems})
    predictions = {stem: HIT if index < 140 else EMPTY for index, stem in enumerate(stems)}
    draws = paired_bootstrap(truth, {"arm": predictions}, resamples=2000).arms["arm"].ap_draws
    assert draws.mean() == pytest.approx(0.7, abs=0.01)
    assert draws.std() == pytest.approx(math.sqrt(0.7 * 0.3 / 200), rel=0.06)


def test_intervals_hold_a_known_answer_as_often_as_they_say(make_truth):
    ap, difference = coverage(make_truth, experiments=50, n_pictures=50, resamples=200)
    assert ap >= 0.85
    assert difference >= 0.85


@pytest.mark.slow
def test_intervals_hold_a_known_answer_as_often_as_they_say_in_many_trials(make_truth):
    ap, difference = coverage(make_truth, experiments=300, n_pictures=100, resamples=400)
    assert 0.92 <= ap <= 0.98
    assert 0.92 <= difference <= 0.98


def test_a_draw_that_blur_made_better_has_no_share():
    fractions = recovered_fractions(np.array([0.4, 0.2, 0.1]), np.full(3, 0.2), np.full(3, 0.3))
    np.testing.assert_allclose(fractions, [0.5, np.nan, np.nan])


def test_boxes_of_one_score_are_ranked_as_pycocotools_ranks_them(make_truth, found):
    # Forty boxes of two scores: a sort that does not keep their order gives another AP.
    stems = [f"{number:02}" for number in range(40)]
    truth = make_truth({stem: [("cat", BOX)] for stem in stems})
    elsewhere = (70.0, 70.0, 90.0, 90.0)
    predictions = {
        stem: found(("cat", BOX if number % 3 else elsewhere, 0.5 + number % 2 / 4))
        for number, stem in enumerate(stems)
    }
    result = paired_bootstrap(truth, {"arm": predictions}, resamples=1)
    assert result.arms["arm"].ap == pytest.approx(score(truth, predictions).ap, abs=1e-9)


def made_matches(n_pictures: int, n_boxes: int) -> ClassMatches:
    """Matches of one class: a hit is one at all thresholds up to some, a tenth of the other boxes do not count."""
    generator = np.random.default_rng(3)
    thresholds = np.arange(10)[:, None]
    hits = thresholds < generator.integers(-10, 11, n_boxes)
    counted = hits | (generator.random(n_boxes) < 0.9)
    pictures = generator.integers(0, n_pictures, n_boxes)
    positives = np.bincount(pictures[hits[0]], minlength=n_pictures) + 1
    return ClassMatches(np.linspace(1, 0, n_boxes), pictures, hits, counted, positives)


@pytest.mark.parametrize(("cells", "ranks"), [(1, 1), (500, 1), (2_000, 7), (20_000, 64), (2**21, 1)])
def test_figures_are_the_same_to_the_bit_in_blocks_of_any_size(monkeypatch, cells, ranks):
    matches, copies = made_matches(60, 700), draw_copies(60, 41, seed=2)
    monkeypatch.setattr(bootstrap, "_CELLS", 2**40)
    at_once, present = class_average_precision(matches, copies)
    assert present.all()
    assert 0 < at_once.min() < at_once.max() < 1
    monkeypatch.setattr(bootstrap, "_CELLS", cells)
    monkeypatch.setattr(bootstrap, "_RANKS", ranks)
    np.testing.assert_array_equal(class_average_precision(matches, copies)[0], at_once)


def test_boxes_are_added_up_in_blocks_as_one_by_one(monkeypatch):
    monkeypatch.setattr(bootstrap, "_CELLS", 1)
    monkeypatch.setattr(bootstrap, "_RANKS", 3)
    matches, copies = made_matches(9, 80), draw_copies(9, 5, seed=1)
    ranks = np.array([0, 4, 5, 6, 30, 31, 70])
    boxes = np.flatnonzero(matches.counted[0])
    expected = [copies[matches.pictures[boxes[boxes <= rank]]].sum(axis=0) for rank in ranks]
    np.testing.assert_array_equal(bootstrap._copies_up_to(ranks, boxes, matches.pictures, copies), expected)
    none = bootstrap._copies_up_to(ranks, boxes[:0], matches.pictures, copies)
    np.testing.assert_array_equal(none, np.zeros((7, 5)))


def test_memory_does_not_grow_with_pictures_times_hits():
    n_pictures, n_boxes = 20_000, 40_000
    matches, copies = made_matches(n_pictures, n_boxes), draw_copies(n_pictures, 8, seed=0)
    n_hits = int(matches.hits[0].sum())
    tracemalloc.start()
    class_average_precision(matches, copies)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_pictures * n_hits > 3e8  # 4 bytes and 8 of each would be 4 GB
    assert peak < 120e6
