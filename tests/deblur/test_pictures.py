from __future__ import annotations

import contextlib
import io
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from deblur import pictures
from deblur.errors import DeblurError
from deblur.pictures import orientation_of, picture_size, read_picture, read_upright, scale_down, write_picture

if TYPE_CHECKING:
    from pathlib import Path

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


@pytest.fixture
def corners() -> np.ndarray:
    """Four corners of different colours on a picture that is wider than high."""
    picture = np.full((4, 6, 3), 90, np.uint8)
    picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1] = RED, GREEN, BLUE, WHITE
    return picture


def check_contract(picture: np.ndarray) -> None:
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert picture.flags.c_contiguous
    assert picture.flags.writeable


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_rgb_is_read_exactly(tmp_path: Path, corners: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(corners).save(path)
    picture = read_picture(path)
    check_contract(picture)
    np.testing.assert_array_equal(picture, corners)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, np.fliplr),
        (3, lambda stored: np.rot90(stored, 2)),
        (4, np.flipud),
        (5, lambda stored: stored.transpose(1, 0, 2)),
        (6, lambda stored: np.rot90(stored, -1)),
        (7, lambda stored: np.rot90(stored, 2).transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int, upright) -> None:  # type: ignore[no-untyped-def]
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :16], stored[:8, 16:], stored[8:, :16], stored[8:, 16:] = RED, GREEN, BLUE, WHITE
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    lossless = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(stored).save(path, exif=exif, quality=100, subsampling=0, **lossless)
    picture, applied = read_upright(path)
    check_contract(picture)
    np.testing.assert_allclose(picture.astype(int), upright(stored).astype(int), atol=3)
    assert applied == orientation


