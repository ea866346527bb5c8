"""Paths that explain a restoration: along which what a network made of a blurred picture becomes that picture again.

A network that restores by itself has settled in its layers how the camera moved, which way round included, and its
picture tells. The path that leads from there back to the blurred one is where a search does well to begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deblur.blur.sensor import to_linear
from deblur.devices import to_batch
from deblur.exposure.spectra import luma
from deblur.path_search.reblurring import Reblurring
from deblur.path_search.squares import gradients
from deblur.path_search.trial_path import WAVES, Frame
from deblur.pictures import scale_down

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from deblur.blur import Motion

    Restore = Callable[[NDArray[np.uint8], Motion | None], NDArray[np.uint8]]

_SIDE = 400  # pixels, the longer side of the copy in which paths are fitted
_ROUNDS = 2
_GUESSES = 16  # paths that the first round begins with, at most
_STEPS, _RATE = 30, 0.25  # of Adam; the rate in pixels, falling evenly to nothing
_BETAS = (0.8, 0.95)
_ROUGHNESS = 0.001  # price of fast cosines
_EVERY = 6  # so many points of a path light is averaged once
_AT_ONCE = 4  # paths that are tried together
_BORDER, _LEAST_BORDER = 0.03, 4  # share of the width, and pixels, where what comes from outside the picture decides
_FLOOR = 1e-6  # of squared gradients, about the noise's
_SMALL = 0.1  # squared pixels, of a path that has hardly a shape


def explain(picture: NDArray[np.uint8], restore: Restore, starts: Tensor) -> Tensor:
    """(2, 8, 3) paths that explain what a network makes of a picture: by itself, then told the path before.

    Args:
        picture: (H, W, 3), RGB uint8, blurred.
        restore: what restores such a picture, along a path or, where that is None, without.
        starts: (N, 8, 3) paths to begin with, in the picture's pixels.
    """
    explaining = Explaining(to_batch(scale_down(picture, _SIDE), starts.device))
    smaller = explaining.frame.longest / max(picture.shape[:2])
    begun, motion = starts[:_GUESSES] * smaller, None
    paths = []
    for _ in range(_ROUNDS):
        restored = to_batch(scale_down(restore(picture, motion), _SIDE), starts.device)
        path = explaining.path(restored, begun)
        begun, motion = path[None], explaining.frame.motion(path).scaled(1 / smaller)
        paths.append(path / smaller)
    return torch.stack(paths)


class Explaining:
    """One blurred picture, whose restorations are to be explained."""

    def __init__(self, blurred: Tensor, every: int = _EVERY) -> None:
        """Take a picture (1, 3, H, W), RGB in [0, 1]; light is averaged once ``every`` so many points of a path."""
        height, width = blurred.shape[-2:]
        self.frame = Frame(width, height)
        border = max(_LEAST_BORDER, round(_BORDER * width))
        self._inside = (..., slice(border, -border), slice(border, -border))
        self._reblurring = Reblurring(self.frame, (height, width), [(0, 0)], blurred.device, every)
        self._gradients = self._gradients_of(luma(to_linear(blurred)))

    def path(self, restored: Tensor, starts: Tensor) -> Tensor:
        """The path (8, 3) that explains a restoration.

        Args:
            restored: (1, 3, H, W) RGB in [0, 1], as large as the blurred picture.
            starts: (N, 8, 3) paths to begin with: the one that explains it best is moved until it does so better.
        """
        light = luma(to_linear(restored.detach().clamp(0, 1)))
        with torch.no_grad():
            unlike = torch.cat([self.unlike(light, some) for some in starts.split(_AT_ONCE)])
        return self.follow(light, starts[unlike.argmin()][None], None, _STEPS, _RATE)[0]

    def follow(self, light: Tensor, starts: Tensor, middles: Tensor | None, steps: int, rate: float) -> Tensor:
        """Where paths (N, 8, 3) lead that are moved until linear light (1, 1, H, W) explains the picture better.

        Args:
            light: of a sharp picture.
            starts: the paths.
            middles: (N, 3) where they have theirs, moved in place; None for paths about the light's own place.
            steps: of Adam.
            rate: of the first step, in pixels, which falls evenly to nothing.
        """
        waves = starts.detach().clone().requires_grad_()
        about = None if middles is None else middles.clone().requires_grad_()
        speed = torch.arange(1, WAVES + 1, device=waves.device).unsqueeze(1)
        optimizer = torch.optim.Adam([waves] if about is None else [waves, about], rate, betas=_BETAS)
        with torch.enable_grad():
            for step in range(steps):
                optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
                size = waves.detach().square().sum((1, 2)) + _SMALL
                rough = (waves * speed).square().sum((1, 2)) / size
                cost = (self.unlike(light, waves, about).log() + _ROUGHNESS * rough).sum()
                optimizer.zero_grad()
                cost.backward()
                optimizer.step()
        if middles is not None and about is not None:
            middles.copy_(about.detach())
        return waves.detach()

    def unlike(self, light: Tensor, waves: Tensor, middles: Tensor | None = None) -> Tensor:
        """(N,) how unlike the blurred picture linear light (1, 1, H, W) becomes along paths (N, 8, 3).

        It is the mean distance of gradients, which neither brightness nor a few pixels that are far off decide.
        ``middles`` are as of ``Reblurring``.
        """
        again = self._gradients_of(self._reblurring(light.expand(len(waves), -1, -1, -1), waves, middles))
        return ((again - self._gradients).square().sum(1) + _FLOOR).sqrt().mean((1, 2))

    def _gradients_of(self, light: Tensor) -> Tensor:
        """(N, 2, h, w) of light (N, 1, H, W), away from the border."""
        return torch.cat(gradients(light), 1)[self._inside]
