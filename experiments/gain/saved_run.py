"""A finished detection-gain run, read from its folder with all that scoring its boxes needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deblur.cli import parse_args
from deblur.errors import DeblurError
from detection.annotations.records import annotated_classes
from detection.types import Detections
from experiments.common.json_files import decoded
from experiments.gain.box_options import build_parser as build_parser_of_files
from experiments.gain.box_options import settings_of as settings_of_files
from experiments.gain.box_protocol import has_boxes_of_files
from experiments.gain.files import read_metrics, read_predictions
from experiments.gain.inputs import read_truths
from experiments.gain.options import build_parser, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from experiments.gain.inputs import Truths
    from experiments.gain.picture_tables import Predictions
    from experiments.gain.records import GainRun
    from experiments.gain.scores import Found, Key
    from experiments.gain.settings import Settings


class SavedRun(NamedTuple):
    """What scoring needs of a finished run.

    Attributes:
        old: what ``metrics.json`` says.
        settings: of the run, without recorded paths.
        truths: the pictures measured.
        found: detector to its boxes.
    """

    old: GainRun
    settings: Settings
    truths: Truths
    found: Mapping[str, Found]


def read_run(folder: Path, annotations: Path | None) -> SavedRun:
    """Read a finished run and its annotations.

    Args:
        folder: of the run.
        annotations: where they lie now; None for where the run found them.

    Raises:
        DeblurError: the folder holds no finished run, a file or some of the boxes are missing, or the annotations are
            others.
        DetectionError: the annotations cannot be read.
    """
    old = read_metrics(folder)
    of_files = has_boxes_of_files(old.protocol)
    settings = _settings(folder, of_files)
    predictions = read_predictions(folder)
    place = annotations or settings.annotations
    # What --pictures-from named may be gone.
    keys = [truth.picture for truth in predictions.truths] if of_files else None
    truths = read_truths(place, _class_names(old, predictions), settings.limit, settings.split, keys)
    if truths.sha256 != old.data["annotations"]["sha256"]:
        raise DeblurError(f"{place} does not hold what {folder} was measured on: give its --annotations")
    _refuse_other_classes(place, folder, old, truths)
    saved = folder / "predictions.json"
    _refuse_part(saved, old, truths, predictions)
    found = decoded(saved, lambda: {record.name: _found(predictions, record.name) for record in old.detectors})
    return SavedRun(old, settings, truths, found)


def _settings(folder: Path, of_files: bool) -> Settings:
    recorded = ["--config", str(folder / "config.yaml")]
    if of_files:
        return settings_of_files(parse_args(build_parser_of_files(), recorded))
    arguments = parse_args(build_parser(), recorded)
    arguments.motion = None  # its paths made the boxes and score none: they may be gone
    return settings_of(arguments)


def _class_names(old: GainRun, predictions: Predictions) -> dict[str, tuple[str, ...]]:
    """Every class of each detector.

    Older runs do not say: there it is those with a score, or where ``--classes`` chose some, those of all detectors.
    """
    scored = {result.detector: next(iter(result.arms.values())).per_class for result in old.results}
    unsaid = scored if old.data["classes"] is None else dict.fromkeys(scored, predictions.class_names)
    return {record.name: tuple(record.class_names or unsaid[record.name]) for record in old.detectors}


def _refuse_other_classes(place: Path, folder: Path, old: GainRun, truths: Truths) -> None:
    """Refuse annotations that look for other classes than the run's, although they hold the same objects.

    Boxes of classes that nobody looked for do not count: other ones would, and examples would keep their old scores.
    """
    for name, truth in truths.by_detector.items():
        report = old.data["reports"].get(name, {})
        if old.data["classes"] is not None or "classes_not_annotated" not in report:
            continue
        others = set(annotated_classes(truth.class_names, [report])).symmetric_difference(truth.annotated)
        if others:
            raise DeblurError(
                f"{place} has the objects that {folder} was measured on, but tells otherwise whether it looks for "
                f"{', '.join(sorted(others)[:5])}{', ...' if len(others) > 5 else ''}: give the run's --annotations"
            )


def _refuse_part(file: Path, old: GainRun, truths: Truths, predictions: Predictions) -> None:
    """Refuse predictions that lack a picture of what the metrics have: arms that are not there are not scored."""
    scored = (
        predictions.key(result.detector, result.blur, arm, stem)
        for result in old.results
        for arm in result.arms
        for stem in truths.stems
    )
    missing = next((key for key in scored if key not in predictions.predicted), None)
    if missing is not None:
        of = " ".join(filter(None, missing))
        raise DeblurError(f"{file} has no boxes of {of}, which metrics.json scores: it is not whole")


def _found(predictions: Predictions, detector: str) -> Found:
    found: dict[Key, dict[str, Detections]] = {}
    for (of, blur, arm, stem), saved in predictions.predicted.items():
        if of == detector:
            names = [predictions.class_names[index] for index in saved.classes]
            found.setdefault((blur, arm), {})[stem] = Detections.ordered(saved.boxes, saved.scores, names)
    return found
