"""How sharp pictures are blurred in training: kinds of blur and what a camera adds, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from deblur.blur import BlurSpec
from deblur.blur.motion import read_kernels
from deblur.errors import DeblurError
from deblur.training.options import HEAVIEST

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
    """Read ``KIND:LOW-HIGH[=WEIGHT]``, such as ``shake:2-32=0.4``; a measured kind is ``measured@FILE.npz:2-32=0.1``.

    ``none`` is without lengths.

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
    if kind != "none" and not low:
        raise DeblurError(f"--blur {text}: say how long, in pixels, as {kind}:1-32")
    if not (0 <= bounds[0] <= bounds[1] and 0 < weight <= HEAVIEST):
        raise DeblurError(
            f"--blur {text}: lengths must rise from 0 up, and the weight must be above 0 and at most {HEAVIEST:,}"
        )
    if kernels:
        read_kernels(kernels)  # a file that cannot be read is named now, not hours later
    return BlurRange(BlurSpec(kind=kind, length=bounds[1], kernels=kernels), *bounds, weight)  # type: ignore[arg-type]
