r"""Max pooling and average pooling, forward and backward.

Both process the pixels of a window one tap (u, v) at a time. Tap (u, v) of all windows is a strided slice,

    tap_uv[n, i, j, c] = x_pad[n, i*s + u, j*s + v, c],     0 <= i < OH, 0 <= j < OW,

so a window of KH*KW taps costs KH*KW passes over whole arrays and no loop over pixels.

**Max pooling.** y[n, i, j, c] = max over (u, v) of tap_uv[n, i, j, c]. A small change of the largest pixel changes y by
the same amount; a small change of any other pixel changes nothing. So with the winner (u*, v*) of the forward pass,

    dL/d tap_uv = dy  where (u, v) = (u*, v*),  else 0,

and a pixel in several windows receives the sum of what each of them sends. If several pixels of a window are tied for
the maximum, the derivative does not exist; any one of them may receive delta, and here the first in row-major order
does. Sending delta to all of them would count it several times.

**Average pooling.** y = (1 / K) * sum over (u, v) of tap_uv with K = KH*KW, so every tap gets dL/d tap_uv = dy / K. If
windows neither overlap nor leave gaps (stride = kernel size), each number of dy becomes a block of KH x KW equal
numbers, which is a Kronecker product:

    dx = dy (x) ones(KH, KW) / (KH*KW).

**Windows that do not divide the image.** Only whole windows count. Rows and columns left over at the end do not
contribute to y, so their dx is zero. With `ceil_mode` they do: the last windows may reach beyond the padded image,
where there is nothing. A maximum ignores what is missing, and a mean does not count it, even if the padding counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.memory import require
from rot180.ops.conv_layout import crop, tap
from rot180.ops.geometry import Geometry, pool_geometry
from rot180.ops.recorder import record
from rot180.ops.types import FLOATS, Array, Padding, Pair

__all__ = ["avg_pool2d", "avg_pool2d_backward", "max_pool2d", "max_pool2d_backward"]


def max_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = "valid", ceil_mode: bool = False
) -> tuple[Array, Array]:
    r"""Return the largest pixel of each window, and its position.

    y[n, i, j, c] = max_{u, v} x_pad[n, i*s + u, j*s + v, c],     x_pad padded with -inf

    Parameters
    ----------
    x : (N, H, W, C) float32 or float64
        Feature maps, in any unit; the unit is carried into y.
    kernel_size : int or (int, int)
        Rows and columns of the window, in pixels.
    stride : int or (int, int), optional
        Distance between windows in pixels; the kernel size by default.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Pixels added around the image.
    ceil_mode : bool
        Whether the last windows may reach beyond the padded image, as in PyTorch, instead of leaving pixels over.

    Returns
    -------
    y : (N, OH, OW, C), of x's type
        OH = (H + top + bottom - KH) // s + 1, OW likewise; with `ceil_mode` rounded up. A window that
        contains a NaN gives NaN.
    winners : (N, OH, OW, C) int32
        Position of the maximum in its window, u*KW + v: the first of ties, the first NaN if any, never padding.

    Raises
    ------
    ShapeError
        x is not four-dimensional, the window is larger than the padded image, or a window lies entirely in the padding.
    ArgumentError
        x is not float32 or float64, or a number is out of range.

    Examples
    --------
    >>> x = np.array([[1.0, 2, 0, 5], [4, 3, 5, 0]]).reshape(1, 2, 4, 1)
    >>> y, winners = max_pool2d(x, 2)
    >>> y[0, :, :, 0], winners[0, :, :, 0]
    (array([[4., 5.]]), array([[2, 1]], dtype=int32))
    """
    g = _pool_geometry(x.shape, kernel_size, stride, padding, ceil_mode, "max_pool2d")
    if x.dtype.type not in FLOATS:
        raise ArgumentError(f"max_pool2d: x must be float32 or float64; it is {x.dtype}; convert it with x.astype")
    x_pad = _pad(x, g, -np.inf)
    # Taps come in increasing order and a winner is only replaced by a later tap, so the winner is the largest k at
    # which the running maximum rose. That makes it a maximum itself, which NumPy vectorizes; writing through a mask
    # took 14 times as long. One byte holds k for all but huge windows.
    small = np.dtype(np.uint8 if g.kernel[0] * g.kernel[1] <= 256 else np.int32)
    places = np.broadcast_to(_first_pixel(g)[None, :, :, None], (x.shape[0], g.out_height, g.out_width, x.shape[3]))
    places = places.astype(small)
    (_, first), *others = _taps(x_pad, g)
    y = first.copy()
    for k, seen in others:
        rose = seen > y
        np.maximum(y, seen, out=y)
        np.maximum(places, np.multiply(rose, small.type(k), dtype=small), out=places)
    if np.isnan(y).any():
        _point_at_nan(places, x_pad, g)
    winners = places.astype(np.int32)
    record("winners", winners)
    record("y", y)
    return y, winners


def max_pool2d_backward(
    dy: Array,
    winners: Array,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
) -> Array:
    r"""Send each number of delta back to the position of its window's maximum.

    dx_pad[n, i*s + u, j*s + v, c] += dy[n, i, j, c]  where winners[n, i, j, c] = u*KW + v

    Deltas of overlapping windows are added. The module's docstring derives it.

    Parameters
    ----------
    dy : (N, OH, OW, C)
        dL/dy.
    winners : (N, OH, OW, C) int32
        From `max_pool2d`.
    x_shape : (N, H, W, C)
        The shape of x.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`.

    Returns
    -------
    dx : (N, H, W, C), of dy's type
        dL/dx.

    Raises
    ------
    ShapeError
        dy or winners do not have the shape of y.

    Examples
    --------
    >>> x = np.array([[1.0, 2, 0, 5], [4, 3, 5, 0]]).reshape(1, 2, 4, 1)
    >>> y, winners = max_pool2d(x, 2)
    >>> max_pool2d_backward(np.array([10.0, 20]).reshape(y.shape), winners, x.shape, 2)[0, :, :, 0]
    array([[ 0.,  0.,  0., 20.],
           [10.,  0.,  0.,  0.]])
    """
    g = _pool_geometry(x_shape, kernel_size, stride, padding, ceil_mode, "max_pool2d_backward")
    _check_delta(dy, x_shape, g, "dy", "max_pool2d_backward")
    _check_delta(winners, x_shape, g, "winners", "max_pool2d_backward")
    dx_pad = np.zeros((x_shape[0], g.padded_height, g.padded_width, x_shape[3]), dy.dtype)
    overlapping = _is_overlapping(g)
    for k, seen in _taps(dx_pad, g):
        if overlapping:
            seen += dy * (winners == k)
        else:
            np.multiply(dy, winners == k, out=seen)
    dx = np.ascontiguousarray(crop(dx_pad, g))
    record("dx", dx)
    return dx


def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    r"""Return the mean of each window.

    y[n, i, j, c] = sum_{u, v} x_pad[n, i*s + u, j*s + v, c] / K,     x_pad padded with 0

    Parameters
    ----------
    x : (N, H, W, C) float32 or float64
        Feature maps, in any unit; the unit is carried into y.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`.
    count_include_pad : bool
        If True, the zeros of the padding count: K = KH*KW, or less where the window reaches beyond the padding. If
        False, K is the number of image pixels in the window.

    Returns
    -------
    y : (N, OH, OW, C), of x's type
        As in `max_pool2d`.

    Raises
    ------
    ShapeError
        x is not four-dimensional, the window is larger than the padded image, or a window lies entirely in the padding.
    ArgumentError
        x is not float32 or float64, or a number is out of range.

    Examples
    --------
    >>> x = np.array([[1.0, 2, 0, 5], [4, 3, 5, 0]]).reshape(1, 2, 4, 1)
    >>> avg_pool2d(x, 2)[0, :, :, 0]
    array([[2.5, 2.5]])
    """
    g = _pool_geometry(x.shape, kernel_size, stride, padding, ceil_mode, "avg_pool2d")
    if x.dtype.type not in FLOATS:
        raise ArgumentError(f"avg_pool2d: x must be float32 or float64; it is {x.dtype}; convert it with x.astype")
    y = np.zeros((x.shape[0], g.out_height, g.out_width, x.shape[3]), x.dtype)
    for _, seen in _taps(_pad(x, g, 0.0), g):
        y += seen
    y /= counted_pixels(g, count_include_pad).astype(x.dtype)
    record("y", y)
    return y


def avg_pool2d_backward(
    dy: Array,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    r"""Divide each number of delta equally among the pixels of its window.

    dx_pad[n, i*s + u, j*s + v, c] += dy[n, i, j, c] / K  for every tap (u, v)

    Parameters
    ----------
    dy : (N, OH, OW, C)
        dL/dy.
    x_shape : (N, H, W, C)
        The shape of x.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As in `avg_pool2d`.

    Returns
    -------
    dx : (N, H, W, C), of dy's type
        dL/dx.

    Raises
    ------
    ShapeError
        dy does not have the shape of y.

    Examples
    --------
    If the stride equals the kernel size, it is a Kronecker product:

    >>> dy = np.array([[4.0, 8]]).reshape(1, 1, 2, 1)
    >>> dx = avg_pool2d_backward(dy, (1, 2, 4, 1), 2)
    >>> dx[0, :, :, 0]
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    >>> bool(np.all(dx == np.kron(dy, np.ones((1, 2, 2, 1)) / 4)))
    True
    """
    g = _pool_geometry(x_shape, kernel_size, stride, padding, ceil_mode, "avg_pool2d_backward")
    _check_delta(dy, x_shape, g, "dy", "avg_pool2d_backward")
    share = dy / counted_pixels(g, count_include_pad).astype(dy.dtype)
    dx_pad = np.zeros((x_shape[0], g.padded_height, g.padded_width, x_shape[3]), dy.dtype)
    for _, seen in _taps(dx_pad, g):
        seen += share
    dx = np.ascontiguousarray(crop(dx_pad, g))
    record("dx", dx)
    return dx


def _pool_geometry(
    x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair | None, padding: Padding, ceil_mode: bool, name: str
) -> Geometry:
    if len(x_shape) != 4:
        raise ShapeError(
            f"{name}: x must have four axes (images, rows, columns, channels); its shape is {tuple(x_shape)}; "
            f"reshape it, a single gray image to (1, H, W, 1)"
        )
    g = pool_geometry(
        x_shape[1], x_shape[2], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode, name=name
    )
    require(x_shape[0] * g.out_height * g.out_width * x_shape[3] * 8, name)  # a value and its position, or a float64
    return g


def _check_delta(array: Array, x_shape: tuple[int, ...], g: Geometry, what: str, name: str) -> None:
    expected = (x_shape[0], g.out_height, g.out_width, x_shape[3])
    if array.shape != expected:
        raise ShapeError(
            f"{name}: {what} must have the shape of y, {expected}; it is {array.shape}; "
            f"give the kernel_size, stride and padding of the forward pass"
        )


def _taps(x_pad: Array, g: Geometry) -> Iterator[tuple[int, Array]]:
    """Yield each tap's position in the window, in row-major order, and the view of that tap in all windows."""
    for u, v in np.ndindex(g.kernel):
        yield u * g.kernel[1] + v, tap(x_pad, g, u, v)


