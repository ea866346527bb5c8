"""The options of ``python -m experiments.detection_gain``, as its runs record them too, and the settings they mean."""

from __future__ import annotations

import argparse

from deblur.cli import (
    Collect,
    add_config_option,
    add_device_option,
    add_resumable_options,
    add_seed_option,
    blur_spec,
    detector_side,
    given_path,
    named_folder,
    positive_int,
    whole_number,
)
from experiments.gain.settings import Settings
from pipelines.motion_options import add_motion_options, motions_of

DETECTOR = "yolo26n"


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
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
        "--annotations", type=given_path, metavar="PATH", help="needed: COCO .json, folder of VOC .xml, YOLO data.yaml"
    )
    data.add_argument(
        "--split", choices=["train", "val", "test"], help="pictures of a data.yaml that are measured (default: val)"
    )
    data.add_argument(
        "--sharp", type=given_path, metavar="DIR", help="sharp pictures; --blur needs them, --blurred does not"
    )
    data.add_argument("--blurred", type=given_path, metavar="DIR", help="blurred pictures; this or --blur is needed")
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
        help="networks that restore; NAME=FILE calls weights of your own NAME; NAME+gyro is told the camera's path, "
        "with --blur the true one with simulated sensor errors, with --blurred the one of --motion; NAME+search "
        "searches for the path, which takes a core half a minute to two minutes a picture; none for no network "
        "(default: none)",
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
        help="also detect in two passes, in the blurred picture and in the mirror image of the restored one, smaller "
        "where the blur is long (with a path of +gyro or +search that fits: in the restored one and its mirror "
        "image), and merge the boxes by weighted boxes fusion; the control is the blurred one and its mirror image",
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
    add_scoring_options(how)


def add_scoring_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--bootstrap`` and ``--backend``."""
    parser.add_argument(
        "--bootstrap",
        type=whole_number,
        default=1000,
        metavar="N",
        help="resamples for intervals, 0 for none (default: 1000)",
    )
    parser.add_argument(
        "--backend", choices=["pycocotools", "faster-coco-eval"], default="pycocotools", help="COCO library"
    )


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that parsed arguments stand for."""
    return Settings(
        annotations=arguments.annotations,
        sharp=arguments.sharp,
        blurred=arguments.blurred,
        blurs=tuple(arguments.blur or ()),
        deblurrers=tuple(name for name in arguments.deblurrer or () if name != "none"),
        peers=tuple((each.name, each.path) for each in arguments.deblurred or ()),
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
