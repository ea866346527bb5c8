"""Figures of detection-gain runs as text, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detection.bootstrap import FEWEST_UNITS
from experiments.gain.protocol import drawn_scenes
from experiments.gain.records import BLURRED, CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detection.bootstrap import Interval
    from experiments.gain.records import GainRun, Result


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equally many cells as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def number(value: float | None, digits: int = 3) -> str:
    """A figure, ``-`` where there is none."""
    return "-" if value is None else f"{value:z.{digits}f}"


def with_interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """``0.412 [0.301, 0.530]``, or less of it where less is defined; an end just below 0 is ``-0.000``."""
    if low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} [{_end(low, digits)}, {_end(high, digits)}]"


def _end(value: float, digits: int) -> str:
    """An interval's end, which keeps the sign that rounding leaves without a digit: whether 0 is within hangs on it."""
    return f"{value or 0.0:.{digits}f}"


def of_scenes(bootstrap: Mapping[str, Any]) -> str:
    """What stands behind a number of pictures where intervals draw scenes, by the protocol of the bootstrap."""
    scenes = drawn_scenes(bootstrap)
    if scenes is None:
        return ""
    return (
        f" of {scenes} scenes ({'which intervals draw whole' if scenes >= FEWEST_UNITS else 'too few for intervals'})"
    )


def named_data(data: Mapping[str, Any]) -> str:
    """What stands behind a number of pictures where data set or blur of a folder is known: ``, gopro, blur gamma``."""
    data_set, blur = data.get("data_set"), data.get("blur")
    return f", {data_set}" * bool(data_set) + f", blur {blur}" * bool(blur)


def run_table(run: GainRun) -> str:
    """All results of a run, a block for each detector and blur."""
    head = f"{run.data['n_pictures']} pictures{of_scenes(run.protocol['bootstrap'])}{named_data(run.data)}"
    if run.data["limit"] is not None:
        head += f" (--limit {run.data['limit']} of {run.data['n_annotated']}: not the figures of the whole set)"
    return "\n\n".join([head, *(_block(result) for result in run.results)])


def _block(result: Result) -> str:
    arms = [("arm", "AP", "AP50", "AP75", "small", "medium", "large", "AR", "boxes", "PSNR", "SSIM", "exact")]
    arms += [
        (
            name,
            number(arm.ap),
            number(arm.ap50),
            number(arm.ap75),
            number(arm.ap_small),
            number(arm.ap_medium),
            number(arm.ap_large),
            number(arm.ar),
            str(arm.n_predictions),
            number(arm.psnr, 2),
            number(arm.ssim, 4),
            number(arm.n_exact, 0),
        )
        for name, arm in result.arms.items()
    ]
    parts = [f"{result.detector}, {result.blur}{_left_out(result)}", aligned(arms)]
    if result.recovered:
        of_fused = {
            f"beyond {CONTROL}": result.beyond_control,
            "recovered looking twice": result.recovered_looking_twice,
            "harm looking twice": result.harm_looking_twice,
        }
        if not result.beyond_control:
            of_fused = {}
        over = result.over_first
        of_several = ("over the first",) if over else ()
        gains: list[tuple[str, ...]] = [
            ("deblurrer", "recovered fraction", "AP difference", "harm to sharp pictures", *of_fused, *of_several)
        ]
        gains += [
            (
                name,
                _shown(result.recovered[name]),
                _shown(result.ap_difference[name]),
                _shown(result.harm[name]),
                *(_shown(figures.get(name)) for figures in of_fused.values()),
                *(_shown(over[name][1] if name in over else None) for _ in of_several),
            )
            for name in result.recovered
        ]
        parts.append(aligned(gains))
    if result.consistency:
        agreement = [("consistency with own sharp boxes", "mean", "IoU .50")]
        agreement += [
            (name, number(entry.consistency), number(entry.consistency50)) for name, entry in result.consistency.items()
        ]
        parts.append(aligned(agreement))
    return "\n".join(parts)


def _left_out(result: Result) -> str:
    """Over how many pictures PSNR is averaged, where these are not all."""
    blurred = result.arms[BLURRED]
    if blurred.n_psnr is None or blurred.n_psnr == blurred.n_pictures:
        return ""
    return f"; PSNR over the {blurred.n_psnr} of {blurred.n_pictures} pictures that no arm has exactly"


def _shown(interval: Interval | None) -> str:
    return number(None) if interval is None else with_interval(interval.value, interval.low, interval.high)
