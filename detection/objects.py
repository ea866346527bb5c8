"""How far a restored picture is from the sharp one where a detector sees objects: a loss term that teaches a network.

Features of a backbone weigh all of a picture alike, and its first layers come nearer when texture does, whatever
becomes of the objects. Here the maps are those that the detector's head reads, and what counts is where the sharp
picture has objects, as in distilling detectors (Chen et al., "Learning efficient object detection models with
knowledge distillation", NeurIPS 2017; Wang et al., "Distilling object detectors with fine-grained feature imitation",
CVPR 2019). The sharp picture's own scores say where that is, so no annotations are needed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detection.teacher import FrozenDetector, raw_answers

_ELSEWHERE = 0.005
"""What a place without an object counts, beside 1 for a certain one: nothing is to be seen there that is not there."""


class DetectorObjects(FrozenDetector):
    """A frozen YOLO network up to its head, and where it sees objects.

    The distance is the sum of the absolute differences of the maps that the head reads, weighted by the highest score
    of the sharp picture at each place (0.005 more everywhere), in units of the sharp maps' own weighted sum. The sums
    run over all maps and the batch: an object counts in the map that tells of its size, and crops without objects
    count little.
    """

    def forward(self, pictures: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """What the head reads and how sure it is of an object, in float32 whatever autocast says.

        Args:
            pictures: (B, 3, H, W) RGB in [0, 1], of any size, padded as by `padded_to_stride`.

        Returns:
            For strides 8, 16 and 32 the map (B, C, h, w) and the highest class score (B, 1, h, w) in [0, 1].
        """
        # Of two heads, the one that is trained to answer at every place of an object.
        head = raw_answers(self.body, pictures)[0]
        maps = head["feats"]
        scores = head["scores"].sigmoid().amax(1, keepdim=True).split([each[0, 0].numel() for each in maps], 2)
        return tuple((each, score.view(-1, 1, *each.shape[-2:])) for each, score in zip(maps, scores, strict=True))

    def _apart(
        self,
        found: tuple[tuple[Tensor, Tensor], ...],
        target: tuple[tuple[Tensor, Tensor], ...],
    ) -> Tensor:
        parts = []
        for (each, _), (wanted, objects) in zip(found, target, strict=True):
            weights = objects + _ELSEWHERE
            parts.append(torch.stack([(weights * part.abs()).sum() for part in (each - wanted, wanted)]))
        apart, size = torch.stack(parts).sum(0)
        return apart / size.clamp_min(torch.finfo(size.dtype).eps)
