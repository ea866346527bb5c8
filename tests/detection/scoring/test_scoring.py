"""COCO scores against cases worked by hand and against pycocotools called directly."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from detection.annotations.coco import read_coco
from detection.annotations.voc import read_voc, write_voc
from detection.consistency import consistency
from detection.errors import DetectionError
from detection.matching import silence
from detection.picture_scores import score_pictures
from detection.predictions import load_predictions, read_results, save_predictions
from detection.scoring import FIGURES, CocoScores, score
from detection.types import Detections
from tests.threads import entered_by_two

if TYPE_CHECKING:
    from pathlib import Path

    from detection.annotations.records import GroundTruth

BOX = (10.0, 10.0, 60.0, 60.0)
ELSEWHERE = (70.0, 70.0, 90.0, 90.0)
EMPTY = Detections.empty()


def figures(scores: CocoScores) -> dict[str, float | None]:
    return {name: getattr(scores, name) for name in FIGURES}


def by_pycocotools(annotations: Path, results: Path, image_ids: list[int]) -> list[float]:
    """The 12 figures, straight from the library on the two files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        judge = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        judge.params.imgIds = image_ids
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats.tolist()


@pytest.fixture(scope="module")
def thirty(shared: Path) -> GroundTruth:
    path = shared / "data" / "coco_eval" / "instances.json"
    names = [category["name"] for category in json.loads(path.read_text())["categories"]]
    truth = read_coco(path, names)
    return truth.subset(truth.stems[:30])


def test_perfect_boxes_score_one(make_truth, found):
    scores = score(make_truth({"a": [("cat", BOX)]}), {"a": found(("cat", BOX, 0.9))})
    assert (scores.ap, scores.ap50, scores.ar) == pytest.approx((1.0, 1.0, 1.0))
    assert scores.per_class == {"cat": pytest.approx(1.0), "dog": None}
    assert scores.ap_small is None
    assert (scores.n_pictures, scores.n_truths, scores.n_predictions) == (1, 1, 1)


def test_a_box_in_one_picture_never_matches_an_object_of_another(make_truth, found):
    # Pooling the boxes of all pictures, as the authors' script does, gives 1.0 here.
    truth = make_truth({"a": [("cat", BOX)], "b": []})
    scores = score(truth, {"a": EMPTY, "b": found(("cat", BOX, 0.9))})
    assert (scores.ap, scores.ar, scores.n_predictions) == (0.0, 0.0, 1)


def test_a_false_box_ranked_first_halves_precision(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)]})
    scores = score(truth, {"a": found(("cat", ELSEWHERE, 0.95), ("cat", BOX, 0.9))})
    assert scores.ap == pytest.approx(0.5)


def test_a_false_box_on_a_picture_without_truth_counts(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)], "b": []})
    with_false = score(truth, {"a": found(("cat", BOX, 0.9)), "b": found(("cat", ELSEWHERE, 0.95))})
    assert with_false.ap == pytest.approx(0.5)
    assert score(truth.subset(["a"]), {"a": found(("cat", BOX, 0.9))}).ap == pytest.approx(1.0)


def test_a_second_box_on_one_object_is_false(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)], "b": [("cat", BOX)]})
    scores = score(truth, {"a": found(("cat", BOX, 0.9), ("cat", BOX, 0.8)), "b": found(("cat", BOX, 0.7))})
    # Precision 1 up to recall .5 (51 of 101 levels), then 2/3.
    assert scores.ap == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_box_of_the_wrong_class_is_no_hit(make_truth, found):
    scores = score(make_truth({"a": [("cat", BOX)]}), {"a": found(("dog", BOX, 0.9))})
    assert scores.per_class == {"cat": 0.0, "dog": None}
    assert scores.ap == 0.0


