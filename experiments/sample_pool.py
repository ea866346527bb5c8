"""Samples that are kept in a folder, made by several processes, for what learns from restorations."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from deblur.cli import Collect, add_config_option, add_seed_option, positive_int

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def add_sample_options(parser: argparse.ArgumentParser, size: str, looks: int, output: str) -> None:
    """Add what every command takes that learns from samples.

    Args:
        parser: of the command.
        size: of a sample, for the help.
        looks: how many times each is looked at by default.
        output: help of ``--output``.
    """
    parser.add_argument(
        "--sharp", nargs="+", action=Collect, type=Path, required=True, metavar="DIR", help="folders of sharp pictures"
    )
    parser.add_argument(
        "--samples", type=Path, required=True, metavar="DIR", help=f"folder for what was tried, about {size} a sample"
    )
    parser.add_argument(
        "--looks",
        type=positive_int,
        default=looks,
        metavar="N",
        help=f"times that each sample is looked at (default: {looks})",
    )
    parser.add_argument("--workers", type=positive_int, default=1, help="processes of one thread (default: 1)")
    parser.add_argument("--output", type=Path, metavar="FILE", help=output)
    parser.add_argument("--json", action="store_true", help="print what came of it as one JSON document on stdout")
    add_seed_option(parser)
    add_config_option(parser)


def make_all(make: Callable[..., None], tasks: Sequence[tuple[Any, ...]], workers: int) -> None:
    """Call ``make`` with each task's arguments, in ``workers`` processes; what cannot be made stops the others."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        made = [pool.submit(make, *task) for task in tasks]
        try:
            for each in tqdm(as_completed(made), total=len(made), desc="restoring", unit="sample", mininterval=10):
                each.result()
        except BaseException:  # an interrupt too: what has not begun need not be waited for
            pool.shutdown(cancel_futures=True)
            raise


def check_samples(config: Path, options: dict[str, Any]) -> None:
    """Refuse to go on with samples that other options made.

    Args:
        config: where the folder's options are written down, at first these.
        options: what samples depend on.

    Raises:
        DeblurError: others are written there.
    """
    from deblur.runs import check_options, write_yaml

    if config.is_file():
        check_options(config, options)
    else:
        write_yaml(config, options)
