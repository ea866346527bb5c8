"""What a run is made of, loaded and checked before the first file is written: a mistake leaves no folder behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deblur.blur.motion import check_kernels
from deblur.errors import DeblurError
from deblur.runs import printable
from detection.class_choice import check_classes
from experiments.common.data_sets import Prepared, from_manifest, refuse_blurred
from experiments.common.file_names import file_name_of
from experiments.common.recorded_paths import NO_PATHS, TELLS_NOBODY, RecordedPaths
from experiments.gain.inputs import Truths, check_sizes, match_folder, read_truths
from experiments.gain.records import CONTROL, fused_name, is_fused_name
from experiments.gain.scores import truths_by_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from detection.truth import GroundTruth
    from experiments.gain.settings import LoadedDeblurrer, LoadedDetector, Settings, Tools


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A run that can begin.

    Attributes:
        settings: what is asked for.
        detectors: loaded.
        deblurrers: the networks, loaded.
        truths: the pictures measured.
        files: folder of pictures to the file of each stem.
        n_unannotated: folder of pictures to how many have no annotation and are left out.
        paths: recorded ones of the blurred pictures; None where there are none.
        prepared: data set and blur of the blurred pictures, as far as they are known.
    """

    settings: Settings
    detectors: Sequence[LoadedDetector]
    deblurrers: Sequence[LoadedDeblurrer]
    truths: Truths
    files: Mapping[Path, Mapping[str, Path]]
    n_unannotated: Mapping[Path, int]
    paths: RecordedPaths | None
    prepared: Prepared

    @property
    def told(self) -> set[str]:
        """The names of the networks that are told the camera's path."""
        return {deblurrer.name for deblurrer in self.deblurrers if deblurrer.told}

    @property
    def sizing_guide(self) -> str | None:
        """Hash of the guide by which the control's second look has its size (`experiments.gain.fused`), if any."""
        return next((one.guide for one in self.deblurrers if not one.told and one.guide is not None), None)


def plan(settings: Settings, tools: Tools) -> Plan:
    """Load what the settings name and find every file, as far as that can be done without making anything.

    Raises:
        DeblurError: pictures, folders or names that do not fit together, or no object to score a detector on.
        DetectionError: annotations, weights or classes that cannot be used.
    """
    detectors = [tools.load_detector(name) for name in settings.detectors]
    _check_names("detectors", [loaded.detector.name for loaded in detectors], "call one otherwise, by NAME=FILE")
    for loaded in detectors:
        check_classes(settings.classes or (), loaded.detector.name, loaded.detector.class_names)
    deblurrers = [tools.load_deblurrer(name) for name in settings.deblurrers]
    names = [*(loaded.name for loaded in deblurrers), *(name for name, _ in settings.peers)]
    _refuse_fused_names(names)
    fused = [*map(fused_name, names), CONTROL] if settings.fuse else []
    _check_names("deblurrers", [*names, *fused], "call one otherwise, by NAME=FILE or NAME=DIR")
    _check_blurs(settings, deblurrers)
    class_names = {loaded.detector.name: loaded.detector.class_names for loaded in detectors}
    truths = read_truths(settings.annotations, class_names, settings.limit, settings.split)
    for name, truth in truths.by_detector.items():
        check_objects(settings, name, truth)
    given = [folder for folder in (settings.sharp, settings.blurred) if folder is not None]
    given += [peer_folder(settings, peer, blur) for _, peer in settings.peers for blur in settings.blur_names]
    found = {folder: match_folder(folder, truths) for folder in given}
    files = {folder: files for folder, (files, _) in found.items()}
    if settings.sharp is not None and settings.blurs:
        refuse_blurred(settings.sharp, files[settings.sharp].values())
    check_sizes(files.values(), truths.sizes)
    prepared = from_manifest(settings.blurred, settings.data_blur) if settings.blurred else Prepared(None, None)
    paths = None
    if settings.motions is not None and settings.blurred is not None:
        paths = RecordedPaths(settings.motions, files[settings.blurred])
    return Plan(
        settings,
        detectors,
        deblurrers,
        truths,
        files=files,
        n_unannotated={folder: count for folder, (_, count) in found.items()},
        paths=paths,
        prepared=prepared,
    )


def peer_folder(settings: Settings, peer: Path, blur: str) -> Path:
    """Where another program's pictures of one blur lie; with several blurs each has a folder."""
    return peer if len(settings.blur_names) == 1 else peer / file_name_of(blur)


def _refuse_fused_names(names: Sequence[str]) -> None:
    """Refuse what would be scored and shown as fused boxes, with ``--fuse`` or without."""
    taken = next((name for name in names if is_fused_name(name)), None)
    if taken is not None:
        raise DeblurError(
            f"no deblurrer may be called {taken!r}, as results call fused boxes: call it otherwise, by NAME=FILE or "
            "NAME=DIR"
        )


def _check_names(what: str, names: Sequence[str], remedy: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DeblurError(f"two {what} are called {twice[0]!r}: results go by name, so {remedy}")
    _check_files(what, names, remedy)


def check_objects(settings: Settings, detector: str, truth: GroundTruth) -> None:
    """Refuse annotations without an object that counts: every figure of the detector would be undefined.

    Raises:
        DeblurError: there is none; the message says why.
    """
    counts = truths_by_class(truth)
    if any(counts[name] for name in settings.classes or counts):
        return
    unlabelled = truth.report.get("pictures_without_label_file", ())
    if set(truth.stems) <= set(unlabelled):
        why = f"none has a label file, the first looked for is {truth.report['label_file_looked_for']}"
    elif counts:
        why = f"there are objects of {_listed([name for name, _ in counts.most_common()])}"
    elif any(map(len, truth.objects.values())):
        why = "there are only crowd regions and difficult ones, which do not count"
    elif truth.report["unknown_names"]:
        why = f"the annotations have classes that it does not know: {_listed(list(truth.report['unknown_names']))}"
    else:
        why = "they are without objects"
    asked = "" if settings.classes is None else f" of {_listed(settings.classes)}"
    raise DeblurError(
        f"{settings.annotations} has no object{asked} to score {detector} on in the {len(truth.stems)} pictures "
        f"measured: {why}"
    )


def _listed(names: Sequence[str], shown: int = 5) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more}"


def _check_files(what: str, names: Sequence[str], remedy: str) -> None:
    """Refuse names that results cannot hold, and two, not the same, that would have each other's pictures."""
    owners: dict[str, str] = {}
    for name in names:
        if printable(name) != name:
            raise DeblurError(
                f"{printable(name)} among the {what} is not UTF-8, in which results are written: {remedy}"
            )
        file = file_name_of(name)
        owner = owners.setdefault(file, name)
        if owner != name:
            raise DeblurError(f"the {what} {owner!r} and {name!r} would share the files of {file}: {remedy}")


def _check_blurs(settings: Settings, deblurrers: Sequence[LoadedDeblurrer]) -> None:
    names = settings.blur_names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DeblurError(f"--blur {twice} is there twice")
    _check_files("blurs", names, "rename one file of kernels" if settings.blurred is None else "rename the folder")
    for spec in settings.blurs:
        check_kernels(spec)
    told = [deblurrer.name for deblurrer in deblurrers if deblurrer.told]
    if told and settings.blurred is not None and settings.motions is None:
        raise DeblurError(f"{told[0]}: {NO_PATHS}")
    if settings.motions is not None and not told:
        raise DeblurError(TELLS_NOBODY)
