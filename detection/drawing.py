"""Draws detections on pictures and sets pictures side by side."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detection.types import Detections

    Color = tuple[int, int, int]

# Saturated and of middle lightness: each stands out on a dark picture and on a light one.
PALETTE: tuple[Color, ...] = (
    (230, 57, 70),
    (247, 127, 0),
    (222, 160, 0),
    (132, 180, 0),
    (34, 160, 60),
    (0, 165, 145),
    (0, 175, 215),
    (50, 150, 250),
    (75, 105, 240),
    (130, 90, 225),
    (185, 80, 210),
    (235, 60, 160),
    (250, 130, 115),
    (165, 105, 60),
    (115, 140, 165),
    (140, 140, 50),
)
# With this in the hash, a dozen of COCO's classes that often share a picture have colours of their own.
HASH_PREFIX = "24:"
BAR = (24, 26, 31)
BAR_TEXT = (240, 242, 245)
SEPARATOR = (70, 75, 84)
SMALLEST_TEXT = 9  # pixels; below it letters cannot be read
_WHITE: Color = (255, 255, 255)
_BLACK: Color = (0, 0, 0)


class _Rectangle(NamedTuple):
    """Whole pixels, right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def overlaps(self, other: _Rectangle) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


class _Label(NamedTuple):
    text: str
    font: ImageFont.FreeTypeFont
    place: _Rectangle
    color: Color


def class_color(name: str) -> Color:
    """The RGB colour of a class: the same in every picture, run and detector, since it depends on the name alone."""
    return PALETTE[hashlib.sha256(f"{HASH_PREFIX}{name}".encode()).digest()[0] % len(PALETTE)]


def draw_detections(picture: NDArray[np.uint8], detections: Detections) -> NDArray[np.uint8]:
    """A copy of a picture with a box and a label, ``name score``, for each detection.

    Lines and letters grow with the picture. Labels stay inside it and off each other; one that finds no room is left
    out, the better detections choosing first. A label much wider than its box goes without its score.

    Args:
        picture: RGB uint8 (H, W, 3).
        detections: boxes in this picture's pixels.

    Returns:
        RGB uint8 (H, W, 3).
    """
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    size = text_size(canvas.width, canvas.height)
    line = max(1, round(size / 8))
    boxes = [_pixels(box, canvas.width, canvas.height) for box in detections.boxes]
    for box, name in reversed(list(zip(boxes, detections.class_names, strict=True))):
        draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=class_color(name), width=line)
    for text, font, place, color in _place_labels(boxes, detections, size, canvas.size):
        draw.rectangle((place.left, place.top, place.right - 1, place.bottom - 1), fill=color)
        middle = ((place.left + place.right) / 2, (place.top + place.bottom) / 2)
        draw.text(middle, text, fill=_text_color(color), font=font, anchor="mm")
    return np.asarray(canvas).copy()


def side_by_side(panels: Sequence[tuple[str, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """One picture of several, each under its title; pictures of other sizes are scaled to the height of the tallest.

    Args:
        panels: title and RGB uint8 (H, W, 3) picture, left to right.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        ValueError: no panels.
    """
    if not panels:
        raise ValueError("side_by_side needs at least one panel")
    height = max(picture.shape[0] for _, picture in panels)
    images = [_scaled_to(height, picture) for _, picture in panels]
    size = text_size(max(image.width for image in images), height)
    gap, bar = max(1, round(size / 8)), 2 * size
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    canvas = Image.new("RGB", (width, bar + height), BAR)
    draw = ImageDraw.Draw(canvas)
    left = 0
    for (title, _), image in zip(panels, images, strict=True):
        if left:
            draw.rectangle((left - gap, 0, left - 1, bar + height - 1), fill=SEPARATOR)
        text, font = _fitted([title, *_shortened(title)], size, image.width - size)
        draw.text((left + image.width / 2, bar / 2), text, fill=BAR_TEXT, font=font, anchor="mm")
        canvas.paste(image, (left, bar))
        left += image.width + gap
    return np.asarray(canvas).copy()


def text_size(width: int, height: int) -> int:
    """Height in pixels of letters that can be read on a picture of this size when it fills a screen.

    On a long strip it is its narrow side that they must fit.
    """
    return max(SMALLEST_TEXT, round(min(max(width, height) / 52, min(width, height) / 8)))


def _place_labels(
    boxes: Sequence[_Rectangle], detections: Detections, size: int, extent: tuple[int, int]
) -> list[_Label]:
    """The labels that find room, best detections first."""
    width, height = extent
    margin = max(2, round(size / 4))
    labels: list[_Label] = []
    for box, name, score in zip(boxes, detections.class_names, detections.scores, strict=True):
        scored, room = f"{name} {score:.2f}", max(box.right - box.left, width // 3) - 2 * margin
        text, font = _fitted([scored] if _font(size).getlength(scored) <= room else [name], size, width - 2 * margin)
        if not text:
            continue
        wide = round(font.getlength(text)) + 2 * margin
        high = sum(font.getmetrics()) + 1
        lefts = [max(0, min(box.left, width - wide)), max(0, min(box.right, width) - wide)]
        tops = [box.top - high, box.top, box.bottom, box.bottom - high]
        places = [_Rectangle(left, top, left + wide, top + high) for top in tops for left in lefts]
        for place in places:
            if place.top >= 0 and place.bottom <= height and not any(place.overlaps(label.place) for label in labels):
                labels.append(_Label(text, font, place, class_color(name)))
                break
    return labels


def _fitted(texts: Sequence[str], size: int, width: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """The first text that fits into ``width`` pixels, at ``size`` or smaller; the empty text where none does."""
    for text in texts:
        for smaller in (size, round(size * 0.85), round(size * 0.7), SMALLEST_TEXT):
            font = _font(max(smaller, SMALLEST_TEXT))
            if font.getlength(text) <= width:
                return text, font
    return "", _font(size)


def _shortened(text: str) -> list[str]:
    return [text[:length].rstrip() + "…" for length in range(len(text) - 1, 0, -1)]


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font: it needs no file on the machine. Its letters are Latin."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType, so it has no letters of this size; install its wheel")
    return font


def _pixels(box: NDArray[np.float32], width: int, height: int) -> _Rectangle:
    """The box in whole pixels, inside the picture and at least one pixel wide and high."""
    left, top = min(max(0, round(float(box[0]))), width - 1), min(max(0, round(float(box[1]))), height - 1)
    right, bottom = min(width, round(float(box[2]))), min(height, round(float(box[3])))
    return _Rectangle(left, top, max(left + 1, right), max(top + 1, bottom))


def _text_color(background: Color) -> Color:
    """Black or white, whichever contrasts more (relative luminance as WCAG 2 defines it)."""
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in background]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return _BLACK if (luminance + 0.05) ** 2 > 1.05 * 0.05 else _WHITE


def _scaled_to(height: int, picture: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(picture)
    if image.height == height:
        return image
    width = max(1, round(image.width * height / image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS)
