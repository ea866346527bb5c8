from __future__ import annotations

from importlib import import_module

import pytest

from deblur.cli import Collect, parse_args

PARSERS = (
    "deblur.prepare.command:_parser",
    "deblur.train:build_parser",
    "experiments.ablation:build_parser",
    "experiments.blur_gallery:build_parser",
    "experiments.compare:build_parser",
    "experiments.detection_gain:build_parser",
    "experiments.fit_paths:build_parser",
    "experiments.path_critic:build_parser",
    "experiments.release:build_parser",
    "experiments.restoration:build_parser",
    "experiments.score_boxes:build_parser",
    "experiments.speed:build_parser",
    "experiments.train:build_parser",
    "pipelines.calibrate_gyro:make_parser",
    "pipelines.deblur_detect:make_parser",
)


@pytest.mark.parametrize("parser", PARSERS)
def test_options_of_several_values_may_be_given_in_parts(parser):
    module, _, name = parser.partition(":")
    options = [action for action in getattr(import_module(module), name)()._actions if action.option_strings]
    assert [action.dest for action in options if action.nargs in ("*", "+") and not isinstance(action, Collect)] == []


@pytest.mark.parametrize(
    ("command", "begins"),
    [
        ("network_sizes", "deblur.networks.cost.cost_of"),
        ("blur_gallery", "experiments.blur_gallery.blurred_with_kernels"),
    ],
)
def test_where_nothing_can_be_written_no_work_is_begun(command, begins, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(begins, lambda *_: pytest.fail("it works already"))
    (tmp_path / "file").write_text("")
    assert import_module(f"experiments.{command}").main(["--output", str(tmp_path / "file" / "made.png")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: cannot make the folder {tmp_path / 'file'}: ")


def test_parts_of_an_option_are_gathered_and_replace_its_default():
    parser = import_module("deblur.train").build_parser()
    assert parse_args(parser, ["--val-blur", "shake:8", "--val-blur", "none"]).val_blur == ["shake:8", "none"]
    assert parse_args(parser, ["--val-blur", "none"]).val_blur == ["none"]
