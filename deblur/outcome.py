"""What comes of restoring a picture, beside the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Outcome(NamedTuple):
    """A restored picture, and what the deblurrer found out about its blur.

    Attributes:
        picture: (H, W, 3) RGB uint8, or inside this package float32 in [0, 255].
        believed: mean weight, from 0 to 1, of the restoration along the camera's path, given or found; the rest is
            restored without it. Near 0 the picture contradicts the path, perhaps because the clock or the focal length
            is wrong. None where there was no path, or where nothing was restored because nothing moved.
        spread: how long the blur is, as a share of the picture's longer side: the root mean square distance of a
            kernel's mass from its centroid, averaged over the picture. It is computed from the given path, or else from
            the guide's estimate; None where it was not measured.
    """

    picture: NDArray[Any]
    believed: float | None = None
    spread: float | None = None
