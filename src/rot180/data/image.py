"""One image file, as the array that a model takes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rot180.data import opaque
from rot180.data.budget import DECODING, SMALL, decoding
from rot180.data.disguised import HEAD, disguise
from rot180.errors import ArgumentError, DataError, did_you_mean
from rot180.nn.preprocessing import RESIZES
from rot180.ops.types import Array

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""What is opened, with AVIF where Pillow has it; Pillow knows many more, some of which start other programs."""

MAY_HOLD_ANYTHING = ("WEBP", "AVIF")
"""Formats in which a few bytes may well stand for millions of equal pixels."""

MAX_PIXELS = 50_000_000
"""Larger images are refused before they are unpacked: a file of a few kilobytes may hold gigabytes of black."""

MOST_PIXELS_PER_BYTE = 8 * 1032
"""What deflate makes of one byte where a pixel is one bit (PNG); GIF, BMP and JPEG hold less, WebP may hold more."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's name for an image of so many channels."""


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
"""What a file's name says that it is."""

_FILTERS = Lock()


class ImageFacts(NamedTuple):
    """What an image file says of itself before it is unpacked."""

    format: str
    height: int
    width: int
    is_gray: bool


def read_image(path: str | Path, shape: tuple[int, int, int], *, resize: str = "stretch") -> Array:
    """Read an image file and convert it to the size and channels of a model's input.

    A photograph is turned upright as its EXIF orientation says. Where it is transparent, white shows through, as in
    nearly every viewer, so that the model sees what its user sees. Color becomes gray by the weights of ITU-R BT.601.
    The image is brought to the size with antialiasing (a triangle filter, which unlike sharper ones adds no halos).
    Nothing else is altered: for a model that learned white digits on black, give white digits on black.

    Parameters
    ----------
    path : str or Path
        PNG, JPEG, BMP, PPM and its relatives, GIF, WebP or TIFF (their first picture); of 8 or 16 bits, gray, palette
        or color.
    shape : (H, W, C)
        What the model takes, C being 1 (gray) or 3 (RGB).
    resize : {"stretch", "crop", "pad"}
        Whether a picture of other proportions is stretched, loses what sticks out on two sides, or gets black bars.

    Returns
    -------
    (H, W, C) uint8
        0 is black, 255 is white.

    Raises
    ------
    DataError
        The file is missing, no image, damaged, or larger than 50 megapixels.
    ArgumentError
        The shape has another number of channels or no pixels, or there is no such way to resize.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> path = Path(tempfile.mkdtemp()) / "red.png"
    >>> Image.new("RGB", (20, 10), "red").save(path)
    >>> read_image(path, (1, 2, 3)).tolist()
    [[[255, 0, 0], [255, 0, 0]]]
    """
    return decode_image(Path(path), str(path), shape, resize=resize)


