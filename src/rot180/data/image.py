"""Reading a single image file as an array for a model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rot180.data import opaque
from rot180.data.budget import DECODING, SMALL, decoding
from rot180.data.image_opening import (
    BYTES_OF_WHOLE,
    FEW_PIXELS,
    MAY_HOLD_ANYTHING,
    SUFFIXES,
    kind_of,
    opened,
    size_of,
    too_much,
)
from rot180.data.jpeg_header import jpeg_size
from rot180.errors import ArgumentError
from rot180.nn.preprocessing import read_resizing
from rot180.ops.types import Array

if TYPE_CHECKING:
    from PIL import Image

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for each number of channels."""

Box = tuple[int, int, int, int]
"""A part of an image: top, left, height, width."""


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
    with opened(source, name, suffix) as image:
        orientation, full = _orientation(image), image.size
        # A large JPEG is decoded at half, a quarter or an eighth of its size, never below twice the target size.
        needed_size = _whole_size(full, orientation, part, (2 * width, 2 * height))
        image.draft(image.mode, needed_size[::-1] if orientation >= 5 else needed_size)
        needed = _decoding_bytes(image, full, width, height)
        if image.format in MAY_HOLD_ANYTHING:
            needed += size_of(source)
        if needed > DECODING:
            raise too_much(name, full, kind_of(image), needed)
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
    with opened(source, name, suffix) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        is_gray = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
        return ImageFacts(kind_of(image), height, width, is_gray, image.mode.startswith("I"))


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
