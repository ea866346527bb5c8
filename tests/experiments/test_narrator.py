from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.common.narrator import Narrator

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_line_is_said_and_logged_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(tmp_path / "log.txt")
    narrator.say("a\nb and caf\udce9")
    narrator.say("done")
    assert capsys.readouterr().err.splitlines() == [r"a\nb and caf\udce9", "done"]
    lines = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[2] for line in lines] == [r"a\nb and caf\udce9", "done"]
