"""What a restored picture says of the path that it was restored along, differentiable.

Along the right path a network gives a clean picture that, blurred along that path again, is the one it was given. Along
a wrong one it leaves ringing and ghosts, or has to disagree with the inverse filters. No number tells for sure: each
alone is lowest at some wrong path. `experiments.path_critic` learns how to weigh them, and what to see in the pictures.
"""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.blur.sensor import to_linear
from deblur.exposure.kernels import KERNEL, Exposure, even_places, half_turned, known
from deblur.exposure.spectra import luma
from deblur.path_search.reblurring import Reblurring
from deblur.path_search.squares import as_shown, gradients, statistics
from deblur.path_search.trial_path import AXES, WAVES, Frame, spread_points
from deblur.pictures import scaled_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deblur.networks.guided import GuidedNetwork

_SCALES = (1, 2, 4)
_OF_GRADIENTS = ("mean", "rms", "root")
_OF_A_TRIAL = (
    *(f"restored gradient {what}, 1/{scale}" for scale in _SCALES for what in _OF_GRADIENTS),
    *(f"filtered gradient {what}" for what in _OF_GRADIENTS),
    "restored less filtered, encoded, rms",
    "restored less filtered, linear, mean",
    "filters' difference, linear and encoded, rms",
    "filters' difference, keen and calm, rms",
    "restored less blurred, rms",
    "restored less blurred, mean",
    "out of range",
    "evenness of gradients over blocks",
    "blurred again less blurred, rms",
    "blurred again less blurred, mean",
    "blurred again less blurred, gradient mean",
    "log-likelihood to the estimator",
    "cosine to the estimate",
    "path's width",
)
NAMES = (*_OF_A_TRIAL, *(f"{name}, over no path" for name in _OF_A_TRIAL), "width of the estimated kernels")
"""What the numbers of a trial are; all but the estimator's two and their differences are logarithms."""
WINDOW = 200
"""Longer side, in pixels, of the part of a picture that is restored along each path; it has the picture's shape."""
_SIZE = 64  # of kernels
_SPACING = 133.0  # pixels, about, between the places that kernels are made for
_BORDER = 16  # pixels, where what comes from outside the window decides
_BLOCK = 24  # pixels
_FLOOR = 1e-7
_DOUBT = 0.03  # share of an estimate's mass that could be anywhere
_APART = 0.75  # of a window's sides, that the next one lies away from it in one direction
_STRIDE = 8  # pixels, between places where windows may lie


class Judged(NamedTuple):
    """Trials of N paths in W windows of h rows and w columns each.

    Attributes:
        evidence: (N, W, len(NAMES)) numbers.
        squares: (N, W, 2 STATISTICS, h / 8, w / 8), see ``squares.statistics``, and what they are more than those of
            what the network restores by its own estimate.
        restored: (N, W, 3, h, w), not clamped.
    """

    evidence: Tensor
    squares: Tensor
    restored: Tensor


