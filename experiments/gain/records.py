"""The saved format of a detection-gain run: what its files hold.

`experiments.gain.files` writes and reads them.

A run is a folder of plain files, from which tables, plots and the report are rebuilt without anything else::

    config.yaml        the options of the command, defaults included
    env.json           versions, commit, machine, command (`deblur.runs.describe_environment`); the same of every time
                       that ``experiments.rescore`` scored the boxes anew in ``rescored``, the last one at the end
    metrics.json       every score: a `GainRun`, see below; the document that ``--json`` prints
    per_image.csv      one `experiments.gain.picture_tables.PictureRow` a line
    predictions.json   truth and every detector's boxes: `experiments.gain.picture_tables.Predictions`
    curves.json        precision over recall: one `experiments.gain.picture_tables.Curve` an arm
    pictures/          `Example.file` and `Example.pictures`: where restoring helped and hurt most
    cache/             everything computed once, by content hash; needed only to resume, never to read a result
    log.txt            progress and warnings

``metrics.json`` holds the fields of `GainRun`. ``results`` has one record for each detector and blur, always in the
same shape. Earlier runs repeat some of it at the top level, which nothing reads. Intervals are
`detection.bootstrap.Interval` (``value``, ``low``, ``high``, ...; no ``low`` and ``high`` with ``--bootstrap 0`` and of
fewer than six pictures).

Arms are named ``sharp``, ``blurred``, ``deblurred:NAME`` and ``sharp-through:NAME``, where NAME is a deblurrer's name.
With ``--fuse`` NAME is also ``DEBLURRER+mirrored``: the boxes of two looks, fused (`experiments.gain.fused`); the
picture shown and compared beside them is the restored one. ``sharp`` and ``sharp-through:NAME`` do not depend on the
blur: they stand in every result, but only once, with an empty ``blur``, in per_image.csv, predictions.json and
curves.json.

``experiments.score_boxes`` leaves the same folder without ``pictures/`` and ``cache/``: its boxes come from files,
which ``data.files`` names by arm with the hash of each, and nothing is known of its pictures.

A missing value is null (an empty cell in the CSV), never NaN.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from detection.bootstrap import Interval
from detection.consistency import Consistency

TASK = "detection_gain"
FORMAT = 1
SHARP = "sharp"
BLURRED = "blurred"
MIRRORED = "mirrored"
"""Stands behind a deblurrer's name where boxes are of two passes, the second one over a mirror image."""


def deblurred_arm(deblurrer: str) -> str:
    """Name of the arm of blurred pictures restored by ``deblurrer``."""
    return f"deblurred:{deblurrer}"


def deblurrer_of(arm: str) -> str | None:
    """The opposite of `deblurred_arm`; None for an arm of other pictures."""
    kind = deblurred_arm("")
    return arm.removeprefix(kind) if arm.startswith(kind) else None


def sharp_through_arm(deblurrer: str) -> str:
    """Name of the arm of sharp pictures put through ``deblurrer``."""
    return f"sharp-through:{deblurrer}"


def fused_name(deblurrer: str) -> str:
    """What results call the boxes of two looks, the second one at the mirror image of what ``deblurrer`` restored."""
    return f"{deblurrer}+{MIRRORED}"


CONTROL = f"{MIRRORED}+{BLURRED}"
"""What fused boxes are compared with: the blurred picture and its mirror image, so that nothing is restored in it."""


def is_fused_name(deblurrer: str) -> bool:
    """Whether results would take a deblurrer of this name for fused boxes."""
    return deblurrer == CONTROL or deblurrer.endswith(fused_name(""))


def is_sharp_arm(arm: str) -> bool:
    """Whether an arm is the same at every blur: ``sharp`` and ``sharp-through:NAME``."""
    return arm == SHARP or arm.startswith(sharp_through_arm(""))


