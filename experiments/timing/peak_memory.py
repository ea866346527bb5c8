"""How much memory one run of a program takes beside what it holds once loaded.

On CUDA it is what torch's allocator had in use at most. On Linux it is the growth of the resident memory of a process
of its own (``python -m experiments.timing.peak_memory KIND SOURCE WIDTH HEIGHT DEVICE THREADS BLUR``), since an
allocator that has grown once hides what the next run needs.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deblur.cli import EXIT_USAGE

if TYPE_CHECKING:
    from deblur.blur import BlurSpec
    from experiments.timing.alternating import Program

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def measure_peak(program: Program, given: Any, width: int, height: int, blur: BlurSpec) -> int | None:
    """Peak memory of one run in bytes; None where the system does not tell (outside CUDA, Linux alone does)."""
    import torch

    if program.device.type != "cuda":
        return _peak_of_process(program, width, height, blur)
    torch.cuda.synchronize(program.device)
    torch.cuda.reset_peak_memory_stats(program.device)
    before = torch.cuda.memory_allocated(program.device)
    program.run(given)
    torch.cuda.synchronize(program.device)
    return torch.cuda.max_memory_allocated(program.device) - before


def _peak_of_process(program: Program, width: int, height: int, blur: BlurSpec) -> int | None:
    import torch

    if not _CLEAR.is_file():
        return None
    arguments = [program.kind, program.source, width, height, program.device, torch.get_num_threads(), blur]
    project = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.timing.peak_memory", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")])},
    )
    if done.returncode:
        raise RuntimeError(f"the memory of {program.name} could not be measured: {done.stderr.strip()}")
    return int(json.loads(done.stdout.splitlines()[-1])["bytes"])


def _resident(key: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (most so far) of this process, in bytes."""
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"{_STATUS} does not say {key}")


def _give_back_freed_memory() -> None:
    """Let the C library keep nothing that was freed: the run would take it and seem to need the less."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc's
        trim(0)


def _main() -> int:
    if len(sys.argv) != 8:
        print(__doc__, file=sys.stderr)
        return EXIT_USAGE
    kind, name, width, height, device, threads, blur = sys.argv[1:]
    import torch

    from deblur.blur import parse_blur
    from experiments.timing.programs import load_program, photograph

    torch.set_num_threads(int(threads))
    program = load_program(kind, name, device, parse_blur(blur))
    small, given = (program.prepare(photograph(*size)) for size in ((64, 64), (int(width), int(height))))
    program.run(small)  # what libraries keep after their first call is not the picture's
    _give_back_freed_memory()
    _CLEAR.write_text(_RESET_PEAK, encoding="ascii")  # else the peak of loading could hide that of the run
    before = _resident("VmRSS")
    program.run(given)
    print(json.dumps({"bytes": max(0, _resident("VmHWM") - before)}))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
