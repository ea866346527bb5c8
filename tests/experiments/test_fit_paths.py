"""The command that fits paths to pairs, and that what it writes is what others read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.data import astronaut, coffee

from deblur.blur import Motion, parse_blur, synthesize
from deblur.exposure.path_files import read_path
from deblur.path_search.fitting import Fit
from deblur.pictures import write_picture
from experiments.fit_paths import main

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for key, sharp in {"walk/a": astronaut()[:96, 200:320], "b": coffee()[100:196, 200:320]}.items():
        write_picture(tmp_path / "data" / "sharp" / f"{key}.png", sharp)
        blurred = synthesize(sharp, parse_blur("shake:60"), 0, key)
        write_picture(tmp_path / "data" / "blur" / f"{key}.png", blurred)
    return tmp_path / "data"


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Paths without the work: each pair asked for has one of its own, twice as long as the one before."""
    seen: list[int] = []

    def fit(blurred: NDArray[np.uint8], sharp: NDArray[np.uint8], device: str, seed: int) -> Fit:
        seen.append(seed)
        path = np.outer(np.arange(48) - 23.5, (2.0 ** len(seen), 1, 0.001, 0)) / 48
        return Fit(Motion(path, np.full(48, 1 / 48), (59.5, 47.5)), (0.5, -0.25), 0.125)

    monkeypatch.setattr("deblur.path_search.fitting.fit_path", fit)
    return seen


def run(data: Path, *given: str) -> int:
    return main(["--blurred", str(data / "blur"), "--sharp", str(data / "sharp"), "--device", "cpu", *given])


def test_records_are_read_as_the_paths_that_were_fitted(
    tmp_path: Path, data: Path, fitted: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "--output", str(tmp_path / "run"), "--json", "--seed", "5") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n"], result["n_available"], fitted) == (2, 2, [5, 5])
    assert result["unexplained"]["median"] == 0.125
    assert result == json.loads((tmp_path / "run" / "metrics.json").read_text())
    extents = 47 / 48 * np.array([np.hypot(2, 1), np.hypot(4, 1)])
    assert list(result["extent"].values()) == pytest.approx(list(np.quantile(extents, (0.25, 0.5, 0.75))))
    for number, key in enumerate(("b", "walk/a"), 1):
        path = read_path(tmp_path / "run" / "paths" / f"{key}.csv", 120, 96)
        assert isinstance(path, Motion)
        # All of the exposure, half a step of time beyond the first and the last point.
        assert np.ptp(path.path[:, :3], axis=0) == pytest.approx([2.0**number, 1, 0.001], rel=0.01)
    rows = pd.read_csv(tmp_path / "run" / "fits.csv")
    assert list(rows["picture"]) == ["b", "walk/a"]
    assert list(rows["shift_y"]) == [-0.25, -0.25]


def test_a_run_that_was_stopped_goes_on(
    tmp_path: Path, data: Path, fitted: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "--output", str(tmp_path / "run")) == 0
    assert "left unexplained by one rigid motion: 0.12" in capsys.readouterr().out
    first = (tmp_path / "run" / "fits.csv").read_bytes()
    (tmp_path / "run" / "paths" / "b.csv").unlink()
    assert main(["--resume", str(tmp_path / "run")]) == 0
    assert len(fitted) == 2  # nothing twice
    assert (tmp_path / "run" / "fits.csv").read_bytes() == first
    assert (tmp_path / "run" / "paths" / "b.csv").is_file()
    write_picture(data / "blur" / "b.png", coffee()[:96, :120])
    assert main(["--resume", str(tmp_path / "run")]) == 0
    assert len(fitted) == 3
    write_picture(data / "sharp" / "b.png", coffee()[9:105, :120])
    assert main(["--resume", str(tmp_path / "run")]) == 0
    assert len(fitted) == 4
    assert main(["--resume", str(tmp_path / "run"), "--device", "auto"]) == 0
    assert main(["--resume", str(tmp_path / "run"), "--seed", "3"]) == 1
    assert "seed" in capsys.readouterr().err


def test_what_no_record_can_be_made_of_is_refused_at_once(
    tmp_path: Path, data: Path, fitted: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(astronaut()[:96, :120]).save(data / "blur" / "b.png", exif=exif)
    assert run(data, "--output", str(tmp_path / "run")) == 1
    assert "b.png is stored turned (EXIF)" in capsys.readouterr().err
    write_picture(data / "blur" / "b.png", astronaut()[:95, :120])
    assert run(data, "--output", str(tmp_path / "run")) == 1
    assert "a pair has one size" in capsys.readouterr().err
    for kind in ("blur", "sharp"):
        write_picture(data / kind / "b.png", astronaut()[:20, :120])
    assert run(data, "--output", str(tmp_path / "run")) == 1
    assert "b.png: a picture of 120x20 shows too little to fit a path" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert fitted == []
