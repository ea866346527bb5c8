"""Following paths downhill: the energy of a trial is differentiable down to its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deblur.path_search.critic import Critic
    from deblur.path_search.evidence import Judged, Scene

    Watch = Callable[[Judged, bool], None]
    """Told what came of every trial and whether it lies on a way down, for training a critic."""

_BETAS = (0.8, 0.95)  # of Adam: a few steps have no long memory
_AT_ONCE = 4  # windows that go through the network together


class Stage(NamedTuple):
    """Part of a search: the best paths of the stage before are followed down the energy's gradient.

    Attributes:
        kept: how many paths.
        steps: of each.
        rate: of the first step, in pixels; the last one's is a half to a fifth of it.
    """

    kept: int
    steps: int
    rate: float


class Trial(NamedTuple):
    """A path that was tried.

    Attributes:
        energy: what speaks against it.
        waves: (8, 3); see ``trial_path.Frame``.
    """

    energy: float
    waves: Tensor


def try_all(critic: Critic, scene: Scene, waves: Tensor, watch: Watch | None = None) -> list[Trial]:
    """Trials of paths (N, 8, 3), the best one first."""
    tried: list[Trial] = []
    with torch.no_grad():
        for chunk in waves.split(_at_once(scene)):
            judged = scene.judge(chunk)
            if watch is not None:
                watch(judged, False)
            tried += map(Trial, critic(judged).tolist(), chunk)
    return sorted(tried, key=lambda trial: trial.energy)


def follow(
    critic: Critic, scene: Scene, paths: Sequence[Tensor], stages: Sequence[Stage], watch: Watch | None = None
) -> list[Trial]:
    """Where the first of some paths lead, stage by stage, the best one first."""
    best: list[Trial] = []
    for stage in stages:
        chunks = torch.stack(list(paths[: stage.kept])).split(_at_once(scene))
        best = [trial for chunk in chunks for trial in _descend(critic, scene, chunk, stage, watch)]
        best.sort(key=lambda trial: trial.energy)
        paths = [trial.waves for trial in best]
    return best


def _descend(critic: Critic, scene: Scene, waves: Tensor, stage: Stage, watch: Watch | None) -> list[Trial]:
    """The best path on each way down the energy's gradient, by Adam with a rate that falls evenly."""
    waves = waves.clone().requires_grad_()
    optimizer = torch.optim.Adam([waves], stage.rate, betas=_BETAS)
    best = [Trial(float("inf"), path) for path in waves.detach()]
    with torch.enable_grad():
        for step in range(stage.steps + 1):
            optimizer.param_groups[0]["lr"] = stage.rate * (1 - step / (stage.steps + 1))
            last = step == stage.steps
            judged = scene.judge(waves.detach() if last else waves)
            energies = critic(judged)
            if watch is not None:
                watch(judged, True)
            here = map(Trial, energies.tolist(), waves.detach().clone())
            best = [min(pair, key=lambda trial: trial.energy) for pair in zip(best, here, strict=True)]
            if not last:
                optimizer.zero_grad()
                energies.sum().backward()
                optimizer.step()
    return best


def _at_once(scene: Scene) -> int:
    """Paths that are tried together."""
    return max(1, _AT_ONCE // scene.windows)
