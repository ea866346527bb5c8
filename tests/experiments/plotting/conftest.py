"""A small detection-gain run, written by the run's own writers, for the tests of what reads it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deblur.blur import parse_blur
from deblur.pictures import write_picture
from deblur.runs import write_json
from detection.bootstrap import Interval
from detection.consistency import Consistency
from detection.scoring import PrecisionRecall
from experiments.gain.files import write_curves, write_metrics, write_per_image
from experiments.gain.picture_tables import Boxes, Curve, PictureRow, PictureTruth, Predictions
from experiments.gain.records import (
    ArmScore,
    BlurRecord,
    DeblurrerRecord,
    DetectorRecord,
    Example,
    GainRun,
    Result,
    deblurred_arm,
    is_sharp_arm,
    sharp_through_arm,
)
from tests.experiments.gain_runs import write_predictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVIL = "<script>alert(1)</script>"
WIDTH, HEIGHT = 64, 48
PICTURES = ("one", "two")
RECALL = tuple(level / 100 for level in range(101))


def interval(value: float | None, low: float | None = None, high: float | None = None) -> Interval:
    return Interval(value, low, high, 0.95, 1000, 0)


def score(ap: float | None, psnr: float | None = None, classes: tuple[str, ...] = ("person", EVIL)) -> ArmScore:
    low, high = (None, None) if ap is None else (ap - 0.02, ap + 0.03)
    per_class: dict[str, dict[str, float | int | None]] = {name: {"ap": ap, "n_truths": 1} for name in classes}
    return ArmScore(ap, ap, ap, None, ap, ap, ap, ap, ap, None, ap, ap, low, high, 2, 2, 9, psnr, 0.9, 0, 2, per_class)


@pytest.fixture(scope="session")
def make_run() -> Callable[..., GainRun]:
    """Writes a run into a folder; see `_make_run` for what can be asked for."""
    return _make_run


def _make_run(
    folder: Path,
    *,
    detectors: tuple[str, ...] = ("det",),
    blurs: tuple[int | str, ...] = (8, 16),
    deblurrer: str = "net",
    gain: Interval | None = None,
    recovered: Interval | None = None,
    harm: Interval | None = None,
    ap: tuple[float, float, float] = (0.4, 0.2, 0.3),
    has_sharp: bool = True,
    confidence: float = 0.001,
    data: str = "00ff",
    weights: str = "aa",
    cost: float | None = 12.5,
    limit: int | None = None,
) -> GainRun:
    """Write a run of two pictures; AP is given for the sharp, the blurred and the restored ones."""
    sharp, blurred, restored = ap
    names = [f"shake:{length}" if isinstance(length, int) else length for length in blurs]
    arms = {"blurred": score(blurred, 25.0), deblurred_arm(deblurrer): score(restored, 28.0)}
    if has_sharp:
        arms = {"sharp": score(sharp), **arms, sharp_through_arm(deblurrer): score(sharp - 0.01, 40.0)}
    pictures = {arm: f"pictures/{place}.jpg" for place, arm in enumerate(arms)}
    for place, file in enumerate(pictures.values()):
        write_picture(folder / file, np.full((HEIGHT, WIDTH, 3), 60 * place, np.uint8))
    examples = [
        Example("helped", 1, "one", deblurrer, 0.2, 0.8, pictures["blurred"], pictures),
        Example("hurt", 1, "two", deblurrer, 0.7, 0.1, pictures["blurred"], pictures),
    ]
    results = [
        Result(
            detector=detector,
            blur=name,
            arms=arms,
            recovered={deblurrer: recovered or interval(0.5, 0.25, 0.75)},
            ap_difference={deblurrer: gain or interval(0.1, 0.05, 0.15)},
            harm={deblurrer: harm or interval(0.01, -0.01, 0.02)},
            consistency={arm: Consistency(0.3, 0.5, 0.25, 2, 4, 9) for arm in arms if arm != "sharp"},
            examples=examples,
        )
        for detector, name in itertools.product(detectors, names)
    ]
    run = GainRun(
        protocol={
            "detection": {"confidence": confidence},
            "scoring": {"classes": None},
            "bootstrap": {"unit": "picture, the same draws for every arm"},
            "drawn_confidence": 0.25,
            "restoration": {"psnr": "RGB"},
        },
        data={
            "sha256": data,
            "annotations": {"sha256": "aa"},
            "sharp": {"sha256": "bb"},
            "blurred": {"sha256": "cc"},
            "classes": ["person", EVIL],
            "n_pictures": 2,
            "limit": limit,
            "reports": {},
        },
        detectors=[DetectorRecord(name, weights) for name in detectors],
        deblurrers=[DeblurrerRecord(deblurrer, "network", "bb", cost, None if cost is None else 100.0, 9)],
        blurs=[BlurRecord(name, "shake", parse_blur(name).length, "cc") for name in names],
        results=results,
    )
    write_metrics(folder, run)
    places = {
        (detector, "" if is_sharp_arm(arm) else name, arm)
        for detector, name, arm in itertools.product(detectors, names, arms)
    }
    falling = tuple(1 - level for level in RECALL)
    write_curves(folder, [Curve(*place, PrecisionRecall(RECALL, falling, falling)) for place in sorted(places)])
    write_per_image(
        folder, [PictureRow(name, *place, 1, 1, 1, 0.5, None, None) for place in sorted(places) for name in PICTURES]
    )
    truth = Boxes([[4.0, 4.0, 24.0, 24.0]], [0])
    found = Boxes([[5.0, 4.0, 24.0, 25.0], [30.0, 10.0, 60.0, 40.0], [0.0, 0.0, 9.0, 9.0]], [0, 1, 0], [0.9, 0.4, 0.02])
    predictions = Predictions(
        ["person", EVIL],
        [PictureTruth(name, f"{name}.jpg", WIDTH, HEIGHT, truth, [False]) for name in PICTURES],
        {
            (*place, name): Boxes([], [], []) if place[2] == "blurred" else found
            for place in sorted(places)
            for name in PICTURES
        },
    )
    write_predictions(folder, predictions)
    write_json(folder / "env.json", {"command": f"python {EVIL}", "packages": {"torch": "2"}})
    return run
