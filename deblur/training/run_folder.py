"""The folder of a training run: made new, or gone on with, and what is recorded in it at the start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.utils import broadcast_object_list

from deblur.cli import one_line, option_list, plain_options
from deblur.errors import DeblurError
from deblur.naming import SUFFIX
from deblur.released import find_released
from deblur.runs import (
    create_run,
    describe_environment,
    read_config,
    runs_named,
    write_environment,
    write_yaml,
)
from deblur.training.checkpoint import load_checkpoint
from deblur.training.sittings import OF_STEPS, describe_changes, sitting, with_sitting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelerate import Accelerator

    from deblur.training.options import TrainingOptions


def open_run(
    options: TrainingOptions, resumable: Path | None, accelerator: Accelerator
) -> tuple[Path, dict[str, Any] | None]:
    """A new run folder, or the one to resume with its training state; the same on every process.

    Args:
        options: of training.
        resumable: as ``find_resumable`` found it.
        accelerator: of this process.

    Raises:
        DeblurError: what is there to resume is no training state.
    """
    found: list[Path | None] = [None, None]  # the folder, and the training state in it if the run goes on
    if accelerator.is_main_process:
        if resumable is not None:
            found = [resumable, resumable / "weights" / "state.pt"]
        else:
            found[0] = folder = create_run("train", options.name, options.output)
            (folder / "weights").mkdir()
            if options.resume == "auto":
                note_nothing_to_resume(options, folder)
    folder, state_file = broadcast_object_list(found)
    return folder, load_checkpoint(state_file) if state_file is not None else None


def note_nothing_to_resume(options: TrainingOptions, folder: Path) -> None:
    """Say that ``--resume auto`` found no run, and which new folder was made for it."""
    none = f"no run named {options.name} in {folder.parent} was saved"
    print(f"--resume auto: {none}, and {folder} is a new one", file=sys.stderr)


def refuse_useless(folder: Path, options: TrainingOptions, state: Mapping[str, Any], *, over: bool) -> None:
    """Refuse options that would do nothing where a run goes on.

    Args:
        folder: of the run.
        options: of training.
        state: the training state that the run goes on from.
        over: no step is left to make.

    Raises:
        DeblurError: other weights to begin with are given for a run that goes on with its own, or how to make steps for
            one that is over.
    """
    if not state["sittings"]:  # nothing to compare with
        return
    before = state["sittings"][-1]["options"]
    for name, new in (("init", options.init), ("estimator", options.estimator)):
        old = before.get(name)
        if new not in {None, old} and (old is None or _is_there(old)):
            raise DeblurError(
                f"{folder} goes on with the weights that it has, so that --{name} {new} (was {old}) would do nothing; "
                f"leave it out, or begin another run with --init {folder / 'weights' / 'last'}{SUFFIX}"
            )
    now = _as_written(options)
    # An option that the run does not know is newer than it is.
    idle = [name for name in sorted(OF_STEPS.intersection(before)) if before[name] != now[name]]
    if over and idle:
        raise DeblurError(
            f"{folder} is over at step {state['step']}, so that {option_list(idle)} would do nothing: to go on give a "
            "larger --steps or --max-minutes too"
        )


def record_sitting(
    folder: Path, options: TrainingOptions, accelerator: Accelerator, state: Mapping[str, Any] | None, *, over: bool
) -> list[dict[str, Any]]:
    """Write what a run is, or goes on, with: ``config.yaml`` and ``env.json``; not before it is sure that it can.

    Which options change where it goes on is said on stderr. A run that is over is validated once more, and its files
    stay as they are unless other options are given for that.

    Args:
        folder: of the run.
        options: of training, which do something (``refuse_useless``).
        accelerator: of this process; the main one writes.
        state: the training state that the run goes on from, if it does.
        over: no step is left to make.

    Returns:
        The sittings so far with this one, for the training state; none in another process than the main one.

    Raises:
        DeblurError: one of the files is there and damaged; all stays as it is.
    """
    if not accelerator.is_main_process:
        return []
    former: list[dict[str, Any]] = state["sittings"] if state else []
    recorded = _recorded_config(folder)
    written = _as_written(options)
    written["name"] = recorded.get("name") or options.name  # by which --resume auto knows the run
    if over and written == recorded:
        return former
    environment = describe_environment(str(accelerator.device), options.seed)
    now = sitting(written, state["step"] if state else 0, environment["commit"], accelerator.num_processes)
    write_environment(folder, environment | {"processes": accelerator.num_processes})
    write_yaml(folder / "config.yaml", written)
    sittings = with_sitting(former, now)
    changed = describe_changes(sittings[-2], now) if len(sittings) > 1 and sittings[-1] is now else ""
    if changed:
        verb = "is validated after" if over else "goes on from"
        told = f"{folder} {verb} step {now['first_step'] - 1} with other options: {changed}"
        print(one_line(told), file=sys.stderr)
    return sittings


def _as_written(options: TrainingOptions) -> dict[str, Any]:
    # Without resume: given back with --config for a new run, the file must not go on with this one.
    return plain_options(options, without={"config", "resume", "json"})


def _is_there(name_or_file: str) -> bool:
    try:
        find_released(name_or_file)
    except DeblurError:
        return False
    return True


def find_resumable(options: TrainingOptions) -> Path | None:
    """The folder that ``--resume`` means, or None for a new run.

    Raises:
        DeblurError: the folder holds no training state, or what says which run a folder holds is damaged.
    """
    if options.resume == "never":
        return None
    if options.resume != "auto":
        folder = Path(options.resume)
        if not (folder / "weights" / "state.pt").is_file():
            raise DeblurError(f"--resume {folder}: no weights/state.pt there; name the folder of a training run")
        return folder
    return newest_saved(options.name, options.output)


def newest_saved(name: str, output: Path) -> Path | None:
    """The folder of the newest training run of a name that has a training state, or None.

    Raises:
        DeblurError: what says which run a folder holds is damaged.
    """
    folders = runs_named("train", name, output)
    states = [folder / "weights" / "state.pt" for folder in folders if _recorded_config(folder).get("name") == name]
    resumable = [state for state in states if state.is_file()]
    return max(resumable, key=lambda file: file.stat().st_mtime).parent.parent if resumable else None


def _recorded_config(folder: Path) -> dict[str, Any]:
    """What the ``config.yaml`` of the run in a folder says; nothing where there is none.

    Raises:
        DeblurError: the file is damaged.
    """
    remedy = f"move it away, and go on by --resume {folder} and the options that the run had, its --name too"
    return read_config(folder / "config.yaml", remedy) or {}
