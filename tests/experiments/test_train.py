from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from deblur.cli import parse_args
from deblur.networks import build_without_memory, config_from_dict, named_config
from deblur.released import load_released
from deblur.train import main as plain_training
from deblur.training.network_choice import network_config
from experiments.train import build_parser, main

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"


def test_the_detector_teaches_from_its_step_on_and_its_distance_is_logged(training_arguments, tmp_path, shared):
    given = ["--detector-loss", str(shared / "weights" / "yolo26n.pt"), "--detector-weight", "0.2"]
    given += ["--detector-from", "1", "--steps", "2", "--log-every", "1"]
    assert main([*training_arguments, *given]) == 0
    with (tmp_path / "runs" / "train" / "deblur" / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows if row["name"] == "detector"] == ["2"]
    logged = {row["name"]: float(row["value"]) for row in rows if row["kind"] == "validation"}
    assert logged["shake:8 distance_input"] > 0
    assert logged["shake:8 distance_restored"] > 0


def test_where_a_detector_teaches_the_best_weights_are_those_it_finds_nearest(training_arguments, tmp_path, shared):
    teacher = ["--detector-loss", str(shared / "weights" / "yolo26n.pt"), "--detector-weight"]
    assert main([*training_arguments, *teacher, "0.2", "--steps", "2"]) == 0
    folder = tmp_path / "runs" / "train" / "deblur"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["best_by"] == "distance_restored"
    distances = [scores["distance_restored"] for scores in metrics["validation"].values()]
    assert metrics["best"] == pytest.approx(sum(distances) / len(distances))
    # From here on the detector only looks: PSNR chooses, and is not compared with a distance.
    assert main([*training_arguments, *teacher, "0", "--steps", "3", "--resume", str(folder)]) == 0
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["best_by"] == "restored"
    decibels = [scores["restored"] for scores in metrics["validation"].values()]
    assert metrics["best"] == pytest.approx(sum(decibels) / len(decibels))


def test_no_detector_teaches_an_estimator(tmp_path, shared, capsys):
    given = ["--network", "estimator", "--sharp", str(shared / "data" / "gopro_samples" / "sharp"), "--device", "cpu"]
    given += ["--detector-loss", str(shared / "weights" / "yolo26n.pt"), "--detector-weight", "0.2", "--crop", "64"]
    assert main([*given, "--batch", "2", "--steps", "1", "--hold-out", "0", "--output", str(tmp_path / "runs")]) == 1
    assert "an estimator is trained without one" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["large", "large-further"])
def test_the_recipes_of_the_large_network_make_the_one_that_is_released(name):
    options = parse_args(build_parser(), ["--config", str(CONFIGS / f"{name}.yaml"), "--sharp", "photographs"])
    assert options.detector_loss == "yolo26n"
    _, card = load_released("mstsgm-guided-large")
    config = network_config(options)
    assert config == config_from_dict(card["network"])
    build_without_memory(config)


def test_the_recipe_of_a_detector_that_teaches_turns_down_what_would_drown_it():
    file = CONFIGS / "taught.yaml"
    options = parse_args(build_parser(), ["--config", str(file), "--sharp", "photographs"])
    assert (options.network, options.detector_loss) == ("mstsgm-guided", "yolo26n")
    usual = parse_args(build_parser(), ["--network", "mstsgm-guided", "--sharp", "photographs"])
    assert 0 < options.frequency < 0.2 * usual.frequency
    assert options.detector_weight >= options.content == usual.content


def test_the_recipe_of_a_detector_that_teaches_begins_with_the_network_that_it_names():
    options = parse_args(build_parser(), ["--config", str(CONFIGS / "taught.yaml"), "--init", "mstsgm-guided"])
    assert network_config(options).network == named_config("mstsgm-guided").network


