"""Boxes from files in place of a detector's: read for every arm, scored and saved as a detection-gain run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deblur.equal_files import sha256_of
from deblur.errors import DeblurError
from detection.annotations.coco import category_names
from detection.class_choice import check_classes
from detection.predictions import read_results
from detection.truth import report_lines
from detection.types import Detections
from experiments.gain.box_protocol import protocol_of_files
from experiments.gain.files import write_curves, write_metrics, write_per_image, writing_predictions
from experiments.gain.inputs import data_of, hash_of_set, listed_pictures, read_truths
from experiments.gain.picture_tables import Boxes, truth_boxes
from experiments.gain.plan import check_objects
from experiments.gain.protocol import rounded
from experiments.gain.records import (
    BLURRED,
    SHARP,
    BlurRecord,
    DeblurrerRecord,
    DetectorRecord,
    GainRun,
    deblurred_arm,
    sharp_through_arm,
)
from experiments.gain.scores import score_detector

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from detection.predictions import Results
    from detection.truth import GroundTruth
    from experiments.common.narrator import Narrator
    from experiments.gain.inputs import Truths
    from experiments.gain.scores import Key
    from experiments.gain.settings import Settings

_SHOWN = 5  # numbers of pictures or classes in a line


@dataclass(frozen=True, slots=True)
class BoxFiles:
    """Which file has whose boxes.

    Attributes:
        blur: what results call the blur.
        boxes: ``blurred``, ``sharp`` (may be missing) and names of deblurrers to the boxes on these pictures.
        through: names of deblurrers to the boxes on sharp pictures that were put through them.
        pictures: folder or list of the pictures to score; None for all that are annotated.
    """

    blur: str
    boxes: Mapping[str, Path]
    through: Mapping[str, Path]
    pictures: Path | None

    @property
    def deblurrers(self) -> tuple[str, ...]:
        """The names of what restored pictures."""
        return tuple(name for name in self.boxes if name not in {SHARP, BLURRED})

    @property
    def arms(self) -> dict[Key, Path]:
        """The file of every arm, an arm after what it is made from."""
        sharp = {("", SHARP): self.boxes[SHARP]} if SHARP in self.boxes else {}
        through = {("", sharp_through_arm(name)): file for name, file in self.through.items()}
        restored = {(self.blur, deblurred_arm(name)): self.boxes[name] for name in self.deblurrers}
        return {**sharp, **through, (self.blur, BLURRED): self.boxes[BLURRED], **restored}


@dataclass(frozen=True, slots=True, eq=False)
class BoxPlan:
    """A run that can begin: everything read and checked.

    Attributes:
        files: whose boxes lie where.
        settings: of scoring; ``detectors`` is what results call the detector.
        truths: the pictures scored.
        results: what the file of each arm says.
        sha256: of the file of each arm.
        n_not_annotated: pictures that are to be scored and cannot be.
    """

    files: BoxFiles
    settings: Settings
    truths: Truths
    results: Mapping[Key, Results]
    sha256: Mapping[Key, str]
    n_not_annotated: int

    @property
    def truth(self) -> GroundTruth:
        """The truth in the class names of the annotations."""
        (truth,) = self.truths.by_detector.values()
        return truth


def plan_boxes(files: BoxFiles, settings: Settings) -> BoxPlan:
    """Read annotations and boxes.

    Raises:
        DeblurError: annotations of another format or without an object, a list of pictures that cannot be used, or a
            file of which no box is on a picture and of a class of the annotations.
        DetectionError: annotations or a file of boxes that cannot be read, or a class that is not annotated.
    """
    annotations = settings.annotations
    if annotations.is_dir() or annotations.suffix.lower() != ".json":
        raise DeblurError(
            f"{annotations} is not COCO's annotations (.json): files of boxes name pictures and classes by the numbers "
            "that only these have"
        )
    names = category_names(annotations)
    check_classes(settings.classes or (), str(annotations), names)
    keys = None if files.pictures is None else listed_pictures(files.pictures)
    (detector,) = settings.detectors
    truths = read_truths(annotations, {detector: names}, settings.limit, keys=keys)
    truth = truths.by_detector[detector]
    check_objects(settings, detector, truth)
    results = {key: read_results(file, truth) for key, file in files.arms.items()}
    for key, file in files.arms.items():
        _refuse_strangers(file, annotations, results[key])
    n_left_out = 0 if keys is None else len(keys) - len(truths.stems)
    hashes = {key: sha256_of(file) for key, file in files.arms.items()}
    return BoxPlan(files, settings, truths, results, hashes, n_left_out)


def score_boxes(plan: BoxPlan, run: Path, narrator: Narrator) -> GainRun:
    """Score the boxes of every arm, and write the run's files.

    Args:
        plan: of the run.
        run: the run's folder, which exists.
        narrator: told what was read and what goes on.
    """
    settings, truth, stems = plan.settings, plan.truth, plan.truths.stems
    (detector,) = settings.detectors
    for line in _lines(plan):
        narrator.say(line)
    found = {key: {stem: _rounded(boxes) for stem, boxes in read.found.items()} for key, read in plan.results.items()}
    with narrator.progress(len(found), "scoring", "arm") as done:
        scores = score_detector(settings, detector, truth, found, _not_compared, done)
    index_of = {name: index for index, name in enumerate(truth.class_names)}
    with writing_predictions(run, list(index_of), truth_boxes([truth], plan.truths.sizes, index_of)) as save:
        for (blur, arm), by_stem in found.items():
            for stem, boxes in by_stem.items():
                save((detector, blur, arm, stem), Boxes.of(boxes, index_of))
    blurred = plan.sha256[plan.files.blur, BLURRED]
    of_detector = {arm: plan.sha256[blur, arm] for blur, arm in found if arm in {SHARP, BLURRED}}
    gain = GainRun(
        protocol=protocol_of_files(settings, stems),
        data=_data(plan),
        detectors=[
            DetectorRecord(
                detector, hash_of_set(of_detector), list(truth.class_names), plan.truths.sha256_by_detector[detector]
            )
        ],
        deblurrers=[
            DeblurrerRecord(name, "boxes", plan.sha256[plan.files.blur, deblurred_arm(name)])
            for name in plan.files.deblurrers
        ],
        blurs=[BlurRecord(plan.files.blur, "boxes", None, blurred)],
        results=scores.results,
    )
    write_per_image(run, scores.rows)
    write_curves(run, scores.curves)
    write_metrics(run, gain)  # last: a run that has this file is whole
    return gain


def _refuse_strangers(file: Path, annotations: Path, results: Results) -> None:
    """Refuse a file with boxes of which not one can be scored: its numbers are those of other annotations."""
    left_out = _left_out(results)
    if left_out and not any(map(len, results.found.values())):
        raise DeblurError(
            f"{file} has no box that can be scored, but {' and '.join(left_out)}: are image_id and category_id those "
            f"of {annotations}?"
        )


def _rounded(found: Detections) -> Detections:
    """As the protocol rounds what a detector finds, so that what is saved is what is scored."""
    return Detections.ordered(*rounded(found), found.class_names)


def _not_compared(key: Key, stem: str) -> Mapping[str, float | None]:
    """The `experiments.gain.scores.RestorationScores` of pictures that nobody saw."""
    return {"psnr": None, "ssim": None}


def _lines(plan: BoxPlan) -> list[str]:
    """What was read, what of it is left out, and what looks like a mistake."""
    lines = [f"annotations: {line}" for line in report_lines(plan.truth.report)]
    if plan.files.pictures is not None:
        n_scored, n_annotated = len(plan.truths.stems), plan.truths.n_annotated
        lines.append(f"--pictures-from: {n_scored} of {n_annotated} annotated pictures are scored")
    if plan.n_not_annotated:
        lines.append(f"{plan.files.pictures}: {plan.n_not_annotated} pictures without annotation are left out")
    arms_of: dict[str, list[str]] = {}
    for key, file in plan.files.arms.items():
        lines.append(f"{key[1]}: {file}: {_account(plan.results[key])}")
        arms_of.setdefault(plan.sha256[key], []).append(key[1])
    lines += [f"{' and '.join(arms)} have equal files: is that so?" for arms in arms_of.values() if len(arms) > 1]
    seen = {stem for read in plan.results.values() for stem, boxes in read.found.items() if len(boxes)}
    n_unseen = len(plan.truths.stems) - len(seen)
    if n_unseen:
        lines.append(
            f"{n_unseen} pictures have no box in any file and count as pictures where nothing was found: if the "
            "detector did not look at them, name those that it looked at by --pictures-from"
        )
    return lines


def _account(results: Results) -> str:
    """How many boxes a file has and from which score on, and which are left out."""
    there = [boxes for boxes in results.found.values() if len(boxes)]
    text = f"{sum(map(len, there))} boxes on {len(there)} of {len(results.found)} pictures"
    if there:
        text += f", lowest score {min(float(boxes.scores[-1]) for boxes in there):.3g}"
    left_out = _left_out(results)
    return text + f"; left out: {' and '.join(left_out)}" * bool(left_out)


def _left_out(results: Results) -> list[str]:
    """How many boxes of a file are not scored, for either reason."""
    return [
        f"{sum(numbers.values())} {why} ({key} {', '.join(sorted(map(str, numbers), key=_by_number)[:_SHOWN])}"
        f"{', ...' * (len(numbers) > _SHOWN)})"
        for numbers, why, key in (
            (results.other_pictures, "on pictures that are not scored", "image_id"),
            (results.other_classes, "of classes that are not annotated", "category_id"),
        )
        if numbers
    ]


def _by_number(called: str) -> tuple[int, str]:
    """Sorts numbers by their size and before names."""
    return (int(called), "") if called.isdecimal() else (sys.maxsize, called)


def _data(plan: BoxPlan) -> dict[str, Any]:
    files = plan.files
    sharp = plan.sha256.get(("", SHARP))
    paths = {arm: (str(file), plan.sha256[blur, arm]) for (blur, arm), file in files.arms.items()}
    return data_of(plan.settings, plan.truths, sharp, {files.blur: plan.sha256[files.blur, BLURRED]}) | {
        "sharp": None if sharp is None else {"path": str(files.boxes[SHARP]), "sha256": sharp},
        "n_without_annotation": {str(files.pictures): plan.n_not_annotated} if files.pictures else {},
        "files": {arm: {"path": path, "sha256": sha256} for arm, (path, sha256) in paths.items()},
    }
