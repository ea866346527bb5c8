"""Fixtures of the deblurring tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image
from skimage import data as photographs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of six small photographs to train on."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(photographs.astronaut()[index * 50 : index * 50 + 120, 100:280]).save(folder / f"{index}.png")
    return folder
