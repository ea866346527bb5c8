"""The arms of a run: which pictures each has, and the boxes and restoration scores of every picture, each made once."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

from deblur.blur import BlurSpec, synthesize
from deblur.blur.motion import kernels_sha256
from deblur.errors import DeblurError
from deblur.exposure.paths import felt_path
from deblur.outcome import Outcome
from detection.types import Detections
from experiments.common.cache import Cache, key_of
from experiments.common.file_names import file_name_of
from experiments.common.picture_scores import restoration_scores
from experiments.gain.fused import FusedSet, SecondSet, add_fused, fused_boxes
from experiments.gain.inputs import hash_of_set
from experiments.gain.picture_sets import FolderSet, MadeSet, PictureSet
from experiments.gain.plan import peer_folder
from experiments.gain.protocol import rounded
from experiments.gain.records import BLURRED, SHARP, BlurRecord, deblurred_arm, sharp_through_arm
from pipelines.chain import restore_with

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from experiments.common.recorded_paths import PathOf
    from experiments.gain.plan import Plan
    from experiments.gain.scores import Key
    from experiments.gain.settings import LoadedDeblurrer, LoadedDetector

NO_BLUR = BlurSpec(kind="none", length=0)
CHUNK = 8  # pictures in memory at a time, and handed to a detector together


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """Every set of pictures of a run.

    Attributes:
        sharp: None for real blur.
        through: deblurrer to sharp pictures put through it; empty without sharp pictures.
        blurred: blur to pictures.
        deblurred: (blur, deblurrer) to pictures, networks, peers, and what is fused of them.
        sizes: (width, height) by stem; of every picture once its sharp or blurred one has been read.
    """

    sharp: PictureSet | None
    through: Mapping[str, PictureSet]
    blurred: Mapping[str, PictureSet]
    deblurred: Mapping[tuple[str, str], PictureSet]
    sizes: Mapping[str, tuple[int, int]]

    @property
    def sets(self) -> list[PictureSet]:
        """All of them, each after what it is made from."""
        first = [] if self.sharp is None else [self.sharp]
        return [*first, *self.through.values(), *self.blurred.values(), *self.deblurred.values()]

    def of_blur(self, blur: str) -> list[PictureSet]:
        """The sets of one blur, and those that belong to every blur."""
        return [pictures for pictures in self.sets if pictures.blur in {"", blur}]


def build_arms(plan: Plan, cache: Cache, folder: Path) -> Arms:
    """The sets of pictures of every arm, those that are there and those that are made from them; nothing is made yet.

    Args:
        plan: of the run.
        cache: of the run.
        folder: for pictures that are made; the blurred ones are in ``blurred/BLUR``.
    """
    settings = plan.settings
    sizes = plan.truths.sizes

    def there(arm: str, blur: str, pictures: Path) -> FolderSet:
        return FolderSet(arm, blur, plan.files[pictures], sizes)

    sharp = None if settings.sharp is None else there(SHARP, "", settings.sharp)
    blurred: dict[str, PictureSet] = {}
    if settings.blurred is not None:
        (name,) = settings.blur_names
        blurred[name] = there(BLURRED, name, settings.blurred)
    elif sharp is not None:
        blurred |= {str(spec): _synthetic(spec, settings.seed, sharp, folder, cache) for spec in settings.blurs}

    specs = {str(spec): spec for spec in settings.blurs}

    def restored(deblurrer: LoadedDeblurrer, arm: str, source: PictureSet) -> MadeSet:
        ingredients = {"deblurrer": deblurrer.sha256, "settings": deblurrer.settings}
        place = folder / file_name_of(arm) / file_name_of(source.blur)
        spec = specs.get(source.blur, NO_BLUR)
        path_of: PathOf = partial(felt_path, spec, settings.seed)
        if deblurrer.told and plan.paths is not None and source.blur:
            path_of = plan.paths
            ingredients["paths"] = plan.paths.sha256

        def make(pixels: NDArray[np.uint8], stem: str) -> Outcome:
            height, width = pixels.shape[:2]
            path = path_of(stem, width, height) if deblurrer.told else None
            return restore_with(deblurrer.restore, pixels, path)

        return MadeSet(arm, source.blur, source, place, cache, ingredients, make, deblurrer.runs_on)

    deblurred: dict[tuple[str, str], PictureSet] = {}
    through: dict[str, PictureSet] = {}
    for deblurrer in plan.deblurrers:
        if sharp is not None:
            through[deblurrer.name] = restored(deblurrer, sharp_through_arm(deblurrer.name), sharp)
        for blur, source in blurred.items():
            deblurred[blur, deblurrer.name] = restored(deblurrer, deblurred_arm(deblurrer.name), source)
    for name, peer in settings.peers:
        for blur in blurred:
            deblurred[blur, name] = there(deblurred_arm(name), blur, peer_folder(settings, peer, blur))
    if settings.fuse:
        add_fused(sharp, through, blurred, deblurred, plan.told)
    return Arms(sharp, through, blurred, deblurred, sizes)


def _synthetic(spec: BlurSpec, seed: int, sharp: PictureSet, folder: Path, cache: Cache) -> MadeSet:
    def make(pixels: NDArray[np.uint8], stem: str) -> Outcome:
        return Outcome(synthesize(pixels, spec, seed, stem))

    place = folder / BLURRED / file_name_of(str(spec))
    return MadeSet(BLURRED, str(spec), sharp, place, cache, {"blur": _blur_ingredients(spec), "seed": seed}, make)


def _blur_ingredients(spec: BlurSpec) -> dict[str, Any]:
    """What synthetic blur depends on: its specification, and the content of a file of kernels."""
    return dataclasses.asdict(spec) | {"kernels_sha256": kernels_sha256(spec.kernels) if spec.kernels else None}


def describe_blurs(arms: Arms, blurs: Sequence[BlurSpec], stems: Sequence[str]) -> list[BlurRecord]:
    """The blurs of a run with the hashes of their pictures, which are made if need be."""
    specs = {str(spec): spec for spec in blurs}
    records = []
    for name, pictures in arms.blurred.items():
        spec = specs.get(name)
        digest = hash_of_set({stem: pictures.sha256(stem) for stem in stems})
        kind, length = ("folder", None) if spec is None else (spec.kind, spec.length)
        records.append(BlurRecord(name, kind, length, digest))
    return records


class Bench:
    """Detects and compares: each (detector, picture) and each (picture, sharp picture) once, by their hashes."""

    def __init__(self, arms: Arms, detectors: Sequence[LoadedDetector], protocol: Mapping[str, Any], cache: Cache):
        self._arms = arms
        self._sets = {(pictures.blur, pictures.arm): pictures for pictures in arms.sets}
        self._detectors = detectors
        self._protocol = dict(protocol)
        self._cache = cache

    def work(self, stems: Sequence[str], done: Callable[[int], None]) -> None:
        """Make, detect and compare all that is not in the cache yet.

        Args:
            stems: the pictures.
            done: told after every step how many (picture, arm) pairs it was.

        Raises:
            DeblurError: a picture cannot be read, or has another size than the others of its stem.
        """
        for start in range(0, len(stems), CHUNK):
            chunk = stems[start : start + CHUNK]
            for pictures in self._arms.sets:
                # What else is looked at for fused boxes is the picture set of another arm.
                seen = pictures.second if isinstance(pictures, FusedSet) else pictures
                for loaded in self._detectors:
                    self._detect(loaded, seen, chunk)
                if self._arms.sharp is not None and pictures is not self._arms.sharp:
                    for stem in chunk:
                        self._against_sharp(pictures, stem)
                done(len(chunk))

    def detections(self, loaded: LoadedDetector, pictures: PictureSet, stem: str) -> Detections:
        """The boxes on one picture, boxes rounded to 0.001 pixels and scores to 0.000001, as they are saved."""
        if isinstance(pictures, FusedSet):
            one, other = (self.detections(loaded, seen, stem) for seen in (pictures.first(stem), pictures.second))
            return fused_boxes(one, other, pictures.looks(stem).share)
        value = self._cache.get("detections", self._detection_key(loaded, pictures, stem))
        if value is None:
            self._detect(loaded, pictures, [stem])
            value = self._cache.get("detections", self._detection_key(loaded, pictures, stem))
        if value is None:
            raise DeblurError(f"{self._cache.folder} does not keep what is written there: is the disk full?")
        names = loaded.detector.class_names
        found = Detections.ordered(value["boxes"], value["scores"], [names[index] for index in value["classes"]])
        if isinstance(pictures, SecondSet):
            return pictures.looks(stem).back(found, *self._arms.sizes[stem])
        return found

    def restoration(self, key: Key, stem: str) -> Mapping[str, float | None]:
        """Of one picture of an arm against the sharp one, as `experiments.gain.scores.RestorationScores` says."""
        pictures = self._sets[key]
        compared = self._arms.sharp is not None and pictures is not self._arms.sharp
        return self._against_sharp(pictures, stem) if compared else {"psnr": None, "ssim": None}

    def _against_sharp(self, pictures: PictureSet, stem: str) -> dict[str, float | None]:
        """``psnr`` (None for an exact match) and ``ssim`` of one picture against the sharp one, which must be there."""
        assert self._arms.sharp is not None
        sharp = self._arms.sharp
        key = key_of(sharp=sharp.sha256(stem), picture=pictures.sha256(stem))
        value = self._cache.get("restoration", key)
        if value is None:
            value = restoration_scores(pictures.pixels(stem), sharp.pixels(stem))
            self._cache.put("restoration", key, value)
        return value

    def _detect(self, loaded: LoadedDetector, pictures: PictureSet, stems: Sequence[str]) -> None:
        keys = {stem: self._detection_key(loaded, pictures, stem) for stem in stems}
        missing = [stem for stem in stems if self._cache.get("detections", keys[stem]) is None]
        if not missing:
            return
        index_of = {name: index for index, name in enumerate(loaded.detector.class_names)}
        found = loaded.detector([pictures.pixels(stem) for stem in missing])
        for stem, detections in zip(missing, found, strict=True):
            boxes, scores = rounded(detections)
            value = {
                "boxes": boxes.tolist(),
                "scores": scores.tolist(),
                "classes": [index_of[name] for name in detections.class_names],
            }
            self._cache.put("detections", keys[stem], value)

    def _detection_key(self, loaded: LoadedDetector, pictures: PictureSet, stem: str) -> str:
        return key_of(
            detector=loaded.detector.sha256,
            settings=loaded.settings,
            protocol=self._protocol,
            picture=pictures.sha256(stem),
        )
