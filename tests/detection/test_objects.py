from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from detection.objects import DetectorObjects

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Blur = Callable[[torch.Tensor, int], torch.Tensor]


@pytest.fixture(scope="module")
def objects(yolo26n: Path) -> DetectorObjects:
    return DetectorObjects(yolo26n)


@pytest.mark.parametrize("name", ["yolo26n", "yolo11n", "yolov8n"])
def test_maps_are_those_that_the_head_reads(shared: Path, name: str) -> None:
    objects = DetectorObjects(shared / "weights" / f"{name}.pt")
    head = objects.body.model[-1]
    read: list[torch.Tensor] = []
    head.register_forward_pre_hook(lambda _module, given: read.extend(given[0]))
    with torch.no_grad():
        found = objects(torch.rand(2, 3, 40, 96))
    assert [tuple(score.shape) for _, score in found] == [(2, 1, 8, 12), (2, 1, 4, 6), (2, 1, 2, 3)]
    for (each, score), given in zip(found, read, strict=True):
        torch.testing.assert_close(each, given)
        assert 0 <= float(score.min()) <= float(score.max()) <= 1


def test_scores_lie_where_the_objects_are(objects: DetectorObjects, sharp: torch.Tensor) -> None:
    """Two men stand left and right, half the crop wide and as large as the last map's objects are."""
    with torch.no_grad():
        _, score = objects(sharp)[2]
    columns = score[0, 0].amax(0)
    assert float(columns[2]) > 0.7
    assert float(columns[7]) > 0.7
    assert float(columns[5]) < 0.1


def test_the_same_picture_is_at_no_distance_and_blur_takes_it_further(
    objects: DetectorObjects, sharp: torch.Tensor, shaken: Blur
) -> None:
    with torch.no_grad():
        distances = [float(objects.distance(shaken(sharp, length), sharp)) for length in (1, 3, 7, 15, 31)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert 0.1 < distances[2] < distances[-1] < 2


def test_a_crop_with_objects_counts_more_than_one_without(
    objects: DetectorObjects, bus: torch.Tensor, sharp: torch.Tensor, shaken: Blur
) -> None:
    batch = torch.cat([sharp, bus[None, :, 760:, 300:588]])
    soft = shaken(batch, 9)
    with torch.no_grad():
        people = objects.distance(torch.stack([soft[0], batch[1]]), batch)
        road = objects.distance(torch.stack([batch[0], soft[1]]), batch)
    assert people > 3 * road > 0
