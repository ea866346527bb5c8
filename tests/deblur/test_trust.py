"""Where a path that is told is believed."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from skimage import data as photographs

from deblur import Deblurrer
from deblur.along_path import AlongPath, PathUse
from deblur.blur import BlurSpec, Motion, synthesize_with_motion
from deblur.blur.motion import still
from deblur.errors import DeblurError
from deblur.exposure.kernels import exposure_along
from deblur.networks.guided import GUIDE_CHANNELS, GuidedNetwork
from deblur.path_search import trust
from deblur.path_search.trust import SEEN, PathTrust, Restoration, TrustNetwork
from deblur.released import load_released

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

CPU = torch.device("cpu")
NAMES = ("mstsgm-guided", "mstsgm-guided-large")


def decibels(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return 10 * math.log10(255**2 / np.square(one.astype(float) - other).mean())


def photograph() -> NDArray[np.uint8]:
    return photographs.astronaut()[:448, :512]


def shaken(sharp: NDArray[np.uint8], seed: int = 0) -> tuple[NDArray[np.uint8], Motion]:
    return synthesize_with_motion(sharp, BlurSpec("shake", 16), seed, "astronaut")


@pytest.mark.parametrize("name", NAMES)
def test_released_networks_know_where_to_believe_a_path(name: str) -> None:
    deblurrer = Deblurrer.load(name, "cpu")
    assert deblurrer.trust is not None
    assert deblurrer.describe()["trust"] == deblurrer.trust.describe()
    assert Deblurrer.load(name, "cpu", doubting=False).describe()["trust"] is None


def test_trust_that_is_taken_away_is_asked_no_more() -> None:
    sharp = photograph()[:160, :200]
    blurred, _ = shaken(sharp)
    _, other = shaken(sharp, seed=3)
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    assert deblurrer.restore_along(blurred, other).believed < 1
    deblurrer.trust = None
    assert deblurrer.restore_along(blurred, other).believed == 1
    assert deblurrer.describe()["trust"] is None


@pytest.mark.parametrize("told", [False, True])
def test_autocast_around_it_changes_no_restoration(told: bool) -> None:
    blurred, motion = shaken(photograph()[:160, :200])
    path = motion if told else None
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    usual = deblurrer.restore_along(blurred, path)
    with torch.autocast("cpu"):
        again = deblurrer.restore_along(blurred, path)
        np.testing.assert_array_equal(deblurrer(blurred, path), usual.picture)
        np.testing.assert_array_equal(deblurrer.unrounded(blurred, path).round(), usual.picture)
        assert deblurrer.spread(blurred, path) == usual.spread
    np.testing.assert_array_equal(again.picture, usual.picture)
    assert (again.believed, again.spread) == (usual.believed, usual.spread)


def test_loading_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    assert Deblurrer.load("default+search", "cpu").trust is not None
    assert torch.equal(torch.get_rng_state(), before)


def test_a_path_of_another_moment_does_less_harm() -> None:
    sharp = photograph()
    blurred, motion = shaken(sharp)
    _, other = shaken(sharp, seed=3)
    doubting, believing = (Deblurrer.load("mstsgm-guided", "cpu", doubting=way) for way in (True, False))
    itself = decibels(doubting(blurred), sharp)
    assert decibels(believing(blurred, other), sharp) < itself - 2
    assert decibels(doubting(blurred, other), sharp) > itself - 0.7
    # The right one is still worth what it was.
    assert decibels(doubting(blurred, motion), sharp) > decibels(believing(blurred, motion), sharp) - 0.3


def test_it_says_how_far_a_path_was_believed() -> None:
    blurred, motion = shaken(photograph())
    _, other = shaken(photograph(), seed=3)
    doubting, believing = (Deblurrer.load("mstsgm-guided", "cpu", doubting=way) for way in (True, False))
    shares = []
    for path in (motion, other):
        restored, believed, _ = doubting.restore_along(blurred, path)
        np.testing.assert_array_equal(restored, doubting(blurred, path))
        assert believed is not None
        shares.append(believed)
    assert shares[0] > 0.5
    assert shares[1] < 0.35
    restored, believed, _ = believing.restore_along(blurred, other)
    assert believed == 1
    np.testing.assert_array_equal(restored, believing(blurred, other))
    unmoved, believed, _ = doubting.restore_along(blurred, still(512, 448))
    assert believed is None
    np.testing.assert_array_equal(unmoved, blurred)
    # In tiles it is about the same.
    large = cv2.resize(blurred, (1024, 896), interpolation=cv2.INTER_CUBIC)
    tiled = Deblurrer.load("mstsgm-guided", "cpu", max_pixels=448 * 512)
    believed = tiled.restore_along(large, motion.scaled(2)).believed
    assert believed == pytest.approx(shares[0], abs=0.2)
    with pytest.raises(ValueError, match="mstsgm-nano has no guide"):
        Deblurrer.load("mstsgm-nano", "cpu").restore_along(blurred, motion)


def test_of_a_picture_in_tiles_it_says_how_far_the_path_was_believed_in_all_of_them(
    network: GuidedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter((0.9, 0.2, 0.1))
    tile = np.zeros((8, 8, 3), np.uint8)

    def made(*_: object) -> SimpleNamespace:
        return SimpleNamespace(result=lambda: tile.astype(np.float32), believed=next(shares))

    def in_tiles(restore: Callable[..., NDArray[np.float32]]) -> NDArray[np.uint8]:
        return np.concatenate([restore(tile, left, 0) for left in (0, 8, 16)], 1).astype(np.uint8)

    monkeypatch.setattr(AlongPath, "_made", made)
    along = AlongPath(network, CPU, nullcontext)
    outcome = along.in_tiles(in_tiles, PathUse(still(24, 8), corrected=False, doubted=True))
    assert outcome.believed == pytest.approx(0.4)


def test_what_waits_for_other_tiles_comes_back_as_it_was() -> None:
    def in_one_tile(restore: Callable[..., NDArray[np.float32]]) -> NDArray[np.uint8]:
        return restore(blurred, 0, 0).round().astype(np.uint8)

    blurred, motion = shaken(photograph()[:96, :128])
    network, _ = load_released("mstsgm-guided", "cpu")
    assert isinstance(network, GuidedNetwork)
    along = AlongPath(network, CPU, nullcontext)
    nowhere = SimpleNamespace(shares=lambda seen, *_: torch.zeros_like(seen[:, :1]))
    along.trust = nowhere  # type: ignore[assignment]
    use = PathUse(motion, corrected=True, doubted=True)
    np.testing.assert_array_equal(along.in_tiles(in_one_tile, use).picture, along(blurred, use).picture.round())


def test_it_says_how_long_the_blur_is() -> None:
    blurred, motion = shaken(photograph())
    deblurrer = Deblurrer.load("mstsgm-guided", "cpu")
    true = exposure_along(motion, 448, 512, CPU).spread.item() / 512  # of the longer side
    assert 0.003 < true < 0.02
    assert deblurrer.restore_along(blurred, motion).spread == pytest.approx(true)
    restored, _, seen = deblurrer.restore_along(blurred, None)
    assert deblurrer.spread(blurred) == seen
    assert deblurrer.spread(blurred, motion) == pytest.approx(true)
    assert seen == pytest.approx(true, rel=0.3)
    np.testing.assert_array_equal(restored, deblurrer(blurred))
    # It is the same share of a larger picture, restored whole, in a smaller copy or in tiles, or not at all.
    large = cv2.resize(blurred, (1024, 896), interpolation=cv2.INTER_CUBIC)
    for way in (
        Deblurrer.load("mstsgm-guided", "cpu", max_pixels=448 * 512),
        Deblurrer.load("mstsgm-guided", "cpu", seen_side=320),
    ):
        assert way.restore_along(large, None).spread == pytest.approx(seen, rel=0.1)
    tiled = Deblurrer.load("mstsgm-guided", "cpu", max_pixels=448 * 448)
    assert tiled.restore_along(blurred, None).spread == pytest.approx(seen)
    assert tiled.restore_along(blurred, motion).spread == pytest.approx(true)
    sharp = cv2.resize(photograph(), (896, 1024), interpolation=cv2.INTER_CUBIC)
    unblurred = Deblurrer.load("mstsgm-guided", "cpu", seen_side=320).restore_along(sharp, None).spread
    assert unblurred is not None
    assert unblurred < true / 3
    nano = Deblurrer.load("mstsgm-nano", "cpu")
    assert nano.restore_along(blurred, None).spread is nano.spread(blurred) is None


def test_a_path_is_believed_where_it_holds() -> None:
    sharp = photograph()
    blurred, motion = shaken(sharp)
    near, _ = shaken(sharp, seed=3)
    seen = np.concatenate([blurred[:, :256], near[:, 256:]], 1)
    doubting, believing = (Deblurrer.load("mstsgm-guided", "cpu", doubting=way) for way in (True, False))
    kept, lost = (restored(seen, motion) for restored in (doubting, believing))
    left, right = np.s_[:, 16:224], np.s_[:, 288:496]
    assert decibels(kept[left], sharp[left]) > decibels(doubting(seen)[left], sharp[left]) + 0.5
    assert decibels(kept[right], sharp[right]) > decibels(lost[right], sharp[right]) + 1


def test_tiles_believe_as_the_whole_picture_does() -> None:
    sharp = np.tile(photograph(), (2, 1, 1))[:600, :500]
    blurred, motion = shaken(sharp)
    _, other = shaken(sharp, seed=3)
    whole, tiled = (Deblurrer.load("mstsgm-guided", "cpu", max_pixels=size) for size in (1 << 20, 448 * 500))
    assert decibels(tiled(blurred, motion), whole(blurred, motion)) > 36
    # What the network makes of a tile by itself is less like what it makes of the picture.
    assert decibels(tiled(blurred, other), whole(blurred, other)) > 33


def test_networks_that_nobody_learnt_from_are_told_as_before(network: torch.nn.Module) -> None:
    deblurrer = Deblurrer(network, name="mine")
    assert deblurrer.trust is None
    _, card = load_released("mstsgm-guided")
    assert PathTrust.released(card, CPU) is not None
    assert PathTrust.released(card | {"sha256": "0" * 64}, CPU) is None


def test_weights_that_were_given_another_name_know_where_to_believe_a_path_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, card = load_released("mstsgm-guided")
    usual, renamed = (PathTrust.released(each, CPU) for each in (card, card | {"name": "another"}))
    assert usual is not None
    assert renamed is not None
    assert renamed.describe() == usual.describe()
    # What was learnt under the name that they go by now counts more.
    for name, scale in (("another", 1.0), ("before", 2.0)):
        weights = {key: scale * value for key, value in TrustNetwork().state_dict().items()}
        safetensors.torch.save_file(weights, tmp_path / f"trust-in-{name}.safetensors")
        (tmp_path / f"trust-in-{name}.json").write_text(json.dumps({"network": {"sha256": card["sha256"]}}))
    monkeypatch.setattr(trust, "trust_file", lambda name: tmp_path / f"trust-in-{name}.safetensors")
    found = {name: PathTrust.released(card | {"name": name}, CPU) for name in ("another", "before", "a third")}
    assert len({each.describe() for each in found.values() if each}) == 2
    assert found["a third"] is not None


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "trust-in-mine.safetensors"
    monkeypatch.setattr(trust, "trust_file", lambda name: file)
    card = {"name": "mine", "sha256": "0"}
    file.with_suffix(".json").write_text(json.dumps({"network": {"sha256": "0"}}))
    with pytest.raises(DeblurError, match=r"cannot read .*trust-in-mine"):
        PathTrust.released(card, CPU)
    safetensors.torch.save_file({"other": torch.zeros(2)}, file)
    with pytest.raises(DeblurError, match=r"not of this version: make it anew with 'python -m experiments.path_trust'"):
        PathTrust.released(card, CPU)


@pytest.mark.parametrize(("height", "width"), [(61, 83), (8, 8), (7, 100), (100, 1)])
def test_shares_are_of_every_pixel(height: int, width: int) -> None:
    torch.manual_seed(0)
    network = TrustNetwork()
    torch.nn.init.normal_(network.leave.weight)
    motion = Motion(np.outer(np.arange(-4.0, 5), (1, 0, 0, 0)), np.full(9, 1 / 9), (0.0, 0.0))
    picture = torch.rand(1, 3, height, width)
    made = Restoration(picture, torch.rand(1, GUIDE_CHANNELS, height, width))
    shares = PathTrust(network).shares(picture, exposure_along(motion, height, width, CPU), made, made)
    assert shares.shape == (1, 1, height, width)
    assert bool(((shares >= 0) & (shares <= 1)).all())


def test_what_is_wrong_far_away_counts() -> None:
    torch.manual_seed(0)
    network = TrustNetwork()
    torch.nn.init.normal_(network.leave.weight)
    seen = torch.randn(1, SEEN, 40, 40)
    far = seen.clone()
    far[..., 30:, 30:] += 3
    with torch.no_grad():
        assert not torch.allclose(network(seen)[..., :5, :5], network(far)[..., :5, :5], atol=1e-4)
