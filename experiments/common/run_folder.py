"""The folder of a run that can be stopped: made new, or gone on with by ``--resume`` where its options are the same."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from deblur.cli import plain_options
from deblur.errors import DeblurError
from deblur.run_lock import alone_in
from deblur.runs import check_options, write_yaml
from pipelines.run_folder import output_folder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

_CHANGE_NO_FIGURE = frozenset(("config", "resume", "output", "json", "device"))
"""Options that say where and how to run: they are not recorded, and a run that goes on may have others."""


@contextlib.contextmanager
def open_resumable(args: argparse.Namespace, task: str, name: str) -> Iterator[Path]:
    """The folder of a new run with its ``config.yaml``, or the one that ``--resume`` names; nobody else's in the block.

    Args:
        args: the options; those of `deblur.cli.add_resumable_options` are among them.
        task: folder of new runs below ``runs/``.
        name: of a new run.

    Raises:
        DeblurError: ``--output`` is a run already, or as `pipelines.run_folder.output_folder`, the run to go on
            with has other options, or another process is at work in it.
    """
    folder = _folder(args, task, name)
    with alone_in(folder):
        yield folder


def _folder(args: argparse.Namespace, task: str, name: str) -> Path:
    options = plain_options(args, without=_CHANGE_NO_FIGURE)
    options = {key: value for key, value in options.items() if value not in (None, [])}
    resumed: Path | None = args.resume
    if resumed is not None:
        check_options(resumed / "config.yaml", options, without=_CHANGE_NO_FIGURE)
        return resumed
    if args.output is not None and (args.output / "config.yaml").is_file():
        raise DeblurError(
            f"--output {args.output} is a run already: go on with it by --resume {args.output}, or give a new or an "
            "empty folder"
        )
    folder = output_folder(args.output, task, name)
    write_yaml(folder / "config.yaml", options)
    return folder
