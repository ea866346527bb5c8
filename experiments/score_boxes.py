"""Measure what deblurring gives any detector, by the boxes that it found: nothing is detected or restored here.

    python -m experiments.score_boxes --annotations instances.json \
        --boxes sharp=sharp.json blurred=blurred.json mine=restored.json --detector-name detr

Each file is a COCO results file, which most detectors' programs write. docs/detection-gain.md explains the figures,
which are those of ``experiments.detection_gain``, and `experiments.gain.records` the files of the run.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from deblur.cli import EXIT_DONE, parse_args, run
from deblur.errors import DeblurError
from detection.errors import DetectionError
from experiments.gain.box_options import build_parser, check_names, settings_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = build_parser()
    arguments = parse_args(parser, argv)
    check_names(parser, arguments)
    return run(lambda: _score(arguments), expected=(DeblurError, DetectionError))


def _score(arguments: argparse.Namespace) -> int:
    from deblur.runs import describe_environment, write_environment
    from experiments.common.file_names import file_name_of
    from experiments.common.narrator import Narrator
    from experiments.gain.box_files import BoxFiles, plan_boxes, score_boxes
    from experiments.gain.run_table import run_table
    from pipelines.run_folder import check_output, output_folder, write_options

    files = BoxFiles(
        blur=arguments.blur_name,
        boxes={each.name: each.path for each in arguments.boxes},
        through={each.name: each.path for each in arguments.sharp_through or ()},
        pictures=arguments.pictures_from,
    )
    check_output(arguments.output)
    plan = plan_boxes(files, settings_of(arguments))  # before there is a folder: mistakes leave none
    name = file_name_of(f"{arguments.detector_name}-{arguments.blur_name}")
    folder = output_folder(arguments.output, "score_boxes", name)
    write_options(folder, arguments)
    write_environment(folder, describe_environment("cpu", arguments.seed))
    narrator = Narrator(folder / "log.txt")
    gain = score_boxes(plan, folder, narrator)
    document = gain.to_json() | {"run": str(folder)}
    print(json.dumps(document, ensure_ascii=False, allow_nan=False) if arguments.json else run_table(gain))
    narrator.say(f"done: {folder}")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
