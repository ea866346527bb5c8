from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest
import torch

from deblur.devices import numbered, resolve_device
from deblur.errors import DeblurError
from deblur.runs import (
    check_options,
    create_run,
    describe_environment,
    git_commit,
    prepare_output,
    refuse_unwritable,
    runs_named,
    write_atomically,
    write_environment,
    write_json,
    writing_atomically,
)


def test_runs_are_numbered_and_never_reused(tmp_path):
    folders = [create_run("train", "first", tmp_path) for _ in range(3)]
    assert [folder.name for folder in folders] == ["first", "first-2", "first-3"]
    assert all(folder.is_dir() for folder in folders)


def test_a_file_in_the_way_is_an_expected_mistake(tmp_path):
    (tmp_path / "train").write_text("")
    with pytest.raises(DeblurError, match="choose another --output"):
        create_run("train", "first", tmp_path)


@pytest.mark.parametrize("link", ["runs", "runs/train"])
def test_a_link_to_nowhere_is_an_expected_mistake(tmp_path, link):
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "unmounted" / "disk")
    runs = tmp_path / "runs"
    with pytest.raises(DeblurError, match=r"cannot make the folder .*train: .*; choose another --output"):
        create_run("train", "first", runs)
    with pytest.raises(DeblurError, match=rf"cannot make --output: .*{link} is no folder; choose another --output"):
        refuse_unwritable(runs / "train", "--output", "choose another --output")


def test_runs_of_a_name_are_found_in_their_order(tmp_path):
    for name in ("first", "first-10", "first-2", "first-1", "first-02", "first-more", "other"):
        (tmp_path / "train" / name).mkdir(parents=True)
    (tmp_path / "train" / "first-3").write_text("")
    assert [folder.name for folder in runs_named("train", "first", tmp_path)] == ["first", "first-2", "first-10"]
    assert runs_named("speed", "first", tmp_path) == []


def test_room_for_a_file_is_made_or_refused_before_the_work(tmp_path, monkeypatch):
    prepare_output(tmp_path / "a" / "b" / "c.csv")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    prepare_output(tmp_path / "a" / "b" / "c.csv")
    with pytest.raises(DeblurError, match="b is a folder; name a file"):
        prepare_output(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("link", "a link"), ("pipe", "a device or a pipe")):
        with pytest.raises(DeblurError, match=f"{name} is {kind}, whose place a file would take; name a file"):
            prepare_output(tmp_path / name)
    with pytest.raises(DeblurError, match=r"cannot make the folder .*file: .*; choose another --output"):
        prepare_output(tmp_path / "file" / "c.csv")
    monkeypatch.setattr(os, "access", lambda folder, _: folder != tmp_path / "a")  # root may write anywhere
    prepare_output(tmp_path / "a" / "b" / "c.csv")
    with pytest.raises(DeblurError, match=r"cannot write to the folder .*a; choose another --output"):
        prepare_output(tmp_path / "a" / "c.csv")


@pytest.mark.parametrize(
    ("recorded", "says"),
    [
        ("seed: 1\n", r"other options \(--max-side, --seed\)"),
        ("date: 2026-13-45", r"config\.yaml is damaged: choose another --output \(month must be in 1\.\.12"),
        ("seed: " + "[" * 5000, r"config\.yaml is damaged: .* \(it nests too deep\)"),
        ("seed: !!bool maybe", r"config\.yaml is damaged: .* \(a value is not of the kind"),
        ("1: seed", r"config\.yaml is damaged: .* \(it holds no options\)"),
    ],
)
def test_a_run_does_not_go_on_with_other_options_or_without_its_own(tmp_path, recorded, says):
    config = tmp_path / "config.yaml"
    config.write_text("seed: 0\nmax_side: 640\n")
    check_options(config, {"seed": 0, "max_side": 640})
    config.write_text(recorded)
    with pytest.raises(DeblurError, match=says):
        check_options(config, {"seed": 0, "max_side": 640})


