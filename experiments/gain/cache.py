"""Values computed once: each is kept under the hash of everything it depends on, so a run goes on after a kill."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from deblur.errors import DeblurError
from deblur.runs import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def key_of(**ingredients: Any) -> str:
    """Hash of named ingredients that JSON can hold: equal where they are all equal."""
    text = json.dumps(ingredients, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


class Cache:
    """A folder of JSON values, by kind and key.

    A value is written whole or not at all, so processes may share the folder and die at any moment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """The value that was put there; None where there is none, or where the file was damaged."""
        try:
            value = json.loads(self._path(kind, key).read_bytes())
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError):
            return None  # not written by `put`, which writes whole files: computed anew
        return value if isinstance(value, dict) else None

    def put(self, kind: str, key: str, value: dict[str, Any]) -> None:
        """Keep a value.

        Raises:
            DeblurError: the folder cannot be written to.
        """
        path = self._path(kind, key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeblurError(f"cannot make the folder {path.parent}: {error.strerror}") from error
        content = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        write_atomically(path, content.encode("utf-8"))

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / key[:2] / f"{key}.json"
