from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import yaml

import detection.yolo
from deblur.errors import DeblurError
from deblur.pictures import read_picture, write_picture
from detection.types import Detections
from pipelines import sinks
from pipelines.account import Account
from pipelines.deblur_detect import main
from pipelines.sinks import CocoSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from detection.yolo import YoloDetector

    Document = Callable[[], dict[str, Any]]
    Files = Callable[[Path], list[str]]
    Flat = Callable[..., NDArray[np.uint8]]

pytestmark = pytest.mark.usefixtures("fakes")


RECORDS = ["config.yaml", "detections.json", "env.json", "log.txt"]


def test_json_is_one_document_as_documented(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photos", "--json"]) == 0
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert list(content) == ["run", "deblurrer", "detector", "fused", "confidence", "pictures", "n_ok", "n_failed"]
    assert (content["deblurrer"], content["detector"], content["fused"]) == ("brighter", "fakenet", True)
    assert content["confidence"] == 0.2
    assert (content["run"], content["n_ok"], content["n_failed"]) == ("runs/deblur_detect/photos", 2, 0)
    assert "interrupted" not in content
    dark, bright = content["pictures"]
    assert list(dark) == ["file", "deblurred", "detections", "time_ms", "error"]
    assert (dark["file"], dark["deblurred"]) == ("photos/dark.png", "runs/deblur_detect/photos/deblurred/dark.png")
    assert dark["detections"] == [{"box": [16, 12, 48, 36], "score": 0.9, "class": "bus"}]
    assert bright["detections"][1] == {"box": [0, 20, 80, 40], "score": 0.5, "class": "person"}
    assert dark["error"] is None
    assert list(dark["time_ms"]) == ["read", "deblur", "detect", "write"]
    assert all(time > 0 for time in dark["time_ms"].values())
    assert json.loads(Path(content["run"], "detections.json").read_text()) == content
    assert "2/2" in printed.err


def test_a_run_leaves_its_pictures_and_records(photos: Path, flat: Flat, files: Files) -> None:
    assert main(["photos", "--save", "annotated", "deblurred,side-by-side", "--save", "txt", "coco"]) == 0
    run = Path("runs/deblur_detect/photos")
    assert files(run) == sorted(
        [
            *RECORDS,
            "coco_images.json",
            "coco_results.json",
            *(f"{kind}/{name}" for kind in ("annotated", "side-by-side") for name in ("dark.jpg", "deep/bright.jpg")),
            "deblurred/dark.png",
            "deblurred/deep/bright.png",
            "txt/dark.txt",
            "txt/deep/bright.txt",
        ]
    )
    np.testing.assert_array_equal(read_picture(run / "deblurred" / "dark.png"), flat(50))
    annotated = read_picture(run / "annotated" / "dark.jpg")
    assert annotated.shape == (48, 64, 3)
    assert np.ptp(annotated) > 100, "boxes are drawn"
    assert annotated[-4, 4].tolist() == pytest.approx([50] * 3, abs=4), "on the restored picture"
    beside = read_picture(run / "side-by-side" / "dark.jpg")
    assert beside.shape[1] > 2 * 64
    assert beside[-4, 4].tolist() == pytest.approx([40] * 3, abs=4), "as it came"
    assert beside[-4, -4].tolist() == pytest.approx([50] * 3, abs=4), "restored"
    assert (run / "txt" / "dark.txt").read_text() == "1 0.500000 0.500000 0.500000 0.500000 0.900000\n"
    assert (run / "txt" / "deep" / "bright.txt").read_text().splitlines()[1] == (
        "0 0.500000 0.750000 1.000000 0.500000 0.500000"
    )
    env = json.loads((run / "env.json").read_text())
    assert env["deblurrers"] == [{"name": "brighter", "sha256": "a" * 64}]
    assert env["detector"]["sha256"] == "b" * 64
    assert (run / "log.txt").read_text().splitlines() == [
        "photos/dark.png: 1 bus",
        "photos/deep/bright.jpg: 1 bus, 1 person",
    ]


def test_the_log_grows_while_a_run_goes_on(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detect = detection.yolo.YoloDetector.__call__
    logs: list[str] = []

    def look_on(self: YoloDetector, pictures: list[NDArray[np.uint8]]) -> list[Detections]:
        logs.append(Path("out/log.txt").read_text())
        return detect(self, pictures)

    monkeypatch.setattr(detection.yolo.YoloDetector, "__call__", look_on)
    assert main(["photos", "--output", "out"]) == 0
    assert logs == ["", "photos/dark.png: 1 bus\n"]


def test_boxes_are_told_to_a_hundredth_of_a_pixel_and_scores_to_a_ten_thousandth() -> None:
    found = Detections.ordered([[1.234, 2.345, 30.456, 40.567]], [0.12345], ["bus"])
    assert sinks.detection_entries(found) == [{"box": [1.23, 2.35, 30.46, 40.57], "score": 0.1235, "class": "bus"}]


def test_coco_results_say_what_their_numbers_mean(photos: Path) -> None:
    assert main(["photos", "--save", "coco"]) == 0
    run = Path("runs/deblur_detect/photos")
    results = json.loads((run / "coco_results.json").read_text())
    meaning = json.loads((run / "coco_images.json").read_text())
    assert results[0] == {"image_id": 1, "category_id": 2, "bbox": [16, 12, 32, 24], "score": pytest.approx(0.9)}
    assert [result["image_id"] for result in results] == [1, 2, 2]
    assert meaning["images"][1] == {"id": 2, "file_name": "photos/deep/bright.jpg", "width": 80, "height": 40}
    assert {"id": 2, "name": "bus"} in meaning["categories"]


def test_detections_are_collected_for_coco_only_where_it_is_asked_for(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr("pipelines.sinks.CocoSink.add", lambda _, item, detections: taken.append(item.source.file))
    assert main(["photos", "--save", "txt"]) == 0
    assert taken == []
    assert main(["photos", "--save", "txt,coco"]) == 0
    assert taken == ["photos/dark.png", "photos/deep/bright.jpg"]


@pytest.mark.parametrize("writer", ["CocoSink.write", "Account.write", "Account.settle"])
def test_what_a_full_disk_takes_no_more_is_printed_all_the_same(
    writer: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, _, method = writer.partition(".")
    settle = Account.settle

    def full(self: object, *_: object) -> None:
        if isinstance(self, Account):
            settle(self)
        raise DeblurError("cannot write out/it.json: No space left on device")

    monkeypatch.setattr({"CocoSink": CocoSink, "Account": Account}[owner], method, full)
    (photos / "broken.jpg").write_text("no picture")
    assert main(["photos", "--save", "coco", "--output", "out", "--json"]) == 1
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["n_ok"], document["n_failed"], len(document["pictures"])) == (2, 1, 3)
    assert ("interrupted" in document) == (writer == "Account.settle")
    failed, error = document["pictures"][0]["error"], "error: cannot write out/it.json: No space left on device"
    assert said.err.splitlines()[-3:] == ["1 of 3 failed:", f"  {failed}", error]
    assert main(["photos", "--save", "coco", "--output", "again"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "results: again"


def test_coco_uses_the_numbers_of_coco_pictures_and_classes(
    tmp_path: Path, flat: Flat, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["person", *(f"c{number}" for number in range(78)), "toothbrush"]
    names[5] = "bus"
    monkeypatch.setattr(detection.yolo.YoloDetector, "class_names", tuple(names))
    for number in ("000000000139", "000000000285"):
        write_picture(tmp_path / "coco" / f"{number}.jpg", flat(40))
    assert main(["coco", "--save", "coco", "--output", "out"]) == 0
    results = json.loads(Path("out/coco_results.json").read_text())
    assert [(result["image_id"], result["category_id"]) for result in results] == [(139, 6), (285, 6)]
    categories = json.loads(Path("out/coco_images.json").read_text())["categories"]
    assert [entry["name"] for entry in categories] == names
    # The numbers of instances_val2017.json, from person to toothbrush.
    with_gaps = [(1, 11), (13, 25), (27, 28), (31, 44), (46, 65), (67, 67), (70, 70), (72, 82), (84, 90)]
    assert [entry["id"] for entry in categories] == [n for first, last in with_gaps for n in range(first, last + 1)]


@pytest.mark.parametrize("names", [("7", "007"), ("a/7", "b/7"), ("7", "8b")])
def test_pictures_whose_names_are_no_different_numbers_are_numbered_from_1(
    tmp_path: Path, flat: Flat, names: tuple[str, str]
) -> None:
    for name in names:
        write_picture(tmp_path / f"in/{name}.png", flat(40))
    assert main(["in", "--save", "coco", "--output", "out"]) == 0
    images = json.loads(Path("out/coco_images.json").read_text())["images"]
    assert [image["id"] for image in images] == [1, 2]
    results = json.loads(Path("out/coco_results.json").read_text())
    assert [result["image_id"] for result in results] == [1, 2]


def test_options_reach_the_detector_and_the_record(photos: Path, files: Files) -> None:
    options = ["--conf", "0.4", "--imgsz", "320", "--classes", "person,traffic light", "bus", "--device", "cpu"]
    assert main(["photos", "--no-fuse", *options, "--save", "json"]) == 0
    run = Path("runs/deblur_detect/photos")
    detector = json.loads((run / "env.json").read_text())["detector"]
    assert (detector["confidence"], detector["image_size"], detector["device"]) == (0.4, 320, "cpu")
    assert detector["classes"] == ["person", "traffic light", "bus"]
    assert files(run) == RECORDS
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["classes"] == ["person", "traffic light", "bus"]
    assert config["save"] == ["json"]


@pytest.mark.parametrize(("options", "side"), [([], 640), (["--imgsz", "320"], 320), (["--full-size"], None)])
def test_no_more_is_restored_than_a_detector_sees(
    options: list[str], side: int | None, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import deblur

    asked: list[dict[str, Any]] = []
    load = deblur.Deblurrer.load
    monkeypatch.setattr(deblur.Deblurrer, "load", lambda *args, **options: asked.append(options) or load(*args))
    assert main(["photos", *options]) == 0
    assert [each["seen_side"] for each in asked] == [side]


@pytest.mark.parametrize(
    ("device", "options", "says"),
    [("mps", [], True), ("mps", ["--deblurrer", "mstsgm-nano"], False), ("cpu", [], False)],
)
def test_on_a_gpu_the_larger_network_is_named(
    device: str,
    options: list[str],
    says: bool,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("deblur.devices.resolve_device", lambda name: device)
    assert main(["photos", *options]) == 0
    assert ("--deblurrer mstsgm-guided-large, which finds more" in capsys.readouterr().err) == says


@pytest.mark.parametrize(("given", "asked"), [("0.4", 0.001), ("0.0005", 0.0005)])
def test_a_detector_reports_what_one_of_two_passes_may_confirm(given: str, asked: float, photos: Path) -> None:
    assert main(["photos", "--conf", given, "--save", "json", "--output", "out"]) == 0
    assert json.loads(Path("out/env.json").read_text())["detector"]["confidence"] == asked


def test_a_recorded_config_makes_the_run_again(photos: Path, files: Files) -> None:
    assert main(["photos", "--save", "txt,coco", "--conf", "0.4", "--classes", "bus"]) == 0
    first = Path("runs/deblur_detect/photos")
    assert main(["--config", str(first / "config.yaml")]) == 0
    again = Path("runs/deblur_detect/photos-2")
    assert files(again) == files(first)
    assert (again / "config.yaml").read_text() == (first / "config.yaml").read_text()


def test_without_deblurrer_nothing_is_called_deblurred(photos: Path, document: Document) -> None:
    assert main(["photos", "--deblurrer", "none", "--json"]) == 0
    content = document()
    assert content["deblurrer"] is None
    assert content["pictures"][0]["deblurred"] is None
    assert content["pictures"][0]["time_ms"]["deblur"] is None
    assert not Path(content["run"], "deblurred").exists()
    assert Path(content["run"], "annotated/dark.jpg").is_file()


def test_limit_is_marked(photos: Path, document: Document) -> None:
    assert main(["photos", "--limit", "1", "--json"]) == 0
    content = document()
    assert content["limit"] == 1
    assert [entry["file"] for entry in content["pictures"]] == ["photos/dark.png"]


def test_a_file_that_is_no_picture_fails_alone(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "broken.jpg").write_text("no picture")
    assert main(["photos", "--json"]) == 1
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert (content["n_ok"], content["n_failed"]) == (2, 1)
    broken, dark, _ = content["pictures"]
    assert broken["error"] == "photos/broken.jpg is not a picture: no known picture format"
    assert broken["detections"] == []
    assert dark["error"] is None
    lines = [line.strip() for line in printed.err.replace("\r", "\n").splitlines()]
    assert f"failed: {broken['error']}" in lines
    assert lines[-2:] == ["1 of 3 failed:", broken["error"]]
    assert "Traceback" not in printed.err


def test_a_picture_that_cannot_be_written_fails_alone(tmp_path: Path, flat: Flat, document: Document) -> None:
    write_picture(tmp_path / "in" / "a.png", flat(40, 1, 70000))
    write_picture(tmp_path / "in" / "b.png", flat(40))
    assert main(["in", "--save", "annotated", "--json"]) == 1
    a, b = document()["pictures"]
    assert "JPEG refuses 70000x1" in a["error"]
    assert b["error"] is None


def test_what_could_be_written_of_a_picture_is_recorded(tmp_path: Path, flat: Flat, document: Document) -> None:
    write_picture(tmp_path / "high.png", flat(40, 70000, 2))
    assert main(["high.png", "--save", "annotated,deblurred,side-by-side,txt", "--output", "out", "--json"]) == 1
    (high,) = document()["pictures"]
    assert high["deblurred"] == "out/deblurred/high.png"
    assert Path("out/txt/high.txt").is_file()
    assert high["error"].startswith("high.png: cannot write out/annotated/high.jpg: JPEG refuses 2x70000 pixels")
    assert "; cannot write out/side-by-side/high.jpg: JPEG refuses" in high["error"]
    assert "\n" not in high["error"]


def test_a_picture_that_memory_does_not_suffice_to_write_fails_alone(
    photos: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack_memory(path: Path, picture: NDArray[np.uint8]) -> None:
        if path.stem == "dark":
            raise MemoryError
        write_picture(path, picture)

    monkeypatch.setattr("pipelines.sinks.write_picture", lack_memory)
    assert main(["photos/dark.png", "photos/deep", "--save", "deblurred", "--output", "out", "--json"]) == 1
    content = document()
    dark, bright = content["pictures"]
    assert (dark["deblurred"], dark["error"]) == (None, "photos/dark.png: not enough memory to write deblurred")
    assert bright["error"] is None
    assert (content["n_ok"], content["n_failed"]) == (1, 1)


@pytest.mark.parametrize(("draw", "lost"), [("draw_detections", "annotated"), ("side_by_side", "side-by-side")])
def test_a_picture_that_memory_does_not_suffice_to_draw_fails_alone(
    draw: str, lost: str, photos: Path, document: Document, monkeypatch: pytest.MonkeyPatch, files: Files
) -> None:
    drawn = getattr(sinks, draw)
    shortages = iter([MemoryError])

    def lack_memory(*args: Any) -> NDArray[np.uint8]:
        for shortage in shortages:  # once
            raise shortage
        return drawn(*args)

    monkeypatch.setattr(sinks, draw, lack_memory)
    options = ["--save", "annotated,side-by-side,txt", "--output", "out", "--json"]
    assert main(["photos/dark.png", "photos/deep", *options]) == 1
    content = document()
    assert (content["n_ok"], content["n_failed"]) == (1, 1)
    errors = {entry["file"]: entry["error"] for entry in content["pictures"]}
    (failed,) = (file for file, error in errors.items() if error is not None)
    assert errors[failed] == f"{failed}: not enough memory to write {lost}"
    # The two kinds and the labels of both pictures, but for one.
    stem = Path(failed).stem
    pictures = [name for name in files(Path("out")) if "/" in name]
    assert len(pictures) == 5
    assert not any(name.startswith(f"{lost}/") and Path(name).stem == stem for name in pictures)


def test_a_restored_picture_that_was_not_written_is_not_named(
    photos: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deblur.errors import DeblurError

    def full(path: Path, picture: NDArray[np.uint8]) -> None:
        raise DeblurError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr("pipelines.sinks.write_picture", full)
    assert main(["photos/dark.png", "--save", "deblurred,txt", "--output", "out", "--json"]) == 1
    (dark,) = document()["pictures"]
    assert dark["deblurred"] is None
    assert dark["detections"]
    assert dark["error"].endswith("cannot write out/deblurred/dark.png: the disk is full")
    assert Path("out/txt/dark.txt").is_file()


def too_large_for_opencv() -> cv2.error:
    """What OpenCV raises where memory lacks, as for a detector that is to look at 320000 pixels."""
    with pytest.raises(cv2.error) as raised:
        cv2.resize(np.zeros((8, 8)), (10**7, 10**6))
    return raised.value


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (DeblurError("too wide"), "too wide"),
        (
            too_large_for_opencv(),
            "not enough memory for 80x40 pixels: scale the picture down, or give a smaller --imgsz",
        ),
        (MemoryError(), "not enough memory for 80x40 pixels: scale the picture down, or give a smaller --imgsz"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "not enough memory for 80x40"),
    ],
)
def test_a_picture_that_cannot_be_restored_fails_alone(
    photos: Path, document: Document, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    import deblur

    def refuse(_: object, picture: NDArray[np.uint8], path: object) -> NDArray[np.uint8]:
        if picture.shape[1] == 80:
            raise error
        return picture

    monkeypatch.setattr(deblur.Deblurrer, "__call__", refuse)
    assert main(["photos/deep", "photos/dark.png", "--json"]) == 1
    wide, dark = document()["pictures"]
    assert wide["error"].startswith(f"photos/deep/bright.jpg: {says}")
    assert dark["error"] is None


def test_a_defect_ends_the_run_with_its_traceback(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import deblur

    def fail(_: object, picture: NDArray[np.uint8], path: object) -> NDArray[np.uint8]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(deblur.Deblurrer, "__call__", fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        main(["photos"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.jpg"], "nowhere.jpg does not exist"),
        (["nothing*.jpg"], "nothing*.jpg matches no file"),
        (["photos", "--device", "quantum"], "unknown device 'quantum'"),
        (["photos", "--output", "photos"], "--output photos holds files already"),
        (["photos", "--output", "photos/dark.png"], "cannot use --output photos/dark.png"),
        (["a.jpg\n" * 60], "File name too long"),  # "$(ls *.jpg)"
        (["photos", "--motion", "a" * 300], "File name too long"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    photos: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], files: Files
) -> None:
    before = files(photos.parent)
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert files(photos.parent) == before
    assert not Path("runs").exists()


def test_an_output_in_the_way_of_another_ends_the_run_before_it_begins(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "deep").rename(photos / "dark.jpg")
    assert main(["photos"]) == 1
    assert capsys.readouterr().err == (
        "error: annotated/dark.jpg would be the output of photos/dark.png and the folder for that of "
        "photos/dark.jpg/bright.jpg; rename one of the two, or take each in a run of its own\n"
    )
    assert not Path("runs").exists()
    assert main(["photos", "--save", "deblurred"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "SOURCE"),
        (["photos", ""], "SOURCE: it is empty: is a variable of the shell not set?"),
        (["photos", "--save", "gif"], "gif is none of annotated, deblurred"),
        (["photos", "--save", ","], "nothing is none of"),
        (["photos", "--classes", ","], "a class name is empty"),
        (["photos", "--conf", "2"], "not a number from 0 to 1"),
        (["photos", "--limit", "0"], "at least 1"),
        (["photos", "--imgsz", "100"], "--imgsz: 100 is not a multiple of 32"),
        (["photos", "--motion", "gyro", "--deblurrer", "none"], "--motion needs a deblurrer"),
        (["photos", "--full-size", "--deblurrer", "none"], "--full-size needs a deblurrer"),
        (["photos", "--focal-length", "800"], "are for --motion"),
        (["photos", "--exposures", "times.csv"], "are for --motion"),
        (["photos", "--readout", "0.02"], "are for --motion"),
        (["photos", "--motion", "gyro", "--focal-length", "0"], "not a number above 0"),
        (["photos", "--camera-size", "1920x1080"], "--camera-size is for cameras: no SOURCE is the number of one"),
        (["0", "--camera-size", "1080p"], "'1080p' is not a width and a height in pixels, like 1920x1080"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_output_is_the_exact_folder(photos: Path, capsys: pytest.CaptureFixture[str], files: Files) -> None:
    assert main(["photos", "--output", "new/out", "--save", "json"]) == 0
    assert files(Path("new/out")) == RECORDS
    assert "results: new/out" in capsys.readouterr().out


def test_a_second_run_gets_a_folder_of_its_own(photos: Path) -> None:
    assert main(["photos", "--save", "json"]) == 0
    first = Path("runs/deblur_detect/photos/detections.json").read_bytes()
    assert main(["photos", "--save", "json"]) == 0
    assert Path("runs/deblur_detect/photos/detections.json").read_bytes() == first
    assert Path("runs/deblur_detect/photos-2/detections.json").is_file()


def test_a_run_takes_no_results_of_an_earlier_one(
    photos: Path, monkeypatch: pytest.MonkeyPatch, document: Document
) -> None:
    monkeypatch.chdir(photos)
    for _ in range(2):
        assert main([".", "--json"]) == 0
        assert [entry["file"] for entry in document()["pictures"]] == ["dark.png", "deep/bright.jpg"]
    log = Path("runs/deblur_detect/photos-2/log.txt").read_text()
    assert log.startswith("earlier runs left out of .: runs/deblur_detect/photos (name")


def test_the_summary_for_a_person(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["photos", "--save", "json"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "photos/dark.png: 1 bus",
        "photos/deep/bright.jpg: 1 bus, 1 person",
        "2 done, found in all: 2 bus, 1 person",
        "results: runs/deblur_detect/photos",
    ]


def test_a_name_that_is_no_utf8(
    tmp_path: Path, flat: Flat, garbled_name: str, monkeypatch: pytest.MonkeyPatch, files: Files
) -> None:
    name = f"{garbled_name}.png"
    write_picture(tmp_path / name, flat(40))
    monkeypatch.setattr(sys, "argv", ["deblur_detect", name])
    assert main([name, "--output", "out", "--save", "annotated,txt,coco"]) == 0
    document = json.loads(Path("out/detections.json").read_text(encoding="utf-8"))
    assert document["pictures"][0]["file"] == r"caf\udce9.png"
    images = json.loads(Path("out/coco_images.json").read_text(encoding="utf-8"))["images"]
    assert images[0]["file_name"] == r"caf\udce9.png"
    assert os.fsdecode(b"annotated/caf\xe9.jpg") in files(Path("out"))


def test_a_line_break_in_a_name_breaks_no_line(tmp_path: Path, flat: Flat, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = "a\nb\x1b[31m.png", "c\nd.png"
    write_picture(tmp_path / "in" / good, flat(40))
    (tmp_path / "in" / bad).write_text("no picture")
    assert main(["in", "--output", "out\n", "--save", "json"]) == 1
    said = capsys.readouterr()
    shown, error = r"in/a\nb\x1b[31m.png: 1 bus", r"in/c\nd.png is not a picture: no known picture format"
    assert said.out.splitlines() == [shown, "1 done, found in all: 1 bus", r"results: out\n"]
    assert said.err.splitlines()[-2:] == ["1 of 2 failed:", f"  {error}"]
    log = Path("out\n/log.txt").read_text().splitlines()
    assert log == [shown, f"failed: {error}", "1 of 2 failed:", f"  {error}"]
    pictures = json.loads(Path("out\n/detections.json").read_text())["pictures"]
    assert [(entry["file"], entry["error"]) for entry in pictures] == [(f"in/{good}", None), (f"in/{bad}", error)]
