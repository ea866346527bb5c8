"""What holds for every detector that teaches, whatever of it is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from detection.answers import DetectorAnswers
from detection.features import DetectorFeatures
from detection.objects import DetectorObjects

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from detection.teacher import FrozenDetector

    Blur = Callable[[torch.Tensor, int], torch.Tensor]


@pytest.fixture(scope="module", params=[DetectorFeatures, DetectorAnswers, DetectorObjects])
def teacher(request: pytest.FixtureRequest, yolo26n: Path) -> FrozenDetector:
    return request.param(yolo26n)


def test_a_step_moves_the_picture_and_never_the_detector(
    teacher: FrozenDetector, sharp: torch.Tensor, shaken: Blur
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


@pytest.mark.parametrize("height", [33, 64])
def test_a_batch_without_objects_has_a_finite_distance(teacher: FrozenDetector, height: int) -> None:
    grey = torch.full((1, 3, height, 64), 0.5, requires_grad=True)
    loss = teacher.distance(grey, torch.full((1, 3, height, 64), 0.4))
    loss.backward()
    assert loss.isfinite()
    assert grey.grad is not None
    assert grey.grad.isfinite().all()


class _FromElsewhere(DetectorObjects):
    """Its weights are copied when it is first moved, as by ``to`` a GPU."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        if not hasattr(self, "moved"):
            self.moved = True
            self._apply(torch.clone)
        return super().to(*args, **kwargs)


@pytest.mark.parametrize("kind", [DetectorObjects, _FromElsewhere])
def test_asking_without_gradients_first_does_not_spoil_training(kind: type[DetectorObjects], yolo26n: Path) -> None:
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
