"""The conveyor belt: read ahead, restore and detect, write behind, and give an account of every picture."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import wait
from contextlib import closing, contextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from tqdm import tqdm

from deblur.cli import hangup, lacks_memory, one_line
from deblur.errors import DeblurError
from deblur.runs import printable
from detection.errors import DetectionError
from pipelines.account import counted
from pipelines.overlap import WriteBehind, read_ahead
from pipelines.sinks import detection_entries
from pipelines.sources import count_pictures, read_items

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from types import FrameType
    from typing import TextIO

    import numpy as np
    from numpy.typing import NDArray

    from deblur.exposure.paths import CameraPath
    from deblur.exposure.way_round import WayRound
    from pipelines.account import Account, Entry
    from pipelines.chain import DeblurDetect, DeblurDetectResult
    from pipelines.motions import Motions
    from pipelines.sinks import CocoSink, PictureSink
    from pipelines.sources import Item, Source

TURNED = "pictures come out sharper along their paths turned by 180 degrees: the signs of --motion are wrong"
READ_AHEAD = 2  # pictures; the network is the slow part, so more would only take memory
WRITERS = min(4, os.cpu_count() or 1)


class Process:
    """Takes sources through the chain."""

    def __init__(
        self,
        chain: DeblurDetect,
        pictures: PictureSink,
        coco: CocoSink | None,
        account: Account,
        log: TextIO,
        motions: Motions | None = None,
        way_round: WayRound | None = None,
        *,
        searches: bool = False,
    ) -> None:
        """Join the parts.

        Args:
            chain: restores and detects.
            pictures: writes pictures, videos and label files.
            coco: collects detections; None where nobody asked for it, since it keeps them all in memory.
            account: gets one entry a picture or frame that is done, in order.
            log: gets one line a picture.
            motions: the camera's paths, where they are known.
            way_round: looks at the first pictures whether these are turned, which is said as soon as it is sure.
            searches: whether the chain searches for them where they are not.
        """
        self._chain = chain
        self._pictures = pictures
        self._coco = coco
        self._account = account
        self._log = log
        self._motions = motions
        self._way_round = way_round
        self._searches = searches

    def say(self, line: str) -> None:
        """Show a line above the progress bar on stderr and keep it in the log."""
        tqdm.write(one_line(line), file=sys.stderr)
        self._note(line)

    def run(self, sources: Sequence[Source], limit: int | None = None) -> None:
        """Process every picture and frame, or the first ``limit``.

        What fails for one picture is said in one line and kept in its entry, and the next one follows. Ctrl-C passes
        through as `KeyboardInterrupt` when what was done is written.
        """
        total = count_pictures(sources)
        if limit is not None:
            total = limit if total is None else min(total, limit)
        unit = "frame" if all(source.is_video for source in sources) else "picture"
        with (
            closing(_items(sources)) as items,
            WriteBehind(WRITERS) as writers,
            tqdm(total=total, unit=f" {unit}s", desc="deblur, detect", file=sys.stderr, dynamic_ncols=True) as bar,
        ):
            for source, items_of_source in groupby(_limited(items, limit), attrgetter("source")):
                begin = self._account.n_added
                try:
                    for item in items_of_source:
                        if item.note is not None:
                            self.say(item.note)
                            continue
                        self._process(item, writers)
                        bar.update()
                finally:  # also after Ctrl-C: a video that is not closed is lost
                    if source.is_video:
                        self._finish_videos(source, begin, writers)

    def _process(self, item: Item, writers: WriteBehind) -> None:
        self._account.make_room()
        entry = _new_entry(item.source, item.frame, item.read_ms)
        if item.taken is not None:
            entry["taken"] = item.taken
            if item.frame == 0:
                self._tell_of_camera(item)
        if item.seconds is not None:
            entry["seconds"] = round(item.seconds, 4)
        if item.picture is None:
            assert item.error is not None
            self._fail(entry, item.error)
            self._account.add(entry)
            return
        try:
            path = None if self._motions is None else self._motions.path_of(item)
            result = self._restore_and_detect(item.picture, path)
        except (DeblurError, DetectionError) as error:
            self._fail(entry, f"{_title(entry)}: {error}")
            written = None if item.frame is None else self._submit(item, None, entry, writers)
            self._account.add(entry, written)
            return
        if path is not None:
            self._look_which_way_round(item.picture, path)
        if self._motions is not None or self._searches:
            entry["path_believed"] = None if result.believed is None else round(result.believed, 3)
        if result.spread is not None:
            entry["blur_spread"] = round(result.spread, 5)
        entry["detections"] = detection_entries(result.detections)
        entry["time_ms"] |= {"deblur": _rounded(result.times.deblur), "detect": _rounded(result.times.detect)}
        # First: Ctrl-C while it waits leaves no trace of a picture.
        written = self._submit(item, result, entry, writers)
        self._account.add(entry, written)
        if self._coco is not None:
            self._coco.add(item, result.detections)
        self._note(f"{_title(entry)}: {counted(Counter(result.detections.class_names))}")

    def _tell_of_camera(self, item: Item) -> None:
        """What size its frames have: a camera does not always give the one that is asked for."""
        assert item.picture is not None
        height, width = item.picture.shape[:2]
        wanted = item.source.size
        remark = ""
        if wanted is None:
            remark = ": ask for more by --camera-size WIDTHxHEIGHT"
        elif wanted != (width, height):
            remark = f", not the {wanted[0]}x{wanted[1]} that it was asked for"
        self.say(f"{item.source.file} gives {width}x{height} pixels{remark}")

    def _restore_and_detect(self, picture: NDArray[np.uint8], path: CameraPath | None) -> DeblurDetectResult:
        """What the chain makes of a picture.

        Raises:
            DeblurError, DetectionError: as the chain does, and where there is too little memory for a picture so large:
                that is no reason to leave out those that follow.
        """
        try:
            return self._chain(picture, path)
        except Exception as error:
            if not lacks_memory(error):
                raise
            height, width = picture.shape[:2]
            raise DeblurError(
                f"not enough memory for {width}x{height} pixels: scale the picture down, or give a smaller --imgsz"
            ) from error

    def _look_which_way_round(self, picture: NDArray[np.uint8], path: CameraPath) -> None:
        if self._way_round is None or not self._way_round.wanted:
            return
        try:
            self._way_round.look(picture, path)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            self._way_round = None  # it was for advice alone
            self._note("not enough memory to see whether the paths of --motion are turned")
            return
        if self._way_round.turned:
            self.say(f"{TURNED} (docs/camera-path.md)")

    def _submit(
        self, item: Item, result: DeblurDetectResult | None, entry: Entry, writers: WriteBehind
    ) -> Future[None] | None:
        if not self._pictures.writes_anything:
            return None
        return writers.submit(partial(self._write, item, result, entry), in_order=item.frame is not None)

    def _write(self, item: Item, result: DeblurDetectResult | None, entry: Entry) -> None:
        start = time.perf_counter()
        failures = self._pictures.write(item, result)
        entry["time_ms"]["write"] = _rounded((time.perf_counter() - start) * 1000)
        if result is None:  # its entry says why
            return
        if "deblurred" in self._pictures.kinds - failures.keys():
            entry["deblurred"] = printable(str(self._pictures.path_of("deblurred", item)))
        if failures:
            self._fail(entry, f"{_title(entry)}: {'; '.join(failures.values())}")

    def _finish_videos(self, source: Source, begin: int, writers: WriteBehind) -> None:
        """Close the videos of a source, whose entries follow ``begin``. One that is not whole gives an entry too."""
        closed = writers.follow_up(self._pictures.finish_videos)
        try:
            wait([closed])
        finally:  # also where Ctrl-C comes while the last frames are written
            self._tell_of_videos(source, begin, closed.result())

    def _tell_of_videos(self, source: Source, begin: int, failures: Mapping[str, str]) -> None:
        if "deblurred" in failures:
            self._account.lose_video(begin)
        if failures:
            entry = _new_entry(source)
            self._fail(entry, f"{_title(entry)}: {'; '.join(failures.values())}")
            self._account.add(entry)

    def _fail(self, entry: Entry, error: str) -> None:
        entry["error"] = one_line(error)
        self.say(f"failed: {error}")

    def _note(self, line: str) -> None:
        self._log.write(f"{one_line(line)}\n")


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Lets SIGTERM, of timeout, services and containers, and SIGHUP, of a terminal, end a program as Ctrl-C does.

    The first of them counts: a shell and its terminal may both send one, and what is done must then still be written.
    """
    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield
        return
    before = {number: signal.signal(number, _stop_once) for number in (signal.SIGTERM, *hangup())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_once(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _items(sources: Sequence[Source]) -> Generator[Item]:
    """Pictures and frames, read ahead unless a camera is among them, whose frames would only grow old meanwhile."""
    items = read_items(sources)
    if any(isinstance(source.origin, int) for source in sources):
        return items
    return read_ahead(items, READ_AHEAD)


def _limited(items: Iterable[Item], limit: int | None) -> Iterator[Item]:
    """The first ``limit`` pictures, frames and failures, with the notes between them."""
    count = 0
    for item in items:
        yield item
        count += item.note is None
        if count == limit:
            return


def _title(entry: Entry) -> str:
    return entry["file"] if "frame" not in entry else f"{entry['file']} frame {entry['frame']}"


def _new_entry(source: Source, frame: int | None = None, read_ms: float | None = None) -> Entry:
    entry: Entry = {"file": printable(source.file)}
    if frame is not None:
        entry["frame"] = frame
    times = {"read": _rounded(read_ms), "deblur": None, "detect": None, "write": None}
    return entry | {"deblurred": None, "detections": [], "time_ms": times, "error": None}


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
