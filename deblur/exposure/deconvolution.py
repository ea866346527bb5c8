"""Blur whose kernel changes from place to place, and its undoing: filters in windows that fade together."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deblur.blur.rendering import fast_length
from deblur.borders import continued_index, mirrored_index
from deblur.exposure.spectra import difference_power, squared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deblur.exposure.kernels import Belief

    Beyond = Callable[[int, int, int], Tensor]
    """Which pixels are shown at places of an axis, as `mirrored_index`."""

# Pixels around what a window gives, beside a kernel's reach: what an inverse filter wraps around stays there.
_MARGIN = 8
_RAMP = 48  # pixels over which neighbouring windows fade into each other, or all there are between their middles


class Regularization(NamedTuple):
    """What keeps an inverse filter from amplifying noise: ``strength`` |D|^2 + ``floor`` (1 - P) beside the power P.

    The floor is for kernels that are known: frequencies that a long path all but erases ring where the path is a little
    off. It fades where the blur takes nothing away.
    """

    strength: float
    floor: float


ESTIMATED = Regularization(0.02, 1e-5)
"""A belief damps by itself what is unsure. Strengths of 0.03 and 0.008 together gave a network no more."""
KNOWN = Regularization(0.003, 0.005)
"""Keeps detail, and rings beside strong edges."""
CALM = Regularization(0.02, 0.03)
"""For the same kernels: where the other rings. The two were found on eight photographs (docs/training-log.md)."""


class _Spans(NamedTuple):
    """Windows along one axis.

    Attributes:
        starts: the first pixel that each gives.
        lengths: how many pixels each gives.
        shares: (N, longest) of each window in each of the pixels that it gives, 0 behind these.
    """

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    shares: Tensor


class _Windows:
    """Parts of pictures of one size, each about a place whose kernel holds in it, that fade together again."""

    def __init__(
        self,
        shape: tuple[int, int],
        rows: Sequence[float],
        columns: Sequence[float],
        side: int,
        beyond: Beyond,
        device: torch.device,
    ) -> None:
        """Lay R = rows * columns windows, with as much around each as a kernel reaches.

        Args:
            shape: (H, W) of the pictures.
            rows: y of the places, ascending.
            columns: x of the places, likewise.
            side: of the kernels.
            beyond: what is shown beyond the pictures' borders.
            device: where the pictures are.
        """
        self._shape = height, width = shape
        self.margin = side // 2 + _MARGIN
        self._spans = [_spans(places, side, device) for places, side in zip((rows, columns), shape, strict=True)]
        self.size = tall, wide = [fast_length(max(spans.lengths) + 2 * self.margin) for spans in self._spans]
        tops, self._lefts = ([start - self.margin for start in spans.starts] for spans in self._spans)
        # Places are found on the CPU and sent at once: a GPU would take each step of each for a task of its own.
        index = torch.cat([beyond(start, start + tall, height) for start in tops])
        left = beyond(self._lefts[0], 0, width)
        right = beyond(width, self._lefts[-1] + wide, width)
        self._index, self._left, self._right = (places.to(device) for places in (index, left, right))

    def cut(self, pictures: Tensor) -> Tensor:
        """The windows (B, R, C, h, w) of pictures (B, C, H, W), row by row."""
        tall, wide = self.size
        # Columns are cut as slices of a wider picture, since a processor gathers them one number at a time.
        widened = torch.cat([pictures[..., self._left], pictures, pictures[..., self._right]], -1)
        bands = widened.index_select(-2, self._index).unflatten(-2, (-1, tall)).transpose(1, 2)
        parts = [bands[..., start - self._lefts[0] :][..., :wide] for start in self._lefts]
        return torch.stack(parts, 2).flatten(1, 2)

    def joined(self, windows: Tensor) -> Tensor:
        """Pictures (B, C, H, W) of windows (B, R, C, h, w)."""
        height, width = self._shape
        down, across = self._spans
        # Side by side first, all rows of windows at once, then one below the other.
        parts = windows.unflatten(1, (len(down.starts), -1))[..., self.margin :, self.margin :]
        longest = max(down.lengths)
        batch, channels = len(windows), windows.shape[2]
        lines = windows.new_zeros(batch, len(down.starts), channels, longest, width)
        for column, (start, length) in enumerate(zip(across.starts, across.lengths, strict=True)):
            part = parts[:, :, column, :, :longest, :length]
            lines[..., start : start + length] += part * across.shares[column, :length]
        result = windows.new_zeros(batch, channels, height, width)
        for row, (start, length) in enumerate(zip(down.starts, down.lengths, strict=True)):
            result[:, :, start : start + length] += lines[:, row, :, :length] * down.shares[row, :length, None]
        return result


@functools.lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # the next who asks for them may follow gradients
def _laid_windows(
    shape: tuple[int, int],
    rows: tuple[float, ...],
    columns: tuple[float, ...],
    side: int,
    beyond: Beyond,
    device: torch.device,
) -> _Windows:
    """Windows that were laid before: a search lays the same for each of its trials, and a GPU waits for every copy."""
    return _Windows(shape, rows, columns, side, beyond, device)


def _windows_for(
    pictures: Tensor, kernels: Tensor, rows: Sequence[float], columns: Sequence[float], beyond: Beyond
) -> _Windows:
    height, width = pictures.shape[-2:]
    # What is laid while torch.export traces, or memory is only reckoned, holds no numbers: it is not kept, nor is kept
    # what has numbers given to these.
    lay = _laid_windows if type(torch.empty(0)) is Tensor else _laid_windows.__wrapped__
    return lay((height, width), tuple(rows), tuple(columns), kernels.shape[-1], beyond, pictures.device)


def blur(light: Tensor, kernels: Tensor, rows: Sequence[float], columns: Sequence[float]) -> Tensor:
    """Light (B, C, H, W) blurred by kernels (B, R, K, K) of R = rows * columns places, row by row, mirrored beyond."""
    windows = _windows_for(light, kernels, rows, columns, mirrored_index)
    transfer = torch.fft.rfft2(_centred(kernels, windows.size)).unsqueeze(2)
    return windows.joined(torch.fft.irfft2(torch.fft.rfft2(windows.cut(light)) * transfer, s=windows.size))


class Deconvolution:
    """Pictures with the blur undone by Wiener filters whose prior is that gradients are small.

    At frequency f the filter of a belief turns Y into conj(K) Y / (P + strength |D|^2 + floor (1 - P)), K the mean of
    the kernels that are thought possible, P their mean power and D the transfer function of horizontal and vertical
    differences: white noise over a scene whose spectrum falls as 1 / |f| (Wiener, 1949). Where the kernel is known P is
    |K|^2; where its phase is not, P is larger, and the filter takes away what it cannot put right.
    """

    def __init__(
        self,
        light: Tensor,
        belief: Belief,
        rows: Sequence[float],
        columns: Sequence[float],
    ) -> None:
        """Transform pictures and kernels, once for all filters.

        Args:
            light: (B, C, H, W).
            belief: kernels of R = rows * columns regions, row by row.
            rows: y of the places that the kernels are for, ascending.
            columns: x of these places, likewise.
        """
        # Beyond its border the blurred picture is taken to go on as it ends. In its mirror image things would turn at
        # the border that the blur did not turn, and a filter would carry what it makes of them into the picture: in
        # blurred pictures that were cut out of larger ones, as a camera cuts them, the outer pixels came out worse.
        self._windows = _windows_for(light, belief.mean, rows, columns, continued_index)
        windows, size, margin = self._windows.cut(light), self._windows.size, self._windows.margin
        self._level = windows.mean((-2, -1), keepdim=True)
        # Towards the window's borders everything fades to its mean, so that opposite borders meet without a step.
        taper = _taper(size[0], margin, light.device).unsqueeze(1) * _taper(size[1], margin, light.device)
        self._spectrum = torch.fft.rfft2((windows - self._level) * taper)
        self._transfer = torch.fft.rfft2(_centred(belief.mean, size)).unsqueeze(2)
        self._power = squared(self._transfer)
        if belief.power is not belief.mean:  # as it is where kernels are known
            spread = torch.fft.rfft2(_centred(belief.power, size)).unsqueeze(2)
            self._power = torch.maximum(self._power, squared(spread))

    def gain(self, regularization: Regularization) -> Tensor:
        """What the filters multiply each frequency by, beside the conjugate kernel; for ``restore``."""
        strength, floor = regularization
        power = self._power
        # Complex numbers are divided by real ones several times slower than multiplied.
        return 1 / (
            power + strength * difference_power(self._windows.size, power.device) + floor * (1 - power).clamp_min(0)
        )

    def restore(self, gain: Tensor, turned: Tensor | None = None, channels: slice = slice(None)) -> Tensor:
        """Undo the blur.

        Args:
            gain: as ``gain`` gives it.
            turned: (B,) bool, the pictures whose kernels are meant turned by 180 degrees; none by default.
            channels: those of the pictures that are wanted.

        Returns:
            (B, C, H, W).
        """
        # A kernel turned by 180 degrees has the complex conjugate transfer function.
        conjugate = self._transfer.conj()
        if turned is not None:
            conjugate = torch.where(turned.view(-1, 1, 1, 1, 1), self._transfer, conjugate)
        matched = conjugate * self._spectrum[:, :, channels]
        restored = torch.fft.irfft2(matched * gain, s=self._windows.size)
        return self._windows.joined(restored + self._level[:, :, channels])


def density(pictures: Tensor) -> Tensor:
    """(B,) how little sparse the gradients of (B, 1, H, W) are: their mean over their root mean square.

    Sharp pictures have few strong edges, ringing is everywhere (Krishnan, Tay and Fergus, CVPR 2011).
    """
    gradients = (pictures.diff(dim=axis).flatten(1) for axis in (-2, -1))
    mean, square = zip(*((each.abs().sum(1), each.square().sum(1)) for each in gradients), strict=True)
    count = pictures[0].numel()
    return (mean[0] + mean[1]) / (count * (square[0] + square[1])).sqrt().clamp_min(1e-6)


def _spans(places: Sequence[float], side: int, device: torch.device) -> _Spans:
    """A window for each place, from half way to the place before to half way to the one after, and half a ramp more."""
    edges = [-math.inf, *((a + b) / 2 for a, b in itertools.pairwise(places)), math.inf]
    ramp = min([_RAMP, *(b - a for a, b in itertools.pairwise(places))])
    starts, shares = [], []
    for before, after in itertools.pairwise(edges):
        start = max(0, math.floor(before - ramp / 2) if before > -math.inf else 0)
        stop = min(side, math.ceil(after + ramp / 2) if after < math.inf else side)
        centers = torch.arange(start, stop, dtype=torch.float32) + 0.5
        rising, falling = ((centers - before) / ramp + 0.5).clamp(0, 1), ((after - centers) / ramp + 0.5).clamp(0, 1)
        starts.append(start)
        shares.append(torch.minimum(rising, falling))
    padded = torch.nn.utils.rnn.pad_sequence(shares, batch_first=True)
    return _Spans(tuple(starts), tuple(map(len, shares)), padded.to(device))


def _taper(size: int, margin: int, device: torch.device) -> Tensor:
    """(size,) 1 inside, falling to 0 over the outer three quarters of the margin at both ends."""
    ramp = 3 * margin // 4
    place = (torch.arange(size, dtype=torch.float32, device=device) + 0.5) / ramp
    edge = torch.minimum(place, place.flip(0)).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * edge)


def _centred(kernels: Tensor, size: Sequence[int]) -> Tensor:
    """Kernels on a (size) grid with their centre at [0, 0]."""
    side = kernels.shape[-1]
    grown = kernels.new_zeros(*kernels.shape[:-2], *size)
    grown[..., :side, :side] = kernels
    return grown.roll((-(side // 2), -(side // 2)), (-2, -1))
