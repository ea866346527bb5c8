from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
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


def test_an_editable_install_is_a_path_that_type_checkers_follow(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", "77")
    project = tmp_path / "project"
    for package in PYPROJECT["tool"]["mypy"]["files"]:
        (project / package).mkdir(parents=True)
        (project / package / "__init__.py").touch()
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    build = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=project, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        files = [name for name in wheel.namelist() if ".dist-info/" not in name]
        assert [Path(name).suffix for name in files] == [".pth"], "a module beside it would be an import hook"
        assert wheel.read(files[0]).decode().split() == [str(project)]
