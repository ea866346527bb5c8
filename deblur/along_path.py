"""Restoring a picture along its camera's path: what a network makes of it, made consistent, where it is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from deblur.devices import to_batch
from deblur.exposure.consistency import evidence_of_light, make_consistent
from deblur.exposure.kernels import exposure_along
from deblur.outcome import Outcome
from deblur.path_search.trust import Restoration

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import Tensor

    from deblur.exposure.kernels import Exposure
    from deblur.exposure.paths import CameraPath
    from deblur.networks.guided import GuidedNetwork
    from deblur.path_search.trust import PathTrust

    InTiles = Callable[[Callable[[NDArray[np.uint8], int, int], NDArray[np.float32]]], NDArray[np.uint8]]
    """Makes a picture by a function of each of its tiles, and of the tile's left and top."""


class PathUse(NamedTuple):
    """A path that a picture is restored along.

    Attributes:
        path: in the picture's pixels.
        corrected: whether the result is made consistent with its picture (``exposure.consistency``).
        doubted: whether it is believed only where the picture bears it out (``path_search.trust``).
    """

    path: CameraPath
    corrected: bool
    doubted: bool

    def scaled(self, factor: float) -> PathUse:
        """See ``CameraPath``."""
        return self._replace(path=self.path.scaled(factor))

    def cropped(self, left: int, top: int) -> PathUse:
        """See ``CameraPath``."""
        return self._replace(path=self.path.cropped(left, top))


class _Otherwise(NamedTuple):
    """What stands in for a restoration along a path where that is not believed.

    Attributes:
        picture: (1, 3, H, W) RGB, what the network makes of the picture by itself.
        trust: (1, 1, H, W) share of the result that comes of the path.
    """

    picture: Tensor
    trust: Tensor

    def put_aside(self) -> _Otherwise:
        """The same in a third of the memory, beside a device: tiles wait so for the others of a large picture."""
        return _Otherwise((self.picture * 255).round().clamp(0, 255).byte().cpu(), self.trust.half().cpu())

    def taken_up(self, device: torch.device) -> _Otherwise:
        """What was put aside, on a device again."""
        return _Otherwise(self.picture.to(device).float() / 255, self.trust.to(device).float())


class _Made(NamedTuple):
    """What the network made of a blurred picture.

    Attributes:
        restored: (1, 3, H, W) RGB along the path, not clamped.
        blurred: (1, 3, H, W) RGB in [0, 1].
        told: the path.
        otherwise: None where it is believed everywhere.
    """

    restored: Tensor
    blurred: Tensor
    told: PathUse
    otherwise: _Otherwise | None

    @property
    def believed(self) -> float:
        """Share of the result that comes of the path."""
        return 1.0 if self.otherwise is None else float(self.otherwise.trust.mean())

    def result(self, as_light: bool | None = None) -> NDArray[np.float32]:
        """The picture (H, W, 3) in [0, 255]; ``as_light`` as for ``make_consistent``."""
        restored = self.restored
        if self.told.corrected:
            restored = make_consistent(restored, self.blurred, self.told.path, as_light)
        if self.otherwise is not None:
            restored = torch.lerp(self.otherwise.picture, restored, self.otherwise.trust)
        return _to_picture(restored)


class AlongPath:
    """Restores pictures along paths by a guided network.

    Attributes:
        trust: in paths, by this network's restorations; None believes every path everywhere.
    """

    def __init__(
        self, network: GuidedNetwork, device: torch.device, precision: Callable[[], AbstractContextManager[object]]
    ) -> None:
        """Restore with a network on a device.

        Args:
            network: in evaluation mode.
            device: where it is.
            precision: context that the network runs in; its guide runs in full precision.
        """
        self._network = network
        self._device = device
        self.trust: PathTrust | None = None
        self._precision = precision

    def __call__(self, picture: NDArray[np.uint8], told: PathUse, exposure: Exposure | None = None) -> Outcome:
        """One picture (H, W, 3), RGB uint8, restored whole: float32 in [0, 255].

        Args:
            picture: what does not move by its path stays as it is.
            told: the path.
            exposure: the picture's kernels, where they are known already.
        """
        with torch.inference_mode():
            made = self._made(picture, told, exposure)
            return Outcome(picture.astype(np.float32)) if made is None else Outcome(made.result(), made.believed)

    def in_tiles(self, in_tiles: InTiles, told: PathUse) -> Outcome:
        """One picture restored in tiles: by the network first, so that all tell which light was averaged.

        Meanwhile the picture that comes of that is held, and of a path that is doubted 5 bytes a pixel of every tile.
        """
        evidence: list[float] = []
        believed: list[float] = []  # tiles are of one size
        otherwise: dict[tuple[int, int], _Otherwise | None] = {}

        def restore(tile: NDArray[np.uint8], left: int, top: int) -> NDArray[np.float32]:
            with torch.inference_mode():
                made = self._made(tile, told.cropped(left, top))
                if made is None:
                    return tile.astype(np.float32)
                believed.append(made.believed)
                if not told.corrected:
                    return made.result()
                evidence.append(evidence_of_light(made.restored, made.blurred, made.told.path))
                otherwise[left, top] = made.otherwise and made.otherwise.put_aside()
                return _to_picture(made.restored)

        def correct(tile: NDArray[np.uint8], left: int, top: int) -> NDArray[np.float32]:
            height, width = tile.shape[:2]
            part = restored[top : top + height, left : left + width]
            if (left, top) not in otherwise:
                return part.astype(np.float32)
            pictures = to_batch(part, self._device), to_batch(tile, self._device)
            with torch.inference_mode():
                aside = otherwise.pop((left, top))
                made = _Made(*pictures, told.cropped(left, top), aside and aside.taken_up(self._device))
                return made.result(sum(evidence) >= 0)

        restored = in_tiles(restore)
        share = sum(believed) / len(believed) if believed else None
        return Outcome(in_tiles(correct) if otherwise else restored, share)

    def _made(self, picture: NDArray[np.uint8], told: PathUse, exposure: Exposure | None = None) -> _Made | None:
        """What the network makes of a picture; None where nothing is blurred."""
        blurred = to_batch(picture, self._device).contiguous(memory_format=torch.channels_last)
        height, width = picture.shape[:2]
        exposure = exposure or exposure_along(told.path, height, width, self._device)
        if not exposure.blurred.item():
            return None
        along = Restoration.by(self._network, blurred, exposure, self._precision)
        if self.trust is None or not told.doubted:
            return _Made(along.picture, blurred, told, None)
        estimate = self._network.guide.estimate(blurred)
        itself = Restoration.by(self._network, blurred, estimate, self._precision)
        trust = self.trust.shares(blurred, exposure, along, itself)
        return _Made(along.picture, blurred, told, _Otherwise(itself.picture, trust))


def _to_picture(restored: Tensor) -> NDArray[np.float32]:
    """(1, 3, H, W) to (H, W, 3) in [0, 255]."""
    picture: NDArray[np.float32] = (restored[0] * 255).clamp(0, 255).permute(1, 2, 0).cpu().numpy()
    return picture
