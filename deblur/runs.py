"""Run folders: one folder a run, ``runs/<task>/<name>[-N]``, never overwritten."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import threading
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from deblur.equal_files import resolved
from deblur.errors import DeblurError
from deblur.yaml_text import YamlError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

RUNS = Path("runs")
"""Where runs lie that are told no other folder."""
OTHER_OUTPUT = "choose another --output"
RECORDED_PACKAGES = (
    "torch",
    "torchvision",
    "ultralytics",
    "opencv-python",
    "Pillow",
    "pycocotools",
    "numpy",
    "scikit-image",
    "accelerate",
)
_numbers = itertools.count()  # of files that are being written


def create_run(task: str, name: str, root: Path = RUNS) -> Path:
    """Make and return a new folder ``root/task/name``, or ``name-2``, ``name-3``, ... where that name is taken.

    Raises:
        DeblurError: the folder cannot be made, or too many runs have that name.
    """
    parent = root / task
    make_folder(parent, OTHER_OUTPUT)  # once: where it is a link to nowhere, every name below it would seem taken
    for number in range(1, 100_000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise DeblurError(f"cannot make the run folder {folder}: {error.strerror}; {OTHER_OUTPUT}") from error
        return folder
    raise DeblurError(f"{parent} holds too many runs named {name}; move some away or choose another name")


def runs_named(task: str, name: str, root: Path = RUNS) -> list[Path]:
    """The folders called as `create_run` calls those of a name, in its order: ``root/task/name``, ``name-2``, ...

    One may be that of a run which was itself named ``name-2``: its ``config.yaml`` tells.
    """
    own = re.compile(re.escape(name) + "(?:-([2-9]|[1-9][0-9]+))?")
    found = ((own.fullmatch(folder.name), folder) for folder in (root / task).glob("*/"))
    return [folder for _, folder in sorted((int(match[1] or 1), folder) for match, folder in found if match)]


def describe_environment(device: str, seed: int | None = None) -> dict[str, Any]:
    """What a result depends on beside its configuration: versions, commit, machine, device, seed, command.

    ``float32`` says what a GPU computes with where a network is in that format: torch takes TF32 for convolutions
    unless it is told otherwise. None on other devices, which compute with what they are given.
    """
    return {
        "command": _command(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": package_versions(),
        "commit": git_commit(),
        "device": device,
        "device_name": _device_name(device),
        "float32": _float32_on_gpu() if device.startswith("cuda") else None,
        "threads": torch.get_num_threads(),
        "seed": seed,
    }


def hardware(device: str) -> str:
    """What computes on a device, whatever its number: times on the same compare. ``cuda NVIDIA H200`` of ``cuda:1``."""
    return f"{device.partition(':')[0]} {_device_name(device)}"


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()


def _float32_on_gpu() -> dict[str, str]:
    tf32 = {
        "convolutions": torch.backends.cudnn.allow_tf32,
        "matrix_products": torch.backends.cuda.matmul.allow_tf32,
    }
    return {kind: "tf32" if allowed else "float32" for kind, allowed in tf32.items()}


def package_versions() -> dict[str, str | None]:
    """The versions of the packages that results depend on; None of those that are not installed."""
    return {name: _version(name) for name in RECORDED_PACKAGES}


def read_config(config: Path, remedy: str = "") -> dict[str, Any] | None:
    """The options that a run's ``config.yaml`` holds; None where there is no such file.

    Args:
        config: the file.
        remedy: what to do where it is damaged, in words.

    Raises:
        DeblurError: it cannot be read, or holds something else.
    """
    try:
        content = read_yaml(config)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeblurError(f"cannot read {config}: {error.strerror}") from error
    except YamlError as error:
        raise DeblurError(f"{config} is damaged{remedy and f': {remedy}'} ({error})") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DeblurError(f"{config} is damaged{remedy and f': {remedy}'} (it holds no options)")
    return content


def check_options(config: Path, options: dict[str, Any], without: Collection[str] = ()) -> None:
    """Refuse to go on with a run under other options than those in its configuration.

    Args:
        config: the run's ``config.yaml``.
        options: those that it should have.
        without: those that may differ, whether the file has them or not.

    Raises:
        DeblurError: the file cannot be read, or an option differs.
    """
    recorded = read_config(config, OTHER_OUTPUT) or {}
    keys = {*recorded, *options}.difference(without)
    differing = sorted(f"--{key.replace('_', '-')}" for key in keys if recorded.get(key) != options.get(key))
    if differing:
        raise DeblurError(
            f"{config.parent} is a run with other options ({', '.join(differing)}): go on with its own or begin another"
        )


def write_environment(folder: Path, environment: dict[str, Any]) -> None:
    """Write ``folder/env.json``; what it said before the run was gone on with stands in ``earlier``, oldest first.

    Raises:
        DeblurError: the file that is there is damaged, or cannot be written.
    """
    write_json(folder / "env.json", environment | {"earlier": _earlier_environments(folder)})


def _earlier_environments(folder: Path) -> list[dict[str, Any]]:
    """What ``folder/env.json`` says of the sittings so far, oldest first."""
    file = folder / "env.json"
    if not file.is_file():
        return []
    try:
        last = json.loads(file.read_text(encoding="utf-8"))
        return [*last.pop("earlier", []), last]
    except OSError as error:
        raise DeblurError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError):  # no UTF-8, no JSON, or other JSON
        raise DeblurError(
            f"{file} is damaged: move it away, and the run goes on without its earlier sittings"
        ) from None


def git_commit() -> str | None:
    """The commit of the project's checkout, with ``-dirty`` where files differ from it; None outside a checkout."""
    project = Path(__file__).resolve().parent.parent
    try:
        # What is installed may lie inside the checkout of a project that only uses it.
        if resolved(Path(_git(project, "rev-parse", "--show-toplevel"))) != project:
            return None
        return _git(project, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return os.fsdecode(subprocess.run(command, capture_output=True, timeout=20, check=True).stdout).strip()


def to_utf8(text: str) -> bytes:
    """Text as a file of the project holds it.

    A file name's bytes that are no UTF-8 arrive as lone surrogates; they become the escapes that JSON has for them.
    """
    return text.encode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """Text that UTF-8 can hold: a file name's bytes that are none are escaped."""
    return to_utf8(text).decode("utf-8")


def make_folder(folder: Path, remedy: str = "") -> None:
    """Make a folder with those above it; one that is there already will do.

    Args:
        folder: to make.
        remedy: what to do where it cannot be made, in words.

    Raises:
        DeblurError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeblurError(f"cannot make the folder {folder}: {error.strerror}{remedy and f'; {remedy}'}") from error


def refuse_unwritable(folder: Path, named: str, remedy: str) -> None:
    """Refuse before the work, and without making it, a folder that `make_folder` could not make after the work.

    Args:
        folder: that will be made or written to.
        named: what the message calls it.
        remedy: what to do, in words.

    Raises:
        DeblurError: it, or the nearest folder above it that is there, is no folder or may not be written to.
    """
    above = folder
    try:
        while not (above.exists() or above.is_symlink()):  # a link to nowhere is in the way
            above = above.parent
    except OSError as error:
        raise DeblurError(f"cannot use {named}: {error.strerror}; {remedy}") from error
    if not above.is_dir() or not os.access(above, os.W_OK):
        reason = "is not yours to write to" if above.is_dir() else "is no folder"
        raise DeblurError(f"cannot make {named}: {above} {reason}; {remedy}")


def prepare_output(output: Path) -> None:
    """Make the folder of the file that ``--output`` names before the work, which must not end in nowhere to write it.

    Raises:
        DeblurError: the folder cannot be made or written to, or something else lies where the file should.
    """
    if output.is_dir():
        raise DeblurError(f"--output {output} is a folder; name a file")
    if output.is_symlink() or (output.exists() and not output.is_file()):
        kind = "a link" if output.is_symlink() else "a device or a pipe"
        raise DeblurError(f"--output {output} is {kind}, whose place a file would take; name a file")
    make_folder(output.parent, OTHER_OUTPUT)
    if not os.access(output.parent, os.W_OK):
        raise DeblurError(f"cannot write to the folder {output.parent}; {OTHER_OUTPUT}")


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as JSON in one step: a reader sees the old file or the new one, never half of either."""
    write_atomically(path, to_utf8(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"))


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping as YAML, keys in their order, in one step."""
    write_atomically(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode("utf-8"))


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write beside ``path`` and rename over it, so that a kill at any moment leaves a whole file.

    Args:
        path: of the file.
        content: all of it.
        durable: wait until the disk holds it, which on a busy one takes ten times as long. Else a loss of power may
            leave a damaged file: good enough for what its reader checks and can make anew.

    Raises:
        DeblurError: it cannot be written; what was there before stays.
    """
    with writing_atomically(path, durable=durable) as write:
        write(content)


@contextlib.contextmanager
def writing_atomically(path: Path, *, durable: bool = True) -> Iterator[Callable[[bytes], None]]:
    """`write_atomically` piece by piece, for what need not be in memory as a whole.

    The block is given a function that writes one piece. The file appears when the block ends, and not at all where it
    ends by an exception.
    """
    # Not made of the file's name, which may be as long as a name can be; numbered, since several may be open at a time.
    part = path.with_name(f".{os.getpid()}-{threading.get_ident()}-{next(_numbers)}.part")
    try:
        with _refusing(path):
            stream = part.open("wb")

        def write(content: bytes) -> None:
            with _refusing(path):
                stream.write(content)

        try:
            yield write
            with _refusing(path):
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
                stream.close()
        finally:
            with contextlib.suppress(OSError):  # a full disk would complain once more
                stream.close()
        with _refusing(path):
            part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What the system complains of, as one line; not around the caller's block, whose complaints are its own."""
    try:
        yield
    except OSError as error:
        raise DeblurError(f"cannot write {path}: {error.strerror}") from error


def _command() -> str:
    """The command as a user types it, whatever folder the program lies in."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"python -m {module.name.removesuffix('.__main__')}" if module else Path(sys.argv[0]).name
    return shlex.join([*program.split(), *sys.argv[1:]])


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return f"{model or platform.machine()}, {os.cpu_count()} cores"
