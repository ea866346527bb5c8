from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from detection.errors import DetectionError
from detection.teacher import DetectorTeacher
from detection.types import Detections, Detector
from detection.weights import sha256_of
from detection.yolo import YoloDetector, _resolve_device, _ultralytics, load_network

if TYPE_CHECKING:
    from collections.abc import Mapping

# One picture alone and among others goes through the same sums in another order: float32 leaves this much.
BOX_TOLERANCE = 0.05  # pixels
SCORE_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def detector(yolo26n: Path) -> YoloDetector:
    return YoloDetector(yolo26n, device="cpu")


@pytest.fixture(scope="module")
def thorough(yolo26n: Path) -> YoloDetector:
    """As average precision is measured: every box that is not hopeless."""
    return YoloDetector(yolo26n, device="cpu", confidence=0.001, batch_size=4)


def assert_same(found: Detections, expected: Detections) -> None:
    assert found.class_names == expected.class_names
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=BOX_TOLERANCE)
    np.testing.assert_allclose(found.scores, expected.scores, atol=SCORE_TOLERANCE)


@pytest.mark.parametrize("name", ["yolo26n", "yolo11n", "yolov8n"])
def test_a_bus_and_at_least_three_persons_on_the_bus_photograph(
    name: str, shared: Path, photographs: Mapping[str, np.ndarray]
) -> None:
    detector = YoloDetector(shared / "weights" / f"{name}.pt", device="cpu")
    (found,) = detector([photographs["bus"]])
    assert found.class_names.count("bus") == 1
    assert found.class_names.count("person") >= 3
    assert set(found.class_names) == {"bus", "person"}
    assert found.scores.min() > 0.25
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [810, 1080, 810, 1080]).all()


def test_it_is_a_detector_that_says_what_it_is(detector: YoloDetector, yolo26n: Path) -> None:
    assert isinstance(detector, Detector)
    assert detector.name == "yolo26n"
    assert detector.sha256 == sha256_of(yolo26n)
    assert detector.class_names[:2] == ("person", "bicycle")
    assert len(detector.class_names) == 80
    protocol = detector.describe()
    assert protocol["sha256"] == detector.sha256
    assert (protocol["image_size"], protocol["confidence"], protocol["iou"]) == (640, 0.25, 0.7)
    assert protocol["max_detections"] == 300
    assert protocol["classes"] is None


def test_the_same_boxes_as_the_predictor_of_ultralytics(
    thorough: YoloDetector, yolo26n: Path, photographs: Mapping[str, np.ndarray]
) -> None:
    from ultralytics import YOLO  # after the adapter has silenced it

    for picture in photographs.values():
        (result,) = YOLO(yolo26n).predict(
            np.ascontiguousarray(picture[..., ::-1]),
            conf=0.001,
            iou=0.7,
            max_det=300,
            imgsz=640,
            rect=False,
            device="cpu",
            verbose=False,
        )
        (found,) = thorough([picture])
        assert len(found) > 100
        boxes = result.boxes.data.numpy()
        names = [result.names[int(index)] for index in boxes[:, 5]]
        assert_same(found, Detections.ordered(boxes[:, :4], boxes[:, 4], names))


def test_colours_are_read_as_red_green_blue(detector: YoloDetector, photographs: Mapping[str, np.ndarray]) -> None:
    (right,) = detector([photographs["bus"]])
    (swapped,) = detector([photographs["bus"][..., ::-1]])
    assert right.scores[0] > swapped.scores[0]


def test_autocast_around_it_changes_no_box(detector: YoloDetector, photographs: Mapping[str, np.ndarray]) -> None:
    (expected,) = detector([photographs["bus"]])
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = detector([photographs["bus"]])
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)


class Counting(YoloDetector):
    """One of a user's own, with something that no pickle takes."""

    def __init__(self, weights: Path) -> None:
        super().__init__(weights, device="cpu", image_size=320)
        self.lock = threading.Lock()
        self.calls = 3

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.lock = threading.Lock()


def test_a_class_of_ones_own_says_what_is_pickled(yolo26n: Path) -> None:
    for copied in (copy.deepcopy(Counting(yolo26n)), pickle.loads(pickle.dumps(Counting(yolo26n)))):
        assert copied.calls == 3
        assert not copied.lock.locked()
        assert copied([np.zeros((40, 60, 3), np.uint8)])


