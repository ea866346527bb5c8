"""COCO scores against cases worked by hand and against pycocotools called directly."""

from __future__ import annotations

import numpy as np
import pytest

from detection.annotations.builder import TruthBuilder
from detection.annotations.records import GroundTruth
from detection.errors import DetectionError
from detection.scoring import score
from detection.types import Detections

NAMES = ("cat", "dog")
BOX = (10.0, 10.0, 60.0, 60.0)


def truth_of(objects: dict[str, list[tuple]], difficult: bool = False) -> GroundTruth:
    builder = TruthBuilder("made up", "coco", NAMES, repair=False)
    for stem, rows in objects.items():
        builder.add_picture(f"{stem}.jpg", 100, 100)
        for name, box in rows:
            builder.add_object(stem, name, box, difficult=difficult)
    return builder.finish(strict=True)


def found(*rows: tuple) -> Detections:
    return Detections.ordered([row[1] for row in rows], [row[2] for row in rows], [row[0] for row in rows])


def test_perfect_boxes_score_one():
    scores = score(truth_of({"a": [("cat", BOX)]}), {"a": found(("cat", BOX, 0.9))})
    assert (scores.ap, scores.ap50, scores.ar) == pytest.approx((1.0, 1.0, 1.0))
    assert scores.per_class == {"cat": pytest.approx(1.0), "dog": None}
    assert scores.ap_small is None
    assert (scores.n_pictures, scores.n_truths, scores.n_predictions) == (1, 1, 1)


def test_a_box_in_one_picture_never_matches_an_object_of_another():
    # Pooling the boxes of both pictures, as the authors' script does, gives 1.0 here.
    truth = truth_of({"a": [("cat", BOX)], "b": []})
    scores = score(truth, {"a": Detections.empty(), "b": found(("cat", BOX, 0.9))})
    assert (scores.ap, scores.ar, scores.n_predictions) == (0.0, 0.0, 1)


def test_a_picture_without_predictions_is_an_error_not_an_empty_one():
    with pytest.raises(DetectionError, match=r"1 of 2 pictures have no predictions, the first b"):
        score(truth_of({"a": [], "b": []}), {"a": Detections.empty()})


def test_stdout_stays_clean(capsys: pytest.CaptureFixture[str]):
    score(truth_of({"a": [("cat", BOX)]}), {"a": Detections.empty()})
    assert capsys.readouterr().out == ""
