"""Reading and writing still pictures. Everywhere else a picture is RGB uint8 (H, W, 3).

How each kind of file becomes RGB:

- The EXIF orientation is applied: a portrait taken with a turned camera stands upright.
- Grey and 1-bit pictures get three equal channels; palette pictures get their palette's colours.
- 16-bit samples are scaled to 8 bits: 65535 becomes 255, whatever the brightest sample of the picture is. So are 12-bit
  samples of a TIFF, whose white is 4095.
- Samples of 32 bits, with a sign or in floating point are refused: their white may be 1, 255, 65535 or anything, and
  their light linear or encoded, and a wrong guess would be a black or a dim picture that nobody warned of.
- A TIFF without compression that keeps 16-bit colours in planes of their own is refused: Pillow would make noise of it.
- Transparency is laid over white, which is what a viewer shows on a white page.
- CMYK is converted as Pillow does it; colour profiles are not applied.
- Of an animation or a file of several pictures, the first is read.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from deblur.errors import DeblurError
from deblur.runs import make_folder, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PICTURE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in "avif bmp gif jfif jp2 jpeg jpg pbm pgm png pnm ppm tif tiff webp".split()  # noqa: SIM905
)
WRITTEN_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

# Pillow is told which decoders it may use: a file from a stranger must not reach the one that starts Ghostscript.
_READ_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
# What Pillow's decoders raise on broken files, depending on format and on where the file breaks.
_BROKEN_FILE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
_PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_SAYS_ORIENTATION = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"exif\0")  # what such a text begins with
_METADATA = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # where Pillow keeps what says orientations
_TIFF_HEADS = {b"II*\0", b"MM\0*"}
_NO_WHITE = "samples of 32 bits, with a sign or in floating point have no agreed white"
_PILLOW = r"PIL\."  # the modules whose warnings are silenced
# Pillow also logs what it dislikes in a file; without a handler Python would print that on stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class NoPictureError(DeblurError):
    """A file is in no picture format that is read."""


class _Quietly:
    """Pillow's warnings are ignored while at least one thread reads.

    Filters of warnings belong to the process, not to the thread. Who saves all of them and puts them back, as
    ``warnings.catch_warnings`` does, may do so crosswise with another thread of the program, which then keeps filters
    that it never set. So the first one in adds one filter, the last one out takes that one away; where another thread
    has put back its own filters in between, one of Pillow's is left over or missed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                warnings.filterwarnings("ignore", module=_PILLOW)
            self._readers += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                with contextlib.suppress(ValueError):
                    _filters().remove(("ignore", None, Warning, re.compile(_PILLOW), 0))


def _filters() -> list[tuple[object, ...]]:
    return warnings.filters  # type: ignore[return-value]  # a list, of which Python tells types only that it can be read


_QUIETLY = _Quietly()


class Upright(NamedTuple):
    """A picture as it is seen, and how its file stores it.

    Attributes:
        picture: RGB uint8 (H, W, 3), contiguous, writable.
        orientation: EXIF's number, 1 to 8, by which what is stored was turned or mirrored; 1 where it was not.
    """

    picture: NDArray[np.uint8]
    orientation: int


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """Read a picture file as the module describes; several threads may do so at once.

    Args:
        path: a file in one of the formats JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000 or AVIF; the content
            decides, not the suffix.

    Returns:
        RGB uint8 of shape (H, W, 3), contiguous, writable.

    Raises:
        DeblurError: the file is missing, cannot be read, is no picture (a `NoPictureError`), is cut off, has samples of
            which nobody knows what is white, or is too large (Pillow's limit against decompression bombs, about 179
            million pixels).
    """
    return read_upright(path).picture


