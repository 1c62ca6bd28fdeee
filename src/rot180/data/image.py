"""Reading a single image file as an array for a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rot180.data import opaque
from rot180.data.budget import DECODING, SMALL, decoding
from rot180.data.disguised import HEAD, disguise
from rot180.data.jpeg_header import jpeg_size
from rot180.data.webp_header import webp_size
from rot180.errors import ArgumentError, DataError
from rot180.nn.preprocessing import read_resizing
from rot180.ops.types import Array

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

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for each number of channels."""


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

Box = tuple[int, int, int, int]
"""A part of an image: top, left, height, width."""

_FILTERS = Lock()
_LARGE = Lock()


class ImageFacts(NamedTuple):
    """Properties of an image file, from its header."""

    format: str
    height: int
    width: int
    is_gray: bool
    is_deep: bool = False
    """Whether pixels have 16 bits."""


def read_image(path: str | Path, shape: tuple[int, int, int], *, resize: str = "stretch") -> Array:
    """Read an image file and convert it to the size and channels of a model's input.

    Photographs are rotated according to their EXIF orientation. Transparent areas become white, as in nearly every
    viewer, so that the model sees what its user sees. Color is converted to gray with the weights of ITU-R BT.601. The
    image is resized with antialiasing (by default a triangle filter, which unlike sharper filters adds no halos).
    Nothing else is changed: a model trained on white digits on black needs white digits on black.

    Parameters
    ----------
    path : str or Path
        PNG, JPEG, BMP, PPM and its relatives, GIF, WebP or TIFF (their first image); with 8 or 16 bits, gray, palette
        or color.
    shape : (H, W, C)
        The model's input shape; C is 1 (gray) or 3 (RGB).
    resize : str
        Whether an image of another aspect ratio is stretched ("stretch"), cropped on two sides ("crop"), or padded with
        black ("pad"); more in `rot180.nn.preprocessing.read_resizing`.

    Returns
    -------
    (H, W, C) uint8
        0 is black, 255 is white.

    Raises
    ------
    DataError
        The file is missing, not an image, damaged, or larger than 50 megapixels.
    ArgumentError
        The shape has another number of channels or no pixels, or `resize` is unknown.

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
    source: Path | bytes,
    name: str,
    shape: tuple[int, int, int],
    *,
    resize: str = "stretch",
    suffix: str | None = None,
    part: Callable[[int, int], Box] | None = None,
) -> Array:
    """Do what `read_image` does, from a path or from the bytes of a file; errors refer to it by `name`.

    With `suffix`, the contents must be of the corresponding format. With `part`, a function of the upright image's
    height and width, only the part that it returns is resized, by stretching.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    if channels not in MODES or height < 1 or width < 1:
        raise ArgumentError(
            f"image files become (H, W, 1) or (H, W, 3), but the model's input is {shape}; use arrays instead"
        )
    resizing = read_resizing(resize)
    with _opened(source, name, suffix) as image:
        orientation, full = _orientation(image), image.size
        # A large JPEG is decoded at half, a quarter or an eighth of its size, never below twice the target size.
        needed_size = _whole_size(full, orientation, part, (2 * width, 2 * height))
        image.draft(image.mode, needed_size[::-1] if orientation >= 5 else needed_size)
        needed = _decoding_bytes(image, full, width, height)
        if image.format in MAY_HOLD_ANYTHING:
            needed += _size(source)
        if needed > DECODING:
            raise _too_much(name, full, _kind(image), needed)
        with decoding.holding(needed) if needed > SMALL else nullcontext():
            image.load()
            orientation = _orientation(image)  # in a PNG it may come after the pixels
            picture: Any
            if image.width * image.height > opaque.LARGE:
                picture = opaque.Strips(image, MODES[channels], orientation)
            else:
                picture = opaque.opaque(opaque.upright(image, orientation)).convert(MODES[channels])
                if picture.size == (width, height) and part is None and resizing.share == 1:
                    return np.array(picture, np.uint8).reshape(shape)
            filter_ = Image.Resampling[resizing.filter.upper()]
            if part is not None:
                top, left, rows, columns = part(*_upright_size(full, orientation)[::-1])
                across, down = (
                    now / was for now, was in zip(picture.size, _upright_size(full, orientation), strict=True)
                )
                box = (left * across, top * down, (left + columns) * across, (top + rows) * down)
                picture = picture.resize((width, height), filter_, box)
            elif resizing.way == "stretch":
                picture = picture.resize((width, height), filter_)
            elif resizing.way == "crop":
                picture = ImageOps.fit(picture, (width, height), filter_, bleed=(1 - resizing.share) / 2)
            else:
                picture = ImageOps.pad(picture, (width, height), filter_, color=0)
    return np.asarray(picture, np.uint8).reshape(shape)


def _upright_size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (stored[1], stored[0]) if orientation >= 5 else stored


