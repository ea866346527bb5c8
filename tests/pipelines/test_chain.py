from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

from deblur.blur.motion import still
from deblur.outcome import Outcome
from deblur.pictures import write_picture
from detection.types import Detections
from pipelines.chain import DeblurDetect
from pipelines.deblur_detect import main

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from deblur.exposure.paths import CameraPath

    Document = Callable[[], dict[str, Any]]
    Flat = Callable[..., NDArray[np.uint8]]

pytestmark = pytest.mark.usefixtures("fakes")


@pytest.mark.parametrize("shape", [(6, 1, 3), (1, 6, 3), (1, 1, 3)])
@pytest.mark.parametrize("fuse", [True, False])
def test_detectors_get_pictures_that_torch_takes(shape: tuple[int, ...], fuse: bool) -> None:
    """Numpy calls an axis of one pixel contiguous whatever its stride; torch refuses a negative one."""
    seen: list[torch.Tensor] = []

    def detector(pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        seen.extend(torch.from_numpy(picture) for picture in pictures)
        return [Detections.ordered([], [], []) for _ in pictures]

    picture = np.zeros(shape, np.uint8)
    for given in (picture[::-1], picture[:, ::-1], picture[..., ::-1]):
        DeblurDetect(np.copy if fuse else None, detector, fuse=fuse)(given)
    assert [each.shape for each in seen] == [torch.Size(shape)] * 3 * (2 if fuse else 1)


def test_the_chain_detects_on_the_restored_picture(flat: Flat) -> None:
    from deblur import Deblurrer
    from detection.yolo import YoloDetector

    picture = flat(95)
    restored, detections, times, believed, spread = DeblurDetect(Deblurrer.load(), YoloDetector())(picture)
    assert believed is spread is None
    np.testing.assert_array_equal(restored, flat(105))
    np.testing.assert_array_equal(picture, flat(95))
    assert detections.class_names == ("bus", "person"), "the person is seen in bright pictures only"
    assert times.deblur is not None
    assert times.deblur > 0
    assert times.detect > 0
    surer = DeblurDetect(Deblurrer.load(), YoloDetector(), confidence=0.6)
    assert surer(picture).detections.class_names == ("bus",)
    untouched = DeblurDetect(None, YoloDetector())(picture)
    assert untouched.restored is picture
    assert untouched.detections.class_names == ("bus",)
    assert untouched.times.deblur is None


def test_restoring_and_detecting_are_timed_apart(flat: Flat, monkeypatch: pytest.MonkeyPatch) -> None:
    from deblur import Deblurrer
    from detection.yolo import YoloDetector

    chain = DeblurDetect(Deblurrer.load(), YoloDetector())
    clock = iter((10.0, 10.25, 11.0))
    monkeypatch.setattr("pipelines.chain.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    times = chain(flat(95)).times
    assert (times.deblur, times.detect) == (250, 750)


def test_fusing_looks_twice(flat: Flat, monkeypatch: pytest.MonkeyPatch) -> None:
    from deblur import Deblurrer
    from detection.yolo import YoloDetector

    chain = DeblurDetect(Deblurrer.load(), YoloDetector(), fuse=True)
    detections = chain(flat(95)).detections
    assert detections.class_names == ("bus", "person")
    assert detections.scores == pytest.approx([0.9, 0.3]), "the person is in the restored picture only"
    told = chain(flat(95), still(8, 8)).detections
    assert told.scores == pytest.approx([0.9, 0.5]), "of what is restored along a path it is in both looks"
    monkeypatch.setattr(Deblurrer, "believed", 0.25)
    assert chain(flat(95), still(8, 8)).detections.scores == pytest.approx([0.9, 0.3]), "but not of one not believed"
    surer = DeblurDetect(Deblurrer.load(), YoloDetector(), fuse=True, confidence=0.35)
    assert surer(flat(95)).detections.class_names == ("bus",)
    assert surer(flat(150)).detections.class_names == ("bus", "person")
    with pytest.raises(ValueError, match="fuse needs a deblurrer"):
        DeblurDetect(None, YoloDetector(), fuse=True)


@pytest.mark.parametrize(
    ("name", "told", "believed", "score"),
    [
        ("default", False, 0.62, 0.4 * 0.8 + 0.6 * 0.3),
        ("default", True, 0.25, 0.4 * 0.8 + 0.6 * 0.3),
        ("default", True, 0.62, 0.5 * 0.8 + 0.5 * 0.3),
        ("default", True, None, 0.5 * 0.8 + 0.5 * 0.3),
        ("found+search", False, 0.25, 0.4 * 0.8 + 0.6 * 0.3),
        ("found+search", False, 0.62, 0.5 * 0.8 + 0.5 * 0.3),
        ("found+search", False, None, 0.4 * 0.8 + 0.6 * 0.3),
    ],
)
def test_two_looks_at_one_picture_weigh_the_same(
    flat: Flat, monkeypatch: pytest.MonkeyPatch, name: str, told: bool, believed: float | None, score: float
) -> None:
    from deblur import Deblurrer
    from detection.yolo import YoloDetector

    class Unsure(YoloDetector):
        """Is surer of a bus in the first picture than in the second."""

        def __call__(self, pictures: Any) -> list[Detections]:
            return [Detections.ordered([[2, 2, 6, 6]], [sure], ["bus"]) for sure in (0.8, 0.3)]

    monkeypatch.setattr(Deblurrer, "believed", believed)
    chain = DeblurDetect(Deblurrer.load(name), Unsure(), fuse=True)
    found = chain(flat(95, 8, 8), still(8, 8) if told else None).detections
    assert found.scores == pytest.approx([score])


def test_the_second_look_is_at_a_mirror_image_whose_boxes_are_turned_back() -> None:
    from detection.yolo import YoloDetector

    class Leftmost(YoloDetector):
        """Finds a bus where the brightest column is."""

        def __call__(self, pictures: Any) -> list[Detections]:
            asked.append([int(picture.mean((0, 2)).argmax()) for picture in pictures])
            return [Detections.ordered([[column, 0, column + 1, 40]], [0.5], ["bus"]) for column in asked[-1]]

    asked: list[list[int]] = []
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 10] = 200
    found = DeblurDetect(np.copy, Leftmost(), fuse=True)(picture).detections
    assert asked == [[10, 69]]
    np.testing.assert_allclose(found.boxes, [[10, 0, 11, 40]])
    assert found.scores == pytest.approx([0.5]), "of one place"


def test_where_the_blur_is_long_the_second_look_is_at_a_smaller_mirror_image(monkeypatch: pytest.MonkeyPatch) -> None:
    from deblur import Deblurrer
    from detection.yolo import YoloDetector

    class Bright(YoloDetector):
        """Finds a bus around what is brighter than 150."""

        def __call__(self, pictures: Any) -> list[Detections]:
            return [Detections.ordered([box(picture)], [0.5], ["bus"]) for picture in pictures]

    def box(picture: NDArray[np.uint8]) -> list[int]:
        rows, columns = np.nonzero(picture[..., 0] > 150)
        asked.append((len(rows), picture.shape))
        return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]

    asked: list[tuple[int, tuple[int, ...]]] = []
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[10:30, 10:40] = 200
    monkeypatch.setattr(Deblurrer, "spread", 0.01)
    found = DeblurDetect(Deblurrer.load(), Bright(), fuse=True)(picture).detections
    assert asked == [(20 * 30, picture.shape), (14 * 21, picture.shape)]
    assert found.scores == pytest.approx([0.5]), "of one place"
    np.testing.assert_allclose(found.boxes, [[10, 10, 40, 30]], atol=1e-4)
    asked.clear()
    DeblurDetect(Deblurrer.load(), Bright(), fuse=True)(picture, still(80, 40))
    assert [count for count, _ in asked] == [600, 600], "as large where it was restored along a path"


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("deblurrer", [None, lambda picture: picture, lambda picture: picture[::-1]])
def test_a_detector_is_given_pictures_that_lie_in_one_piece(deblurrer: Any, fuse: bool) -> None:
    from detection.yolo import YoloDetector

    class Torch(YoloDetector):
        """Takes what ``torch.from_numpy`` takes."""

        def __call__(self, pictures: Any) -> list[Detections]:
            given.extend(int(torch.from_numpy(picture)[0, 0, 0]) for picture in pictures)
            return super().__call__(pictures)

    given: list[int] = []
    bgr = np.full((8, 8, 3), (10, 20, 30), np.uint8)
    fuse = fuse and deblurrer is not None
    assert DeblurDetect(deblurrer, Torch(), fuse=fuse)(bgr[..., ::-1]).restored[0, 0].tolist() == [30, 20, 10]
    assert given == [30] * (1 + fuse)


