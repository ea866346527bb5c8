"""The camera's paths that a user has: a file for each picture or frame, or one record and the times of them all."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import math
from typing import TYPE_CHECKING

from deblur.errors import DeblurError
from deblur.exposure.path_files import clock, read_record
from deblur.picture_folders import composed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path, PurePosixPath

    from deblur.exposure.path_files import Record
    from deblur.exposure.paths import CameraPath
    from pipelines.sources import Item, Source

COLUMNS = ("picture", "opened", "closed")
_SUFFIXES = (".csv", ".gcsv")  # of a picture's file, the first one that is there


class Motions:
    """What ``--motion`` names: a folder of ``STEM.csv``, named as the outputs of the pictures are, or one record.

    The files of a video's frames are ``STEM/000000.csv`` and so on. With ``exposures``, ``STEM.csv`` may be one record
    of all frames. Without, each file begins when the shutter opens and ends when it closes. A line of ``exposures``
    that names the video gives the times of its first frame; those of the others follow by the video file's own times.
    """

    def __init__(self, motion: Path, focal_length: float | None, exposures: Path | None, readout: float = 0.0) -> None:
        """Remember where the files are, and read the times of the exposures.

        Args:
            motion: the folder, or the record, which needs ``exposures``.
            focal_length: in pixels, which what a gyroscope measured needs; see ``read_path``.
            exposures: CSV with the columns picture (STEM), opened and closed (seconds, as ``t`` of the record
                or of the picture's own file).
            readout: by how many seconds a rolling shutter exposes the last row later than the first.

        Raises:
            DeblurError: the times cannot be read.
        """
        self._motion = motion
        self._is_folder = motion.is_dir()
        self._focal_length = focal_length
        self._readout = readout
        self._exposures = None if exposures is None else _read_exposures(exposures)
        # The record of a drive or of a video is long, and its pictures are many.
        self._read = functools.lru_cache(maxsize=1)(read_record)
        self._holds_frames = functools.cache(_holds_frames)  # it is asked for every frame

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse before any work what has no path.

        Raises:
            DeblurError: a source is a camera, its file or its times are missing, or the record (or the first file that
                can be read, or that of a whole video) cannot be used.
        """
        live = [source.file for source in sources if isinstance(source.origin, int)]
        if live:
            raise DeblurError(f"--motion is for what was taken before, and {live[0]} is live: record a video first")
        if self._is_folder:
            _refuse_missing(sources, self._has_file, f"no file in {self._motion}")
            self._check_records_of_videos(sources)
        elif self._exposures is None:
            raise DeblurError(f"--motion {self._motion} does not exist: give a folder of paths, or a record")
        if self._exposures is not None:
            _refuse_missing(sources, self._has_times, "no times in --exposures")
        record = self._first_record(sources) if self._is_folder else self.record
        if record is not None:
            record.check_focal_length(self._focal_length)

    def path_of(self, item: Item) -> CameraPath:
        """The camera's path of one picture or frame, which was read.

        Raises:
            DeblurError: its file or its times are missing, the file is broken, or it tells of another time.
        """
        assert item.picture is not None
        height, width = item.picture.shape[:2]
        return self.path_in(item.source, (width, height), item.orientation, item.frame, item.seconds)

    def path_in(
        self,
        source: Source,
        size: tuple[int, int],
        orientation: int,
        frame: int | None = None,
        seconds: float | None = None,
    ) -> CameraPath:
        """The camera's path of one picture or frame.

        Args:
            source: the picture or the video.
            size: width and height of the picture, upright.
            orientation: how it was turned for that; see ``deblur.pictures.Upright``.
            frame: as of ``times_of``.
            seconds: likewise.

        Raises:
            DeblurError: as ``path_of``.
        """
        times = None if self._exposures is None else self.times_of(source, frame, seconds)
        record = self._read(self._file_of(source, source.stem_of(frame))) if self._is_folder else self.record
        return record.path(*size, self._focal_length, exposure=times, readout=self._readout, orientation=orientation)

    def sha256(self, sources: Sequence[Source]) -> str:
        """Hash of what the paths of pictures (no videos), which were checked, are made of: files, times and numbers."""
        files = [self._file(source.stem) for source in sources] if self._is_folder else [self._motion]
        times = [] if self._exposures is None else [self.times_of(source, None, None) for source in sources]
        digest = hashlib.sha256(repr((self._focal_length, self._readout, times)).encode())
        for file in files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def times_of(self, source: Source, frame: int | None, seconds: float | None) -> tuple[float, float]:
        """When the shutter opened and closed for a picture or a frame, where there are ``exposures``.

        Args:
            source: the picture or the video.
            frame: number of the frame; None of a picture.
            seconds: how long after the first frame it was; None of a picture, or where the video does not tell.

        Raises:
            DeblurError: nothing says so.
        """
        assert self._exposures is not None
        own, first = (self._exposures.get(composed(str(stem))) for stem in (source.stem_of(frame), source.stem))
        if own is not None:
            return own
        if first is None or frame is None:
            raise DeblurError(f"--exposures has no times of {source.stem_of(frame)}")
        if seconds is None:
            raise DeblurError(
                f"--exposures has no times of {source.stem_of(frame)}, and {source.file} does not tell when its frames "
                "were: give each of them a line"
            )
        return first[0] + seconds, first[1] + seconds

    @property
    def record(self) -> Record:
        """The one record of all, where ``--motion`` is a file."""
        return self._read(self._motion)

    def _first_record(self, sources: Sequence[Source]) -> Record | None:
        """The first of the sources' files that can be read; one that cannot costs its own picture only."""
        for source in sources:
            by_frame = sorted((self._motion / source.stem).iterdir()) if self._has_frames(source) else []
            files = [file for file in by_frame if file.suffix in _SUFFIXES]
            for file in files or [self._file(source.stem)]:
                with contextlib.suppress(DeblurError):
                    return self._read(file)
        return None

    def _check_records_of_videos(self, sources: Sequence[Source]) -> None:
        """One that cannot be used would cost all frames of its video."""
        for source in sources:
            if not source.is_video or self._has_frames(source):
                continue
            file = self._file(source.stem)
            if self._exposures is None:
                raise DeblurError(
                    f"{file} is one record of the video {source.file}: say by --exposures FILE when its frames were "
                    "taken"
                )
            self._read(file).check_focal_length(self._focal_length)

    def _has_frames(self, source: Source) -> bool:
        """Whether it is a video with a folder that holds a file a frame, not only those of pictures beside it."""
        return source.is_video and self._holds_frames(self._motion / source.stem)

    def _has_file(self, source: Source) -> bool:
        return self._has_frames(source) or self._file(source.stem).is_file()

    def _has_times(self, source: Source) -> bool:
        assert self._exposures is not None
        name = composed(str(source.stem))
        return name in self._exposures or (
            source.is_video and any(other.startswith(f"{name}/") for other in self._exposures)
        )

    def _file_of(self, source: Source, stem: PurePosixPath) -> Path:
        """The file of a picture or frame: its own, or that of its video."""
        of_video = source.is_video and not self._has_frames(source)
        return self._file(source.stem if of_video else stem)

    def _file(self, stem: PurePosixPath) -> Path:
        files = [self._motion / stem.with_name(f"{stem.name}{suffix}") for suffix in _SUFFIXES]
        return next((file for file in files if file.is_file()), files[0])


def _holds_frames(folder: Path) -> bool:
    """Whether a folder holds a file that is named as a frame of a video is: by six digits or more."""
    return folder.is_dir() and any(
        file.suffix in _SUFFIXES and len(file.stem) >= 6 and file.stem.isdecimal() for file in folder.iterdir()
    )


def _refuse_missing(sources: Sequence[Source], has: Callable[[Source], bool], where: str) -> None:
    missing = [str(source.stem) for source in sources if not has(source)]
    if missing:
        raise DeblurError(
            f"{len(missing)} of {len(sources)} sources have {where}, the first is {missing[0]!r}: "
            "add it, or leave the source out"
        )


def _read_exposures(file: Path) -> dict[str, tuple[float, float]]:
    """When the shutter opened and closed, by picture."""
    found: dict[str, tuple[float, float]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            if not set(COLUMNS) <= set(reader.fieldnames):
                raise DeblurError(f"--exposures {file} needs the columns {', '.join(COLUMNS)}")
            for row in reader:
                picture, *cells = (composed(row[name] or "") for name in COLUMNS)
                if not picture or not all(cells):
                    raise ValueError(f"{', '.join(COLUMNS)} are needed")
                if picture in found:
                    raise ValueError(f"{picture} has times above: leave one of the two lines out")
                opened, closed = map(float, cells)
                if not -math.inf < opened < closed < math.inf:
                    raise ValueError(f"a shutter opens and then closes, not at {clock(opened)} and {clock(closed)}")
                found[picture] = (opened, closed)
    except OSError as error:
        raise DeblurError(f"cannot read --exposures {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DeblurError(f"--exposures {file} is not UTF-8: save it as CSV in UTF-8") from None
    except (ValueError, csv.Error) as error:
        raise DeblurError(f"--exposures {file}, line {reader.line_num}: {error}") from None
    # Columns may be padded; a name that ends in a space is found as it is.
    return {picture.strip(): times for picture, times in found.items()} | found
