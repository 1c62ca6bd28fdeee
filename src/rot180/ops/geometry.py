r"""Where windows lie: kernel, stride, padding and dilation of convolution and pooling, one axis at a time.

Along an axis of n pixels, padded by `before` and `after`, a window has k taps that stand d apart, so it covers

    reach = d*(k - 1) + 1

pixels. Windows start at 0, s, 2s, ... and must end inside, so there are

    out = (n + before + after - reach) // s + 1

of them. "same" asks for out = ceil(n / s) whatever k and d are; the padding that gives it is

    total = max((out - 1)*s + reach - n, 0),     before = total // 2,     after = total - before,

the odd pixel at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.types import Padding, Pair

_INTS = (int, np.integer)


@dataclass(frozen=True)
class Geometry:
    """The windows of one convolution or pooling over images of (height, width) pixels.

    All lengths are in pixels, each pair is (rows, columns).
    """

    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    """((top, bottom), (left, right))"""
    out_height: int
    out_width: int

    @property
    def padded_height(self) -> int:
        """Rows of the padded image."""
        return self.height + sum(self.padding[0])

    @property
    def padded_width(self) -> int:
        """Columns of the padded image."""
        return self.width + sum(self.padding[1])

    @property
    def is_padded(self) -> bool:
        """Whether there is any padding."""
        return self.padding != ((0, 0), (0, 0))


def as_pair(value: Any, name: str, smallest: int = 1) -> tuple[int, int]:
    """Read an int or a pair of ints.

    >>> as_pair(2, "stride"), as_pair((3, 5), "kernel_size")
    ((2, 2), (3, 5))
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, _INTS) or v < smallest for v in pair):
        raise ArgumentError(f"{name} must be an int or a pair of ints, each at least {smallest}; it is {value!r}")
    return int(pair[0]), int(pair[1])


def geometry(
    height: int,
    width: int,
    kernel: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    name: str = "conv2d",
) -> Geometry:
    """Work out padding and output size.

    Parameters
    ----------
    height, width : int
        Size of the image in pixels.
    kernel, stride, dilation : int or (int, int)
        Taps of the window, pixels between windows, pixels between taps (1 is dense).
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Pixels added around the image.
    name : str
        The operation, for messages.

    Returns
    -------
    Geometry

    Raises
    ------
    ArgumentError
        A value is not of the form above.
    ShapeError
        The window is larger than the padded image.

    References
    ----------
    Dumoulin and Visin (2016), arXiv:1603.07285.

    Examples
    --------
    >>> g = geometry(28, 28, 5, padding="same", stride=2)
    >>> (g.out_height, g.out_width), g.padding
    ((14, 14), ((1, 2), (1, 2)))
    """
    kernel, stride, dilation = as_pair(kernel, "kernel_size"), as_pair(stride, "stride"), as_pair(dilation, "dilation")
    size = (height, width)
    reach = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    if padding == "same":
        rows, columns = (_same_padding(n, r, s) for n, r, s in zip(size, reach, stride, strict=True))
    elif padding == "valid":
        rows = columns = (0, 0)
    else:
        rows, columns = _explicit_padding(padding)
    out = []
    for n, r, s, p, axis in zip(size, reach, stride, (rows, columns), ("high", "wide"), strict=True):
        if n + sum(p) < r:
            raise ShapeError(
                f"{name}: the window is {r} pixels {axis} but the padded image only {n + sum(p)} "
                f"(image {height}x{width}, kernel {kernel[0]}x{kernel[1]}, dilation {dilation}, padding {padding!r}); "
                f"use a smaller kernel or padding='same'"
            )
        out.append((n + sum(p) - r) // s + 1)
    return Geometry(height, width, kernel, stride, dilation, (rows, columns), out[0], out[1])


def _same_padding(n: int, reach: int, s: int) -> tuple[int, int]:
    out = -(-n // s)
    total = max((out - 1) * s + reach - n, 0)
    return total // 2, total - total // 2


def _explicit_padding(padding: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    if isinstance(padding, str):
        raise ArgumentError(f"padding must be 'valid', 'same' or numbers of pixels; it is {padding!r}")
    try:
        if isinstance(padding, (tuple, list)) and any(isinstance(p, (tuple, list)) for p in padding):
            (top, bottom), (left, right) = padding
            return as_pair((top, bottom), "padding", 0), as_pair((left, right), "padding", 0)
        rows, columns = as_pair(padding, "padding", 0)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"padding must be an int, (rows, columns), ((top, bottom), (left, right)), 'valid' or 'same', "
            f"each number at least 0; it is {padding!r}"
        ) from error
    return (rows, rows), (columns, columns)
