"""Fit the camera's path to pairs of a blurred and a sharp picture: a record for data sets that have none.

    python -m experiments.fit_paths --blurred gopro/test/blur --sharp gopro/test/sharp --output runs/gopro
    python -m experiments.restoration --blurred gopro/test/blur --sharp gopro/test/sharp --align \
        --motion runs/gopro/paths --deblurrer default default+gyro

docs/camera-path.md says what such paths are good for. A run that was stopped goes on with ``--resume RUN``.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from deblur.cli import (
    EXIT_DONE,
    add_config_option,
    add_device_option,
    add_resumable_options,
    add_seed_option,
    given_path,
    parse_resumable,
    positive_int,
    run,
)
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from experiments.common.cache import Cache
    from experiments.common.pairs import Pairs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = parse_resumable(build_parser(), argv)
    return run(lambda: _fit(args))


def build_parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.fit_paths",
        description="Fit the camera's path to pairs of a blurred and a sharp picture, for --motion.",
    )
    parser.add_argument("--blurred", type=given_path, required=True, metavar="DIR", help="blurred pictures")
    parser.add_argument(
        "--sharp", type=given_path, required=True, metavar="DIR", help="sharp pictures of the same names"
    )
    parser.add_argument("--limit", type=positive_int, metavar="N", help="first N pairs only")
    add_resumable_options(parser, "fit_paths")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document on stdout")
    add_device_option(parser)
    add_seed_option(parser)
    add_config_option(parser)
    return parser


def _fit(args: argparse.Namespace) -> int:
    import pandas as pd

    from deblur.devices import resolve_device
    from deblur.picture_folders import match_pictures
    from deblur.runs import describe_environment, write_environment, write_json
    from experiments.common.cache import Cache, state_of_code
    from experiments.common.narrator import Narrator
    from experiments.common.run_folder import open_resumable

    device = str(resolve_device(args.device))
    every_pair = match_pictures(args.blurred, args.sharp)
    pairs = every_pair[: args.limit]
    _check(pairs)
    with open_resumable(args, "fit_paths", args.blurred.resolve().parent.name) as folder:
        write_environment(folder, describe_environment(device, args.seed))
        narrator = Narrator(folder / "log.txt")
        narrator.say(f"{len(pairs)} of {len(every_pair)} pairs on {device}; run {folder}")
        cache = Cache(folder / "cache", state_of_code())
        rows = []
        with narrator.progress(len(pairs), "fitting", "picture") as advance:
            for key, blurred, sharp in pairs:
                found = _fit_pair(cache, blurred, sharp, device, args.seed)
                _write_path(folder / "paths" / f"{key}.csv", found.pop("path"))
                rows.append({"picture": key, **found})
                advance(1)
        table = pd.DataFrame(rows)
        table.to_csv(folder / "fits.csv", index=False, errors="backslashreplace")
        result = {
            "n": len(pairs),
            "n_available": len(every_pair),
            "limit": args.limit,
            "unexplained": _quartiles(table["unexplained"]),
            "extent": _quartiles(table["extent"]),
            "paths": str(folder / "paths"),
            "run": str(folder),
        }
        write_json(folder / "metrics.json", result)
        print(json.dumps(result) if args.json else _described(result))
    return EXIT_DONE


def _check(pairs: Pairs) -> None:
    """Refuse pairs of two sizes, pictures that show too little, and those stored turned, which records are not."""
    from deblur.path_search.fitting import check_size
    from deblur.pictures import orientation_of, picture_size
    from experiments.common.pairs import check_pair_sizes

    check_pair_sizes(pairs)
    for _, blurred, _ in pairs:
        width, height = picture_size(blurred)
        try:
            check_size(width, height)
        except DeblurError as error:
            raise DeblurError(f"{blurred}: {error}; leave the pair out") from None
        if orientation_of(blurred) != 1:
            raise DeblurError(f"{blurred} is stored turned (EXIF), and records are of what is stored: save it upright")


def _fit_pair(cache: Cache, blurred: Path, sharp: Path, device: str, seed: int) -> dict[str, Any]:
    """What `deblur.path_search.fitting` finds, with the path as rows of x, y (pixels) and roll (radians)."""
    import numpy as np

    from deblur.equal_files import sha256_of
    from deblur.path_search.fitting import fit_path
    from deblur.pictures import read_picture
    from experiments.common.cache import key_of

    key = key_of(blurred=sha256_of(blurred), sharp=sha256_of(sharp), seed=seed)
    kept = cache.get("fits", key)
    if kept is not None:
        return kept
    fit = fit_path(read_picture(blurred), read_picture(sharp), device, seed)
    path = fit.path.path[:, :3]
    found = {
        "unexplained": fit.unexplained,
        "extent": float(np.hypot(*np.ptp(path[:, :2], axis=0))),
        "shift_x": fit.shift[0],
        "shift_y": fit.shift[1],
        "path": path.tolist(),
    }
    cache.put("fits", key, found)
    return found


def _write_path(file: Path, path: Sequence[Sequence[float]]) -> None:
    """A record as ``--motion`` reads it, from the shutter's opening (t = 0) to its closing (t = 1)."""
    import numpy as np
    import pandas as pd

    from deblur.runs import make_folder, write_atomically

    points = np.array(path)
    # The points are in the middle of their parts of the exposure: half a part more at both ends.
    first, last = points[0] - (points[1] - points[0]) / 2, points[-1] + (points[-1] - points[-2]) / 2
    times = [0.0, *((np.arange(len(points)) + 0.5) / len(points)), 1.0]
    table = pd.DataFrame(np.vstack([first, points, last]), columns=["x", "y", "roll"])
    table.insert(0, "t", times)
    make_folder(file.parent)
    write_atomically(file, table.round(7).to_csv(index=False).encode())


def _quartiles(values: pd.Series[float]) -> dict[str, float]:
    return {name: float(values.quantile(share)) for name, share in (("q25", 0.25), ("median", 0.5), ("q75", 0.75))}


def _described(result: dict[str, Any]) -> str:
    unexplained, extent = (
        f"{result[name]['median']:{form}} ({result[name]['q25']:{form}} to {result[name]['q75']:{form}})"
        for name, form in (("unexplained", ".2f"), ("extent", ".1f"))
    )
    return (
        f"{result['n']} pairs, medians and quartiles\n"
        f"left unexplained by one rigid motion: {unexplained}\n"
        f"extent of the paths in pixels: {extent}\n"
        f"records for --motion: {result['paths']}"
    )


if __name__ == "__main__":
    sys.exit(main())
