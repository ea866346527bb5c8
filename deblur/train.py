"""Train a deblurring network: ``python -m deblur.train --config FILE [overrides]``.

    python -m deblur.train --config experiments/configs/nano.yaml --sharp photographs --max-minutes 60 --name first
    python -m deblur.train --config experiments/configs/paper.yaml --pairs data/gopro/train --val-pairs data/gopro/val
    accelerate launch --num_processes 4 -m deblur.train --config experiments/configs/modern.yaml --sharp photographs \
        --steps 100000
    python -m deblur.train --resume runs/train/first

The run's folder is ``runs/train/NAME``: config.yaml, env.json, results.csv, metrics.json, samples/, and in weights/ the
training state (state.pt) and the released weights (best and last, safetensors with a JSON card), which
``deblur.Deblurrer`` loads.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deblur.cli import (
    EXIT_DONE,
    Collect,
    above_zero,
    add_config_option,
    add_device_option,
    add_seed_option,
    below_one,
    each_line,
    folder_name,
    given_options,
    given_path,
    not_empty,
    not_negative,
    option_list,
    parse_into,
    positive_int,
    run,
    thread_count,
    typed_value,
    unit_interval,
    whole_number,
    words_of,
)
from deblur.errors import DeblurError
from deblur.training.options import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_Options = TypeVar("_Options", bound=TrainingOptions)

DEFAULT_NETWORK = "mstsgm-nano"
DEFAULT_BLUR = (
    "shake:1-32=0.35",
    "forward:2-40=0.05",
    "curved:1-32=0.2",
    "straight:1-32=0.15",
    "object:4-32=0.1",
    "background:4-32=0.05",
    "none=0.1",
)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults are told where there are any and the help does not tell them itself."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told = "(default" in (action.help or "")
        return action.help if told or action.default in (None, False, []) else super()._get_help_string(action)


def build_parser() -> argparse.ArgumentParser:
    """The options of training; a configuration file may hold any of them."""
    parser = argparse.ArgumentParser(
        prog="python -m deblur.train",
        description=(__doc__ or "").partition("\n")[0],
        usage="%(prog)s [--config FILE] [--sharp|--pairs|--frames DIR ...] [--steps N] [--max-minutes N] [option ...]\n"
        "       %(prog)s --resume RUN [option ...]",
        formatter_class=_HelpFormatter,
    )
    add_config_option(parser)
    parser.add_argument("--name", type=folder_name, default="deblur", help="name of the run")
    parser.add_argument("--output", type=given_path, default=Path("runs"), help="folder that holds runs")
    parser.add_argument(
        "--resume",
        type=not_empty,
        default="never",
        help="never, auto (newest run of this name, else a new one) or a run's folder; options that are not given are "
        "then those of the run, unless --config is",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document on stdout")
    _add_network(parser)
    _add_data(parser)
    _add_blur(parser)
    _add_recipe(parser)
    _add_validation(parser)
    add_device_option(parser)
    parser.add_argument("--threads", type=thread_count, help="CPU threads")
    parser.add_argument(
        "--workers",
        type=whole_number,
        help="processes that draw crops and blurs ahead (default: none on a CPU, the spare cores beside a GPU)",
    )
    add_seed_option(parser)
    return parser


def _add_network(parser: argparse.ArgumentParser) -> None:
    """What is trained, and from what on."""
    network = parser.add_argument_group("network")
    network.add_argument(
        "--network",
        help="mstsgm, mstsgm-star, mstsgm-nano, mstsgm-guided, mstsgm-guided-large, mimo-unet, mimo-unet-plus, or "
        f"estimator, which guides (default: that of --init, else {DEFAULT_NETWORK})",
    )
    network.add_argument(
        "--set",
        nargs="*",
        action=Collect,
        default=[],
        metavar="KEY=VALUE",
        help="change the network's config; guide=true puts an exposure guide before it, guide=false takes it away",
    )
    network.add_argument(
        "--init",
        type=not_empty,
        metavar="NAME|FILE",
        help="start from released weights, of the network that --network names if any",
    )
    network.add_argument(
        "--estimator",
        type=not_empty,
        metavar="NAME|FILE",
        help="weights of the kernel estimator that guides a guided network",
    )


def _weighted_folder(text: str) -> str:
    """Argument type: ``DIR`` or ``DIR=WEIGHT``, where the folder is named."""
    folder, equals, _ = text.rpartition("=")
    not_empty(folder if equals else text)
    return text


def _add_folders(group: argparse._ArgumentGroup, option: str, explained: str) -> None:
    """An option that takes folders, as often as wanted."""
    group.add_argument(
        option, nargs="*", action=Collect, type=_weighted_folder, default=[], metavar="DIR", help=explained
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    """What is learnt from, and how it is cut."""
    data = parser.add_argument_group("data", "each takes DIR or DIR=WEIGHT, as often as wanted")
    _add_folders(data, "--pairs", "folders with blur/ and sharp/")
    _add_folders(data, "--sharp", "folders of sharp pictures, blurred while training")
    _add_folders(data, "--frames", "folders of videos as consecutive frames of a fast camera (240 a second), averaged")
    data.add_argument("--max-side", type=positive_int, help="scale longer training pictures down to this when read")
    data.add_argument("--memory-gb", type=not_negative, default=8.0, help="of pictures kept on the device")
    data.add_argument("--batch", type=positive_int, default=8, help="crops a step, over all processes")
    data.add_argument("--accumulate", type=positive_int, default=1, help="parts that a process splits its share into")
    data.add_argument("--crop", default="256", help="side of the crops, or stages such as 128,256@0.5")
    data.add_argument(
        "--context",
        type=whole_number,
        default=0,
        help="pixels around a crop that only the guide of a guided network sees",
    )
    data.add_argument(
        "--path-share",
        type=unit_interval,
        default=0.0,
        help="share of the --sharp crops whose camera path the guide of a guided network is told, as by a gyroscope",
    )
    data.add_argument(
        "--quarter-turns",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="turn crops by quarters at random; left and right are swapped in any case",
    )


def _add_blur(parser: argparse.ArgumentParser) -> None:
    """How sharp pictures are blurred."""
    blur = parser.add_argument_group("blur", "of sharp pictures")
    blur.add_argument(
        "--blur",
        nargs="*",
        action=Collect,
        default=list(DEFAULT_BLUR),
        metavar="KIND:LOW-HIGH=WEIGHT",
        help="kinds, lengths in pixels of a long side of 640, and shares",
    )
    blur.add_argument("--srgb-share", type=unit_interval, default=0.3, help="share averaged in gamma-encoded values")
    blur.add_argument("--noise", type=not_negative, default=3.0, help="strongest noise over the synthesis' default")
    blur.add_argument("--jpeg-share", type=unit_interval, default=0.5, help="share that goes through JPEG")
    blur.add_argument("--highlight-share", type=unit_interval, default=0.2, help="share with lamps brighter than white")
    blur.add_argument("--rolling-share", type=unit_interval, default=0.0, help="share of shake under a rolling shutter")


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    """How long and by what steps."""
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--steps", type=positive_int, help="optimiser steps")
    recipe.add_argument("--max-minutes", type=above_zero, help="minutes of training, over all sittings")
    recipe.add_argument("--optimizer", choices=("adamw", "adam"), default="adamw", help="both with betas 0.9, 0.999")
    recipe.add_argument("--learning-rate", type=above_zero, default=5e-4, help="highest learning rate")
    recipe.add_argument(
        "--schedule", choices=("cosine", "halving", "constant"), default="cosine", help="of the learning rate"
    )
    recipe.add_argument("--warmup", type=below_one, default=0.02, help="share of the way with a rising rate")
    recipe.add_argument("--weight-decay", type=not_negative, default=1e-4, help="of adamw")
    recipe.add_argument("--clip", type=not_negative, default=1.0, help="largest gradient norm; 0 for none")
    recipe.add_argument("--ema", type=below_one, default=0.999, help="decay of the averaged weights; 0 for none")
    recipe.add_argument(
        "--freeze-norm",
        action="store_true",
        help="batch norm keeps its statistics: for a few crops a step from weights that many crops have settled",
    )
    recipe.add_argument("--precision", choices=("auto", "no", "bf16"), default="auto", help="auto: bf16 on CUDA")
    recipe.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="torch.compile the network: minutes at the start, less a step",
    )
    recipe.add_argument("--content", type=not_negative, default=1.0, help="weight of the content loss")
    recipe.add_argument("--frequency", type=not_negative, default=0.09, help="weight of the frequency loss")
    recipe.add_argument("--smoothness", type=not_negative, default=0.01, help="weight of the temporal smoothness loss")


def _add_validation(parser: argparse.ArgumentParser) -> None:
    """What is watched while training, and what is saved."""
    watch = parser.add_argument_group("validation and saving")
    _add_folders(
        watch,
        "--val-pairs",
        "folders with blur/ and sharp/ to validate on, at the size they have: --max-side does not scale them",
    )
    _add_folders(
        watch, "--val-sharp", "folders of sharp pictures to validate on, blurred by --val-blur as those of --hold-out"
    )
    watch.add_argument(
        "--hold-out",
        type=unit_interval,
        default=0.05,
        help="share of each --sharp folder set aside, by whole scenes where names tell them, by whole folders where "
        "several are a recording each, --val-limit at most",
    )
    watch.add_argument(
        "--val-blur",
        nargs="*",
        action=Collect,
        metavar="SPEC",
        default=["shake:8", "shake:16", "shake:28"],
        help="blurs of those",
    )
    watch.add_argument("--val-limit", type=positive_int, default=12, help="pictures a validation set")
    watch.add_argument("--val-side", type=positive_int, default=480, help="their middle, so large")
    watch.add_argument(
        "--validate-every", type=positive_int, default=1000, metavar="STEPS", help="also saves best and last"
    )
    watch.add_argument("--checkpoint-every", type=positive_int, default=200, metavar="STEPS", help="saves the state")
    watch.add_argument("--log-every", type=positive_int, default=50, metavar="STEPS", help="means over so many")
    watch.add_argument("--samples", type=whole_number, default=4, help="validation pictures saved each time")
    watch.add_argument("--tensorboard", action="store_true", help="also write TensorBoard curves")


def parse_training_args(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> TrainingOptions:
    """Parse ``argv`` by a parser that has training's options; see ``parse_training_into``."""
    return parse_training_into(TrainingOptions(), parser, argv)


