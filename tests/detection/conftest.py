"""Real weights and real photographs for the tests of this room."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.errors import DetectionError
from detection.weights import find_weights


@pytest.fixture(scope="session")
def yolo26n(request: pytest.FixtureRequest) -> Path:
    """The official weights: of the shared data, or found as a user's are; skipped where there is no way to them."""
    try:
        return request.getfixturevalue("shared") / "weights" / "yolo26n.pt"
    except pytest.skip.Exception:
        pass
    try:
        return find_weights("yolo26n")
    except DetectionError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def photographs() -> dict[str, np.ndarray]:
    """The two photographs that come with ultralytics, ``bus`` (810x1080) and ``zidane`` (1280x720); RGB uint8."""
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "assets"
    return {name: np.array(Image.open(folder / f"{name}.jpg").convert("RGB")) for name in ("bus", "zidane")}
