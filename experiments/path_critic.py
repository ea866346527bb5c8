"""Learn to tell from a restored picture whether it was restored along the right path, for `deblur.path_search`.

    python -m experiments.path_critic --sharp photos/ --samples runs/path_critic --workers 2

Sharp pictures are blurred along known paths and restored along wrong ones, at first beside the true path, then wherever
a search by the critic of the round before ends up, so that the critic learns what it was wrong about. It learns the
restorations' errors, those of one picture beside each other, the best ones weighing most. What was tried stays in
--samples: the same command goes on where it was stopped. It writes the critic there, or where --output says, and its
record beside it as .json; --output deblur/path_search/critic.safetensors (or critic-of-NAME.safetensors) releases it.

With --judges NAME it learns to judge the restorations of a guided network along paths such as a search may end with:
that critic leads the last steps of a search and has the last word where this network restores. In the first round it
sees paths beside the true one and such that explain a restoration, in the others what a search finds with the judge of
the round before.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from deblur.cli import Collect, not_empty, parse_args, positive_int, run
from deblur.errors import DeblurError
from deblur.naming import SUFFIX
from experiments.path_learning.sample_options import add_sample_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deblur.path_search.critic import Critic
    from experiments.path_learning.critic_samples import Samples

_KINDS = ("shake", "shake", "shake", "shake", "curved", "shake", "straight")
_SHORTEST, _LONGEST = 3.0, 32.0  # pixels of a picture of 640
_LEAST_FIRST = 12  # samples of the first round: some to learn from beside the one set aside
_SET_ASIDE = 11  # one picture in so many is not learnt from


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.path_critic", description=(__doc__ or "").partition("\n")[0]
    )
    add_sample_options(
        parser,
        "2 MB",
        12,
        "the file to write (default: critic.safetensors or critic-of-NAME.safetensors in --samples); searches take the "
        "one of that name in deblur/path_search",
    )
    parser.add_argument(
        "--judges",
        type=not_empty,  # of nothing the search's critic would be made anew, for hours
        metavar="NAME",
        help="a released guided network: learn to lead the last steps and to have the last word "
        "(default: learn to lead the search, by the default network's restorations)",
    )
    parser.add_argument(
        "--rounds",
        nargs="+",
        action=Collect,
        type=positive_int,
        default=[160, 120, 120],
        metavar="N",
        help="samples in each round: the first tries paths near the true one, the others search (default: 160 120 120)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Learn and write a critic; returns the exit code."""
    options = parse_args(build_parser(), argv)
    return run(lambda: _learn(options))


def _learn(options: argparse.Namespace) -> int:
    """Do what the options say: check, learn round by round, write what was learnt."""
    from deblur.networks.guided import GuidedNetwork
    from deblur.path_search.critic import RELEASED
    from deblur.path_search.judging import MARGIN, judge_file
    from deblur.path_search.search import PathSearch
    from deblur.released import load_released
    from experiments.path_learning.sample_pool import begin, output_of, pictures_of, write_learnt

    network, card = load_released(options.judges or "default")
    if not isinstance(network, GuidedNetwork):
        raise DeblurError(f"--judges {options.judges}: {card['name']} has no guide that could be told a path")
    released = judge_file(card["name"]) if options.judges else RELEASED
    output = output_of(options, released.name, "a critic is")
    files = pictures_of(options.sharp)
    _check_enough(options, files)
    facts = {"looks": options.looks, "network": card["sha256"]}
    margin = {"margin": MARGIN} if options.judges else {}
    if options.judges:  # samples come from searches by the default network, which its own critic leads
        search = PathSearch.load().describe()
        facts |= margin | {
            "judges": card["name"],
            "default_network": search["network"],
            "default_critic": search["critic"],
        }
    environment = begin(options, output, files, facts)
    critic, rounds = _learn_rounds(options, files)
    record = write_learnt(output, critic, card, margin | {"rounds": rounds}, environment)
    print(json.dumps({"file": str(output)} | record, allow_nan=False) if options.json else output)
    return 0