def decode_image(
    source: Path | bytes, name: str, shape: tuple[int, int, int], *, resize: str = "stretch", suffix: str | None = None
) -> Array:
    """Do what `read_image` does, from a path or from the bytes of a file, which errors call by `name`.

    With `suffix`, the contents must be of the format that it stands for.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    if channels not in MODES or height < 1 or width < 1:
        raise ArgumentError(
            f"image files become (H, W, 1) or (H, W, 3); the model takes {shape}; give it arrays instead"
        )
    if resize not in RESIZES:
        raise ArgumentError(f"no way to resize is called {resize!r}{did_you_mean(resize, RESIZES)}")
    with _opened(source, name, suffix) as image:
        orientation, full = _orientation(image), image.size
        # A large JPEG is unpacked at half, a quarter or an eighth of its size, never below twice the size wanted.
        image.draft(image.mode, (2 * height, 2 * width) if orientation >= 5 else (2 * width, 2 * height))
        needed = _decoding_bytes(image, full, width, height)
        if needed > DECODING:
            raise DataError(
                f"{name}: expected an image that {DECODING // 1024**2} MB suffice for, found {full[0]} x {full[1]} "
                f"pixels in {_kind(image)}, which take {needed // 1024**2}; make it smaller first"
            )
        with decoding.holding(needed) if needed > SMALL else nullcontext():
            image.load()
            orientation = _orientation(image)  # a PNG may say it after its pixels
            picture: Any
            if image.width * image.height > opaque.LARGE:
                picture = opaque.Strips(image, MODES[channels], orientation)
            else:
                picture = opaque.opaque(opaque.upright(image, orientation)).convert(MODES[channels])
                if picture.size == (width, height):
                    return np.array(picture, np.uint8).reshape(shape)
            bilinear = Image.Resampling.BILINEAR
            if resize == "stretch":
                picture = picture.resize((width, height), bilinear)
            elif resize == "crop":
                picture = ImageOps.fit(picture, (width, height), bilinear)
            else:
                picture = ImageOps.pad(picture, (width, height), bilinear, color=0)
    return np.asarray(picture, np.uint8).reshape(shape)


def look_at_image(source: Path | bytes, name: str, *, suffix: str | None = None) -> ImageFacts:
    """Return format, size and color of an image from its header alone.

    Raises
    ------
    DataError
        As from `decode_image`, as far as the header shows it.

    Examples
    --------
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> file = BytesIO()
    >>> Image.new("RGB", (20, 10)).save(file, "PNG")
    >>> look_at_image(file.getvalue(), "an image")
    ImageFacts(format='PNG', height=10, width=20, is_gray=False)
    """
    with _opened(source, name, suffix) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        is_gray = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
        return ImageFacts(_kind(image), height, width, is_gray)


@contextmanager
def _opened(source: Path | bytes, name: str, suffix: str | None) -> Iterator[Image.Image]:
    """Open an image, ask its size before anything is unpacked, and turn whatever a decoder raises into a DataError."""
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow warns of large images at a size of its own; ours is asked below, from the header alone. Filters of
        # warnings belong to all threads, so one sets them at a time.
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=_formats())
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name, f"{image.width} x {image.height}")
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            if image.format not in MAY_HOLD_ANYTHING and image.width * image.height > max(
                size * MOST_PIXELS_PER_BYTE, 10**6
            ):
                raise DataError(
                    f"{name}: the header promises {image.width} x {image.height} pixels, which {size} bytes cannot "
                    "hold; the file is damaged"
                )
            wanted = None if suffix is None else SUFFIXES.get(suffix.lower())
            if wanted is not None and wanted != _kind(image):
                raise DataError(f"{name}: expected {wanted} by its name, found {_kind(image)}; rename the file")
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
            f"{name}: expected an image ({', '.join(_formats())}), found none of these; convert it"
        ) from None
    # Damaged files make Pillow's decoders raise almost anything (OSError, SyntaxError, struct.error, IndexError, ...).
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{name}: the image cannot be read ({reason}); the file is damaged or no image") from None


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that are opened. AVIF came with Pillow 11.3, and not every build of it has the decoder."""
    try:
        from PIL import AvifImagePlugin
    except ImportError:
        return FORMATS
    return (*FORMATS, "AVIF") if AvifImagePlugin.SUPPORTED else FORMATS


def _decoding_bytes(image: Any, full: tuple[int, int], width: int, height: int) -> int:
    """Return what decoding an image takes, beyond its file, until it has its final size; an upper bound.

    Pillow keeps four bytes for a pixel of color. libwebp holds the canvas three times and Pillow twice more. A JPEG in
    several scans, as progressive ones are, is kept as coefficients of its full size, whatever size it is unpacked at.
    """
    pixels = image.width * image.height
    stored = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}.get(image.mode, 4) * pixels
    if image.format in MAY_HOLD_ANYTHING:
        stored = 17 * pixels
    elif image.format in ("BMP", "TIFF"):
        stored += 3 * pixels  # BMP's runs are unpacked into bytes first, TIFF's strips into a buffer
    elif image.format == "MPO" or (image.format == "JPEG" and _has_several_scans(image)):
        largest = max(part[1] for part in image.layer) * max(part[2] for part in image.layer)
        share = sum(part[1] * part[2] for part in image.layer) / max(largest, 1)
        stored += int(2.2 * share * full[0] * full[1])
    if pixels <= opaque.LARGE:
        return int(stored + 16 * pixels + 8 * width * height)
    return int(stored + 4 * width * max(image.size) + 8 * width * height + 20 * opaque.STRIP)


def _has_several_scans(image: Any) -> bool:
    """Say whether a JPEG is progressive, or its first scan, behind whose marker Pillow stops, lacks a component."""
    at = image.fp.tell()
    scan = image.fp.read(3)
    image.fp.seek(at)
    return bool(image.info.get("progressive")) or len(scan) < 3 or scan[2] != image.layers


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. Where the header has none, asking Pillow for it would unpack a PNG."""
    orientation = image.getexif().get(opaque.ORIENTATION, 1) if "exif" in image.info else 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _head(source: Path | bytes) -> bytes:
    """Return the first bytes of a file."""
    if isinstance(source, bytes):
        return source[:HEAD]
    with source.open("rb") as file:
        return file.read(HEAD)


def _kind(image: Image.Image) -> str:
    """Return the format; a JPEG with a second picture inside, as many cameras write it, is a JPEG."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def _too_large(path: str, found: str) -> DataError:
    """Make the error for an image of too many pixels."""
    return DataError(f"{path}: expected at most {MAX_PIXELS // 10**6} megapixels, found {found}; make it smaller first")