def test_overlap_decides_at_how_many_thresholds_a_box_hits(make_truth, found):
    # 77 of 100 pixels wide: IoU .77, a hit at .50 to .75, which is 6 of the 10 thresholds.
    truth = make_truth({"a": [("cat", (0.0, 0.0, 100.0, 100.0))]})
    scores = score(truth, {"a": found(("cat", (0.0, 0.0, 77.0, 100.0), 0.9))})
    assert (scores.ap, scores.ap50, scores.ap75) == pytest.approx((0.6, 1.0, 1.0))


def test_a_confidence_cut_off_lowers_ap(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)], "b": [("cat", BOX)]})
    every = {"a": found(("cat", BOX, 0.9)), "b": found(("cat", BOX, 0.1))}
    assert score(truth, every).ap == pytest.approx(1.0)
    cut = {stem: boxes.select(confidence=0.25) for stem, boxes in every.items()}
    assert score(truth, cut).ap == pytest.approx(51 / 101)
    assert score(truth, {stem: boxes.select(confidence=0.1) for stem, boxes in every.items()}).ap == pytest.approx(1.0)


def test_only_the_best_hundred_boxes_of_a_picture_and_class_count(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)]})
    false = [("cat", ELSEWHERE, 0.9)] * 99
    assert score(truth, {"a": found(*false, ("cat", BOX, 0.5))}).ap == pytest.approx(0.01)
    assert score(truth, {"a": found(*false, ("cat", ELSEWHERE, 0.9), ("cat", BOX, 0.5))}).ap == 0.0


def test_nothing_found_is_zero_and_no_truth_is_null(make_truth):
    nothing = score(make_truth({"a": [("cat", BOX)]}), {"a": EMPTY})
    assert (nothing.ap, nothing.ar, nothing.n_predictions) == (0.0, 0.0, 0)
    no_truth = score(make_truth({"a": []}), {"a": EMPTY})
    assert set(figures(no_truth).values()) == {None}
    assert (no_truth.n_pictures, no_truth.n_truths) == (1, 0)
    assert no_truth.curve.precision is None


def test_no_truth_is_null_also_with_boxes(make_truth, found):
    scores = score(make_truth({"a": []}), {"a": found(("cat", BOX, 0.9))})
    assert scores.ap is None
    assert scores.n_predictions == 1


@pytest.mark.parametrize("mark", ["difficult", "iscrowd"])
@pytest.mark.parametrize("backend", ["pycocotools", "faster-coco-eval"])
def test_ignored_objects_are_neither_missed_nor_falsely_found(make_truth, found, mark, backend):
    if backend == "faster-coco-eval":
        pytest.importorskip("faster_coco_eval")
    plain = make_truth({"a": [("cat", BOX)], "b": []})
    marked = make_truth({"a": [], "b": [("cat", BOX)]}, **{mark: True})
    truth = replace(plain, objects={"a": plain.objects["a"], "b": marked.objects["b"]})
    seen = score(truth, {"a": found(("cat", BOX, 0.8)), "b": found(("cat", BOX, 0.9))}, backend=backend)
    unseen = score(truth, {"a": found(("cat", BOX, 0.8)), "b": EMPTY}, backend=backend)
    assert seen.ap == unseen.ap == pytest.approx(1.0)
    assert (seen.n_truths, seen.n_ignored) == (1, 1)
    often = found(*(("cat", BOX, 0.9 + place / 100) for place in range(3)))
    thrice = score(truth, {"a": found(("cat", BOX, 0.8)), "b": often}, backend=backend)
    assert thrice.ap == pytest.approx(1.0), "as often as it is found"
    most = found(*(("cat", BOX, 0.85 + place / 1000) for place in range(100)))  # that are looked at in a picture
    assert score(truth, {"a": found(("cat", BOX, 0.8)), "b": most}, backend=backend).ap == pytest.approx(1.0)
    assert (thrice.n_truths, thrice.n_ignored) == (1, 1)
    beside = score(truth, {"a": found(("cat", BOX, 0.8)), "b": found(("cat", ELSEWHERE, 0.9))}, backend=backend)
    assert beside.ap == pytest.approx(0.5)


