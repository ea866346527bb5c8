from __future__ import annotations

from typing import TYPE_CHECKING

from deblur import equal_files
from deblur.equal_files import contents_of, copies_of, resolved

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_contents_are_told_apart_by_bytes_alone(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("a", "copy", "hard", "link", "same size", "other size", "missing")}
    for name, content in (("a", b"one"), ("copy", b"one"), ("same size", b"two"), ("other size", b"three")):
        files[name].write_bytes(content)
    files["hard"].hardlink_to(files["a"])
    files["link"].symlink_to(files["a"])
    contents = contents_of(files.values())
    assert list(contents) == list(files.values())
    assert len({contents[files[name]] for name in ("a", "copy", "hard", "link")}) == 1
    assert len(set(contents.values())) == 4


def test_only_files_of_one_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(equal_files, "sha256_of", lambda file: read.append(file) or file.name)
    one, link, other = tmp_path / "one", tmp_path / "link", tmp_path / "other"
    one.write_bytes(b"one")
    link.hardlink_to(one)
    other.write_bytes(b"other")
    contents = contents_of([one, link, other])
    assert not read
    assert contents[one] == contents[link] != contents[other]


def test_copies_are_found_under_any_name(tmp_path: Path) -> None:
    original, copy, linked, other = (tmp_path / name for name in ("original", "copy", "linked", "other"))
    for file, content in ((original, b"one"), (copy, b"one"), (other, b"two")):
        file.write_bytes(content)
    linked.symlink_to(original)
    assert copies_of([original, tmp_path / "missing"], [copy, linked, other, original]) == {copy, linked, original}
    assert copies_of([], [copy, linked, other]) == set()


def test_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    assert not resolved(tmp_path / "one").exists()
