"""MSTSGM: multi-scale temporal-spatial guided deblurring, in three sizes (``mstsgm``, ``-star`` and ``-nano``).

After Pei, Long, Gao, Gu, Wang and Lu, "MSTSGM: A Multi-Scale Temporal-Spatial Guided Model for Image Deblurring",
Signal Processing: Image Communication. The code is our own, written from the paper's structure; docs/networks.md lists
where it departs from the paper and why. ``shuffle`` and the "project" fusion are ours, for the small size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.networks.blocks import (
    HEAD_GAIN,
    SCALES,
    Restored,
    Unshuffle,
    conv,
    crop_pyramid,
    double,
    halve,
    pad_to_multiple,
    residual_chain,
    upconv,
)

Temporal = Literal["dense", "depthwise"]
Fusion = Literal["concat", "project"]


@dataclass(frozen=True)
class MSTSGMConfig:
    """The sizes of one MSTSGM.

    Attributes:
        widths: channels of the features at the three scales.
        encoder_blocks: residual blocks of the encoder, a scale each.
        decoder_blocks: residual blocks of the decoder, a scale each.
        frames: virtual frames T that TCN unmixes the features into.
        frame_shrink: a frame of a scale of C features has C / frame_shrink channels.
        temporal: TCN's 3x3 convolution over the frames: "dense" (as the authors' code) or "depthwise" (as their text).
        fusion: MSFF: "concat" (conv3 of all scales) or "project" (conv1 of each scale at the smaller size, then conv3).
        shuffle: pictures enter and leave through pixel (un)shuffling by this factor, so that the features of the first
            scale have 1/shuffle of the picture's height and width.
        guide_channels: channels of an extra picture that ``forward`` then needs beside the blurred one.
        corrections: how many corrections of the picture's brightness the guide begins with, each a restoration by other
            means less the picture. Each output is then a residual on the picture plus a share of each correction; the
            network gives every pixel its shares, which with that of the picture itself add up to 1.
        msfd: decouple features coarse from fine across scales; off: one plain convolution of each scale's picture.
        tcn: temporal convolution; off: features pass unchanged and there are no frames.
        eagr: edge attention; off: features pass unchanged.
        fam: attention where encoder and scale features meet; off: they are added.
        msff: fusion of all encoder scales for the decoder; off: plain skip connections.
    """

    kind: ClassVar[str] = "mstsgm"

    widths: tuple[int, int, int] = (32, 64, 128)
    encoder_blocks: tuple[int, int, int] = (8, 8, 8)
    decoder_blocks: tuple[int, int, int] = (8, 8, 8)
    frames: int = 9
    frame_shrink: int = 1
    temporal: Temporal = "dense"
    fusion: Fusion = "concat"
    shuffle: int = 1
    guide_channels: int = 0
    corrections: int = 0
    msfd: bool = True
    tcn: bool = True
    eagr: bool = True
    fam: bool = True
    msff: bool = True

    def __post_init__(self) -> None:
        for name in ("widths", "encoder_blocks", "decoder_blocks"):
            if len(getattr(self, name)) != SCALES:
                raise ValueError(f"{name} needs {SCALES} numbers, one a scale, not {getattr(self, name)}")
        for name, kinds in (("temporal", get_args(Temporal)), ("fusion", get_args(Fusion))):
            if getattr(self, name) not in kinds:
                raise ValueError(f"{name} is one of {', '.join(kinds)}, not {getattr(self, name)!r}")
        if min(self.frames, self.frame_shrink, self.shuffle) < 1 or self.guide_channels < 0:
            raise ValueError("frames, frame_shrink and shuffle are at least 1, guide_channels at least 0")
        if not 0 <= self.corrections <= self.guide_channels:
            raise ValueError(f"corrections is {self.corrections}, from 0 to guide_channels = {self.guide_channels}")
        if min(self.encoder_blocks + self.decoder_blocks) < 0:
            raise ValueError("encoder_blocks and decoder_blocks are at least 0")
        if min(self.widths) <= self.picture_channels or any(width % self.frame_shrink for width in self.widths):
            raise ValueError(
                f"widths {self.widths} must be larger than 3 * shuffle^2 = {self.picture_channels} "
                f"and divide by frame_shrink = {self.frame_shrink}"
            )

    @property
    def picture_channels(self) -> int:
        """Channels of a picture after pixel unshuffling."""
        return 3 * self.shuffle**2

    @property
    def head_channels(self) -> int:
        """Channels of an output before pixel shuffling: the residual's colours, then a share for each correction."""
        return (3 + self.corrections) * self.shuffle**2


