r"""Convolution as one matrix product: every window becomes a row, every filter a column.

With the KH*KW*C values of a window written in one row, the equation of convolution becomes a matrix product,

    y[n, i, j, f] = sum_{u, v, c} x_pad[n, i*s + u*d, j*s + v*d, c] * w[u, v, c, f]
    y_col[r, f]   = sum_k         x_col[r, k]                       * w_col[k, f],

with r counting (n, i, j) and k counting (u, v, c), both in row-major order. The price is memory, KH*KW values for each
pixel (at stride 1); the gain is that all the work is one product of large matrices, which processors do best.
"""

from __future__ import annotations

import numpy as np

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.memory import require
from rot180.ops.conv_layout import crop, fold, join_groups, pad, split_groups, windows
from rot180.ops.conv_rotation import pad_delta, rotate180, spread
from rot180.ops.conv_unfold import METHODS, unfold
from rot180.ops.geometry import Geometry, geometry
from rot180.ops.recorder import record
from rot180.ops.types import Array, Padding, Pair

__all__ = ["col2im", "im2col"]


def im2col(
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    method: str = "strides",
) -> Array:
    """Unfold images: one row per window.

    x_col[(n*OH + i)*OW + j, (u*KW + v)*C + c] = x_pad[n, i*s + u*d, j*s + v*d, c]

    Parameters
    ----------
    x : (N, H, W, C)
    kernel_size, stride, padding, dilation
        As in `conv2d`.
    method : {"strides", "indices", "loops"}
        How to copy the windows; all give the same matrix. `conv_unfold` describes them, and `rot180 compare` measures
        them.

    Returns
    -------
    x_col : (N*OH*OW, KH*KW*C)
        A copy, which `conv2d` and `conv2d_backward` accept as `x_col`.

    Raises
    ------
    ShapeError
        x is not four-dimensional, or the window is larger than the padded image.
    ArgumentError
        The method is unknown.

    References
    ----------
    Chellapilla, Puri and Simard (2006), High performance convolutional neural networks for document processing.

    Examples
    --------
    >>> im2col(np.arange(9.0).reshape(1, 3, 3, 1), 2)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    if x.ndim != 4:
        raise ShapeError(f"im2col: x must have shape (N, H, W, C); it has {x.shape}; for one image give x[None]")
    g = geometry(x.shape[1], x.shape[2], kernel_size, stride=stride, padding=padding, dilation=dilation, name="im2col")
    if method not in METHODS:
        raise ArgumentError(f"im2col: unknown method {method!r}{did_you_mean(str(method), METHODS)}")
    require(len(x) * g.out_height * g.out_width * g.kernel[0] * g.kernel[1] * x.shape[3] * x.itemsize, "im2col")
    return unfold(pad(x, g), g, method)


def col2im(
    x_col: Array,
    x_shape: tuple[int, int, int, int],
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
) -> Array:
    r"""Fold rows of windows back into images; where windows overlap, their values are added.

    This is the adjoint of `im2col`, <im2col(x), c> = <x, col2im(c)>, hence its derivative: when x_col = im2col(x), a
    pixel that was copied to several windows collects the gradient of each copy. It is not the inverse:
    col2im(im2col(x)) multiplies each pixel by the number of windows that contain it.

    With y_col = x_col @ w_col, the product rule of matrices gives dx_col = dy_col @ w_col.T, and dx = col2im(dx_col):
    a second way to compute the data gradient, which `windows` uses.

    Parameters
    ----------
    x_col : (N*OH*OW, KH*KW*C)
    x_shape : (N, H, W, C)
        Shape of the images.
    kernel_size, stride, padding, dilation
        As in `conv2d`.

    Returns
    -------
    x : (N, H, W, C)

    Raises
    ------
    ShapeError
        x_col does not have the shape that `im2col` gives for x_shape.

    Examples
    --------
    >>> x = np.ones((1, 3, 3, 1))
    >>> col2im(im2col(x, 2), x.shape, 2)[0, :, :, 0]  # the number of windows that contain each pixel
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    n, h, w, c = x_shape
    g = geometry(h, w, kernel_size, stride=stride, padding=padding, dilation=dilation, name="col2im")
    expected = (n * g.out_height * g.out_width, g.kernel[0] * g.kernel[1] * c)
    if x_col.shape != expected:
        raise ShapeError(
            f"col2im: images {tuple(x_shape)} unfold to rows of shape {expected} but x_col has {x_col.shape}; "
            f"pass the same arguments as to im2col"
        )
    dwindows = x_col.reshape(n, g.out_height, g.out_width, *g.kernel, c)  # (N, OH, OW, KH, KW, C)
    return np.ascontiguousarray(crop(fold(dwindows, g), g))


def check_unfolded(name: str, x_col: Array, x: Array, g: Geometry) -> None:
    """Raise ShapeError or ArgumentError if an array cannot be the unfolded x.

    Comparing all values would take as long as unfolding x again; the last window stands for the others.
    """
    expected = (x.shape[0] * g.out_height * g.out_width, g.kernel[0] * g.kernel[1] * x.shape[3])
    if x_col.shape != expected:
        raise ShapeError(
            f"{name}: x {x.shape} unfolds to {expected} but x_col has {x_col.shape}; "
            f"pass im2col of this x with the same kernel size, stride, padding and dilation"
        )
    if x_col.dtype != x.dtype:
        raise ArgumentError(f"{name}: x_col must have the type of x, {x.dtype}; it is {x_col.dtype}")
    if len(x_col) and not np.array_equal(x_col[-1], windows(pad(x[-1:], g), g)[0, -1, -1].ravel(), equal_nan=True):
        raise ArgumentError(
            f"{name}: x_col is not the unfolded x: its last row is not the last window; unfold x again where it changed"
        )


