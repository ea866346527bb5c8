"""Motion blur made from sharp pictures, the same for the same seed on every device, with the truth that made it."""

from deblur.blur.motion import Motion, draw_motion
from deblur.blur.spec import KINDS, BlurSpec, parse_blur
from deblur.blur.synthesis import (
    average_frames,
    expose,
    expose_windows,
    generator_for,
    synthesize,
    synthesize_with_motion,
)

__all__ = [
    "KINDS",
    "BlurSpec",
    "Motion",
    "average_frames",
    "draw_motion",
    "expose",
    "expose_windows",
    "generator_for",
    "parse_blur",
    "synthesize",
    "synthesize_with_motion",
]
