"""How sure it is that one row of a restoration run lies above another: differences by picture, with an interval.

All rows are scored on the same pictures, so what one gains over another is known picture by picture. Pictures are drawn
with replacement and the mean difference taken anew, the same draws for every pair of rows (the percentile interval of
the paired bootstrap, as `detection.bootstrap` has it for differences of AP). Where names tell scenes, whole scenes are
drawn: neighbouring frames gain alike, and drawn one by one they would seem to tell much more than they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deblur.scenes import units_of
from detection.bootstrap import FEWEST_UNITS, interval, number_units

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Score = Literal["psnr", "ssim"]

RESAMPLES = 2000
_CONFIDENCE = 0.95
_SEED = 0


def differences_protocol(rows: pd.DataFrame) -> dict[str, Any]:
    """How `differences` makes its intervals, and how many units those of PSNR draw; ``rows`` as there."""
    return {
        "resamples": RESAMPLES,
        "confidence": _CONFIDENCE,
        "interval": "percentile",
        "unit": f"{units_of(rows['picture'].unique()).name}, the same draws for every pair of rows",
        "n_units": _scored(rows, "psnr")[2],
        "seed": _SEED,
    }


def differences(rows: pd.DataFrame, score: Score = "psnr") -> list[dict[str, Any]]:
    """What each row gains over the input and over the first method, over the pictures that every row has a score of.

    Args:
        rows: those of ``per_image.csv``: ``picture``, ``method`` and the scores, the input's first.
        score: which one.

    Returns:
        For each pair of rows ``method``, ``over``, ``mean``, ``low`` and ``high`` (95 %; None for fewer pictures, or
        scenes where these are drawn, than ``FEWEST_UNITS``), on how many pictures the method is ``better`` and
        ``worse``, ``least``, its difference where that is the lowest, and ``n_units``, how many pictures or scenes are
        drawn. A mean over nothing is None, and so is what is least.
    """
    names = list(dict.fromkeys(rows["method"]))
    by_picture, unit_of, n_units = _scored(rows, score)
    count = len(by_picture)
    drawn = np.random.default_rng(_SEED).integers(max(n_units, 1), size=(RESAMPLES, n_units))
    n_drawn = np.bincount(unit_of)[drawn].sum(1)
    table = []
    for method in names[1:]:
        for over in names[: min(2, names.index(method))]:
            gained = (by_picture[method] - by_picture[over]).to_numpy(float)
            draws = np.bincount(unit_of, gained)[drawn].sum(1) / n_drawn if n_units >= FEWEST_UNITS else np.empty(0)
            found = interval(float(gained.mean()) if count else None, draws, _CONFIDENCE)
            table.append(
                {
                    "method": method,
                    "over": over,
                    "mean": found.value,
                    "low": found.low,
                    "high": found.high,
                    "better": int((gained > 0).sum()),
                    "worse": int((gained < 0).sum()),
                    "least": float(gained.min()) if count else None,
                    "n_units": n_units,
                }
            )
    return table


def _scored(rows: pd.DataFrame, score: Score) -> tuple[pd.DataFrame, NDArray[np.intp], int]:
    """The scores by picture and method, of the pictures that every row has one of, with their units and their number.

    Whether names tell scenes, all pictures say: a few that are left may say otherwise.
    """
    by_picture = rows.pivot(index="picture", columns="method", values=score).dropna()
    unit = units_of(rows["picture"].unique()).of
    return by_picture, *number_units([unit[key] for key in by_picture.index])
