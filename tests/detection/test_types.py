from __future__ import annotations

import numpy as np
import pytest

from detection.types import Detections, Detector

BOXES = np.array([[0, 0, 10, 10], [5, 5, 9, 8], [1, 2, 1, 2]], np.float32)
SCORES = np.array([0.9, 0.5, 0.5], np.float32)
NAMES = ("person", "bus", "person")


def test_keeps_what_it_is_given_as_float32() -> None:
    found = Detections(BOXES.astype(np.float64), SCORES.astype(np.float64), NAMES)
    assert len(found) == 3
    assert found.boxes.dtype == found.scores.dtype == np.float32
    np.testing.assert_array_equal(found.boxes, BOXES)
    assert found.class_names == NAMES


def test_empty_has_the_right_shapes() -> None:
    nothing = Detections.empty()
    assert len(nothing) == 0
    assert nothing.boxes.shape == (0, 4)
    assert nothing.scores.shape == (0,)
    assert len(nothing.select(confidence=0.5, classes=["person"])) == 0


@pytest.mark.parametrize(
    ("boxes", "scores", "names"),
    [
        (BOXES[:, :3], SCORES, NAMES),
        (BOXES[0], SCORES[:1], NAMES[:1]),
        (BOXES, SCORES[:2], NAMES),
        (BOXES, SCORES[:, None], NAMES),
        (BOXES, SCORES, NAMES[:2]),
        (BOXES[:, [2, 1, 0, 3]], SCORES, NAMES),
        (BOXES[:, [0, 3, 2, 1]], SCORES, NAMES),
        (BOXES * np.float32(np.nan), SCORES, NAMES),
        (BOXES, SCORES * np.float32(np.nan), NAMES),
        (BOXES, SCORES + 1, NAMES),
        (BOXES, -SCORES, NAMES),
        (BOXES, SCORES[::-1], NAMES),
    ],
)
def test_refuses_what_does_not_fit(boxes: np.ndarray, scores: np.ndarray, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"boxes|scores"):
        Detections(boxes, scores, names)


def test_ordered_sorts_best_first_and_keeps_ties_in_order() -> None:
    found = Detections.ordered(BOXES, [0.5, 0.9, 0.5], ["first", "best", "second"])
    assert found.class_names == ("best", "first", "second")
    np.testing.assert_array_equal(found.boxes, BOXES[[1, 0, 2]])
    # Some sorts keep the order of a few equal scores and not that of many.
    names = [str(number) for number in range(40)]
    many = Detections.ordered(np.tile(BOXES[:1], (40, 1)), [0.5, 0.9] * 20, names)
    assert many.class_names == (*names[1::2], *names[::2])
    assert len(Detections.ordered([], [], [])) == 0
    with pytest.raises(ValueError, match="2 class names"):
        Detections.ordered(BOXES, SCORES, NAMES[:2])
    with pytest.raises(ValueError, match=r"3 boxes, scores of shape \(3, 1\) and 3 class names"):
        Detections.ordered(BOXES, SCORES[:, None], NAMES)


def test_select_by_confidence_and_class() -> None:
    found = Detections(BOXES, SCORES, NAMES)
    assert found.select().class_names == NAMES
    assert found.select(confidence=0.5).class_names == NAMES
    assert found.select(confidence=0.51).class_names == ("person",)
    for score in (0.7, np.float64(0.7), np.float32(0.7)):
        assert len(Detections(BOXES[:1], [0.7], NAMES[:1]).select(confidence=score)) == 1
    assert found.select(classes={"person"}).scores.tolist() == pytest.approx([0.9, 0.5])
    assert len(found.select(classes=[])) == 0
    with pytest.raises(TypeError, match="a list of names, not the one name 'person'"):
        found.select(classes="person")


def test_a_class_with_the_members_is_a_detector() -> None:
    class Blind:
        name = "blind"
        sha256 = "0" * 64
        class_names = ("person",)

        def __call__(self, pictures: list[np.ndarray]) -> list[Detections]:
            return [Detections.empty() for _ in pictures]

    detector: Detector = Blind()
    assert isinstance(detector, Detector)
    assert not isinstance(object(), Detector)


def test_mirroring_exchanges_left_and_right() -> None:
    found = Detections(BOXES, SCORES, NAMES)
    np.testing.assert_array_equal(found.mirrored(10).boxes, [[0, 0, 10, 10], [1, 5, 5, 8], [9, 2, 9, 2]])
    np.testing.assert_array_equal(found.mirrored(10).mirrored(10).boxes, found.boxes)
    assert (found.mirrored(10).scores == found.scores).all()
    np.testing.assert_array_equal(found.boxes, BOXES)
