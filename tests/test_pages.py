"""What the pages of docs/ show is run, where a page alone would not tell that it has gone wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

from deblur.pictures import write_picture
from detection.scoring import score
from detection.types import Detections, Detector
from experiments.gain.files import read_metrics
from experiments.gain.settings import LoadedDetector, Tools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent


def code_of(page: str, heading: str) -> str:
    """The Python blocks below a heading of a page, up to the next heading, joined."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


def test_annotations_are_restricted_to_the_pictures_of_the_committed_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    official = tmp_path / "coco/annotations/instances_val2017.json"
    official.parent.mkdir(parents=True)
    images = [{"id": number, "file_name": f"{number:012}.jpg"} for number in range(600, 1500)]
    official.write_text(json.dumps({"images": images, "annotations": [{"image_id": 724}, {"image_id": 725}]}))
    exec(code_of("detection-gain.md", "Which pictures of COCO"), {})
    restricted = json.loads((tmp_path / "val2017-280.json").read_text(encoding="utf-8"))
    assert [image["id"] for image in restricted["images"]] == [632, 724]
    assert restricted["annotations"] == [{"image_id": 724}]


def test_truth_is_made_of_boxes_in_memory() -> None:
    page = (ROOT / "docs/scoring.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "TruthBuilder(" in block)
    names: dict[str, Any] = {"detector": SimpleNamespace(class_names=("person", "bus"))}
    exec(code, names)
    truth = names["truth"]
    assert truth.objects["street"].class_names == ("bus",)
    found = Detections.ordered([[10, 20, 200, 300]], [0.9], ["bus"])
    assert score(truth, {"street": found}).ap == pytest.approx(1)


class BrightPeople(torch.nn.Module):
    """Stands for a detection network of torchvision: what is brighter than half of white is a person."""

    def forward(self, batch: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        return [self._found(picture) for picture in batch]

    def _found(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
        rows, columns = torch.nonzero(picture.mean(0) > 0.5, as_tuple=True)
        if not len(rows):
            return {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.long)}
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return {"boxes": torch.stack(edges)[None].float(), "scores": torch.tensor([0.9]), "labels": torch.tensor([1])}


def test_any_detector_and_deblurrer_is_used_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = pytest.importorskip("torchvision.models.detection")
    monkeypatch.setattr(models, "fasterrcnn_mobilenet_v3_large_320_fpn", lambda weights: BrightPeople())
    monkeypatch.chdir(tmp_path)
    for number in range(1, 8):
        # The first is as bright where it is blurred; of the others it takes sharpening to see them.
        for folder, level in (("sharp", 200), ("blurred", 200 if number == 1 else 115)):
            picture = np.zeros((48, 64, 3), np.uint8)
            picture[20:26, 30:36] = level
            write_picture(tmp_path / folder / f"{number}.png", picture)
    images = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in range(1, 8)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [30, 20, 6, 6], "area": 36} for n in range(1, 8)]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    names: dict[str, Any] = {"picture": picture}
    exec(code_of("detectors.md", "Any other detector or deblurrer"), names)
    assert isinstance(names["detector"], Detector)
    assert len(names["detector"].class_names) == 80
    assert names["result"].detections.boxes.tolist() == [[30, 20, 36, 26]]
    *arms, recovered = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in arms] == ["sharp", "blurred", "deblurred"]
    assert float(arms[1].split()[1]) < float(arms[0].split()[1]) == pytest.approx(1)
    assert recovered.startswith("Interval(value=1.0, low=1.0")


class BrightPlaces:
    """A detector whose one object is what is brighter than half of white."""

    name, sha256, class_names = "bright", "0" * 64, ("person",)

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        return [self._found(picture) for picture in pictures]

    def _found(self, picture: NDArray[np.uint8]) -> Detections:
        rows, columns = np.nonzero(picture.mean(2) > 127)
        if not len(rows):
            return Detections.empty()
        return Detections.ordered([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], [0.9], ["person"])


def test_a_function_is_measured_as_networks_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools(lambda name: LoadedDetector(BrightPlaces()), lambda name: pytest.fail("no network is asked for"))
    monkeypatch.setattr("experiments.gain.loading.tools_on", lambda device, side: tools)
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[20:28, 28:36] = 255
        write_picture(tmp_path / "images" / f"{number}.png", picture)
    images = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in range(2)]
    boxes = [{"id": n + 1, "image_id": n, "category_id": 1, "bbox": [28, 20, 8, 8], "area": 64} for n in range(2)]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    names: dict[str, Any] = {}
    exec(code_of("detection-gain.md", "A function of your own"), names)
    (result,) = read_metrics(tmp_path / "runs/sharpened").results
    assert result.arms["sharp"].ap == pytest.approx(1)
    assert result.arms["blurred"].ap is not None
    assert result.recovered.keys() == {"sharpened"}


def test_a_loop_of_ones_own_trains_weights_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    names: dict[str, Any] = {"pictures": generator.integers(0, 256, (3, 32, 48, 3), np.uint8)}
    exec(code_of("training.md", "A loop of your own"), names)
    assert all(parameter.grad is not None for parameter in names["network"].parameters())
    assert names["deblurrer"](names["pictures"][0]).shape == (32, 48, 3)


def test_pictures_and_videos_go_through_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def detector(name: str, confidence: float) -> Any:
        box = Detections.ordered([[28, 20, 36, 28]], [0.9], ["bus"])
        return lambda pictures: [box if each[24, 32, 0] > each[24, 32, 2] else Detections.empty() for each in pictures]

    monkeypatch.setattr("detection.yolo.YoloDetector", detector)
    monkeypatch.chdir(tmp_path)
    red = np.full((48, 64, 3), (200, 20, 20), np.uint8)
    write_picture(tmp_path / "street.jpg", red)
    video = cv2.VideoWriter("clip.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for _ in range(2):
        video.write(red[..., ::-1])
    video.release()
    names: dict[str, Any] = {}
    exec(code_of("pipeline.md", "In Python"), names)
    assert names["result"].restored.shape == red.shape
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["bus"] * 4
