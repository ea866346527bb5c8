"""Write the README's tables and the docs': ``python -m experiments.readme_tables``.

They come from the runs in ``experiments/results/``. The README has one detector's gains at a glance,
``docs/results.md`` every table. The text between the markers ``<!-- results -->`` and ``<!-- /results -->`` is
replaced, nothing else in the files. ``--check`` writes nothing and exits 1 where a file is not what the results say.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deblur.cli import given_path, parse_args, run
from deblur.errors import DeblurError
from deblur.naming import GYROSCOPE
from deblur.scenes import by_numbers
from experiments.common.printed_table import named_data, number, of_scenes, with_interval
from experiments.gain.deblurrer_rows import detection_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from experiments.gain.records import GainRun

    Run = tuple[Path, GainRun | dict[str, Any]]

PROJECT = Path(__file__).resolve().parent.parent
_ONCE, _TWICE = "recovered", "recovered_looking_twice"  # of the scores of a run
_HARM = {_ONCE: "harm", _TWICE: "harm_looking_twice"}
_ROUNDING = 0.01  # of a recovered share, by which runs of the same on two machines may differ
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the tables; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.readme_tables", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument(
        "--readme", type=given_path, default=PROJECT / "README.md", metavar="FILE", help="gets the overview"
    )
    parser.add_argument(
        "--page", type=given_path, default=PROJECT / "docs" / "results.md", metavar="FILE", help="gets every table"
    )
    parser.add_argument("--results", type=given_path, default=PROJECT / "experiments" / "results", metavar="DIR")
    parser.add_argument("--check", action="store_true", help="only say whether the tables are those of the results")
    options = parse_args(parser, argv)

    def body() -> int:
        from deblur.runs import write_atomically

        runs = read_runs(options.results)
        written = {}
        for file, lines in ((options.readme, overview(runs)), (options.page, tables(runs))):
            try:
                old = file.read_text(encoding="utf-8")
            except OSError as error:
                raise DeblurError(f"cannot read {file}: {error.strerror}") from error
            written[file] = replace_between_markers(old, "\n".join(lines), file)
            if options.check and written[file] != old:
                raise DeblurError(f"{file} does not say what {options.results} says: run this without --check")
        if not options.check:
            for file, new in written.items():
                write_atomically(file, new.encode("utf-8"))
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


def overview(runs: Sequence[Run]) -> list[str]:
    """The lines of two tables of what every deblurrer wins back for one detector, the first of the first run.

    One is of one pass of the detector, one of fused boxes, with two passes over sharp and blurred pictures too.
    A run of a part of its pictures (``--limit``) or classes (``--classes``) stays out: its figures are not those of the
    whole set. So does one of other pictures or truth than the first, or whose detector sees them otherwise; blurs may
    differ. Of what stands in several runs the first is shown, and where another says otherwise a line below the table
    says that.
    """
    gains = [(folder, gain) for folder, gain in runs if not isinstance(gain, dict)]
    whole = [(folder, gain) for folder, gain in gains if gain.data["limit"] is None and gain.data["classes"] is None]
    whole = [(folder, gain) for folder, gain in whole if not _differ(whole[0][1], gain)]
    once: list[dict[str, Any]] = []
    twice: list[dict[str, Any]] = []
    for folder, gain in whole:
        for record in gain.deblurrers:
            scores = _scores(folder, gain, record.name)
            of_first = [row for row in scores if row["detector"] == whole[0][1].detectors[0].name]
            if record.kind != "fused":
                once += of_first
            twice += [row for row in of_first if _was_measured(row, _TWICE)]
    lines = _overview_table(once, _ONCE, "{} in one pass, pictures restored by")
    return lines + _overview_table(twice, _TWICE, "{} in two passes, pictures restored by")


def _differ(first: GainRun, gain: GainRun) -> bool:
    """Whether two runs are of other data, beside blurs that only one of them has, or detect or score in another way."""
    from experiments.gain.comparable import differing_keys

    of_one = {f"data.blurred.{blur}" for blur in first.data["blurred"].keys() ^ gain.data["blurred"].keys()}
    if None in {run.protocol["blur"]["seed"] for run in (first, gain)}:  # nothing was blurred here
        of_one.add("protocol.blur.seed")
    keys = set(differing_keys(first, gain)) - of_one
    counts = ("data.", "protocol.detection.", "protocol.scoring.", "protocol.bootstrap.unit", "protocol.blur.seed")
    return any(key.startswith(counts) for key in keys)


def _overview_table(scores: Sequence[dict[str, Any]], figure: str, title: str) -> list[str]:
    if not scores:
        return []
    shown: dict[str, dict[str, dict[str, Any]]] = {}
    others = []
    for score in scores:
        first = shown.setdefault(score["name"], {}).setdefault(score["blur"], score)
        if abs((first[figure] or 0) - (score[figure] or 0)) > _ROUNDING:
            others.append(f"{score['name']} on {score['blur']} {_share(score, figure)} ({score['run']})")
    blurs = list(dict.fromkeys(score["blur"] for score in scores))
    lines = _header(title.format(scores[0]["detector"]), *blurs, "AP that sharp pictures lose")
    for name in sorted(shown, key=lambda name: GYROSCOPE in name):
        row = shown[name]
        cells = [_share(row[blur], figure) if blur in row else "" for blur in blurs]
        first = next(iter(row.values()))
        lines.append(_row(name, *cells, _lost(first, figure) if _has_harm(first, figure) else ""))
    return [*lines, "", *([f"Measured otherwise before or since: {', '.join(others)}.", ""] if others else [])]


def tables(runs: Sequence[Run]) -> list[str]:
    """The lines of all tables, each with the folder it comes from."""
    lines: list[str] = []
    for folder, content in runs:
        if isinstance(content, dict):
            lines += _restoration_table(folder, content)
        else:
            lines += _gain_table(folder, content)
    return lines


def read_runs(results: Path) -> list[Run]:
    """The finished runs in a folder that there are tables of: of detection gain and of restoration.

    They are in order of their names, numbers in these by size.
    """
    from experiments.common.json_files import read_json
    from experiments.gain.files import read_metrics
    from experiments.gain.records import TASK

    runs: list[Run] = []
    if not results.is_dir():
        raise DeblurError(f"{results} is no folder of results")
    for folder in sorted(results.iterdir(), key=lambda folder: by_numbers(folder.name)):
        metrics = folder / "metrics.json"
        if metrics.is_file():
            content = read_json(metrics)
            if content.get("task") == TASK:
                runs.append((folder, read_metrics(folder)))
            elif "methods" in content:
                runs.append((folder, content))
    return runs


def _gain_table(folder: Path, content: GainRun) -> list[str]:
    """What each deblurrer recovers, also with two passes of the detector, and what sharp pictures lose."""
    data = content.data
    pictures = f"{data['n_pictures']} pictures" + ("" if data["limit"] is None else f" of {data['n_annotated']}")
    pictures += of_scenes(content.protocol["bootstrap"]) + named_data(data)
    pictures += "" if data["classes"] is None else f", of the classes {', '.join(data['classes'])} alone"
    lines: list[str] = []
    for told, what in ((False, ""), (True, " the camera's path told with a sensor's errors,")):
        names = [record.name for record in content.deblurrers if (GYROSCOPE in record.name) == told]
        if not names:
            continue
        scores = {name: _scores(folder, content, name) for name in names}
        lines += [f"**Recovered share of the AP lost to blur [95 %]**,{what} {pictures} ({_link(folder.name)})", ""]
        lines += _shares(scores, _ONCE)
        fused = {name: rows for name, rows in scores.items() if all(_was_measured(row, _TWICE) for row in rows)}
        if fused:
            lines += ["**The same with two passes** over sharp and blurred pictures as well", ""]
            lines += _shares(fused, _TWICE)
        lines += ["**AP that sharp pictures lose** when they are put through", ""]
        lines += _losses(scores, _ONCE)
        harmed = {name: rows for name, rows in fused.items() if all(_has_harm(row, _TWICE) for row in rows)}
        if harmed:
            lines += ["**The same with two passes** over sharp pictures as they are, too", ""]
            lines += _losses(harmed, _TWICE)
    return lines


def _shares(scores: Mapping[str, Sequence[dict[str, Any]]], figure: str) -> list[str]:
    """A row for each detector and blur with a figure of each deblurrer, beside it the AP that one look finds."""
    aps = {"AP sharp": "ap_sharp", "AP blurred": "ap_blurred"} if figure == _ONCE else {}
    lines = _header("detector", "blur", *aps, *scores)
    for rows in _by_row(scores):
        first = rows[0]
        found = [number(first[key], 3) for key in aps.values()]
        lines.append(_row(first["detector"], first["blur"], *found, *(_share(row, figure) for row in rows)))
    return [*lines, ""]


def _losses(scores: Mapping[str, Sequence[dict[str, Any]]], figure: str) -> list[str]:
    """A row for each detector with the AP that sharp pictures lose by each deblurrer, which no blur changes."""
    lost = {rows[0]["detector"]: [_lost(row, figure) for row in rows] for rows in _by_row(scores)}
    return [*_header("detector", *scores), *(_row(detector, *figures) for detector, figures in lost.items()), ""]


def _scores(folder: Path, gain: GainRun, name: str) -> list[dict[str, Any]]:
    """The scores of a deblurrer with its ``name``, and whether every sharp picture came back from it ``unchanged``."""
    from experiments.gain.records import sharp_through_arm

    through = [result.arms.get(sharp_through_arm(name)) for result in gain.results]
    unchanged = [arm is not None and arm.n_exact == arm.n_pictures for arm in through]
    scores = zip(detection_scores(folder, gain, name), unchanged, strict=True)
    return [row | {"name": name, "unchanged": same} for row, same in scores]


def _lost(score: dict[str, Any], figure: str) -> str:
    """The AP that sharp pictures lose; where they are what they were nothing was measured, which the cell says."""
    lost = score[_HARM[figure]]
    return "0 (unchanged)" if lost == 0 and score["unchanged"] else number(lost)


def _was_measured(score: dict[str, Any], figure: str) -> bool:
    """Whether the run has the figure, be it undefined: then there is an interval without ends."""
    return score[f"{figure}_interval"] is not None


def _has_harm(score: dict[str, Any], figure: str) -> bool:
    """Whether the run was scored since harm was measured; of a detector that looks once it always was."""
    return figure == _ONCE or _was_measured(score, _HARM[figure])


def _by_row(scores: Mapping[str, Sequence[dict[str, Any]]]) -> list[tuple[dict[str, Any], ...]]:
    return list(zip(*scores.values(), strict=True))


def _share(score: dict[str, Any], figure: str) -> str:
    low, high = score[f"{figure}_interval"]
    return with_interval(score[figure], low, high, 2)


def _restoration_table(folder: Path, content: dict[str, Any]) -> list[str]:
    """Means, and what each method gains over the blurred pictures and over the first method."""
    from experiments.common.json_files import decoded

    count, blur, rows = decoded(folder / "metrics.json", lambda: _means(content))
    found, made = _differences(folder / "per_image.csv")
    scenes, left_out = of_scenes(made), ""
    if content.get("n_psnr", count) < count:  # the intervals are of PSNR, and so of the scenes of these pictures
        scenes, left_out = "", f", PSNR of {content['n_psnr']}{scenes}"
    what = f"{count} pictures{scenes}" + (f" blurred by {blur}" if blur else "") + left_out
    lines = [f"**PSNR and SSIM** of {what} ({_link(folder.name)})", ""]
    methods = list(rows)[1:]
    gained: dict[str, list[str]] = {}
    for each in found:
        gained.setdefault(each["method"], []).append(with_interval(each["mean"], each["low"], each["high"], 2))
    over = ["over blurred (dB) [95 %]", *(f"over {first} (dB) [95 %]" for first in methods[:1])][: len(methods)]
    lines += _header("pictures", "PSNR (dB)", "SSIM", *over)
    for name, figures in rows.items():
        cells = gained.get(name, [])
        lines.append(_row(name, *figures, *cells, *[""] * (len(over) - len(cells))))
    return [*lines, ""]


def _means(content: dict[str, Any]) -> tuple[int, str | None, dict[str, tuple[str, str]]]:
    """Of a restoration run how many pictures, the blur where anybody says it, and each row's PSNR and SSIM."""
    rows = {"blurred": content["input"], **content["methods"]}
    means = {name: (number(row["psnr"], 2), number(row["ssim"], 4)) for name, row in rows.items()}
    return content["n"], content["data"]["blur"], means


def _differences(per_image: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What each method gains and how intervals are made, from the pictures' rows: older runs' metrics have neither."""
    import pandas as pd

    from experiments.common.json_files import decoded
    from experiments.restoring.differences import differences, differences_protocol

    try:
        # A picture may be called 01, or null.
        names = {"picture": str, "method": str}
        rows = pd.read_csv(per_image, dtype=names, keep_default_na=False, na_values={"psnr": [""]})
    except OSError as error:
        raise DeblurError(f"cannot read {per_image}: {error.strerror}") from error
    except ValueError as error:  # pandas's own are among them
        raise DeblurError(f"{per_image} is no table: {' '.join(str(error).split())}") from error
    return decoded(per_image, lambda: (differences(rows), differences_protocol(rows)))


def _link(name: str) -> str:
    """To a run's folder, from a page in ``docs/``."""
    return f"[{name}](../experiments/results/{name})"


def _header(*names: str) -> list[str]:
    return [_row(*names), _row(*("---" for _ in names))]


def _row(*cells: str) -> str:
    escaped = [cell.replace("|", r"\|") for cell in cells]  # a detector may be called anything
    return f"| {' | '.join(escaped)} |"


if __name__ == "__main__":
    sys.exit(main())
