from __future__ import annotations

import json
import sys

import pytest
import torch

from deblur.devices import numbered, resolve_device
from deblur.errors import DeblurError
from deblur.runs import create_run, describe_environment, write_atomically, write_json


def test_runs_are_numbered_and_never_reused(tmp_path):
    folders = [create_run("train", "first", tmp_path) for _ in range(3)]
    assert [folder.name for folder in folders] == ["first", "first-2", "first-3"]
    assert all(folder.is_dir() for folder in folders)


def test_a_file_in_the_way_is_an_expected_mistake(tmp_path):
    (tmp_path / "train").write_text("")
    with pytest.raises(DeblurError, match="choose another --output"):
        create_run("train", "first", tmp_path)


def test_json_is_strict_and_replaces_in_one_step(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"ap": None, "name": "Zürich"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"ap": None, "name": "Zürich"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(file, {"ap": float("nan")})
    assert json.loads(file.read_text(encoding="utf-8"))["ap"] is None
    assert list(tmp_path.iterdir()) == [file]


def test_writing_where_it_cannot_is_an_expected_mistake(tmp_path):
    with pytest.raises(DeblurError, match="cannot write"):
        write_atomically(tmp_path / "missing" / "a.txt", b"")


def test_environment_names_what_a_result_depends_on():
    environment = describe_environment("cpu", seed=3)
    assert environment["seed"] == 3
    assert environment["packages"]["torch"]
    assert "cores" in environment["device_name"]


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_devices_that_are_not_here_are_refused(name):
    with pytest.raises(DeblurError, match="device"):
        resolve_device(name)
    assert resolve_device("cpu").type == "cpu"


def test_a_gpu_has_its_number_in_every_thread(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    assert numbered(torch.device("cuda")) == torch.device("cuda:2")
    for name in ("cuda:1", "cpu", "mps"):
        assert numbered(torch.device(name)) == torch.device(name)


def test_the_command_is_recorded_as_typed_without_the_folder_it_lies_in(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/home/someone/project/tool.py", "--name", "two words"])
    command = describe_environment("cpu")["command"]
    assert command.startswith("python -m ")
    assert command.endswith("--name 'two words'")
    assert "/home" not in command
