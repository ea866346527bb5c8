"""Measure what deblurring gives a detector: COCO AP on sharp, blurred and restored pictures, with intervals.

    python -m experiments.detection_gain --annotations coco/annotations/instances_val2017.json \
        --sharp coco/val2017 --blur shake:8 shake:16 shake:28 --deblurrer default --detector yolo26n yolo11n --limit 200

docs/detection-gain.md explains the options and the figures, `experiments.gain.records` the files of the run.
A run that was stopped goes on with ``--resume RUN``. On several GPUs or processes:

    torchrun --nproc-per-node 4 -m experiments.detection_gain ...
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import EXIT_DONE, parse_resumable, run
from deblur.equal_files import resolved
from deblur.errors import DeblurError
from detection.errors import DetectionError
from detection.naming import parse_detector
from experiments.gain.options import build_parser, settings_of
from pipelines.motion_options import check_recorded_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from experiments.gain.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = build_parser()
    arguments = parse_resumable(parser, argv)
    if arguments.annotations is None:
        parser.error("--annotations is needed")
    if (arguments.blurred is None) == (not arguments.blur):
        parser.error("give either --blurred DIR or --blur SPEC")
    check_recorded_options(parser, arguments)
    if arguments.data_blur and arguments.blur:
        parser.error("--data-blur says which blur --blurred DIR is; --blur SPEC says it itself")
    if arguments.blur and arguments.sharp is None:
        parser.error("--blur needs --sharp DIR to make blurred pictures from")
    return run(lambda: _measure(arguments), expected=(DeblurError, DetectionError))


def _measure(arguments: argparse.Namespace) -> int:
    from deblur.devices import resolve_device
    from deblur.runs import describe_environment, write_environment
    from experiments.common.narrator import Narrator
    from experiments.common.run_folder import open_resumable
    from experiments.gain.loading import tools_on
    from experiments.gain.measure import measure
    from experiments.gain.plan import plan
    from experiments.gain.processes import join_processes
    from experiments.gain.records import TASK
    from experiments.gain.run_table import run_table

    settings = settings_of(arguments)
    processes = join_processes()
    device = str(resolve_device(processes.device(arguments.device)))
    planned = plan(settings, tools_on(device, settings.image_size))  # before there is a folder: mistakes leave none
    held = ExitStack()

    def opened() -> Path:
        folder = held.enter_context(open_resumable(arguments, TASK, _name(settings)))
        write_environment(folder, describe_environment(device, settings.seed) | {"processes": processes.count})
        return folder

    with held:
        folder = processes.agree(opened)
        narrator = Narrator(folder / "log.txt", silent=not processes.is_first)
        narrator.say(f"run: {folder} on {device}, {processes.count} process{'es' if processes.count > 1 else ''}")
        gain = measure(planned, folder, narrator, processes)
        processes.leave()
        if gain is not None:
            document = gain.to_json() | {"run": str(folder)}
            print(json.dumps(document, ensure_ascii=False, allow_nan=False) if arguments.json else run_table(gain))
            narrator.say(f"done: {folder}")
    return EXIT_DONE


def _name(settings: Settings) -> str:
    """Name of a new run's folder."""
    blurs = [str(spec) for spec in settings.blurs] or [resolved(settings.blurred).name if settings.blurred else ""]
    asked = parse_detector(settings.detectors[0])
    detector = asked.name or Path(asked.weights).stem
    return f"{detector}-{blurs[0]}".replace(":", "-").replace("/", "-")


if __name__ == "__main__":
    sys.exit(main())
