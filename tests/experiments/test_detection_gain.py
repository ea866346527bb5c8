"""The command ``python -m experiments.detection_gain``, on the small experiment of conftest.py."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deblur.pictures import write_picture
from deblur.run_lock import alone_in
from experiments import detection_gain, rescore

if TYPE_CHECKING:
    from collections.abc import Callable

    from experiments.gain.settings import Settings


class Command:
    """The command line with fakes in place of networks."""

    def __init__(self, data: Path, called: Callable[..., Any], fakes: Any) -> None:
        self.fakes = fakes
        self.base = ["--annotations", str(data / "truth.json"), "--detector", "finder", "--bootstrap", "20"]
        self.base += ["--blurred", str(data / "blurred"), "--sharp", str(data / "sharp"), "--deblurrer", "unmove"]
        self._called = called

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        return self._called(detection_gain.main, arguments)


@pytest.fixture
def command(
    data: Path, tmp_path: Path, called: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, fakes: Any
) -> Command:
    command = Command(data, called, fakes)
    monkeypatch.setattr("experiments.gain.loading.tools_on", lambda device, image_size: command.fakes.tools)
    monkeypatch.chdir(tmp_path)
    return command


def test_json_is_one_document_with_the_promised_keys(command: Command) -> None:
    code, out, err = command(*command.base, "--json")
    assert code == 0, err
    document = json.loads(out)
    (result,) = document["results"]
    assert {"ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar", "n_pictures", "n_predictions"} <= set(
        result["arms"]["deblurred:unmove"]
    )
    assert result["recovered"]["unmove"]["value"] == pytest.approx(1)
    assert {"value", "low", "high"} <= set(result["harm"]["unmove"])
    assert len(document["data"]["sha256"]) == 64
    assert document["protocol"]["detection"]["confidence"] == 0.001
    folder = Path(document["run"])
    assert folder.parent == Path("runs/detection_gain")
    assert json.loads((folder / "metrics.json").read_text()) | {"run": str(folder)} == document
    assert {"config.yaml", "env.json", "per_image.csv", "predictions.json", "curves.json", "log.txt"} <= {
        path.name for path in folder.iterdir()
    }


def test_the_table_says_what_a_limit_did(command: Command) -> None:
    code, out, err = command(*command.base, "--limit", "3")
    assert code == 0, err
    assert "--limit 3 of 4: not the figures of the whole set" in out
    assert "deblurred:unmove 1.000 1.000 1.000" in " ".join(out.split())
    assert "recovered fraction" in out
    assert "beyond mirrored+blurred" not in out


def test_the_table_compares_fused_boxes_with_their_control(command: Command, settings_of_six: Settings) -> None:
    six = {name: str(getattr(settings_of_six, name)) for name in ("annotations", "blurred", "sharp")}
    code, out, err = command(*command.base, "--fuse", *(f"--{name}={path}" for name, path in six.items()))
    assert code == 0, err
    lines = out.splitlines()
    heads = ["beyond mirrored+blurred", "recovered in two passes", "harm in two passes"]
    start = next(index for index, line in enumerate(lines) if re.split(" {2,}", line)[-3:] == heads)
    shown = {line.split()[0]: re.split(" {2,}", line)[-3:] for line in lines[start + 1 : start + 4]}
    assert shown["unmove"] == shown["mirrored+blurred"] == ["-", "-", "-"]
    assert [cell.partition(" [")[0] for cell in shown["unmove+mirrored"]] == ["1.000", "1.000", "0.500"]
    assert all(cell.endswith("]") for cell in shown["unmove+mirrored"])


def test_the_table_compares_deblurrers_with_the_first(command: Command) -> None:
    code, out, err = command(*command.base, "--deblurrer", "idle")
    assert code == 0, err
    lines = out.splitlines()
    start = next(index for index, line in enumerate(lines) if line.endswith("  over the first"))
    shown = {line.split()[0]: re.split(" {2,}", line)[-1] for line in lines[start + 1 : start + 3]}
    assert shown == {"unmove": "-", "idle": "-1.000"}


def test_resume_takes_the_options_of_the_run_and_repeats_no_work(command: Command, tmp_path: Path) -> None:
    command.fakes.stop_after = 2
    code, _, err = command(*command.base, "--output", "x")
    assert (code, err.splitlines()[-1]) == (130, "interrupted")
    command.fakes.stop_after = None
    code, out, err = command("--resume", "x", "--json")
    assert code == 0, err
    assert command.fakes.restored == 8
    command.fakes.restored = 0
    code, _, err = command(*command.base, "--output", "x")
    assert code == 1
    assert err.splitlines()[-1].startswith("error: --output x is a run already: go on with it by --resume x, or ")
    again = command("--resume", "x", "--json")
    assert (again[0], json.loads(again[1])) == (0, json.loads(out))
    assert (command.fakes.restored, command.fakes.seen) == (0, 0)
    with alone_in(tmp_path / "x"):
        code, _, err = command("--resume", "x")
    assert code == 1
    assert err.splitlines()[-1].startswith("error: another process is at work in x: ")
    code, _, err = command("--resume", "x", "--seed", "5", "--classes", "red")
    assert code == 1
    assert "other options (--classes, --seed)" in err


def test_what_other_code_made_is_made_again(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = command(*command.base, "--output", "x", "--json")
    assert code == 0, err
    made, command.fakes.restored = command.fakes.restored, 0
    monkeypatch.setattr("experiments.gain.measure.state_of_code", lambda: "another")
    code, again, err = command("--resume", "x", "--json")
    assert code == 0, err
    assert command.fakes.restored == made > 0
    assert json.loads(again)["results"] == json.loads(out)["results"]
    environment = json.loads((tmp_path / "x" / "env.json").read_text())
    assert len(environment["earlier"]) == 1


def test_every_option_reaches_what_it_is_of(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def tools_on(device: str, image_size: int) -> Any:
        asked.append((device, image_size))
        return command.fakes.tools

    monkeypatch.setattr("experiments.gain.loading.tools_on", tools_on)
    options = "--seed 5 --imgsz 320 --backend faster-coco-eval --data-blur gamma --classes red --device cpu --json"
    code, out, err = command(*command.base, *options.split())
    assert code == 0, err
    document = json.loads(out)
    protocol = document["protocol"]
    assert asked == [("cpu", 320)]
    assert protocol["detection"]["image_size"] == 320
    assert (protocol["bootstrap"]["seed"], protocol["bootstrap"]["resamples"]) == (5, 20)
    assert protocol["scoring"] == protocol["scoring"] | {"backend": "faster-coco-eval", "classes": ["red"]}
    assert (document["data"]["blur"], document["data"]["classes"]) == ("gamma", ["red"])


def test_none_is_no_network_and_lists_may_be_given_in_parts(command: Command) -> None:
    arguments = [*command.base[:-1], "none", "--detector", "second", "--json"]
    code, out, err = command(*arguments)
    assert code == 0, err
    document = json.loads(out)
    assert [result["detector"] for result in document["results"]] == ["finder", "second"]
    assert set(document["results"][1]["arms"]) == {"sharp", "blurred"}
    assert [result["recovered"] for result in document["results"]] == [{}, {}]


def test_a_split_of_a_yolo_data_file_is_measured_and_scored_anew(command: Command, data: Path, tmp_path: Path) -> None:
    for split, stems in {"val": "a", "test": "bc"}.items():
        (tmp_path / split).mkdir()
        for stem in stems:
            shutil.copy(data / "sharp" / f"{stem}.png", tmp_path / split)
            (tmp_path / split / f"{stem}.txt").write_text("0 0.5 0.5 0.5 0.5")
    (tmp_path / "data.yaml").write_text("val: val\ntest: test\nnames: [red]\n")
    given = [*command.base, "--annotations", "data.yaml", "--bootstrap", "0"]
    runs = []
    for split, n_pictures in ((["--split", "test"], 2), ([], 1)):
        code, out, err = command(*given, *split, "--json")
        assert code == 0, err
        assert json.loads(out)["data"]["n_pictures"] == n_pictures
        runs.append(json.loads(out)["run"])
    code, _, err = command(*given, "--split", "train")
    assert (code, err.splitlines()[-1]) == (1, "error: data.yaml has no split 'train'")
    assert [rescore.main([run]) for run in runs] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--annotations is needed"),
        (["--annotations", "x", "--detector", "y"], "give either --blurred DIR or --blur SPEC"),
        (["--imgsz", "100"], "--imgsz: 100 is not a multiple of 32"),
        (["--annotations", "x", "--detector", "y", "--blur", "shake:8"], "--blur needs --sharp"),
        (
            ["--annotations", "x", "--sharp", "s", "--blur", "shake:8", "--data-blur", "gamma"],
            "--blur SPEC says it itself",
        ),
        (["--annotations", "x", "--detector", "y", "--sharp", "s", "--blur", "wobble:8"], "unknown kind of blur"),
        (["--annotations", "x", "--detector", "y", "--blurred", "b", "--blur", "none", "--sharp", "s"], "give either"),
        (["--annotations", "x", "--detector", "y", "--blurred", "b", "--deblurred", "peer"], "is not NAME=DIR"),
        (["--annotations", "x", "--blurred", "b", "--deblurred", "a/b=peer"], "'a/b' is no name for a folder"),
        (["--annotations", "x", "--detector", "y", "--blurred", "b", "--limit", "0"], "at least 1"),
        (["--resume", "a", "--output", "b"], "--resume a is no run of this command: there is no config.yaml in it"),
    ],
)
def test_usage_errors(command: Command, arguments: list[str], message: str) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_users_mistake_is_one_line_and_exit_1(command: Command, tmp_path: Path) -> None:
    code, out, err = command(*command.base[:-1], "magic")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "error: no deblurrer 'magic'"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    code, _, err = command(*command.base, "--output", "full")
    assert code == 1
    assert "--output full holds files already" in err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--classes", "rde"], "finder has no class 'rde': did you mean red?"),
        (["--annotations", "nowhere.json"], "no annotations at nowhere.json"),
        (["--split", "test"], "truth.json: only YOLO data files have splits; leave out 'test'"),
        (["--deblurred", "theirs=nowhere"], "nowhere does not exist"),
        (["--deblurrer", "unmove", "unmove"], "two deblurrers are called 'unmove'"),
        (["--classes", "blue"], "has no object of blue to score finder on"),
        (["--annotations", "unlabelled.yaml"], "none has a label file, the first looked for is few/z.txt"),
        (["--sharp", "few"], "4 of 4 annotated pictures have no file in few"),
        (["--sharp", "small"], "d.png is 32x24 pixels, but d is 64x48"),
        (["--sharp", "empty"], "empty/a.png"),
    ],
)
def test_a_start_that_fails_leaves_no_folder(
    command: Command, tmp_path: Path, changes: list[str], message: str
) -> None:
    write_picture(tmp_path / "few" / "z.png", np.zeros((48, 64, 3), np.uint8))
    for stem in "abcd":
        size = (24, 32, 3) if stem == "d" else (48, 64, 3)
        write_picture(tmp_path / "small" / f"{stem}.png", np.zeros(size, np.uint8))
        write_picture(tmp_path / "empty" / f"{stem}.png", np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "empty" / "a.png").write_bytes(b"")
    (tmp_path / "unlabelled.yaml").write_text("val: few\nnames: [red]\n")
    code, out, err = command(*command.base, *changes)
    assert (code, out) == (1, "")
    assert message in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()
    assert command.fakes.seen == 0
    code, _, _ = command(*command.base, *changes, "--output", "x")
    assert code == 1
    assert not (tmp_path / "x").exists()


def test_the_detector_is_that_of_the_other_commands_unless_named(command: Command, tmp_path: Path) -> None:
    base = [word for word in command.base if word not in {"--detector", "finder"}]
    code, out, err = command(*base, "--json")
    assert code == 0, err
    assert [record["name"] for record in json.loads(out)["detectors"]] == ["yolo26n"]
    assert "detector:\n- yolo26n" in (tmp_path / json.loads(out)["run"] / "config.yaml").read_text()


def test_end_to_end_with_a_real_detector(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = shared / "data" / "coco_eval"
    arguments = ["--annotations", str(source / "instances.json"), "--sharp", str(source / "images")]
    arguments += ["--blur", "straight:20", "--detector", str(shared / "weights" / "yolo26n.pt"), "--limit", "4"]
    arguments += ["--device", "cpu", "--bootstrap", "50", "--json", "--output", str(tmp_path / "run")]
    assert detection_gain.main(arguments) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    arms = result["arms"]
    assert arms["sharp"]["n_pictures"] == 4
    assert arms["sharp"]["ap"] > arms["blurred"]["ap"] > 0
    assert arms["sharp"]["ap"] > 0.3
    assert result["consistency"]["blurred"]["consistency"] < 1
