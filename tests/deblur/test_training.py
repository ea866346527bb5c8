from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur.motion import still
from deblur.cli import parse_args
from deblur.errors import DeblurError
from deblur.losses import LossWeights, restoration_loss
from deblur.metrics import psnr
from deblur.networks import build, config_from_dict
from deblur.networks.mstsgm import MSTSGM
from deblur.processes import PATIENCE
from deblur.released import load_released
from deblur.run_lock import alone_in
from deblur.train import build_parser, describe, main, parse_training_args
from deblur.training.checkpoint import load_checkpoint, save_checkpoint
from deblur.training.holding_out import hold_out
from deblur.training.loop import Trainer, _mix, train
from deblur.training.mix import BlurMix, parse_blur_range
from deblur.training.network_choice import network_config, network_name
from deblur.training.run_folder import find_resumable
from deblur.training.schedule import Progress
from deblur.training.sources import parse_source
from deblur.training.teacher import Teacher
from deblur.training.validation import ValidationSet, sets_digest, validate

TINY = ["--network", "mstsgm-nano", "--set", "widths=[16,20,24]", "encoder_blocks=[1,1,1]", "decoder_blocks=[1,1,1]"]
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "deblur.train"]
TWO_PROCESSES = [sys.executable, *LAUNCH]
QUICK = [*TINY, "--threads", "1", "--crop", "32", "--batch", "4", "--val-side", "64", "--device", "cpu"]


