"""PSNR as pure functions; tables of record are made by ``experiments.restoration``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def psnr_of_values(picture: NDArray[Any], sharp: NDArray[Any]) -> float | None:
    """Peak signal-to-noise ratio in dB over all values as they are: 255 is white, and nothing is rounded.

    Args:
        picture: of any shape, whole numbers or not.
        sharp: the same shape.

    Returns:
        None where the two are the same.
    """
    error = float(np.mean((picture.astype(np.float64) - sharp.astype(np.float64)) ** 2))
    return 10 * float(np.log10(255**2 / error)) if error else None


def psnr(restored: Tensor, sharp: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, after clamping and rounding to eight bits.

    Args:
        restored: (B, 3, H, W) RGB, 1 is white.
        sharp: the same shape.

    Returns:
        (B,) float64; infinite where the two are the same in all eight bits.

    Raises:
        ValueError: the shapes differ.
    """
    if restored.shape != sharp.shape:
        raise ValueError(f"pictures differ in shape: {tuple(restored.shape)} and {tuple(sharp.shape)}")
    difference = (restored.clamp(0, 1) * 255).round() - (sharp.clamp(0, 1) * 255).round()
    if difference.device.type == "mps":
        difference = difference.cpu()  # MPS has no float64
    return 10 * torch.log10(255**2 / (difference.double() ** 2).mean(dim=(1, 2, 3)))
