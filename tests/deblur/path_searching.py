"""What the tests of the path search share: a shaken photograph, random paths, critics of one mind, a brief search."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from skimage import data as photographs

from deblur.blur import BlurSpec, Motion, synthesize_with_motion
from deblur.path_search.critic import Critic
from deblur.path_search.descent import Stage
from deblur.path_search.evidence import NAMES, Judged
from deblur.path_search.search import Effort
from deblur.path_search.trial_path import AXES, WAVES
from deblur.pictures import scale_down

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CPU = torch.device("cpu")
BRIEF = Effort(2, (Stage(2, 1, 0.2),), (), ())


class Shaken(NamedTuple):
    """A photograph, sharp and blurred, and the camera's path."""

    sharp: NDArray[np.uint8]
    blurred: NDArray[np.uint8]
    motion: Motion


def shake(side: int) -> Shaken:
    sharp = scale_down(photographs.astronaut()[:400], side)
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("shake", 28), 3, "astronaut")
    return Shaken(sharp, blurred, motion)


def waves(seed: int, count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    slow = torch.arange(1, WAVES + 1).view(-1, 1) ** 1.5
    return 4 * torch.randn(count, WAVES, AXES, generator=generator) / slow


class Sulks(Critic):
    """Finds fault with every path, and none with what the network restores by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, judged: Judged) -> torch.Tensor:
        self.calls += 1
        return judged.evidence[..., NAMES.index("path's width")].mean(1)


class Agrees(Sulks):
    """Likes every path, the longer the better."""

    def forward(self, judged: Judged) -> torch.Tensor:
        return -super().forward(judged)