@pytest.mark.parametrize(
    ("deblurrer", "made"),
    [
        (lambda picture: picture[::2, ::2], r"uint8 \(4, 6, 3\)"),
        (lambda picture: picture / 255, r"float64 \(8, 12, 3\)"),
        (lambda picture: picture[None], r"uint8 \(1, 8, 12, 3\)"),
        (lambda picture: None, "NoneType"),
    ],
)
def test_a_deblurrer_that_returns_another_picture_is_refused(flat: Flat, deblurrer: Any, made: str) -> None:
    from detection.yolo import YoloDetector

    with pytest.raises(ValueError, match=rf"made {made} of uint8 \(8, 12, 3\)"):
        DeblurDetect(deblurrer, YoloDetector(), fuse=True)(flat(95, 8, 12))


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (None, TypeError, "not NoneType"),
        ("dusk.png", TypeError, "not str"),
        (torch.zeros(8, 12, 3, dtype=torch.uint8), TypeError, "not Tensor"),
        (np.zeros((8, 12, 3)), TypeError, "not float64"),
        (np.zeros((8, 12), np.uint8), ValueError, r"not \(8, 12\)"),
        (np.zeros((8, 12, 4), np.uint8), ValueError, r"not \(8, 12, 4\)"),
    ],
)
def test_what_is_no_picture_is_refused_before_anything_sees_it(given: Any, kind: type[Exception], says: str) -> None:
    def unasked(*_: object) -> Any:
        raise AssertionError

    with pytest.raises(kind, match=rf"pictures are .*{says}"):
        DeblurDetect(unasked, unasked)(given)


