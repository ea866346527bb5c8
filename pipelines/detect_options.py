"""The options of `pipelines.deblur_detect`, and what they come to beside each other."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, NamedTuple

from deblur.cli import (
    Collect,
    add_config_option,
    add_device_option,
    detector_side,
    given_path,
    not_empty,
    positive_int,
    unit_interval,
)
from pipelines.motion_options import add_motion_options, check_motion_options

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SAVED = ("annotated", "deblurred", "side-by-side", "json", "txt", "coco")
SAVED_BY_DEFAULT = ("annotated", "deblurred")
CONFIDENCE, FUSED_CONFIDENCE = 0.25, 0.2
FOR_A_DEBLURRER = {"full_size": False, "trust_motion": False} | dict.fromkeys(
    ("fuse", "motion", "exposures", "focal_length", "readout")
)
"""Options that mean nothing without one, and what they are where they are not given."""

EXAMPLES = """\
examples:
  python -m pipelines.deblur_detect street.jpg
  python -m pipelines.deblur_detect dash-cam/ --deblurrer mstsgm-nano --no-fuse      faster, finds less
  python -m pipelines.deblur_detect dash-cam/ --deblurrer mstsgm-guided-large        for a GPU: finds more
  python -m pipelines.deblur_detect photos/ --deblurrer mstsgm-guided-large+search   tries many camera paths: slow
  python -m pipelines.deblur_detect photos/ --classes person car --save annotated,txt
  python -m pipelines.deblur_detect photos/ --full-size       large pictures restored for the eye, not the detector
  python -m pipelines.deblur_detect 'photos/**/*.png' --deblurrer none --json > detections.json
  python -m pipelines.deblur_detect robot/ --motion gyro/ --focal-length 820    the camera's turns are known
  python -m pipelines.deblur_detect drone.mp4 --motion flight.csv --exposures times.csv --focal-length 900
  python -m pipelines.deblur_detect ride.mp4 --save side-by-side --output ride-restored
  python -m pipelines.deblur_detect 0 --limit 300     the first camera; Ctrl-C stops it and keeps what is written
  python -m pipelines.deblur_detect 0 --camera-size 1920x1080    OpenCV opens cameras at 640x480 otherwise

Exit codes: 0 done, 1 a picture (or more) failed, 2 wrong usage, 130 interrupted.
"""


def make_parser() -> argparse.ArgumentParser:
    """The options, before any heavy import."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.deblur_detect",
        description="Restore motion-blurred pictures or videos, then detect the objects in them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="+",
        type=not_empty,
        metavar="SOURCE",
        help="picture, folder (pictures at any depth), glob in quotes, video file, or number of a camera",
    )
    parser.add_argument(
        "--camera-size",
        type=_camera_size,
        metavar="WxH",
        help="ask cameras for frames of so many pixels, e.g. 1920x1080; a note says which size they give (default: "
        "OpenCV's, 640x480 of most cameras)",
    )
    _add_models(parser)
    add_device_option(parser)
    _add_results(parser)
    add_config_option(parser)
    return parser


