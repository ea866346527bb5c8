"""Training batches: the pictures of a plan, cut, turned and blurred on the training device."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deblur.blur import Motion, average_frames, expose_windows
from deblur.borders import mirrored_window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deblur.exposure.kernels import Exposure
    from deblur.training.planning import CropPlan
    from deblur.training.sources import PictureStore


class Batch(NamedTuple):
    """Crops on the training device, (B, 3, C, C) RGB in [0, 1], what was done to them, and where they came from.

    ``exposures`` holds the kernels that the guide of a guided network is told, by the camera's path as a sensor
    measures it; None where it is left to estimate them. ``guide`` is what the guide makes of all that, (B, G, C, C).
    """

    blurred: Tensor
    sharp: Tensor
    motions: tuple[Motion | None, ...]
    exposures: tuple[Exposure | None, ...]
    files: tuple[Path, ...]
    guide: Tensor | None = None

    def portions(self, count: int) -> list[Batch]:
        """The batch in ``count`` equal parts."""
        size = len(self.files) // count
        starts = range(0, len(self.files), size)
        parts = [slice(start, start + size) for start in starts]
        return [
            Batch(
                self.blurred[part],
                self.sharp[part],
                self.motions[part],
                self.exposures[part],
                self.files[part],
                None if self.guide is None else self.guide[part],
            )
            for part in parts
        ]


def make_batch(plans: Sequence[CropPlan], store: PictureStore, crop: int) -> Batch:
    """Cut the planned crops, ``crop`` pixels a side, and blur those that come sharp, on the store's device."""
    store.prefetch(file for plan in plans for file in plan.files)
    blurred: list[Tensor | None] = []
    sharp: list[Tensor] = []
    waiting: list[tuple[CropPlan, Tensor]] = []
    for plan in plans:
        if plan.example.kind == "sharp":
            picture = _turned(store.get(plan.files[0]), plan)
            waiting.append((plan, picture))
            blurred.append(None)
            sharp.append(mirrored_window(picture, *plan.corner, crop, crop))
            continue
        pair = _cut_pair(plan, store, crop)
        blurred.append(pair[0])
        sharp.append(pair[1])
    exposed = iter(_expose(waiting, crop))
    pictures = torch.stack([next(exposed) if each is None else each for each in blurred])
    return Batch(
        pictures.float() / 255,
        torch.stack(sharp).float() / 255,
        tuple(plan.motion and plan.motion.cropped(*plan.corner) for plan in plans),
        tuple(plan.told and plan.told.on(pictures.device) for plan in plans),
        tuple(plan.example.files[-1] for plan in plans),
    )


def _expose(waiting: Sequence[tuple[CropPlan, Tensor]], crop: int) -> list[Tensor]:
    """The blurred crops of sharp pictures."""
    if not waiting:
        return []
    blurs = [plan.blur for plan, _ in waiting if plan.blur is not None]
    exposed = expose_windows(
        [picture for _, picture in waiting],
        [(*plan.corner, crop, crop) for plan, _ in waiting],
        [plan.motion for plan, _ in waiting if plan.motion is not None],
        [blur.spec for blur in blurs],
        [blur.noise_seed for blur in blurs],
        [blur.gain for blur in blurs],
    )
    return list(exposed)


def _cut_pair(plan: CropPlan, store: PictureStore, crop: int) -> tuple[Tensor, Tensor]:
    """The blurred and the sharp crop of a pair, or of the frames of a video."""
    stacked = _turned(torch.cat([store.get(file) for file in plan.files]), plan)
    stacked = mirrored_window(stacked, *plan.corner, crop, crop)
    if plan.blur is None:
        return stacked[:3], stacked[3:]
    frames = stacked.view(-1, 3, crop, crop)
    return average_frames(frames, plan.blur.spec, plan.blur.noise_seed), frames[len(frames) // 2]


def _turned(picture: Tensor, plan: CropPlan) -> Tensor:
    if plan.mirrored:
        picture = picture.flip(-1)
    return torch.rot90(picture, plan.quarters, (-2, -1))
