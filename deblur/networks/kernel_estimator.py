"""From a blurred picture to the blur kernels of its regions: read from its spectrum, then refined by its pixels.

A ``LagReader`` sees the autocorrelation of each region and draws where the camera may have been: vaguely, and perhaps
turned by 180 degrees, which spectra cannot tell. Inverse filters by that kernel and by the turned one give a
``SharpGuess`` what it needs for a first guess of the sharp picture. A kernel fitted between this guess and the blurred
picture is sharper and the right way round; a ``KernelRefiner`` makes the final kernel of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.blur.sensor import to_linear
from deblur.exposure.deconvolution import deconvolve
from deblur.exposure.fitting import FITS, fit_kernels
from deblur.exposure.kernels import KERNEL, Belief, half_turned
from deblur.exposure.spectra import LAG_MAPS, lag_maps, luma
from deblur.networks.blocks import HEAD_GAIN, conv, pad_to_multiple, residual_chain, upconv

if TYPE_CHECKING:
    from deblur.exposure.spectra import Regions

_SPREAD = 320.0  # pixels; positions are divided by it
_STRENGTHS = (0.03, 0.008)  # of the inverse filters that the guess starts from
_TURNED_STRENGTHS = (0.02,)
_CANDIDATES = len(_STRENGTHS) + len(_TURNED_STRENGTHS)


@dataclass(frozen=True)
class KernelEstimatorConfig:
    """The sizes of one estimator.

    Attributes:
        reader: channels of a region's features at 1/2, 1/4, 1/8 and 1/16 of its maps of lags.
        guess: channels of the guess's features at 1/4 and 1/8 of the picture.
        refiner: channels of a kernel's features at 1/2, 1/4 and 1/8 of its pixels.
    """

    kind: ClassVar[str] = "kernel-estimator"

    reader: tuple[int, int, int, int] = (24, 48, 96, 160)
    guess: tuple[int, int] = (32, 64)
    refiner: tuple[int, int, int] = (48, 80, 128)

    def __post_init__(self) -> None:
        for name, count in (("reader", 4), ("guess", 2), ("refiner", 3)):
            if len(getattr(self, name)) != count or min(getattr(self, name)) < 1:
                raise ValueError(f"{name} needs {count} numbers above 0, not {getattr(self, name)}")


class Estimated(NamedTuple):
    """What an estimator makes of pictures (B, 3, H, W).

    Attributes:
        log_kernels: the logarithms of a belief about the kernels (B, R, 48, 48) of R = rows * columns regions, row by
            row.
        log_read: the same as the spectrum alone has it; each picture's kernels may be turned by 180 degrees together.
        guess: (B, 1, H, W) a first guess at the sharp picture's brightness, encoded, about [0, 1].
        regions: the regions and their maps of lags.
    """

    log_kernels: Belief
    log_read: Belief
    guess: Tensor
    regions: Regions


class LagReader(nn.Module):
    """From the lag maps of a picture's regions to a belief about the kernel of each.

    Every region is encoded by itself; then each sees, beside its own features, what fits all regions best as a linear
    function of place: a camera's path and roll move each place by an amount that is linear in it.
    """

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        w1, w2, w3, w4 = widths
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), conv(4 * LAG_MAPS, w1, relu=True), conv(w1, w1, relu=True))
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

    def forward(self, regions: Regions) -> Belief:
        """The logarithms of a belief about kernels (B, R, 48, 48)."""
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
        return _log_belief(self.leave(features), batch)


class SharpGuess(nn.Module):
    """From a picture's brightness and what inverse filters make of it to a guess at the sharp picture's brightness."""

    SHUFFLE = 4

    def __init__(self, widths: tuple[int, int]) -> None:
        super().__init__()
        w1, w2 = widths
        pixels = self.SHUFFLE**2
        self.enter = nn.Sequential(nn.PixelUnshuffle(self.SHUFFLE), conv((1 + _CANDIDATES) * pixels, w1, relu=True))
        self.first = residual_chain(w1, 1)
        self.down = nn.Sequential(conv(w1, w2, stride=2, relu=True), residual_chain(w2, 2))
        self.up = upconv(w2, w1)
        self.merge = nn.Sequential(conv(2 * w1, w1, relu=True), residual_chain(w1, 1))
        self.leave = nn.Sequential(conv(w1, (1 + _CANDIDATES) * pixels, gain=HEAD_GAIN), nn.PixelShuffle(self.SHUFFLE))

    def forward(self, brightness: Tensor, corrections: Tensor) -> Tensor:
        """(B, 1, H, W) of brightness (B, 1, H, W) and corrections (B, 3, H, W): shares of these and a residual."""
        height, width = brightness.shape[-2:]
        inputs = pad_to_multiple(torch.cat([brightness, corrections], 1), 2 * self.SHUFFLE)
        features = self.first(self.enter(inputs))
        features = self.merge(torch.cat([features, self.up(self.down(features))], 1))
        left = self.leave(features)[..., :height, :width]
        shares = left[:, 1:].sigmoid()
        return brightness + left[:, :1] + (shares * corrections).mean(1, keepdim=True)


class KernelRefiner(nn.Module):
    """From kernels read from spectra and fitted to pixels to the final ones, each seeing what is linear in place."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        w1, w2, w3 = widths
        maps = 2 + 2 * FITS  # the two ways round; the fits in encoded values and in linear light
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), conv(4 * maps, w1, relu=True), residual_chain(w1, 1))
        self.down = nn.ModuleList(
            nn.Sequential(conv(before, after, stride=2, relu=True), residual_chain(after, 1))
            for before, after in ((w1, w2), (w2, w3))
        )
        self.share = nn.Sequential(conv(4 * w3, w3, kernel=1, relu=True), residual_chain(w3, 2))
        self.up = nn.ModuleList([upconv(w3, w2), upconv(w2, w1)])
        self.merge = nn.ModuleList(
            nn.Sequential(conv(2 * width, width, relu=True), residual_chain(width, 1)) for width in (w2, w1)
        )
        self.leave = nn.Sequential(conv(w1, 8, gain=0.1), nn.PixelShuffle(2))

    def forward(self, read: Tensor, fitted: Tensor, regions: Regions) -> Belief:
        """As ``LagReader.forward``, of mean kernels (B, R, 48, 48) that were read and of fits (B, R, 8, 48, 48)."""
        batch, count = read.shape[:2]
        ways = torch.stack([read, half_turned(read)], 2)
        # Between about 0 where nothing was and 1 at a point: as large as the fits.
        maps = torch.cat([(ways + 1e-4).log() / 8 + 1, fitted], 2)
        encoded = [self.enter(maps.flatten(0, 1))]
        for down in self.down:
            encoded.append(down(encoded[-1]))
        features = self.share(_with_neighbours(encoded[-1].unflatten(0, (batch, count)), regions).flatten(0, 1))
        for level, (up, merge) in enumerate(zip(self.up, self.merge, strict=True)):
            features = merge(torch.cat([up(features), encoded[1 - level]], 1))
        return _log_belief(self.leave(features), batch)