def read_upright(path: str | Path) -> Upright:
    """Read a picture file as ``read_picture`` does, and say how it was turned: a sensor in the camera was not.

    Raises:
        DeblurError: as ``read_picture``.
    """
    with _opened(path) as image:
        orientation = _orientation(image)  # now: nothing of it is left in a picture that Pillow has turned
        if orientation != 1:
            # Pillow would write these anew without the orientation, and fails where a tag has a type it must not have.
            for key in _METADATA:
                image.info.pop(key, None)
            ImageOps.exif_transpose(image, in_place=True)
        return Upright(_to_rgb(image), orientation)


def orientation_of(path: str | Path) -> int:
    """EXIF's number by which ``read_picture`` turns a file, of nearly all from the header alone; see ``Upright``.

    Raises:
        DeblurError: as ``picture_size``.
    """
    with _opened(path) as image:
        return _orientation(image)


def picture_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a picture as ``read_picture`` would return it, of nearly all files from the header alone.

    Raises:
        DeblurError: as ``read_picture``, but a file that is cut off behind its header passes.
    """
    with _opened(path) as image:
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # versions of Pillow differ in whether this is turned yet
            width, height = (image.tag_v2[tag] for tag in (TiffImagePlugin.IMAGEWIDTH, TiffImagePlugin.IMAGELENGTH))
        return (height, width) if _orientation(image) >= 5 else (width, height)


@contextlib.contextmanager
def _opened(file: str | Path) -> Iterator[Image.Image]:
    """The file as Pillow sees it; whatever Pillow raises on it becomes a DeblurError."""
    path = Path(file)
    try:
        # Not by its name: Pillow would map a TIFF without compression into memory by the sides of the turned picture.
        with _QUIETLY, path.open("rb") as stream, Image.open(stream, formats=_READ_FORMATS) as image:
            _refuse_planes(image)
            yield image
    except FileNotFoundError:
        raise DeblurError(f"{path} does not exist") from None
    except (
        UnidentifiedImageError,
        ImportError,
    ):  # ultralytics' own Image.open wants a package for what it does not know
        raise NoPictureError(f"{path} is not a picture: {_unidentified(path)}") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise DeblurError(f"{path} is too large: more than {limit} million pixels; scale it down first") from None
    except _BROKEN_FILE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        raise DeblurError(f"cannot read {path}: {reason or type(error).__name__}") from error


def _refuse_planes(image: Image.Image) -> None:
    """Refuse a TIFF of which Pillow would make noise: it reads planes without compression as if they had 8 bits."""
    if (
        isinstance(image, TiffImagePlugin.TiffImageFile)
        and image.info["compression"] == "raw"
        and image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
        and max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8
    ):
        raise ValueError("its 16-bit colours lie in planes of their own: save it with compression, or interleaved")


def _unidentified(path: Path) -> str:
    """Why Pillow knows nothing of a file that is there."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if not head:
        return "the file is empty"
    if head not in _TIFF_HEADS:
        return "no known picture format"
    return (
        "the TIFF is damaged or of a kind that is not read; save it as grey or RGB with 8 or 16 bits, without alpha "
        f"({_NO_WHITE})"
    )


