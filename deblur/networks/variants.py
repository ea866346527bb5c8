"""The networks by name, and their configs as plain dicts for cards and run folders."""

from __future__ import annotations

import reprlib
import typing
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from deblur.errors import DeblurError
from deblur.networks.guided import GuidedConfig, GuidedNetwork, guided_config
from deblur.networks.kernel_estimator import KernelEstimator, KernelEstimatorConfig
from deblur.networks.mimo_unet import MIMOUNet, MIMOUNetConfig
from deblur.networks.mstsgm import MSTSGM, MSTSGMConfig

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

_LARGEST = 4096  # of the whole numbers of a config
ESTIMATOR = "estimator"
"""Name of the kernel estimator, which is a part of the guided networks."""
NetworkConfig = MSTSGMConfig | MIMOUNetConfig | GuidedConfig | KernelEstimatorConfig

_NANO = MSTSGMConfig(
    widths=(16, 32, 96),
    encoder_blocks=(1, 1, 2),
    decoder_blocks=(1, 1, 3),
    frames=4,
    frame_shrink=4,
    temporal="depthwise",
    fusion="project",
    shuffle=2,
)
_NAMED: dict[str, NetworkConfig] = {
    "mstsgm": MSTSGMConfig(),
    "mstsgm-star": MSTSGMConfig(temporal="depthwise"),
    "mstsgm-nano": _NANO,
    # The coarsest scale of a guided network does little: the guide has seen farther (docs/training-log.md).
    "mstsgm-guided": guided_config(
        replace(_NANO, widths=(16, 32, 48), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1))
    ),
    # For GPUs: most of its arithmetic is at an eighth of the picture's size, where a long path is a few pixels.
    "mstsgm-guided-large": guided_config(
        replace(_NANO, widths=(48, 96, 192), encoder_blocks=(2, 3, 8), decoder_blocks=(2, 3, 4))
    ),
    ESTIMATOR: KernelEstimatorConfig(lights=2),
    "mimo-unet": MIMOUNetConfig(),
    "mimo-unet-plus": MIMOUNetConfig(blocks=20),
}
NETWORK_NAMES = tuple(name for name in _NAMED if name != ESTIMATOR)
"""Of the networks that restore pictures."""

_CONFIGS: dict[str, type[NetworkConfig]] = {
    config.kind: config for config in (MSTSGMConfig, MIMOUNetConfig, GuidedConfig, KernelEstimatorConfig)
}


def named_config(name: str) -> NetworkConfig:
    """The config of a network of ``NETWORK_NAMES``, or of `ESTIMATOR`; DeblurError lists them for any other name."""
    try:
        return _NAMED[name]
    except KeyError:
        raise DeblurError(f"unknown network {name!r}; known: {', '.join(_NAMED)}") from None


def build(config: NetworkConfig) -> nn.Module:
    """A fresh network with random weights, in training mode.

    Its ``forward(x, guide=None)`` takes RGB in [0, 1], (B, 3, H, W), and returns ``Restored``; a kernel estimator's
    takes and returns what its class says.
    """
    if isinstance(config, KernelEstimatorConfig):
        return KernelEstimator(config)
    if isinstance(config, GuidedConfig):
        return GuidedNetwork(config)
    return MSTSGM(config) if isinstance(config, MSTSGMConfig) else MIMOUNet(config)


class _Unfilled(TorchFunctionMode):
    """Leaves parameters as they come: to fill those without memory torch imports its compiler, which takes seconds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == torch.nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def build_without_memory(config: NetworkConfig) -> nn.Module:
    """The same network as names and shapes alone, on the meta device: for weights that are to come, or to count by."""
    with torch.device("meta"), _Unfilled():
        return build(config)


def config_to_dict(config: NetworkConfig) -> dict[str, Any]:
    """The config with its kind, in types that JSON and YAML hold."""
    values: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            value = config_to_dict(value)  # type: ignore[arg-type]
        values[field.name] = list(value) if isinstance(value, tuple) else value
    return {"kind": config.kind, **values}


def config_from_dict(content: Mapping[str, Any]) -> NetworkConfig:
    """The config that ``config_to_dict`` wrote; missing keys take their defaults.

    Raises:
        DeblurError: unknown kind or key, or a value of the wrong type or size.
    """
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in _CONFIGS:
        raise DeblurError(f"unknown network kind {kind!r}; known: {', '.join(_CONFIGS)}")
    config_type = _CONFIGS[kind]
    hints = typing.get_type_hints(config_type)
    known = {field.name for field in fields(config_type)}
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key == "kind":
            continue
        if key not in known:
            raise DeblurError(f"unknown key {key!r} in a {kind} network's config; known: {', '.join(sorted(known))}")
        values[key] = _checked(kind, key, value, hints[key])
    try:
        return config_type(**values)
    except ValueError as error:
        raise DeblurError(f"a {kind} network's config does not fit together: {error}") from error


def _checked(kind: str, key: str, value: object, hint: Any) -> object:
    """``value`` where it is of the field's type (a list of whole numbers becomes a tuple), else DeblurError."""
    origin = typing.get_origin(hint)
    inner = tuple(each for each in typing.get_args(hint) or (hint,) if each in _CONFIGS.values())
    if inner:
        if isinstance(value, dict):
            nested = config_from_dict(value)
            if isinstance(nested, inner):
                return nested
        wanted = f"the config of a {' or '.join(each.kind for each in inner)} network"
    elif origin is tuple:
        if isinstance(value, (list, tuple)) and all(_is_size(item) for item in value):
            return tuple(value)
        wanted = f"a list of whole numbers up to {_LARGEST}"
    elif origin is typing.Literal:
        choices = typing.get_args(hint)
        if value in choices:
            return value
        wanted = f"one of {', '.join(choices)}"
    else:
        if _is_size(value) if hint is int else type(value) is hint:
            return value
        wanted = "true or false" if hint is bool else f"a whole number up to {_LARGEST}"
    raise DeblurError(f"{key!r} in a {kind} network's config is {wanted}, not {reprlib.repr(value)}")


def _is_size(value: object) -> bool:
    """Whether a number could be one of a network that anybody has: building larger ones takes for ever."""
    return type(value) is int and abs(value) <= _LARGEST
