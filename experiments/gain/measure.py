"""One detection-gain run from settings to saved files: the body of ``python -m experiments.detection_gain``."""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING, Any

from detection.truth import report_lines
from experiments.common.cache import Cache, key_of, state_of_code
from experiments.gain.arms import Arms, Bench, build_arms, describe_blurs
from experiments.gain.examples import ExampleWriter
from experiments.gain.files import write_curves, write_metrics, write_per_image, writing_predictions
from experiments.gain.fused import fused_records
from experiments.gain.inputs import data_of, hash_of_set
from experiments.gain.picture_sets import MadeSet, PictureSet
from experiments.gain.picture_tables import Boxes, truth_boxes
from experiments.gain.processes import Processes
from experiments.gain.protocol import detection_protocol, protocol_of
from experiments.gain.records import DeblurrerRecord, DetectorRecord, GainRun
from experiments.gain.scores import counted_classes, score_detector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from detection.types import Detector
    from experiments.common.narrator import Narrator
    from experiments.gain.inputs import Truths
    from experiments.gain.plan import Plan
    from experiments.gain.scores import DetectorScores, Found
    from experiments.gain.settings import LoadedDetector


def measure(plan: Plan, run: Path, narrator: Narrator, processes: Processes | None = None) -> GainRun | None:
    """Measure what deblurring gains the detectors, and write the run's files.

    Args:
        plan: of the run.
        run: the run's folder, which exists; what its cache holds is not computed again.
        narrator: told what goes on.
        processes: this process among those of the run; None for a run of one.

    Returns:
        The run in the first process, None in the others, which have only done their share of the pictures.

    Raises:
        DeblurError: a picture that cannot be read or has another size, or a disk that keeps nothing.
    """
    processes = processes or Processes()
    settings, detectors, truths = plan.settings, plan.detectors, plan.truths
    for line in dict.fromkeys(line for truth in truths.by_detector.values() for line in report_lines(truth.report)):
        narrator.say(f"annotations: {line}")
    if settings.limit is not None:
        narrator.say(f"--limit: {len(truths.stems)} of {truths.n_annotated} pictures are measured")
    cache = Cache(run / "cache", state_of_code())
    arms = build_arms(plan, cache, run / "cache")
    for folder, count in plan.n_unannotated.items():
        if count:
            narrator.say(f"{folder}: {count} pictures without annotation are left out")
    bench = Bench(arms, detectors, detection_protocol(settings.image_size), cache)
    mine = processes.share(truths.stems)
    with narrator.progress(len(mine) * len(arms.sets), "measuring", "picture") as done:
        bench.work(mine, done)
    processes.wait()
    if not processes.is_first:
        return None
    for line in _not_blurred(arms, truths.stems):
        narrator.say(line)
    blurs = describe_blurs(arms, settings.blurs, truths.stems)  # of every picture, so that all sizes are known
    index_of = _places(detectors)
    counted = {name: counted_classes(settings, truth) for name, truth in truths.by_detector.items()}
    examples = ExampleWriter(run, arms, counted)
    truth = truth_boxes(truths.by_detector.values(), arms.sizes, index_of)

    with (
        narrator.progress(len(detectors) * len(arms.sets), "scoring", "arm") as done,
        writing_predictions(run, list(index_of), truth) as save,
    ):

        def scored(loaded: LoadedDetector) -> DetectorScores:
            """One detector's scores; its boxes are saved here, so that they are let go of before the next one's."""
            name = loaded.detector.name
            found = _boxes(loaded, arms, bench, truths.stems)
            own = score_detector(settings, name, truths.by_detector[name], found, bench.restoration, done)
            results = [
                dataclasses.replace(result, examples=examples.save(result, own.rows, found)) for result in own.results
            ]
            for (blur, arm), by_stem in found.items():
                for stem, detections in by_stem.items():
                    save((name, blur, arm, stem), Boxes.of(detections, index_of))
            return dataclasses.replace(own, results=results)

        scores = [scored(loaded) for loaded in detectors]
    gain = GainRun(
        protocol=protocol_of(settings, detectors, truths.stems),
        data=_data(plan, arms, {blur.name: blur.sha256 for blur in blurs}),
        detectors=[_detector_record(loaded.detector, truths) for loaded in detectors],
        deblurrers=_deblurrer_records(plan, arms),
        blurs=blurs,
        results=[result for each in scores for result in each.results],
    )
    write_per_image(run, (row for each in scores for row in each.rows))
    write_curves(run, (curve for each in scores for curve in each.curves))
    write_metrics(run, gain)  # last: a run that has this file is whole
    return gain


