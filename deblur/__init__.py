"""Image deblurring: networks, losses, blur synthesis, paired data, training, and restoring a picture."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur.deblurrer import Deblurrer as Deblurrer

__all__ = ["Deblurrer"]


def __getattr__(name: str) -> Any:
    """Load ``Deblurrer`` on first use, so that command lines start without importing torch."""
    if name == "Deblurrer":
        from deblur.deblurrer import Deblurrer

        return Deblurrer
    raise AttributeError(f"module 'deblur' has no attribute {name!r}")
