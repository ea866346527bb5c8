from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.pictures import read_picture
from experiments.blur_gallery import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_gallery_is_a_picture_of_every_blur_that_is_named(tmp_path: Path) -> None:
    for count, specs in enumerate((["none"], ["none", "straight:9"]), 1):
        assert main(["--blur", *specs, "--output", str(tmp_path / "new" / f"{count}.png")]) == 0
    one, two = (read_picture(tmp_path / "new" / f"{count}.png") for count in (1, 2))
    assert one.shape == two.shape
    # The second place of a row is empty where nothing was named for it.
    middle = one.shape[1] * 3 // 10
    assert one[:, middle].std() < 1 < two[:, middle].std()


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--blur", "none", "--output", str(tmp_path / "gallery.bmp")]) == 1
    assert "gallery.bmp: no kind of picture; use one of" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
