"""Runs that are stopped or killed and go on: by which options, from which state, and what is refused."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from skimage import data as photographs

from deblur import Deblurrer
from deblur.errors import DeblurError
from deblur.released import load_released
from deblur.run_lock import alone_in
from deblur.train import build_parser, main, parse_training_args
from deblur.training.checkpoint import load_checkpoint, save_checkpoint
from deblur.training.holding_out import hold_out
from deblur.training.loop import Trainer, train
from deblur.training.run_folder import find_resumable
from deblur.training.schedule import Progress
from deblur.training.sources import parse_source
from deblur.training.teacher import Teacher
from tests.deblur.tiny_training import (
    QUICK,
    TWO_PROCESSES,
    arguments,
    assert_same,
    mean_difference,
    rows_of,
    weights_of,
)


def test_interrupted_and_resumed_is_the_same_as_never_interrupted(tmp_path, photos, capsys):
    common = ["--steps", "6", "--crop", "32,40@0.5", "--validate-every", "4"]
    train(build_parser().parse_args(arguments(tmp_path, photos, *common, "--name", "whole")))
    options = build_parser().parse_args(arguments(tmp_path, photos, *common, "--name", "in parts"))
    trainer = Trainer(options)
    step = trainer._step

    def stop_after_three():
        trainer.stop_requested = trainer.progress.step == 2
        return step()

    trainer._step = stop_after_three
    with pytest.raises(KeyboardInterrupt) as stopped:
        trainer.run()
    folder = trainer.folder
    told = str(stopped.value)
    assert told.startswith("saved at step 3; go on with --resume ")
    assert shlex.split(told.partition("; go on with ")[2]) == ["--resume", str(folder)]
    before = load_checkpoint(folder / "weights" / "state.pt")
    options.resume = "auto"
    trainer = Trainer(options)
    assert trainer.progress == Progress(3, before["seconds"], before["best"]), "the clock of --max-minutes goes on too"
    assert trainer.run()["step"] == 6
    runs = tmp_path / "runs" / "train"
    assert sorted(folder.name for folder in runs.iterdir()) == ["in parts", "whole"]
    whole, resumed = (load_checkpoint(runs / name / "weights" / "state.pt") for name in ("whole", "in parts"))
    for part in ("network", "ema"):
        assert_same(whole[part], resumed[part])
    for part in ("step", "best"):
        assert whole[part] == resumed[part]
    rows = [(row["step"], row["name"]) for row in rows_of(runs / "in parts")]
    assert len(rows) == len(set(rows))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_the_end_of_a_terminal_saves_unless_nohup_has_it_ignored(tmp_path, photos):
    stopped = {}
    for handler in (signal.SIG_IGN, signal.SIG_DFL):
        name = "below nohup" if handler is signal.SIG_IGN else "not"
        trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "2", "--name", name)))
        step = trainer._step

        def hung_up(step=step):
            os.kill(os.getpid(), signal.SIGHUP)
            return step()

        trainer._step = hung_up
        before = signal.signal(signal.SIGHUP, handler)
        try:
            trainer.run()
        except KeyboardInterrupt as end:
            stopped[name] = str(end)
        finally:
            signal.signal(signal.SIGHUP, before)
    assert list(stopped) == ["not"]
    assert stopped["not"].startswith("saved at step 1; go on with --resume ")


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_as_never_killed(tmp_path, photos):
    common = [
        sys.executable,
        "-m",
        "deblur.train",
        *arguments(tmp_path, photos, "--steps", "40", "--checkpoint-every", "3"),
    ]
    subprocess.run([*common, "--name", "whole"], check=True, capture_output=True, timeout=250)
    state = tmp_path / "runs" / "train" / "killed" / "weights" / "state.pt"
    process = subprocess.Popen([*common, "--name", "killed"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not state.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < load_checkpoint(state)["step"] < 40
    subprocess.run([*common, "--name", "killed", "--resume", "auto"], check=True, capture_output=True, timeout=250)
    assert load_checkpoint(state)["step"] == 40
    assert_same(weights_of(state.parent.parent.parent / "whole"), weights_of(state.parent.parent))


@pytest.mark.slow
def test_two_processes_keep_step_by_the_clock_and_stop_and_go_on_together(tmp_path, photos):
    # With batch norm, logs and validation, which are the main process' own, and an end that each clock sees otherwise.
    common = arguments(tmp_path, photos, "--log-every", "1", "--checkpoint-every", "2", "--name", "two", "--json")
    process = subprocess.Popen([*TWO_PROCESSES, *common, "--steps", "100000"], stderr=subprocess.DEVNULL)
    state = tmp_path / "runs" / "train" / "two" / "weights" / "state.pt"
    deadline = time.monotonic() + 120
    while not state.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    stopped = load_checkpoint(state)["step"]
    minutes = load_checkpoint(state)["seconds"] / 60 + 0.05
    again = [*TWO_PROCESSES, *common, "--max-minutes", str(minutes), "--resume", "auto"]
    done = subprocess.run(again, check=True, capture_output=True, timeout=250)
    metrics = json.loads(done.stdout)
    assert metrics["step"] > stopped
    assert metrics["minutes"] == pytest.approx(minutes, abs=0.05)
    assert [folder.name for folder in (tmp_path / "runs" / "train").iterdir()] == ["two"]


def test_who_stops_before_the_first_validation_has_weights_that_load(tmp_path, photos):
    trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "9")))
    step = trainer._step

    def stopped():
        trainer.stop_requested = trainer.progress.step == 1
        return step()

    trainer._step = stopped
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    last = trainer.folder / "weights" / "last.safetensors"
    card = load_released(last)[1]
    assert (card["steps"], card["scores"]) == (2, {"validation": {}})
    assert Deblurrer.load(last, device="cpu")(photographs.astronaut()[:50, :70]).shape == (50, 70, 3)
    assert not (trainer.folder / "weights" / "best.safetensors").exists()


def test_auto_resumes_the_newest_run_of_that_name_and_no_other(tmp_path, photos):
    for name in ("a", "a", "a-128"):
        assert main(arguments(tmp_path, photos, "--steps", "1", "--name", name)) == 0
    runs = tmp_path / "runs" / "train"
    assert {folder.name for folder in runs.iterdir()} == {"a", "a-2", "a-128"}
    options = build_parser().parse_args(arguments(tmp_path, photos, "--name", "a", "--resume", "auto"))
    assert find_resumable(options) == runs / "a-2"
    os.utime(runs / "a" / "weights" / "state.pt", (2e9, 2e9))
    assert find_resumable(options) == runs / "a"
    options.name = "b"
    assert find_resumable(options) is None


def test_a_finished_run_is_resumed_without_changing_its_log(tmp_path, photos):
    assert main(arguments(tmp_path, photos, "--steps", "2", "--validate-every", "2")) == 0
    run = tmp_path / "runs" / "train" / "deblur"
    files = [run / "results.csv", run / "env.json", run / "config.yaml"]
    before = [file.read_bytes() for file in files]
    steps = [row["step"] for row in rows_of(run) if row["name"] == "shake:8 input"]
    assert steps == ["2"]
    assert main(["--resume", str(run)]) == 0  # as Ctrl-C prints it
    assert [file.read_bytes() for file in files] == before


@pytest.fixture
def begun(tmp_path, finished) -> Path:
    """The folder of a run of one step, of the name deblur in runs/."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "train" / "deblur"))


