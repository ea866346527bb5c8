"""The real detectors and deblurrers of a run."""

from __future__ import annotations

from typing import Any

from experiments.gain.protocol import DETECTION_CONFIDENCE, DETECTION_IOU, MAX_DETECTIONS
from experiments.gain.settings import LoadedDeblurrer, LoadedDetector, Tools

COST_SIZE = (1280, 720)  # width and height of the picture that a network's cost is given for


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
        return LoadedDetector(detector, {key: said[key] for key in ("letterbox", "head", "precision")})

    def load_deblurrer(name: str) -> LoadedDeblurrer:
        from deblur.deblurrer import Deblurrer

        deblurrer = Deblurrer.load(name, device=device)
        gmacs, parameters = cost_of(deblurrer.card["network"])
        settings = {"network": deblurrer.card["network"], "max_pixels": deblurrer.max_pixels}
        return LoadedDeblurrer(deblurrer.name, deblurrer.sha256, deblurrer, settings, gmacs, parameters)

    return Tools(load_detector, load_deblurrer)


def cost_of(network: dict[str, Any]) -> tuple[float, int]:
    """Cost of a network by its configuration, without computing anything.

    Args:
        network: the configuration as a card holds it (`deblur.networks.config_to_dict`).

    Returns:
        10^9 multiply-accumulates of one picture of `COST_SIZE`, and the number of parameters.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from deblur.networks import build, config_from_dict

    with torch.device("meta"):
        built = build(config_from_dict(network)).eval()
        width, height = COST_SIZE
        picture = torch.zeros(1, 3, height, width)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        built(picture)
    # The counter has two operations for a multiply-accumulate.
    return counter.get_total_flops() / 2 / 1e9, sum(parameter.numel() for parameter in built.parameters())
