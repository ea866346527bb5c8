"""Restorations along right and wrong paths, with their errors: what a path's critic learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from deblur import Deblurrer
from deblur.blur import synthesize_with_motion
from deblur.blur.spec import REFERENCE_SIDE, parse_blur
from deblur.devices import to_batch
from deblur.errors import DeblurError
from deblur.networks.guided import GuidedNetwork
from deblur.path_search import PathSearch
from deblur.path_search.critic import Critic
from deblur.path_search.descent import Stage, Trial, try_all
from deblur.path_search.evidence import NAMES, Look
from deblur.path_search.explaining import explain
from deblur.path_search.judging import MARGIN, WINDOWS, Judge
from deblur.path_search.search import LARGEST, MIDDLE, USUAL, Effort
from deblur.path_search.squares import CELL, STATISTICS
from deblur.path_search.starts import random_starts
from deblur.path_search.trial_path import AXES, WAVES, cosines, waves_of
from deblur.pictures import read_picture, scale_down
from deblur.released import load_released
from experiments.path_learning.sample_pool import load_arrays, save_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from deblur.blur import Motion
    from deblur.path_search.evidence import Judged

_CPU = torch.device("cpu")
COPIES = ("first", "first", "middle", "first", "largest")
"""Which copy of a search's a sample is of, in turn."""
_PERTURBED = 30  # wrong paths of a picture before there is a critic
_STARTS = 8  # paths that only agree with the estimator, likewise
_EFFORT = Effort(20, (Stage(5, 4, 0.2), Stage(3, 5, 0.17), Stage(2, 6, 0.12)), (), ())
_FROM_TRUE = (Stage(2, 5, 0.15),)  # ways down from the true path and beside it
_BESIDE = (Stage(3, 6, 0.12),)  # ways down in the larger copies
_TRIED = 3  # of a search's random starts one is learnt from
_FOLLOWED = 2  # of the steps of a way down, likewise: neighbours say the same
_EXPLAINING = 16  # starts of the paths that explain a restoration
_LONGER = (1.0, 1.1)  # such a path as it is and longer
_BETWEEN = (0.35, 0.7)  # of the way from such a path to the true one
_WINDOWS = 2  # where no search looks at more
_CLOSE = 4  # wrong paths of a picture that a judge learns from
_SEARCHING = USUAL._replace(starts=20, judged_largest=Stage(2, 16, 0.15))  # of a search for paths that it learns from
_LEAST = 1e-9


@dataclass(frozen=True)
class Samples:
    """N trials in W windows of one copy of a picture: by the network itself, along the true path, then the others.

    Attributes:
        evidence: (N, W, len(NAMES)) float32.
        squares: (N, W, STATISTICS, h / 8, w / 8) float16, what a critic sees, without what they are compared to.
        maps: (N, W, h / 8, w / 8) float16, natural logarithms of the restorations' mean square errors.
        errors: (N, W) float32, natural logarithms of their root mean square errors.
        blurred: (W,) float32, those of the blurred windows.
    """

    evidence: NDArray[np.float32]
    squares: NDArray[np.float16]
    maps: NDArray[np.float16]
    errors: NDArray[np.float32]
    blurred: NDArray[np.float32]

    @classmethod
    def load(cls, file: Path) -> Samples:
        """What ``save`` wrote.

        Raises:
            DeblurError: the file cannot be read, or is of other numbers than this version's.
        """
        samples = cls(**load_arrays(file, cls.__dataclass_fields__))
        if (samples.evidence.shape[2:], samples.squares.shape[2:3]) != ((len(NAMES),), (STATISTICS,)):
            raise DeblurError(f"{file} is a sample of another version: delete what is in its folder")
        return samples

    def save(self, file: Path) -> None:
        """Write an .npz file; see ``save_arrays``."""
        save_arrays(file, {name: getattr(self, name) for name in self.__dataclass_fields__})


