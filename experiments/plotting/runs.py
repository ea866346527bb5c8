"""Detection-gain runs as figures and report see them: opened, checked against each other, laid out as series."""

from __future__ import annotations

import functools
import itertools
import json
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from deblur.equal_files import resolved
from deblur.errors import DeblurError
from deblur.runs import printable
from experiments.common.printed_table import drawn_scenes, named_data
from experiments.gain.comparable import differing_keys
from experiments.gain.files import read_curves, read_metrics, read_predictions
from experiments.gain.picture_tables import Predictions
from experiments.gain.records import (
    BLURRED,
    CONTROL,
    SHARP,
    deblurred_arm,
    fused_name,
    is_sharp_arm,
    sharp_through_arm,
)
from experiments.plotting.style import BLURRED_LOOK, CONTROL_LOOK, SHARP_LOOK, MarkStyle, another, free_look

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from detection.bootstrap import Interval
    from detection.scoring import PrecisionRecall
    from experiments.gain.picture_tables import PictureTruth
    from experiments.gain.records import ArmScore, BlurRecord, DeblurrerRecord, Example, GainRun, Result

# What a kind of synthetic blur is called on an axis.
_KIND_WORDS = {"shake": "camera shake", "object": "moving object", "measured": "measured kernel"}
_NARROW = 16  # letters in a line of a narrow label
_SAME_AP = 1e-4  # machines round differently, which changes the order of boxes here and there
# Definitions that metrics.json spells out, and figures name where they show them.
_NOT_ON_FIGURES = (
    "detection.adapter",
    "detection.rounding",
    "recovered",
    "fusion",
    "harm",
    "bootstrap.unit",
    "bootstrap.n_units",
    "consistency",
    "picture_score",
    "psnr_mean",
    "drawn_confidence",
    "restoration",
)


class OpenRun:
    """One run's folder; ``metrics.json`` is read at once, the larger files when first asked for.

    Args:
        folder: of a finished run.
        name: what figures call it.

    Raises:
        DeblurError: the folder holds no finished detection-gain run.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.record: GainRun = read_metrics(folder)

    @functools.cached_property
    def curves(self) -> dict[tuple[str, str, str], PrecisionRecall] | None:
        """Curve by (detector, blur, arm), ``blur`` empty for arms that have none; None where the file is missing."""
        if not (self.folder / "curves.json").is_file():
            return None
        return {(curve.detector, curve.blur, curve.arm): curve.values for curve in read_curves(self.folder)}

    @functools.cached_property
    def predictions(self) -> Predictions:
        """Truth and boxes; empty where the file is missing."""
        if not (self.folder / "predictions.json").is_file():
            return Predictions([], [], {})
        return read_predictions(self.folder)

    @functools.cached_property
    def truths(self) -> dict[str, PictureTruth]:
        """Truth by picture, of those in ``predictions``."""
        return {truth.picture: truth for truth in self.predictions.truths}

    def picture(self, file: str) -> Path | None:
        """Where a picture of an example lies; None where it is not there, or not in the run's folder.

        Pages and figures carry these pictures and are passed on: a stranger's run must not name the reader's own.
        """
        place = resolved(self.folder / file)
        return place if place.is_relative_to(resolved(self.folder)) and place.is_file() else None

    def has_example(self, result: Result, example: Example, arms: Collection[str]) -> bool:
        """Whether what is shown of an example is there: its truth, and the picture and boxes of each arm that is shown.

        Args:
            result: whose example it is.
            example: it has to have the blurred and the restored arm.
            arms: those that are shown where the example has them.
        """
        if example.picture not in self.truths:
            return False
        if not {BLURRED, deblurred_arm(example.deblurrer)} <= example.pictures.keys():
            return False
        saved = self.predictions
        return all(
            self.picture(file) is not None
            and saved.key(result.detector, result.blur, arm, example.picture) in saved.predicted
            for arm, file in example.pictures.items()
            if arm in arms
        )

    def sha256_of(self, deblurrer: str) -> str | None:
        """Hash of a deblurrer's record; None where this run has none of that name."""
        return next((record.sha256 for record in self.record.deblurrers if record.name == deblurrer), None)

    def result(self, detector: str, blur: str) -> Result | None:
        """The record of one detector at one blur; None where this run has none."""
        try:
            return self.record.result(detector, blur)
        except KeyError:
            return None


