"""What a training run starts from: its network, its data and its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from deblur.blur import parse_blur
from deblur.errors import DeblurError
from deblur.networks import config_from_dict, config_to_dict, named_config
from deblur.released import load_released
from deblur.runs import create_run, describe_environment, write_json, write_yaml
from deblur.training.checkpoint import load_checkpoint
from deblur.training.sources import check_readable, hold_out, parse_source
from deblur.training.validation import blurred_here, pairs_from_files

if TYPE_CHECKING:
    import argparse

    from accelerate import Accelerator

    from deblur.networks import NetworkConfig
    from deblur.training.sources import Example, Source
    from deblur.training.validation import ValidationSet


def network_config(options: argparse.Namespace) -> NetworkConfig:
    """The named config with the changes of ``--set``; with ``--init``, that of the released weights."""
    named = config_to_dict(named_config(options.network))
    config = dict(load_released(options.init)[1]["network"]) if options.init else named
    for change in options.set:
        key, equals, value = change.partition("=")
        if not equals:
            raise DeblurError(f"--set {change}: write KEY=VALUE, such as tcn=false")
        config[key] = yaml.safe_load(value)
    return config_from_dict(config)


def read_sources(options: argparse.Namespace) -> tuple[list[Source], list[ValidationSet]]:
    """The training sources, checked, and the validation sets made of what was set aside."""
    sources: list[Source] = []
    held: list[Example] = []
    for text in options.sharp:
        source, aside = hold_out(parse_source("sharp", text), options.hold_out, options.seed)
        sources.append(source)
        held.extend(aside)
    sources += [parse_source("pairs", text) for text in options.pairs]
    sources += [parse_source("frames", text) for text in options.frames]
    references = [parse_source("pairs", text) for text in options.val_pairs]
    check_readable([example for source in [*sources, *references] for example in source.examples], options.max_side)
    check_readable(held, options.max_side)
    sets = [
        pairs_from_files(str(one.folder), one.examples[: options.val_limit], options.val_side) for one in references
    ]
    chosen = held[:: max(1, len(held) // options.val_limit)][: options.val_limit]
    if chosen:
        sets += [blurred_here(chosen, parse_blur(text), options.val_side) for text in options.val_blur]
    return sources, sets


def open_run(options: argparse.Namespace, accelerator: Accelerator) -> tuple[Path, dict[str, Any] | None]:
    """A new run folder, or the one to resume with its training state; the same on every process."""
    folder = find_resumable(options)
    if folder is None and accelerator.is_main_process:
        folder = create_run("train", options.name, options.output)
        (folder / "weights").mkdir()
    if accelerator.num_processes > 1:
        shared = [folder]
        torch.distributed.broadcast_object_list(shared)
        folder = shared[0]
    assert folder is not None
    state_file = folder / "weights" / "state.pt"
    state = load_checkpoint(state_file) if state_file.is_file() else None
    if accelerator.is_main_process:
        given = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
        write_yaml(folder / "config.yaml", {key: value for key, value in given.items() if key != "config"})
        environment = describe_environment(str(accelerator.device), options.seed)
        write_json(folder / "env.json", environment | {"processes": accelerator.num_processes})
    return folder, state


def find_resumable(options: argparse.Namespace) -> Path | None:
    """The folder that ``--resume`` means, or None for a new run."""
    if options.resume == "never":
        return None
    if options.resume != "auto":
        folder = Path(options.resume)
        if not (folder / "weights" / "state.pt").is_file():
            raise DeblurError(f"--resume {folder}: no weights/state.pt there; name the folder of a training run")
        return folder
    parent = options.output / "train"
    states = [*parent.glob(f"{options.name}/weights/state.pt"), *parent.glob(f"{options.name}-[0-9]*/weights/state.pt")]
    return max(states, key=lambda file: file.stat().st_mtime).parent.parent if states else None
