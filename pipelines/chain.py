"""Deblur, then detect: the whole chain for one picture, usable from Python.

>>> from deblur import Deblurrer
>>> from detection.yolo import YoloDetector
>>> chain = DeblurDetect(Deblurrer.load(), YoloDetector("yolo26n"))
>>> result = chain(picture)  # picture: RGB uint8 (H, W, 3)
>>> result.restored, result.detections
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from deblur.outcome import Outcome
from deblur.pictures import check_pictures
from detection.fusion import fuse, two_looks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deblur.exposure.paths import CameraPath
    from detection.types import Detections, Detector

    Restorer = Callable[..., NDArray[np.uint8]]


@runtime_checkable
class RestoresAlong(Protocol):
    """A deblurrer that says how far it believed a path, and how long the blur is: `deblur.Deblurrer` is one."""

    def restore_along(self, picture: NDArray[np.uint8], path: CameraPath | None) -> Outcome:
        """Restore one picture.

        Args:
            picture: RGB uint8 (H, W, 3).
            path: the camera's while the shutter was open; where it is None, the deblurrer may search for one.

        Returns:
            The restored picture, RGB uint8 of the same size, with ``believed`` and ``spread``.
        """


def restore_with(deblurrer: Restorer, picture: NDArray[np.uint8], path: CameraPath | None) -> Outcome:
    """The picture restored, and what the deblurrer says beside it (`RestoresAlong`).

    Raises:
        TypeError: the deblurrer's class has a ``__call__`` of its own and inherits ``restore_along``, by which it would
            be passed over in silence.
        ValueError: what the deblurrer returns is no picture of the same size.
    """
    # Until Python 3.12 isinstance takes what a wrapper's __getattr__ finds behind it for its own.
    if isinstance(deblurrer, RestoresAlong) and inspect.getattr_static(deblurrer, "restore_along", None) is not None:
        _check_method(type(deblurrer))
        outcome = deblurrer.restore_along(picture, path)
    else:
        # One that knows nothing of paths need not take one.
        outcome = Outcome(deblurrer(picture) if path is None else deblurrer(picture, path))
    restored = outcome.picture
    made = isinstance(restored, np.ndarray) and restored.dtype == np.uint8
    if not made or restored.shape != picture.shape:
        raise ValueError(
            f"a deblurrer returns RGB uint8 of its picture's size: this one made {_kind(restored)} of {_kind(picture)}"
        )
    return outcome


def _check_method(kind: type) -> None:
    owner = next((each for each in kind.__mro__ if "restore_along" in vars(each)), None)
    above = kind.__mro__[: kind.__mro__.index(owner)] if owner is not None else ()  # of none it is the object's own
    for each in above:
        if "__call__" in vars(each) and owner in each.__mro__:
            raise TypeError(
                f"the chain restores by restore_along, which {kind.__name__} inherits: "
                f"do in a restore_along of your own what {each.__name__}.__call__ does"
            )


def _kind(given: object) -> str:
    return f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__


class Times(NamedTuple):
    """How long the parts took, in milliseconds of wall time; ``deblur`` is None where nothing was restored."""

    deblur: float | None
    detect: float


class DeblurDetectResult(NamedTuple):
    """What the chain makes of one picture.

    Attributes:
        restored: the restored picture, RGB uint8 (H, W, 3); the picture as it came where there is no deblurrer. The
            detector saw it, or with ``fuse`` the two pictures that `DeblurDetect` names.
        detections: boxes in pixels of ``restored``.
        times: how long it took.
        believed: share of the restored picture, from 0 to 1, that came of the camera's path, given or found; None where
            there was none, nothing moved by it, or the deblurrer does not say.
        spread: how long the blur was, as a share of the picture's longer side (`deblur.outcome.Outcome`); None where
            the deblurrer does not say.
    """

    restored: NDArray[np.uint8]
    detections: Detections
    times: Times
    believed: float | None = None
    spread: float | None = None


class DeblurDetect:
    """Restores a picture and finds the objects in it."""

    def __init__(
        self, deblurrer: Restorer | None, detector: Detector, *, fuse: bool = False, confidence: float = 0.0
    ) -> None:
        """Join the two.

        Args:
            deblurrer: takes RGB uint8 (H, W, 3), and the camera's path where it is known, and returns the picture
                restored, for example `deblur.Deblurrer`; None leaves pictures as they are.
            detector: for example `detection.yolo.YoloDetector`. To fuse, let it report boxes down to a confidence of
                `detection.fusion.LOWEST_CONFIDENCE`: a faint box in one picture confirms one in the other.
            fuse: detect in two passes and merge the boxes (`detection.fusion.fuse`); the detector takes twice as long.
                The first pass sees the picture as it came, the second one the mirror image of the restored picture.
                Where the picture was restored along a path, given or found, that is believed, the first pass sees the
                restored picture too. Where the blur is long and no given path is believed, the mirror image is scaled
                down (`detection.fusion.two_looks`).
            confidence: boxes with a score below it are left out, after fusing. Fused scores are lower: .2 keeps
                somewhat more boxes than .25 of the restored picture alone, and more right ones.

        Raises:
            ValueError: ``fuse`` without a deblurrer: nothing is restored.
        """
        if fuse and deblurrer is None:
            raise ValueError("fuse needs a deblurrer: without one there is only one picture to detect in")
        self.deblurrer = deblurrer
        self.detector = detector
        self.fuse = fuse
        self.confidence = confidence

    def __call__(self, picture: NDArray[np.uint8], path: CameraPath | None = None) -> DeblurDetectResult:
        """Restore and detect.

        Args:
            picture: RGB uint8 (H, W, 3); it is not changed.
            path: the camera's while the shutter was open, where it is known (``deblur.exposure.path_files.read_path``).

        Raises:
            TypeError: no numpy array of uint8, such as a file's name; or a deblurrer whose class has a ``__call__`` of
                its own above an inherited ``restore_along`` (`restore_with`).
            ValueError: a picture of another shape, or the deblurrer returns something else than one of the same size.
        """
        check_pictures(picture)
        start = time.perf_counter()
        # A detector is promised it: of bgr[..., ::-1] torch.from_numpy makes no tensor.
        picture = np.ascontiguousarray(picture) if min(picture.strides) >= 0 else picture.copy()
        outcome = Outcome(picture) if self.deblurrer is None else restore_with(self.deblurrer, picture, path)
        restored = np.ascontiguousarray(outcome.picture)
        between = time.perf_counter()
        if self.fuse:
            looks = two_looks(told=path is not None, believed=outcome.believed, spread=outcome.spread)
            first = restored if looks.first_restored else picture
            detections, others = self.detector([first, looks.second(restored)])
            height, width = restored.shape[:2]
            detections = fuse(detections, looks.back(others, width, height), looks.share)
        else:
            (detections,) = self.detector([restored])
        detections = detections.select(self.confidence)
        end = time.perf_counter()
        deblur_ms = None if self.deblurrer is None else (between - start) * 1000
        times = Times(deblur_ms, (end - between) * 1000)
        return DeblurDetectResult(restored, detections, times, outcome.believed, outcome.spread)