@dataclass(frozen=True, slots=True)
class Series:
    """One arm of one or of several runs: one entry of a legend, one look in every figure.

    Attributes:
        label: in a legend.
        arm: its name in the runs.
        deblurrer: None for the sharp and the blurred pictures.
        runs: where its figures are, the first that has one wins.
        look: colour, marker, hatch and line.
    """

    label: str
    arm: str
    deblurrer: str | None
    runs: tuple[OpenRun, ...]
    look: MarkStyle

    @property
    def is_sharp(self) -> bool:
        """Whether the arm is the same at every blur."""
        return is_sharp_arm(self.arm)

    @property
    def of_deblurrer(self) -> DeblurrerRecord:
        """The deblurrer's record."""
        return next(record for record in self.runs[0].record.deblurrers if record.name == self.deblurrer)

    def score(self, detector: str, blur: str) -> ArmScore | None:
        """Scores of the arm; None where no run has them."""
        results = (run.result(detector, blur) for run in self.runs)
        return next((result.arms[self.arm] for result in results if result and self.arm in result.arms), None)

    @property
    def is_fused(self) -> bool:
        """Whether its boxes are those of two passes over what a deblurrer restored, so that it has a control."""
        return self.deblurrer not in {None, CONTROL} and self.of_deblurrer.kind == "fused"

    def recovered(self, detector: str, blur: str, *, looking_twice: bool = False) -> Interval | None:
        """Recovered fraction of the deblurrer, with one pass of the detector or two; None where no run has it."""
        return self._interval("recovered_looking_twice" if looking_twice else "recovered", detector, blur)

    def beyond_control(self, detector: str, blur: str) -> Interval | None:
        """AP of fused boxes beyond that of their control; None where no run has it."""
        return self._interval("beyond_control", detector, blur)

    def harm(self, detector: str, blur: str) -> Interval | None:
        """AP that sharp pictures lose by the deblurrer, of fused boxes beside two passes over them; None as above."""
        return self._interval("harm_looking_twice" if self.is_fused else "harm", detector, blur)

    def _interval(self, figure: str, detector: str, blur: str) -> Interval | None:
        results = (result for run in self.runs if (result := run.result(detector, blur)))
        known: Iterator[dict[str, Interval]] = (getattr(result, figure) for result in results)
        return next((entry[self.deblurrer] for entry in known if self.deblurrer in entry), None)

    def curve(self, detector: str, blur: str) -> PrecisionRecall | None:
        """Precision over recall; None where no run has it."""
        key = (detector, "" if self.is_sharp else blur, self.arm)
        return next((run.curves[key] for run in self.runs if run.curves and key in run.curves), None)