def test_a_box_inside_a_difficult_object_is_judged_by_iou(make_truth, found):
    # As a crowd region, whose overlap is the share of the box inside, it would be ignored.
    plain = make_truth({"a": [("cat", BOX)], "b": []})
    marked = make_truth({"a": [], "b": [("cat", (0.0, 0.0, 100.0, 100.0))]}, difficult=True)
    truth = replace(plain, objects={"a": plain.objects["a"], "b": marked.objects["b"]})
    scores = score(truth, {"a": found(("cat", BOX, 0.8)), "b": found(("cat", (0.0, 0.0, 30.0, 30.0), 0.9))})
    assert scores.ap == pytest.approx(0.5)


def test_annotation_number_zero_still_matches(tmp_path, found):
    content = {
        "images": [{"id": 0, "file_name": "a.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 0, "name": "cat"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "bbox": [10, 10, 50, 50], "iscrowd": 0}],
    }
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(content))
    truth = read_coco(path, ["cat"])
    assert truth.report["renumbered_annotations"] == 1
    assert score(truth, {"a": found(("cat", BOX, 0.9))}).ap == pytest.approx(1.0)


def test_a_class_subset_restricts_truth_and_predictions(make_truth, found):
    truth = make_truth({"a": [("cat", BOX), ("dog", ELSEWHERE)]})
    predictions = {"a": found(("cat", BOX, 0.8), ("dog", BOX, 0.9))}
    assert score(truth, predictions).ap == pytest.approx(0.5)
    cats = score(truth, predictions, classes=["cat"])
    assert cats.ap == pytest.approx(1.0)
    assert (cats.n_truths, cats.n_predictions, set(cats.per_class)) == (1, 1, {"cat"})
    with pytest.raises(TypeError, match="classes is a list of names, not the one name 'cat'"):
        score(truth, predictions, classes="cat")


def test_a_picture_subset_leaves_the_others_out(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)], "b": [("cat", BOX)]})
    predictions = {"a": found(("cat", BOX, 0.8)), "b": found(("cat", ELSEWHERE, 0.9))}
    with pytest.raises(TypeError, match="a choice of pictures is a list of names, not the one name 'a'"):
        score(truth, predictions, picture_keys="a")
    scores = score(truth, predictions, picture_keys=["a"])
    assert scores.ap == pytest.approx(1.0)
    assert (scores.n_pictures, scores.n_truths, scores.n_predictions) == (1, 1, 1)


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        ({"a": EMPTY}, {}, "1 of 2 pictures have no predictions, the first b"),
        ({"a": EMPTY, "b": EMPTY, "c": EMPTY}, {}, "predictions for 1 pictures without annotation, the first c"),
        ({"a": EMPTY, "b": EMPTY}, {"classes": ["horse"]}, r"\['horse'\] are not among"),
        ({"a": EMPTY, "b": EMPTY}, {"classes": ["cat", "horse"]}, r"\['horse'\] are not among"),
        ({"a": EMPTY, "b": EMPTY}, {"classes": []}, "nothing to score"),
        ({"a": EMPTY, "b": EMPTY}, {"picture_keys": []}, "nothing to score"),
        ({"a": EMPTY, "b": EMPTY}, {"picture_keys": ["d"]}, "d is not among the 2 annotated pictures"),
        ({"a": EMPTY, "b": EMPTY}, {"backend": "mine"}, "no scoring backend 'mine'"),
        ({"a": Detections.ordered([BOX], [0.5], ["horse"]), "b": EMPTY}, {}, "on a has the class 'horse'"),
    ],
)
def test_gaps_in_the_maps_are_errors(make_truth, predictions, options, message):
    with pytest.raises(DetectionError, match=message):
        score(make_truth({"a": [("cat", BOX)], "b": []}), predictions, **options)


def test_stdout_stays_clean(make_truth, capsys):
    score(make_truth({"a": [("cat", BOX)]}), {"a": EMPTY})
    assert capsys.readouterr().out == ""