@pytest.mark.parametrize("resume", ["RUN", "auto", "auto --name deblur"])
def test_a_run_goes_on_by_its_own_options_and_those_that_are_typed(tmp_path, begun, monkeypatch, resume):
    monkeypatch.chdir(tmp_path)
    before = yaml.safe_load((begun / "config.yaml").read_text())
    assert main(["--resume", *resume.replace("RUN", str(begun)).split(), "--steps", "2", "--clip", "0.5"]) == 0
    assert rows_of(begun)[-1]["step"] == "2"
    after = yaml.safe_load((begun / "config.yaml").read_text())
    assert {key for key in after if after[key] != before[key]} - {"output"} == {"steps", "clip"}
    assert (after["steps"], after["clip"]) == (2, 0.5)
    environment = json.loads((begun / "env.json").read_text())
    assert [sitting["seed"] for sitting in environment["earlier"]] == [0]
    assert [folder.name for folder in begun.parent.iterdir()] == ["deblur"]


def test_what_a_run_was_trained_by_is_on_its_card_sitting_by_sitting(begun, capsys):
    card = json.loads((begun / "weights" / "last.json").read_text())
    assert "sittings" not in card, "one recipe, which trained_with is"
    assert main(["--resume", str(begun), "--log-every", "1"]) == 0  # no step is made, and nothing that would change one
    assert "other options" not in capsys.readouterr().err
    assert main(["--resume", str(begun), "--steps", "2", "--batch", "2"]) == 0
    told = f"{begun} goes on from step 1 with other options: --batch 2 (was 4), --steps 2 (was 1)"
    assert told in capsys.readouterr().err.splitlines()
    assert main(["--resume", str(begun), "--steps", "2", "--val-limit", "2"]) == 0  # which makes no step
    assert main(["--resume", str(begun), "--steps", "3", "--clip", "0.5", "--val-limit", "1"]) == 0
    card = json.loads((begun / "weights" / "last.json").read_text())
    assert [(one["first_step"], one["processes"]) for one in card["sittings"]] == [(1, 1), (2, 1), (3, 1)]
    changed = [{}, {"batch": [4, 2], "steps": [1, 2]}, {"clip": [1.0, 0.5], "steps": [2, 3]}]
    assert [one["changed"] for one in card["sittings"]] == changed
    assert card["trained_with"]["clip"] == 0.5


