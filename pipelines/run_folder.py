"""The folder of a run: where it is, and the records of how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.cli import plain_options
from deblur.errors import DeblurError
from deblur.runs import (
    OTHER_OUTPUT,
    RUNS,
    create_run,
    describe_environment,
    refuse_unwritable,
    write_json,
    write_yaml,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deblur import Deblurrer
    from detection.yolo import YoloDetector

_RECORDS = frozenset(("config.yaml", "env.json"))


def holds_run(names: Iterable[str]) -> bool:
    """Whether a folder is that of a run, of whatever command, by the names of its files."""
    return _RECORDS.issubset(names)


def output_folder(output: Path | None, task: str, name: str) -> Path:
    """The folder of a run: ``output``, which must be new or empty, or a new ``runs/<task>/<name>[-N]``.

    Raises:
        DeblurError: ``output`` holds something, or no folder can be made there.
    """
    if output is None:
        return create_run(task, name)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeblurError(f"cannot use --output {output}: {error.strerror}") from error
    check_output(output)
    return output


def check_output(output: Path | None) -> None:
    """Refuse early, and without making a folder, an ``output`` that `output_folder` would refuse late.

    Raises:
        DeblurError: it is no folder, or holds something, or cannot be made.
    """
    try:
        is_free = output is None or not output.exists() or not any(output.iterdir())
    except OSError as error:
        raise DeblurError(f"cannot use --output {output}: {error.strerror}") from error
    if not is_free:
        raise DeblurError(f"--output {output} holds files already: give a new or an empty folder")
    refuse_unwritable(output or RUNS, f"--output {output}" if output else str(RUNS), OTHER_OUTPUT)


def record_run(
    folder: Path, args: argparse.Namespace, device: str, deblurrers: Sequence[Deblurrer], detector: YoloDetector
) -> None:
    """Write ``config.yaml``, the options that make this run again, and ``env.json``, what else it depends on."""
    write_options(folder, args)
    models = {"deblurrers": [deblurrer.describe() for deblurrer in deblurrers], "detector": detector.describe()}
    write_json(folder / "env.json", describe_environment(device, getattr(args, "seed", None)) | models)


def write_options(folder: Path, args: argparse.Namespace) -> None:
    """Write ``config.yaml``, the options that make this run again."""
    options = plain_options(args, without={"config", "json", "output"})
    write_yaml(folder / "config.yaml", {key: value for key, value in options.items() if value is not None})