class _Kept:
    """What came of trials, as far as it is learnt from."""

    def __init__(self, target: Tensor) -> None:
        """``target`` is (W, 3, h, w): the sharp windows."""
        self._target = target
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def add(self, judged: Judged) -> None:
        """Keep trials."""
        evidence, squares, restored = (part.detach() for part in judged)
        square = _square_error(restored, self._target)
        cells = F.avg_pool2d(square.flatten(0, 1), CELL).unflatten(0, square.shape[:2])
        self._parts.append(
            (
                evidence.numpy(),
                squares[:, :, :STATISTICS].half().numpy(),
                cells.clamp_min(_LEAST).log().half().numpy(),
                (square.mean((-2, -1)).clamp_min(_LEAST).log() / 2).numpy(),
            )
        )

    def samples(self, blurred: Tensor) -> Samples:
        """All that was kept, of these blurred windows (W, 3, h, w)."""
        error = _square_error(blurred, self._target).mean((-2, -1)).clamp_min(_LEAST).log() / 2
        evidence, squares, maps, errors = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        return Samples(evidence, squares, maps, errors, error.numpy())


class _Shaken(NamedTuple):
    """A picture, sharp and blurred along a known path, and what draws the rest.

    Attributes:
        sharp: (H, W, 3), RGB uint8.
        blurred: likewise.
        motion: the path, in its pixels.
        generator: of what is tried.
    """

    sharp: NDArray[np.uint8]
    blurred: NDArray[np.uint8]
    motion: Motion
    generator: np.random.Generator

    @classmethod
    def make(cls, file: Path, blur: str, seed: int) -> _Shaken:
        """Blur the picture of a file at the size that lengths of blur are told for, on one thread from here on."""
        torch.set_num_threads(1)
        sharp = scale_down(read_picture(file), REFERENCE_SIDE)
        blurred, motion = synthesize_with_motion(sharp, parse_blur(blur), seed, file.stem)
        return cls(sharp, blurred, motion, np.random.default_rng(seed))

    def seen_in(self, look: Look) -> tuple[Tensor, _Kept]:
        """The true path (8, 3) in the pixels of what is looked at, and what is kept of trials, the own first."""
        side = look.frame.longest
        true = waves_of(self.motion.scaled(side / max(self.sharp.shape[:2])), look.frame)
        kept = _Kept(look.cut(to_batch(scale_down(self.sharp, side), _CPU)))
        kept.add(look.by_itself)
        return true, kept


def keep_sample(target: Path, file: Path, blur: str, seed: int, copy: str, critic: Critic | None) -> None:
    """Make a sample and write it to ``target``; see ``sample``."""
    sample(file, blur, seed, copy, critic).save(target)


def keep_judged_sample(target: Path, file: Path, blur: str, seed: int, weights: str, critic: Critic | None) -> None:
    """Make a sample and write it to ``target``; see ``judged_sample``."""
    judged_sample(file, blur, seed, weights, critic).save(target)


def sample(file: Path, blur: str, seed: int, copy: str, critic: Critic | None) -> Samples:
    """Blur a picture and restore it along many paths: at random, or where a critic leads.

    Args:
        file: a sharp picture.
        blur: of shake, curved or straight blur, as text.
        seed: of blur and paths.
        copy: one of ``COPIES``.
        critic: that leads the search; None tries the true path's neighbours.
    """
    shaken = _Shaken.make(file, blur, seed)
    search = PathSearch.load(critic=critic or Critic(), effort=_EFFORT)
    if copy == "first":
        look = search.first_look(shaken.blurred)
    else:
        look = search.look(shaken.blurred, MIDDLE if copy == "middle" else LARGEST, windows=2)
    true, kept = shaken.seen_in(look)
    count = 0

    def watch(judged: Judged, followed: bool) -> None:
        nonlocal count
        count += 1
        if count % (_FOLLOWED if followed else _TRIED) == 0:
            kept.add(judged)

    with torch.no_grad():
        kept.add(look.judge(true[None]))
        beside = torch.stack([_perturbed(true, shaken.generator, look.spread) for _ in range(_PERTURBED)])
        if critic is None:
            for waves in (*beside.split(2), *random_starts(look, _STARTS, seed).split(2)):
                kept.add(look.judge(waves))
    if critic is not None:
        search.follow(look, [true, *beside[:1]], _FROM_TRUE, watch)
        if copy == "first":
            search.begin(look, random_starts(look, _EFFORT.starts), watch)
        else:
            search.follow(look, [*beside[1:4]], _BESIDE, watch)
    return kept.samples(look.blurred)


