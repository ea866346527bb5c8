"""The camera's paths of a data set's blurred pictures, as recorded: what ``NAME+gyro`` is told of real blur."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from deblur.naming import GYROSCOPE
from deblur.pictures import orientation_of, picture_size
from pipelines.sources import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deblur.exposure.paths import CameraPath
    from pipelines.motions import Motions

    PathOf = Callable[[str, int, int], CameraPath]
    """The camera's path of a picture by its key, width and height."""


NO_PATHS = "the camera's path is known only of blur that --blur makes; for --blurred give its record by --motion"
"""Why a network cannot be told paths, behind its name in an error."""
TELLS_NOBODY = f"--motion has no effect: give a network that is told paths, --deblurrer NAME{GYROSCOPE}"
"""The error where paths are given and no network is to be told them."""


class RecordedPaths:
    """A picture's path from its key, width and height, as `deblur.exposure.paths.felt_path` says it of synthetic blur.

    Attributes:
        sha256: of what the paths are made of.
    """

    def __init__(self, motions: Motions, files: Mapping[str, Path]) -> None:
        """Look for the record of every picture, and whether it tells of it.

        Args:
            motions: what ``--motion`` names; files there are called after the keys.
            files: the pictures, by their paths without suffix below the data set's folder.

        Raises:
            DeblurError: a record or its times are missing or cannot be used, or a picture cannot be read.
        """
        self._motions = motions
        self._sources = {key: Source(str(file), PurePosixPath(key), file) for key, file in files.items()}
        self._files = files
        sources = list(self._sources.values())
        motions.check(sources)
        self.sha256 = motions.sha256(sources)
        for key, file in files.items():
            self(key, *picture_size(file))  # now, rather than after hours of work on those before it

    def __call__(self, key: str, width: int, height: int) -> CameraPath:
        """The path of one of the pictures, of its own width and height."""
        return self._motions.path_in(self._sources[key], (width, height), orientation_of(self._files[key]))
