"""What the demo says about its photographs: figures, a table for a person, and one sheet of all pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from detection.annotations.records import GroundTruth, TruthPicture
from detection.consistency import references
from detection.drawing import BAR, draw_detections, side_by_side
from detection.picture_scores import score_pictures
from detection.types import Detections
from pipelines.process import counted
from pipelines.sinks import detection_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

COPIES = ("blurred", "restored", "sharp")
SHEET_WIDTH = 1600  # pixels
HIGHEST_ROW = 460  # pixels; a portrait would take the whole sheet
_GAP = 8


@dataclass(frozen=True, slots=True)
class Trial:
    """One photograph in three copies.

    Attributes:
        name: of the photograph.
        origin: where it comes from, and its licence.
        pictures: by copy (`COPIES`), RGB uint8 (H, W, 3), all of one size.
        detections: by copy.
        psnr: of ``blurred`` and ``restored`` against ``sharp``, in dB; None where they are the same.
    """

    name: str
    origin: str
    pictures: dict[str, NDArray[np.uint8]]
    detections: dict[str, Detections]
    psnr: dict[str, float | None]

    def panels(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """The three copies with their boxes side by side, each scaled to fit ``width`` x ``height`` pixels if given.

        Scaled before anything is drawn, so that lines and letters have the size that the result needs.
        """
        panels = []
        for copy in COPIES:
            picture, found = self.pictures[copy], self.detections[copy]
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
    found_again = {copy: _matches(trials, class_names, copy, confidence) for copy in ("blurred", "restored")}
    entries: list[dict[str, Any]] = [
        {
            "photograph": trial.name,
            "origin": trial.origin,
            "detections": {copy: detection_entries(trial.detections[copy]) for copy in COPIES},
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
    """The table and what it means, for a person."""
    yield (
        f"blur {document['blur']} (seed {document['seed']}), deblurrer {document['deblurrer']},"
        f" detector {document['detector']} from a score of {document['confidence']}"
    )
    yield ""
    rows = [("photograph", *(f"found: {copy}" for copy in COPIES), "again", "PSNR in dB")]
    for entry in document["pictures"]:
        found = [counted(Counter(box["class"] for box in entry["detections"][copy])) for copy in COPIES]
        again = f"{entry['found_again']['blurred']} -> {entry['found_again']['restored']} of {entry['n_sharp']}"
        rows.append((entry["photograph"], *found, again, _arrow(entry["psnr"])))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for position, row in enumerate(rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if position == 0:
            yield "  ".join("-" * width for width in widths)
    totals = document["totals"]
    again, new = totals["found_again"], totals["new"]
    yield ""
    yield (
        f"Of {totals['n_sharp']} objects found in the sharp copies, {again['blurred']} are found again in the blurred"
        f" and {again['restored']} in the restored ones (same class, IoU from 0.5);"
    )
    yield f"boxes that match none of them: {new['blurred']} in the blurred, {new['restored']} in the restored copies."
    yield f"Mean PSNR against the sharp copies: {_arrow(totals['psnr'])} dB."
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
    rows = [Image.fromarray(trial.panels(SHEET_WIDTH // len(COPIES) - _GAP, HIGHEST_ROW)) for trial in trials]
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
    own = references(
        GroundTruth(pictures, class_names, {}, numbers, {}),
        {trial.name: trial.detections["sharp"] for trial in trials},
        confidence,
    )
    scores = score_pictures(own, {trial.name: trial.detections[copy] for trial in trials}, confidence=confidence)
    return {name: (score.n_hits, score.n_boxes - score.n_hits) for name, score in scores.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return sum(finite) / len(finite) if finite else None


def _arrow(psnr: dict[str, float | None]) -> str:
    blurred, restored = ("same" if psnr[copy] is None else f"{psnr[copy]:.2f}" for copy in ("blurred", "restored"))
    return f"{blurred} -> {restored}"
