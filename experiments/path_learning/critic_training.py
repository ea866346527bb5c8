"""How a path's critic learns from samples, and how well it chooses on pictures that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from deblur.path_search.critic import Critic, ErrorMap, Weigher
from deblur.path_search.evidence import Judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from experiments.path_learning.critic_samples import Samples

_STEPS, _RATE, _DECAY = 1500, 0.003, 0.03  # of AdamW, for each member that weighs numbers
_WEIGHED = 48  # windows in a step of a member
_WEIGHED_CHOICE = 0.1  # weight of the choice there
_NEVER = 1e3  # what speaks against a trial that was not made
_LOOKING_RATE, _LOOKING_DECAY = 0.004, 0.02  # of AdamW, for the network that sees
_TRIALS = 20  # of a window, in a step of that network
_WINDOWS = 4  # in such a step
_LEAST_STEPS = 20  # that a schedule is made for
_CHOICE, _LEVEL = 0.5, 0.3  # weights of the choice, and of what the maps of a window are wrong by together
_SHARP_CHOICE = 0.15  # errors that differ by so much are told apart
_LEAST_SCALE = 1e-3
_FAR, _NEAR = 0.15, 0.25  # weight of the worst restorations beside the best; how fast weight falls with the error
_DECIBELS = 20 / np.log(10)


def train_critic(learnt: Sequence[Samples], looks: int, seed: int, before: Critic | None = None) -> Critic:
    """A critic of these pictures' trials.

    Args:
        learnt: samples.
        looks: how many times the network that sees looks at each window.
        seed: of weights and order.
        before: where the network that sees begins.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = Critic()
        if before is not None:
            critic.sees.load_state_dict(before.sees.state_dict())
        else:
            _measure(critic.sees, learnt)
        _learn_to_weigh(critic.weigher, learnt)
        _learn_to_see(critic.sees, learnt, looks, np.random.default_rng(seed))
    return critic.eval()


def gains(critic: Critic, unseen: Sequence[Samples]) -> dict[str, float]:
    """Mean gains in dB over the blurred windows of pictures that the critic has not learnt from.

    Returns:
        Of what it chooses among all that was tried (``chosen_db``) and what its parts would choose (``weighed_db``,
        ``seen_db``), of the best there is (``best_db``), along the true path (``true_db``) and by the network itself
        (``itself_db``).
    """
    found: dict[str, list[float]] = {}
    for part in unseen:
        judged = Judged(torch.from_numpy(part.evidence), _squares(part), torch.empty(0))
        with torch.no_grad():
            energies = {
                "chosen_db": critic.of_windows(judged),
                "weighed_db": critic.weigher(judged.evidence),
                "seen_db": ErrorMap.total(critic.sees(judged.squares.flatten(0, 1))).view(part.errors.shape),
            }
        places = {name: energy.argmin(0).numpy() for name, energy in energies.items()}
        count = part.errors.shape[1]
        places |= {"best_db": part.errors.argmin(0), "true_db": np.ones(count, int), "itself_db": np.zeros(count, int)}
        for name, place in places.items():
            found.setdefault(name, []).extend(part.blurred - part.errors[place, np.arange(count)])
    return {name: round(float(np.mean(values)) * _DECIBELS, 4) for name, values in found.items()}


