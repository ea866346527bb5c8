"""The last steps and the last word: what paths make of a picture with the network that restores it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deblur.devices import to_batch
from deblur.naming import SUFFIX
from deblur.path_search.critic import RELEASED, Critic
from deblur.path_search.descent import Trial, follow, follow_by_parts, try_all
from deblur.path_search.evidence import Look
from deblur.released import learnt_from, released_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from deblur.networks.guided import GuidedNetwork
    from deblur.path_search.descent import Stage

WINDOWS = 4
"""Parts of the picture that paths are compared by."""
MARGIN = 16
"""Pixels around a part that are restored with it, for judges that learn from now on."""
LED_BY = 2
"""Parts that see each step on the way down."""
_AT_LAST = 9  # of a picture of 640x480 nearly all, three fifths with margins: four can look better than the others are
_DOUBT = 0.045  # a path is told where it seems to leave so much less error, as a natural logarithm (.4 dB)


class Judge:
    """Chooses among paths, leads on from the best, and doubts them all where none seems better than no path."""

    def __init__(self, network: GuidedNetwork, critic: Critic, doubt: float = _DOUBT, margin: int = 0) -> None:
        """Judge by one network's restorations.

        Args:
            network: that the path will be told, on its device.
            critic: of its restorations.
            doubt: natural logarithm of how much less error a path must promise than no path.
            margin: of the windows that the critic has learnt from; see ``Look``.
        """
        self._network = network.eval().requires_grad_(requires_grad=False)
        self._critic = critic.eval().requires_grad_(requires_grad=False)
        self._doubt, self._margin = doubt, margin

    @classmethod
    def released(cls, network: GuidedNetwork, card: Mapping[str, Any]) -> Judge | None:
        """The judge of a released network's restorations; None where there is none for these weights.

        Args:
            network: as it was loaded.
            card: its own.

        Raises:
            DeblurError: a file cannot be read.
        """
        found = learnt_from(judge_file("*"), card)
        if found is None:
            return None
        file, record = found
        return cls(network, Critic.load(file), margin=record.get("margin", 0))

    def look(self, picture: NDArray[np.uint8], device: torch.device, windows: int = _AT_LAST) -> Look:
        """A blurred picture (H, W, 3), RGB uint8, as it is judged; ``LED_BY`` windows do only to lead there."""
        self._critic.to(device)
        with torch.no_grad():
            return Look(self._network, to_batch(picture, device), windows, self._margin)

    def try_all(self, look: Look, paths: Tensor) -> list[Trial]:
        """Trials of paths (N, 8, 3), in the pixels of the picture that is looked at, the best one first."""
        return try_all(self._critic, look.part(slice(WINDOWS)), paths)

    def follow(self, look: Look, paths: Sequence[Tensor], stage: Stage) -> list[Tensor]:
        """Where the first of some paths lead in few steps, by the strongest parts of the picture that is looked at."""
        led = follow(self._critic, look.part(slice(LED_BY)), paths, (stage,))
        return [trial.waves for trial in led]

    def follow_all_over(self, look: Look, paths: Sequence[Tensor], stage: Stage) -> list[Tensor]:
        """Where the first of some paths lead in more steps, all parts of that picture by turns.

        Each step is seen by ``LED_BY``; of an odd number the last part, whose gradients are the weakest, sees none.
        """
        firsts = range(0, max(1, look.windows - LED_BY + 1), LED_BY)
        parts = [look.part(slice(first, first + LED_BY)) for first in firsts]
        return follow_by_parts(self._critic, parts, paths, stage)

    def choose(self, look: Look, paths: Sequence[Tensor]) -> Tensor | None:
        """The last word: the best of some paths in all parts that were looked at.

        Returns:
            None where none leaves clearly less error than what the network restores by itself.
        """
        best = try_all(self._critic, look, torch.stack(list(paths)))[0]
        with torch.no_grad():
            asked = float(self._critic(look.by_itself)) - self._doubt
        return best.waves if best.energy < asked else None

    def describe(self) -> str:
        """Hash of what it judges by."""
        return released_sha256(self._critic)


def judge_file(name: str) -> Path:
    """Where the critic of a released network's restorations lies."""
    return RELEASED.with_name(f"critic-of-{name}{SUFFIX}")
