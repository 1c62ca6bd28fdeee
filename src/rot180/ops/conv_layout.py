r"""The views of images that convolution works on: padded, in windows, tap by tap, in groups of channels.

Two pairs of functions here are adjoint, <A x, y> = <x, A^T y>, which is all that the backward pass needs of a step that
only moves values:

    pad       puts zeros around an image          crop   drops the gradients of these zeros
    windows   reads a pixel once per window       fold   adds up the gradients that all windows send to the pixel
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rot180.memory import require
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

__all__ = ["crop", "fold", "join_groups", "pad", "split_groups", "tap", "windows"]


def pad(x: Array, g: Geometry) -> Array:
    """Put zeros around (N, H, W, C) images; return x itself if there is no padding."""
    if not g.is_padded:
        return x
    require(x.shape[0] * g.padded_height * g.padded_width * x.shape[3] * x.itemsize, "the padded image")
    x_pad = np.zeros((x.shape[0], g.padded_height, g.padded_width, x.shape[3]), x.dtype)
    crop(x_pad, g)[...] = x
    return x_pad


def crop(x_pad: Array, g: Geometry) -> Array:
    """Return the images without their padding, as a view of the padded images."""
    (top, _), (left, _) = g.padding
    return x_pad[:, top : top + g.height, left : left + g.width]


def windows(x_pad: Array, g: Geometry) -> Array:
    """Return all windows of the padded images as a view, without copying: (N, OH, OW, KH, KW, C).

    Element [n, i, j, u, v, c] is x_pad[n, i*s + u*d, j*s + v*d, c].
    """
    (s_row, s_column), (d_row, d_column) = g.stride, g.dilation
    reach = (d_row * (g.kernel[0] - 1) + 1, d_column * (g.kernel[1] - 1) + 1)
    dense = sliding_window_view(x_pad, reach, axis=(1, 2))  # (N, starts, starts, C, reach, reach)
    return dense[:, ::s_row, ::s_column, :, ::d_row, ::d_column].transpose(0, 1, 2, 4, 5, 3)


def tap(x_pad: Array, g: Geometry, u: int, v: int) -> Array:
    """Return what kernel position (u, v) sees, as a view (N, OH, OW, C): x_pad[n, i*s + u*d, j*s + v*d, c]."""
    (s_row, s_column), (d_row, d_column) = g.stride, g.dilation
    row, column = u * d_row, v * d_column
    return x_pad[
        :,
        row : row + (g.out_height - 1) * s_row + 1 : s_row,
        column : column + (g.out_width - 1) * s_column + 1 : s_column,
    ]


def fold(dwindows: Array, g: Geometry) -> Array:
    """Add (N, OH, OW, KH, KW, C) values back to the padded pixels that the windows were taken from.

    Where windows overlap, the values are added: a pixel that was read k times affects the result in k ways. Pixels that
    no window covers stay zero.
    """
    n, _, _, _, _, c = dwindows.shape
    dx_pad = np.zeros((n, g.padded_height, g.padded_width, c), dwindows.dtype)
    for u in range(g.kernel[0]):
        for v in range(g.kernel[1]):
            seen = tap(dx_pad, g, u, v)
            seen += dwindows[:, :, :, u, v]
    return dx_pad


def split_groups(a: Array, groups: int) -> Array:
    """Split the last axis into groups and join the others: (..., groups*k) becomes (groups, M, k), a view if possible.

    For a kernel (KH, KW, C//groups, F), M is KH*KW*C//groups and k is F//groups.
    """
    k = a.shape[-1] // groups
    m = a.size // a.shape[-1] if a.size else int(np.prod(a.shape[:-1]))
    return a.reshape(m, groups, k).transpose(1, 0, 2)  # (groups, M, k)


def join_groups(a: Array, shape: tuple[int, ...]) -> Array:
    """Undo `split_groups`: (groups, M, k) becomes `shape`, whose last axis is groups*k, contiguous."""
    return np.ascontiguousarray(a.transpose(1, 0, 2).reshape(shape))
