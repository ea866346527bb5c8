"""A network with an exposure guide: the camera's path, read from the blurred picture, undoes the blur beforehand.

A blurred picture is a mean over the exposure (MSTSGM, section on TCN). The guide estimates locally over what: a blur
kernel for each region of the picture. Inverse filters by these kernels bring back what the blur has only weakened, and
ring where the estimate is off; the network sees picture and results, takes what is right of each, and cleans up.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.blur.sensor import to_linear, to_srgb
from deblur.devices import without_autocast
from deblur.exposure.deconvolution import CALM, ESTIMATED, KNOWN, Deconvolution, density
from deblur.exposure.kernels import Belief, Exposure, sharpness, spread
from deblur.exposure.spectra import luma
from deblur.networks.blocks import Restored, picture_pyramid
from deblur.networks.kernel_estimator import KernelEstimator, KernelEstimatorConfig
from deblur.networks.mimo_unet import MIMOUNet, MIMOUNetConfig
from deblur.networks.mstsgm import MSTSGM, MSTSGMConfig

FILTERED = 2
"""How many of the guide's first channels are what inverse filters give: in linear light and in encoded values."""
CORRECTIONS = FILTERED + 1
"""How many are corrections: those, and one by the kernels the other way round, or calmer by kernels that are known."""
GUIDE_CHANNELS = CORRECTIONS + 2
"""All of them: corrections, then two maps, the blur's length and how sure the estimate is."""
_LINEAR, _ENCODED = slice(0, 1), slice(1, 2)  # of linear and encoded brightness
_LENGTH_UNIT = 8.0  # pixels


@dataclass(frozen=True)
class GuidedConfig:
    """A network and the estimator that guides it.

    Attributes:
        network: any network's config; ``guided_config`` gives it the guide's channels.
        estimator: of the kernel estimator.
    """

    kind: ClassVar[str] = "guided"

    network: MSTSGMConfig | MIMOUNetConfig
    estimator: KernelEstimatorConfig = field(default_factory=KernelEstimatorConfig)

    def __post_init__(self) -> None:
        if self.network.guide_channels != GUIDE_CHANNELS:
            raise ValueError(f"the network takes {self.network.guide_channels} guide channels, not {GUIDE_CHANNELS}")


def guided_config(network: MSTSGMConfig | MIMOUNetConfig) -> GuidedConfig:
    """The config of ``network`` with an exposure guide that looks at both lights."""
    network = replace(network, guide_channels=GUIDE_CHANNELS)
    if isinstance(network, MSTSGMConfig):
        network = replace(network, corrections=CORRECTIONS)
    return GuidedConfig(network, KernelEstimatorConfig(lights=2))


def without_guide(network: MSTSGMConfig | MIMOUNetConfig) -> MSTSGMConfig | MIMOUNetConfig:
    """The config of a guided network by itself."""
    if isinstance(network, MIMOUNetConfig):
        return replace(network, guide_channels=0)
    return replace(network, guide_channels=0, corrections=0)


