"""Several processes of one run share its pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from experiments.common.narrator import Narrator
from experiments.gain.files import read_metrics
from experiments.gain.measure import measure
from experiments.gain.plan import plan
from experiments.gain.processes import Processes, join_processes

if TYPE_CHECKING:
    from experiments.gain.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_process_alone_needs_no_partners() -> None:
    alone = join_processes()
    assert alone == Processes()
    assert alone.agree(lambda: "x") == "x"
    assert alone.device("auto") == "auto"
    alone.wait()


def test_pictures_are_dealt_without_repeats() -> None:
    shares = [Processes(index, 3).share(range(10)) for index in range(3)]
    assert [list(share) for share in shares] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert [Processes(index, 3).is_first for index in range(3)] == [True, False, False]


def test_every_process_has_a_gpu_of_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    three_on_each_of_two_machines = [Processes(index, 6, index % 3) for index in range(6)]
    devices = [process.device("auto") for process in three_on_each_of_two_machines]
    assert devices == ["cuda:0", "cuda:1", "cuda:0"] * 2
    assert Processes(1, 2, 1).device("cpu") == "cpu"
    assert Processes().device("auto") == "auto"


@pytest.mark.slow
def test_two_processes_share_the_pictures(settings: Settings, tmp_path: Path, fakes: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import dataclasses, importlib.util, sys
from pathlib import Path
from experiments.gain.measure import measure
from experiments.common.narrator import Narrator
from experiments.gain.plan import plan
from experiments.gain.processes import join_processes
from experiments.gain.settings import Settings

spec = importlib.util.spec_from_file_location("fakes", {str(Path(__file__).with_name("conftest.py"))!r})
fakes_module = importlib.util.module_from_spec(spec)
sys.modules["fakes"] = fakes_module
spec.loader.exec_module(fakes_module)
data = Path({str(settings.annotations.parent)!r})
settings = Settings(data / "truth.json", data / "sharp", data / "blurred", (), ("unmove", "idle"), (), ("finder",),
                    resamples=40)
processes = join_processes()
def made():
    folder = Path({str(tmp_path / "run")!r})
    folder.mkdir()  # one of them does
    return folder
folder = processes.agree(made)
fakes = fakes_module.Fakes()
gain = measure(plan(settings, fakes.tools), folder, Narrator(silent=True), processes)
(folder / f"count-{{processes.index}}").write_text(f"{{processes.count}} {{fakes.restored}} {{gain is None}}")
processes.leave()
""")
    answer = _launched(script, tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "run" / "count-0").read_text() == "2 8 False"
    assert (tmp_path / "run" / "count-1").read_text() == "2 8 True"
    alone = tmp_path / "alone"
    alone.mkdir()
    gain = measure(plan(settings, fakes.tools), alone, Narrator(silent=True))
    assert gain is not None
    assert read_metrics(tmp_path / "run").results == gain.results


@pytest.mark.slow
def test_a_mistake_of_the_first_process_ends_all_of_them(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import sys
from deblur.cli import run
from deblur.errors import DeblurError
from experiments.gain.processes import join_processes

def refused():
    raise DeblurError("there is something else")

sys.exit(run(lambda: join_processes().agree(refused)))
""")
    answer = _launched(script, tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.count("error: there is something else") == 2
    assert "Connection closed by peer" not in answer.stderr
    assert 'script.py", line' not in answer.stderr


def _launched(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script in two processes, as torchrun starts it."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    return subprocess.run(
        launch,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
    )
