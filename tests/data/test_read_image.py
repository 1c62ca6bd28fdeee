"""Image files: every form that Pillow gives becomes the array that a model takes, or a clear error."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from rot180.data import image_opening, opaque
from rot180.data.csv_images import read_csv
from rot180.data.idx import read_idx
from rot180.data.image import decode_image, look_at_image, read_image
from rot180.data.jpeg_header import jpeg_size
from rot180.data.webp_header import webp_size
from rot180.errors import ArgumentError, DataError


@pytest.fixture
def digit():
    return np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)


def test_a_picture_of_the_right_size_is_unchanged(tmp_path, digit):
    Image.fromarray(digit).save(tmp_path / "7.png")
    np.testing.assert_array_equal(read_image(tmp_path / "7.png", (28, 28, 1))[..., 0], digit)
    assert read_image(str(tmp_path / "7.png"), (28, 28, 3)).shape == (28, 28, 3)


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path, digit):
    Image.fromarray(digit.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png", (28, 28, 1))[..., 0], digit)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_formats_and_modes(tmp_path, suffix, mode):
    picture = Image.new("RGB", (40, 30), "white").convert(mode)
    path = tmp_path / f"white.{suffix}"
    (picture.convert("L") if suffix == "jpg" else picture).save(path)
    found = read_image(path, (6, 8, 1))
    assert found.shape == (6, 8, 1)
    assert found.min() >= 254


def test_transparency_shows_white(tmp_path):
    half = Image.new("RGBA", (4, 2), (0, 0, 0, 0))
    half.paste((255, 0, 0, 255), (0, 0, 2, 2))
    half.save(tmp_path / "half.png")
    assert read_image(tmp_path / "half.png", (2, 4, 3))[0].tolist() == [[255, 0, 0]] * 2 + [[255, 255, 255]] * 2
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "palette.png", transparency=1)
    assert read_image(tmp_path / "palette.png", (2, 2, 1)).min() == 255


def test_exif_orientation_is_honored(tmp_path):
    picture = Image.new("L", (16, 8), 0)
    picture.paste(255, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    picture.save(tmp_path / "turned.png", exif=exif)
    found = read_image(tmp_path / "turned.png", (16, 8, 1))[..., 0]
    assert found[:8].min() == 255
    assert found[8:].max() == 0


def test_shrinking_averages(tmp_path):
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "checks.png")
    found = read_image(tmp_path / "checks.png", (8, 8, 1)).astype(int)
    assert abs(found - 127).max() <= 3


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no image at all", "expected an image .PNG, JPEG.*, found something else"),
        (b"", "expected an image"),
        (png(8000, 8000), "expected at most 50 megapixels, found 8000 x 8000"),
        (png(12000, 12000), "expected at most 50 megapixels"),
        (png(60000, 60000), "expected at most 50 megapixels, found"),
        (png(20, 20), "the image cannot be read"),
        (png(20, 20)[:40], "the image cannot be read|expected an image"),
    ],
)
def test_what_is_no_image(tmp_path, content, message):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_image(path, (28, 28, 1))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_jpeg_missing_file_folder_and_other_formats(tmp_path, digit):
    Image.fromarray(digit).save(tmp_path / "a.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    with pytest.raises(DataError, match=r"the image cannot be read .*truncated"):
        read_image(tmp_path / "cut.jpg", (28, 28, 1))
    with pytest.raises(DataError, match="there is no such file"):
        read_image(tmp_path / "none.jpg", (28, 28, 1))
    with pytest.raises(DataError, match="the image cannot be read"):
        read_image(tmp_path, (28, 28, 1))
    Image.fromarray(digit).save(tmp_path / "a.tga")
    with pytest.raises(DataError, match="found something else"):
        read_image(tmp_path / "a.tga", (28, 28, 1))


def test_models_of_other_channels_take_arrays(tmp_path):
    with pytest.raises(ArgumentError, match=r"the model's input is \(28, 28, 5\)"):
        read_image(tmp_path / "any.png", (28, 28, 5))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    position=st.integers(0, 200),
    junk=st.binary(min_size=1, max_size=12),
    kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"]),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_images_are_read_or_refused(tmp_path_factory, position, junk, kind):
    path = tmp_path_factory.getbasetemp() / "drawn-image"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path, kind)
    content = bytearray(path.read_bytes())
    content[position : position + len(junk)] = junk
    path.write_bytes(content)
    try:
        assert read_image(path, (8, 8, 1)).shape == (8, 8, 1)
    except DataError:
        pass


def test_a_small_file_that_promises_many_pixels(tmp_path):
    path = tmp_path / "a.gif"
    Image.new("P", (30, 20)).save(path)
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 6000, 8000)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"claims 6000 x 8000 pixels, which \d+ bytes cannot hold"):
        read_image(path, (28, 28, 1))
    Image.new("1", (7000, 7000)).save(tmp_path / "empty.png")  # as much as deflate can pack
    assert read_image(tmp_path / "empty.png", (28, 28, 1)).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "tRNS"])
@pytest.mark.parametrize("shape", [(6, 8, 1), (6, 8, 3), (13, 40, 3), (50, 9, 3), (31, 57, 1)])
def test_large_images_become_the_same_bits_strip_by_strip(tmp_path, monkeypatch, mode, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (31, 57, 4), dtype=np.uint8)
    if mode == "I;16":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    elif mode == "tRNS":
        Image.fromarray(pixels[..., 0]).convert("P").save(tmp_path / "a.png", transparency=bytes(range(256)))
    else:
        Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png")
    ways = ("stretch", "crop", "pad")
    whole = [read_image(tmp_path / "a.png", shape, resize=way) for way in ways]
    monkeypatch.setattr(opaque, "LARGE", 0)
    monkeypatch.setattr(opaque, "STRIP", 57 * 4)
    for way, expected in zip(ways, whole, strict=True):
        np.testing.assert_array_equal(read_image(tmp_path / "a.png", shape, resize=way), expected)


PEAK = """
import sys
from rot180.data.csv_images import read_csv
from rot180.data.idx import read_idx
from rot180.data.image import decode_image, look_at_image, read_image

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

