r"""Convolution as one tensor product per kernel position.

Fix a position (u, v) in the kernel and consider all outputs at once: output (i, j) sees pixel (i*s + u*d, j*s + v*d),
so the pixels seen again form an image, x_pad shifted by (u*d, v*d) and subsampled by s,

    x_uv[n, i, j, c] = x_pad[n, i*s + u*d, j*s + v*d, c],

and on it the kernel is just a C x F matrix, a fully connected layer applied to every pixel. Only KH*KW steps remain to
loop over, and no more memory is needed than for one shifted image.
"""

from __future__ import annotations

import numpy as np

from rot180.ops.conv_layout import crop, join_groups, pad, split_groups, tap
from rot180.ops.geometry import Geometry
from rot180.ops.recorder import record
from rot180.ops.sums import sum_over
from rot180.ops.types import Array

__all__ = ["data_gradient", "forward", "weight_gradient"]


def forward(x: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Sum the products of all shifted images with their matrices.

    y[n, i, j, f] = sum_{u, v} ( sum_c x_uv[n, i, j, c] * w[u, v, c, f] )
    """
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    y = np.zeros((x.shape[0], g.out_height, g.out_width, w.shape[3]), x.dtype)
    for u in range(g.kernel[0]):
        for v in range(g.kernel[1]):
            y += _product(tap(x_pad, g, u, v), w[u, v], groups)  # (N, OH, OW, F)
    return y


def data_gradient(dy: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Propagate delta back through each matrix to the shifted image it was applied to.

    Position (u, v) is a fully connected layer y += x_uv @ w[u, v], whose data gradient is delta times the matrix
    transposed,

        dx_uv[n, i, j, c] = sum_f dy[n, i, j, f] * w[u, v, c, f].

    x_uv is a view of x_pad, and several (u, v) see the same pixel, so their contributions add:

        dx_pad[n, i*s + u*d, j*s + v*d, c] += dx_uv[n, i, j, c].
    """
    c = w.shape[2] * groups
    dx_pad = np.zeros((dy.shape[0], g.padded_height, g.padded_width, c), dy.dtype)
    for u in range(g.kernel[0]):
        for v in range(g.kernel[1]):
            dx_uv = tap(dx_pad, g, u, v)  # (N, OH, OW, C), a view: adding to it adds to dx_pad
            dx_uv += _product(dy, _transposed(w[u, v], groups), groups)
    record("dx_pad", dx_pad)
    return np.ascontiguousarray(crop(dx_pad, g))


def weight_gradient(dy: Array, x: Array, g: Geometry, groups: int) -> Array:
    r"""Compute one tensor product of input and delta per kernel position, derived in four stages.

    1. One image, one channel, one filter. The weight at (u, v) multiplies x_uv everywhere:

           dw[u, v] = sum_{i, j} x_uv[i, j] * dy[i, j].

    2. Several channels. Each has its own weights; delta is the same:

           dw[u, v, c] = sum_{i, j} x_uv[i, j, c] * dy[i, j].

    3. Several filters. Each has its own delta; the input is the same, and all pairs of c and f occur:

           dw[u, v, c, f] = sum_{i, j} x_uv[i, j, c] * dy[i, j, f].

    4. A batch. The loss is a sum over the images, and so is its gradient:

           dw[u, v, c, f] = sum_{n, i, j} x_uv[n, i, j, c] * dy[n, i, j, f],

       a tensor product contracted over n, i and j: with these three in one axis, x_uv.T @ dy.
    """
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    c, f = x.shape[3] // groups, dy.shape[3]
    dw = np.empty((*g.kernel, c, f), dy.dtype)
    dy_rows = split_groups(dy, groups)  # (groups, N*OH*OW, F//groups)
    for u in range(g.kernel[0]):
        for v in range(g.kernel[1]):
            if c == 1 and f == groups:  # depthwise: each channel has its one filter, so there are no pairs to form
                dw[u, v, 0] = sum_over(tap(x_pad, g, u, v) * dy, (0, 1, 2))
                continue
            x_rows = split_groups(tap(x_pad, g, u, v), groups)  # (groups, N*OH*OW, C//groups)
            dw[u, v] = join_groups(x_rows.transpose(0, 2, 1) @ dy_rows, (c, f))
    return dw


def _product(a: Array, matrix: Array, groups: int) -> Array:
    """Multiply every pixel of (N, OH, OW, K) by a (K//groups, M) matrix, group by group: (N, OH, OW, M)."""
    if matrix.shape == (1, groups):  # depthwise: each channel is scaled by its own number
        scaled: Array = a * matrix[0]
        return scaled
    rows: Array = split_groups(a, groups) @ split_groups(matrix, groups)  # (groups, N*OH*OW, M//groups)
    return join_groups(rows, (*a.shape[:3], matrix.shape[1]))


def _transposed(matrix: Array, groups: int) -> Array:
    """Transpose each group's block of a (C//groups, F) matrix: (F//groups, C)."""
    c, f = matrix.shape
    blocks: Array = matrix.reshape(c, groups, f // groups).transpose(2, 1, 0)  # (F//groups, groups, C//groups)
    return blocks.reshape(f // groups, groups * c)
