"""Another teacher of a network than the sharp pictures: a measure of what restored pictures are for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

DetectorDistance = Callable[[Tensor, Tensor], Tensor]
"""How far what a detector makes of restored pictures lies from what it makes of the sharp ones.

Of (B, 3, H, W) RGB in [0, 1] both, restored and sharp, a scalar; differentiable in the first.
"""


@dataclass(frozen=True)
class Teacher:
    """A detector's distance as a term of the loss.

    Attributes:
        distance: measured at every validation, and at the steps that it teaches.
        weight: of the distance in the loss; 0 only measures it.
        first_step: that it teaches at, of steps counted from 0.
        identity: whose distance it is. A run that goes on with another one begins anew to look for its best weights.
    """

    distance: DetectorDistance
    weight: float
    first_step: int
    identity: str

    def teaches_at(self, step: int) -> bool:
        """Whether the distance is in the loss of a step; at a weight of 0 no step pays for it."""
        return self.weight > 0 and step >= self.first_step
