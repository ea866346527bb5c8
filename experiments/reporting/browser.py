"""The pictures of the page's browser: small copies as data URIs, and the boxes to lay over them."""

from __future__ import annotations

import base64
import io
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image

from deblur.pictures import read_picture
from experiments.gain.records import BLURRED, CONTROL, SHARP, deblurred_arm
from experiments.plotting.boxes import drawn_confidence, scored_truth, selected
from experiments.plotting.runs import restored_examples

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from experiments.gain.picture_tables import Boxes, PictureTruth
    from experiments.gain.records import Example, Result
    from experiments.plotting.runs import OpenRun, Runs

Item = TypeVar("Item")
LONG_SIDE = 640  # pixels; to look at on a screen
QUALITY = 76
LOWEST_CONFIDENCE = 0.1  # boxes below it are not carried along: the slider cannot show them


class PictureBook:
    """What the page's script gets: examples, each with its pictures and boxes.

    Args:
        runs: of which the first run is shown.
        max_pictures: how many examples at most: the largest changes, of every result and deblurrer in turn.

    Attributes:
        n_left_out: how many examples were too many.
        absent: detector and blur of every result without an example in the book, and every deblurrer without one, as
            the page calls them: its filters do not name them.
    """

    def __init__(self, runs: Runs, max_pictures: int) -> None:
        self._run: OpenRun = runs.runs[0]
        self._images: list[str] = []
        self._places: dict[Path, int] = {}
        usable = [
            (result, example)
            for result in self._run.record.results
            for example in restored_examples(result)
            if self._run.has_example(result, example, {SHARP, BLURRED, deblurred_arm(example.deblurrer)})
        ]
        usable.sort(key=lambda pair: pair[1].rank)  # stable: helped and hurt of a deblurrer stay side by side
        self.n_left_out = max(0, len(usable) - max_pictures)
        taken = [usable[place] for place in sorted(_fair(usable)[:max_pictures])]
        self._examples = [self._example(result, example, runs) for result, example in taken]
        self.absent = _absent(self._run.record.results, taken, runs)
        # By detector and picture: each detector is scored on objects of the classes that it knows.
        self._truths: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for result, example in taken:
            truth = scored_truth(self._run, result.detector, self._run.truths[example.picture])
            self._truths[result.detector][example.picture] = self._truth(truth)

    def __len__(self) -> int:
        return len(self._examples)

    def to_json(self) -> dict[str, Any]:
        """The document that the script reads."""
        return {
            "classes": self._run.predictions.class_names,
            "confidence": max(drawn_confidence(self._run), LOWEST_CONFIDENCE),
            "lowest": LOWEST_CONFIDENCE,
            "images": self._images,
            "truths": self._truths,
            "examples": self._examples,
        }

    def _example(self, result: Result, example: Example, runs: Runs) -> dict[str, Any]:
        restored = deblurred_arm(example.deblurrer)
        words = {SHARP: "sharp", BLURRED: "blurred", restored: f"restored by {example.deblurrer}"}
        arms = [
            {
                "name": words[arm],
                "image": self._image(self._run.picture(example.pictures[arm])),
                "boxes": self._predicted(result, arm, example.picture),
            }
            for arm in (SHARP, BLURRED, restored)
            if arm in example.pictures
        ]
        return {
            "detector": result.detector,
            "blur": runs.blur_label(result.blur),
            "deblurrer": example.deblurrer,
            "effect": example.effect,
            "rank": example.rank,
            "picture": example.picture,
            "before": example.blurred_f1,
            "after": example.deblurred_f1,
            "arms": arms,
        }

    def _predicted(self, result: Result, arm: str, picture: str) -> list[list[float]]:
        found = self._run.predictions.boxes(result.detector, result.blur, arm, picture)
        return _rows(selected(self._run, found, LOWEST_CONFIDENCE))

    def _truth(self, truth: PictureTruth) -> dict[str, Any]:
        rows = [[*row, int(ignored)] for row, ignored in zip(_rows(truth.truth), truth.ignored, strict=True)]
        return {"width": truth.width, "height": truth.height, "boxes": rows}

    def _image(self, path: Path | None) -> int:
        """Place of a picture in the list; each is carried once."""
        assert path is not None, "only examples that are whole are carried"
        if path not in self._places:
            self._places[path] = len(self._images)
            self._images.append(_data_uri(path))
        return self._places[path]


def _fair(usable: list[tuple[Result, Example]]) -> list[int]:
    """Places of examples in the order of taking: a result each in turn, of a result a deblurrer each in turn.

    Each result begins with another deblurrer, so that few examples are not all of the first one; and where there is one
    of each result and deblurrer, those of every result and of every deblurrer are helped and hurt by turns.
    """
    queues: dict[tuple[str, str], dict[str, dict[str, list[int]]]] = {}
    for place, (result, example) in enumerate(usable):
        by_deblurrer = queues.setdefault((result.detector, result.blur), {})
        by_deblurrer.setdefault(example.deblurrer, defaultdict(list))[example.effect].append(place)
    return _in_turn(
        _in_turn(
            _in_turn(_begun_at(list(by_effect.values()), number + turn // 2))
            for number, by_effect in enumerate(_begun_at(list(by_deblurrer.values()), turn))
        )
        for turn, by_deblurrer in enumerate(queues.values())
    )


def _absent(results: list[Result], taken: list[tuple[Result, Example]], runs: Runs) -> list[str]:
    """What of the comparisons has no example, in words; a deblurrer only where it has none anywhere."""
    shown = {(result.detector, result.blur) for result, _ in taken}
    names = dict.fromkeys(name for result in results for name in result.ap_difference if name != CONTROL)
    having = {example.deblurrer for _, example in taken}
    return [
        *(
            f"{result.detector}, {runs.blur_label(result.blur)}"
            for result in results
            if (result.detector, result.blur) not in shown
        ),
        *(name for name in names if name not in having),
    ]


def _in_turn(lists: Iterable[list[Item]]) -> list[Item]:
    """The first of every list, the second of every list, and so on."""
    return [item for row in itertools.zip_longest(*lists) for item in row if item is not None]


def _begun_at(items: list[Item], place: int) -> list[Item]:
    """The items from a place on, then those before it; the place may lie beyond the end."""
    start = place % len(items)
    return items[start:] + items[:start]


def _data_uri(path: Path) -> str:
    image = Image.fromarray(read_picture(path))
    image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _rows(boxes: Boxes) -> list[list[float]]:
    """``[x1, y1, x2, y2, class]``, and the score where there is one."""
    rows = [
        [*(round(edge, 1) for edge in box), class_index]
        for box, class_index in zip(boxes.boxes, boxes.classes, strict=True)
    ]
    return [[*row, round(score, 3)] for row, score in zip(rows, boxes.scores, strict=True)] if boxes.scores else rows
