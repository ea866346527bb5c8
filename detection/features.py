"""How far a restored picture is from the sharp one in a detector's eyes: a loss term that a frozen detector teaches.

Feature losses come from Johnson, Alahi and Fei-Fei, "Perceptual losses for real-time style transfer and
super-resolution" (ECCV 2016), with a classifier; here the eyes are those of the detector that will look at the restored
pictures. Training takes `DetectorFeatures.distance` as a callable, so that ``deblur`` needs to know nothing of
detectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from detection.errors import DetectionError
from detection.teacher import FrozenDetector, padded_to_stride
from detection.yolo import STRIDE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class DetectorFeatures(FrozenDetector):
    """The first layers of a frozen YOLO network, and the feature maps they make at chosen strides.

    For each stride the map is the one that its stage of the backbone ends with: what the deeper layers, and at 8 and 16
    the detector's neck, get to see. The layers are found by a trial run; for yolov8n, yolo11n and yolo26n, strides 4, 8
    and 16 are layers 2, 4 and 6. Nothing behind the last of them is kept or run.

    The distance is the L1 distance of each map in units of the sharp map's mean magnitude, mean over the maps. The
    units make strides and detectors comparable: about 0 for the same picture, of the order of 1 where a picture has
    nothing in common with the other.

    Attributes:
        layers: stride to index of the layer, ascending.
    """

    def __init__(self, weights: str | Path = "yolo26n", strides: Sequence[int] = (4, 8, 16)) -> None:
        """Load the layers, on the CPU; move them with ``to(device)``.

        Args:
            weights: a name such as ``yolo26n`` or a file, see `detection.weights.find_weights`.
            strides: of the maps, in pixels.

        Raises:
            DetectionError: the weights are not there or the network has no map of a stride.
        """
        super().__init__(weights)
        layers = self.body.model
        stages = _stages(layers)
        missing = [stride for stride in strides if stride not in stages]
        if missing or not strides:
            raise DetectionError(f"{self.name} has feature maps at strides {sorted(stages)}, not at {list(strides)}")
        self.layers = {stride: stages[stride] for stride in sorted(strides)}
        self.body = nn.Sequential(*layers[: max(self.layers.values()) + 1]).eval()

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The feature maps of pictures, in float32 whatever autocast says.

        Args:
            pictures: (B, 3, H, W) RGB in [0, 1], of any size. Sides are padded right and below to a multiple of 32 with
                the grey that detectors know as padding.

        Returns:
            One (B, C, H / stride, W / stride) a stride, ascending, of the padded size.
        """
        with torch.autocast(pictures.device.type, enabled=False):
            grown = padded_to_stride(pictures)
            wanted = set(self.layers.values())
            maps = []
            for index, layer in enumerate(self.body):
                grown = layer(grown)
                if index in wanted:
                    maps.append(grown)
        return tuple(maps)

    def _apart(self, found: tuple[torch.Tensor, ...], target: tuple[torch.Tensor, ...]) -> torch.Tensor:
        tiny = torch.finfo(torch.float32).eps
        distances = [
            F.l1_loss(each, wanted) / wanted.abs().mean().clamp_min(tiny)
            for each, wanted in zip(found, target, strict=True)
        ]
        return torch.stack(distances).mean()


def _stages(layers: nn.Sequential) -> dict[int, int]:
    """Stride to index of the last layer of that stride, along the backbone.

    The backbone ends where maps grow, or where a layer takes more than the one before: the neck that follows makes the
    same strides again, from mixed depths.
    """
    side = 8 * STRIDE
    stages: dict[int, int] = {}
    with torch.no_grad():
        grown = torch.zeros(1, 3, side, side)
        for index, layer in enumerate(layers):
            if layer.f != -1:
                break
            grown = layer(grown)
            stride = side // grown.shape[-1]
            if stages and stride < max(stages):
                break
            stages[stride] = index
    return stages
