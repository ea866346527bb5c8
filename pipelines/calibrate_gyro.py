"""Find out what a gyroscope's clock and axes and the focal length are off by, from the blur of pictures.

    python -m pipelines.calibrate_gyro robot/ --motion drive.csv --exposures times.csv --focal-length 820

writes the record by the camera's clock and in the camera's axes, for --motion of pipelines.deblur_detect.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import json
import operator
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deblur.cli import (
    EXIT_DONE,
    above_zero,
    add_config_option,
    add_device_option,
    given_path,
    not_empty,
    not_negative,
    one_line,
    parse_args,
    positive_int,
    run,
)
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import torch

    from deblur.exposure.calibration import Calibration, Guess, Sight
    from deblur.exposure.path_files import Record
    from deblur.networks.kernel_estimator import KernelEstimator
    from pipelines.motions import Motions
    from pipelines.sources import Item, Source

FEWEST = 4
"""Pictures that a clock is told by."""
SHORTEST_SEARCH = 0.04
"""Seconds: within less there is no other clock to compare with, clocks .03 apart being one."""
LARGEST_SIDE = 960
"""Of a picture that is looked at, in pixels: what is larger is scaled down, its blur is then seen whole."""


class Place(NamedTuple):
    """A picture, or a frame of a video.

    Attributes:
        source: the picture or the video.
        frame: number of the frame; None of a picture.
        seconds: about when it is in the video, by the rate, or by its time where there is none; None of a picture, or
            where the video does not tell.
    """

    source: Source
    frame: int | None
    seconds: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = make_parser()
    args = parse_args(parser, argv)
    return run(lambda: calibrate_gyro(_checked(parser, args)), expected=(DeblurError,))


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.calibrate_gyro",
        description="Find a gyroscope's clock and axes and the focal length by the blur of pictures.",
        epilog="See docs/camera-path.md. Exit codes: 0 done, 1 failed or not clear, 2 wrong usage, 130 interrupted.",
    )
    parser.add_argument(
        "source",
        nargs="+",
        type=not_empty,
        metavar="SOURCE",
        help="pictures and videos, as pipelines.deblur_detect takes them",
    )
    parser.add_argument(
        "--motion",
        type=given_path,
        required=True,
        metavar="FILE",
        help="the gyroscope's record: t,wx,wy,wz, or a Gyroflow log",
    )
    parser.add_argument(
        "--exposures",
        type=given_path,
        required=True,
        metavar="FILE",
        help="CSV of picture,opened,closed: when each was taken, by the camera's clock in seconds",
    )
    parser.add_argument(
        "--focal-length",
        type=above_zero,
        required=True,
        metavar="PIXELS",
        help="of the pictures as they are, right to a fifth or so: the exact one is found",
    )
    parser.add_argument(
        "--readout", type=not_negative, default=0.0, metavar="SECONDS", help="of a rolling shutter (default: 0, global)"
    )
    parser.add_argument(
        "--search",
        type=above_zero,
        default=0.25,
        metavar="SECONDS",
        help=f"how far off the clock may be, both ways (default: 0.25, at least {SHORTEST_SEARCH})",
    )
    parser.add_argument("--keep-axes", action="store_true", help="take the axes as they are")
    parser.add_argument(
        "--limit",
        type=positive_int,
        default=12,
        metavar="N",
        help=f"pictures or frames to look at, spread evenly (default: 12, at least {FEWEST})",
    )
    parser.add_argument(
        "--estimator",
        default="default",
        metavar="NAME|FILE",
        help="a guided network, whose estimator is taken, or an estimator's file (default: default)",
    )
    add_device_option(parser)
    parser.add_argument("--output", type=given_path, metavar="DIR", help="default: runs/calibrate_gyro/RECORD[-N]")
    parser.add_argument("--json", action="store_true", help="print calibration.json on stdout, and nothing else there")
    add_config_option(parser)
    return parser


def calibrate_gyro(args: argparse.Namespace) -> int:
    """Do what the options say.

    Raises:
        DeblurError: something is missing or broken, or the pictures do not tell.
    """
    from deblur.devices import resolve_device
    from deblur.exposure.calibration import SCALES, calibrate, calibrated, check_record
    from deblur.runs import describe_environment, write_json
    from pipelines.motions import Motions
    from pipelines.run_folder import check_output, output_folder, write_options
    from pipelines.sources import find_sources

    sources, notes = find_sources(args.source)
    for note in notes:
        print(one_line(note), file=sys.stderr)
    motions = Motions(args.motion, args.focal_length, args.exposures, args.readout)
    motions.check(sources)
    check_output(args.output)
    places = _spread(sources, args.limit)
    check_record(motions.record, [motions.times_of(*place) for place in places], args.search, args.readout)
    device = resolve_device(args.device)
    name, estimator = _estimator(args.estimator, device)
    sights = _look(estimator, places, motions, args, device)
    print(f"{len(sights)} pictures looked at, searching", file=sys.stderr)
    result = calibrate(sights, motions.record, args.search, readout=args.readout, keep_axes=args.keep_axes)
    if not result.clear or abs(result.found.offset) > args.search - 0.005:
        raise DeblurError(_unclear(result, args.search))
    focal_length = args.focal_length * result.found.scale
    if not SCALES[0] < result.found.scale < SCALES[1]:
        raise DeblurError(
            f"the best focal length lies at the end of the search, {focal_length:.0f} pixels: check --focal-length"
        )
    folder = output_folder(args.output, "calibrate_gyro", args.motion.stem)
    write_options(folder, args)
    write_json(folder / "env.json", describe_environment(str(device), None) | {"estimator": name})
    corrected = folder / f"{args.motion.stem}.csv"
    _write_record(corrected, calibrated(motions.record, result.found))
    document = {
        "run": str(folder),
        "record": str(corrected),
        "pictures": len(sights),
        **_described(result, focal_length),
    }
    write_json(folder / "calibration.json", document)
    print(json.dumps(document) if args.json else _printed(document))
    return EXIT_DONE


def _checked(parser: argparse.ArgumentParser, args: argparse.Namespace) -> argparse.Namespace:
    """The options; a wrong usage if they ask for too little or are of the wrong kind."""
    if args.limit < FEWEST:
        parser.error(f"--limit {args.limit}: {_too_few(args.limit)}")
    if args.search < SHORTEST_SEARCH:
        parser.error(f"--search {args.search:g} holds no other clock to compare with: give {SHORTEST_SEARCH} at least")
    if args.motion.is_dir():
        parser.error(f"--motion {args.motion} is a folder: a clock is searched in one record of all the pictures")
    return args


def _estimator(name_or_file: str, device: torch.device) -> tuple[str, KernelEstimator]:
    from deblur.networks.guided import estimator_of
    from deblur.released import load_released

    network, card = load_released(name_or_file, device)
    estimator = estimator_of(network)
    if estimator is None:
        raise DeblurError(f"--estimator: {card['name']} has none: give a guided network or an estimator")
    return card["name"], estimator


def _spread(sources: Sequence[Source], limit: int) -> list[Place]:
    """Up to ``limit`` pictures or frames, spread evenly over all that there are.

    A video that names no rate, or not how many frames it has, is read for that.

    Raises:
        DeblurError: they are too few, or a video cannot be read.
    """
    from pipelines.video import VideoReader

    lengths: list[int] = []
    rates: list[float | None] = []
    read: dict[Source, list[tuple[int, float | None]]] = {}
    for source in sources:
        length, rate = 1, None
        if source.is_video:
            assert isinstance(source.origin, Path)  # cameras are refused: no record tells of what they see
            with VideoReader(source.origin) as video:
                rate = video.fps
                if rate is None or video.n_frames is None:  # without a rate, its number may be of a clock's ticks
                    read[source] = [(frame.number, frame.seconds) for frame in video]
                    length = len(read[source])
                else:
                    length = video.n_frames
        lengths.append(length)
        rates.append(rate)
    total = sum(lengths)
    count = min(limit, total)
    if count < FEWEST:
        raise DeblurError(_too_few(count))
    ends = list(itertools.accumulate(lengths))
    places = []
    for index in ((2 * place + 1) * total // (2 * count) for place in range(count)):
        which = bisect.bisect_right(ends, index)
        source, rate = sources[which], rates[which]
        frame = index - (ends[which] - lengths[which])
        if source in read:
            places.append(Place(source, *read[source][frame]))
        elif rate is not None:
            places.append(Place(source, frame, frame / rate))
        else:
            places.append(Place(source, None, None))
    return places


def _look(
    estimator: KernelEstimator,
    places: Sequence[Place],
    motions: Motions,
    args: argparse.Namespace,
    device: torch.device,
) -> list[Sight]:
    """What is seen in pictures and frames."""
    from tqdm import tqdm

    from deblur.devices import to_batch
    from deblur.exposure.calibration import look
    from deblur.pictures import scale_down

    sights = []
    for item in tqdm(_read(places), total=len(places), unit=" pictures", desc="look", file=sys.stderr):
        assert item.picture is not None
        picture = scale_down(item.picture, LARGEST_SIDE)
        scale = max(picture.shape[:2]) / max(item.picture.shape[:2])
        times = motions.times_of(item.source, item.frame, item.seconds)
        sights.append(look(estimator, to_batch(picture, device), args.focal_length * scale, times, item.orientation))
    if len(sights) < FEWEST:  # some videos only estimate how many frames they have
        raise DeblurError(_too_few(len(sights)))
    return sights


def _read(places: Sequence[Place]) -> Generator[Item]:
    """The pictures and frames; other pictures are not even read, of a video frames come one by one."""
    from pipelines.sources import read_items

    for source, chosen in itertools.groupby(places, operator.attrgetter("source")):
        frames = {place.frame for place in chosen}
        with closing(read_items([source])) as items:
            for item in items:
                if item.note is not None:
                    continue
                if item.picture is None:
                    raise DeblurError(item.error)
                if item.frame in frames:
                    yield item
                    frames.remove(item.frame)
                if not frames:
                    break


def _too_few(count: int) -> str:
    return f"{count} pictures are too few to tell a clock by: give {FEWEST} at least, better 12"


def _unclear(result: Calibration, search: float) -> str:
    if result.clear:
        offset = result.found.offset
        return f"the best clock lies at the end of the search, {offset:g} seconds: give --search {2 * search:g}"
    guesses = [("the best fit is", result.found), *_others(result)]
    fits = ", ".join(f"{name} {guess.fit:.2f}" for name, guess in guesses if guess is not None)
    return (
        f"the pictures do not tell: {fits}, and what is up is told by {result.upright:.1f} standard errors; give more "
        "pictures with more blur (--limit), look farther (--search), and check the record's units and the focal length"
    )


def _others(result: Calibration) -> list[tuple[str, Guess | None]]:
    return [("another clock", result.other_clock), ("other axes", result.other_axes)]


def _described(result: Calibration, focal_length: float) -> dict[str, Any]:
    """What was found, as JSON holds it."""
    from deblur.exposure.path_files import RATES

    axes = {
        rate: f"{'-' if row.sum() < 0 else ''}{RATES[int(abs(row).argmax())]}"
        for rate, row in zip(RATES, result.found.axes, strict=True)
    }
    fits = {name.replace(" ", "_"): guess and round(guess.fit, 3) for name, guess in _others(result)}
    return {
        "offset": round(result.found.offset, 4),
        "axes": axes,
        "focal_length": round(focal_length, 1),
        "fit": {"found": round(result.found.fit, 3), "given": round(result.given.fit, 3), **fits},
        "upright": round(result.upright, 2),
        "roll": None if result.roll is None else round(result.roll, 2),
    }


def _printed(document: dict[str, Any]) -> str:
    """The same, for a person."""
    from deblur.exposure.calibration import CLEAR_MARGIN

    roll = document["roll"]
    rolls = ""
    if roll is not None:
        assumed = " (too little: the record is taken to be of right-handed axes)" * (roll < CLEAR_MARGIN)
        rolls = f"\nroll: which way round is told by {roll} nats{assumed}"
    names = {"found": "", "given": "as given ", "another_clock": "another clock ", "other_axes": "other axes "}
    fits = ", ".join(f"{names[key]}{fit}" for key, fit in document["fit"].items() if fit is not None)
    return (
        f"clock: the record is {document['offset']:+.4f} seconds ahead of the camera\n"
        f"axes: {', '.join(f'{name} = {source}' for name, source in document['axes'].items())} of the record\n"
        f"focal length: {document['focal_length']} pixels\n"
        f"fit: {fits} (nats); what is up is told by {document['upright']} standard errors{rolls}\n"
        f"record: {document['record']}"
    )


def _write_record(file: Path, record: Record) -> None:
    """The times and rates of a record as CSV."""
    import pandas as pd

    from deblur.exposure.path_files import RATES
    from deblur.runs import write_atomically

    table = pd.DataFrame({"t": record.times.round(9), **{name: record.columns[name] for name in RATES}})
    write_atomically(file, table.to_csv(index=False).encode())


if __name__ == "__main__":
    sys.exit(main())
