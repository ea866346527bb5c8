"""The camera's path between a blurred picture and the sharp one that belongs to it.

Data sets have a sharp frame for each blurred one, and seldom a gyroscope's record. Along the right path the sharp
picture becomes the blurred one, so the path can be followed downhill without any network: from small copies, in which
every blur is short, to large ones. It is what a perfect record of one rigid motion would have said.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import torch

from deblur.blur.sensor import to_linear
from deblur.devices import to_batch, without_autocast
from deblur.errors import DeblurError
from deblur.exposure.spectra import luma
from deblur.path_search.explaining import Explaining
from deblur.path_search.trial_path import AXES, WAVES
from deblur.pictures import check_pictures, scale_down, scaled_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deblur.blur import Motion


class _Copy(NamedTuple):
    """A stage of a fit.

    Attributes:
        side: of the copy, in pixels of its longer side.
        kept: paths that are followed in it, the best ones of the stage before.
        fresh: random ones beside them, for blur that is too short to be seen in smaller copies.
        steps: of each.
        rate: of the first step, in pixels.
        every: see ``Explaining``.
    """

    side: int
    kept: int
    fresh: int
    steps: int
    rate: float
    every: int


_COPIES = (
    _Copy(96, 0, 48, 60, 0.3, 6),
    _Copy(192, 12, 8, 60, 0.25, 6),
    _Copy(384, 4, 4, 60, 0.2, 4),
    _Copy(640, 2, 2, 80, 0.15, 2),
)
_FRESH = 0.7  # pixels, of the slowest cosine of a random path
_LEAST_SIDE = 24  # pixels, of the smallest copy's shorter side: in less there is hardly anything to compare
_STILL = 1e-4  # pixels: a path that does not move


class Fit(NamedTuple):
    """A path that was fitted.

    Attributes:
        path: about its mean, in pixels of the blurred picture, so that a picture restored along it lies in the middle.
        shift: (right, down) pixels from the sharp picture's place to that middle.
        unexplained: how unlike the blurred picture the sharp one is along the path, as a share of how unlike it is
            where it stands: a tenth, for noise, where one rigid motion explains all, 1 where it explains nothing.
    """

    path: Motion
    shift: tuple[float, float]
    unexplained: float


@torch.inference_mode(mode=False)  # paths are followed by gradients, whatever the caller has set
def fit_path(
    blurred: NDArray[np.uint8], sharp: NDArray[np.uint8], device: torch.device | str = "cpu", seed: int = 0
) -> Fit:
    """Find the path along which a sharp picture becomes the blurred one.

    Args:
        blurred: (H, W, 3), RGB uint8.
        sharp: the same scene at some moment of the exposure, as large.
        device: where it is done.
        seed: of the paths that it begins with.

    Raises:
        TypeError: a picture is no numpy array of uint8.
        ValueError: one is not (H, W, 3), or the two are not of one shape.
        DeblurError: they show too little; see ``check_size``.
    """
    for picture in (blurred, sharp):
        check_pictures(picture)
    if blurred.shape != sharp.shape:
        raise ValueError(f"pictures of shapes {blurred.shape} and {sharp.shape} are no pair")
    check_size(blurred.shape[1], blurred.shape[0])
    device = torch.device(device)
    with without_autocast(device):
        return _fitted(blurred, sharp, device, seed)


def _fitted(blurred: NDArray[np.uint8], sharp: NDArray[np.uint8], device: torch.device, seed: int) -> Fit:
    generator = torch.Generator().manual_seed(seed)
    speed = torch.arange(1, WAVES + 1).unsqueeze(1)
    zeros = functools.partial(torch.zeros, dtype=torch.float32, device=device)
    waves, middles = zeros(0, WAVES, AXES), zeros(0, AXES)
    side = 0
    for copy in _COPIES:
        small = scale_down(blurred, copy.side)
        if max(small.shape[:2]) == side:
            break  # the picture has no more pixels than that
        explaining = Explaining(to_batch(small, device), copy.every)
        light = luma(to_linear(to_batch(scale_down(sharp, copy.side), device)))
        larger = max(small.shape[:2]) / side if side else 1.0
        side = max(small.shape[:2])
        random = torch.randn(copy.fresh, WAVES, AXES, generator=generator, dtype=torch.float32)
        fresh = (_FRESH * random / speed).to(device)
        waves = torch.cat([waves[: copy.kept] * larger, fresh])
        middles = torch.cat([middles[: copy.kept] * larger, zeros(copy.fresh, AXES)])
        waves = explaining.follow(light, waves, middles, copy.steps, copy.rate)
        with torch.no_grad():
            unlike = explaining.unlike(light, waves, middles)
        order = unlike.argsort()
        waves, middles, unlike = waves[order], middles[order], unlike[order]
    with torch.no_grad():
        still = explaining.unlike(light, torch.full_like(waves[:1], _STILL))
    larger = max(blurred.shape[:2]) / side
    right, down, _ = (middles[0] * larger).tolist()
    path = explaining.frame.motion(waves[0]).scaled(larger)
    return Fit(path, (right, down), (unlike[0] / still[0]).item())


def check_size(width: int, height: int) -> None:
    """Refuse pictures that show too little for a path to be fitted.

    Raises:
        DeblurError: a side is shorter than 24 pixels, or than a quarter of the other one.
    """
    if min(scaled_size(width, height, _COPIES[0].side)) < _LEAST_SIDE:
        raise DeblurError(
            f"a picture of {width}x{height} shows too little to fit a path: 24 pixels a side are the least, and a "
            "quarter of the longer side"
        )
