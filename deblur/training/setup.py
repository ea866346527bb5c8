"""What a training run starts from: its network, its data and its folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.utils import broadcast_object_list

from deblur.blur import parse_blur
from deblur.cli import plain_options
from deblur.errors import DeblurError
from deblur.networks import (
    ESTIMATOR,
    NETWORK_NAMES,
    MIMOUNetConfig,
    MSTSGMConfig,
    config_from_dict,
    config_to_dict,
    named_config,
)
from deblur.networks.guided import GuidedConfig, estimator_of, guided_config, without_guide
from deblur.networks.kernel_estimator import KernelEstimatorConfig
from deblur.released import load_released, released_card
from deblur.runs import create_run, describe_environment, printable, runs_named, write_environment, write_yaml
from deblur.training.checkpoint import load_checkpoint
from deblur.training.sittings import describe_changes, sitting, with_sitting
from deblur.training.sources import check_readable, files_of, hold_out, parse_source, shared_scenes, without
from deblur.training.validation import blurred_here, pairs_from_files, with_paths
from deblur.yaml_text import YamlError, parse_yaml, read_yaml

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from accelerate import Accelerator

    from deblur.networks import NetworkConfig
    from deblur.networks.kernel_estimator import KernelEstimator
    from deblur.training.sources import Example, PictureStore, Source
    from deblur.training.validation import ValidationSet

NEEDS_ESTIMATOR = (
    "a guided network needs --estimator: weights of a kernel estimator (train --network estimator first) or of a "
    "guided network"
)


def network_config(options: argparse.Namespace) -> NetworkConfig:
    """The config of ``--network``, or of the released weights of ``--init``, with the changes of ``--set``.

    ``guide=true`` and ``guide=false`` put an exposure guide before any network and take it away; the other keys of a
    guided network's config are those of the network that is guided.
    The estimator is that of ``--estimator``, else of the weights.

    Raises:
        DeblurError: a change does not fit the network, or ``--network`` and ``--init`` are not the same but for
            changes and estimator.
    """
    changes = _changes(options.set)
    if options.init:
        try:
            config: dict[str, Any] = load_released(options.init)[1]["network"]
        except DeblurError as error:
            if options.resume == "never":
                raise
            # What it began with says only which network it is by then.
            raise DeblurError(f"{error}; a run goes on with --init RUN/weights/last.safetensors as well") from error
        if options.network:
            _refuse_another(options, config, changes)
    else:
        config = config_to_dict(named_config(options.network))
    was_guided = config["kind"] == GuidedConfig.kind
    guided = changes.pop("guide", was_guided)
    if type(guided) is not bool:
        raise DeblurError(f"--set guide={guided}: write guide=true or guide=false")
    network = config_from_dict({**(config["network"] if was_guided else config), **changes})
    if not isinstance(network, (MSTSGMConfig, MIMOUNetConfig)):
        if guided:
            name = options.network or options.init
            raise DeblurError(f"--set guide=true: {name} restores no pictures and takes no guide")
        return network
    if not guided:
        return without_guide(network) if was_guided else network
    return replace(guided_config(network), estimator=_estimator_config(options, config))


def network_name(options: argparse.Namespace) -> str | None:
    """The ``--network`` that is trained: what was given, or what names the network of ``--init``, if anything does."""
    if options.network or not options.init:
        name: str | None = options.network
        return name
    return _name_of(released_card(options.init)["network"], _changes(options.set))


def _changes(texts: Sequence[str]) -> dict[str, Any]:
    """The values of ``--set`` by key."""
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise DeblurError(f"--set {text}: write KEY=VALUE, such as tcn=false")
        try:
            changes[key] = parse_yaml(value)
        except YamlError:
            raise DeblurError(f"--set {text}: {value!r} is no YAML value") from None
    return changes


def _refuse_another(options: argparse.Namespace, config: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Refuse a ``--network`` that the weights of ``--init``, of this config, are not: either could be meant."""
    differing = _differences(config, config_to_dict(named_config(options.network)), changes)
    if differing:
        known = _name_of(config, changes)
        remedy = f"give --network {known}, or leave it out" if known else "leave --network out"
        raise DeblurError(
            f"--network {options.network} is not the network of --init {options.init} (other {', '.join(differing)}): "
            f"{remedy}, also of --config, to train that of the weights; or leave --init out"
        )


def _name_of(config: Mapping[str, Any], changes: Mapping[str, Any]) -> str | None:
    """The ``--network`` that is a config but for the changes and the estimator; None for sizes of its own."""
    names = (*NETWORK_NAMES, ESTIMATOR)
    return next((name for name in names if not _differences(config, config_to_dict(named_config(name)), changes)), None)


