"""A camera in software: sharp pictures in, motion-blurred pictures out, in batches on any device."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from deblur.blur.motion import Motion, draw_motion, kernels_sha256
from deblur.blur.rendering import moving_masks, render
from deblur.blur.sensor import jpeg, noise, to_linear, to_srgb
from deblur.borders import mirrored_index, mirrored_window
from deblur.pictures import check_pictures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from deblur.blur.spec import BlurSpec


def generator_for(spec: BlurSpec, seed: int, key: str) -> np.random.Generator:
    """The random numbers of one picture: the same for the same (spec, seed, key) in any process, in any order.

    Of ``measured`` blur what the file of kernels holds counts, not where it lies.
    """
    if spec.kernels:
        spec = replace(spec, kernels=kernels_sha256(spec.kernels))
    digest = hashlib.sha256(f"{seed}\n{key}\n{spec}".encode("utf-8", "surrogateescape")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def synthesize(picture: NDArray[np.uint8], spec: BlurSpec, seed: int, key: str) -> NDArray[np.uint8]:
    """Blur one picture.

    Args:
        picture: (H, W, 3) RGB uint8.
        spec: kind, length and camera.
        seed: of the whole set.
        key: the picture's name in the set; every key has a motion of its own.

    Returns:
        (H, W, 3) RGB uint8 of the same size. The same arguments give the same picture, on as many threads to
        the bit, and within rounding with others and on any device.

    Raises:
        TypeError: the picture is no numpy array of uint8.
        ValueError: it has another shape, or a side of no pixel.
        DeblurError: the kernel file of a ``measured`` blur cannot be read.
    """
    return synthesize_with_motion(picture, spec, seed, key)[0]


def synthesize_with_motion(
    picture: NDArray[np.uint8], spec: BlurSpec, seed: int, key: str
) -> tuple[NDArray[np.uint8], Motion]:
    """Blur one picture as ``synthesize`` does, with its arguments and errors, and return the motion too.

    Returns:
        The blurred picture, (H, W, 3) RGB uint8, and the motion in its pixels: the path, and by ``Motion.kernel_at``
        the kernel at any place, where that is moved.
    """
    check_pictures(picture)
    generator = generator_for(spec, seed, key)
    motion = draw_motion(spec, generator, picture.shape[1], picture.shape[0])
    sharp = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).unsqueeze(0)
    blurred = expose(sharp, [motion], [spec], [int(generator.integers(2**31))])
    return np.ascontiguousarray(blurred[0].numpy().transpose(1, 2, 0)), motion


def expose(
    sharp: Tensor,
    motions: Sequence[Motion],
    specs: Sequence[BlurSpec],
    noise_seeds: Sequence[int],
    highlights: Sequence[float] | None = None,
) -> Tensor:
    """Photograph a batch of sharp pictures with moving cameras.

    Args:
        sharp: (B, 3, H, W) RGB uint8 on any device.
        motions: one a picture, in the picture's own pixels.
        specs: one a picture; of each the light, the noise and the JPEG quality are used.
        noise_seeds: one a picture.
        highlights: how many times brighter than white the clipped places really were, one a picture (default 1):
            lamps then leave streaks, as they do on a sensor.

    Returns:
        (B, 3, H, W) RGB uint8 on the same device.
    """
    light, in_linear = _light(sharp, specs, highlights)
    return _develop(render(light, motions), in_linear, specs, noise_seeds)


def expose_windows(
    pictures: Sequence[Tensor],
    windows: Sequence[tuple[int, int, int, int]],
    motions: Sequence[Motion],
    specs: Sequence[BlurSpec],
    noise_seeds: Sequence[int],
    highlights: Sequence[float] | None = None,
) -> Tensor:
    """Photograph a part of each picture, at the cost of that part: what moves in from outside it is the picture's own.

    Args:
        pictures: (3, H, W) RGB uint8 each, of any sizes.
        windows: (left, top, width, height) in each picture's pixels, of one width and height; a window may reach over
            the borders, beyond which pictures are mirrored.
        motions: as for ``expose``, of whole pictures.
        specs: as for ``expose``.
        noise_seeds: as for ``expose``.
        highlights: as for ``expose``.

    Returns:
        (B, 3, height, width) RGB uint8. Noise and JPEG blocks lie otherwise than in a picture exposed whole, and the
        same whatever else is in the batch.
    """
    margin = 0
    for (left, top, width, height), motion in zip(windows, motions, strict=True):
        # Corners are moved farthest, unless a rolling shutter gives rows paths of their own; neighbours' are alike.
        rows = np.linspace(0, height, 9 if motion.shutter else 2)
        sides = np.array([left, left + width])
        margin = max(margin, *(int(motion.extent(sides, top + y)) + 3 for y in rows))
    width, height = windows[0][2:]
    wide = torch.stack(
        [
            mirrored_window(picture, left - margin, top - margin, width + 2 * margin, height + 2 * margin)
            for picture, (left, top, _, _) in zip(pictures, windows, strict=True)
        ]
    )
    moved = [
        motion.cropped(left - margin, top - margin) for motion, (left, top, _, _) in zip(motions, windows, strict=True)
    ]
    light, in_linear = _light(wide, specs, highlights)
    masks = _mirrored_masks(pictures, [(left - margin, top - margin) for left, top, _, _ in windows], motions, light)
    inner = render(light, moved, masks)[..., margin : margin + height, margin : margin + width]
    return _develop(inner, in_linear, specs, noise_seeds)


def _mirrored_masks(
    pictures: Sequence[Tensor], corners: Sequence[tuple[int, int]], motions: Sequence[Motion], light: Tensor
) -> Tensor | None:
    """For ``render``: beyond a picture's border its object is mirrored as the picture is, or the two come apart."""
    if all(motion.region is None for motion in motions):
        return None
    height, width = light.shape[-2:]

    def places(index: int) -> tuple[Tensor, Tensor]:
        picture, (left, top) = pictures[index], corners[index]
        columns = mirrored_index(left, left + width, picture.shape[-1], light.device)
        return columns, mirrored_index(top, top + height, picture.shape[-2], light.device)

    return moving_masks(motions, light, places)


