"""Fixtures for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from detection.errors import DetectionError
from detection.weights import find_weights

# The networks of the tests are tiny: on a busy machine, threads that wait for each other cost more than they bring.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the checkout; tests that use it are skipped where it is missing."""
    folder = Path(os.environ.get("MSTSGM_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"shared data not found at {folder}; set MSTSGM_SHARED to its folder")
    return folder


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


@pytest.fixture
def garbled_name(tmp_path: Path) -> str:
    """A file name that is no UTF-8, ``caf\\udce9`` once escaped; skipped where the file system takes no such name."""
    name = os.fsdecode(b"caf\xe9")
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (tmp_path / name).unlink()
    return name


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
