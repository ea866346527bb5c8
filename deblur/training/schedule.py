"""How the learning rate and the crop change while training goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from deblur.errors import DeblurError


@dataclass
class Progress:
    """How far a run is; all of it survives in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    best: float | None = None

    def share(self, steps: int | None, minutes: float | None) -> float:
        """From 0 to 1, by steps or minutes, whichever is nearer its end."""
        by_steps = self.step / steps if steps else 0.0
        by_time = self.seconds / 60 / minutes if minutes else 0.0
        return min(1.0, max(by_steps, by_time))


@dataclass(frozen=True)
class Schedule:
    """The learning rate as a function of progress, which runs from 0 to 1 in steps or in minutes, whichever is set.

    Attributes:
        kind: ``cosine`` rises evenly for the first ``warmup`` of the way and falls to ``floor`` times the peak along
            half a cosine; ``halving`` is the paper's: halved ``halvings`` times, at even intervals; ``constant``.
        peak: the highest learning rate.
        warmup: share of the way, below 1.
        floor: last learning rate over the highest.
        halvings: the paper halves every 500 of 3000 epochs, which is 5 times within the way.
    """

    kind: Literal["cosine", "halving", "constant"] = "cosine"
    peak: float = 5e-4
    warmup: float = 0.02
    floor: float = 0.02
    halvings: int = 5

    def rate(self, progress: float) -> float:
        """The learning rate at ``progress`` in [0, 1]."""
        progress = min(max(progress, 0.0), 1.0)
        if self.kind == "constant":
            return self.peak
        if self.kind == "halving":
            return self.peak * 0.5 ** min(int(progress * (self.halvings + 1)), self.halvings)
        if progress < self.warmup:
            return self.peak * max(progress / self.warmup, 0.01)
        fall = (progress - self.warmup) / (1 - self.warmup)
        return self.peak * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * fall)) / 2)


def parse_crops(text: str) -> tuple[tuple[float, int], ...]:
    """Read ``SIZE`` or ``SIZE@START,SIZE@START``: from which share of the way on crops have which side.

    ``128,192@0.5,256@0.8`` begins with 128 pixels and ends with 256.

    Raises:
        DeblurError: a size is no multiple of 8 above 0, or the starts do not rise from 0.
    """
    stages = []
    for part in text.split(","):
        size, _, start = part.partition("@")
        try:
            stages.append((float(start or 0), int(size)))
        except ValueError:
            raise DeblurError(f"--crop {text}: write SIZE or SIZE,SIZE@START, such as 128,256@0.5") from None
    starts = [start for start, _ in stages]
    if starts[0] != 0 or starts != sorted(set(starts)) or not all(start < 1 for start in starts):
        raise DeblurError(f"--crop {text}: the first stage must start at 0, each next one later, and all before 1")
    if any(size < 8 or size % 8 for _, size in stages):
        raise DeblurError(f"--crop {text}: sizes must be multiples of 8, from 8 on")
    return tuple(stages)


def crop_at(stages: tuple[tuple[float, int], ...], progress: float) -> int:
    """The side of the crops at ``progress``."""
    return next(size for start, size in reversed(stages) if progress >= start)