def parse_training_into(
    options: _Options,
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    newest: Callable[[str, Path], Path | None] | None = None,
) -> _Options:
    """Parse ``argv`` by a parser that has training's options, over those of the run that ``--resume`` goes on with.

    A usage error where they do not say what or how long, or where one on the command line would do nothing.

    Args:
        options: whose attributes are set; it has none yet.
        parser: of the command.
        argv: the command line.
        newest: the folder of the run that ``--resume auto`` means by ``--name`` and ``--output``, if there is one; by
            default the newest training run.
    """
    arguments = words_of(argv)
    resumed = _resumed_run(parser, arguments, newest or _newest_run)
    unsaid = ""
    if resumed is None or not _has_options(resumed):
        parse_into(options, parser, arguments)
        if resumed is not None:
            unsaid = f"; {resumed / 'config.yaml'}, which would say so, is missing or damaged"
            if not ((resumed / "config.yaml").exists() or (resumed / "weights" / "state.pt").exists()):
                unsaid = f"; --resume {resumed} names no run, in which a config.yaml would say so"
    else:
        parse_into(options, parser, arguments, resumed, ", or give --config")
        options.resume = str(resumed)  # the --output of a run that was moved is not where auto has found it
    if options.steps is None and options.max_minutes is None:
        parser.error(f"say how long: --steps, --max-minutes or both{unsaid}")
    if not (options.pairs or options.sharp or options.frames):
        parser.error(f"nothing to train on: give --pairs, --sharp or --frames{unsaid}")
    if options.network is None and options.init is None:
        options.network = DEFAULT_NETWORK
    given = given_options(parser, argv)
    _refuse_another_place(parser, typed_value(arguments, "--resume"), options, given)
    for useless, names, needed in _companions(options, given):
        idle = [name for name in names if useless and name in given and getattr(options, name)]
        if idle:
            parser.error(f"{option_list(idle)} would do nothing: needed is {needed}")
    return options


