"""Converting any image to 8 bits without transparency; large images strip by strip, to save memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION = 0x0112
"""The EXIF tag; 1 is upright, and from 5 on the image is stored on its side."""

LARGE = 2**22
"""Number of pixels above which an image is resized horizontally strip by strip."""

STRIP = 2**18
"""Approximate number of pixels in a strip."""


def opaque(image: Image.Image) -> Image.Image:
    """Return an image of 8-bit gray or color: 16 bits are scaled down, and transparency is blended with white."""
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow's own conversion to 8 bits clips values above 255 instead of scaling them.
        values = np.asarray(image) >> 8
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        color = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", color.size, "white"), color).convert("RGB")
    if image.mode == "1":
        return image.convert("L")
    # A palette is resolved before resizing: palette indices cannot be averaged.
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


class Strips:
    """A large image that is made opaque only while it is resized; it has what Pillow's `fit` and `pad` need.

    Pillow resizes horizontally, rounds to 8 bits, and then resizes vertically. So resizing strips of rows horizontally,
    joining them and resizing the result vertically is bitwise identical to resizing the whole image. Recent versions of
    Pillow resize tall images vertically first; for these, results differ by at most 1 of 255.

    Parameters
    ----------
    image : PIL.Image.Image
    mode : {"L", "RGB"}
        What it becomes.
    orientation : int, default 1
        The EXIF orientation, 1 to 8; each strip is turned upright separately.

    Examples
    --------
    >>> from PIL import Image
    >>> Strips(Image.new("RGBA", (20, 10)), "L").resize((1, 1), Image.Resampling.BILINEAR).getpixel((0, 0))
    255
    """

    def __init__(self, image: Image.Image, mode: str, orientation: int = 1) -> None:
        self._image, self.mode, self._orientation = image, mode, orientation
        self.size = self.width, self.height = image.size[::-1] if orientation >= 5 else image.size
        self.palette = None

    def resize(
        self, size: tuple[int, int], resample: Image.Resampling, box: tuple[float, float, float, float] | None = None
    ) -> Image.Image:
        """Do what Pillow's `resize` does to the opaque image."""
        from PIL import Image

        left, upper, right, lower = box or (0, 0, *self.size)
        narrow = Image.new(self.mode, (size[0], self.height))
        rows = max(1, STRIP // self.width)
        for top in range(0, self.height, rows):
            bottom = min(top + rows, self.height)
            strip = opaque(self._rows(top, bottom)).convert(self.mode)
            narrow.paste(strip.resize((size[0], bottom - top), resample, (left, 0, right, bottom - top)), (0, top))
        return narrow.resize(size, resample, (0, upper, size[0], lower))

    def _rows(self, top: int, bottom: int) -> Image.Image:
        """Return some rows of the upright image: rows of the stored one, or columns if it is stored on its side."""
        stored = self._image
        if self._orientation in (3, 4, 7, 8):
            top, bottom = self.height - bottom, self.height - top
        box = (top, 0, bottom, stored.height) if self._orientation >= 5 else (0, top, stored.width, bottom)
        return upright(stored.crop(box), self._orientation)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image turned upright according to its EXIF orientation, 1 to 8.

    >>> from PIL import Image
    >>> upright(Image.new("L", (20, 10)), 6).size
    (10, 20)
    """
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)
