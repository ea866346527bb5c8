"""What trust in paths is learnt from, how it is learnt, and the command that makes it."""

from __future__ import annotations

import argparse
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.data import astronaut

from deblur import Deblurrer
from deblur.errors import DeblurError
from deblur.path_search.squares import CELL
from deblur.path_search.trust import SEEN, PathTrust, TrustNetwork, trust_file
from deblur.released import load_released
from experiments import path_trust
from experiments.path_learning import trust_samples, trust_training
from experiments.path_learning.sample_pool import pictures_of
from experiments.path_learning.trust_samples import TELLINGS, TrustSample, _Shown, trust_sample
from experiments.path_learning.trust_training import gains, train_trust

if TYPE_CHECKING:
    from pathlib import Path

WINDOW = 96


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_samples, "_WINDOW", WINDOW)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch, samples_in_this_process: None) -> None:
    """The command in this process, where one picture of two is set aside."""
    monkeypatch.setattr(path_trust, "_SET_ASIDE", 2)


def invented(seed: int) -> TrustSample:
    """What two numbers of a square show: told is right on one side of the picture, and wrong on the other."""
    chance = np.random.default_rng(seed)
    seen = chance.normal(0, 1, (SEEN, 12, 16)).astype(np.float16)
    right = np.broadcast_to((np.arange(16) < 8) == (seed % 2 == 0), (12, 16))
    seen[5:7] += np.where(right, 2, -2)
    # By itself it is wrong by .02 everywhere; told takes half of that away, or adds half of three times as much.
    squared = np.stack([np.full(right.shape, 0.02), np.where(right, -0.01, 0.01), np.full(right.shape, 0.01)])
    return TrustSample(seed % len(TELLINGS), seen, squared.astype(np.float32))


def test_it_learns_where_a_path_is_right() -> None:
    trust = train_trust([invented(seed) for seed in range(48)], looks=40, seed=0)
    seen = torch.from_numpy(invented(99).seen)[None].float()
    with torch.no_grad():
        shares = trust(seen)[0, 0].sigmoid()
    assert shares[:, 8:].mean() > 0.8
    assert shares[:, :8].mean() < 0.2
    scores = gains(trust, [invented(seed) for seed in range(100, 108)])
    assert list(scores) == list(TELLINGS)
    for score in scores.values():
        assert score["n"] == 2
        # Told, half of the squares are wrong by .01 and half by .05; at best the other half by .02.
        assert score["told_db"] == pytest.approx(10 * np.log10(2 / 3), abs=0.2)
        assert score["best_db"] == pytest.approx(10 * np.log10(2 / 1.5), abs=0.2)
        assert score["mixed_db"] > 0.8


