"""Blend two trainings of one network: weights that lie between theirs.

    python -m experiments.blend runs/train/large/weights/last.safetensors runs/train/taught/weights/last.safetensors \
        --share 0.5 --output runs/blend/large.safetensors

The second is meant to have begun with the first and to have gone a little way, such as with a detector in its loss.
What it learnt and what it forgot lie on the way between them, and in the middle most of both is kept (Wortsman et al.,
"Robust fine-tuning of zero-shot models", CVPR 2022). Look at its scores before it is released: two trainings that began
apart have nothing between them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import parse_args, run, unit_interval
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Sequence


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(prog="python -m experiments.blend", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "first", metavar="NAME|FILE", help="released weights, or a .safetensors file that training wrote"
    )
    parser.add_argument("second", metavar="NAME|FILE", help="the same network, trained on from there")
    parser.add_argument("--share", type=unit_interval, default=0.5, help="of the second, from 0 to 1 (default: 0.5)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .safetensors file to write")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the blended weights and their card; returns the exit code."""
    options = parse_args(build_parser(), argv)

    def body() -> int:
        import torch

        from deblur.networks import config_from_dict
        from deblur.released import SUFFIX, load_released, save_released
        from deblur.runs import make_room
        from experiments.release import training_facts

        output: Path = options.output
        if output.suffix != SUFFIX:
            raise DeblurError(f"--output {output}: weights are written as {SUFFIX} files")
        if output.exists():
            raise DeblurError(f"{output} is there already: give another --output, or remove it first")
        make_room(output)
        (network, card), (other, second) = map(load_released, (options.first, options.second))
        if card["network"] != second["network"]:
            raise DeblurError(f"{options.first} and {options.second} are not of one network: their sizes differ")
        wanted = other.state_dict()
        with torch.no_grad():
            for name, value in network.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(wanted[name], options.share)
                else:
                    value.copy_(wanted[name])
        of_first = training_facts(card, options.first) | {"sha256": card["sha256"]}
        blended = training_facts(second, options.second)
        of_second = {"of": blended["blend"]} if "blend" in blended else {}  # where the second was blended itself
        blend = {"share": options.share, "with": of_first, "of_sha256": second["sha256"]} | of_second
        blended |= {"blend": blend, "scores": {"validation": {}}}
        print(save_released(output.parent, output.stem, network, config_from_dict(card["network"]), blended))
        return 0

    return run(body)


if __name__ == "__main__":
    sys.exit(main())