def test_a_picture_finds_the_same_alone_and_in_any_batch_and_order(
    thorough: YoloDetector, photographs: Mapping[str, np.ndarray]
) -> None:
    bus, zidane = photographs["bus"], photographs["zidane"]
    pictures = [bus, zidane, bus[100:900, 50:], zidane[:, 200:], bus[::2, ::2]]
    alone = [thorough([picture])[0] for picture in pictures]
    assert all(len(found) > 20 for found in alone)
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [0, 0, 4, 4, 1]):
        for found, index in zip(thorough([pictures[index] for index in order]), order, strict=True):
            assert_same(found, alone[index])


def test_a_slow_machine_loses_no_boxes(
    thorough: YoloDetector, photographs: Mapping[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.utils import nms

    (expected,) = thorough([photographs["bus"]])
    clock = iter(range(0, 1_000_000, 1000))
    monkeypatch.setattr(nms.time, "time", lambda: float(next(clock)))
    for found in thorough([photographs["bus"]] * 3):
        assert_same(found, expected)


@pytest.mark.parametrize("end_to_end", [False, True])
def test_classes_are_chosen_by_name_before_the_best_are_taken(
    yolo26n: Path, photographs: Mapping[str, np.ndarray], end_to_end: bool
) -> None:
    options = {"device": "cpu", "confidence": 0.0, "max_detections": 300, "end_to_end": end_to_end}
    (everything,) = YoloDetector(yolo26n, **options)([photographs["bus"]])
    detector = YoloDetector(yolo26n, classes=["handbag", "bus"], **options)
    assert detector.describe()["classes"] == ["bus", "handbag"]
    (found,) = detector([photographs["bus"]])
    best = everything.select(classes=["handbag", "bus"])
    assert set(found.class_names) == {"bus", "handbag"}
    assert len(best) < len(found) <= 300
    np.testing.assert_allclose(found.scores[: len(best)], best.scores, atol=SCORE_TOLERANCE)


def test_the_end_to_end_head_finds_the_same_objects(yolo26n: Path, photographs: Mapping[str, np.ndarray]) -> None:
    one_to_one = YoloDetector(yolo26n, device="cpu", end_to_end=True)
    (found,) = one_to_one([photographs["bus"]])
    assert sorted(found.class_names) == ["bus", "person", "person", "person", "person"]
    assert one_to_one.describe()["iou"] is None


def test_iou_says_how_much_boxes_of_a_class_may_overlap(yolo26n: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of each of 7 anchors center, size and 80 scores; the second box overlaps the first by 60 percent of their union.
    rows = torch.zeros(1, 84, 7)
    rows[0, :5, :2] = torch.tensor([[100.0, 100, 80, 80, 0.9], [120, 100, 80, 80, 0.8]]).T
    for iou, count in ((0.5, 1), (0.65, 2)):
        detector = YoloDetector(yolo26n, device="cpu", iou=iou)
        monkeypatch.setattr(detector, "_network", lambda _: rows.clone())
        assert len(detector([np.zeros((640, 640, 3), np.uint8)])[0]) == count
        assert detector.describe()["iou"] == iou


def test_what_results_rest_on_is_what_was_asked_for(yolo26n: Path) -> None:
    asked = {"image_size": 320, "confidence": 0.001, "iou": 0.5, "max_detections": 100}
    assert YoloDetector(yolo26n, device="cpu", **asked).describe().items() >= asked.items()


def test_a_box_that_is_inside_out_is_none(yolo26n: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = YoloDetector(yolo26n, device="cpu", end_to_end=True)
    rows = torch.tensor([[[30, 10, 20, 40, 0.9, 0], [10, 40, 20, 30, 0.9, 0], [10, 20, 30, 40, 0.8, 5]]])
    monkeypatch.setattr(detector, "_network", lambda _: rows)
    (found,) = detector([np.zeros((640, 640, 3), np.uint8)])
    assert found.class_names == ("bus",)
    np.testing.assert_allclose(found.boxes, [[10, 20, 30, 40]])


def test_asking_for_a_head_that_is_not_there_is_refused(shared: Path) -> None:
    with pytest.raises(DetectionError, match="no end-to-end head"):
        YoloDetector(shared / "weights" / "yolov8n.pt", device="cpu", end_to_end=True)


def test_no_pictures_no_detections(detector: YoloDetector) -> None:
    assert detector([]) == []


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (301, 3), (33, 47), (640, 641)])
def test_any_size_and_grey_content(detector: YoloDetector, height: int, width: int) -> None:
    grey = np.full((height, width, 3), 128, np.uint8)
    (found,) = detector([grey])
    assert (found.boxes <= [width, height, width, height]).all()


def test_boxes_lie_in_the_picture_wherever_it_is_cut(
    thorough: YoloDetector, photographs: Mapping[str, np.ndarray]
) -> None:
    cut = photographs["bus"][301:740, 77:404]
    (found,) = thorough([cut])
    assert len(found) > 20
    assert found.boxes.min() >= 0
    assert (found.boxes.max(axis=0) <= [327, 439, 327, 439]).all()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_a_defect_of_the_caller(detector: YoloDetector, picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="RGB uint8"):
        detector([picture])


@pytest.mark.parametrize("given", ["bus.jpg", None, [[0, 0, 0]]])
def test_what_is_no_array_is_no_picture(detector: YoloDetector, given: object) -> None:
    with pytest.raises(TypeError, match=f"pictures are numpy arrays, RGB uint8 .*, not {type(given).__name__}$"):
        detector([given])  # type: ignore[list-item]


def test_one_picture_is_no_list_of_pictures(detector: YoloDetector) -> None:
    with pytest.raises(ValueError, match=r"a list of pictures is wanted, not one of shape \(8, 9, 3\)"):
        detector(np.zeros((8, 9, 3), np.uint8))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 600}, "multiple of 32"),
        ({"image_size": 0}, "multiple of 32"),
        ({"confidence": 1.5}, "from 0 to 1"),
        ({"iou": -0.1}, "from 0 to 1"),
        ({"max_detections": 0}, "at least 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
        ({"device": "toaster"}, "no device 'toaster'"),
        ({"device": "meta"}, "no device 'meta'"),
        ({"classes": ["persn"]}, "did you mean person"),
        ({"classes": ["qqqqq"]}, "it knows person, bicycle"),
        ({"classes": []}, "no class to find"),
    ],
)
def test_mistakes_are_one_clear_line(yolo26n: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DetectionError, match=message) as caught:
        YoloDetector(yolo26n, **{"device": "cpu", **options})
    assert "\n" not in str(caught.value)


