"""Restoring pictures with a released network: uint8 RGB in, the same out."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch

from deblur.along_path import AlongPath, PathUse
from deblur.devices import numbered, resolve_device, without_autocast
from deblur.errors import DeblurError
from deblur.exposure.kernels import exposure_along
from deblur.exposure.paths import CameraPath
from deblur.naming import GYROSCOPE, parse_deblurrer
from deblur.networks.guided import GuidedNetwork
from deblur.networks.kernel_estimator import KernelEstimator
from deblur.outcome import Outcome
from deblur.path_search import Judge, PathSearch
from deblur.path_search.trust import PathTrust
from deblur.pictures import check_pictures, scale_down
from deblur.released import load_released, released_sha256
from deblur.tiling import MIN_SIDE, restore_in_tiles
from deblur.working_size import LOOK_SIDE, carry_over, fitting_side, wanted_side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from deblur.exposure.kernels import Exposure
    from deblur.networks.guided import ExposureGuide

MAX_PIXELS = 1 << 20


class _Look(NamedTuple):
    """What was seen of a picture's blur.

    Attributes:
        copy: in which it was seen, RGB uint8 (H, W, 3), of ``LOOK_SIDE`` pixels at most.
        exposure: of the copy.
    """

    copy: NDArray[np.uint8]
    exposure: Exposure

    @property
    def spread(self) -> float:
        """Of the blur, as of an ``Outcome``."""
        return self.exposure.spread.item() / max(self.copy.shape[:2])


class _Plan(NamedTuple):
    """How a picture is restored.

    Attributes:
        side: longer side of the copy that is restored, the picture's own or less; 0 where no blur shows.
        look: at the picture, where the plan took one.
    """

    side: int
    look: _Look | None = None


_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def _as_numbers_are(
    method: Callable[Concatenate[Deblurrer, _Given], _Result],
) -> Callable[Concatenate[Deblurrer, _Given], _Result]:
    """A method that autocast of its caller does not reach: a result depends on what ``describe`` tells alone."""

    @functools.wraps(method)
    def shielded(self: Deblurrer, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        with without_autocast(self.device):
            return method(self, *args, **kwargs)

    return shielded


class Deblurrer:
    """A callable that restores pictures.

    >>> deblurrer = Deblurrer.load()
    >>> sharp = deblurrer(blurred)  # (H, W, 3) or (B, H, W, 3), uint8 RGB
    >>> sharper = deblurrer(blurred, path)  # where the camera's path is known, as by a gyroscope
    >>> patient = Deblurrer.load("default+search")  # tries hundreds of paths: half a minute a picture

    A guided network looks first. A picture without blur stays as it is, for a sixth of the time. Where blur is longer
    than a guide can read, a smaller copy is restored, and the change brought to the picture (``working_size``).
    A picture of more than ``max_pixels`` is restored in overlapping tiles, so that the memory a network needs does not
    grow with the picture. docs/networks.md says how far that is from restoring it whole. One Deblurrer may be called
    from several threads.

    Attributes:
        name: what results call it: the network's released name, the weights file's stem, or a name of your own.
        sha256: of the weights file; empty where the network came from no file.
        card: what the weights file's card says.
        device: where the network runs, a GPU by its number.
        max_pixels: the most pixels that go through the network at once; tiles at the picture's right and lower edge
            may have a few percent more.
        seen_side: longer side, in pixels, of the copy in which the result is used (see ``load``); None for the
            picture's own.
        takes_path: whether the network has a guide, so that a camera's path can be given with a picture.
        consistent: whether what is restored along a path is made consistent with its picture
            (``exposure.consistency``).
        search: finds the path of a picture that comes without one; None leaves the blur to the guide's estimate.
        trust: decides where in a picture a path is believed; None believes every path everywhere.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        device: torch.device | str = "cpu",
        card: Mapping[str, Any] | None = None,
        max_pixels: int = MAX_PIXELS,
        seen_side: int | None = None,
        bfloat16: bool = False,
        consistent: bool = True,
        search: PathSearch | None = None,
        trust: PathTrust | None = None,
    ) -> None:
        """Wrap a network of ``deblur.networks.build``: it is moved to ``device`` and put in evaluation mode.

        Raises:
            TypeError: ``max_pixels`` or ``seen_side`` is no whole number.
            ValueError: ``max_pixels`` is too small for tiles, ``seen_side`` is no size, bfloat16 is asked for
                without CUDA, or a search for paths or trust in them without a guide to tell them.
        """
        max_pixels = operator.index(max_pixels)
        seen_side = None if seen_side is None else operator.index(seen_side)
        self.device = numbered(torch.device(device))
        self._guide = network.guide if isinstance(network, GuidedNetwork) else None
        self.takes_path = self._guide is not None
        self._least_side = _least_side(network)
        if max_pixels < self._least_side**2:
            raise ValueError(f"max_pixels is {max_pixels}; tiles of this network need at least {self._least_side**2}")
        if seen_side is not None and seen_side < 1:
            raise ValueError(f"seen_side is {seen_side}; it is 1 or more pixels, or None")
        if bfloat16 and self.device.type != "cuda":
            raise ValueError(f"bfloat16 is for CUDA devices, not {self.device}")
        if search is not None and self._guide is None:
            raise ValueError(f"{name} has no guide that could be told a path that is found")
        self.search = search
        self.card: dict[str, Any] = dict(card or {})
        self.name = name
        self.sha256: str = self.card.get("sha256", "")
        self.max_pixels = max_pixels
        self.seen_side = seen_side
        self.consistent = consistent
        # Channels last saves oneDNN from reordering every map: much of mstsgm-nano's time on a processor.
        self._network = network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._multiple: int = network.multiple  # type: ignore[assignment]
        self._bfloat16 = bfloat16
        self._precision: Callable[[], AbstractContextManager[object]]
        self._precision = functools.partial(without_autocast, self.device)
        if bfloat16:
            self._precision = functools.partial(torch.autocast, "cuda", torch.bfloat16)
        self._along: AlongPath | None = None
        if isinstance(network, GuidedNetwork):
            self._along = AlongPath(network, self.device, self._precision)
        self.trust = trust

    @classmethod
    @torch.inference_mode(mode=False)  # as ``load_released``: a search follows what it restores
    def load(
        cls,
        name_or_file: str | Path = "default",
        device: str = "auto",
        max_pixels: int | None = None,
        *,
        seen_side: int | None = None,
        bfloat16: bool = False,
        consistent: bool | None = None,
        doubting: bool = True,
    ) -> Deblurrer:
        """A Deblurrer of released weights.

        Args:
            name_or_file: a released name, "default", or a .safetensors file with its card beside it; ``NAME=`` before
                it to call it otherwise; of a guided network with ``+search`` behind it to search for the path of each
                picture (docs/path-search.md).
            device: auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps.
            max_pixels: larger pictures are restored in tiles of at most this many pixels, at the right and lower edge
                a few percent more; None takes the card's ``max_pixels``, or about a million.
            seen_side: longer side, in pixels, of the copy in which the result is used, such as a detector's input
                size; None uses the picture at its own size. A picture longer than twice ``seen_side`` is restored in a
                copy of at most that length, and the change is scaled up and added to the picture: faster. Up to a
                ``seen_side`` of 640, a guided network leaves a picture longer than 640 pixels as it is where no blur
                shows in a copy of 640 pixels.
            bfloat16: compute in bfloat16, for CUDA only: faster, less precise.
            consistent: make what is restored along a path, measured or searched for, consistent with its picture
                (``exposure.consistency``); None takes the card's ``consistent``, or True. It gains a decibel or half of
                one, and detections.
            doubting: believe a path only where the picture bears it out (``path_search.trust``), which takes
                a second restoration, for weights whose restorations that was learnt from, as all released guided ones.
                Without it a path is believed everywhere.

        Raises:
            DeblurError: no such weights, a broken file, no such device, a name that cannot be, a search for a network
                without a guide, or ``+gyro``.
            ValueError: as of the class: ``max_pixels`` too small, ``seen_side`` no size, ``bfloat16`` without CUDA.
        """
        where = resolve_device(device)
        asked = parse_deblurrer(str(name_or_file))
        if asked.told:
            raise DeblurError(
                f"{name_or_file}: {GYROSCOPE} is what results call a network that is told the camera's path: leave it "
                "out, and give the path, if it is known, beside each picture (to a command by --motion)"
            )
        network, card = load_released(asked.weights)
        if asked.searches and not isinstance(network, GuidedNetwork):
            raise DeblurError(f"{name_or_file}: {asked.weights} has no guide that could be told a path that is found")
        if card["network"].get("guide_channels"):
            raise DeblurError(f"{asked.name} needs a guide beside the picture, and its card names none")
        if isinstance(network, KernelEstimator):
            raise DeblurError(f"{asked.name} estimates blur and restores no pictures: give a guided network")
        if max_pixels is None:
            max_pixels = card.get("max_pixels", MAX_PIXELS)
            if type(max_pixels) is not int or max_pixels < _least_side(network) ** 2:
                raise DeblurError(f"the card of {asked.name} asks for tiles of {max_pixels!r} pixels; see max_pixels")
        if consistent is None:
            consistent = card.get("consistent", True)
            if not isinstance(consistent, bool):
                raise DeblurError(f"the card of {asked.name} says consistent: {consistent!r}; it is true or false")
        trust = None
        if doubting and isinstance(network, GuidedNetwork):
            trust = PathTrust.released(card, where)
        search = None
        if asked.searches:
            assert isinstance(network, GuidedNetwork)
            search = PathSearch.load(where, judge=Judge.released(network, card))
        return cls(
            network,
            name=asked.name,
            device=where,
            card=card,
            max_pixels=max_pixels,
            seen_side=seen_side,
            bfloat16=bfloat16,
            consistent=consistent,
            search=search,
            trust=trust,
        )

    def describe(self) -> dict[str, Any]:
        """What results depend on: weights, sizes, precision, and where it has a guide how paths are used and found."""
        said: dict[str, Any] = {
            "name": self.name,
            "sha256": self.sha256,
            "max_pixels": self.max_pixels,
            "seen_side": self.seen_side,
            "bfloat16": self._bfloat16,
        }
        if self.takes_path:
            said["consistent"] = self.consistent
            said["trust"] = self.trust and self.trust.describe()
        if self.search:
            said["search"] = self.search.describe()
        return said

    @property
    def trust(self) -> PathTrust | None:
        """In paths, see the class; what is set holds from the next picture on, and needs a guide."""
        return None if self._along is None else self._along.trust

    @trust.setter
    def trust(self, trust: PathTrust | None) -> None:
        if self._along is not None:
            self._along.trust = trust
        elif trust is not None:
            raise ValueError(f"{self.name} has no guide that could be told a path to believe")

    @property
    def guide_sha256(self) -> str | None:
        """Hash of the weights that see how long a blur is, in half precision; None where the network has no guide.

        Of networks that are released in single and in half precision one guide has one hash.
        """
        return None if self._guide is None else released_sha256(deepcopy(self._guide).half())

    @_as_numbers_are
    def __call__(
        self, pictures: NDArray[np.uint8], path: CameraPath | Sequence[CameraPath | None] | None = None
    ) -> NDArray[np.uint8]:
        """Restore one picture (H, W, 3) or a batch (B, H, W, 3), RGB uint8, any H and W from 1.

        Args:
            pictures: blurred; they are not changed.
            path: the camera's path while the shutter was open (``deblur.exposure.path_files.read_path``), in pixels of
                the picture that is given. A path does not know its picture's size: where the picture was scaled, scale
                the path by the same factor first (``path.scaled``). For a batch, a sequence with a path or None for
                each picture; these are then restored one by one. Without a path, a network that was loaded with
                ``+search`` searches for it, and any other guided network estimates the blur. See ``consistent``.

        Returns:
            An array of the same shape and type, rounded and clamped.

        Raises:
            TypeError: ``pictures`` is no numpy array of uint8, or a path is neither None nor a ``CameraPath``.
            ValueError: another shape, another number of paths than pictures, or a path for a network without a guide.
        """
        check_pictures(pictures, batches=True)
        batch = pictures[None] if pictures.ndim == 3 else pictures
        paths = self._completed(self._checked(path, len(batch)), batch)
        height, width = batch.shape[1:3]
        plans = [self._plan(picture, along) for picture, along in zip(batch, paths, strict=True)]
        apart = any(along is not None for along in paths) or any(plan.side < max(height, width) for plan in plans)
        if apart or height * width > self.max_pixels:
            restored = [_rounded(self._carry_out(*each).picture) for each in zip(plans, batch, paths, strict=True)]
        else:
            at_once = self.max_pixels // (height * width)
            chunks = [slice(i, i + at_once) for i in range(0, len(batch), at_once)]
            restored = [_rounded(picture) for chunk in chunks for picture in self._restore(batch[chunk])]
        return restored[0] if pictures.ndim == 3 else np.stack(restored) if restored else pictures.copy()

    @_as_numbers_are
    def unrounded(self, picture: NDArray[np.uint8], path: CameraPath | None = None) -> NDArray[np.float32]:
        """Restore one picture (H, W, 3), not in tiles, and keep what rounding takes away; for scores on floats.

        Args:
            picture: RGB uint8.
            path: as for a call.

        Returns:
            (H, W, 3) float32, clamped to [0, 255]; rounded, it is what a call returns.

        Raises:
            TypeError: as a call.
            ValueError: the picture has more than ``max_pixels``, tiles come rounded; or as a call.
        """
        check_pictures(picture)
        if picture.shape[0] * picture.shape[1] > self.max_pixels:
            raise ValueError(f"a picture of shape {picture.shape} goes in tiles: max_pixels is {self.max_pixels}")
        return self._outcome(picture, path).picture.astype(np.float32, copy=False)

    @_as_numbers_are
    def restore_along(self, picture: NDArray[np.uint8], path: CameraPath | None = None) -> Outcome:
        """Restore one picture as a call does, and report how far its path was believed and how long its blur is.

        Args:
            picture: RGB uint8 (H, W, 3).
            path: as for a call.

        Returns:
            The restored picture, RGB uint8 (H, W, 3), with ``believed``, of a path that was given or found, and
            ``spread``, which is None where the network has no guide.

        Raises:
            TypeError: as a call.
            ValueError: as a call.
        """
        check_pictures(picture)
        outcome = self._outcome(picture, path)
        return outcome._replace(picture=_rounded(outcome.picture))

    @_as_numbers_are
    def spread(self, picture: NDArray[np.uint8], path: CameraPath | None = None) -> float | None:
        """How long the blur of a picture is, which is not restored: see `deblur.outcome.Outcome`.

        Args:
            picture: RGB uint8 (H, W, 3).
            path: as for a call; none is searched for.

        Returns:
            A share of the longer side; None where the network has no guide that could see it.

        Raises:
            TypeError: as a call.
            ValueError: as a call.
        """
        check_pictures(picture)
        (told,) = self._checked(path, 1)
        return None if self._guide is None else self._look(self._guide, picture, told).spread

    def _outcome(self, picture: NDArray[np.uint8], path: CameraPath | None) -> Outcome:
        """One picture (H, W, 3) restored as a call does it."""
        (told,) = self._checked(path, 1)
        (along,) = self._completed([told], picture[None])
        outcome = self._carry_out(self._plan(picture, along), picture, along)
        # A path that was found may be a wrong one: how long the blur is says what the guide sees.
        return outcome if along is told else outcome._replace(spread=self.spread(picture))

    def _checked(self, path: CameraPath | Sequence[CameraPath | None] | None, count: int) -> list[PathUse | None]:
        """A path for each picture; all of them None where they are not known."""
        if path is None:
            return [None] * count
        paths: list[CameraPath | None] = [*path] if isinstance(path, Sequence) else [path]
        if not self.takes_path and any(each is not None for each in paths):
            raise ValueError(f"{self.name} has no guide and takes no camera path: give a guided network")
        for each in paths:
            if each is not None and not isinstance(each, CameraPath):
                raise TypeError(
                    f"a camera's path is what deblur.exposure.path_files.read_path makes of a file, or Record.path of "
                    f"measured numbers, not {type(each).__name__}"
                )
        if len(paths) != count:
            raise ValueError(f"{len(paths)} camera paths for {count} pictures: give one a picture")
        return [self._told(each) for each in paths]

    def _completed(self, paths: list[PathUse | None], batch: NDArray[np.uint8]) -> list[PathUse | None]:
        """The paths, those that are missing searched for in the pictures that are blurred."""
        search = self.search
        if search is None:
            return paths
        return [
            along or self._told(search(picture, self._without_search))
            for along, picture in zip(paths, batch, strict=True)
        ]

    def _told(self, path: CameraPath | None) -> PathUse | None:
        return None if path is None else PathUse(path, self.consistent, doubted=True)

    def _without_search(self, picture: NDArray[np.uint8], path: CameraPath | None) -> NDArray[np.uint8]:
        """One picture (H, W, 3) restored along a path, or by the guide's estimate."""
        along = (
            None if path is None else PathUse(path, corrected=False, doubted=False)
        )  # for what judges by the network
        return _rounded(self._carry_out(self._plan(picture, along), picture, along).picture)

    def _plan(self, picture: NDArray[np.uint8], path: PathUse | None) -> _Plan:
        longest = max(picture.shape[:2])
        side = wanted_side(longest, self.seen_side)
        if self._guide is None or longest <= LOOK_SIDE:
            return _Plan(side)
        look = self._look(self._guide, picture, path)
        if self.seen_side is not None and self.seen_side <= LOOK_SIDE and not look.exposure.blurred.item():
            return _Plan(0, look)
        return _Plan(fitting_side(side, look.spread * LOOK_SIDE), look)

    def _look(self, guide: ExposureGuide, picture: NDArray[np.uint8], path: PathUse | None) -> _Look:
        copy = scale_down(picture, LOOK_SIDE)
        factor = max(copy.shape[:2]) / max(picture.shape[:2])
        with torch.inference_mode():
            return _Look(copy, _exposure(guide, self._batch(copy[None]), path and path.scaled(factor)))

    def _carry_out(self, plan: _Plan, picture: NDArray[np.uint8], path: PathUse | None) -> Outcome:
        """One picture (H, W, 3) restored as planned."""
        longest = max(picture.shape[:2])
        look = plan.look
        if look is None and self._guide is not None:
            look = self._look(self._guide, picture, path)
        spread = look and look.spread
        if plan.side == 0:
            return Outcome(picture.copy(), spread=spread)
        # What was seen in a copy of the size that is restored need not be seen again.
        seen = look if look is not None and max(look.copy.shape[:2]) == plan.side else None
        exposure = seen and seen.exposure
        if plan.side == longest:
            return self._restore_one(picture, path, exposure)._replace(spread=spread)
        along = path and path.scaled(plan.side / longest)
        smaller = scale_down(picture, plan.side) if seen is None else seen.copy
        restored, believed, _ = self._restore_one(smaller, along, exposure)
        return Outcome(carry_over(picture, smaller, restored), believed, spread)

    def _restore_one(
        self, picture: NDArray[np.uint8], path: PathUse | None, exposure: Exposure | None = None
    ) -> Outcome:
        """One picture (H, W, 3) at its size, whole or in tiles."""
        if picture.shape[0] * picture.shape[1] <= self.max_pixels:
            if path is None:
                return Outcome(self._restore(picture[None], exposure)[0])
            assert self._along is not None
            return self._along(picture, path, exposure)
        in_tiles = functools.partial(
            restore_in_tiles,
            picture,
            max_pixels=self.max_pixels,
            multiple=self._multiple,
            least_side=self._least_side,
        )
        if path is None:
            return Outcome(in_tiles(lambda tile, *_: self._restore(tile[None])[0]))
        assert self._along is not None
        return self._along.in_tiles(in_tiles, path)

    def _batch(self, pictures: NDArray[np.uint8]) -> Tensor:
        """(B, H, W, 3) to (B, 3, H, W) in [0, 1] on the device, in memory channels last as the networks are."""
        # A copy: torch would warn of an array that may not be written.
        return torch.from_numpy(np.array(pictures)).to(self.device).permute(0, 3, 1, 2).float() / 255

    def _restore(self, batch: NDArray[np.uint8], exposure: Exposure | None = None) -> NDArray[np.float32]:
        """(B, H, W, 3) uint8 through the network at once, to the same shape as float32, clamped to [0, 255].

        An exposure is what was seen of the pictures before. What a guide finds to be sharp stays as it is.
        """
        result = batch.astype(np.float32)
        with torch.inference_mode():
            x = self._batch(batch)
            blurred, told = np.ones(len(batch), bool), {}
            if self._guide is not None:
                exposure = exposure or self._guide.estimate(x)
                chosen = exposure.blurred
                blurred = chosen.cpu().numpy()
                if not blurred.all():
                    x, exposure = x[chosen], exposure.only(chosen)
                told = {"exposure": exposure}
            if blurred.any():
                with self._precision():
                    restored: Tensor = self._network(x, finest_only=True, **told).picture.float()
                result[blurred] = (restored * 255).clamp(0, 255).permute(0, 2, 3, 1).cpu().numpy()
        return result


