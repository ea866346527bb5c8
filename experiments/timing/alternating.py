"""Timing programs against each other: synchronised, warmed up, alternating within one run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from deblur.devices import synchronize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch


@dataclass(frozen=True)
class Program:
    """Something that is timed.

    Attributes:
        name: what the result calls it.
        source: the name or file it was loaded from.
        kind: deblurrer, network or detector.
        device: what is waited for before the clock is read.
        prepare: turns an RGB uint8 (H, W, 3) picture into what ``run`` takes; not timed.
        run: what is timed.
        facts: what else the result says of it (weights, number format, ...).
    """

    name: str
    source: str
    kind: str
    device: torch.device
    prepare: Callable[[np.ndarray[Any, np.dtype[np.uint8]]], Any]
    run: Callable[[Any], object]
    facts: dict[str, Any] = field(default_factory=dict)


def time_alternating(
    programs: Sequence[Program],
    inputs: Sequence[Any],
    repeat: int,
    warm_up: int,
    after_round: Callable[[], None] = lambda: None,
) -> list[list[float]]:
    """Run the programs in turn, round by round, so that a machine that slows down slows all of them.

    Args:
        programs: what is timed.
        inputs: what each program's ``run`` takes.
        repeat: timed rounds, at least 1.
        warm_up: rounds before them that are not kept.
        after_round: called after each round, for a progress bar.

    Returns:
        For each program its milliseconds, one a round.
    """
    milliseconds: list[list[float]] = [[] for _ in programs]
    for number in range(warm_up + repeat):
        for program, given, kept in zip(programs, inputs, milliseconds, strict=True):
            synchronize(program.device)
            start = time.perf_counter()
            program.run(given)
            synchronize(program.device)
            elapsed = 1000 * (time.perf_counter() - start)
            if number >= warm_up:
                kept.append(elapsed)
        after_round()
    return milliseconds


def summarize_times(milliseconds: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Median and quartiles of a program's times, and how many times as long as the reference it takes.

    Args:
        milliseconds: of the program, one a round.
        reference: of the reference program, of the same rounds.

    Returns:
        ``median_ms``, ``q25_ms``, ``q75_ms``, ``ratio`` (the median over rounds of time / reference's time).
    """
    low, median, high = np.percentile(milliseconds, [25, 50, 75])
    ratio = np.median(np.asarray(milliseconds) / np.asarray(reference))
    return {"median_ms": float(median), "q25_ms": float(low), "q75_ms": float(high), "ratio": float(ratio)}
