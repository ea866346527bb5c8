"""At which size a picture is restored: as it is, or smaller where its blur is longer than a network can undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOK_SIDE = 640
"""Longer side, in pixels, of the copy that shows how long a picture's blur is; smaller than that none is restored."""
LONGEST_SPREAD = 8.5
"""Root mean square distance of a kernel's mass from its centroid, in pixels, up to which it is best undone as it is.

Found on 34 photographs of 1280 pixels, shaken by 16 to 56 of them (docs/training-log.md).
"""
_SEEN = 2  # times the side that is seen: more pixels are worth nothing to who sees so few
_WORTH_IT = 0.9  # a size nearer to the picture's than that would change little


def wanted_side(longest: int, seen_side: int | None) -> int:
    """The longer side of what is restored of a picture, where somebody looks at a copy of ``seen_side`` pixels."""
    return longest if seen_side is None else min(longest, _SEEN * seen_side)


def fitting_side(side: int, spread: float) -> int:
    """The longer side at which a picture is best restored.

    Args:
        side: the longest that is wanted.
        spread: of the blur's kernels, in pixels of a copy whose longer side is ``LOOK_SIDE``.
    """
    fitting = LOOK_SIDE * LONGEST_SPREAD / max(spread, 1e-6)
    return side if fitting >= _WORTH_IT * side else min(side, max(LOOK_SIDE, round(fitting)))


def carry_over(picture: NDArray[np.uint8], smaller: NDArray[np.uint8], restored: NDArray[Any]) -> NDArray[np.float32]:
    """What was restored in a smaller copy, brought to the picture: it keeps what the copy does not show of it.

    Args:
        picture: RGB uint8 (H, W, 3).
        smaller: the copy (h, w, 3).
        restored: the copy restored (h, w, 3), uint8 or float32 in [0, 255].

    Returns:
        The picture and the copy's change, scaled up: (H, W, 3) float32 in [0, 255].
    """
    change = torch.from_numpy(restored.astype(np.float32) - smaller).permute(2, 0, 1)[None]
    grown = F.interpolate(change, picture.shape[:2], mode="bicubic", align_corners=False)[0].permute(1, 2, 0)
    return np.clip(picture + grown.numpy(), 0, 255)
