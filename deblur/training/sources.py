"""Where training pictures come from: folders of pairs, of sharp photographs, and of video frames, mixed by weight."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from deblur.cli import lacks_memory
from deblur.errors import DeblurError
from deblur.picture_folders import list_pictures, match_pictures, refuse_pairs
from deblur.pictures import picture_size, read_picture, scale_down, scaled_size
from deblur.prepare.data_sets import SPLITS
from deblur.prepare.placing import MANIFEST
from deblur.scenes import frame_runs
from deblur.training.options import HEAVIEST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from deblur.picture_folders import Sides

Kind = Literal["sharp", "pairs", "frames"]
FEWEST_FRAMES = 5
"""Of a part of a video that is worth averaging."""
_CHECKS_WHOLE = (
    "; only headers were read so far: python -m deblur.prepare sharp (or pairs) DIR DEST reads every file whole and "
    "lists all that are broken"
)


@dataclass(frozen=True)
class Example:
    """What one training crop is cut from: one sharp picture, a blurred and a sharp one, or one video's frames in order.

    ``files`` is (sharp,), (blurred, sharp) or (frame, frame, ...), ``key`` the first one's path below the folder of its
    kind, without suffix and with ``/``.
    """

    kind: Kind
    files: tuple[Path, ...]
    key: str


@dataclass(frozen=True)
class Source:
    """One folder and how often it is drawn from."""

    kind: Kind
    folder: Path
    weight: float
    examples: tuple[Example, ...]


def parse_source(kind: Kind, text: str, option: str = "") -> Source:
    """Read ``DIR`` or ``DIR=WEIGHT`` and list what is in the folder; ``option`` gave it, by default that of the kind.

    ``pairs`` holds ``blur/`` and ``sharp/``; ``sharp`` holds pictures; ``frames`` holds one folder of frames a video,
    which is parted where their numbers have a gap.

    Raises:
        DeblurError: a folder is missing or empty, a blurred picture has no sharp one, pictures or frames given as sharp
            are not all so, or the weight is not above 0.
    """
    option = option or f"--{kind}"
    path, equals, number = text.rpartition("=")
    try:
        weight = float(number) if equals else 1.0
    except ValueError:
        raise DeblurError(f"{option} {text}: {number!r} is no weight; write DIR=WEIGHT, as photos=0.5") from None
    if not 0 < weight <= HEAVIEST:
        raise DeblurError(f"{option} {text}: the weight must be above 0 and at most {HEAVIEST:,}")
    folder = Path(path if equals else text)
    if kind == "pairs":
        _refuse_whole_set(folder, option)
        examples = [
            Example(kind, (blurred, sharp), key)
            for key, blurred, sharp in match_pictures(folder / "blur", folder / "sharp")
        ]
    elif kind == "sharp":
        examples = [_of_files(kind, [file], folder) for file in list_sharp(folder, option)]
    else:
        examples = [_of_files(kind, run, folder) for run in _list_videos(folder, option)]
    return Source(kind, folder, weight, tuple(examples))


def _of_files(kind: Kind, files: Sequence[Path], folder: Path) -> Example:
    return Example(kind, tuple(files), files[0].relative_to(folder).with_suffix("").as_posix())


def _list_videos(folder: Path, option: str) -> list[list[Path]]:
    """The frames of the videos below a folder in their order, those beside a gap as two videos, without what is short.

    Raises:
        DeblurError: as ``list_sharp``, or nothing is left of a video.
    """
    videos: dict[Path, list[Path]] = {}
    for file in list_sharp(folder, option):  # blurred frames, averaged, would be learnt from as blurred once
        videos.setdefault(file.parent, []).append(file)
    runs: list[list[Path]] = []
    for video, files in videos.items():
        found = frame_runs(files)
        most = max(map(len, found))
        if most < FEWEST_FRAMES:
            raise DeblurError(
                f"{option} {folder}: no {FEWEST_FRAMES} frames of {video} are numbered without a gap (at most {most}), "
                "and at least that many are averaged; move it elsewhere"
            )
        runs += [run for run in found if len(run) >= FEWEST_FRAMES]
    return runs


def list_sharp(folder: Path, option: str = "--sharp") -> list[Path]:
    """The pictures below a folder that ``--sharp`` or another option names, as ``list_pictures`` lists them.

    Raises:
        DeblurError: as ``list_pictures`` and ``refuse_pairs``, or they are those that `deblur.prepare` set aside too.
    """
    files = list_pictures(folder)
    pairs = "--val-pairs" if option == "--val-sharp" else "--pairs"

    def instead(sides: Sides) -> str:
        names = sides.blurred.name, sides.sharp.name
        as_pairs = f", or as pairs: {pairs} {sides.sharp.parent}" if names == ("blur", "sharp") else ""
        return f"{sides.sharp}{as_pairs}"

    refuse_pairs(folder, files, f"{option} {folder}", instead)
    places = {file.parent.relative_to(folder).parts for file in files}
    sharp = {parts[:at] for parts in places for at, part in enumerate(parts) if part == "sharp"}
    splits = [parts for parts in sorted(sharp) if parts and parts[-1] in SPLITS]
    for above in sorted({parts[:-1] for parts in splits}):
        place, found = folder.joinpath(*above), [split for split in SPLITS if (*above, split) in splits]
        if len(found) > 1 and (place / MANIFEST).is_file():
            meant = "val" if option == "--val-sharp" and "val" in found else found[0]
            raise DeblurError(
                f"{option} {folder}: {place} was prepared as {', '.join(found)}, which are not to be mixed; give "
                f"{place / meant / 'sharp'}"
            )
    return files


def _refuse_whole_set(folder: Path, option: str) -> None:
    """Refuse a folder of pairs that is the whole of what `deblur.prepare` wrote, and say which part is meant."""
    part = folder / ("val" if option == "--val-pairs" else "train")
    if not (folder / "blur").exists() and (part / "blur").is_dir():
        raise DeblurError(f"{option} {folder}: {folder / 'blur'} does not exist, {part / 'blur'} does; give {part}")


def without(source: Source, files: Collection[Path]) -> Source:
    """The source's examples without these files of theirs: a video goes on behind one that is taken out."""
    return replace(source, examples=tuple(part for example in source.examples for part in _parts(example, files)))


