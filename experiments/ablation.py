"""What each part of MSTSGM and each term of its loss is worth: the same training with one thing switched off at a time.

    python -m experiments.ablation --config experiments/configs/nano.yaml --sharp photographs --max-minutes 30

It takes every option of ``python -m deblur.train``; all variants share data, seed and length (``--max-minutes`` or
``--steps``). The run's folder ``runs/ablation/NAME`` holds a training run for each variant, ``ablation.csv`` and a
plot.
With ``--resume auto``, or a run's folder, a variant that is done is not trained again, one that was interrupted goes
on, and others join the table; options that are not given are those of the run, and others are refused.
"""

from __future__ import annotations

import copy
import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from deblur.cli import Collect, each_line, plain_options, run
from deblur.errors import DeblurError
from deblur.train import build_parser as training_parser
from deblur.train import parse_training_into
from deblur.training.options import TrainingOptions, of_training_alone
from deblur.training.sittings import NO_FIGURE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

SUBNETWORKS = ("msfd", "tcn", "eagr", "fam", "msff", "guide")
LOSS_TERMS = ("frequency", "smoothness")
_OF_COMMAND = ("config", "name", "resume", "json", "output", "variants")
"""Options that say nothing of how variants are trained, and are not recorded."""
_PACE = ("device", "threads", "workers", "memory_gb")
"""Options that change how many steps a minute holds."""
VARIANTS = ("full", *(f"no-{part}" for part in (*SUBNETWORKS, *LOSS_TERMS)))


class AblationOptions(TrainingOptions):
    """Training's options and ``--variants``."""

    variants: list[str] | None


