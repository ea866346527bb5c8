"""What of training's options is refused before any data is read: what would do nothing, or fail hours later."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from deblur.blur import parse_blur
from deblur.errors import DeblurError
from deblur.networks.guided import GuidedNetwork
from deblur.networks.kernel_estimator import KernelEstimator
from deblur.training.mix import parse_blur_range
from deblur.training.network_choice import NEEDS_ESTIMATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from deblur.training.options import TrainingOptions


def check_training(options: TrainingOptions) -> None:
    """Refuse what would only fail after the data has been read.

    Raises:
        DeblurError: the options leave nothing to learn from, validate on one thing twice, or need a package that is not
            there.
    """
    if not (options.content or options.frequency):
        raise DeblurError("--content 0 --frequency 0 leaves nothing that ties pictures to sharp ones; set one of them")
    if not options.blur and (options.sharp or options.frames):
        raise DeblurError("--blur is empty: --sharp and --frames need at least one kind, such as shake:1-32")
    kinds = {parse_blur_range(text).spec.kind for text in options.blur}
    if options.sharp and options.rolling_share and "shake" not in kinds:
        raise DeblurError("--rolling-share needs a --blur shake, and none is given: add one, or give --rolling-share 0")
    blurred = options.sharp or options.val_sharp
    _refuse_twice("--val-blur", [str(parse_blur(text)) for text in options.val_blur if blurred])
    _refuse_twice("--val-pairs", [str(Path(text)) for text in options.val_pairs])
    _refuse_twice("--val-sharp", [str(Path(text)) for text in options.val_sharp])
    if options.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise DeblurError("--tensorboard needs the package tensorboard: install it, or leave the option out")


def validates(options: TrainingOptions) -> bool:
    """Whether the options ask for pictures to validate on."""
    return bool(options.val_pairs or (options.val_blur and (options.val_sharp or (options.sharp and options.hold_out))))


def _refuse_twice(option: str, names: Sequence[str]) -> None:
    """Scores and samples go by these names, and a set that is validated on twice counts twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DeblurError(f"{option} {twice} is there twice: leave one out")


def check_fit(options: TrainingOptions, network: nn.Module) -> None:
    """Refuse options that the network has no use for, or that it lacks.

    Raises:
        DeblurError: it is guided and has no estimator, or is not and has options of one, and so on.
    """
    guided = isinstance(network, GuidedNetwork)
    if guided and not (options.estimator or options.init):
        raise DeblurError(NEEDS_ESTIMATOR)
    if not guided and (options.estimator or options.context or options.path_share):
        raise DeblurError(
            "--estimator, --context and --path-share are for guided networks, and "
            f"{options.network or options.init} here is none"
        )
    config: Any = network.config
    if not guided and getattr(config, "guide_channels", 0) > 0:
        raise DeblurError("--set guide_channels asks for a guide and names none: write --set guide=true, --estimator")
    if options.freeze_norm and not has_batch_norm(network):
        raise DeblurError("--freeze-norm: this network has no batch norm, which only EAGR brings; leave the option out")
    if isinstance(network, KernelEstimator) and (options.pairs or options.frames):
        raise DeblurError("an estimator learns from kernels that are known: give it --sharp pictures alone")


def check_statistics(
    options: TrainingOptions, network: nn.Module, crops: Sequence[tuple[float, int]], at_once: int
) -> None:
    """Refuse crops of which the coarsest scale has one pixel a step: batch norm cannot learn from that.

    Args:
        options: of training.
        network: that is trained.
        crops: from which share of the run on, and their sides in pixels, as ``parse_crops`` reads them.
        at_once: crops a step of one process.

    Raises:
        DeblurError: the crops are too small for a network that learns batch norm.
    """
    smallest, lone = min(side for _, side in crops), at_once == options.accumulate
    learns = has_batch_norm(network) and not options.freeze_norm
    if lone and learns and smallest <= cast("int", network.multiple):
        raise DeblurError(
            f"--crop {smallest}, one at a time, leaves batch norm a single pixel to learn from: give larger ones, "
            "more of them at once (--batch, --accumulate), or --freeze-norm"
        )


def has_batch_norm(network: nn.Module) -> bool:
    """Whether statistics of batches are learnt."""
    return any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
