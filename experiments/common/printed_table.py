"""Figures as text, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detection.bootstrap import FEWEST_UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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


def drawn_scenes(bootstrap: Mapping[str, Any]) -> int | None:
    """How many scenes intervals draw, by the protocol of a bootstrap; None where they draw pictures, as in old runs."""
    return bootstrap["n_units"] if bootstrap["unit"].startswith("scene") else None


def of_scenes(bootstrap: Mapping[str, Any]) -> str:
    """What stands behind a number of pictures where intervals draw scenes, by the protocol of the bootstrap."""
    scenes = drawn_scenes(bootstrap)
    if scenes is None:
        return ""
    drawn = "which intervals draw whole" if scenes >= FEWEST_UNITS else "too few for intervals"
    return f" of {scenes} scene{'' if scenes == 1 else 's'} ({drawn})"


def named_data(data: Mapping[str, Any]) -> str:
    """What stands behind a number of pictures where data set or blur of a folder is known: ``, gopro, blur gamma``."""
    data_set, blur = data.get("data_set"), data.get("blur")
    return f", {data_set}" * bool(data_set) + f", blur {blur}" * bool(blur)
