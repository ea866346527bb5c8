"""Score how close restored pictures come to the sharp ones: PSNR and SSIM, with the blurred input beside them.

    python -m experiments.restoration --blurred data/gopro/test/blur --sharp data/gopro/test/sharp \
        --deblurrer default --restored nafnet=out/nafnet

    python -m experiments.restoration --blur straight:15,light=srgb --sharp photographs --deblurrer default

    python -m experiments.restoration --blurred data/realblur-j/test/blur --sharp data/realblur-j/test/sharp \
        --deblurrer default --align

    python -m experiments.restoration --blurred robot/blur --sharp robot/sharp --motion robot/gyro --focal-length 820 \
        --deblurrer default default+gyro

docs/restoration.md explains the options, the figures and the files of the run. One that was stopped goes on with
``--resume RUN``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from deblur.cli import (
    EXIT_DONE,
    Collect,
    add_config_option,
    add_device_option,
    add_resumable_options,
    add_seed_option,
    blur_text,
    given_options,
    given_path,
    named_folder,
    parse_resumable,
    positive_int,
    run,
)
from deblur.errors import DeblurError
from deblur.naming import GYROSCOPE
from pipelines.motion_options import add_motion_options, check_recorded_options, motions_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from deblur.blur import BlurSpec
    from experiments.common.data_sets import Prepared
    from experiments.common.narrator import Narrator
    from experiments.common.pairs import Pairs
    from experiments.common.recorded_paths import PathOf
    from experiments.restoring.methods import Method
    from experiments.restoring.scores import PictureScore

INPUT = "input"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = build_parser()
    args = parse_resumable(parser, argv)
    if (args.blurred is None) == (args.blur is None):
        parser.error("give blurred pictures by --blurred DIR, or make them by --blur SPEC; one of the two")
    check_recorded_options(parser, args)
    if args.save_restored and not args.deblurrer:
        parser.error("--save-restored needs --deblurrer: without a network nothing is restored here")
    if "examples" in given_options(parser, argv) and not (args.deblurrer or args.restored):
        parser.error("--examples needs --deblurrer or --restored: a blurred picture alone has no gain")
    return run(lambda: _score(args))


def build_parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.restoration",
        description="Score restored pictures against sharp ones: PSNR and SSIM.",
    )
    parser.add_argument("--blurred", type=given_path, metavar="DIR", help="blurred pictures")
    parser.add_argument(
        "--blur", type=blur_text, metavar="SPEC", help="blur the sharp ones instead: shake:16, see docs/blur.md"
    )
    parser.add_argument(
        "--sharp", type=given_path, required=True, metavar="DIR", help="sharp pictures of the same names"
    )
    parser.add_argument(
        "--deblurrer",
        nargs="+",
        action=Collect,
        default=[],
        metavar="NAME|FILE|NAME=FILE",
        help="networks that restore; NAME=FILE calls weights of your own NAME; NAME+gyro is told the camera's path, "
        "with --blur the true one with simulated sensor errors, with --blurred the one of --motion; NAME+search "
        "searches for the path",
    )
    add_motion_options(parser, "told to NAME+gyro alone")
    parser.add_argument(
        "--restored",
        type=named_folder,
        nargs="+",
        action=Collect,
        default=[],
        metavar="NAME=DIR",
        help="pictures that another program restored, under the names of the sharp ones; experiments.detection_gain "
        "takes the same by --deblurred",
    )
    parser.add_argument("--align", action="store_true", help="lay each picture over its sharp one first, for RealBlur")
    parser.add_argument(
        "--data-blur", metavar="WORD", help="the blur's name in the result (default: --blur's, or the manifest's)"
    )
    parser.add_argument("--limit", type=positive_int, metavar="N", help="first N pairs only; the result says so")
    parser.add_argument(
        "--examples",
        type=positive_int,
        default=3,
        metavar="N",
        help="pictures to save of least and of most gain (default: 3)",
    )
    parser.add_argument("--save-restored", action="store_true", help="save what the networks restore, as PNG")
    add_resumable_options(parser, "restoration")
    parser.add_argument("--json", action="store_true", help="print metrics.json on stdout in place of the table")
    add_device_option(parser)
    add_seed_option(parser)
    add_config_option(parser)
    return parser


def _paths(args: argparse.Namespace, spec: BlurSpec | None, blurred: Mapping[str, Path]) -> PathOf | None:
    """What says the camera's path of each of the pictures that are scored; None where nobody knows."""
    from deblur.exposure.paths import felt_path
    from experiments.common.recorded_paths import TELLS_NOBODY, RecordedPaths

    if spec is not None:
        return partial(felt_path, spec, args.seed)
    motions = motions_of(args)
    if motions is None:
        return None
    if not any(name.endswith(GYROSCOPE) for name in args.deblurrer):
        raise DeblurError(TELLS_NOBODY)
    return RecordedPaths(motions, blurred)


