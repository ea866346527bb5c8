"""Score the boxes of a detection-gain run anew, with the code as it is now; nothing is detected or restored again.

    python -m experiments.rescore runs/detection_gain/NAME

It needs the run's ``config.yaml``, ``env.json``, ``metrics.json``, ``per_image.csv`` and ``predictions.json``, and the
annotations. It writes ``metrics.json``, ``per_image.csv`` and ``curves.json`` again, of which tables, plots and report
are made, and adds to ``env.json`` what scored; `experiments.gain.records` describes the files. PSNR and SSIM of each
picture, times and examples stay those that were found when the pictures were there. ``--bootstrap N`` gives the
intervals another number of resamples than the run had, and writes it into ``config.yaml``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deblur.cli import EXIT_DONE, parse_args, run, whole_number
from deblur.errors import DeblurError
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from experiments.common.narrator import Narrator
    from experiments.gain.inputs import Truths
    from experiments.gain.picture_tables import Predictions
    from experiments.gain.records import GainRun
    from experiments.gain.scores import Found, Key
    from experiments.gain.settings import Settings


def build_parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.rescore",
        description="Score the boxes of a detection-gain run anew, with the code as it is now.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished detection-gain run")
    parser.add_argument(
        "--annotations", type=Path, metavar="PATH", help="where they lie now (default: where the run found them)"
    )
    parser.add_argument(
        "--bootstrap",
        type=whole_number,
        metavar="N",
        help="resamples for intervals, 0 for none; config.yaml says it from then on (default: as many as the run has)",
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json on stdout in place of the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parse_args(build_parser(), argv)
    return run(lambda: _rescore(arguments), expected=(DeblurError, DetectionError))


def _rescore(arguments: argparse.Namespace) -> int:
    from experiments.common.narrator import Narrator
    from experiments.gain.run_table import run_table

    folder: Path = arguments.run
    narrator = Narrator(folder / "log.txt" if folder.is_dir() else None)
    gain = rescore(folder, arguments.annotations, narrator, arguments.bootstrap)
    print(json.dumps(gain.to_json(), ensure_ascii=False, allow_nan=False) if arguments.json else run_table(gain))
    narrator.say(f"scored anew: {folder}")
    return EXIT_DONE


class SavedRun(NamedTuple):
    """What scoring needs of a finished run.

    Attributes:
        old: what ``metrics.json`` says.
        settings: of the run.
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
    from experiments.common.json_files import decoded
    from experiments.gain.files import read_metrics, read_predictions
    from experiments.gain.inputs import read_truths

    old = read_metrics(folder)
    settings = _settings(folder)
    predictions = read_predictions(folder)
    place = annotations or settings.annotations
    truths = read_truths(place, _class_names(old, predictions), settings.limit, settings.split)
    if truths.sha256 != old.data["annotations"]["sha256"]:
        raise DeblurError(f"{place} does not hold what {folder} was measured on: give its --annotations")
    saved = folder / "predictions.json"
    _refuse_part(saved, old, truths, predictions)
    found = decoded(saved, lambda: {record.name: _found(predictions, record.name) for record in old.detectors})
    return SavedRun(old, settings, truths, found)


def rescore(folder: Path, annotations: Path | None, narrator: Narrator, resamples: int | None = None) -> GainRun:
    """Score a run's boxes, and write what depends on it.

    Args:
        folder: of the run.
        annotations: where they lie now; None for where the run found them.
        narrator: told how far it is.
        resamples: of the bootstrap; None for as many as the run has.

    Raises:
        DeblurError: as `read_run`.
        DetectionError: as `read_run`.
    """
    from deblur.runs import describe_environment, write_json, write_yaml
    from deblur.yaml_text import read_yaml
    from experiments.gain.files import (
        read_environment,
        read_restoration,
        write_curves,
        write_metrics,
        write_per_image,
    )
    from experiments.gain.protocol import scoring_protocol
    from experiments.gain.scores import score_detector

    environment = read_environment(folder)
    compared = read_restoration(folder)
    old, settings, truths, found = read_run(folder, annotations)
    if resamples is not None:
        settings = dataclasses.replace(settings, resamples=resamples)
    # Before anything is written: a committed run would make its own checkout look changed.
    rescored = [*environment.get("rescored", []), describe_environment("cpu", settings.seed)]

    def restoration(key: Key, stem: str) -> Mapping[str, float | None]:
        try:
            return compared[(*key, stem)]
        except KeyError:
            raise DeblurError(
                f"{folder / 'per_image.csv'} has no line of {stem} in {' '.join(filter(None, key))}"
            ) from None

    scores = []
    with narrator.progress(sum(map(len, found.values())), "scoring", "arm") as done:
        for detector, boxes in found.items():
            truth = truths.by_detector[detector]
            scores.append(score_detector(settings, detector, truth, boxes, restoration, done))
    results = [
        dataclasses.replace(result, examples=old.result(result.detector, result.blur).examples)
        for scored in scores
        for result in scored.results
    ]
    gain = dataclasses.replace(old, protocol=old.protocol | scoring_protocol(settings, truths.stems), results=results)
    write_per_image(folder, (row for scored in scores for row in scored.rows))
    write_curves(folder, (curve for scored in scores for curve in scored.curves))
    if resamples is not None:
        config = folder / "config.yaml"
        write_yaml(config, read_yaml(config) | {"bootstrap": resamples})
    write_json(folder / "env.json", environment | {"rescored": rescored})
    write_metrics(folder, gain)
    return gain


def _settings(folder: Path) -> Settings:
    from experiments import detection_gain

    return detection_gain.settings_of(
        parse_args(detection_gain.build_parser(), ["--config", str(folder / "config.yaml")])
    )


def _class_names(old: GainRun, predictions: Predictions) -> dict[str, tuple[str, ...]]:
    """Every class of each detector.

    Older runs do not say: there it is those with a score, or where ``--classes`` chose some, those of all detectors.
    """
    scored = {result.detector: next(iter(result.arms.values())).per_class for result in old.results}
    unsaid = scored if old.data["classes"] is None else dict.fromkeys(scored, predictions.class_names)
    return {record.name: tuple(record.class_names or unsaid[record.name]) for record in old.detectors}


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
    from detection.types import Detections

    found: dict[Key, dict[str, Detections]] = {}
    for (of, blur, arm, stem), saved in predictions.predicted.items():
        if of == detector:
            names = [predictions.class_names[index] for index in saved.classes]
            found.setdefault((blur, arm), {})[stem] = Detections.ordered(saved.boxes, saved.scores, names)
    return found


if __name__ == "__main__":
    sys.exit(main())
