"""The tables of the page: what stands in each cell, and by what it sorts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from experiments.gain.records import is_sharp_arm
from experiments.reporting.words import DASH, percent, points, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from detection.bootstrap import Interval
    from experiments.gain.records import ArmScore
    from experiments.plotting.runs import Runs

_GAINS = (
    "Recovered",
    "AP change",
    "Harm",
    "Beyond mirror",
    "Two passes",
    "Harm in two passes",
    "Over the first",
)  # each with its interval


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a cell, and the number it sorts by; None for a word, or a figure that is missing."""

    text: str
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading.

    Attributes:
        name: what stands above it.
        of: goes before the name where nobody sees the column to the left: ``Recovered`` of ``from``; may be empty.
        is_number: whether it sorts by number.
        is_hash: whether its cells are long and may break anywhere.
    """

    name: str
    of: str = ""
    is_number: bool = True
    is_hash: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table that sorts by any column.

    Attributes:
        name: unique on the page, letters and dashes.
        title: above it.
        note: how to read it.
        columns: headings.
        rows: a cell a column.
        is_long: whether it is folded up at first.
    """

    name: str
    title: str
    note: str
    columns: list[Column]
    rows: list[list[Cell]] = field(default_factory=list)
    is_long: bool = False


def tables(runs: Runs) -> list[Table]:
    """Every table that has rows."""
    return [table for table in (_gains(runs), _arms(runs), _classes(runs), _consistency(runs)) if table.rows]


def origins(runs: Runs) -> list[Table]:
    """What the first run was made with: its deblurrers, where it has any, and its detectors."""
    return [table for table in (_deblurrers(runs), _detectors(runs)) if table.rows]


def _deblurrers(runs: Runs) -> Table:
    table = Table(
        "deblurrers",
        "Deblurrers",
        "Milliseconds: median of a picture of this run, files not included, a rough figure. GMACs: 10^9"
        " multiply-accumulates of one 1280x720 picture. Consistent: whether what is restored with a camera's path is"
        " made consistent with its picture. SHA-256: of a network's weights, of all pixels of a folder's pictures, of"
        " a file of boxes, or of what is fused and how; Search, Trust and Paths: of what searches for the path, of what"
        " tells where a path is believed, and of recorded paths. A dash: none, or not known.",
        [
            *_names("Name", "Kind"),
            *(Column(name) for name in ("Parameters", "GMACs", "Milliseconds")),
            *_names("Consistent"),
            *_hashes("SHA-256", "Search", "Trust", "Paths"),
        ],
    )
    for record in runs.runs[0].record.deblurrers:
        table.rows.append(
            [
                Cell(record.name),
                Cell(record.kind),
                _cell(record.parameters, lambda value: f"{value:,}"),
                _cell(record.gmacs, lambda value: f"{value:,.2f}"),
                _cell(record.ms_per_picture, lambda value: f"{value:,.1f}"),
                Cell(DASH if record.consistent is None else "yes" if record.consistent else "no"),
                *(Cell(sha256 or DASH) for sha256 in (record.sha256, record.search, record.trust, record.paths)),
            ]
        )
    return table


def _detectors(runs: Runs) -> Table:
    table = Table(
        "detectors",
        "Detectors",
        "Classes: all that it can find. SHA-256: of its weights, or of the files of its boxes. Truth: the SHA-256 of"
        " the truth in its class names. A dash: not written down when this run was made.",
        [*_names("Name"), Column("Classes"), *_hashes("SHA-256", "Truth")],
    )
    for record in runs.runs[0].record.detectors:
        n_classes = None if record.class_names is None else len(record.class_names)
        hashes = (Cell(record.sha256), Cell(record.truth_sha256 or DASH))
        table.rows.append([Cell(record.name), _cell(n_classes, lambda value: f"{value:,}"), *hashes])
    return table


def _gains(runs: Runs) -> Table:
    table = Table(
        "gains",
        "What restoring gives",
        f"Intervals: {runs.confidence_percent} %, paired bootstrap over {runs.drawn_units}. Recovered: share of the AP"
        " lost to blur. Harm: AP that a sharp picture loses by going through the deblurrer. Beyond mirror: AP of fused"
        " boxes beyond that of the blurred picture fused with its mirror image. Two passes: the share that fused boxes"
        " recover where the detector makes two passes over sharp and blurred pictures as well. Harm in two passes: AP"
        " that a sharp picture loses there by going through the deblurrer. Over the first: AP beyond that of the first"
        " deblurrer, of fused boxes beyond that of its fused boxes.",
        [
            *_names("Detector", "Blur", "Deblurrer"),
            *(column for name in _GAINS for column in (Column(name), Column("from", name), Column("to", name))),
        ],
    )
    for detector, blur in runs.pairs:
        result = runs.runs[0].record.result(detector, blur)
        over = result.over_first
        for name in result.ap_difference:
            table.rows.append(
                [
                    Cell(detector),
                    Cell(runs.blur_label(blur)),
                    Cell(name),
                    *_interval(result.recovered.get(name), percent),
                    *_interval(result.ap_difference[name], signed),
                    *_interval(result.harm.get(name), signed),
                    *_interval(result.beyond_control.get(name), signed),
                    *_interval(result.recovered_looking_twice.get(name), percent),
                    *_interval(result.harm_looking_twice.get(name), signed),
                    *_interval(over[name][1] if name in over else None, signed),
                ]
            )
    return table


