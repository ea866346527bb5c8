"""Blind deblurring by trial: guess paths from the estimator's kernels, restore along them, follow what looks better.

A guided network restores a picture well along the right path, and the picture shows whether the path was right. So a
search over paths (a dozen and a half numbers) does what no estimator that was tried could: it finds the phases of the
kernel, which spectra do not hold. Each trial goes through the network, and a hundred of them through its gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deblur.devices import to_batch
from deblur.exposure.kernels import spread
from deblur.networks.guided import GuidedNetwork
from deblur.path_search.critic import Critic
from deblur.path_search.evidence import Judged, Scene
from deblur.path_search.trial_path import WAVES
from deblur.pictures import scale_down
from deblur.released import load_released

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from deblur.blur import Motion

SIDE = 400
"""Longer side of the copy that paths are searched in, in pixels."""
_STARTS = 16
_KEPT = 4  # of the starts and their half turns
_SETTLING = 50  # steps to bring a start into agreement with the estimator
_STEPS, _LAST_STEPS = 12, 16  # of gradient descent, from each kept start and from the best of them
_RATE, _LAST_RATE = 0.2, 0.12  # pixels a step
_SETTLING_RATE = 0.15
_ROUGHNESS = 0.01  # price of fast cosines
_BETAS = (0.8, 0.95)  # of Adam: a few steps have no long memory


class Trial(NamedTuple):
    """A path that was tried.

    Attributes:
        energy: what speaks against it.
        waves: (8, 3); see ``trial_path.Frame``.
    """

    energy: float
    waves: Tensor


class PathSearch:
    """Finds the camera's path in a blurred picture.

    >>> search = PathSearch.load()
    >>> path = search(blurred)  # (H, W, 3) uint8 RGB; about half a minute of one processor core
    >>> sharp = Deblurrer.load("mstsgm-guided-large")(blurred, path)

    It takes the picture to be blurred by one rigid motion of the camera in its plane. Objects that move by themselves,
    a camera that moves ahead and rolling shutters have no such path.
    """

    def __init__(self, network: GuidedNetwork, critic: Critic, device: torch.device | str = "cpu") -> None:
        """Search with a network that restores; the smaller the faster.

        Args:
            network: moved to ``device`` and frozen.
            critic: of this network's restorations.
            device: where it runs.
        """
        self._device = torch.device(device)
        self._network = network.eval().requires_grad_(requires_grad=False).to(self._device)
        self._critic = critic.eval().requires_grad_(requires_grad=False).to(self._device)

    @classmethod
    def load(cls, device: torch.device | str = "cpu", critic: Critic | None = None) -> PathSearch:
        """The search with the released default network.

        Args:
            device: where it runs.
            critic: of its restorations; by default the one that was learnt for it.

        Raises:
            DeblurError: a file cannot be read.
        """
        network, _ = load_released("default")
        assert isinstance(network, GuidedNetwork)
        return cls(network, critic or Critic.load(), device)

    def __call__(self, picture: NDArray[np.uint8]) -> Motion:
        """The path of a blurred picture (H, W, 3), RGB uint8, in its own pixels; which way it was gone stays open."""
        height, width = picture.shape[:2]
        copy = scale_down(picture, SIDE)
        scene = self.scene(copy)
        found = self.search(scene)
        return scene.frame.motion(found.waves).scaled(max(height, width) / max(copy.shape[:2]))

    def scene(self, picture: NDArray[np.uint8]) -> Scene:
        """A picture (H, W, 3), RGB uint8, ready for ``search``."""
        return Scene(self._network, to_batch(picture, self._device))

    def search(self, scene: Scene, watch: Callable[[Judged], None] | None = None) -> Trial:
        """The best path that is found: the same one for the same picture.

        Args:
            scene: what ``scene`` made of the picture.
            watch: told what came of every trial, for training the critic.
        """
        guesses = _guesses(scene, torch.Generator().manual_seed(0))
        with torch.no_grad():
            tried = [self._try(scene, way * waves, watch) for waves in guesses for way in (1, -1)]
        tried.sort(key=lambda trial: trial.energy)
        followed = [self._follow(scene, trial.waves, _STEPS, _RATE, watch) for trial in tried[:_KEPT]]
        best = min(followed, key=lambda trial: trial.energy)
        return self._follow(scene, best.waves, _LAST_STEPS, _LAST_RATE, watch)

    def _try(self, scene: Scene, waves: Tensor, watch: Callable[[Judged], None] | None) -> Trial:
        judged = scene.judge(waves)
        if watch is not None:
            watch(judged)
        return Trial(float(self._critic(judged.evidence)), waves)

    def _follow(
        self, scene: Scene, waves: Tensor, steps: int, rate: float, watch: Callable[[Judged], None] | None
    ) -> Trial:
        """The best path on the way down the energy's gradient, by Adam with a rate that falls to 0."""
        waves = waves.clone().requires_grad_()
        optimizer = torch.optim.Adam([waves], rate, betas=_BETAS)
        best = Trial(float("inf"), waves)
        with torch.enable_grad():
            for step in range(steps + 1):
                optimizer.param_groups[0]["lr"] = rate * (1 - step / (steps + 1))
                judged = scene.judge(waves)
                energy = self._critic(judged.evidence)
                here = waves.detach().clone()
                if watch is not None:
                    watch(judged)
                if float(energy.detach()) < best.energy:
                    best = Trial(float(energy.detach()), here)
                if step < steps:
                    optimizer.zero_grad()
                    energy.backward()
                    optimizer.step()
        return best


def _guesses(scene: Scene, generator: torch.Generator) -> Tensor:
    """(17, 8, 3) paths that the estimator does not speak against: random ones made to agree, and none at all."""
    device = scene.estimate.kernels.mean.device
    wide = spread(scene.estimate.kernels.mean).mean()
    # An estimate that is not sure is wider than the path.
    wide = wide * (0.4 + 0.7 * torch.rand(_STARTS, generator=generator)).to(device)
    speed = torch.arange(1, WAVES + 1, device=device).unsqueeze(1)
    smooth = 1 + torch.rand(_STARTS, 1, 1, generator=generator).to(device)
    waves = torch.randn(_STARTS, WAVES, 3, generator=generator).to(device) / speed**smooth
    waves[..., 2] *= 0.3
    waves *= (wide / _width(scene, waves)).view(-1, 1, 1)
    waves.requires_grad_()
    optimizer = torch.optim.Adam([waves], _SETTLING_RATE)
    with torch.enable_grad():
        for _ in range(_SETTLING):
            width = _width(scene, waves)
            rough = (waves * speed).square().sum((1, 2)) / width.detach().square()
            likelihood, _ = scene.likelihood(waves)
            cost = (2 * (width / wide).log().square() + _ROUGHNESS * rough - likelihood).sum()
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()
    return torch.cat([waves.detach(), torch.zeros_like(waves[:1])]).detach()


def _width(scene: Scene, waves: Tensor) -> Tensor:
    """(N,) root mean square distance of paths from their middle, over time and the estimator's places, in pixels."""
    points = scene.frame.points(waves, scene.estimate.rows, scene.estimate.columns)
    return (points - points.mean(-2, keepdim=True)).square().sum(-1).mean((-2, -1)).clamp_min(1e-6).sqrt()
