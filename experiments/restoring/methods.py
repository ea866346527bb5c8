"""What is scored: a network that restores pictures here, or a folder of pictures another program restored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from deblur.devices import synchronize
from deblur.errors import DeblurError
from deblur.naming import parse_deblurrer
from deblur.picture_folders import pictures_by_key
from deblur.pictures import picture_size, read_picture
from experiments.common.recorded_paths import NO_PATHS, RecordedPaths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from deblur import Deblurrer
    from deblur.cli import NamedPath
    from experiments.common.recorded_paths import PathOf


class Output(NamedTuple):
    """A restored picture.

    Attributes:
        picture: RGB uint8 (H, W, 3).
        unrounded: the same before rounding, float32 in [0, 255]; None where the method does not give it.
        milliseconds: how long it took; None where it was not timed.
    """

    picture: NDArray[np.uint8]
    unrounded: NDArray[np.float32] | None = None
    milliseconds: float | None = None


class Method(Protocol):
    """Something that restores the pictures of a data set."""

    name: str

    def describe(self) -> dict[str, Any]:
        """What the result says of it beside its scores."""

    def restore(self, key: str, blurred: NDArray[np.uint8]) -> Output:
        """The picture ``key``, restored.

        Args:
            key: the picture's relative path without suffix.
            blurred: RGB uint8 (H, W, 3).
        """


class NetworkMethod:
    """A ``Deblurrer``; the first picture of each size is not timed.

    ``path_of`` says the camera's path of a picture from its key, width and height; None where it is not told. Recorded
    ones make it another method, by their hash.
    """

    def __init__(self, name: str, deblurrer: Deblurrer, path_of: PathOf | None = None) -> None:
        self.name = name
        self._deblurrer = deblurrer
        self._path_of = path_of
        self._warm: set[tuple[int, ...]] = set()

    def describe(self) -> dict[str, Any]:
        """Kind, released name and hash of the weights, and those of what searches for paths or of recorded ones."""
        said = self._deblurrer.describe()
        del said["name"]
        if isinstance(self._path_of, RecordedPaths):
            said["paths"] = self._path_of.sha256
        return {"kind": "network", "weights": self._deblurrer.card["name"], **said}

    def restore(self, key: str, blurred: NDArray[np.uint8]) -> Output:
        """Run the network; pictures it cuts into tiles come rounded."""
        device = self._deblurrer.device
        height, width = blurred.shape[:2]
        in_tiles = height * width > self._deblurrer.max_pixels
        path = self._path_of(key, width, height) if self._path_of else None
        synchronize(device)
        start = time.perf_counter()
        unrounded = None
        if in_tiles:
            picture = self._deblurrer(blurred, path)
        else:
            unrounded = self._deblurrer.unrounded(blurred, path)
            picture = np.rint(unrounded).astype(np.uint8)
        synchronize(device)
        milliseconds = 1000 * (time.perf_counter() - start)
        is_warm = blurred.shape in self._warm
        self._warm.add(blurred.shape)
        return Output(picture, unrounded, milliseconds if is_warm else None)


class FolderMethod:
    """Pictures that another program restored, under the keys of those that are scored; others may lie beside them.

    Raises:
        DeblurError: one that is scored is not there.
    """

    def __init__(self, name: str, folder: Path, keys: Sequence[str]) -> None:
        self.name = name
        self._folder = folder
        self._files = pictures_by_key(folder)
        missing = [key for key in keys if key not in self._files]
        if missing:
            raise DeblurError(
                f"{len(missing)} of {len(keys)} pictures that are scored have no file in {folder}, the first is "
                f"{missing[0]}; pictures match by relative path without suffix"
            )

    def describe(self) -> dict[str, Any]:
        """Kind and folder."""
        return {"kind": "files", "folder": str(self._folder)}

    def restore(self, key: str, blurred: NDArray[np.uint8]) -> Output:
        """Read the file."""
        return Output(read_picture(self._files[key]))

    def check_size(self, key: str, size: tuple[int, int]) -> None:
        """Refuse a file that is not of the blurred picture's width and height."""
        own = picture_size(self._files[key])
        if own != size:
            raise DeblurError(
                f"{self._files[key]} is {own[0]}x{own[1]}, the blurred picture is {size[0]}x{size[1]}; sizes must agree"
            )


def load_methods(
    deblurrers: Sequence[str],
    restored: Sequence[NamedPath],
    keys: Sequence[str],
    device: str,
    path_of: PathOf | None = None,
) -> list[Method]:
    """The methods named on the command line, in that order.

    Args:
        deblurrers: as `deblur.naming.parse_deblurrer` reads them, which says what each is called.
        restored: folders that another program wrote.
        keys: of the pictures that are scored, which every folder must have.
        device: of the networks.
        path_of: what a sensor says of the camera's paths; None where nobody knows them.

    Raises:
        DeblurError: two methods share a name, or one cannot be loaded.
    """
    names = [*(parse_deblurrer(text).name for text in deblurrers), *(each.name for each in restored)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DeblurError(f"two methods are named {twice[0]!r}; call one otherwise, by NAME=FILE or NAME=DIR")
    methods: list[Method] = []
    for text, name in zip(deblurrers, names, strict=False):
        from deblur.deblurrer import load_told

        deblurrer, told = load_told(text, device)
        if told and path_of is None:
            raise DeblurError(f"{text}: {NO_PATHS}")
        methods.append(NetworkMethod(name, deblurrer, path_of if told else None))
    methods += [FolderMethod(each.name, each.path, keys) for each in restored]
    return methods