def test_what_other_threads_print_meanwhile_arrives(capsys):
    with silence(), ThreadPoolExecutor(1) as pool:
        print("chatter")
        pool.submit(print, "of another thread").result()
        sys.stdout.flush()
    assert capsys.readouterr().out == "of another thread\n"


def test_several_threads_keep_one_at_a_time_off_stdout():
    stdout = sys.stdout
    entered_by_two(silence, lambda: None)
    assert sys.stdout is stdout


def test_order_of_pictures_and_of_equal_scores_does_not_matter(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)], "b": [("cat", BOX)], "c": []})
    rows = [("cat", BOX, 0.5), ("cat", ELSEWHERE, 0.5), ("dog", BOX, 0.5)]
    forward = {"a": found(*rows), "b": found(*rows), "c": found(*rows)}
    backward = {stem: found(*reversed(rows)) for stem in "cba"}
    shuffled = make_truth({"c": [], "b": [("cat", BOX)], "a": [("cat", BOX)]})
    assert score(truth, forward) == score(shuffled, backward)


def test_equal_to_pycocotools_on_the_files(thirty, perturb, shared, tmp_path):
    save_predictions(tmp_path / "predictions.json", thirty, perturb(thirty, seed=1))
    expected = by_pycocotools(
        shared / "data" / "coco_eval" / "instances.json",
        tmp_path / "predictions.json",
        [picture.image_id for picture in thirty.pictures],
    )
    scores = score(thirty, load_predictions(tmp_path / "predictions.json", thirty))
    assert 0.1 < scores.ap < 0.9
    assert list(figures(scores).values()) == pytest.approx(expected, abs=1e-12)
    assert scores.n_pictures == 30


def test_the_fast_backend_gives_the_same_figures(thirty, perturb):
    pytest.importorskip("faster_coco_eval")
    predictions = perturb(thirty, seed=2)
    slow, fast = (score(thirty, predictions, backend=name) for name in ("pycocotools", "faster-coco-eval"))
    assert figures(fast) == pytest.approx(figures(slow), abs=1e-9)
    assert fast.per_class == pytest.approx(slow.per_class, abs=1e-9)
    assert fast.curve.precision50 == pytest.approx(slow.curve.precision50, abs=1e-9)


def test_voc_and_coco_files_give_the_same_figures(thirty, perturb, tmp_path):
    write_voc(thirty, tmp_path / "voc")
    from_voc = read_voc(tmp_path / "voc", thirty.class_names)
    (tmp_path / "truth.json").write_text(json.dumps(from_voc.to_coco()))
    from_both = read_coco(tmp_path / "truth.json", thirty.class_names)
    predictions = perturb(thirty, seed=3)
    once = score(thirty, predictions)
    assert figures(score(from_voc, predictions)) == pytest.approx(figures(once), abs=1e-12)
    assert figures(score(from_both, predictions)) == pytest.approx(figures(once), abs=1e-12)


def test_the_curve_averages_to_ap(thirty, perturb):
    scores = score(thirty, perturb(thirty, seed=4))
    assert len(scores.curve.recall) == 101
    assert sum(scores.curve.precision) / 101 == pytest.approx(scores.ap)
    assert sum(scores.curve.precision50) / 101 == pytest.approx(scores.ap50)


def test_the_curve_at_half_overlap_is_of_that_overlap_alone(make_truth, found):
    truth = make_truth({"a": [("cat", (0.0, 0.0, 100.0, 100.0))]})
    curve = score(truth, {"a": found(("cat", (0.0, 0.0, 52.0, 100.0), 0.9))}).curve
    assert curve.precision50 == pytest.approx([1.0] * 101)
    assert curve.precision == pytest.approx([0.1] * 101)


def test_scores_are_json_without_nan(make_truth):
    scores = score(make_truth({"a": []}), {"a": EMPTY})
    content = json.loads(json.dumps(asdict(scores), allow_nan=False))
    assert content["ap"] is None
    assert content["per_class"] == {"cat": None, "dog": None}
    assert content["curve"]["precision"] is None


