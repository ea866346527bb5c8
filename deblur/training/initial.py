"""The weights that training begins with, made to fit: a guide more, another light, fewer channels or blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from deblur.errors import DeblurError
from deblur.networks.guided import GuidedNetwork
from deblur.networks.kernel_estimator import KernelEstimator
from deblur.networks.mstsgm import MSTSGM
from deblur.released import load_released

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


def load_initial(network: nn.Module, name_or_file: str) -> None:
    """Start a network from released weights.

    A guided one may start from those of the network without a guide, an MSTSGM from one that has more residual blocks,
    or more channels in the coarsest scale, and an estimator that looks at two lights from one that looks at one. An
    estimator of other sizes than the weights' is left as it is: it comes from somewhere else.

    Raises:
        DeblurError: there are none of that name, or ``--set`` has changed more of the network.
    """
    initial = load_released(name_or_file)[0]
    try:
        if isinstance(network, GuidedNetwork):
            inner, given = network.network, initial
            if isinstance(initial, GuidedNetwork):
                given = initial.network
                weights = given.state_dict()
                if network.config.estimator == initial.config.estimator:
                    network.guide.load_state_dict(initial.guide.state_dict())
            else:
                weights = grown(given.state_dict(), inner.state_dict())
            inner.load_state_dict(_narrowed(weights, inner, given))
        elif isinstance(network, KernelEstimator) and isinstance(initial, KernelEstimator):
            times = max(1, network.config.lights // initial.config.lights)
            network.load_state_dict(of_lights(initial.state_dict(), times))
        else:
            network.load_state_dict(_narrowed(initial.state_dict(), network, initial))
    except RuntimeError as error:
        reason = _of_the_guide(network, initial) or " ".join(str(error).split())[:300]
        raise DeblurError(f"--init {name_or_file} does not fit the network that --set makes: {reason}") from error


def _of_the_guide(network: nn.Module, initial: nn.Module) -> str:
    """Why a guide cannot be put before weights or taken from them, and what to do; empty where it is something else."""
    if isinstance(initial, GuidedNetwork) and not isinstance(network, GuidedNetwork):
        return "it has learnt with a guide, and guide=false leaves none; leave guide=false out, or --init"
    if isinstance(initial, GuidedNetwork) or not isinstance(network, GuidedNetwork):
        return ""
    if isinstance(network.network, MSTSGM) and network.network.config.msfd:
        return ""
    return "only the weights of an MSTSGM with MSFD take a guide afterwards; leave guide=true out, or --init"


def grown(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an MSTSGM made into those of the same network with a guide, which it does not heed yet.

    What reads the guide begins at 0, and the shares of the corrections at e^-3 of the picture's.
    """
    result = {}
    for name, fresh in wanted.items():
        old = weights.get(name)
        if ".guided." in name and old is None:
            result[name] = torch.zeros_like(fresh)
        elif name.startswith("heads.") and old is not None and len(old) < len(fresh):
            shares = torch.full_like(fresh[len(old) :], -3.0) if name.endswith("bias") else fresh[len(old) :]
            result[name] = torch.cat([old, shares])
        elif old is not None:
            result[name] = old
    return result


def of_lights(weights: Mapping[str, Tensor], times: int) -> dict[str, Tensor]:
    """Weights of an estimator made into those of one that looks at ``times`` as many lights.

    What read a light's maps reads the mean of the lights' maps: they look much alike.
    """
    first = "enter.1.0.weight"
    region_and_whole = weights[first].unflatten(1, (2, 1, -1)) / times
    return {**weights, first: region_and_whole.expand(-1, -1, times, -1, -1, -1).flatten(1, 3)}


def _narrowed(weights: Mapping[str, Tensor], network: nn.Module, given: nn.Module) -> Mapping[str, Tensor]:
    """The first of the blocks and of the coarsest scale's channels, where the network only has fewer of them.

    The finer scales' features lie side by side in what decodes them; the first channels would not be theirs.
    """
    if not (isinstance(network, MSTSGM) and isinstance(given, MSTSGM)):
        return weights
    has, had = network.config, given.config
    may_differ = ("widths", "encoder_blocks", "decoder_blocks", "guide_channels", "corrections")
    same = replace(had, **{name: getattr(has, name) for name in may_differ})
    sizes = [(*config.widths, *config.encoder_blocks, *config.decoder_blocks) for config in (has, had)]
    if has != same or has.widths[:2] != had.widths[:2] or any(new > old for new, old in zip(*sizes, strict=True)):
        return weights
    fresh = network.state_dict()
    return {name: old[tuple(map(slice, fresh[name].shape))] for name, old in weights.items() if name in fresh}
