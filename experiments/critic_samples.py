"""Restorations along right and wrong paths, with their errors: what a path's critic learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from deblur.blur import synthesize_with_motion
from deblur.blur.spec import REFERENCE_SIDE, parse_blur
from deblur.devices import to_batch
from deblur.path_search import PathSearch
from deblur.path_search.critic import Critic
from deblur.path_search.search import SIDE
from deblur.path_search.trial_path import WAVES, cosines, waves_of
from deblur.pictures import read_picture, scale_down

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from deblur.path_search.evidence import Judged

_PERTURBED = 24  # wrong paths of a picture before there is a critic
_EACH = 4  # of a search's trials that lie on one way down, one is learnt from: neighbours say the same


@dataclass(frozen=True)
class Samples:
    """What was tried on one picture.

    Attributes:
        blur: of the picture.
        evidence: (N, 25), see ``deblur.path_search.evidence``; the true path's first.
        errors: (N,) natural logarithms of the root mean square errors of the restorations.
        blurred: that of the blurred picture.
    """

    blur: str
    evidence: NDArray[np.float64]
    errors: NDArray[np.float64]
    blurred: float


def sample(file: Path, blur: str, seed: int, critic: Critic | None) -> Samples:
    """Blur a picture and restore it along many paths: at random, or where a critic leads.

    Args:
        file: a sharp picture.
        blur: of shake, curved or straight blur, as text.
        seed: of blur and paths.
        critic: that leads the search; None tries the true path's neighbours.
    """
    torch.set_num_threads(1)
    generator = np.random.default_rng(seed)
    sharp = scale_down(read_picture(file), REFERENCE_SIDE)
    blurred, motion = synthesize_with_motion(sharp, parse_blur(blur), seed, file.stem)
    copy = scale_down(blurred, SIDE)
    search = PathSearch.load(critic=critic or Critic())
    scene = search.scene(copy)
    target = to_batch(scale_down(sharp, SIDE), torch.device("cpu"))
    true = waves_of(motion.scaled(SIDE / max(sharp.shape[:2])), scene.frame)
    rows: list[NDArray[np.float64]] = []
    errors: list[float] = []

    def keep(judged: Judged) -> None:
        rows.append(judged.evidence.detach().double().numpy())
        errors.append(_log_error(judged.restored, target))

    with torch.no_grad():
        keep(scene.judge(true))
        if critic is None:
            for _ in range(_PERTURBED):
                keep(scene.judge(_perturbed(true, generator)))
    if critic is not None:
        count = 0

        def watch(judged: Judged) -> None:
            nonlocal count
            if not judged.evidence.requires_grad or count % _EACH == 0:
                keep(judged)
            count += 1

        search.search(scene, watch)
    return Samples(blur, np.stack(rows), np.array(errors), _log_error(to_batch(copy, torch.device("cpu")), target))


def _log_error(picture: Tensor, target: Tensor) -> float:
    return float((picture.detach().clamp(0, 1) - target).square().mean().clamp_min(1e-9).log() / 2)


def _perturbed(true: Tensor, generator: np.random.Generator) -> Tensor:
    """A wrong path: the true one turned by 180 degrees, longer or shorter, moved by a smooth one, or that one alone."""
    kind = generator.random()
    if kind < 0.06:
        return -true
    if kind < 0.18:
        return true * generator.uniform(0.2, 1.6)
    speed = np.arange(1, WAVES + 1)[:, None] ** generator.uniform(0.5, 1.5)
    smooth = torch.from_numpy(generator.standard_normal((WAVES, 3)) / speed * (1, 1, generator.uniform(0, 0.6))).float()
    width = (cosines(smooth.device) @ smooth)[:, :2].square().sum(1).mean().sqrt()
    smooth = smooth / width * 10 ** generator.uniform(-0.8, 0.7)
    return smooth if kind < 0.24 else true + smooth
