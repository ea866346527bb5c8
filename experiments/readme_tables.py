"""Write the README's tables from the runs in ``experiments/results/``: ``python -m experiments.readme_tables``.

The text between the markers ``<!-- results -->`` and ``<!-- /results -->`` is replaced, nothing else in the file.
``--check`` writes nothing and exits 1 where the README is not what the results say.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deblur.cli import parse_args, run
from deblur.errors import DeblurError
from deblur.exposure.paths import GYROSCOPE
from experiments.gain.table import number
from experiments.release import detection_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the tables; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.readme_tables", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("--readme", type=Path, default=PROJECT / "README.md", metavar="FILE")
    parser.add_argument("--results", type=Path, default=PROJECT / "experiments" / "results", metavar="DIR")
    parser.add_argument("--check", action="store_true", help="only say whether the tables are those of the results")
    options = parse_args(parser, argv)

    def body() -> int:
        from deblur.runs import write_atomically

        try:
            old = options.readme.read_text(encoding="utf-8")
        except OSError as error:
            raise DeblurError(f"cannot read --readme {options.readme}: {error.strerror}") from error
        new = replace_between_markers(old, "\n".join(tables(options.results)), options.readme)
        if options.check and new != old:
            raise DeblurError(f"{options.readme} does not say what {options.results} says: run this without --check")
        if not options.check:
            write_atomically(options.readme, new.encode("utf-8"))
        return 0

    return run(body)


def replace_between_markers(text: str, content: str, file: Path) -> str:
    """``text`` with ``content`` between its markers.

    Raises:
        DeblurError: the markers are not there, once each and in order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end) or BEGIN in tail:
        raise DeblurError(f"{file} needs the lines {BEGIN.strip()} and {END.strip()}, once each and in this order")
    return f"{head}{BEGIN}\n{content}\n{END}{tail}"


def tables(results: Path) -> list[str]:
    """The lines of all tables for which there are results, each with the folder it comes from."""
    lines: list[str] = []
    for folder in sorted(results.iterdir()):
        metrics = folder / "metrics.json"
        if not metrics.is_file():
            continue
        content = json.loads(metrics.read_text(encoding="utf-8"))
        if content.get("task") == "detection_gain":
            lines += _gain_table(folder)
        elif "methods" in content:
            lines += _restoration_table(folder.name, content)
    return lines


def _gain_table(folder: Path) -> list[str]:
    """What each deblurrer recovers, and below it what sharp pictures lose."""
    from experiments.gain.files import read_metrics

    content = read_metrics(folder)
    link = f"[experiments/results/{folder.name}](experiments/results/{folder.name})"
    lines: list[str] = []
    for told, what in ((False, ""), (True, " the camera's path told with a sensor's errors,")):
        names = [record.name for record in content.deblurrers if (GYROSCOPE in record.name) == told]
        if not names:
            continue
        count = content.data["n_pictures"]
        lines += [f"**Recovered share of the AP lost to blur [95 %]**,{what} {count} pictures ({link})", ""]
        lines += _header("detector", "blur", "AP sharp", "AP blurred", *names)
        harm: dict[str, list[str]] = {}
        for scores in zip(*(detection_scores(folder, name) for name in names), strict=True):
            first = scores[0]
            figures = [number(first[key], 3) for key in ("ap_sharp", "ap_blurred")]
            lines.append(_row(first["detector"], first["blur"], *figures, *map(_share, scores)))
            harm[first["detector"]] = [number(score["harm"], 3) for score in scores]
        lines += ["", "**AP that sharp pictures lose** when they are put through", "", *_header("detector", *names)]
        lines += [_row(detector, *figures) for detector, figures in harm.items()]
        lines.append("")
    return lines


def _share(score: dict[str, Any]) -> str:
    low, high = score["recovered_interval"]
    interval = "" if low is None else f" [{number(low, 2)}, {number(high, 2)}]"
    return number(score["recovered"], 2) + interval


def _restoration_table(name: str, content: dict[str, Any]) -> list[str]:
    link = f"[experiments/results/{name}](experiments/results/{name})"
    blur = content["data"]["blur"]  # None where the pictures came blurred and nobody says how
    what = f"{content['n']} pictures" + (f" blurred by {blur}" if blur else "")
    lines = [f"**PSNR and SSIM** of {what} ({link})", "", *_header("pictures", "PSNR (dB)", "SSIM")]
    rows = {"blurred": content["input"], **content["methods"]}
    lines += [_row(arm, number(row["psnr"], 2), number(row["ssim"], 4)) for arm, row in rows.items()]
    return [*lines, ""]


def _header(*names: str) -> list[str]:
    return [_row(*names), _row(*("---" for _ in names))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
