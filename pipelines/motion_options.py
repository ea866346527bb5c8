"""Options that say where the camera's paths of pictures are, for every command that restores along them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.cli import above_zero, given_path, not_negative

if TYPE_CHECKING:
    import argparse

    from pipelines.motions import Motions


def add_motion_options(parser: argparse._ActionsContainer, otherwise: str) -> None:
    """Add ``--motion`` and what belongs to it.

    Args:
        parser: or a group of its options.
        otherwise: what is done without paths, for the help.
    """
    parser.add_argument(
        "--motion",
        type=given_path,
        metavar="DIR|FILE",
        help="the camera's path while the shutter was open, for every picture in DIR/PICTURE.csv: t,wx,wy,wz of a "
        "gyroscope or t,x,y[,roll] in pixels, from the shutter's opening to its closing (docs/camera-path.md); "
        f"{otherwise}. Or one record of them all, or of a video in DIR/VIDEO.csv, with --exposures",
    )
    parser.add_argument(
        "--exposures",
        type=given_path,
        metavar="FILE",
        help="CSV of picture,opened,closed: when each was taken, in seconds of the record or of DIR/PICTURE.csv, which "
        "may then go on before and after; of a video, its first frame",
    )
    parser.add_argument(
        "--focal-length",
        type=above_zero,
        metavar="PIXELS",
        help="of the pictures as they are; a gyroscope's path needs it, one in pixels makes no use of it",
    )
    parser.add_argument(
        "--readout",
        type=not_negative,
        metavar="SECONDS",
        help="of a rolling shutter: how much later than the first row the last one is exposed, in seconds (the readout "
        "of a --blur is in exposures; default: 0, global)",
    )


def check_motion_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """A wrong usage if they do not go together."""
    if args.motion is None and (args.focal_length is not None or args.exposures is not None or args.readout):
        parser.error("--focal-length, --exposures and --readout are for --motion")
    if args.motion is not None and args.exposures is None and args.motion.exists() and not args.motion.is_dir():
        parser.error(f"--motion {args.motion} is one record: say by --exposures FILE when each picture was taken")


def check_recorded_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """`check_motion_options` of a command that blurs pictures itself as well, by ``--blur``."""
    check_motion_options(parser, args)
    if args.motion is not None and args.blur:
        parser.error("--motion is for --blurred: of blur that is made here NAME+gyro is told the true path")


def motions_of(args: argparse.Namespace) -> Motions | None:
    """The paths that are given; None where there are none.

    Raises:
        DeblurError: the times of the exposures cannot be read.
    """
    from pipelines.motions import Motions

    if args.motion is None:
        return None
    return Motions(args.motion, args.focal_length, args.exposures, args.readout or 0.0)
