"""Every mark of a figure stands where its figure belongs: the right panel, row, size, class, blur and place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from deblur.pictures import write_picture
from detection.bootstrap import Interval
from experiments.gain.files import read_curves, write_curves, write_metrics
from experiments.gain.picture_tables import Boxes, PictureTruth
from experiments.plotting.curves import precision_recall
from experiments.plotting.gains import recovered
from experiments.plotting.runs import Runs
from experiments.plotting.scores import ap_by_arm, ap_by_size, per_class
from experiments.plotting.sheet import Drawing, Plot, Skipped
from experiments.plotting.strips import _cut, _largest, _window, strips
from experiments.plotting.style import styled
from experiments.plotting.tradeoffs import cost_recovered, psnr_recovered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

    from experiments.gain.records import GainRun

    MakeRun = Callable[..., GainRun]


def _panels(plot: Plot | Skipped) -> dict[str, Axes]:
    """The panels of a figure by their titles."""
    assert isinstance(plot, Plot)
    axes = [ax for part in plot.figure.subfigs for ax in part.axes]
    return {" ".join(ax.get_title(loc="left").split()): ax for ax in axes}


@pytest.fixture
def unlike(tmp_path: Path, make_run: MakeRun) -> GainRun:
    """A run in the folder ``run`` of which no two figures are alike, so that one in the place of another shows."""
    run = make_run(tmp_path / "run", detectors=("one", "two"), blurs=(8, 16))
    results = []
    for number, result in enumerate(run.results):
        arms = {}
        for place, (arm, score) in enumerate(result.arms.items()):
            ap = 0.1 + 0.1 * place + 0.02 * number
            sizes = {f"ap_{size}": ap + more for size, more in (("small", 0.1), ("medium", 0.2), ("large", 0.3))}
            of_classes = {"cat": {"ap": ap + 0.01, "n_truths": 2}, "dog": {"ap": ap + 0.3, "n_truths": 9}}
            ends = {"ap_low": ap - 0.05, "ap_high": ap + 0.09}
            psnr = None if arm == "sharp" else 30 + 3 * place - 2 * number
            arms[arm] = replace(score, ap=ap, **ends, **sizes, per_class=of_classes, psnr=psnr)
        share = 0.2 + 0.1 * number
        recovered = {"net": Interval(share, share - 0.04, share + 0.07, 0.95, 1000, 0)}
        results.append(replace(result, arms=arms, recovered=recovered))
    run = replace(run, results=results)
    write_metrics(tmp_path / "run", run)
    return run


def test_an_ap_stands_with_its_interval_in_the_panel_of_its_detector(tmp_path: Path, unlike: GainRun) -> None:
    with styled() as palette:
        panels = _panels(*ap_by_arm(Drawing(Runs([tmp_path / "run"]), palette)))
    assert list(panels) == ["one", "two"]
    for detector, ax in panels.items():
        first, second = (unlike.result(detector, blur).arms for blur in ("shake:8", "shake:16"))
        scores = [first[arm] for arm in first if arm.startswith("sharp")]
        scores += [arms[arm] for arm in ("blurred", "deblurred:net") for arms in (first, second)]
        drawn = [(mark.get_ydata()[0], *bars[0].get_segments()[0][:, 1]) for mark, _, bars in ax.containers]
        assert drawn == [pytest.approx((100 * each.ap, 100 * each.ap_low, 100 * each.ap_high)) for each in scores]


def test_a_fraction_stands_with_its_words_beside_its_blur(tmp_path: Path, unlike: GainRun) -> None:
    with styled() as palette:
        panels = _panels(*recovered(Drawing(Runs([tmp_path / "run"]), palette)))
    left = panels["one"]  # names the rows of all panels beside it
    place_of = {label.get_text(): y for y, label in zip(left.get_yticks(), left.get_yticklabels(), strict=True)}
    for result in unlike.results:
        ax, share = panels[result.detector], 100 * (result.recovered["net"].value or 0)
        y = place_of[f"camera shake\n{result.blur.removeprefix('shake:')} px"]
        assert {mark.get_ydata()[0]: mark.get_xdata()[0] for mark, *_ in ax.containers}[y] == pytest.approx(share)
        assert {text.xy[1]: text.get_text() for text in ax.texts}[y].startswith(f"{share:.0f} % [")


@pytest.mark.usefixtures("unlike")
def test_a_blur_is_named_where_its_pictures_begin(tmp_path: Path) -> None:
    with styled() as palette:
        panels = _panels(*psnr_recovered(Drawing(Runs([tmp_path / "run"]), palette)))
    for ax in panels.values():  # the longer blur has the lower PSNR
        assert [text.get_text() for text in sorted(ax.texts, key=lambda text: text.get_position())] == ["16 px", "8 px"]


def test_bars_stand_above_the_size_of_their_objects(tmp_path: Path, unlike: GainRun) -> None:
    with styled() as palette:
        panels = _panels(*ap_by_size(Drawing(Runs([tmp_path / "run"]), palette)))
    for result in unlike.results:
        ax = panels[f"{result.detector}, camera shake {result.blur.removeprefix('shake:')} px"]
        sizes = [label.get_text().split()[0] for label in ax.get_xticklabels()]
        heights: dict[str, list[float]] = {size: [] for size in sizes}
        for bar in ax.patches:
            heights[sizes[round(bar.get_x() + bar.get_width() / 2)]].append(bar.get_height())
        arms = [result.arms[arm] for arm in ("sharp", "blurred", "deblurred:net")]
        for size in ("small", "medium", "large"):
            assert heights[size] == pytest.approx([100 * getattr(arm, f"ap_{size}") for arm in arms])


def test_marks_stand_in_the_row_of_their_class(tmp_path: Path, unlike: GainRun) -> None:
    with styled() as palette:
        plots = list(per_class(Drawing(Runs([tmp_path / "run"]), palette)))
    assert [plot.name for plot in plots] == ["per_class_one", "per_class_two"]
    for detector, plot in zip(("one", "two"), plots, strict=True):
        panels = list(_panels(plot).values())
        rows = [label.get_text() for label in panels[0].get_yticklabels()]  # of all panels beside it
        for length, ax in zip((8, 16), panels, strict=True):
            arms = unlike.result(detector, f"shake:{length}").arms
            marks: dict[str, list[float]] = {row: [] for row in rows}
            for mark, *_ in ax.containers:
                marks[rows[round(mark.get_ydata()[0])]].append(mark.get_xdata()[0])
            shown = {
                f"{name} ({count})": [
                    100 * arms[arm].per_class[name]["ap"] for arm in ("sharp", "deblurred:net", "blurred")
                ]
                for name, count in (("dog", 9), ("cat", 2))
            }
            assert {row: pytest.approx(values) for row, values in shown.items()} == marks


def test_precision_is_that_of_the_figure_s_overlap(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "run", blurs=(8,))
    curves = read_curves(tmp_path / "run")
    higher = [
        replace(each, values=replace(each.values, precision50=(0.9,) * len(each.values.recall))) for each in curves
    ]
    write_curves(tmp_path / "run", higher)
    runs = Runs([tmp_path / "run"])
    assert all(series.curve("det", "shake:8") for series in runs.series)
    with styled() as palette:
        plots = list(precision_recall(Drawing(Runs([tmp_path / "run"]), palette)))
        ends = {
            plot.name: {line.get_ydata()[-1] for ax in _panels(plot).values() for line in ax.lines[::2]}
            for plot in plots
        }
    assert ends == {"precision_recall": {0}, "precision_recall_iou50": {0.9}}


def test_what_is_recovered_stands_above_its_cost_by_blur_from_left_to_right(tmp_path: Path, make_run: MakeRun) -> None:
    for name, cost, shares in (("dear", 12.5, (0.5, 0.6)), ("cheap", 3.0, (0.1, 0.2))):
        run = make_run(tmp_path / name, deblurrer=name, cost=cost)
        recovered = [{name: Interval(share, None, None, 0.95, 0, 0)} for share in shares]
        results = [replace(result, recovered=each) for result, each in zip(run.results, recovered, strict=True)]
        write_metrics(tmp_path / name, replace(run, results=results))
    with styled() as palette:
        (plot,) = cost_recovered(Drawing(Runs([tmp_path / "dear", tmp_path / "cheap"]), palette))
        assert isinstance(plot, Plot)
        ax = next(ax for part in plot.figure.subfigs for ax in part.axes)
    assert ax.get_xlabel() == "Time per picture (ms)"
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["3", "12.5"]
    places = sorted((mark.get_xdata()[0], mark.get_ydata()[0]) for mark, *_ in ax.containers)
    shown = [(labels[round(x)], y) for x, y in places]
    assert shown == [("3", 10), ("3", 20), ("12.5", 50), ("12.5", 60)]


def test_a_crop_lies_below_its_boxes_the_right_way_up(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    class_names = run.data["classes"]
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:9] = 255  # what is bright is above
    for file in run.results[0].examples[0].pictures.values():
        write_picture(tmp_path / "run" / file, picture)
    with styled() as palette:
        (plot,) = strips(Drawing(Runs([tmp_path / "run"]), palette))
        assert isinstance(plot, Plot)
        canvas = FigureCanvasAgg(plot.figure)
        canvas.draw()
        dots = np.asarray(canvas.buffer_rgba())[::-1]
        axes = [ax for part in plot.figure.subfigs for ax in part.axes]
        labels = {text.get_text() for ax in axes for text in ax.texts}
        helped, hurt = (ax.get_ylabel().split("\n") for ax in axes if ax.get_ylabel())
        blurred = next(ax for ax in axes if ax.get_title() == "blurred")
        x, bright, dark = np.mean(blurred.get_xlim()), 2, 46  # truth and its line lie between
        (above, below) = (dots[tuple(blurred.transData.transform((x, y)).astype(int)[::-1])][0] for y in (bright, dark))
    assert (above, below) == (255, 0)
    assert labels == {"person 0.90", f"{class_names[1]} 0.40"}  # the box of score .02 is left behind
    assert (helped, hurt) == (["helped", "F1 0.20 → 0.80"], ["hurt", "F1 0.70 → 0.10"])


def test_strips_show_the_largest_changes(tmp_path: Path, make_run: MakeRun) -> None:
    example = make_run(tmp_path / "run", blurs=(8,)).results[0].examples[0]
    changes = (("a", 0.1), ("b", 0.4), ("c", 0.2), ("d", 0.3), ("b", 0.7), ("e", 0.05))
    examples = [replace(example, picture=name, blurred_f1=0.2, deblurred_f1=0.2 + more) for name, more in changes]
    found = _largest([*examples, replace(example, effect="hurt")], "helped")
    assert [(each.picture, each.deblurred_f1) for each in found] == [
        ("b", 0.2 + 0.7),
        ("d", 0.2 + 0.3),
        ("c", 0.2 + 0.2),
    ]


@pytest.mark.parametrize(("effect", "corner"), [("helped", (0, 0)), ("hurt", (260, 160))])
def test_a_crop_is_about_the_largest_object_that_restoring_won_or_lost(
    tmp_path: Path, make_run: MakeRun, effect: Literal["helped", "hurt"], corner: tuple[float, float]
) -> None:
    example = replace(make_run(tmp_path / "run", blurs=(8,)).results[0].examples[0], effect=effect)
    only_restored = [[9.0, 280.0, 19.0, 290.0], [10.0, 10.0, 40.0, 40.0]]
    only_blurred = [[380.0, 9.0, 390.0, 19.0], [350.0, 250.0, 390.0, 290.0]]
    truth = PictureTruth("one", "one.jpg", 400, 300, Boxes([*only_restored, *only_blurred], [0] * 4), [False] * 4)
    restored, blurred = (Boxes(boxes, [0, 0], [0.9, 0.8]) for boxes in (only_restored, only_blurred))
    assert _window(truth, example, {"blurred": blurred, "deblurred:net": restored})[:2] == corner


def test_a_crop_of_a_picture_that_was_saved_smaller_is_of_the_same_place() -> None:
    picture = np.arange(30 * 40 * 3).reshape(30, 40, 3).astype(np.uint8)
    for annotated_width, window in ((40, (10.0, 5.0, 30.0, 25.0)), (80, (20.0, 10.0, 60.0, 50.0))):
        np.testing.assert_array_equal(_cut(picture, annotated_width, window), picture[5:25, 10:30])
