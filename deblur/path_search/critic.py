"""How a trial is judged: small networks, which `experiments.path_critic` trains, weigh its numbers and look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.errors import DeblurError
from deblur.path_search.evidence import NAMES, SHOWN

if TYPE_CHECKING:
    from deblur.path_search.evidence import Judged

RELEASED = Path(__file__).resolve().parent / "critic.safetensors"
MEMBERS = 4
CELL = 8
"""Side, in pixels, of the squares that the error is told for."""
_WIDTH = 48
_DROPOUT = 0.1
_CHANNELS = (24, 40, 64)
_DILATIONS = (1, 2, 4, 1)
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


class _Look(nn.Module):
    """A residual block that looks about in steps of ``dilation`` pixels."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.gelu(self.first(x)))


class ErrorMap(nn.Module):
    """The pictures of a trial to where its restoration is wrong, and by how much."""

    def __init__(self) -> None:
        """A network that knows nothing yet."""
        super().__init__()
        layers: list[nn.Module] = []
        for before, channels in zip((SHOWN, *_CHANNELS), _CHANNELS, strict=False):
            layers += [nn.Conv2d(before, channels, 4, 2, 1), nn.GELU(), _Look(channels, 1)]
        layers += [_Look(_CHANNELS[-1], dilation) for dilation in _DILATIONS]
        self.layers = nn.Sequential(*layers, nn.GELU(), nn.Conv2d(_CHANNELS[-1], 1, 1))

    def forward(self, shown: Tensor) -> Tensor:
        """Pictures (B, SHOWN, H, W) in [0, 1] to natural logarithms of mean square errors (B, H / 8, W / 8)."""
        height, width = (side // CELL * CELL for side in shown.shape[-2:])
        logarithms: Tensor = self.layers((shown[..., :height, :width].clamp(-0.5, 1.5) - 0.5) * 2)
        return logarithms.squeeze(1) - 6

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
        critic = cls()
        try:
            critic.load_state_dict(safetensors.torch.load(file.read_bytes()))
        except OSError as error:
            raise DeblurError(f"cannot read the critic {file}: {error.strerror}") from None
        except (safetensors.SafetensorError, RuntimeError):
            raise DeblurError(
                f"{file} is no critic of this version's evidence: make it anew with 'python -m experiments.path_critic'"
            ) from None
        return critic.eval()

    def forward(self, judged: Judged) -> Tensor:
        """Trials of N paths to energies (N,), the lower the better: the mean over their windows."""
        return self.of_windows(judged).mean(1)

    def of_windows(self, judged: Judged) -> Tensor:
        """Trials of N paths in W windows to energies (N, W)."""
        seen = ErrorMap.total(self.sees(judged.shown.flatten(0, 1))).view(judged.evidence.shape[:2])
        return _SEEING * seen + (1 - _SEEING) * self.weigher(judged.evidence)