def write_picture(path: str | Path, picture: NDArray[np.uint8], quality: int = 95) -> None:
    """Write a picture in the format its suffix names, in one step; folders above it are made.

    A file of that name is replaced: a reader sees the old file or the new one, never half of either.

    Args:
        path: a name that ends in .png, .jpg, .jpeg or .webp.
        picture: RGB uint8 (H, W, 3), at least one pixel.
        quality: 1 to 100, of JPEG (full colour resolution) and WebP; PNG is lossless.

    Raises:
        DeblurError: the suffix is another one, the format cannot hold a picture of that size, or the file cannot be
            written.
        ValueError: the array is no RGB uint8 picture.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ValueError(f"a picture is RGB uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
    path = Path(path)
    picture_format = WRITTEN_FORMATS.get(path.suffix.lower())
    if picture_format is None:
        raise DeblurError(f"cannot write {path}: the suffix must be one of {', '.join(WRITTEN_FORMATS)}")
    encoded = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(picture))
    try:
        if picture_format == "PNG":
            image.save(encoded, "PNG", compress_level=4)
        elif picture_format == "JPEG":
            image.save(encoded, "JPEG", quality=quality, subsampling=0)
        else:
            image.save(encoded, "WEBP", quality=quality)
    except (OSError, ValueError) as error:
        height, width = picture.shape[:2]
        raise DeblurError(f"cannot write {path}: {picture_format} refuses {width}x{height} pixels: {error}") from error
    make_folder(path.parent)
    write_atomically(path, encoded.getvalue())


def scale_down(picture: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """The picture (H, W, 3), with its longer side scaled down to ``max_side`` where it is longer than that."""
    height, width = picture.shape[:2]
    size = scaled_size(width, height, max_side)
    if size == (width, height):
        return picture
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def scaled_size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """Width and height of what ``scale_down`` makes of a picture."""
    if max_side is None or max(height, width) <= max_side:
        return width, height
    scale = max_side / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def check_pictures(pictures: NDArray[np.uint8], *, batches: bool = False) -> None:
    """Refuse what is no picture, RGB uint8 (H, W, 3); with ``batches`` it may be several of one size, (B, H, W, 3).

    Raises:
        TypeError: no numpy array of uint8.
        ValueError: another shape, or a side of no pixel.
    """
    shapes = {3: "(H, W, 3)"} | ({4: "(B, H, W, 3)"} if batches else {})
    if not isinstance(pictures, np.ndarray) or pictures.dtype != np.uint8:
        kind = pictures.dtype if isinstance(pictures, np.ndarray) else type(pictures).__name__
        raise TypeError(f"pictures are numpy arrays of uint8, not {kind}")
    if pictures.ndim not in shapes or pictures.shape[-1] != 3 or 0 in pictures.shape[-3:]:
        raise ValueError(f"pictures are {' or '.join(shapes.values())}, not {pictures.shape}")


def _orientation(image: Image.Image) -> int:
    """EXIF's number, 1 where there is none, none that says anything or none to be read: pixels may be whole."""
    try:
        # Pillow decodes a whole PNG to look behind its pixels too, where hardly any program writes an orientation.
        in_header = isinstance(image, PngImagePlugin.PngImageFile) and not _may_be_turned_behind_pixels(image)
        exif = Image.Image.getexif(image) if in_header else image.getexif()
        number = exif.get(ExifTags.Base.Orientation, 1)
    except _BROKEN_FILE:
        return 1
    return number if number in range(1, 9) else 1


def _may_be_turned_behind_pixels(image: PngImagePlugin.PngImageFile) -> bool:
    """Whether a PNG that is not decoded yet has a chunk behind its pixels that may hold an orientation."""
    stream = image.fp
    assert stream is not None
    place = stream.tell()
    stream.seek(8)  # behind the signature
    are_pixels_passed = may_be_turned = False
    while not may_be_turned and len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        start = stream.tell()
        are_pixels_passed |= kind == b"IDAT"
        if are_pixels_passed:
            may_be_turned = kind == b"eXIf" or (kind in _PNG_TEXTS and stream.read(32).startswith(_SAYS_ORIENTATION))
        stream.seek(start + length + 4)  # behind its checksum
    stream.seek(place)
    return may_be_turned


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        grey = _eight_bits(image)
        if (clear := image.info.get("transparency")) is not None:
            grey[np.asarray(image) == clear] = 255
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if image.mode == "F":
        raise ValueError(f"{_NO_WHITE}; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """The samples (H, W) of a grey picture that has more than 8 bits."""
    samples, white = np.asarray(image).astype(np.int64), 65535
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if image.mode == "I":  # of 16 bits without a sign Pillow makes others
            raise ValueError(f"{_NO_WHITE}; save it with 8 or 16 bits")
        white = 2 ** image.tag_v2[TiffImagePlugin.BITSPERSAMPLE][0] - 1
        if image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is 0, which Pillow leaves so
            samples = white - samples
    return ((samples * 255 + white // 2) // white).astype(np.uint8)