def test_saved_predictions_come_back_the_same(thirty, perturb, tmp_path):
    predictions = perturb(thirty, seed=5)
    predictions[thirty.stems[3]] = EMPTY
    save_predictions(str(tmp_path / "p.json"), thirty, predictions)
    again = load_predictions(str(tmp_path / "p.json"), thirty)
    assert list(again) == list(thirty.stems)
    for stem, boxes in predictions.items():
        assert (again[stem].boxes == boxes.boxes).all()
        assert (again[stem].scores == boxes.scores).all()
        assert again[stem].class_names == boxes.class_names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "a list is needed"),
        ("[1]", r"\[0\] is not a mapping"),
        ('[{"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]', "picture 9 is not in the truth"),
        ('[{"image_id": 1, "category_id": 99, "bbox": [0, 0, 1, 1], "score": 0.5}]', "class 99 is not in the truth"),
        ('[{"image_id": "c", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]', "picture c is not in the truth"),
        ('[{"image_id": "", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]', "'', not a whole number"),
        ('[{"image_id": 1.5, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]', "1.5, not a whole number"),
        ('[{"image_id": 1, "category_id": true, "bbox": [0, 0, 1, 1], "score": 0.5}]', "True, not a whole number"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1e39, 1], "score": 0.5}]', "all finite"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 93.5}]', "score is from 0 to 1"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1], "score": 0.5}]', "all finite"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, NaN], "score": 0.5}]', "all finite"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, -1, 1], "score": 0.5}]', "not negative"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, -1], "score": 0.5}]', "not negative"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}]', "all finite"),
        ("[", "is not JSON"),
    ],
)
def test_a_bad_results_file_is_one_clear_line(make_truth, tmp_path, content, message):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(DetectionError, match=message) as caught:
        load_predictions(tmp_path / "p.json", make_truth({"a": []}))
    assert "\n" not in str(caught.value)


def test_a_results_file_is_of_the_pictures_that_were_looked_at(make_truth, found, tmp_path):
    truth = make_truth({"a": [("cat", BOX)], "b": [("cat", BOX)]})
    save_predictions(tmp_path / "p.json", truth, {"a": found(("cat", BOX, 0.9))})
    assert set(load_predictions(tmp_path / "p.json", truth)) == {"a", "b"}
    looked_at = load_predictions(tmp_path / "p.json", truth, ["a"])
    with pytest.raises(DetectionError, match="1 of 2 pictures have no predictions, the first b"):
        score(truth, looked_at)
    with pytest.raises(DetectionError, match="picture 1 is not in the truth"):
        load_predictions(tmp_path / "p.json", truth, ["b"])


def test_boxes_on_a_picture_that_nobody_annotated_are_not_left_out_in_silence(make_truth, found, tmp_path):
    predictions = {"a": EMPTY, "stranger": found(("cat", BOX, 0.9))}
    with pytest.raises(DetectionError, match="predictions for 1 pictures without annotation, the first stranger"):
        save_predictions(tmp_path / "p.json", make_truth({"a": []}), predictions)
    assert not (tmp_path / "p.json").exists()


def test_results_as_other_programs_write_them(make_truth, tmp_path):
    truth = make_truth({"a": [("cat", BOX)], "b": []})
    (first, second), number = (picture.image_id for picture in truth.pictures), truth.category_ids["cat"]
    box = {"bbox": [10, 20, 30, 40], "score": 0.5, "segmentation": {"size": [9, 9], "counts": "x"}}
    entries = [
        {"id": 7, "image_id": float(first), "category_id": float(number), "area": 1, **box},
        {"image_id": 900, "category_id": number, **box},
        {"image_id": second, "category_id": 99, **box},
        {"image_id": 900, "category_id": 99, **box},
    ]
    (tmp_path / "p.json").write_text(json.dumps(entries))
    results = read_results(tmp_path / "p.json", truth)
    assert results.found["a"].boxes.tolist() == [[10, 20, 40, 60]]
    assert results.found["a"].class_names == ("cat",)
    assert len(results.found["b"]) == 0
    assert (results.other_pictures, results.other_classes) == ({900: 2}, {99: 1})
    (tmp_path / "p.json").write_text(json.dumps(entries[:1]))
    assert load_predictions(tmp_path / "p.json", truth)["a"].scores.tolist() == [0.5]


