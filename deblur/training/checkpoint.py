"""Training state on disk: written in one step, read without running code."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import torch

from deblur.errors import DeblurError
from deblur.runs import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_PARTS: dict[str, type | tuple[type, ...]] = {
    "network": dict,
    "ema": dict,
    "optimizer": dict,
    "config": dict,
    "seed": int,
    "step": int,
    "seconds": (int, float),
    "best": (float, type(None)),
    "best_by": str,
    "validated_on": str,
    "sittings": list,
    "random": torch.Tensor,
}


def _are_sittings(sittings: list[Any]) -> bool:
    return all(
        isinstance(each, dict)
        and {"first_step", "commit", "processes", "options"} <= each.keys()
        and isinstance(each["first_step"], int)
        and isinstance(each["options"], dict)
        for each in sittings
    )


_PROPER: dict[str, Callable[[Any], bool]] = {
    "step": lambda step: step >= 0,
    "seconds": lambda seconds: math.isfinite(seconds) and seconds >= 0,
    "best": lambda best: best is None or math.isfinite(best),
    "sittings": _are_sittings,
}


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, plain values, lists and dicts of them) in one step: the old file or the new one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read the training state that ``save_checkpoint`` wrote, to the CPU.

    Raises:
        DeblurError: the file is missing, broken, holds more than tensors and plain values, or lacks a part.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DeblurError(f"cannot read the training state {path}: {error.strerror}") from error
    except Exception as error:  # torch.load raises many kinds for a broken file, and some advise to load it unsafely
        raise DeblurError(f"{path} is damaged, or no training state of this project{another_way(path)}") from error
    if not isinstance(state, dict):
        raise DeblurError(f"{path} is no training state of this project: it holds a {type(state).__name__}")
    lacking = [part for part, kind in sorted(_PARTS.items()) if not isinstance(state.get(part, ...), kind)]
    lacking += [part for part, is_proper in _PROPER.items() if part not in lacking and not is_proper(state[part])]
    if lacking:
        raise DeblurError(f"{path} is no training state of this project: it lacks a proper {', '.join(lacking)}")
    return state


def another_way(path: Path) -> str:
    """What to do where the training state of a run is damaged, as the end of a line."""
    released = path.with_name("last.safetensors")
    return f"; begin another run, with --init {released}" if released.is_file() else "; begin another run"