def _score(args: argparse.Namespace) -> int:
    from deblur.blur import parse_blur
    from deblur.blur.motion import check_kernels
    from deblur.devices import resolve_device
    from deblur.picture_folders import match_pictures
    from deblur.runs import describe_environment, to_utf8, write_environment, write_json
    from experiments.common.data_sets import Prepared, from_manifest, refuse_blurred
    from experiments.common.narrator import Narrator
    from experiments.common.run_folder import open_resumable
    from experiments.restoring.differences import differences, differences_protocol
    from experiments.restoring.methods import load_methods
    from experiments.restoring.pairs import score_pairs

    device = str(resolve_device(args.device))
    spec = parse_blur(args.blur) if args.blur else None
    if spec:
        check_kernels(spec)
    every_pair = match_pictures(args.sharp if spec else args.blurred, args.sharp)
    if spec:
        refuse_blurred(args.sharp, [sharp for _, _, sharp in every_pair])
    pairs = every_pair[: args.limit]
    blurred = {key: file for key, file, _ in pairs}
    path_of = _paths(args, spec, blurred)
    methods = load_methods(args.deblurrer, args.restored, list(blurred), args.device, path_of)
    if any(method.name == INPUT for method in methods):
        raise DeblurError(
            f"{INPUT!r} is what results call the blurred pictures: call it otherwise, by NAME=FILE or NAME=DIR"
        )
    _check_sizes(pairs, methods)
    prepared = Prepared(None, args.data_blur or args.blur)
    if args.blurred:
        prepared = from_manifest(args.blurred, args.data_blur)
    name = "-".join(method.name for method in methods)[:80] or INPUT
    with open_resumable(args, "restoration", name) as folder:
        environment = describe_environment(device, args.seed)
        write_environment(folder, environment)
        narrator = Narrator(folder / "log.txt")
        narrator.say(f"{len(pairs)} of {len(every_pair)} pairs on {device}; run {folder}")
        if spec:
            pairs = _blur_here(pairs, spec, args.seed, folder / "blurred", narrator)
        scores, examples, digest = score_pairs(args, pairs, methods, INPUT, folder, narrator)
        rows = _rows(pairs, scores)
        rows.to_csv(folder / "per_image.csv", index=False, errors="backslashreplace")
        metrics = _metrics(args, len(every_pair), pairs, methods, scores, prepared, digest)
        metrics["protocol"]["differences"] = differences_protocol(rows)
        metrics["differences"] = {score: differences(rows, score) for score in ("psnr", "ssim")}
        metrics |= {key: environment[key] for key in ("device", "device_name", "threads")} | {"run": str(folder)}
        write_json(folder / "metrics.json", metrics)
        for name, extremes in examples.items():
            extremes.save(folder / "examples" / name, name)
        table = _table(metrics)
        (folder / "table.txt").write_bytes(to_utf8(table + "\n"))
        print(json.dumps(metrics, ensure_ascii=False, allow_nan=False) if args.json else table)
    return EXIT_DONE


def _blur_here(pairs: Pairs, spec: BlurSpec, seed: int, folder: Path, narrator: Narrator) -> Pairs:
    """The pairs with blurred pictures made of the sharp ones and kept in ``folder``; a key and seed, one blur."""
    from deblur.blur import synthesize
    from deblur.pictures import read_picture, write_picture

    made = []
    with narrator.progress(len(pairs), f"blurring by {spec}", "picture") as advance:
        for key, _, sharp in pairs:
            file = folder / f"{key}.png"
            write_picture(file, synthesize(read_picture(sharp), spec, seed, key))
            made.append((key, file, sharp))
            advance(1)
    return made


