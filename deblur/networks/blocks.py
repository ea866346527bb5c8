"""What networks are made of: convolutions, residual blocks, padding, a picture's scales, and what comes out."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from deblur.borders import mirrored_window

SCALES = 3
HEAD_GAIN = 0.02  # an untrained network changes its input a little: near identity, yet every parameter gets a gradient


class Restored(NamedTuple):
    """What a network returns.

    Attributes:
        pictures: three restored pictures, or the finest alone, RGB, about [0, 1] and not clamped. For an input
            (B, 3, H, W), number k is (B, 3, ceil(H / 2^k), ceil(W / 2^k)): the same scales and sizes as
            ``picture_pyramid`` of the input.
        frames: virtual frames of the three scales, each (B, T, C, h, w), for the temporal loss. None in evaluation, and
            where the network has no temporal part.
    """

    pictures: tuple[Tensor, ...]
    frames: tuple[Tensor, ...] | None

    @property
    def picture(self) -> Tensor:
        """The restored picture at the input's own size, (B, 3, H, W)."""
        return self.pictures[0]


class ResidualBlock(nn.Module):
    """conv3, ReLU, conv3, plus the input: (B, C, H, W) to the same."""

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(conv(channels, channels, relu=True), conv(channels, channels, gain=gain))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus its branch."""
        return x + self.branch(x)


class Unshuffle(nn.PixelUnshuffle):
    """``nn.PixelUnshuffle``, faster on a CPU where channels lie one after another in memory; to the bit the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, C, f * H, f * W) to (B, C * f * f, H, W)."""
        if not x.is_contiguous():
            return super().forward(x)
        squares = x.unflatten(3, (-1, self.downscale_factor)).unflatten(2, (-1, self.downscale_factor))
        return squares.permute(0, 1, 3, 5, 2, 4).flatten(1, 3).contiguous()


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    *,
    relu: bool = False,
    gain: float = 1.0,
    bias: bool = True,
) -> nn.Sequential | nn.Conv2d:
    """A same-size (zero-padded) convolution, optionally with ReLU, whose start keeps the signal's variance.

    Torch's own start shrinks the variance about threefold a convolution; MSTSGM multiplies chains of them with each
    other and would begin with features that are nothing but biases.
    """
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)
    start_with_unit_variance(layer, layer.in_channels // groups * kernel * kernel, relu=relu, gain=gain)
    return nn.Sequential(layer, nn.ReLU(inplace=True)) if relu else layer


def upconv(inputs: int, outputs: int) -> nn.Sequential:
    """Transposed conv4 with stride 2 and ReLU: (B, inputs, H, W) to (B, outputs, 2H, 2W)."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
    start_with_unit_variance(layer, inputs * 4, relu=True)  # each output pixel sees 2x2 of the 4x4 taps
    return nn.Sequential(layer, nn.ReLU(inplace=True))


def start_with_unit_variance(
    layer: nn.Conv2d | nn.ConvTranspose2d, fan_in: int, *, relu: bool, gain: float = 1.0
) -> None:
    """Normal weights of variance gain^2 / fan_in (twice that before a ReLU, as He et al., ICCV 2015), zero biases."""
    nn.init.normal_(layer.weight, std=gain * math.sqrt((2.0 if relu else 1.0) / fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def residual_chain(channels: int, count: int) -> nn.Sequential:
    """``count`` residual blocks in a row, each starting so small that the whole row adds about half the variance."""
    return nn.Sequential(*(ResidualBlock(channels, gain=math.sqrt(0.5 / count)) for _ in range(count)))


def halve(x: Tensor) -> Tensor:
    """Half the height and width (both even): the mean of each 2x2 cell, an antialiased reduction by area."""
    # Resampling to half the size takes the same mean. Processors pool several times as slowly; on a GPU its gradient
    # is summed in no fixed order.
    return F.interpolate(x, scale_factor=0.5, mode="bilinear") if x.device.type == "cpu" else F.avg_pool2d(x, 2)


def double(x: Tensor) -> Tensor:
    """Maps (B, C, H, W) at twice the size, each value four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def picture_pyramid(x: Tensor) -> tuple[Tensor, ...]:
    """A picture (B, C, H, W) at scales 1/1, 1/2 and 1/4, sizes rounded up.

    A network's ``pictures`` have the same sizes; losses compare them with the pyramid of the sharp picture. Where a
    side does not divide by 4, the cells over the edge are filled up by reflection, as inside a network.
    """
    levels = [pad_to_multiple(x, 2 ** (SCALES - 1))]
    while len(levels) < SCALES:
        levels.append(halve(levels[-1]))
    return crop_pyramid(levels, x.shape[-2], x.shape[-1])


def crop_pyramid(levels: list[Tensor], height: int, width: int) -> tuple[Tensor, ...]:
    """Cut padded pictures at scales 1, 1/2, 1/4 back to those of a height x width picture, sizes rounded up."""
    return tuple(level[..., : math.ceil(height / 2**k), : math.ceil(width / 2**k)] for k, level in enumerate(levels))


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Grow (B, C, H, W) at the bottom and right, by reflection, until ``multiple`` divides height and width.

    The reflection goes on and on where the picture is smaller than what is missing, so one pixel is enough.
    """
    height, width = (math.ceil(side / multiple) * multiple for side in x.shape[-2:])
    return mirrored_window(x, 0, 0, width, height)
