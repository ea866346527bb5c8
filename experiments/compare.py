"""Set detection-gain runs side by side, where that means something.

    python -m experiments.compare runs/detection_gain/a runs/detection_gain/b

Two figures compare only where they were made in the same way on the same data: the command refuses, and names what
differs, where protocol, truth or pictures of the runs are not the same. Detectors and deblurrers may differ; a name
that stands for several weights is shown as NAME@HASH, one that stands for several ways to restore with them says which.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

from deblur.cli import EXIT_DONE, each_line, given_path, parse_args, run
from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from detection.bootstrap import Interval
    from experiments.gain.records import GainRun

GAINS = ("recovered", "ap_difference", "harm", "beyond_control", "recovered_looking_twice", "harm_looking_twice")


def build_parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.compare",
        description="Set detection-gain runs of one protocol and one data set side by side.",
    )
    parser.add_argument(
        "runs", type=given_path, nargs="+", metavar="RUN", help="folders of finished runs, at least two"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document in place of the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = build_parser()
    arguments = parse_args(parser, argv)
    if len(arguments.runs) < 2:
        parser.error("give at least two runs")
    return run(lambda: _compare(arguments.runs, arguments.json))


def _compare(folders: Sequence[Path], as_json: bool) -> int:
    from experiments.gain.comparable import differing_keys
    from experiments.gain.files import read_metrics

    runs = [read_metrics(folder) for folder in folders]
    for (one, first), (other, second) in itertools.combinations(zip(folders, runs, strict=True), 2):
        differing = differing_keys(first, second)
        if differing:
            raise DeblurError(f"{one} and {other} do not compare: they differ in {', '.join(differing)}")
    figures = side_by_side(runs)
    if as_json:
        content = {"runs": [str(folder) for folder in folders], "protocol": runs[0].protocol, "data": runs[0].data}
        print(json.dumps(content | {"figures": figures}, ensure_ascii=False, allow_nan=False))
    else:
        print(each_line(_table(folders, figures)))
    return EXIT_DONE


def side_by_side(runs: Sequence[GainRun]) -> list[dict[str, Any]]:
    """Every figure of every run: ``detector``, ``blur``, ``figure``, ``of`` (arm or deblurrer) and ``values``.

    ``values`` has an interval for each run, None where the run did not measure it.
    """
    detectors = _labels([{record.name: (record.sha256,) for record in gain.detectors} for gain in runs])
    deblurrers = _labels([{record.name: record.identity for record in gain.deblurrers} for gain in runs])
    table: dict[tuple[str, str, str, str], list[dict[str, float | None] | None]] = {}
    for index, gain in enumerate(runs):
        for detector, blur, figure, of, value in _figures(gain, detectors[index], deblurrers[index]):
            row = table.setdefault((detector, blur, figure, of), [None] * len(runs))
            row[index] = value
    keys = ("detector", "blur", "figure", "of")
    return [dict(zip(keys, key, strict=True)) | {"values": values} for key, values in table.items()]


def _figures(
    gain: GainRun, detectors: Mapping[str, str], deblurrers: Mapping[str, str]
) -> Iterator[tuple[str, str, str, str, dict[str, float | None]]]:
    for result in gain.results:
        detector = detectors[result.detector]
        for arm, score in result.arms.items():
            kind, colon, deblurrer = arm.partition(":")
            label = f"{kind}:{deblurrers[deblurrer]}" if colon else arm
            yield detector, result.blur, "ap", label, {"value": score.ap, "low": score.ap_low, "high": score.ap_high}
        for figure in GAINS:
            intervals: dict[str, Interval] = getattr(result, figure)
            for deblurrer, interval in intervals.items():
                value = {"value": interval.value, "low": interval.low, "high": interval.high}
                yield detector, result.blur, figure, deblurrers[deblurrer], value


def _labels(identities: Sequence[Mapping[str, tuple[Any, ...]]]) -> list[dict[str, str]]:
    """For each run its names as the comparison shows them, with what tells apart those that stand for several."""
    known: dict[str, set[tuple[Any, ...]]] = {}
    for name, identity in (pair for part in identities for pair in part.items()):
        known.setdefault(name, set()).add(identity)
    return [
        {name: name + _what_differs(identity, known[name]) for name, identity in part.items()} for part in identities
    ]


def _what_differs(identity: tuple[Any, ...], among: Collection[tuple[Any, ...]]) -> str:
    """Of an identity (`DeblurrerRecord.identity`), what others of the same name have otherwise."""
    differs = [len(set(column)) > 1 for column in zip(*among, strict=True)]
    words = (
        lambda value: f"@{value[:8]}",
        lambda value: f" consistent={value}",
        lambda value: f" search@{str(value)[:8]}",
        lambda value: f" paths@{str(value)[:8]}",
        lambda value: f" trust@{str(value)[:8]}",
    )
    return "".join(word(value) for word, value, shown in zip(words, identity, differs, strict=False) if shown)


def _table(folders: Sequence[Path], figures: Sequence[Mapping[str, Any]]) -> str:
    from experiments.common.printed_table import aligned, with_interval

    blocks = []
    for place in dict.fromkeys((row["detector"], row["blur"]) for row in figures):
        rows = [("", *map(str, folders))]
        rows += [
            (
                f"{row['figure']} {row['of']}",
                *("not measured" if value is None else with_interval(**value) for value in row["values"]),
            )
            for row in figures
            if (row["detector"], row["blur"]) == place
        ]
        blocks.append(f"{', '.join(place)}\n{aligned(rows)}")
    return "\n\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
