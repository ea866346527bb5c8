"""Samples that are kept in a folder, made by several processes, for what learns from restorations."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


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
