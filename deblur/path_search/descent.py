"""Following paths downhill: the energy of a trial is differentiable down to its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deblur.path_search.critic import Critic
    from deblur.path_search.evidence import Judged, Look

    Watch = Callable[[Judged, bool], None]
    """Told what came of every trial and whether it lies on a way down, for training a critic."""

_BETAS = (0.8, 0.95)  # of Adam: a few steps have no long memory
_AT_ONCE = 4  # windows that go through the network together


class Stage(NamedTuple):
    """Part of a search: the best paths of the stage before are followed down the energy's gradient.

    Attributes:
        kept: how many paths.
        steps: of each.
        rate: of the first step, in pixels; it falls evenly, to 2 / (steps + 1) of that in the last one.
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


def try_all(critic: Critic, look: Look, waves: Tensor, watch: Watch | None = None) -> list[Trial]:
    """Trials of paths (N, 8, 3), the best one first."""
    tried: list[Trial] = []
    with torch.no_grad():
        for chunk in waves.split(_at_once(look)):
            judged = look.judge(chunk)
            if watch is not None:
                watch(judged, False)
            tried += map(Trial, critic(judged).tolist(), chunk)
    return sorted(tried, key=lambda trial: trial.energy)


def follow(
    critic: Critic, look: Look, paths: Sequence[Tensor], stages: Sequence[Stage], watch: Watch | None = None
) -> list[Trial]:
    """Where the first of some paths lead, stage by stage, the best one first."""
    best: list[Trial] = []
    for stage in stages:
        chunks = torch.stack(list(paths[: stage.kept])).split(_at_once(look))
        best = [trial for chunk in chunks for trial in _descend(critic, look, chunk, stage, watch)]
        best.sort(key=lambda trial: trial.energy)
        paths = [trial.waves for trial in best]
    return best


def follow_by_parts(critic: Critic, parts: Sequence[Look], paths: Sequence[Tensor], stage: Stage) -> list[Tensor]:
    """Where the first of some paths (8, 3) lead when each step sees another part of the picture.

    So a path is not fitted to few of its parts. Where it is last is what counts: parts are not compared, one is harder
    to restore than another.
    """
    led: list[Tensor] = []
    for chunk in torch.stack(list(paths[: stage.kept])).split(_at_once(parts[0])):
        way = _WayDown(chunk, stage)
        with torch.enable_grad():
            for step in range(stage.steps):
                way.go(critic(parts[step % len(parts)].judge(way.waves)))
        led += way.waves.detach()
    return led


class _WayDown:
    """Paths (N, 8, 3) on their way down energies, by Adam with a rate that falls evenly."""

    def __init__(self, waves: Tensor, stage: Stage) -> None:
        self.waves = waves.clone().requires_grad_()
        self._optimizer = torch.optim.Adam([self.waves], stage.rate, betas=_BETAS)
        self._fall = stage.rate / (stage.steps + 1)

    def go(self, energies: Tensor) -> None:
        """One step, by the energies (N,) of where the paths are."""
        self._optimizer.zero_grad()
        energies.sum().backward()
        self._optimizer.step()
        self._optimizer.param_groups[0]["lr"] -= self._fall


def _descend(critic: Critic, look: Look, waves: Tensor, stage: Stage, watch: Watch | None) -> list[Trial]:
    """The best path on each way down."""
    way = _WayDown(waves, stage)
    best = [Trial(float("inf"), path) for path in waves]
    with torch.enable_grad():
        for step in range(stage.steps + 1):
            last = step == stage.steps
            judged = look.judge(way.waves.detach() if last else way.waves)
            energies = critic(judged)
            if watch is not None:
                watch(judged, True)
            here = map(Trial, energies.tolist(), way.waves.detach().clone())
            best = [min(pair, key=lambda trial: trial.energy) for pair in zip(best, here, strict=True)]
            if not last:
                way.go(energies)
    return best


def _at_once(look: Look) -> int:
    """Paths that are tried together."""
    return max(1, _AT_ONCE // look.windows)
