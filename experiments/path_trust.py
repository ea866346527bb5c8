"""Learn where to trust a camera's path that a guided network is told, for `deblur.path_search.trust`.

    python -m experiments.path_trust --network mstsgm-guided --sharp photos/ --samples runs/path_trust --workers 2

Sharp pictures are blurred and restored twice, along a path that is told and without one. The path is that of a sensor,
of a bad sensor, of another moment, or of one of two distances, of which the other moves more or less. What is learnt is
how much of each restoration to take, square by square, so that the mixture is as near to the sharp picture as can be.
Samples stay in --samples: the same command goes on where it was stopped. It writes the weights there, or where --output
says, and their record beside them as .json; --output deblur/path_search/trust-in-NAME.safetensors releases them.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from deblur.cli import parse_args, positive_int, run
from deblur.errors import DeblurError
from experiments.path_learning.sample_options import add_sample_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from experiments.path_learning.trust_samples import TrustSample

_SET_ASIDE = 9  # one picture in so many is not learnt from


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.path_trust", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--network", metavar="NAME", default="default", help="a released guided network (default: %(default)s)"
    )
    add_sample_options(
        parser,
        "0.6 MB",
        24,
        "the file to write (default: trust-in-NAME.safetensors in --samples); restoring takes the one of that name in "
        "deblur/path_search",
    )
    parser.add_argument("--count", type=positive_int, default=900, metavar="N", help="of samples (default: 900)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Learn and write weights; returns the exit code."""
    options = parse_args(build_parser(), argv)

    def body() -> int:
        from deblur.networks.guided import GuidedNetwork
        from deblur.path_search.trust import trust_file
        from deblur.released import load_released
        from experiments.path_learning.sample_pool import begin, output_of, pictures_of, write_learnt
        from experiments.path_learning.trust_training import gains, train_trust

        network, card = load_released(options.network)
        if not isinstance(network, GuidedNetwork):
            raise DeblurError(f"--network {options.network}: {card['name']} has no guide that could be told a path")
        output = output_of(options, trust_file(card["name"]).name, "weights are")
        files = pictures_of(options.sharp)
        if min(len(files), options.count) <= _SET_ASIDE:
            raise DeblurError(f"--sharp and --count: more than {_SET_ASIDE} pictures and samples are needed")
        corrected = {} if card.get("consistent", True) else {"consistent": False}
        environment = begin(options, output, files, {"network": card["sha256"]} | corrected)
        samples = _samples(options, files)
        unseen = [place for place in range(len(samples)) if place % len(files) % _SET_ASIDE == 0]
        learnt = sorted(set(range(len(samples))) - set(unseen))
        trust = train_trust([samples[place] for place in learnt], options.looks, options.seed)
        scores = gains(trust, [samples[place] for place in unseen])
        facts = {"samples": len(samples), "looks": options.looks, "set_aside": scores}
        record = write_learnt(output, trust, card, facts, environment)
        if options.json:
            print(json.dumps({"file": str(output)} | record, allow_nan=False))
        else:
            for telling, score in scores.items():
                print(
                    f"{telling}: over the restoration by itself {score['mixed_db']:+.2f} dB mixed, "
                    f"{score['told_db']:+.2f} dB told, {score['best_db']:+.2f} dB at best ({score['n']} set aside)"
                )
            print(output)
        return 0

    return run(body)


def _samples(options: argparse.Namespace, files: Sequence[Path]) -> list[TrustSample]:
    """All samples: those that are kept, and the others made and kept."""
    import numpy as np

    from experiments.path_learning.sample_pool import make_all
    from experiments.path_learning.trust_samples import TrustSample, keep_trust_sample

    kept = [options.samples / f"sample-{place}.npz" for place in range(options.count)]
    tasks = []
    for place, file in enumerate(kept):
        if not file.is_file():
            seed = int(np.random.default_rng([options.seed, place]).integers(2**31))
            tasks.append((file, files[place % len(files)], seed, options.network))
    make_all(keep_trust_sample, tasks, options.workers)
    return [TrustSample.load(file) for file in kept]


if __name__ == "__main__":
    sys.exit(main())
