"""A network that reads the blur kernels of a picture's regions from their autocorrelations and cepstra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.blur.sensor import to_linear
from deblur.exposure.kernels import KERNEL, Belief
from deblur.exposure.spectra import LAG_MAPS, Regions, lag_maps, luma
from deblur.networks.blocks import Unshuffle, conv, residual_chain, upconv

_SPREAD = 320.0  # pixels; positions are divided by it


@dataclass(frozen=True)
class KernelEstimatorConfig:
    """The sizes of one estimator.

    Attributes:
        widths: channels of a region's features at 1/2, 1/4, 1/8 and 1/16 of its maps of lags.
        lights: 1 looks at encoded brightness alone, 2 at linear brightness too, which most cameras average.
    """

    kind: ClassVar[str] = "kernel-estimator"

    widths: tuple[int, int, int, int] = (24, 48, 96, 160)
    lights: int = 1

    def __post_init__(self) -> None:
        if self.lights not in {1, 2}:
            raise ValueError(f"lights is {self.lights}, not 1 or 2")
        if len(self.widths) != 4 or min(self.widths) < 1:
            raise ValueError(f"widths needs 4 numbers above 0, not {self.widths}")


class Estimated(NamedTuple):
    """What an estimator makes of pictures (B, 3, H, W).

    Attributes:
        log_kernels: the logarithms of a belief about the kernels (B, R, 48, 48) of R = rows * columns regions, row by
            row. Each picture's kernels may be turned by 180 degrees together.
        regions: the regions and their maps of lags.
    """

    log_kernels: Belief
    regions: Regions


class KernelEstimator(nn.Module):
    """From a blurred picture to a belief about the blur kernel of each of its regions.

    Every region is encoded by itself; then each sees, beside its own features, what fits all regions best as a linear
    function of place: a camera's path and roll move each place by an amount that is linear in it.
    """

    def __init__(self, config: KernelEstimatorConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2, w3, w4 = config.widths
        maps = config.lights * LAG_MAPS
        self.enter = nn.Sequential(Unshuffle(2), conv(4 * maps, w1, relu=True), conv(w1, w1, relu=True))
        self.down = nn.ModuleList(
            nn.Sequential(conv(before, after, stride=2, relu=True), residual_chain(after, count))
            for before, after, count in ((w1, w2, 1), (w2, w3, 1), (w3, w4, 1))
        )
        self.share = nn.Sequential(conv(4 * w4, w4, kernel=1, relu=True), residual_chain(w4, 2))
        self.up = nn.ModuleList([upconv(w4, w3), upconv(w3, w2), upconv(w2, w1)])
        self.merge = nn.ModuleList(
            nn.Sequential(conv(2 * width, width, relu=True), residual_chain(width, 1)) for width in (w3, w2, w1)
        )
        self.leave = nn.Sequential(conv(w1, 8, gain=0.1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Estimated:
        """Estimate the kernels of pictures, RGB in [0, 1], (B, 3, H, W), any H and W from 1."""
        brightness = luma(x)
        two = self.config.lights == 2
        regions = lag_maps(torch.cat([brightness, to_linear(brightness)], 1) if two else brightness)
        batch, count = regions.maps.shape[:2]
        encoded = [self.enter(regions.maps.flatten(0, 1))]
        for down in self.down:
            encoded.append(down(encoded[-1]))
        features = self.share(_with_neighbours(encoded[-1].unflatten(0, (batch, count)), regions).flatten(0, 1))
        for level, (up, merge) in enumerate(zip(self.up, self.merge, strict=True)):
            skip = encoded[2 - level]
            if level == 1:
                # A path's own reach is half that of its autocorrelation: only the inner half is drawn.
                features = _inner(features)
            if level >= 1:
                skip = _inner(skip)
            features = merge(torch.cat([up(features), skip], 1))
        return Estimated(_log_belief(self.leave(features), batch), regions)


def _log_belief(logits: Tensor, batch: int) -> Belief:
    """Two (B, R, 48, 48) of (B * R, 2, 48, 48)."""
    logarithms = F.log_softmax(logits.flatten(2).float(), 2).view(batch, -1, 2, KERNEL, KERNEL)
    return Belief(*logarithms.unbind(2))


def _inner(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    return x[..., height // 4 : height - height // 4, width // 4 : width - width // 4]


def _with_neighbours(features: Tensor, regions: Regions) -> Tensor:
    """(B, R, C, h, w) features beside their mean and their two first moments over the regions: (B, R, 4C, h, w)."""
    rows, columns = (
        torch.tensor(each, dtype=torch.float32, device=features.device) for each in (regions.rows, regions.columns)
    )
    y, x = ((each.flatten() - each.mean()) / _SPREAD for each in torch.meshgrid(rows, columns, indexing="ij"))
    parts = [features, features.mean(1, keepdim=True).expand_as(features)]
    for place in (y, x):
        weights = place.view(1, -1, 1, 1, 1)
        slope = (weights * features).sum(1, keepdim=True) / (weights.square().sum() + 0.1)
        parts.append(slope * weights)
    return torch.cat(parts, 2)