def _add_models(parser: argparse.ArgumentParser) -> None:
    """What restores, what detects, and how."""
    models = parser.add_argument_group("models")
    models.add_argument(
        "--deblurrer",
        default="default",
        metavar="NAME|FILE|NAME=FILE",
        help="default, the name of a released network, a .safetensors file (NAME=FILE calls it NAME), or none; "
        "NAME+search of a guided network searches for the camera's path of every picture by restoring it along many, "
        "for half a minute of one core, or one or two with mstsgm-guided-large (docs/path-search.md; default: "
        "default)",
    )
    models.add_argument(
        "--full-size",
        action="store_true",
        help="restore large pictures for the eye: all of their pixels, and blur too small for the detector to see "
        "(default: a copy of twice --imgsz at most, and the change is brought to the picture)",
    )
    add_motion_options(models, "a guided network estimates it otherwise")
    models.add_argument(
        "--trust-motion",
        action="store_true",
        help="believe --motion all over the picture, which is faster (default: where the picture bears it out, and "
        "elsewhere the network's own estimate)",
    )
    models.add_argument(
        "--detector",
        default="yolo26n",
        metavar="NAME|FILE|NAME=FILE",
        help="YOLO weights: a name or a .pt file (NAME=FILE calls it NAME; default: yolo26n)",
    )
    models.add_argument(
        "--fuse",
        action=argparse.BooleanOptionalAction,
        help="detect in two passes, in the picture as it came and in the mirror image of the restored one, smaller "
        "where the blur is long (along a path of --motion or +search that fits the picture: in the restored one and "
        "its mirror image), and merge the boxes by weighted boxes fusion: finds more, and the detector takes twice as "
        "long (default: --fuse, unless --deblurrer none)",
    )
    models.add_argument(
        "--conf",
        type=unit_interval,
        metavar="SCORE",
        help=f"leave out detections below it (default: {CONFIDENCE}; {FUSED_CONFIDENCE} of fused boxes, which score "
        "less)",
    )
    models.add_argument(
        "--imgsz",
        type=detector_side,
        default=640,
        metavar="PIXELS",
        help="side of the square that the detector sees, a multiple of 32, or of 64 for P6 detectors (default: 640)",
    )
    models.add_argument(
        "--classes",
        nargs="+",
        action=Collect,
        type=_class_names,
        metavar="NAME",
        help="find these only; spaces or commas between, e.g. person,'traffic light'",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    """What is written, and where."""
    results = parser.add_argument_group("results")
    results.add_argument(
        "--output",
        type=given_path,
        metavar="DIR",
        help="a new or empty folder (default: runs/deblur_detect/SOURCE[-N])",
    )
    results.add_argument(
        "--save",
        nargs="+",
        action=Collect,
        type=_saved_kinds,
        default=[SAVED_BY_DEFAULT],
        metavar="KIND",
        help=f"any of {', '.join(SAVED)}; spaces or commas between (default: {' '.join(SAVED_BY_DEFAULT)}). "
        "detections.json is always written, deblurred never with --deblurrer none",
    )
    results.add_argument(
        "--limit", type=positive_int, metavar="N", help="stop after N pictures or frames in all; marked in the results"
    )
    results.add_argument("--json", action="store_true", help="print detections.json on stdout, and nothing else there")


def completed(parser: argparse.ArgumentParser, args: argparse.Namespace, typed: Collection[str]) -> argparse.Namespace:
    """The options without those that mean nothing beside others; a wrong usage if they do not go together."""
    if args.deblurrer == "none":  # the configuration of a run with a deblurrer may have what is for one
        for name in FOR_A_DEBLURRER.keys() - typed:
            setattr(args, name, FOR_A_DEBLURRER[name])
    if args.fuse and args.deblurrer == "none":
        parser.error("--fuse needs a deblurrer: without one there is only one picture to detect in")
    if args.motion is not None and args.deblurrer == "none":
        parser.error("--motion needs a deblurrer to be told the camera's path")
    if args.trust_motion and args.motion is None:
        parser.error("--trust-motion is for --motion")
    if args.full_size and args.deblurrer == "none":
        parser.error("--full-size needs a deblurrer: it is about what is restored")
    if args.camera_size is not None and not _has_camera(args.source):
        if "camera_size" in typed:
            parser.error("--camera-size is for cameras: no SOURCE is the number of one")
        args.camera_size = None  # the configuration of a run with a camera may have it
    check_motion_options(parser, args)
    return args


def _has_camera(arguments: Sequence[str]) -> bool:
    from pipelines.sources import camera_of

    return any(camera_of(argument) is not None for argument in arguments)


class _Size(NamedTuple):
    width: int
    height: int

    def __str__(self) -> str:
        """As it is typed, also in ``config.yaml``."""
        return f"{self.width}x{self.height}"


def _camera_size(text: str) -> _Size:
    """Argument type of ``--camera-size``."""
    match = re.fullmatch("([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a width and a height in pixels, like 1920x1080")
    return _Size(int(match[1]), int(match[2]))


def _saved_kinds(text: str) -> tuple[str, ...]:
    """Argument type of ``--save``: kinds with commas between."""
    kinds = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [kind for kind in kinds if kind not in SAVED]
    if unknown or not kinds:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'nothing'} is none of {', '.join(SAVED)}")
    return kinds


def _class_names(text: str) -> tuple[str, ...]:
    """Argument type of ``--classes``: names with commas between."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError("a class name is empty")
    return names
