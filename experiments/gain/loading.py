"""The real detectors and deblurrers of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.gain.protocol import DETECTION_CONFIDENCE, DETECTION_IOU, MAX_DETECTIONS
from experiments.gain.settings import LoadedDeblurrer, LoadedDetector, Tools

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def tools_on(device: str, image_size: int) -> Tools:
    """YOLO detectors under the protocol and `deblur.Deblurrer` networks, on one device."""

    def load_detector(name: str) -> LoadedDetector:
        from detection.yolo import YoloDetector

        detector = YoloDetector(
            name,
            device=device,
            image_size=image_size,
            confidence=DETECTION_CONFIDENCE,
            iou=DETECTION_IOU,
            max_detections=MAX_DETECTIONS,
        )
        said = detector.describe()
        return LoadedDetector(detector, {key: said[key] for key in sorted(said.keys() - {"name", "sha256"})})

    def load_deblurrer(name: str) -> LoadedDeblurrer:
        from deblur.deblurrer import Deblurrer

        deblurrer = Deblurrer.load(name, device=device)

        def restore(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return deblurrer(picture)

        return LoadedDeblurrer(deblurrer.name, deblurrer.sha256, restore)

    return Tools(load_detector, load_deblurrer)
