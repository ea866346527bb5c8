"""What the tests of scoring share: truth and predictions written in a line, and imperfect predictions of any truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest

from detection.annotations.builder import TruthBuilder
from detection.types import Detections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detection.annotations.records import GroundTruth

Box = tuple[float, float, float, float]


class MakeTruth(Protocol):
    def __call__(self, objects: Mapping[str, Sequence[tuple[str, Box]]], **marks: bool) -> GroundTruth: ...


class MakeDetections(Protocol):
    def __call__(self, *rows: tuple[str, Box, float]) -> Detections: ...


class Perturb(Protocol):
    def __call__(self, truth: GroundTruth, seed: int, noise: float = 4.0) -> dict[str, Detections]: ...


@pytest.fixture(scope="session")
def make_truth() -> MakeTruth:
    """Truth of the classes cat and dog on pictures of 100x100, from stem to [(class, box), ...]."""

    def make(objects: Mapping[str, Sequence[tuple[str, Box]]], **marks: bool) -> GroundTruth:
        builder = TruthBuilder("made up", "coco", ("cat", "dog"), repair=False)
        for stem, rows in objects.items():
            builder.add_picture(f"{stem}.jpg", 100, 100)
            for name, box in rows:
                builder.add_object(stem, name, box, **marks)
        return builder.finish(strict=True)

    return make


@pytest.fixture(scope="session")
def found() -> MakeDetections:
    """Detections from (class, box, score) rows."""

    def make(*rows: tuple[str, Box, float]) -> Detections:
        return Detections.ordered([row[1] for row in rows], [row[2] for row in rows], [row[0] for row in rows])

    return make


@pytest.fixture(scope="session")
def perturb() -> Perturb:
    """Four in five of the objects, their edges off by some pixels, among up to 20 false boxes a picture."""

    def make(truth: GroundTruth, seed: int, noise: float = 4.0) -> dict[str, Detections]:
        generator = np.random.default_rng(seed)
        predictions = {}
        for stem, objects in truth.objects.items():
            kept = np.flatnonzero(generator.random(len(objects)) < 0.8)
            false = int(generator.integers(0, 21))
            corners = generator.uniform(0, 300, (false, 2))
            boxes = np.concatenate(
                [
                    objects.boxes[kept] + generator.normal(0, noise, (len(kept), 4)),
                    np.concatenate([corners, corners + generator.uniform(5, 200, (false, 2))], axis=1),
                ]
            )
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
            names = [objects.class_names[index] for index in kept]
            present = sorted(set(objects.class_names)) or list(truth.class_names)
            names += [str(name) for name in generator.choice(present, false)]
            scores = np.concatenate([generator.uniform(0.2, 1, len(kept)), generator.uniform(0, 0.7, false)])
            predictions[stem] = Detections.ordered(boxes, scores, names)
        return predictions

    return make