def forward(x: Array, w: Array, g: Geometry, groups: int, unfolded: Array | None = None) -> Array:
    r"""Unfold and multiply: y_col = x_col @ w_col, each group's channels with its filters."""
    if unfolded is not None:
        x_col = _by_group(unfolded, g, groups)
    if unfolded is None:
        x_pad = pad(x, g)
        record("x_pad", x_pad)
        x_col = _unfold(x_pad, g, groups)  # (groups, N*OH*OW, KH*KW*C//groups)
    w_col = split_groups(w, groups)  # (groups, KH*KW*C//groups, F//groups)
    _record_groups("x_col", x_col)
    _record_groups("w_col", w_col)
    y_col = x_col @ w_col  # (groups, N*OH*OW, F//groups)
    _record_groups("y_col", y_col)
    return join_groups(y_col, (x.shape[0], g.out_height, g.out_width, w.shape[3]))  # (N, OH, OW, F)


def data_gradient(dy: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Convolve delta, spread and padded, with the rotated kernel, again by unfolding.

    As derived in `conv_rotation`,

        dx[n, p, q, c] = sum_{t, r, f} delta_pad[n, p + t*d, q + r*d, f] * w_rot[t, r, f, c]

    is a convolution of stride 1 from F channels to C. Unfolded, with k counting (t, r, f), it is

        dx_col[(n, p, q), c] = sum_k delta_col[(n, p, q), k] * w_rot_col[k, c].

    Nothing overlaps and nothing has to be accumulated: each row of dx_col is a finished pixel.
    """
    n, c = dy.shape[0], w.shape[2] * groups
    delta_spread = spread(dy, g.stride)  # (N, (OH-1)*s + 1, (OW-1)*s + 1, F)
    record("delta_spread", delta_spread)
    delta_pad = pad_delta(delta_spread, g)  # (N, H + d*(KH-1), W + d*(KW-1), F)
    record("delta_pad", delta_pad)
    w_rot = rotate180(w, groups)  # (KH, KW, F//groups, C)
    record("w_rot", w_rot)
    back = geometry(delta_pad.shape[1], delta_pad.shape[2], g.kernel, dilation=g.dilation)  # its output is (H, W)
    delta_col = _unfold(delta_pad, back, groups)  # (groups, N*H*W, KH*KW*F//groups)
    w_rot_col = split_groups(w_rot, groups)  # (groups, KH*KW*F//groups, C//groups)
    _record_groups("delta_col", delta_col)
    _record_groups("w_rot_col", w_rot_col)
    dx_col = delta_col @ w_rot_col  # (groups, N*H*W, C//groups)
    _record_groups("dx_col", dx_col)
    return join_groups(dx_col, (n, g.height, g.width, c))  # (N, H, W, C)


def weight_gradient(dy: Array, x: Array, g: Geometry, groups: int, unfolded: Array | None = None) -> Array:
    r"""Multiply the transposed unfolded input by delta.

    From y_col[r, f] = sum_k x_col[r, k] * w_col[k, f] it follows that d y_col[r, f] / d w_col[k, f] = x_col[r, k], and
    the chain rule sums over the rows r:

        dw_col[k, f] = sum_r x_col[r, k] * dy_col[r, f],     dw_col = x_col.T @ dy_col.
    """
    if unfolded is not None:
        x_col = _by_group(unfolded, g, groups)
    if unfolded is None:
        x_pad = pad(x, g)
        record("x_pad", x_pad)
        x_col = _unfold(x_pad, g, groups)  # (groups, N*OH*OW, KH*KW*C//groups)
    dy_col = split_groups(dy, groups)  # (groups, N*OH*OW, F//groups)
    _record_groups("x_col", x_col)
    _record_groups("dy_col", dy_col)
    dw_col = x_col.transpose(0, 2, 1) @ dy_col  # (groups, KH*KW*C//groups, F//groups)
    _record_groups("dw_col", dw_col)
    return join_groups(dw_col, (*g.kernel, x.shape[3] // groups, dy.shape[3]))  # (KH, KW, C//groups, F)


def _by_group(x_col: Array, g: Geometry, groups: int) -> Array:
    """Split the rows of an unfolded image by groups of channels: (groups, N*OH*OW, KH*KW*C//groups)."""
    if groups == 1:
        return x_col[None]
    rows, taps = len(x_col), g.kernel[0] * g.kernel[1]
    split = x_col.reshape(rows, taps, groups, x_col.shape[1] // (taps * groups)).transpose(2, 0, 1, 3)
    # With a single tap it is a view, and a product of views sums in another order.
    return np.ascontiguousarray(split.reshape(groups, rows, x_col.shape[1] // groups))


def _unfold(x_pad: Array, g: Geometry, groups: int) -> Array:
    """Copy the windows of each group of channels into rows: (groups, N*OH*OW, KH*KW*C//groups)."""
    n, c = x_pad.shape[0], x_pad.shape[3]
    view = windows(x_pad, g)  # (N, OH, OW, KH, KW, C)
    view = view.reshape(*view.shape[:5], groups, c // groups) if groups > 1 else view[..., None, :]
    require(n * g.out_height * g.out_width * g.kernel[0] * g.kernel[1] * c * x_pad.itemsize, "unfolding the image")
    rows = np.empty((groups, n, g.out_height, g.out_width, *g.kernel, c // groups), x_pad.dtype)
    rows[...] = view.transpose(5, 0, 1, 2, 3, 4, 6)
    return rows.reshape(groups, n * g.out_height * g.out_width, g.kernel[0] * g.kernel[1] * (c // groups))


def _record_groups(name: str, a: Array) -> None:
    """Record an array, without the axis of groups if there is only one: the matrix of the equation."""
    record(name, a[0] if a.shape[0] == 1 else a)
