"""One picture that shows every kind of synthetic blur, with the kernels that made it.

    python -m experiments.blur_gallery --output docs/images/blur.jpg

The photograph is scikit-image's ``astronaut`` (NASA, public domain).
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import Collect, add_seed_option, blur_text, given_path, parse_args, run
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from deblur.blur import BlurSpec

SPECS = (
    "none",
    "straight:16",
    "curved:28",
    "shake:28",
    "shake:28,readout=2",
    "jolt:28",
    "forward:28",
    "object:28",
    "background:28",
    "straight:28,light=srgb",
    "shake:16,shot=0.05,read=0.01,jpeg=30",
)
LEAST_SIDE, MOST_SIDE = 41, 121
"""Of the drawing of a kernel, in pixels: as many as the kernel's own, so that its length is that of the blur, while
three such drawings lie side by side in the picture; longer ones are scaled down."""
OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "blur.jpg"


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.blur_gallery", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--blur", type=blur_text, nargs="+", action=Collect, default=list(SPECS), metavar="SPEC", help="kinds to show"
    )
    parser.add_argument(
        "--output", type=given_path, default=OUTPUT, help="PNG or JPEG to write (default: docs/images/blur.jpg)"
    )
    add_seed_option(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the gallery; returns the exit code."""
    options = parse_args(build_parser(), argv)

    def body() -> int:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib.figure import Figure
        from skimage.data import astronaut

        from deblur.blur import parse_blur
        from deblur.runs import write_atomically
        from experiments.common.own_output import prepare_own_output

        specs = [parse_blur(text) for text in options.blur]
        photograph = astronaut()[:400, 60:460]
        columns = 4
        rows = -(-len(specs) // columns)
        figure = Figure(figsize=(3.2 * columns, 3.4 * rows), layout="constrained")
        suffix = options.output.suffix[1:].lower()
        formats = figure.canvas.get_supported_filetypes().keys() - {"pgf"}  # which asks LaTeX for every word
        if suffix not in formats:
            raise DeblurError(f"--output {options.output}: no kind of picture; use one of {', '.join(sorted(formats))}")
        prepare_own_output(options.output, OUTPUT, "picture")
        for axes, spec in zip(figure.subplots(rows, columns, squeeze=False).flat, specs, strict=False):
            axes.imshow(blurred_with_kernels(photograph, spec, options.seed))
            axes.set_title(str(spec), fontsize=9)
        for axes in figure.axes:
            axes.axis("off")
        drawn = io.BytesIO()
        figure.savefig(drawn, format=suffix, dpi=110)
        write_atomically(options.output, drawn.getvalue())
        print(options.output)
        return 0

    return run(body)


def blurred_with_kernels(photograph: NDArray[np.uint8], spec: BlurSpec, seed: int) -> NDArray[np.uint8]:
    """The blurred picture with, in its corners and its middle, the kernel of that place (white on black)."""
    import numpy as np

    from deblur.blur import draw_motion, generator_for, synthesize
    from deblur.blur.motion import still
    from deblur.blur.rendering import moving_share
    from deblur.pictures import scale_down

    height, width = photograph.shape[:2]
    picture = synthesize(photograph, spec, seed, "gallery")
    motion = draw_motion(spec, generator_for(spec, seed, "gallery"), width, height)
    columns, rows = np.array([0, (width - 1) / 2, width - 1]), (0, height - 1)
    reach = max(motion.extent(columns, y) for y in rows)
    whole = max(LEAST_SIDE, 2 * math.ceil(reach) + 3)
    side = min(whole, MOST_SIDE)
    for x in columns:
        for y in rows:
            moving = motion if moving_share(motion, x, y, 1) else still(width, height)
            kernel = moving.kernel_at(x, y, whole)
            shade = np.rint(255 * (kernel / kernel.max()) ** 0.5).astype(np.uint8)
            drawn = scale_down(np.dstack([shade] * 3), side)
            left, top = round(x / (width - 1) * (width - side)), round(y / (height - 1) * (height - side))
            picture[top : top + side, left : left + side] = np.rint(drawn * (255 / drawn.max()))
    return picture


if __name__ == "__main__":
    sys.exit(main())
