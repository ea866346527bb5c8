"""The folder of a run that can be stopped, the same for every command that has one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from deblur.cli import (
    add_config_option,
    add_device_option,
    add_resumable_options,
    add_seed_option,
    parse_resumable,
)
from deblur.errors import DeblurError
from deblur.run_lock import LOCK, alone_in
from experiments.common.run_folder import open_resumable

if TYPE_CHECKING:
    from pathlib import Path


def opened(*given: str) -> Path:
    parser = argparse.ArgumentParser(prog="task")
    add_resumable_options(parser, "task")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--limit", type=int)
    for add in (add_device_option, add_seed_option, add_config_option):
        add(parser)
    with open_resumable(parse_resumable(parser, given), "task", "name") as run:
        return run


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_goes_on_under_its_own_options_on_any_device() -> None:
    run = opened("--seed", "3", "--device", "cpu", "--json")
    assert (run / "config.yaml").read_text() == "seed: 3\n"
    assert opened("--resume", str(run), "--device", "cuda") == run
    with pytest.raises(DeblurError, match=r"name is a run with other options \(--limit, --seed\)"):
        opened("--resume", str(run), "--seed", "4", "--limit", "2")


def test_a_run_that_recorded_its_device_goes_on(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("device: cuda\nseed: 3\n")
    assert opened("--resume", str(tmp_path), "--device", "cpu") == tmp_path


def test_a_run_is_not_gone_on_with_unless_that_is_said(tmp_path: Path) -> None:
    run = opened("--output", "x")
    with pytest.raises(DeblurError, match=r"^--output x is a run already: go on with it by --resume x, or give a new"):
        opened("--output", "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(DeblurError, match="--output full holds files already"):
        opened("--output", "full")
    assert opened() != opened() != run


def test_a_run_is_not_gone_on_with_beside_another_process() -> None:
    run = opened()
    with alone_in(run), pytest.raises(DeblurError, match=rf"another process is at work in {run}: wait for its end"):
        opened("--resume", str(run))
    assert opened("--resume", str(run)) == run
    assert sorted(file.name for file in run.iterdir()) == [LOCK, "config.yaml"]
