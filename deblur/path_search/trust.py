"""Where a picture bears out the path that it was restored along, and where what needs no path is the better guess.

A path is one for all of the picture, and wrong in parts of it: what is near a camera that walks moves farther than what
is far, a wheel turns by itself, a record may be of another moment and a search go astray. Ringing and ghosts show it.
So two restorations are mixed, the one along the path and the one that the network makes by its own estimate, square
by square, as a small network says that has seen what right paths leave and what wrong ones (`experiments.path_trust`).
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.exposure.deconvolution import blur
from deblur.exposure.spectra import luma
from deblur.naming import SUFFIX
from deblur.networks.guided import CORRECTIONS
from deblur.path_search.evidence import light_of
from deblur.path_search.squares import CELL, STATISTICS, as_shown, statistics
from deblur.released import learnt_from, load_learnt, released_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from deblur.exposure.kernels import Exposure
    from deblur.networks.guided import GuidedNetwork

SEEN = 2 * STATISTICS + 4
"""Numbers of a square: statistics along the path and what they are more than without, and both guides' two maps."""
_CHANNELS = 48
_DILATIONS = (1, 2, 4)
_BELIEVED = 1.0  # logit that an untrained one begins with


class Restoration(NamedTuple):
    """What a guided network made of pictures.

    Attributes:
        picture: (B, 3, H, W) RGB, not clamped.
        guide: (B, G, H, W) what its guide made for it, see ``ExposureGuide``.
    """

    picture: Tensor
    guide: Tensor

    @classmethod
    def by(
        cls,
        network: GuidedNetwork,
        blurred: Tensor,
        exposure: Exposure,
        precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> Self:
        """What a network makes of blurred pictures (B, 3, H, W) by their kernels; its guide runs in full precision."""
        guide = network.guide(blurred, exposure)
        with precision():
            return cls(network(blurred, guide, finest_only=True).picture.float(), guide)


class TrustNetwork(nn.Module):
    """Predicts for each square how much of the restoration along the path to take, by what two restorations show."""

    center: Tensor
    scale: Tensor

    def __init__(self) -> None:
        """A network that knows nothing yet, for numbers as they are."""
        super().__init__()
        self.register_buffer("center", torch.zeros(SEEN))
        self.register_buffer("scale", torch.ones(SEEN))
        self.enter = nn.Sequential(nn.Conv2d(SEEN, _CHANNELS, 1), nn.GELU())
        self.around = nn.ModuleList(
            nn.Sequential(nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=dilation, dilation=dilation), nn.GELU())
            for dilation in _DILATIONS
        )
        self.everywhere = nn.Linear(_CHANNELS, _CHANNELS)  # a record of another moment is wrong all over
        self.leave = nn.Conv2d(_CHANNELS, 1, 1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.constant_(self.leave.bias, _BELIEVED)

    def forward(self, seen: Tensor) -> Tensor:
        """(B, SEEN, h, w), as ``seen_of`` gives it, to the logits (B, 1, h, w) of shares."""
        features: Tensor = self.enter((seen - self.center.view(-1, 1, 1)) / self.scale.view(-1, 1, 1))
        for number, look in enumerate(self.around):
            features = features + look(features)
            if number == 0:
                features = features + F.gelu(self.everywhere(features.mean((-2, -1))))[..., None, None]
        logits: Tensor = self.leave(features)
        return logits


def seen_of(blurred: Tensor, exposure: Exposure, told: Restoration, itself: Restoration) -> Tensor:
    """(B, SEEN, H / 8, W / 8) what the squares of two restorations show.

    Args:
        blurred: (B, 3, H, W) RGB in [0, 1], of 8 pixels a side or more.
        exposure: its kernels along the path.
        told: made along the path.
        itself: made by the guide's own estimate.
    """
    brightness = luma(blurred)
    light = light_of(brightness)

    def squares(made: Restoration, kernels: Tensor | None) -> Tensor:
        restored = luma(made.picture)
        again = light_of(restored.clamp(0, 1))
        if kernels is not None:
            again = blur(again, kernels, exposure.rows, exposure.columns)
        return statistics(as_shown(restored, brightness, made.guide, again - light))

    along, alone = squares(told, exposure.kernels.mean), squares(itself, None)
    maps = torch.cat([told.guide[:, CORRECTIONS:], itself.guide[:, CORRECTIONS:]], 1)
    return torch.cat([along, along - alone, F.avg_pool2d(maps, CELL)], 1)


class PathTrust:
    """Tells where to trust a path, of the restorations of one network."""

    def __init__(self, network: TrustNetwork) -> None:
        """Tell by a network, on its device."""
        self._network = network.eval().requires_grad_(requires_grad=False)

    @classmethod
    def released(cls, card: Mapping[str, Any], device: torch.device) -> Self | None:
        """That of a released network; None where nobody learnt from restorations by these weights.

        Args:
            card: of the weights.
            device: where pictures are restored.

        Raises:
            DeblurError: the file cannot be read.
        """
        found = learnt_from(trust_file("*"), card)
        if found is None:
            return None
        return cls(load_learnt(TrustNetwork, found[0], "experiments.path_trust").to(device))

    def shares(self, blurred: Tensor, exposure: Exposure, told: Restoration, itself: Restoration) -> Tensor:
        """(1, 1, H, W) how much of the result should be restored along the path, from 0 to 1.

        Arguments as for ``seen_of``, of one picture of any size.
        """
        height, width = blurred.shape[-2:]
        if min(height, width) < CELL:
            return blurred.new_ones(1, 1, height, width)  # too small to show anything
        shares = self._network(seen_of(blurred, exposure, told, itself)).sigmoid()
        shares = F.interpolate(shares, scale_factor=CELL, mode="bilinear", align_corners=False)
        rest = (0, width - shares.shape[-1], 0, height - shares.shape[-2])
        return F.pad(shares, rest, mode="replicate")

    def describe(self) -> str:
        """Hash of what it tells by."""
        return released_sha256(self._network)


def trust_file(name: str) -> Path:
    """Where the trust network for a released network's restorations lies."""
    return Path(__file__).resolve().parent / f"trust-in-{name}{SUFFIX}"