def _whole_size(
    stored: tuple[int, int], orientation: int, part: Callable[[int, int], Box] | None, wanted: tuple[int, int]
) -> tuple[int, int]:
    """Return the width and height that the upright image must have for its part to have the wanted ones."""
    if part is None:
        return wanted
    width, height = _upright_size(stored, orientation)
    _, _, rows, columns = part(height, width)
    return min(width, -(-wanted[0] * width // columns)), min(height, -(-wanted[1] * height // rows))


def look_at_image(source: Path | bytes, name: str, *, suffix: str | None = None) -> ImageFacts:
    """Return the format, size and color of an image, from its header only.

    Raises
    ------
    DataError
        As from `decode_image`, as far as the header reveals it.

    Examples
    --------
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> file = BytesIO()
    >>> Image.new("RGB", (20, 10)).save(file, "PNG")
    >>> look_at_image(file.getvalue(), "an image")
    ImageFacts(format='PNG', height=10, width=20, is_gray=False, is_deep=False)
    """
    known = jpeg_size(source) if isinstance(source, bytes) and SUFFIXES.get(suffix or ".jpg") == "JPEG" else None
    if known is not None and known[0] * known[1] <= FEW_PIXELS:
        return ImageFacts("JPEG", known[0], known[1], known[2] == 1)
    with _opened(source, name, suffix) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        is_gray = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
        return ImageFacts(_kind(image), height, width, is_gray, image.mode.startswith("I"))


@contextmanager
def _opened(source: Path | bytes, name: str, suffix: str | None) -> Iterator[Image.Image]:
    """Open an image, check its size before decoding, and turn whatever a decoder raises into a DataError."""
    from PIL import Image, UnidentifiedImageError

    try:
        _refuse_large_canvas(source, name)
        with _one_at_a_time(source, name), _open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name, f"{image.width} x {image.height}")
            size = _size(source)
            if image.format not in MAY_HOLD_ANYTHING and image.width * image.height > max(
                size * MOST_PIXELS_PER_BYTE, FEW_PIXELS
            ):
                raise DataError(
                    f"{name}: the header claims {image.width} x {image.height} pixels, which {size} bytes cannot "
                    "hold; the file is damaged"
                )
            wanted = None if suffix is None else SUFFIXES.get(suffix.lower())
            if wanted is not None and wanted != _kind(image):
                raise DataError(f"{name}: expected {wanted} judging by its name, found {_kind(image)}; rename the file")
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
        raise _too_much(name, size, "WEBP", BYTES_OF_WHOLE * pixels)


def _too_much(name: str, size: tuple[int, int], kind: str, needed: int) -> DataError:
    return DataError(
        f"{name}: expected an image that can be decoded in {DECODING // 1024**2} MB, found {size[0]} x {size[1]} "
        f"pixels in {kind}, which need {needed // 1024**2} MB; make it smaller first"
    )


def _one_at_a_time(source: Path | bytes, name: str) -> AbstractContextManager[Any]:
    """Return a context in which a large file is opened by one thread at a time; raise DataError if it is too large."""
    size = _size(source)
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


def _decoding_bytes(image: Any, full: tuple[int, int], width: int, height: int) -> int:
    """Return an upper bound of the memory for decoding and resizing an image, in bytes, not counting its file.

    Pillow stores a color pixel in four bytes. libwebp holds the canvas three times and Pillow twice more. A JPEG with
    several scans, such as a progressive one, is held as coefficients in full size, whatever size it is decoded at.
    """
    pixels = image.width * image.height
    stored = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}.get(image.mode, 4) * pixels
    if image.format in MAY_HOLD_ANYTHING:
        stored = BYTES_OF_WHOLE * pixels
    elif image.format in ("BMP", "TIFF"):
        stored += 3 * pixels  # BMP's runs are decoded into bytes first, TIFF's strips into a buffer
    elif image.format == "MPO" or (image.format == "JPEG" and _has_several_scans(image)):
        largest = max(part[1] for part in image.layer) * max(part[2] for part in image.layer)
        share = sum(part[1] * part[2] for part in image.layer) / max(largest, 1)
        stored += int(2.2 * share * full[0] * full[1])
    if pixels <= opaque.LARGE:
        return int(stored + 16 * pixels + 8 * width * height)
    return int(stored + 4 * width * max(image.size) + 8 * width * height + 20 * opaque.STRIP)


def _has_several_scans(image: Any) -> bool:
    """Return whether a JPEG is progressive, or its first scan, after whose marker Pillow stops, lacks a component."""
    at = image.fp.tell()
    scan = image.fp.read(3)
    image.fp.seek(at)
    return bool(image.info.get("progressive")) or len(scan) < 3 or scan[2] != image.layers


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. If the header has none, asking Pillow for it would decode a PNG."""
    orientation = image.getexif().get(opaque.ORIENTATION, 1) if "exif" in image.info else 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _head(source: Path | bytes) -> bytes:
    """Return the first bytes of a file."""
    if isinstance(source, bytes):
        return source[:HEAD]
    with source.open("rb") as file:
        return file.read(HEAD)


def _kind(image: Image.Image) -> str:
    """Return the format; a JPEG that contains a second image (MPO), as many cameras write it, is a JPEG."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def _too_large(path: str, found: str) -> DataError:
    """Return the error for an image with too many pixels."""
    return DataError(f"{path}: expected at most {MAX_PIXELS // 10**6} megapixels, found {found}; make it smaller first")
