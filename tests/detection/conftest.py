"""Real photographs for the tests of this room."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def photographs() -> dict[str, np.ndarray]:
    """The two photographs that come with ultralytics, ``bus`` (810x1080) and ``zidane`` (1280x720); RGB uint8."""
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "assets"
    return {name: np.array(Image.open(folder / f"{name}.jpg").convert("RGB")) for name in ("bus", "zidane")}