def _parts(example: Example, files: Collection[Path]) -> list[Example]:
    """What is left of an example without these files of its."""
    left = [(not taken, tuple(run)) for taken, run in itertools.groupby(example.files, lambda file: file in files)]
    if len(left) == 1 and left[0][0]:
        return [example]
    if example.kind != "frames":
        return []
    return [replace(example, files=run) for stays, run in left if stays and len(run) >= FEWEST_FRAMES]


def files_of(examples: Iterable[Example]) -> Iterator[Path]:
    """Every file of the examples."""
    return (file for example in examples for file in example.files)


def check_readable(examples: Iterable[Example], max_side: int | None) -> int:
    """Read every file's header; return the bytes that all pictures take in memory as uint8 RGB.

    Raises:
        DeblurError: names the files that cannot be opened, up to ten, before training starts, and what finds the others
            that are broken: to decode all files of a large set takes many minutes.
    """
    total, broken = 0, []
    for example in examples:
        sizes = set()
        for file in example.files:
            try:
                width, height = picture_size(file)
            except DeblurError as error:
                broken.append(str(error))
                continue
            sizes.add((width, height))
            scale = min(1.0, max_side / max(width, height)) if max_side else 1.0
            total += round(3 * width * height * scale**2)
        if len(sizes) > 1:
            broken.append(f"{example.files[0]} and {example.files[-1]} (sizes differ: {sorted(sizes)})")
    _refuse(broken, _CHECKS_WHOLE)
    return total


