"""How far a restored picture is from the sharp one where a detector sees objects: a loss term that teaches a network.

Features of a backbone weigh all of a picture alike, and its first layers come nearer when texture does, whatever
becomes of the objects. Here the maps are those that the detector's head reads, and what counts is where the sharp
picture has objects, as in distilling detectors (Chen et al., "Learning efficient object detection models with
knowledge distillation", NeurIPS 2017; Wang et al., "Distilling object detectors with fine-grained feature imitation",
CVPR 2019). The sharp picture's own scores say where that is, so no annotations are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detection.weights import find_weights, sha256_of
from detection.yolo import PADDING, load_network, reduced, stride_of

if TYPE_CHECKING:
    from pathlib import Path

_ELSEWHERE = 0.005
"""What a place without an object counts, beside 1 for a certain one: nothing is to be seen there that is not there."""


class DetectorTeacher(nn.Module):
    """A frozen YOLO network up to its head, and where it sees objects.

    The distance is the sum of the absolute differences of the maps that the head reads, weighted by the highest score
    of the sharp picture at each place (0.005 more everywhere), in units of the sharp maps' own weighted sum. The sums
    run over all maps and the batch: an object counts in the map that tells of its size, and crops without objects
    count little.

    The network never changes: no parameter takes a gradient, and batch norm keeps its statistics, also after
    ``train()``.

    Attributes:
        sha256: of the weights' file, which says whose distance it is.
        body: the network.
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
        self.sha256 = sha256_of(path)
        self.body: Any = load_network(path)
        self.requires_grad_(requires_grad=False).eval()

    def __reduce__(self) -> tuple[Any, ...]:
        """As of a detector: another process has to import ultralytics as this one did, and first."""
        return reduced(self)

    def distance(self, restored: Tensor, sharp: Tensor) -> Tensor:
        """Distance between the detector's feature maps of restored and of sharp pictures, as the class defines it.

        Args:
            restored: (B, 3, H, W) RGB in [0, 1]; the gradient flows into it.
            sharp: the same shape; no gradient.

        Returns:
            A scalar, 0 for equal pictures.

        Raises:
            ValueError: the shapes differ.
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
            parts = []
            for (found, _), (wanted, objects) in zip(self(restored), targets, strict=True):
                weights = objects + _ELSEWHERE
                parts.append(torch.stack([(weights * part.abs()).sum() for part in (found - wanted, wanted)]))
            apart, size = torch.stack(parts).sum(0)
            return apart / size.clamp_min(torch.finfo(size.dtype).eps)

    def forward(self, pictures: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """What the head reads and how sure it is of an object, in float32 whatever autocast says.

        Args:
            pictures: (B, 3, H, W) RGB in [0, 1], of any size. Sides are padded right and below to a multiple of
                `stride_of` the network with the grey that detectors know as padding.

        Returns:
            For strides 8, 16 and 32 (and 64 of a P6 network) the map (B, C, h, w) and the highest class score
            (B, 1, h, w) in [0, 1].
        """
        height, width = pictures.shape[-2:]
        stride = stride_of(self.body)
        with torch.autocast(pictures.device.type, enabled=False):
            padded = F.pad(pictures.float(), (0, -width % stride, 0, -height % stride), value=PADDING / 255)
            answers = self.body(padded)[1]
        # Of two heads, the one that is trained to answer at every place of an object.
        head = answers.get("one2many", answers)
        maps = head["feats"]
        scores = head["scores"].sigmoid().amax(1, keepdim=True).split([each[0, 0].numel() for each in maps], 2)
        return tuple((each, score.view(-1, 1, *each.shape[-2:])) for each, score in zip(maps, scores, strict=True))

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, also inside a module that goes into training mode."""
        return super().train(mode=False)
