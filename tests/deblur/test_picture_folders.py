"""Pictures are listed at any depth and paired by name; what cannot be paired is named."""

import errno
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from deblur.errors import DeblurError
from deblur.picture_folders import list_pictures, match_pictures
from deblur.pictures import read_picture, write_picture


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_list_is_sorted_recursive_and_by_suffix(tmp_path: Path) -> None:
    put(tmp_path, "b.JPG", "a.png", "sub/c.webp", "notes.txt", ".hidden.png", ".cache/d.png", "sub/._c.webp")
    found = [path.relative_to(tmp_path).as_posix() for path in list_pictures(tmp_path)]
    assert found == ["a.png", "b.JPG", "sub/c.webp"]


def test_linked_folders_are_entered_and_lost_links_listed(tmp_path: Path) -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    write_picture(tmp_path / "far/deep/a.png", picture)
    folder = tmp_path / "all"
    write_picture(folder / "own/b.png", picture)
    (folder / "coco").symlink_to(tmp_path / "far")
    (folder / "own/again").symlink_to(folder)
    (folder / "latest").symlink_to(folder / "own")
    (folder / "lost.png").symlink_to(tmp_path / "nowhere.png")
    found = [path.relative_to(folder).as_posix() for path in list_pictures(folder)]
    assert found == ["coco/deep/a.png", "lost.png", "own/b.png"]
    with pytest.raises(DeblurError, match=r"lost\.png does not exist"):
        read_picture(folder / "lost.png")


def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.png", "locked/b.png", ".hidden/c.png")
    scan = os.scandir

    def refuse(folder: str) -> object:
        if Path(folder).name in {"locked", ".hidden"}:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DeblurError, match=r"cannot read the folder .*locked: Permission denied"):
        list_pictures(tmp_path)


def test_list_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeblurError, match="holds no picture"):
        list_pictures(tmp_path)
    with pytest.raises(DeblurError, match="does not exist"):
        list_pictures(tmp_path / "none")
    put(tmp_path, "a.png")
    with pytest.raises(DeblurError, match="is not a folder"):
        list_pictures(tmp_path / "a.png")


def test_pictures_match_by_name_not_by_position(tmp_path: Path) -> None:
    put(tmp_path / "blur", "x/1.jpg", "x/2.jpg", "0.png")
    put(tmp_path / "sharp", "x/2.png", "x/1.png", "0.png")
    matched = [
        (key, a.relative_to(tmp_path).as_posix(), b.relative_to(tmp_path).as_posix())
        for key, a, b in match_pictures(tmp_path / "blur", tmp_path / "sharp")
    ]
    assert matched == [
        ("0", "blur/0.png", "sharp/0.png"),
        ("x/1", "blur/x/1.jpg", "sharp/x/1.png"),
        ("x/2", "blur/x/2.jpg", "sharp/x/2.png"),
    ]


def test_an_accent_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    one, two = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    put(tmp_path / "a", f"{one}.png")
    put(tmp_path / "b", f"{two}.png")
    assert match_pictures(tmp_path / "a", tmp_path / "b") == [
        (one, tmp_path / f"a/{one}.png", tmp_path / f"b/{two}.png")
    ]
    put(tmp_path / "a", f"{two}.png")
    with pytest.raises(DeblurError, match="by how accents are written"):
        match_pictures(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("missing_in", ["a", "b"])
def test_a_picture_without_partner_is_named(tmp_path: Path, missing_in: str) -> None:
    put(tmp_path / "a", "1.png")
    put(tmp_path / "b", "1.png")
    put(tmp_path / ("b" if missing_in == "a" else "a"), "deep/2.png", "deep/3.png")
    with pytest.raises(DeblurError, match=r"deep/2\.png .*no partner.*1 more"):
        match_pictures(tmp_path / "a", tmp_path / "b")


def test_pictures_that_differ_only_by_suffix_are_named(tmp_path: Path) -> None:
    put(tmp_path / "a", "1.png", "1.jpg")
    put(tmp_path / "b", "1.png")
    with pytest.raises(DeblurError, match=r"1\.jpg and 1\.png"):
        match_pictures(tmp_path / "a", tmp_path / "b")
