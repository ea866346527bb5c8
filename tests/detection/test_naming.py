"""``[NAME=]WEIGHTS``: what results call a detector."""

from __future__ import annotations

from pathlib import Path

import pytest

from detection.errors import DetectionError
from detection.naming import Asked, parse_detector
from detection.yolo import YoloDetector


@pytest.mark.parametrize(
    ("given", "name", "weights"),
    [
        ("yolo26n", None, "yolo26n"),
        ("runs/detect/train/weights/best.pt", None, "runs/detect/train/weights/best.pt"),
        ("drone=runs/detect/train/weights/best.pt", "drone", "runs/detect/train/weights/best.pt"),
        ("night shift=yolo11n", "night shift", "yolo11n"),
        ("runs/lr=0.01/best.pt", None, "runs/lr=0.01/best.pt"),
        ("a=b=c.pt", "a", "b=c.pt"),
    ],
)
def test_a_name_may_stand_before_the_weights(given: str, name: str | None, weights: str) -> None:
    assert parse_detector(given) == Asked(name, weights)


def test_a_file_that_is_there_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lr=0.1.pt").touch()
    assert parse_detector("lr=0.1.pt") == Asked(None, "lr=0.1.pt")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b"])
def test_a_name_that_cannot_name_files_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "best.pt"
    file.touch()
    with pytest.raises(DetectionError, match="is not NAME=FILE: NAME names files, and has no /"):
        parse_detector(f"{name}={file}")


def test_a_name_needs_weights() -> None:
    with pytest.raises(DetectionError, match="'drone=' lacks weights: give NAME=FILE"):
        parse_detector("drone=")


def test_the_detector_goes_by_its_name(yolo26n: Path) -> None:
    named, plain = YoloDetector(f"drone={yolo26n}", device="cpu"), YoloDetector(yolo26n, device="cpu")
    assert (named.name, named.describe()["name"], plain.name) == ("drone", "drone", "yolo26n")
    assert named.sha256 == plain.sha256