def test_a_file_may_be_given_by_its_name_alone(tmp_path: Path) -> None:
    file = str(tmp_path / "new" / "a.png")
    pictures.write_picture(file, np.zeros((2, 3, 3), np.uint8))
    assert pictures.read_picture(file).shape == (2, 3, 3)
    assert pictures.picture_size(file) == (3, 2)
    with pytest.raises(DeblurError, match=r"none\.png does not exist"):
        pictures.read_picture("none.png")


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_says_nothing_turns_nothing(tmp_path: Path, corners: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(corners).save(tmp_path / "a.png", exif=exif)
    picture, applied = read_upright(tmp_path / "a.png")
    np.testing.assert_array_equal(picture, corners)
    assert applied == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_an_orientation_that_cannot_be_read_turns_nothing(tmp_path: Path, suffix: str) -> None:
    path = (tmp_path / "a").with_suffix(suffix)
    Image.new("RGB", (30, 20), "white").save(path, exif=b"Exif\0\0garbage garbage")
    picture, applied = read_upright(path)
    assert picture.shape == (20, 30, 3)
    assert picture.min() > 250
    assert applied == 1
    assert picture_size(path) == (30, 20)


MISTYPED = {
    "Software as FLOAT": struct.pack("<HHIf", 305, 11, 1, 1.5),
    "XResolution as ASCII": struct.pack("<HHI4s", 282, 2, 3, b"72\0"),
    "XResolution below 0": struct.pack("<HHII", 282, 10, 1, 38),
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("tag", MISTYPED.values(), ids=MISTYPED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tag_of_a_wrong_type_keeps_no_picture_from_being_turned(
    tmp_path: Path, suffix: str, tag: bytes, orientation: int
) -> None:
    stored = Image.fromarray(np.arange(30 * 20 * 3, dtype=np.uint32).reshape(20, 30, 3).astype(np.uint8))
    turned = struct.pack("<HHII", 0x0112, 3, 1, orientation)
    right, wrong = ((tmp_path / name).with_suffix(suffix) for name in ("right", "wrong"))
    for path, entries in ((right, turned), (wrong, turned + tag)):
        head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries) // 12)
        stored.save(path, exif=head + entries + bytes(4) + struct.pack("<ii", -72, 1))
    picture, applied = read_upright(wrong)
    assert applied == orientation
    np.testing.assert_array_equal(picture, read_picture(right))
    assert picture_size(wrong) == picture.shape[1::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_xmp_of_a_wrong_type_keeps_no_tiff_from_being_turned(tmp_path: Path, orientation: int) -> None:
    stored = Image.fromarray(np.arange(30 * 20 * 3, dtype=np.uint32).reshape(20, 30, 3).astype(np.uint8))
    for name, tags in (("right.tif", {}), ("wrong.tif", {700: 5})):
        info = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in {0x0112: orientation, **tags}.items():
            info[tag] = value
            info.tagtype[tag] = 3
        stored.save(tmp_path / name, tiffinfo=info)
    picture, applied = read_upright(tmp_path / "wrong.tif")
    assert applied == orientation
    np.testing.assert_array_equal(picture, read_picture(tmp_path / "right.tif"))


def test_sixteen_bit_grey_keeps_its_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    samples = np.array([[0, 65535]], np.uint16)
    Image.fromarray(samples).save(tmp_path / "a.png", exif=exif)
    assert read_picture(tmp_path / "a.png")[:, :, 0].tolist() == [[0], [255]]


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_one_clear_grey_is_laid_over_white(tmp_path: Path, kind: type, white: int) -> None:
    samples = np.array([[0, white, white // 2, 0]], kind)
    Image.fromarray(samples).save(tmp_path / "a.png", transparency=0)
    with Image.open(tmp_path / "a.png") as stored:
        assert stored.info["transparency"] == 0
    assert read_picture(tmp_path / "a.png")[0, :, 0].tolist() == [255, 255, 127, 255]


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 100, 255]], np.uint8)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tolist() == [[[0] * 3, [100] * 3, [255] * 3]]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bit_grey_is_scaled_not_cut_off(tmp_path: Path, suffix: str) -> None:
    samples = np.array([[0, 257, 128 * 257, 40000, 65535]], np.uint16)
    Image.fromarray(samples).save(tmp_path / f"a{suffix}")
    assert read_picture(tmp_path / f"a{suffix}")[0, :, 1].tolist() == [0, 1, 128, round(40000 / 257), 255]


def sixteen_bit_rgb(path: Path, samples: np.ndarray) -> None:
    import cv2
    import tifffile

    if path.suffix == ".png":
        cv2.imwrite(str(path), samples[:, :, ::-1])
    else:
        tifffile.imwrite(path, samples, photometric="rgb")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_rgb(tmp_path: Path, suffix: str) -> None:
    samples = np.array([[[0, 65535, 30000], [257, 20000, 128 * 257]]], np.uint16)
    sixteen_bit_rgb(tmp_path / f"a{suffix}", samples)
    picture = read_picture(tmp_path / f"a{suffix}")
    check_contract(picture)
    np.testing.assert_allclose(picture.astype(float), samples / 257, atol=1)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sixteen_bits_in_planes_of_their_own_are_read_or_refused_and_never_noise(
    tmp_path: Path, channels: int, byteorder: str
) -> None:
    import tifffile

    ramp = np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)
    planes = np.stack([ramp, ramp[::-1], ramp.T.reshape(6, 8), np.full_like(ramp, 65535)][:channels])
    options = {"photometric": "rgb", "planarconfig": "separate", "byteorder": byteorder}
    options |= {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(tmp_path / "packed.tif", planes, compression="zlib", **options)
    wanted = planes[:3].transpose(1, 2, 0) / 257
    np.testing.assert_allclose(read_picture(tmp_path / "packed.tif"), wanted, atol=1)
    tifffile.imwrite(tmp_path / "bytes.tif", (planes >> 8).astype(np.uint8), **options)
    np.testing.assert_allclose(read_picture(tmp_path / "bytes.tif"), wanted, atol=1)
    tifffile.imwrite(tmp_path / "plain.tif", planes, **options)
    for read in (read_picture, picture_size):
        with pytest.raises(DeblurError, match=r"plain\.tif: its 16-bit colours lie in planes .* compression"):
            read(tmp_path / "plain.tif")


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.uint32, np.int16])
@pytest.mark.parametrize("white", [1, 255, 32767])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_samples_without_an_agreed_white_are_refused_and_never_black(
    tmp_path: Path, kind: type[np.generic], white: int, channels: int
) -> None:
    import cv2
    import tifffile

    ramp = (np.linspace(0, 1, 48).reshape(6, 8, 1) * white).astype(kind).repeat(channels, 2)
    if kind is np.uint32:  # which OpenCV writes from version 5 on
        tifffile.imwrite(tmp_path / "a.tif", ramp, photometric="rgb" if channels > 1 else "minisblack")
    else:
        assert cv2.imwrite(str(tmp_path / "a.tif"), ramp)
    with pytest.raises(DeblurError, match=r"a\.tif.* have no agreed white") as raised:
        read_picture(tmp_path / "a.tif")
    assert "with 8 or 16 bits" in str(raised.value)


@pytest.mark.parametrize(("channels", "photometric"), [(2, "minisblack"), (5, "rgb")])
def test_a_tiff_of_another_kind_is_told_what_helps(tmp_path: Path, channels: int, photometric: str) -> None:
    import tifffile

    samples = np.zeros((6, 8, channels), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric=photometric, planarconfig="contig")
    says = "a kind that is not read; save it as grey or RGB with 8 or 16 bits, without alpha"
    with pytest.raises(pictures.NoPictureError, match=says):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize(("suffix", "channels"), [("png", 1), ("png", 3), ("tif", 1), ("tif", 3), ("tif", 4)])
@pytest.mark.parametrize("white", [65535, 4095])
def test_what_opencv_writes_with_sixteen_bits_has_white_at_65535(
    tmp_path: Path, suffix: str, channels: int, white: int
) -> None:
    import cv2

    ramp = (np.linspace(0, 1, 48).reshape(6, 8, 1) * white).astype(np.uint16).repeat(channels, 2)
    ramp[..., 3:] = 65535  # opaque
    assert cv2.imwrite(str(tmp_path / f"a.{suffix}"), ramp)
    picture = read_picture(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(picture.astype(float), ramp[..., :1].repeat(3, 2) / 257, atol=1)


def tiff_of(samples: bytes, width: int, bits: int, photometric: int) -> bytes:
    """A TIFF of one row of grey samples."""
    entries = [(256, 3, width), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8)]
    entries += [(277, 3, 1), (278, 3, 1), (279, 4, len(samples))]
    padded = samples + b"\0" * (len(samples) % 2)
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(padded)) + padded + struct.pack("<H", len(entries)) + table + bytes(4)


