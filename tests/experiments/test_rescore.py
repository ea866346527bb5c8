"""Scoring saved boxes anew: an untouched run comes out as it was, and what is not this run is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from deblur.runs import write_yaml
from deblur.yaml_text import read_yaml
from experiments import compare, rescore
from experiments.common.narrator import Narrator
from experiments.gain.files import read_metrics
from experiments.gain.measure import measure
from experiments.gain.plan import plan

if TYPE_CHECKING:
    from pathlib import Path

    from experiments.gain.settings import Settings

TABLES = ("metrics.json", "per_image.csv", "curves.json")


@pytest.fixture
def measured(settings: Settings, folder: Path, fakes: Any) -> Path:
    """A run with fused boxes of two detectors, of which one knows a class less, and of its files the needed ones."""
    settings = dataclasses.replace(settings, fuse=True, detectors=("finder", "narrow"))
    measure(plan(settings, fakes.tools), folder, Narrator(silent=True))
    for name in ("cache", "pictures"):
        shutil.rmtree(folder / name)
    _write_config(folder, settings)
    (folder / "env.json").write_text('{"commit": "of the detection", "device": "cuda"}')
    return folder


def _write_config(folder: Path, settings: Settings) -> None:
    options = {"annotations": str(settings.annotations), "blurred": str(settings.blurred), "bootstrap": 40}
    write_yaml(folder / "config.yaml", options | {"classes": settings.classes and list(settings.classes)})


def test_an_untouched_run_comes_out_as_it_was(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in measured.iterdir()}
    assert rescore.main([str(measured), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(before["metrics.json"])
    for name in (*TABLES, "predictions.json", "config.yaml"):
        assert (measured / name).read_bytes() == before[name]
    environment = json.loads((measured / "env.json").read_text())
    assert (environment["commit"], environment["device"]) == ("of the detection", "cuda")
    (rescored,) = environment["rescored"]
    assert {"commit", "command", "packages", "time"} <= set(rescored)
    assert rescore.main([str(measured)]) == 0
    assert "deblurred:unmove+mirrored" in capsys.readouterr().out
    assert len(json.loads((measured / "env.json").read_text())["rescored"]) == 2


def test_what_older_code_did_not_measure_is_added(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads((measured / "metrics.json").read_text())
    old = json.loads((measured / "metrics.json").read_text())
    old["protocol"]["bootstrap"] = {"resamples": 7}
    del old["protocol"]["harm_looking_twice"]
    for result in old["results"]:
        for added in ("beyond_control", "recovered_looking_twice", "harm_looking_twice", "over"):
            del result[added]
        result["arms"]["blurred"] |= {"ap": 0.9, "ap_low": 0.8}
    (measured / "metrics.json").write_text(json.dumps(old))
    rows, curves = (measured / name for name in ("per_image.csv", "curves.json"))
    before = rows.read_bytes(), curves.read_bytes()
    assert b",1.0," in before[0]
    rows.write_bytes(before[0].replace(b",1.0,", b",0.5,"))  # F1
    curves.write_text("old")
    # A run that is committed must not make the checkout look changed that it names.
    monkeypatch.setattr("deblur.runs.git_commit", lambda: (measured / "curves.json").read_text()[:3])
    assert rescore.main([str(measured)]) == 0
    assert json.loads((measured / "env.json").read_text())["rescored"][0]["commit"] == "old"
    assert json.loads((measured / "metrics.json").read_text()) == whole
    assert (rows.read_bytes(), curves.read_bytes()) == before
    other = tmp_path / "other"
    shutil.copytree(measured, other)
    capsys.readouterr()
    assert compare.main([str(measured), str(other)]) == 0
    out = capsys.readouterr().out
    assert "beyond_control unmove+mirrored" in out
    assert "recovered_looking_twice unmove+mirrored" in out
    assert "harm_looking_twice unmove+mirrored" in out
    values = [result["harm_looking_twice"]["unmove+mirrored"]["value"] for result in whole["results"]]
    assert values == pytest.approx([0.5] * 2)


def test_intervals_may_be_of_another_number_of_draws(settings_of_six: Settings, folder: Path, fakes: Any) -> None:
    drawn, none = (dataclasses.replace(settings_of_six, fuse=True, resamples=number) for number in (40, 0))
    whole = folder / "whole"
    for place, settings in ((whole, drawn), (folder, none)):
        place.mkdir(exist_ok=True)
        measure(plan(settings, fakes.tools), place, Narrator(silent=True))
    _write_config(folder, none)
    write_yaml(folder / "config.yaml", read_yaml(folder / "config.yaml") | {"bootstrap": 0})
    (folder / "env.json").write_text("{}")
    assert read_metrics(folder).results[0].recovered["unmove"].low is None
    assert rescore.main([str(folder), "--bootstrap", "40"]) == 0
    rescored, expected = read_metrics(folder), read_metrics(whole)
    assert rescored.protocol == expected.protocol
    assert rescored.results[0].recovered == expected.results[0].recovered
    assert read_yaml(folder / "config.yaml")["bootstrap"] == 40
    assert rescore.main([str(folder)]) == 0
    assert read_metrics(folder) == rescored


@pytest.mark.usefixtures("blue_object")
def test_classes_of_a_run_are_kept_whatever_else_its_detectors_know(
    settings: Settings, folder: Path, fakes: Any
) -> None:
    settings = dataclasses.replace(settings, classes=("red",), detectors=("narrow", "finder"))
    measure(plan(settings, fakes.tools), folder, Narrator(silent=True))
    _write_config(folder, settings)
    (folder / "env.json").write_text("{}")
    before = {name: (folder / name).read_bytes() for name in TABLES}
    assert rescore.main([str(folder)]) == 0
    assert {name: (folder / name).read_bytes() for name in TABLES} == before
    assert list(read_metrics(folder).results[0].arms["sharp"].per_class) == ["red"]


@pytest.mark.usefixtures("blue_object")
def test_a_run_without_its_detectors_classes_can_be_scored(measured: Path) -> None:
    path = measured / "metrics.json"
    content = json.loads(path.read_text())
    assert [record.pop("class_names") for record in content["detectors"]] == [["blue", "red"], ["red"]]
    path.write_text(json.dumps(content))
    assert rescore.main([str(measured)]) == 0
    assert json.loads(path.read_text())["results"] == content["results"]


def test_annotations_may_have_moved_but_not_changed(
    measured: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (measured / "metrics.json").read_bytes()
    moved = settings.annotations.rename(tmp_path / "moved.json")
    assert rescore.main([str(measured)]) == 1
    assert f"no annotations at {settings.annotations}" in capsys.readouterr().err
    assert rescore.main([str(measured), "--annotations", str(moved)]) == 0
    content = json.loads(moved.read_text())
    content["annotations"][0]["bbox"][0] += 1
    moved.write_text(json.dumps(content))
    capsys.readouterr()
    assert rescore.main([str(measured), "--annotations", str(moved)]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert f"{moved} does not hold what {measured} was measured on" in line
    assert (measured / "metrics.json").read_bytes() == before


def test_annotations_that_look_for_other_classes_are_refused(
    measured: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (measured / name).read_bytes() for name in TABLES}
    content = json.loads(settings.annotations.read_text())
    content["categories"].append({"id": 77, "name": "blue"})  # no object of it
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    assert rescore.main([str(measured), "--annotations", str(other)]) == 1
    assert "but tells otherwise whether it looks for blue: give the run's --annotations" in capsys.readouterr().err
    assert {name: (measured / name).read_bytes() for name in TABLES} == before


def test_recorded_paths_are_not_needed(measured: Path, tmp_path: Path) -> None:
    recorded = {
        "motion": str(tmp_path / "gone.csv"),
        "exposures": str(tmp_path / "exposures.csv"),
        "focal_length": 900.0,
    }
    write_yaml(measured / "config.yaml", read_yaml(measured / "config.yaml") | recorded)
    before = {name: (measured / name).read_bytes() for name in TABLES}
    assert rescore.main([str(measured)]) == 0
    assert {name: (measured / name).read_bytes() for name in TABLES} == before


def test_a_run_that_may_not_be_written_to_is_told_before_its_boxes_are_scored(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root, who may run the tests, may write everywhere
    monkeypatch.setattr("experiments.gain.scores.score_detector", lambda *_: pytest.fail("nothing is scored first"))
    assert rescore.main([str(measured)]) == 1
    told = f"cannot make the scores of {measured}: {measured} is not yours to write to; copy the run to where you can"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [('"x": NaN', "is not JSON: NaN is no number of JSON"), ('"rescored": 5', "'rescored' is no list")],
)
def test_a_damaged_environment_is_told_before_anything_is_written(
    measured: Path, capsys: pytest.CaptureFixture[str], changes: str, message: str
) -> None:
    file = measured / "env.json"
    file.write_text(file.read_text().replace("{", f"{{{changes}, ", 1))
    before = {path.name: path.read_bytes() for path in measured.iterdir() if path.name != "log.txt"}
    assert rescore.main([str(measured), "--bootstrap", "50"]) == 1
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in measured.iterdir() if path.name != "log.txt"} == before


def test_a_missing_file_is_named_before_anything_is_written(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = json.loads((measured / "metrics.json").read_text())
    old["results"][0]["arms"]["blurred"]["ap"] = 0.9
    (measured / "metrics.json").write_text(json.dumps(old))
    for missing in ("metrics.json", "per_image.csv", "predictions.json", "env.json"):
        (measured / missing).rename(tmp_path / missing)
        before = {path.name: path.read_bytes() for path in measured.iterdir() if path.name != "log.txt"}
        assert rescore.main([str(measured)]) == 1
        assert f"{measured / missing} does not exist" in capsys.readouterr().err.splitlines()[-1]
        assert {path.name: path.read_bytes() for path in measured.iterdir() if path.name != "log.txt"} == before
        (tmp_path / missing).rename(measured / missing)


def test_a_picture_without_a_line_is_named(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = measured / "per_image.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("c,")))
    assert rescore.main([str(measured)]) == 1
    assert f"error: {path} has no line of c in sharp" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ({"detector": "narrow"}, "narrow sharp a"),
        ({"arm": "blurred", "detector": "finder"}, "finder blurred blurred a"),
        ({"picture": "c"}, "finder sharp c"),
    ],
)
def test_boxes_that_are_missing_are_not_scored_as_none(
    measured: Path, lacking: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = measured / "predictions.json"
    content = json.loads(path.read_text())
    content["predictions"] = [
        entry for entry in content["predictions"] if any(entry[key] != value for key, value in lacking.items())
    ]
    path.write_text(json.dumps(content))
    before = {name: (measured / name).read_bytes() for name in (*TABLES, "env.json")}
    assert rescore.main([str(measured)]) == 1
    assert f"error: {path} has no boxes of {said}, which metrics.json scores" in capsys.readouterr().err
    assert {name: (measured / name).read_bytes() for name in before} == before


def test_fused_boxes_of_an_earlier_kind_are_refused(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (*TABLES, "predictions.json"):
        path = measured / name
        path.write_text(path.read_text().replace("unmove+mirrored", "unmove+blurred"))
    before = {path.name: path.read_bytes() for path in measured.iterdir()}
    assert rescore.main([str(measured)]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert f"{measured} has fused boxes of an earlier kind, unmove+blurred" in line
    assert "at the commit that its env.json names" in line
    assert {name: (measured / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("number", [2, -1])
def test_a_box_of_no_class_is_one_line(measured: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    path = measured / "predictions.json"
    content = json.loads(path.read_text())
    entry = next(entry for entry in content["predictions"] if entry["classes"])
    entry["classes"][0] = number
    path.write_text(json.dumps(content))
    assert rescore.main([str(measured)]) == 1
    of = " ".join(filter(None, (entry["detector"], entry["blur"], entry["arm"], entry["picture"])))
    assert f"ValueError a class that is none of the 2, in {of}" in capsys.readouterr().err.splitlines()[-1]


def test_boxes_without_scores_are_one_line(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = measured / "predictions.json"
    content = json.loads(path.read_text())
    next(entry for entry in content["predictions"] if entry["classes"])["scores"] = []
    path.write_text(json.dumps(content))
    assert rescore.main([str(measured)]) == 1
    assert f"error: {path} is not as this program writes it" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rescore.main([str(tmp_path / "none")]) == 1
    assert "does not exist; give the folder of a finished run" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.json").mkdir()
    assert compare.main([str(tmp_path), str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: cannot read {tmp_path / 'metrics.json'}: Is a directory\n"
    (tmp_path / "metrics.json").rmdir()
    (tmp_path / "metrics.json").write_bytes(b"\xff")
    assert compare.main([str(tmp_path), str(tmp_path)]) == 1
    assert f"error: cannot read {tmp_path / 'metrics.json'}: 'utf-8' codec can't" in capsys.readouterr().err
