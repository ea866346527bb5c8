"""How trust in paths is learnt from samples, and what it is worth on pictures that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from deblur.path_search.trust import TrustNetwork
from experiments.path_learning.trust_samples import TELLINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from experiments.path_learning.trust_samples import TrustSample

_BATCH = 16
_RATE, _DECAY = 0.0015, 0.02  # of AdamW
_UNSURE = 0.002  # weight of squared logits: who is sure all over learns no more
_LEAST_STEPS = 20  # that a schedule is made for
_LEAST_SCALE = 1e-3
_MEASURED = 400  # samples that mean and spread are taken of, at most
_LEAST = 1e-7  # of a picture's mean square error
_DECIBELS = 10 / np.log(10)


def train_trust(learnt: Sequence[TrustSample], looks: int, seed: int) -> TrustNetwork:
    """A network that mixes the restorations of these pictures best.

    Args:
        learnt: samples.
        looks: how many times it looks at each.
        seed: of weights and order.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TrustNetwork()
        _measure(network, learnt)
        order = torch.cat([torch.randperm(len(learnt)) for _ in range(looks)]).split(_BATCH)
        optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, _RATE, total_steps=max(len(order) + 1, _LEAST_STEPS), pct_start=0.1
        )
        network = network.to(memory_format=torch.channels_last)
        network.train()
        for places in tqdm(order, desc="learning", unit="step", mininterval=10):
            some = [learnt[int(place)] for place in places]
            seen, squared = (
                torch.from_numpy(np.stack([getattr(each, name) for each in some])) for name in ("seen", "squared")
            )
            mirrored = [axis for axis in (-1, -2) if torch.rand(()) < 0.5]
            seen = seen.float().flip(mirrored).contiguous(memory_format=torch.channels_last)
            logits = network(seen)
            error = _error(squared.flip(mirrored), logits.sigmoid())
            loss = error.log().mean() + _UNSURE * logits.square().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network.to(memory_format=torch.contiguous_format).eval()  # as files hold it


@torch.no_grad()
def gains(network: TrustNetwork, unseen: Sequence[TrustSample]) -> dict[str, dict[str, float]]:
    """By what is told, how much nearer to the sharp picture than the network's own restoration: means in dB.

    ``mixed_db`` as the network says, ``told_db`` along the path everywhere, ``best_db`` mixed by one who knows.
    """
    rows: dict[str, list[tuple[float, ...]]] = {}
    for sample in unseen:
        squared = torch.from_numpy(sample.squared)[None]
        best = (-squared[:, 1:2] / squared[:, 2:3].clamp_min(_LEAST)).clamp(0, 1)
        shares = network(torch.from_numpy(sample.seen)[None].float()).sigmoid(), torch.ones_like(best), best
        itself = _error(squared, torch.zeros_like(best))
        rows.setdefault(TELLINGS[sample.telling], []).append(
            tuple(float((itself / _error(squared, share)).log() * _DECIBELS) for share in shares)
        )
    names = ("mixed_db", "told_db", "best_db")
    return {
        telling: {"n": len(rows[telling])}
        | {name: round(float(value), 4) for name, value in zip(names, np.mean(rows[telling], 0), strict=True)}
        for telling in TELLINGS
        if telling in rows
    }


def _measure(network: TrustNetwork, learnt: Sequence[TrustSample]) -> None:
    """Take mean and spread of what it will see."""
    some = np.concatenate([sample.seen[:, ::4, ::4].reshape(len(sample.seen), -1) for sample in learnt[:_MEASURED]], 1)
    seen = torch.from_numpy(some).float()
    network.center.copy_(seen.mean(1))
    network.scale.copy_(seen.std(1) + _LEAST_SCALE)


def _error(squared: Tensor, shares: Tensor) -> Tensor:
    """(B,) mean square errors of mixtures, of (B, 3, h, w) ``TrustSample.squared`` and shares (B, 1, h, w)."""
    wrong, product, change = squared.split(1, 1)
    return (wrong + 2 * shares * product + shares.square() * change).mean((1, 2, 3)).clamp_min(_LEAST)
