"""What the demo says about its photographs: figures, a table for a person, and one sheet of all pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from detection.annotations.records import GroundTruth, TruthObjects, TruthPicture
from detection.consistency import references
from detection.drawing import BAR, draw_detections, side_by_side
from detection.picture_scores import score_pictures
from detection.types import Detections
from pipelines.account import counted
from pipelines.sinks import detection_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SHEET_WIDTH = 1600  # pixels
HIGHEST_ROW = 460  # pixels; a portrait would take the whole sheet
_GAP = 8


@dataclass(frozen=True, slots=True)
class Trial:
    """One photograph in several copies: ``blurred``, one by the name of each deblurrer, and ``sharp``.

    Attributes:
        name: of the photograph.
        origin: where it comes from, and its licence.
        pictures: by copy, in this order, RGB uint8 (H, W, 3), all of one size.
        detections: by copy.
        psnr: of all copies but ``sharp`` against it, in dB; None where they are the same.
    """

    name: str
    origin: str
    pictures: dict[str, NDArray[np.uint8]]
    detections: dict[str, Detections]
    psnr: dict[str, float | None]

    def panels(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """The copies with their boxes side by side, each scaled to fit ``width`` x ``height`` pixels if given.

        Scaled before anything is drawn, so that lines and letters have the size that the result needs.
        """
        panels = []
        for copy, picture in self.pictures.items():
            found = self.detections[copy]
            title = f"{copy}: {counted(Counter(found.class_names))}"
            if width is not None and height is not None:
                scale = min(width / picture.shape[1], height / picture.shape[0])
                size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
                picture = np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
                found = Detections(found.boxes * scale, found.scores, found.class_names)
            panels.append((title, draw_detections(picture, found)))
        return side_by_side(panels)


def summarise(trials: Sequence[Trial], class_names: tuple[str, ...], confidence: float) -> dict[str, Any]:
    """Figures of each photograph and in all, JSON-ready.

    An object of the sharp copy is *found again* where another copy has a box of its class with an IoU of at least 0.5;
    *new* boxes are those that match none. That compares the detector with itself, so it is consistency, not accuracy.
    """
    copies = list(trials[0].psnr)
    found_again = {copy: _matches(trials, class_names, copy, confidence) for copy in copies}
    entries: list[dict[str, Any]] = [
        {
            "photograph": trial.name,
            "origin": trial.origin,
            "detections": {copy: detection_entries(found) for copy, found in trial.detections.items()},
            "n_sharp": len(trial.detections["sharp"]),
            "found_again": {copy: found_again[copy][trial.name][0] for copy in found_again},
            "new": {copy: found_again[copy][trial.name][1] for copy in found_again},
            "psnr": trial.psnr,
        }
        for trial in trials
    ]
    totals = {
        "n_sharp": sum(entry["n_sharp"] for entry in entries),
        "found_again": {copy: sum(entry["found_again"][copy] for entry in entries) for copy in found_again},
        "new": {copy: sum(entry["new"][copy] for entry in entries) for copy in found_again},
        "psnr": {copy: _mean([entry["psnr"][copy] for entry in entries]) for copy in found_again},
    }
    return {"pictures": entries, "totals": totals}


def report_lines(document: dict[str, Any]) -> Iterator[str]:
    """Two tables and what they mean, for a person."""
    yield (
        f"blur {document['blur']} (seed {document['seed']}), deblurrers {', '.join(document['deblurrers'])},"
        f" detector {document['detector']} from a score of {document['confidence']}"
    )
    yield ""
    totals = document["totals"]
    rows = [("photograph", "copy", "again", "new", "PSNR", "found")]
    for entry in document["pictures"]:
        name = entry["photograph"]
        for copy in (*entry["psnr"], "sharp"):
            found = counted(Counter(box["class"] for box in entry["detections"][copy]))
            rows.append((name, copy, *(_figures(entry, copy) if copy in entry["psnr"] else ("", "", "")), found))
            name = ""
    yield from _aligned(rows)
    yield ""
    in_all = [(copy, *_figures(totals, copy)) for copy in totals["psnr"]]
    yield from _aligned([("copy", "again", "new", "PSNR"), *in_all])
    yield ""
    yield (
        "again: objects of the sharp copy that this one has too (same class, IoU from 0.5); new: boxes that match none"
        " of them; PSNR: in dB against the sharp copy, below the mean."
    )
    yield (
        "This compares the detector with itself on a handful of photographs: an example, not a measurement of accuracy"
        " (that is experiments.detection_gain)."
    )
    yield ""
    yield "Photographs:"
    yield from (f"  {entry['photograph']}: {entry['origin']}" for entry in document["pictures"])
    yield ""
    yield f"Look at {document['run']}/demo.jpg (all), side-by-side/ (each), detections.json (every box)"


def sheet(trials: Sequence[Trial]) -> NDArray[np.uint8]:
    """All side-by-side pictures below each other on one, RGB uint8 of width `SHEET_WIDTH`."""
    rows = [Image.fromarray(trial.panels(SHEET_WIDTH // len(trial.pictures) - _GAP, HIGHEST_ROW)) for trial in trials]
    whole = Image.new("RGB", (SHEET_WIDTH, sum(row.height + _GAP for row in rows) - _GAP), BAR)
    top = 0
    for row in rows:
        whole.paste(row, ((SHEET_WIDTH - row.width) // 2, top))
        top += row.height + _GAP
    return np.array(whole)


def _matches(
    trials: Sequence[Trial], class_names: tuple[str, ...], copy: str, confidence: float
) -> dict[str, tuple[int, int]]:
    """By photograph: how many objects of the sharp copy another copy has too, and how many boxes match none."""
    pictures = tuple(
        TruthPicture(trial.name, trial.name, width=None, height=None, image_id=number)
        for number, trial in enumerate(sorted(trials, key=lambda trial: trial.name), start=1)
    )
    numbers = {name: number for number, name in enumerate(class_names, start=1)}
    nothing = {picture.stem: TruthObjects.none() for picture in pictures}
    own = references(
        GroundTruth(pictures, class_names, nothing, numbers, {}),
        {trial.name: trial.detections["sharp"] for trial in trials},
        confidence,
    )
    scores = score_pictures(own, {trial.name: trial.detections[copy] for trial in trials}, confidence=confidence)
    return {name: (score.n_hits, score.n_boxes - score.n_hits) for name, score in scores.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return sum(finite) / len(finite) if finite else None


def _figures(entry: dict[str, Any], copy: str) -> tuple[str, str, str]:
    """What stands under again, new and PSNR."""
    psnr = entry["psnr"][copy]
    again = f"{entry['found_again'][copy]} of {entry['n_sharp']}"
    return again, str(entry["new"][copy]), "same" if psnr is None else f"{psnr:.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines with a rule under the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for position, row in enumerate(rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if position == 0:
            yield "  ".join("-" * width for width in widths)
