"""``python -m deblur.prepare gopro|hide|realblur|reds|pairs|sharp SOURCE DEST``: a data set in the layout of training.

Examples::

    python -m deblur.prepare gopro data/GOPRO_Large data/gopro
    python -m deblur.prepare gopro data/GOPRO_Large data/gopro-gamma --blur gamma
    python -m deblur.prepare realblur data/RealBlur data/realblur-j --blur J
    python -m deblur.prepare sharp ~/Pictures data/mine --val-fraction 0.05

DEST gets ``train|val|test/{blur,sharp}`` and ``manifest.json``. SOURCE is only read.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from deblur import cli
from deblur.equal_files import resolved
from deblur.errors import DeblurError
from deblur.prepare.data_sets import BLUR_CHOICES, DATA_SETS, LINKS, PUBLISHED_COUNTS, SPLITS, blur_label

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from deblur.prepare.checks import Checked
    from deblur.prepare.layouts import Pair

DEFAULT_VAL_FRACTION = 0.1
FORMAT = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    args = cli.parse_args(parser, argv)
    _check_arguments(parser, args, cli.given_options(parser, argv))
    return cli.run(lambda: _prepare(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deblur.prepare", description="Bring a data set into one layout.")
    parser.add_argument("data_set", choices=DATA_SETS, help="which layout SOURCE has")
    parser.add_argument(
        "source", type=cli.given_path, metavar="SOURCE", help="the folder the data set was unpacked to; only read"
    )
    parser.add_argument(
        "dest", type=cli.given_path, metavar="DEST", help="a new folder, or one this command made before"
    )
    parser.add_argument(
        "--blur",
        help="gopro: linear (default; averages encoded frames) or gamma; realblur: J (default) or R; pairs: a word "
        "that names the blur",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="pairs, sharp: where all pictures go (default: the splits that SOURCE has, else train)",
    )
    parser.add_argument(
        "--val-fraction",
        type=cli.unit_interval,
        help=f"share of the training pictures, by whole scenes, for val (default: {DEFAULT_VAL_FRACTION}, or 0 where"
        " the data set brings a val of its own)",
    )
    parser.add_argument(
        "--val-scenes",
        nargs="+",
        action=cli.Collect,
        metavar="SCENE",
        help="the scenes for val, instead of a fraction",
    )
    parser.add_argument(
        "--scene-pattern",
        type=_regular_expression,
        metavar="REGEX",
        help="pairs, sharp: finds the scene in a picture's path below the folder, without suffix; the first group, if"
        " there is one (default: the sub-folder, else the name without the numbers at its end)",
    )
    parser.add_argument(
        "--link",
        choices=LINKS,
        default="symlink",
        help="symlink (default): no space, SOURCE must stay where it is; hard: same disk only; copy: twice the space",
    )
    parser.add_argument("--workers", type=cli.positive_int, default=min(8, os.cpu_count() or 1), help="reading threads")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")
    cli.add_seed_option(parser)
    cli.add_config_option(parser)
    return parser


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None
    return text


def _check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace, typed: Collection[str]) -> None:
    choices = BLUR_CHOICES.get(args.data_set)
    if args.blur is not None and choices is not None and args.blur not in choices:
        parser.error(f"--blur of {args.data_set} is {' or '.join(choices)}, not {args.blur!r}")
    if args.blur is not None and args.data_set in {"hide", "reds", "sharp"}:
        parser.error(f"{args.data_set} leaves no choice of --blur")
    if args.split is not None and args.data_set not in {"pairs", "sharp"}:
        parser.error(f"{args.data_set} has splits of its own; --split is for pairs and sharp")
    if args.scene_pattern is not None and args.data_set not in {"pairs", "sharp"}:
        parser.error(f"{args.data_set} has scenes of its own; --scene-pattern is for pairs and sharp")
    if "val_scenes" in typed and "val_fraction" not in typed:  # what is typed stands for what the configuration says
        args.val_fraction = None
    if "val_fraction" in typed and "val_scenes" not in typed:
        args.val_scenes = None
    if args.val_scenes and args.val_fraction is not None:
        parser.error("give --val-fraction or --val-scenes, not both")
    if args.val_fraction == 1.0:
        parser.error("--val-fraction 1 leaves nothing to train on")


def _prepare(args: argparse.Namespace) -> int:
    from deblur.prepare import checks, layouts, placing, splits

    source, dest = resolved(args.source), resolved(args.dest)
    if dest == source or source in dest.parents or dest in source.parents:
        raise DeblurError(f"DEST {args.dest} and SOURCE {args.source} must lie outside each other")
    layout = layouts.read_layout(args.data_set, source, args.blur, args.split)
    pairs = layout.pairs
    if args.scene_pattern is not None:
        pairs = splits.name_scenes(pairs, args.scene_pattern)
    val_scenes = _val_scenes(args, pairs)
    pairs = splits.move_to_val(pairs, val_scenes)
    if not pairs and not layout.problems:
        raise DeblurError(f"{args.source} holds no picture of {args.data_set}")
    settings = {
        "data_set": args.data_set,
        "blur": blur_label(args.data_set, args.blur),
        "source": str(source),
        "split": args.split,
        "link": args.link,
        "val_scenes": val_scenes,
        "scene_pattern": args.scene_pattern,
    }
    if not layout.problems:  # which leave out pictures, and with them scenes
        placing.refuse_foreign(dest, settings)
    checked = checks.check_pairs(pairs, args.workers)
    _stop_on_problems(args.source, [*layout.problems, *(line for one in checked for line in one.problems)])
    manifest = _manifest(settings, pairs, checked, source)
    made = placing.place(dest, manifest, source)
    _report(args, manifest, made)
    return cli.EXIT_DONE


def _val_scenes(args: argparse.Namespace, pairs: Sequence[Pair]) -> list[str]:
    from deblur.prepare import splits

    has_val = any(pair.split == "val" for pair in pairs)
    if has_val and (args.val_scenes or args.val_fraction):
        raise DeblurError(f"{args.source} has a val of its own; leave out --val-fraction and --val-scenes")
    if args.val_scenes:
        return sorted(set(args.val_scenes))
    if has_val:
        return []
    if args.val_fraction and pairs and all(pair.split != "train" for pair in pairs):
        raise DeblurError("--val-fraction is of the training pictures, and there are none; leave it out")
    fraction = DEFAULT_VAL_FRACTION if args.val_fraction is None else args.val_fraction
    if fraction == 0:
        return []
    groups = splits.join_scenes(pairs)
    chosen = splits.choose_scenes(pairs, fraction, args.seed, groups)
    if groups and not chosen:
        why = "of one scene"
        hint = "; tell scenes apart by sub-folders or --scene-pattern" if args.data_set in {"pairs", "sharp"} else ""
        if len(groups) > 1:
            why, hint = "of scenes that share equal files", "; leave out the copies"
        print(f"warning: all training pictures are {why}, and none is set aside for val{hint}", file=sys.stderr)
    return chosen


def _stop_on_problems(source: Path, problems: Sequence[str]) -> None:
    if not problems:
        return
    for line in problems:
        print(f"problem: {cli.one_line(line)}", file=sys.stderr)
    raise DeblurError(
        f"{source}: {len(problems)} problem{'s' * (len(problems) > 1)}, listed above, the first: {problems[0]};"
        " mend them and run again"
    )


def _manifest(
    settings: dict[str, Any], pairs: Sequence[Pair], checked: Sequence[Checked], source: Path
) -> dict[str, Any]:
    from deblur.prepare import placing

    counts = Counter(pair.split for pair in pairs)
    scenes = {split: sorted({pair.scene for pair in pairs if pair.split == split}) for split in SPLITS if counts[split]}
    return {
        "format": FORMAT,
        "settings": settings,
        "data_set": settings["data_set"],
        "blur": settings["blur"],
        "counts": {split: counts[split] for split in SPLITS if counts[split]},
        "published_counts": dict(PUBLISHED_COUNTS.get(settings["data_set"], {})) or None,
        "scenes": scenes,
        "warnings": _warnings(settings, pairs, checked),
        "pictures": [
            placing.picture_record(pair, one, source, settings["blur"])
            for pair, one in zip(pairs, checked, strict=True)
        ],
    }


def _warnings(settings: Mapping[str, Any], pairs: Sequence[Pair], checked: Sequence[Checked]) -> list[str]:
    """What a user should know of the whole, then of each pair."""
    from deblur.prepare import splits

    counts = Counter(pair.split for pair in pairs)
    published = PUBLISHED_COUNTS.get(settings["data_set"], {})
    held_out = len(settings["val_scenes"]) > 0
    found = {"train": counts["train"] + counts["val"] * held_out, "val": counts["val"] * (not held_out)}
    warnings = [
        f"{split} has {found.get(split, counts[split])} pairs, the published {settings['data_set']} has {number}"
        for split, number in published.items()
        if found.get(split, counts[split]) != number
    ]
    shared = splits.scenes_in_several_splits(pairs)
    if shared:
        warnings.append(f"{len(shared)} scenes stand in more than one split: {', '.join(shared)}")
    if settings["scene_pattern"] is None:
        warnings += [
            f"more than one split has pictures that are named {name}, each taken as a scene by itself: if they are "
            "frames of one recording, put them into a folder, or give --val-fraction 0"
            for name in splits.parted_names(pairs)
        ]
    equal = splits.equal_pictures(pairs, checked)
    if equal:
        listed = ", ".join(f"{one.split}/{one.name} and {other.split}/{other.name}" for one, other in equal[:10])
        more = f" and {len(equal) - 10} more" if len(equal) > 10 else ""
        warnings.append(f"{len(equal)} sharp pictures are equal to one of another split: {listed}{more}")
    return warnings + [line for one in checked for line in one.warnings]


def _report(args: argparse.Namespace, manifest: dict[str, Any], made: int) -> None:
    for line in manifest["warnings"]:
        print(f"warning: {cli.one_line(line)}", file=sys.stderr)
    summary = {key: manifest[key] for key in ("data_set", "blur", "counts", "published_counts", "warnings")}
    scenes = {split: len(names) for split, names in manifest["scenes"].items()}
    if args.json:
        print(json.dumps({"dest": str(args.dest), **summary, "scenes": scenes, "new_files": made}, ensure_ascii=False))
        return
    counts = ", ".join(
        f"{split} {count} of {scenes[split]} scene{'s' * (scenes[split] != 1)}"
        for split, count in manifest["counts"].items()
    )
    blur = f", blur {manifest['blur']}" if manifest["blur"] else ""
    state = f"{made} new files" if made else "nothing new"
    print(f"{args.dest}: {manifest['data_set']}{blur}: {counts}; {state}; {len(manifest['warnings'])} warnings")
