"""How far a detector's answers on a restored picture are from those on the sharp one: a loss term beside its features.

Features weigh all of a picture alike, and most of it is background. Answers weigh what average precision is made of:
the classes and boxes that the detector gives on the sharp picture. The sharp picture's answers are the teacher, so no
annotations are needed (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015; the score term
is the quality focal loss of Li et al., NeurIPS 2020, whose targets are scores between 0 and 1).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from detection.teacher import FrozenDetector, raw_answers

_LEAST_SCORES = 1.0  # what a batch without objects is divided by


class DetectorAnswers(FrozenDetector):
    """A frozen YOLO network with its head.

    The distance is the mean over the heads of that of scores plus that of boxes. Of scores it is the quality focal
    loss, the cross entropy times the squared difference, summed and divided by the sum of the sharp picture's scores;
    of boxes the mean absolute difference where the sharp picture has objects, in units of its mean magnitude there.
    """

    def forward(self, pictures: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """What each of the network's heads answers, in float32 whatever autocast says.

        Args:
            pictures: (B, 3, H, W) RGB in [0, 1], of any size, padded as by `padded_to_stride`.

        Returns:
            For each head, one or two, logits of the scores (B, classes, A) at A anchors, and what the boxes are decoded
            from (B, 4 or 64, A).
        """
        heads = raw_answers(self.body, pictures)
        return tuple((head["scores"], head["boxes"]) for head in heads)

    def _apart(
        self,
        found: tuple[tuple[Tensor, Tensor], ...],
        target: tuple[tuple[Tensor, Tensor], ...],
    ) -> Tensor:
        return torch.stack([_head_apart(*each, *wanted) for each, wanted in zip(found, target, strict=True)]).mean()


def _head_apart(scores: Tensor, boxes: Tensor, wanted: Tensor, wanted_boxes: Tensor) -> Tensor:
    truth = wanted.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(scores, truth, reduction="none")
    wrong = ((scores.sigmoid() - truth).square() * entropy).sum() / truth.sum().clamp_min(_LEAST_SCORES)
    objects = truth.amax(1, keepdim=True)
    apart, size = ((objects * each.abs()).sum() for each in (boxes - wanted_boxes, wanted_boxes))
    return wrong + apart / size.clamp_min(torch.finfo(size.dtype).eps)
