"""Options of commands that learn from samples, before any heavy import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.cli import Collect, add_config_option, add_seed_option, given_path, positive_int

if TYPE_CHECKING:
    import argparse


def add_sample_options(parser: argparse.ArgumentParser, size: str, looks: int, output: str) -> None:
    """Add what every command takes that learns from samples.

    Args:
        parser: of the command.
        size: of a sample, for the help.
        looks: how many times each is learnt from by default.
        output: help of ``--output``.
    """
    parser.add_argument(
        "--sharp",
        nargs="+",
        action=Collect,
        type=given_path,
        required=True,
        metavar="DIR",
        help="folders of sharp pictures",
    )
    parser.add_argument(
        "--samples",
        type=given_path,
        required=True,
        metavar="DIR",
        help=f"folder that keeps the samples, about {size} each",
    )
    parser.add_argument(
        "--looks",
        type=positive_int,
        default=looks,
        metavar="N",
        help=f"epochs: times that each sample is learnt from (default: {looks})",
    )
    parser.add_argument("--workers", type=positive_int, default=1, help="processes of one thread (default: 1)")
    parser.add_argument("--output", type=given_path, metavar="FILE", help=output)
    parser.add_argument("--json", action="store_true", help="print what came of it as one JSON document on stdout")
    add_seed_option(parser)
    add_config_option(parser)
