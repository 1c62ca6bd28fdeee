"""What augmentation knows about images besides their pixels: black, white, and what fills an exposed area."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rot180.nn.pixel_range import PixelRange
from rot180.ops.types import Array

Limits = tuple[float, float]
"""Black and white, in the units of the images."""

VALUES_AT_ONCE = 128 * 1024
"""Values that are processed at a time, so that intermediate arrays stay in the cache."""


class Look(NamedTuple):
    """Black, white, and how an exposed area is filled: "black" or "reflect".

    >>> Look(0, 255, "black").as_images(np.array([-3.0, 7.6]), np.zeros(0, np.uint8)).tolist()
    [0, 8]
    """

    black: float
    white: float
    border: str

    def framed(self, images: Array, pixels: int) -> Array:
        """Return the images padded with this many pixels on each side."""
        around = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
        if self.border == "reflect":
            return np.pad(images, around, "symmetric")
        return np.pad(images, around, constant_values=images.dtype.type(self.black))

    def as_images(self, values: Array, images: Array) -> Array:
        """Return values clipped to the range from black to white, in the images' dtype."""
        values = np.clip(values, self.black, self.white)
        return (values if images.dtype.kind == "f" else np.rint(values)).astype(images.dtype)


def limits_of(images: Array) -> Limits:
    """Return black and white: the range of the dtype, for floats the range inferred from the images."""
    if images.dtype.kind != "f":
        return 0.0, float(np.iinfo(images.dtype).max)
    return PixelRange.of(images).limits


def in_pieces(images: Array, make: Callable[[slice], Array], values: int = VALUES_AT_ONCE) -> Array:
    """Return what a function makes of some images at a time, as an array like the images.

    >>> in_pieces(np.arange(3.0), lambda part: np.arange(3.0)[part] ** 2, values=2).tolist()
    [0.0, 1.0, 4.0]
    """
    made = np.empty_like(images)
    at_once = max(1, values // max(1, images[:1].size))
    for start in range(0, len(images), at_once):
        part = slice(start, min(start + at_once, len(images)))
        made[part] = make(part)
    return made
