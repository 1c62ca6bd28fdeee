r"""The geometry of windows: kernel size, stride, padding and dilation of convolution and pooling, axis by axis.

Along an axis of n pixels, padded by `before` and `after`, a window has k taps at distance d, so it covers

    reach = d*(k - 1) + 1

pixels. Windows start at 0, s, 2s, ... and must end inside, so there are

    out = (n + before + after - reach) // s + 1

of them. "same" requires out = ceil(n / s) for any k and d; the padding that achieves this is

    total = max((out - 1)*s + reach - n, 0),     before = total // 2,     after = total - before,

with an odd pixel added at the end.

Whether a geometry is valid is decided only here. Layers check when they are added to a network, operations and engines
before they run: compiled code relies on it, and would otherwise read and write outside its arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.ops.types import Array, Padding, Pair

_INTS = (int, np.integer)

MAX_SIDE = 2**31 - 1
"""The largest height or width of a padded image, in pixels: counts of pixels then fit the kernels' integers easily."""
MAX_POOL = 2**24
"""The most pixels in a pooling window: kernels store a maximum's position in float32, exact for integers up to here."""


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
    beyond: tuple[int, int] = (0, 0)
    """The part of bottom and right that only completes the last windows of a pooling rounded up (`ceil_mode`)."""

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


def check_axes(name: str, argument: str, array: Array, axes: str) -> None:
    """Raise ShapeError unless an array has as many axes as `axes` names, such as "N,H,W,C"."""
    if array.ndim != len(axes.split(",")):
        raise ShapeError(f"{name}: {argument} must have shape ({axes.replace(',', ', ')}); it has {array.shape}")


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
    """Compute the padding and the output size.

    Parameters
    ----------
    height, width : int
        Size of the image in pixels.
    kernel, stride, dilation : int or (int, int)
        Taps of the window, distance between windows and distance between taps (1 is dense), in pixels.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Pixels added around the image.
    name : str
        The name of the operation, for messages.

    Returns
    -------
    Geometry

    Raises
    ------
    ArgumentError
        A value is not of the form above.
    ShapeError
        The window is larger than the padded image, or the padded image is larger than `MAX_SIDE`.

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
    rows, columns = _sides(size, reach, stride, padding)
    out, strides, dilations = [], [], []
    axes = ("high", "wide")
    for n, r, s, d, p, axis in zip(size, reach, stride, dilation, (rows, columns), axes, strict=True):
        if n + sum(p) < r:
            raise ShapeError(
                f"{name}: the window is {r} pixels {axis} but the padded image only {n + sum(p)} "
                f"(image {height}x{width}, kernel {kernel[0]}x{kernel[1]}, dilation {dilation}, padding {padding!r}); "
                f"use a smaller kernel or padding='same'"
            )
        if n + sum(p) > MAX_SIDE:
            raise ShapeError(
                f"{name}: a padded image must be at most {MAX_SIDE:,} pixels {axis}; it is {n + sum(p):,} "
                f"(image {height}x{width}, padding {padding!r}); use a smaller padding"
            )
        out.append((n + sum(p) - r) // s + 1)
        # The stride of a single window and the dilation of a single tap have no effect and may be any number.
        strides.append(min(s, n + sum(p)))
        dilations.append(min(d, n + sum(p)))
    return Geometry(
        height, width, kernel, (strides[0], strides[1]), (dilations[0], dilations[1]), (rows, columns), out[0], out[1]
    )


def pool_geometry(
    height: int,
    width: int,
    kernel: Pair,
    *,
    stride: Pair | None,
    padding: Padding,
    ceil_mode: bool = False,
    name: str = "pooling",
) -> Geometry:
    """Compute the windows of a pooling operation; like `geometry`, with two more rules.

    With `ceil_mode`, windows that reach beyond the padded image count as well, as long as they start in the image or in
    the padding before it, as in PyTorch:

        out = ceil((n + before + after - k) / s) + 1,     one less if (out - 1)*s >= n + before

    The padding of the result is enlarged by `beyond` to hold the last window.

    Parameters
    ----------
    height, width, kernel, padding, name
        As in `geometry`.
    stride : int, (int, int) or None
        Distance between windows in pixels; None places them side by side.
    ceil_mode : bool
        Whether the number of windows is rounded up instead of down.

    Raises
    ------
    ArgumentError
        As in `geometry`.
    ShapeError
        As in `geometry`, or a window lies entirely in the padding, or holds more than `MAX_POOL` pixels.

    Examples
    --------
    >>> pool_geometry(5, 5, 2, stride=None, padding=0).stride
    (2, 2)
    >>> g = pool_geometry(5, 5, 2, stride=2, padding=0, ceil_mode=True)
    >>> g.out_height, g.padding, g.beyond
    (3, ((0, 1), (0, 1)), (1, 1))
    """
    stride = kernel if stride is None else stride
    beyond = (0, 0)
    if ceil_mode:
        padding, beyond = _completed((height, width), kernel, stride, padding)
    g = replace(geometry(height, width, kernel, stride=stride, padding=padding, name=name), beyond=beyond)
    if g.kernel[0] * g.kernel[1] > MAX_POOL:
        raise ShapeError(
            f"{name}: a window must hold at most {MAX_POOL:,} pixels; {g.kernel[0]}x{g.kernel[1]} are "
            f"{g.kernel[0] * g.kernel[1]:,}; pool in several steps"
        )
    sizes, outs = (height, width), (g.out_height, g.out_width)
    # If the first and the last window of an axis reach the image, so do those in between.
    for n, out, k, s, (before, _) in zip(sizes, outs, g.kernel, g.stride, g.padding, strict=True):
        if before >= k or (out - 1) * s >= before + n:
            raise ShapeError(
                f"{name}: every window must hold a pixel of the image, but padding {g.padding} puts a window of "
                f"{g.kernel[0]}x{g.kernel[1]} entirely outside; use a padding smaller than the window"
            )
    return g


def _completed(
    size: tuple[int, int], kernel: Pair, stride: Pair, padding: Padding
) -> tuple[tuple[tuple[int, int], tuple[int, int]], tuple[int, int]]:
    """Return the padding that holds the windows of `ceil_mode`, and by how much it is larger at the end."""
    kernel, stride = as_pair(kernel, "kernel_size"), as_pair(stride, "stride")
    sides, beyond = [], []
    for n, k, s, (before, after) in zip(size, kernel, stride, _sides(size, kernel, stride, padding), strict=True):
        out = -((k - n - before - after) // s) + 1
        if (out - 1) * s >= n + before:
            out -= 1
        more = max((out - 1) * s + k - (n + before + after), 0) if out > 0 else 0
        sides.append((before, after + more))
        beyond.append(more)
    return (sides[0], sides[1]), (beyond[0], beyond[1])


def _sides(
    size: tuple[int, int], reach: tuple[int, int], stride: tuple[int, int], padding: Padding
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding in pixels, ((top, bottom), (left, right))."""
    if padding == "same":
        rows, columns = (_same_padding(n, r, s) for n, r, s in zip(size, reach, stride, strict=True))
        return rows, columns
    return ((0, 0), (0, 0)) if padding == "valid" else _explicit_padding(padding)


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
