"""What the tests of training share: the options of runs that take seconds, and what is read of their folders."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import torch

from deblur.training.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

TINY = ["--network", "mstsgm-nano", "--set", "widths=[16,20,24]", "encoder_blocks=[1,1,1]", "decoder_blocks=[1,1,1]"]
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "deblur.train"]
TWO_PROCESSES = [sys.executable, *LAUNCH]
QUICK = [*TINY, "--threads", "1", "--crop", "32", "--batch", "4", "--val-side", "64", "--device", "cpu"]


def arguments(tmp_path, photos, *extra):
    return [
        *QUICK,
        "--sharp",
        str(photos),
        "--val-limit",
        "1",
        "--val-blur",
        "shake:8",
        "--output",
        str(tmp_path / "runs"),
        *extra,
    ]


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "weights" / "state.pt")["network"]


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def mean_difference(restored, sharp):
    return (restored - sharp).abs().mean()