class MSFD(nn.Module):
    """Multi-scale feature decoupling: features of three scales, each with its own picture as first channels."""

    def __init__(self, config: MSTSGMConfig) -> None:
        super().__init__()
        picture, guide = config.picture_channels, config.guide_channels * config.shuffle**2
        inputs = (picture, *config.widths[:-1])
        self.learned = nn.ModuleList(
            conv(before, width - picture, stride=1 if k == 0 else 2, gain=2**0.5)
            for k, (before, width) in enumerate(zip(inputs, config.widths, strict=True))
        )
        self.guided = nn.ModuleList(conv(guide, width - picture) for width in config.widths) if guide else None
        self.refine = nn.ModuleList(conv(width, width) for width in config.widths)

    def forward(self, pictures: list[Tensor], guides: list[Tensor] | None) -> list[Tensor]:
        """Unshuffled pictures (and guides) of the three scales in, features (B, C_k, h_k, w_k) out."""
        features: list[Tensor] = []
        for k, picture in enumerate(pictures):
            learned = self.learned[k](features[-1] if features else picture)
            if self.guided is not None and guides is not None:
                learned = learned + self.guided[k](guides[k])  # the same as convolving the two concatenated
            features.append(torch.cat([picture, F.relu(learned)], 1))
        return [refine(feature) for refine, feature in zip(self.refine, features, strict=True)]


class PlainFeatures(nn.Module):
    """What stands in for MSFD where it is switched off: conv3 and ReLU of each scale's own picture."""

    def __init__(self, config: MSTSGMConfig) -> None:
        super().__init__()
        inputs = (3 + config.guide_channels) * config.shuffle**2
        self.learned = nn.ModuleList(conv(inputs, width, relu=True) for width in config.widths)

    def forward(self, pictures: list[Tensor], guides: list[Tensor] | None) -> list[Tensor]:
        """As ``MSFD.forward``."""
        inputs = pictures if guides is None else [torch.cat(pair, 1) for pair in zip(pictures, guides, strict=True)]
        return [learned(x) for learned, x in zip(self.learned, inputs, strict=True)]


