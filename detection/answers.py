"""How far a detector's answers on a restored picture are from those on the sharp one: a loss term beside its features.

Features weigh all of a picture alike, and most of it is background. Answers weigh what average precision is made of:
the classes and boxes that the detector gives on the sharp picture. The sharp picture's answers are the teacher, so no
annotations are needed (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015; the score term
is the quality focal loss of Li et al., NeurIPS 2020, whose targets are scores between 0 and 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from detection.features import padded_to_stride
from detection.weights import find_weights, sha256_of
from detection.yolo import load_network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LEAST_SCORES = 1.0  # what a batch without objects is divided by


class DetectorAnswers(nn.Module):
    """A frozen YOLO network with its head.

    The network never changes: no parameter takes a gradient, and batch norm keeps its statistics, also after
    ``train()``.

    Attributes:
        name: stem of the weights' file.
        sha256: its hash, for the card of what was trained with it.
    """

    def __init__(self, weights: str | Path = "yolo26n") -> None:
        """Load the network, on the CPU; move it with ``to(device)``.

        Args:
            weights: a name such as ``yolo26n`` or a file, see `detection.weights.find_weights`.

        Raises:
            DetectionError: the weights are not there or are no YOLO detector.
        """
        super().__init__()
        path = find_weights(weights)
        self.name = path.stem
        self.sha256 = sha256_of(path)
        self.body = load_network(path)
        self.requires_grad_(requires_grad=False).eval()

    def forward(self, pictures: torch.Tensor) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """What each of the network's heads answers, in float32 whatever autocast says.

        Args:
            pictures: (B, 3, H, W) RGB in [0, 1], of any size, padded as `DetectorFeatures.forward` does it.

        Returns:
            For each head, one or two, logits of the scores (B, classes, A) at A anchors, and what the boxes are decoded
            from (B, 4 or 64, A).
        """
        with torch.autocast(pictures.device.type, enabled=False):
            raw: Mapping[str, Any] = self.body(padded_to_stride(pictures))[1]
        heads = raw.values() if "one2many" in raw else (raw,)
        return tuple((head["scores"], head["boxes"]) for head in heads)

    def distance(self, restored: torch.Tensor, sharp: torch.Tensor) -> torch.Tensor:
        """Mean over the heads of the distance of scores and boxes.

        Of scores it is the quality focal loss, the cross entropy times the squared difference, summed and divided by
        the sum of the sharp picture's scores; of boxes the mean absolute difference where the sharp picture has
        objects, in units of its mean magnitude there. 0 for the same picture.

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
        with torch.no_grad():
            targets = self(sharp)
        terms = []
        for (scores, boxes), (wanted, wanted_boxes) in zip(self(restored), targets, strict=True):
            truth = wanted.sigmoid()
            entropy = F.binary_cross_entropy_with_logits(scores, truth, reduction="none")
            wrong = ((scores.sigmoid() - truth).square() * entropy).sum() / truth.sum().clamp_min(_LEAST_SCORES)
            objects = truth.amax(1, keepdim=True)
            apart, size = ((objects * each.abs()).sum() for each in (boxes - wanted_boxes, wanted_boxes))
            terms.append(wrong + apart / size.clamp_min(torch.finfo(size.dtype).eps))
        return torch.stack(terms).mean()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, also inside a module that goes into training mode."""
        return super().train(mode=False)
