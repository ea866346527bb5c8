"""From a picture and a motion to the light that reaches the sensor: whole-picture kernels by FFT, the rest by warps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.blur.motion import Motion, Region, rasterize
from deblur.borders import mirrored_window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def render(light: Tensor, motions: Sequence[Motion], masks: Tensor | None = None) -> Tensor:
    """Average what each picture shows while its shutter is open.

    Args:
        light: (B, 3, H, W) intensities, float32.
        motions: one exposure a picture.
        masks: (B, 1, H, W) share of each pixel that moves, for windows that show mirrored borders; by default that of
            the motions' regions, see ``moving_masks``.

    Returns:
        (B, 3, H, W), each picture's result independent of the others in the batch.
    """
    height, width = light.shape[-2:]
    if min(height, width) == 1:
        # Warps need two pixels a side; the mirror of one pixel is the same pixel again.
        two = (0, 0, max(width, 2), max(height, 2))
        wide = None if masks is None else mirrored_window(masks, *two)
        return render(mirrored_window(light, *two), motions, wide)[..., :height, :width]
    moving = [index for index, motion in enumerate(motions) if motion.path.any()]
    uniform = [index for index in moving if motions[index].uniform]
    # Longest first: the paths that have not ended are then the first ones, and no picture is gathered from its place.
    turning = sorted(set(moving) - set(uniform), key=lambda index: -motions[index].steps)
    result = light.clone()
    if uniform:
        chosen = None if masks is None else masks[uniform]
        result[uniform] = _render_uniform(light[uniform], [motions[index] for index in uniform], chosen)
    # Rows that move apart need maps of their own, hundreds of times as many.
    for rolling in (False, True):
        alike = [index for index in turning if (motions[index].shutter is not None) == rolling]
        if alike:
            result[alike] = _render_turning(light[alike], [motions[index] for index in alike])
    return result


def sub_exposures(light: Tensor, motion: Motion, indices: Sequence[int]) -> Tensor:
    """The (N, 3, H, W) sharp pictures that the sensor saw at the given points of the path; ``light`` is (3, H, W).

    Raises:
        ValueError: the motion has a region: its parts have no common warp.
    """
    if motion.region is not None:
        raise ValueError("sub-exposures exist for motions of the whole picture only")
    theta = _affine(motion, light.shape[-1], light.shape[-2])[list(indices)].to(light)
    return _warp(light.expand(len(theta), *light.shape), theta)


def moving_share(motion: Motion, left: float, top: float, side: int) -> float:
    """What share of the square of ``side`` pixels from (left, top) the motion moves: 1 where it has no region."""
    if motion.region is None:
        return 1.0
    places = torch.arange(side, dtype=torch.float32)
    return float(_soft_mask(motion.region, places + left, places + top).mean())


def convolve(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Convolve (B, C, H, W) with one (B, K, K) kernel each, K odd, borders reflected."""
    margin = kernels.shape[-1] // 2
    height, width = pictures.shape[-2:]
    padded = mirrored_window(pictures, -margin, -margin, width + 2 * margin, height + 2 * margin)
    # A power-of-two-like size is much faster than an arbitrary one; the surplus is never read.
    size = [fast_length(height + 2 * margin), fast_length(width + 2 * margin)]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernels, s=size).unsqueeze(1)
    full = torch.fft.irfft2(spectrum, s=size)
    return full[..., 2 * margin : 2 * margin + height, 2 * margin : 2 * margin + width]


def _render_uniform(light: Tensor, motions: list[Motion], masks: Tensor | None) -> Tensor:
    # One size for the batch: a larger kernel array holds the same kernel.
    size = 2 * max(math.ceil(abs(motion.path[:, :2]).max()) + 1 for motion in motions) + 1
    kernels = torch.stack(
        [torch.from_numpy(rasterize(motion.path[:, :2], motion.weights, size)) for motion in motions]
    ).to(light.device)
    if all(motion.region is None for motion in motions):
        return convolve(light, kernels)
    if masks is None:
        columns, rows = (torch.arange(light.shape[side], device=light.device) for side in (-1, -2))
        masks = moving_masks(motions, light, lambda _: (columns, rows))
    # What moves is blurred together with its outline; what stays shows through where the outline has left.
    blurred, cover = convolve(torch.cat([light * masks, masks], dim=1), kernels).split([3, 1], dim=1)
    parts = []
    for index, motion in enumerate(motions):
        if motion.region is None:
            parts.append(blurred[index])
        elif motion.region.moves:
            parts.append(blurred[index] + (1 - cover[index]) * light[index])
        else:
            # Divided by its cover, the background takes no light from the object that hides it.
            background = blurred[index] / cover[index].clamp_min(1e-3)
            parts.append(background * masks[index] + light[index] * (1 - masks[index]))
    return torch.stack(parts)