class KernelEstimator(nn.Module):
    """Pictures in, ``Estimated`` out."""

    def __init__(self, config: KernelEstimatorConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = LagReader(config.reader)
        self.guess = SharpGuess(config.guess)
        self.refiner = KernelRefiner(config.refiner)

    def forward(self, x: Tensor) -> Estimated:
        """Estimate the kernels of pictures, RGB in [0, 1], (B, 3, H, W), any H and W from 1."""
        brightness = luma(x)
        regions = lag_maps(brightness)
        log_read = self.reader(regions)
        with torch.no_grad():
            read = Belief(log_read.mean.exp(), log_read.power.exp())
            candidates = [
                deconvolve(brightness, each, regions.rows, regions.columns, strengths)[:, :, 0].clamp(0, 1) - brightness
                for each, strengths in ((read, _STRENGTHS), (read.half_turned(), _TURNED_STRENGTHS))
            ]
        guess = self.guess(brightness, torch.cat(candidates, 1))
        fitted = fit_kernels(
            torch.cat([guess, to_linear(guess.clamp(0, 1))], 1),
            torch.cat([brightness, to_linear(brightness)], 1),
            regions.rows,
            regions.columns,
        )
        return Estimated(self.refiner(read.mean, fitted, regions), log_read, guess, regions)


def _log_belief(logits: Tensor, batch: int) -> Belief:
    """Two (B, R, 48, 48) of (B * R, 2, 48, 48)."""
    logarithms = F.log_softmax(logits.flatten(2).float(), 2).view(batch, -1, 2, KERNEL, KERNEL)
    return Belief(*logarithms.unbind(2))


def _inner(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    return x[..., height // 4 : height - height // 4, width // 4 : width - width // 4]


def _with_neighbours(features: Tensor, regions: Regions) -> Tensor:
    """(B, R, C, h, w) features beside their mean and their two first moments over the regions: (B, R, 4C, h, w)."""
    places = (torch.tensor(each, device=features.device) for each in (regions.rows, regions.columns))
    y, x = ((each.flatten() - each.mean()) / _SPREAD for each in torch.meshgrid(*places, indexing="ij"))
    parts = [features, features.mean(1, keepdim=True).expand_as(features)]
    for place in (y, x):
        weights = place.view(1, -1, 1, 1, 1)
        slope = (weights * features).sum(1, keepdim=True) / (weights.square().sum() + 0.1)
        parts.append(slope * weights)
    return torch.cat(parts, 2)