class Runs:
    """One run or several that may stand in one figure.

    Args:
        folders: of finished runs.

    Raises:
        DeblurError: no such run, or runs with another protocol, other data or other detectors of the same name.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.runs = tuple(OpenRun(*pair) for pair in zip(folders, run_names(folders), strict=True))
        for pair in itertools.combinations(self.runs, 2):
            check_comparable(*pair)
        self.detectors = _united([detector.name for detector in run.record.detectors] for run in self.runs)
        blurs = {blur.name: blur for run in self.runs for blur in run.record.blurs}
        self._blur_words = {name: _blur_words(blur) for name, blur in blurs.items()}
        kinds = {(words.kind, words.options) for words in self._blur_words.values()}
        lengths = {words.length for words in self._blur_words.values()}
        self.one_kind = len(kinds) == 1 and all(lengths) and len(lengths) == len(blurs)
        """Whether the blurs differ in their length alone, so that a line through them means something."""
        self.blurs = sorted(blurs, key=lambda name: blurs[name].length or 0) if self.one_kind else list(blurs)
        self.series = [*self._reference(SHARP), *self._reference(BLURRED), *self._restored()]

    @property
    def deblurred(self) -> list[Series]:
        """The series of restored pictures, one a deblurrer and run."""
        return [series for series in self.series if series.deblurrer is not None and not series.is_sharp]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every (detector, blur) that some run has a result for."""
        return [
            (detector, blur)
            for detector in self.detectors
            for blur in self.blurs
            if any(run.result(detector, blur) for run in self.runs)
        ]

    @property
    def confidence_percent(self) -> str:
        """What share of draws an interval holds, as text: ``95``."""
        intervals = (i for run in self.runs for result in run.record.results for i in result.ap_difference.values())
        return f"{100 * next((interval.confidence for interval in intervals), 0.95):g}"

    @property
    def drawn_units(self) -> str:
        """What the draws of the intervals are of, as text: ``pictures``, or ``11 scenes`` of them."""
        scenes = drawn_scenes(self.runs[0].record.protocol["bootstrap"])
        return "pictures" if scenes is None else f"{scenes} scenes"

    def blur_label(self, blur: str, *, narrow: bool = False) -> str:
        """A blur in words, ``camera shake 16 px, readout=2.0``; ``narrow`` breaks the line."""
        words = self._blur_words[blur]
        if not narrow:
            return words.kind + f" {words.length}" * bool(words.length) + f", {words.options}" * bool(words.options)
        parts = (words.kind, words.length, words.options)
        return "\n".join(line for part in parts for line in textwrap.wrap(part, _NARROW))

    def short_label(self, blur: str) -> str:
        """What tells a blur from the others: its length where they differ in nothing else."""
        return self._blur_words[blur].length if self.one_kind else self.blur_label(blur)

    @property
    def kind_words(self) -> str:
        """The kind and the options of the first blur in words: ``camera shake, readout=2.0``."""
        words = self._blur_words[self.blurs[0]]
        return ", ".join(filter(None, (words.kind, words.options)))

    @property
    def blurs_line(self) -> str:
        """Every blur in words on one line: ``camera shake of 8 px, 16 px, readout=2.0``."""
        if self.one_kind:
            words = self._blur_words[self.blurs[0]]
            lengths = map(self.short_label, self.blurs)
            return f"{words.kind} of {', '.join(filter(None, (*lengths, words.options)))}"
        return "; ".join(map(self.blur_label, self.blurs))

    def of(self, arm: str) -> list[Series]:
        """The series of ``sharp`` or ``blurred``."""
        return [series for series in self.series if series.arm == arm]

    @property
    def counts(self) -> str:
        """On how many pictures and objects the figures stand, as text."""
        scores = [score for run in self.runs for result in run.record.results for score in result.arms.values()]
        if not scores:
            return "no picture scored"
        counts = {score.n_truths for score in scores}  # detectors that know different classes have different objects
        objects = " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)}))
        data = self.runs[0].record.data
        text = f"n = {scores[0].n_pictures:,} pictures, {objects} objects{printable(named_data(data))}"
        limit = data["limit"]
        return text if limit is None else f"{text} (cut by --limit {limit}: a trial)"

    @property
    def protocol_line(self) -> str:
        """The protocol and the data's hash on one line."""
        first = self.runs[0].record
        entries = {key: value for key, value in flat(first.protocol).items() if not key.startswith(_NOT_ON_FIGURES)}
        ends = [key.rpartition(".")[2] for key in entries]
        names = [end if ends.count(end) == 1 else key for key, end in zip(entries, ends, strict=True)]
        missing = {"scoring.classes": "all"}
        words = [missing.get(key, "none") if value == "null" else value for key, value in entries.items()]
        parts = [f"{re.sub('[._]', ' ', name)} {value}" for name, value in zip(names, words, strict=True)]
        parts.append(f"data {first.data['sha256'][:12]}")
        if len(self.runs) > 1:
            parts.append(f"runs {', '.join(run.name for run in self.runs)}")
        return " · ".join(parts)

    def _reference(self, arm: str) -> list[Series]:
        """One series where all runs agree on the arm, else one for each run."""
        look = SHARP_LOOK if arm == SHARP else BLURRED_LOOK
        having = tuple(run for run in self.runs if any(arm in result.arms for result in run.record.results))
        if not having:
            return []
        if all(_agree(*pair, arm) for pair in itertools.combinations(having, 2)):
            return [Series(arm, arm, None, having, look)]
        return [
            Series(f"{arm} ({run.name})", arm, None, (run,), another(look, number)) for number, run in enumerate(having)
        ]

    def _restored(self) -> list[Series]:
        """One series for each deblurrer and run; one for the control where all runs agree on it."""
        pairs = [(run, record) for run in self.runs for record in run.record.deblurrers]
        names = [record.name for _, record in pairs]
        controlled = self._sharing_control()
        places, controls = itertools.count(), itertools.count()
        coloured: dict[tuple[OpenRun, str], int] = {}
        looks: list[MarkStyle] = []
        found = []
        for run, record in pairs:
            name, fused = record.name, record.kind == "fused"
            having = controlled if name == CONTROL and controlled else (run,)
            if having[0] is not run:
                continue
            if name == CONTROL:
                look = another(CONTROL_LOOK, next(controls))
            else:
                of_either = run, name if fused else fused_name(name)
                look = free_look(looks, places, coloured.setdefault(of_either, len(coloured)), fused=fused)
                looks.append(look)
            label = name if names.count(name) == len(having) else f"{name} ({run.name})"
            arms = {arm for each in having for result in each.record.results for arm in result.arms}
            if deblurred_arm(name) in arms:
                found.append(Series(label, deblurred_arm(name), name, having, look))
            if sharp_through_arm(name) in arms:
                found.append(Series(f"sharp through {label}", sharp_through_arm(name), name, having, look.through()))
        return found

    def _sharing_control(self) -> tuple[OpenRun, ...]:
        """Every run with a control where it is one of the same pictures with the same AP, else none."""
        having = tuple(run for run in self.runs if run.sha256_of(CONTROL))
        arms = (deblurred_arm(CONTROL), sharp_through_arm(CONTROL))
        same = all(
            one.sha256_of(CONTROL) == other.sha256_of(CONTROL) and all(_agree(one, other, arm) for arm in arms)
            for one, other in itertools.combinations(having, 2)
        )
        return having if same else ()