def _read_pictures(tmp_path, truth, entries):
    """The stems whose boxes were read, by their scores, and the other pictures."""
    number = truth.category_ids["cat"]
    whole = [
        {**entry, "category_id": number, "bbox": [10, 20, 30, 40], "score": index / 8}
        for index, entry in enumerate(entries)
    ]
    (tmp_path / "p.json").write_text(json.dumps(whole))
    results = read_results(tmp_path / "p.json", truth)
    assert not results.other_classes
    stems = {score: stem for stem, found in results.found.items() for score in found.scores.tolist()}
    return [stems.get(index / 8) for index in range(len(entries))], results.other_pictures


def test_a_results_file_may_call_pictures_by_their_names(make_truth, tmp_path):
    truth = make_truth({"a.b": [("cat", BOX)], "day/c": [], "day/d": [], "night/d": []})
    called = ["a.b", "a.b.png", "c", "day/c.jpg", "night/d", "d", "a"]
    read, others = _read_pictures(tmp_path, truth, [{"image_id": name} for name in called])
    assert read == ["a.b", "a.b", "day/c", "day/c", "night/d", None, None]
    assert others == {"d": 1, "a": 1}
    both = make_truth({"a": [("cat", BOX)], "a.b": []})
    assert _read_pictures(tmp_path, both, [{"image_id": name} for name in called[:2]]) == (["a.b", "a.b"], {})


def test_numbers_that_were_made_of_names_are_not_those_of_the_annotations(make_truth, tmp_path):
    """As ultralytics writes them: of ``2.png`` the number is 2, whichever the annotations give it."""
    truth = make_truth({"2": [("cat", BOX)], "3": [], "x": []})
    assert [picture.image_id for picture in truth.pictures] == [1, 2, 3]
    entries = [{"image_id": int(stem), "file_name": f"{stem}.png"} for stem in ("2", "3", "1")]
    assert _read_pictures(tmp_path, truth, entries) == (["2", "3", None], {"1.png": 1})
    mixed = [{"image_id": 2, "file_name": "2.png"}, {"image_id": "x", "file_name": "x.png"}, {"image_id": 3}]
    assert _read_pictures(tmp_path, truth, mixed) == (["2", "x", "3"], {})


def test_a_number_in_a_file_that_goes_by_names_is_a_name_of_digits(make_truth, tmp_path):
    truth = make_truth({"0007": [("cat", BOX)], "day/2": [], "night/2": [], "abc": [], "day/11": []})
    entries = [{"image_id": called} for called in ("abc", 7, 2, 1, 11)]
    assert _read_pictures(tmp_path, truth, entries) == (["abc", "0007", None, None, "day/11"], {2: 1, 1: 1})


def test_a_name_that_folders_share_contradicts_no_number(make_truth, tmp_path):
    truth = make_truth({"1": [("cat", BOX)], "sub/1": [], "sub/2": []})
    entries = [{"image_id": index, "file_name": name} for index, name in enumerate(("1.jpg", "1.jpg", "2.jpg"), 1)]
    assert _read_pictures(tmp_path, truth, entries) == (["1", "sub/1", "sub/2"], {})


def test_a_name_without_folders_is_of_the_top_only_where_the_file_tells_folders(make_truth, tmp_path):
    truth = make_truth({"1": [("cat", BOX)], "sub/1": [], "sub/2": []})
    told = [{"image_id": name} for name in ("1", "sub/1", "2")]
    assert _read_pictures(tmp_path, truth, told) == (["1", "sub/1", "sub/2"], {})
    assert _read_pictures(tmp_path, truth, [told[0], told[2]]) == ([None, "sub/2"], {"1": 1})


