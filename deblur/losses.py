"""What training makes small: content, frequency and temporal smoothness.

Sources: MSTSGM (Pei et al.) and its ancestor MIMO-UNet (Cho et al., ICCV 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.networks.blocks import picture_pyramid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deblur.networks.blocks import Restored


@dataclass(frozen=True)
class LossWeights:
    """Weights of the sum; a weight of 0 leaves the term out. The defaults are the paper's."""

    content: float = 1.0
    frequency: float = 0.09
    smoothness: float = 0.01


def content_loss(restored: Sequence[Tensor], sharp: Sequence[Tensor]) -> Tensor:
    """Sum over the scales of the mean absolute difference; (B, 3, H, W) in [0, 1] each."""
    return _sum(F.l1_loss(ours, truth) for ours, truth in zip(restored, sharp, strict=True))


def frequency_loss(restored: Sequence[Tensor], sharp: Sequence[Tensor]) -> Tensor:
    """Sum over the scales of the mean modulus of the difference of the two-dimensional Fourier transforms.

    The transforms are unnormalised, as in MIMO-UNet: the modulus grows with the picture, and 0.09 is tuned to that at
    256x256 crops. The transform is made in float32 whatever the network computes in.
    """
    return _sum(
        torch.fft.rfft2((ours - truth).float()).abs().mean() for ours, truth in zip(restored, sharp, strict=True)
    )


def smoothness_loss(frames: Sequence[Tensor]) -> Tensor:
    """Sum over the scales of the mean squared difference of consecutive virtual frames; (B, T, C, H, W) each."""
    return _sum(F.mse_loss(of_scale[:, 1:], of_scale[:, :-1]) for of_scale in frames)


def restoration_loss(restored: Restored, sharp: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    """The weighted terms, by name, of a network's output in training mode; their sum is the loss.

    Args:
        restored: pictures at 1/1, 1/2, 1/4 and, for networks that have them, the virtual frames.
        sharp: (B, 3, H, W) in [0, 1], sides divisible by 4.
        weights: terms of weight 0 are not computed.
    """
    truth = picture_pyramid(sharp)
    terms: dict[str, Tensor] = {}
    if weights.content:
        terms["content"] = weights.content * content_loss(restored.pictures, truth)
    if weights.frequency:
        terms["frequency"] = weights.frequency * frequency_loss(restored.pictures, truth)
    if weights.smoothness and restored.frames:
        terms["smoothness"] = weights.smoothness * smoothness_loss(restored.frames)
    return terms


def _sum(terms: Iterable[Tensor]) -> Tensor:
    """The sum of at least one scalar."""
    return torch.stack(list(terms)).sum()
