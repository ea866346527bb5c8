"""Stopping a run whose loss or weights are no longer finite, before a bad state is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from deblur.errors import DeblurError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

_ADVICE = "with a smaller --learning-rate, --clip 0.1 or --precision no"


class FiniteGuard:
    """Remembers the losses of the latest steps on their device, so that a GPU is not waited for at every step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps: list[tuple[int, dict[str, Tensor], Sequence[Path]]] = []

    def add(self, step: int, terms: dict[str, Tensor], files: Sequence[Path]) -> None:
        """Note a step's loss terms and the files of its batch."""
        self._steps.append((step, terms, files))

    def check(self) -> None:
        """Look at the steps since the last call.

        Raises:
            DeblurError: a term is not finite; names the first such step, its files and what to try.
        """
        steps, self._steps = self._steps, []
        if not steps:
            return
        finite = torch.isfinite(torch.stack([term for _, terms, _ in steps for term in terms.values()])).tolist()
        for step, terms, files in steps:
            mine, finite = finite[: len(terms)], finite[len(terms) :]
            broken = [name for name, good in zip(terms, mine, strict=True) if not good]
            if broken:
                raise DeblurError(
                    f"the {' and '.join(broken)} loss is no longer finite at step {step}, batch "
                    f"{', '.join(map(str, files))}; {self._way_on()}"
                )

    def check_weights(self, network: nn.Module, step: int) -> None:
        """Look at every weight before it is saved: a gradient can break where the loss did not, or in another process.

        Raises:
            DeblurError: a weight is not finite.
        """
        sums = [value.detach().abs().max() for value in network.state_dict().values() if value.is_floating_point()]
        if not torch.isfinite(torch.stack(sums)).all():
            raise DeblurError(f"weights are no longer finite at step {step}; {self._way_on()}")

    def _way_on(self) -> str:
        if (self._folder / "weights" / "state.pt").is_file():
            return f"the last checkpoint in {self._folder} is good: resume it {_ADVICE}"
        return f"nothing was saved in {self._folder} yet: begin again {_ADVICE}"