def test_twelve_bits_are_white_at_4095_and_a_white_of_0_is_turned_round(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_of(bytes.fromhex("000800fff7ff"), 4, 12, 1))
    assert read_picture(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255, 127]
    (tmp_path / "b.tif").write_bytes(tiff_of(struct.pack("<3H", 0, 65535, 257), 3, 16, 0))
    assert read_picture(tmp_path / "b.tif")[0, :, 0].tolist() == [255, 0, 254]


def test_palette(tmp_path: Path, corners: np.ndarray) -> None:
    image = Image.fromarray(corners).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as stored:
        assert stored.mode == "P"
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), corners)


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 128])])
def test_palette_with_transparency_lies_on_white(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([*RED, *GREEN, *BLACK])
    image.save(tmp_path / "a.png", transparency=transparency)
    pixels = read_picture(tmp_path / "a.png")[0].tolist()
    assert pixels[:2] == [list(RED), list(WHITE)]
    assert pixels[2] == ([0] * 3 if transparency == 1 else [127] * 3)


def test_alpha_lies_on_white(tmp_path: Path) -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tolist() == [[[10, 20, 30], [255] * 3, [204] * 3]]


def test_grey_with_alpha_lies_on_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[7, 255], [7, 0]]], np.uint8)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tolist() == [[[7] * 3, [255] * 3]]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(read_picture(tmp_path / "a.jpg")[4, 4].astype(int), RED, atol=4)


def test_one_bit(tmp_path: Path) -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tolist() == [[list(BLACK), list(WHITE)]]


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, GREEN)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "a.gif")[0, 0].tolist() == list(RED)


