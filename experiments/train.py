"""Train a deblurring network that a detector teaches: training with what it sees in the loss.

    python -m experiments.train --config experiments/configs/nano.yaml --sharp photographs --max-minutes 60 \
        --init mstsgm-nano --detector-loss yolo26n --detector-weight 0.1

A frozen detector looks at the restored and at the sharp picture; how far apart what it sees lies, where the sharp one
has objects, is one more term of the loss, from ``--detector-from`` on. It is meant for a network that restores already.
The distance of the blurred and of the restored pictures is logged at every validation beside PSNR, also with a weight
of 0.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from deblur.cli import EXIT_DONE, Collect, given_options, not_negative, option_list, run, whole_number
from deblur.errors import DeblurError
from deblur.train import build_parser as training_parser
from deblur.train import parse_training_into, report
from deblur.training.options import TrainingOptions, of_training_alone
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deblur.training.teacher import Teacher


_OBJECTS = "objects"  # what of a detector teaches, by the name that records have for it
_ABOUT_TERM = ("detector_weight", "detector_from")


class TaughtOptions(TrainingOptions):
    """Training's options and those of the detector that teaches, but for ``--detector-term``, which nothing reads."""

    detector_loss: str | None
    detector_weight: float
    detector_from: int


def build_parser() -> argparse.ArgumentParser:
    """Training's options and those of the detector that teaches."""
    parser = training_parser()
    parser.prog = "python -m experiments.train"
    parser.description = (__doc__ or "").partition("\n")[0]
    detector = parser.add_argument_group("detector that teaches")
    detector.add_argument("--detector-loss", metavar="NAME|FILE", help="YOLO weights; without it this is deblur.train")
    detector.add_argument(
        "--detector-weight", type=not_negative, default=0.1, help="weight of the distance; 0 only logs it"
    )
    detector.add_argument(
        "--detector-from", type=whole_number, default=0, metavar="STEP", help="first step with the term"
    )
    # Of runs that were begun when there was a choice; others have no such option.
    detector.add_argument(
        "--detector-term",
        nargs="*",
        action=Collect,
        type=_former_term,
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )
    return parser


def _former_term(text: str) -> str:
    """Argument type: the term that is left of those that a run may have been begun with."""
    if text != _OBJECTS:
        raise argparse.ArgumentTypeError(
            f"{text!r} no longer teaches, only {_OBJECTS!r} does: begin another run, with --init "
            "RUN/weights/last.safetensors"
        )
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the arguments say; returns the exit code."""
    parser = build_parser()
    options = parse_training_into(TaughtOptions(), parser, argv)
    _refuse_idle_detector_options(parser, options, argv)

    def body() -> int:
        from deblur.training.loop import train

        if options.detector_loss is None:  # the run is one of deblur.train, which its configuration goes on with
            metrics = train(of_training_alone(options))
        else:
            metrics = train(options, _teacher(options.detector_loss, options))
        report(metrics, as_json=options.json)
        return EXIT_DONE

    return run(body, expected=(DeblurError, DetectionError))


def _teacher(weights: str, options: TaughtOptions) -> Teacher:
    from deblur.training.teacher import Teacher
    from detection.teacher import DetectorTeacher

    detector = DetectorTeacher(weights)
    identity = f"{detector.sha256} {_OBJECTS}"
    return Teacher(detector.distance, options.detector_weight, options.detector_from, identity)


def _refuse_idle_detector_options(
    parser: argparse.ArgumentParser, options: TaughtOptions, argv: Sequence[str] | None
) -> None:
    """A usage error where the detector's options would do nothing; the defaults say nothing."""
    given, usual = given_options(parser, argv), build_parser()  # the other parser has the configuration's defaults
    said = [name for name in _ABOUT_TERM if name in given or getattr(options, name) != usual.get_default(name)]
    if options.detector_loss is None and said:
        parser.error(f"{option_list(said)} would do nothing: needed is --detector-loss, the detector that teaches")
    if options.detector_weight == 0 and options.detector_from:
        parser.error("--detector-from would do nothing: with --detector-weight 0 the distance is only logged")
    if options.steps is not None and options.detector_from >= options.steps:
        parser.error(
            f"--detector-from {options.detector_from} is not before the last of --steps {options.steps}: the detector "
            "would teach nothing"
        )


if __name__ == "__main__":
    sys.exit(main())