def arguments(tmp_path, photos, *extra):
    return [
        *QUICK,
        "--sharp",
        str(photos),
        "--val-limit",
        "1",
        "--val-blur",
        "shake:8",
        "--output",
        str(tmp_path / "runs"),
        *extra,
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a run of one step; copy it before it is changed."""
    folder = tmp_path_factory.mktemp("finished")
    for index in range(2):
        Image.fromarray(photographs.astronaut()[index * 50 : index * 50 + 120, 100:280]).save(folder / f"{index}.png")
    train(build_parser().parse_args(arguments(folder, folder, "--steps", "1")))
    return folder / "runs" / "train" / "deblur"


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "weights" / "state.pt")["network"]


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_small_network_fits_one_batch():
    torch.manual_seed(0)
    picture = torch.from_numpy(photographs.astronaut()[100:116, 200:216].copy()).permute(2, 0, 1).unsqueeze(0) / 255
    blurred = torch.nn.functional.avg_pool2d(picture, 5, 1, 2, count_include_pad=False)
    sizes = {"widths": [16, 16, 24], "encoder_blocks": [1] * 3, "decoder_blocks": [1] * 3, "frames": 2, "eagr": False}
    network = build(config_from_dict({"kind": "mstsgm", "temporal": "depthwise", **sizes}))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 140)
    for _ in range(140):
        optimizer.zero_grad()
        terms = restoration_loss(network(blurred), picture, LossWeights(1, 0.01, 0.01))
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        restored = network.eval()(blurred).picture
    assert psnr(blurred, picture).item() < 24
    assert psnr(restored, picture).item() > 40


def test_training_leaves_a_whole_run_folder_and_weights_that_load(tmp_path, photos, capsys):
    assert (
        main(
            arguments(
                tmp_path, photos, "--steps", "4", "--log-every", "2", "--validate-every", "2", "--name", "a", "--json"
            )
        )
        == 0
    )
    run = tmp_path / "runs" / "train" / "a"
    assert json.loads(capsys.readouterr().out) == json.loads((run / "metrics.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["step"] == 4
    assert set(metrics["validation"]) == {"shake:8"}
    assert metrics["best"] >= metrics["validation"]["shake:8"]["restored"] - 1e-9
    rows = rows_of(run)
    names = {row["name"] for row in rows}
    assert {
        "content",
        "frequency",
        "smoothness",
        "loss",
        "pictures_per_second",
        "data_share",
        "flop_per_second",
    } <= names
    assert all(np.isfinite(float(row["value"])) for row in rows)
    assert {row["step"] for row in rows} == {"2", "4"}
    assert (run / "config.yaml").is_file()
    assert json.loads((run / "env.json").read_text())["seed"] == 0
    assert len(list((run / "samples").glob("*.jpg"))) == 2
    deblurrer = Deblurrer.load(run / "weights" / "best.safetensors", device="cpu")
    picture = photographs.astronaut()[:50, :70]
    assert deblurrer(picture).shape == picture.shape
    assert deblurrer.card["steps"] in {2, 4}
    # The run's own configuration trains again.
    assert main(["--config", str(run / "config.yaml"), "--name", "b", "--steps", "1"]) == 0
    assert (tmp_path / "runs" / "train" / "b" / "metrics.json").is_file()


def test_released_weights_are_the_averaged_ones(tmp_path, photos):
    train(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "3", "--ema", "0.5")))
    run = tmp_path / "runs" / "train" / "deblur"
    state = load_checkpoint(run / "weights" / "state.pt")
    released = load_file(run / "weights" / "last.safetensors")
    averaged = {name.removeprefix("module."): value for name, value in state["ema"].items() if name != "n_averaged"}
    assert_same(released, averaged)
    assert any(not torch.equal(released[name], state["network"][name]) for name in released)


def test_the_average_has_heard_of_the_last_step(finished):
    state = load_checkpoint(finished / "weights" / "state.pt")
    averaged = {name.removeprefix("module."): value for name, value in state["ema"].items() if name != "n_averaged"}
    assert_same(averaged, state["network"])  # its first is all that it averages


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


def test_folders_and_pictures_whose_names_are_no_utf8(tmp_path, photos, garbled_name, capsys):
    for file in photos.iterdir():
        file.rename(file.with_stem(garbled_name + file.stem))
        for side in ("blur", "sharp"):
            copy = tmp_path / garbled_name / side / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            other = 255 - np.asarray(Image.open(file.with_stem(garbled_name + file.stem)))
            Image.fromarray(other).save(copy)
    given = arguments(tmp_path, photos, "--val-pairs", str(tmp_path / garbled_name), "--output", str(tmp_path / "runs"))
    assert main([*given, "--steps", "1", "--name", garbled_name]) == 0
    assert r"caf\udce9: exact blurred" in capsys.readouterr().out
    run = tmp_path / "runs" / "train" / garbled_name
    assert main(["--config", str(run / "config.yaml"), "--resume", "auto", "--steps", "2", "--json"]) == 0
    validated = json.loads(capsys.readouterr().out)["validation"]
    assert {row["name"] for row in rows_of(run) if row["kind"] == "validation"} >= {
        f"{name} gain" for name, scores in validated.items() if scores["gain"] is not None
    }


def test_what_other_threads_make_lies_on_the_device_by_its_number(tmp_path, photos, monkeypatch):
    monkeypatch.setattr("deblur.training.loop.numbered", lambda device: torch.device(device.type, 0))
    trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "1")))
    assert trainer.device == trainer.store.device == torch.device("cpu", 0)
    trainer.store.close()
    trainer.planner.close()
    trainer.loader.close()


def test_processes_wait_for_the_main_one_that_validates_longer_than_torch_would(tmp_path, photos, monkeypatch):
    groups = []
    monkeypatch.setattr(torch.distributed, "new_group", lambda **given: groups.append(given))
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "1")))
    assert trainer.accelerator.init_handler.timeout == PATIENCE
    assert groups == [{"backend": "gloo", "timeout": PATIENCE}]
    trainer.close()


def test_planning_beside_and_compiling_change_no_weights(tmp_path, photos, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(type(module)))
    for name, options in (("alone", []), ("helped", ["--workers", "1", "--compile"])):
        train(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "3", "--name", name, *options)))
    assert compiled == [MSTSGM]
    runs = tmp_path / "runs" / "train"
    assert_same(weights_of(runs / "alone"), weights_of(runs / "helped"))
    assert not multiprocessing.active_children()


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
def test_two_processes_give_what_one_with_twice_the_share_gives(tmp_path, photos):
    # Batch norm sees only its own process' pictures, so the network here has none (EAGR off).
    common = [*arguments(tmp_path, photos, "--steps", "3", "--learning-rate", "1e-4"), "--log-every", "1"]
    common += ["--set", *TINY[3:], "eagr=false"]
    subprocess.run(
        [sys.executable, "-m", "deblur.train", *common, "--name", "one"], check=True, capture_output=True, timeout=250
    )
    subprocess.run([*TWO_PROCESSES, *common, "--name", "two"], check=True, capture_output=True, timeout=250)
    runs = tmp_path / "runs" / "train"
    assert json.loads((runs / "two" / "env.json").read_text())["processes"] == 2
    one, two = weights_of(runs / "one"), weights_of(runs / "two")
    # Adam steps by about the learning rate whatever the gradient: sums in another order may turn a step whose gradient
    # is all but zero. Other data or another batch size would move every weight by the learning rate, 1e-4.
    assert np.mean([(one[name] - two[name]).abs().mean().item() for name in one]) < 1e-5
    losses = [
        [float(row["value"]) for row in rows_of(runs / run) if row["name"] in {"content", "frequency", "loss"}]
        for run in ("one", "two")
    ]
    assert len(losses[0]) == 9
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


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


def test_loss_that_is_not_finite_stops_with_step_and_files_and_keeps_the_checkpoint(tmp_path, photos, monkeypatch):
    options = build_parser().parse_args(arguments(tmp_path, photos, "--steps", "9", "--checkpoint-every", "2"))
    trainer = Trainer(options)
    step = trainer._step

    def poisoned():
        terms, waited, files = step()
        return ({"content": torch.tensor(float("nan"))} if trainer.progress.step == 4 else terms), waited, files

    trainer._step = poisoned
    with pytest.raises(
        DeblurError, match=r"content loss is no longer finite at step 5, batch .*\.png.*--learning-rate"
    ):
        trainer.run()
    assert load_checkpoint(trainer.folder / "weights" / "state.pt")["step"] == 4


def test_weights_that_are_not_finite_are_never_saved(tmp_path, photos):
    options = build_parser().parse_args(arguments(tmp_path, photos, "--steps", "9", "--checkpoint-every", "2"))
    trainer = Trainer(options)
    step = trainer._step

    def poisoned():
        # As a gradient does that breaks where the loss did not.
        result = step()
        if trainer.progress.step == 5:
            with torch.no_grad():
                next(trainer.bare.parameters()).fill_(float("nan"))
        return result

    trainer._step = poisoned
    with pytest.raises(DeblurError, match=r"weights are no longer finite at step 6; the last checkpoint .* is good"):
        trainer.run()
    state = load_checkpoint(trainer.folder / "weights" / "state.pt")
    assert state["step"] == 4
    assert all(torch.isfinite(value).all() for value in state["network"].values())


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
    before = (run / "results.csv").read_bytes()
    steps = [row["step"] for row in rows_of(run) if row["name"] == "shake:8 input"]
    assert steps == ["2"]
    assert main(["--resume", str(run)]) == 0  # as Ctrl-C prints it
    assert (run / "results.csv").read_bytes() == before
    environment = json.loads((run / "env.json").read_text())
    assert [sitting["seed"] for sitting in environment["earlier"]] == [0]


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
    assert [folder.name for folder in begun.parent.iterdir()] == ["deblur"]


def test_what_a_run_was_trained_by_is_on_its_card_sitting_by_sitting(begun, capsys):
    card = json.loads((begun / "weights" / "last.json").read_text())
    assert "sittings" not in card, "one recipe, which trained_with is"
    assert main(["--resume", str(begun), "--log-every", "1"]) == 0  # no step is made, and nothing that would change one
    assert "other options" not in capsys.readouterr().err
    assert main(["--resume", str(begun), "--steps", "2", "--batch", "2"]) == 0
    told = f"{begun} goes on from step 1 with other options: --batch 2 (was 4), --steps 2 (was 1)"
    assert told in capsys.readouterr().err.splitlines()
    assert main(["--resume", str(begun), "--steps", "2", "--clip", "0.3"]) == 0  # which makes no step
    assert main(["--resume", str(begun), "--steps", "3", "--clip", "0.5"]) == 0
    card = json.loads((begun / "weights" / "last.json").read_text())
    assert [(one["first_step"], one["processes"]) for one in card["sittings"]] == [(1, 1), (2, 1), (3, 1)]
    changed = [{}, {"batch": [4, 2], "steps": [1, 2]}, {"clip": [1.0, 0.5], "steps": [2, 3]}]
    assert [one["changed"] for one in card["sittings"]] == changed
    assert card["trained_with"]["clip"] == 0.5


def test_json_is_of_one_command_alone(begun, capsys):
    assert main(["--resume", str(begun), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 1
    assert main(["--resume", str(begun)]) == 0
    assert capsys.readouterr().out.startswith("shake:8: ")


def test_what_must_stay_is_refused_also_beside_the_options_of_the_run(begun, capsys):
    assert main(["--resume", str(begun), "--steps", "2", "--seed", "1"]) == 1
    assert "another network or seed; give the same" in capsys.readouterr().err


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
    for part in ("step", "best_by", "validated_on", "sittings"):
        save_checkpoint(file, {**whole, part: None})
        with pytest.raises(DeblurError, match=f"lacks a proper {part}"):
            load_checkpoint(file)


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


def test_training_starts_from_released_weights(tmp_path, photos, capsys):
    assert main(arguments(tmp_path, photos, "--steps", "2", "--name", "first")) == 0
    file = tmp_path / "runs" / "train" / "first" / "weights" / "last.safetensors"
    options = build_parser().parse_args(arguments(tmp_path, photos, "--steps", "2", "--init", str(file), "--name", "b"))
    options.network, options.set = None, []
    trainer = Trainer(options)
    assert_same(dict(trainer.bare.state_dict()), load_file(file))
    assert trainer.options.network is None  # its sizes have no name
    options.set = ["frames=2"]
    with pytest.raises(DeblurError, match=r"last\.safetensors does not fit the network that --set makes"):
        Trainer(options)
    for value in ("[1,", "2026-13-45", "[" * 5000):
        options.set = [f"widths={value}"]
        with pytest.raises(DeblurError, match="is no YAML value"):
            Trainer(options)


def test_what_is_recorded_is_the_network_that_init_names(tmp_path, photos):
    common = arguments(tmp_path, photos, "--steps", "1", "--init", "mstsgm-nano")[len(TINY) :]
    assert main([*common, "--set", "tcn=true", "--name", "unsaid"]) == 0
    assert main([*common, "--network", "mstsgm-nano", "--name", "said"]) == 0
    for name in ("unsaid", "said"):
        run = tmp_path / "runs" / "train" / name
        assert yaml.safe_load((run / "config.yaml").read_text())["network"] == "mstsgm-nano"
        card = load_released(run / "weights" / "last.safetensors")[1]
        assert card["trained_with"]["network"] == "mstsgm-nano"
        assert card["network"] == load_released("mstsgm-nano")[1]["network"]


def test_another_network_than_that_of_init_is_refused(tmp_path, photos, capsys):
    common = arguments(tmp_path, photos, "--steps", "1", "--init", "mstsgm-nano")[len(TINY) :]
    config = tmp_path / "c.yaml"
    config.write_text("network: mstsgm-guided\n")
    assert main([*common, "--config", str(config)]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "--network mstsgm-guided is not the network of --init mstsgm-nano (other widths, encoder_blocks, " in line
    assert "guide): give --network mstsgm-nano, or leave it out" in line
    assert main([*common, "--network", "mimo-unet"]) == 1
    assert "(other kind)" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("network", "given", "name"),
    [
        ("mstsgm-nano", ["guide=true"], "mstsgm-nano"),
        ("mstsgm-nano", ["widths=[16,32,48]"], "mstsgm-nano"),
        (None, ["guide=true"], "mstsgm-nano"),
        (None, ["widths=[16,32,48]", "tcn=false"], "mstsgm-nano"),
    ],
)
def test_what_set_changes_and_the_estimator_may_differ_from_init(network, given, name):
    options = build_parser().parse_args(["--init", "mstsgm-nano", "--estimator", "mstsgm-guided", "--set", *given])
    options.network = network
    assert network_config(options) == network_config(argparse.Namespace(**vars(options) | {"network": None}))
    assert network_name(options) == name


@pytest.mark.parametrize("options", [[], ["--freeze-norm"]])
def test_batch_norm_keeps_the_statistics_it_begins_with_where_it_is_frozen(tmp_path, photos, options):
    steps = ["--steps", "3", "--log-every", "1", "--validate-every", "1", "--ema", "0", *options]
    trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, *steps)))
    before = {name: value.clone() for name, value in trainer.bare.state_dict().items()}
    trainer.run()
    after = trainer.bare.state_dict()
    statistics = [name for name in before if name.endswith(("running_mean", "running_var"))]
    assert len(statistics) == 6
    assert all(torch.equal(before[name], after[name]) == bool(options) for name in statistics)
    learnt = [name for name in before if name.endswith("attention.2.weight")]
    assert learnt
    assert not any(torch.equal(before[name], after[name]) for name in learnt)


def test_training_needs_none_of_the_detectors_libraries_and_restoring_no_compiler():
    program = (
        "import sys, numpy\n"
        "for name in ('cv2', 'ultralytics', 'torchvision', 'matplotlib', 'pandas', 'skimage', 'pycocotools'):\n"
        "    sys.modules[name] = None\n"
        "sys.modules['torch._dynamo'] = None\n"  # which takes as long to import as all of torch
        "from deblur.deblurrer import Deblurrer\n"
        "Deblurrer.load('default', 'cpu')(numpy.zeros((16, 16, 3), 'uint8'))\n"
        "del sys.modules['torch._dynamo']\n"
        "import deblur.training.loop, deblur.train, deblur.prepare.placing, deblur.prepare.layouts\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


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


@pytest.mark.parametrize(("optimizer", "decay"), [("adamw", 1e-4), ("adam", 0)])
def test_weights_decay_with_adamw_alone(tmp_path, photos, optimizer, decay):
    options = build_parser().parse_args(arguments(tmp_path, photos, "--steps", "1", "--optimizer", optimizer))
    trained_by = Trainer(options).optimizer.optimizer
    assert type(trained_by).__name__.lower() == optimizer
    assert {(group["weight_decay"], *group["betas"]) for group in trained_by.param_groups} == {(decay, 0.9, 0.999)}


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
    held = hold_out(parse_source("sharp", str(photos)), 0.05, 0)[1][0].files[0]
    Image.fromarray(photographs.astronaut()[:120, :180]).save(photos / "another.png")
    again = ["--resume", str(tmp_path / "runs" / "train" / "deblur"), "--steps"]
    assert main([*again, "2"]) == 0
    assert "validated on other pictures" not in capsys.readouterr().err
    held.unlink()
    assert main([*again, "3"]) == 0
    assert "validated on other pictures" in capsys.readouterr().err


def test_a_best_distance_to_another_teacher_is_none(tmp_path, photos):
    def trainer(identity, *more):
        options = parse_training_args(build_parser(), arguments(tmp_path, photos, "--steps", "1", *more))
        return Trainer(options, Teacher(mean_difference, 0.5, 0, identity))

    best = trainer("yolo26n").run()["best"]
    assert best > 0
    assert trainer("yolo26n", "--resume", "auto").progress.best == best
    assert trainer("yolo26s", "--resume", "auto").progress.best is None


def test_what_is_validated_on_does_not_depend_on_the_threads():
    pictures = [np.random.default_rng(seed).integers(0, 255, (8, 9, 3), dtype=np.uint8) for seed in range(3)]
    blurred, rounded, sharp = pictures
    path = (still(9, 8),)
    here = [sets_digest([ValidationSet("shake:8", ((each, sharp),), path)]) for each in (blurred, rounded)]
    there = [sets_digest([ValidationSet("a/b", ((each, sharp),))]) for each in (blurred, rounded)]
    assert here[0] == here[1]
    assert there[0] != there[1]
    assert sets_digest([ValidationSet("b", ((blurred, sharp),))]) == there[0]
    assert sets_digest([ValidationSet("shake:16", ((blurred, sharp),), path)]) != here[0]


def mean_difference(restored, sharp):
    return (restored - sharp).abs().mean()


@pytest.mark.parametrize(("weight", "taught"), [(0.5, ["2", "3"]), (0.0, [])])
def test_the_distance_of_a_teacher_is_measured_and_at_its_weight_a_loss(tmp_path, photos, weight, taught):
    calls = []

    def distance(restored, sharp):
        found = mean_difference(restored, sharp)
        if restored.requires_grad:
            calls.append(found.item())
        return found

    given = arguments(tmp_path, photos, "--steps", "3", "--log-every", "1")
    metrics = train(parse_training_args(build_parser(), given), Teacher(distance, weight, 1, "mine"))
    assert len(calls) == len(taught)
    assert metrics["best_by"] == ("distance_restored" if taught else "restored")
    assert set(metrics["validation"]["shake:8"]) >= {"distance_input", "distance_restored"}
    rows = rows_of(tmp_path / "runs" / "train" / "deblur")
    detector = {row["step"]: float(row["value"]) for row in rows if row["name"] == "detector"}
    assert list(detector) == taught
    assert list(detector.values()) == pytest.approx([weight * call for call in calls], rel=1e-4)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--sharp", "nowhere"], "nowhere"),
        (["--batch", "3", "--accumulate", "2"], "--batch 3"),
        (["--val-pairs", "x=0"], "--val-pairs x=0: the weight must be above 0"),
        (["--val-blur", "shake:16", "shake:16.0"], "--val-blur shake:16 is there twice: leave one out"),
        (["--val-pairs", "x/y", "x//y/"], "--val-pairs x/y is there twice: leave one out"),
        (["--set", "tcn"], "--set tcn"),
        (["--set", "wings=2"], "wings"),
        (["--network", "unet"], "unet"),
        (["--resume", "missing"], "missing"),
        (["--init", "missing.safetensors"], "missing.safetensors"),
        (["--crop", "33"], "--crop 33"),
        (["--blur", "wave:3"], "wave"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--content", "0", "--frequency", "0"], "--content 0 --frequency 0"),
        (["--blur", "measured@nowhere.npz:2-9"], "nowhere.npz"),
        (["--blur", "shake:1-32=inf"], "shake:1-32=inf"),
        (["--blur", "straight:8", "--rolling-share", "0.5"], "--rolling-share needs a --blur shake"),
        (["--freeze-norm", "--set", "eagr=false"], "--freeze-norm: this network has no batch norm"),
    ],
)
def test_mistakes_are_one_line_and_exit_1(tmp_path, photos, capsys, extra, message):
    assert main(arguments(tmp_path, photos, "--steps", "1", *extra)) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize(
    "given",
    [
        ["--sharp", "x"],
        ["--steps", "3"],
        ["--steps", "0", "--sharp", "x"],
        ["--max-minutes", "0", "--sharp", "x"],
        ["--steps", "1", "--sharp", "x", "--clip", "-1"],
        ["--steps", "1", "--sharp", "x", "--warmup", "1"],
        ["--steps", "1", "--sharp", "x", "--ema", "1"],
        ["--steps", "1", "--sharp", "x", "--seed", "-1"],
        ["--steps", "1", "--sharp", "x", "--seed", str(2**63)],
        ["--steps", "1", "--sharp", "x", "--name", ""],
        ["--steps", "1", "--sharp", "x", "--name", ".."],
        ["--steps", "1", "--sharp", "x", "--name", "a/b"],
    ],
)
def test_usage_errors_exit_2(given, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(given)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


FOLDERS = ("pairs", "sharp", "frames", "val-pairs", "val-sharp")


@pytest.mark.parametrize("option", [*FOLDERS, "init", "estimator", "resume"])
def test_an_empty_name_is_a_variable_that_is_not_set(option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("foreign: 1\n")  # which an empty --resume would find
    for empty in ["", "=2"] if option in FOLDERS else [""]:
        with pytest.raises(SystemExit) as stopped:
            parse_training_args(build_parser(), ["--steps", "1", "--sharp", "x", f"--{option}={empty}"])
        assert stopped.value.code == 2
        told = capsys.readouterr().err
        assert f"argument --{option}: it is empty: is a variable of the shell not set?" in told


@pytest.mark.parametrize(
    ("given", "idle", "needed"),
    [
        (["--pairs", "x", "--blur", "shake:8", "--rolling-share", "0.5"], "--blur, --rolling-share", "--sharp"),
        (["--frames", "x", "--highlight-share", "0.5"], "--highlight-share", "--sharp"),
        (["--pairs", "x", "--path-share=0.5"], "--path-share", "--sharp"),
        (["--pairs", "x", "--noise", "2"], "--noise", "--sharp or --frames"),
        (["--pairs", "x", "--val-pairs", "y", "--val-blur", "shake:8"], "--val-blur", "--val-sharp, or --sharp"),
        (["--sharp", "x", "--hold-out", "0", "--val-side", "99"], "--val-side", "--val-pairs, --val-sharp, or --sharp"),
        (["--sharp", "x", "--optimizer", "adam", "--weight-decay", "0.1"], "--weight-decay", "--optimizer adamw"),
        (["--sharp", "x", "--schedule", "halving", "--warmup", "0.1"], "--warmup", "--schedule cosine"),
        (["--sharp", "x", "--network", "estimator", "--content", "2"], "--content", "a --network that restores"),
        (["--sharp", "x", "--hold-out", "0", "--samples", "2"], "--samples", "--val-pairs, --val-sharp, or --sharp"),
        (["--sharp", "x", "--network", "mimo-unet", "--smoothness", "1"], "--smoothness", "TCN, whose virtual frames"),
        (["--sharp", "x", "--set", "tcn=false", "--smoothness", "1"], "--smoothness", "TCN, whose virtual frames"),
        (["--sharp", "x", "--set", "tcn=False", "--smoothness", "1"], "--smoothness", "TCN, whose virtual frames"),
        (["--sharp", "x", "--set", "frames=1", "--smoothness", "1"], "--smoothness", "TCN, whose virtual frames"),
        (["--sharp", "x", "--set", "tcn= no", "--smoothness", "1"], "--smoothness", "TCN, whose virtual frames"),
    ],
)
def test_what_would_do_nothing_is_refused_on_the_command_line(given, idle, needed, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_training_args(build_parser(), ["--steps", "1", *given])
    assert stopped.value.code == 2
    assert f"error: {idle} would do nothing: needed is {needed}" in capsys.readouterr().err


def test_a_lone_pixel_is_too_little_for_batch_norm(tmp_path, photos, capsys):
    lone = ["--steps", "1", "--crop", "8", "--batch", "2", "--accumulate", "2", "--set", "eagr=true"]
    assert main(arguments(tmp_path, photos, *lone)) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(
        "error: --crop 8, one at a time, leaves batch norm a single pixel to learn from: give larger"
    )
    for enough in (["--accumulate", "1"], ["--crop", "16"], ["--freeze-norm"]):
        assert main(arguments(tmp_path, photos, *lone, *enough)) == 0


def test_what_does_not_fit_the_network_is_said_before_pictures_are_read(tmp_path, capsys):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    given = ["--steps", "1", "--sharp", str(tmp_path / "broken"), "--network", "mstsgm-nano", "--context", "8"]
    assert main(given) == 1
    assert "--context and --path-share are for guided networks" in capsys.readouterr().err


def test_a_recipe_may_say_more_than_a_run_uses_and_0_is_no_mistake(tmp_path):
    (tmp_path / "c.yaml").write_text("noise: 2.0\nval-side: 99\nweight-decay: 0.2\noptimizer: adam\nblur: [shake:8]\n")
    given = ["--config", str(tmp_path / "c.yaml"), "--pairs", "x", "--steps", "1", "--hold-out", "0", "--warmup", "0"]
    assert parse_training_args(build_parser(), [*given, "--schedule", "constant"]).noise == 2.0


def test_folders_gather_and_a_configuration_file_may_hold_bare_numbers(photos, tmp_path):
    (tmp_path / "c.yaml").write_text(f"sharp: {photos}=2\ncrop: 32\nquarter-turns: false\n")
    parser = build_parser()
    options = parse_args(parser, ["--config", str(tmp_path / "c.yaml"), "--pairs", "a", "b=2", "--pairs", "c"])
    assert options.pairs == ["a", "b=2", "c"]
    assert (options.sharp, options.crop, options.quarter_turns) == ([f"{photos}=2"], "32", False)


@pytest.mark.parametrize("name", ["estimator", "guided", "modern", "nano", "paper"])
def test_committed_recipes_are_read(name):
    file = Path(__file__).parents[2] / "experiments" / "configs" / f"{name}.yaml"
    options = parse_args(build_parser(), ["--config", str(file)])
    assert options.network.startswith("mstsgm") is (name != "estimator")
    if name == "paper":
        published = ("adam", 1e-4, "halving", 0.0, 0.0, 0.0, 8, "256", False, 1.0, 0.09, 0.01, 3000 * 263)
        keys = "optimizer learning_rate schedule weight_decay clip ema batch crop quarter_turns content frequency"
        assert tuple(getattr(options, key) for key in [*keys.split(), "smoothness", "steps"]) == published


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path, photos, monkeypatch):
    # The gradients themselves: Adam's first step is as long whatever their scale.
    common = ["--steps", "1", "--clip", "0", "--set", *TINY[3:], "eagr=false"]
    found = {}
    for parts in ("1", "2"):
        given = arguments(tmp_path, photos, *common, "--name", parts, "--accumulate", parts)
        trainer = Trainer(build_parser().parse_args(given))

        def keep(trainer=trainer, parts=parts):
            named = trainer.bare.named_parameters()
            found[parts] = {name: each.grad.clone() for name, each in named if each.grad is not None}

        monkeypatch.setattr(trainer.optimizer, "step", keep)
        trainer.run()
    assert found["1"].keys() == found["2"].keys()
    assert sum(gradient.abs().sum() for gradient in found["1"].values()) > 0
    for name, whole in found["1"].items():
        torch.testing.assert_close(found["2"][name], whole, rtol=1e-3, atol=1e-5 + 1e-3 * whole.abs().max().item())


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


def test_a_step_is_as_long_as_the_schedule_and_the_clip_say(tmp_path, photos, monkeypatch):
    given = ["--steps", "4", "--schedule", "halving", "--learning-rate", "0.01", "--clip", "1e-3"]
    trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, *given)))
    rates, norms, step = [], [], trainer.optimizer.step

    def watched():
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        gradients = [each.grad for each in trainer.bare.parameters() if each.grad is not None]
        norms.append(torch.stack([each.norm() for each in gradients]).norm().item())
        step()

    monkeypatch.setattr(trainer.optimizer, "step", watched)
    trainer.run()
    assert rates == [trainer.schedule.rate(done / 4) for done in range(4)]
    assert rates[-1] < rates[0]
    assert max(norms) <= 1.01e-3


def test_the_learning_rate_of_a_row_is_that_of_its_last_step(tmp_path, photos):
    given = arguments(tmp_path, photos, "--steps", "4", "--log-every", "2", "--learning-rate", "0.01")
    trainer = Trainer(build_parser().parse_args(given))
    trainer.run()
    rates = [float(row["value"]) for row in rows_of(trainer.folder) if row["name"] == "learning_rate"]
    assert rates == pytest.approx([trainer.schedule.rate(1 / 4), trainer.schedule.rate(3 / 4)], rel=1e-5)


def test_a_run_ends_with_the_scores_of_its_last_averaged_weights_and_counts_no_time_but_of_steps(
    tmp_path, photos, monkeypatch
):
    given = ["--steps", "3", "--validate-every", "2", "--ema", "0.9", "--learning-rate", "0.01", "--warmup", "0"]
    trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, *given)))
    now, step = [0.0], trainer._step

    def slowly():
        now[0] += 7
        return step()

    def score(*given):
        now[0] += 1000
        return validate(*given)

    trainer._step = slowly
    monkeypatch.setattr("deblur.training.loop.validate", score)
    monkeypatch.setattr("deblur.training.loop.time.perf_counter", lambda: now[0])
    ends = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    metrics = trainer.run()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == ends
    assert (metrics["step"], metrics["minutes"]) == (3, round(3 * 7 / 60, 2))
    last, card = load_released(trainer.folder / "weights" / "last.safetensors")
    assert (card["steps"], card["scores"]["validation"]) == (3, metrics["validation"])
    assert metrics["parameters"] == sum(parameter.numel() for parameter in last.parameters())
    assert metrics["validation"] == validate(last, trainer.sets, trainer.device)
    assert metrics["validation"] != validate(trainer.bare, trainer.sets, trainer.device)
    rows = [row for row in rows_of(trainer.folder) if row["kind"] == "validation"]
    assert {row["step"] for row in rows} == {"2", "3"}
    assert rows[-1]["minutes"] == "0.35"


@pytest.mark.parametrize("turns", ["--quarter-turns", "--no-quarter-turns"])
def test_crops_are_cut_and_pictures_kept_as_the_options_say(tmp_path, photos, turns):
    given = arguments(tmp_path, photos, "--steps", "9", "--max-side", "100", turns)
    trainer = Trainer(build_parser().parse_args(given))
    plans = [plan for step in range(8) for plan in trainer.planner.plans(step, 32)]
    sizes = {trainer.store.size_of(plan.example.files[0]) for plan in plans}
    quarters = {plan.quarters for plan in plans}
    trainer.close()
    assert {max(size) for size in sizes} == {100}
    assert quarters == ({0, 1, 2, 3} if turns == "--quarter-turns" else {0})


def test_blurs_are_mixed_as_the_options_say():
    shares = ["--srgb-share", "0.1", "--noise", "2.5", "--jpeg-share", "0.3", "--highlight-share", "0.4"]
    given = build_parser().parse_args(["--blur", "shake:2-8=0.5", *shares, "--rolling-share", "0.6"])
    assert _mix(given) == BlurMix(
        (parse_blur_range("shake:2-8=0.5"),), srgb=0.1, noise=2.5, jpeg=0.3, highlights=0.4, rolling=0.6
    )


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


def test_scores_of_the_last_weights_stay_where_no_step_came_behind_them(tmp_path, photos, begun):
    last = begun / "weights" / "last.json"
    before = last.read_bytes()
    trainer = Trainer(parse_training_args(build_parser(), ["--resume", str(begun), "--steps", "9"]))
    trainer.stop_requested = True
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert last.read_bytes() == before


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


def test_a_run_that_validates_on_nothing_says_so_and_names_its_last_weights(tmp_path, photos, capsys):
    metrics = train(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "1", "--hold-out", "0")))
    assert capsys.readouterr().err.count("nothing is validated on: ") == 1
    assert describe(metrics).endswith("/weights/last.safetensors")
    assert describe(metrics | {"validation": {"a": {"input": 1.0, "restored": 2.0}}}).endswith("/best.safetensors")


def test_a_run_that_validates_on_nothing_and_is_stopped_leaves_its_last_weights_as_the_best(tmp_path, photos):
    options = build_parser().parse_args(arguments(tmp_path, photos, "--steps", "2", "--hold-out", "0"))
    trainer = Trainer(options)
    trainer.stop_requested = True
    for steps in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            trainer.run()
        best, last = (load_released(trainer.folder / f"weights/{name}.safetensors")[1] for name in ("best", "last"))
        assert best["steps"] == last["steps"] == steps
        assert best["sha256"] == last["sha256"]
        options.resume = "auto"
        trainer = Trainer(options)
        step = trainer._step

        def stop_after_one(trainer=trainer, step=step):
            trainer.stop_requested = True
            return step()

        trainer._step = stop_after_one


def test_a_folder_that_no_run_can_be_made_in_is_refused_before_pictures_are_read(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no picture")
    (tmp_path / "file").write_bytes(b"")
    given = ["--steps", "1", "--sharp", str(tmp_path / "photos"), "--output", str(tmp_path / "file")]
    assert main([*QUICK, *given]) == 1
    assert f"cannot make --output {tmp_path / 'file'}: " in capsys.readouterr().err


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


def test_where_a_detector_teaches_the_best_weights_are_the_nearest(tmp_path, photos, monkeypatch):
    options = build_parser().parse_args(arguments(tmp_path, photos, "--steps", "3", "--validate-every", "1"))
    found = iter([0.5, 0.3, 0.4])

    def scored(*given):
        return {"a": {"restored": 1.0, "distance_restored": next(found)}}

    monkeypatch.setattr("deblur.training.loop.validate", scored)
    trainer = Trainer(options, Teacher(mean_difference, 0.5, 0, "mine"))
    trainer.run()
    assert trainer.progress.best == 0.3
    assert load_released(trainer.folder / "weights" / "best.safetensors")[1]["steps"] == 2


class Bomb:
    """Unpickled the ordinary way, it makes a folder."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.mkdir, (self.place,)


def test_a_run_that_goes_on_in_one_process_is_not_gone_on_with_in_another(begun, capsys):
    before = (begun / "env.json").read_bytes()
    with alone_in(begun):
        for resume in (["--resume", str(begun)], [*QUICK, "--resume", "auto", "--output", str(begun.parent.parent)]):
            assert main([*resume, "--steps", "2"]) == 1
            assert f"another process is at work in {begun}" in capsys.readouterr().err
    assert (begun / "env.json").read_bytes() == before
    assert main(["--resume", str(begun), "--steps", "2"]) == 0


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


def test_code_in_a_training_state_does_not_run(tmp_path):
    torch.save({"step": 1, "code": Bomb(tmp_path / "made")}, tmp_path / "state.pt")
    with pytest.raises(DeblurError, match=r"state\.pt is damaged, or no training state"):
        load_checkpoint(tmp_path / "state.pt")
    assert not (tmp_path / "made").exists()