def moving_masks(motions: Sequence[Motion], light: Tensor, places: Callable[[int], tuple[Tensor, Tensor]]) -> Tensor:
    """The share of each pixel that moves; without a region all of it does.

    Args:
        motions: one exposure a picture.
        light: (B, C, H, W) pictures.
        places: where the columns (W,) and the rows (H,) of a picture lie, asked for those with a region.

    Returns:
        (B, 1, H, W), like ``light``.
    """
    masks = torch.ones_like(light[:, :1])
    for index, motion in enumerate(motions):
        if motion.region is not None:
            masks[index, 0] = _soft_mask(motion.region, *places(index))
    return masks


def _soft_mask(region: Region, columns: Tensor, rows: Tensor) -> Tensor:
    """(H, W) share of each pixel that moves: inside the ellipse, or outside it where the object is followed."""
    y = rows.to(torch.float32).unsqueeze(1) - region.center[1]
    x = columns.to(torch.float32) - region.center[0]
    cos, sin = math.cos(region.angle), math.sin(region.angle)
    along, across = (cos * x + sin * y) / region.radii[0], (cos * y - sin * x) / region.radii[1]
    # The edge is about three pixels wide whatever the size of the object.
    inside = ((1 - torch.sqrt(along**2 + across**2)) * min(region.radii) / 3 + 0.5).clamp(0, 1)
    return inside if region.moves else 1 - inside


def _render_turning(light: Tensor, motions: list[Motion]) -> Tensor:
    """The mean of warps; the motions come with their steps falling, all with a rolling shutter or all without."""
    height, width = light.shape[-2:]
    steps = motions[0].steps
    # In float32 whatever the program's default is: a blur is the same anywhere.
    thetas = torch.zeros(len(motions), steps, height if motions[0].shutter else 1, 2, 3, dtype=torch.float32)
    weights = torch.zeros(len(motions), steps, dtype=torch.float32)
    for index, motion in enumerate(motions):
        thetas[index, : motion.steps] = _affine(motion, width, height)
        weights[index, : motion.steps] = torch.from_numpy(motion.of_row(0).weights)
    thetas, weights = thetas.to(light), weights.to(light)
    total = torch.zeros_like(light)
    for step in range(steps):
        alive = sum(step < motion.steps for motion in motions)
        total[:alive].addcmul_(_warp(light[:alive], thetas[:alive, step]), weights[:alive, step].view(-1, 1, 1, 1))
    return total


def _affine(motion: Motion, width: int, height: int) -> Tensor:
    """Maps from output to input places in the [-1, 1] coordinates of ``affine_grid``: p to p - d_t(p).

    Returns:
        (N, 1, 2, 3) over time; (N, height, 2, 3), one a row, under a rolling shutter.
    """
    paths = motion.path[:, None] if motion.shutter is None else motion.row_paths(height)
    x, y, roll, growth = torch.from_numpy(paths).unbind(-1)
    cos, sin = (1 + growth) * torch.cos(roll) - 1, (1 + growth) * torch.sin(roll)
    scale_x, scale_y = (width - 1) / 2 or 0.5, (height - 1) / 2 or 0.5
    # Place of the turning centre relative to the middle of the picture.
    cx, cy = motion.center[0] - (width - 1) / 2, motion.center[1] - (height - 1) / 2
    shift_x, shift_y = x - cos * cx + sin * cy, y - sin * cx - cos * cy
    axes = [
        torch.stack([1 - cos, sin * scale_y / scale_x, -shift_x / scale_x], dim=-1),
        torch.stack([-sin * scale_x / scale_y, 1 - cos, -shift_y / scale_y], dim=-1),
    ]
    return torch.stack(axes, dim=-2).float()


def _warp(pictures: Tensor, theta: Tensor) -> Tensor:
    """(B, C, H, W) sampled where maps (B, 1, 2, 3), or (B, H, 2, 3) for each row, say."""
    # affine_grid multiplies matrices for this and takes ten times as long, nearly as long as the sampling itself.
    batch, _, height, width = pictures.shape
    down = torch.linspace(-1, 1, height, device=theta.device, dtype=theta.dtype).view(1, -1, 1)
    across = torch.linspace(-1, 1, width, device=theta.device, dtype=theta.dtype)
    grid = theta.new_empty(batch, height, width, 2)
    for axis in (0, 1):
        along_x, along_y, shift = theta[:, :, axis, :, None].unbind(2)
        torch.add(along_x * across + shift, along_y * down, out=grid[..., axis])
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def fast_length(size: int) -> int:
    """The smallest even number from ``size`` up whose only prime factors are 2, 3 and 5."""
    size += size % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2