def test_a_gpu_has_its_number_in_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch, "empty", lambda *_, device: SimpleNamespace(device=torch.device(device if ":" in device else "cuda:2"))
    )
    found = [_resolve_device(name) for name in ("auto", "cuda", "cuda:1")]
    assert found == [torch.device("cuda:2"), torch.device("cuda:2"), torch.device("cuda:1")]


def test_one_name_is_no_list_of_names(yolo26n: Path) -> None:
    with pytest.raises(TypeError, match="list of names"):
        YoloDetector(yolo26n, device="cpu", classes="bus")


class _Bomb:
    """Unpickled the ordinary way, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._folder),)


def test_code_in_a_file_from_a_stranger_does_not_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"model": _Bomb(sprung)}, tmp_path / "bomb.pt")
    with pytest.raises(DetectionError, match="cannot read"):
        YoloDetector(tmp_path / "bomb.pt", device="cpu")
    assert not sprung.exists()
    torch.load(tmp_path / "bomb.pt", weights_only=False)
    assert sprung.exists(), "the bomb was a dud, so the test showed nothing"


@pytest.mark.parametrize(
    "content",
    [b"", b"not weights", b"PK\x03\x04 half a zip", b"hello\n" * 3, b"Repository not found", b"error code: 1015"],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(content)
    with pytest.raises(DetectionError, match=r"cannot read .*damaged\.pt") as caught:
        load_network(damaged)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize(
    ("name", "taken_for"), [("Anna's.pt", "Annas.pt"), ("yolov5n.pt", "yolov5nu.pt"), (" own.pt", "own.pt")]
)
def test_the_file_that_was_named_is_read(
    tmp_path: Path, name: str, taken_for: str, both: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = torch.load(untrained("yolo11n", Path(name)), weights_only=False)["model"]
    if both:
        untrained("yolov8n", Path(taken_for))
    read = load_network(Path(name))
    assert [weights.shape for weights in read.parameters()] == [weights.shape for weights in made.parameters()]


def test_a_damaged_file_of_an_official_name_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    damaged = Path("yolo26n.pt")
    damaged.write_bytes(b"PK\x03\x04 half a zip")
    with pytest.raises(DetectionError, match=r"cannot read yolo26n\.pt"):
        load_network(damaged)
    assert damaged.read_bytes() == b"PK\x03\x04 half a zip"


@pytest.mark.parametrize("checkpoint", [{"model": None}, {"epoch": 3}, {"model": {"weight": torch.zeros(2)}}, [1, 2]])
def test_a_file_without_a_detector_is_one_clear_line(tmp_path: Path, checkpoint: object) -> None:
    torch.save(checkpoint, tmp_path / "other.pt")
    with pytest.raises(DetectionError, match=r"other\.pt"):
        load_network(tmp_path / "other.pt")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "yolo26n.onnx").write_bytes(b"onnx")
    with pytest.raises(DetectionError, match=r"\.pt"):
        YoloDetector(tmp_path / "yolo26n.onnx", device="cpu")


def untrained(config: str, file: Path) -> Path:
    """Write an untrained network of an ultralytics configuration as its own files are."""
    tasks = _ultralytics().nn.tasks
    kind = {"seg": "SegmentationModel", "pose": "PoseModel", "obb": "OBBModel", "cls": "ClassificationModel"}
    network = getattr(tasks, kind.get(config.partition("-")[2], "DetectionModel"))(f"{config}.yaml", verbose=False)
    torch.save({"model": network}, file)
    return file


@pytest.mark.parametrize("config", ["yolo11n-seg", "yolo26n-pose", "yolov10n"])
def test_other_networks_with_boxes_give_their_boxes(tmp_path: Path, config: str) -> None:
    file = untrained(config, tmp_path / "own.pt")
    for end_to_end in [False] if "11" in config else [False, True]:
        detector = YoloDetector(
            file, device="cpu", image_size=64, confidence=0.0, max_detections=7, end_to_end=end_to_end
        )
        pictures = list(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
        together = detector(pictures)
        for found, picture in zip(together, pictures, strict=True):
            assert 0 < len(found) <= 7
            assert set(found.class_names) <= set(detector.class_names)
            (alone,) = detector([picture])
            np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)


def test_a_p6_network_takes_multiples_of_64_alone(tmp_path: Path) -> None:
    file = untrained("yolov8n-p6", tmp_path / "own.pt")
    with pytest.raises(DetectionError, match="the picture size of own is a multiple of 64, not 96"):
        YoloDetector(file, device="cpu", image_size=96)
    detector = YoloDetector(file, device="cpu", image_size=128, confidence=0.0, max_detections=7)
    assert len(detector([np.zeros((64, 80, 3), np.uint8)])[0]) > 0
    teacher = DetectorTeacher(file)
    with torch.no_grad():
        found = teacher(torch.rand(1, 3, 90, 130))
    assert [tuple(score.shape[2:]) for _, score in found] == [(16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({0: "person", 2: "car"}, "its names are not those of its 80 classes"),
        ({str(index): str(index) for index in range(80)}, "not those of its 80 classes"),
        ({index: str(index) for index in range(85)}, "not those of its 80 classes"),
        ({}, "not those of its 80 classes"),
        (None, "not those of its 80 classes"),
        ({index: index for index in range(80)}, "the class name 0 is no text"),
        (["a", "b", "c"], "not those of its 80 classes"),
    ],
)
def test_names_that_do_not_fit_the_network_are_refused(tmp_path: Path, names: object, says: str) -> None:
    file = untrained("yolo11n", tmp_path / "own.pt")
    saved = torch.load(file, weights_only=False)
    saved["model"].names = names
    torch.save(saved, file)
    with pytest.raises(DetectionError, match=rf"own\.pt: .*{says}"):
        YoloDetector(file, device="cpu", image_size=64)


def test_of_a_run_that_was_not_finished_the_averaged_weights_are_read(tmp_path: Path) -> None:
    raw, averaged = (torch.load(untrained("yolo11n", tmp_path / f"{n}.pt"), weights_only=False)["model"] for n in "ab")
    for part in averaged.parameters():
        torch.nn.init.constant_(part, 0.5)
    for model in (raw, None):
        torch.save({"epoch": 3, "model": model, "ema": averaged}, tmp_path / "last.pt")
        assert all((part == 0.5).all() for part in load_network(tmp_path / "last.pt").parameters())


def test_names_may_be_a_list(tmp_path: Path) -> None:
    file = untrained("yolo11n", tmp_path / "own.pt")
    saved = torch.load(file, weights_only=False)
    saved["model"].names = names = [f"class {index}" for index in range(80)]
    torch.save(saved, file)
    assert YoloDetector(file, device="cpu", image_size=64).class_names == tuple(names)


def test_a_network_with_one_name_for_two_classes_is_refused(tmp_path: Path) -> None:
    file = untrained("yolo11n", tmp_path / "own.pt")
    saved = torch.load(file, weights_only=False)
    saved["model"].names = saved["model"].names | {3: "2"}
    torch.save(saved, file)
    with pytest.raises(DetectionError, match=r"own\.pt has two classes called '2'"):
        YoloDetector(file, device="cpu")


@pytest.mark.parametrize(("config", "task"), [("yolo11n-cls", "ClassificationModel"), ("yolo11n-obb", "'obb'")])
def test_networks_without_upright_boxes_are_refused(tmp_path: Path, config: str, task: str) -> None:
    with pytest.raises(DetectionError, match=task):
        YoloDetector(untrained(config, tmp_path / "own.pt"), device="cpu")


PROBE = """
import os, sys
outside = []
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        outside.append((event, str(arguments[-1])))
    if event == "subprocess.Popen" and any(word in str(arguments[1]) for word in ("pip", "uv", "curl", "apt")):
        outside.append((event, str(arguments[1])))