def _not_blurred(arms: Arms, stems: Sequence[str]) -> list[str]:
    """A line for each blur that leaves pictures as they are: the folders may be one, or copies of each other."""
    if arms.sharp is None:
        return []
    lines = []
    for blur, pictures in arms.blurred.items():
        equal = sum(pictures.sha256(stem) == arms.sharp.sha256(stem) for stem in stems)
        if equal:
            lines.append(f"{blur}: {equal} of {len(stems)} blurred pictures equal their sharp one, pixel by pixel")
    return lines


def _boxes(loaded: LoadedDetector, arms: Arms, bench: Bench, stems: Sequence[str]) -> Found:
    return {
        (pictures.blur, pictures.arm): {stem: bench.detections(loaded, pictures, stem) for stem in stems}
        for pictures in arms.sets
    }


def _data(plan: Plan, arms: Arms, blurred: Mapping[str, str]) -> dict[str, Any]:
    settings, truths = plan.settings, plan.truths
    sharp = None
    if arms.sharp is not None:
        sharp = hash_of_set({stem: arms.sharp.sha256(stem) for stem in truths.stems})
    return data_of(settings, truths, sharp, blurred) | {
        "sharp": None if settings.sharp is None else {"path": str(settings.sharp), "sha256": sharp},
        "data_set": plan.prepared.data_set,
        "blur": plan.prepared.blur,
        "limit": settings.limit if len(truths.stems) < truths.n_annotated else None,
        "n_without_annotation": {str(folder): count for folder, count in plan.n_unannotated.items()},
    }


def _detector_record(detector: Detector, truths: Truths) -> DetectorRecord:
    truth_sha256 = truths.sha256_by_detector[detector.name]
    return DetectorRecord(detector.name, detector.sha256, list(detector.class_names), truth_sha256)


def _deblurrer_records(plan: Plan, arms: Arms) -> list[DeblurrerRecord]:
    settings, stems = plan.settings, plan.truths.stems
    records = []
    for loaded in plan.deblurrers:
        made = [pictures for pictures in _sets_of(arms, loaded.name) if isinstance(pictures, MadeSet)]
        times = [time for pictures in made for stem in stems if (time := pictures.time_ms(stem)) is not None]
        median = statistics.median(times) if times else None
        search = loaded.settings.get("search")
        records.append(
            DeblurrerRecord(
                loaded.name,
                "network",
                loaded.sha256,
                median,
                loaded.gmacs,
                loaded.parameters,
                consistent=loaded.settings.get("consistent"),
                search=None if search is None else key_of(search=search),
                paths=plan.paths.sha256 if loaded.told and plan.paths is not None else None,
                trust=loaded.settings.get("trust"),
            )
        )
    for name, _ in settings.peers:
        hashes = {
            f"{pictures.blur}/{stem}": pictures.sha256(stem) for pictures in _sets_of(arms, name) for stem in stems
        }
        records.append(DeblurrerRecord(name, "folder", hash_of_set(hashes)))
    return [*records, *fused_records(records, plan.told, plan.sizing_guide)] if settings.fuse else records


def _sets_of(arms: Arms, deblurrer: str) -> list[PictureSet]:
    return [pictures for (_, name), pictures in arms.deblurred.items() if name == deblurrer]


def _places(detectors: Sequence[LoadedDetector]) -> dict[str, int]:
    """The place of every class of the detectors in `experiments.gain.picture_tables.Predictions`."""
    names = dict.fromkeys(name for loaded in detectors for name in loaded.detector.class_names)
    return {name: index for index, name in enumerate(names)}
