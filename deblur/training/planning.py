"""What a batch is going to be: pictures, crops and blurs, drawn on the CPU before a picture is touched.

A plan is a pure function of (seed, step, place in the batch) and of the pictures' sizes, so processes beside the
training one can make plans for the steps to come. A GPU would otherwise wait for them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deblur.blur import BlurSpec, Motion, draw_motion
from deblur.cli import hangup
from deblur.exposure.kernels import PlacedKernels, kernels_along
from deblur.exposure.paths import felt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deblur.training.mix import BlurMix
    from deblur.training.sources import Example, Source

_AHEAD = 3  # steps that are planned before they are asked for
_PORTION = 4  # crops that a process plans at a time


@dataclass(frozen=True)
class Recipe:
    """How crops are drawn.

    Attributes:
        mix: of blurs.
        quarter_turns: turn crops by quarters at random; left and right are swapped at random in any case.
        path_share: share of the crops of sharp pictures whose kernels are told.
    """

    mix: BlurMix
    quarter_turns: bool = True
    path_share: float = 0.0


@dataclass(frozen=True)
class Draw:
    """One place of one batch: an example and the random numbers for everything done to it."""

    example: Example
    generator: np.random.Generator


@dataclass(frozen=True)
class PlannedBlur:
    """What a camera does to one crop.

    Attributes:
        spec: light, noise and JPEG quality.
        noise_seed: of its noise.
        gain: how many times brighter than white the clipped places were.
    """

    spec: BlurSpec
    noise_seed: int
    gain: float = 1.0


@dataclass(frozen=True)
class CropPlan:
    """One crop of a batch, before any pixel has been read.

    Attributes:
        example: what it is cut from.
        files: those of the example's that are needed: of a video, the frames to average.
        mirrored: left and right are swapped first.
        quarters: quarter turns, after that.
        corner: (left, top) of the crop in the picture so turned.
        blur: what is done to a crop that comes sharp; None for a pair.
        motion: of the whole picture so turned; None for a pair, and for a video, whose frames are averaged.
        told: the kernels that a guide is told; None where it is left to estimate them.
    """

    example: Example
    files: tuple[Path, ...]
    mirrored: bool
    quarters: int
    corner: tuple[int, int]
    blur: PlannedBlur | None = None
    motion: Motion | None = None
    told: PlacedKernels | None = None


def draw_examples(sources: Sequence[Source], seed: int, step: int, places: Sequence[int]) -> list[Draw]:
    """What stands at the given places of the batch of ``step``."""
    weights = np.array([source.weight for source in sources])
    weights /= weights.sum()
    draws = []
    for place in places:
        generator = np.random.Generator(np.random.PCG64([seed, step, place]))
        source = sources[int(generator.choice(len(sources), p=weights))]
        draws.append(Draw(source.examples[int(generator.integers(len(source.examples)))], generator))
    return draws


def plan_crops(draws: Sequence[Draw], sizes: Sequence[tuple[int, int]], recipe: Recipe, crop: int) -> list[CropPlan]:
    """Plans of crops of ``crop`` pixels a side; ``sizes`` are the examples' pictures' widths and heights."""
    return [_plan(draw, *size, recipe, crop) for draw, size in zip(draws, sizes, strict=True)]


def _plan(draw: Draw, width: int, height: int, recipe: Recipe, crop: int) -> CropPlan:
    example, generator = draw.example, draw.generator
    files = example.files
    if example.kind == "frames":
        count = min(2 * int(generator.integers(2, 7)) + 1, len(files) - 1 + len(files) % 2)
        first = int(generator.integers(len(files) - count + 1))
        files = files[first : first + count]
    mirrored, quarters = bool(generator.integers(2)), int(generator.integers(4))
    if not recipe.quarter_turns:
        quarters = 0
    if quarters % 2:
        width, height = height, width
    left = int(generator.integers(max(width - crop, 0) + 1))
    corner = left, int(generator.integers(max(height - crop, 0) + 1))
    plan = CropPlan(example, files, mirrored, quarters, corner)
    if example.kind == "pairs":
        return plan
    spec, gain = recipe.mix.draw(generator)
    motion = told = None
    if example.kind == "sharp":
        # A small picture is mirrored up to the crop, and moves as a picture of the crop's size would.
        motion = draw_motion(spec, generator, max(width, crop), max(height, crop))
    blur = PlannedBlur(spec, int(generator.integers(2**31)), gain)
    if motion is not None and recipe.path_share and generator.uniform() < recipe.path_share:
        # As a gyroscope measures the path, with its errors, which is what a network is told in use.
        told = kernels_along(felt(motion.cropped(*corner), generator), crop, crop)
    return replace(plan, blur=blur, motion=motion, told=told)


class Planner:
    """Plans by step, the same ones whether or not other processes make them.

    Where one of these is ended from outside, by a signal to all of a job or for want of memory, that is said on stderr,
    and this one makes the plans from there on: it may have been asked to save and stop, too.

    Args:
        draw: what stands in this process's places of the batch of a step.
        size_of: width and height of a picture, as it will be read.
        recipe: of the crops.
        workers: processes beside this one; with 0 a plan is made when it is asked for.
    """

    def __init__(
        self,
        draw: Callable[[int], list[Draw]],
        size_of: Callable[[Path], tuple[int, int]],
        recipe: Recipe,
        workers: int = 0,
    ) -> None:
        self._draw, self._size_of, self._recipe = draw, size_of, recipe
        # Spawned: a forked process must not touch the GPU that its parent has.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, context, initializer=_follow_trainer) if workers else None
        self._pending: dict[tuple[int, int], list[Future[list[CropPlan]]]] = {}

    def plans(self, step: int, crop: int) -> list[CropPlan]:
        """The plans of the batch of ``step``, of crops of ``crop`` pixels a side."""
        if self._pool is not None:
            try:
                return self._plans_of_others(self._pool, step, crop)
            except BrokenProcessPool:
                gone = "processes that plan batches were ended from outside: from here on this one plans them itself"
                print(gone, file=sys.stderr)
                self.close()
                self._pool = None
        draws = self._draw(step)
        return plan_crops(draws, self._sizes(draws), self._recipe, crop)

    def close(self) -> None:
        """Stop the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _plans_of_others(self, pool: ProcessPoolExecutor, step: int, crop: int) -> list[CropPlan]:
        wanted = [(each, crop) for each in range(step, step + _AHEAD)]
        pending = self._pending
        self._pending = {key: pending[key] if key in pending else self._submit(pool, *key) for key in wanted}
        return [plan for portion in self._pending.pop((step, crop)) for plan in portion.result()]

    def _submit(self, pool: ProcessPoolExecutor, step: int, crop: int) -> list[Future[list[CropPlan]]]:
        draws = self._draw(step)
        portions = [draws[first : first + _PORTION] for first in range(0, len(draws), _PORTION)]
        return [pool.submit(plan_crops, each, self._sizes(each), self._recipe, crop) for each in portions]

    def _sizes(self, draws: Sequence[Draw]) -> list[tuple[int, int]]:
        return [self._size_of(draw.example.files[0]) for draw in draws]


def _follow_trainer() -> None:
    """Leave Ctrl-C and the end of a terminal to the training process, which saves and then stops the others.

    SIGTERM ends this process, for that is how the others of its pool are ended where one is gone.
    """
    for number in (signal.SIGINT, *hangup()):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_trainer, daemon=True).start()


def _end_with_trainer() -> None:
    """A training process that is killed stops nobody, and its planners would wait for it for ever."""
    trainer = multiprocessing.parent_process()
    assert trainer is not None
    trainer.join()
    os._exit(1)
