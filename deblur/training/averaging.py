"""The weights that are released: an exponential moving average of those that are trained."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class AveragedWeights(nn.Module):
    """A copy of a network whose parameters and buffers follow the network's.

    The state has the keys of ``torch.optim.swa_utils.AveragedModel``. That class copies its count to the device and
    back at every update, which on a GPU waits for the step; this one does not wait.

    Attributes:
        module: the averaged network.
        decay: share of the average that a step keeps; at first less, so that the random start is left behind.
    """

    n_averaged: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(network)
        self.decay = decay
        self.register_buffer("n_averaged", torch.tensor(0))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards ``network``; the first time it becomes equal to it."""
        count = int(self.n_averaged)
        kept = min(self.decay, (1 + count) / (10 + count)) if count else 0.0
        averages, values = [], []
        for average, value in zip(_tensors(self.module), _tensors(network), strict=True):
            if average.is_floating_point():
                averages.append(average)
                values.append(value.detach())
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, values, 1 - kept)
        self.n_averaged += 1


def _tensors(network: nn.Module) -> itertools.chain[Tensor]:
    return itertools.chain(network.parameters(), network.buffers())
