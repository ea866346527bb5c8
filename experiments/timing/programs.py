"""The programs that ``experiments.speed`` times: deblurrers, untrained networks, detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deblur.devices import resolve_device
from deblur.errors import DeblurError
from deblur.naming import parse_deblurrer
from experiments.timing.alternating import Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deblur.blur import BlurSpec

KINDS = ("deblurrer", "network", "detector")


def load_program(kind: str, name: str, device: str, blur: BlurSpec) -> Program:
    """A program by its kind and its name on the command line.

    Args:
        kind: ``deblurrer`` (released weights, uint8 picture in, uint8 picture out), ``network`` (a named config with
            random weights, tensor in, tensor out) or ``detector`` (YOLO weights, uint8 picture in, boxes out).
        name: a name or a file; a deblurrer's as `deblur.naming.parse_deblurrer` reads it.
        device: auto, cpu, cuda, cuda:N or mps.
        blur: of the pictures that a deblurrer is given: a guided network leaves sharp ones as they are.

    Raises:
        DeblurError, DetectionError: there is no such thing.
    """
    if kind == "deblurrer":
        return _deblurrer(name, device, blur)
    return {"network": _network, "detector": _detector}[kind](name, device)


def photograph(width: int, height: int) -> NDArray[np.uint8]:
    """A real photograph (scikit-image's rocket, SpaceX, CC0) of the size asked for, RGB uint8 (H, W, 3).

    Larger sizes show it beside its mirror images: scaled up it would be no sharp picture.
    """
    from PIL import Image
    from skimage.data import rocket

    picture = rocket()
    shown = min(width, picture.shape[1]), min(height, picture.shape[0])
    picture = np.asarray(Image.fromarray(picture).resize(shown, Image.Resampling.LANCZOS))
    return np.pad(picture, ((0, height - shown[1]), (0, width - shown[0]), (0, 0)), mode="symmetric")


def _deblurrer(name: str, device: str, blur: BlurSpec) -> Program:
    from deblur.blur import synthesize
    from deblur.deblurrer import load_told
    from deblur.exposure.paths import felt_path

    deblurrer, told = load_told(name, device)

    def prepare(picture: NDArray[np.uint8]) -> tuple[Any, ...]:
        height, width = picture.shape[:2]
        blurred = synthesize(picture, blur, 0, "speed")
        return (blurred, felt_path(blur, 0, "speed", width, height)) if told else (blurred,)

    def restore(given: tuple[Any, ...]) -> NDArray[np.uint8]:
        return deblurrer(*given)

    said = deblurrer.describe()
    del said["name"]
    facts = {"weights": deblurrer.card["name"], **said, "dtype": "float32", "in_out": "uint8, uint8", "blur": str(blur)}
    return Program(parse_deblurrer(name).name, name, "deblurrer", deblurrer.device, prepare, restore, facts)


def _network(name: str, device: str) -> Program:
    from deblur.networks import build, named_config
    from deblur.networks.kernel_estimator import KernelEstimatorConfig

    where = resolve_device(device)
    config = named_config(name)
    if isinstance(config, KernelEstimatorConfig):
        raise DeblurError(f"--network {name} estimates blur and restores no pictures: give a network that restores")
    network: Any = build(config).eval().requires_grad_(False)
    network = network.to(where, memory_format=torch.channels_last)

    def prepare(picture: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(picture).to(where).permute(2, 0, 1)[None].float() / 255

    @torch.inference_mode()
    def run(x: torch.Tensor) -> torch.Tensor:
        return network(x, finest_only=True).picture

    parameters = sum(parameter.numel() for parameter in network.parameters())
    facts = {"weights": "random", "parameters": parameters, "dtype": "float32", "in_out": "tensor, tensor"}
    return Program(name, name, "network", where, prepare, run, facts)


def _detector(name: str, device: str) -> Program:
    from detection.yolo import YoloDetector

    detector = YoloDetector(name, device=device)
    said = detector.describe()
    facts = {
        "weights": detector.name,
        "sha256": detector.sha256,
        "dtype": said["precision"],
        "image_size": said["image_size"],
        "in_out": "uint8, boxes",
    }
    return Program(detector.name, name, "detector", detector.device, lambda picture: [picture], detector, facts)
