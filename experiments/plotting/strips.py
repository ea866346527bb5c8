"""Strips of crops, sharp | blurred | restored, where restoring helped a detector most and where it hurt most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from deblur.pictures import read_picture
from experiments.common.file_names import file_name_of
from experiments.gain.records import BLURRED, CONTROL, SHARP, deblurred_arm
from experiments.plotting.boxes import SAME_OBJECT_IOU, drawn_confidence, found_in, iou, scored_truth, selected
from experiments.plotting.runs import restored_examples
from experiments.plotting.sheet import Drawing, Plot, Skipped, text_width, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from experiments.gain.picture_tables import Boxes, PictureTruth
    from experiments.gain.records import Example
    from experiments.plotting.runs import OpenRun

    Window = tuple[float, float, float, float]

_EACH = 3  # rows that helped and rows that hurt, equally many of both where there are
_SMALLEST_CROP = 140.0  # pixels of the annotated picture
_AROUND = 1.8  # side of the crop over the long side of the box it is about
_BOX_COLOUR = "#F0E442"
_LABEL_SIZE, _TITLE_SIZE = 5.5, 8.5  # points
_CROP_SIDE, _LABEL_HIGH = 1.5, 0.125  # inches: about what a crop and a label measure


def strips(drawing: Drawing) -> Iterator[Plot | Skipped]:
    """One figure for each run, detector and blur that has saved pictures."""
    runs = drawing.runs
    found = False
    for run in runs.runs:
        arms = {SHARP, BLURRED, *_restored_arms(run)}
        for detector, blur in runs.pairs:
            result = run.result(detector, blur)
            if result is None:
                continue
            usable = [one for one in restored_examples(result) if run.has_example(result, one, arms)]
            examples = [*_largest(usable, "helped"), *_largest(usable, "hurt")]
            if examples:
                found = True
                yield _strip(drawing, run, (detector, blur), examples)
    if not found:
        yield Skipped("strips", "no pictures of examples with their boxes: pictures/ and predictions.json")


def _largest(examples: list[Example], effect: str) -> list[Example]:
    """The largest changes among all deblurrers, each picture once."""
    ranked = sorted(
        (example for example in examples if example.effect == effect),
        key=lambda example: (-abs(example.deblurred_f1 - example.blurred_f1), example.picture),
    )
    by_picture: dict[str, Example] = {}
    for example in ranked:
        by_picture.setdefault(example.picture, example)
    return list(by_picture.values())[:_EACH]


def _restored_arms(run: OpenRun) -> dict[str, str]:
    """Arms of restored pictures, and the deblurrer of each."""
    return {deblurred_arm(one.name): one.name for one in run.record.deblurrers if one.name != CONTROL}


def _strip(drawing: Drawing, run: OpenRun, pair: tuple[str, str], examples: list[Example]) -> Plot:
    detector, blur = pair
    runs = drawing.runs
    confidence = drawn_confidence(run)
    deblurrers = _restored_arms(run)
    arms = [arm for arm in (SHARP, BLURRED, *deblurrers) if any(arm in example.pictures for example in examples)]
    parts = [
        detector if len(runs.detectors) > 1 else "",
        blur if len(runs.blurs) > 1 else "",
        run.name if len(runs.runs) > 1 else "",
    ]
    titles = [_title(deblurrers[arm]) if arm in deblurrers else arm for arm in arms]
    plot, body = drawing.sheet(
        "_".join(["strips", *(file_name_of(part) for part in parts if part)]),
        f"Where restoring helped and hurt most: {detector}, {runs.blur_label(blur)}",
        f"Crops around a box that changed; restored ones stand under their deblurrer. Solid: boxes of confidence"
        f" {confidence:g} or more; dashed: truth. F1 is theirs over the whole picture, the mean over IoU .50 to .95,"
        " before and after restoring. Chosen by the largest change in F1: extremes, not typical pictures.",
        (1.85 * len(arms) + 1.3, 1.95 * len(examples) + 0.12 + 0.13 * max(title.count("\n") + 1 for title in titles)),
    )
    grid = body.subplots(len(examples), len(arms), squeeze=False)
    for row, example in zip(grid, examples, strict=True):
        truth = scored_truth(run, detector, run.truths[example.picture])
        boxes = {arm: _boxes(run, pair, arm, example.picture, confidence) for arm in arms if arm in example.pictures}
        window = _window(truth, example, boxes)
        for ax, arm in zip(row, arms, strict=True):
            ax.set(xticks=[], yticks=[])
            if arm in boxes:
                file = run.picture(example.pictures[arm])
                assert file is not None, "only examples that are whole are drawn"
                picture = read_picture(file)
                _crop(ax, picture, truth, boxes[arm], run.predictions.class_names, window)
            else:
                ax.set_axis_off()
            for spine in ax.spines.values():
                spine.set(visible=True, color=drawing.palette.faint)
        words = [example.effect, f"F1 {example.blurred_f1:.2f} → {example.deblurred_f1:.2f}"]
        words += [f"by {example.deblurrer}"] if len(deblurrers) > 1 else []
        row[0].set_ylabel("\n".join(words), rotation=0, ha="right", va="center", size=7.5)
    for ax, title in zip(grid[0], titles, strict=True):
        ax.set_title(title, size=_TITLE_SIZE, loc="center")
    return plot


def _title(deblurrer: str) -> str:
    """A deblurrer's name in lines that are no wider than its crops."""
    parts = deblurrer.replace("+", "\n+").split("\n")
    return "\n".join(line for part in parts for line in wrapped(part, _CROP_SIDE, _TITLE_SIZE, bold=True))


