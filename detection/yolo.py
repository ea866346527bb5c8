"""The YOLO adapter: the only module that imports ultralytics.

It takes three things from ultralytics (8.4 or newer): the reader of weights, the letterbox and non-maximum suppression.
The predictor around them is left out: it reports home, its letterbox depends on which pictures share a batch, and its
non-maximum suppression gives up on the rest of a batch when the machine is slow.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pickle
import threading
import warnings
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import torch
from PIL import Image

from detection.class_choice import check_classes
from detection.errors import DetectionError
from detection.naming import parse_detector, refuse_one_name
from detection.types import Detections
from detection.weights import cache_folder, find_weights, sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

TASKS_WITH_BOXES = ("detect", "segment", "pose")
PADDING = 114  # the grey that YOLO networks see around a picture in training
_STRIDE = 32  # of most networks, and less of none: one picture size then fits all of them

_QUIET = {
    "YOLO_OFFLINE": "1",  # no look-up of hosts, no telemetry, no download
    "YOLO_AUTOINSTALL": "false",  # a missing package is an error, never a `pip install` at run time
    "YOLO_VERBOSE": "false",  # logs would go to stdout
    "ULTRALYTICS_SAFE_LOAD": "1",  # weights are read without running code in them
}


# Environment variables that its import sets for the whole process, and every child.
_SET_BY_IMPORT = (
    "OMP_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "TF_CPP_MIN_LOG_LEVEL",
    "TORCH_CPP_LOG_LEVEL",
    "KINETO_LOG_LEVEL",
    "TORCHINDUCTOR_CACHE_DIR",  # by torch._dynamo, which it imports
)

_IMPORTING = threading.Lock()
_READING = threading.Lock()


def load_network(path: Path) -> torch.nn.Module:
    """The network in a ``.pt`` file of ultralytics: float32, evaluation mode, not fused, on the CPU.

    The file is read with torch's restricted unpickler, which makes networks of known layers and nothing else: code
    hidden in a file from a stranger does not run, it makes the file unreadable.

    Args:
        path: the file; `detection.weights.find_weights` finds it.

    Raises:
        DetectionError: the file is no such file, or its network finds no upright boxes in RGB pictures.
    """
    if path.suffix != ".pt":
        raise DetectionError(
            f"{path}: detector weights are PyTorch files of ultralytics (.pt); export back, or train anew"
        )
    tasks = _ultralytics().nn.tasks
    try:
        checkpoint = _read(path)
    except Exception as error:
        # Of a file that is none of these the restricted reader of pickles runs what it takes for instructions, so any
        # error may come of it; TypeError is how ultralytics says damaged, or holding more than known layers.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DetectionError(f"cannot read {path} as YOLO weights: {reason}") from error
    network: Any = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(network, tasks.DetectionModel) or isinstance(network, tasks.RTDETRDetectionModel):
        kind = "no network" if network is None else f"a {type(network).__name__}, which is no YOLO detector"
        raise DetectionError(f"{path} holds {kind}: give weights of a YOLO detector")
    task = tasks.guess_model_task(network)
    if task not in TASKS_WITH_BOXES:
        raise DetectionError(f"{path} is a YOLO network for {task!r}: give one for {', '.join(TASKS_WITH_BOXES)}")
    if network.yaml.get("channels", 3) != 3:
        raise DetectionError(f"{path} takes pictures of {network.yaml['channels']} channels: give a detector for RGB")
    for module in network.modules():
        if isinstance(module, torch.nn.Upsample):
            module.recompute_scale_factor = None  # files from before torch 1.11 lack it
    return network.float().eval()


def _read(path: Path) -> dict[str, Any]:
    """What a file of ultralytics holds, as its own reader reads it: that file and no other.

    Left to itself, the reader takes apostrophes out of a path and a ``yolov5nu.pt`` for a ``yolov5n.pt``, fetches what
    is then not there, and deletes a damaged ``yolo26n.pt`` of the working folder to fetch it anew.
    """
    ultralytics: Any = _ultralytics()
    named = str(path.absolute())  # a bare name is what it would delete
    with _READING:  # two threads that undo each other's change in turn would leave one behind
        downloads = ultralytics.utils.downloads
        find, downloads.attempt_download_asset = downloads.attempt_download_asset, str
        try:
            checkpoint, read = ultralytics.nn.tasks.torch_safe_load(named, safe_only=True)
        finally:
            downloads.attempt_download_asset = find
    if read != named:  # a newer ultralytics asks elsewhere
        raise DetectionError(f"ultralytics reads {read} in its place: rename one of the two")
    return cast("dict[str, Any]", checkpoint)


def _names_in(network: Any, path: Path) -> tuple[str, ...]:
    """The name of each class that a network tells apart.

    Raises:
        DetectionError: the file's names are not one for each, as where somebody has cut them, or two are the same.
    """
    names, count = getattr(network, "names", None), network.model[-1].nc
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or set(names) != set(range(count)):
        raise DetectionError(f"{path}: its names are not those of its {count} classes, 0 to {count - 1}, one for each")
    strange = next((name for name in names.values() if not isinstance(name, str)), None)
    if strange is not None:
        raise DetectionError(f"{path}: the class name {strange!r} is no text, and results go by names: rename it")
    listed = tuple(names[index] for index in range(count))
    twice = next((name for name in listed if listed.count(name) > 1), None)
    if twice is not None:
        raise DetectionError(f"{path} has two classes called {twice!r}, and results go by names: rename one of them")
    return listed


def stride_of(network: Any) -> int:
    """What the sides of a network's pictures are multiples of: 32, or 64 of a P6 network."""
    return max(_STRIDE, int(network.stride.max()))


