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


def test_commands_of_researchers_are_made_of_parts_and_of_no_other_command() -> None:
    commands = {file.stem for file in (PROJECT / "experiments").glob("*.py")} - {"__init__"}
    for file in (PROJECT / "experiments").rglob("*.py"):
        used = {name.split(".")[1] for name in names_imported(file) if name.startswith("experiments.")}
        assert not used & commands, file
        assert file.parent.name != "common" or used <= {"common"}, file


@pytest.mark.parametrize(("package", "file"), OF_ONE_FILE.items())
def test_what_one_file_alone_may_import_it_does(package: str, file: str) -> None:
    assert package in imported(PROJECT / file)


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports anywhere, for type checkers too."""
    return {name.partition(".")[0] for name in names_imported(file)}


def names_imported(file: Path) -> set[str]:
    """What a file imports anywhere, for type checkers too: modules, and what is taken from them behind a dot."""
    nodes = list(ast.walk(ast.parse(file.read_bytes())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return names | {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
