"""Cutting a large picture into overlapping tiles and putting the results together without seams."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

OVERLAP = 128  # pixels that neighbours share: the inner half is blended, the outer quarters are context and thrown away
MIN_SIDE = 320  # of a tile that is cut along an axis: its blended parts must not touch


@dataclass(frozen=True)
class Span:
    """One tile along one axis.

    Attributes:
        start: first pixel.
        stop: one past the last pixel.
        weights: (stop - start,) float32, the tile's share of each pixel. The shares of all tiles add up to 1.
    """

    start: int
    stop: int
    weights: NDArray[np.float32]


def tile_size(height: int, width: int, max_pixels: int, multiple: int, least_side: int = MIN_SIDE) -> tuple[int, int]:
    """Height and width of the tiles that cover a picture with the fewest pixels in all.

    Along each axis a tile is as long as the picture, or has at least ``least_side`` pixels.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        max_pixels: the most pixels that one tile of this size may have; the last ones of `plan_axis` may be longer.
        multiple: tiles start at multiples of this.
        least_side: of a tile that is cut along an axis; ``MIN_SIDE`` or more.

    Raises:
        ValueError: ``max_pixels`` is less than the square of ``least_side``.
    """
    if max_pixels < least_side**2:
        raise ValueError(f"tiles need at least {least_side**2} pixels, not {max_pixels}")
    covers: list[tuple[int, int, int]] = []
    for rows in itertools.count(1):
        tile_height = _side(height, rows, multiple, least_side)
        allowed = max_pixels // tile_height
        if width <= allowed or allowed >= least_side:
            columns = next(n for n in itertools.count(1) if _side(width, n, multiple, least_side) <= allowed)
            tile_width = _side(width, columns, multiple, least_side)
            covers.append((rows * columns * tile_height * tile_width, tile_height, tile_width))
        if tile_height <= least_side:
            break
    return min(covers)[1:]


def plan_axis(length: int, tile: int, multiple: int) -> list[Span]:
    """Spread tiles of ``tile`` pixels evenly over ``length``, neighbours sharing ``OVERLAP`` pixels or more.

    Every start is a multiple of ``multiple``, so that a network that reduces its input by that factor sees the same
    grid in a tile as in the whole picture. So the last one, which ends at the edge, may be longer than ``tile``, by up
    to ``multiple`` - 1 pixels.
    """
    if tile >= length:
        return [Span(0, length, np.ones(length, np.float32))]
    # Rounding starts down may take up to multiple - 1 pixels from an overlap; the last tile ends at the edge.
    step = tile - OVERLAP - multiple
    count = math.ceil((length - tile) / step) + 1
    starts = [(length - tile) * i // (count - 1) // multiple * multiple for i in range(count)]
    stops = [start + tile for start in starts[:-1]] + [length]
    middles = [(stop + start) / 2 for stop, start in zip(stops, starts[1:], strict=False)]
    edges = [-math.inf, *middles, math.inf]
    return [
        Span(start, stop, _share(np.arange(start, stop) + 0.5, before, after))
        for start, stop, (before, after) in zip(starts, stops, itertools.pairwise(edges), strict=True)
    ]


def restore_in_tiles(
    picture: NDArray[np.uint8],
    restore: Callable[[NDArray[np.uint8], int, int], NDArray[np.float32]],
    max_pixels: int,
    multiple: int,
    least_side: int = MIN_SIDE,
) -> NDArray[np.uint8]:
    """Restore a picture tile by tile.

    Beside the picture and the result, only one row of tiles is held, as float32.

    Args:
        picture: (H, W, 3).
        restore: takes a tile (h, w, 3) uint8 and the x and y of its first pixel, and returns it restored, (h, w, 3)
            float32 in [0, 255].
        max_pixels: the most pixels a tile has, but for the last ones of a row or column; see `plan_axis`.
        multiple: tiles start at multiples of this.
        least_side: of a tile that is cut along an axis; ``MIN_SIDE`` or more.

    Returns:
        The restored picture, (H, W, 3).
    """
    height, width = picture.shape[:2]
    tile_height, tile_width = tile_size(height, width, max_pixels, multiple, least_side)
    rows, columns = plan_axis(height, tile_height, multiple), plan_axis(width, tile_width, multiple)
    restored = np.empty_like(picture)
    unfinished = np.zeros((0, width, 3), np.float32)  # what earlier rows of tiles gave to this row's first lines
    for number, row in enumerate(rows):
        band = np.zeros((row.stop - row.start, width, 3), np.float32)
        band[: len(unfinished)] = unfinished
        for column in columns:
            tile = restore(picture[row.start : row.stop, column.start : column.stop], column.start, row.start)
            share = row.weights[:, None, None] * column.weights[None, :, None]
            band[:, column.start : column.stop] += share * tile
        finished = (rows[number + 1].start if number + 1 < len(rows) else height) - row.start
        restored[row.start : row.start + finished] = np.rint(band[:finished])
        unfinished = band[finished:]
    return restored


def _side(length: int, count: int, multiple: int, least_side: int) -> int:
    """The side of ``count`` tiles that just cover ``length`` with their overlaps and the rounding of their starts."""
    if count == 1:
        return length
    shared = (count - 1) * (OVERLAP + multiple)
    side = math.ceil((length + shared) / count / multiple) * multiple
    return min(max(side, least_side), length)


def _share(centers: NDArray[np.floating], before: float, after: float) -> NDArray[np.float32]:
    """A tile's share at pixel centres: 1 between the middles of its overlaps, a straight ramp across each."""
    ramp = OVERLAP / 2
    rising = np.clip((centers - before) / ramp + 0.5, 0, 1)
    falling = np.clip((after - centers) / ramp + 0.5, 0, 1)
    return np.minimum(rising, falling).astype(np.float32)
