from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from deblur import Deblurrer
from deblur.blur import BlurSpec, synthesize_with_motion
from deblur.path_search import PathSearch
from deblur.pictures import read_picture, scale_down, write_picture
from pipelines.deblur_detect import main


def bus_file() -> Path:
    spec = find_spec("ultralytics")  # the import is left to the adapter, which undoes what it does to Pillow
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "assets" / "bus.jpg"


def test_a_bus_and_its_people_from_file_to_json(
    yolo26n: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "out"), "--save", "annotated,txt,coco", "--json"]
    arguments = [str(bus_file()), "--deblurrer", "none", "--detector", str(yolo26n), "--classes", "bus,person"]
    assert main([*arguments, *output]) == 0
    content = json.loads(capsys.readouterr().out)
    (entry,) = content["pictures"]
    names = [found["class"] for found in entry["detections"]]
    assert names.count("bus") == 1
    assert names.count("person") >= 3
    box = next(found["box"] for found in entry["detections"] if found["class"] == "bus")
    assert box == pytest.approx([10, 231, 801, 748], abs=12), "pixels of the photograph, 810x1080"
    results = json.loads((tmp_path / "out" / "coco_results.json").read_text())
    assert {result["category_id"] for result in results} == {1, 6}, "COCO's own numbers of person and bus"


def test_a_network_that_searches_restores_along_what_it_finds(
    yolo26n: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The search itself takes most of a minute; here it finds the true path at once."""
    blurred, motion = synthesize_with_motion(photographs.astronaut()[:120, 160:320], BlurSpec("shake", 60), 0, "a")
    write_picture(tmp_path / "a.png", blurred)
    monkeypatch.setattr(PathSearch, "__call__", lambda *_: motion)
    models = ["--deblurrer", "mstsgm-guided+search", "--detector", str(yolo26n), "--imgsz", "160"]
    output = ["--output", str(tmp_path / "out"), "--save", "deblurred", "--json", "--device", "cpu"]
    assert main([str(tmp_path / "a.png"), *models, *output]) == 0
    assert json.loads(capsys.readouterr().out)["deblurrer"] == "mstsgm-guided+search"
    restored = read_picture(tmp_path / "out" / "deblurred" / "a.png")
    network = Deblurrer.load("mstsgm-guided", "cpu")
    np.testing.assert_array_equal(restored, network(blurred, motion))
    assert not np.array_equal(restored, network(blurred))


@pytest.mark.slow
def test_a_network_wins_back_what_blur_hides_from_a_detector(
    yolo26n: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One photograph; how it is on many experiments.detection_gain measures."""
    sharp = scale_down(read_picture(bus_file()), 640)
    blurred, motion = synthesize_with_motion(sharp, BlurSpec("shake", 24), 2, "bus")
    write_picture(tmp_path / "a.png", blurred)
    table = np.column_stack([np.linspace(0, 0.02, len(motion.path)), motion.path[:, :3]])
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header="t,x,y,roll", comments="")

    def persons(name: str, *given: str) -> int:
        models = ["--deblurrer", name, "--detector", str(yolo26n), "--device", "cpu", *given]
        seen = ["--classes", "person", "--conf", "0.5", "--output", str(tmp_path / f"out{len(given)}"), "--json"]
        assert main([str(tmp_path / "a.png"), *models, *seen]) == 0
        (entry,) = json.loads(capsys.readouterr().out)["pictures"]
        return len(entry["detections"])

    blurred_alone = persons("none")
    assert persons("default", "--no-fuse") > blurred_alone
    assert persons("default", "--motion", str(tmp_path)) > blurred_alone + 1


def test_a_broken_file_stays_one_line_beside_ultralytics(
    yolo26n: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    output = ["--output", str(tmp_path / "out"), "--json"]
    assert main([str(tmp_path / "broken.jpg"), "--deblurrer", "none", "--detector", str(yolo26n), *output]) == 1
    (entry,) = json.loads(capsys.readouterr().out)["pictures"]
    assert entry["error"] == f"{tmp_path / 'broken.jpg'} is not a picture: no known picture format"
    assert Image.open.__module__ == "PIL.Image", "ultralytics' own Image.open must be gone"