class YoloDetector:
    """A YOLO network as a `detection.types.Detector`.

    A picture's boxes do not depend on what else is in its batch: each is fitted into one square of the same size, and
    boxes are suppressed picture by picture.

    Attributes:
        name: what results call it: the stem of the weights' file, or the name that was given before it.
        sha256: hash of the weights' file.
        class_names: every class of the network, in its order.
        image_size: side of the square in pixels.
        device: where it runs, a GPU by its number.
    """

    def __init__(
        self,
        weights: str | Path = "yolo26n",
        device: str = "auto",
        image_size: int = 640,
        confidence: float = 0.25,
        iou: float = 0.7,
        max_detections: int = 300,
        classes: Sequence[str] | None = None,
        batch_size: int = 8,
        end_to_end: bool = False,
    ) -> None:
        """Load a detector.

        Args:
            weights: a name such as ``yolo26n`` or a file, see `detection.weights.find_weights`, with ``NAME=`` before
                it where results should call it NAME.
            device: auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps.
            image_size: side in pixels of the square that every picture is fitted into, a multiple of `stride_of` the
                network.
            confidence: boxes need a score above this; 0.001 where average precision is measured.
            iou: of two boxes of a class that overlap by more than this, the weaker goes.
            max_detections: at most so many boxes a picture, the best.
            classes: names of the classes to find; None for all. The others are dropped before the best are taken.
            batch_size: so many pictures go through the network at a time.
            end_to_end: use the head that needs no suppression, which YOLO26 and YOLOv10 have beside the usual one;
                ``iou`` means nothing then. Off, so that every detector follows one protocol: which head ultralytics
                takes when it is not told has changed between its versions.

        Raises:
            DetectionError: the weights, the device or a class is not there, or a number is out of its range.
        """
        if not (0 <= confidence <= 1 and 0 <= iou <= 1):
            raise DetectionError(f"confidence and IoU are from 0 to 1, not {confidence} and {iou}")
        if max_detections < 1 or batch_size < 1:
            raise DetectionError(f"max_detections and batch_size are at least 1, not {max_detections} and {batch_size}")
        self.device = _resolve_device(device)
        asked = parse_detector(str(weights))
        path = find_weights(asked.weights)
        self.name = asked.name or path.stem
        self.sha256 = sha256_of(path)
        network: Any = load_network(path)
        stride = stride_of(network)
        if image_size < stride or image_size % stride:
            raise DetectionError(f"the picture size of {self.name} is a multiple of {stride}, not {image_size}")
        self.class_names = _names_in(network, path)
        self.image_size = image_size
        self._confidence = confidence
        self._iou = iou
        self._max_detections = max_detections
        self._classes = None if classes is None else self._indices_of(classes)
        self._batch_size = batch_size
        network.end2end = end_to_end
        self._end_to_end = bool(network.end2end)  # stays on in a file that was saved without the other head
        if end_to_end and not self._end_to_end:
            raise DetectionError(f"{self.name} has no end-to-end head: leave end_to_end off")
        if self._end_to_end:
            # This head cuts its list before classes are looked at here: let it keep as many boxes as it has cells.
            network.set_head_attr(max_det=image_size**2)
        network = network.fuse(verbose=False).requires_grad_(False).to(self.device)
        if self.device.type != "mps":
            network = network.to(memory_format=torch.channels_last)
        self._network = network
        ultralytics = _ultralytics()
        self._letterbox = ultralytics.data.augment.LetterBox(
            (image_size, image_size), auto=False, padding_value=PADDING, interpolation=cv2.INTER_LINEAR
        )
        self._suppress = ultralytics.utils.nms.non_max_suppression
        self._scale_boxes = ultralytics.utils.ops.scale_boxes

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find objects.

        Args:
            pictures: RGB uint8 (H, W, 3), of any sizes; the sequence may be empty.

        Returns:
            One `Detections` a picture: boxes in that picture's pixels and inside it, best first.

        Raises:
            TypeError: a picture that is no numpy array, such as a file's name.
            ValueError: one of another shape or type, or one picture without a list.
        """
        if isinstance(pictures, np.ndarray) and pictures.ndim < 4:
            raise ValueError(f"a list of pictures is wanted, not one of shape {pictures.shape}: give [picture]")
        for picture in pictures:
            if not isinstance(picture, np.ndarray):
                raise TypeError(f"pictures are numpy arrays, RGB uint8 (H, W, 3), not {type(picture).__name__}")
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
                raise ValueError(f"pictures are RGB uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
        return [
            found
            for start in range(0, len(pictures), self._batch_size)
            for found in self._detect(pictures[start : start + self._batch_size])
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        """What another process makes it again from: it has to import ultralytics as this one did, and first."""
        return reduced(self)

    def describe(self) -> dict[str, Any]:
        """What the boxes depend on beside the pictures and the machine, for the protocol block of a result."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "image_size": self.image_size,
            "letterbox": f"square, bilinear, centred, grey {PADDING}",
            "confidence": self._confidence,
            "iou": None if self._end_to_end else self._iou,
            "head": "one-to-one, no suppression" if self._end_to_end else "one-to-many, suppression by class",
            "max_detections": self._max_detections,
            "classes": None if self._classes is None else [self.class_names[index] for index in self._classes],
            "precision": "float32 (TF32 convolutions)" if self._rounds_to_tf32() else "float32",
        }

    @torch.inference_mode()
    def _detect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        squares = np.stack([self._letterbox(image=np.ascontiguousarray(picture)) for picture in pictures])
        batch = torch.from_numpy(squares).to(self.device).permute(0, 3, 1, 2).float().div_(255)
        with torch.autocast(self.device.type, enabled=False):  # as `describe` tells, whatever the caller sets around it
            rows = self._network(batch)
            while isinstance(rows, (tuple, list)):  # boxes come first, of segmentation one level down, beside its masks
                rows = rows[0]
            return [self._detections(rows[index : index + 1], picture) for index, picture in enumerate(pictures)]

    def _detections(self, rows: torch.Tensor, picture: NDArray[np.uint8]) -> Detections:
        """The detections of one picture from its part of the network's output.

        One picture at a time: ultralytics' suppression has a time limit after which it leaves the other pictures of a
        batch without boxes, so that a busy machine would change a result.
        """
        (kept,) = self._suppress(
            rows,
            self._confidence,
            self._iou,
            classes=self._classes,
            max_det=self._max_detections,
            nc=len(self.class_names),
            end2end=self._end_to_end,
        )
        found = kept.cpu()
        # Nothing forces a network without a distribution of distances, as YOLO26, to put a left edge left of the right.
        found = found[~(found[:, 2:4] < found[:, :2]).any(1)]
        boxes = self._scale_boxes((self.image_size, self.image_size), found[:, :4].clone(), picture.shape[:2])
        names = [self.class_names[int(index)] for index in found[:, 5]]
        return Detections.ordered(boxes.numpy(), found[:, 4].numpy(), names)

    def _rounds_to_tf32(self) -> bool:
        return self.device.type == "cuda" and torch.backends.cudnn.allow_tf32

    def _indices_of(self, classes: Sequence[str]) -> list[int]:
        refuse_one_name(classes)
        if not classes:
            raise DetectionError("no class to find: name at least one, or leave classes out for all")
        check_classes(classes, self.name, self.class_names)
        return [index for index, name in enumerate(self.class_names) if name in classes]


