from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from deblur.errors import DeblurError
from deblur.run_lock import alone_in

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
ANOTHER = """
import sys
from pathlib import Path
from deblur.run_lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("has it", flush=True)
    sys.stdin.read()
"""


def test_a_run_is_refused_while_another_process_has_it_and_free_when_that_is_killed(tmp_path):
    command = [sys.executable, "-c", ANOTHER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as another:
        assert another.stdout.readline() == "has it\n"
        with pytest.raises(DeblurError, match=f"another process is at work in {tmp_path}: "), alone_in(tmp_path):
            pass
        another.kill()
    for _ in range(2):
        with alone_in(tmp_path):
            pass


def test_a_disk_without_locks_refuses_nobody(tmp_path, monkeypatch):
    def unable(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unable)
    with alone_in(tmp_path), alone_in(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path):
    with pytest.raises(DeblurError, match=r"cannot write .*gone.*: No such file"), alone_in(tmp_path / "gone"):
        pass
