"""Memory that is kept between pictures."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from deblur.memory import keep_freed_memory

# Prints how many pages the system hands out for memory that had been in use and was freed before.
FREED_AND_TAKEN_AGAIN = """
import resource, sys
import torch
from deblur.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(5, 2**20) for _ in range(8)]
    del held
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(mode: str) -> int:
    # Of its heap glibc gives back the end, and only where nothing is left there; pieces apart from it always.
    apart = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}
    done = subprocess.run(
        [sys.executable, "-c", FREED_AND_TAKEN_AGAIN, mode], capture_output=True, text=True, check=True, env=apart
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")
def test_memory_that_was_freed_is_not_asked_for_again() -> None:
    assert keep_freed_memory()
    assert faults("keep") < 0.1 * faults("leave")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