def test_a_name_that_no_annotated_picture_has_leaves_the_number_to_tell(make_truth, tmp_path):
    truth = make_truth({"a": [("cat", BOX)], "b": []})
    entries = [
        {"image_id": 1, "file_name": "a_restored.png"},
        {"image_id": 2, "file_name": "b.png"},
        {"image_id": 9, "file_name": None},
    ]
    assert _read_pictures(tmp_path, truth, entries) == (["a", "b", None], {9: 1})
    deeper = make_truth({"day/c": [("cat", BOX)], "day/d": []})
    entries = [{"image_id": 1, "file_name": "day/c.png"}, {"image_id": 2}]
    assert _read_pictures(tmp_path, deeper, entries) == (["day/c", "day/d"], {})


def test_picture_scores_by_hand(make_truth, found):
    truth = make_truth({"a": [("cat", BOX), ("cat", ELSEWHERE)], "b": [], "c": [], "d": [("cat", (0, 0, 100, 100))]})
    predictions = {
        "a": found(("cat", BOX, 0.9), ("dog", ELSEWHERE, 0.8), ("cat", ELSEWHERE, 0.2)),
        "b": EMPTY,
        "c": found(("cat", BOX, 0.3)),
        "d": found(("cat", (0.0, 0.0, 77.0, 100.0), 0.25)),
    }
    scores = score_pictures(truth, predictions, classes=("cat", "dog"))
    assert scores["a"].f1 == pytest.approx(2 * 1 / (2 + 2))
    assert (scores["a"].n_truths, scores["a"].n_boxes, scores["a"].n_hits) == (2, 2, 1)
    assert scores["b"].f1 == 1.0
    assert scores["c"].f1 == 0.0
    assert scores["d"].f1 == pytest.approx(0.6)


def test_hits_and_boxes_of_a_picture_are_counted_at_half_overlap(make_truth, found):
    whole = [("cat", (0.0, 0.0, 100.0, 100.0))]
    near = {"a": found(("cat", (0.0, 0.0, 77.0, 100.0), 0.9))}
    score_of = score_pictures(make_truth({"a": whole}), near)["a"]
    assert (score_of.n_boxes, score_of.n_hits) == (1, 1)
    # At stricter overlaps than .75 it lies on no difficult object and is a false box.
    on_difficult = score_pictures(make_truth({"a": whole}, difficult=True), near)["a"]
    assert (on_difficult.n_boxes, on_difficult.n_hits) == (0, 0)


def test_each_picture_has_its_own_score_whatever_numbers_the_file_gives(tmp_path, found):
    numbers = {"a": 9, "b": 1}
    content = {
        "images": [
            {"id": number, "file_name": f"{stem}.jpg", "width": 100, "height": 100} for stem, number in numbers.items()
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": [10, 10, 50, 50]}
            for number in numbers.values()
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    truth = read_coco(tmp_path / "truth.json", ["cat"])
    scores = score_pictures(truth, {"a": found(("cat", BOX, 0.9)), "b": EMPTY})
    assert {stem: each.f1 for stem, each in scores.items()} == {"a": 1, "b": 0}


def test_boxes_of_classes_that_nobody_annotated_are_not_false(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)]})
    predictions = {"a": found(("cat", BOX, 0.9), ("dog", ELSEWHERE, 0.8))}
    told = replace(truth, report={"classes_not_annotated": [name for name in truth.class_names if name != "cat"]})
    assert score_pictures(told, predictions)["a"].f1 == 1
    assert score_pictures(told, predictions, classes=["cat", "dog"])["a"].f1 == pytest.approx(2 / 3)