def restored_examples(result: Result) -> list[Example]:
    """A result's examples but those of the control, in which nothing is restored."""
    return [example for example in result.examples if example.deblurrer != CONTROL]


def check_comparable(one: OpenRun, other: OpenRun) -> None:
    """Refuse two runs that may not stand in one figure.

    Raises:
        DeblurError: their protocol, their data, or a detector's weights differ.
    """
    refusal = f"{one.folder} and {other.folder} cannot share a figure"
    advice = "plot them apart or make one of them again"
    differing = differing_keys(one.record, other.record)
    if differing:
        raise DeblurError(f"{refusal}: they differ in {', '.join(differing)}; {advice}")
    hashes = {detector.name: detector.sha256 for detector in one.record.detectors}
    for detector in other.record.detectors:
        if hashes.get(detector.name, detector.sha256) != detector.sha256:
            raise DeblurError(f"{refusal}: the detector {detector.name} has other weights in each; {advice}")


def run_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the folders' paths that tell them apart, as a figure or page can hold them.

    Raises:
        DeblurError: one folder is given twice.
    """
    parts = [resolved(folder).parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise DeblurError("a run is given twice; name each folder once")
    length = next(n for n in range(1, max(map(len, parts)) + 1) if len({path[-n:] for path in parts}) == len(parts))
    return [printable("/".join(path[-length:])) for path in parts]


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested mapping as ``outer.inner`` to text."""
    entries: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            entries |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            entries[f"{prefix}{key}"] = ", ".join(value)
        else:
            entries[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return entries


def _united(lists: Any) -> list[str]:
    return list(dict.fromkeys(name for names in lists for name in names))


class _BlurWords(NamedTuple):
    """What a blur is called: its kind, its length and its other options, each empty where there is none."""

    kind: str
    length: str = ""
    options: str = ""


def _blur_words(blur: BlurRecord) -> _BlurWords:
    """Of a folder its name; else what the text of its `deblur.blur.BlurSpec` says, ``shake:16,readout=2.0``."""
    name = printable(blur.name)
    if blur.length is None:
        return _BlurWords(name)
    length = "" if blur.kind == "none" else f"{blur.length:g} px"
    return _BlurWords(_KIND_WORDS.get(blur.kind, blur.kind), length, name.partition(",")[2].replace(",", ", "))


def _agree(one: OpenRun, other: OpenRun, arm: str) -> bool:
    """Whether two runs give an arm the same AP wherever both have it."""
    for result in other.record.results:
        ours = one.result(result.detector, result.blur)
        if ours is not None and arm in ours.arms and arm in result.arms:
            mine, others = ours.arms[arm].ap, result.arms[arm].ap
            same = mine is others if mine is None or others is None else abs(mine - others) <= _SAME_AP
            if not same:
                return False
    return True
