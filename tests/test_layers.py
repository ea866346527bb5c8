"""Which folder may import which: the arrows between them point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "deblur": {"deblur"},
    "detection": {"detection"},
    "pipelines": {"deblur", "detection", "pipelines"},
    "experiments": {"deblur", "detection", "pipelines", "experiments"},
}
OF_ONE_FILE = {"ultralytics": "detection/yolo.py", "torchvision": "detection/yolo.py"}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_lies_below_it(folder: str) -> None:
    files = sorted((PROJECT / folder).rglob("*.py"))
    assert files
    refused = {*MAY_IMPORT, "tests"} - MAY_IMPORT[folder]
    for file in files:
        name = file.relative_to(PROJECT).as_posix()
        elsewhere = {package for package, only in OF_ONE_FILE.items() if only != name}
        assert not imported(file) & (refused | elsewhere), name


@pytest.mark.parametrize(("package", "file"), OF_ONE_FILE.items())
def test_what_one_file_alone_may_import_it_does(package: str, file: str) -> None:
    assert package in imported(PROJECT / file)


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports anywhere, for type checkers too."""
    nodes = list(ast.walk(ast.parse(file.read_bytes())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}
