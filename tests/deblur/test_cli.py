from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from deblur.cli import (
    Collect,
    NamedPath,
    above_zero,
    add_config_option,
    add_device_option,
    add_resumable_options,
    add_seed_option,
    below_one,
    each_line,
    given_options,
    given_path,
    named_folder,
    not_negative,
    one_line,
    parse_args,
    parse_resumable,
    plain_options,
    positive_int,
    run,
    thread_count,
    unit_interval,
    whole_number,
)
from deblur.cli.types import seed_number
from deblur.errors import DeblurError


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tool")
    add_config_option(parser)
    add_device_option(parser)
    add_seed_option(parser)
    parser.add_argument("--count", type=positive_int, required=True)
    parser.add_argument("--share", type=unit_interval, default=0.5)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--kind", choices=("a", "b"), default="a")
    parser.add_argument("--items", nargs="*", default=[])
    parser.add_argument("--names", nargs="+")
    return parser


def write(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    return ["--config", str(tmp_path / "c.yaml")]


def test_configuration_file_sets_defaults_and_the_command_line_wins(parser, tmp_path):
    arguments = write(tmp_path, "count: 3\nshare: 0.25\nfast: true\nkind: b\nitems: [x, y]\nseed: 7\n")
    options = parse_args(parser, [*arguments, "--share", "0.75"])
    assert (options.count, options.share, options.fast, options.kind, options.items, options.seed) == (
        3,
        0.75,
        True,
        "b",
        ["x", "y"],
        7,
    )
    assert options.device == "auto"


def test_what_is_typed_is_told_from_what_the_configuration_says(parser, tmp_path):
    arguments = [*write(tmp_path, "count: 3\nshare: 0.25\n"), "--share=0.75", "--fast", "--items", "kind"]
    assert given_options(parser, arguments) == {"config", "share", "fast", "items"}


def test_empty_configuration_is_fine(parser, tmp_path):
    assert parse_args(parser, [*write(tmp_path, ""), "--count", "2"]).count == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed: 3", "unknown option 'speed'"),
        ("count: 0", "count: '0' is not a whole number"),
        ("share: 2", "share"),
        ("fast: maybe", "fast is a switch"),
        ("kind: c", "none of a, b"),
        ("count: [1, 2]", "takes one value"),
        ("- 1", "a mapping"),
        ("a: [", "is not YAML"),
        ("count: 1\nshare: 1\ncount: 2", "is not YAML: 'count' is there twice, again in line 3"),
        ("count: 2026-13-45", "count: '2026-13-45' is not a whole number"),
        ("kind: no", "kind is no switch, and yes, no, on, off, true and false are one: put them in quotes"),
        ("a: " + "[" * 5000, "is not YAML: it nests too deep"),
        ("a: &a [x, x]\nitems: [*a, *a]", "is not YAML: *a in line 2 stands for a list or a mapping: write it out"),
        ("a: !!bool maybe", "is not YAML: a value is not of the kind that its tag says"),
        ("a: !!timestamp now", "is not YAML: a value is not of the kind that its tag says"),
        ("count:", "count has no value"),
        ("share: null", "share has no value"),
        ("items: [x, null]", "items has no value"),
        ("kind:", "kind has no value"),
        ("count: 1\nnames: []", "names is an empty list"),
    ],
)
def test_bad_configuration_is_a_usage_error_that_names_the_place(parser, tmp_path, capsys, text, message):
    with pytest.raises(SystemExit) as stopped:
        parse_args(parser, write(tmp_path, text))
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_words_that_yaml_takes_for_numbers_mean_what_they_mean_when_typed(parser, tmp_path):
    parser.add_argument("--place", type=Path)
    text = "count: 0640\nplace: 20261130_1715\nitems: [000, 010, 12:30, 2026-01-02, 1e-5, 'no']\nshare: 0.50\n"
    options = parse_args(parser, write(tmp_path, text))
    assert (options.count, options.place, options.share) == (640, Path("20261130_1715"), 0.5)
    assert options.items == ["000", "010", "12:30", "2026-01-02", "1e-5", "no"]


def test_a_mapping_may_be_merged_and_a_word_meant_again(parser, tmp_path):
    options = parse_args(parser, write(tmp_path, "count: &n 3\nitems: [*n, b]\n"))
    assert (options.count, options.items) == (3, ["3", "b"])