sys.addaudithook(watch)
import pickle, threading, time, warnings
import cv2, numpy, torch
from PIL import Image
from detection.yolo import YoloDetector
assert "ultralytics" not in sys.modules, "importing the module is cheap until a detector is made"
def process():
    own = ("YOLO_", "ULTRALYTICS_")  # how it is kept quiet
    variables = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    printing = str(torch.tensor([1 / 3] * 30)), str(numpy.array([1 / 3] * 30))
    settings = torch.get_num_threads(), cv2.getNumThreads(), torch.save, Image.open, warnings.filters[:]
    return variables, printing, settings
before = process()
detectors = []
if sys.argv[1].endswith(".pt"):
    def make():
        detectors.append(YoloDetector(sys.argv[1], device="cpu"))
    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while "ultralytics.utils" not in sys.modules and time.monotonic() < deadline:
        time.sleep(0.001)
    os.environ["OF_ANOTHER_THREAD"] = "1"  # during the import
    for thread in threads:
        thread.join()
    assert os.environ.pop("OF_ANOTHER_THREAD") == "1"
else:
    with open(sys.argv[1], "rb") as stream:
        *detectors, teacher = pickle.load(stream)
    teacher(torch.rand(1, 3, 64, 64))
for detector in detectors:
    detector([numpy.zeros((40, 60, 3), numpy.uint8)])
