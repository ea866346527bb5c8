"""Real photographs for the tests of this room."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@pytest.fixture(scope="session")
def photographs() -> dict[str, np.ndarray]:
    """The two photographs that come with ultralytics, ``bus`` (810x1080) and ``zidane`` (1280x720); RGB uint8."""
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "assets"
    return {name: np.array(Image.open(folder / f"{name}.jpg").convert("RGB")) for name in ("bus", "zidane")}


@pytest.fixture(scope="session")
def bus(photographs: Mapping[str, np.ndarray]) -> torch.Tensor:
    """The photograph of a bus as training sees it, (3, 1080, 810) RGB in [0, 1]."""
    return torch.from_numpy(photographs["bus"]).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="session")
def sharp(bus: torch.Tensor) -> torch.Tensor:
    """A crop with people and a bus, (1, 3, 320, 288) in [0, 1]."""
    return bus[None, :, 400:720, 40:328]


@pytest.fixture(scope="session")
def shaken() -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Pictures (B, 3, H, W) blurred along their rows by an odd number of pixels."""

    def blur(pictures: torch.Tensor, length: int) -> torch.Tensor:
        return F.avg_pool2d(pictures, (1, length), stride=1, padding=(0, length // 2), count_include_pad=False)

    return blur