def judged_sample(file: Path, blur: str, seed: int, weights: str, critic: Critic | None) -> Samples:
    """Blur a picture and restore it along paths such as a search may end with, for the judge of a network.

    Args:
        file: a sharp picture.
        blur: of shake, curved or straight blur, as text.
        seed: of blur and paths.
        weights: released name of the network.
        critic: the judge so far, which chooses and leads in a search; None tries what explains restorations,
            and what lies between that and the true path, without a search.
    """
    shaken = _Shaken.make(file, blur, seed)
    network, card = load_released(weights)
    assert isinstance(network, GuidedNetwork)
    # As what a search tells a path to restores: it is not measured.
    deblurrer = Deblurrer(network.requires_grad_(requires_grad=False), name=card["name"], consistent=False)
    look = Look(network, to_batch(shaken.blurred, _CPU), WINDOWS if critic else _WINDOWS, MARGIN)
    true, kept = shaken.seen_in(look)
    with torch.no_grad():
        kept.add(look.judge(true[None]))
    if critic is not None:
        judge = _Watched(network, critic, look, kept)
        PathSearch.load(effort=_SEARCHING, judge=judge)(shaken.blurred, deblurrer)
        paths = []
    else:
        first = PathSearch.load(critic=Critic()).first_look(shaken.blurred)
        starts = random_starts(first, _EXPLAINING, seed) * (look.frame.longest / first.frame.longest)
        explained = explain(shaken.blurred, deblurrer, starts)
        near = min(true, _backwards(true), key=lambda path: float((path - explained[0]).square().sum()))
        paths = [path * length for path in explained for length in _LONGER]
        paths += [explained[0].lerp(near, share) for share in _BETWEEN]
    paths += [_perturbed(true, shaken.generator, look.spread) for _ in range(_CLOSE)]
    with torch.no_grad():
        for path in paths:
            kept.add(look.judge(path[None]))
    return kept.samples(look.blurred)


class _Watched(Judge):
    """A judge of one picture, of whose looks all is kept."""

    def __init__(self, network: GuidedNetwork, critic: Critic, look: Look, kept: _Kept) -> None:
        super().__init__(network, critic, margin=MARGIN)
        self._look, self._kept = look, kept

    def look(self, picture: NDArray[np.uint8], device: torch.device, windows: int = WINDOWS) -> Look:
        """The picture as it was made ready, or a smaller copy."""
        own = max(picture.shape[:2]) == self._look.frame.longest
        return self._look if own else super().look(picture, device, windows)

    def try_all(self, look: Look, paths: Tensor) -> list[Trial]:
        """See ``Judge.try_all``."""
        return try_all(self._critic, look, paths, lambda judged, _: self._kept.add(judged))

    def choose(self, look: Look, paths: Sequence[Tensor]) -> None:
        """None is told."""


def _backwards(waves: Tensor) -> Tensor:
    """The same path gone the other way, which blurs alike."""
    return waves * torch.tensor([(-1.0) ** wave for wave in range(1, WAVES + 1)]).unsqueeze(1)


def _square_error(restored: Tensor, target: Tensor) -> Tensor:
    """(..., H, W), the mean over colours."""
    return (restored.clamp(0, 1) - target).square().mean(-3)


def _perturbed(true: Tensor, generator: np.random.Generator, spread: float) -> Tensor:
    """A wrong path: the true one turned by 180 degrees, longer or shorter, moved by a smooth one, or that one alone."""
    kind = generator.random()
    if kind < 0.05:
        return -true
    if kind < 0.15:
        return true * generator.uniform(0.2, 1.6)
    speed = np.arange(1, WAVES + 1)[:, None] ** generator.uniform(0.5, 1.5)
    axes = np.ones(AXES)
    axes[2] = generator.uniform(0, 0.6)
    smooth = torch.from_numpy(generator.standard_normal((WAVES, AXES)) / speed * axes).float()
    width = (cosines(smooth.device) @ smooth)[:, :2].square().sum(1).mean().sqrt()
    smooth = smooth / width * spread * 10 ** generator.uniform(-1.2, 0.1)
    return smooth if kind < 0.2 else true + smooth