def test_what_would_do_nothing_for_a_run_that_is_over_is_refused_and_not_remembered(begun, monkeypatch, capsys):
    monkeypatch.setattr("deblur.training.loop.fill_store", lambda *_: pytest.fail("no step is left to read for"))
    files = [begun / name for name in ("config.yaml", "env.json", "weights/state.pt", "weights/last.json")]
    before = [file.read_bytes() for file in files]
    assert main(["--resume", str(begun), "--clip", "0.3", "--seed", "0", "--learning-rate", "1e-5"]) == 1
    told = (
        f"{begun} is over at step 1, so that --clip, --learning-rate would do nothing: to go on give a larger --steps"
    )
    assert told in capsys.readouterr().err
    assert [file.read_bytes() for file in files] == before
    assert main(["--resume", str(begun)]) == 0
    told = capsys.readouterr().err
    assert "is over, nothing is left to train" in told
    assert "other options" not in told
    assert [file.read_bytes() for file in files[:2]] == before[:2]


def test_card_and_configuration_of_a_run_that_is_over_tell_the_same(begun):
    assert main(["--resume", str(begun), "--log-every", "7", "--max-minutes", "1e-9"]) == 0
    recorded = yaml.safe_load((begun / "config.yaml").read_text())
    card = json.loads((begun / "weights" / "last.json").read_text())
    for told in (recorded, card["trained_with"]):
        assert (told["log_every"], told["max_minutes"]) == (7, 1e-9)


def test_a_run_that_is_over_finds_its_pictures_where_they_are_now(begun, photos, capsys):
    photos.rename(photos.parent / "elsewhere")
    assert main(["--resume", str(begun), "--sharp", str(photos.parent / "elsewhere"), "--max-side", "100"]) == 0
    assert yaml.safe_load((begun / "config.yaml").read_text())["sharp"] == [str(photos.parent / "elsewhere")]
    assert "is validated after step 1 with other options: --max-side 100 (was None), --sharp" in capsys.readouterr().err


