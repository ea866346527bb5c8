"""Deblurring networks: pictures in, ``Restored`` out. ``build(named_config("mstsgm-nano"))`` makes one."""

from deblur.networks.blocks import Restored, picture_pyramid
from deblur.networks.mimo_unet import MIMOUNet, MIMOUNetConfig
from deblur.networks.mstsgm import MSTSGM, MSTSGMConfig
from deblur.networks.variants import (
    ESTIMATOR,
    NETWORK_NAMES,
    NetworkConfig,
    build,
    build_without_memory,
    config_from_dict,
    config_to_dict,
    named_config,
)

__all__ = [
    "ESTIMATOR",
    "MSTSGM",
    "NETWORK_NAMES",
    "MIMOUNet",
    "MIMOUNetConfig",
    "MSTSGMConfig",
    "NetworkConfig",
    "Restored",
    "build",
    "build_without_memory",
    "config_from_dict",
    "config_to_dict",
    "named_config",
    "picture_pyramid",
]
