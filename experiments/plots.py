"""Figures of one or several detection-gain runs, as PNG and PDF, from their saved files alone.

    python -m experiments.plots runs/detection_gain/NAME
    python -m experiments.plots runs/detection_gain/A runs/detection_gain/B --output figures

docs/plots.md shows each figure and says how to read it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from deblur.cli import given_path, parse_args, run
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.plots", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "runs", nargs="+", type=given_path, metavar="RUN", help="folder of a finished detection-gain run"
    )
    parser.add_argument(
        "--output",
        type=given_path,
        metavar="DIR",
        help="folder of the figures (default, for one run: its own folder plots)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace figures that are there already")
    parser.add_argument("--json", action="store_true", help="print one JSON document: files written, figures skipped")
    arguments = parse_args(parser, argv)
    if arguments.output is None and len(arguments.runs) > 1:
        parser.error("several runs need --output DIR")
    output = arguments.output or arguments.runs[0] / "plots"
    return run(lambda: _plots(arguments.runs, output, arguments.overwrite, arguments.json))


def _plots(folders: list[Path], output: Path, overwrite: bool, as_json: bool) -> int:
    from deblur.runs import OTHER_OUTPUT, make_folder
    from experiments.plotting.figures import figures
    from experiments.plotting.runs import Runs
    from experiments.plotting.sheet import FORMATS, Drawing, Skipped, save
    from experiments.plotting.style import styled

    runs = Runs(folders)
    there = {path for suffix in FORMATS for path in output.glob(f"*.{suffix}")}
    if there and not overwrite:
        raise DeblurError(f"{output} holds {min(there).name} already; give --overwrite, or another --output")
    make_folder(output, OTHER_OUTPUT)
    written: list[Path] = []
    skipped: list[Skipped] = []
    names: Counter[str] = Counter()
    unheard: OSError | None = None
    with styled() as palette:
        for figure in figures(Drawing(runs, palette)):
            if isinstance(figure, Skipped):
                skipped.append(figure)
                line = f"skipped {figure.name}: {figure.reason}"
            else:
                name = figure.name.casefold()  # some disks keep no capitals apart
                names[name] += 1
                if names[name] > 1:  # detectors or blurs whose names differ in what file names do not keep
                    figure = replace(figure, name=f"{figure.name}-{names[name]}")
                paths = save(figure, output)
                written += paths
                line = f"wrote {' and '.join(map(str, paths))}"
            if not as_json:
                try:
                    print(line, flush=True)
                except OSError as error:  # who reads may have gone, as head does: all is drawn first
                    unheard = unheard or error
    if unheard is not None:
        raise unheard
    older = sorted(str(path) for path in there.difference(written))
    if older and not as_json:
        print(f"from before, not of these runs: {', '.join(older)}")
    if as_json:
        document = {
            "written": [str(path) for path in written],
            "from_before": older,
            "skipped": [{"figure": figure.name, "reason": figure.reason} for figure in skipped],
        }
        print(json.dumps(document, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
