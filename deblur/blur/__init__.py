"""Motion blur made from sharp pictures, the same for the same seed on every device, with the truth that made it."""

from deblur.blur.motion import Motion, draw_motion
from deblur.blur.spec import KINDS, BlurSpec, parse_blur
from deblur.blur.synthesis import average_frames, expose, generator_for, synthesize

__all__ = [
    "KINDS",
    "BlurSpec",
    "Motion",
    "average_frames",
    "draw_motion",
    "expose",
    "generator_for",
    "parse_blur",
    "synthesize",
]
