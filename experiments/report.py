"""One self-contained HTML page about a detection-gain run: findings, pictures, figures, tables, and how it was made.

    python -m experiments.report runs/detection_gain/NAME

The page loads nothing from anywhere and works from disk; docs/plots.md describes it.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from deblur.cli import given_path, parse_args, positive_int, run
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.report", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", type=given_path, metavar="RUN", help="folder of a finished detection-gain run")
    parser.add_argument(
        "--output", type=given_path, metavar="FILE", help="the page (default: report.html in the run's folder)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a page that is there already")
    parser.add_argument(
        "--max-pictures",
        type=positive_int,
        default=72,
        metavar="N",
        help="carry at most N examples in the browser of pictures, about 0.2 MB each (default: 72)",
    )
    arguments = parse_args(parser, argv)
    output = arguments.output or arguments.run / "report.html"
    return run(lambda: _report(arguments.run, output, arguments.overwrite, arguments.max_pictures))


def _report(folder: Path, output: Path, overwrite: bool, max_pictures: int) -> int:
    from deblur.runs import prepare_output, to_utf8, write_atomically
    from experiments.plotting.runs import Runs
    from experiments.reporting.page import build_page

    if output.exists() and not overwrite:
        raise DeblurError(f"{output} exists; give --overwrite, or another --output")
    runs = Runs([folder])
    prepare_output(output)
    page = to_utf8(build_page(runs, max_pictures))
    write_atomically(output, page)
    print(f"wrote {output} ({len(page) / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
