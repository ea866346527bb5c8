from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deblur.errors import DeblurError
from deblur.own_files import open_to_append
from deblur.run_lock import LOCK, alone_in

if TYPE_CHECKING:
    from pathlib import Path


def test_lines_are_added_as_they_are(tmp_path: Path) -> None:
    for line in ("a\r\n", "ü\n"):
        with open_to_append(tmp_path / "log.txt") as stream:
            stream.write(line)
    assert (tmp_path / "log.txt").read_bytes() == "a\r\nü\n".encode()


def test_nothing_is_added_to_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("mine\n")
    (tmp_path / "log.txt").symlink_to(tmp_path / "own")
    with pytest.raises(DeblurError, match=r"cannot write .*log\.txt: it is a link"):
        open_to_append(tmp_path / "log.txt")
    assert (tmp_path / "own").read_text() == "mine\n"
    (tmp_path / LOCK).symlink_to(tmp_path / "new")
    with pytest.raises(DeblurError, match="cannot write"), alone_in(tmp_path):
        pass
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("place", ["table.csv", "weights", "cache/blurred"])
def test_a_run_that_holds_links_is_not_gone_on_with(tmp_path: Path, place: str) -> None:
    run = tmp_path / "run"
    (run / place).parent.mkdir(parents=True)
    (tmp_path / "own").mkdir()
    (run / place).symlink_to(tmp_path / "own")
    with (
        pytest.raises(DeblurError, match=rf"{place} is a link, and what a run writes could go where it"),
        alone_in(run),
    ):
        pass
    (run / place).unlink()
    (tmp_path / "linked").symlink_to(run)
    with alone_in(tmp_path / "linked"):
        pass


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DeblurError, match=r"cannot write .*log\.txt: No such file"):
        open_to_append(tmp_path / "gone" / "log.txt")
