from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from detection.answers import DetectorAnswers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Blur = Callable[[torch.Tensor, int], torch.Tensor]


@pytest.fixture(scope="module")
def answers(yolo26n: Path) -> DetectorAnswers:
    return DetectorAnswers(yolo26n)


@pytest.mark.parametrize(("name", "heads", "sides"), [("yolo26n", 2, 4), ("yolo11n", 1, 64), ("yolov8n", 1, 64)])
def test_every_head_answers(shared: Path, name: str, heads: int, sides: int) -> None:
    with torch.no_grad():
        found = DetectorAnswers(shared / "weights" / f"{name}.pt")(torch.rand(2, 3, 40, 96))
    anchors = (64 * 96) // 64 + (64 * 96) // 256 + (64 * 96) // 1024
    assert [(scores.shape, boxes.shape) for scores, boxes in found] == heads * [((2, 80, anchors), (2, sides, anchors))]


def test_the_same_picture_is_at_no_distance_and_blur_takes_it_further(
    answers: DetectorAnswers, sharp: torch.Tensor, shaken: Blur
) -> None:
    with torch.no_grad():
        distances = [float(answers.distance(shaken(sharp, length), sharp)) for length in (1, 7, 31)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[-1] > 0.5


def test_objects_count_and_background_does_not(answers: DetectorAnswers, sharp: torch.Tensor, shaken: Blur) -> None:
    """Blur on people and a bus takes the answers further than blur on a patch of road."""
    with torch.no_grad():
        soft = shaken(sharp, 9)
        people, road = sharp.clone(), sharp.clone()
        people[..., 0:160, :] = soft[..., 0:160, :]
        road[..., 304:320, 0:16] = soft[..., 304:320, 0:16]
        assert answers.distance(people, sharp) > 4 * answers.distance(road, sharp)


def test_pairs_have_one_shape(answers: DetectorAnswers) -> None:
    with pytest.raises(ValueError, match="one shape"):
        answers.distance(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 64))
