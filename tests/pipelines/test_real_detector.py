from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from pipelines.deblur_detect import main


def test_a_bus_and_its_people_from_file_to_json(
    yolo26n: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = find_spec("ultralytics")  # the import is left to the adapter, which undoes what it does to Pillow
    assert spec is not None
    assert spec.origin is not None
    bus = Path(spec.origin).parent / "assets" / "bus.jpg"
    output = ["--output", str(tmp_path / "out"), "--save", "annotated,txt,coco"]
    arguments = [str(bus), "--deblurrer", "none", "--detector", str(yolo26n), "--classes", "bus,person", "--json"]
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


def test_a_broken_file_stays_one_line_beside_ultralytics(
    yolo26n: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    output = ["--output", str(tmp_path / "out"), "--json"]
    assert main([str(tmp_path / "broken.jpg"), "--deblurrer", "none", "--detector", str(yolo26n), *output]) == 1
    (entry,) = json.loads(capsys.readouterr().out)["pictures"]
    assert entry["error"] == f"{tmp_path / 'broken.jpg'} is not a picture: no known picture format"
    assert Image.open.__module__ == "PIL.Image", "ultralytics' own Image.open must be gone"
