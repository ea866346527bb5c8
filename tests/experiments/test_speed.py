"""The speed command: what it counts, how it takes turns, and its files; never how fast this machine is."""

from __future__ import annotations

import json
import platform
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from skimage.data import astronaut

from deblur.blur import BlurSpec, parse_blur
from deblur.naming import DEFAULT_NAME, parse_deblurrer
from deblur.networks.cost import count_macs
from experiments import speed
from experiments.timing import peak_memory
from experiments.timing import programs as speed_programs
from experiments.timing.alternating import Program, summarize_times, time_alternating

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU = torch.device("cpu")


def program(name: str, run: Callable[[Any], object] = lambda _: None, kind: str = "network") -> Program:
    return Program(name, name, kind, CPU, lambda picture: picture, run, {"dtype": "float32"})


def test_programs_take_turns_and_warm_up_is_not_kept() -> None:
    calls: list[str] = []
    programs = [
        program("a", lambda given: calls.append(f"a{given}")),
        program("b", lambda given: calls.append(f"b{given}")),
    ]
    rounds = []
    times = time_alternating(programs, [1, 2], repeat=3, warm_up=2, after_round=lambda: rounds.append(1))
    assert calls == ["a1", "b2"] * 5
    assert [len(own) for own in times] == [3, 3]
    assert len(rounds) == 5


def test_the_clock_is_read_after_the_device_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def clock() -> float:
        events.append("clock")
        return float(len(events))

    monkeypatch.setattr("experiments.timing.alternating.synchronize", lambda device: events.append("wait"))
    monkeypatch.setattr("experiments.timing.alternating.time.perf_counter", clock)
    times = time_alternating([program("a", lambda _: events.append("run"))], [None], repeat=1, warm_up=0)
    assert events == ["wait", "clock", "run", "wait", "clock"]
    assert times == [[3000.0]]


def test_times_are_summed_up_by_quartiles_and_paired_ratios() -> None:
    summary = summarize_times([10, 20, 30, 40, 50], [5, 10, 10, 10, 10])
    assert summary == {"median_ms": 30, "q25_ms": 20, "q75_ms": 40, "ratio": 3}


def test_macs_of_a_convolution() -> None:
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert count_macs(lambda: program("conv", convolution).run(torch.zeros(1, 3, 20, 30))) == 20 * 30 * 3 * 8 * 9


def test_macs_are_counted_in_inference_mode() -> None:
    network = speed_programs.load_program("network", "mstsgm-nano", "cpu", BlurSpec())
    x = network.prepare(speed_programs.photograph(64, 64))
    assert x.shape == (1, 3, 64, 64)
    four = count_macs(lambda: network.run(network.prepare(speed_programs.photograph(128, 128))))
    assert four == pytest.approx(4 * count_macs(lambda: network.run(x)), rel=0.02)


