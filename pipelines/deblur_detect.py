"""Restore pictures or videos and detect the objects in them: ``python -m pipelines.deblur_detect SOURCE...``."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deblur.cli import (
    EXIT_DONE,
    EXIT_FAILED,
    Collect,
    add_config_option,
    add_device_option,
    detector_side,
    given_options,
    not_empty,
    one_line,
    parse_args,
    positive_int,
    run,
    unit_interval,
)
from deblur.errors import DeblurError
from deblur.naming import parse_deblurrer
from detection.errors import DetectionError
from pipelines.motion_options import add_motion_options, check_motion_options, motions_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import TextIO

    from deblur import Deblurrer
    from detection.yolo import YoloDetector
    from pipelines.account import Account, Tally
    from pipelines.motions import Motions
    from pipelines.process import Process
    from pipelines.sources import Source

SAVED = ("annotated", "deblurred", "side-by-side", "json", "txt", "coco")
SAVED_BY_DEFAULT = ("annotated", "deblurred")
CONFIDENCE, FUSED_CONFIDENCE = 0.25, 0.2
FOR_A_DEBLURRER = {"full_size": False, "trust_motion": False} | dict.fromkeys(
    ("fuse", "motion", "exposures", "focal_length", "readout")
)
"""Options that mean nothing without one, and what they are where they are not given."""
LEAST_BELIEVED = 0.35  # a right path comes to .7 in the median of pictures, one of another moment to .2
DOUBTS = ": the pictures speak against them, so check clock, axes and focal length (docs/camera-path.md)"
CALIBRATE = (
    ", which are turned by 180 degrees: pictures come out sharper the other way round, so correct the signs "
    "of --motion, or let pipelines.calibrate_gyro find a gyroscope's axes (docs/camera-path.md)"
)
ON_A_GPU = "a GPU has time for --deblurrer mstsgm-guided-large, which finds more than the default"

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        Exit code: 0 done, 1 failed, 2 usage (raised by argparse as ``SystemExit``), 130 interrupted.
    """
    parser = make_parser()
    args = parse_args(parser, argv)
    typed = given_options(parser, argv)
    return run(lambda: deblur_detect(_completed(parser, args, typed)), expected=(DeblurError, DetectionError))


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
        help="side of the square that the detector sees, a multiple of 32 (default: 640)",
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
        "--output", type=Path, metavar="DIR", help="a new or empty folder (default: runs/deblur_detect/SOURCE[-N])"
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


class _Size(NamedTuple):
    width: int
    height: int

    def __str__(self) -> str:
        """As it is typed, also in ``config.yaml``."""
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """All that may turn out not to be there or not to go together, before a run has a folder.

    Attributes:
        sources: what is taken.
        notes: lines for the user about them and the models.
        motions: the camera's paths, where they are told.
        device: that the models are on.
        deblurrer: None where nothing is restored.
        detector: reports boxes down to the score that fusing needs.
        fuse: whether it detects in two passes.
        confidence: least score of the boxes that are kept.
    """

    sources: list[Source]
    notes: list[str]
    motions: Motions | None
    device: str
    deblurrer: Deblurrer | None
    detector: YoloDetector
    fuse: bool
    confidence: float


def deblur_detect(args: argparse.Namespace) -> int:
    """Do what the options say; see `main`.

    Raises:
        DeblurError: a source, the deblurrer, the device or the output folder is not there or cannot be used.
        DetectionError: the detector or one of its classes is not there.
    """
    from pipelines.account import Account
    from pipelines.process import stopped_like_ctrl_c
    from pipelines.run_folder import output_folder, record_run
    from pipelines.sources import name_of

    loaded = _load(args)
    folder = output_folder(args.output, "deblur_detect", name_of(args.source[0], loaded.sources[0]))
    record_run(folder, args, loaded.device, [] if loaded.deblurrer is None else [loaded.deblurrer], loaded.detector)
    with (
        (folder / "log.txt").open("w", buffering=1, encoding="utf-8") as log,  # line by line, for who looks on
        stopped_like_ctrl_c(),
        Account(folder) as account,
    ):
        _run(args, loaded, folder, account, log)
    return EXIT_FAILED if account.tally.n_failed else EXIT_DONE


def _load(args: argparse.Namespace) -> _Loaded:
    """Find the sources and load the models; as cheap mistakes as can be come first."""
    from deblur.devices import resolve_device
    from detection.fusion import LOWEST_CONFIDENCE
    from detection.yolo import YoloDetector
    from pipelines.run_folder import check_output
    from pipelines.sources import find_sources

    sources, notes = find_sources(args.source, args.camera_size)
    check_output(args.output)
    motions = motions_of(args)
    if motions is not None:
        motions.check(sources)
    device = str(resolve_device(args.device))
    deblurrer = None
    if args.deblurrer != "none":
        from deblur import Deblurrer

        seen_side = None if args.full_size else args.imgsz
        deblurrer = Deblurrer.load(args.deblurrer, device=device, seen_side=seen_side, doubting=not args.trust_motion)
    if args.deblurrer == "default" and device != "cpu":
        notes.append(ON_A_GPU)
    if motions is not None and deblurrer is not None and not deblurrer.takes_path:
        raise DeblurError(f"--motion: {deblurrer.name} has no guide to be told the camera's path")
    if motions is not None and deblurrer is not None and deblurrer.trust is None and not args.trust_motion:
        notes.append(
            f"{deblurrer.name} has not learnt to doubt a path: --motion is believed all over every picture "
            "(docs/training.md, where to believe a path)"
        )
    classes = None if args.classes is None else [name for group in args.classes for name in group]
    fuse = deblurrer is not None if args.fuse is None else args.fuse
    confidence = args.conf
    if confidence is None:
        confidence = FUSED_CONFIDENCE if fuse else CONFIDENCE
    lowest = min(confidence, LOWEST_CONFIDENCE) if fuse else confidence
    detector = YoloDetector(args.detector, device=device, image_size=args.imgsz, confidence=lowest, classes=classes)
    return _Loaded(sources, notes, motions, device, deblurrer, detector, fuse, confidence)


