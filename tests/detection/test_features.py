from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from detection.errors import DetectionError
from detection.features import DetectorFeatures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Blur = Callable[[torch.Tensor, int], torch.Tensor]


@pytest.fixture(scope="module")
def features(yolo26n: Path) -> DetectorFeatures:
    return DetectorFeatures(yolo26n)


@pytest.fixture(scope="module")
def sharp(bus: torch.Tensor) -> torch.Tensor:
    """Two crops, (2, 3, 192, 160) in [0, 1]."""
    return torch.stack([bus[:, 400:592, 40:200], bus[:, 400:592, 600:760]])


@pytest.mark.parametrize("name", ["yolo26n", "yolo11n", "yolov8n"])
def test_maps_come_from_the_ends_of_the_stages(shared: Path, name: str) -> None:
    features = DetectorFeatures(shared / "weights" / f"{name}.pt")
    assert features.layers == {4: 2, 8: 4, 16: 6}
    assert len(features.body) == 7
    with torch.no_grad():
        maps = features(torch.rand(2, 3, 64, 96))
    assert [tuple(found.shape[-2:]) for found in maps] == [(16, 24), (8, 12), (4, 6)]
    assert features.name == name


def test_maps_are_those_of_the_whole_network(features: DetectorFeatures, yolo26n: Path, sharp: torch.Tensor) -> None:
    from detection.yolo import load_network

    network = load_network(yolo26n)
    seen: dict[int, torch.Tensor] = {}
    for index in features.layers.values():
        network.model[index].register_forward_hook(lambda _m, _i, output, index=index: seen.update({index: output}))
    with torch.no_grad():
        network(sharp)
        for found, index in zip(features(sharp), features.layers.values(), strict=True):
            torch.testing.assert_close(found, seen[index])


def test_the_same_picture_is_at_no_distance_and_blur_takes_it_further(
    features: DetectorFeatures, sharp: torch.Tensor, shaken: Blur
) -> None:
    with torch.no_grad():
        distances = [float(features.distance(shaken(sharp, length), sharp)) for length in (1, 3, 7, 15, 31)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[1] > 0.05
    assert distances[-1] < 2


def test_each_stride_counts_alike(yolo26n: Path, features: DetectorFeatures, sharp: torch.Tensor, shaken: Blur) -> None:
    with torch.no_grad():
        soft = shaken(sharp, 7)
        single = [DetectorFeatures(yolo26n, strides=[stride]).distance(soft, sharp) for stride in (4, 8, 16)]
        torch.testing.assert_close(features.distance(soft, sharp), torch.stack(single).mean())


def test_the_gradient_reaches_every_place_of_the_restored_picture(
    features: DetectorFeatures, sharp: torch.Tensor, shaken: Blur
) -> None:
    restored = shaken(sharp, 9).requires_grad_()
    features.distance(restored, sharp).backward()
    assert restored.grad is not None
    assert restored.grad.isfinite().all()
    assert (restored.grad.abs().amax(dim=1) > 0).float().mean() > 0.99


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 47), (100, 64)])
def test_any_size(features: DetectorFeatures, height: int, width: int) -> None:
    pictures = torch.rand(1, 3, height, width, requires_grad=True)
    loss = features.distance(pictures, torch.rand(1, 3, height, width))
    loss.backward()
    assert loss > 0
    assert pictures.grad is not None
    assert pictures.grad.isfinite().all()


def test_autocast_does_not_reach_the_detector(features: DetectorFeatures, sharp: torch.Tensor) -> None:
    with torch.no_grad():
        plain = features(sharp)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for found, expected in zip(features(sharp), plain, strict=True):
                torch.testing.assert_close(found, expected)


def test_mistakes_are_told(yolo26n: Path, features: DetectorFeatures) -> None:
    with pytest.raises(DetectionError, match=r"strides \[2, 4, 8, 16, 32\], not at \[3\]"):
        DetectorFeatures(yolo26n, strides=[3])
    with pytest.raises(ValueError, match="one shape"):
        features.distance(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 64))
