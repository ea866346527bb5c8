"""Which folder may import which: the arrows between them point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "deblur": {"deblur"},
    "detection": {"detection"},
    "pipelines": {"deblur", "detection", "pipelines"},
    "experiments": {"deblur", "detection", "pipelines", "experiments"},
}
HEAVY = {"PIL", "accelerate", "cv2", "matplotlib", "pandas", "scipy", "skimage", "torch", "ultralytics"}
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


def test_help_comes_without_heavy_imports() -> None:
    files = [file for folder in MAY_IMPORT for file in sorted((PROJECT / folder).rglob("*.py"))]
    commands = [
        ".".join(file.relative_to(PROJECT).with_suffix("").parts)
        for file in files
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(file.read_bytes()).body)
    ]
    assert {"deblur.train", "pipelines.deblur_detect", "experiments.release"} <= set(commands)
    program = f"""
import contextlib, importlib, io, sys
for command in {commands}:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module(command).main(["--help"])
        raise AssertionError(command)
    if loaded := {HEAVY}.intersection(sys.modules):
        sys.exit(f"{{command}}: {{loaded}}")
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports anywhere, for type checkers too."""
    return {name.partition(".")[0] for name in names_imported(file)}


def names_imported(file: Path) -> set[str]:
    """What a file imports anywhere, for type checkers too: modules, and what is taken from them behind a dot."""
    nodes = list(ast.walk(ast.parse(file.read_bytes())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return names | {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
