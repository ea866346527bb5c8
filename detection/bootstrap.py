"""How sure an AP is, and a difference of two: the paired bootstrap over pictures, or over scenes of them.

Pictures are drawn with replacement, the same draw for every arm, and AP is computed anew from the matches that
pycocotools found once (a picture's matches do not depend on the other pictures). A picture drawn twice counts as two
pictures, a class without truth in a draw is left out of that draw's mean: each draw is what pycocotools would say of
the drawn set. The picture, not the box, is what is drawn, since the boxes of one picture go together; and so do the
pictures of one scene, neighbouring frames of a video above all, which are drawn together where the caller tells them.

AP of few pictures lies above that of many, and AP of draws above that of their pictures by as much again: a picture
drawn twice has a second hit right behind its first, and a rare class is drawn or not. So the interval of an AP is the
basic one, which takes that off; between arms it cancels, and differences and recovered fractions have percentile
intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10 and 13; Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 5.2). docs/scoring.md has the coverage of each.
"""

from __future__ import annotations

import itertools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from detection.matching import ClassMatches, match_classes, prepare

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from detection.annotations.records import GroundTruth
    from detection.types import Detections

FEWEST_UNITS = 6
"""Pictures, or scenes where these are drawn, that an interval of 95 % needs: of fewer not even differences of one sign
all through tell that much, and of one all draws are the same."""
_THREADS = 8  # each holds some hundred megabytes
_CELLS = 2**21  # of one array of hits, pictures and draws: more draws than that are looked at in several parts
_RANKS = 64  # hits at the least that boxes are added up to in one go
_RECALL_LEVELS = np.linspace(0.0, 1.0, 101)  # pycocotools' recThrs, to the bit


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its bootstrap interval.

    Attributes:
        value: On the pictures as they are; None where it is not defined.
        low: Lower end; None where there is no interval.
        high: Upper end; None where there is no interval.
        confidence: What share of such intervals should hold the figure of all pictures like these.
        n_draws: Draws the interval rests on; 0 where the pictures are too few for one.
        n_excluded: Draws in which the figure is not defined.
    """

    value: float | None
    low: float | None
    high: float | None
    confidence: float
    n_draws: int
    n_excluded: int


@dataclass(frozen=True, slots=True, eq=False)
class ArmDraws:
    """AP of one arm.

    Attributes:
        ap: On the pictures as they are, equal to pycocotools' AP; None without truth.
        ap50: The same at IoU .50.
        ap_draws: (resamples,) float64, AP in each draw; NaN in a draw without any truth. Draw i is of the same pictures
            in every arm.
        ap50_draws: (resamples,) float64, the same at IoU .50.
    """

    ap: float | None
    ap50: float | None
    ap_draws: NDArray[np.float64]
    ap50_draws: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BootstrapResult:
    """Draws of every arm over the same resampled pictures; figures of fewer than `FEWEST_UNITS` have no interval.

    Attributes:
        arms: By name.
        confidence: Of every interval, for example .95.
        resamples: Draws.
        seed: Of the draws.
        n_units: Of which each draw is made: pictures, or scenes.
    """

    arms: Mapping[str, ArmDraws]
    confidence: float
    resamples: int
    seed: int
    n_units: int

    def ap(self, arm: str) -> Interval:
        """AP of an arm."""
        return _of_ap(self.arms[arm].ap, self._enough(self.arms[arm].ap_draws), self.confidence)

    def ap50(self, arm: str) -> Interval:
        """AP50 of an arm."""
        return _of_ap(self.arms[arm].ap50, self._enough(self.arms[arm].ap50_draws), self.confidence)

    def difference(self, arm: str, base: str) -> Interval:
        """AP of ``arm`` minus AP of ``base``, on the same pictures in every draw."""
        one, other = self.arms[arm], self.arms[base]
        value = None if one.ap is None or other.ap is None else one.ap - other.ap
        return interval(value, self._enough(one.ap_draws - other.ap_draws), self.confidence)

    def recovered(self, sharp: str, blurred: str, deblurred: str) -> Interval:
        """The share of the AP lost to blur that ``deblurred`` wins back.

        Draws in which sharp is no better than blurred have no such share: they are excluded and counted. Where they
        are more than the share below an interval (1 in 40 at .95), the interval of sharp - blurred reaches 0, the ratio
        may be anything, and its interval is None (compare Fieller's theorem).
        """
        aps = [self.arms[arm].ap for arm in (sharp, blurred, deblurred)]
        value = recovered_fraction(*aps)
        draws = recovered_fractions(*(self.arms[arm].ap_draws for arm in (sharp, blurred, deblurred)))
        excluded = int(np.count_nonzero(np.isnan(draws)))
        if value is None or too_many_undefined(excluded, self.resamples, self.confidence):
            return Interval(value, None, None, self.confidence, self.resamples - excluded, excluded)
        return interval(value, self._enough(draws), self.confidence)

    def _enough(self, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """The draws; none of too few units."""
        return draws if self.n_units >= FEWEST_UNITS else draws[:0]


def too_many_undefined(excluded: int, resamples: int, confidence: float) -> bool:
    """Whether a recovered share has no interval: more draws do not define it than lie below an interval."""
    return excluded > (1 - confidence) / 2 * resamples


def recovered_fraction(sharp: float | None, blurred: float | None, deblurred: float | None) -> float | None:
    """(deblurred - blurred) / (sharp - blurred); None where sharp is no better than blurred or a figure is missing.

    1 is all that blur took, 0 nothing, negative worse than leaving the blur in; above 1 is possible.
    """
    if sharp is None or blurred is None or deblurred is None or sharp <= blurred:
        return None
    return (deblurred - blurred) / (sharp - blurred)


def recovered_fractions(
    sharp: NDArray[np.float64], blurred: NDArray[np.float64], deblurred: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`recovered_fraction` of every draw, (R,) of (R,) AP each; NaN where it is not defined."""
    lost = sharp - blurred
    return np.divide(deblurred - blurred, lost, out=np.full_like(lost, np.nan), where=lost > 0)


def interval(
    value: float | None, draws: NDArray[np.float64], confidence: float = 0.95, *, basic: bool = False
) -> Interval:
    """The interval of a figure from its draws; NaN draws are excluded and counted.

    Args:
        value: The figure itself.
        draws: (R,) float64.
        confidence: Between 0 and 1.
        basic: In place of the percentiles of the draws these turned around the figure: as far as draws lie above the
            figure, as far the truth is taken to lie below it.
    """
    known = draws[~np.isnan(draws)]
    excluded = len(draws) - len(known)
    if value is None or len(known) == 0:
        return Interval(value, None, None, confidence, len(known), excluded)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    if basic:
        low, high = 2 * value - high, 2 * value - low
    return Interval(value, low, high, confidence, len(known), excluded)


def _of_ap(value: float | None, draws: NDArray[np.float64], confidence: float) -> Interval:
    """The basic interval, cut where no AP can be."""
    found = interval(value, draws, confidence, basic=True)
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def paired_bootstrap(
    truth: GroundTruth,
    arms: Mapping[str, Mapping[str, Detections]],
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence_level: float = 0.95,
    classes: Collection[str] | None = None,
    picture_keys: Collection[str] | None = None,
    units: Mapping[str, str] | None = None,
) -> BootstrapResult:
    """Draw pictures with replacement, or whole scenes of them, and score every arm on each draw.

    Args:
        truth: As for `detection.scoring.score`.
        arms: Name to predictions, as for `detection.scoring.score`.
        resamples: Draws, at least 1.
        seed: The draws depend on it and on the number of units alone.
        confidence_level: Of the intervals, between 0 and 1.
        classes: As for `detection.scoring.score`.
        picture_keys: As for `detection.scoring.score`.
        units: Picture stem to the unit that is drawn with all its pictures, such as its scene; a draw has as many
            units as there are. None draws every picture by itself.

    Raises:
        DetectionError: as `detection.scoring.score`.
        KeyError: ``units`` lacks a picture that is scored.
        ValueError: ``resamples`` is below 1, or ``confidence_level`` is not between 0 and 1.
    """
    if resamples < 1 or not 0 < confidence_level < 1:
        raise ValueError(f"resamples {resamples} is at least 1, confidence_level {confidence_level} between 0 and 1")
    chosen = (truth if picture_keys is None else truth.subset(picture_keys)).pictures
    stems = [picture.stem for picture in sorted(chosen, key=lambda picture: picture.image_id)]  # as matches have them
    unit_of, n_units = number_units([stem if units is None else units[stem] for stem in stems])
    copies = draw_copies(n_units, resamples, seed)[unit_of] if n_units else np.zeros((0, resamples))
    # The first column is the set as it is, so that the figure and its draws come out of the same lines.
    columns = np.concatenate([np.ones((len(stems), 1)), copies], axis=1)

    def drawn(predictions: Mapping[str, Detections]) -> ArmDraws:
        found = list(match_classes(prepare(truth, predictions, classes=classes, stems=picture_keys)))
        ap, ap50 = average_precision(found, columns)
        return ArmDraws(_known(ap[0]), _known(ap50[0]), ap[1:], ap50[1:])

    # Most of the time goes into numpy, which lets other threads run meanwhile.
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        draws = dict(zip(arms, pool.map(drawn, arms.values()), strict=True))
    return BootstrapResult(draws, confidence_level, resamples, seed, n_units)


def number_units(units: Sequence[str]) -> tuple[NDArray[np.intp], int]:
    """The number of each picture's unit, (P,), from 0 in the order in which they first come, and how many there are.

    Where every picture is a unit of its own, unit i is picture i.
    """
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    return np.array([numbers[unit] for unit in units], np.intp), len(numbers)


def draw_copies(n_units: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """(n_units, resamples): how often each unit is in each draw of ``n_units`` with replacement."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n_units, np.full(n_units, 1 / n_units), size=resamples).T.astype(np.float64)


def average_precision(
    classes: Iterable[ClassMatches], copies: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AP when picture p is there ``copies[p, r]`` times, for every draw r at once.

    Args:
        classes: The matches of every class on P pictures.
        copies: (P, R) whole numbers.

    Returns:
        (R,) AP and (R,) AP at IoU .50, mean over the classes with truth in the draw; NaN without any.
    """
    sums, sums50, n_classes = np.zeros((3, copies.shape[1]))
    for matches in classes:
        by_threshold, present = class_average_precision(matches, copies)
        sums += np.where(present, by_threshold.mean(axis=0), 0.0)
        sums50 += np.where(present, by_threshold[0], 0.0)
        n_classes += present
    ap, ap50 = (
        np.divide(total, n_classes, out=np.full_like(total, np.nan), where=n_classes > 0) for total in (sums, sums50)
    )
    return ap, ap50


def class_average_precision(
    matches: ClassMatches, copies: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """AP of one class when picture p is there ``copies[p, r]`` times, for every draw r at once.

    Interpolated precision is the best precision at that recall or a higher one, and it is reached at a hit, so only
    hits need looking at: a few hundred rows in place of every box. Two copies of a hit stand side by side in the
    ranking, and precision is higher after the second, so the step between them never matters.

    Args:
        matches: Of the class, on P pictures at T thresholds.
        copies: (P, R) whole numbers.

    Returns:
        (T, R) average precision, meaningless where the second, (R,), says that the draw has no truth of the class.
    """
    positives = matches.positives @ copies
    present = positives > 0
    precision_sums = np.zeros((len(matches.hits), copies.shape[1]))
    if not present.any():
        return precision_sums, present
    # A box is at the same rank at every threshold, so boxes are added up once, at the ranks of hits at any of them.
    ranks = np.flatnonzero(matches.hits.any(axis=0))
    for draws in _parts(copies.shape[1], max(len(ranks), len(copies))):
        precision_sums[:, draws] = _precision_sums(matches, ranks, positives[draws], copies[:, draws])
    return precision_sums / len(_RECALL_LEVELS), present


def _parts(n_draws: int, length: int) -> list[slice]:
    """The draws in parts, as few as keep ``length`` numbers of each draw to `_CELLS`.

    A part of one draw is none of several: of a single column numpy adds up in another order, and AP would depend on
    the parts in its last digits.
    """
    n_parts = min(math.ceil(n_draws * length / _CELLS), n_draws // 2)
    ends = np.linspace(0, n_draws, max(1, n_parts) + 1).astype(int).tolist()
    return [slice(first, last) for first, last in itertools.pairwise(ends)]


def _precision_sums(
    matches: ClassMatches, ranks: NDArray[np.intp], positives: NDArray[np.float64], copies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(T, R): interpolated precision of each draw, added up over the recall levels.

    Args:
        matches: as for `class_average_precision`.
        ranks: of the boxes that are a hit at any threshold.
        positives: (R,) objects that count in each draw.
        copies: as for `class_average_precision`.
    """
    sums = np.zeros((len(matches.hits), copies.shape[1]))
    all_boxes = _copies_up_to(ranks, np.arange(len(matches.pictures)), matches.pictures, copies)
    for threshold, (hits, counted) in enumerate(zip(matches.hits, matches.counted, strict=True)):
        hit_ranks = np.flatnonzero(hits)
        boxes = all_boxes[np.searchsorted(ranks, hit_ranks)]
        if not counted.all():
            boxes -= _copies_up_to(hit_ranks, np.flatnonzero(~counted), matches.pictures, copies)
        found = np.cumsum(copies[matches.pictures[hit_ranks]], axis=0)
        precision = found / (boxes + np.spacing(1))
        best_from_here = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        levels = np.searchsorted(_RECALL_LEVELS, found / np.where(positives > 0, positives, 1.0), side="right")
        gained = np.diff(levels, axis=0, prepend=0)
        sums[threshold] = np.einsum("hr,hr->r", best_from_here, gained)
    return sums


def _copies_up_to(
    ranks: NDArray[np.intp], boxes: NDArray[np.intp], pictures: NDArray[np.intp], copies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(len(ranks), R): how many copies of ``boxes``, given by rank, each draw has up to each of ``ranks``.

    Block by block of ranks, each of which goes on from the sum of those before: a matrix of all ranks and all pictures
    would grow with the square of the pictures. Sums of whole numbers are exact however they are cut.
    """
    row = np.searchsorted(ranks, boxes)
    drawn = np.empty((len(ranks), copies.shape[1]))
    size = max(_RANKS, _CELLS // len(copies))
    for start in range(0, len(ranks), size):
        block = drawn[start : start + size]
        first, last = np.searchsorted(row, (start, start + len(block)))
        involved, column = np.unique(pictures[boxes[first:last]], return_inverse=True)
        cells = (row[first:last] - start) * len(involved) + column
        # float32 holds these small whole numbers exactly and multiplies twice as fast.
        steps = np.bincount(cells, minlength=len(block) * len(involved)).reshape(len(block), len(involved))
        summed = steps.astype(np.float32) @ copies[involved].astype(np.float32)
        np.cumsum(summed, axis=0, dtype=np.float64, out=block)
        if start:
            block += drawn[start - 1]
    return drawn


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