def test_a_run_that_is_over_can_be_validated_otherwise(begun, capsys):
    assert main(["--resume", str(begun), "--val-blur", "shake:4"]) == 0
    assert [*json.loads((begun / "metrics.json").read_text())["validation"]] == ["shake:4"]
    assert yaml.safe_load((begun / "config.yaml").read_text())["val_blur"] == ["shake:4"]
    assert "goes on from" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (["--name", "other"], "--name would do nothing: --resume RUN names the run's folder"),
        (["--name", "deblu", "--output", "RUN"], "--name, --output would do nothing: --resume RUN names the run's"),
        (["--name", "deblur-large"], "--name would do nothing: --resume RUN names the run's folder"),
        (["--name", "deblur", "--output", "TMP/runs"], None),
        (["--output", "TMP"], None),
    ],
)
def test_a_run_that_goes_on_by_its_folder_goes_nowhere_else(tmp_path, begun, capsys, place, told):
    words = [word.replace("RUN", str(begun)).replace("TMP", str(tmp_path)) for word in place]
    if told is None:
        assert parse_training_args(build_parser(), ["--resume", str(begun), *words]).resume == str(begun)
        return
    with pytest.raises(SystemExit) as stopped:
        main(["--resume", str(begun), *words])
    assert stopped.value.code == 2
    assert told.replace("RUN", str(begun)) in capsys.readouterr().err


def test_a_run_behind_a_link_and_one_that_one_stands_in_go_on(tmp_path, begun, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train").symlink_to(begun.parent)
    monkeypatch.chdir(tmp_path)
    for words in (["auto", "--name", "deblur", "--output", "out"], ["out/train/deblur", "--output", "out"]):
        assert parse_training_args(build_parser(), ["--resume", *words]).resume == "out/train/deblur"
    monkeypatch.chdir(begun)
    assert parse_training_args(build_parser(), ["--resume", ".", "--name", "deblur"]).resume == "."


def test_json_is_of_one_command_alone(begun, capsys):
    assert main(["--resume", str(begun), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 1
    assert main(["--resume", str(begun)]) == 0
    assert capsys.readouterr().out.startswith("shake:8: ")


def test_what_must_stay_is_refused_also_beside_the_options_of_the_run(begun, capsys):
    assert main(["--resume", str(begun), "--steps", "2", "--seed", "1"]) == 1
    told = capsys.readouterr().err
    assert "give the same --network, --set and --seed, or begin another run, without --resume" in told


def test_a_configuration_that_is_typed_stands_for_that_of_the_run(tmp_path, begun, capsys):
    (tmp_path / "c.yaml").write_text("steps: 7\npairs: x\n")
    options = parse_training_args(build_parser(), ["--resume", str(begun), "--config", str(tmp_path / "c.yaml")])
    assert (options.steps, options.pairs, options.sharp, options.crop) == (7, ["x"], [], "256")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "nothing to train on: .*; .*/deblur/config.yaml, which would say so, is missing or damaged"),
        ("name: [deblur", "nothing to train on: .*; .*/deblur/config.yaml, which would say so, is missing or damaged"),
        ("steps: 1\ndetector_loss: a.pt\n", "the run has options that this command lacks .--detector-loss.; go on by"),
    ],
)
def test_a_run_that_does_not_say_how_it_goes_on_is_a_usage_error(begun, capsys, damage, message):
    (begun / "config.yaml").unlink()
    if damage:
        (begun / "config.yaml").write_text(damage)
    with pytest.raises(SystemExit) as stopped:
        main(["--resume", str(begun), "--steps", "2"])
    assert stopped.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_new_run_where_auto_finds_none_is_told_of(tmp_path, photos, capsys):
    given = arguments(tmp_path, photos, "--steps", "1", "--resume", "auto", "--name")
    told = "--resume auto: no run named {0} in {1} was saved, and {1}/{0} is a new one"
    for name in ("mine", "mien"):
        assert main([*given, name]) == 0
        assert told.format(name, tmp_path / "runs" / "train") in capsys.readouterr().err.splitlines()
    assert main([*given, "mine"]) == 0
    assert "--resume auto" not in capsys.readouterr().err


