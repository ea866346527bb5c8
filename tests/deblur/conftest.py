"""Fixtures of the deblurring tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image
from skimage import data as photographs

from deblur.exposure.kernels import exposure_along
from deblur.networks.guided import GuidedNetwork
from deblur.released import load_released
from tests.deblur.path_searching import Shaken, shake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from deblur.exposure.paths import CameraPath


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of six small photographs to train on."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(photographs.astronaut()[index * 50 : index * 50 + 120, 100:280]).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of training of one step; copy it before it is changed."""
    # What trains takes a second to load, and most tests of this folder do without it.
    from deblur.train import build_parser
    from deblur.training.loop import train
    from tests.deblur.tiny_training import arguments

    folder = tmp_path_factory.mktemp("finished")
    for index in range(2):
        Image.fromarray(photographs.astronaut()[index * 50 : index * 50 + 120, 100:280]).save(folder / f"{index}.png")
    train(build_parser().parse_args(arguments(folder, folder, "--steps", "1")))
    return folder / "runs" / "train" / "deblur"


@pytest.fixture(scope="session")
def network() -> GuidedNetwork:
    """The default network, for inference."""
    loaded, _ = load_released("default")
    assert isinstance(loaded, GuidedNetwork)
    return loaded.eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="session")
def restored_along(network: GuidedNetwork) -> Callable[[Tensor, CameraPath], Tensor]:
    """What the default network by itself makes of pictures (1, 3, H, W) along a path."""

    def restored(blurred: Tensor, path: CameraPath) -> Tensor:
        height, width = blurred.shape[-2:]
        with torch.inference_mode():
            exposure = exposure_along(path, height, width, blurred.device)
            return network(blurred, exposure=exposure, finest_only=True).picture.clamp(0, 1)

    return restored


@pytest.fixture(scope="module")
def shaken() -> Shaken:
    """A photograph that is large enough to find its path."""
    return shake(300)


@pytest.fixture(scope="module")
def small() -> Shaken:
    """The same, for what does not depend on how well a path is found."""
    return shake(120)


@pytest.fixture
def small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies in which a search goes on are little larger than the first."""
    monkeypatch.setattr("deblur.path_search.search.MIDDLE", 240)
    monkeypatch.setattr("deblur.path_search.search.LARGEST", 300)