def _learn_to_weigh(weigher: Weigher, learnt: Sequence[Samples]) -> None:
    """All trials of some windows at each step."""
    windows = [(part, window) for part in learnt for window in range(part.errors.shape[1])]
    longest = max(len(part.errors) for part in learnt)
    evidence = torch.zeros(len(windows), longest, weigher.center.numel())
    errors, weight = (torch.zeros(len(windows), longest) for _ in range(2))
    for place, (part, window) in enumerate(windows):
        count = len(part.errors)
        evidence[place, :count] = torch.from_numpy(part.evidence[:, window])
        errors[place, :count] = torch.from_numpy(part.errors[:, window])
        weight[place, :count] = torch.from_numpy(_weights(part.errors[:, window]))
    tried = weight > 0
    weigher.center.copy_(evidence[tried].mean(0))
    weigher.scale.copy_(evidence[tried].std(0) + _LEAST_SCALE)
    evidence = (evidence - weigher.center) / weigher.scale
    for member in weigher.members:
        optimizer = torch.optim.AdamW(member.parameters(), _RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
        for _ in range(_STEPS):
            some = torch.randint(len(windows), (_WEIGHED,))
            told = member(evidence[some]).squeeze(-1)
            # What all trials of a window have in common is no matter of the path.
            share = weight[some] / weight[some].sum(1, keepdim=True)
            wrong = told - errors[some]
            wrong = wrong - (share * wrong).sum(1, keepdim=True)
            right, choice = (
                (-each / _SHARP_CHOICE).masked_fill(~tried[some], -_NEVER).log_softmax(1)
                for each in (errors[some], told)
            )
            divergence = F.kl_div(choice, right, reduction="batchmean", log_target=True)
            loss = (share * wrong.square()).sum(1).mean() + _WEIGHED_CHOICE * divergence
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():  # so that members and the network that sees mean the same by their numbers
            member.eval()
            last = member.get_submodule("5")
            assert isinstance(last, nn.Linear)
            last.bias.sub_((weight * (member(evidence).squeeze(-1) - errors)).sum() / weight.sum())


def _measure(sees: ErrorMap, learnt: Sequence[Samples]) -> None:
    """Take mean and spread of what it will see from some of the trials."""
    some = torch.cat([_squares(part, slice(0, None, 6)).flatten(0, 1).transpose(0, 1).flatten(1) for part in learnt], 1)
    sees.center.copy_(some.mean(1))
    sees.scale.copy_(some.std(1) + _LEAST_SCALE)


def _learn_to_see(sees: ErrorMap, learnt: Sequence[Samples], looks: int, generator: np.random.Generator) -> None:
    """Some trials of a few windows at each step."""
    windows = [(part, window) for part in learnt for window in range(part.errors.shape[1])]
    order = np.concatenate([generator.permutation(len(windows)) for _ in range(looks)])
    optimizer = torch.optim.AdamW(sees.parameters(), _LOOKING_RATE, weight_decay=_LOOKING_DECAY)
    steps = len(order) // _WINDOWS
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _LOOKING_RATE, total_steps=max(steps + 1, _LEAST_STEPS), pct_start=0.1
    )
    sees.train()
    for step in tqdm(range(steps), desc="learning to see", unit="step", mininterval=10):
        optimizer.zero_grad()
        for place in order[step * _WINDOWS : (step + 1) * _WINDOWS]:
            part, window = windows[place]
            _loss_of(sees, part, window, generator).div(_WINDOWS).backward()
        torch.nn.utils.clip_grad_norm_(sees.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    sees.eval()


def _loss_of(sees: ErrorMap, part: Samples, window: int, generator: np.random.Generator) -> Tensor:
    """How wrong the maps of some trials of a window are, each beside the others', and what they would choose."""
    errors = part.errors[:, window]
    weights = _weights(errors)
    count = min(_TRIALS, len(weights))
    chosen = generator.choice(len(weights), count, replace=False, p=(weights + weights.mean()) / (2 * weights.sum()))
    target = torch.from_numpy(part.maps[chosen, window]).float()
    maps = sees(_squares(part, chosen, window))
    weight = torch.from_numpy(weights[chosen] / weights[chosen].sum()).view(-1, 1, 1)
    wrong = maps - target
    beside = wrong - (weight * wrong).sum(0)
    cells = (weight * (_LEVEL * wrong.square() + beside.square())).sum(0).mean()
    right, choice = (-ErrorMap.total(each) / _SHARP_CHOICE for each in (target, maps))
    divergence = F.kl_div(choice.log_softmax(0), right.log_softmax(0), reduction="sum", log_target=True)
    return cells + _CHOICE * divergence


def _squares(
    part: Samples, trials: NDArray[np.int64] | slice = slice(None), window: int | slice = slice(None)
) -> Tensor:
    """The squares of trials as a critic takes them: beside those of the network itself, which come first."""
    here, own = (torch.from_numpy(part.squares[each, window]).float() for each in (trials, slice(1)))
    return torch.cat([here, here - own], -3)


def _weights(errors: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each trial (N, ...) of a window weighs."""
    weights: NDArray[np.float32] = (_FAR + np.exp((errors.min(0) - errors) / _NEAR)).astype(np.float32)
    return weights
