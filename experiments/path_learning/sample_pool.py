"""Samples that are kept in a folder, made by several processes, for what learns from restorations."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
from tqdm import tqdm

from deblur.blur.motion import BROKEN_ARCHIVE
from deblur.errors import DeblurError
from deblur.naming import SUFFIX
from deblur.runs import (
    check_options,
    describe_environment,
    make_folder,
    prepare_output,
    write_atomically,
    write_json,
    write_yaml,
)
from deblur.training.sources import list_sharp

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn


def output_of(options: argparse.Namespace, name: str, what: str) -> Path:
    """Where to write what is learnt: ``--output``, or ``name`` in ``--samples``.

    Raises:
        DeblurError: it is no .safetensors file; ``what`` begins to say so.
    """
    output: Path = options.output or options.samples / name
    if output.suffix != SUFFIX:
        raise DeblurError(f"--output {output}: {what} written as a {SUFFIX} file")
    return output


def pictures_of(folders: Sequence[Path]) -> list[Path]:
    """The pictures of the folders of ``--sharp``, each once, in order of their paths.

    Raises:
        DeblurError: as ``list_sharp``.
    """
    return sorted({file.resolve(): file for folder in folders for file in list_sharp(folder)}.values())


def begin(options: argparse.Namespace, output: Path, files: list[Path], facts: dict[str, Any]) -> dict[str, Any]:
    """Shuffle the pictures by the seed and open the folder of samples; returns what describes the environment.

    Args:
        options: of the command.
        output: that will be written.
        files: the pictures; put in another order.
        facts: what samples depend on beside pictures and seed.

    Raises:
        DeblurError: a place cannot be written to, or holds samples of other pictures, seed or facts.
    """
    np.random.default_rng(options.seed).shuffle(files)
    prepare_output(output)
    make_folder(options.samples, "choose another --samples")
    environment = describe_environment("cpu", options.seed)
    sharp = hashlib.sha256("\n".join(map(str, files)).encode("utf-8", "surrogateescape")).hexdigest()
    _check_samples(options.samples / "config.yaml", {"sharp": sharp, "seed": options.seed} | facts)
    return environment


def write_learnt(
    output: Path, learnt: nn.Module, card: Mapping[str, Any], facts: dict[str, Any], environment: dict[str, Any]
) -> dict[str, Any]:
    """Write weights and their record, which is returned.

    Args:
        output: the weights' file.
        learnt: whose they are.
        card: of the network whose restorations were learnt from.
        facts: of the samples.
        environment: as ``begin`` gave it.
    """
    content = safetensors.torch.save(learnt.state_dict())
    write_atomically(output, content)
    record = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "network": {"name": card["name"], "sha256": card["sha256"]},
        **facts,
        "environment": environment,
    }
    write_json(output.with_suffix(".json"), record)
    return record


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


def save_arrays(file: Path, arrays: Mapping[str, Any]) -> None:
    """Write a sample, arrays or numbers by name, as an .npz file in one step.

    Raises:
        DeblurError: it cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(file, buffer.getvalue(), durable=False)  # ``load_arrays`` checks it, and it can be made anew


def load_arrays(file: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The arrays of those names of a sample that ``save_arrays`` wrote.

    Raises:
        DeblurError: the file cannot be read, is damaged or lacks one.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in names}
        for name, array in arrays.items():
            if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
                raise ValueError(f"{name} holds what is no finite number")
        return arrays
    except (*BROKEN_ARCHIVE, LookupError) as error:
        raise DeblurError(f"{file} is no sample ({' '.join(str(error).split())}): delete it") from error


def _check_samples(config: Path, options: dict[str, Any]) -> None:
    """Refuse to go on with samples that other options made."""
    if config.is_file():
        check_options(config, options)
    else:
        write_yaml(config, options)