def _run(args: argparse.Namespace, loaded: _Loaded, folder: Path, account: Account, log: TextIO) -> None:
    """Process the sources, and write and print what came of it, also where it is stopped."""
    from deblur.exposure.way_round import WayRound
    from pipelines.chain import DeblurDetect
    from pipelines.process import Process
    from pipelines.sinks import CocoSink, PictureSink

    kinds = {kind for group in args.save for kind in group} - ({"deblurred"} if loaded.deblurrer is None else set())
    pictures = PictureSink(folder, kinds, loaded.detector.class_names)
    coco = CocoSink(loaded.detector.class_names) if "coco" in kinds else None
    chain = DeblurDetect(loaded.deblurrer, loaded.detector, fuse=loaded.fuse, confidence=loaded.confidence)
    searches = parse_deblurrer(args.deblurrer).searches
    told = loaded.motions is not None
    way_round = WayRound(loaded.device) if told else None
    process = Process(chain, pictures, coco, account, log, loaded.motions, way_round, searches=searches)
    for note in loaded.notes:
        process.say(note)
    is_whole = False
    try:
        try:
            process.run(loaded.sources, args.limit)
        finally:
            account.settle()
        is_whole = True
    finally:
        document = _document(loaded, folder, account.tally, args.limit, is_whole=is_whole)
        try:
            account.write(document)
            if coco is not None:
                coco.write(folder)
        finally:  # what was found is known, also where a full disk takes no more
            if args.json:
                _print_json(document, account)
            else:
                turned = way_round is not None and way_round.turned
                print_summary(account.tally, document["run"], told=told, turned=turned)
            _say_what_failed(process, account)


def _print_json(document: dict[str, Any], account: Account) -> None:
    from pipelines.account import json_pieces

    for piece in json_pieces(document, account.entries()):
        print(piece, end="")
    print(flush=True)


def _say_what_failed(process: Process, account: Account) -> None:
    if account.tally.n_failed:
        process.say(f"{account.tally.n_failed} of {account.n_added} failed:")
        for error in account.errors():
            process.say(f"  {error}")


def _document(loaded: _Loaded, folder: Path, tally: Tally, limit: int | None, *, is_whole: bool) -> dict[str, Any]:
    """What ``detections.json`` holds, but for the entries, which are not in memory: ``pictures`` is empty."""
    from deblur.runs import printable

    document: dict[str, Any] = {
        "run": printable(str(folder)),
        "deblurrer": None if loaded.deblurrer is None else loaded.deblurrer.name,
        "detector": loaded.detector.name,
        "fused": loaded.fuse,
        "confidence": loaded.confidence,
        "pictures": [],
        "n_ok": tally.n_ok,
        "n_failed": tally.n_failed,
    }
    if limit is not None:
        document["limit"] = limit
    if not is_whole:
        document["interrupted"] = True
    return document


def print_summary(tally: Tally, results: str, *, told: bool, turned: bool) -> None:
    """What was found, for a person, on stdout.

    Args:
        tally: what the pictures come to.
        results: the run's folder.
        told: whether paths were told, which may be mistaken, rather than searched for.
        turned: whether they turned out to be the wrong way round.
    """
    from pipelines.account import counted

    for still in tally.stills:
        print(one_line(still))
    if tally.n_stills > len(tally.stills):
        print(f"... and {tally.n_stills - len(tally.stills)} more pictures")
    print(f"{tally.n_ok} done, found in all: {counted(tally.found)}")
    print(_summary_of_paths(tally, told=told, turned=turned), end="")
    print(f"results: {one_line(results)}")


def _summary_of_paths(tally: Tally, *, told: bool, turned: bool) -> str:
    """How far camera paths were believed, in a line; nothing where none was told or searched for."""
    mean = tally.believed / tally.n_believed if tally.n_believed else 0.0
    if not told and tally.n_paths:
        came = f", and {mean:.0%} of what was restored there came of it" if tally.n_believed else ""
        return f"a camera path was found in {tally.n_believed} of {tally.n_paths} pictures{came}\n"
    if tally.n_believed:
        doubts = CALIBRATE if turned else DOUBTS * (mean < LEAST_BELIEVED)
        return f"of what was restored {mean:.0%} came of the camera's paths{doubts}\n"
    return ""


def _completed(parser: argparse.ArgumentParser, args: argparse.Namespace, typed: Collection[str]) -> argparse.Namespace:
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


if __name__ == "__main__":
    sys.exit(main())