class TCN(nn.Module):
    """Temporal convolution on unmixed frames: a blurred picture is a mean over the exposure, so split and order it."""

    def __init__(self, channels: int, frames: int, shrink: int, temporal: Temporal) -> None:
        super().__init__()
        self.frames = frames
        frame = channels // shrink
        mixed = frame * frames
        self.unmix = nn.Sequential(conv(channels, frame), conv(frame, mixed))
        self.temporal = conv(mixed, mixed, groups=mixed if temporal == "depthwise" else 1)
        self.mix = conv(mixed, mixed, kernel=1, gain=0.5)  # squaring the gate about doubles what it lets through
        self.reconstruct = nn.Sequential(conv(mixed, channels, relu=True), conv(channels, channels))
        # Around 1, result * local mean starts as a gate that passes the signal on; around 0 it would start as a square.
        for layer in self.temporal.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.ones_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) in; features of the same shape and frames (B, T, C', h, w) out."""
        unmixed = self.unmix(x)
        ordered = self.temporal(unmixed)
        # The mean over a 3x3 window, zeros outside counted: an unfold of the zero-padded map needs 9x the memory.
        ordered = ordered * F.avg_pool2d(ordered, 3, stride=1, padding=1, count_include_pad=True)
        return self.reconstruct(self.mix(ordered)), unmixed.unflatten(1, (self.frames, -1))


class EAGR(nn.Module):
    """Edge attention guided reconstruction: learnable edges of the blurred picture weigh the features."""

    EPSILON = 1e-6  # under the root: the gradient stays finite where the picture is flat

    def __init__(self, channels: int, shuffle: int) -> None:
        super().__init__()
        # Horizontal and vertical 3 -> 3 convolutions in one; replicated borders, so that the frame itself is no edge.
        self.gradient = nn.Conv2d(3, 6, 3, padding=1, padding_mode="replicate", bias=False)
        sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        with torch.no_grad():
            self.gradient.weight.zero_()
            for colour in range(3):
                self.gradient.weight[colour, colour] = sobel
                self.gradient.weight[3 + colour, colour] = sobel.T
        self.unshuffle = Unshuffle(shuffle)
        norm = nn.BatchNorm2d(channels)
        # Start as a gate near 1, not as the noise around 0 that batch norm's own start would be.
        nn.init.constant_(norm.weight, 0.1)
        nn.init.ones_(norm.bias)
        self.attention = nn.Sequential(
            conv(3 * shuffle**2, channels, kernel=1), conv(channels, channels, kernel=1, bias=False), norm
        )

    def forward(self, features: Tensor, picture: Tensor) -> Tensor:
        """Features (B, C, h, w) and the scale's picture (B, 3, shuffle*h, shuffle*w) in, weighed features out."""
        horizontal, vertical = self.gradient(picture).chunk(2, 1)
        magnitude = (horizontal.square() + vertical.square() + self.EPSILON).sqrt()
        return features * self._weigh(self.unshuffle(magnitude))

    def _weigh(self, magnitude: Tensor) -> Tensor:
        if self.training:
            return self.attention(magnitude)
        # With batch norm's statistics at rest all three are linear maps of a pixel's channels: one convolution.
        first, second, norm = cast("tuple[nn.Conv2d, nn.Conv2d, nn.BatchNorm2d]", tuple(self.attention))
        assert first.bias is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        onward = scale.unsqueeze(1) * second.weight.flatten(1)
        weight = onward @ first.weight.flatten(1)
        bias = onward @ first.bias + norm.bias - scale * norm.running_mean
        return F.conv2d(magnitude, weight[:, :, None, None], bias)


class FAM(nn.Module):
    """Feature attention module: where a finer scale's encoder output ``a`` meets a scale's own features ``b``."""

    REDUCTION = 16

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // self.REDUCTION, 1)
        # Half the gain: a product of two features has heavy tails that would drown the path it is added to.
        depthwise = conv(channels, channels, groups=channels, gain=0.5)
        self.merge = nn.Sequential(depthwise, conv(channels, channels, 1, relu=True))
        self.bottleneck = nn.Sequential(conv(channels, hidden, 1, relu=True), conv(hidden, channels, 1))
        # A mean to start with: what is pooled is never negative, so none of the few hidden units starts dead.
        nn.init.uniform_(next(self.bottleneck.parameters()), 0.0, 2.0 / channels)
        self.where = nn.Sequential(conv(channels, channels, groups=channels), conv(channels, 1, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two (B, C, h, w) in, one out. The channel attention pools over the whole picture."""
        merged = self.merge(a * b)
        mean, peak = merged.mean((2, 3), keepdim=True), merged.amax((2, 3), keepdim=True)
        channel = torch.sigmoid(self.bottleneck(mean) + self.bottleneck(peak))
        return a + merged * channel * torch.sigmoid(self.where(merged))


class MSFF(nn.Module):
    """Multi-scale feature fusion: the encoder's three scales, brought to the size of scale ``target``."""

    def __init__(self, widths: tuple[int, int, int], target: int, fusion: Fusion) -> None:
        super().__init__()
        self.target = target
        width = widths[target]
        if fusion == "concat":
            self.project = None
            self.fuse = conv(sum(widths), width, relu=True)
        else:
            # A 1x1 convolution and a resize commute, so each is projected at the smaller of its two sizes.
            self.project = nn.ModuleList(conv(each, width, kernel=1, gain=SCALES**-0.5) for each in widths)
            self.fuse = conv(width, width, relu=True)

    def forward(self, encoded: list[Tensor]) -> Tensor:
        """Encoder outputs of the three scales in, (B, C_target, h_target, w_target) out."""
        if self.project is None:
            return self.fuse(torch.cat([self._grow(self._shrink(x, k), k) for k, x in enumerate(encoded)], 1))
        fine, middle, coarse = (
            project(self._shrink(x, k)) for k, (project, x) in enumerate(zip(self.project, encoded, strict=True))
        )
        # The coarser two are added up before they grow. At target 1 the finest has the middle one's size already.
        coarser = double(coarse) + middle
        return self.fuse((coarser if self.target else double(coarser)) + fine)

    def _shrink(self, x: Tensor, scale: int) -> Tensor:
        return halve(x) if scale < self.target else x

    def _grow(self, x: Tensor, scale: int) -> Tensor:
        if scale > self.target:
            return F.interpolate(x, scale_factor=float(2 ** (scale - self.target)), mode="nearest")
        return x


class MSTSGM(nn.Module):
    """The whole network: blurred picture in, three residuals added to its three scales out."""

    def __init__(self, config: MSTSGMConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2, w3 = widths = config.widths
        self.multiple = 2 ** (SCALES - 1) * config.shuffle
        self.unshuffle, self.shuffle = Unshuffle(config.shuffle), nn.PixelShuffle(config.shuffle)

        self.features = MSFD(config) if config.msfd else PlainFeatures(config)
        self.temporal = nn.ModuleList(
            TCN(width, config.frames, config.frame_shrink, config.temporal) for width in widths if config.tcn
        )
        self.edges = nn.ModuleList(EAGR(width, config.shuffle) for width in widths if config.eagr)

        self.down = nn.ModuleList([conv(w1, w2, stride=2, relu=True), conv(w2, w3, stride=2, relu=True)])
        self.meet = nn.ModuleList(FAM(width) for width in widths[1:] if config.fam)
        self.encoder = nn.ModuleList(residual_chain(w, n) for w, n in zip(widths, config.encoder_blocks, strict=True))

        self.fusion = nn.ModuleList(MSFF(widths, target, config.fusion) for target in (0, 1) if config.msff)
        self.decoder = nn.ModuleList(residual_chain(w, n) for w, n in zip(widths, config.decoder_blocks, strict=True))
        self.up = nn.ModuleList([upconv(2 * w2, w1), upconv(w3, w2)])
        self.heads = nn.ModuleList(conv(each, config.head_channels, gain=HEAD_GAIN) for each in (2 * w1, 2 * w2, w3))

    def forward(self, x: Tensor, guide: Tensor | None = None, *, finest_only: bool = False) -> Restored:
        """Restore a picture.

        Args:
            x: blurred pictures, RGB in [0, 1], (B, 3, H, W), any H and W from 1. Sides that do not divide by
                4 * shuffle are reflected up to the next multiple inside, and the result is cut back.
            guide: extra pictures (B, guide_channels, H, W), given exactly where the config asks for them.
            finest_only: leave out the two smaller pictures, which only training looks at.
        """
        if (guide is not None) != (self.config.guide_channels > 0):
            raise ValueError(f"this network takes a guide of {self.config.guide_channels} channels")
        scales = self._scales(x)
        guides = None if guide is None else self._scales(guide)
        unshuffled = [self.unshuffle(scale) for scale in scales]
        unshuffled_guides = None if guides is None else [self.unshuffle(each) for each in guides]

        features, frames = self._spatiotemporal(self.features(unshuffled, unshuffled_guides), scales)
        decoded = self._decode(self._encode(features))[: 1 if finest_only else SCALES]
        heads = [self.shuffle(layer(each)) for layer, each in zip(self.heads, decoded, strict=False)]
        restored = [scale + head[:, :3] for scale, head in zip(scales, heads, strict=False)]
        if guides is not None and self.config.corrections:
            restored = [
                picture + shared(each[:, : self.config.corrections], head[:, 3:])
                for picture, each, head in zip(restored, guides, heads, strict=False)
            ]
        keep_frames = frames if self.training and frames else None
        return Restored(crop_pyramid(restored, x.shape[-2], x.shape[-1]), keep_frames)

    def _scales(self, x: Tensor) -> list[Tensor]:
        full = pad_to_multiple(x, self.multiple)
        half = halve(full)
        return [full, half, halve(half)]

    def _spatiotemporal(self, features: list[Tensor], scales: list[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """Each scale's TCN, then its EAGR."""
        frames: list[Tensor] = []
        for k, temporal in enumerate(self.temporal):
            features[k], unmixed = temporal(features[k])
            frames.append(unmixed)
        for k, edges in enumerate(self.edges):
            features[k] = edges(features[k], scales[k])
        return features, tuple(frames)

    def _encode(self, features: list[Tensor]) -> list[Tensor]:
        encoded = [self.encoder[0](features[0])]
        for k in (1, 2):
            finer = self.down[k - 1](encoded[-1])
            met = self.meet[k - 1](finer, features[k]) if self.config.fam else finer + features[k]
            encoded.append(self.encoder[k](met))
        return encoded

    def _decode(self, encoded: list[Tensor]) -> list[Tensor]:
        """What the heads of the three scales read, finest first."""
        skips = [fuse(encoded) for fuse in self.fusion] if self.config.msff else encoded[:2]
        decoded = [self.decoder[2](encoded[2])]
        for k in (1, 0):
            decoded.append(torch.cat([self.up[k](decoded[-1]), self.decoder[k](skips[k])], 1))
        return decoded[::-1]


def shared(corrections: Tensor, shares: Tensor) -> Tensor:
    """The mean of corrections (B, P, H, W) and of none at all, (B, 1, H, W).

    ``shares`` (B, P, H, W) are the logarithms of the weights, up to their common sum; that of none at all is 0.
    """
    weights = F.pad(shares, (0, 0, 0, 0, 1, 0)).softmax(1)[:, 1:]
    return (corrections * weights).sum(1, keepdim=True)
