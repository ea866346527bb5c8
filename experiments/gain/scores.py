"""From boxes to figures: every arm scored, differences with their intervals, one row a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deblur.scenes import units_of
from detection.bootstrap import ArmDraws, BootstrapResult, Interval, paired_bootstrap
from detection.consistency import Consistency, consistency
from detection.picture_scores import score_pictures
from detection.scoring import FIGURES, CocoScores, score
from detection.types import Detections
from experiments.common.picture_scores import pictures_with
from experiments.gain.picture_tables import Curve, PictureRow
from experiments.gain.protocol import CONFIDENCE_OF_INTERVALS, CONFIDENT
from experiments.gain.records import (
    BLURRED,
    CONTROL,
    SHARP,
    ArmScore,
    Result,
    deblurred_arm,
    deblurrer_of,
    fused_name,
    sharp_through_arm,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from detection.truth import GroundTruth
    from experiments.gain.settings import Settings

Key = tuple[str, str]  # (blur, arm); blur is empty where the arm does not depend on it


Found = Mapping[Key, Mapping[str, Detections]]  # boxes by stem


class RestorationScores(Protocol):
    """How close a picture is to its sharp original."""

    def __call__(self, key: Key, stem: str) -> Mapping[str, float | None]:
        """``psnr`` and ``ssim`` of one picture of an arm, both None where it is compared with nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectorScores:
    """One detector on every arm and blur.

    Attributes:
        results: one a blur, without examples.
        rows: one a picture and arm.
        curves: one an arm.
    """

    results: list[Result]
    rows: list[PictureRow]
    curves: list[Curve]


def score_detector(
    settings: Settings,
    detector: str,
    truth: GroundTruth,
    found: Found,
    restoration: RestorationScores,
    done: Callable[[int], None],
) -> DetectorScores:
    """Score one detector on every arm.

    Args:
        settings: of the run; of them what concerns scoring.
        detector: its name.
        truth: in its class names, of the pictures measured.
        found: its boxes on every picture of every arm, an arm after what it is made from.
        restoration: of the run's pictures.
        done: told 1 after every arm.
    """
    scores: dict[Key, CocoScores] = {}
    rows: dict[Key, list[PictureRow]] = {}
    for key, boxes in found.items():
        scores[key] = score(truth, boxes, classes=settings.classes, backend=settings.backend)
        rows[key] = _rows(detector, truth, counted_classes(settings, truth), key, boxes, restoration)
        done(1)
    draws = _draws(settings, truth, found, scores)
    counts = truths_by_class(truth)
    averaged = _averaged(rows)
    scored = {key: _arm_score(scores[key], draws.ap(_label(key)), rows[key], averaged[key], counts) for key in scores}
    agreement = _consistency(settings, truth, found)
    results = []
    for blur in (blur for blur, arm in scored if arm == BLURRED):
        keys = [key for key in scored if key[0] in {"", blur}]
        deblurrers = [name for of, arm in scored if of == blur and (name := deblurrer_of(arm)) is not None]
        fused = [name for name in map(fused_name, deblurrers) if name in deblurrers]
        difference = {
            deblurrer: draws.difference(_label((blur, deblurred_arm(deblurrer))), _label((blur, BLURRED)))
            for deblurrer in deblurrers
        }
        results.append(
            Result(
                detector=detector,
                blur=blur,
                arms={key[1]: scored[key] for key in keys},
                recovered={deblurrer: _recovered(draws, blur, deblurrer) for deblurrer in deblurrers},
                ap_difference=difference,
                harm={deblurrer: _harm(draws, deblurrer) for deblurrer in deblurrers},
                consistency={key[1]: agreement[key] for key in keys if key in agreement},
                beyond_control={name: _beyond_control(draws, blur, name) for name in fused},
                recovered_looking_twice={name: _recovered_looking_twice(draws, blur, name) for name in fused},
                harm_looking_twice={name: _harm(draws, name, of=sharp_through_arm(CONTROL)) for name in fused},
                over=_over(draws, blur, deblurrers, fused),
            )
        )
    curves = [Curve(detector, *key, scores[key].curve) for key in scores]
    return DetectorScores(results, [row for part in rows.values() for row in part], curves)


def counted_classes(settings: Settings, truth: GroundTruth) -> tuple[str, ...]:
    """The classes whose boxes count picture by picture: those that are chosen, or else those that are annotated."""
    return truth.annotated if settings.classes is None else settings.classes


def _consistency(settings: Settings, truth: GroundTruth, found: Found) -> dict[Key, Consistency]:
    """Of every arm with the detector's own sharp boxes; nothing where there are no sharp pictures."""
    sharp = found.get(("", SHARP))
    if sharp is None:
        return {}
    return {
        key: consistency(truth, sharp, boxes, confidence=CONFIDENT, classes=settings.classes, backend=settings.backend)
        for key, boxes in found.items()
        if key[1] != SHARP
    }


def _label(key: Key) -> str:
    return "\n".join(key)


def _draws(
    settings: Settings,
    truth: GroundTruth,
    found: Found,
    scores: Mapping[Key, CocoScores],
) -> BootstrapResult:
    """The bootstrap of all arms on the same draws, of scenes where names tell them; without resamples figures alone."""
    units = units_of(truth.stems)
    if settings.resamples:
        return paired_bootstrap(
            truth,
            {_label(key): boxes for key, boxes in found.items()},
            resamples=settings.resamples,
            seed=settings.seed,
            confidence_level=CONFIDENCE_OF_INTERVALS,
            classes=settings.classes,
            units=units.of,
        )
    none = np.empty(0)
    arms = {_label(key): ArmDraws(scored.ap, scored.ap50, none, none) for key, scored in scores.items()}
    return BootstrapResult(arms, CONFIDENCE_OF_INTERVALS, 0, settings.seed, len(units))