def _crop(
    ax: Axes, picture: NDArray[np.uint8], truth: PictureTruth, boxes: Boxes, class_names: list[str], window: Window
) -> None:
    """One crop with its boxes; each line has a dark rim, so that it shows on any picture."""
    left, top, right, bottom = window
    ax.imshow(_cut(picture, truth.width, window), extent=(left, right, bottom, top), interpolation="hanning")
    for x1, y1, x2, y2 in truth.truth.boxes:
        for colour, pattern in (("black", (0, (3, 3))), ("white", (3, (3, 3)))):
            ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=colour, lw=0.9, ls=pattern))
    shown = [
        (box, f"{class_names[class_index]} {score:.2f}")
        for box, class_index, score in zip(boxes.boxes, boxes.classes, boxes.scores, strict=True)
        if box[0] < right and box[2] > left and box[1] < bottom and box[3] > top
    ]
    places = _label_places(shown, window)
    for ((x1, y1, x2, y2), words), (x, y) in reversed(list(zip(shown, places, strict=True))):
        outline = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=_BOX_COLOUR, lw=1.4)
        outline.set_path_effects([withStroke(linewidth=2.6, foreground="black")])
        ax.add_patch(outline)
        label = ax.text(
            x,
            y,
            words,
            size=_LABEL_SIZE,
            color="black",
            va="top",
            clip_on=True,
            bbox={"facecolor": _BOX_COLOUR, "edgecolor": "none", "pad": 1.0},
        )
        label.set_in_layout(False)
    ax.set(xlim=(left, right), ylim=(bottom, top))


def _label_places(shown: list[tuple[list[float], str]], window: Window) -> list[tuple[float, float]]:
    """The upper left corner of each box's label: at the box's own, moved into the crop and below labels before it."""
    left, top, right, bottom = window
    high = _LABEL_HIGH / _CROP_SIDE * (bottom - top)
    taken: list[tuple[float, float, float]] = []  # upper edge, left and right end
    places = []
    for (x1, y1, _, _), words in shown:
        wide = text_width(words, _LABEL_SIZE) / _CROP_SIDE * (right - left)
        x, y = max(left, min(x1, right - wide)), max(y1, top)
        for upper, start, end in sorted(taken):
            if start < x + wide and x < end and abs(upper - y) < high:
                y = upper + high
        taken.append((y, x, x + wide))
        places.append((x, y))
    return places


def _cut(picture: NDArray[np.uint8], annotated_width: int, window: Window) -> NDArray[np.uint8]:
    """The window's pixels of a picture that may have been saved smaller than it was annotated."""
    scale = picture.shape[1] / annotated_width
    left, top, right, bottom = (round(edge * scale) for edge in window)
    return picture[top : max(bottom, top + 1), left : max(right, left + 1)]


def _window(truth: PictureTruth, example: Example, boxes: dict[str, Boxes]) -> Window:
    """Left, top, right, bottom of a square around what changed: the largest box that only one of the two arms has."""
    before, after = boxes[BLURRED], boxes[deblurred_arm(example.deblurrer)]
    better, worse = (after, before) if example.effect == "helped" else (before, after)
    only_better = [box for box, found in zip(better.boxes, found_in(better, worse), strict=True) if not found]
    only_worse = [box for box, found in zip(worse.boxes, found_in(worse, better), strict=True) if not found]
    right = [box for box in only_better if any(iou(box, real) >= SAME_OBJECT_IOU for real in truth.truth.boxes)]
    whole = [0.0, 0.0, float(truth.width), float(truth.height)]
    candidates = right or only_worse or only_better or better.boxes or truth.truth.boxes or [whole]
    x1, y1, x2, y2 = max(candidates, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
    side = min(max(_AROUND * max(x2 - x1, y2 - y1), _SMALLEST_CROP), truth.width, truth.height)
    left = float(np.clip((x1 + x2 - side) / 2, 0, truth.width - side))
    top = float(np.clip((y1 + y2 - side) / 2, 0, truth.height - side))
    return left, top, left + side, top + side


def _boxes(run: OpenRun, pair: tuple[str, str], arm: str, picture: str, confidence: float) -> Boxes:
    return selected(run, run.predictions.boxes(*pair, arm, picture), confidence)
