"""The pictures where restoring helped and hurt a detector most, saved to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deblur.pictures import write_picture
from detection.drawing import draw_detections, side_by_side
from experiments.common.file_names import file_name_of, file_name_of_stem
from experiments.gain.protocol import CONFIDENT
from experiments.gain.records import BLURRED, CONTROL, SHARP, Example, Result, deblurred_arm

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from detection.types import Detections
    from experiments.gain.arms import Arms
    from experiments.gain.picture_tables import PictureRow
    from experiments.gain.scores import Key

N_EXAMPLES = 3  # of each effect, for each detector, blur and deblurrer
QUALITY = 92  # of the JPEGs, which are to look at and never scored


class ExampleWriter:
    """Chooses and saves the examples of a run.

    Pictures are ranked by the change of their F1, equal changes by stem; a picture that did not change is no example.
    """

    def __init__(self, run: Path, arms: Arms, classes: Mapping[str, Collection[str]]) -> None:
        """Make a writer.

        Args:
            run: the run's folder; pictures go to ``pictures/``.
            arms: of the run.
            classes: detector to the classes whose boxes count; others are not drawn.
        """
        self._run = run
        self._arms = arms
        self._classes = classes
        self._written: set[str] = set()

    def save(
        self, result: Result, rows: Sequence[PictureRow], found: Mapping[Key, Mapping[str, Detections]]
    ) -> list[Example]:
        """The examples of one detector at one blur.

        Args:
            result: of the detector and blur.
            rows: of the detector.
            found: (blur, arm) to the detector's boxes by stem.
        """
        f1 = {(row.blur, row.arm, row.picture): row.f1 for row in rows}
        stems = sorted({row.picture for row in rows})
        examples = []
        for deblurrer in (name for name in result.recovered if name != CONTROL):
            before, after = (result.blur, BLURRED), (result.blur, deblurred_arm(deblurrer))
            change = {stem: f1[(*after, stem)] - f1[(*before, stem)] for stem in stems}
            effects: tuple[tuple[Literal["helped", "hurt"], int], ...] = (("helped", 1), ("hurt", -1))
            for effect, sign in effects:
                ranked = [stem for stem in stems if sign * change[stem] > 0]
                ranked.sort(key=lambda stem: -abs(change[stem]))
                for rank, stem in enumerate(ranked[:N_EXAMPLES], start=1):
                    # Two dashes, which no part has: x-y and z are not x and y-z.
                    parts = (f"{effect}-{rank}", result.detector, deblurrer, stem)
                    name = "--".join(map(file_name_of, parts))
                    file = f"pictures/{file_name_of(result.blur)}/{name}.jpg"
                    write_picture(self._run / file, self._drawn(result, stem, deblurrer, found), QUALITY)
                    plain = self._save_plain(result.blur, stem)
                    pair = (f1[(*before, stem)], f1[(*after, stem)])
                    examples.append(Example(effect, rank, stem, deblurrer, *pair, file, plain))
        return examples

    def _drawn(
        self, result: Result, stem: str, deblurrer: str, found: Mapping[Key, Mapping[str, Detections]]
    ) -> NDArray[np.uint8]:
        """Sharp, blurred and restored side by side with their boxes."""
        panels = []
        for pictures in self._arms.of_blur(result.blur):
            if pictures.arm in {SHARP, BLURRED, deblurred_arm(deblurrer)}:
                boxes = found[pictures.blur, pictures.arm][stem].select(CONFIDENT, self._classes[result.detector])
                panels.append((pictures.arm, draw_detections(pictures.pixels(stem), boxes)))
        return side_by_side(panels)

    def _save_plain(self, blur: str, stem: str) -> dict[str, str]:
        """The picture of every arm, each written once for all detectors and deblurrers that choose it."""
        files = {}
        for pictures in self._arms.of_blur(blur):
            folder = file_name_of(pictures.blur or SHARP)
            file = f"pictures/{folder}/plain/{file_name_of_stem(stem)}-{file_name_of(pictures.arm)}.jpg"
            if file not in self._written:
                write_picture(self._run / file, pictures.pixels(stem), QUALITY)
                self._written.add(file)
            files[pictures.arm] = file
        return files