def build_parser() -> argparse.ArgumentParser:
    """Training's options and ``--variants``."""
    parser = training_parser()
    parser.prog = "python -m experiments.ablation"
    parser.description = (__doc__ or "").partition("\n")[0]
    parser.set_defaults(name="ablation")
    parser.add_argument(
        "--variants",
        nargs="+",
        action=Collect,
        choices=VARIANTS,
        help="variants to train (default: full, and those that switch off a part or loss term that is there)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train the variants and compare them; returns the exit code."""
    options = parse_training_into(AblationOptions(), build_parser(), argv, _folder_named)

    def body() -> int:
        folder, table = ablate(options)
        if options.json:
            print(json.dumps({"run": str(folder), "variants": json.loads(table.to_json(orient="records"))}, indent=2))
        else:
            print(each_line(table.to_string(index=False, float_format="{:.2f}".format)))
            print(f"\n{folder}")
        return 0

    return run(body)


def ablate(options: AblationOptions) -> tuple[Path, pd.DataFrame]:
    """Train every variant; returns the run's folder and the table, a row a variant.

    Raises:
        DeblurError: as ``deblur.training.loop.train`` does, several processes were started, or the run to go on with
            had other options.
    """
    from deblur.devices import resolve_device
    from deblur.run_lock import alone_in
    from deblur.runs import (
        check_options,
        describe_environment,
        read_config,
        runs_named,
        write_environment,
        write_yaml,
    )
    from deblur.training.loop import train

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:  # which end their connection with the first variant
        raise DeblurError(
            f"an ablation trains in one process, and {processes} were started: leave out torchrun or accelerate launch"
        )
    wanted = options.variants or default_variants(options)
    _check_networks(options, wanted)
    folder = run_folder(options)
    with alone_in(folder):
        config = folder / "config.yaml"
        shared = plain_options(options, without=_OF_COMMAND)
        if config.is_file():
            recorded = read_config(config) or {}
            if not recorded.keys().isdisjoint(_OF_COMMAND):
                raise DeblurError(f"{folder} is a training run and no ablation: name the folder of one")
            check_options(config, shared, without=_may_differ(options, recorded))
        elif any(folder.glob("train/*/metrics.json")):
            raise DeblurError(f"{folder} does not say by which options its variants were trained: give another --name")
        else:
            write_yaml(config, shared)
        # A variant that was killed before its first checkpoint begins anew, in a folder with a number behind its name.
        files = {name: [run / "metrics.json" for run in runs_named("train", name, folder)] for name in VARIANTS}
        done = {name: _read_metrics(file) for name in VARIANTS for file in files[name] if file.is_file()}
        table = write_table(folder, done)
        for name in VARIANTS:
            if name in wanted and name not in done:
                try:
                    done[name] = train(variant_options(options, name, folder))
                except KeyboardInterrupt:  # goes on with all of them, not with this one alone
                    again = ["--resume", str(folder), "--variants", *wanted]
                    raise KeyboardInterrupt(f"go on with {shlex.join(again)}") from None
                # What hours have gone into is kept, whatever becomes of the variants to come.
                table = write_table(folder, done)
        write_environment(folder, describe_environment(str(resolve_device(options.device)), options.seed))
        plot(table, folder)
    return folder, table


def _may_differ(options: TrainingOptions, recorded: Mapping[str, Any]) -> set[str]:
    """The options that variants need not share: by the clock what changes the pace does too, where it is recorded."""
    compared = set(_PACE).intersection(recorded) if options.max_minutes is not None else set()
    return {*NO_FIGURE} - compared


def _read_metrics(file: Path) -> dict[str, Any]:
    try:
        metrics = json.loads(file.read_bytes())
        summarize(metrics)
    except (ValueError, TypeError, LookupError, AttributeError):  # no UTF-8, no JSON, or other JSON
        raise DeblurError(f"{file} is damaged: move it away, and its variant is finished again") from None
    return dict(metrics)


def run_folder(options: TrainingOptions) -> Path:
    """A new folder, or the one that ``--resume`` goes on with.

    Raises:
        DeblurError: ``--resume`` names no run of this command.
    """
    from pathlib import Path

    from deblur.runs import create_run
    from deblur.training.run_folder import note_nothing_to_resume

    if options.resume not in {"auto", "never"}:
        folder = Path(options.resume)
        if not (folder / "config.yaml").is_file():
            raise DeblurError(f"--resume {folder}: no config.yaml there; name an ablation's folder, or auto")
        return folder
    found = _folder_named(options.name, options.output) if options.resume == "auto" else None
    if found is not None:
        return found
    folder = create_run("ablation", options.name, options.output)
    if options.resume == "auto":
        note_nothing_to_resume(options, folder)
    return folder


def _folder_named(name: str, output: Path) -> Path | None:
    """The folder that ``--resume auto`` goes on with, or None."""
    folder = output / "ablation" / name
    return folder if folder.is_dir() else None


def write_table(folder: Path, done: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """Write ``ablation.csv``, a row for each variant that is done, and return what it holds."""
    import pandas as pd

    from deblur.runs import write_atomically

    table = pd.DataFrame([{"variant": name} | summarize(done[name]) for name in VARIANTS if name in done])
    if done:
        write_atomically(folder / "ablation.csv", table.to_csv(index=False).encode("utf-8"))
    return table


def _check_networks(options: TrainingOptions, variants: Sequence[str]) -> None:
    """Refuse before the first training what would end a later one: a variant that cannot be made, begun or learn."""
    from deblur.networks import build
    from deblur.training.checks import check_fit, check_training, validates
    from deblur.training.data import read_sources
    from deblur.training.initial import load_initial
    from deblur.training.network_choice import network_config

    said_by_training: list[str] = []
    if not (validates(options) and read_sources(options, said_by_training.append)[1]):
        raise DeblurError(
            "nothing is validated on, which is all that an ablation compares: give --val-pairs, --val-sharp, or "
            "--sharp, a folder with two pictures at least, with --hold-out and --val-blur"
        )
    errors = {}
    for name in variants:
        changed = variant_options(options, name, options.output)
        try:
            if name != "full" and not _differs(options, name):
                raise DeblurError(f"{name.removeprefix('no-')} is off as it is")
            check_training(changed)
            network = build(network_config(changed))
            check_fit(changed, network)
            if options.init:
                load_initial(network, options.init)
        except DeblurError as error:
            errors[name] = str(error)
    if errors:
        first = next(iter(errors.values()))
        remedy = "--variants that it fits, or no --init" if options.init else "other --variants"
        raise DeblurError(f"{', '.join(errors)} cannot be trained: {first}; give {remedy}")


def default_variants(options: TrainingOptions) -> list[str]:
    """All variants that differ from the full one."""
    return [name for name in VARIANTS if name == "full" or _differs(options, name)]


def _differs(options: TrainingOptions, name: str) -> bool:
    """Whether a variant is another training than the full one: what it switches off is there."""
    from deblur.networks.guided import GuidedConfig
    from deblur.training.network_choice import network_config, smooths_frames

    part, config = name.removeprefix("no-"), network_config(options)
    if part == "guide":
        return isinstance(config, GuidedConfig)
    network = config.network if isinstance(config, GuidedConfig) else config
    if part in SUBNETWORKS:
        return bool(getattr(network, part, False))
    weights = {"frequency": options.frequency, "smoothness": options.smoothness}
    return bool(weights[part]) and (part != "smoothness" or smooths_frames(config))


def variant_options(options: TrainingOptions, name: str, folder: Path) -> TrainingOptions:
    """The options of one variant's training."""
    from deblur.runs import runs_named

    changed = copy.deepcopy(of_training_alone(options))
    begun = any(runs_named("train", name, folder))
    changed.name, changed.output, changed.resume = name, folder, "auto" if begun else "never"
    part = name.removeprefix("no-")
    if part in SUBNETWORKS:
        changed.set = [*options.set, f"{part}=false"]
        if part == "guide":
            changed.estimator, changed.context, changed.path_share = None, 0, 0.0
        elif part == "eagr":
            changed.freeze_norm = False  # of EAGR's batch norm
    elif part == "frequency":
        changed.frequency = 0.0
    elif part == "smoothness":
        changed.smoothness = 0.0
    return changed


def summarize(metrics: dict[str, Any]) -> dict[str, float | None]:
    """One row: steps, minutes, parameters and the gain in dB on every validation set."""
    gains = {f"gain {name}": score["gain"] for name, score in metrics["validation"].items()}
    return {"steps": metrics["step"], "minutes": metrics["minutes"], "parameters": metrics["parameters"], **gains}


def plot(table: pd.DataFrame, folder: Path) -> None:
    """Bars of the gain of every variant on every validation set, as PNG and PDF."""
    from matplotlib.figure import Figure

    from experiments.plotting.style import deblurrer_look, styled

    gains = [column for column in table.columns if column.startswith("gain ")]
    thickness = 0.8 / max(1, len(gains))
    with styled() as palette:
        letters = max((len(column) for column in gains), default=0)  # of a folder's path, it may be
        size = max(7.2, 1.2 + 0.08 * letters), 1.4 + 0.2 * len(gains) + 0.16 * len(table) * (1 + len(gains))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        for index, column in enumerate(gains):
            look = deblurrer_look(index)
            places = [row + (index - (len(gains) - 1) / 2) * thickness for row in range(len(table))]
            known = table[column].astype(float)  # no bar where a gain is none
            bars = axes.barh(places, known, thickness, label=column.removeprefix("gain "))
            for bar in bars:
                bar.set(facecolor=palette.of(look), hatch=look.hatch, edgecolor=palette.paper)
        axes.set_yticks(range(len(table)), table["variant"])
        axes.invert_yaxis()
        axes.axvline(0, color=palette.ink, linewidth=0.8)
        axes.set_xlabel("gain in PSNR over the blurred picture (dB), pictures set aside")
        figure.legend(title="validated on", loc="outside upper left", alignment="left")
        for suffix in ("png", "pdf"):
            figure.savefig(folder / f"ablation.{suffix}", dpi=150)


if __name__ == "__main__":
    sys.exit(main())
