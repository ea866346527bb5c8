"""Learn to tell from a restored picture whether it was restored along the right path, for `deblur.path_search`.

    python -m experiments.path_critic --sharp photos/ --workers 2

Sharp pictures are blurred along known paths and restored along wrong ones, at first beside the true path, then wherever
a search by the critic of the round before ends up, so that the critic learns what it was wrong about. It learns the
restorations' errors up to what all of one picture have in common, the best ones weighing most. It writes the critic to
deblur/path_search/critic.safetensors, or where --output says, and its record beside it as .json.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from deblur.cli import Collect, add_config_option, add_seed_option, parse_args, positive_int, run
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deblur.path_search.critic import Critic
    from experiments.critic_samples import Samples

_KINDS = ("shake", "shake", "shake", "curved", "straight")
_SHORTEST, _LONGEST = 3.0, 32.0  # pixels of a picture of 640
_STEPS, _RATE, _DECAY = 500, 0.004, 0.03  # of AdamW, for each member of a critic
_LEAST_SCALE = 1e-6
_FAR, _NEAR = 0.15, 0.25  # weight of the worst restorations beside the best; how fast weight falls with the error
_FOLDS = 6
_DECIBELS = 20 / np.log(10)


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.path_critic", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--sharp", nargs="+", action=Collect, type=Path, required=True, metavar="DIR", help="folders of sharp pictures"
    )
    parser.add_argument(
        "--pictures",
        nargs="+",
        action=Collect,
        type=positive_int,
        default=[80, 40, 40],
        metavar="N",
        help="pictures of each round: the first looks about the true paths, the others search (default: 80 40 40)",
    )
    parser.add_argument("--workers", type=positive_int, default=1, help="processes of one thread (default: 1)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the file to write (default: deblur/path_search/critic.safetensors)"
    )
    add_seed_option(parser)
    add_config_option(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Learn and write a critic; returns the exit code."""
    options = parse_args(build_parser(), argv)

    def body() -> int:
        import safetensors.torch

        from deblur.path_search.critic import RELEASED
        from deblur.pictures import list_pictures
        from deblur.released import SUFFIX, load_released
        from deblur.runs import describe_environment, write_atomically, write_json
        from experiments.critic_samples import sample

        output: Path = options.output or RELEASED
        if output.suffix != SUFFIX:
            raise DeblurError(f"--output {output}: a critic is written as a {SUFFIX} file")
        files = [file for folder in options.sharp for file in list_pictures(folder)]
        generator = np.random.default_rng(options.seed)
        wanted = sum(options.pictures)
        if wanted > len(files):
            raise DeblurError(f"--pictures asks for {wanted} pictures, and --sharp has {len(files)}: give more folders")
        generator.shuffle(files)
        environment = describe_environment("cpu", options.seed)
        _, card = load_released("default")
        critic: Critic | None = None
        learnt: list[Samples] = []
        rounds = []
        remaining = iter(files)
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
            for number, count in enumerate(options.pictures):
                tasks = []
                for place in range(count):
                    blur = f"{_KINDS[place % len(_KINDS)]}:{_drawn_length(generator):.3g}"
                    seed = int(generator.integers(2**31))
                    tasks.append(pool.submit(sample, next(remaining), blur, seed, critic))
                learnt += [task.result() for task in tqdm(tasks, desc=f"round {number + 1}", unit="picture")]
                critic, scores = fit(learnt, options.seed)
                rounds.append({"pictures": count} | scores)
                print(
                    f"round {number + 1}: of {len(learnt)} pictures the restoration that is chosen gains "
                    f"{scores['chosen_db']:.2f} dB, the best {scores['best_db']:.2f} dB, the true path's "
                    f"{scores['true_db']:.2f} dB",
                    flush=True,
                )
        assert critic is not None
        content = safetensors.torch.save(critic.state_dict())
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, content)
        record = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "network": {"name": card["name"], "sha256": card["sha256"]},
            "rounds": rounds,
            "environment": environment,
        }
        write_json(output.with_suffix(".json"), record)
        print(output)
        return 0

    return run(body)


def fit(learnt: Sequence[Samples], seed: int) -> tuple[Critic, dict[str, float]]:
    """Train a critic, and see how well critics that have not seen a picture choose among what was tried on it.

    Returns:
        The critic, and mean gains over the blurred pictures in dB: of what such critics chose (``chosen_db``), of the
        best that was tried (``best_db``), of the true path (``true_db``).
    """
    import torch

    chosen: list[float] = []
    folds = min(_FOLDS, len(learnt))
    for fold in range(folds):
        judge = train_critic([part for place, part in enumerate(learnt) if place % folds != fold] or learnt, seed)
        with torch.no_grad():
            chosen += [
                part.blurred - part.errors[int(judge(torch.from_numpy(part.evidence).float()).argmin())]
                for part in learnt[fold::folds]
            ]
    gains = {
        "chosen_db": chosen,
        "best_db": [part.blurred - part.errors.min() for part in learnt],
        "true_db": [part.blurred - part.errors[0] for part in learnt],
    }
    return train_critic(learnt, seed), {
        name: round(float(np.mean(values)) * _DECIBELS, 4) for name, values in gains.items()
    }


def train_critic(learnt: Sequence[Samples], seed: int) -> Critic:
    """A critic that has seen these pictures' trials, all of them at each step."""
    import torch

    from deblur.path_search.critic import Critic

    evidence, errors, weight = (
        torch.from_numpy(np.concatenate(parts)).float()
        for parts in (
            [part.evidence for part in learnt],
            [part.errors for part in learnt],
            [_weights(part) for part in learnt],
        )
    )
    counts = torch.tensor([len(part.errors) for part in learnt])
    picture = torch.arange(len(learnt)).repeat_interleave(counts)
    total = torch.zeros(len(learnt)).index_add(0, picture, weight)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = Critic()
        critic.center.copy_(evidence.mean(0))
        critic.scale.copy_(evidence.std(0) + _LEAST_SCALE)
        seen = (evidence - critic.center) / critic.scale
        for member in critic.members:
            optimizer = torch.optim.AdamW(member.parameters(), _RATE, weight_decay=_DECAY)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
            for _ in range(_STEPS):
                wrong = member(seen).squeeze(-1) - errors
                # What all trials of a picture have in common is no matter of the path.
                common = torch.zeros(len(learnt)).index_add(0, picture, weight * wrong) / total
                loss = (weight * (wrong - common[picture]).square()).sum() / weight.sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return critic.eval()


def _weights(samples: Samples) -> NDArray[np.float64]:
    """What each trial of a picture weighs."""
    weight = _FAR + np.exp((samples.errors.min() - samples.errors) / _NEAR)
    return weight / np.sqrt(len(weight))


def _drawn_length(generator: np.random.Generator) -> float:
    """Pixels, as many short as long blurs on a logarithmic scale."""
    return float(np.exp(generator.uniform(np.log(_SHORTEST), np.log(_LONGEST))))


if __name__ == "__main__":
    sys.exit(main())
