"""Blind deblurring by trial: guess paths from the estimator's kernels, restore along them, follow what looks better.

A guided network restores a picture well along the right path, and the picture shows whether the path was right. So a
search over paths (two dozen numbers) does what no estimator that was tried could: it finds the phases of the kernel,
which spectra do not hold. Hundreds of trials go through the network, and half of them through its gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deblur.devices import numbered, to_batch, without_autocast
from deblur.networks.guided import GuidedNetwork
from deblur.path_search.critic import Critic
from deblur.path_search.descent import Stage, Trial, follow, try_all
from deblur.path_search.evidence import WINDOW, Look
from deblur.path_search.explaining import explain
from deblur.path_search.judging import LED_BY, Judge
from deblur.path_search.starts import random_starts
from deblur.pictures import check_pictures, scale_down, scaled_size
from deblur.released import load_released, released_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from deblur.blur import Motion
    from deblur.exposure.kernels import Exposure
    from deblur.path_search.descent import Watch
    from deblur.path_search.explaining import Restore

MIDDLE, LARGEST = 400, 640
"""Longer sides, in pixels, of the copies that paths are followed in after the first."""
_WIDTH = 1.4  # pixels, of the kernels in the copy that a search begins in: a blur that is less cannot be judged
WINDOWS = (1, 2, 3)
"""Parts of the picture that the critic looks at in the first copy, the middle one and the largest."""
LEAST_SIDE = 48
"""Shorter side, in pixels, of a copy of ``WINDOW`` that is searched: of one less large there is too little to judge."""
_LENGTHS = (1.0, 1.1, 1.2)  # of starts that explain a restoration: it is still a little blurred, so they are too short
_CHOSEN_FROM = 2  # paths that the judge chooses from with all that it looks at
_DOUBT = 0.1  # of a critic that has led the search and has the last word too: it likes what it has led to


class Effort(NamedTuple):
    """What a search may cost.

    Attributes:
        starts: in the first copy, each tried both ways round.
        first: stages there, one at least.
        middle: stages in the middle copy, where it is larger than the first; none leaves it out.
        largest: stages in the largest, likewise.
        judged_middle: a stage in the middle copy that a judge leads, by the restorations of the network that restores
            the picture. Without a judge it is not made; None leaves it out.
        judged_largest: the same in the largest copy.
    """

    starts: int
    first: tuple[Stage, ...]
    middle: tuple[Stage, ...]
    largest: tuple[Stage, ...]
    judged_middle: Stage | None = None
    judged_largest: Stage | None = None


USUAL = Effort(
    40,
    first=(Stage(8, 4, 0.2), Stage(4, 5, 0.17), Stage(3, 6, 0.12)),
    middle=(Stage(3, 5, 0.12),),
    largest=(Stage(1, 8, 0.1),),
    judged_middle=Stage(5, 5, 0.12),
    judged_largest=Stage(1, 16, 0.15),
)
"""What `PathSearch` spends by default."""


class PathSearch:
    """Finds the camera's path in a blurred picture.

    >>> search = PathSearch.load()
    >>> path = search(blurred)  # (H, W, 3) uint8 RGB; about half a minute of one processor core
    >>> sharp = Deblurrer.load("mstsgm-guided-large")(blurred, path)

    It takes the picture to be blurred by one rigid motion of the camera in its plane. Objects that move by themselves,
    a camera that moves ahead and rolling shutters have no such path.
    """

    def __init__(
        self,
        network: GuidedNetwork,
        critic: Critic,
        device: torch.device | str = "cpu",
        effort: Effort = USUAL,
        judge: Judge | None = None,
    ) -> None:
        """Search with a network that restores; the smaller the faster.

        Args:
            network: moved to ``device`` and frozen.
            critic: of this network's restorations.
            device: where it runs.
            effort: how long it looks.
            judge: leads at the end and has the last word; None leaves the last word to the critic.

        Raises:
            ValueError: the effort has no stage in the first copy.
        """
        self._device = numbered(torch.device(device))  # of the thread that calls, another GPU may be current
        self._network = network.eval().requires_grad_(requires_grad=False)
        self._network = self._network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._critic = critic.eval().requires_grad_(requires_grad=False).to(self._device)
        if not effort.first:
            raise ValueError("a search needs a stage in the first copy")
        if judge is None:
            effort = effort._replace(judged_middle=None, judged_largest=None)  # the critic has led already
            judge = Judge(self._network, self._critic, _DOUBT)
        self._effort, self._judge = effort, judge

    @classmethod
    @torch.inference_mode(mode=False)  # it follows networks downhill, wherever it was loaded
    def load(
        cls,
        device: torch.device | str = "cpu",
        critic: Critic | None = None,
        effort: Effort = USUAL,
        judge: Judge | None = None,
    ) -> PathSearch:
        """The search with the released default network.

        Args:
            device: where it runs.
            critic: of its restorations; by default the one that was learnt for it.
            effort: how long it looks.
            judge: leads at the end and has the last word, of the network that restores; by default that of the default
                network, or where a critic is given nobody.

        Raises:
            DeblurError: a file cannot be read.
        """
        network, card = load_released("default")
        assert isinstance(network, GuidedNetwork)
        if critic is None and judge is None:
            judge = Judge.released(network, card)
        return cls(network, critic or Critic.load(), device, effort, judge)

    def __call__(self, picture: NDArray[np.uint8], restore: Restore | None = None) -> Motion | None:
        """The path of a blurred picture, in its own pixels; which way it was gone stays open.

        Args:
            picture: (H, W, 3), RGB uint8.
            restore: called with such a picture and a path, or None for no path; returns the restored picture, of the
                same shape and type. The search also begins at paths that explain its results: the better they are, the
                better these paths. None leaves those starts out.

        Returns:
            The path. None is for a picture in which no blur shows, for one that no path seems to restore clearly better
            than the network's own estimate, and for one that shows too little: see ``LEAST_SIDE``.

        Raises:
            TypeError: no numpy array of uint8.
            ValueError: another shape.
        """
        check_pictures(picture)
        height, width = picture.shape[:2]
        if min(scaled_size(width, height, WINDOW)) < LEAST_SIDE:
            return None
        # Whatever the caller has set: paths are followed by gradients, and by parts of a pixel.
        with torch.inference_mode(mode=False), without_autocast(self._device):
            return self._find(picture, restore)

    def _find(self, picture: NDArray[np.uint8], restore: Restore | None) -> Motion | None:
        copy = scale_down(picture, LARGEST)
        if not self._estimate(copy, LARGEST).blurred.item():
            return None
        longest = max(copy.shape[:2])
        paths, seen_in = self._seen_by_critic(picture, copy, restore)
        held = _Held(self._judge, self._judge.look(copy, self._device), paths)
        effort, judge = self._effort, self._judge
        if effort.largest and seen_in < longest:
            look = self.look(copy, LARGEST, WINDOWS[2])
            held.add(look, [trial.waves for trial in self.follow(look, held.paths(look), effort.largest)])
        if effort.judged_middle is not None:
            look = held.looked if longest <= MIDDLE else judge.look(scale_down(copy, MIDDLE), self._device, LED_BY)
            held.add(look, judge.follow(look, held.paths(look), effort.judged_middle))
        if effort.judged_largest is not None:
            look = held.looked
            held.add(look, judge.follow_all_over(look, held.paths(look), effort.judged_largest))
        path = judge.choose(held.looked, held.paths(held.looked)[:_CHOSEN_FROM])
        return path if path is None else held.looked.frame.motion(path).scaled(max(picture.shape[:2]) / longest)

    def _seen_by_critic(
        self, picture: NDArray[np.uint8], copy: NDArray[np.uint8], restore: Restore | None
    ) -> tuple[Tensor, int]:
        """What is found in the copies that are less large, and what explains restorations.

        Returns:
            Paths (N, 8, 3) in the pixels of the largest copy, and the longer side of the last copy that was looked at.
        """
        longest = max(copy.shape[:2])
        look = self.first_look(picture)
        starts = random_starts(look, self._effort.starts)
        explained = starts[:0]
        if restore is not None:
            larger = longest / look.frame.longest
            explained = explain(copy, restore, starts * larger)
            starts = torch.cat([starts, *(explained * length / larger for length in _LENGTHS)])
        found = self.begin(look, starts)
        first = look.frame.longest
        if self._effort.middle and first < min(MIDDLE, longest):
            look = self.look(picture, MIDDLE, WINDOWS[1])
            larger = look.frame.longest / first
            found = self.follow(look, [trial.waves * larger for trial in found], self._effort.middle)
        seen_in = look.frame.longest
        return torch.cat([torch.stack([trial.waves for trial in found]) * (longest / seen_in), explained]), seen_in

    def describe(self) -> dict[str, str]:
        """What the paths that are found depend on beside the picture and the code: hashes of the weights."""
        return {
            "network": released_sha256(self._network),
            "critic": released_sha256(self._critic),
            "judge": self._judge.describe(),
        }

    def look(self, picture: NDArray[np.uint8], side: int, windows: int = 1) -> Look:
        """Look at a copy of a picture, or at the picture itself where it is no larger than the copy would be.

        Args:
            picture: (H, W, 3), RGB uint8.
            side: longer side of the copy, in pixels.
            windows: as for ``Look``.
        """
        with without_autocast(self._device):
            return Look(self._network, to_batch(scale_down(picture, side), self._device), windows)

    def first_look(self, picture: NDArray[np.uint8]) -> Look:
        """Look at the copy that a search begins in, the smallest that shows the picture's blur.

        Args:
            picture: (H, W, 3), RGB uint8.
        """
        middle = min(MIDDLE, max(picture.shape[:2]))
        width = self._estimate(picture, MIDDLE).spread.item()
        return self.look(picture, max(WINDOW, round(middle * min(1, _WIDTH / max(width, 1e-3)))), WINDOWS[0])

    def _estimate(self, picture: NDArray[np.uint8], side: int) -> Exposure:
        """What the guide sees of a copy with ``side`` pixels along its longer side."""
        with torch.no_grad(), without_autocast(self._device):
            return self._network.guide.estimate(to_batch(scale_down(picture, side), self._device))

    def begin(self, look: Look, starts: Tensor, watch: Watch | None = None) -> list[Trial]:
        """The best paths of the first copy, the best one first; on a processor the same ones for the same picture.

        Args:
            look: at that copy.
            starts: (N, 8, 3) paths to begin with.
            watch: told what came of every trial and whether it lies on a way down, for training the critic.
        """
        with without_autocast(self._device):
            tried = try_all(self._critic, look, starts, watch)
        return self.follow(look, [trial.waves for trial in tried], self._effort.first, watch)

    def follow(
        self, look: Look, paths: Sequence[Tensor], stages: Sequence[Stage], watch: Watch | None = None
    ) -> list[Trial]:
        """Where the first of some paths lead; see ``descent.follow``."""
        with without_autocast(self._device):
            return follow(self._critic, look, paths, stages, watch)


class _Held:
    """Paths that a search has come to, and what its judge says of them.

    Attributes:
        looked: at the copy that is judged.
    """

    def __init__(self, judge: Judge, looked: Look, paths: Tensor) -> None:
        """Judge paths (N, 8, 3)."""
        self._judge = judge
        self.looked = looked
        self._trials: list[Trial] = []
        self.add(looked, list(paths))

    def paths(self, look: Look) -> list[Tensor]:
        """All of them (8, 3), in a copy's pixels, the best one first."""
        larger = self.looked.frame.longest / look.frame.longest
        return [trial.waves / larger for trial in self._trials]

    def add(self, look: Look, paths: Sequence[Tensor]) -> None:
        """Judge paths (8, 3) in a copy's pixels, and keep them too."""
        waves = torch.stack(list(paths)) * (self.looked.frame.longest / look.frame.longest)
        tried = self._judge.try_all(self.looked, waves)
        self._trials = sorted([*tried, *self._trials], key=lambda trial: trial.energy)
