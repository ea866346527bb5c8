"""Training batches: which example, which crop, which blur, and the pictures made of them on the training device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deblur.blur import BlurSpec, Motion, average_frames, draw_motion, expose_windows
from deblur.blur.motion import read_kernels
from deblur.borders import mirrored_window
from deblur.errors import DeblurError
from deblur.exposure.kernels import exposure_along
from deblur.exposure.paths import as_measured, camera_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deblur.exposure.kernels import Exposure
    from deblur.training.sources import Example, PictureStore, Source

_LONGEST_READOUT = 3.0  # exposures: of 10 ms and a sensor that reads for 30; shorter exposures blur less


@dataclass(frozen=True)
class BlurRange:
    """One kind of blur in the mix: lengths are drawn evenly from ``low`` to ``high``."""

    spec: BlurSpec
    low: float
    high: float
    weight: float


@dataclass(frozen=True)
class BlurMix:
    """How sharp pictures are blurred in training.

    Attributes:
        ranges: kinds and lengths, drawn by weight.
        srgb: share of pictures averaged in gamma-encoded values instead of linear light.
        noise: strongest noise, in multiples of ``BlurSpec``'s default; the strength is drawn evenly from 0 up.
        jpeg: share of pictures that go through JPEG, quality drawn evenly from 60 to 100.
        highlights: share of pictures whose clipped places were really up to 4 times brighter than white.
        rolling: share of the kind ``shake`` that a rolling shutter sees, its readout drawn evenly from 0 to 3
            exposures.
    """

    ranges: tuple[BlurRange, ...]
    srgb: float = 0.3
    noise: float = 3.0
    jpeg: float = 0.5
    highlights: float = 0.2
    rolling: float = 0.0

    def draw(self, generator: np.random.Generator) -> tuple[BlurSpec, float]:
        """One blur and the gain of its highlights."""
        weights = np.array([entry.weight for entry in self.ranges])
        entry = self.ranges[int(generator.choice(len(weights), p=weights / weights.sum()))]
        strength = generator.uniform(0, self.noise)
        spec = BlurSpec(
            kind=entry.spec.kind,
            length=generator.uniform(entry.low, entry.high),
            roll=entry.spec.roll,
            light="srgb" if generator.uniform() < self.srgb else "linear",
            shot=BlurSpec.shot * strength,
            read=BlurSpec.read * strength,
            jpeg=int(generator.integers(60, 101)) if generator.uniform() < self.jpeg else 0,
            kernels=entry.spec.kernels,
        )
        if self.rolling and spec.kind == "shake" and generator.uniform() < self.rolling:
            spec = replace(spec, readout=generator.uniform(0, _LONGEST_READOUT))
        gain = generator.uniform(1, 4) if generator.uniform() < self.highlights else 1.0
        return spec, gain


def parse_blur_range(text: str) -> BlurRange:
    """Read ``KIND[:LOW-HIGH][=WEIGHT]``, such as ``shake:2-32=0.4``; a measured kind is ``measured@FILE.npz:2-32=0.1``.

    Raises:
        DeblurError: the text is not of that form.
    """
    head, equals, number = text.partition("=")
    kind, _, lengths = head.partition(":")
    kind, _, kernels = kind.partition("@")
    low, _, high = lengths.partition("-")
    try:
        bounds = (float(low or 0), float(high or low or 0))
        weight = float(number) if equals else 1.0
    except ValueError:
        raise DeblurError(f"--blur {text}: write KIND:LOW-HIGH=WEIGHT, such as shake:2-32=0.4") from None
    if not (0 <= bounds[0] <= bounds[1] and weight > 0):
        raise DeblurError(f"--blur {text}: lengths must rise from 0 up and the weight must be above 0")
    if kernels:
        read_kernels(kernels)  # a file that cannot be read is named now, not hours later
    return BlurRange(BlurSpec(kind=kind, length=bounds[1], kernels=kernels), *bounds, weight)  # type: ignore[arg-type]


class Batch(NamedTuple):
    """Crops on the training device, (B, 3, C, C) RGB in [0, 1], what was done to them, and where they came from.

    ``exposures`` holds the kernels that the guide of a guided network is told, by the camera's path as a sensor
    measures it; None where it is left to estimate them.
    """

    blurred: Tensor
    sharp: Tensor
    motions: tuple[Motion | None, ...]
    exposures: tuple[Exposure | None, ...]
    files: tuple[Path, ...]

    def portions(self, count: int) -> list[Batch]:
        """The batch in ``count`` equal parts."""
        size = len(self.files) // count
        starts = range(0, len(self.files), size)
        parts = [slice(start, start + size) for start in starts]
        return [
            Batch(self.blurred[part], self.sharp[part], self.motions[part], self.exposures[part], self.files[part])
            for part in parts
        ]


@dataclass(frozen=True)
class Draw:
    """One place of one batch: an example and the random numbers for everything done to it."""

    example: Example
    generator: np.random.Generator


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


def make_batch(
    draws: Sequence[Draw],
    store: PictureStore,
    mix: BlurMix,
    crop: int,
    *,
    quarter_turns: bool = True,
    path_share: float = 0.0,
) -> Batch:
    """Cut the crops, mirror and turn them at random, and blur those that come sharp, on the store's device.

    Of ``path_share`` of the latter the kernels are told.
    """
    # Of a video only some frames are needed; they are read when they have been drawn.
    store.prefetch(file for draw in draws if draw.example.kind != "frames" for file in draw.example.files)
    blurred: list[Tensor | None] = []
    sharp: list[Tensor] = []
    motions: list[Motion | None] = []
    waiting: list[_Exposure] = []
    for draw in draws:
        if draw.example.kind == "sharp":
            picture = _turned(store.get(draw.example.files[0]), draw.generator, quarter_turns)
            exposure = _plan_exposure(picture, draw.generator, mix, crop, len(sharp))
            waiting.append(exposure)
            blurred.append(None)
            sharp.append(mirrored_window(exposure.picture, *exposure.corner, crop, crop))
            motions.append(exposure.motion.cropped(*exposure.corner))
            continue
        pair = _cut_pair(draw, store, mix, crop, quarter_turns)
        blurred.append(pair[0])
        sharp.append(pair[1])
        motions.append(None)
    if waiting:
        exposed = expose_windows(
            [exposure.picture for exposure in waiting],
            [(*exposure.corner, crop, crop) for exposure in waiting],
            [exposure.motion for exposure in waiting],
            [exposure.spec for exposure in waiting],
            [exposure.noise_seed for exposure in waiting],
            [exposure.gain for exposure in waiting],
        )
        for exposure, picture in zip(waiting, exposed, strict=True):
            blurred[exposure.place] = picture
    pictures = torch.stack([picture for picture in blurred if picture is not None])
    return Batch(
        pictures.float() / 255,
        torch.stack(sharp).float() / 255,
        tuple(motions),
        tuple(_told(*one, path_share, crop, pictures.device) for one in zip(motions, draws, strict=True)),
        tuple(draw.example.files[-1] for draw in draws),
    )


def _told(motion: Motion | None, draw: Draw, share: float, crop: int, device: torch.device) -> Exposure | None:
    """The kernels by the camera's path with a sensor's errors, or None where it is not known or not told."""
    if not share or motion is None or draw.generator.uniform() >= share:
        return None
    return exposure_along([as_measured(camera_path(motion), draw.generator)], crop, crop, device)


@dataclass(frozen=True)
class _Exposure:
    place: int
    picture: Tensor
    corner: tuple[int, int]
    spec: BlurSpec
    motion: Motion
    gain: float
    noise_seed: int


def _plan_exposure(picture: Tensor, generator: np.random.Generator, mix: BlurMix, crop: int, place: int) -> _Exposure:
    height, width = picture.shape[-2:]
    corner = _draw_corner(generator, width, height, crop)
    spec, gain = mix.draw(generator)
    # A small picture is mirrored up to the crop, and moves as a picture of the crop's size would.
    motion = draw_motion(spec, generator, max(width, crop), max(height, crop))
    return _Exposure(place, picture, corner, spec, motion, gain, int(generator.integers(2**31)))


def _cut_pair(draw: Draw, store: PictureStore, mix: BlurMix, crop: int, quarter_turns: bool) -> tuple[Tensor, Tensor]:
    generator = draw.generator
    if draw.example.kind == "pairs":
        stacked = torch.cat([store.get(file) for file in draw.example.files])
    else:
        frames = draw.example.files
        count = min(2 * int(generator.integers(2, 7)) + 1, len(frames) - 1 + len(frames) % 2)
        first = int(generator.integers(len(frames) - count + 1))
        store.prefetch(frames[first : first + count])
        stacked = torch.cat([store.get(file) for file in frames[first : first + count]])
    stacked = _turned(stacked, generator, quarter_turns)
    height, width = stacked.shape[-2:]
    stacked = mirrored_window(stacked, *_draw_corner(generator, width, height, crop), crop, crop)
    if draw.example.kind == "pairs":
        return stacked[:3], stacked[3:]
    spec, _ = mix.draw(generator)
    frames_of_crop = stacked.view(-1, 3, crop, crop)
    blurred = average_frames(frames_of_crop, spec, int(generator.integers(2**31)))
    return blurred, frames_of_crop[len(frames_of_crop) // 2]


def _turned(picture: Tensor, generator: np.random.Generator, quarter_turns: bool) -> Tensor:
    """The picture with left and right swapped at random, and turned by quarters at random if asked for."""
    flip, quarters = generator.integers(2), int(generator.integers(4))
    if flip:
        picture = picture.flip(-1)
    return torch.rot90(picture, quarters, (-2, -1)) if quarter_turns else picture


def _draw_corner(generator: np.random.Generator, width: int, height: int, crop: int) -> tuple[int, int]:
    left = int(generator.integers(max(width - crop, 0) + 1))
    return left, int(generator.integers(max(height - crop, 0) + 1))
