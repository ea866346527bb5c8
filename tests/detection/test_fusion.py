from __future__ import annotations

import cv2
import numpy as np
import pytest

from detection.fusion import EVEN_SHARE, RESTORED_SHARE, SMALLER, Looks, fuse, two_looks
from detection.types import Detections


def one(box: list[float], score: float, name: str = "car") -> Detections:
    return Detections.ordered([box], [score], [name])


def test_a_pair_is_the_weighted_mean_of_its_boxes() -> None:
    fused = fuse(one([0, 0, 10, 10], 0.6), one([2, 0, 12, 10], 0.2))
    np.testing.assert_allclose(fused.boxes, [[0.5, 0, 10.5, 10]], rtol=1e-6)
    assert fused.scores == pytest.approx([0.4])
    assert fused.class_names == ("car",)


@pytest.mark.parametrize(
    "other", [one([50, 0, 60, 10], 0.5), one([0, 0, 10, 10], 0.5, "bus"), one([0, 0, 10, 5.4], 0.5)]
)
def test_boxes_elsewhere_or_of_another_class_stay_apart_at_half_their_score(other: Detections) -> None:
    fused = fuse(one([0, 0, 10, 10], 0.8), other)
    np.testing.assert_array_equal(fused.boxes, np.concatenate([[[0, 0, 10, 10]], other.boxes]))
    assert fused.scores == pytest.approx([0.4, 0.25])
    assert fused.class_names == ("car", *other.class_names)


@pytest.mark.parametrize(("height", "objects"), [(5.4, 2), (5.6, 1)])
def test_an_overlap_of_more_than_55_percent_is_one_object(height: float, objects: int) -> None:
    assert len(fuse(one([0, 0, 10, 10], 0.8), one([0, 0, 10, height], 0.5))) == objects
    assert len(fuse(one([300, 200, 310, 210], 0.8), one([300, 200, 310, 200 + height], 0.5))) == objects, "anywhere"


@pytest.mark.parametrize("spread", [None, 0.0, 0.007])
@pytest.mark.parametrize(
    ("told", "believed", "looks"),
    [
        (True, None, Looks(True, EVEN_SHARE)),
        (True, 0.5, Looks(True, EVEN_SHARE)),
        (True, 0.499, Looks(False, RESTORED_SHARE)),
        (False, None, Looks(False, RESTORED_SHARE)),
        (False, 0.5, Looks(True, EVEN_SHARE)),
        (False, 0.499, Looks(False, RESTORED_SHARE)),
    ],
)
def test_both_looks_are_at_the_restored_picture_where_at_least_half_of_it_came_of_the_path(
    told: bool, believed: float | None, spread: float | None, looks: Looks
) -> None:
    assert two_looks(told=told, believed=believed, spread=spread) == looks
    assert looks.scale == 1


@pytest.mark.parametrize(
    ("told", "believed", "looks"),
    [
        (True, None, Looks(True, EVEN_SHARE)),
        (True, 0.5, Looks(True, EVEN_SHARE)),
        (True, 0.499, Looks(False, RESTORED_SHARE, SMALLER)),
        (False, None, Looks(False, RESTORED_SHARE, SMALLER)),
        (False, 0.5, Looks(True, EVEN_SHARE, SMALLER)),
        (False, 0.499, Looks(False, RESTORED_SHARE, SMALLER)),
    ],
)
def test_where_the_blur_is_long_what_no_given_path_made_is_looked_at_smaller(
    told: bool, believed: float | None, looks: Looks
) -> None:
    assert two_looks(told=told, believed=believed, spread=0.0071) == looks


def test_looks_are_those_that_results_were_made_with() -> None:
    # Figures in experiments/results hold for these alone: to change one is to measure them all anew.
    assert (RESTORED_SHARE, EVEN_SHARE, SMALLER) == (0.6, 0.5, 0.7)
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    smaller = cv2.resize(picture[:, ::-1].copy(), (42, 28), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(Looks(False, RESTORED_SHARE, SMALLER).second(picture)[6:34, 9:51], smaller)


def test_the_second_picture_is_a_mirror_image() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    second = Looks(True, EVEN_SHARE).second(picture)
    np.testing.assert_array_equal(second, picture[:, ::-1])
    assert second.flags.c_contiguous
    found = one([1, 2, 4, 6], 0.5)
    np.testing.assert_array_equal(Looks(True, EVEN_SHARE).back(found, 9, 6).boxes, [[5, 2, 8, 6]])


def test_a_smaller_second_picture_lies_in_the_middle_of_grey_and_its_boxes_come_back() -> None:
    looks = Looks(False, RESTORED_SHARE, 0.5)
    picture = np.full((40, 60, 3), 10, np.uint8)
    picture[8:20, 4:24] = 200  # an object near the left
    second = looks.second(picture)
    assert (second.shape, second.dtype, second.flags.c_contiguous) == (picture.shape, np.uint8, True)
    np.testing.assert_array_equal(second[10:30, 15:45], picture[::2, ::-2])
    second[10:30, 15:45] = 114
    assert (second == 114).all()
    # It lies there from 4 to 14 of 20, and from 30 - 12 to 30 - 2 of 30 since it is mirrored.
    found = one([15 + 18, 10 + 4, 15 + 28, 10 + 10], 0.5)
    np.testing.assert_allclose(looks.back(found, 60, 40).boxes, [[4, 8, 24, 20]])


def test_boxes_are_cut_to_the_smaller_picture_and_those_beside_it_left_out() -> None:
    found = Detections.ordered([[0, 0, 30, 40], [0, 0, 14, 40], [20, 31, 30, 40]], [0.9, 0.8, 0.7], ["a", "b", "c"])
    back = Looks(False, RESTORED_SHARE, 0.5).back(found, 60, 40)
    assert (back.class_names, back.scores.tolist()) == (("a",), pytest.approx([0.9]))
    np.testing.assert_allclose(back.boxes, [[30, 0, 60, 40]])
    assert len(Looks(False, RESTORED_SHARE, 0.5).back(Detections.empty(), 60, 40)) == 0


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 1), (7, 5), (641, 427)])
def test_boxes_around_smaller_pictures_of_any_size_come_back_around_the_whole(width: int, height: int) -> None:
    looks = Looks(False, RESTORED_SHARE, SMALLER)
    second = looks.second(np.zeros((height, width, 3), np.uint8))
    rows, columns = np.nonzero(second[..., 0] == 0)
    found = one([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], 0.5)
    np.testing.assert_allclose(looks.back(found, width, height).boxes, [[0, 0, width, height]], rtol=1e-5)


