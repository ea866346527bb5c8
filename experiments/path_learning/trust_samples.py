"""Pictures restored along a path that is told, right or wrong, and without it: what trust in paths is learnt from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F

from deblur.blur import draw_motion, expose_windows
from deblur.blur.spec import REFERENCE_SIDE
from deblur.borders import mirrored_window
from deblur.errors import DeblurError
from deblur.exposure.consistency import make_consistent
from deblur.exposure.kernels import exposure_along
from deblur.exposure.paths import felt, misread
from deblur.networks.guided import GuidedNetwork
from deblur.path_search.squares import CELL
from deblur.path_search.trust import SEEN, Restoration, seen_of
from deblur.pictures import read_picture, scale_down
from deblur.released import load_released
from deblur.training.mix import BlurMix, parse_blur_range
from experiments.path_learning.sample_pool import load_arrays, save_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from deblur.blur import Motion

Telling = Literal["measured", "badly measured", "another moment", "near and far"]
"""What is told: the path as a sensor measures it, as a bad one does, that of another exposure, or that of one of two
distances alone."""
TELLINGS: tuple[Telling, ...] = get_args(Telling)
_OFTEN = (0.5, 0.12, 0.13, 0.25)
_MIX = BlurMix(
    tuple(
        parse_blur_range(text)
        for text in (
            "shake:2-32=0.45",
            "shake:32-64=0.12",
            "curved:2-32=0.13",
            "straight:2-60=0.1",
            "forward:4-30=0.04",
            "object:4-32=0.08",
            "background:4-32=0.08",
        )
    ),
    rolling=0.4,
)
_WINDOW = 448  # pixels a side, which a guide reads well
_SIDES = (REFERENCE_SIDE, 960, 1280)  # longer sides of pictures, as far as they are so large
_BAD_SCALE, _BAD_ANGLE = 0.3, 0.25  # natural logarithm and radians, standard deviations
_DISTANCES = 0.8  # natural logarithm of how much farther the other of two distances moves, likewise
_SOFTEST = 40.0  # pixels, over which near and far fade into each other


@dataclass(frozen=True)
class TrustSample:
    """One picture.

    Attributes:
        telling: index into ``TELLINGS``.
        seen: (SEEN, h, w) float16, see ``seen_of``.
        squared: (3, h, w) float32, the means of e^2, e d and d^2 over each square and the colours, where e is the error
            of the restoration by itself, and d how much the told restoration differs from it. The mean square error of
            any mixture follows from them.
    """

    telling: int
    seen: NDArray[np.float16]
    squared: NDArray[np.float32]

    @classmethod
    def load(cls, file: Path) -> TrustSample:
        """What ``save`` wrote.

        Raises:
            DeblurError: the file cannot be read, or is of another version.
        """
        arrays = load_arrays(file, cls.__dataclass_fields__)
        sample = cls(int(arrays["telling"]), arrays["seen"], arrays["squared"])
        if len(sample.seen) != SEEN:
            raise DeblurError(f"{file} is a sample of another version: delete what is in its folder")
        return sample

    def save(self, file: Path) -> None:
        """Write an .npz file; see ``save_arrays``."""
        save_arrays(file, {"telling": self.telling, "seen": self.seen, "squared": self.squared})


def keep_trust_sample(target: Path, file: Path, seed: int, weights: str) -> None:
    """Make a sample and write it to ``target``; see ``trust_sample``."""
    trust_sample(file, seed, weights).save(target)


def trust_sample(file: Path, seed: int, weights: str) -> TrustSample:
    """Blur a part of a picture and restore it twice.

    Args:
        file: a sharp picture.
        seed: of the part, the blur, and what is told of it.
        weights: released name of a guided network.

    Raises:
        DeblurError: the picture or the weights cannot be read, or none of a hundred blurs shows.
    """
    torch.set_num_threads(1)
    network, card = load_released(weights)
    assert isinstance(network, GuidedNetwork)
    generator = np.random.default_rng(seed)
    sharp = torch.from_numpy(scale_down(read_picture(file), int(generator.choice(_SIDES)))).permute(2, 0, 1)
    for _ in range(100):  # until somebody told the path would restore anything
        telling = int(generator.choice(len(TELLINGS), p=_OFTEN))
        shown = _Shown.make(sharp, TELLINGS[telling], generator)
        exposure = exposure_along(shown.path, _WINDOW, _WINDOW, sharp.device)
        if exposure.blurred.item():
            break
    else:
        raise DeblurError(f"{file}: none of a hundred blurs shows")
    with torch.inference_mode():
        told = Restoration.by(network, shown.blurred, exposure)
        itself = Restoration.by(network, shown.blurred, network.guide.estimate(shown.blurred))
        along = told.picture.clamp(0, 1)
        if card.get("consistent", True):  # as it is restored with later
            along = make_consistent(along, shown.blurred, shown.path)
        seen = seen_of(shown.blurred, exposure, told, itself)
        wrong, change = itself.picture.clamp(0, 1) - shown.sharp, along - itself.picture.clamp(0, 1)
        products = torch.cat([(one * other).mean(1) for one, other in ((wrong, wrong), (wrong, change), (change,) * 2)])
        return TrustSample(telling, seen[0].half().numpy(), F.avg_pool2d(products, CELL).numpy())


class _Shown(NamedTuple):
    """A part of a picture.

    Attributes:
        sharp: (1, 3, H, W) RGB in [0, 1].
        blurred: likewise.
        path: that is told, in its pixels.
    """

    sharp: Tensor
    blurred: Tensor
    path: Motion

    @classmethod
    def make(cls, picture: Tensor, telling: Telling, generator: np.random.Generator) -> _Shown:
        """Blur a part of a picture (3, H, W), RGB uint8, mirrored where it is smaller than the part."""
        height, width = picture.shape[-2:]
        corner = (
            int(generator.integers(max(width - _WINDOW, 0) + 1)),
            int(generator.integers(max(height - _WINDOW, 0) + 1)),
        )
        spec, gain = _MIX.draw(generator)
        size = max(width, _WINDOW), max(height, _WINDOW)
        motion = draw_motion(spec, generator, *size)
        seed = int(generator.integers(2**31))

        def exposed(motion: Motion) -> Tensor:
            window = (*corner, _WINDOW, _WINDOW)
            return expose_windows([picture], [window], [motion], [spec], [seed], [gain]).float() / 255

        blurred = exposed(motion)
        if telling == "near and far":
            ratio = np.array([np.exp(_DISTANCES * generator.standard_normal())] * 2 + [1, 1])
            blurred = torch.lerp(blurred, exposed(replace(motion, path=motion.path * ratio)), _other_share(generator))
        told = draw_motion(spec, generator, *size) if telling == "another moment" else motion
        path = felt(told, generator)
        if telling == "badly measured":
            path = _bad(path, generator)
        sharp = mirrored_window(picture, *corner, _WINDOW, _WINDOW)[None].float() / 255
        return cls(sharp, blurred, path.cropped(*corner))


def _other_share(generator: np.random.Generator) -> Tensor:
    """(H, W) from 0 to 1: on one side of a line through a window what is at the other distance."""
    angle, through = generator.uniform(0, 2 * np.pi), generator.uniform(0.2, 0.8, 2) * _WINDOW
    y, x = np.mgrid[:_WINDOW, :_WINDOW]
    across = (x - through[0]) * np.cos(angle) + (y - through[1]) * np.sin(angle)
    share = np.clip(across / generator.uniform(2, _SOFTEST) + 0.5, 0, 1)
    return torch.from_numpy(share.astype(np.float32))


def _bad(path: Motion, generator: np.random.Generator) -> Motion:
    """By a focal length and axes that nobody has calibrated."""
    angle = _BAD_ANGLE * generator.standard_normal()
    return misread(path, np.exp(_BAD_SCALE * generator.standard_normal()), angle)