def test_content_decides_not_the_suffix(tmp_path: Path, corners: np.ndarray) -> None:
    Image.fromarray(corners).save(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.jpg"), corners)


def jpeg_bytes() -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(encoded, "JPEG")
    return encoded.getvalue()


def float_tiff() -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(np.zeros((2, 2), np.float32)).save(encoded, "TIFF")
    return encoded.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"this is text, whatever its name says\n", "not a picture"),
        (jpeg_bytes()[:-1500], "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "not a picture"),
        (float_tiff(), "floating point have no agreed white"),
    ],
    ids=["empty", "text", "truncated", "postscript", "float"],
)
def test_no_picture_is_one_line_that_names_the_file(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DeblurError, match=says) as raised:
        read_picture(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DeblurError, match=r"nowhere\.jpg does not exist"):
        read_picture(tmp_path / "nowhere.jpg")
    with pytest.raises(DeblurError, match="directory"):
        read_picture(tmp_path)


def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DeblurError, match=r"a\.png is too large"):
        read_picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert read_picture(tmp_path / "a.png").shape == (60, 60, 3), "a Pillow warning must not leak"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
def test_damaged_files_never_raise_anything_else(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(1)
    encoded = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8)).save(encoded, kind)
    path = tmp_path / "damaged"
    for _ in range(150):
        content = bytearray(encoded.getvalue())
        for position in random.integers(0, min(len(content), 400), 4):
            content[position] = random.integers(0, 256)
        path.write_bytes(bytes(content[: random.integers(1, len(content) + 1)]))
        with contextlib.suppress(DeblurError):
            check_contract(read_picture(path))
    assert capfd.readouterr().err == ""


def test_written_png_is_lossless_and_folders_are_made(tmp_path: Path, corners: np.ndarray) -> None:
    path = tmp_path / "new" / "folder" / "a.PNG"
    write_picture(path, corners)
    np.testing.assert_array_equal(read_picture(path), corners)
    assert [file.name for file in path.parent.iterdir()] == ["a.PNG"]


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP")])
def test_written_format_follows_the_suffix(tmp_path: Path, suffix: str, kind: str) -> None:
    sharp = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    write_picture(tmp_path / f"a{suffix}", sharp)
    with Image.open(tmp_path / f"a{suffix}") as stored:
        assert stored.format == kind
    np.testing.assert_allclose(read_picture(tmp_path / f"a{suffix}").astype(int), sharp.astype(int), atol=4)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_quality_is_obeyed_and_high_where_nobody_asks_for_less(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    low, high, usual = (tmp_path / f"{name}{suffix}" for name in ("low", "high", "usual"))
    write_picture(low, noise, quality=20)
    write_picture(high, noise, quality=95)
    write_picture(usual, noise)
    assert low.stat().st_size * 2 < high.stat().st_size
    assert usual.read_bytes() == high.read_bytes()


def test_what_cannot_be_written(tmp_path: Path, corners: np.ndarray) -> None:
    with pytest.raises(DeblurError, match=r"\.xyz: the suffix must be one of \.png"):
        write_picture(tmp_path / "a.xyz", corners)
    with pytest.raises(DeblurError, match="JPEG refuses 70000x1"):
        write_picture(tmp_path / "a.jpg", np.zeros((1, 70000, 3), np.uint8))
    with pytest.raises(ValueError, match="RGB uint8"):
        write_picture(tmp_path / "a.png", corners.astype(np.float32))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeblurError, match="cannot make the folder"):
        write_picture(tmp_path / "file" / "a.png", corners)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, corners: np.ndarray) -> None:
    write_picture(tmp_path / "a.jpg", corners)
    before = (tmp_path / "a.jpg").read_bytes()
    with pytest.raises(DeblurError):
        write_picture(tmp_path / "a.jpg", np.zeros((1, 70000, 3), np.uint8))
    assert (tmp_path / "a.jpg").read_bytes() == before


def test_the_public_names_are_consistent() -> None:
    assert set(pictures.WRITTEN_FORMATS) <= pictures.PICTURE_SUFFIXES