def _recovered(draws: BootstrapResult, blur: str, deblurrer: str) -> Interval:
    return _share(draws, SHARP, (blur, BLURRED), (blur, deblurred_arm(deblurrer)))


def _recovered_looking_twice(draws: BootstrapResult, blur: str, fused: str) -> Interval:
    control = (blur, deblurred_arm(CONTROL))
    return _share(draws, sharp_through_arm(CONTROL), control, (blur, deblurred_arm(fused)))


def _share(draws: BootstrapResult, sharp: str, blurred: Key, deblurred: Key) -> Interval:
    """The share recovered of the AP between two arms, ``sharp`` of which may be missing."""
    of_sharp = _label(("", sharp))
    if of_sharp not in draws.arms:
        return _undefined(draws)
    return draws.recovered(of_sharp, _label(blurred), _label(deblurred))


def _harm(draws: BootstrapResult, deblurrer: str, of: str = SHARP) -> Interval:
    """What is lost of the AP of the sharp arm ``of``; it and what is put through may be missing."""
    sharp, through = (_label(("", arm)) for arm in (of, sharp_through_arm(deblurrer)))
    return draws.difference(sharp, through) if {sharp, through} <= draws.arms.keys() else _undefined(draws)


def _beyond_control(draws: BootstrapResult, blur: str, fused: str) -> Interval:
    return draws.difference(_label((blur, deblurred_arm(fused))), _label((blur, deblurred_arm(CONTROL))))


def _over(
    draws: BootstrapResult, blur: str, deblurrers: Sequence[str], fused: Sequence[str]
) -> dict[str, dict[str, Interval]]:
    """What each deblurrer has more AP than those before it: all of one look, or all of two."""

    def difference(one: str, other: str) -> Interval:
        return draws.difference(*(_label((blur, deblurred_arm(name))) for name in (one, other)))

    once = [name for name in deblurrers if name not in {CONTROL, *fused}]
    return {
        name: {other: difference(name, other) for other in kind[:place]}
        for kind in (once, fused)
        for place, name in enumerate(kind)
        if place
    }


def _undefined(draws: BootstrapResult) -> Interval:
    return Interval(None, None, None, draws.confidence, 0, 0)


def _rows(
    detector: str,
    truth: GroundTruth,
    classes: Collection[str],
    key: Key,
    found: Mapping[str, Detections],
    restoration: RestorationScores,
) -> list[PictureRow]:
    agreement = score_pictures(truth, found, confidence=CONFIDENT, classes=classes)
    blur, arm = key
    rows = []
    for stem in truth.stems:
        counted = found[stem].select(classes=classes)
        rows.append(
            PictureRow(
                picture=stem,
                detector=detector,
                blur=blur,
                arm=arm,
                n_truths=agreement[stem].n_truths,
                n_predictions=len(counted),
                n_confident=len(counted.select(CONFIDENT)),
                f1=agreement[stem].f1,
                **restoration(key, stem),
            )
        )
    return rows


def _averaged(rows: Mapping[Key, Sequence[PictureRow]]) -> dict[Key, list[int]]:
    """The places of the pictures whose PSNR an arm averages: those that no arm of its blur has exactly.

    A picture that one arm has exactly is an easy one: averaged by the others alone, it would be a gain of theirs.
    Arms of sharp pictures stand by themselves, since one that leaves them all alone would take every picture away.
    """
    by_blur: dict[str, list[Sequence[PictureRow]]] = {}
    for (blur, _), own in rows.items():
        by_blur.setdefault(blur, []).append(own)
    return {key: pictures_with("psnr", by_blur[key[0]] if key[0] else [own]) for key, own in rows.items()}


def _arm_score(
    scores: CocoScores, ap: Interval, rows: Sequence[PictureRow], averaged: Sequence[int], counts: Counter[str]
) -> ArmScore:
    psnrs = [psnr for place in averaged if (psnr := rows[place].psnr) is not None]
    ssims = [row.ssim for row in rows if row.ssim is not None]
    n_exact = sum(row.psnr is None for row in rows)
    compared = bool(ssims) or n_exact < len(rows)
    return ArmScore(
        **{figure: getattr(scores, figure) for figure in FIGURES},
        ap_low=ap.low,
        ap_high=ap.high,
        n_pictures=scores.n_pictures,
        n_truths=scores.n_truths,
        n_predictions=sum(row.n_predictions for row in rows),
        psnr=float(np.mean(psnrs)) if psnrs else None,
        ssim=float(np.mean(ssims)) if ssims else None,
        n_exact=n_exact if compared else None,
        n_psnr=len(averaged) if compared else None,
        per_class={name: {"ap": ap, "n_truths": counts[name]} for name, ap in scores.per_class.items()},
    )


def truths_by_class(truth: GroundTruth) -> Counter[str]:
    """How many objects that count each class has."""
    return Counter(
        name
        for objects in truth.objects.values()
        for name, ignored in zip(objects.class_names, objects.iscrowd | objects.difficult, strict=True)
        if not ignored
    )
