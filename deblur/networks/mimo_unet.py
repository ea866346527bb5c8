"""MIMO-UNet and MIMO-UNet+: MSTSGM's ancestor, kept as a baseline.

After Cho, Ji, Hong, Jung and Ko, "Rethinking Coarse-to-Fine Approach in Single Image Deblurring", ICCV 2021. The code
is our own; sizes and structure are the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deblur.networks.blocks import (
    HEAD_GAIN,
    SCALES,
    Restored,
    conv,
    crop_pyramid,
    double,
    halve,
    pad_to_multiple,
    residual_chain,
    upconv,
)


@dataclass(frozen=True)
class MIMOUNetConfig:
    """The sizes of one MIMO-UNet.

    Attributes:
        width: channels at the picture's own scale; twice that at 1/2 and four times at 1/4.
        blocks: residual blocks in each of the three encoder and three decoder stages.
        guide_channels: channels of an extra picture that ``forward`` then needs beside the blurred one.
    """

    kind: ClassVar[str] = "mimo-unet"

    width: int = 32
    blocks: int = 8
    guide_channels: int = 0

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 2:
            raise ValueError(f"width must be even and at least 4, not {self.width}")
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, not {self.blocks}")
        if self.guide_channels < 0:
            raise ValueError(f"guide_channels must be at least 0, not {self.guide_channels}")


class ShallowFeatures(nn.Module):
    """The paper's SCM: features of a reduced picture, (B, 3, h, w) to (B, C, h, w); with a guide, of both."""

    def __init__(self, channels: int, guide_channels: int) -> None:
        super().__init__()
        quarter, half = channels // 4, channels // 2
        self.learned = nn.Sequential(
            conv(3 + guide_channels, quarter, relu=True),
            conv(quarter, half, kernel=1, relu=True),
            conv(half, half, relu=True),
            conv(half, channels - 3, kernel=1, relu=True),
        )
        self.mix = conv(channels, channels, kernel=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features made from the picture, the first three channels, and learned features side by side."""
        return self.mix(torch.cat([inputs[:, :3], self.learned(inputs)], 1))


class AsymmetricFusion(nn.Module):
    """The paper's AFF: all encoder scales, brought to one size, through conv1 with ReLU and conv3."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.fuse = nn.Sequential(conv(inputs, channels, kernel=1, relu=True), conv(channels, channels))

    def forward(self, resized: list[Tensor]) -> Tensor:
        """Three maps of one size in, (B, channels, h, w) out."""
        return self.fuse(torch.cat(resized, 1))


class MIMOUNet(nn.Module):
    """Multi-input multi-output U-Net: pictures of three scales in and out, one encoder and one decoder between."""

    multiple = 2 ** (SCALES - 1)

    def __init__(self, config: MIMOUNetConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2, w3 = widths = (config.width, 2 * config.width, 4 * config.width)
        self.stem = conv(3 + config.guide_channels, w1, relu=True)
        self.shallow = nn.ModuleList(ShallowFeatures(width, config.guide_channels) for width in widths[1:])
        self.down = nn.ModuleList([conv(w1, w2, stride=2, relu=True), conv(w2, w3, stride=2, relu=True)])
        self.attend = nn.ModuleList([conv(w2, w2), conv(w3, w3)])
        self.encoder = nn.ModuleList(residual_chain(width, config.blocks) for width in widths)
        self.fusion = nn.ModuleList(AsymmetricFusion(sum(widths), width) for width in widths[:2])
        self.decoder = nn.ModuleList(residual_chain(width, config.blocks) for width in widths)
        self.up = nn.ModuleList([upconv(w2, w1), upconv(w3, w2)])
        self.narrow = nn.ModuleList([conv(2 * w1, w1, kernel=1, relu=True), conv(2 * w2, w2, kernel=1, relu=True)])
        self.heads = nn.ModuleList(conv(width, 3, gain=HEAD_GAIN) for width in widths)

    def forward(self, x: Tensor, guide: Tensor | None = None, *, finest_only: bool = False) -> Restored:
        """Restore blurred pictures.

        Args:
            x: RGB in [0, 1], (B, 3, H, W), any H and W from 1.
            guide: extra pictures (B, guide_channels, H, W), given exactly where the config asks for them.
            finest_only: leave out the two smaller pictures, which only training looks at.
        """
        if (guide is not None) != (self.config.guide_channels > 0):
            raise ValueError(f"this network takes a guide of {self.config.guide_channels} channels")
        full = pad_to_multiple(x if guide is None else torch.cat([x, guide], 1), self.multiple)
        half = halve(full)
        scales = [full, half, halve(half)]

        encoded = [self.encoder[0](self.stem(full))]
        for k in (1, 2):
            finer = self.down[k - 1](encoded[-1])
            merged = finer + self.attend[k - 1](finer * self.shallow[k - 1](scales[k]))
            encoded.append(self.encoder[k](merged))

        first, second, third = encoded
        third_up = double(third)
        skips = [
            self.fusion[0]([first, double(second), double(third_up)]),
            self.fusion[1]([halve(first), second, third_up]),
        ]
        decoded = [self.decoder[2](third)]
        for k in (1, 0):
            decoded.append(self.decoder[k](self.narrow[k](torch.cat([self.up[k](decoded[-1]), skips[k]], 1))))
        wanted = range(1 if finest_only else SCALES)
        restored = [scales[k][:, :3] + self.heads[k](decoded[SCALES - 1 - k]) for k in wanted]
        return Restored(crop_pyramid(restored, x.shape[-2], x.shape[-1]), None)
