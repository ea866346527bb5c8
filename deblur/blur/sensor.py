"""From light to the file a camera writes: encoding, noise, eight bits, JPEG; alike on all devices within rounding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Quantisation tables of ITU-T T.81, annex K (K.1 luminance, K.2 chrominance), row by row.
_LUMINANCE = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMINANCE = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 "
    "99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"
)


def to_linear(encoded: Tensor) -> Tensor:
    """Linear light in [0, 1] from sRGB values in [0, 1] (IEC 61966-2-1)."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).clamp_min(0) ** 2.4)


def to_srgb(light: Tensor) -> Tensor:
    """SRGB values in [0, 1] from linear light; what is outside [0, 1] is clipped, as a sensor does."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def noise(shape: torch.Size, seeds: Tensor) -> Tensor:
    """Standard normal noise (B, C, H, W) that depends on nothing but the picture's seed and the place in it.

    torch's own generators give other numbers on other devices. This one hashes a counter (the finaliser of
    MurmurHash3, public domain) and turns two uniform numbers into two normal ones (Box and Muller, 1958).

    Args:
        shape: (B, C, H, W).
        seeds: (B,) int64 on the device where the noise is wanted.
    """
    count = math.prod(shape[1:])
    counter = torch.arange((count + 1) // 2, device=seeds.device, dtype=torch.int64)
    keys = _scramble(seeds & 0xFFFFFFFF).unsqueeze(1)
    first = _scramble((2 * counter) ^ keys)
    second = _scramble((2 * counter + 1) ^ keys)
    radius = torch.sqrt(-2 * torch.log((first.float() + 1) / 4294967808.0))
    angle = second.float() * (2 * math.pi / 4294967296.0)
    pairs = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
    return pairs[:, :count].reshape(shape)


def jpeg(pictures: Tensor, quality: Tensor) -> Tensor:
    """What baseline JPEG (4:2:0, ITU-T T.81 tables scaled as the IJG library does) leaves of the pictures.

    Args:
        pictures: (B, 3, H, W) RGB in [0, 1].
        quality: (B,) from 1 to 100; 0 leaves the picture as it is.
    """
    height, width = pictures.shape[-2:]
    levels = pictures * 255
    padded = torch.nn.functional.pad(levels, (0, -width % 16, 0, -height % 16), mode="replicate")
    red, green, blue = padded.split(1, dim=1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.cat([(blue - luma) / 1.772, (red - luma) / 1.402], dim=1)
    chroma = torch.nn.functional.avg_pool2d(chroma, 2)
    luma = _quantize(luma - 128, _LUMINANCE, quality) + 128
    chroma = _quantize(chroma, _CHROMINANCE, quality)
    chroma = torch.nn.functional.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    cb, cr = chroma.split(1, dim=1)
    decoded = torch.cat([luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb], dim=1)
    decoded = decoded[..., :height, :width].round().clamp(0, 255) / 255
    return torch.where((quality > 0).view(-1, 1, 1, 1), decoded, pictures)


def _scramble(value: Tensor) -> Tensor:
    value = (value ^ (value >> 16)) * 0x85EBCA6B & 0xFFFFFFFF
    value = (value ^ (value >> 13)) * 0xC2B2AE35 & 0xFFFFFFFF
    return value ^ (value >> 16)


def _quantize(plane: Tensor, table: str, quality: Tensor) -> Tensor:
    """Round the 8x8 cosine transform of (B, C, H, W) to the steps of the table at each picture's quality."""
    steps = torch.tensor([float(value) for value in table.split()], dtype=plane.dtype, device=plane.device)
    grade = quality.clamp(1, 100).to(plane.dtype)
    percent = torch.where(grade < 50, torch.floor(5000 / grade), 200 - 2 * grade)
    steps = torch.floor((steps * percent.unsqueeze(1) + 50) / 100).clamp(1, 255).view(-1, 1, 1, 1, 8, 8)
    index = torch.arange(8, device=plane.device, dtype=plane.dtype)
    basis = torch.cos((2 * index + 1) * index.unsqueeze(1) * (math.pi / 16)) / 2
    basis[0] /= math.sqrt(2)
    batch, channels, height, width = plane.shape
    blocks = plane.view(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    coefficients = torch.round(basis @ blocks @ basis.T / steps) * steps
    return (basis.T @ coefficients @ basis).transpose(3, 4).reshape(plane.shape)