class ExposureGuide(nn.Module):
    """From a blurred picture to the guide's channels, by kernels that are estimated or known."""

    def __init__(self, estimator: KernelEstimator) -> None:
        super().__init__()
        self.estimator = estimator

    def estimate(self, x: Tensor) -> Exposure:
        """The kernels of pictures, RGB in [0, 1], (B, 3, H, W), any H and W from 1, which way round is open."""
        logarithms, regions = self.estimator(x)
        return Exposure(Belief(logarithms.mean.exp(), logarithms.power.exp()), regions.rows, regions.columns)

    def forward(self, x: Tensor, exposure: Exposure | None = None) -> Tensor:
        """Guide channels (B, 5, H, W) of pictures as ``estimate`` takes them; without an exposure it is estimated.

        They are corrections of brightness, in encoded values: the restored brightness less the picture's, in linear
        light, in encoded values and in these once more; then maps of the blur's length and of how sharply its kernel is
        known, 1 where there is no blur. The third correction is by the kernels turned by 180 degrees where the way
        round is open, and the one whose pictures have the sparser gradients comes first; where the kernels are known
        it is by the same ones, more calmly.
        """
        kernels, rows, columns, certain = exposure or self.estimate(x)
        linear, encoded = luma(to_linear(x)), luma(x)
        filters = Deconvolution(torch.cat([linear, encoded], 1), kernels, rows, columns)
        if certain:
            restored = filters.restore(filters.gain(KNOWN))
            calm = filters.restore(filters.gain(CALM), channels=_ENCODED)
            light, both = restored[:, _LINEAR], [restored[:, _ENCODED], calm]
        else:
            light, both = _either_way(filters, filters.gain(ESTIMATED))
        corrections = torch.cat([to_srgb(light) - to_srgb(linear), *(each.clamp(0, 1) - encoded for each in both)], 1)
        maps = torch.stack([spread(kernels.mean) / _LENGTH_UNIT, sharpness(kernels.mean)], 1).unflatten(
            2, (len(rows), len(columns))
        )
        maps = F.interpolate(maps, x.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([corrections, maps], 1)


class InverseFilter(nn.Module):
    """What the guide alone restores: the picture plus the mean of the inverse filters' corrections.

    It shows how good an estimate is.
    """

    def __init__(self, estimator: KernelEstimator) -> None:
        super().__init__()
        self.guide = ExposureGuide(estimator)

    def forward(self, x: Tensor, *, finest_only: bool = False) -> Restored:
        """Restore blurred pictures, RGB in [0, 1], (B, 3, H, W); see ``GuidedNetwork.forward``."""
        restored = x + self.guide(x)[:, :FILTERED].mean(1, keepdim=True)
        return Restored((restored,) if finest_only else picture_pyramid(restored), None)


class GuidedNetwork(nn.Module):
    """A network and its exposure guide in one: blurred picture in, ``Restored`` out.

    The estimator is frozen here: it learns from the true kernels of synthetic blur, not from pictures.
    """

    LEAST_SIDE: ClassVar[int] = 448
    """Of a part of a picture that the guide reads well, in pixels: the crops that estimators learn from."""

    def __init__(self, config: GuidedConfig) -> None:
        super().__init__()
        self.config = config
        self.guide = ExposureGuide(KernelEstimator(config.estimator))
        self.guide.requires_grad_(requires_grad=False)
        network = config.network
        self.network = MSTSGM(network) if isinstance(network, MSTSGMConfig) else MIMOUNet(network)
        self.multiple: int = self.network.multiple

    def forward(
        self,
        x: Tensor,
        guide: Tensor | None = None,
        context: int = 0,
        *,
        exposure: Exposure | None = None,
        finest_only: bool = False,
    ) -> Restored:
        """Restore a picture.

        Args:
            x: blurred pictures, RGB in [0, 1], (B, 3, H, W).
            guide: the guide's channels (B, G, H, W) where they are known; made of ``x`` otherwise.
            context: pixels at each border that the guide alone looks at; what comes out is smaller by them.
            exposure: the pictures' kernels where the camera's path is known; estimated otherwise.
            finest_only: leave out the two smaller pictures, which only training looks at.
        """
        if guide is None:
            with without_autocast(x.device):  # Fourier transforms lose too much in fewer bits
                guide = self.guide(x.float(), exposure)
        if context:
            inner = (..., slice(context, x.shape[-2] - context), slice(context, x.shape[-1] - context))
            x, guide = x[inner], guide[inner]
        return self.network(x, guide.to(x.dtype), finest_only=finest_only)


def estimator_of(network: nn.Module) -> KernelEstimator | None:
    """The kernel estimator that a network is or is guided by; None where there is none."""
    if isinstance(network, GuidedNetwork):
        return network.guide.estimator
    return network if isinstance(network, KernelEstimator) else None


def _either_way(filters: Deconvolution, gain: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Restored linear brightness, the way round that looks right, and encoded brightness, that way and the other."""
    every = torch.ones(len(gain), dtype=torch.bool, device=gain.device)
    one, other = (filters.restore(gain, way, _ENCODED) for way in (None, every))
    turned = density(other) < density(one)
    choose = turned.view(-1, 1, 1, 1)
    both = [torch.where(choose, other, one), torch.where(choose, one, other)]
    return filters.restore(gain, turned, _LINEAR), both