read_image(sys.argv[1], (64, 64, 3))
before = peak()
read_image(sys.argv[2], (64, 64, 3))
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_a_large_image_with_transparency_is_in_memory_once(tmp_path):
    Image.new("RGBA", (70, 70), (9, 9, 9, 90)).save(tmp_path / "small.png")
    Image.new("RGBA", (3500, 3500), (9, 9, 9, 90)).save(tmp_path / "large.png", compress_level=1)  # 48 MB decoded
    command = [sys.executable, "-c", PEAK, tmp_path / "small.png", tmp_path / "large.png"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(found.stdout) / 1024 < 48 + 16


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("way", ["stretch", "crop", "pad"])
def test_every_orientation_strip_by_strip(tmp_path, monkeypatch, orientation, way):
    pixels = np.random.default_rng(0).integers(0, 256, (31, 57, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "stored.png", exif=exif)
    with Image.open(tmp_path / "stored.png") as stored:
        upright = ImageOps.exif_transpose(stored)
    upright.save(tmp_path / "upright.png")
    expected = read_image(tmp_path / "upright.png", (9, 14, 3), resize=way)
    np.testing.assert_array_equal(read_image(tmp_path / "stored.png", (9, 14, 3), resize=way), expected)
    monkeypatch.setattr(opaque, "LARGE", 0)
    monkeypatch.setattr(opaque, "STRIP", 57 * 4)
    found = read_image(tmp_path / "stored.png", (9, 14, 3), resize=way)
    np.testing.assert_allclose(found.astype(int), expected, atol=1)  # Pillow reduces the height of tall images first
    same = (upright.height, upright.width, 3)
    np.testing.assert_array_equal(read_image(tmp_path / "stored.png", same, resize=way), np.asarray(upright))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_large_jpeg_is_never_reduced_below_the_size_wanted(tmp_path, orientation):
    # 800 x 3200 upright, wanted 200 x 50: reduced as if it stood upright, it would have 100 columns for 200.
    exif = Image.Exif()
    exif[0x0112] = orientation
    stripes = np.zeros((800, 3200), np.uint8)
    stripes[np.arange(800) % 8 < 4] = 255
    Image.fromarray(stripes).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = read_image(tmp_path / "a.jpg", (50, 200, 1))[..., 0]
    assert found.std() > 40  # stripes, and not their mean


DISGUISES = {
    b"": "an empty file",
    bytes(500): "nothing but zero bytes",
    b"<!DOCTYPE html>\n<html><title>Sign in</title>": r"a web page \(HTML\)",
    b"<html>": r"a web page \(HTML\)",
    b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code>': "a server's error message",
    b'{"error": "rate limit"}': "a server's error message",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n": "a Git LFS pointer.*git lfs pull",
    b"../../.git/annex/objects/aa/bb": "a git-annex pointer",
    b"L\0\0\0\x01\x14\x02\0" + bytes(20): "a Windows shortcut",
    b"book\0\0\0\0mark\0": "a macOS alias",
    b"\0\x05\x16\x07\0\x02\0\0Mac OS X": "an AppleDouble file",
    b"\0\0\0\x18ftypheic\0\0": "a HEIC photo despite its name",
    b"\0\0\0\x18ftypisom\0\0": "a video",
    b"%PDF-1.7": "a PDF document",
    b'<svg xmlns="http://www.w3.org/2000/svg">': "a vector drawing",
    b"\x80\x04\x95\x10\0\0\0\0\0\0\0}": "a Python pickle",
}


@pytest.mark.parametrize("content", DISGUISES)
def test_a_file_that_is_something_else_is_called_by_its_name(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (lambda: read_image(tmp_path / "a.jpg", (8, 8, 1)), lambda: decode_image(content, "a.jpg", (8, 8, 1))):
        with pytest.raises(DataError, match=f"a.jpg: expected an image, found {DISGUISES[content]}"):
            read()
    for name in ("a.csv", "train-images-idx3-ubyte"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=DISGUISES[content]):
            (read_csv if name == "a.csv" else read_idx)(path)


@pytest.mark.parametrize("suffix", ["tif", "tiff", "ppm", "pgm", "pbm"])
def test_formats_of_microscopes_and_old_programs(tmp_path, digit, suffix):
    Image.fromarray(digit).convert("1" if suffix == "pbm" else "L").save(tmp_path / f"a.{suffix}")
    found = read_image(tmp_path / f"a.{suffix}", (28, 28, 1))
    if suffix != "pbm":
        np.testing.assert_array_equal(found[..., 0], digit)
    wide = digit.astype(np.uint16) * 257
    if suffix in ("tif", "tiff"):
        for compression in (None, "tiff_lzw", "tiff_deflate"):
            Image.fromarray(wide).save(tmp_path / "wide.tif", compression=compression)
            np.testing.assert_array_equal(read_image(tmp_path / "wide.tif", (28, 28, 1))[..., 0], digit)


def test_avif_is_read_where_pillow_has_it_and_named_where_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "red.avif"
    pytest.importorskip("PIL.AvifImagePlugin")
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    Image.new("RGB", (20, 10), "red").save(path)
    np.testing.assert_allclose(read_image(path, (1, 2, 3)), [[[255, 0, 0], [255, 0, 0]]], atol=3)
    assert look_at_image(path, "an image", suffix=".avif") == ("AVIF", 10, 20, False, False)
    Image.new("L", (3000, 3000)).save(path)  # few bytes, many equal pixels
    assert read_image(path, (2, 2, 1)).max() == 0
    monkeypatch.setattr(image_opening, "_formats", lambda: image_opening.FORMATS)
    with pytest.raises(DataError, match=r"found an AVIF image, which needs Pillow 11\.3 or newer"):
        read_image(path, (1, 2, 3))


@pytest.mark.parametrize(("kind", "called"), [(np.float32, "32-bit floats"), (np.int32, "32-bit integers")])
def test_pixels_of_32_bits_do_not_say_what_white_is(tmp_path, kind, called):
    Image.fromarray(np.linspace(0, 1, 64).reshape(8, 8).astype(kind)).save(tmp_path / "wide.tif")
    for read in (lambda path: read_image(path, (8, 8, 1)), lambda path: look_at_image(path, "wide.tif")):
        with pytest.raises(DataError, match=rf"wide\.tif: expected pixels of 8 or 16 bits, found {called}.*save"):
            read(tmp_path / "wide.tif")


def test_gray_maps_of_any_largest_value_are_read(tmp_path):
    for white in (15, 255, 4095, 65535):
        (tmp_path / "a.pgm").write_text(f"P2 3 1 {white} 0 {white // 2} {white}\n")
        found = read_image(tmp_path / "a.pgm", (1, 3, 1)).ravel()
        assert found[0] == 0
        assert found[2] == 255
        assert 118 <= found[1] <= 128


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"}])
def test_the_size_of_a_webp_image_is_known_before_it_is_opened(options):
    for size in ((1, 1), (20, 10), (300, 4000)):
        file = BytesIO()
        Image.new("RGB", size, "red").save(file, "WEBP", **options)
        assert webp_size(file.getvalue()) == size
        assert webp_size(file.getvalue()[:29]) is None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"icc_profile": b"profile" * 30_000},
        {"comment": b"a comment"},
        {"dpi": (72, 72), "optimize": True},
        {"exif": True},
        {"xmp": b"<xmp/>"},
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_header_is_read_as_pillow_reads_it(mode: str, options: dict) -> None:
    if "exif" in options:
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif}
    file = BytesIO()
    Image.new(mode, (20, 10)).save(file, "JPEG", **options)
    content = file.getvalue()
    facts = look_at_image(content, "an image")
    assert facts[:3] == (("JPEG", 20, 10) if "exif" in options else ("JPEG", 10, 20))
    assert facts.is_gray == (mode == "L")
    # Pillow is not needed for ordinary ones, and decides about all others.
    is_ordinary = mode != "CMYK" and not options.keys() & {"exif", "xmp"}
    assert jpeg_size(content) == ((10, 20, 1 if mode == "L" else 3) if is_ordinary else None)
    for end in range(len(content) if len(content) < 2000 else 0):
        found = jpeg_size(content[:end])
        assert found in (None, (10, 20, 1), (10, 20, 3))
    with pytest.raises(DataError, match=r"expected PNG judging by its name, found JPEG"):
        look_at_image(content, "an image", suffix=".png")


def test_damaged_jpeg_headers_are_left_to_pillow() -> None:
    file = BytesIO()
    Image.new("RGB", (20, 10)).save(file, "JPEG")
    content = bytearray(file.getvalue())
    frame = content.index(b"\xff\xc0")
    for place, value in ((4, 12), (9, 4), (9, 0)):  # 12 bits; four channels; none
        changed = bytearray(content)
        changed[frame + place] = value
        assert jpeg_size(bytes(changed)) is None
    content[frame + 5 : frame + 9] = b"\0\0\0\0"
    assert jpeg_size(bytes(content)) is None
    assert jpeg_size(b"\xff\xd8" + b"\xff\xe0\0\0" * 1000) is None  # a segment without a length
    content[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(DataError, match=r"expected at most 50 megapixels"):
        look_at_image(bytes(content), "an image")
