"""A detection-gain experiment small enough to know every figure by hand.

A red square stands on grey. "Blur" moves it by 8 of its 20 pixels, which leaves an IoU of 12/28: no hit at all. The
deblurrer "unmove" moves it back, "unmove+gyro" is told the camera's path, "idle" does nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from deblur.errors import DeblurError
from deblur.pictures import write_picture
from detection.types import Detections
from experiments.gain.settings import LoadedDeblurrer, LoadedDetector, Settings, Tools
from experiments.path_learning import sample_pool
from tests.experiments.gain_runs import STEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from deblur.blur import Motion

Outcome = tuple[int, str, str]
"""Exit code, stdout and stderr of a command."""
SIX = (*STEMS, "e", "f")  # enough for intervals
SCENES = ("climb", "drive", "ride", "sail", "swim", "walk")
MOVE = 8
GREY = 90


class RedFinder:
    """Finds the box around everything red."""

    class_names = ("blue", "red")

    def __init__(self, name: str = "finder") -> None:
        self.name = name
        self.sha256 = f"hash of {name}"
        self.seen = 0

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        self.seen += len(pictures)
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: NDArray[np.uint8]) -> Detections:
        rows, columns = np.nonzero((picture[..., 0] > 200) & (picture[..., 1] < 60))
        if not len(rows):
            return Detections.empty()
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections.ordered([box], [0.9], ["red"])


class BareFinder(RedFinder):
    """Knows a class less, and is asked in another way."""

    class_names = ("red",)


class Fakes:
    """Detectors and deblurrers that count what they are asked for."""

    def __init__(self) -> None:
        self.detectors: dict[str, RedFinder] = {}
        self.hashes: dict[str, str] = {}
        self.restored = 0
        self.paths: list[Motion] = []
        self.stop_after: int | None = None

    @property
    def tools(self) -> Tools:
        return Tools(self._detector, self._deblurrer)

    def _detector(self, name: str) -> LoadedDetector:
        self.detectors[name] = BareFinder(name) if name == "narrow" else RedFinder(name)
        return LoadedDetector(self.detectors[name], {"head": "other" if name == "narrow" else "none"})

    def _deblurrer(self, name: str) -> LoadedDeblurrer:
        moves = {"unmove": -MOVE, "idle": 0, "unmove2": -MOVE, "unmove+gyro": -MOVE}
        if name not in moves:
            raise DeblurError(f"no deblurrer {name!r}")

        def restore(picture: NDArray[np.uint8], path: Motion | None = None) -> NDArray[np.uint8]:
            if path is not None:
                self.paths.append(path)
            if self.stop_after is not None and self.restored >= self.stop_after:
                raise KeyboardInterrupt
            self.restored += 1
            return np.roll(picture, moves[name], axis=1)

        return LoadedDeblurrer(
            name,
            self.hashes.get(name, f"hash of {name}"),
            restore,
            gmacs=1.5,
            parameters=7,
            told=name.endswith("+gyro"),
        )

    @property
    def seen(self) -> int:
        return sum(detector.seen for detector in self.detectors.values())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sharp and blurred pictures and COCO annotations."""
    return _write_data(tmp_path / "data", STEMS)


def _write_data(folder: Path, stems: Sequence[str]) -> Path:
    images, annotations = [], []
    for index, stem in enumerate(stems):
        picture = np.full((48, 64, 3), GREY, np.uint8)
        x, y = 16 + index, 10 + index
        picture[y : y + 20, x : x + 20] = (250, 10, 10)
        write_picture(folder / "sharp" / f"{stem}.png", picture)
        write_picture(folder / "blurred" / f"{stem}.png", np.roll(picture, MOVE, axis=1))
        images.append({"id": index, "file_name": f"{stem}.jpg", "width": 64, "height": 48})
        annotations.append({"id": index, "image_id": index, "category_id": 7, "bbox": [x, y, 20, 20], "area": 400})
    categories = [{"id": 7, "name": "red"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "truth.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def blue_object(data: Path) -> None:
    """An object that nothing finds, of the class that the detector "narrow" does not know."""
    content = json.loads((data / "truth.json").read_text())
    content["categories"].append({"id": 8, "name": "blue"})
    box = {"id": 9, "image_id": 0, "category_id": 8, "bbox": [1, 1, 9, 9], "area": 81}
    content["annotations"].append(box)
    (data / "truth.json").write_text(json.dumps(content))


@pytest.fixture
def settings(data: Path) -> Settings:
    return _settings(data)


@pytest.fixture
def settings_of_six(tmp_path: Path) -> Settings:
    """The same with pictures enough for intervals."""
    return _settings(_write_data(tmp_path / "six", SIX))


@pytest.fixture
def settings_of_scenes(tmp_path: Path) -> Settings:
    """Two pictures of each of six scenes, as their names tell."""
    return _settings(_write_data(tmp_path / "scenes", [f"{scene}_{n}" for scene in SCENES for n in (1, 2)]))


def _settings(data: Path) -> Settings:
    return Settings(
        annotations=data / "truth.json",
        sharp=data / "sharp",
        blurred=data / "blurred",
        blurs=(),
        deblurrers=("unmove", "idle"),
        peers=(),
        detectors=("finder",),
        resamples=40,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def more_fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def training_arguments(tmp_path: Path) -> list[str]:
    """Options of training that take seconds: four photographs, a tiny network, one validation picture."""
    for index in range(4):
        write_picture(tmp_path / "photos" / f"{index}.png", astronaut()[index * 60 : index * 60 + 100, 100:240])
    network = "--set widths=[16,20,24] encoder_blocks=[1,1,1] decoder_blocks=[1,1,1] --threads 1 --device cpu"
    data = f"--sharp {tmp_path / 'photos'} --crop 32 --batch 2 --val-limit 1 --val-side 48 --val-blur shake:8"
    return [*network.split(), *data.split(), "--output", str(tmp_path / "runs")]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three small photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(astronaut()[index * 90 : index * 90 + 120, 80:240]).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def samples_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What learns from samples makes them here, where tests can watch and change it."""
    monkeypatch.setattr(sample_pool, "ProcessPoolExecutor", _InThisProcess)
    monkeypatch.setattr(sample_pool, "as_completed", list)


class _InThisProcess:
    """A pool without processes."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> _InThisProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function, *arguments):
        made = function(*arguments)

        class Done:
            def result(self):
                return made

        return Done()


@pytest.fixture
def called(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[Sequence[str]], int], Sequence[str]], Outcome]:
    """Calls the main function of a command with arguments."""

    def call(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> Outcome:
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
