"""What comes of restoring a picture, beside the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Outcome(NamedTuple):
    """A restored picture, and what whoever restored it saw of its blur.

    Attributes:
        picture: (H, W, 3) RGB uint8, or inside this package float32 in [0, 255].
        believed: share of it, from 0 to 1, that came of a camera's path, told or found: near 0 the picture speaks
            against the path, by another clock or focal length as it may be. None where there was none, or nothing was
            restored since nothing moved.
        spread: how long the blur is, by the path that was told or else by what a guide sees, as a share of the
            picture's longer side: root mean square distance of a kernel's mass from its centroid, mean over the
            picture. None where nobody looked.
    """

    picture: NDArray[Any]
    believed: float | None = None
    spread: float | None = None
