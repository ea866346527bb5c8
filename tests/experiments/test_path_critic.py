"""What a path's critic learns from, how it learns, and the command that makes it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from deblur.errors import DeblurError
from deblur.path_search.critic import Critic
from deblur.path_search.descent import Stage
from deblur.path_search.evidence import NAMES
from deblur.path_search.search import Effort
from deblur.path_search.squares import CELL, STATISTICS
from deblur.released import load_released
from experiments import path_critic
from experiments.path_learning import critic_samples, critic_training, sample_pool
from experiments.path_learning.critic_samples import Samples, judged_sample, sample
from experiments.path_learning.critic_training import gains, train_critic

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer paths are tried on a picture than a critic needs, and fewer steps taken along them."""
    monkeypatch.setattr(critic_samples, "_PERTURBED", 6)
    monkeypatch.setattr(critic_samples, "_STARTS", 2)
    monkeypatch.setattr(critic_samples, "_EFFORT", Effort(3, (Stage(2, 2, 0.2),), (), ()))
    monkeypatch.setattr(critic_samples, "_FROM_TRUE", (Stage(2, 2, 0.15),))
    monkeypatch.setattr(critic_samples, "_BESIDE", (Stage(2, 2, 0.12),))
    monkeypatch.setattr(critic_samples, "_EXPLAINING", 4)
    few = (Stage(2, 1, 0.1),)
    monkeypatch.setattr(critic_samples, "_SEARCHING", Effort(2, few, (), (), *few, *few))


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch, samples_in_this_process: None) -> None:
    """The command in this process, with few samples and steps."""
    monkeypatch.setattr(path_critic, "_SET_ASIDE", 2)
    monkeypatch.setattr(path_critic, "_LEAST_FIRST", 2)
    monkeypatch.setattr(critic_training, "_STEPS", 5)


def invented(seed: int, windows: int = 1) -> Samples:
    """Trials whose first number and whose squares tell the error, which is least along the true path."""
    chance = np.random.default_rng(seed)
    errors = chance.uniform(-4, -2, (12, windows)).astype(np.float32)
    errors[0], errors[1] = -3, -4
    evidence = chance.normal(0, 1, (12, windows, len(NAMES))).astype(np.float32)
    evidence[..., 0] = 3 * errors + chance.normal(0, 0.05, errors.shape)
    squares = chance.normal(0, 1, (12, windows, STATISTICS, 4, 6)).astype(np.float16)
    squares[:, :, 3] += 3 * errors[..., None, None]
    maps = np.broadcast_to(2 * errors[..., None, None], (12, windows, 4, 6)).astype(np.float16)
    return Samples(evidence, squares, maps, errors, np.full(windows, -2.5, np.float32))


