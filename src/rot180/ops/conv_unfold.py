r"""Three ways to copy the windows of an image into the rows of a matrix.

Each fills the same matrix, which `im2col` returns, with (u, v, c) counted along a row and (n, i, j) down the rows:

    x_col[(n*OH + i)*OW + j, (u*KW + v)*C + c] = x_pad[n, i*s + u*d, j*s + v*d, c]

    loops     one window after the other, as in the equation: simple, and slow in Python
    indices   arrays of the rows i*s + u*d and columns j*s + v*d of all windows select all values at once, without a
              loop, but each value by an index that is read from memory
    strides   a view with two more axes: the address of x_pad[n, i*s + u*d, j*s + v*d, c] is linear in i, j, u and v, so
              a view with six strides shows all windows, and one copy makes rows of it; its inner loop copies runs of
              neighboring values
"""

from __future__ import annotations

import numpy as np

from rot180.ops.conv_layout import windows
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

__all__ = ["METHODS", "unfold"]


def _loops(x_pad: Array, g: Geometry, x_col: Array) -> None:
    (high, wide), (down, right) = g.kernel, g.dilation
    places = np.ndindex(len(x_pad), g.out_height, g.out_width)
    for row, (n, i, j) in zip(x_col, places, strict=True):
        top, left = i * g.stride[0], j * g.stride[1]
        window = x_pad[n, top : top + down * (high - 1) + 1 : down, left : left + right * (wide - 1) + 1 : right]
        row[...] = window.ravel()


def _indices(x_pad: Array, g: Geometry, x_col: Array) -> None:
    rows, columns = (
        (np.arange(out) * s)[:, None] + np.arange(k) * d  # (OH, KH) and (OW, KW)
        for out, s, k, d in zip((g.out_height, g.out_width), g.stride, g.kernel, g.dilation, strict=True)
    )
    chosen = x_pad[:, rows[:, None, :, None], columns[None, :, None, :]]  # (N, OH, OW, KH, KW, C)
    x_col[...] = chosen.reshape(x_col.shape)


def _strides(x_pad: Array, g: Geometry, x_col: Array) -> None:
    view = windows(x_pad, g)  # (N, OH, OW, KH, KW, C)
    x_col.reshape(view.shape)[...] = view


METHODS = {"loops": _loops, "indices": _indices, "strides": _strides}
"""The ways to unfold, by the value of `method` in `im2col`."""


def unfold(x_pad: Array, g: Geometry, method: str) -> Array:
    """Return the rows of all windows of a padded image, (N*OH*OW, KH*KW*C).

    >>> from rot180.ops.geometry import geometry
    >>> x = np.arange(6.0).reshape(1, 2, 3, 1)
    >>> [unfold(x, geometry(2, 3, 2), method).tolist() for method in ("loops", "indices")]
    [[[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]], [[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]]]
    """
    n, c = x_pad.shape[0], x_pad.shape[3]
    x_col = np.empty((n * g.out_height * g.out_width, g.kernel[0] * g.kernel[1] * c), x_pad.dtype)
    METHODS[method](x_pad, g, x_col)
    return x_col
