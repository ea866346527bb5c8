"""Sets of pictures by stem: those that are there, and those that are made from another set and kept as PNG."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from deblur.errors import DeblurError
from deblur.pictures import read_picture, write_picture
from experiments.common.cache import Cache, key_of
from experiments.gain.inputs import check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from deblur.outcome import Outcome


def pixel_hash(picture: NDArray[np.uint8]) -> str:
    """sha256 of a picture's size and pixels: the same whatever file format holds them."""
    digest = hashlib.sha256(f"{picture.shape}".encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


class PictureSet(Protocol):
    """The pictures of one arm at one blur (empty where the arm does not depend on it)."""

    arm: str
    blur: str

    def sha256(self, stem: str) -> str:
        """`pixel_hash` of one picture."""

    def pixels(self, stem: str) -> NDArray[np.uint8]:
        """One picture, RGB uint8 (H, W, 3)."""


class FolderSet:
    """Pictures that are there.

    Args:
        arm: whose pictures they are.
        blur: name of the blur, or empty.
        files: the file of each stem.
        sizes: (width, height) by stem as far as the annotations give them. Sets share it: where they do not, the first
            set that is read decides.
    """

    def __init__(self, arm: str, blur: str, files: Mapping[str, Path], sizes: dict[str, tuple[int, int]]) -> None:
        self.arm = arm
        self.blur = blur
        self._files = files
        self._sizes = sizes
        self._hashes: dict[str, str] = {}

    def sha256(self, stem: str) -> str:
        """`pixel_hash` of one picture."""
        if stem not in self._hashes:
            self.pixels(stem)
        return self._hashes[stem]

    def pixels(self, stem: str) -> NDArray[np.uint8]:
        """One picture.

        Raises:
            DeblurError: the file is no picture, or has another size than the others of its stem: boxes would not fit.
        """
        picture = read_picture(self._files[stem])
        height, width = picture.shape[:2]
        check_size(self._files[stem], stem, (width, height), self._sizes.setdefault(stem, (width, height)))
        self._hashes[stem] = pixel_hash(picture)
        return picture


class MadeSet:
    """Pictures made from those of another set, each once, and kept as PNG under its stem.

    Args:
        arm: whose pictures they are.
        blur: name of the blur, or empty.
        source: what they are made from.
        folder: where they are kept.
        cache: where it is kept how each was made; a picture without such a record, or with other pixels than the
            record says, is made again.
        ingredients: what the result depends on beside the source's pixels and the stem.
        make: (source pixels, stem) to pixels of the same size, and what is said beside them.
        timed_on: the hardware that makes them, None where not known.
    """

    def __init__(
        self,
        arm: str,
        blur: str,
        source: PictureSet,
        folder: Path,
        cache: Cache,
        ingredients: Mapping[str, Any],
        make: Callable[[NDArray[np.uint8], str], Outcome],
        timed_on: str | None = None,
    ) -> None:
        self.arm = arm
        self.blur = blur
        self._source = source
        self._folder = folder
        self._cache = cache
        self._ingredients = ingredients
        self._make = make
        self._timed_on = timed_on
        self._hashes: dict[str, str] = {}

    def path(self, stem: str) -> Path:
        """The PNG of one picture, made or not."""
        return self._folder / f"{stem}.png"

    def sha256(self, stem: str) -> str:
        """`pixel_hash` of one picture, which is made if need be."""
        if stem not in self._hashes:
            record = self._record(stem)
            self._hashes[stem] = record["sha256"] if record is not None else pixel_hash(self._made(stem))
        return self._hashes[stem]

    def pixels(self, stem: str) -> NDArray[np.uint8]:
        """One picture, which is made if need be."""
        record = self._record(stem)
        if record is None:
            return self._made(stem)
        try:
            picture = read_picture(self.path(stem))
        except DeblurError:
            return self._made(stem)  # damaged since it was written
        return picture if pixel_hash(picture) == record["sha256"] else self._made(stem)

    def time_ms(self, stem: str) -> float | None:
        """Wall time of making one picture; None where it is not made, or was on other hardware."""
        record = self._record(stem)
        return record["ms"] if record is not None and record["timed_on"] == self._timed_on else None

    def believed(self, stem: str) -> float | None:
        """How far a camera's path was believed in making one picture, which is made if need be."""
        return self._said(stem, "believed")

    def spread(self, stem: str) -> float | None:
        """How long the blur was of what one picture was made from (`deblur.outcome.Outcome`); it is made if need be."""
        return self._said(stem, "spread")

    def _said(self, stem: str, what: str) -> float | None:
        record = self._record(stem)
        if record is None:
            self._made(stem)
            record = self._record(stem)
        return None if record is None else record[what]

    def _record(self, stem: str) -> dict[str, Any] | None:
        return self._cache.get("pictures", self._key(stem)) if self.path(stem).is_file() else None

    def _key(self, stem: str) -> str:
        return key_of(ingredients=dict(self._ingredients), source=self._source.sha256(stem), stem=stem)

    def _made(self, stem: str) -> NDArray[np.uint8]:
        source = self._source.pixels(stem)
        start = time.perf_counter()
        picture, believed, spread = self._make(source, stem)
        milliseconds = 1000 * (time.perf_counter() - start)
        if picture.shape != source.shape or picture.dtype != np.uint8:
            raise TypeError(f"{self.arm} made {picture.dtype} {picture.shape} of a picture {source.shape}")
        write_picture(self.path(stem), picture)
        record = {"sha256": pixel_hash(picture), "ms": milliseconds, "timed_on": self._timed_on}
        self._cache.put("pictures", self._key(stem), record | {"believed": believed, "spread": spread})
        return picture