def test_where_there_is_no_run_that_is_said_before_pictures_are_read(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no picture")
    (tmp_path / "c.yaml").write_text(f"steps: 1\nsharp: {tmp_path / 'photos'}\n")
    assert main([*QUICK, "--config", str(tmp_path / "c.yaml"), "--resume", str(tmp_path / "rnu")]) == 1
    assert f"--resume {tmp_path / 'rnu'}: no weights/state.pt there" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["--resume", str(tmp_path / "rnu")])
    assert stopped.value.code == 2
    assert f"--resume {tmp_path / 'rnu'} names no run" in capsys.readouterr().err


def test_the_configuration_of_a_resumed_run_begins_a_run_of_its_own(tmp_path, photos):
    given = arguments(tmp_path, photos, "--steps", "1")
    assert main([*given, "--name", "first"]) == 0
    run = tmp_path / "runs" / "train" / "first"
    assert main([*given, "--resume", str(run)]) == 0  # under no name: it keeps its own
    state = (run / "weights" / "state.pt").read_bytes()
    options = build_parser().parse_args([*given, "--name", "first", "--resume", "auto"])
    assert find_resumable(options) == run
    assert main(["--config", str(run / "config.yaml"), "--name", "second", "--learning-rate", "0.01"]) == 0
    assert (run.with_name("second") / "weights" / "state.pt").is_file()
    assert (run / "weights" / "state.pt").read_bytes() == state


def test_resuming_another_network_is_refused(tmp_path, photos):
    assert main(arguments(tmp_path, photos, "--steps", "1")) == 0
    run = tmp_path / "runs" / "train" / "deblur"
    before = [(run / name).read_bytes() for name in ("config.yaml", "env.json")]
    with pytest.raises(DeblurError, match="another network or seed"):
        train(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "2", "--resume", "auto", "--seed", "1")))
    assert [(run / name).read_bytes() for name in ("config.yaml", "env.json")] == before


def test_a_run_goes_on_without_the_file_that_it_began_with(tmp_path, photos, finished, capsys):
    start = tmp_path / "start.safetensors"
    for suffix in (".safetensors", ".json"):
        start.with_suffix(suffix).write_bytes((finished / "weights" / f"best{suffix}").read_bytes())
    given = arguments(tmp_path, photos, "--init", str(start))
    assert main([*given, "--steps", "1"]) == 0
    start.unlink()
    assert main([*given, "--steps", "2", "--resume", "auto"]) == 1
    assert "a run goes on with --init RUN/weights/last.safetensors as well" in capsys.readouterr().err
    last = tmp_path / "runs" / "train" / "deblur" / "weights" / "last.safetensors"
    assert main([*given, "--steps", "2", "--resume", "auto", "--init", str(last)]) == 0
    assert rows_of(last.parents[1])[-1]["step"] == "2"


def test_what_is_changed_when_a_run_goes_on_holds(tmp_path, photos):
    assert main(arguments(tmp_path, photos, "--steps", "1")) == 0
    changed = [*arguments(tmp_path, photos), "--steps", "2", "--resume", "auto", "--weight-decay", "0.3"]
    trainer = Trainer(build_parser().parse_args(changed))
    assert trainer.progress.step == 1
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.3]
    assert all(state["exp_avg"].any() for state in trainer.optimizer.state.values())


def test_a_best_score_on_other_pictures_is_none(tmp_path, photos):
    assert main([*arguments(tmp_path, photos), "--steps", "1", "--val-blur", "none"]) == 0
    on_sharp = load_checkpoint(tmp_path / "runs" / "train" / "deblur" / "weights" / "state.pt")
    config = tmp_path / "runs" / "train" / "deblur" / "config.yaml"
    again = ["--config", str(config), "--resume", str(config.parent)]
    assert Trainer(parse_training_args(build_parser(), again)).progress.best == on_sharp["best"]
    blurred = parse_training_args(build_parser(), [*again, "--val-blur", "shake:28"])
    assert Trainer(blurred).progress.best is None