def _resumed_run(
    parser: argparse.ArgumentParser, arguments: Sequence[str], newest: Callable[[str, Path], Path | None]
) -> Path | None:
    """The folder of the run whose options a command line stands over; None for a new run, or where it has others."""
    resume = typed_value(arguments, "--resume")
    if resume in {None, "never", ""} or typed_value(arguments, "--config") is not None:
        return None
    if resume != "auto":
        return Path(resume)
    name, output = typed_value(arguments, "--name"), typed_value(arguments, "--output")
    return newest(
        parser.get_default("name") if name is None else name,
        parser.get_default("output") if output is None else Path(output),
    )


def _refuse_another_place(
    parser: argparse.ArgumentParser, resume: str | None, options: TrainingOptions, given: set[str]
) -> None:
    """A usage error where a run goes on by its folder and the command line names another place for it."""
    if resume in {None, "never", "auto"}:
        return
    folder = Path(options.resume)
    if not (folder / "config.yaml").is_file():  # which would say its name
        return
    places = [Path(os.path.abspath(folder)), folder.resolve()]  # noqa: PTH100 - a link is a name of the run, too
    outputs = [Path(os.path.abspath(options.output)), options.output.resolve()]  # noqa: PTH100
    named = re.compile(re.escape(options.name) + "(-[0-9]+)?")  # runs of a name that was taken have a number behind it
    fits = {
        "name": any(named.fullmatch(place.name) for place in places),
        "output": any(output in place.parents for output in outputs for place in places),
    }
    idle = [name for name in sorted(given & {*fits}) if not fits[name]]
    if idle:
        parser.error(f"{option_list(idle)} would do nothing: --resume {folder} names the run's folder")


