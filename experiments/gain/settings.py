"""What a detection-gain run is asked for, and how it gets its detectors and deblurrers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deblur.equal_files import resolved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deblur.blur import BlurSpec
    from detection.types import Detector
    from pipelines.motions import Motions


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that decide the figures; docs/detection-gain.md has them all.

    Attributes:
        annotations: COCO JSON, VOC folder or YOLO data file.
        sharp: folder of sharp pictures; None for real blur.
        blurred: folder of blurred pictures; None where ``blurs`` makes them.
        blurs: synthetic blurs, each a set of blurred pictures.
        deblurrers: names or files of networks.
        peers: (name, folder) of pictures that another program restored; with several blurs the folder holds one folder
            for each, named as in the run's cache.
        detectors: names or files, ``NAME=`` before them or not.
        classes: the classes to score; None for all of the detector's.
        resamples: of the bootstrap; 0 for no intervals.
        limit: the first so many pictures of the annotations; None for all.
        seed: of the synthetic blur and of the bootstrap.
        backend: COCO library.
        image_size: side of the square that the detector sees, in pixels.
        fuse: also look twice, the second time at the mirror image of what was restored, and score the boxes together.
        motions: recorded paths of the blurred pictures; None where nobody knows them, or ``blurs`` makes them.
        data_blur: what the blur of ``blurred`` is called; None for what the data set's manifest calls it.
        split: of a YOLO data file, ``train``, ``val`` or ``test``; None for ``val``, and where annotations have none.
    """

    annotations: Path
    sharp: Path | None = None
    blurred: Path | None = None
    blurs: tuple[BlurSpec, ...] = ()
    deblurrers: tuple[str, ...] = ()
    peers: tuple[tuple[str, Path], ...] = ()
    detectors: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    resamples: int = 1000
    limit: int | None = None
    seed: int = 0
    backend: str = "pycocotools"
    image_size: int = 640
    fuse: bool = False
    motions: Motions | None = None
    data_blur: str | None = None
    split: str | None = None

    @property
    def blur_names(self) -> tuple[str, ...]:
        """What results call the sets of blurred pictures."""
        folder = () if self.blurred is None else (resolved(self.blurred).name,)
        return (*folder, *map(str, self.blurs))


@dataclass(frozen=True, slots=True)
class LoadedDetector:
    """A detector, and what its boxes depend on beside its weights, the pictures and the protocol's own numbers."""

    detector: Detector
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadedDeblurrer:
    """A network that restores pictures.

    Attributes:
        name: what results call it.
        sha256: of its weights, or of whatever else decides what it gives: its restored pictures are kept in the run's
            cache by that, and another function under the same one is given those of the first.
        restore: RGB uint8 (H, W, 3) to the same; it returns when the result is there. One that is told the camera's
            path takes it beside the picture.
        settings: what the result depends on beside weights and picture.
        gmacs: 10^9 multiply-accumulates of one 1280x720 picture, None where not known.
        parameters: None where not known.
        told: whether the camera's path is given to it with every picture.
        guide: hash of the weights that see how long a blur is; None where it has none.
        runs_on: the hardware (`deblur.runs.hardware`), None where not known. The result does not depend on it, its
            time does.
    """

    name: str
    sha256: str
    restore: Callable[..., NDArray[np.uint8]]
    settings: dict[str, Any] = field(default_factory=dict)
    gmacs: float | None = None
    parameters: int | None = None
    told: bool = False
    guide: str | None = None
    runs_on: str | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """How names become detectors and deblurrers, also those of your own (docs/detection-gain.md)."""

    load_detector: Callable[[str], LoadedDetector]
    load_deblurrer: Callable[[str], LoadedDeblurrer]
