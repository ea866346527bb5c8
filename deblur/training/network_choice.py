"""Which network ``--network``, ``--set``, ``--init`` and ``--estimator`` mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
from deblur.yaml_text import YamlError, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deblur.networks import NetworkConfig
    from deblur.networks.kernel_estimator import KernelEstimator
    from deblur.training.options import TrainingOptions

NEEDS_ESTIMATOR = (
    "a guided network needs --estimator: weights of a kernel estimator (train --network estimator first) or of a "
    "guided network"
)


def network_config(options: TrainingOptions) -> NetworkConfig:
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
            _refuse_another(options.network, options.init, config, changes)
    else:
        assert options.network is not None  # parse_training_args has named one where --init does not
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


def smooths_frames(config: NetworkConfig) -> bool:
    """Whether a network has what the smoothness loss is of: TCN, with two virtual frames at least."""
    network = config.network if isinstance(config, GuidedConfig) else config
    return isinstance(network, MSTSGMConfig) and network.tcn and network.frames > 1


def network_name(options: TrainingOptions) -> str | None:
    """The ``--network`` that is trained: what was given, or what names the network of ``--init``, if anything does."""
    if options.network or not options.init:
        return options.network
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


def _refuse_another(name: str, init: str, config: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Refuse a ``--network`` that the weights of ``--init``, of this config, are not: either could be meant."""
    differing = _differences(config, config_to_dict(named_config(name)), changes)
    if differing:
        known = _name_of(config, changes)
        remedy = f"give --network {known}, or leave it out" if known else "leave --network out"
        raise DeblurError(
            f"--network {name} is not the network of --init {init} (other {', '.join(differing)}): "
            f"{remedy}, in --config too, to train the network of the weights; or leave --init out"
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


def _estimator_config(options: TrainingOptions, config: Mapping[str, Any]) -> KernelEstimatorConfig:
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