def test_a_critic_learns_to_choose_by_numbers_and_by_sight(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(critic_training, "_STEPS", 300)
    learnt = [invented(seed, 1 + seed % 2) for seed in range(8)]
    unseen = [invented(seed, 2) for seed in (20, 21)]
    scores = gains(train_critic(learnt, looks=8, seed=0), unseen)
    assert scores["best_db"] == pytest.approx(20 / np.log(10) * 1.5, abs=0.05)
    assert scores["true_db"] == pytest.approx(scores["best_db"], abs=0.05)
    assert scores["itself_db"] == pytest.approx(20 / np.log(10) * 0.5, abs=0.01)
    for chosen in ("chosen_db", "weighed_db", "seen_db"):
        assert scores[chosen] > scores["best_db"] - 1


def test_learning_is_the_same_for_the_same_seed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(critic_training, "_STEPS", 20)
    learnt = [invented(seed) for seed in range(3)]
    one, same, other = (train_critic(learnt, looks=1, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_samples_come_back_from_a_file(tmp_path: Path):
    samples = invented(1, 2)
    samples.save(tmp_path / "a.npz")
    again = Samples.load(tmp_path / "a.npz")
    for name in Samples.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(samples, name))
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    with pytest.raises(DeblurError, match=r"cannot write .*nowhere/a\.npz: No such file"):
        samples.save(tmp_path / "nowhere" / "a.npz")
    for damaged in (np.array([1, np.nan]), np.array(["a"])):
        np.savez(tmp_path / "b.npz", evidence=damaged)
        with pytest.raises(
            DeblurError, match=r"b\.npz is no sample \(evidence holds what is no finite number\): delete"
        ):
            sample_pool.load_arrays(tmp_path / "b.npz", ["evidence"])
    with pytest.raises(DeblurError, match=r"nowhere/a\.npz is no sample .*No such file"):
        Samples.load(tmp_path / "nowhere" / "a.npz")


@pytest.mark.parametrize("leads", [False, True])
def test_what_is_tried_on_a_picture(photos: Path, leads: bool):
    torch.manual_seed(0)
    made = sample(photos / "0.png", "shake:40", 3, "largest", Critic().eval() if leads else None)
    assert made.evidence.shape[2] == len(NAMES)
    assert made.maps.shape == (*made.errors.shape, 120 // CELL, 160 // CELL)
    assert made.squares.shape == (*made.errors.shape, STATISTICS, 120 // CELL, 160 // CELL)
    # The true path, which comes second, is better than the blurred picture and most others.
    assert made.errors[1, 0] < made.blurred[0]
    assert (made.errors[1, 0] <= made.errors[:, 0] + 0.05).mean() > 0.8
    # Maps and errors tell of the same: all of the picture but its last pixels is in cells.
    of_maps = np.log(np.exp(made.maps.astype(np.float64)).mean((2, 3))) / 2
    np.testing.assert_allclose(of_maps, made.errors, atol=0.02)


def test_samples_may_be_of_a_picture_whose_name_is_no_utf8(photos: Path, tmp_path: Path, garbled_name: str):
    options = argparse.Namespace(seed=0, samples=tmp_path / "samples")
    for _ in range(2):  # the second goes on
        sample_pool.begin(options, tmp_path / "critic.safetensors", [photos / f"{garbled_name}.png"], {})
    other = [photos / "0.png"]
    with pytest.raises(DeblurError, match="other options"):
        sample_pool.begin(options, tmp_path / "critic.safetensors", other, {})


@pytest.mark.usefixtures("little")
def test_the_command_goes_on_where_it_was_stopped(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    samples, output = tmp_path / "samples", tmp_path / "critic.safetensors"
    command = ["--sharp", str(photos), "--samples", str(samples), "--looks", "1", "--output", str(output), "--rounds"]
    assert path_critic.main([*command, "2"]) == 0
    first = (samples / "sample-0.npz").stat().st_mtime_ns
    said = capsys.readouterr()
    assert said.out == f"{output}\n"  # alone: a reader who goes must not end the learning
    assert "round 1: " in said.err
    assert path_critic.main([*command, "2", "1", "--json"]) == 0
    assert (samples / "sample-0.npz").stat().st_mtime_ns == first
    record = json.loads(output.with_suffix(".json").read_text())
    said = capsys.readouterr()
    assert json.loads(said.out) == {"file": str(output)} | record
    assert [each["samples"] for each in record["rounds"]] == [2, 1]
    assert record["environment"]["seed"] == 0
    assert f"gains {record['rounds'][1]['chosen_db']:.2f} dB" in said.err
    assert Critic.load(output).state_dict().keys() == Critic().state_dict().keys()
    # A sample that a critic led is none of a round that no critic led.
    assert path_critic.main([*command, "3"]) == 0
    assert {path.name for path in samples.glob("sample-2*")} == {"sample-2.npz", "sample-2-led-by-critic-2.npz"}
    # Other settings are another folder's, and what is damaged is named.
    assert path_critic.main([*command, "2", "--seed", "1"]) == 1
    assert "--seed" in capsys.readouterr().err
    (samples / "sample-1.npz").write_bytes(b"PK")
    assert path_critic.main([*command, "2", "1"]) == 1
    assert "sample-1.npz" in capsys.readouterr().err


@pytest.mark.usefixtures("little")
def test_pictures_take_turns_and_none_is_both_learnt_from_and_set_aside(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[str, str, int, str]] = []
    seen: dict[str, set[str]] = {}

    def keep(target: Path, file: Path, blur: str, seed: int, copy: str, critic: Critic | None) -> None:
        asked.append((file.name, blur, seed, copy))
        dataclasses.replace(invented(0), blurred=np.array([float(file.stem)], np.float32)).save(target)

    def names(samples: list[Samples]) -> set[str]:
        return {f"{int(each.blurred[0])}.png" for each in samples}

    def train(learnt: list[Samples], *_: object) -> Critic:
        seen["learnt"] = names(learnt)
        return Critic().eval()

    def gained(critic: Critic, unseen: list[Samples]) -> dict[str, float]:
        seen["set aside"] = names(unseen)
        return dict.fromkeys(("chosen_db", "best_db", "true_db", "itself_db"), 0.0)

    monkeypatch.setattr(critic_samples, "keep_sample", keep)
    monkeypatch.setattr(critic_training, "train_critic", train)
    monkeypatch.setattr(critic_training, "gains", gained)
    drawn = []
    for seed in ("0", "1"):
        samples = tmp_path / f"samples-{seed}"
        given = ["--sharp", str(photos), "--samples", str(samples), "--rounds", "4", "2", "--seed", seed]
        assert path_critic.main(given) == 0
        assert len(asked) == 6
        assert [name for name, *_ in asked[:3]] == [name for name, *_ in asked[3:]]
        assert {name for name, *_ in asked} == {"0.png", "1.png", "2.png"}
        assert [copy for *_, copy in asked] == ["first", "first", "middle", "first", "largest", "first"]
        assert not seen["learnt"] & seen["set aside"]
        assert len(seen["learnt"] | seen["set aside"]) == 3
        drawn += [each[1:3] for each in asked]
        asked.clear()
    assert len(set(drawn)) == 12


def test_a_sample_of_other_numbers_is_refused(tmp_path: Path):
    samples = invented(1)
    dataclasses.replace(samples, evidence=samples.evidence[..., 1:]).save(tmp_path / "a.npz")
    with pytest.raises(DeblurError, match=r"a\.npz is a sample of another version"):
        Samples.load(tmp_path / "a.npz")


def test_mistakes_are_told_in_a_line(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    samples = tmp_path / "samples"
    assert path_critic.main(["--sharp", str(photos), "--samples", str(samples), "--rounds", "3"]) == 1
    assert "--rounds 3" in capsys.readouterr().err
    Image.fromarray(photographs.astronaut()[:30]).save(photos / "3.png")
    assert path_critic.main(["--sharp", str(photos), "--samples", str(samples)]) == 1
    assert "3.png is too small or too narrow" in capsys.readouterr().err
    for name in ("1.png", "2.png", "3.png"):
        (photos / name).unlink()
    assert path_critic.main(["--sharp", str(photos), str(photos), "--samples", str(samples)]) == 1
    assert "1 picture" in capsys.readouterr().err
    assert path_critic.main(["--sharp", str(photos), "--samples", str(samples)]) == 1
    assert "1 picture" in capsys.readouterr().err
    assert path_critic.main(["--sharp", str(photos), "--samples", str(samples), "--output", "critic.pt"]) == 1
    assert ".safetensors" in capsys.readouterr().err
    assert not samples.exists()
    with pytest.raises(SystemExit, match="2"):
        path_critic.main(["--sharp", str(photos), "--samples", str(tmp_path / "unset"), "--judges", ""])
    assert "--judges: it is empty: is a variable of the shell not set?" in capsys.readouterr().err
    assert not (tmp_path / "unset").exists()


def test_where_nothing_can_be_written_no_sample_is_made(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(path_critic, "_round", lambda *_: pytest.fail("it works already"))
    file = tmp_path / "file"
    file.write_text("")
    for place in (
        ["--output", str(file / "critic.safetensors")],
        ["--output", "c.safetensors", "--samples", str(file)],
    ):
        assert path_critic.main(["--sharp", str(photos), "--samples", str(tmp_path / "samples"), *place]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: cannot make the folder {file}: ")
        assert line.endswith(f"; choose another {place[-2]}")


def test_what_a_judge_learns_from(photos: Path):
    made, same = (judged_sample(photos / "0.png", "shake:40", 3, "default", None) for _ in range(2))
    np.testing.assert_array_equal(made.errors, same.errors)
    # By itself, along the true path, then along others that lie near it or nearer than what explains a restoration.
    assert len(made.errors) == 2 + 4 + 2 + 4
    assert made.errors[1, 0] < min(made.blurred[0], made.errors[0, 0])
    assert made.squares.shape == (*made.errors.shape, STATISTICS, 120 // CELL, 160 // CELL)


def test_a_judge_learns_from_what_a_search_with_the_one_before_finds(tmp_path: Path):
    Image.fromarray(photographs.astronaut()[:180, 80:320]).save(tmp_path / "a.png")
    torch.manual_seed(0)
    made = judged_sample(tmp_path / "a.png", "shake:40", 4, "default", Critic().eval())
    # By itself, along the true path, those found and explained, twice two led further, then beside the true one.
    assert len(made.errors) == 2 + (2 + 2) + 2 * 2 + 4
    assert len(np.unique(made.errors[:, 0])) == len(made.errors)
    assert made.errors[1, 0] < made.blurred[0]


@pytest.mark.usefixtures("little")
def test_a_judge_is_of_the_network_that_is_named(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked: list[tuple[str, bool]] = []

    def keep(target: Path, file: Path, blur: str, seed: int, weights: str, critic: Critic | None) -> None:
        asked.append((weights, critic is not None))
        invented(seed % 100).save(target)

    monkeypatch.setattr(critic_samples, "keep_judged_sample", keep)
    samples, output = tmp_path / "samples", tmp_path / "judge.safetensors"
    command = ["--sharp", str(photos), "--samples", str(samples), "--looks", "1", "--rounds", "2", "1"]
    judging = [*command, "--output", str(output), "--judges", "mstsgm-guided-large"]
    assert path_critic.main(judging) == 0
    # The first round searches for nothing, the next one with the judge of the first.
    assert asked == [("mstsgm-guided-large", searches) for searches in (False, False, True)]
    _, card = load_released("mstsgm-guided-large")
    record = json.loads(output.with_suffix(".json").read_text())
    assert record["network"] == {"name": card["name"], "sha256": card["sha256"]}
    # It begins with what the search's critic sees, and another one's samples are not taken for its own.
    assert torch.equal(Critic.load(output).sees.center, Critic.load().sees.center)
    assert path_critic.main(command) == 1
    assert "--judges" in capsys.readouterr().err
    # Nor are samples of a search that another critic led.
    monkeypatch.setattr(Critic, "load", classmethod(lambda cls, *_: cls().eval()))
    assert path_critic.main(judging) == 1
    assert "(--default-critic)" in capsys.readouterr().err
    assert path_critic.main([*command, "--judges", "mstsgm-nano"]) == 1
    assert "mstsgm-nano has no guide" in capsys.readouterr().err
