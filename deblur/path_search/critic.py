"""How the evidence of a trial is weighed: a few small networks that `experiments.path_critic` trains."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from deblur.errors import DeblurError
from deblur.path_search.evidence import NAMES

RELEASED = Path(__file__).resolve().parent / "critic.safetensors"
MEMBERS = 4
_WIDTH = 48
_DROPOUT = 0.1


class Critic(nn.Module):
    """Evidence to what speaks against a path: the mean of ``MEMBERS`` networks, which are wrong about other paths each.

    It is the expected natural logarithm of the restoration's error, up to a number that is the same for all paths of a
    picture.
    """

    center: Tensor
    scale: Tensor

    def __init__(self) -> None:
        """Networks that know nothing yet, for evidence as it is."""
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

    def forward(self, evidence: Tensor) -> Tensor:
        """Evidence (..., 25) to energies (...), the lower the better."""
        seen = (evidence - self.center) / self.scale
        return torch.stack([member(seen).squeeze(-1) for member in self.members]).mean(0)
