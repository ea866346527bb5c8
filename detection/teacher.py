"""A frozen detector that says how far a restored picture is from the sharp one: what its teachers have in common.

What of the detector is compared is in `detection.features`, `detection.objects` and `detection.answers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from detection.weights import find_weights, sha256_of
from detection.yolo import PADDING, STRIDE, load_network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class FrozenDetector(nn.Module, ABC):
    """A detector's network as a measure of distance.

    The network never changes: no parameter takes a gradient, and batch norm keeps its statistics, also after
    ``train()``.

    Attributes:
        name: stem of the weights' file.
        sha256: its hash, for the card of what was trained with it.
        body: the network, or what of it is run.
    """

    def __init__(self, weights: str | Path = "yolo26n") -> None:
        """Load the network, on the CPU; ``distance`` moves it to the pictures that it is asked about.

        Args:
            weights: a name such as ``yolo26n`` or a file, see `detection.weights.find_weights`.

        Raises:
            DetectionError: the weights are not there or are no YOLO detector.
        """
        super().__init__()
        path = find_weights(weights)
        self.name = path.stem
        self.sha256 = sha256_of(path)
        self.body: Any = load_network(path)
        self.requires_grad_(requires_grad=False).eval()

    def distance(self, restored: torch.Tensor, sharp: torch.Tensor) -> torch.Tensor:
        """How far what the detector makes of two pictures lies apart; 0 for the same picture.

        Args:
            restored: (B, 3, H, W) RGB in [0, 1]; the gradient flows into it.
            sharp: the same shape; no gradient.

        Returns:
            A scalar.
        """
        if restored.shape != sharp.shape:
            raise ValueError(
                f"restored is {tuple(restored.shape)} and sharp {tuple(sharp.shape)}: pairs have one shape"
            )
        # What a network keeps for the next time (its anchors of a size, its weights on another device) must be fit for
        # training, also where validation asks first.
        learning = torch.is_grad_enabled()
        with torch.inference_mode(mode=False), torch.set_grad_enabled(learning):
            self.to(restored.device)
            with torch.no_grad():
                targets = self(sharp)
            return self._apart(self(restored), targets)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, also inside a module that goes into training mode."""
        return super().train(mode=False)

    @abstractmethod
    def _apart(self, found: Any, target: Any) -> torch.Tensor:
        """The distance of what ``forward`` gives on the restored and on the sharp picture."""


def padded_to_stride(pictures: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) pictures as float32, padded right and below to a multiple of 32 with the detectors' grey."""
    height, width = pictures.shape[-2:]
    return F.pad(pictures.float(), (0, -width % STRIDE, 0, -height % STRIDE), value=PADDING / 255)


def raw_answers(network: nn.Module, pictures: torch.Tensor) -> tuple[Mapping[str, Any], ...]:
    """What each of a YOLO network's heads, one or two, answers before boxes are decoded, in float32.

    Args:
        network: in evaluation mode.
        pictures: (B, 3, H, W) RGB in [0, 1], of any size, padded as by `padded_to_stride`.

    Returns:
        Mappings with ``scores``, logits (B, classes, A) at A anchors, ``boxes`` (B, 4 or 64, A), and ``feats``, what
        the head reads. Of two heads, the one that answers at every place of an object comes first.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        raw: Mapping[str, Any] = network(padded_to_stride(pictures))[1]
    return (raw["one2many"], raw["one2one"]) if "one2many" in raw else (raw,)
