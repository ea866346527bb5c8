"""How good the network is so far: PSNR on pictures it never trained on, against the PSNR of the blurred pictures."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deblur.blur import draw_motion, expose_windows, generator_for
from deblur.devices import to_batch
from deblur.errors import DeblurError
from deblur.exposure.kernels import exposure_along
from deblur.exposure.paths import camera_path
from deblur.metrics import psnr
from deblur.pictures import read_picture, scale_down
from deblur.runs import printable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from deblur.blur import BlurSpec, Motion
    from deblur.exposure.kernels import Exposure
    from deblur.training.sources import Example
    from deblur.training.teacher import DetectorDistance

PSNR, DISTANCE = "restored", "distance_restored"
"""Of the scores of `validate`, the two that the best weights can be chosen by."""


@dataclass(frozen=True)
class ValidationSet:
    """Blurred and sharp pictures (H, W, 3) uint8 under one name.

    ``paths`` are the camera's, as far as they are known; a network is told them where ``told`` says so. ``keys`` name
    the pictures that were blurred here, each along a path by its own.
    """

    name: str
    pairs: tuple[tuple[NDArray[np.uint8], NDArray[np.uint8]], ...]
    paths: tuple[Motion, ...] = ()
    told: bool = False
    keys: tuple[str, ...] = ()

    def knowledge(self, index: int, device: torch.device) -> dict[str, Exposure]:
        """What a network is told of a picture: its ``exposure``, or nothing."""
        if not self.told:
            return {}
        height, width = self.pairs[index][0].shape[:2]
        return {"exposure": exposure_along(self.paths[index], height, width, device)}


def pairs_from_files(name: str, examples: Iterable[Example], side: int) -> ValidationSet:
    """Real pairs in the size they have, which is what is to be restored; cut to their middle ``side`` pixels."""
    pairs = [[_middle(read_picture(file), side) for file in example.files] for example in examples]
    return ValidationSet(printable(name), tuple((blurred, sharp) for blurred, sharp in pairs))


def blurred_here(examples: Sequence[Example], spec: BlurSpec, side: int, max_side: int | None) -> ValidationSet:
    """Sharp pictures, scaled down to ``max_side`` as in training; their middle is blurred, always the same way."""
    pairs, paths = [], []
    for example in examples:
        sharp = scale_down(read_picture(example.files[0]), max_side)
        height, width = sharp.shape[:2]
        generator = generator_for(spec, 0, example.key)
        motion = draw_motion(spec, generator, width, height)
        # The blur brings in what lies outside the middle; blurring all of a large photograph would take minutes.
        window = _middle_window(width, height, side)
        whole = torch.from_numpy(sharp).permute(2, 0, 1)
        blurred = expose_windows([whole], [window], [motion], [spec], [int(generator.integers(2**31))])
        pairs.append((blurred[0].permute(1, 2, 0).contiguous().numpy(), _middle(sharp, side)))
        paths.append(camera_path(motion).cropped(*window[:2]))
    keys = tuple(example.key for example in examples)
    return ValidationSet(printable(str(spec)), tuple(pairs), tuple(paths), keys=keys)


def with_paths(one: ValidationSet) -> ValidationSet:
    """The same pictures, under a name that says it, for a guided network that is told the camera's paths."""
    return replace(one, name=f"{one.name}+path", told=True)


def sets_digest(sets: Sequence[ValidationSet]) -> str:
    """Hash of what sets are made of: scores of sets with the same one can be compared.

    Of pictures that were blurred here it is the blur's name, the sharp ones (rounding depends on the threads) and the
    keys that name a folder: hashes of pictures that lie in none stay what they were before keys counted.
    """
    digest = hashlib.sha256()
    for one in sets:
        digest.update(one.name.encode() if one.paths else b"")
        for key in (key for key in one.keys if "/" in key):
            digest.update(f"\n{key}".encode("utf-8", "surrogateescape"))
        for picture in (picture for pair in one.pairs for picture in (pair[1:] if one.paths else pair)):
            digest.update(f"{picture.shape}".encode())
            digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


@contextmanager
def evaluating(network: nn.Module) -> Generator[None]:
    """The network in evaluation mode; afterwards every module is in the mode that it was in before."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def validate(
    network: nn.Module,
    sets: Sequence[ValidationSet],
    device: torch.device,
    distance: DetectorDistance | None = None,
) -> dict[str, dict[str, float | None]]:
    """Score a network on every set.

    Args:
        network: (1, 3, H, W) in [0, 1] to ``Restored``, with ``finest_only``; put into evaluation mode meanwhile.
        sets: what to score.
        device: where the network is.
        distance: of a detector, if it is to be measured.

    Returns:
        For each set's name: ``input`` and ``restored`` mean PSNR in dB, ``gain``, and with ``distance`` also
        ``distance_input`` and ``distance_restored``. Pictures that are exact before or after are left out of the means;
        None where none is left.

    Raises:
        DeblurError: the network gives something that is no number.
    """
    scores = {}
    with evaluating(network), torch.inference_mode():
        for one in sets:
            rows = []
            for index, (blurred, sharp) in enumerate(one.pairs):
                before, truth = to_batch(blurred, device), to_batch(sharp, device)
                after = network(before, finest_only=True, **one.knowledge(index, device)).picture.float().clamp(0, 1)
                row = {"input": float(psnr(before, truth)), PSNR: float(psnr(after, truth))}
                if distance is not None:
                    row["distance_input"] = float(distance(before, truth))
                    row[DISTANCE] = float(distance(after, truth))
                if np.isnan(row[PSNR]):
                    raise DeblurError(
                        f"{one.name}: the network's output for picture {index + 1} holds NaN, which is no number"
                    )
                row["gain"] = row[PSNR] - row["input"]
                rows.append(row)
            inexact = [row for row in rows if np.isfinite(row["gain"])]
            scores[one.name] = {
                key: float(np.mean([row[key] for row in inexact])) if inexact else None for key in rows[0]
            }
    return scores


def _middle(picture: NDArray[np.uint8], side: int) -> NDArray[Any]:
    left, top, width, height = _middle_window(picture.shape[1], picture.shape[0], side)
    return picture[top : top + height, left : left + width]


def _middle_window(width: int, height: int, side: int) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the middle ``side`` pixels, or of all where there are fewer."""
    return max(0, (width - side) // 2), max(0, (height - side) // 2), min(side, width), min(side, height)
