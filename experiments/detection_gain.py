"""Measure what deblurring gives a detector: COCO AP on sharp, blurred and restored pictures, with intervals.

    python -m experiments.detection_gain --annotations coco/annotations/instances_val2017.json \
        --sharp coco/val2017 --blur shake:8 shake:16 shake:28 --deblurrer default --detector yolo26n yolo11n --limit 200

docs/detection-gain.md explains the options and the figures, `experiments.gain.records` the files of the run.
A run that was stopped goes on with ``--resume RUN``. On several GPUs or processes:

    torchrun --nproc-per-node 4 -m experiments.detection_gain ...
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import (
    EXIT_DONE,
    Collect,
    add_config_option,
    add_device_option,
    add_resumable_options,
    add_seed_option,
    blur_spec,
    detector_side,
    named_folder,
    parse_resumable,
    positive_int,
    run,
    whole_number,
)
from deblur.errors import DeblurError
from detection.errors import DetectionError
from detection.naming import parse_detector
from pipelines.motion_options import add_motion_options, check_recorded_options, motions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.gain.settings import Settings

DETECTOR = "yolo26n"


def build_parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.detection_gain",
        description="Measure what deblurring gives a detector: COCO AP on sharp, blurred and restored pictures.",
        usage="%(prog)s --annotations PATH {--blurred DIR [--sharp DIR] | --sharp DIR --blur SPEC ...} [option ...]\n"
        "       %(prog)s --resume RUN [option ...]",
    )
    _add_data(parser)
    _add_arms(parser)
    _add_protocol(parser)
    add_seed_option(parser)
    add_device_option(parser)
    where = parser.add_argument_group("where")
    add_resumable_options(where, "detection_gain")
    where.add_argument("--json", action="store_true", help="print metrics.json on stdout in place of the table")
    add_config_option(parser)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    """Pictures, their blur and their truth."""
    data = parser.add_argument_group("pictures and truth")
    data.add_argument(
        "--annotations", type=Path, metavar="PATH", help="needed: COCO .json, folder of VOC .xml, YOLO data.yaml"
    )
    data.add_argument(
        "--split", choices=["train", "val", "test"], help="pictures of a data.yaml that are measured (default: val)"
    )
    data.add_argument("--sharp", type=Path, metavar="DIR", help="sharp pictures; --blur needs them, --blurred does not")
    data.add_argument("--blurred", type=Path, metavar="DIR", help="blurred pictures; this or --blur is needed")
    data.add_argument(
        "--blur",
        type=blur_spec,
        nargs="+",
        action=Collect,
        metavar="SPEC",
        help="or blur the sharp ones: kind:length, such as shake:16 (docs/blur.md); several are severities of one run",
    )
    data.add_argument(
        "--data-blur",
        metavar="WORD",
        help="which blur --blurred is, for the result, such as GoPro's linear (an average of encoded values) or gamma "
        "(default: the data set's manifest)",
    )
    data.add_argument("--classes", nargs="+", action=Collect, metavar="NAME", help="score these classes only")
    data.add_argument("--limit", type=positive_int, metavar="N", help="first N pictures only; the result says so")


def _add_arms(parser: argparse.ArgumentParser) -> None:
    """Networks and detectors."""
    arms = parser.add_argument_group("what is measured")
    arms.add_argument(
        "--deblurrer",
        nargs="+",
        action=Collect,
        metavar="NAME|FILE|NAME=FILE",
        help="networks that restore; NAME=FILE calls weights of your own NAME; NAME+gyro is told the camera's path, of "
        "--blur the true one with a sensor's simulated errors, of --blurred that of --motion; NAME+search searches for "
        "it, which takes a core half a minute to two minutes a picture; none for no network (default: none)",
    )
    add_motion_options(arms, "told to NAME+gyro alone")
    arms.add_argument(
        "--deblurred",
        type=named_folder,
        nargs="+",
        action=Collect,
        metavar="NAME=DIR",
        help="pictures that another program restored, which experiments.restoration takes by --restored; with several "
        "blurs DIR holds a folder for each",
    )
    arms.add_argument(
        "--fuse",
        action="store_true",
        help="also detect in two passes, in the blurred picture and in the mirror image of the restored one (NAME+gyro "
        "with a path that fits the picture: in the restored one and its mirror image), and merge the boxes by weighted "
        "boxes fusion; the blurred picture and its mirror image are the control",
    )
    arms.add_argument(
        "--detector",
        nargs="+",
        action=Collect,
        default=[DETECTOR],
        metavar="NAME|FILE|NAME=FILE",
        help=f"detectors; NAME=FILE calls a .pt file NAME, as training calls all of them best (default: {DETECTOR})",
    )


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    """How it is scored."""
    how = parser.add_argument_group("how")
    how.add_argument("--imgsz", type=detector_side, default=640, help="side of the detector's square (default: 640)")
    how.add_argument(
        "--bootstrap",
        type=whole_number,
        default=1000,
        metavar="N",
        help="resamples for intervals, 0 for none (default: 1000)",
    )
    how.add_argument(
        "--backend", choices=["pycocotools", "faster-coco-eval"], default="pycocotools", help="COCO library"
    )


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

    def opened() -> Path:
        folder = open_resumable(arguments, TASK, _name(settings))
        write_environment(folder, describe_environment(device, settings.seed) | {"processes": processes.count})
        return folder

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


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that parsed arguments stand for."""
    from experiments.gain.settings import Settings

    return Settings(
        annotations=arguments.annotations,
        sharp=arguments.sharp,
        blurred=arguments.blurred,
        blurs=tuple(arguments.blur or ()),
        deblurrers=tuple(name for name in arguments.deblurrer or () if name != "none"),
        peers=tuple((each.name, each.folder) for each in arguments.deblurred or ()),
        detectors=tuple(arguments.detector),
        classes=tuple(arguments.classes) if arguments.classes else None,
        resamples=arguments.bootstrap,
        limit=arguments.limit,
        seed=arguments.seed,
        backend=arguments.backend,
        image_size=arguments.imgsz,
        fuse=arguments.fuse,
        motions=motions_of(arguments),
        data_blur=arguments.data_blur,
        split=arguments.split,
    )


def _name(settings: Settings) -> str:
    """Name of a new run's folder."""
    blurs = [str(spec) for spec in settings.blurs] or [settings.blurred.resolve().name if settings.blurred else ""]
    asked = parse_detector(settings.detectors[0])
    detector = asked.name or Path(asked.weights).stem
    return f"{detector}-{blurs[0]}".replace(":", "-").replace("/", "-")


if __name__ == "__main__":
    sys.exit(main())
