"""The folder of a run: made new, or gone on with where its options are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deblur.errors import DeblurError
from deblur.runs import check_options, create_run, write_yaml
from experiments.gain.records import TASK

if TYPE_CHECKING:
    from pathlib import Path


def open_run(folder: Path | None, options: dict[str, Any], name: str) -> Path:
    """The folder to run in.

    Args:
        folder: None for a new folder in ``runs/``; a folder that is not there yet, or is empty, is made a run; a run
            with the same options is gone on with.
        options: for ``config.yaml``.
        name: of a new folder in ``runs/``.

    Raises:
        DeblurError: the folder holds something else, or a run with other options.
    """
    if folder is None:
        folder = create_run(TASK, name)
    config = folder / "config.yaml"
    if config.is_file():
        check_options(config, options)
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise DeblurError(f"cannot make the run folder {folder}: {error.strerror}; choose another --output") from error
    if occupied:
        raise DeblurError(f"{folder} holds files that are no run of this command: choose another --output")
    write_yaml(config, options)
    return folder