def test_without_a_detector_it_is_plain_training(training_arguments, tmp_path):
    assert main([*training_arguments, "--steps", "1"]) == 0
    folder = tmp_path / "runs" / "train" / "deblur"
    assert "distance" not in (folder / "results.csv").read_text()
    again = ["--resume", str(folder), "--steps"]
    assert plain_training([*again, "2"]) == 0, "also by the command that knows no detector"
    assert main([*again, "3"]) == 0


def test_a_run_with_a_detector_goes_on_with_it_by_its_folder_alone(training_arguments, tmp_path, shared, capsys):
    teacher = ["--detector-loss", str(shared / "weights" / "yolo26n.pt"), "--detector-weight", "0.2"]
    assert main([*training_arguments, *teacher, "--steps", "1", "--log-every", "1"]) == 0
    folder = tmp_path / "runs" / "train" / "deblur"
    assert main(["--resume", str(folder), "--steps", "2"]) == 0
    with (folder / "results.csv").open(newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream) if row["name"] == "detector"] == ["1", "2"]
    with pytest.raises(SystemExit):
        plain_training(["--resume", str(folder), "--steps", "3"])
    assert "--detector-loss, --detector-weight); go on by the command" in capsys.readouterr().err


def test_a_run_of_several_terms_to_choose_from_goes_on_where_objects_taught_it(
    training_arguments, tmp_path, shared, capsys
):
    teacher = ["--detector-loss", str(shared / "weights" / "yolo26n.pt"), "--detector-weight", "0.2"]
    assert main([*training_arguments, *teacher, "--steps", "1"]) == 0
    folder = tmp_path / "runs" / "train" / "deblur"
    config = folder / "config.yaml"
    begun = config.read_text()
    assert "detector_term" not in begun
    best = json.loads((folder / "metrics.json").read_text())["best"]
    config.write_text(begun + "detector_term:\n- objects\n")
    assert main(["--resume", str(folder)]) == 0
    assert json.loads((folder / "metrics.json").read_text())["best"] == best
    assert "detector_term:\n- objects\n" in config.read_text()
    capsys.readouterr()
    config.write_text(begun + "detector_term:\n- features\n- objects\n")
    with pytest.raises(SystemExit) as stopped:
        main(["--resume", str(folder)])
    assert stopped.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"error: {config}: detector_term: 'features' no longer teaches, only 'objects' does: begin another" in line


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--detector-weight", "0.1"], "--detector-weight would do nothing: needed is --detector-loss"),
        (
            ["--detector-weight", "0.1", "--detector-from", "0"],
            "--detector-weight, --detector-from would do nothing",
        ),
        (["--config", "CONFIG"], "--detector-weight would do nothing: needed is --detector-loss"),
        (
            ["--detector-loss", "x", "--detector-weight", "0", "--detector-from", "5"],
            "--detector-from would do nothing",
        ),
        (["--detector-loss", "x", "--detector-from", "1"], "--detector-from 1 is not before the last of --steps 1"),
    ],
)
def test_what_would_do_nothing_without_a_detector_is_refused(training_arguments, tmp_path, capsys, given, message):
    (tmp_path / "c.yaml").write_text("detector-weight: 0.5\n")
    with pytest.raises(SystemExit) as stopped:
        main([*training_arguments, "--steps", "1", *(str(tmp_path / "c.yaml") if x == "CONFIG" else x for x in given)])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_configuration_of_a_run_without_a_detector_is_no_mistake(training_arguments, tmp_path):
    (tmp_path / "c.yaml").write_text("detector-loss: null\ndetector-weight: 0.1\n")
    assert main([*training_arguments, "--steps", "1", "--config", str(tmp_path / "c.yaml")]) == 0


def test_a_detector_that_is_not_there_is_one_line(training_arguments, capsys):
    assert main([*training_arguments, "--steps", "1", "--detector-loss", "nowhere.pt"]) == 1
    assert "nowhere.pt" in capsys.readouterr().err.strip().splitlines()[-1]
