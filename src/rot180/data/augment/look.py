"""What augmentation knows about images besides their pixels: black, white, and what fills an exposed area."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rot180.data.lazy import Images
from rot180.nn.pixel_range import PixelRange
from rot180.ops.types import Array

Limits = tuple[float, float]
"""Black and white, in the units of the images."""


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


def limits_of(images: Images, chosen: Array) -> Limits:
    """Return black and white: the range of the dtype, for floats the range inferred from the chosen images."""
    if images.dtype.kind != "f":
        return 0.0, float(np.iinfo(images.dtype).max)
    return PixelRange.of(images[chosen]).limits