def average_frames(frames: Tensor, spec: BlurSpec, noise_seed: int) -> Tensor:
    """Blur by averaging a video's consecutive frames, as GoPro and REDS do.

    Args:
        frames: (N, 3, H, W) RGB uint8.
        spec: of which the light, the noise and the JPEG quality are used.
        noise_seed: of the noise.

    Returns:
        (3, H, W) RGB uint8 on the same device.
    """
    encoded = frames.float() / 255
    in_linear = torch.tensor(spec.light == "linear", device=frames.device).view(1, 1, 1, 1)
    light = to_linear(encoded) if spec.light == "linear" else encoded
    return _develop(light.mean(0, keepdim=True), in_linear, [spec], [noise_seed])[0]


def _light(sharp: Tensor, specs: Sequence[BlurSpec], highlights: Sequence[float] | None) -> tuple[Tensor, Tensor]:
    """What is averaged of (B, 3, H, W) uint8, see ``expose``, and (B, 1, 1, 1) whether that is linear light."""
    encoded = sharp.float() / 255
    in_linear = torch.tensor([spec.light == "linear" for spec in specs], device=sharp.device).view(-1, 1, 1, 1)
    light = torch.where(in_linear, to_linear(encoded), encoded)
    if highlights is not None:
        gain = torch.tensor(highlights, device=sharp.device, dtype=light.dtype).view(-1, 1, 1, 1)
        gain = torch.where(in_linear, gain, 1.055 * gain ** (1 / 2.4) - 0.055)  # as sRGB goes on above white
        light = torch.where(sharp.amin(1, keepdim=True) >= 250, light * gain, light)
    return light, in_linear


def _develop(light: Tensor, in_linear: Tensor, specs: Sequence[BlurSpec], noise_seeds: Sequence[int]) -> Tensor:
    """Noise, encoding, eight bits and JPEG."""
    if not bool(in_linear.all()):
        light = torch.where(in_linear, light, to_linear(light.clamp(0, 1)))
    read, shot = (
        torch.tensor([getattr(spec, name) for spec in specs], dtype=light.dtype, device=light.device).view(-1, 1, 1, 1)
        for name in ("read", "shot")
    )
    seeds = torch.tensor(noise_seeds, dtype=torch.int64, device=light.device)
    deviation = torch.sqrt(read**2 + shot**2 * light.clamp(0, 1))
    picture = (to_srgb(light.clamp(0, 1) + deviation * noise(light.shape, seeds)) * 255).round() / 255
    if any(spec.jpeg for spec in specs):
        picture = jpeg(picture, torch.tensor([spec.jpeg for spec in specs], device=light.device))
    return (picture * 255).round().to(torch.uint8)