def test_photograph_is_rgb_of_the_size_asked_for() -> None:
    picture = speed_programs.photograph(60, 40)
    assert picture.shape == (40, 60, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 20
    large = speed_programs.photograph(900, 500)
    assert large.shape == (500, 900, 3)
    np.testing.assert_array_equal(large[:427, 640:], large[:427, 639:379:-1])


def test_the_run_names_machine_sizes_and_every_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(speed_programs, "load_program", lambda kind, name, device, blur: program(name, kind=kind))
    monkeypatch.setattr(peak_memory, "measure_peak", lambda *arguments: 3 * 2**20)
    arguments = ["--deblurrer", "x", "--network", "x", "--detector", "y", "--size", "64x48", "32x32", "--repeat", "4"]
    assert (
        speed.main([*arguments, "--reference", "y", "--device", "cpu", "--output", str(tmp_path / "run"), "--json"])
        == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8")) == result
    assert (result["device"], result["repeat"], result["reference"]) == ("cpu", 4, "y")
    assert result["device_name"]
    assert result["threads"] == torch.get_num_threads()
    assert result["programs"]["deblurrer:x"]["dtype"] == "float32"
    assert [(row["program"], row["size"]) for row in result["results"]] == [
        (name, size) for size in ("64x48", "32x32") for name in ("deblurrer:x", "network:x", "y")
    ]
    assert {row["peak_memory_mib"] for row in result["results"]} == {3.0}
    assert all(row["ratio"] == 1 for row in result["results"] if row["program"] == "y")
    assert len(pd.read_csv(tmp_path / "run" / "speed.csv")) == 6
    assert len(pd.read_csv(tmp_path / "run" / "samples.csv")) == 24
    for name in ("config.yaml", "env.json", "log.txt", "table.txt"):
        assert (tmp_path / "run" / name).stat().st_size > 0


def test_what_is_asked_for_is_run_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    calls: list[int] = []
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1)

    def convolve(_: Any) -> torch.Tensor:
        calls.append(torch.get_num_threads())
        return convolution(torch.zeros(1, 3, 100, 200))

    threads = torch.get_num_threads()
    monkeypatch.setattr(speed_programs, "load_program", lambda kind, name, device, blur: program(name, convolve))
    options = ["--network", "x", "--repeat", "4", "--warm-up", "5", "--threads", str(threads + 1), "--no-memory"]
    try:
        assert speed.main([*options, "--device", "cpu", "--output", str(tmp_path / "run"), "--json"]) == 0
    finally:
        torch.set_num_threads(threads)
    result = json.loads(capsys.readouterr().out)
    assert calls == [threads + 1] * (5 + 4 + 1)  # once more to count
    assert (result["threads"], result["warm_up"]) == (threads + 1, 5)
    (row,) = result["results"]
    assert row["gmacs"] == round(100 * 200 * 3 * 8 * 9 / 1e9, 4)
    seconds = row["median_ms"] / 1000
    assert row["gflops_per_s"] == pytest.approx(2 * 100 * 200 * 3 * 8 * 9 / seconds / 1e9, rel=0.02)


def test_the_default_is_a_reference_under_either_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def load(kind: str, name: str, device: str, blur: BlurSpec) -> Program:
        return program(parse_deblurrer(name).name, kind=kind)

    monkeypatch.setattr(speed_programs, "load_program", load)
    arguments = ["--detector", "y", "--deblurrer", "default", "--no-memory", "--device", "cpu", "--json"]
    for reference in ("default", DEFAULT_NAME):
        assert speed.main([*arguments, "--reference", reference, "--output", str(tmp_path / reference)]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["reference"] == DEFAULT_NAME
        assert DEFAULT_NAME in result["programs"]
    assert speed.main([*arguments, "--reference", "z", "--output", str(tmp_path / "z")]) == 1
    assert f"--reference z is not timed; there are {DEFAULT_NAME}, y" in capsys.readouterr().err


def test_a_guided_network_is_timed_with_a_path_and_without() -> None:
    picture = speed_programs.photograph(640, 480)
    blind, told, sharp = (
        speed_programs.load_program("deblurrer", name, "cpu", parse_blur(blur))
        for name, blur in (
            ("mstsgm-guided", "shake:16"),
            ("mine=mstsgm-guided+gyro", "shake:16"),
            ("mstsgm-guided", "none"),
        )
    )
    assert (blind.name, told.name) == ("mstsgm-guided", "mine+gyro")
    assert blind.facts["weights"] == told.facts["weights"] == "mstsgm-guided"
    given = [each.prepare(picture) for each in (blind, told, sharp)]
    restored = [each.run(own) for each, own in zip((blind, told), given, strict=False)]
    assert restored[0].shape == restored[1].shape == picture.shape
    assert not np.array_equal(*restored)
    # A sharp picture costs a look.
    assert count_macs(lambda: sharp.run(given[2])) < 0.3 * count_macs(lambda: blind.run(given[0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "no-such-network"], "unknown network 'no-such-network'"),
        (["--network", "estimator"], "--network estimator estimates blur and restores no pictures"),
        (
            ["--network", "mstsgm-nano", "--blur", "measured:8,kernels=nowhere.npz"],
            "cannot read blur kernels from nowhere.npz",
        ),
        (["--network", "mstsgm-nano", "mstsgm-nano"], "two programs are named 'network:mstsgm-nano'"),
        (["--network", "mstsgm-nano", "--reference", "other"], "--reference other is not timed"),
        (["--deblurrer", "no-such-weights"], "no-such-weights"),
        (["--deblurrer", "mine=no/best.safetensors"], "no weights at no/best.safetensors"),
        (["--deblurrer", "mine+gyro=best.safetensors"], "is not NAME=FILE"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert speed.main([*arguments, "--device", "cpu", "--output", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["--network", "mstsgm", "--size", "640"], ["--network", "mstsgm", "--repeat", "0"]]
)
def test_usage_errors_exit_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        speed.main(arguments)
    assert stopped.value.code == 2


def test_the_process_that_measures_memory_says_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["peak_memory", "--help"])
    assert peak_memory._main() == 2
    assert "KIND SOURCE WIDTH HEIGHT" in capsys.readouterr().err


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not asked")
def test_what_was_freed_before_does_not_count_as_held() -> None:
    pieces = [np.ones(2**16, np.uint8) for _ in range(2000)]  # too small to be given back one by one
    held = peak_memory._resident("VmRSS")
    last = pieces.pop()  # which keeps the heap as long as it is
    pieces.clear()
    peak_memory._give_back_freed_memory()
    assert held - peak_memory._resident("VmRSS") > 0.9 * 2000 * last.nbytes


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory outside CUDA is read from Linux's /proc")
def test_peak_memory_grows_with_the_picture() -> None:
    network = speed_programs.load_program("network", "mstsgm-nano", "cpu", BlurSpec())
    small, large = (peak_memory.measure_peak(network, None, side, side, BlurSpec()) for side in (128, 512))
    assert small is not None
    assert large is not None
    # The least a 512 x 512 picture needs: itself and its restored copy as floats.
    assert large > max(2 * small, 2 * 512 * 512 * 3 * 4)


def test_a_detector_is_timed_from_picture_to_boxes(shared: Path) -> None:
    detector = speed_programs.load_program("detector", str(shared / "weights" / "yolo11n.pt"), "cpu", BlurSpec())
    assert (detector.name, detector.kind, detector.facts["image_size"]) == ("yolo11n", "detector", 640)
    given = detector.prepare(astronaut())
    (found,) = detector.run(given)
    assert "person" in found.class_names
    assert count_macs(lambda: detector.run(given)) > 1e9