def _newest_run(name: str, output: Path) -> Path | None:
    """The newest training run of a name that has been saved; None where there is none, or one that is damaged."""
    from deblur.training.run_folder import newest_saved

    try:
        return newest_saved(name, output)
    except DeblurError:
        return None  # which is said when the run is opened, with what to do


def _has_options(run_folder: Path) -> bool:
    """Whether a run has a ``config.yaml`` that can be read; one that is damaged is no mistake if all is typed."""
    from deblur.runs import read_config

    try:
        return read_config(run_folder / "config.yaml") is not None
    except DeblurError:
        return False


def _companions(options: TrainingOptions, given: set[str]) -> list[tuple[bool, tuple[str, ...], str]]:
    """Whether options do nothing as the others are, which ones, and what they need; 0 does as it says in any case."""
    held_out = options.sharp and options.hold_out
    terms = ("content", "frequency", "smoothness")
    restores, smooths = (True, True) if given.isdisjoint(terms) else _sees_losses(options)
    return [
        (not options.sharp, ("blur", "highlight_share", "rolling_share", "path_share", "hold_out"), "--sharp"),
        (not (options.sharp or options.frames), ("srgb_share", "noise", "jpeg_share"), "--sharp or --frames"),
        (not (held_out or options.val_sharp), ("val_blur",), "--val-sharp, or --sharp and --hold-out above 0"),
        (
            not (held_out or options.val_pairs or options.val_sharp),
            ("val_limit", "val_side", "samples"),
            "--val-pairs, --val-sharp, or --sharp and --hold-out above 0",
        ),
        (options.optimizer != "adamw", ("weight_decay",), "--optimizer adamw"),
        (options.schedule != "cosine", ("warmup",), "--schedule cosine"),
        (
            not restores,
            terms,
            "a --network that restores pictures, and the estimator learns from kernels",
        ),
        (
            not smooths,
            ("smoothness",),
            "TCN, whose virtual frames it smooths, and this network has fewer than two",
        ),
    ]


def _sees_losses(options: TrainingOptions) -> tuple[bool, bool]:
    """Whether the network restores pictures, and has frames to smooth.

    Both where no network can be made, which training says in its own words.
    """
    from deblur.networks.kernel_estimator import KernelEstimatorConfig
    from deblur.training.network_choice import network_config, smooths_frames

    try:
        config = network_config(options)
    except DeblurError:
        return True, True
    return not isinstance(config, KernelEstimatorConfig), smooths_frames(config)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the arguments say; returns the exit code."""
    options = parse_training_args(build_parser(), argv)

    def body() -> int:
        from deblur.training.loop import train

        report(train(options), as_json=options.json)
        return EXIT_DONE

    return run(body)


def report(metrics: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what a run came to; of several processes the main one does."""
    from accelerate import PartialState

    if PartialState().is_main_process:
        print(json.dumps(metrics, indent=2, allow_nan=False) if as_json else each_line(describe(metrics)))


def describe(metrics: Mapping[str, Any]) -> str:
    """What a run came to, for people: a line for each validation set, and where the weights are."""
    from deblur.training.validation import PSNR

    def decibels(value: float | None) -> str:
        return "exact" if value is None else f"{value:.2f} dB"

    lines = [
        f"{name}: {decibels(score['input'])} blurred, {decibels(score['restored'])} restored"
        for name, score in metrics["validation"].items()
    ]
    length = f"{metrics['step']} steps, {metrics['minutes']:.1f} minutes"
    measure = "{:.2f} dB" if metrics["best_by"] == PSNR else "distance {:.4f}"
    best = "" if metrics["best"] is None else f", best mean {measure.format(metrics['best'])}"
    weights = "best" if metrics["validation"] else "last"
    return "\n".join([*lines, f"{length}{best}: {metrics['run']}/weights/{weights}.safetensors"])


if __name__ == "__main__":
    sys.exit(main())