def _check_enough(options: argparse.Namespace, files: Sequence[Path]) -> None:
    """Refuse what nothing can be learnt from: too few pictures or samples, or a picture that cannot be searched."""
    from deblur.path_search.evidence import WINDOW
    from deblur.path_search.search import LEAST_SIDE
    from deblur.pictures import picture_size, scaled_size

    if len(files) < 2:
        raise DeblurError(f"--sharp has {len(files)} picture(s): at least one is learnt from and one set aside")
    for file in files:
        if min(scaled_size(*picture_size(file), WINDOW)) < LEAST_SIDE:
            raise DeblurError(f"{file} is too small or too narrow to be searched: leave it out of --sharp")
    if options.rounds[0] < _LEAST_FIRST:
        raise DeblurError(f"--rounds {options.rounds[0]}: the first round needs {_LEAST_FIRST} samples or more")


def _learn_rounds(options: argparse.Namespace, files: Sequence[Path]) -> tuple[Critic, list[dict[str, Any]]]:
    """The critic of the last round, and of every round how many samples it had and what its critic gains."""
    from experiments.path_learning.critic_training import gains

    learnt: list[Samples] = []
    unseen: list[Samples] = []
    critic: Critic | None = None
    rounds = []
    first, led_by = 0, ""
    for number, count in enumerate(options.rounds, 1):
        for place, samples in _round(options, files, range(first, first + count), critic, led_by):
            aside = place % len(files) % _SET_ASIDE == 0
            (unseen if aside else learnt).append(samples)
        first += count
        led_by = f"critic-{'-'.join(map(str, options.rounds[:number]))}"
        critic = _kept_critic(options, led_by, learnt, critic)
        scores = gains(critic, unseen)
        rounds.append({"samples": count, "set_aside": len(unseen)} | scores)
        print(
            f"round {number}: of {len(unseen)} samples of pictures set aside the restoration that is chosen gains "
            f"{scores['chosen_db']:.2f} dB, the best {scores['best_db']:.2f} dB, the true path's "
            f"{scores['true_db']:.2f} dB, the network's own {scores['itself_db']:.2f} dB",
            file=sys.stderr,
        )
    assert critic is not None
    return critic, rounds


def _kept_critic(options: argparse.Namespace, name: str, learnt: Sequence[Samples], before: Critic | None) -> Critic:
    """The critic of a round: the one that is kept in --samples by this name, or else one that learns and is kept."""
    import safetensors.torch

    from deblur.path_search.critic import Critic
    from deblur.runs import write_atomically
    from experiments.path_learning.critic_training import train_critic

    kept = options.samples / f"{name}{SUFFIX}"
    if kept.is_file():
        return Critic.load(kept)
    if options.judges and before is None:
        before = Critic.load()
    critic = train_critic(learnt, options.looks, options.seed, before)
    write_atomically(kept, safetensors.torch.save(critic.state_dict()))
    return critic


def _round(
    options: argparse.Namespace, files: Sequence[Path], places: range, critic: Critic | None, led_by: str
) -> Iterator[tuple[int, Samples]]:
    """The samples of a round with their numbers: those that are kept, and the others made and kept."""
    from experiments.path_learning.critic_samples import COPIES, Samples, keep_judged_sample, keep_sample
    from experiments.path_learning.sample_pool import make_all

    led = f"-led-by-{led_by}" if led_by else ""  # other rounds before make others of the same number
    kept = {place: options.samples / f"sample-{place}{led}.npz" for place in places}
    tasks: list[tuple[Any, ...]] = []
    for place, file in kept.items():
        if not file.is_file():
            generator = np.random.default_rng([options.seed, place])
            blur = f"{_KINDS[place % len(_KINDS)]}:{generator.uniform(_SHORTEST, _LONGEST):.3g}"
            picture, seed = files[place % len(files)], int(generator.integers(2**31))
            tasks.append((file, picture, blur, seed, options.judges or COPIES[place % len(COPIES)], critic))
    make_all(keep_judged_sample if options.judges else keep_sample, tasks, options.workers)
    for place, file in kept.items():
        yield place, Samples.load(file)


if __name__ == "__main__":
    sys.exit(main())
