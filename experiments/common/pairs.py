"""Pairs of a blurred and a sharp picture, as `deblur.picture_folders.match_pictures` finds them."""

from __future__ import annotations

from pathlib import Path

from deblur.errors import DeblurError
from deblur.pictures import picture_size

Pairs = list[tuple[str, Path, Path]]
"""(key, blurred, sharp), sorted by key."""


def check_pair_sizes(pairs: Pairs) -> None:
    """Refuse pairs of two sizes.

    Raises:
        DeblurError: a blurred and a sharp picture differ in size, or one cannot be read.
    """
    for _, blurred, sharp in pairs:
        (width, height), (other_width, other_height) = (picture_size(file) for file in (blurred, sharp))
        if (width, height) != (other_width, other_height):
            raise DeblurError(
                f"{blurred} is {width}x{height}, {sharp} is {other_width}x{other_height}; a pair has one size"
            )