def load_told(name_or_file: str, device: str, seen_side: int | None = None) -> tuple[Deblurrer, bool]:
    """Load ``NAME`` or ``NAME+gyro``, and say whether the camera's path is to be given with each picture.

    Args:
        name_or_file: as for ``Deblurrer.load``, with ``+gyro`` behind it to be given the path of each picture, that of
            synthetic blur or a recorded one.
        device: as for ``Deblurrer.load``.
        seen_side: as for ``Deblurrer.load``.

    Returns:
        The Deblurrer, and whether ``+gyro`` was asked for.

    Raises:
        DeblurError: as ``Deblurrer.load``, or a network without a guide or one that searches is to be told.
    """
    told = parse_deblurrer(name_or_file).told
    deblurrer = Deblurrer.load(name_or_file.removesuffix(GYROSCOPE), device, seen_side=seen_side)
    if told and not deblurrer.takes_path:
        raise DeblurError(f"{name_or_file}: {deblurrer.name} has no guide to be told the camera's path")
    return deblurrer, told


def _exposure(guide: ExposureGuide, x: Tensor, told: PathUse | None) -> Exposure:
    """The kernels of one picture (1, 3, H, W) in [0, 1], by what is seen or by its path."""
    height, width = x.shape[2:]
    return guide.estimate(x) if told is None else exposure_along(told.path, height, width, x.device)


def _rounded(picture: NDArray[Any]) -> NDArray[np.uint8]:
    return picture if picture.dtype == np.uint8 else np.rint(picture).astype(np.uint8)


def _least_side(network: nn.Module) -> int:
    """Of a tile: a guide that sees little of a picture reads its blur differently in each."""
    return GuidedNetwork.LEAST_SIDE if isinstance(network, GuidedNetwork) else MIN_SIDE
