"""What a network costs: parameters, and multiply-accumulates as torch counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from deblur.networks.variants import build_without_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from deblur.networks.variants import NetworkConfig


def count_macs(run: Callable[[], object]) -> int:
    """Multiply-accumulates of one call: half of what torch's counter calls floating-point operations.

    Convolutions and matrix products are counted; pooling, activations and additions are not.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def cost_of(config: NetworkConfig, width: int, height: int) -> tuple[int, int]:
    """Parameters of a network, and its multiply-accumulates to restore one picture; nothing is computed."""
    network = build_without_memory(config).eval()
    picture = torch.empty(1, 3, height, width, device="meta")
    return sum(each.numel() for each in network.parameters()), count_macs(lambda: network(picture, finest_only=True))
