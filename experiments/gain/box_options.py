"""The options of ``python -m experiments.score_boxes``, as its runs record them too, and the settings they mean."""

from __future__ import annotations

import argparse
from collections import Counter

from deblur.cli import Collect, add_config_option, add_seed_option, given_path, named_file, printed_name
from experiments.gain.options import add_scoring_options
from experiments.gain.settings import Settings


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.score_boxes",
        description="Measure what deblurring gives a detector by the boxes that any program found: COCO AP on sharp, "
        "blurred and restored pictures.",
        usage="%(prog)s --annotations FILE --boxes blurred=FILE [sharp=FILE] [NAME=FILE ...] [option ...]",
    )
    boxes = parser.add_argument_group("boxes and truth")
    boxes.add_argument("--annotations", type=given_path, metavar="FILE", help="needed: COCO .json")
    boxes.add_argument(
        "--boxes",
        type=named_file,
        nargs="+",
        action=Collect,
        metavar="NAME=FILE",
        help="needed: COCO results files (a list of image_id, category_id, bbox, score) of one detector on the blurred "
        "pictures, blurred=FILE, on the sharp ones, sharp=FILE, which may be left out, and on those that each "
        "deblurrer NAME restored. Numbers of pictures and classes are those of the annotations; a picture without an "
        "entry is one where nothing was found",
    )
    boxes.add_argument(
        "--sharp-through",
        type=named_file,
        nargs="+",
        action=Collect,
        metavar="NAME=FILE",
        help="the same on sharp pictures that were put through NAME, for the harm that it does to them",
    )
    boxes.add_argument(
        "--pictures-from",
        type=given_path,
        metavar="DIR|FILE",
        help="score these pictures only: a folder of them, or a text file of their names, one a line (default: all "
        "that are annotated); needed where the detector did not look at all of them",
    )
    boxes.add_argument("--classes", nargs="+", action=Collect, metavar="NAME", help="score these classes only")
    names = parser.add_argument_group("names in the results")
    names.add_argument(
        "--detector-name",
        type=printed_name,
        default="detector",
        metavar="NAME",
        help="what results call the detector (default: detector)",
    )
    names.add_argument(
        "--blur-name",
        type=printed_name,
        default="blurred",
        metavar="NAME",
        help="what they call the blur (default: blurred)",
    )
    add_scoring_options(parser.add_argument_group("how"))
    add_seed_option(parser)
    where = parser.add_argument_group("where")
    where.add_argument(
        "--output", type=given_path, metavar="RUN", help="folder of a new run (default: one in runs/score_boxes)"
    )
    where.add_argument("--json", action="store_true", help="print metrics.json on stdout in place of the table")
    add_config_option(parser)
    return parser


def check_names(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse names of files that do not tell whose boxes they hold, as wrong usage."""
    from experiments.gain.records import BLURRED, SHARP, is_fused_name

    if arguments.annotations is None:
        parser.error("--annotations is needed")
    boxes = [each.name for each in arguments.boxes or ()]
    through = [each.name for each in arguments.sharp_through or ()]
    if BLURRED not in boxes:
        parser.error(f"--boxes needs {BLURRED}=FILE: what restoring gains is told beside the blurred pictures")
    for option, names in (("--boxes", boxes), ("--sharp-through", through)):
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            parser.error(f"{option} has {twice} twice: results go by name, so call one otherwise")
    for name in boxes:
        if is_fused_name(name):
            parser.error(f"--boxes {name}: results call boxes of two passes so; call it otherwise")
        if ":" in name or name == "sharp-through":
            parser.error(
                f"--boxes {name}: a deblurrer's name has no colon; boxes on sharp pictures that NAME was "
                "applied to are given by --sharp-through NAME=FILE"
            )
    for name in through:
        if name not in boxes or name in {SHARP, BLURRED}:
            parser.error(f"--sharp-through {name}: --boxes has no deblurrer of this name")
    if through and SHARP not in boxes:
        parser.error(f"--sharp-through needs --boxes {SHARP}=FILE: harm is told beside the sharp pictures")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """What parsed arguments say of scoring; whose the boxes are is not among it."""
    return Settings(
        annotations=arguments.annotations,
        sharp=None,
        blurred=None,
        blurs=(),
        deblurrers=(),
        peers=(),
        detectors=(arguments.detector_name,),
        classes=tuple(arguments.classes) if arguments.classes else None,
        resamples=arguments.bootstrap,
        seed=arguments.seed,
        backend=arguments.backend,
    )
