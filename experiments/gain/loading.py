"""The real detectors and deblurrers of a run."""

from __future__ import annotations

from deblur.naming import GYROSCOPE
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
        from deblur.deblurrer import load_told
        from deblur.exposure import kernels
        from deblur.networks import config_from_dict
        from deblur.networks.cost import cost_of
        from deblur.runs import hardware
        from deblur.working_size import LONGEST_SPREAD

        deblurrer, told = load_told(name, device, image_size)
        parameters, macs = cost_of(config_from_dict(deblurrer.card["network"]), *COST_SIZE)
        settings = {
            "network": deblurrer.card["network"],
            "max_pixels": deblurrer.max_pixels,
            "seen_side": deblurrer.seen_side,
            "looks_first": {"sharp": kernels.SHARP, "longest_spread": LONGEST_SPREAD} if deblurrer.takes_path else None,
        }
        if told:
            settings["path"] = GYROSCOPE
        if deblurrer.search is not None:
            settings["search"] = deblurrer.search.describe()
        if told or deblurrer.search is not None:  # along a path, given or found
            settings["consistent"] = deblurrer.consistent
            if deblurrer.trust is not None:
                settings["trust"] = deblurrer.trust.describe()
        return LoadedDeblurrer(
            deblurrer.name + GYROSCOPE * told,
            deblurrer.sha256,
            deblurrer,
            settings,
            # Told a path, it restores once or twice; a search is several networks, as often as the picture asks for.
            None if told or deblurrer.search is not None else macs / 1e9,
            parameters if deblurrer.search is None else None,
            told=told,
            guide=deblurrer.guide_sha256,
            runs_on=hardware(device),
        )

    return Tools(load_detector, load_deblurrer)
