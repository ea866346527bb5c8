"""How sure it is that one row of a restoration run lies above another: differences by picture, with an interval.

All rows are scored on the same pictures, so what one gains over another is known picture by picture. Pictures are drawn
with replacement and the mean difference taken anew, the same draws for every pair of rows (the percentile interval of
the paired bootstrap, as `detection.bootstrap` has it for differences of AP).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from detection.bootstrap import FEWEST_PICTURES, interval

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 2000
_SEED = 0


def differences(rows: pd.DataFrame, score: Literal["psnr", "ssim"] = "psnr") -> list[dict[str, Any]]:
    """What each row gains over the input and over the first method, over the pictures that every row has a score of.

    Args:
        rows: those of ``per_image.csv``: ``picture``, ``method`` and the scores, the input's first.
        score: which one.

    Returns:
        For each pair of rows ``method``, ``over``, ``mean``, ``low`` and ``high`` (95 %; None for fewer than
        ``FEWEST_PICTURES``), on how many pictures the method is ``better`` and ``worse``, and ``least``, its difference
        where that is the lowest. A mean over nothing is None, and so is what is least.
    """
    names = list(dict.fromkeys(rows["method"]))
    by_picture = rows.pivot(index="picture", columns="method", values=score).dropna()
    count = len(by_picture)
    drawn = np.random.default_rng(_SEED).integers(max(count, 1), size=(RESAMPLES, count))
    table = []
    for method in names[1:]:
        for over in names[: min(2, names.index(method))]:
            gained = (by_picture[method] - by_picture[over]).to_numpy(float)
            draws = gained[drawn].mean(1) if count >= FEWEST_PICTURES else np.empty(0)
            found = interval(float(gained.mean()) if count else None, draws)
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
                }
            )
    return table
