"""Values computed once: each is kept under the hash of everything it depends on, so a run goes on after a kill."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from deblur.runs import make_folder, package_versions, write_atomically

_PROJECT = Path(__file__).resolve().parents[2]
# What is not sure to make no value counts as making some: time that is lost is better than values that are old.
_MAKE_VALUES = (
    "deblur/**/*.py",
    "detection/**/*.py",
    "pipelines/chain.py",
    "pipelines/motions.py",
    *(f"experiments/common/{name}.py" for name in ("cache", "file_names", "picture_scores", "recorded_paths")),
    *(f"experiments/gain/{name}.py" for name in ("arms", "fused", "loading", "picture_sets", "protocol", "settings")),
)
_MAKE_NONE = (
    "deblur/cli/*.py",
    "deblur/exposure/calibration.py",
    "deblur/exposure/way_round.py",
    "deblur/losses.py",
    "deblur/prepare/*.py",
    "deblur/train.py",
    "deblur/training/*.py",
    "detection/annotations/*.py",
    *(f"detection/{name}.py" for name in ("bootstrap", "consistency", "matching", "picture_scores", "scoring")),
    *(f"detection/{name}.py" for name in ("drawing", "predictions", "teacher", "truth")),
)


def key_of(**ingredients: Any) -> str:
    """Hash of named ingredients that JSON can hold: equal where they are all equal."""
    text = json.dumps(ingredients, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def code_of_values() -> list[Path]:
    """The project's files that make what is kept: blurred and restored pictures, boxes, their scores, fitted paths.

    Not those that train, read annotations, score boxes or report, whose changes leave the values as they are.
    """
    makers, others = (
        {file for each in patterns for file in _PROJECT.glob(each)} for patterns in (_MAKE_VALUES, _MAKE_NONE)
    )
    return sorted(makers - others)


@functools.cache
def state_of_code() -> str:
    """Hash of the code that makes values: of this project's, and of the versions of what it uses."""
    sources = {
        str(file.relative_to(_PROJECT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in code_of_values()
    }
    return key_of(sources=sources, packages=package_versions())


class Cache:
    """A folder of JSON values, by the state of the code that made them, kind and key.

    A value is written whole or not at all, so processes may share the folder and die at any moment. A loss of power may
    leave damaged ones, which are computed anew.
    """

    def __init__(self, folder: Path, code: str) -> None:
        self.folder = folder / code[:16]

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """The value that was put there; None where there is none, or where the file was damaged."""
        try:
            value = json.loads(self._path(kind, key).read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            return None  # no whole file, as after a loss of power: computed anew
        return value if isinstance(value, dict) else None

    def put(self, kind: str, key: str, value: dict[str, Any]) -> None:
        """Keep a value.

        Raises:
            DeblurError: the folder cannot be written to.
        """
        path = self._path(kind, key)
        make_folder(path.parent)
        content = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # There are many, and small: waiting for the disk would cost more than the few that a loss of power damages.
        write_atomically(path, content.encode("utf-8"), durable=False)

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / key[:2] / f"{key}.json"
