"""The camera's paths that a user has for pictures: one file each, in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.exposure.path_files import read_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deblur.exposure.paths import CameraPath
    from pipelines.sources import Item, Source


class MotionFolder:
    """A folder of ``STEM.csv``, named as the outputs of the pictures are."""

    def __init__(self, folder: Path, focal_length: float | None) -> None:
        """Remember where the files are.

        Args:
            folder: of the files.
            focal_length: in pixels, which files of a gyroscope need; see ``read_path``.
        """
        self._folder = folder
        self._focal_length = focal_length

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse before any work what has no file.

        Raises:
            DeblurError: a source is a video or a camera, or its file is missing.
        """
        moving = [source.file for source in sources if source.is_video]
        if moving:
            raise DeblurError(f"--motion is for pictures, and {moving[0]} is a video: give its frames as pictures")
        missing = [file for file in map(self._file, sources) if not file.is_file()]
        if missing:
            raise DeblurError(
                f"--motion {self._folder}: {len(missing)} of {len(sources)} pictures have no file there, the first is "
                f"{missing[0]}; add it, or leave the picture out"
            )

    def path_of(self, item: Item) -> CameraPath:
        """The camera's path of one picture, which was read.

        Raises:
            DeblurError: its file is broken.
        """
        assert item.picture is not None
        height, width = item.picture.shape[:2]
        return read_path(self._file(item.source), width, height, self._focal_length)

    def _file(self, source: Source) -> Path:
        return self._folder / source.stem.with_name(f"{source.stem.name}.csv")