def _differences(config: Mapping[str, Any], other: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
    """The keys of ``--set`` in which two configs differ, but for those that it changes."""
    first, second = _settable(config), _settable(other)
    if first["kind"] != second["kind"]:
        return ["kind"]
    return [key for key in first if first[key] != second[key] and key not in changes]


def _settable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as ``--set`` sees it: the network that is guided, and ``guide`` for all that a guide changes of it."""
    guided = config["kind"] == GuidedConfig.kind
    network = config_to_dict(config_from_dict(config["network"] if guided else config))
    return {key: network[key] for key in network if key not in {"guide_channels", "corrections"}} | {"guide": guided}


def _estimator_config(options: argparse.Namespace, config: Mapping[str, Any]) -> KernelEstimatorConfig:
    if options.estimator:
        return released_estimator(options.estimator).config
    if "estimator" not in config:
        raise DeblurError(NEEDS_ESTIMATOR)
    estimator = config_from_dict(config["estimator"])
    assert isinstance(estimator, KernelEstimatorConfig)
    return estimator


def released_estimator(name_or_file: str) -> KernelEstimator:
    """The kernel estimator of released weights: an estimator's own, or those of a guided network.

    Raises:
        DeblurError: there are none of that name, or they hold no estimator.
    """
    estimator = estimator_of(load_released(name_or_file)[0])
    if estimator is None:
        raise DeblurError(f"--estimator {name_or_file} holds no kernel estimator: train one with --network estimator")
    return estimator


def read_sources(
    options: argparse.Namespace, note: Callable[[str], object]
) -> tuple[list[Source], list[ValidationSet]]:
    """The training sources and the validation sets made of what was set aside; every file's header has been read.

    What is validated on is trained on nowhere, also where folders share files.

    Args:
        options: of training.
        note: is told what a user may not expect.
    """
    sources: list[Source] = []
    held: list[Example] = []
    for text in options.sharp:
        whole = parse_source("sharp", text)
        source, split_off = hold_out(whole, options.hold_out, options.seed, options.val_limit)
        if len(split_off) > 2 * max(1, options.hold_out * len(whole.examples)):
            note(
                f"{whole.folder}: --hold-out sets aside {len(split_off)} of {len(whole.examples)} pictures, a scene by "
                "their names; to train on all of them give --hold-out 0 and --val-pairs"
            )
        sources.append(source)
        held.extend(split_off)
    sources += [parse_source("pairs", text) for text in options.pairs]
    sources += [parse_source("frames", text) for text in options.frames]
    references = [parse_source("pairs", text, "--val-pairs") for text in options.val_pairs]
    given = [parse_source("sharp", text, "--val-sharp") for text in options.val_sharp or ()]
    held += [example for one in given for example in one.examples]
    weighted = next((one for one in (*references, *given) if one.weight != 1), None)
    if weighted is not None:
        option = "--val-pairs" if weighted.kind == "pairs" else "--val-sharp"
        raise DeblurError(f"{option} {weighted.folder}={weighted.weight:g}: sets are validated on without a weight")
    aside = {file.resolve() for each in (held, *(one.examples for one in references)) for file in files_of(each)}
    sources = [without(source, aside) for source in sources]
    both = shared_scenes([one for one in sources if one.kind == "pairs"], references)
    if both:
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        note(
            f"--pairs and --val-pairs both hold pictures of the scene {both[0]}{more}, by their names: if it is one "
            "place, what is validated on has been trained on"
        )
    check_readable([*held, *(example for one in references for example in one.examples)], options.max_side)
    sets = [
        pairs_from_files(str(one.folder), _spread(one.examples, options.val_limit), options.val_side)
        for one in references
    ]
    chosen = _spread(held, options.val_limit)
    if chosen:
        blurred = [
            blurred_here(chosen, parse_blur(text), options.val_side, options.max_side) for text in options.val_blur
        ]
        sets += blurred
        if options.path_share:
            sets += map(with_paths, blurred)
    return sources, sets


def fill_store(store: PictureStore, sources: Sequence[Source], max_side: int | None) -> None:
    """Check every training file; where all pictures fit into the store, read them all now.

    Raises:
        DeblurError: names the files that are broken: those whose header is, and of data that fits any others too.
    """
    examples = [example for source in sources for example in source.examples]
    if check_readable(examples, max_side) <= store.capacity:
        store.load(files_of(examples))


def _spread(examples: Sequence[Example], count: int) -> Sequence[Example]:
    """At most ``count`` examples, evenly apart: neighbours show the same place."""
    return [examples[index * len(examples) // count] for index in range(count)] if count < len(examples) else examples


def open_run(
    options: argparse.Namespace, resumable: Path | None, accelerator: Accelerator
) -> tuple[Path, dict[str, Any] | None]:
    """A new run folder, or the one to resume with its training state; the same on every process.

    Args:
        options: of training.
        resumable: as ``find_resumable`` found it.
        accelerator: of this process.

    Raises:
        DeblurError: what is there to resume is no training state.
    """
    found: list[Path | None] = [None, None]  # the folder, and the training state in it if the run goes on
    if accelerator.is_main_process:
        if resumable is not None:
            found = [resumable, resumable / "weights" / "state.pt"]
        else:
            found[0] = folder = create_run("train", options.name, options.output)
            (folder / "weights").mkdir()
            if options.resume == "auto":
                note_nothing_to_resume(options, folder)
    folder, state_file = broadcast_object_list(found)
    return folder, load_checkpoint(state_file) if state_file is not None else None


def note_nothing_to_resume(options: argparse.Namespace, folder: Path) -> None:
    """Say that ``--resume auto`` found no run, and which new folder was made for it."""
    none = f"no run named {options.name} in {folder.parent} was saved"
    print(f"--resume auto: {none}, and {folder} is a new one", file=sys.stderr)


def record_sitting(
    folder: Path, options: argparse.Namespace, accelerator: Accelerator, state: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Write what a run is, or goes on, with: ``config.yaml`` and ``env.json``; not before it is sure that it can.

    Which options change where it goes on is said on stderr.

    Args:
        folder: of the run.
        options: of training.
        accelerator: of this process; the main one writes.
        state: the training state that the run goes on from, if it does.

    Returns:
        The sittings so far with this one, for the training state; none in another process than the main one.

    Raises:
        DeblurError: one of the files is there and damaged; both stay as they are.
    """
    if not accelerator.is_main_process:
        return []
    recorded = _recorded_config(folder)
    # Without resume: given back with --config for a new run, the file must not go on with this one.
    written = plain_options(options, without={"config", "resume", "json"})
    written["name"] = recorded.get("name") or options.name  # by which --resume auto knows the run
    environment = describe_environment(str(accelerator.device), options.seed)
    write_environment(folder, environment | {"processes": accelerator.num_processes})
    write_yaml(folder / "config.yaml", written)
    now = sitting(written, state["step"] if state else 0, environment["commit"], accelerator.num_processes)
    # Where an earlier version saved the state, all that is known is what the run was last trained by.
    former = state.get("sittings", [sitting(recorded or written, 0, None, None)]) if state else []
    sittings = with_sitting(former, now)
    changed = describe_changes(sittings[-2], now) if len(sittings) > 1 and sittings[-1] is now else ""
    if changed:
        told = f"{folder} goes on from step {now['first_step'] - 1} with other options: {changed}"
        print(printable(told), file=sys.stderr)
    return sittings


def find_resumable(options: argparse.Namespace) -> Path | None:
    """The folder that ``--resume`` means, or None for a new run.

    Raises:
        DeblurError: the folder holds no training state, or what says which run a folder holds is damaged.
    """
    if options.resume == "never":
        return None
    if options.resume != "auto":
        folder = Path(options.resume)
        if not (folder / "weights" / "state.pt").is_file():
            raise DeblurError(f"--resume {folder}: no weights/state.pt there; name the folder of a training run")
        return folder
    return newest_saved(options.name, options.output)


def newest_saved(name: str, output: Path) -> Path | None:
    """The folder of the newest training run of a name that has a training state, or None.

    Raises:
        DeblurError: what says which run a folder holds is damaged.
    """
    folders = runs_named("train", name, output)
    states = [folder / "weights" / "state.pt" for folder in folders if _recorded_config(folder).get("name") == name]
    resumable = [state for state in states if state.is_file()]
    return max(resumable, key=lambda file: file.stat().st_mtime).parent.parent if resumable else None


def _recorded_config(folder: Path) -> dict[str, Any]:
    """What the ``config.yaml`` of the run in a folder says; nothing where there is none.

    Raises:
        DeblurError: the file is damaged.
    """
    file = folder / "config.yaml"
    try:
        config = read_yaml(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DeblurError(f"cannot read {file}: {error.strerror}") from error
    except YamlError:
        config = None
    if not isinstance(config, dict):
        raise DeblurError(
            f"{file} is damaged: move it away, and go on by --resume {folder} and the options that the run had, its "
            "--name too"
        )
    return config
