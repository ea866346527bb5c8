"""Restore pictures or videos and detect the objects in them: ``python -m pipelines.deblur_detect SOURCE...``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deblur.cli import EXIT_DONE, EXIT_FAILED, given_options, one_line, parse_args, run
from deblur.errors import DeblurError
from deblur.naming import parse_deblurrer
from detection.errors import DetectionError
from pipelines.detect_options import CONFIDENCE, FUSED_CONFIDENCE, completed, make_parser
from pipelines.motion_options import motions_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TextIO

    from deblur import Deblurrer
    from detection.yolo import YoloDetector
    from pipelines.account import Account, Tally
    from pipelines.motions import Motions
    from pipelines.process import Process
    from pipelines.sources import Source

LEAST_BELIEVED = 0.35  # a right path comes to .7 in the median of pictures, one of another moment to .2
DOUBTS = ": the pictures speak against them, so check clock, axes and focal length (docs/camera-path.md)"
CALIBRATE = (
    ", which are turned by 180 degrees: pictures come out sharper the other way round, so correct the signs "
    "of --motion, or let pipelines.calibrate_gyro find a gyroscope's axes (docs/camera-path.md)"
)
ON_A_GPU = "a GPU has time for --deblurrer mstsgm-guided-large, which finds more than the default"


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
    return run(lambda: deblur_detect(completed(parser, args, typed)), expected=(DeblurError, DetectionError))


@dataclass(frozen=True, slots=True)
class _Loaded:
    """All that may turn out not to be there or not to go together, before a run has a folder.

    Attributes:
        sources: what is taken.
        kinds: what is written beside the records.
        notes: lines for the user about them and the models.
        motions: the camera's paths, where they are told.
        device: that the models are on.
        deblurrer: None where nothing is restored.
        detector: reports boxes down to the score that fusing needs.
        fuse: whether it detects in two passes.
        confidence: least score of the boxes that are kept.
    """

    sources: list[Source]
    kinds: set[str]
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
    from pipelines.sinks import refuse_collisions
    from pipelines.sources import find_sources

    sources, notes = find_sources(args.source, args.camera_size)
    kinds = {kind for group in args.save for kind in group} - ({"deblurred"} if args.deblurrer == "none" else set())
    refuse_collisions(sources, kinds)
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
    return _Loaded(sources, kinds, notes, motions, device, deblurrer, detector, fuse, confidence)


def _run(args: argparse.Namespace, loaded: _Loaded, folder: Path, account: Account, log: TextIO) -> None:
    """Process the sources, and write and print what came of it, also where it is stopped."""
    from deblur.exposure.way_round import WayRound
    from pipelines.chain import DeblurDetect
    from pipelines.process import Process
    from pipelines.sinks import CocoSink, PictureSink

    pictures = PictureSink(folder, loaded.kinds, loaded.detector.class_names)
    coco = CocoSink(loaded.detector.class_names) if "coco" in loaded.kinds else None
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
    print(f"{tally.n_ok} done, found in all: {one_line(counted(tally.found))}")
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


if __name__ == "__main__":
    sys.exit(main())
