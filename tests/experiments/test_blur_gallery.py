from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deblur.blur import parse_blur
from deblur.pictures import read_picture
from experiments.blur_gallery import OUTPUT, blurred_with_kernels, build_parser, main

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def test_the_gallery_is_a_picture_of_every_blur_that_is_named(tmp_path: Path) -> None:
    for count, specs in enumerate((["none"], ["none", "straight:9"]), 1):
        assert main(["--blur", *specs, "--output", str(tmp_path / "new" / f"{count}.png")]) == 0
    one, two = (read_picture(tmp_path / "new" / f"{count}.png") for count in (1, 2))
    assert one.shape == two.shape
    # The second place of a row is empty where nothing was named for it.
    middle = one.shape[1] * 3 // 10
    assert one[:, middle].std() < 1 < two[:, middle].std()


def test_kernels_longer_than_their_drawing_are_whole() -> None:
    grey = np.full((400, 400, 3), 128, np.uint8)
    for length in (28, 160, 400):
        longest = 400 / 640 * length
        whole = max(41, 2 * math.ceil(longest / 2) + 3)
        side = min(whole, 121)
        drawn = blurred_with_kernels(grey, parse_blur(f"straight:{length}"), 0)[:side, :side, 0]
        assert drawn.max() > 200
        edges = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
        assert edges.max() == 0
        across = np.hypot(*(np.ptp(places) for places in np.nonzero(drawn > 60)))
        assert across == pytest.approx(longest * side / whole, abs=4)


@pytest.mark.parametrize("suffix", ["bmp", "pgf"])
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--blur", "none", "--output", str(tmp_path / f"gallery.{suffix}")]) == 1
    error = capsys.readouterr().err
    assert f"gallery.{suffix}: no kind of picture; use one of" in error
    assert "pgf," not in error
    assert list(tmp_path.iterdir()) == []


def test_the_picture_of_the_pages_is_the_default_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build_parser().parse_args([]).output == OUTPUT
    assert OUTPUT.is_file()
    monkeypatch.setattr("experiments.blur_gallery.OUTPUT", tmp_path / "docs" / "images" / "blur.jpg")
    assert main(["--blur", "none"]) == 1
    assert "say by --output FILE where to write the picture" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_stands_still_beside_what_moves_has_a_point_for_its_kernel() -> None:
    grey = np.full((400, 400, 3), 128, np.uint8)
    for spec, is_point in (("object:28", True), ("straight:28", False)):
        drawn = blurred_with_kernels(grey, parse_blur(spec), 0)[:41, :41, 0]
        assert ((drawn > 60).sum() == 1) == is_point


def test_kernels_are_those_of_their_place_and_of_the_very_blur() -> None:
    def line(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The direction of what is bright."""
        rows, columns = np.nonzero(picture[..., 0] > 40)
        return np.linalg.eigh(np.cov(columns, rows))[1][:, -1]

    forward = blurred_with_kernels(np.zeros((400, 400, 3), np.uint8), parse_blur("forward:28"), 0)
    for corner, sign in ((forward[:41, :41], 1), (forward[:41, -41:], -1), (forward[-41:, :41], -1)):
        assert np.prod(line(corner)) * sign > 0.3  # away from the middle
    dot = np.zeros((400, 400, 3), np.uint8)
    dot[190:193, 90:93] = 255
    for seed in (1, 2):
        picture = blurred_with_kernels(dot, parse_blur("straight:28"), seed)
        assert abs(line(picture[:41, :41]) @ line(picture[160:220, 60:120])) > 0.98
