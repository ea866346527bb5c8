"""Time deblurrers, networks and detectors against each other on one machine.

    python -m experiments.speed --deblurrer default --detector yolo26n --size 640x480 1280x720
    python -m experiments.speed --network mstsgm mstsgm-star mimo-unet --size 256x256 --device cuda

The programs take turns within one run, so their ratios hold even where the machine is not quiet; ``--reference`` names
the one they are compared to (default: the first). Reading and writing files is not timed. The run holds
``metrics.json``, ``speed.csv`` (a row for each program and size) and ``samples.csv`` (every single time).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from deblur.cli import (
    EXIT_DONE,
    Collect,
    add_config_option,
    add_device_option,
    blur_text,
    given_path,
    parse_args,
    positive_int,
    run,
    thread_count,
)
from deblur.errors import DeblurError
from deblur.naming import parse_deblurrer
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deblur.blur import BlurSpec
    from experiments.common.narrator import Narrator
    from experiments.timing.alternating import Program

PROTOCOL = {
    "clock": "time.perf_counter, the device synchronised before each reading",
    "batch": 1,
    "order": "programs take turns, round by round; the rounds of warm-up are not kept",
    "spread": "quartiles over rounds",
    "ratio": "median over rounds of the program's time divided by the reference's of the same round",
    "deblurrer": "uint8 picture in memory, with the blur that its entry names, to uint8 picture in memory",
    "network": "float tensor on the device to float tensor on the device; random weights",
    "detector": "uint8 picture in memory to boxes: letterbox, network, suppression",
    "files": "reading and writing are not inside",
    "allocator": "glibc keeps what is freed, as in every command of this project (deblur.memory); not for peak_memory",
    "gmacs": "convolutions and matrix products by torch.utils.flop_counter, halved, in 10^9; gflops_per_s is 2 x gmacs"
    " over the median",
    "peak_memory": "one run beside what is held once loaded, MiB: torch's allocator on CUDA, else growth of resident"
    " memory in a process of its own",
}
SIZES = ["640x480"]
BLUR = "shake:16"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = build_parser()
    args = parse_args(parser, argv)
    if not (args.deblurrer or args.network or args.detector):
        parser.error("name something to time by --deblurrer, --network or --detector")
    return run(lambda: _measure(args), expected=(DeblurError, DetectionError))


def build_parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.speed",
        description="Time deblurrers, networks and detectors against each other.",
    )
    for kind, what in (
        (
            "deblurrer",
            "released networks or files, from picture to picture; NAME=FILE calls a file NAME, NAME+gyro is told a "
            "path, NAME+search finds one",
        ),
        ("network", "networks by name with random weights, from tensor to tensor"),
        ("detector", "YOLO weights, from picture to boxes; NAME=FILE calls a file NAME"),
    ):
        parser.add_argument(f"--{kind}", nargs="+", action=Collect, default=[], metavar="NAME", help=what)
    parser.add_argument(
        "--size",
        type=_size,
        nargs="+",
        action=Collect,
        default=SIZES,
        metavar="WxH",
        help=f"picture sizes (default: {SIZES[0]})",
    )
    parser.add_argument(
        "--blur",
        type=blur_text,
        default=BLUR,
        metavar="SPEC",
        help=f"blur of the photograph that deblurrers restore (docs/blur.md); none for a sharp one (default: {BLUR})",
    )
    parser.add_argument("--repeat", type=positive_int, default=20, metavar="N", help="timed rounds (default: 20)")
    parser.add_argument("--warm-up", type=positive_int, default=3, metavar="N", help="rounds before (default: 3)")
    parser.add_argument("--threads", type=thread_count, metavar="N", help="torch's threads (default: its own choice)")
    parser.add_argument("--reference", metavar="NAME", help="the program ratios refer to (default: the first)")
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    parser.add_argument(
        "--output", type=given_path, metavar="RUN", help="folder of the run (default: a new one in runs/speed)"
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json on stdout in place of the table")
    add_device_option(parser)
    add_config_option(parser)
    return parser


def _size(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: give WIDTHxHEIGHT, such as 640x480")
    return text


def _measure(args: argparse.Namespace) -> int:
    import torch

    from deblur.blur import parse_blur
    from deblur.blur.motion import check_kernels
    from deblur.devices import resolve_device
    from deblur.runs import describe_environment, write_json
    from experiments.common.narrator import Narrator
    from experiments.timing.programs import KINDS, load_program
    from pipelines.run_folder import output_folder, write_options

    if args.threads:
        torch.set_num_threads(args.threads)
    device = str(resolve_device(args.device))
    blur = parse_blur(args.blur)
    check_kernels(blur)
    programs = _distinct([load_program(kind, name, device, blur) for kind in KINDS for name in getattr(args, kind)])
    names = [program.name for program in programs]
    reference = args.reference or names[0]
    if reference not in names:  # as it was given, where that is not what results call it
        reference = parse_deblurrer(reference).name
    if reference not in names:
        raise DeblurError(f"--reference {args.reference} is not timed; there are {', '.join(names)}")
    folder = output_folder(args.output, "speed", device.replace(":", "-"))
    write_options(folder, args)
    environment = describe_environment(device)
    write_json(folder / "env.json", environment)
    narrator = Narrator(folder / "log.txt")
    narrator.say(f"{', '.join(names)} on {device} ({environment['device_name']}); run {folder}")
    rows, samples = [], []
    for size in args.size:
        of_size, times = _measure_size(args, size, blur, programs, reference, narrator)
        rows += of_size
        samples += times
    metrics = {
        "task": "speed",
        **{key: environment[key] for key in ("device", "device_name", "threads")},
        "torch": environment["packages"]["torch"],
        "repeat": args.repeat,
        "warm_up": args.warm_up,
        "reference": reference,
        "programs": {program.name: {"kind": program.kind, **program.facts} for program in programs},
        "results": rows,
        "protocol": PROTOCOL,
        "run": str(folder),
    }
    write_json(folder / "metrics.json", metrics)
    _write_csv(folder, rows, samples)
    table = _table(metrics)
    (folder / "table.txt").write_text(table + "\n", encoding="utf-8")
    print(json.dumps(metrics, ensure_ascii=False, allow_nan=False) if args.json else table)
    return EXIT_DONE


def _distinct(programs: list[Program]) -> list[Program]:
    """The same, with the kind before a name that several kinds share: a released network and its untrained twin."""
    counts = Counter(program.name for program in programs)
    named = [
        replace(program, name=f"{program.kind}:{program.name}") if counts[program.name] > 1 else program
        for program in programs
    ]
    twice = [name for name, count in Counter(program.name for program in named).items() if count > 1]
    if twice:
        raise DeblurError(f"two programs are named {twice[0]!r}; time each once, or call one otherwise, NAME=FILE")
    return named


def _measure_size(
    args: argparse.Namespace,
    size: str,
    blur: BlurSpec,
    programs: Sequence[Program],
    reference: str,
    narrator: Narrator,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of ``speed.csv`` and of ``samples.csv`` of one picture size."""
    from deblur.networks.cost import count_macs
    from experiments.timing.alternating import summarize_times, time_alternating
    from experiments.timing.peak_memory import measure_peak
    from experiments.timing.programs import photograph

    width, height = map(int, size.split("x"))
    picture = photograph(width, height)
    inputs = [program.prepare(picture) for program in programs]
    with narrator.progress(args.warm_up + args.repeat, size, "round") as advance:
        times = time_alternating(programs, inputs, args.repeat, args.warm_up, lambda: advance(1))
    by_name = dict(zip((program.name for program in programs), times, strict=True))
    rows = []
    for program, given in zip(programs, inputs, strict=True):
        summary = summarize_times(by_name[program.name], by_name[reference])
        macs = count_macs(partial(program.run, given))
        peak = None if args.no_memory else measure_peak(program, given, width, height, blur)
        rows.append(
            {
                "program": program.name,
                "kind": program.kind,
                "size": size,
                **{key: round(value, 4) for key, value in summary.items()},
                "gmacs": round(macs / 1e9, 4),
                "gflops_per_s": round(2 * macs / (1e6 * summary["median_ms"]), 2),
                "peak_memory_mib": None if peak is None else round(peak / 2**20, 1),
            }
        )
    samples = [
        {"program": name, "size": size, "round": number, "ms": value}
        for name, own in by_name.items()
        for number, value in enumerate(own)
    ]
    return rows, samples


def _write_csv(folder: Path, rows: list[dict[str, Any]], samples: list[dict[str, Any]]) -> None:
    import pandas as pd

    pd.DataFrame(rows).to_csv(folder / "speed.csv", index=False)
    pd.DataFrame(samples).to_csv(folder / "samples.csv", index=False)


def _table(metrics: dict[str, Any]) -> str:
    head = f"{metrics['device_name']}, {metrics['threads']} threads, {metrics['repeat']} rounds"
    columns = f"{'program':22} {'size':>10} {'median ms':>10} {'quartiles':>19} {'ratio':>7} {'GMACs':>9}"
    columns += f" {'GFLOP/s':>8} {'MiB':>8}"
    lines = [f"{head}; ratios to {metrics['reference']}", columns]
    for row in metrics["results"]:
        quartiles = f"{row['q25_ms']:.2f}-{row['q75_ms']:.2f}"
        memory = "-" if row["peak_memory_mib"] is None else f"{row['peak_memory_mib']:.0f}"
        lines.append(
            f"{row['program']:22} {row['size']:>10} {row['median_ms']:10.2f} {quartiles:>19} {row['ratio']:7.3f}"
            f" {row['gmacs']:9.2f} {row['gflops_per_s']:8.1f} {memory:>8}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