def test_a_deblurrer_whose_own_call_would_be_passed_over_is_refused(flat: Flat) -> None:
    from detection.yolo import YoloDetector

    class Released:
        def __call__(self, picture: NDArray[np.uint8], path: CameraPath | None = None) -> NDArray[np.uint8]:
            return self.restore_along(picture, path).picture

        def restore_along(self, picture: NDArray[np.uint8], path: CameraPath | None) -> Outcome:
            return Outcome(picture + 1)

    class Own(Released):
        def __call__(self, *given: Any) -> Any:
            return super().__call__(*given) + 10

    class Both(Own):
        def restore_along(self, picture: NDArray[np.uint8], path: CameraPath | None) -> Outcome:
            return Outcome(picture + 5)

    with pytest.raises(TypeError, match=r"restore_along, which Own inherits: .* what Own\.__call__ does"):
        DeblurDetect(Own(), YoloDetector())(flat(95))

    class Wrapper:
        def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return Released()(picture) + 20

        def __getattr__(self, name: str) -> Any:
            return getattr(Released(), name)

    class Lent:
        def __init__(self) -> None:
            self.restore_along = Released().restore_along

        def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
            raise AssertionError

    class Called:
        def __call__(self, *_: object) -> Any:
            raise AssertionError

    class Beside(Called, Released):  # whose call knows nothing of what restore_along does, as that of torch's modules
        pass

    for kind, made in ((Released, 96), (Both, 100), (Wrapper, 116), (Lent, 96), (Beside, 96)):
        assert DeblurDetect(kind(), YoloDetector())(flat(95)).restored[0, 0, 0] == made


