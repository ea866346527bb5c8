from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import deblur.blur
import deblur.errors
import deblur.exposure.paths
import detection.yolo
from deblur.exposure.paths import felt_path
from deblur.metrics import psnr_of_values
from deblur.pictures import read_picture
from detection.types import Detections
from pipelines.demo import LONGEST_SIDE, PHOTOGRAPHS, Photograph, main, read_photograph
from pipelines.demo_report import Trial, report_lines, sheet, summarise

if TYPE_CHECKING:
    from numpy.typing import NDArray


COPIES = ("blurred", "brighter", "brighter+gyro", "sharp")


def test_photographs_are_there_real_and_named() -> None:
    for photograph in PHOTOGRAPHS:
        picture = read_photograph(photograph)
        assert max(picture.shape[:2]) <= LONGEST_SIDE
        assert picture.std() > 20
        assert photograph.package in {"ultralytics", "skimage"}
        assert photograph.origin
    assert len({photograph.name for photograph in PHOTOGRAPHS}) == len(PHOTOGRAPHS) >= 5


def test_a_missing_photograph_names_its_package() -> None:
    with pytest.raises(deblur.errors.DeblurError, match=r"data/nothing\.png does not exist"):
        read_photograph(Photograph("nothing", "skimage", "data/nothing.png", "nowhere"))
    with pytest.raises(deblur.errors.DeblurError, match="no_such_package is not installed"):
        read_photograph(Photograph("nothing", "no_such_package", "nothing.png", "nowhere"))


def trial(name: str, **boxes: list[tuple[list[float], str]]) -> Trial:
    picture = np.zeros((40, 60, 3), np.uint8)
    detections = {
        copy: Detections.ordered([box for box, _ in found], [0.9] * len(found), [name for _, name in found])
        for copy, found in boxes.items()
    }
    pictures = dict.fromkeys(("blurred", "net", "sharp"), picture)
    return Trial(name, "made here", pictures, detections, {"blurred": 20.0, "net": 22.0})


def test_found_again_needs_class_and_overlap() -> None:
    bus, person = [0.0, 0.0, 20.0, 20.0], [30.0, 0.0, 40.0, 30.0]
    shifted = [8.0, 0.0, 28.0, 20.0]  # IoU 12/28 with the bus
    sharp = [(bus, "bus"), (person, "person")]
    trials = [
        trial("one", sharp=sharp, blurred=[(bus, "person")], net=sharp),
        trial("two", sharp=sharp, blurred=[(shifted, "bus"), (person, "person")], net=[]),
        trial("three", sharp=[], blurred=[(bus, "bus")], net=[]),
    ]
    summary = summarise(trials, ("person", "bus"), 0.25)
    by_name = {entry["photograph"]: entry for entry in summary["pictures"]}
    assert by_name["one"]["found_again"] == {"blurred": 0, "net": 2}
    assert by_name["one"]["new"] == {"blurred": 1, "net": 0}
    assert by_name["two"]["found_again"] == {"blurred": 1, "net": 0}
    assert by_name["three"]["new"] == {"blurred": 1, "net": 0}
    assert summary["totals"] == {
        "n_sharp": 4,
        "found_again": {"blurred": 1, "net": 2},
        "new": {"blurred": 3, "net": 0},
        "psnr": {"blurred": 20.0, "net": 22.0},
    }
    head = {"run": "r", "blur": "shake:16", "seed": 0, "deblurrers": ["net"], "detector": "y", "confidence": 0.25}
    text = "\n".join(report_lines(head | summary))
    assert "deblurrers net, detector y" in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in ("one blurred 0 of 2 1 20.00 1 person", "net 2 of 2 0 22.00 1 bus, 1 person", "sharp 1 bus, 1 person"):
        assert line in lines
    assert "blurred 1 of 4 3 20.00" in lines
    assert "net 2 of 4 0 22.00" in lines
    assert "not a measurement of accuracy" in text
    assert "one: made here" in text


def test_a_copy_that_is_the_same_has_no_psnr_and_no_part_in_the_mean() -> None:
    nothing: dict[str, Any] = {"sharp": [], "blurred": [], "net": []}
    same = replace(trial("one", **nothing), psnr={"blurred": 20.0, "net": None})
    summary = summarise([same, trial("two", **nothing)], ("person", "bus"), 0.25)
    assert summary["totals"]["psnr"] == {"blurred": 20.0, "net": 22.0}
    head = {"run": "r", "blur": "shake:16", "seed": 0, "deblurrers": ["net"], "detector": "y", "confidence": 0.25}
    assert "net 0 of 0 0 same nothing" in [" ".join(line.split()) for line in report_lines(head | summary)]


def test_the_sheet_has_every_copy_of_every_photograph() -> None:
    levels = dict(zip(("blurred", "net", "sharp"), (60, 120, 180), strict=True))
    trials = [
        replace(
            trial(name, sharp=[], blurred=[], net=[]),
            pictures={copy: np.full((40, width, 3), level, np.uint8) for copy, level in levels.items()},
        )
        for name, width in (("wide", 60), ("narrow", 20))
    ]
    whole, *alone = sheet(trials), sheet(trials[:1]), sheet(trials[1:])
    for shown in alone:
        counts = [int((shown == level).all(axis=2).sum()) for level in levels.values()]
        assert min(counts) > 0.95 * max(counts), "none of them is cut"
    top, bottom = (len(shown) for shown in alone)
    np.testing.assert_array_equal(whole[:top], alone[0])
    np.testing.assert_array_equal(whole[-bottom:], alone[1])
    assert len(whole) > top + bottom


