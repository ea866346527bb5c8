"""The small experiment of conftest.py, run from beginning to end, and the rows that it writes."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from experiments.common.narrator import Narrator
from experiments.gain.files import writing_predictions
from experiments.gain.measure import measure
from experiments.gain.plan import plan

if TYPE_CHECKING:
    from pathlib import Path

    from experiments.gain.picture_tables import Predictions
    from experiments.gain.records import GainRun
    from experiments.gain.settings import Settings, Tools

STEMS = ("a", "b", "c", "d")


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "per_image.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_predictions(folder: Path, predictions: Predictions) -> None:
    with writing_predictions(folder, predictions.class_names, predictions.truths) as add:
        for key, boxes in predictions.predicted.items():
            add(key, boxes)


def run(settings: Settings, folder: Path, tools: Tools) -> GainRun:
    gain = measure(plan(settings, tools), folder, Narrator(silent=True))
    assert gain is not None
    return gain
