"""What the steps of a run do to its weights, in one process or two, and what they leave in its folder."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur.motion import still
from deblur.errors import DeblurError
from deblur.losses import LossWeights, restoration_loss
from deblur.metrics import psnr
from deblur.networks import build, config_from_dict
from deblur.networks.mstsgm import MSTSGM
from deblur.processes import PATIENCE
from deblur.released import load_released
from deblur.train import build_parser, describe, main, parse_training_args
from deblur.training.checkpoint import load_checkpoint
from deblur.training.loop import Trainer, train
from deblur.training.teacher import Teacher
from deblur.training.validation import ValidationSet, sets_digest, validate
from tests.deblur.tiny_training import TINY, TWO_PROCESSES, arguments, assert_same, mean_difference, rows_of, weights_of


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


def test_without_an_average_what_was_trained_is_released(tmp_path, photos):
    train(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "2", "--ema", "0")))
    weights = tmp_path / "runs" / "train" / "deblur" / "weights"
    assert_same(load_file(weights / "last.safetensors"), load_checkpoint(weights / "state.pt")["network"])


def test_the_average_has_heard_of_the_last_step(finished):
    state = load_checkpoint(finished / "weights" / "state.pt")
    averaged = {name.removeprefix("module."): value for name, value in state["ema"].items() if name != "n_averaged"}
    assert_same(averaged, state["network"])  # its first is all that it averages


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


@pytest.mark.parametrize(("optimizer", "decay"), [("adamw", 1e-4), ("adam", 0)])
def test_weights_decay_with_adamw_alone(tmp_path, photos, optimizer, decay):
    options = build_parser().parse_args(arguments(tmp_path, photos, "--steps", "1", "--optimizer", optimizer))
    trained_by = Trainer(options).optimizer.optimizer
    assert type(trained_by).__name__.lower() == optimizer
    assert {(group["weight_decay"], *group["betas"]) for group in trained_by.param_groups} == {(decay, 0.9, 0.999)}


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


def test_the_loss_of_a_step_in_parts_is_their_mean(tmp_path, photos):
    losses = []
    for parts in ("1", "2"):
        given = arguments(tmp_path, photos, "--steps", "1", "--log-every", "1", "--accumulate", parts)
        trainer = Trainer(build_parser().parse_args(given))
        trainer.run()
        losses += [float(row["value"]) for row in rows_of(trainer.folder) if row["name"] == "loss"]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


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


def test_the_rate_rises_for_as_long_as_the_options_say(tmp_path, photos):
    given = ["--steps", "4", "--log-every", "1", "--learning-rate", "0.01", "--warmup", "0.5"]
    trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, *given)))
    trainer.run()
    rates = [float(row["value"]) for row in rows_of(trainer.folder) if row["name"] == "learning_rate"]
    assert rates[1:3] == pytest.approx([0.005, 0.01])


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
    last = last.to(memory_format=torch.channels_last)  # as it was trained: otherwise in memory it rounds otherwise
    assert metrics["validation"] == validate(last, trainer.sets, trainer.device)
    assert metrics["validation"] != validate(trainer.bare, trainer.sets, trainer.device)
    rows = [row for row in rows_of(trainer.folder) if row["kind"] == "validation"]
    assert {row["step"] for row in rows} == {"2", "3"}
    assert rows[-1]["minutes"] == "0.35"


def test_a_run_that_validates_on_nothing_says_so_and_names_its_last_weights(tmp_path, photos, capsys):
    metrics = train(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "1", "--hold-out", "0")))
    assert capsys.readouterr().err.count("nothing is validated on: ") == 1
    assert describe(metrics).endswith("/weights/last.safetensors")
    scored = describe(metrics | {"validation": {"a": {"input": 1.0, "restored": 2.0}}})
    assert scored.startswith("a: 1.00 dB blurred, 2.00 dB restored\n")
    assert scored.endswith("/best.safetensors")


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
