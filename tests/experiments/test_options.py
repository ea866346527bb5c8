from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest

from deblur.cli import Collect, below_one, parse_args

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
    ("command", "options"),
    [
        ("deblur.train", "deblur.training.options:TrainingOptions"),
        ("experiments.ablation", "experiments.ablation:AblationOptions"),
        ("experiments.train", "experiments.train:TaughtOptions"),
    ],
)
def test_options_of_training_are_declared_as_the_parser_sets_them(command, options):
    module, _, name = options.partition(":")
    declared = get_type_hints(getattr(import_module(module), name), localns={"Path": Path})
    actions = import_module(command).build_parser()._actions
    assert declared == {action.dest: kind_of(action) for action in actions if action.default != argparse.SUPPRESS}


def kind_of(action: argparse.Action) -> Any:
    """The type of what a parser sets for an option."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return bool
    value = action.type("0" if action.type is below_one else "1") if action.type else "1"
    kind: Any = Path if isinstance(value, Path) else type(value)
    if action.nargs:
        kind = list[kind]
    elif action.choices:
        kind = Literal[tuple(action.choices)]
    return kind | None if action.default is None else kind


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
