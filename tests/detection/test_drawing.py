from __future__ import annotations

import itertools

import numpy as np
import pytest

from detection import drawing
from detection.drawing import PALETTE, class_color, draw_detections, side_by_side, text_size
from detection.types import Detections


def found(*rows: tuple[float, float, float, float, float, str]) -> Detections:
    return Detections.ordered([row[:4] for row in rows], [row[4] for row in rows], [row[5] for row in rows])


def plain(height: int, width: int, value: int = 128) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Contrast ratio of WCAG 2, written apart from the module's own luminance."""

    def luminance(color: tuple[int, int, int]) -> float:
        channel = np.array(color) / 255
        return float(
            np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
        )

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_class_keeps_its_colour() -> None:
    assert class_color("person") == (230, 57, 70)
    assert class_color("car") == (222, 160, 0)
    assert class_color("人") in PALETTE


def test_classes_that_share_pictures_have_colours_of_their_own() -> None:
    names = ["person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "dog", "cat", "chair", "train"]
    assert len({class_color(name) for name in names}) == len(names)


@pytest.mark.parametrize("color", PALETTE)
def test_colours_stand_out_on_black_and_white_and_carry_their_letters(color: tuple[int, int, int]) -> None:
    assert contrast(color, (0, 0, 0)) > 4
    assert contrast(color, (255, 255, 255)) > 2.2
    letters = drawing._text_color(color)
    assert contrast(color, letters) == max(contrast(color, (0, 0, 0)), contrast(color, (255, 255, 255)))


def test_nothing_found_changes_nothing() -> None:
    picture = plain(50, 70)
    drawn = draw_detections(picture, Detections.empty())
    np.testing.assert_array_equal(drawn, picture)
    assert drawn is not picture


@pytest.mark.parametrize("writeable", [True, False])
def test_the_picture_given_is_left_alone(writeable: bool) -> None:
    picture = plain(200, 200)
    picture.setflags(write=writeable)
    drawn = draw_detections(picture, found((20, 60, 150, 180, 0.9, "bus")))
    assert (picture == 128).all()
    assert drawn.flags.writeable
    assert drawn.dtype == np.uint8
    assert drawn.shape == picture.shape


def test_a_box_is_drawn_where_it_is() -> None:
    drawn = draw_detections(plain(400, 400), found((100, 150, 300, 350, 0.9, "bus")))
    color = class_color("bus")
    for row, column in ((150, 250), (349, 250), (250, 100), (250, 299), (349, 299)):
        assert tuple(drawn[row, column]) == color, (row, column)
    for row, column in ((250, 99), (250, 300), (350, 250), (250, 200)):
        assert tuple(drawn[row, column]) == (128, 128, 128), (row, column)


def test_what_reaches_out_of_the_picture_is_closed_at_its_edge() -> None:
    drawn = draw_detections(plain(400, 400), found((100, 150, 450, 450, 0.9, "bus")))
    for row, column in ((250, 399), (399, 250)):
        assert tuple(drawn[row, column]) == class_color("bus"), (row, column)


def test_a_better_box_is_drawn_over_a_worse_one_and_labels_have_the_colours_of_their_boxes() -> None:
    both = found((100, 150, 300, 350, 0.5, "car"), (100, 150, 300, 350, 0.9, "bus"))
    assert tuple(draw_detections(plain(400, 400), both)[349, 250]) == class_color("bus")
    colors = {label.text: label.color for label in labels_of(both, 400, 400)}
    assert colors == {"bus 0.90": class_color("bus"), "car 0.50": class_color("car")}


@pytest.mark.parametrize("size", [160, 1080, 4000])
def test_letters_and_lines_grow_with_the_picture(size: int) -> None:
    drawn = draw_detections(plain(size, size), found((0.2 * size, 0.5 * size, 0.9 * size, 0.9 * size, 0.5, "person")))
    middle = drawn[size * 7 // 10]
    line = int((middle != 128).any(axis=1).sum()) / 2
    assert line == pytest.approx(size / 400, abs=1)
    label_rows = (drawn[: size // 2] != 128).any(axis=(1, 2)).sum()
    assert size / 60 < label_rows < max(16, size / 30)


def labels_of(detections: Detections, height: int, width: int) -> list[drawing._Label]:
    boxes = [drawing._pixels(box, width, height) for box in detections.boxes]
    return drawing._place_labels(boxes, detections, text_size(width, height), (width, height))


@pytest.mark.parametrize(("height", "width"), [(160, 120), (480, 640), (3000, 4000)])
def test_labels_stay_inside_and_off_each_other(height: int, width: int) -> None:
    random = np.random.default_rng(3)
    corner = random.uniform(0, [width, height], (60, 2))
    other = np.minimum(corner + random.uniform(0, [width / 2, height / 2], (60, 2)), [width, height])
    many = Detections.ordered(
        np.hstack([corner, other]), random.uniform(0, 1, 60), random.choice(["person", "traffic light", "cup"], 60)
    )
    labels = labels_of(many, height, width)
    assert len(labels) >= 8
    for label in labels:
        place = label.place
        assert 0 <= place.left < place.right <= width
        assert 0 <= place.top < place.bottom <= height
    assert not any(one.place.overlaps(two.place) for one, two in itertools.combinations(labels, 2))


@pytest.mark.parametrize(
    "box", [(0, 0, 60, 40), (580, 0, 640, 30), (0, 440, 50, 480), (600, 470, 640, 480), (0, 0, 640, 480)]
)
def test_a_box_at_any_edge_has_its_label(box: tuple[float, float, float, float]) -> None:
    (label,) = labels_of(found((*box, 0.87, "traffic light")), 480, 640)
    assert label.text == "traffic light 0.87"


def test_the_best_of_a_heap_keeps_its_label() -> None:
    heap = found(*[(100, 100, 140, 130, 0.9 - 0.05 * i, "person") for i in range(12)])
    labels = labels_of(heap, 480, 640)
    assert labels[0].text == "person 0.90"
    assert 2 <= len(labels) < 12


def test_a_narrow_label_does_without_the_score() -> None:
    (label,) = labels_of(found((40, 60, 60, 100, 0.9, "person")), 160, 120)
    assert label.text == "person"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (40, 2), (12, 12)])
def test_tiny_pictures_and_flat_boxes_are_drawn(height: int, width: int) -> None:
    boxes = found(
        (0, 0, width, height, 0.9, "person"), (0, 0, 0, 0, 0.5, "bus"), (width, height, width, height, 0.4, "bus")
    )
    drawn = draw_detections(plain(height, width), boxes)
    assert drawn.shape == (height, width, 3)
    assert (drawn != 128).any()


def test_panels_stand_side_by_side_under_their_titles() -> None:
    left, right = plain(300, 400, 10), plain(300, 200, 250)
    joined = side_by_side([("blurred", left), ("restored", right)])
    bar = joined.shape[0] - 300
    gap = joined.shape[1] - 600
    assert 10 < bar < 40
    assert 1 <= gap <= 4
    assert (joined[bar:, :400] == 10).all()
    assert (joined[bar:, 400 + gap :] == 250).all()
    assert (joined[:, 400 : 400 + gap] == drawing.SEPARATOR).all()
    for start, stop in ((0, 400), (400 + gap, 600 + gap)):
        title = joined[:bar, start:stop].astype(int).sum(axis=2)
        columns = np.flatnonzero((title > 400).any(axis=0))
        assert columns.size
        assert (columns[0] + columns[-1]) / 2 == pytest.approx((stop - start) / 2, abs=3)


def test_panels_of_other_sizes_get_one_height() -> None:
    joined = side_by_side([("a", plain(100, 200, 0)), ("b", plain(400, 300, 255)), ("c", plain(50, 10, 60))])
    gap = (joined.shape[1] - (800 + 300 + 80)) // 2
    bar = joined.shape[0] - 400
    assert (joined[bar:, :800] == 0).all()
    assert (joined[bar:, 800 + gap : 1100 + gap] == 255).all()
    assert (joined[bar:, 1100 + 2 * gap :] == 60).all()


def test_a_title_too_long_is_shortened_to_its_panel() -> None:
    long = side_by_side([("restored by a network with a very long name indeed", plain(60, 90, 0))])
    assert long.shape[1] == 90
    title = long[: long.shape[0] - 60].astype(int).sum(axis=2) > 400
    assert title.any()
    assert not title[:, [0, -1]].any()


def test_titles_of_a_long_strip_are_no_higher_than_the_strip() -> None:
    joined = side_by_side([("blurred", plain(40, 4000)), ("restored", plain(40, 4000))])
    assert joined.shape[0] <= 2 * 40


def test_no_panels_is_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        side_by_side([])