def test_a_best_that_no_longer_counts_is_kept_and_told_of(tmp_path, photos, capsys):
    given = arguments(tmp_path, photos)
    assert main([*given, "--steps", "1", "--val-blur", "none"]) == 0
    run = tmp_path / "runs" / "train" / "deblur"
    before = (run / "weights" / "best.safetensors").read_bytes()
    capsys.readouterr()
    assert main([*given, "--steps", "2", "--resume", "auto", "--val-blur", "shake:28"]) == 0
    lines = capsys.readouterr().err.splitlines()
    told = f"{run} is validated on other pictures or blurs than before step 1: the scores do not compare"
    assert sum(line.startswith(told) for line in lines) == 1
    assert sum("weights are kept as weights/best-before-step-1.safetensors" in line for line in lines) == 1
    assert (run / "weights" / "best.safetensors").read_bytes() != before
    kept = run / "weights" / "best-before-step-1.safetensors"
    assert kept.read_bytes() == before
    assert load_released(kept)[1]["scores"]["validation"].keys() == {"shake:8", "none"}
    assert main([*given, "--steps", "3", "--resume", "auto", "--val-blur", "shake:28"]) == 0
    assert "before step" not in capsys.readouterr().err
    assert len(list((run / "weights").glob("best*.json"))) == 2


def test_a_photograph_more_is_told_of_where_it_changes_what_is_held_out(tmp_path, photos, capsys):
    assert main([*arguments(tmp_path, photos), "--steps", "1"]) == 0
    held = hold_out(parse_source("sharp", str(photos)), 0.05, 0, 99)[1][0].files[0]
    Image.fromarray(photographs.astronaut()[:120, :180]).save(photos / "another.png")
    again = ["--resume", str(tmp_path / "runs" / "train" / "deblur"), "--steps"]
    assert main([*again, "2"]) == 0
    assert "validated on other pictures" not in capsys.readouterr().err
    held.unlink()
    assert main([*again, "3"]) == 0
    assert "validated on other pictures" in capsys.readouterr().err


@pytest.mark.parametrize("weight", [0.5, 0.0])
def test_a_best_distance_to_another_teacher_is_none_and_where_it_is_only_logged_decibels_count(
    tmp_path, photos, weight
):
    def trainer(identity, *more):
        options = parse_training_args(build_parser(), arguments(tmp_path, photos, "--steps", "1", *more))
        return Trainer(options, Teacher(mean_difference, weight, 0, identity))

    best = trainer("yolo26n").run()["best"]
    assert best > 0
    assert trainer("yolo26n", "--resume", "auto").progress.best == best
    assert trainer("yolo26s", "--resume", "auto").progress.best == (None if weight else best)


def test_metrics_are_those_of_the_last_weights_where_a_run_that_was_over_goes_on_and_is_stopped(begun):
    metrics = begun / "metrics.json"
    assert json.loads(metrics.read_text())["step"] == 1
    trainer = Trainer(parse_training_args(build_parser(), ["--resume", str(begun), "--steps", "9"]))
    step = trainer._step

    def stopped():
        trainer.stop_requested = True
        return step()

    trainer._step = stopped
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    after = json.loads(metrics.read_text())
    assert (after["step"], after["validation"]) == (2, {})
    assert load_released(begun / "weights" / "last.safetensors")[1]["steps"] == 2


def test_other_weights_to_begin_with_are_refused_where_a_run_goes_on_with_its_own(begun, capsys):
    before = {file: file.read_bytes() for file in begun.rglob("*") if file.is_file()}
    elsewhere = begun.parent / "elsewhere"
    shutil.copytree(begun / "weights", elsewhere)
    other = str(elsewhere / "last.safetensors")
    capsys.readouterr()
    assert main(["--resume", str(begun), "--steps", "2", "--init", other]) == 1
    assert f"--init {other} (was None) would do nothing" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in before} == before