def test_neighbours_in_one_picture_are_not_fused_with_each_other() -> None:
    crowd = Detections.ordered([[0, 0, 10, 10], [1, 0, 11, 10]], [0.9, 0.7], ["person", "person"])
    alone = fuse(crowd, Detections.empty())
    np.testing.assert_array_equal(alone.boxes, crowd.boxes)
    assert alone.scores == pytest.approx([0.45, 0.35])
    seen_twice = fuse(crowd, crowd)
    np.testing.assert_array_equal(seen_twice.boxes, crowd.boxes)
    np.testing.assert_array_equal(seen_twice.scores, crowd.scores)


def test_the_surest_box_chooses_first_and_takes_what_overlaps_most() -> None:
    others = Detections.ordered([[3, 0, 13, 10], [1, 0, 11, 10]], [0.8, 0.4], ["car", "car"])
    fused = fuse(one([0, 0, 10, 10], 0.9), others)
    assert fused.scores == pytest.approx([0.65, 0.4])
    np.testing.assert_array_equal(fused.boxes[1], [3, 0, 13, 10])


def test_the_order_of_the_pictures_does_not_matter() -> None:
    generator = np.random.default_rng(0)

    def some(count: int) -> Detections:
        corner = generator.random((count, 2)) * 60
        boxes = np.concatenate([corner, corner + 20 + generator.random((count, 2)) * 20], 1)
        return Detections.ordered(
            boxes, generator.random(count), [str(each) for each in generator.integers(0, 3, count)]
        )

    first, second = some(40), some(30)
    there, back = fuse(first, second), fuse(second, first)
    assert 40 <= len(there) < 70
    np.testing.assert_allclose(there.boxes, back.boxes, rtol=1e-5)
    np.testing.assert_allclose(there.scores, back.scores)
    assert there.class_names == back.class_names


def test_boxes_with_no_score_at_all_are_fused_too() -> None:
    fused = fuse(one([0, 0, 10, 10], 0.0), one([0, 0, 10, 10], 0.0))
    np.testing.assert_array_equal(fused.boxes, [[0, 0, 10, 10]])
    assert fused.scores == pytest.approx([0])


def test_nothing_fused_with_nothing_is_nothing() -> None:
    assert len(fuse(Detections.empty(), Detections.empty())) == 0


def test_what_was_found_in_the_second_picture_alone_is_kept() -> None:
    two = Detections.ordered([[0, 0, 10, 10], [30, 0, 40, 10]], [0.9, 0.7], ["person", "car"])
    fused = fuse(Detections.empty(), two)
    np.testing.assert_array_equal(fused.boxes, two.boxes)
    assert fused.scores == pytest.approx([0.45, 0.35])


def test_a_pictures_share_weighs_its_scores() -> None:
    fused = fuse(one([0, 0, 10, 10], 0.5), one([2, 0, 12, 10], 0.5), 0.75)
    np.testing.assert_allclose(fused.boxes, [[1.5, 0, 11.5, 10]], rtol=1e-6)
    assert fused.scores == pytest.approx([0.5])
    apart = fuse(one([0, 0, 10, 10], 0.9), one([50, 0, 60, 10], 0.4), 0.75)
    np.testing.assert_array_equal(apart.boxes, [[50, 0, 60, 10], [0, 0, 10, 10]])
    assert apart.scores == pytest.approx([0.3, 0.225])


def test_weighed_scores_say_which_box_chooses_first() -> None:
    blurred = one([0, 0, 10, 10], 0.9)
    restored = Detections.ordered([[2, 0, 12, 10], [1, 0, 11, 10]], [0.8, 0.7], ["car", "car"])
    assert fuse(blurred, restored, 0.5).scores == pytest.approx([0.8, 0.4])
    assert fuse(blurred, restored, 0.6).scores == pytest.approx([0.84, 0.42])


@pytest.mark.parametrize("share", [0, 1])
def test_a_picture_of_no_weight_leaves_the_others_boxes(share: float) -> None:
    blurred, restored = one([0, 0, 10, 10], 0.4), one([2, 0, 12, 10], 0.3)
    fused = fuse(blurred, restored, share)
    left = restored if share else blurred
    np.testing.assert_allclose(fused.boxes, left.boxes, rtol=1e-6)
    assert fused.scores == pytest.approx(left.scores)
