from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]


@pytest.mark.parametrize("package", [name.rstrip("*") for name in SETUPTOOLS["packages"]["find"]["include"]])
def test_every_package_says_that_it_has_types(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in SETUPTOOLS["package-data"][package]
    assert package in PYPROJECT["tool"]["mypy"]["files"]


@pytest.mark.parametrize("target", PYPROJECT["project"]["scripts"].values())
def test_commands_are_functions_that_return_an_exit_code(target: str) -> None:
    module, _, function = target.partition(":")
    assert getattr(import_module(module), function).__annotations__["return"] == "int"


@pytest.mark.parametrize("command", PYPROJECT["project"]["scripts"])
def test_commands_are_documented(command: str) -> None:
    for file in ("README.md", "docs/pipeline.md"):
        assert f"`{command}" in (ROOT / file).read_text(encoding="utf-8")
