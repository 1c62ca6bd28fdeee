"""One image file, as the array that a model takes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rot180.errors import ArgumentError, DataError
from rot180.ops.types import Array

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
"""What is opened; Pillow knows many more, some of which start other programs."""

MAX_PIXELS = 50_000_000
"""Larger images are refused before they are unpacked: a file of a few kilobytes may hold gigabytes of black."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's name for an image of so many channels."""


def read_image(path: str | Path, shape: tuple[int, int, int]) -> Array:
    """Read an image file and convert it to the size and channels of a model's input.

    A photograph is turned upright as its EXIF orientation says. Where it is transparent, white shows through, as in
    nearly every viewer, so that the model sees what its user sees. Color becomes gray by the weights of ITU-R BT.601.
    The image is stretched to the size, with antialiasing (a triangle filter, which unlike sharper ones adds no halos).
    Nothing else is altered: for a model that learned white digits on black, give white digits on black.

    Parameters
    ----------
    path : str or Path
        PNG, JPEG, GIF (its first picture), BMP or WebP, of 8 or 16 bits, gray, palette or color.
    shape : (H, W, C)
        What the model takes, C being 1 (gray) or 3 (RGB).

    Returns
    -------
    (H, W, C) uint8
        0 is black, 255 is white.

    Raises
    ------
    DataError
        The file is missing, no image, damaged, or larger than 50 megapixels.
    ArgumentError
        The shape has another number of channels or no pixels.

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
    from PIL import Image, ImageOps, UnidentifiedImageError

    height, width, channels = shape
    if channels not in MODES or height < 1 or width < 1:
        raise ArgumentError(
            f"image files become (H, W, 1) or (H, W, 3); the model takes {shape}; give it arrays instead"
        )
    path = Path(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images at a size of its own; ours is asked below, from the header alone.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _too_large(path, f"{image.width} x {image.height}")
                opaque = _opaque(ImageOps.exif_transpose(image))
                resized = opaque.convert(MODES[channels]).resize((width, height), Image.Resampling.BILINEAR)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; check the path") from None
    except Image.DecompressionBombError:
        raise _too_large(path, "far more") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: expected an image ({', '.join(FORMATS)}), found none of these; convert it") from None
    # Damaged files make Pillow's decoders raise almost anything (OSError, SyntaxError, struct.error, IndexError, ...).
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path}: the image cannot be read ({reason}); the file is damaged or no image") from None
    return np.asarray(resized, np.uint8).reshape(shape)


def _opaque(image: Image.Image) -> Image.Image:
    """Return an image of 8-bit gray or color: 16 bits are scaled down, and transparency is laid on white."""
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow's own conversion to 8 bits cuts every value above 255 off instead of scaling it.
        values = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        color = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", color.size, "white"), color).convert("RGB")
    if image.mode == "1":
        return image.convert("L")
    # A palette is resolved before resizing: its numbers cannot be averaged.
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _too_large(path: Path, found: str) -> DataError:
    """Make the error for an image of too many pixels."""
    return DataError(f"{path}: expected at most {MAX_PIXELS // 10**6} megapixels, found {found}; make it smaller first")
