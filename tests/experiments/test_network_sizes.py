"""The table of what the networks cost."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

from deblur.networks import NETWORK_NAMES
from experiments import network_sizes
from experiments.network_sizes import OUTPUT, main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_committed_table_is_what_the_command_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "sizes.csv"
    assert main(["--output", str(file), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["output"] == str(file)
    assert [row["name"] for row in document["networks"]] == list(NETWORK_NAMES)
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == [{key: str(value) for key, value in row.items()} for row in document["networks"]]
    assert file.read_text() == OUTPUT.read_text(), "make it anew: python -m experiments.network_sizes"


def test_an_installed_copy_which_keeps_no_results_asks_where_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network_sizes, "OUTPUT", tmp_path / "experiments" / "results" / "sizes.csv")
    assert main([]) == 1
    assert "say by --output FILE where to write the table" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
