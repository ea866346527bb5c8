"""Runs stand side by side where protocol and data are the same, and nowhere else."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deblur.blur import parse_blur
from deblur.pictures import read_picture, write_picture
from detection.bootstrap import Interval
from experiments import compare
from experiments.common.narrator import Narrator
from experiments.gain.files import read_metrics, write_metrics
from experiments.gain.measure import measure
from experiments.gain.plan import plan
from experiments.gain.protocol import FOUND, TOLD, fusion_protocol
from experiments.gain.records import DetectorRecord
from experiments.gain.run_table import run_table

if TYPE_CHECKING:
    from pathlib import Path

    from experiments.gain.settings import Settings


@pytest.fixture
def first(settings: Settings, fakes: Any, tmp_path: Path) -> Path:
    return _run(dataclasses.replace(settings, deblurrers=("unmove",)), fakes, tmp_path / "first")


def _run(settings: Settings, fakes: Any, folder: Path) -> Path:
    folder.mkdir()
    measure(plan(settings, fakes.tools), folder, Narrator(silent=True))
    return folder


def test_runs_with_other_deblurrers_compare(
    first: Path, settings: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = _run(dataclasses.replace(settings, deblurrers=("idle",)), fakes, tmp_path / "second")
    assert compare.main([str(first), str(second), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    figures = {(row["figure"], row["of"]): row["values"] for row in document["figures"]}
    assert document["runs"] == [str(first), str(second)]
    assert [value["value"] for value in figures["ap", "sharp"]] == [pytest.approx(1)] * 2
    assert figures["recovered", "unmove"][0]["value"] == pytest.approx(1)
    assert figures["recovered", "unmove"][1] is None
    assert figures["recovered", "idle"][1]["value"] == 0
    assert compare.main([str(first), str(second)]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "finder, blurred" in table
    assert "recovered unmove 1.000 not measured" in table


def test_runs_whose_intervals_draw_other_units_do_not_compare(
    settings_of_scenes: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = _run(settings_of_scenes, fakes, tmp_path / "new")
    assert run_table(read_metrics(str(new))).startswith("12 pictures of 6 scenes (which intervals draw whole)\n")
    gain = read_metrics(new)
    bootstrap = gain.protocol["bootstrap"]
    for name, unit, code in (("old", "picture", 1), ("uncounted", "scene", 0)):
        before = {key: value for key, value in bootstrap.items() if key != "n_units"}
        before["unit"] = f"{unit}, the same draws for every arm"
        (tmp_path / name).mkdir()
        write_metrics(tmp_path / name, dataclasses.replace(gain, protocol=gain.protocol | {"bootstrap": before}))
        assert compare.main([str(new), str(tmp_path / name)]) == code
    assert "they differ in protocol.bootstrap.unit\n" in capsys.readouterr().err


def test_intervals_stand_beside_figures(
    settings_of_six: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        _run(dataclasses.replace(settings_of_six, deblurrers=(name,)), fakes, tmp_path / name)
        for name in ("unmove", "idle")
    ]
    assert compare.main([str(run) for run in runs]) == 0
    assert "recovered unmove 1.000 [1.000, 1.000] not measured" in " ".join(capsys.readouterr().out.split())


def test_every_figure_has_its_own_interval(first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = tmp_path / "second"
    second.mkdir()
    gain = read_metrics(first)
    (result,) = gain.results
    gains = (
        "recovered",
        "ap_difference",
        "harm",
        "beyond_control",
        "recovered_looking_twice",
        "harm_looking_twice",
    )
    intervals = {name: Interval(place, place - 0.3, place + 0.2, 0.95, 40, 0) for place, name in enumerate(gains)}
    arms = result.arms | {"blurred": dataclasses.replace(result.arms["blurred"], ap=0.4, ap_low=0.3, ap_high=0.6)}
    told = dataclasses.replace(result, arms=arms, **{name: {"unmove": one} for name, one in intervals.items()})
    write_metrics(second, dataclasses.replace(gain, results=[told]))
    assert compare.main([str(first), str(second), "--json"]) == 0
    rows = {(row["figure"], row["of"]): row["values"][1] for row in json.loads(capsys.readouterr().out)["figures"]}
    assert rows["ap", "blurred"] == {"value": 0.4, "low": 0.3, "high": 0.6}
    for name, one in intervals.items():
        assert rows[name, "unmove"] == {"value": one.value, "low": one.low, "high": one.high}


def test_where_the_pictures_lie_does_not_matter(
    first: Path, settings: Settings, fakes: Any, data: Path, tmp_path: Path
) -> None:
    data.rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    changed = dataclasses.replace(
        settings, annotations=moved / "truth.json", sharp=moved / "sharp", blurred=moved / "blurred"
    )
    second = _run(changed, fakes, tmp_path / "second")
    assert compare.main([str(first), str(second)]) == 0


def test_a_folder_of_another_name_is_no_other_pictures_and_the_refusal_says_so(
    first: Path, settings: Settings, fakes: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "blurred").rename(data / "blur")
    second = _run(dataclasses.replace(settings, blurred=data / "blur"), fakes, tmp_path / "second")
    assert compare.main([str(first), str(second)]) == 1
    names = "the names of the same blurred pictures (blurred and blur: name both alike and make one run again)"
    assert capsys.readouterr().err == f"error: {first} and {second} do not compare: they differ in {names}\n"


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"resamples": 41}, "protocol.bootstrap.resamples"),
        ({"image_size": 320}, "protocol.detection.image_size"),
        ({"limit": 3}, "data.annotations, data.blurred.blurred, data.limit, data.n_pictures, data.sharp"),
        ({"classes": ("red",)}, "data.classes, protocol.scoring.classes"),
        ({"sharp": None}, "data.sharp"),
    ],
)
def test_other_options_are_refused_by_name(
    first: Path,
    settings: Settings,
    fakes: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    differing: str,
) -> None:
    second = _run(dataclasses.replace(settings, **changes), fakes, tmp_path / "second")
    assert compare.main([str(first), str(second)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {first} and {second} do not compare: they differ in {differing}\n"


def test_how_boxes_are_fused_matters_only_between_runs_that_fused(
    first: Path,
    settings: Settings,
    fakes: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fusing = dataclasses.replace(settings, fuse=True)
    second = _run(fusing, fakes, tmp_path / "second")
    monkeypatch.setattr("experiments.gain.protocol.RESTORED_SHARE", 0.3)
    before = _run(fusing, fakes, tmp_path / "before")
    for pair in ((first, before), (before, first)):
        assert compare.main([*map(str, pair)]) == 0
    capsys.readouterr()
    assert compare.main([str(second), str(before)]) == 1
    assert "they differ in protocol.fusion.share_of_mirrored.by itself\n" in capsys.readouterr().err


def test_what_is_done_along_paths_matters_only_between_runs_that_have_them(
    first: Path, settings: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fusing = dataclasses.replace(settings, fuse=True)
    runs = [_run(fusing, fakes, tmp_path / name) for name in ("none", "one", "other")]
    for run, least in zip(runs, (None, 0.5, 0.9), strict=True):
        content = json.loads((run / "metrics.json").read_text())
        said = {TOLD: {"least": least}, FOUND: {"least_share_of_path": least}} if least else {}
        content["protocol"]["fusion"] |= said
        (run / "metrics.json").write_text(json.dumps(content))
    none, one, other = map(str, runs)
    assert compare.main([none, one]) == compare.main([other, none]) == 0
    capsys.readouterr()
    assert compare.main([one, other]) == 1
    assert f"they differ in protocol.fusion.{FOUND}.least_share_of_path, protocol.fusion.{TOLD}.least\n" in (
        capsys.readouterr().err
    )


def test_the_share_that_is_believed_is_in_the_protocol_of_what_goes_along_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways = [{"told": told, "searched": searched} for told in (False, True) for searched in (False, True)]
    before = [fusion_protocol(**way) for way in ways]
    monkeypatch.setattr("experiments.gain.protocol.BELIEVED", 0.9)
    changed = [fusion_protocol(**way) != protocol for way, protocol in zip(ways, before, strict=True)]
    assert changed == [False, True, True, True]


def test_other_pictures_or_truth_are_refused_by_name(
    first: Path, settings: Settings, fakes: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = read_picture(data / "blurred" / "a.png")
    picture[0, 0] += 1
    write_picture(data / "blurred" / "a.png", picture)
    assert compare.main([str(first), str(_run(settings, fakes, tmp_path / "second"))]) == 1
    assert "they differ in data.blurred.blurred\n" in capsys.readouterr().err
    truth = json.loads((data / "truth.json").read_text())
    truth["annotations"][0]["bbox"][0] += 1
    (data / "truth.json").write_text(json.dumps(truth))
    assert compare.main([str(first), str(_run(settings, fakes, tmp_path / "third"))]) == 1
    assert "they differ in data.annotations, data.blurred.blurred\n" in capsys.readouterr().err


@pytest.mark.usefixtures("blue_object")
def test_a_detector_more_with_classes_of_its_own_does_not_matter(
    settings: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {
        names: _run(dataclasses.replace(settings, detectors=names), fakes, tmp_path / "+".join(names))
        for names in (("finder",), ("finder", "narrow"), ("narrow",))
    }
    one, both, other = runs.values()
    assert compare.main([str(one), str(both), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["figures"]
    sharp = {row["detector"]: row["values"] for row in rows if (row["figure"], row["of"]) == ("ap", "sharp")}
    assert [value and value["value"] for value in sharp["finder"]] == [pytest.approx(0.5)] * 2  # no blue is found
    assert [value and value["value"] for value in sharp["narrow"]] == [None, pytest.approx(1)]
    assert compare.main([str(both), str(other)]) == 0
    assert compare.main([str(one), str(other)]) == 1  # not one figure of the same truth
    assert "they differ in data.annotations\n" in capsys.readouterr().err
    assert compare.main([str(one), str(both), str(other)]) == 1  # each with each, not with its neighbour alone
    assert f"{one} and {other} do not compare" in capsys.readouterr().err


@pytest.mark.usefixtures("blue_object")
def test_what_older_runs_do_not_say_of_each_detector_is_that_of_all(
    settings: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = _run(dataclasses.replace(settings, detectors=("finder", "narrow")), fakes, tmp_path / "both")
    for names, comparable in ((("finder",), True), (("finder", "narrow"), False)):
        old = _run(dataclasses.replace(settings, detectors=names), fakes, tmp_path / f"{len(names)} old")
        content = json.loads((old / "metrics.json").read_text())
        for record in content["detectors"]:
            del record["class_names"], record["truth_sha256"]
        (old / "metrics.json").write_text(json.dumps(content))
        assert compare.main([str(old), str(old)]) == 0
        assert compare.main([str(old), str(both)]) == int(not comparable)
        assert ("differ in data.annotations\n" in capsys.readouterr().err) is not comparable


def test_one_detector_with_another_truth_or_data_that_differ_as_a_whole_are_refused(
    settings: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = _run(dataclasses.replace(settings, detectors=("finder", "narrow")), fakes, tmp_path / "both")
    gain = read_metrics(both)
    one, other = gain.detectors
    another_truth = dataclasses.replace(gain, detectors=[one, dataclasses.replace(other, truth_sha256="another")])
    other_data = dataclasses.replace(gain, data=gain.data | {"sha256": "another"})
    for changed, differs in ((another_truth, "data.annotations"), (other_data, "data.sha256")):
        folder = tmp_path / differs
        folder.mkdir()
        write_metrics(folder, changed)
        assert compare.main([str(both), str(folder)]) == 1
        assert f"they differ in {differs}\n" in capsys.readouterr().err


def test_a_detector_asked_in_another_way_is_refused(
    settings: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = _run(dataclasses.replace(settings, detectors=("finder", "narrow")), fakes, tmp_path / "both")
    other = tmp_path / "other"
    other.mkdir()
    gain = read_metrics(both)
    gain.protocol["detection"]["adapter"]["narrow"]["head"] = "third"
    write_metrics(other, gain)
    assert compare.main([str(both), str(other)]) == 1
    assert "they differ in protocol.detection.adapter.narrow.head\n" in capsys.readouterr().err


def test_one_name_for_two_weights_is_told_apart(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    other = dataclasses.replace(read_metrics(first), detectors=[DetectorRecord("finder", "0123456789")])
    write_metrics(second, other)
    assert compare.main([str(first), str(second), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert {row["detector"] for row in figures} == {"finder@hash of ", "finder@01234567"}


@pytest.mark.parametrize(
    ("change", "labels"),
    [
        ({"consistent": True}, {"unmove consistent=None", "unmove consistent=True"}),
        ({"search": "fedcba9876"}, {"unmove search@None", "unmove search@fedcba98"}),
        ({"paths": "fedcba9876"}, {"unmove paths@None", "unmove paths@fedcba98"}),
        ({"trust": "fedcba9876"}, {"unmove trust@None", "unmove trust@fedcba98"}),
        (
            {"sha256": "fedcba9876", "consistent": False},
            {"unmove@hash of  consistent=None", "unmove@fedcba98 consistent=False"},
        ),
    ],
)
def test_one_name_for_two_ways_to_restore_is_told_apart(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], labels: set[str]
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    gain = read_metrics(first)
    write_metrics(second, dataclasses.replace(gain, deblurrers=[dataclasses.replace(gain.deblurrers[0], **change)]))
    assert compare.main([str(first), str(second), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert {row["of"] for row in figures if row["figure"] == "recovered"} == labels
    arms = {row["of"] for row in figures if row["figure"] == "ap"}
    assert arms == {"sharp", "blurred"} | {
        f"{kind}:{label}" for kind in ("deblurred", "sharp-through") for label in labels
    }


def test_synthetic_blur_is_known_by_what_made_it_and_not_by_how_a_processor_rounds(
    first: Path, settings: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shaken = dataclasses.replace(settings, blurred=None, blurs=(parse_blur("shake:8"),), deblurrers=("unmove",))
    one = _run(shaken, fakes, tmp_path / "one")
    gain = read_metrics(one)
    other = tmp_path / "other"
    other.mkdir()
    rounded = {"blurred": {"shake:8": "fedcba"}, "sha256": "fedcba"}
    write_metrics(other, dataclasses.replace(gain, data=gain.data | rounded))
    assert compare.main([str(one), str(other)]) == 0
    another_seed = gain.protocol | {"blur": gain.protocol["blur"] | {"seed": 7}}
    write_metrics(other, dataclasses.replace(gain, data=gain.data | rounded, protocol=another_seed))
    assert compare.main([str(one), str(other)]) == 1
    assert "differ in protocol.blur.seed" in capsys.readouterr().err


def test_mistakes(first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([str(first), str(tmp_path / "nowhere")]) == 1
    assert "metrics.json does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        compare.main([str(first)])
    assert stop.value.code == 2


def test_other_kernels_of_one_name_are_other_pictures(
    settings: Settings, fakes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blur = parse_blur(f"measured:8,kernels={tmp_path / 'kernels.npz'}")
    runs = []
    for turn, name in enumerate(("one", "other")):
        np.savez(tmp_path / "kernels.npz", a=np.rot90(np.eye(9) + np.eye(9, k=turn), turn))
        changed = dataclasses.replace(settings, blurred=None, blurs=(blur,), deblurrers=("idle",))
        runs.append(_run(changed, fakes, tmp_path / name))
    assert compare.main([str(each) for each in runs]) == 1
    assert f"they differ in data.blurred.{blur}\n" in capsys.readouterr().err
