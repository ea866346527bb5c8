from __future__ import annotations

from pathlib import Path

import pytest

from deblur.errors import DeblurError
from deblur.naming import DEFAULT_NAME, parse_deblurrer


@pytest.mark.parametrize(
    ("given", "name", "weights"),
    [
        ("default", DEFAULT_NAME, "default"),
        ("default+gyro", f"{DEFAULT_NAME}+gyro", "default"),
        ("default+search", f"{DEFAULT_NAME}+search", "default"),
        ("mstsgm-nano", "mstsgm-nano", "mstsgm-nano"),
        ("runs/mine/best.safetensors", "best", "runs/mine/best.safetensors"),
        ("runs/mine/best.safetensors+search", "best+search", "runs/mine/best.safetensors"),
        ("runs/mine/default.safetensors+gyro", "default+gyro", "runs/mine/default.safetensors"),
        ("mine=runs/a/best.safetensors", "mine", "runs/a/best.safetensors"),
        ("mine=runs/a/best.safetensors+gyro", "mine+gyro", "runs/a/best.safetensors"),
        ("my.own 2=runs/lr=0.1/best.safetensors+search", "my.own 2+search", "runs/lr=0.1/best.safetensors"),
        ("runs/lr=0.1/best.safetensors", "best", "runs/lr=0.1/best.safetensors"),
        ("runs\\lr=0.1\\best.safetensors", None, "runs\\lr=0.1\\best.safetensors"),
        ("small=mstsgm-nano", "small", "mstsgm-nano"),
    ],
)
def test_a_name_given_wins_over_the_default_s_own_and_a_file_s_stem(given: str, name: str | None, weights: str) -> None:
    asked = parse_deblurrer(given)
    assert asked.weights == weights
    assert (asked.told, asked.searches) == (given.endswith("+gyro"), given.endswith("+search"))
    if name is not None:  # what a stem is depends on the system
        assert asked.name == name


def test_a_file_that_is_there_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = "lr=0.1.safetensors"
    assert parse_deblurrer(given).weights == "0.1.safetensors"
    Path(given).touch()
    assert parse_deblurrer(f"{given}+gyro")[:2] == ("lr=0.1+gyro", given)
    with pytest.raises(DeblurError, match="is not NAME=FILE"):
        parse_deblurrer(f"mine/large={Path(given).absolute()}")


@pytest.mark.parametrize("name", ["", ".", "..", "a+b", "a+gyro", "+search"])
def test_a_name_that_cannot_name_files_is_refused(name: str) -> None:
    with pytest.raises(DeblurError, match="is not NAME=FILE") as caught:
        parse_deblurrer(f"{name}=best.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["default+search+gyro", "mine=best.safetensors+search+search"])
def test_one_suffix_is_enough(given: str) -> None:
    with pytest.raises(DeblurError, match="leave one of the two out"):
        parse_deblurrer(given)


@pytest.mark.parametrize("given", ["mine=", "mine=+gyro"])
def test_a_name_needs_a_network(given: str) -> None:
    with pytest.raises(DeblurError, match="lacks a network"):
        parse_deblurrer(given)
