"""The camera's paths that a user has: a file for each picture, or one record and the times of the pictures."""

from __future__ import annotations

import csv
import functools
from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.exposure.path_files import read_path, read_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deblur.exposure.path_files import Record
    from deblur.exposure.paths import CameraPath
    from pipelines.sources import Item, Source

COLUMNS = ("picture", "opened", "closed")


class Motions:
    """What ``--motion`` names: a folder of ``STEM.csv``, named as the outputs of the pictures are, or one record."""

    def __init__(self, motion: Path, focal_length: float | None, exposures: Path | None) -> None:
        """Remember where the files are, and read the times of the exposures.

        Args:
            motion: the folder or, with ``exposures``, the record.
            focal_length: in pixels, which what a gyroscope measured needs; see ``read_path``.
            exposures: CSV with the columns picture (STEM), opened and closed (seconds, as the record's ``t``).

        Raises:
            DeblurError: there is a record without exposures or the other way round, or they cannot be read.
        """
        if exposures is None and motion.is_file():
            raise DeblurError(f"--motion {motion} is one record: say by --exposures FILE when each picture was taken")
        if exposures is not None and not motion.is_file():
            raise DeblurError(f"--motion {motion} is no file: --exposures tells the times of one record")
        self._motion = motion
        self._focal_length = focal_length
        self._exposures = None if exposures is None else _read_exposures(exposures)

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse before any work what has no path.

        Raises:
            DeblurError: a source is a video or a camera, or its file or its times are missing.
        """
        moving = [source.file for source in sources if source.is_video]
        if moving:
            raise DeblurError(f"--motion is for pictures, and {moving[0]} is a video: give its frames as pictures")
        missing = [str(source.stem) for source in sources if not self._has(source)]
        if missing:
            where = f"no file in {self._motion}" if self._exposures is None else "no times in --exposures"
            raise DeblurError(
                f"{len(missing)} of {len(sources)} pictures have {where}, the first is {missing[0]!r}: "
                "add it, or leave the picture out"
            )

    def path_of(self, item: Item) -> CameraPath:
        """The camera's path of one picture, which was read.

        Raises:
            DeblurError: its file is broken, or tells of another time.
        """
        assert item.picture is not None
        height, width = item.picture.shape[:2]
        if self._exposures is None:
            return read_path(self._file(item.source), width, height, self._focal_length)
        return self._record.path(width, height, self._focal_length, self._exposures[str(item.source.stem)])

    @functools.cached_property
    def _record(self) -> Record:
        """Read once: that of a drive is long, and its pictures are many."""
        return read_record(self._motion)

    def _has(self, source: Source) -> bool:
        return self._file(source).is_file() if self._exposures is None else str(source.stem) in self._exposures

    def _file(self, source: Source) -> Path:
        return self._motion / source.stem.with_name(f"{source.stem.name}.csv")


def _read_exposures(file: Path) -> dict[str, tuple[float, float]]:
    """When the shutter opened and closed, by picture."""
    found: dict[str, tuple[float, float]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise DeblurError(f"--exposures {file} needs the columns {', '.join(COLUMNS)}")
            for row in reader:
                found[row["picture"]] = (float(row["opened"]), float(row["closed"]))
    except OSError as error:
        raise DeblurError(f"cannot read --exposures {file}: {error.strerror}") from None
    except (ValueError, TypeError, csv.Error) as error:
        raise DeblurError(f"--exposures {file}, line {reader.line_num}: {error}") from None
    return found
