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
from typing import TYPE_CHECKING

from deblur.cli import EXIT_DONE, given_path, parse_args, run, whole_number
from deblur.errors import DeblurError
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from experiments.common.narrator import Narrator
    from experiments.gain.records import GainRun
    from experiments.gain.scores import Key


def build_parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.rescore",
        description="Score the boxes of a detection-gain run anew, with the code as it is now.",
    )
    parser.add_argument("run", type=given_path, metavar="RUN", help="folder of a finished detection-gain run")
    parser.add_argument(
        "--annotations", type=given_path, metavar="PATH", help="annotations (default: where the run found them)"
    )
    parser.add_argument(
        "--bootstrap",
        type=whole_number,
        metavar="N",
        help="resamples for intervals, 0 for none; written into config.yaml (default: as many as the run has)",
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


def rescore(folder: Path, annotations: Path | None, narrator: Narrator, resamples: int | None = None) -> GainRun:
    """Score a run's boxes, and write what depends on it.

    Args:
        folder: of the run.
        annotations: where they lie now; None for where the run found them.
        narrator: told how far it is.
        resamples: of the bootstrap; None for as many as the run has.

    Raises:
        DeblurError: as `read_run`; or fused boxes go by a name that is not scored any more, or the run's folder is not
            to be written to.
        DetectionError: as `read_run`.
    """
    from deblur.runs import describe_environment, refuse_unwritable, write_json, write_yaml
    from deblur.yaml_text import read_yaml
    from experiments.gain.files import (
        read_environment,
        read_restoration,
        write_curves,
        write_metrics,
        write_per_image,
    )
    from experiments.gain.protocol import scoring_protocol
    from experiments.gain.saved_run import read_run
    from experiments.gain.scores import score_detector

    environment = read_environment(folder)
    compared = read_restoration(folder)
    old, settings, truths, found = read_run(folder, annotations)
    _refuse_earlier_fusion(folder, old)
    refuse_unwritable(folder, f"the scores of {folder}", "copy the run to where you can write")
    if resamples is not None:
        settings = dataclasses.replace(settings, resamples=resamples)
    # Before anything is written: a committed run would make its own checkout look changed.
    earlier = environment.get("rescored", [])
    if not isinstance(earlier, list):
        raise DeblurError(f"{folder / 'env.json'} is not as this program writes it: 'rescored' is no list")
    rescored = [*earlier, describe_environment("cpu", settings.seed)]

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


def _refuse_earlier_fusion(folder: Path, old: GainRun) -> None:
    """Refuse fused boxes that would be scored as a deblurrer's own: what compares two passes with two would be lost."""
    from experiments.gain.records import BLURRED, CONTROL

    fused = (record.name for record in old.deblurrers if record.kind == "fused" and record.name != CONTROL)
    earlier = next((name for name in fused if name.endswith(f"+{BLURRED}")), None)
    if earlier is not None:
        raise DeblurError(
            f"{folder} has fused boxes of an earlier kind, {earlier}, which this version does not score: score it anew "
            "at the commit that its env.json names, or measure it again"
        )


if __name__ == "__main__":
    sys.exit(main())