class Look:
    """A look at one blurred picture, after which it is ready to be restored along many paths."""

    def __init__(self, network: GuidedNetwork, blurred: Tensor, windows: int = 1, margin: int = 0) -> None:
        """Look at the picture once.

        Args:
            network: whose weights need no gradients.
            blurred: (1, 3, H, W) RGB in [0, 1].
            windows: how many parts of the picture are restored along each path, at most: those with the strongest
                gradients, apart from each other where there is room. A picture that is no larger than a window is one.
            margin: pixels of the picture around a window that are restored with it and not looked at. Without them the
                right path makes less of a window than of the whole picture, along its borders. Windows are so much
                smaller, so that what is restored is of ``WINDOW`` again.
        """
        self._network = network
        height, width = blurred.shape[-2:]
        self.frame = Frame(width, height)
        self._shape = scaled_size(width, height, WINDOW if self.frame.longest <= WINDOW else WINDOW - 2 * margin)[::-1]
        with torch.no_grad():
            self.estimate: Exposure = network.guide.estimate(blurred)
            mean = self.estimate.kernels.mean[0]
            self.spread = self.estimate.spread.item()
            self._log_belief = ((1 - _DOUBT) * _smoothed(mean) + _DOUBT / KERNEL**2).log()
            guide = network.guide(blurred, self.estimate)
            own = network(blurred, guide, finest_only=True).picture
            self._corners = _corners(luma(blurred), self._shape, windows)
            self.blurred = self.cut(blurred)
            """The windows (W, 3, h, w)."""
            self._wide = _Wide(blurred, self._corners, self._shape, margin)
            self._brightness = luma(self.blurred)
            self._light = light_of(self._brightness)
            self._rows, self._columns = (even_places(side, _SPACING) for side in self._wide.shape)
            self._reblurring = Reblurring(self.frame, self._shape, self._corners, blurred.device)
            nowhere = blurred.new_zeros(1, WAVES, AXES)
            self.windows = len(self._corners)
            """How many there are."""
            self._still = self._along(nowhere).evidence
            itself = self._look(nowhere, self.cut(own), self.cut(guide))
            self._own_squares = itself.squares
            self.by_itself = self._compared(itself)
            """What the network restores along no path but by its own estimate."""

    def cut(self, picture: Tensor) -> Tensor:
        """The windows (W, C, h, w) of a picture (1, C, H, W)."""
        return _cut(picture, self._corners, self._shape)

    def part(self, windows: slice) -> Look:
        """The same picture, seen by some of its windows alone."""
        part = copy(self)
        part._corners = self._corners[windows]
        part._wide = self._wide.part(windows)
        part.windows = len(part._corners)
        part.blurred, part._brightness, part._light = (
            each[windows] for each in (self.blurred, self._brightness, self._light)
        )
        part._still, part._own_squares = self._still[:, windows], self._own_squares[:, windows]
        part.by_itself = Judged(*(each[:, windows] for each in self.by_itself))
        part._reblurring = Reblurring(self.frame, self._shape, part._corners, self.blurred.device)
        return part

    def exposure(self, waves: Tensor) -> Exposure:
        """The kernels of the windows with their margins along trial paths (N, 8, 3).

        They are of N W pictures, a path's windows side by side.
        """
        points = torch.stack(
            [
                self.frame.points(waves, [top + y for y in self._rows], [left + x for x in self._columns])
                for top, left in self._wide.corners
            ],
            1,
        )
        kernels = spread_points(points, _SIZE).flatten(0, 1)
        return Exposure(known(kernels), self._rows, self._columns, certain=True)

    def likelihood(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """How well paths (..., 8, 3) agree with the estimator, whichever way round: log-likelihood and cosine."""
        kernels = spread_points(self.frame.points(waves, self.estimate.rows, self.estimate.columns), KERNEL)
        smooth, mean = _smoothed(kernels), self.estimate.kernels.mean[0]
        ways = [
            ((way * self._log_belief).sum((-2, -1)).mean(-1), _cosine(even, mean).mean(-1))
            for way, even in ((kernels, smooth), (half_turned(kernels), half_turned(smooth)))
        ]
        likelihood, cosine = (torch.maximum(one, other) for one, other in zip(*ways, strict=True))
        return likelihood, cosine

    def judge(self, waves: Tensor) -> Judged:
        """Restore the windows along paths (N, 8, 3) and look at the results; gradients reach the paths."""
        return self._compared(self._along(waves))

    def _along(self, waves: Tensor) -> Judged:
        blurred = self._wide.blurred.repeat(len(waves), 1, 1, 1)
        guide = self._network.guide(blurred, self.exposure(waves))
        picture = self._network(blurred, guide, finest_only=True).picture
        return self._look(waves, self._wide.windows(picture), self._wide.windows(guide))

    def _look(self, waves: Tensor, picture: Tensor, guide: Tensor) -> Judged:
        """What is seen of N W restored windows, without what they are compared to."""
        brightness = self._brightness.repeat(len(waves), 1, 1, 1)
        restored = luma(picture)
        numbers = []
        for scale in _SCALES:
            numbers += _of_gradients(restored if scale == 1 else F.avg_pool2d(restored, scale))
        linear, encoded, calm = guide[:, 0:1], guide[:, 1:2], guide[:, 2:3]
        change = restored - brightness
        numbers += _of_gradients(brightness + linear)
        numbers += [
            _rms(change - encoded),
            _mean(change - linear),
            _rms(linear - encoded),
            _rms(encoded - calm),
            _rms(change),
            _mean(change),
            (F.relu(picture - 1) + F.relu(-picture)).mean((1, 2, 3)).add(1e-5).log(),
            _evenness(restored),
        ]
        again = self._reblurring(light_of(restored.clamp(0, 1)), waves)
        residual = again - self._light.repeat(len(waves), 1, 1, 1)
        inside = residual[..., _BORDER:-_BORDER, _BORDER:-_BORDER]
        numbers += [_rms(inside), _mean(inside), _of_gradients(inside)[0]]
        width = width_of(waves, self.frame, self.estimate)
        numbers += [each.repeat_interleave(len(self._corners)) for each in (*self.likelihood(waves), width.log())]
        shown = as_shown(restored, brightness, guide, residual)
        shape = (len(waves), len(self._corners))
        return Judged(
            torch.stack(numbers, 1).unflatten(0, shape),
            statistics(shown).unflatten(0, shape),
            picture.unflatten(0, shape),
        )

    def _compared(self, judged: Judged) -> Judged:
        less = judged.evidence - self._still
        wide = judged.evidence.new_full((*judged.evidence.shape[:2], 1), math.log(self.spread + _FLOOR))
        return judged._replace(
            evidence=torch.cat([judged.evidence, less, wide], -1),
            squares=torch.cat([judged.squares, judged.squares - self._own_squares], 2),
        )


class _Wide:
    """Windows of one picture with what is around them.

    Attributes:
        shape: rows and columns of each.
        corners: top and left of each in the picture.
        blurred: (W, 3, *shape) what they show.
    """

    def __init__(
        self, blurred: Tensor, corners: Sequence[tuple[int, int]], shape: tuple[int, int], margin: int
    ) -> None:
        """Put margins around windows of a picture (1, 3, H, W), inside of it: at its own border they are one-sided."""
        sides = blurred.shape[-2:]
        self._inner = shape
        self.shape = min(shape[0] + 2 * margin, sides[0]), min(shape[1] + 2 * margin, sides[1])
        self.corners = [
            (min(max(top - margin, 0), sides[0] - self.shape[0]), min(max(left - margin, 0), sides[1] - self.shape[1]))
            for top, left in corners
        ]
        self._places = [(top - y, left - x) for (top, left), (y, x) in zip(corners, self.corners, strict=True)]
        self.blurred = _cut(blurred, self.corners, self.shape)

    def part(self, windows: slice) -> _Wide:
        """Some of them."""
        part = copy(self)
        part.corners, part._places = self.corners[windows], self._places[windows]
        part.blurred = self.blurred[windows]
        return part

    def windows(self, wide: Tensor) -> Tensor:
        """What lies in the windows (N W, C, h, w) of what was made with the margins (N W, C, *shape)."""
        if self._inner == self.shape:
            return wide
        of_each = wide.unflatten(0, (-1, len(self._places))).unbind(1)
        cut = [_cut(of, [place], self._inner) for of, place in zip(of_each, self._places, strict=True)]
        return torch.stack(cut, 1).flatten(0, 1)


def _cut(picture: Tensor, corners: Sequence[tuple[int, int]], shape: tuple[int, int]) -> Tensor:
    """Parts (W B, C, h, w) of pictures (B, C, H, W) with these tops and lefts."""
    height, width = shape
    return torch.cat([picture[..., top : top + height, left : left + width] for top, left in corners])


def width_of(waves: Tensor, frame: Frame, exposure: Exposure) -> Tensor:
    """(N,) root mean square distance of paths from their middle, over time and an exposure's places, in pixels."""
    points = frame.points(waves, exposure.rows, exposure.columns)
    return (points - points.mean(-2, keepdim=True)).square().sum(-1).mean((-2, -1)).clamp_min(1e-6).sqrt()


def _corners(brightness: Tensor, shape: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Top and left of windows of a picture's brightness (1, 1, H, W): the strongest gradients first."""
    height, width = brightness.shape[-2:]
    across, down = gradients(brightness)
    strength = F.avg_pool2d(across.abs() + down.abs(), shape, stride=_STRIDE)[0, 0]
    tops, lefts = (torch.arange(side, device=brightness.device) * _STRIDE for side in strength.shape)
    corners: list[tuple[int, int]] = []
    for _ in range(count if (height, width) != shape else 1):
        # Where no window lies far enough from the first ones, in the middle, all are alike: the picture's corner then.
        place = int(strength.argmax())
        top, left = place // strength.shape[1] * _STRIDE, place % strength.shape[1] * _STRIDE
        if (top, left) in corners:
            break
        corners.append((top, left))
        near = ((tops - top).abs() < _APART * shape[0]).unsqueeze(1) & ((lefts - left).abs() < _APART * shape[1])
        strength = strength.masked_fill(near, -1)
    return corners


def light_of(brightness: Tensor) -> Tensor:
    """Linear light of grey pictures (B, 1, H, W)."""
    return luma(to_linear(brightness.expand(-1, 3, -1, -1)))


def _smoothed(kernels: Tensor) -> Tensor:
    flat = kernels.reshape(-1, 1, *kernels.shape[-2:])
    return F.avg_pool2d(flat, 3, 1, 1).view(kernels.shape)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-2, -1)) / (a.square().sum((-2, -1)) * b.square().sum((-2, -1))).sqrt().clamp_min(_FLOOR)


def _of_gradients(pictures: Tensor) -> list[Tensor]:
    """Logarithms of their mean, root mean square and mean of roots; the last is low where few gradients are strong."""
    both = torch.cat([pictures.diff(dim=-1).flatten(1), pictures.diff(dim=-2).flatten(1)], 1)
    root = (both.square() + 1e-6).pow(0.25).mean(1)
    return [(both.abs().mean(1) + _FLOOR).log(), (both.square().mean(1) + _FLOOR).log() / 2, (root + _FLOOR).log()]


def _evenness(pictures: Tensor) -> Tensor:
    """Mean logarithm of the gradients' strength over blocks, less that of their mean: 0 where all blocks are alike."""
    strength = F.avg_pool2d(
        pictures.diff(dim=-1).square()[..., :-1, :] + pictures.diff(dim=-2).square()[..., :-1], _BLOCK
    )
    strength = strength.flatten(1) + 1e-6
    return strength.log().mean(1) - strength.mean(1).log()


def _mean(values: Tensor) -> Tensor:
    return (values.abs().mean((1, 2, 3)) + _FLOOR).log()


def _rms(values: Tensor) -> Tensor:
    return (values.square().mean((1, 2, 3)) + _FLOOR).log() / 2