def _refuse(broken: Sequence[str], further: str = "") -> None:
    if broken:
        more = f" and {len(broken) - 10} more" if len(broken) > 10 else ""
        raise DeblurError(f"{len(broken)} pictures cannot be used: {'; '.join(broken[:10])}{more}{further}")


class _NoMemoryError(DeblurError):
    """Memory does not suffice for one picture more in the store."""


class PictureStore:
    """Pictures as uint8 tensors (3, H, W), kept on the training device where they fit, else read again as needed.

    Args:
        device: where the pictures are wanted.
        capacity: bytes to keep; the least recently used picture goes first.
        max_side: pictures with a longer side are scaled down to it once, when read.
    """

    def __init__(self, device: torch.device, capacity: float, max_side: int | None = None) -> None:
        self.device = device
        self.capacity = capacity
        self.max_side = max_side
        self._kept: OrderedDict[Path, Tensor] = OrderedDict()
        self._reading: dict[Path, Future[Tensor]] = {}
        self._held = 0
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="reader")

    def get(self, file: Path) -> Tensor:
        """The (3, H, W) uint8 picture on the device.

        Raises:
            DeblurError: its file cannot be read, or there is too little memory beside the pictures that are kept.
        """
        with self._lock:
            picture = self._kept.get(file)
            if picture is not None:
                self._kept.move_to_end(file)
            else:
                reading = self._begin(file)
        if picture is None:
            picture = reading.result()
        if picture.is_cuda:
            # Should the store forget the picture, its memory stays until this thread's stream has read it.
            picture.record_stream(torch.cuda.current_stream(picture.device))
        return picture

    def size_of(self, file: Path) -> tuple[int, int]:
        """Width and height of a picture as ``get`` gives it, from its header where it has not been read."""
        with self._lock:
            picture = self._kept.get(file)
        if picture is not None:
            return picture.shape[-1], picture.shape[-2]
        return scaled_size(*picture_size(file), self.max_side)

    def prefetch(self, files: Iterable[Path]) -> None:
        """Begin to read files side by side in the background, so that ``get`` finds them soon."""
        with self._lock:
            for file in files:
                if file not in self._kept:
                    self._begin(file)

    def load(self, files: Iterable[Path]) -> None:
        """Read all files now, for data that fits, with a progress bar on stderr.

        Raises:
            DeblurError: names the files that cannot be read, up to ten; or there is too little memory.
        """
        broken = []
        try:
            with self._lock:
                readings = [self._begin(file) for file in dict.fromkeys(files) if file not in self._kept]
            for reading in tqdm(readings, desc="reading", unit="picture", leave=False, mininterval=1, file=sys.stderr):
                try:
                    reading.result()
                except _NoMemoryError:
                    raise
                except DeblurError as error:
                    broken.append(str(error))
        except BaseException:  # an interrupt too
            self.close()  # else Python reads all the others before it ends
            raise
        _refuse(broken)

    def close(self) -> None:
        """Stop the readers."""
        self._readers.shutdown(wait=True, cancel_futures=True)

    def _begin(self, file: Path) -> Future[Tensor]:
        """Start to read a file, unless that is under way; called with the lock held."""
        if file not in self._reading:
            self._reading[file] = self._readers.submit(self._fetch, file)
        return self._reading[file]

    def _fetch(self, file: Path) -> Tensor:
        picture = None
        try:
            picture = (
                torch.from_numpy(scale_down(read_picture(file), self.max_side))
                .permute(2, 0, 1)
                .contiguous()
                .to(self.device)
            )
            return picture
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            kept = f"the {self._held / 1e9:.1f} GB of training pictures that are kept on {self.device}"
            raise _NoMemoryError(f"not enough memory beside {kept}: give a smaller --memory-gb") from error
        finally:
            with self._lock:
                del self._reading[file]
                if picture is not None:
                    self._kept[file] = picture
                    self._held += picture.numel()
                while self._held > self.capacity and len(self._kept) > 1:
                    _, oldest = self._kept.popitem(last=False)
                    self._held -= oldest.numel()
