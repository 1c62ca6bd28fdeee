r"""Convolution as one tensor product with a view of all windows.

A window is a rectangle of the padded image, and the next one starts s pixels further on, so with suitable strides the
array
    X[n, i, j, u, v, c] = x_pad[n, i*s + u*d, j*s + v*d, c]

of all windows is another view of the memory of x_pad: making it copies nothing. Convolution contracts it with the
kernel over (u, v, c), and its gradients contract the same three arrays over other axes. (The contraction itself may
copy parts into the order that its matrix product needs; the equation does not depend on which.)
"""

from __future__ import annotations

import numpy as np

from rot180.ops.conv_layout import crop, fold, pad, windows
from rot180.ops.geometry import Geometry
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = ["data_gradient", "forward", "weight_gradient"]


def forward(x: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Contract windows and kernel over (u, v, c).

    y[n, i, j, f] = sum_{u, v, c} X[n, i, j, u, v, c] * w[u, v, c, f]
    """
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    x_windows = windows(x_pad, g)  # (N, OH, OW, KH, KW, C)
    record("x_windows", x_windows)
    if groups == 1:
        return np.tensordot(x_windows, w, axes=((3, 4, 5), (0, 1, 2)))  # (N, OH, OW, F)
    y = np.empty((x.shape[0], g.out_height, g.out_width, w.shape[3]), x.dtype)
    for channels, filters in _groups(x.shape[3], w.shape[3], groups):
        y[..., filters] = np.tensordot(x_windows[..., channels], w[..., filters], axes=((3, 4, 5), (0, 1, 2)))
    return y


def data_gradient(dy: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Contract delta and kernel over the filters, then sum for every pixel what its windows received.

    As a function of the windows, forward is linear, with d y[n, i, j, f] / d X[n, i, j, u, v, c] = w[u, v, c, f]:

        dX[n, i, j, u, v, c] = sum_f dy[n, i, j, f] * w[u, v, c, f].

    Each entry of X is a pixel of x_pad, read by as many windows as cover it; if a value is read several times, its
    derivative is the sum of the derivatives of all readings:

        dx_pad[n, p, q, c] = sum over all (i, j, u, v) with i*s + u*d = p, j*s + v*d = q of dX[n, i, j, u, v, c].
    """
    if groups == 1:
        dx_windows = np.tensordot(dy, w, axes=((3,), (3,)))  # (N, OH, OW, KH, KW, C)
    else:
        dx_windows = np.empty((*dy.shape[:3], *g.kernel, w.shape[2] * groups), dy.dtype)
        for channels, filters in _groups(w.shape[2] * groups, w.shape[3], groups):
            dx_windows[..., channels] = np.tensordot(dy[..., filters], w[..., filters], axes=((3,), (3,)))
    record("dx_windows", dx_windows)
    dx_pad = fold(dx_windows, g)  # (N, H + top + bottom, W + left + right, C)
    record("dx_pad", dx_pad)
    return np.ascontiguousarray(crop(dx_pad, g))


def weight_gradient(dy: Array, x: Array, g: Geometry, groups: int) -> Array:
    r"""Contract windows and delta over (n, i, j), all positions where the weights were used.

    From d y[n, i, j, f] / d w[u, v, c, f] = X[n, i, j, u, v, c] it follows that

        dw[u, v, c, f] = sum_{n, i, j} X[n, i, j, u, v, c] * dy[n, i, j, f].
    """
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    x_windows = windows(x_pad, g)  # (N, OH, OW, KH, KW, C)
    record("x_windows", x_windows)
    if groups == 1:
        return np.tensordot(x_windows, dy, axes=((0, 1, 2), (0, 1, 2)))  # (KH, KW, C, F)
    dw = np.empty((*g.kernel, x.shape[3] // groups, dy.shape[3]), dy.dtype)
    for channels, filters in _groups(x.shape[3], dy.shape[3], groups):
        dw[..., filters] = np.tensordot(x_windows[..., channels], dy[..., filters], axes=((0, 1, 2), (0, 1, 2)))
    return dw


def _groups(c: int, f: int, groups: int) -> list[tuple[slice, slice]]:
    """Return the channels and the filters of each group."""
    c, f = c // groups, f // groups
    return [(slice(k * c, (k + 1) * c), slice(k * f, (k + 1) * f)) for k in range(groups)]