def test_boxes_of_a_panel_are_scaled_with_its_picture() -> None:
    small = trial("one", sharp=[([10.0, 10.0, 30.0, 30.0], "bus")], blurred=[], net=[])
    large = trial("one", sharp=[([20.0, 20.0, 60.0, 60.0], "bus")], blurred=[], net=[])
    large = replace(
        large, pictures={copy: picture.repeat(2, 0).repeat(2, 1) for copy, picture in large.pictures.items()}
    )
    for room in ((120, 80), (240, 80), (120, 160)):
        np.testing.assert_array_equal(small.panels(*room), large.panels())


@pytest.mark.usefixtures("fakes")
def test_the_demo_leaves_pictures_a_table_and_every_box(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, felt = [], []

    def darker(picture: NDArray[np.uint8], spec: Any, seed: int, key: str) -> NDArray[np.uint8]:
        keys.append((str(spec), seed, key))
        return picture // 2

    def feel(spec: Any, seed: int, key: str, width: int, height: int) -> Any:
        felt.append((str(spec), seed, key, (height, width)))
        return felt_path(spec, seed, key, width, height)

    monkeypatch.setattr(deblur.blur, "synthesize", darker)
    monkeypatch.setattr(deblur.exposure.paths, "felt_path", feel)
    networks = ["--deblurrer", "default", "default+gyro"]
    assert main([*networks, "--limit", "2", "--blur", "straight:9", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    run = Path("runs/demo")
    assert keys == [("straight:9", 3, "bus"), ("straight:9", 3, "zidane")]
    found = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    assert found == sorted(
        [f"{copy}/{name}.png" for copy in COPIES for name in ("bus", "zidane")]
        + ["side-by-side/bus.jpg", "side-by-side/zidane.jpg", "demo.jpg", "detections.json", "table.txt"]
        + ["config.yaml", "env.json"]
    )
    blurred, restored, told, sharp = (read_picture(run / copy / "bus.png") for copy in COPIES)
    np.testing.assert_array_equal(blurred, sharp // 2)
    np.testing.assert_array_equal(restored, blurred + 10)
    np.testing.assert_array_equal(told, blurred + 40)
    assert felt[0] == ("straight:9", 3, "bus", sharp.shape[:2]), "the path is that of the blur"
    assert len(felt) == 2
    assert read_picture(run / "side-by-side/bus.jpg").shape[1] > 4 * sharp.shape[1]
    document = json.loads((run / "detections.json").read_text())
    assert document["confidence"] == json.loads((run / "env.json").read_text())["detector"]["confidence"] == 0.25
    assert document["limit"] == 2
    assert tuple(document["pictures"][0]["detections"]) == COPIES, "as they stand side by side"
    assert document["pictures"][0]["detections"]["sharp"][0]["class"] == "bus"
    assert document["pictures"][0]["psnr"] == {
        "blurred": psnr_of_values(blurred, sharp),
        "brighter": psnr_of_values(restored, sharp),
        "brighter+gyro": psnr_of_values(told, sharp),
    }
    assert (run / "table.txt").read_text() == printed
    assert printed.rstrip().splitlines()[-1].startswith("Look at runs/demo/demo.jpg")
    assert main(["--limit", "1", "--json"]) == 0
    usual = json.loads(capsys.readouterr().out)
    assert (usual["run"], usual["blur"], usual["deblurrers"]) == ("runs/demo-2", "shake:16", [*COPIES[1:3]])


@pytest.mark.usefixtures("fakes")
def test_the_demo_is_of_the_detector_and_in_the_folder_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, asked = detection.yolo.YoloDetector, []

    def load(weights: str, **options: Any) -> Any:
        asked.append(weights)
        return fake(weights, **options)

    monkeypatch.setattr(detection.yolo, "YoloDetector", load)
    assert main(["--limit", "1", "--detector", "own.pt", "--output", "out"]) == 0
    assert asked == ["own.pt"]
    assert Path("out/demo.jpg").is_file()
    assert not Path("runs").exists()


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("names", [["default", "default"], ["sharp"]])
def test_copies_of_one_name_are_refused(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--deblurrer", *names]) == 1
    assert "give each network once" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.usefixtures("fakes")
def test_copies_do_not_take_the_place_of_what_else_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--limit", "1"]) == 0
    capsys.readouterr()
    written = {path.name for path in Path("runs/demo").iterdir()} - {"brighter", "brighter+gyro", "blurred", "sharp"}
    for name in written:
        assert main(["--deblurrer", name]) == 1
        assert (
            capsys.readouterr().err
            == f"error: the demo writes a {name} itself: give the network another name, NAME=FILE\n"
        )
    assert [path.name for path in Path("runs").iterdir()] == ["demo"]


@pytest.mark.usefixtures("fakes")
def test_a_wrong_blur_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--blur", "wobble:3"])
    assert stopped.value.code == 2
    assert "argument --blur: unknown kind of blur 'wobble'" in capsys.readouterr().err


@pytest.mark.usefixtures("fakes")
def test_kernels_that_are_not_there_are_one_line_and_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--blur", "measured:8,kernels=nowhere.npz"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cannot read blur kernels from nowhere.npz")
    assert error.count("\n") == 1
    assert not Path("runs").exists()
