"""The pictures that a restoration gained least and most on: kept while pictures are scored, drawn when all are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from experiments.restoring.scores import PictureScore


class Example(NamedTuple):
    """One restored picture.

    Attributes:
        key: its relative path without suffix.
        files: the blurred and the sharp picture.
        scores: of the blurred and of the restored one.
        restored: gives the picture, RGB uint8 (H, W, 3); where an earlier sitting made it, by making it again.
    """

    key: str
    files: tuple[Path, Path]
    scores: tuple[PictureScore, PictureScore]
    restored: Callable[[], NDArray[np.uint8]]

    def gain(self) -> float:
        """In dB; infinite where just one of the blurred and the restored picture is exact."""
        before, after = (score.psnr for score in self.scores)
        if before is None or after is None:
            return 0.0 if after is before else math.inf if after is None else -math.inf
        return after - before


class Extremes:
    """The ``count`` pictures of least and the ``count`` of most gain so far.

    Those of this sitting are in memory: none of them is restored again.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._least: list[Example] = []
        self._most: list[Example] = []

    def consider(self, example: Example) -> None:
        """Keep a picture for as long as it is among them."""
        self._least = sorted([*self._least, example], key=Example.gain)[: self._count]
        self._most = sorted([*self._most, example], key=Example.gain, reverse=True)[: self._count]

    def save(self, folder: Path, name: str) -> None:
        """Write each as blurred, restored and sharp side by side; ``name`` is of what restored them.

        The worst may have gained, where nothing lost; the best gained for sure. Those that another sitting wrote go.
        """
        for before in (*folder.glob("worst-*.png"), *folder.glob("best-*.png")):
            before.unlink()
        worst = {example.key for example in self._least}
        best = [example for example in self._most if example.key not in worst and example.gain() > 0]
        for label, chosen in (("worst", self._least), ("best", best)):
            for rank, example in enumerate(chosen, start=1):
                _draw(example, name, folder / f"{label}-{rank}-{example.key.replace('/', '_')}.png")


def _draw(example: Example, name: str, file: Path) -> None:
    from deblur.pictures import read_picture, write_picture
    from detection.drawing import side_by_side

    blurred, sharp = example.files
    before, after = example.scores
    gain = example.gain()
    gained = f", gain {gain:+z.2f}" if math.isfinite(gain) else ""
    panels = [
        (f"blurred {_decibels(before)}", read_picture(blurred)),
        (f"{name} {_decibels(after)}{gained}", example.restored()),
        ("sharp", read_picture(sharp)),
    ]
    write_picture(file, side_by_side(panels))


def _decibels(score: PictureScore) -> str:
    return "exact" if score.psnr is None else f"{score.psnr:.2f} dB"