def test_the_weights_that_a_run_began_with_may_lie_elsewhere_when_it_goes_on(tmp_path, photos, begun, capsys):
    first = tmp_path / "first"
    shutil.copytree(begun / "weights", first)
    given = [*arguments(tmp_path, photos), "--name", "from-first"]
    assert main([*given, "--steps", "1", "--init", str(first / "last.safetensors")]) == 0
    first.rename(tmp_path / "second")
    run, there = tmp_path / "runs" / "train" / "from-first", str(tmp_path / "second" / "last.safetensors")
    assert main(["--resume", str(run), "--steps", "2", "--init", there]) == 0
    shutil.copytree(tmp_path / "second", tmp_path / "third")
    capsys.readouterr()
    assert main(["--resume", str(run), "--steps", "3", "--init", str(tmp_path / "third" / "last.safetensors")]) == 1
    assert f"(was {there}) would do nothing" in capsys.readouterr().err


def test_scores_of_the_last_weights_stay_where_no_step_came_behind_them(tmp_path, photos, begun):
    last, metrics = begun / "weights" / "last.json", begun / "metrics.json"
    before = last.read_bytes(), metrics.read_bytes()
    trainer = Trainer(parse_training_args(build_parser(), ["--resume", str(begun), "--steps", "9"]))
    trainer.stop_requested = True
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert (last.read_bytes(), metrics.read_bytes()) == before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--max-minutes", "1e-6"], "minute 0.0[0-9]* of --max-minutes 1e-06 reached; to go on give a larger --max-mi"),
        (["--steps", "1"], "step 1 of --steps 1 reached; to go on give a larger --steps"),
        (["--steps", "1", "--max-minutes", "1e-6"], "step 1 of .* and minute .* give a larger --steps and --max-min"),
    ],
)
def test_a_limit_that_leaves_nothing_to_train_is_told_of(begun, capsys, given, told):
    assert main(["--resume", str(begun), "--steps", "7", *given]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "nothing is left to train" in line]
    assert len(lines) == 1
    assert re.search(told, lines[0])
    assert load_checkpoint(begun / "weights" / "state.pt")["step"] == 1


def test_a_run_that_has_steps_left_says_nothing_of_limits(begun, capsys):
    assert main(["--resume", str(begun), "--steps", "2"]) == 0
    assert "nothing is left to train" not in capsys.readouterr().err


def test_a_run_that_goes_on_in_one_process_is_not_gone_on_with_in_another(begun, capsys):
    before = (begun / "env.json").read_bytes()
    with alone_in(begun):
        for resume in (["--resume", str(begun)], [*QUICK, "--resume", "auto", "--output", str(begun.parent.parent)]):
            assert main([*resume, "--steps", "2"]) == 1
            assert f"another process is at work in {begun}" in capsys.readouterr().err
    assert (begun / "env.json").read_bytes() == before
    assert main(["--resume", str(begun), "--steps", "2"]) == 0


def test_another_thread_trains_and_leaves_the_process_as_it_was(tmp_path, photos):
    threads = torch.get_num_threads()
    options = parse_training_args(build_parser(), arguments(tmp_path, photos, "--steps", "1"))
    options.threads = threads + 1
    state = torch.get_rng_state()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, options).result()["step"] == 1
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_a_process_that_computes_in_another_precision_already_is_told_of(tmp_path, photos):
    Trainer(parse_training_args(build_parser(), arguments(tmp_path, photos, "--steps", "1"))).close()
    options = parse_training_args(build_parser(), arguments(tmp_path, photos, "--steps", "1", "--precision", "bf16"))
    with pytest.raises(DeblurError, match="has an Accelerator of another precision or device already"):
        train(options)


