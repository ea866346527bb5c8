"""Where a search begins: random paths that the estimator does not speak against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deblur.path_search.evidence import width_of
from deblur.path_search.trial_path import WAVES

if TYPE_CHECKING:
    from deblur.path_search.evidence import Look

_SETTLING = 50  # steps to bring a start into agreement with the estimator
_SETTLING_RATE = 0.15
_ROUGHNESS = 0.01  # price of fast cosines


def random_starts(look: Look, count: int, seed: int = 0) -> Tensor:
    """(2 count, 8, 3) random paths made to agree with the estimator, each followed by its half turn."""
    generator = torch.Generator().manual_seed(seed)
    device = look.estimate.kernels.mean.device
    # An estimate that is not sure is wider than the path.
    wide = look.spread * (0.4 + 0.7 * torch.rand(count, generator=generator, dtype=torch.float32)).to(device)
    speed = torch.arange(1, WAVES + 1, device=device).unsqueeze(1)
    smooth = 1 + torch.rand(count, 1, 1, generator=generator, dtype=torch.float32).to(device)
    waves = torch.randn(count, WAVES, 3, generator=generator, dtype=torch.float32).to(device) / speed**smooth
    waves[..., 2] *= 0.3
    waves *= (wide / width_of(waves, look.frame, look.estimate)).view(-1, 1, 1)
    waves.requires_grad_()
    optimizer = torch.optim.Adam([waves], _SETTLING_RATE)
    with torch.enable_grad():
        for _ in range(_SETTLING):
            width = width_of(waves, look.frame, look.estimate)
            rough = (waves * speed).square().sum((1, 2)) / width.detach().square()
            likelihood, _ = look.likelihood(waves)
            cost = (2 * (width / wide).log().square() + _ROUGHNESS * rough - likelihood).sum()
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()
    found = waves.detach()
    return torch.stack([found, -found], 1).flatten(0, 1)
