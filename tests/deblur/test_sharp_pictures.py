"""What has no blur stays as it is, and a guided network spends no more than a look on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur import BlurSpec, synthesize_with_motion
from deblur.blur.motion import still
from deblur.exposure.kernels import SHARP, Belief, Exposure, known, sharpness
from deblur.pictures import scale_down

if TYPE_CHECKING:
    from numpy.typing import NDArray


def photograph() -> NDArray[np.uint8]:
    """(400, 400, 3), as sharp as pixels can be."""
    return scale_down(photographs.astronaut(), 400)


@pytest.fixture(scope="module")
def guided() -> Deblurrer:
    return Deblurrer.load("mstsgm-guided", "cpu")


@pytest.fixture
def passes(guided: Deblurrer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each pass through the network behind the guide restores."""
    seen: list[int] = []
    network = guided._network.network
    run = network.forward

    def watch(x: torch.Tensor, *args: object, **options: object) -> object:
        seen.append(len(x))
        return run(x, *args, **options)

    monkeypatch.setattr(network, "forward", watch)
    return seen


def test_a_sharp_picture_comes_back_as_it_is(guided: Deblurrer, passes: list[int]) -> None:
    sharp = photograph()
    np.testing.assert_array_equal(guided(sharp), sharp)
    unrounded = guided.unrounded(sharp)
    np.testing.assert_array_equal(unrounded, sharp)
    assert unrounded.dtype == np.float32
    assert passes == []


def test_a_camera_that_stood_still_leaves_a_picture_as_it_is(guided: Deblurrer, passes: list[int]) -> None:
    blurred, motion = synthesize_with_motion(photograph(), BlurSpec("shake", 16), 3, "astronaut")
    np.testing.assert_array_equal(guided(blurred, still(400, 400)), blurred)
    assert passes == []
    assert not np.array_equal(guided(blurred, motion), blurred)


def test_of_a_batch_only_what_is_blurred_is_restored(guided: Deblurrer, passes: list[int]) -> None:
    sharp = photograph()
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("shake", 12), 3, "astronaut")
    batch = np.stack([sharp, blurred, sharp])
    for paths in (None, [still(400, 400), motion, still(400, 400)]):
        alone = guided(blurred, paths and motion)
        passes.clear()
        restored = guided(batch, paths)
        np.testing.assert_array_equal(restored[::2], batch[::2])
        assert np.abs(restored[1].astype(int) - alone).max() <= 1
        assert passes == ([1] if paths is None else [1, 1])  # a path is doubted: along it and without it


def test_one_blurred_region_is_enough_to_restore(guided: Deblurrer, passes: list[int]) -> None:
    sharp = photograph()
    blurred, _ = synthesize_with_motion(sharp, BlurSpec("straight", 20), 3, "astronaut")
    guided(np.concatenate([sharp, blurred[:, :200]], axis=1))
    assert passes == [1]


def test_a_point_is_sharp_and_what_could_be_much_is_not() -> None:
    point = torch.zeros(48, 48)
    point[24, 24] = 1
    assert sharpness(point) == 1
    spread = torch.zeros(48, 48)
    spread[24, 20:28] = 1 / 8
    assert sharpness(torch.stack([point, spread])).tolist() == pytest.approx([1, 8**-0.5])
    assert sharpness(0.5 * point + 0.5 * spread).item() < SHARP


def test_the_exposure_of_some_pictures_is_theirs() -> None:
    mean, power = torch.rand(3, 4, 48, 48), torch.rand(3, 4, 48, 48)
    chosen = torch.tensor([True, False, True])
    some = Exposure(Belief(mean, power), (1.0, 2.0), (3.0, 4.0)).only(chosen)
    torch.testing.assert_close(some.kernels.mean, mean[[0, 2]], rtol=0, atol=0)
    torch.testing.assert_close(some.kernels.power, power[[0, 2]], rtol=0, atol=0)
    certain = Exposure(known(mean), (1.0, 2.0), (3.0, 4.0), certain=True).only(chosen)
    assert certain.certain
    assert certain.kernels.power is certain.kernels.mean  # a kernel that is known is transformed once
