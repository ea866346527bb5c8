"""Tiles: they cover a picture once, fit the limit, and put back what they were given."""

from __future__ import annotations

import random

import numpy as np
import pytest

from deblur.tiling import MIN_SIDE, OVERLAP, plan_axis, restore_in_tiles, tile_size


@pytest.mark.parametrize("multiple", [4, 8, 16])
def test_shares_add_up_to_one_and_tiles_fit_the_limit(multiple: int) -> None:
    chance = random.Random(multiple)
    for _ in range(300):
        height, width = chance.randint(1, 6000), chance.randint(1, 6000)
        limit = chance.randint(MIN_SIDE**2, 1 << 21)
        tile_height, tile_width = tile_size(height, width, limit, multiple)
        assert tile_height <= height
        assert tile_width <= width
        assert tile_height * tile_width <= limit
        for length, tile in ((height, tile_height), (width, tile_width)):
            shares = np.zeros(length)
            for span in plan_axis(length, tile, multiple):
                assert span.start % multiple == 0
                assert 0 < span.stop - span.start < tile + multiple
                shares[span.start : span.stop] += span.weights
            np.testing.assert_allclose(shares, 1, atol=1e-6)


def test_tiles_have_the_side_that_is_asked_for() -> None:
    chance = random.Random(0)
    for _ in range(100):
        height, width, least = chance.randint(1, 3000), chance.randint(1, 3000), chance.randint(MIN_SIDE, 600)
        limit = chance.randint(least**2, 1 << 20)
        tile_height, tile_width = tile_size(height, width, limit, 8, least)
        assert min(height, least) <= tile_height
        assert min(width, least) <= tile_width
        assert tile_height * tile_width <= limit


def test_a_tile_gives_nothing_near_its_cut_edges() -> None:
    first, second, third = plan_axis(1000, 424, 8)
    margin = OVERLAP // 4
    assert (first.start, third.stop) == (0, 1000)
    assert first.weights[0] == third.weights[-1] == 1
    assert not second.weights[:margin].any()
    assert not second.weights[-margin:].any()
    assert first.stop - second.start >= OVERLAP


def test_work_beside_the_picture_is_small_at_usual_sizes() -> None:
    for height, width in ((1080, 1920), (2160, 3840), (4000, 6000)):
        tile_height, tile_width = tile_size(height, width, 1 << 20, 8)
        tiles = len(plan_axis(height, tile_height, 8)) * len(plan_axis(width, tile_width, 8))
        assert tiles * tile_height * tile_width < 1.4 * height * width


def test_too_small_a_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 102400"):
        tile_size(500, 500, MIN_SIDE**2 - 1, 8)


@pytest.mark.parametrize(("height", "width"), [(MIN_SIDE + 1, 901), (700, 40), (1, 200_000), (777, 333)])
def test_tiles_that_change_nothing_give_the_picture_back(height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    sizes = []

    def restore(tile: np.ndarray, left: int, top: int) -> np.ndarray:
        sizes.append(tile.shape[0] * tile.shape[1])
        np.testing.assert_array_equal(tile[0, 0], picture[top, left])
        return tile.astype(np.float32)

    np.testing.assert_array_equal(restore_in_tiles(picture, restore, MIN_SIDE**2, 8), picture)
    assert len(sizes) > 1 or height * width <= MIN_SIDE**2
    assert max(sizes) <= MIN_SIDE**2 + 8 * max(height, width, MIN_SIDE)


@pytest.mark.parametrize(("more", "rounded"), [(0.3, 0), (0.7, 1)])
def test_what_tiles_give_between_two_levels_is_rounded_to_the_nearest(more: float, rounded: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (MIN_SIDE, 700, 3), np.uint8)

    def restore(tile: np.ndarray, left: int, top: int) -> np.ndarray:
        return tile.astype(np.float32) + np.float32(more)

    np.testing.assert_array_equal(restore_in_tiles(picture, restore, MIN_SIDE**2, 8), picture + rounded)


def test_tiles_that_disagree_meet_without_a_step() -> None:
    picture = np.zeros((MIN_SIDE, 1200, 3), np.uint8)
    levels = iter([100, 140, 90, 150, 110, 130])

    def restore(tile: np.ndarray, left: int, top: int) -> np.ndarray:
        return np.full(tile.shape, next(levels), np.float32)

    row = restore_in_tiles(picture, restore, MIN_SIDE**2, 8)[0, :, 0].astype(int)
    assert row.min() >= 90
    assert row.max() - row.min() > 30
    assert np.abs(np.diff(row)).max() <= 1