def test_learning_is_the_same_for_the_same_seed() -> None:
    learnt = [invented(seed) for seed in range(3)]
    one, same, other = (train_trust(learnt, looks=3, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("telling", range(len(TELLINGS)))
def test_a_sample_is_of_what_is_told(telling: int, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_samples, "_OFTEN", tuple(float(each == telling) for each in range(len(TELLINGS))))
    sample = trust_sample(photos / "0.png", 3, "mstsgm-guided")
    assert sample.telling == telling
    assert sample.seen.shape == (SEEN, WINDOW // CELL, WINDOW // CELL)
    assert sample.squared.shape == (3, WINDOW // CELL, WINDOW // CELL)
    wrong, product, change = sample.squared
    assert (wrong >= 0).all()
    assert (change >= 0).all()
    assert (wrong + 2 * product + change > -1e-6).all()  # a square, too: what the told one is wrong by
    again = trust_sample(photos / "0.png", 3, "mstsgm-guided")
    np.testing.assert_array_equal(again.seen, sample.seen)


def test_what_is_told_is_measured_well_or_badly_of_another_moment_or_of_one_distance() -> None:
    picture = torch.from_numpy(astronaut()[:120, 80:240].copy()).permute(2, 0, 1)
    shown = {telling: _Shown.make(picture, telling, np.random.default_rng(4)) for telling in TELLINGS}
    measured = shown["measured"]
    left, top = (int(middle - own) for middle, own in zip((79.5, 59.5), measured.path.center, strict=True))
    part = picture[None, :, top : top + WINDOW, left : left + WINDOW].float() / 255
    assert torch.equal(measured.sharp, part)
    assert F.avg_pool2d(measured.blurred - part, WINDOW // 2).abs().max() < 0.1
    extents = {telling: np.ptp(each.path.path[:, :2], axis=0) for telling, each in shown.items()}
    for telling, each in shown.items():
        assert torch.equal(each.sharp, part)
        assert torch.equal(each.blurred, measured.blurred) == (telling != "near and far")
        told_right = telling in {"measured", "near and far"}
        assert (np.abs(extents[telling] - extents["measured"]).max() < 1) == told_right


def test_a_sample_has_the_errors_of_the_restoration_by_itself_first(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[_Shown] = []

    def make(*given: Any) -> _Shown:
        made.append(_Shown.make(*given))
        return made[-1]

    monkeypatch.setattr(trust_samples, "_Shown", argparse.Namespace(make=make))
    sample = trust_sample(photos / "0.png", 3, "mstsgm-guided")
    sharp, blurred = (each[0].permute(1, 2, 0).numpy() for each in made[-1][:2])
    itself = Deblurrer.load("mstsgm-guided", "cpu").unrounded(np.rint(255 * blurred).astype(np.uint8)) / 255
    wrong = np.square(itself - sharp).mean(2).reshape(WINDOW // CELL, CELL, WINDOW // CELL, CELL).mean((1, 3))
    np.testing.assert_allclose(sample.squared[0], wrong, rtol=0.01, atol=1e-6)


def test_samples_come_back_from_a_file(tmp_path: Path) -> None:
    sample = invented(1)
    sample.save(tmp_path / "a.npz")
    again = TrustSample.load(tmp_path / "a.npz")
    assert again.telling == 1
    with pytest.raises(DeblurError, match=r"cannot write .*nowhere/a\.npz: No such file"):
        sample.save(tmp_path / "nowhere" / "a.npz")
    np.testing.assert_array_equal(again.seen, sample.seen)
    np.testing.assert_array_equal(again.squared, sample.squared)
    (tmp_path / "b.npz").write_bytes(b"PK")
    with pytest.raises(DeblurError, match=r"b\.npz is no sample"):
        TrustSample.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", telling=0, seen=np.zeros((7, 2, 2)), squared=np.zeros((3, 2, 2)))
    with pytest.raises(DeblurError, match=r"c\.npz is a sample of another version"):
        TrustSample.load(tmp_path / "c.npz")


@pytest.mark.usefixtures("little")
def test_the_command_goes_on_where_it_was_stopped(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, output = tmp_path / "samples", tmp_path / "trust.safetensors"
    command = ["--sharp", str(photos), "--samples", str(samples), "--looks", "1", "--output", str(output), "--count"]
    assert path_trust.main([*command, "3"]) == 0
    assert "over the restoration by itself" in capsys.readouterr().out
    first = (samples / "sample-0.npz").stat().st_mtime_ns
    assert path_trust.main([*command, "4", "--json"]) == 0
    assert (samples / "sample-0.npz").stat().st_mtime_ns == first
    record = json.loads(output.with_suffix(".json").read_text())
    assert json.loads(capsys.readouterr().out) == {"file": str(output)} | record
    _, card = load_released("default")
    assert record["network"] == {"name": card["name"], "sha256": card["sha256"]}
    assert record["samples"] == 4
    assert sum(score["n"] for score in record["set_aside"].values()) == 3  # the first and the third picture's
    monkeypatch.setattr("deblur.path_search.trust.trust_file", lambda name: output)
    trust = PathTrust.released(card, torch.device("cpu"))
    assert trust is not None
    # Other settings are another folder's.
    assert path_trust.main([*command, "3", "--seed", "1"]) == 1
    assert "--seed" in capsys.readouterr().err


@pytest.mark.usefixtures("little")
def test_pictures_take_turns_and_none_is_both_learnt_from_and_set_aside(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    seen: dict[str, set[str]] = {}

    def keep(target: Path, file: Path, seed: int, weights: str) -> None:
        asked.append((file.name, seed))
        TrustSample(int(file.stem), *(getattr(invented(0), name) for name in ("seen", "squared"))).save(target)

    def train(learnt: list[TrustSample], *_: object) -> TrustNetwork:
        seen["learnt"] = {f"{each.telling}.png" for each in learnt}
        return TrustNetwork()

    def gained(trust: TrustNetwork, unseen: list[TrustSample]) -> dict[str, dict[str, float]]:
        seen["set aside"] = {f"{each.telling}.png" for each in unseen}
        return {}

    monkeypatch.setattr(trust_samples, "keep_trust_sample", keep)
    monkeypatch.setattr(trust_training, "train_trust", train)
    monkeypatch.setattr(trust_training, "gains", gained)
    for seed in ("0", "1"):
        given = ["--sharp", str(photos), "--samples", str(tmp_path / seed), "--count", "6", "--seed", seed]
        assert path_trust.main(given) == 0
        names = [name for name, _ in asked[-6:]]
        assert names[:3] == names[3:]
        assert set(names) == {"0.png", "1.png", "2.png"} == seen["learnt"] | seen["set aside"]
        assert not seen["learnt"] & seen["set aside"]
    assert len({seed for _, seed in asked}) == 12


@pytest.mark.usefixtures("little")
def test_what_a_card_leaves_as_restored_is_learnt_from_so(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, card = load_released("default")
    for module in ("deblur.released", "experiments.path_learning.trust_samples"):
        monkeypatch.setattr(f"{module}.load_released", lambda _: (network, card | {"consistent": False}))
    monkeypatch.setattr(trust_samples, "make_consistent", None)  # which would fail
    samples = tmp_path / "samples"
    given = ["--sharp", str(photos), "--samples", str(samples), "--looks", "1", "--count", "3"]
    assert path_trust.main(given) == 0
    assert "consistent: false" in (samples / "config.yaml").read_text()
    # Samples that were made consistent are no others of this folder.
    monkeypatch.setattr("deblur.released.load_released", lambda _: (network, card))
    assert path_trust.main(given) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "mstsgm-nano"], "mstsgm-nano has no guide that could be told a path"),
        (["--output", "trust.pt"], "weights are written as a .safetensors file"),
        (["--count", "9"], "more than 9 pictures and samples are needed"),
    ],
)
def test_what_cannot_be_learnt_is_refused(
    options: list[str], message: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert path_trust.main(["--sharp", str(photos), "--samples", str(tmp_path / "samples"), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "samples").exists()


def test_pairs_are_not_learnt_from_as_sharp_pictures(photos: Path, tmp_path: Path) -> None:
    for side in ("blur", "sharp"):
        shutil.copytree(photos, tmp_path / "set" / "train" / side)
    with pytest.raises(DeblurError, match=r"set/train holds blur/ beside sharp/, .*; give .*/set/train/sharp, or"):
        pictures_of([photos, tmp_path / "set"])
    assert len(pictures_of([photos, tmp_path / "set" / "train" / "sharp"])) == 6


@pytest.mark.parametrize("name", ["mstsgm-guided", "mstsgm-guided-large"])
def test_committed_records_are_of_the_released_weights(name: str) -> None:
    record = json.loads(trust_file(name).with_suffix(".json").read_text())
    _, card = load_released(name)
    assert record["network"] == {"name": name, "sha256": card["sha256"]}
    trust = PathTrust.released(card, torch.device("cpu"))
    assert trust is not None
    assert record["sha256"] == trust.describe()