def test_several_threads_read_at_once_and_leave_the_warning_filters_alone(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    together = threading.Barrier(3)
    convert = pictures._to_rgb

    def meet(image):
        together.wait(20)
        return convert(image)

    monkeypatch.setattr(pictures, "_to_rgb", meet)
    before = list(warnings.filters)
    with ThreadPoolExecutor(3) as pool:
        read = list(pool.map(read_picture, [tmp_path / "a.png"] * 3))
    assert [picture.shape for picture in read] == [(4, 4, 3)] * 3
    assert list(warnings.filters) == before


def test_a_reader_and_another_threads_own_filters_leave_each_other_alone(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    reading, filtered = threading.Event(), threading.Event()
    convert = pictures._to_rgb

    def meet(image):
        reading.set()
        filtered.wait(20)
        return convert(image)

    monkeypatch.setattr(pictures, "_to_rgb", meet)
    before = list(warnings.filters)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(read_picture, tmp_path / "a.png")
        reading.wait(20)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            filtered.set()
            done.result()
            warnings.warn("of the program's own", RuntimeWarning, stacklevel=1)
        with pytest.warns(UserWarning, match="of the program's own"):
            warnings.warn("of the program's own", UserWarning, stacklevel=1)
    left_over = [each for each in warnings.filters if each not in before]
    assert all(each[3] is not None and each[3].pattern == r"PIL\." for each in left_over)
    warnings.filters[:] = before


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_in_the_header_is_the_size_that_is_read(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(file, exif=exif)
    height, width = read_picture(file).shape[:2]
    assert picture_size(file) == (width, height)


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
@pytest.mark.parametrize("kind", ["eXIf", "iTXt", "zTXt"])
def test_a_png_is_turned_wherever_it_says_so(tmp_path: Path, kind: str, behind: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    hexadecimal = exif.tobytes().hex().encode()
    content = {
        "eXIf": exif.tobytes()[6:],
        "iTXt": b'XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation="6"/>',
        "zTXt": b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n%s" % (len(hexadecimal) // 2, hexadecimal)),
    }[kind]
    named = kind.encode() + content
    chunk = struct.pack(">I", len(content)) + named + struct.pack(">I", zlib.crc32(named))
    file = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(file)
    png = file.read_bytes()
    at = len(png) - 12 if behind else 33  # before IEND, or behind IHDR
    file.write_bytes(png[:at] + chunk + png[at:])
    assert read_picture(file).shape == (30, 20, 3)
    assert picture_size(file) == (20, 30)
    assert orientation_of(file) == 6


def test_the_size_of_a_png_is_had_without_decoding_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda _: pytest.fail("it was decoded"))
    assert picture_size(tmp_path / "a.png") == (30, 20)
    assert orientation_of(tmp_path / "a.png") == 1


def test_a_size_that_cannot_be_had_is_a_one_line_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DeblurError, match="the file is empty"):
        picture_size(tmp_path / "a.png")
    with pytest.raises(DeblurError, match="does not exist"):
        picture_size(tmp_path / "b.png")


def test_only_pictures_longer_than_asked_for_are_scaled_down():
    picture = np.zeros((30, 40, 3), np.uint8)
    assert scale_down(picture, None) is picture
    assert scale_down(picture, 40) is picture
    assert scale_down(picture, 10).shape == (8, 10, 3)
    assert scale_down(np.zeros((1, 400, 3), np.uint8), 10).shape == (1, 10, 3)


def test_a_jpeg_keeps_the_full_resolution_of_colours(tmp_path):
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 60, 200)
    write_picture(tmp_path / "a.jpg", stripes)
    assert np.abs(read_picture(tmp_path / "a.jpg").astype(int) - stripes).mean() < 8


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_tiff_without_compression_is_turned_whatever_it_holds(tmp_path: Path, mode: str, orientation: int) -> None:
    bright = np.arange(600).reshape(30, 20) % 251
    image = (
        Image.fromarray(bright.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(bright.astype(np.uint8))
    )
    if mode not in {"L", "I;16"}:
        image = image.convert(mode)
    exif = Image.Exif()
    exif[0x112] = orientation
    image.save(tmp_path / "upright.tif")
    image.save(tmp_path / "turned.tif", exif=exif)
    upright = read_picture(tmp_path / "upright.tif")
    turned = read_picture(tmp_path / "turned.tif")
    np.testing.assert_array_equal(turned, np.rot90(upright, {3: 2, 6: -1, 8: 1}[orientation]))
    assert picture_size(tmp_path / "turned.tif") == turned.shape[1::-1]