def _check_sizes(pairs: Pairs, methods: Sequence[Method]) -> None:
    """Refuse pairs of two sizes, and restored files of another, before hours are spent on those before them."""
    from deblur.pictures import picture_size
    from experiments.common.pairs import check_pair_sizes
    from experiments.restoring.methods import FolderMethod

    check_pair_sizes(pairs)
    for method in methods:
        if isinstance(method, FolderMethod):
            for key, blurred, _ in pairs:
                method.check_size(key, picture_size(blurred))


def _metrics(
    args: argparse.Namespace,
    n_available: int,
    pairs: Pairs,
    methods: Sequence[Method],
    scores: dict[str, list[PictureScore]],
    prepared: Prepared,
    digest: str,
) -> dict[str, Any]:
    from experiments.common.picture_scores import pictures_with
    from experiments.restoring.scores import ALIGNED_PROTOCOL, PROTOCOL, summarize

    summaries = summarize(scores, INPUT)
    untimed = {key: value for key, value in summaries[INPUT].items() if key not in {"psnr_float", "ms_per_picture"}}
    return {
        "task": "restoration",
        "n": len(pairs),
        "n_available": n_available,
        "limit": args.limit,
        "n_psnr": len(pictures_with("psnr", scores.values())),
        "n_exact": {name: summary["n_exact"] for name, summary in summaries.items()},
        "input": untimed,
        "methods": {method.name: summaries[method.name] | method.describe() for method in methods},
        "protocol": PROTOCOL | (ALIGNED_PROTOCOL if args.align else {}),
        "data": {
            "blurred": str(args.blurred) if args.blurred else None,
            "sharp": str(args.sharp),
            "data_set": prepared.data_set,
            "blur": prepared.blur,
            "sha256": digest,
        },
    }


def _rows(pairs: Pairs, scores: dict[str, list[PictureScore]]) -> pd.DataFrame:
    """A row for each picture and method, the input's first: ``per_image.csv``."""
    import pandas as pd

    from experiments.restoring.scores import difference

    rows = []
    for index, (key, _, _) in enumerate(pairs):
        before = scores[INPUT][index]
        for name, score in ((name, own[index]) for name, own in scores.items()):
            gains = {
                f"{each}_gain": difference(getattr(score, each), getattr(before, each)) for each in ("psnr", "ssim")
            }
            rows.append({"picture": key, "method": name, **asdict(score)} | (gains if name != INPUT else {}))
    return pd.DataFrame(rows)


def _table(metrics: dict[str, Any]) -> str:
    from experiments.common.printed_table import of_scenes

    def cell(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    limited = f" (--limit, of {metrics['n_available']})" if metrics["n"] < metrics["n_available"] else ""
    scenes, left_out = of_scenes(metrics["protocol"]["differences"]), ""
    if metrics["n_psnr"] < metrics["n"]:  # the intervals below are of PSNR, and so of the scenes of these pictures
        scenes, left_out = "", f"; PSNR over the {metrics['n_psnr']}{scenes} that no row has exactly"
    width = max([20, *map(len, metrics["methods"])])
    lines = [
        f"{metrics['n']} pictures{scenes}{limited}{left_out}",
        f"{'':{width}} {'PSNR':>8} {'gain':>8} {'float':>8} {'SSIM':>8} {'gain':>8} {'ms':>9}",
    ]
    for name, row in ((INPUT, metrics["input"]), *metrics["methods"].items()):
        psnr = f"{cell(row['psnr'], '.3f'):>8} {cell(row.get('psnr_gain'), '+.3f'):>8}"
        ssim = f"{cell(row['ssim'], '.4f'):>8} {cell(row.get('ssim_gain'), '+.4f'):>8}"
        exact = f"  {row['n_exact']} exact" if row["n_exact"] else ""
        time = cell(row.get("ms_per_picture"), ".1f")
        lines.append(f"{name:{width}} {psnr} {cell(row.get('psnr_float'), '.3f'):>8} {ssim} {time:>9}{exact}")
    return "\n".join([*lines, "", _table_of_differences(metrics["differences"]["psnr"])])


def _table_of_differences(found: Sequence[dict[str, Any]]) -> str:
    from experiments.common.printed_table import aligned, number, with_interval

    rows = [("PSNR gained", "over", "mean [95 %]", "better", "worse", "least")]
    for each in found:
        mean = with_interval(each["mean"], each["low"], each["high"])
        counts = (str(each["better"]), str(each["worse"]))
        rows.append((each["method"], each["over"], mean, *counts, number(each["least"])))
    return aligned(rows)


if __name__ == "__main__":
    sys.exit(main())
