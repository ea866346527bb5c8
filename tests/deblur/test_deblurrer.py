"""Deblurrer: pictures in and out, tiles against the whole, and what it refuses."""

from __future__ import annotations

import json
import math
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from skimage import data as photographs
from torch import nn

import deblur
from deblur.blur import BlurSpec, synthesize
from deblur.deblurrer import Deblurrer, load_told
from deblur.errors import DeblurError
from deblur.exposure import kernels
from deblur.exposure.paths import felt_path
from deblur.networks import MSTSGMConfig, Restored, build, named_config
from deblur.networks.guided import GuidedNetwork
from deblur.path_search import PathSearch
from deblur.path_search.critic import Critic
from deblur.pictures import scale_down
from deblur.released import list_released, save_released
from deblur.tiling import MIN_SIDE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SMALL = MSTSGMConfig(
    widths=(8, 12, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), frames=2, temporal="depthwise"
)
# Decibels of the photograph below, a little less than what was measured; another network must at least do no harm.
GAINS = {"mstsgm-nano": 0.6, "mstsgm-guided": 1.0, "mstsgm-guided-large": 1.8}


class Brighter(nn.Module):
    """Adds a constant, and remembers what it was given."""

    multiple = 4

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor, *, finest_only: bool) -> Restored:
        self.shapes.append(tuple(x.shape))
        return Restored((x + self.by,), None)


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Something with large shapes, edges and fine texture."""
    chance = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    y, x = np.mgrid[:height, :width]
    for _ in range(40):
        inside = (np.abs(y - chance.integers(height)) < chance.integers(5, 80)) & (
            np.abs(x - chance.integers(width)) < chance.integers(5, 80)
        )
        picture[inside] = chance.integers(0, 256, 3)
    return np.clip(picture + chance.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def small() -> Deblurrer:
    torch.manual_seed(0)
    return Deblurrer(build(SMALL), name="small")


def test_who_calls_from_another_thread_finds_the_same_gpu(network, monkeypatch):
    for module in ("deblur.deblurrer", "deblur.path_search.search"):
        monkeypatch.setattr(f"{module}.numbered", lambda device: torch.device(device.type, 0))
    search = PathSearch(network, Critic())
    restorer = Deblurrer(network, name="guided", device="cpu", search=search)
    assert restorer.device == restorer._along._device == search._device == torch.device("cpu", 0)


def test_pictures_come_back_rounded_and_clamped() -> None:
    brighter = Deblurrer(Brighter(10.6 / 255), name="brighter")
    picture = np.array([[[0, 100, 250]]], np.uint8)
    before = picture.copy()
    np.testing.assert_array_equal(brighter(picture), [[[11, 111, 255]]])
    np.testing.assert_array_equal(Deblurrer(Brighter(-1), name="darker")(picture), np.zeros((1, 1, 3)))
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (33, 50, 3), (2, 9, 5, 3), (0, 4, 4, 3)])
def test_shape_and_type_stay(small: Deblurrer, shape: tuple[int, ...]) -> None:
    restored = small(np.full(shape, 128, np.uint8))
    assert (restored.shape, restored.dtype) == (shape, np.uint8)


def test_layout_of_the_array_does_not_matter(small: Deblurrer) -> None:
    picture = scene(20, 30)
    expected = small(picture)
    frozen = picture.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(small(frozen), expected)
    np.testing.assert_array_equal(small(np.asfortranarray(picture)), expected)
    np.testing.assert_array_equal(small(picture[::-1, :, ::-1][::-1, :, ::-1]), expected)


def test_batch_and_single_agree(small: Deblurrer) -> None:
    batch = np.stack([scene(24, 40, seed) for seed in range(3)])
    singles = np.stack([small(each) for each in batch])
    assert np.abs(small(batch).astype(int) - singles).max() <= 1


def test_beside_what_is_sharp_in_a_batch_each_picture_is_restored_by_its_own_kernels() -> None:
    sharp = scale_down(photographs.astronaut(), 256)
    batch = np.stack([sharp, *(synthesize(sharp, BlurSpec("straight", 24), seed, "astronaut") for seed in (1, 3))])
    guided = Deblurrer.load("mstsgm-guided", "cpu")
    restored = guided(batch)
    np.testing.assert_array_equal(restored[0], sharp)
    for blurred, together in zip(batch[1:], restored[1:], strict=True):
        assert np.abs(guided(blurred).astype(int) - together).max() <= 1


def test_a_batch_goes_through_in_parts_of_the_limit() -> None:
    network = Brighter(0)
    batch = np.zeros((5, 200, 200, 3), np.uint8)
    Deblurrer(network, name="same", max_pixels=MIN_SIDE**2)(batch)
    assert network.shapes == [(2, 3, 200, 200), (2, 3, 200, 200), (1, 3, 200, 200)]


def test_no_tile_is_larger_than_the_limit() -> None:
    network = Brighter(0)
    picture = scene(1000, 1500)
    np.testing.assert_array_equal(Deblurrer(network, name="same", max_pixels=200_000)(picture), picture)
    assert len(network.shapes) > 1
    assert max(shape[2] * shape[3] for shape in network.shapes) <= 200_000 + 4 * 1500


def difference_of_tiles(config: MSTSGMConfig) -> NDArray[np.int64]:
    torch.manual_seed(0)
    network = build(config)
    picture = scene(400, 700)
    whole = Deblurrer(network, name="whole")(picture)
    assert np.abs(whole.astype(int) - picture).mean() > 1  # it does something
    return np.abs(Deblurrer(network, name="tiles", max_pixels=MIN_SIDE**2)(picture).astype(int) - whole)


@pytest.mark.parametrize("config", [SMALL, named_config("mstsgm-nano")], ids=["small", "nano"])
def test_without_fams_pooling_tiles_are_the_whole_but_for_rounding(config: MSTSGMConfig) -> None:
    without = MSTSGMConfig(**{**vars(config), "fam": False})
    assert difference_of_tiles(without).max() <= 1


@pytest.mark.parametrize("config", [SMALL, named_config("mstsgm-nano")], ids=["small", "nano"])
def test_with_fams_pooling_tiles_stay_near_the_whole(config: MSTSGMConfig) -> None:
    difference = difference_of_tiles(config)
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99) <= 3


@pytest.mark.parametrize("name", list_released())
def test_tiles_of_a_released_network_stay_near_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "SHARP", 2)  # else a guided network would leave the picture as it is
    picture = scene(300, 700)
    whole = Deblurrer.load(name, "cpu")(picture).astype(int)
    side = GuidedNetwork.LEAST_SIDE if "guided" in name else MIN_SIDE
    difference = np.abs(Deblurrer.load(name, "cpu", max_pixels=side**2)(picture) - whole)
    assert difference.max() > 0, "the picture was cut"
    assert difference.mean() < 0.5
    # A guide reads the kernels of a part of a picture otherwise than those of all of it.
    assert np.percentile(difference, 99) <= (5 if name == "mstsgm-guided" else 4)


@pytest.mark.parametrize("name", list_released())
def test_a_released_network_restores_a_shaken_photograph(name: str) -> None:
    sharp = photographs.astronaut()[:256, 100:420]
    blurred = synthesize(sharp, BlurSpec("shake", 30), 1, "astronaut")
    restored = Deblurrer.load(name, "cpu")(blurred)
    before, after = (np.square(picture.astype(float) - sharp).mean() for picture in (blurred, restored))
    assert 10 * np.log10(before / after) > GAINS.get(name, 0)


# By how much the quarters of the photograph above are changed, in grey levels (root mean square). Measured; to be
# measured again where weights are released anew. Rounding moves what a guide reads from a picture, told paths little.
CHANGES = {
    "mstsgm-nano": (5.30, 5.86, 6.87, 6.98),
    "mstsgm-guided": (9.19, 10.72, 14.60, 14.56),
    "mstsgm-guided-large": (14.80, 16.39, 19.98, 19.06),
    "mstsgm-guided+gyro": (16.02, 19.25, 21.55, 16.57),
    "mstsgm-guided-large+gyro": (16.88, 20.50, 23.37, 16.90),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_released_network_computes_what_it_did_when_it_was_released(name: str) -> None:
    sharp, shaken = photographs.astronaut()[:256, 100:420], BlurSpec("shake", 30)
    blurred = synthesize(sharp, shaken, 1, "astronaut")
    network, _, told = name.partition("+")
    path = felt_path(shaken, 1, "astronaut", 320, 256) if told else None
    difference = Deblurrer.load(network, "cpu")(blurred, path).astype(float) - blurred
    changes = np.sqrt(np.square(difference).reshape(2, 128, 2, 160, 3).mean((1, 3, 4)))
    assert tuple(changes.ravel()) == pytest.approx(CHANGES[name], rel=0.01 if told or "nano" in name else 0.05)


def test_another_default_type_of_numbers_changes_nothing() -> None:
    sharp, shaken = photographs.astronaut()[:64, :504], BlurSpec("shake", 60)
    blurred, path = synthesize(sharp, shaken, 1, "astronaut"), felt_path(shaken, 1, "astronaut", 504, 64)
    torch.set_default_dtype(torch.float64)  # first: what is kept for the next picture is made now
    try:
        restored = Deblurrer.load("mstsgm-guided", "cpu")(blurred, path)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(restored, Deblurrer.load("mstsgm-guided", "cpu")(blurred, path))
    assert (restored != blurred).any()


def test_tiles_too_small_for_a_guide_are_refused() -> None:
    least = GuidedNetwork.LEAST_SIDE**2
    with pytest.raises(ValueError, match=f"tiles of this network need at least {least}"):
        Deblurrer.load("mstsgm-guided", "cpu", max_pixels=least - 1)
    Deblurrer.load("mstsgm-nano", "cpu", max_pixels=least - 1)


def test_two_threads_get_what_one_gets(small: Deblurrer) -> None:
    pictures = [scene(40, 60, seed) for seed in range(8)]
    expected = [small(each) for each in pictures]
    results: dict[int, NDArray[np.uint8]] = {}

    def work(first: int) -> None:
        for index in range(first, 8, 2):
            results[index] = small(pictures[index])

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, each in enumerate(expected):
        assert np.abs(results[index].astype(int) - each).max() <= 1


@pytest.mark.parametrize(
    ("pictures", "error", "message"),
    [
        (np.zeros((4, 4, 3)), TypeError, "uint8, not float64"),
        ([[1]], TypeError, "uint8, not list"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), TypeError, "uint8, not Tensor"),
        (np.zeros((4, 4), np.uint8), ValueError, r"not \(4, 4\)"),
        (np.zeros((3, 4, 4), np.uint8), ValueError, r"not \(3, 4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r"not \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, r"not \(0, 4, 3\)"),
        (np.zeros((1, 1, 4, 4, 3), np.uint8), ValueError, r"not \(1, 1, 4, 4, 3\)"),
    ],
)
def test_what_is_no_picture_is_refused(
    small: Deblurrer, pictures: object, error: type[Exception], message: str
) -> None:
    for restore in (small, small.unrounded):
        with pytest.raises(error, match=message):
            restore(pictures)  # type: ignore[operator]


def test_a_batch_does_not_come_unrounded(small: Deblurrer) -> None:
    with pytest.raises(ValueError, match=r"pictures are \(H, W, 3\), not \(2, 4, 4, 3\)"):
        small.unrounded(np.zeros((2, 4, 4, 3), np.uint8))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(TypeError, match="integer"):
        Deblurrer(Brighter(0), name="same", max_pixels=1e6)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="integer"):
        Deblurrer(Brighter(0), name="same", seen_side=math.nan)  # type: ignore[arg-type]
    sizes = Deblurrer(Brighter(0), name="same", max_pixels=np.int32(300_000), seen_side=np.int16(640)).describe()
    assert json.loads(json.dumps(sizes)) == sizes
    with pytest.raises(ValueError, match="max_pixels is 10"):
        Deblurrer(Brighter(0), name="same", max_pixels=10)
    with pytest.raises(ValueError, match="bfloat16 is for CUDA"):
        Deblurrer(Brighter(0), name="same", bfloat16=True)


def test_load_takes_hash_and_limit_from_the_card_and_the_name_from_the_file(tmp_path: Path) -> None:
    path = save_released(tmp_path, "mine", build(SMALL), SMALL, {"max_pixels": 123_456, "consistent": False})
    loaded = deblur.Deblurrer.load(path, device="cpu")
    assert isinstance(loaded, Deblurrer)
    assert (loaded.name, loaded.max_pixels, loaded.device) == ("mine", 123_456, torch.device("cpu"))
    assert not loaded.consistent
    assert Deblurrer.load(path, "cpu", consistent=True).consistent
    assert loaded.sha256 == loaded.card["sha256"]
    assert len(loaded.sha256) == 64
    assert Deblurrer.load(path, "cpu", max_pixels=200_000).max_pixels == 200_000
    for suffix in (".safetensors", ".json"):
        path.with_suffix(suffix).rename(tmp_path / f"renamed{suffix}")
    renamed = tmp_path / "renamed.safetensors"
    assert Deblurrer.load(renamed, "cpu").name == "renamed"
    said = {"name": "other", "sha256": loaded.sha256, "max_pixels": 123_456, "seen_side": None, "bfloat16": False}
    assert Deblurrer.load(f"other={renamed}", "cpu").describe() == said
    with pytest.raises(DeblurError, match=r"\+gyro is what results call .* told the camera's path: leave it out"):
        Deblurrer.load(f"{renamed}+gyro", "cpu")
    with pytest.raises(DeblurError, match="unknown device 'gpu'"):
        Deblurrer.load(renamed, device="gpu")
    with pytest.raises(ValueError, match="bfloat16 is for CUDA"):
        Deblurrer.load(renamed, "cpu", bfloat16=True)
    assert load_told(f"{renamed}", "cpu", 320)[0].seen_side == 320


def test_cards_that_deblurrer_cannot_serve(tmp_path: Path) -> None:
    path = save_released(tmp_path, "tiny-tiles", build(SMALL), SMALL, {"max_pixels": 5})
    with pytest.raises(DeblurError, match="tiles of 5 pixels"):
        Deblurrer.load(path, "cpu")
    path = save_released(tmp_path, "unsure", build(SMALL), SMALL, {"consistent": "no"})
    with pytest.raises(DeblurError, match="card of unsure says consistent: 'no'"):
        Deblurrer.load(path, "cpu")
    guided = MSTSGMConfig(**{**vars(SMALL), "guide_channels": 2})
    path = save_released(tmp_path, "guided", build(guided), guided, {})
    with pytest.raises(DeblurError, match="guided needs a guide"):
        Deblurrer.load(path, "cpu")