def test_a_detector_is_consistent_with_itself(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)], "b": []})
    sharp = {"a": found(("dog", ELSEWHERE, 0.9), ("dog", BOX, 0.1)), "b": found(("cat", BOX, 0.25))}
    same = consistency(truth, sharp, sharp)
    assert same.consistency == pytest.approx(1.0)
    assert (same.n_pictures, same.n_references, same.n_predictions) == (2, 2, 3)
    # The truth's own cat is no part of it: finding it on the restored picture only is a false box.
    other = consistency(truth, sharp, {"a": found(("cat", BOX, 0.9)), "b": found(("cat", BOX, 0.8))})
    assert other.consistency == pytest.approx(0.25)
    assert not {"ap", "map"} & set(asdict(other))


def test_consistency_at_half_overlap_takes_any_box_that_overlaps_by_half(make_truth, found):
    truth = make_truth({"a": []})
    sharp, restored = (found(("cat", (0.0, 0.0, width, 100.0), 0.9)) for width in (100.0, 62.0))
    agreement = consistency(truth, {"a": sharp}, {"a": restored})
    # IoU .62: a hit at .50, .55 and .60 of the ten thresholds.
    assert (agreement.consistency, agreement.consistency50) == pytest.approx((0.3, 1))


def test_consistency_and_picture_scores_are_of_the_classes_and_pictures_that_are_chosen(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)], "b": [("dog", BOX)]})
    sharp = {"a": found(("cat", BOX, 0.9)), "b": found(("dog", BOX, 0.4))}
    restored = {"a": found(("cat", BOX, 0.9)), "b": EMPTY}
    assert consistency(truth, sharp, restored).consistency == pytest.approx(0.5)
    for chosen in ({"classes": ["cat"]}, {"picture_keys": ["a"]}, {"confidence": 0.5}):
        agreement = consistency(truth, sharp, restored, **chosen)
        assert agreement.consistency == pytest.approx(1)
        assert (agreement.n_references, agreement.n_pictures) == (1, 1 if "picture_keys" in chosen else 2)
        assert agreement.confidence == chosen.get("confidence", 0.25)
    assert set(score_pictures(truth, restored, picture_keys=["b"])) == {"b"}


def test_consistency_without_sharp_boxes_is_null(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)]})
    assert consistency(truth, {"a": EMPTY}, {"a": found(("cat", BOX, 0.9))}).consistency is None
    with pytest.raises(DetectionError, match="no sharp predictions, the first a"):
        consistency(truth, {}, {"a": EMPTY})
    with pytest.raises(DetectionError, match="without annotation, the first stranger"):
        consistency(truth, {"a": EMPTY}, {"a": EMPTY, "stranger": EMPTY})


def test_every_class_has_its_own_score_whatever_numbers_the_file_gives(tmp_path, found):
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
        "categories": [{"id": 9, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 9, "bbox": [10, 10, 50, 50]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [70, 70, 20, 20]},
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    scores = score(read_coco(tmp_path / "truth.json", ["cat", "dog"]), {"a": found(("cat", BOX, 0.9))})
    assert scores.per_class == {"cat": pytest.approx(1.0), "dog": 0.0}


def test_sharp_boxes_without_area_are_no_reference(make_truth, found):
    truth = make_truth({"a": [("cat", BOX)]})
    sharp = {"a": found(("cat", BOX, 0.9), ("cat", (70.0, 70.0, 70.0, 90.0), 0.8), ("cat", (5.0, 5.0, 9.0, 5.0), 0.7))}
    same = consistency(truth, sharp, {"a": found(("cat", BOX, 0.9))})
    assert (same.consistency, same.n_references) == (pytest.approx(1.0), 1)
    surest = {"a": found(("dog", (70.0, 70.0, 70.0, 90.0), 0.95), ("cat", BOX, 0.9))}  # the others keep their names
    assert consistency(truth, surest, {"a": found(("cat", BOX, 0.9))}).consistency == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [-0.1, 1.5])
def test_a_score_outside_0_to_1_is_named(make_truth, tmp_path, wrong):
    entry = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": wrong}
    (tmp_path / "p.json").write_text(json.dumps([entry]))
    with pytest.raises(DetectionError, match="score is from 0 to 1"):
        load_predictions(tmp_path / "p.json", make_truth({"a": []}))