def reduced(thing: object) -> tuple[Any, ...]:
    """For ``__reduce__`` of what holds a network of ultralytics; see `YoloDetector.__reduce__`."""
    return _unpickled, (type(thing), pickle.dumps(thing.__getstate__()))


def _unpickled(kind: type, state: bytes) -> Any:
    _ultralytics()
    thing: Any = object.__new__(kind)
    kept = pickle.loads(state)  # a part of what is being unpickled
    if hasattr(thing, "__setstate__"):
        thing.__setstate__(kept)
    else:
        thing.__dict__.update(kept)
    return thing


def _ultralytics() -> ModuleType:
    """The parts of ultralytics that are used. What two threads ask for first at once is imported by one of them."""
    with _IMPORTING:
        return _imported()


@functools.cache
def _imported() -> ModuleType:
    """Import ultralytics, silenced, and undo what the import does to the whole process."""
    os.environ.update(_QUIET)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder()))  # settings are not written in the user's own folder
    # These alone: other threads may set some of their own meanwhile.
    kept = {name: os.environ.get(name) for name in (*_SET_BY_IMPORT, "WORLD_SIZE")}
    opencv_threads, save, open_picture = cv2.getNumThreads(), torch.save, Image.open
    printing = dataclasses.asdict(torch._tensor_str.PRINT_OPTS)
    os.environ["WORLD_SIZE"] = "1"  # or the import waits for every process of the group, and some may not need it
    try:
        with np.printoptions(), warnings.catch_warnings():
            import torchvision  # type: ignore[import-untyped]  # noqa: F401 - its suppression is taken where it is imported: always, then
            import ultralytics
            import ultralytics.data.augment
            import ultralytics.nn.tasks
            import ultralytics.utils.nms
            import ultralytics.utils.ops
    finally:
        # The import sets one thread for every child process and how loud they are, none for OpenCV, how tensors are
        # printed, filters of warnings, a save of its own, and for Pillow an open that installs a package where a file
        # is no picture.
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        torch.set_printoptions(**printing)
        cv2.setNumThreads(opencv_threads)
        torch.save = save
        Image.open = open_picture
    if ultralytics.settings.file.is_relative_to(cache_folder()) and ultralytics.settings["sync"]:
        ultralytics.settings.update(sync=False)
    return ultralytics


def _resolve_device(name: str) -> torch.device:
    """The torch device of a name, a GPU by its number: in another thread ``cuda`` alone may be another one.

    As `deblur.devices` does it, which this room may not import.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device: torch.device | None = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError):
        device = None
    if device is None or device.type not in {"cpu", "cuda", "mps"}:
        raise DetectionError(f"no device {name!r} here: use auto, cpu, cuda, cuda:N or mps")
    return device