def test_a_new_run_is_refused_to_others_until_it_ends(tmp_path, photos, monkeypatch):
    run, tried = Trainer.run, []

    def meanwhile(trainer):
        with pytest.raises(DeblurError, match="another process"), alone_in(trainer.folder):
            pass
        tried.append(trainer.folder)
        return run(trainer)

    monkeypatch.setattr(Trainer, "run", meanwhile)
    train(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "1")))
    with alone_in(*tried):
        pass


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("env.json", b'{"seed": 0, "ti', "env.json is damaged: move it away"),
        ("env.json", b"[]", "env.json is damaged: move it away"),
        (
            "results.csv",
            b"step,minutes,kind,name,value\n1,0.1,train,lo\xffss,1\n",
            "results.csv is damaged: move it away",
        ),
        ("results.csv", b"step,minutes,kind,name,value\n1,0.1\n", "results.csv is damaged: move it away"),
        ("results.csv", b"\0\0\0\0\n", "results.csv is damaged: move it away"),
        ("config.yaml", b"name: [deblur", "config.yaml is damaged: move it away, and go on by --resume"),
        ("config.yaml", b"\0\0\0", "config.yaml is damaged: move it away, and go on by --resume"),
        ("config.yaml", b"name: 2026-13-45", "config.yaml is damaged: move it away, and go on by --resume"),
        (
            "weights/state.pt",
            b"PK\3\4 cut off",
            "state.pt is damaged, or no training state of this project; begin another",
        ),
    ],
)
def test_what_is_damaged_in_a_run_that_is_to_go_on_is_one_line(
    tmp_path, photos, capsys, finished, file, content, message
):
    run = tmp_path / "runs" / "train" / "deblur"
    shutil.copytree(finished, run)
    (run / file).write_bytes(content)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for resume in ("auto", str(run)):
        assert main(arguments(tmp_path, photos, "--steps", "2", "--resume", resume)) == 1
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert message in errors[0]
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    if not file.startswith("weights"):
        (run / file).unlink()
        assert main(arguments(tmp_path, photos, "--steps", "2", "--resume", str(run))) == 0


def test_a_training_state_of_other_weights_is_one_line(tmp_path, photos, finished):
    run = tmp_path / "runs" / "train" / "deblur"
    shutil.copytree(finished, run)
    file = run / "weights" / "state.pt"
    whole = load_checkpoint(file)
    for part, broken in (
        ("network", {}),
        ("optimizer", {"state": {}, "param_groups": []}),
        ("optimizer", {}),
        ("random", torch.zeros(3)),
    ):
        save_checkpoint(file, {**whole, part: broken})
        with pytest.raises(
            DeblurError, match=r"state\.pt does not fit .*; begin another run, with --init .*last\.safet"
        ):
            train(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "2", "--resume", "auto")))
    wrong = [(part, None) for part in ("step", "best_by", "validated_on", "sittings")]
    wrong += [
        ("step", -5),
        ("seconds", math.nan),
        ("best", math.inf),
        ("sittings", [1]),
        ("sittings", [{"commit": "a"}]),
    ]
    for part, value in wrong:
        save_checkpoint(file, {**whole, part: value})
        with pytest.raises(DeblurError, match=f"lacks a proper {part}"):
            load_checkpoint(file)


def test_a_state_that_is_none_is_refused(tmp_path):
    file = tmp_path / "state.pt"
    save_checkpoint(file, {"step": 1, "network": {"w": torch.ones(2)}})
    with pytest.raises(DeblurError, match=r"state\.pt is no training state.*lacks a proper best, best_by, config"):
        load_checkpoint(file)
    file.write_bytes(b"not a state")
    with pytest.raises(DeblurError, match=r"state\.pt"):
        load_checkpoint(file)
    torch.save({"code": print}, file)
    with pytest.raises(DeblurError, match=r"state\.pt"):
        load_checkpoint(file)
    with pytest.raises(DeblurError, match="nowhere"):
        load_checkpoint(tmp_path / "nowhere.pt")


class Bomb:
    """Unpickled the ordinary way, it makes a folder."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.mkdir, (self.place,)


def test_code_in_a_training_state_does_not_run(tmp_path):
    torch.save({"step": 1, "code": Bomb(tmp_path / "made")}, tmp_path / "state.pt")
    with pytest.raises(DeblurError, match=r"state\.pt is damaged, or no training state"):
        load_checkpoint(tmp_path / "state.pt")
    assert not (tmp_path / "made").exists()
