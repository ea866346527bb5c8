"""The protocol block of a run: how every figure was made. Runs compare only where it is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deblur.naming import GYROSCOPE, SEARCH
from deblur.scenes import units_of
from detection.fusion import BELIEVED, EVEN_SHARE, LONG_SPREAD, RESTORED_SHARE, SAME_OBJECT, SMALLER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from detection.types import Detections
    from experiments.gain.settings import LoadedDetector, Settings

DETECTION_CONFIDENCE = 0.001
DETECTION_IOU = 0.7
MAX_DETECTIONS = 300
CONFIDENT = 0.25  # boxes drawn, boxes of a picture's F1, and sharp boxes taken as reference by consistency
CONFIDENCE_OF_INTERVALS = 0.95


def detection_protocol(image_size: int) -> dict[str, Any]:
    """How every detector predicts on every arm."""
    return {
        "confidence": DETECTION_CONFIDENCE,
        "nms_iou": DETECTION_IOU,
        "max_detections": MAX_DETECTIONS,
        "image_size": image_size,
        "rounding": {"boxes": 0.001, "scores": 0.000001},
    }


def rounded(found: Detections) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes to 0.001 pixels and scores to 0.000001: the protocol's rounding."""
    boxes, scores = found.boxes.astype(np.float64), found.scores.astype(np.float64)
    return boxes.round(3), scores.round(6)


TOLD, FOUND = "share of a told path", "found the path"
"""Keys of `fusion_protocol` that stand there only where something is told a path, or searches for one."""


def fusion_protocol(*, told: bool, searched: bool) -> dict[str, Any]:
    """How the boxes of two looks become one list; with what is done along paths that are told, or searched for."""
    protocol: dict[str, Any] = {
        "of": "blurred and mirrored restored; told the path: restored and mirrored; harm: so of sharp pictures",
        "method": "weighted boxes fusion in pairs",
        "iou": SAME_OBJECT,
        "share_of_mirrored": {"by itself": RESTORED_SHARE, "told the path": EVEN_SHARE},
        "scale_of_mirrored": {"by itself": {"above": LONG_SPREAD, "scale": SMALLER, "below": 1}, "told the path": 1},
    }
    if told:
        protocol[TOLD] = {"least": BELIEVED, "below": "by itself"}
    if searched:
        protocol[FOUND] = {"least_share_of_path": BELIEVED, "of": "told the path", "scale": "by itself"}
    return protocol


def protocol_of(settings: Settings, detectors: Sequence[LoadedDetector], stems: Iterable[str]) -> dict[str, Any]:
    """The protocol of a run on the pictures ``stems``, with what each adapter says: once where all say the same."""
    adapters = {loaded.detector.name: loaded.settings for loaded in detectors}
    first = next(iter(adapters.values()))
    same = all(adapter == first for adapter in adapters.values())
    return {
        "detection": detection_protocol(settings.image_size) | {"adapter": first if same else adapters},
        **scoring_protocol(settings, stems),
        "fusion": fusion_protocol(
            told=any(name.endswith(GYROSCOPE) for name in settings.deblurrers),
            searched=any(name.endswith(SEARCH) for name in settings.deblurrers),
        ),
        "drawn_confidence": CONFIDENT,
        "restoration": {
            "psnr": "RGB, 8 bits, data range 255",
            "ssim": "scikit-image: gaussian_weights, sigma 1.5, use_sample_covariance False, data range 255, RGB",
        },
        "blur": {
            "specs": [str(spec) for spec in settings.blurs],
            "seed": settings.seed if settings.blurs else None,
        },
    }


def adapters(protocol: Mapping[str, Any], detectors: Collection[str]) -> dict[str, Any]:
    """What the adapter of each detector of a run says of itself, out of the run's protocol, by the detector's name."""
    said = protocol["detection"].get("adapter")
    by_name = isinstance(said, dict) and set(said) == set(detectors)
    return said if by_name else dict.fromkeys(detectors, said)


def scoring_protocol(settings: Settings, stems: Iterable[str]) -> dict[str, Any]:
    """The part of the protocol that says how boxes on the pictures ``stems`` become figures."""
    units = units_of(stems)
    return {
        "scoring": {
            "metric": "COCO AP: IoU .50:.05:.95, at most 100 boxes a class and picture",
            "backend": settings.backend,
            "classes": None if settings.classes is None else sorted(settings.classes),
        },
        "recovered": "(deblurred - blurred) / (sharp - blurred) in AP; null where sharp <= blurred",
        "harm": "AP sharp - AP sharp-through",
        "harm_looking_twice": "AP sharp - AP sharp-through, each of two looks and fused; of the first, of the control",
        "bootstrap": {
            "resamples": settings.resamples,
            "confidence": CONFIDENCE_OF_INTERVALS,
            "interval": "percentile, of AP basic",
            "unit": f"{units.name}, the same draws for every arm",
            "n_units": len(units),
            "seed": settings.seed,
        },
        "consistency": {"confidence": CONFIDENT, "reference": "the detector's own boxes on the sharp pictures"},
        "picture_score": {"metric": "F1, mean over IoU .50:.05:.95", "confidence": CONFIDENT},
        "psnr_mean": "over the pictures that no arm of the blur has exactly; sharp-through: that it changes",
    }