def test_the_users_home_is_meant_where_no_shell_has_said_so(parser, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    parser.add_argument("--place", type=Path)
    text = "count: 1\nplace: ~/runs\nitems: [mine=~/mine.pt, 'a~b', ~nobody-here/x]\n"
    options = parse_args(parser, write(tmp_path, text))
    assert options.place == Path("/home/me/runs")
    assert options.items == ["mine=/home/me/mine.pt", "a~b", "~nobody-here/x"]
    typed = parse_args(parser, ["--count", "1", "--place=~/runs", "--items", "~", "a=b~"])
    assert (typed.place, typed.items) == (Path("/home/me/runs"), ["/home/me", "a=b~"])


def test_a_key_in_two_spellings_is_a_usage_error(parser, tmp_path, capsys):
    parser.add_argument("--dry-run", action="store_true")
    with pytest.raises(SystemExit) as stopped:
        parse_args(parser, write(tmp_path, "count: 1\ndry_run: true\ndry-run: false"))
    assert stopped.value.code == 2
    assert "'dry-run' is there twice, with - and with _: leave one out" in capsys.readouterr().err


def test_a_key_without_a_value_is_what_was_not_given(parser, tmp_path):
    assert parse_args(parser, write(tmp_path, "count: 1\nnames:\nitems: []\n")).names is None


def test_an_option_that_lacks_its_value_is_the_commands_own_usage_error(parser, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_args(parser, ["--config"])
    assert stopped.value.code == 2
    assert "--config: expected one argument" in (said := capsys.readouterr().err)
    assert said.startswith(f"usage: {parser.prog} ")
    assert "VALUE" not in said


def test_options_are_not_abbreviated(parser, tmp_path, capsys):
    arguments = write(tmp_path, "count: 3\n")
    with pytest.raises(SystemExit) as stopped:
        parse_args(parser, ["--confi", arguments[1], "--count", "1"])
    assert stopped.value.code == 2
    assert "--confi" in capsys.readouterr().err


def test_who_stops_a_command_that_still_reads_its_options_sees_no_traceback(parser, capsys):
    def slow(text):
        raise KeyboardInterrupt

    parser.add_argument("--blur", type=slow)
    with pytest.raises(SystemExit) as stopped:
        parse_args(parser, ["--blur", "shake:8"])
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_missing_configuration_file_is_named(parser, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_args(parser, ["--config", "nowhere.yaml"])
    assert stopped.value.code == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_expected_mistakes_are_one_line_and_defects_pass_through(capsys):
    def mistake() -> int:
        raise DeblurError("no file at x; give another")

    def defect() -> int:
        raise ZeroDivisionError

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert run(lambda: 0) == 0
    assert run(mistake) == 1
    assert capsys.readouterr().err == "error: no file at x; give another\n"
    with pytest.raises(ZeroDivisionError):
        run(defect)
    assert run(interrupted) == 130


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\r\t\x1b[31m\x7f.png", r"a\nb\r\t\x1b[31m\x7f.png"),
        ("\x85\u2028caf\udce9", r"\x85\u2028caf\udce9"),
        ("café 犬 \\n.png", "café 犬 \\n.png"),
    ],
)
def test_a_line_stays_one_whatever_names_stand_in_it(name, shown, capsys):
    def mistake() -> int:
        raise DeblurError(f"{name} does not exist")

    def interrupted() -> int:
        raise KeyboardInterrupt(name)

    assert one_line(name) == shown
    assert each_line(f"{name}\nnext") == "\n".join([*map(one_line, name.split("\n")), "next"])
    assert (run(mistake), run(interrupted)) == (1, 130)
    assert capsys.readouterr().err == f"error: {shown} does not exist\ninterrupted: {shown}\n"


def test_a_full_disk_is_one_line_and_no_defect(capsys):
    def stop(code):
        raise OSError(code, os.strerror(code), "run/log.txt")

    for full, words in {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded"}.items():
        assert run(lambda code=full: stop(code)) == 1
        assert capsys.readouterr().err == f"error: not all could be written to run/log.txt: {words}\n"
    with pytest.raises(IsADirectoryError):
        run(lambda: stop(errno.EISDIR))


@pytest.mark.parametrize(
    "error",
    [
        lambda: torch.empty(10**15),
        lambda: bytes(10**17),
        lambda: cv2.resize(np.zeros((8, 8), np.float64), (10**7, 10**6)),
        torch.OutOfMemoryError,
        lambda: torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        lambda: RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
        lambda: RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_memory_that_does_not_suffice_is_one_line(error, capsys):
    def stop() -> int:
        made = error()
        if isinstance(made, Exception):
            raise made
        return 0

    assert run(stop) == 1
    assert capsys.readouterr().err.startswith("error: not enough memory, give smaller batches, crops or pictures: ")


@pytest.mark.parametrize("reason", ["shapes do not fit", "CUDA error: an illegal memory access was encountered"])
def test_another_error_while_running_is_a_defect(reason):
    def stop() -> int:
        raise RuntimeError(reason)

    with pytest.raises(RuntimeError, match=reason):
        run(stop)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EROFS])
def test_a_file_that_the_machine_refuses_is_one_line(code, capsys):
    def stop(*where):
        raise OSError(code, os.strerror(code), *where)

    assert run(lambda: stop("a.jpg\nb.jpg")) == 1
    assert capsys.readouterr().err == f"error: cannot use 'a.jpg\\nb.jpg': {os.strerror(code)}\n"
    with pytest.raises(OSError):  # noqa: PT011 - which one is above
        run(stop)  # nobody would know what to do


def run_into(program, where):
    """Run a program whose stdout is kept back; its exit code is printed."""
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {where}; echo ${{PIPESTATUS[0]}}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=buffered)


@pytest.mark.parametrize("size", [10, 1_000_000])  # kept back until the end, and not
@pytest.mark.parametrize(
    ("where", "reason"), [("| true", "Broken pipe"), ("> /dev/full", "No space left on device")], ids=["closed", "full"]
)
def test_a_stdout_that_takes_no_more_is_one_line(where, reason, size):
    program = f"""
import sys, time
from deblur.cli import run
time.sleep(0.3)  # until who reads has gone
sys.exit(run(lambda: print("x" * {size}) or 0))
"""
    done = run_into(program, where)
    assert done.stderr == f"error: not all could be written: {reason}\n"
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("error", "code", "words"), [("DeblurError('no')", 1, "error: no"), ("KeyboardInterrupt", 130, "interrupted")]
)
def test_a_closed_stdout_hides_no_other_end(error, code, words):
    program = f"""
import sys, time
from deblur.cli import run
from deblur.errors import DeblurError
def body():
    print("some")
    raise {error}
time.sleep(0.3)
sys.exit(run(body))
"""
    done = run_into(program, "| true")
    assert (done.stdout, done.stderr) == (f"{code}\n", f"{words}\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_command_works_without_standard_streams(closed, tmp_path):
    program = f"""
import os, sys
from tqdm import tqdm
from deblur.cli import run
def body():
    with open({str(tmp_path / "result")!r}, "w") as result:
        for _ in tqdm(range(2), file=sys.stderr, dynamic_ncols=True):
            print("caf\\udce9")
        tqdm.write("caf\\udce9", file=sys.stderr)
        os.system("echo told >&2; echo said")
        result.write(f"{{result.fileno() > 2}} {{sys.stdin is None}}")
    return 0
sys.exit(run(body))
"""
    done = run_into(program, closed)
    assert done.stdout.splitlines()[-1] == "0"
    assert (tmp_path / "result").read_text() == "True False"
    assert ("said" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
    assert ("told" in done.stderr) == ("2>&-" not in closed)
    assert "Bad file descriptor" not in done.stderr


def test_bare_numbers_are_text_where_the_command_line_takes_text(parser, tmp_path, capsys):
    parser.add_argument("--crop", default="256")
    (tmp_path / "c.yaml").write_text("crop: 128\n")
    assert parse_args(parser, ["--config", str(tmp_path / "c.yaml"), "--count", "1"]).crop == "128"
    (tmp_path / "c.yaml").write_text("crop: [128, 256]\n")
    with pytest.raises(SystemExit):
        parse_args(parser, ["--config", str(tmp_path / "c.yaml")])
    assert "crop takes one value" in capsys.readouterr().err


def test_what_is_collected_replaces_what_was_there_even_where_it_begins_alike(parser, tmp_path):
    parser.add_argument("--kinds", nargs="+", action=Collect, default=["x"])
    given = ["--count", "1", *write(tmp_path, "kinds: [a, b]\n")]
    assert parse_args(parser, [*given, "--kinds", "a", "b", "--kinds", "c"]).kinds == ["a", "b", "c"]
    assert parse_args(parser, given).kinds == ["a", "b"]


def test_options_are_recorded_as_a_configuration_file_holds_them(parser, tmp_path):
    parser.add_argument("--groups", nargs="+", action=Collect, type=lambda text: tuple(text.split(",")))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--theirs", nargs="+", action=Collect, type=named_folder)
    given = ["--count", "3", "--share", "0.5", "--fast", "--groups", "a,b", "c", "--folder", "x/y", "--theirs", "n=z=1"]
    options = parse_args(parser, given)
    recorded = plain_options(options, without={"config", "items"})
    assert (recorded["groups"], recorded["folder"], recorded["names"]) == (["a", "b", "c"], "x/y", None)
    assert (options.theirs, recorded["theirs"]) == ([NamedPath("n", Path("z=1"))], ["n=z=1"])
    assert not {"config", "items"} & set(recorded)
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(recorded))
    again = parse_args(parser, ["--config", str(tmp_path / "again.yaml")])
    assert plain_options(again, without={"config", "items"}) == recorded


@pytest.mark.parametrize(
    ("kind", "good", "bad", "words"),
    [
        (positive_int, {"1": 1, "12": 12}, ("0", "-1", "1.5", "x"), "a whole number of at least 1"),
        (whole_number, {"0": 0, "3": 3}, ("-1", "0.5", ""), "a whole number of at least 0"),
        (not_negative, {"0": 0.0, "1e-4": 1e-4, "1e30": 1e30}, ("-1", "nan", "inf", "x"), "a number of at least 0"),
        (above_zero, {"0.5": 0.5}, ("0", "-0.1", "nan", "inf", "x"), "a number above 0"),
        (unit_interval, {"0": 0.0, "1": 1.0}, ("-0.1", "1.1", "nan"), "a number from 0 to 1"),
        (below_one, {"0": 0.0, "0.99": 0.99}, ("-0.1", "1", "2", "nan"), "a number from 0 to below 1"),
    ],
)
def test_argument_types_take_what_they_say(kind, good, bad, words):
    assert {text: kind(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError) as refused:
            kind(text)
        assert str(refused.value) == f"{text!r} is not {words}"


@pytest.mark.parametrize(
    ("kind", "most", "more", "said"),
    [
        (not_negative, "1e30", "1e31", "'1e31' is more than 1e+30"),
        (above_zero, "1e30", "1e300", "'1e300' is more than 1e+30"),
        (thread_count, "1024", "1025", "1025 is more than 1024 threads"),
        (seed_number, f"{2**63 - 1}", f"{2**63}", f"{2**63} is larger than a seed can be, {2**63 - 1}"),
    ],
)
def test_what_is_too_large_to_work_with_is_told_from_what_is_no_number(kind, most, more, said):
    assert kind(most) == type(kind(most))(most)
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        kind(more)
    assert str(refused.value) == said


def test_an_empty_path_is_a_variable_that_is_not_set_and_not_the_folder_one_is_in(parser, capsys):
    assert given_path("a/b") == Path("a/b")
    with pytest.raises(argparse.ArgumentTypeError, match="it is empty: is a variable of the shell not set"):
        given_path("")
    with pytest.raises(SystemExit):
        parse_args(parser, ["--count", "1", "--config="])
    assert "argument --config: it is empty" in capsys.readouterr().err


@pytest.fixture
def resumable(parser) -> argparse.ArgumentParser:
    add_resumable_options(parser, "tool")
    return parser


def test_a_run_goes_on_by_its_options_under_those_of_a_configuration_and_of_the_command_line(resumable, tmp_path):
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "config.yaml").write_text("count: 3\nshare: 0.25\nkind: b\nnames: [x, y]\n")
    config = write(tmp_path, "share: 0.5\nkind: a\n")
    options = parse_resumable(resumable, ["--resume", str(run_folder), *config, "--kind", "b"])
    assert (options.count, options.share, options.kind, options.names) == (3, 0.5, "b", ["x", "y"])
    assert (options.resume, options.output) == (run_folder, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume="], "argument --resume: it is empty: is a variable of the shell not set?"),
        (["--output="], "argument --output: it is empty: is a variable of the shell not set?"),
        (["--resume", "none"], "--resume none is no run of this command: there is no config.yaml in it"),
        (
            ["--resume", "other"],
            "--resume other: the run has options that this command lacks (--annotations, --pace); ",
        ),
        (["--resume", "run", "--output", "x"], "--resume and --output both name the run's folder: give one"),
    ],
)
def test_what_no_run_goes_on_by_is_a_usage_error(resumable, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    for name, content in {".": "", "run": "count: 1\n", "other": "pace: 1\ncount: 2\nannotations: x\n"}.items():
        Path(name).mkdir(exist_ok=True)
        Path(name, "config.yaml").write_text(content)
    with pytest.raises(SystemExit) as stopped:
        parse_resumable(resumable, ["--count", "1", *words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_every_path_of_a_command_is_one_that_is_given():
    project = Path(__file__).resolve().parents[2]
    files = [file for folder in ("deblur", "pipelines", "experiments") for file in (project / folder).rglob("*.py")]
    assert sum("type=given_path" in file.read_text(encoding="utf-8") for file in files) > 15
    assert not [file for file in files if re.search(r"type=(pathlib\.)?Path\b", file.read_text(encoding="utf-8"))]
