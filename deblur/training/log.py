"""What training leaves to read: results.csv, curves, sample pictures, and what the cards of its weights say."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deblur.devices import to_batch
from deblur.errors import DeblurError
from deblur.networks.cost import count_macs
from deblur.networks.guided import GuidedNetwork
from deblur.own_files import open_to_append
from deblur.pictures import write_picture
from deblur.runs import describe_environment, write_atomically
from deblur.training.sittings import on_card
from deblur.training.validation import evaluating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn
    from torch.distributed import ProcessGroup

    from deblur.training.options import TrainingOptions
    from deblur.training.schedule import Progress
    from deblur.training.validation import ValidationSet

COLUMNS = ("step", "minutes", "kind", "name", "value")
_LONGEST_NAME = 120  # bytes of a set's name in those of files, which 255 are the most for


class TrainingLog:
    """``results.csv``, one value a row: step, minutes, kind (train or validation), name, value.

    Rows beyond the step that training resumes from are dropped first: those steps will be made again. So is a last row
    that was cut off.

    Args:
        folder: of the run.
        step: that training resumes from.
        tensorboard: whether to write its curves too.
        enabled: whether this process writes; all of them count, and call ``write`` at the same steps.
        words: where there are several processes, how they pass words to each other.

    Raises:
        DeblurError: the file that is there is damaged otherwise.
    """

    def __init__(
        self, folder: Path, step: int, tensorboard: bool, enabled: bool, words: ProcessGroup | None = None
    ) -> None:
        self.file = folder / "results.csv"
        self.enabled = enabled
        self._words = words
        self._sums: dict[str, Tensor] = {}
        self._seconds = self._waited = 0.0
        self._steps = 0
        self._crops: Counter[int] = Counter()
        self._flops: dict[int, int] = {}
        self._board = None
        if not enabled:
            return
        rows = [row for row in self._whole_rows() if int(row["step"]) <= step]
        self._written = {(row["step"], row["kind"]) for row in rows}
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.file, text.getvalue().encode("utf-8"))
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def count(self, terms: dict[str, Tensor], seconds: float, waited: float, pictures: int, crop: int) -> None:
        """Add one step to the means that ``write`` writes."""
        for name, term in terms.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(term)) + term
        self._steps += 1
        self._seconds += seconds
        self._waited += waited
        self._crops[crop] += pictures

    def write(self, step: int, minutes: float, rate: float, network: nn.Module) -> None:
        """Write the means since the last call: loss terms, pictures a second, share of time spent on data, FLOP/s.

        Loss terms are those of all processes, the times those of the one that writes. ``network`` is the bare one:
        wrapped for several processes, it would wait for the others.
        """
        values = self._mean_terms()
        if self.enabled:
            values["loss"] = sum(values.values())
            flops = sum(pictures * self._flops_of(network, crop) for crop, pictures in self._crops.items())
            values |= {
                "learning_rate": rate,
                "pictures_per_second": self._crops.total() / self._seconds,
                "data_share": self._waited / self._seconds,
                "flop_per_second": flops / self._seconds,
            }
            self._append(step, minutes, "train", values)
        self._sums.clear()
        self._crops.clear()
        self._seconds = self._waited = 0.0
        self._steps = 0

    def validated(self, step: int, minutes: float, scores: dict[str, dict[str, float | None]]) -> None:
        """Write the scores of every validation set."""
        values = {f"{name} {key}": value for name, score in scores.items() for key, value in score.items()}
        self._append(step, minutes, "validation", {key: value for key, value in values.items() if value is not None})

    def close(self) -> None:
        """Finish the curves."""
        if self._board is not None:
            self._board.close()

    def _mean_terms(self) -> dict[str, float]:
        """The mean of each loss term over the steps of all processes, which have equal shares of each batch."""
        means = torch.tensor([float(total) for total in self._sums.values()], dtype=torch.float64) / self._steps
        if self._words is not None:
            torch.distributed.all_reduce(means, group=self._words)
            means /= torch.distributed.get_world_size(self._words)
        return dict(zip(self._sums, means.tolist(), strict=True))

    def _whole_rows(self) -> list[dict[str, str]]:
        if not self.file.is_file():
            return []
        content = self.file.read_bytes()
        try:
            text = content[: content.rfind(b"\n") + 1].decode("utf-8")
            reader = csv.reader(io.StringIO(text, newline=""))
            header, *lines = [line for line in reader if line] or [list(COLUMNS)]
        except (UnicodeDecodeError, csv.Error):
            header, lines = [], []
        if tuple(header) != COLUMNS or not all(len(line) == len(COLUMNS) and line[0].isdecimal() for line in lines):
            raise DeblurError(f"{self.file} is damaged: move it away, and the run goes on with a log that begins anew")
        return [dict(zip(COLUMNS, line, strict=True)) for line in lines]

    def _append(self, step: int, minutes: float, kind: str, values: dict[str, float]) -> None:
        if (str(step), kind) in self._written:
            return  # a run that was over already is validated again when it is resumed
        with open_to_append(self.file) as stream:
            writer = csv.writer(stream)
            writer.writerows((step, f"{minutes:.2f}", kind, name, f"{value:.6g}") for name, value in values.items())
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def _flops_of(self, network: nn.Module, crop: int) -> int:
        if crop not in self._flops:
            device = next(network.parameters()).device
            picture = torch.zeros(1, 3, crop, crop, device=device)
            # A backward pass costs about twice the forward pass. The guide is frozen: it only goes forward.
            with evaluating(network):
                macs = 3 * count_macs(lambda: network(picture))
                if isinstance(network, GuidedNetwork):
                    macs -= 2 * count_macs(lambda: network.guide(picture))
            self._flops[crop] = 2 * macs
        return self._flops[crop]


def save_samples(
    folder: Path, step: int, network: nn.Module, sets: Sequence[ValidationSet], device: torch.device, count: int
) -> None:
    """Write blurred | restored | sharp of the first pictures of every validation set to ``samples/``."""
    network.eval()
    for name, one in zip(_names_of_files(sets), sets, strict=True):
        for index, (blurred, sharp) in enumerate(one.pairs[:count]):
            with torch.inference_mode():
                told = one.knowledge(index, device)
                restored = network(to_batch(blurred, device), finest_only=True, **told).picture[0].float().clamp(0, 1)
            picture = (restored.cpu().permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
            file = folder / "samples" / f"{name}-{index}-step{step:07d}.jpg"
            write_picture(file, np.concatenate([blurred, picture, sharp], axis=1))


def card_facts(
    options: TrainingOptions,
    progress: Progress,
    sittings: Sequence[Mapping[str, Any]],
    scores: dict[str, dict[str, float | None]],
    device: torch.device,
) -> dict[str, Any]:
    """What training says on the card of its weights; the sittings where they were not all by one recipe."""
    environment = describe_environment(str(device), options.seed)
    facts: dict[str, Any] = {
        "trained_with": {key: value for key, value in vars(options).items() if _is_plain(value)},
        "steps": progress.step,
        "minutes": round(progress.seconds / 60, 1),
        "scores": {"validation": scores},
        "commit": environment["commit"],
        "device": environment["device_name"],
        "date": environment["time"][:10],
    }
    return facts | ({"sittings": on_card(sittings)} if len(sittings) > 1 else {})


def keep_best(folder: Path, name: str) -> bool:
    """Copy ``weights/best`` with its card to ``weights/NAME``, unless that is there; return whether it now is."""
    weights = folder / "weights"
    if not (weights / "best.safetensors").is_file():
        return False
    for suffix in (".json", ".safetensors"):
        best, kept = weights / f"best{suffix}", weights / f"{name}{suffix}"
        if best.is_file() and not kept.is_file():
            write_atomically(kept, best.read_bytes())
    return True


def _names_of_files(sets: Sequence[ValidationSet]) -> list[str]:
    """A name for the files of each set: letters and digits of its own, and a hash where these are too many or alike."""
    plain = ["".join(letter if letter.isalnum() else "-" for letter in one.name).strip("-") for one in sets]
    names = []
    for name, one in zip(plain, sets, strict=True):
        # A path's end says more than its beginning; what cutting leaves of a letter's bytes is dropped.
        end = name.encode()[-_LONGEST_NAME:].decode(errors="ignore")
        told_apart = end == name and plain.count(name) == 1
        names.append(end if told_apart else f"{end}-{hashlib.sha256(one.name.encode()).hexdigest()[:8]}")
    return names


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float, bool, list, type(None)))
