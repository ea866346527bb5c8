from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from detection.teacher import DetectorTeacher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    Blur = Callable[[torch.Tensor, int], torch.Tensor]


@pytest.fixture(scope="module")
def teacher(yolo26n: Path) -> DetectorTeacher:
    return DetectorTeacher(yolo26n)


@pytest.mark.parametrize("name", ["yolo26n", "yolo11n", "yolov8n"])
def test_maps_are_those_that_the_head_reads(shared: Path, name: str) -> None:
    teacher = DetectorTeacher(shared / "weights" / f"{name}.pt")
    head = teacher.body.model[-1]
    read: list[torch.Tensor] = []
    head.register_forward_pre_hook(lambda _module, given: read.extend(given[0]))
    with torch.no_grad():
        found = teacher(torch.rand(2, 3, 40, 96))
    assert [tuple(score.shape) for _, score in found] == [(2, 1, 8, 12), (2, 1, 4, 6), (2, 1, 2, 3)]
    for (each, score), given in zip(found, read, strict=True):
        torch.testing.assert_close(each, given)
        assert 0 <= float(score.min()) <= float(score.max()) <= 1


def test_scores_lie_where_the_objects_are(teacher: DetectorTeacher, sharp: torch.Tensor) -> None:
    """Two men stand left and right, half the crop wide and as large as the last map's objects are."""
    with torch.no_grad():
        _, score = teacher(sharp)[2]
    columns = score[0, 0].amax(0)
    assert float(columns[2]) > 0.7
    assert float(columns[7]) > 0.7
    assert float(columns[5]) < 0.1


def test_the_same_picture_is_at_no_distance_and_blur_takes_it_further(
    teacher: DetectorTeacher, sharp: torch.Tensor, shaken: Blur
) -> None:
    with torch.no_grad():
        distances = [float(teacher.distance(shaken(sharp, length), sharp)) for length in (1, 3, 7, 15, 31)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert 0.1 < distances[2] < distances[-1] < 2


def test_a_crop_with_objects_counts_more_than_one_without(
    teacher: DetectorTeacher, bus: torch.Tensor, sharp: torch.Tensor, shaken: Blur
) -> None:
    batch = torch.cat([sharp, bus[None, :, 760:, 300:588]])
    soft = shaken(batch, 9)
    with torch.no_grad():
        people = teacher.distance(torch.stack([soft[0], batch[1]]), batch)
        road = teacher.distance(torch.stack([batch[0], soft[1]]), batch)
    assert people > 3 * road > 0


def test_a_step_moves_the_picture_and_never_the_detector(
    teacher: DetectorTeacher, sharp: torch.Tensor, shaken: Blur
) -> None:
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    assert any("running_mean" in name for name in before)
    restored = shaken(sharp, 9).requires_grad_()
    target = sharp.clone().requires_grad_()
    optimizer = torch.optim.Adam([restored, *teacher.parameters()], lr=2e-3)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        teacher.train()
        loss = teacher.distance(restored, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert target.grad is None
    assert not any(module.training for module in teacher.modules())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 47), (64, 64)])
def test_a_batch_of_any_size_and_without_objects_has_a_finite_distance(
    teacher: DetectorTeacher, height: int, width: int
) -> None:
    grey = torch.full((1, 3, height, width), 0.5, requires_grad=True)
    loss = teacher.distance(grey, torch.full((1, 3, height, width), 0.4))
    loss.backward()
    assert loss.isfinite()
    assert grey.grad is not None
    assert grey.grad.isfinite().all()


def test_autocast_does_not_reach_the_detector(teacher: DetectorTeacher, sharp: torch.Tensor) -> None:
    with torch.no_grad():
        plain = teacher(sharp)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for found, expected in zip(teacher(sharp), plain, strict=True):
                torch.testing.assert_close(found, expected)


def test_what_a_picture_lacks_to_whole_strides_is_grey_to_the_right_and_below(teacher: DetectorTeacher) -> None:
    picture = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    filled = torch.full((1, 3, 64, 64), 114 / 255)
    filled[..., :40, :50] = picture
    with torch.no_grad():
        for found, expected in zip(teacher(picture), teacher(filled), strict=True):
            torch.testing.assert_close(found, expected)


def test_pairs_have_one_shape(teacher: DetectorTeacher) -> None:
    with pytest.raises(ValueError, match="one shape"):
        teacher.distance(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 64))


class _FromElsewhere(DetectorTeacher):
    """Its weights are copied when it is first moved, as by ``to`` a GPU."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        if not hasattr(self, "moved"):
            self.moved = True
            self._apply(torch.clone)
        return super().to(*args, **kwargs)


@pytest.mark.parametrize("kind", [DetectorTeacher, _FromElsewhere])
def test_asking_without_gradients_first_does_not_spoil_training(kind: type[DetectorTeacher], yolo26n: Path) -> None:
    teacher = kind(yolo26n)
    restored, sharp = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        measured = teacher.distance(restored.clone(), sharp.clone())
    assert not measured.requires_grad
    restored.requires_grad_()
    loss = teacher.distance(restored, sharp)
    loss.backward()
    assert loss.item() == pytest.approx(measured.item())
    assert restored.grad is not None
    with torch.no_grad():
        assert not teacher.distance(restored, sharp).requires_grad