@dataclass(frozen=True, slots=True)
class ArmScore:
    """Detection scores of one arm, from 0 to 1, and restoration scores of its pictures against the sharp ones.

    Attributes:
        ap: COCO AP at IoU .50:.05:.95; ``ap_low`` and ``ap_high`` are its bootstrap interval.
        ar: COCO AR with at most 100 boxes a picture; ``ar1`` and ``ar10`` with 1 and 10.
        n_pictures: pictures scored, those without truth among them.
        n_truths: boxes of the truth that count.
        n_predictions: boxes at the protocol's confidence, of classes that count.
        per_class: for each class evaluated ``ap`` and ``n_truths``; the AP of a class without truth is None.
        psnr: mean dB of 8-bit RGB pictures against the sharp ones, over those that no arm of the blur has exactly, of
            ``sharp-through:NAME`` over those that it changes; None for ``sharp``, where there are no sharp pictures,
            and over nothing.
        ssim: mean over all pictures, in scikit-image's Gaussian-window definition.
        n_exact: pictures that are their sharp ones, pixel by pixel.
        n_psnr: pictures that ``psnr`` averages. None in runs scored before it was written down, when each arm averaged
            all but its own exact pictures; ``experiments.rescore`` scores them as above.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar: float | None
    ar1: float | None
    ar10: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    ap_low: float | None
    ap_high: float | None
    n_pictures: int
    n_truths: int
    n_predictions: int
    psnr: float | None = None
    ssim: float | None = None
    n_exact: int | None = None
    n_psnr: int | None = None
    per_class: dict[str, dict[str, float | int | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Example:
    """A picture on which restoring helped or hurt a detector most.

    Attributes:
        effect: ``helped`` or ``hurt``.
        rank: 1 for the largest change.
        picture: its stem.
        deblurrer: whose restoration.
        blurred_f1: agreement of the confident boxes with the truth before restoring (`detection.picture_scores`).
        deblurred_f1: and after.
        file: JPEG inside the run's folder: arms side by side, with the boxes of at least ``protocol.drawn_confidence``.
        pictures: for each arm, the plain picture without boxes: JPEG inside the run's folder, to look at. What the
            detector saw is the lossless picture it was made from.
    """

    effect: Literal["helped", "hurt"]
    rank: int
    picture: str
    deblurrer: str
    blurred_f1: float
    deblurred_f1: float
    file: str
    pictures: dict[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """Everything about one detector at one blur.

    What is of fused boxes is empty where there are none. It and ``over`` are empty too in runs that were scored before
    they were measured; ``experiments.rescore`` adds them.

    Attributes:
        arms: arm name to scores; ``sharp`` is missing where there are no sharp pictures, ``sharp-through:NAME`` also
            where NAME is a folder of pictures that another program restored.
        recovered: deblurrer to (deblurred - blurred) / (sharp - blurred), in AP; null values where sharp <= blurred or
            there is no sharp arm.
        ap_difference: deblurrer to AP deblurred - AP blurred.
        beyond_control: fused deblurrer to its AP - that of `CONTROL`, which has two looks as well but restores nothing:
            the part of its gain that is due to the restoration.
        recovered_looking_twice: fused deblurrer to (fused - control) / (sharp control - control), in AP. All three are
            of two looks, so what the second look gains by itself cancels. Null values as above.
        harm: deblurrer to AP sharp - AP sharp-through: positive where the deblurrer costs a sharp picture AP.
        harm_looking_twice: fused deblurrer to AP of the sharp control - its AP sharp-through. Both are of two looks, so
            that what the second look gains on sharp pictures cannot hide harm. Null values without sharp pictures.
        consistency: arm other than ``sharp`` to agreement with the detector's own sharp boxes
            (`detection.consistency`), which is not accuracy; empty where there are no sharp pictures.
        examples: where restoring helped most and hurt most, for each deblurrer.
        over: deblurrer to the differences of its AP from that of each deblurrer before it, by the other's name; fused
            ones are compared with fused ones. What both gain over ``blurred`` cancels, so a difference may be
            significant although the intervals of their gains overlap.
    """

    detector: str
    blur: str
    arms: dict[str, ArmScore]
    recovered: dict[str, Interval]
    ap_difference: dict[str, Interval]
    harm: dict[str, Interval]
    consistency: dict[str, Consistency]
    examples: list[Example] = field(default_factory=list)
    beyond_control: dict[str, Interval] = field(default_factory=dict)
    recovered_looking_twice: dict[str, Interval] = field(default_factory=dict)
    harm_looking_twice: dict[str, Interval] = field(default_factory=dict)
    over: dict[str, dict[str, Interval]] = field(default_factory=dict)

    @property
    def over_first(self) -> dict[str, tuple[str, Interval]]:
        """Of what ``over`` has by deblurrer the first: its name, and the AP beyond its own."""
        return {name: next(iter(others.items())) for name, others in self.over.items()}


@dataclass(frozen=True, slots=True)
class DetectorRecord:
    """A detector of the run.

    Attributes:
        name: its name in the results.
        sha256: of its weights; of boxes from files, of the files on the sharp and the blurred pictures.
        class_names: every class that it can find, in its own order, whether or not ``--classes`` chose it. None in runs
            made before it was written down, as is the next.
        truth_sha256: of the truth in its class names: ``data.annotations.sha256`` of a run of this detector alone.
    """

    name: str
    sha256: str
    class_names: list[str] | None = None
    truth_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class BlurRecord:
    """A set of blurred pictures.

    Attributes:
        name: its name in the results: the blur's specification (``shake:16``), or the folder's name.
        kind: kind of synthetic blur, ``folder``, or ``boxes`` where nobody saw the pictures.
        length: severity in pixels of a picture with a long side of 640; None for a folder and for boxes.
        sha256: of all its pictures' pixels; for boxes, of their file.
    """

    name: str
    kind: str
    length: float | None
    sha256: str


@dataclass(frozen=True, slots=True)
class DeblurrerRecord:
    """A way of restoring pictures.

    Attributes:
        name: its name in the results.
        kind: ``network``, ``folder`` for pictures that another program restored, ``fused`` for boxes of two looks, or
            ``boxes`` for those of a file.
        sha256: of the weights, of all the folder's pictures' pixels, of the file of boxes, or of what is fused and how,
            of the control and of what is fused of a folder with the guide by which the second look has its size.
        ms_per_picture: median wall time of restoring one picture of this run, files not included, on the hardware of
            the last sitting; None for a folder, and where that restored nothing. A rough figure: ``experiments.speed``
            measures time properly.
        gmacs: multiply-accumulates of one 1280x720 picture in units of 10^9; None where not known, and where the
            picture decides how often a network runs: told the path, or searching for it.
        parameters: of the network; None where not known.
        consistent: of a network that is told the camera's path or searches for it, whether what it restores is made
            consistent with its picture (`deblur.exposure.consistency`); None of others, and in earlier runs.
        search: of one that searches for the path, the hash of what searches; None of others and of earlier runs.
        paths: of one that is told recorded paths, the hash of the records; None of others and of earlier runs.
        trust: of one that is told paths or searches for them, the hash of what tells where they are believed
            (`deblur.path_search.trust`); None of one that believes them everywhere, of others and of earlier runs.
    """

    name: str
    kind: Literal["network", "folder", "fused", "boxes"]
    sha256: str
    ms_per_picture: float | None = None
    gmacs: float | None = None
    parameters: int | None = None
    consistent: bool | None = None
    search: str | None = None
    paths: str | None = None
    trust: str | None = None

    @property
    def identity(self) -> tuple[str, bool | None, str | None, str | None, str | None]:
        """What it restores with: one name may stand for several weights, and these for several ways."""
        return self.sha256, self.consistent, self.search, self.paths, self.trust


@dataclass(frozen=True, slots=True)
class GainRun:
    """The content of ``metrics.json``.

    Attributes:
        protocol: how every figure was made; runs compare only where this is equal, ``detection.adapter`` where it is
            equal for the detectors of both (`experiments.gain.protocol.adapters`).
        data: what it was made on. ``sha256`` of truth and pictures together, and of each part in ``annotations``,
            ``sharp`` (None for real blur) and ``blurred`` (by blur); ``data_set`` and ``blur``, what the blurred
            pictures of a folder are (None where nobody says it, neither in earlier runs); ``n_pictures`` measured of
            ``n_annotated``; ``limit`` (the ``--limit`` that cut them, or None); ``n_without_annotation`` pictures left
            out, by folder; ``classes`` (None for all); ``reports`` by detector of how annotations were read. Runs
            compare only where the hashes are equal; that of the truth may differ by detectors that only one of them
            has.
        detectors: in the order of the command line, as are the other two.
        deblurrers: networks first, then folders, then what is fused.
        blurs: one for each set of blurred pictures.
        results: one for each detector and blur, detectors outermost.
    """

    protocol: dict[str, Any]
    data: dict[str, Any]
    detectors: list[DetectorRecord]
    deblurrers: list[DeblurrerRecord]
    blurs: list[BlurRecord]
    results: list[Result]

    def result(self, detector: str, blur: str) -> Result:
        """The record of one detector at one blur; KeyError where there is none."""
        for result in self.results:
            if (result.detector, result.blur) == (detector, blur):
                return result
        raise KeyError((detector, blur))

    def to_json(self) -> dict[str, Any]:
        """The document of ``metrics.json`` and ``--json``."""
        return {"task": TASK, "format": FORMAT} | dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The opposite of `to_json`."""
        return cls(
            protocol=content["protocol"],
            data=content["data"],
            detectors=[DetectorRecord(**record) for record in content["detectors"]],
            deblurrers=[DeblurrerRecord(**record) for record in content["deblurrers"]],
            blurs=[BlurRecord(**record) for record in content["blurs"]],
            results=[_result(record) for record in content["results"]],
        )


def _result(content: dict[str, Any]) -> Result:
    over = content.get("over") or {}
    return Result(
        detector=content["detector"],
        blur=content["blur"],
        arms={name: ArmScore(**score) for name, score in content["arms"].items()},
        recovered=_intervals(content["recovered"]),
        ap_difference=_intervals(content["ap_difference"]),
        harm=_intervals(content["harm"]),
        consistency={name: Consistency(**score) for name, score in content["consistency"].items()},
        examples=[Example(**example) for example in content["examples"]],
        beyond_control=_intervals(content.get("beyond_control") or {}),
        recovered_looking_twice=_intervals(content.get("recovered_looking_twice") or {}),
        harm_looking_twice=_intervals(content.get("harm_looking_twice") or {}),
        over={name: _intervals(others) for name, others in over.items()},
    )


def _intervals(content: dict[str, Any]) -> dict[str, Interval]:
    return {name: Interval(**interval) for name, interval in content.items()}
