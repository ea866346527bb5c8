"""What a restored picture says of the path that it was restored along, in few differentiable numbers.

Along the right path a network gives a clean picture that, blurred along that path again, is the one it was given. Along
a wrong one it leaves ringing and ghosts, or has to disagree with the inverse filters. No number tells for sure: each
alone is lowest at some wrong path. `experiments.path_critic` learns how to weigh them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.blur.sensor import to_linear
from deblur.exposure.kernels import KERNEL, Exposure, half_turned, known
from deblur.exposure.spectra import luma
from deblur.path_search.trial_path import STEPS, Frame, cosines, spread_points

if TYPE_CHECKING:
    from deblur.networks.guided import GuidedNetwork

_SCALES = (1, 2, 4)
_OF_GRADIENTS = ("mean", "rms", "root")
NAMES = (
    *(f"restored gradient {what}, 1/{scale}" for scale in _SCALES for what in _OF_GRADIENTS),
    *(f"filtered gradient {what}" for what in _OF_GRADIENTS),
    "restored less filtered, encoded, rms",
    "restored less filtered, linear, mean",
    "filters' difference, linear and encoded, rms",
    "filters' difference, keen and calm, rms",
    "restored less blurred, rms",
    "restored less blurred, mean",
    "out of range",
    "blurred again less blurred, rms",
    "blurred again less blurred, mean",
    "blurred again less blurred, gradient mean",
    "log-likelihood to the estimator",
    "cosine to the estimate",
    "kernels' sharpness",
)
"""What the numbers of ``Scene.judge`` are; all but the estimator's two are logarithms."""
_SIZE = 64  # of kernels
_SPACING = 133.0  # pixels, about, between the places that kernels are made for
_BORDER = 16  # pixels, where what comes from outside the picture decides
_SAMPLED = slice(1, STEPS, 3)  # points of a path at which a restored picture is blurred again
_FLOOR = 1e-7
_DOUBT = 0.03  # share of an estimate's mass that could be anywhere


class Judged(NamedTuple):
    """One trial.

    Attributes:
        evidence: (25,) numbers, see ``NAMES``.
        restored: (1, 3, H, W), not clamped.
    """

    evidence: Tensor
    restored: Tensor


class Scene:
    """One blurred picture, ready to be restored along many paths."""

    def __init__(self, network: GuidedNetwork, blurred: Tensor) -> None:
        """Look at the picture once.

        Args:
            network: whose weights need no gradients.
            blurred: (1, 3, H, W) RGB in [0, 1].
        """
        self._network, self._blurred = network, blurred
        height, width = blurred.shape[-2:]
        self.frame = Frame(width, height)
        self._rows, self._columns = (_even(side) for side in (height, width))
        with torch.no_grad():
            self.estimate: Exposure = network.guide.estimate(blurred)
            self._brightness = luma(blurred)
            self._light = luma(to_linear(self._brightness.expand(-1, 3, -1, -1)))
        mean = self.estimate.kernels.mean[0]
        self._log_belief = ((1 - _DOUBT) * _smoothed(mean) + _DOUBT / KERNEL**2).log()
        rows = torch.linspace(-1, 1, height, device=blurred.device).unsqueeze(1).expand(height, width)
        columns = torch.linspace(-1, 1, width, device=blurred.device).expand(height, width)
        self._grid = torch.stack([columns, rows], -1)

    def exposure(self, waves: Tensor) -> Exposure:
        """The kernels along a trial path (8, 3)."""
        kernels = spread_points(self.frame.points(waves, self._rows, self._columns), _SIZE)
        return Exposure(known(kernels.unsqueeze(0)), self._rows, self._columns, certain=True)

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
        """Restore the picture along a path (8, 3) and look at the result; gradients reach the path."""
        exposure = self.exposure(waves)
        guide = self._network.guide(self._blurred, exposure)
        picture = self._network(self._blurred, guide, finest_only=True).picture
        restored, blurred = luma(picture), self._brightness
        numbers = []
        smaller = restored
        for scale in _SCALES:
            numbers += _of_gradients(smaller if scale == 1 else F.avg_pool2d(restored, scale))
        linear, encoded, calm = guide[:, 0:1], guide[:, 1:2], guide[:, 2:3]
        change = restored - blurred
        numbers += _of_gradients(blurred + linear)
        numbers += [
            _rms(change - encoded),
            _mean(change - linear),
            _rms(linear - encoded),
            _rms(encoded - calm),
            _rms(change),
            _mean(change),
            (F.relu(picture - 1) + F.relu(-picture)).mean().add(1e-5).log(),
        ]
        again = self._blurred_again(luma(to_linear(restored.clamp(0, 1).expand(-1, 3, -1, -1))), waves)
        residual = (again - self._light)[..., _BORDER:-_BORDER, _BORDER:-_BORDER]
        numbers += [_rms(residual), _mean(residual), _of_gradients(residual)[0]]
        numbers += [*self.likelihood(waves)]
        numbers.append(exposure.kernels.mean[0].square().sum((-2, -1)).add(_FLOOR).log().mean() / 2)
        return Judged(torch.stack(numbers), picture)

    def _blurred_again(self, light: Tensor, waves: Tensor) -> Tensor:
        """(1, 1, H, W) averaged along the path, in each place's own displacement."""
        frame = self.frame
        path = (cosines(waves.device) @ waves)[_SAMPLED]
        unit = waves.new_tensor([(frame.width - 1) / 2, (frame.height - 1) / 2])
        place = self._grid * unit
        total = torch.zeros_like(light)
        for x, y, roll in path:
            cos, sin = torch.cos(roll / frame.reach) - 1, torch.sin(roll / frame.reach)
            moved = torch.stack(
                [x + cos * place[..., 0] - sin * place[..., 1], y + sin * place[..., 0] + cos * place[..., 1]], -1
            )
            grid = (place - moved) / unit
            total = total + F.grid_sample(light, grid.unsqueeze(0), padding_mode="reflection", align_corners=True)
        return total / len(path)


def _even(side: int) -> tuple[float, ...]:
    count = max(1, round(side / _SPACING))
    return tuple((index + 0.5) * side / count for index in range(count))


def _smoothed(kernels: Tensor) -> Tensor:
    flat = kernels.reshape(-1, 1, *kernels.shape[-2:])
    return F.avg_pool2d(flat, 3, 1, 1).view(kernels.shape)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-2, -1)) / (a.square().sum((-2, -1)) * b.square().sum((-2, -1))).sqrt().clamp_min(_FLOOR)


def _of_gradients(picture: Tensor) -> list[Tensor]:
    """Logarithms of their mean, root mean square and mean of roots; the last is low where few gradients are strong."""
    across, down = picture.diff(dim=-1).flatten(), picture.diff(dim=-2).flatten()
    both = torch.cat([across, down])
    root = (both.square() + 1e-6).pow(0.25).mean()
    return [_mean(both), _rms(both), (root + _FLOOR).log()]


def _mean(values: Tensor) -> Tensor:
    return (values.abs().mean() + _FLOOR).log()


def _rms(values: Tensor) -> Tensor:
    return (values.square().mean() + _FLOOR).log() / 2