def test_some_options_of_a_run_that_goes_on_may_differ(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("seed: 0\ndevice: cuda\n")
    check_options(config, {"seed": 0, "max_side": 640}, without={"device", "max_side"})
    with pytest.raises(DeblurError, match=r"other options \(--device\)"):
        check_options(config, {"seed": 0, "max_side": 640}, without={"max_side"})


def test_json_is_strict_and_replaces_in_one_step(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"ap": None, "name": "Zürich"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"ap": None, "name": "Zürich"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(file, {"ap": float("nan")})
    assert json.loads(file.read_text(encoding="utf-8"))["ap"] is None
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("place", ["missing", "file"])
def test_writing_where_it_cannot_is_an_expected_mistake(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(DeblurError, match="cannot write"):
        write_atomically(tmp_path / place / "a.txt", b"")


def test_a_name_as_long_as_names_may_be_is_written(tmp_path):
    file = tmp_path / ("a" * 251 + ".txt")
    write_atomically(file, b"whole")
    assert file.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_file_that_must_outlast_a_loss_of_power_waits_for_the_disk(tmp_path, monkeypatch, durable):
    waited = []
    monkeypatch.setattr(os, "fsync", waited.append)
    file = tmp_path / "a.txt"
    file.write_bytes(b"old")
    write_atomically(file, b"new", durable=durable)
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]
    assert len(waited) == durable


def test_a_file_written_in_pieces_appears_when_it_is_whole(tmp_path):
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    with writing_atomically(one) as write, writing_atomically(other) as write_other:
        write(b"a")
        write_other(b"x")
        write(b"b")
        write_atomically(tmp_path / "meanwhile.txt", b"m")
        assert not one.exists()
    assert (one.read_bytes(), other.read_bytes()) == (b"ab", b"x")
    assert {path.name for path in tmp_path.iterdir()} == {"one.txt", "other.txt", "meanwhile.txt"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, FileNotFoundError])
def test_what_stops_a_file_in_the_middle_leaves_the_one_before(tmp_path, error):
    file = tmp_path / "a.txt"
    file.write_bytes(b"old")

    def stopped() -> None:
        with writing_atomically(file) as write:
            write(b"new")
            raise error

    with pytest.raises(error):
        stopped()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeblurError, match=r"cannot write .*a\.txt: No space left on device"):
        write_atomically(tmp_path / "a.txt", b"new")
    assert list(tmp_path.iterdir()) == []


def test_environment_names_what_a_result_depends_on():
    environment = describe_environment("cpu", seed=3)
    assert environment["seed"] == 3
    assert environment["packages"]["torch"]
    assert "cores" in environment["device_name"]
    assert environment["threads"] == torch.get_num_threads()


def test_what_was_said_of_earlier_sittings_stays_oldest_first(tmp_path):
    for seed in range(3):
        write_environment(tmp_path, {"seed": seed})
    said = json.loads((tmp_path / "env.json").read_text())
    assert (said["seed"], [sitting["seed"] for sitting in said["earlier"]]) == (2, [0, 1])
    assert not any("earlier" in sitting for sitting in said["earlier"])


def test_environment_says_what_a_gpu_computes_float32_with(monkeypatch):
    assert describe_environment("cpu")["float32"] is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cuda, "matmul", SimpleNamespace(allow_tf32=False))
    found = describe_environment("cuda:0")["float32"]
    assert found == {"convolutions": "tf32", "matrix_products": "float32"}


@pytest.mark.parametrize("name", [b"project", b"jos\xe9"])
def test_what_is_installed_does_not_take_the_commit_of_the_project_around_it(tmp_path, monkeypatch, name):
    project = tmp_path / os.fsdecode(name)
    inside = project / "venv" / "site-packages"
    (inside / "deblur").mkdir(parents=True)
    (inside / "deblur" / "runs.py").touch()
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "another project"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr("deblur.runs.__file__", str(inside / "deblur" / "runs.py"))
    assert git_commit() is None
    monkeypatch.setattr("deblur.runs.__file__", str(project / "deblur" / "runs.py"))
    commit = git_commit()
    assert len(commit) >= 12
    subprocess.run([*git, "tag", "--annotate", "--message", "first", "v1"], check=True)
    assert git_commit() == commit, "a tag may be moved"
    (inside / "deblur" / "runs.py").write_text("changed")
    assert git_commit() == f"{commit}-dirty"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_devices_that_are_not_here_are_refused(name):
    with pytest.raises(DeblurError, match="device"):
        resolve_device(name)
    assert resolve_device("cpu").type == "cpu"


def test_apples_gpu_is_taken_where_it_is_there_and_no_other(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for there in (False, True):
        monkeypatch.setattr("torch.backends.mps.is_available", lambda there=there: there)
        assert resolve_device().type == ("mps" if there else "cpu")
        if not there:
            with pytest.raises(DeblurError, match="device 'mps' is not here; try --device auto"):
                resolve_device("mps")
    assert resolve_device("mps").type == "mps"


def test_a_gpu_has_its_number_in_every_thread(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    assert numbered(torch.device("cuda")) == torch.device("cuda:2")
    for name in ("cuda:1", "cpu", "mps"):
        assert numbered(torch.device(name)) == torch.device(name)


@pytest.mark.parametrize(
    ("module", "program"),
    [
        ("experiments.plots", "python -m experiments.plots"),
        ("deblur.prepare.__main__", "python -m deblur.prepare"),
        (None, "tool.py"),
    ],
)
def test_the_command_is_recorded_as_typed_without_the_folder_it_lies_in(monkeypatch, module, program):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", module and ModuleSpec(module, None))
    monkeypatch.setattr(sys, "argv", ["/home/someone/project/tool.py", "--name", "two words"])
    assert describe_environment("cpu")["command"] == f"{program} --name 'two words'"
