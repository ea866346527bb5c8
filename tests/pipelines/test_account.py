from __future__ import annotations

import json
import os
import signal
import threading
import tracemalloc
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import detection.yolo
from deblur.errors import DeblurError
from detection.types import Detections
from pipelines.account import MOST_LINES, PART, Account, json_pieces
from pipelines.deblur_detect import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def lines(part: Path) -> list[dict[str, Any]]:
    """What a kill leaves now."""
    return [json.loads(line) for line in part.read_text(encoding="utf-8").splitlines()]


def entry(number: int, error: str | None = None, **more: Any) -> dict[str, Any]:
    found = [{"box": [0.1, 2.25, 30, 40.5], "score": 0.1 + 0.2, "class": name} for name in ("person", "bus")]
    times = {"read": 1.5, "deblur": None, "detect": 0.25, "write": None}
    return {
        "file": f"{number}.png",
        "deblurred": f"{number}",
        "detections": found,
        "time_ms": times,
        "error": error,
    } | more


DOCUMENT = {"run": 'a "pictures": [] \u00e9\u2028 b', "pictures": [], "n_ok": 2, "limit": 3}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("n_entries", [0, 1, 3])
def test_the_pieces_are_what_json_makes_of_the_whole(indent: int | None, n_entries: int) -> None:
    entries = [entry(number, "caf\u00e9\u2028 [\n]") for number in range(n_entries)]
    whole = json.dumps(DOCUMENT | {"pictures": entries}, indent=indent, ensure_ascii=indent is None)
    assert "".join(json_pieces(DOCUMENT, iter(entries), indent=indent)) == whole


def test_entries_are_in_a_file_until_the_document_is_there(tmp_path: Path) -> None:
    with Account(tmp_path) as account:
        for number in range(3):
            account.add(entry(number))
        account.settle()
        assert lines(tmp_path / PART) == [entry(number) for number in range(3)]
        account.write(DOCUMENT)
        assert json.loads((tmp_path / "detections.json").read_text())["pictures"] == list(account.entries())
    assert [path.name for path in tmp_path.iterdir()] == ["detections.json"]


def test_the_file_stays_where_there_is_no_document(tmp_path: Path) -> None:
    with Account(tmp_path) as account:
        account.add(entry(0))
    assert lines(tmp_path / PART) == [entry(0)]


def test_an_entry_is_written_when_its_picture_is_and_in_its_order(tmp_path: Path) -> None:
    written: Future[None] = Future()
    first = entry(0)
    with Account(tmp_path) as account:
        account.add(first, written)
        account.add(entry(1))
        assert (account.n_added, (tmp_path / PART).read_text()) == (2, "")
        first["error"] = "the disk is full"
        written.set_result(None)
        account.settle()
        assert list(account.entries()) == [entry(0, "the disk is full"), entry(1)]
        assert list(account.errors()) == ["the disk is full"]
        assert (account.tally.n_ok, account.tally.n_failed) == (1, 1)


def test_a_video_that_is_lost_is_named_in_none_of_its_entries(tmp_path: Path) -> None:
    with Account(tmp_path) as account:
        for number in range(4):
            account.add(entry(number, frame=number))
            if number == 2:
                account.lose_video(1)
        account.settle()
        assert [each["deblurred"] for each in account.entries()] == ["0", None, None, "3"]


def test_the_tally_is_of_what_did_not_fail(tmp_path: Path) -> None:
    with Account(tmp_path) as account:
        for number in range(MOST_LINES + 2):
            account.add(entry(number))
        account.add(entry(98, "too dark", path_believed=1.0))
        account.add(entry(99, frame=0, path_believed=0.5))
        account.add(entry(99, frame=1, path_believed=None))
        account.settle()
    tally = account.tally
    assert (tally.n_ok, tally.n_failed, tally.n_stills) == (MOST_LINES + 4, 1, MOST_LINES + 2)
    assert tally.stills == [f"{number}.png: 1 person, 1 bus" for number in range(MOST_LINES)]
    assert tally.found == {"person": MOST_LINES + 4, "bus": MOST_LINES + 4}
    assert (tally.n_paths, tally.n_believed, tally.believed) == (2, 1, 0.5)


def test_entries_are_not_kept_in_memory(tmp_path: Path) -> None:
    with Account(tmp_path) as account:

        def more() -> int:
            for number in range(600):
                account.make_room()
                account.add(entry(number, frame=number))
            account.settle()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = more()
            after = more()
            tracemalloc.reset_peak()
            account.write(DOCUMENT)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < 30_000, "bytes; a list of 600 entries has 800,000"
    assert most - after < 160_000, "buffers, and one entry at a time"
    assert (tmp_path / "detections.json").stat().st_size > 400_000


def test_no_more_entries_wait_than_there_is_room_for(tmp_path: Path) -> None:
    written: Future[None] = Future()
    threading.Timer(0.5, written.set_result, [None]).start()
    with Account(tmp_path) as account:
        account.add(entry(0), written)
        while not written.done():
            account.make_room()
            account.add(entry(1))
        assert account.n_added < 50


def test_an_entry_that_cannot_be_written_ends_the_run(tmp_path: Path, file_limit: Callable[..., Any]) -> None:
    def fill() -> None:
        with Account(tmp_path) as account:
            for number in range(100):
                account.make_room()
                account.add(entry(number))

    with file_limit(1000), pytest.raises(DeblurError, match=r"cannot write .*detections\.part\.jsonl: File too large"):
        fill()
    assert lines(tmp_path / PART)[0] == entry(0)


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("stopped", [False, True])
def test_what_a_kill_leaves_of_a_run(
    stopped: bool,
    tmp_path: Path,
    make_video: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_video(tmp_path / "clip.mp4", [40] * 30)
    n_seen = 0
    left: list[dict[str, Any]] = []

    def look(self: object, pictures: list[NDArray[Any]]) -> list[Detections]:
        nonlocal n_seen
        n_seen += 1
        if n_seen == 25:
            left.extend(lines(Path("out", PART)))
            if stopped:
                os.kill(os.getpid(), signal.SIGTERM)
        return [Detections.ordered([[0, 0, 10, 10]], [0.9], ["bus"]) for _ in pictures]

    monkeypatch.setattr(detection.yolo.YoloDetector, "__call__", look)
    code = main(["clip.mp4", "--deblurrer", "none", "--save", "json", "--output", "out", "--json"])
    assert code == (130 if stopped else 0)
    content = json.loads(capsys.readouterr().out)
    text = Path("out/detections.json").read_text(encoding="utf-8")
    assert text == json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    assert content["n_ok"] == len(content["pictures"]) == (24 if stopped else 30)
    assert len(left) >= 8
    assert left == content["pictures"][: len(left)]
    assert not Path("out", PART).exists()
