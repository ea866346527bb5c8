"""What training makes small: content, frequency and temporal smoothness; for a kernel estimator, two distances.

Sources: MSTSGM (Pei et al.) and its ancestor MIMO-UNet (Cho et al., ICCV 2021). The estimator's are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.exposure.kernels import Belief, half_turned, left_share, true_kernels
from deblur.exposure.spectra import plane_mean
from deblur.networks.blocks import picture_pyramid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deblur.blur import Motion
    from deblur.networks.blocks import Restored
    from deblur.networks.kernel_estimator import Estimated

_LEFT_WEIGHT = 6.0  # of what a belief leaves wrong, beside its divergence


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
        plane_mean(torch.fft.rfft2((ours - truth).float()).abs(), truth.shape[-1]).mean()
        for ours, truth in zip(restored, sharp, strict=True)
    )


def smoothness_loss(frames: Sequence[Tensor]) -> Tensor:
    """Sum over the scales of the mean squared difference of consecutive virtual frames; (B, T, C, H, W) each."""
    return _sum(F.mse_loss(of_scale[:, 1:], of_scale[:, :-1]) for of_scale in frames)


def restoration_loss(restored: Restored, sharp: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    """The weighted terms, by name, of a network's output in training mode; their sum is the loss.

    Args:
        restored: pictures at 1/1, 1/2, 1/4 and, for networks that have them, the virtual frames; one alone has no term.
        sharp: (B, 3, H, W) in [0, 1], sides divisible by 4.
        weights: terms of weight 0 are not computed.
    """
    truth = picture_pyramid(sharp)
    terms: dict[str, Tensor] = {}
    if weights.content:
        terms["content"] = weights.content * content_loss(restored.pictures, truth)
    if weights.frequency:
        terms["frequency"] = weights.frequency * frequency_loss(restored.pictures, truth)
    if weights.smoothness and restored.frames and restored.frames[0].shape[1] > 1:  # one is as smooth as can be
        terms["smoothness"] = weights.smoothness * smoothness_loss(restored.frames)
    return terms


def estimator_loss(estimated: Estimated, motions: Sequence[Motion | None]) -> dict[str, Tensor]:
    """The terms, by name, of kernels that were estimated; their sum is the loss.

    ``divergence`` is that of Kullback and Leibler from the true kernels, in nats, and says where the path was;
    ``left`` is the error that deconvolution by the estimate leaves, as a share, and weighs what is wrong by what it
    does. Each picture's kernels count the way round that fits them better: spectra cannot tell.

    Args:
        estimated: of blurred pictures.
        motions: the B exposures.

    Raises:
        ValueError: an exposure is unknown.
    """
    exposures = [motion for motion in motions if motion is not None]
    if len(exposures) != len(motions):
        raise ValueError("kernels are learnt from exposures that are known")
    truth = true_kernels(exposures, estimated.regions)
    ways = [_kernel_distances(estimated.log_kernels, way) for way in (truth, half_turned(truth))]
    turned = ways[1][0] < ways[0][0]
    divergence, left = (torch.where(turned, other, one).mean() for one, other in zip(*ways, strict=True))
    return {"divergence": divergence, "left": _LEFT_WEIGHT * left}


def _kernel_distances(logarithms: Belief, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) divergence of the mean and share of the error left, means over the regions of (B, R, 48, 48)."""
    entropy = -torch.special.xlogy(truth, truth).sum((-2, -1))
    cross = -(truth * logarithms.mean).sum((-2, -1))
    belief = Belief(logarithms.mean.exp(), logarithms.power.exp())
    return (cross - entropy).mean(1), left_share(belief, truth).mean(1)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    """The sum of at least one scalar."""
    return torch.stack(list(terms)).sum()
