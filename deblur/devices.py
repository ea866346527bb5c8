"""Which device a command runs on, and how pictures get there."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deblur.errors import DeblurError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import Tensor


def resolve_device(name: str = "auto") -> torch.device:
    """The torch device for ``auto`` (CUDA, then MPS, then CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        DeblurError: the name is unknown or this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeblurError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeblurError(
            f"device {name!r} is not here: torch sees {torch.cuda.device_count()} CUDA devices; try --device auto"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeblurError("device 'mps' is not here; try --device auto")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise DeblurError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps")
    return device


def numbered(device: torch.device) -> torch.device:
    """The same device in every thread: ``cuda`` alone is the GPU that is current where it is used.

    ``torch.cuda.set_device`` holds for the thread that calls it, and every other one begins with the first GPU.
    """
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", torch.cuda.current_device())


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Computes in the types that tensors have, whatever autocast says around it: positions need all of float32."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given; call before reading a clock."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def to_batch(picture: NDArray[Any], device: torch.device) -> Tensor:
    """(H, W, 3) of 0 to 255, uint8 or floating point, to (1, 3, H, W) float in [0, 1] on the device."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).unsqueeze(0).to(device).float() / 255