def _arms(runs: Runs) -> Table:
    scores = {
        "AP": "ap",
        "AP50": "ap50",
        "AP75": "ap75",
        "AP small": "ap_small",
        "AP medium": "ap_medium",
        "AP large": "ap_large",
        "AR": "ar",
    }
    table = Table(
        "arms",
        "Scores by arm",
        "COCO scores in points of 100. Exact counts the pictures that are the sharp ones, pixel by pixel. PSNR in dB,"
        " over the pictures that no row of the blur has exactly, of sharp pictures put through a deblurrer over those"
        " that it changes. A dash: not defined, or not computed.",
        [
            *_names("Detector", "Blur", "Pictures"),
            *(Column(name) for name in (*scores, "AP from", "AP to", "PSNR", "SSIM", "Exact", "Boxes")),
        ],
    )
    for detector, blur, arm, score in _scores(runs):
        table.rows.append(
            [
                Cell(detector),
                Cell(blur),
                Cell(arm),
                *(_cell(getattr(score, attribute), points) for attribute in scores.values()),
                _cell(score.ap_low, points),
                _cell(score.ap_high, points),
                _cell(score.psnr, lambda value: f"{value:.2f}"),
                _cell(score.ssim, lambda value: f"{value:.4f}"),
                _cell(score.n_exact, lambda value: f"{value:,}"),
                _cell(score.n_predictions, lambda value: f"{value:,}"),
            ]
        )
    return table


def _classes(runs: Runs) -> Table:
    arms = [series for series in runs.series if series.deblurrer is None or not series.is_sharp]
    table = Table(
        "classes",
        "AP by class",
        "In points of 100; classes without objects in the truth are left out. A class with few objects has a noisy AP.",
        [*_names("Detector", "Blur", "Class"), Column("Objects"), *(Column(series.label) for series in arms)],
        is_long=True,
    )
    for pair in runs.pairs:
        scores = [series.score(*pair) for series in arms]
        counts = {
            name: int(entry.get("n_truths") or 0)
            for score in scores
            if score is not None
            for name, entry in score.per_class.items()
        }
        for name, count in counts.items():
            if count:
                values = [None if score is None else score.per_class.get(name, {}).get("ap") for score in scores]
                cells = [Cell(pair[0]), Cell(runs.blur_label(pair[1])), Cell(name), Cell(f"{count:,}", count)]
                table.rows.append([*cells, *(_cell(value, points) for value in values)])
    return table


def _consistency(runs: Runs) -> Table:
    table = Table(
        "consistency",
        "Consistency with the detector's own result on sharp pictures",
        "Not accuracy and not mAP: the detector's boxes on the sharp pictures stand where the truth would. It says how"
        " far a detector agrees with itself, right or wrong.",
        [*_names("Detector", "Blur", "Pictures"), *(Column(name) for name in ("Consistency", "at IoU .50", "Boxes"))],
        is_long=True,
    )
    for detector, blur in runs.pairs:
        result = runs.runs[0].record.result(detector, blur)
        for arm, value in result.consistency.items():
            table.rows.append(
                [
                    Cell(detector),
                    Cell(DASH if is_sharp_arm(arm) else runs.blur_label(blur)),
                    Cell(_arm_words(arm)),
                    _cell(value.consistency, points),
                    _cell(value.consistency50, points),
                    _cell(value.n_references, lambda number: f"{number:,}"),
                ]
            )
    return _without_repeats(table)


def _scores(runs: Runs) -> list[tuple[str, str, str, ArmScore]]:
    """Detector, blur, arm and scores; arms that do not depend on the blur once a detector."""
    found: dict[tuple[str, str, str], ArmScore] = {}
    for detector, blur in runs.pairs:
        for series in runs.series:
            score = series.score(detector, blur)
            if score is not None:
                label = DASH if series.is_sharp else runs.blur_label(blur)
                found.setdefault((detector, label, _arm_words(series.arm)), score)
    return [(*key, score) for key, score in found.items()]


def _arm_words(arm: str) -> str:
    kind, _, name = arm.partition(":")
    return {"deblurred": f"restored by {name}", "sharp-through": f"sharp through {name}"}.get(kind, arm)


def _without_repeats(table: Table) -> Table:
    rows = {tuple(cell.text for cell in row): row for row in table.rows}
    return Table(table.name, table.title, table.note, table.columns, list(rows.values()), table.is_long)


def _names(*names: str) -> list[Column]:
    return [Column(name, is_number=False) for name in names]


def _hashes(*names: str) -> list[Column]:
    return [Column(name, is_number=False, is_hash=True) for name in names]


def _interval(interval: Interval | None, text: Callable[[float | None], str]) -> list[Cell]:
    if interval is None:
        return [Cell(DASH)] * 3
    return [_cell(value, text) for value in (interval.value, interval.low, interval.high)]


def _cell(value: float | None, text: Callable[[float], str]) -> Cell:
    return Cell(DASH) if value is None else Cell(text(value), float(value))
