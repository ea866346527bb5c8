"""How a trial is judged: small networks, which `experiments.path_critic` trains, weigh its numbers and look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deblur.path_search.evidence import NAMES
from deblur.path_search.squares import STATISTICS
from deblur.released import load_learnt

if TYPE_CHECKING:
    from deblur.path_search.evidence import Judged

RELEASED = Path(__file__).resolve().parent / "critic.safetensors"
MEMBERS = 4
_WIDTH = 48
_DROPOUT = 0.1
_CHANNELS = 48
_DILATIONS = (1, 2)
_TYPICAL = -6.0
_SEEING = 0.4  # what the pictures weigh beside the numbers


class Weigher(nn.Module):
    """The numbers of a trial to its error: the mean of networks, each of which is wrong about other paths."""

    center: Tensor
    scale: Tensor

    def __init__(self) -> None:
        """Networks that know nothing yet, for numbers as they are."""
        super().__init__()
        self.register_buffer("center", torch.zeros(len(NAMES)))
        self.register_buffer("scale", torch.ones(len(NAMES)))
        self.members = nn.ModuleList(
            nn.Sequential(
                nn.Linear(len(NAMES), _WIDTH),
                nn.GELU(),
                nn.Dropout(_DROPOUT),
                nn.Linear(_WIDTH, _WIDTH),
                nn.GELU(),
                nn.Linear(_WIDTH, 1),
            )
            for _ in range(MEMBERS)
        )

    def forward(self, evidence: Tensor) -> Tensor:
        """Evidence (..., len(NAMES)) to the natural logarithm of the root mean square error (...)."""
        seen = (evidence - self.center) / self.scale
        return torch.stack([member(seen).squeeze(-1) for member in self.members]).mean(0)


class ErrorMap(nn.Module):
    """The pictures of a trial to where its restoration is wrong, and by how much.

    It looks at statistics of small squares, beside those of what the network restores by itself, and at the squares
    around: what is wrong with a place is mostly seen there, so a few hundred pictures have millions of examples.
    """

    center: Tensor
    scale: Tensor

    def __init__(self) -> None:
        """A network that knows nothing yet, for statistics as they are."""
        super().__init__()
        self.register_buffer("center", torch.zeros(2 * STATISTICS))
        self.register_buffer("scale", torch.ones(2 * STATISTICS))
        layers: list[nn.Module] = [nn.Conv2d(2 * STATISTICS, _CHANNELS, 1), nn.GELU()]
        for dilation in _DILATIONS:
            layers += [nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=dilation, dilation=dilation), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(_CHANNELS, 1, 1))

    def forward(self, squares: Tensor) -> Tensor:
        """Squares (B, 2 STATISTICS, h, w), see ``Judged``, to natural logarithms of mean square errors (B, h, w)."""
        seen = (squares - self.center.view(-1, 1, 1)) / self.scale.view(-1, 1, 1)
        logarithms: Tensor = self.layers(seen)
        return logarithms.squeeze(1) + _TYPICAL

    @staticmethod
    def total(logarithms: Tensor) -> Tensor:
        """(...) natural logarithm of the root mean square error, of maps (..., h, w)."""
        return (logarithms.logsumexp((-2, -1)) - torch.tensor(logarithms.shape[-2:]).prod().log()) / 2


class Critic(nn.Module):
    """What speaks against a path: the expected natural logarithm of the error of what is restored along it."""

    def __init__(self) -> None:
        """A critic that knows nothing yet."""
        super().__init__()
        self.weigher = Weigher()
        self.sees = ErrorMap()

    @classmethod
    def load(cls, file: Path = RELEASED) -> Critic:
        """Read what the command wrote.

        Raises:
            DeblurError: the file cannot be read, or is for other evidence.
        """
        return load_learnt(cls, file, "experiments.path_critic").eval()

    def forward(self, judged: Judged) -> Tensor:
        """Trials of N paths to energies (N,), the lower the better: the mean over their windows."""
        return self.of_windows(judged).mean(1)

    def of_windows(self, judged: Judged) -> Tensor:
        """Trials of N paths in W windows to energies (N, W)."""
        seen = ErrorMap.total(self.sees(judged.squares.flatten(0, 1))).view(judged.evidence.shape[:2])
        return _SEEING * seen + (1 - _SEEING) * self.weigher(judged.evidence)
