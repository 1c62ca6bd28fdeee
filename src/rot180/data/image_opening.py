"""Opening an image file of anybody's: which formats are, how large it may be, and what is wrong with it otherwise.

What a file may take is decided before it is decoded: by its size, its header, and the format's worst case.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from rot180.data.budget import DECODING, SMALL
from rot180.data.disguised import HEAD, disguise
from rot180.data.webp_header import webp_size
from rot180.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""Formats that are opened, besides AVIF if Pillow has it; some of Pillow's many others start external programs."""

MAY_HOLD_ANYTHING = ("WEBP", "AVIF")
"""Formats in which a few bytes can encode millions of identical pixels."""

MAX_PIXELS = 50_000_000
"""Larger images are rejected before decoding: a file of a few kilobytes may hold gigabytes of black."""

MOST_PIXELS_PER_BYTE = 8 * 1032
"""What deflate expands a byte to if a pixel is one bit (PNG); GIF, BMP and JPEG hold less, WebP can hold more."""

FEW_PIXELS = 10**6
"""An image with at most this many pixels is harmless, whatever the size of its file."""

MAX_WHOLE = 64 * 1024**2
"""Maximum size of a WebP or AVIF file: their decoders hold the whole file, and twice while it is opened."""

BYTES_OF_WHOLE = 17
"""Bytes for each pixel while such an image is decoded."""

MAX_FILE = DECODING
"""Maximum size of a file in another format: Pillow keeps its metadata, which may be nearly all of the file."""

LARGE_FILE = 8 * SMALL
"""Larger files are opened one at a time; WebP and AVIF files already above `SMALL` bytes."""

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
    ".avif": "AVIF",
}
"""The format that a file's suffix stands for."""

WIDE = {"F": "32-bit floats", "I": "32-bit integers"}
"""Pillow's modes for pixels of any range, which Pillow itself would clip at 255."""

_FILTERS = Lock()
_LARGE = Lock()


@contextmanager
def opened(source: Path | bytes, name: str, suffix: str | None) -> Iterator[Image.Image]:
    """Open an image, check its size before decoding, and turn whatever a decoder raises into a DataError."""
    from PIL import Image, UnidentifiedImageError

    try:
        _refuse_large_canvas(source, name)
        with _one_at_a_time(source, name), _open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name, f"{image.width} x {image.height}")
            size = size_of(source)
            if image.format not in MAY_HOLD_ANYTHING and image.width * image.height > max(
                size * MOST_PIXELS_PER_BYTE, FEW_PIXELS
            ):
                raise DataError(
                    f"{name}: the header claims {image.width} x {image.height} pixels, which {size} bytes cannot "
                    "hold; the file is damaged"
                )
            wanted = None if suffix is None else SUFFIXES.get(suffix.lower())
            if wanted is not None and wanted != (kind := kind_of(image)):
                raise DataError(f"{name}: expected {wanted} judging by its name, found {kind}; rename the file")
            if image.format == "TIFF" and image.mode in WIDE:
                raise DataError(
                    f"{name}: expected pixels of 8 or 16 bits, found {WIDE[image.mode]}, which do not say what white "
                    "is; save the image with 8 or 16 bits, or train on arrays"
                )
            yield image
    except (DataError, ArgumentError):
        raise
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file; check the path") from None
    except Image.DecompressionBombError:
        raise _too_large(name, "far more") from None
    except UnidentifiedImageError:
        if what := disguise(_head(source)):
            raise DataError(f"{name}: expected an image, found {what}") from None
        raise DataError(
            f"{name}: expected an image ({', '.join(_formats())}), found something else; convert it"
        ) from None
    # For damaged files, Pillow's decoders raise almost anything (OSError, SyntaxError, struct.error, IndexError, ...).
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{name}: the image cannot be read ({reason}); the file is damaged or not an image") from None


def _refuse_large_canvas(source: Path | bytes, name: str) -> None:
    """Raise DataError for a WebP image that is too large to decode; opening it would already take the memory."""
    if (size := webp_size(_head(source))) is None:
        return
    pixels = size[0] * size[1]
    if pixels > MAX_PIXELS:
        raise _too_large(name, f"{size[0]} x {size[1]}")
    if BYTES_OF_WHOLE * pixels > DECODING:
        raise too_much(name, size, "WEBP", BYTES_OF_WHOLE * pixels)


def too_much(name: str, size: tuple[int, int], kind: str, needed: int) -> DataError:
    return DataError(
        f"{name}: expected an image that can be decoded in {DECODING // 1024**2} MB, found {size[0]} x {size[1]} "
        f"pixels in {kind}, which need {needed // 1024**2} MB; make it smaller first"
    )


def _one_at_a_time(source: Path | bytes, name: str) -> AbstractContextManager[Any]:
    """Return a context in which a large file is opened by one thread at a time; raise DataError if it is too large."""
    size = size_of(source)
    if size <= SMALL:
        return nullcontext()
    head = _head(source)
    is_whole = head[8:12] == b"WEBP" or head[4:8] == b"ftyp"
    most = MAX_WHOLE if is_whole else MAX_FILE
    if size > most:
        raise DataError(
            f"{name}: expected an image file of at most {most // 1024**2} MB, found {size // 1024**2} MB; make it "
            "smaller first"
        )
    return _LARGE if is_whole or size > LARGE_FILE else nullcontext()


def _open(source: Path | bytes) -> Image.Image:
    from PIL import Image

    # Pillow warns about large images at a limit of its own; ours is checked later, from the header. Warning filters
    # are shared by all threads, so one thread sets them at a time.
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that are opened. AVIF is new in Pillow 11.3, and not every build has the decoder."""
    try:
        from PIL import AvifImagePlugin
    except ImportError:
        return FORMATS
    return (*FORMATS, "AVIF") if AvifImagePlugin.SUPPORTED else FORMATS


def size_of(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _head(source: Path | bytes) -> bytes:
    """Return the first bytes of a file."""
    if isinstance(source, bytes):
        return source[:HEAD]
    with source.open("rb") as file:
        return file.read(HEAD)


def kind_of(image: Image.Image) -> str:
    """Return the format; a JPEG that contains a second image (MPO), as many cameras write it, is a JPEG."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def _too_large(path: str, found: str) -> DataError:
    """Return the error for an image with too many pixels."""
    return DataError(f"{path}: expected at most {MAX_PIXELS // 10**6} megapixels, found {found}; make it smaller first")