def test_fused_boxes_are_kept_by_their_own_score(tmp_path: Path, flat: Flat, document: Document) -> None:
    write_picture(tmp_path / "dusk.png", flat(95))
    assert main(["dusk.png", "--conf", "0.25", "--json"]) == 0
    content = document()
    assert (content["fused"], content["confidence"]) == (True, 0.25)
    assert [found["score"] for found in content["pictures"][0]["detections"]] == pytest.approx([0.9, 0.3])
    env = json.loads(Path(content["run"], "env.json").read_text())
    assert env["detector"]["confidence"] == 0.001, "faint boxes are needed to confirm others"
    assert main(["dusk.png", "--fuse", "--conf", "0.35", "--json"]) == 0
    assert [found["class"] for found in document()["pictures"][0]["detections"]] == ["bus"]
    # Without fusing the person keeps all of its score. What a run writes down is what it did.
    assert main(["dusk.png", "--no-fuse", "--conf", "0.35", "--json"]) == 0
    content = document()
    assert content["fused"] is False
    assert [found["score"] for found in content["pictures"][0]["detections"]] == pytest.approx([0.9, 0.5])
    assert yaml.safe_load(Path(content["run"], "config.yaml").read_text())["fuse"] is False
    assert main(["dusk.png", "--deblurrer", "none", "--json"]) == 0
    content = document()
    assert (content["fused"], content["confidence"]) == (False, 0.25)
    config = Path(content["run"], "config.yaml")
    assert not {"fuse", "conf"} & yaml.safe_load(config.read_text()).keys(), "nobody chose"
    assert main(["--config", str(config), "--deblurrer", "default", "--json"]) == 0
    content = document()
    assert (content["fused"], content["confidence"]) == (True, 0.2)


def test_fusing_needs_a_deblurrer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["dusk.png", "--fuse", "--deblurrer", "none"])
    assert stopped.value.code == 2
    assert "--fuse needs a deblurrer" in capsys.readouterr().err


def test_the_configuration_of_a_run_that_fused_takes_no_deblurrer_as_well(
    tmp_path: Path, flat: Flat, capsys: pytest.CaptureFixture[str], document: Document
) -> None:
    write_picture(tmp_path / "dusk.png", flat(95))
    assert main(["dusk.png", "--json"]) == 0
    content = document()
    assert content["fused"] is True
    config = Path(content["run"], "config.yaml")
    assert main(["--config", str(config), "--deblurrer", "none", "--json"]) == 0
    content = document()
    assert (content["fused"], content["confidence"]) == (False, 0.25)
    # One that chose, and has more that is about restoring.
    (tmp_path / "gyro").mkdir()
    chosen = (
        "fuse: true\nfull-size: true\nmotion: gyro\nfocal-length: 100\nreadout: 0.01\ntrust-motion: true\nconf: 0.6\n"
    )
    config.write_text(f"source: [dusk.png]\n{chosen}")
    none = ["--config", str(config), "--deblurrer", "none"]
    assert main([*none, "--json"]) == 0
    content = document()
    assert (content["fused"], content["confidence"]) == (False, 0.6)
    written = yaml.safe_load(Path(content["run"], "config.yaml").read_text())
    assert not {"fuse", "motion", "exposures", "focal_length", "readout"} & written.keys()
    assert (written["full_size"], written["trust_motion"]) == (False, False)
    for typed in (["--fuse"], ["--motion", "gyro"], ["--full-size"]):
        with pytest.raises(SystemExit) as stopped:
            main([*none, *typed])
        assert stopped.value.code == 2
        assert f"{typed[0]} needs a deblurrer" in capsys.readouterr().err