assert len(detectors) == 2
assert before == process(), (before, process())
from ultralytics import settings
from ultralytics.utils import AUTOINSTALL, LOCAL_RANK, ONLINE
assert not (AUTOINSTALL or ONLINE or settings["sync"])
assert LOCAL_RANK == -1, "or it would wait at a barrier"
assert threading.active_count() == 1
assert not outside, outside
"""


@pytest.mark.parametrize("comes", ["from its weights", "out of a pickle"])
def test_nothing_is_sent_asked_installed_printed_changed_or_left_at_home(
    tmp_path: Path, yolo26n: Path, comes: str
) -> None:
    given = yolo26n
    if comes == "out of a pickle":
        given = tmp_path / "detectors.pickle"
        detector = YoloDetector(yolo26n, device="cpu", image_size=320)
        given.write_bytes(pickle.dumps([detector, copy.deepcopy(detector), DetectorTeacher(yolo26n)]))
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "ULTRALYTICS_", "PYTEST_"))}
    for name in ("OMP_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR"):  # which something else may have set by now
        kept.pop(name, None)
    group = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}  # as one of two processes
    project = str(Path(__file__).resolve().parent.parent.parent)
    environment = {**kept, "HOME": str(home), "MSTSGM_CACHE": str(tmp_path / "cache"), "PYTHONPATH": project, **group}
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, str(given)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert list(work.iterdir()) == []
    assert list(home.iterdir()) == []


LATE = """
import os, sys
import ultralytics
from ultralytics.utils import SAFE_LOAD
assert not SAFE_LOAD
from detection.errors import DetectionError
from detection.yolo import YoloDetector
assert YoloDetector(sys.argv[1], device="cpu").name == "yolo26n"
try:
    YoloDetector(sys.argv[2], device="cpu")
except DetectionError:
    pass
else:
    raise AssertionError("loaded")
assert not os.path.exists(sys.argv[3])
assert ultralytics.settings["sync"], "these are the settings of the user's own program"
"""


def test_a_program_that_imported_ultralytics_first_is_as_safe_and_keeps_its_settings(
    tmp_path: Path, yolo26n: Path
) -> None:
    torch.save({"model": _Bomb(tmp_path / "sprung")}, tmp_path / "bomb.pt")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "ULTRALYTICS_"))}
    project = str(Path(__file__).resolve().parent.parent.parent)
    answer = subprocess.run(
        [sys.executable, "-c", LATE, str(yolo26n), str(tmp_path / "bomb.pt"), str(tmp_path / "sprung")],
        cwd=tmp_path,
        env={
            **kept,
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "YOLO_OFFLINE": "1",
            "MSTSGM_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": project,
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