def _pad(x: Array, g: Geometry, value: float) -> Array:
    if not g.is_padded:
        return x
    require(x.shape[0] * g.padded_height * g.padded_width * x.shape[3] * x.itemsize, "the padded image")
    x_pad = np.full((x.shape[0], g.padded_height, g.padded_width, x.shape[3]), value, x.dtype)
    crop(x_pad, g)[...] = x
    record("x_pad", x_pad)
    return x_pad


def _is_overlapping(g: Geometry) -> bool:
    return g.stride[0] < g.kernel[0] or g.stride[1] < g.kernel[1]


def _first_pixel(g: Geometry) -> Array:
    """Return each window's first tap outside the padding, (OH, OW): the winner where all pixels are -inf."""
    (top, _), (left, _) = g.padding
    u = np.maximum(top - g.stride[0] * np.arange(g.out_height), 0)
    v = np.maximum(left - g.stride[1] * np.arange(g.out_width), 0)
    first: Array = u[:, None] * g.kernel[1] + v
    return first


def _point_at_nan(places: Array, x_pad: Array, g: Geometry) -> None:
    """Make the first NaN of a window its winner: comparisons with NaN are false, so the running maximum missed it."""
    for k, seen in reversed(list(_taps(x_pad, g))):
        places[np.isnan(seen)] = k


def counted_pixels(g: Geometry, count_include_pad: bool) -> Array:
    """Return the number of pixels by which each window's sum is divided, (OH, OW, 1)."""
    counts = []
    axes = zip((g.height, g.width), (g.out_height, g.out_width), g.kernel, g.stride, g.padding, g.beyond, strict=True)
    for n, out, k, s, (before, after), beyond in axes:
        start = s * np.arange(out)
        first, end = (0, before + n + after - beyond) if count_include_pad else (before, before + n)
        counts.append(np.minimum(start + k, end) - np.maximum(start, first))
    pixels: Array = np.multiply.outer(counts[0], counts[1])[:, :, None]
    return pixels
