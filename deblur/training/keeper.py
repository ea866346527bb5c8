"""What a run keeps in ``weights/``: the state that it goes on from, and what it releases, the best and the last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from deblur.errors import DeblurError
from deblur.networks import config_from_dict, config_to_dict
from deblur.released import save_released
from deblur.training.checkpoint import another_way, save_checkpoint
from deblur.training.log import card_facts, keep_best
from deblur.training.schedule import Progress
from deblur.training.validation import DISTANCE, PSNR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from deblur.networks import NetworkConfig
    from deblur.training.averaging import AveragedWeights
    from deblur.training.options import TrainingOptions
    from deblur.training.teacher import Teacher

    Scores = dict[str, dict[str, float | None]]


@dataclass
class Keeper:
    """Writes the files of a run's ``weights/`` and reads its training state; one process of several does.

    Attributes:
        folder: of the run.
        options: of training, with the network's name.
        config: of the network.
        network: that is trained, bare.
        average: of its weights, which are what is scored and released.
        optimizer: that trains it.
        teacher: beside the sharp pictures, if there is one.
        validated_on: hash of what is validated on.
        note: is told what a user may not expect.
        progress: of the run; whoever makes the steps counts them here.
        sittings: by what it was trained so far.
    """

    folder: Path
    options: TrainingOptions
    config: NetworkConfig
    network: nn.Module
    average: AveragedWeights
    optimizer: torch.optim.Optimizer
    teacher: Teacher | None
    validated_on: str
    note: Callable[[str], object]
    progress: Progress = field(default_factory=Progress)
    sittings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def chosen_by(self) -> str:
        """The score that the best weights are chosen by.

        Where a detector teaches it is the distance that the run is asked to make small, which PSNR does not show.
        """
        return DISTANCE if self.teacher is not None and self.teacher.weight else PSNR

    @property
    def _comparable(self) -> str:
        """What two bests must share to be compared: the score, and whose distance it is."""
        if self.teacher is None or self.chosen_by == PSNR:
            return self.chosen_by
        return f"{self.chosen_by} {self.teacher.identity}"

    def restore(self, state: dict[str, Any]) -> bool:
        """Go on from a training state; returns whether the best score in it, if any, counts from here on.

        Raises:
            DeblurError: it is of another network or seed, or holds weights that do not fit the network it names.
        """
        if config_from_dict(state["config"]) != self.config or state["seed"] != self.options.seed:
            raise DeblurError(
                f"{self.folder} was trained with another network or seed; give the same --network, --set and --seed, "
                "or begin another run, without --resume"
            )
        self._load(state)
        alike = state["validated_on"] == self.validated_on
        if not alike:
            self.note(
                f"{self.folder} is validated on other pictures or blurs than before step {state['step']}: the scores "
                "do not compare, and it may have been trained on what is set aside now"
            )
        counts = alike and state["best_by"] == self._comparable
        self.progress = Progress(state["step"], state["seconds"], state["best"] if counts else None)
        return counts or state["best"] is None

    def _load(self, state: dict[str, Any]) -> None:
        # The options that it was made with now hold, not those of the sitting before.
        groups = self.optimizer.param_groups
        given = [{key: value for key, value in group.items() if key != "params"} for group in groups]
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random"])
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            file = self.folder / "weights" / "state.pt"
            reason = " ".join(str(error).split())[:200]
            raise DeblurError(f"{file} does not fit the network that it names: {reason}{another_way(file)}") from error
        for group, kept in zip(self.optimizer.param_groups, given, strict=True):
            group.update(kept)

    def keep_former_best(self) -> None:
        """Copy the best weights so far, whose score does not count from here on, before others take their name."""
        name = f"best-before-step-{self.progress.step}"
        if keep_best(self.folder, name):
            self.note(
                f"{self.folder}: the best score so far was measured otherwise and does not count; its weights are kept "
                f"as weights/{name}.safetensors"
            )

    def keep(self, scores: Scores) -> None:
        """Release the averaged weights as the last, and as the best where no scores before were better."""
        key = self.chosen_by
        found = [value for score in scores.values() if (value := score[key]) is not None]
        mean = sum(found) / len(found) if found else None
        before = self.progress.best
        better = mean is not None and (before is None or (mean < before if key == DISTANCE else mean > before))
        if better or not found:
            self.progress.best = mean
            self._release("best", scores)
        self._release("last", scores)

    def keep_unscored(self, began: int, *, best: bool) -> None:
        """Release the last weights of a run that is stopped, unless those of the sitting before are of the same step.

        Args:
            began: the step that this sitting began with.
            best: release them as the best ones too, where nothing is validated on.
        """
        there = (self.folder / "weights" / "last.safetensors").is_file()
        if self.progress.step > began or not there:
            for name in ("best", "last") if best else ("last",):
                self._release(name, {})

    def _release(self, name: str, scores: Scores) -> None:
        """Write the averaged weights as ``weights/NAME`` with their card."""
        device = next(self.average.module.parameters()).device
        facts = card_facts(self.options, self.progress, self.sittings, scores, device)
        save_released(self.folder / "weights", name, self.average.module, self.config, facts)

    def save(self) -> None:
        """Write the training state."""
        save_checkpoint(
            self.folder / "weights" / "state.pt",
            {
                "network": self.network.state_dict(),
                "ema": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "config": config_to_dict(self.config),
                "seed": self.options.seed,
                "step": self.progress.step,
                "seconds": self.progress.seconds,
                "best": self.progress.best,
                "best_by": self._comparable,
                "validated_on": self.validated_on,
                "sittings": self.sittings,
                "random": torch.get_rng_state(),
            },
        )
