"""The options of training: recipes, the network that a run begins with, and what mistakes are told."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from deblur.cli import parse_args
from deblur.errors import DeblurError
from deblur.networks import build
from deblur.networks.kernel_estimator import KernelEstimatorConfig
from deblur.released import load_released, save_released
from deblur.train import build_parser, main, parse_training_args
from deblur.training.loop import Trainer, _mix
from deblur.training.mix import BlurMix, parse_blur_range
from deblur.training.network_choice import network_config, network_name
from tests.deblur.tiny_training import QUICK, TINY, arguments, assert_same, rows_of


@pytest.mark.parametrize("name", ["estimator", "guided", "modern", "nano", "paper"])
def test_committed_recipes_are_read(name):
    file = Path(__file__).parents[2] / "experiments" / "configs" / f"{name}.yaml"
    options = parse_args(build_parser(), ["--config", str(file)])
    assert options.network.startswith("mstsgm") is (name != "estimator")
    if name == "paper":
        published = ("adam", 1e-4, "halving", 0.0, 0.0, 0.0, 8, "256", False, 1.0, 0.09, 0.01, 3000 * 263)
        keys = "optimizer learning_rate schedule weight_decay clip ema batch crop quarter_turns content frequency"
        assert tuple(getattr(options, key) for key in [*keys.split(), "smoothness", "steps"]) == published


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


def test_another_seed_begins_with_other_weights_and_draws_other_crops(tmp_path, photos):
    begun, drawn = [], []
    for seed in ("0", "1"):
        given = arguments(tmp_path, photos, "--steps", "1", "--seed", seed, "--name", seed)
        trainer = Trainer(build_parser().parse_args(given))
        begun.append(next(trainer.bare.parameters()).detach())
        drawn.append([plan.blur.noise_seed for plan in trainer.planner.plans(0, 32)])
        trainer.close()
    assert not torch.equal(*begun)
    assert drawn[0] != drawn[1]


def test_crops_grow_on_the_way_as_the_options_say(tmp_path, photos):
    given = arguments(tmp_path, photos, "--steps", "4", "--crop", "32,48@0.5", "--batch", "1")
    trainer = Trainer(build_parser().parse_args(given))
    sides = []
    trainer.bare.register_forward_pre_hook(lambda _, given: sides.append(given[0].shape[-1]))
    trainer.run()
    assert sides == [32, 32, 48, 48]


@pytest.mark.parametrize(("share", "told"), [("0", 0), ("1", 4)])
def test_a_guide_is_told_as_many_paths_and_sees_as_much_around_as_the_options_say(tmp_path, photos, share, told):
    guided = ["--network", "mstsgm-guided", "--estimator", "mstsgm-guided", "--path-share", share, "--context", "8"]
    trainer = Trainer(build_parser().parse_args(arguments(tmp_path, photos, "--steps", "1", *guided)))
    batch = trainer.loader.take(0, 32)
    trainer.close()
    assert sum(exposure is not None for exposure in batch.exposures) == told
    assert batch.blurred.shape == batch.sharp.shape == (4, 3, 48, 48)


def test_the_loss_is_weighed_as_the_options_say(tmp_path, photos):
    totals = []
    for content, frequency, smoothness in (("1", "0.5", "0.25"), ("2", "1.5", "1")):
        weights = ["--content", content, "--frequency", frequency, "--smoothness", smoothness]
        given = arguments(tmp_path, photos, "--steps", "1", "--log-every", "1", *weights)
        trainer = Trainer(build_parser().parse_args(given))
        trainer.run()
        totals.append({row["name"]: float(row["value"]) for row in rows_of(trainer.folder)})
    ratios = [totals[1][name] / totals[0][name] for name in ("content", "frequency", "smoothness")]
    assert ratios == pytest.approx([2, 3, 4], rel=1e-3)


def test_blurs_are_mixed_as_the_options_say():
    shares = ["--srgb-share", "0.1", "--noise", "2.5", "--jpeg-share", "0.3", "--highlight-share", "0.4"]
    given = build_parser().parse_args(["--blur", "shake:2-8=0.5", *shares, "--rolling-share", "0.6"])
    assert _mix(given) == BlurMix(
        (parse_blur_range("shake:2-8=0.5"),), srgb=0.1, noise=2.5, jpeg=0.3, highlights=0.4, rolling=0.6
    )


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


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--sharp", "nowhere"], "nowhere"),
        (["--batch", "3", "--accumulate", "2"], "--batch 3"),
        (["--val-pairs", "x=0"], "--val-pairs x=0: the weight must be above 0 and at most 1,000,000"),
        (["--sharp", "x=1e7"], "--sharp x=1e7: the weight must be above 0 and at most 1,000,000"),
        (["--blur", "none=1e7"], "--blur none=1e7: lengths must rise from 0 up, and the weight must be above 0 and"),
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


def test_an_estimator_to_begin_from_restores_no_pictures_either(tmp_path, capsys):
    config = KernelEstimatorConfig(widths=(2, 2, 2, 2))
    weights = save_released(tmp_path, "estimator", build(config), config, {})
    with pytest.raises(SystemExit):
        parse_training_args(build_parser(), ["--steps", "1", "--sharp", "x", "--init", str(weights), "--content", "2"])
    assert "error: --content would do nothing: needed is a --network that restores" in capsys.readouterr().err


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


def test_a_folder_that_no_run_can_be_made_in_is_refused_before_pictures_are_read(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no picture")
    (tmp_path / "file").write_bytes(b"")
    given = ["--steps", "1", "--sharp", str(tmp_path / "photos"), "--output", str(tmp_path / "file")]
    assert main([*QUICK, *given]) == 1
    assert f"cannot make --output {tmp_path / 'file'}: " in capsys.readouterr().err
