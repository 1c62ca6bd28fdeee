r"""Convolution by its definition: for each window and filter, the sum of their products.

Slow on purpose. Everything else in this package rearranges these loops and is tested against them.
"""

from __future__ import annotations

import numpy as np

from rot180.ops.conv_layout import crop, pad
from rot180.ops.geometry import Geometry
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = ["data_gradient", "forward", "weight_gradient"]


def forward(x: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Slide every filter over every image.

        y[n, i, j, f] = sum_{u, v, c} x_pad[n, i*s + u*d, j*s + v*d, c] * w[u, v, c, f]

    where c runs over the C // groups channels of the group that filter f belongs to.
    """
    n_images, n_filters = x.shape[0], w.shape[3]
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    y = np.zeros((n_images, g.out_height, g.out_width, n_filters), x.dtype)
    for n in range(n_images):
        for i in range(g.out_height):
            for j in range(g.out_width):
                window = _window(x_pad[n], g, i, j)  # (KH, KW, C)
                for f in range(n_filters):
                    y[n, i, j, f] = np.sum(window[:, :, _channels(w, f, groups)] * w[:, :, :, f])
    return y


def data_gradient(dy: Array, w: Array, g: Geometry, groups: int) -> Array:
    r"""Send delta back along every product that made y.

    By the chain rule dL/dx_pad[n, p, q, c] sums over all outputs that read the pixel. In the forward pass y[n, i, j, f]
    reads x_pad[n, i*s + u*d, j*s + v*d, c] with the factor w[u, v, c, f]:

        d y[n, i, j, f] / d x_pad[n, i*s + u*d, j*s + v*d, c] = w[u, v, c, f]

    so, looping over outputs instead of pixels, each output adds delta times its filter to its whole window:

        dx_pad[n, i*s + u*d, j*s + v*d, c] += dy[n, i, j, f] * w[u, v, c, f]

    Windows overlap, so values are added. The padding is constant, so its gradient is dropped: dx is dx_pad, cropped.
    """
    n_images, n_filters = dy.shape[0], w.shape[3]
    dx_pad = np.zeros((n_images, g.padded_height, g.padded_width, w.shape[2] * groups), dy.dtype)
    for n in range(n_images):
        for i in range(g.out_height):
            for j in range(g.out_width):
                dwindow = _window(dx_pad[n], g, i, j)  # (KH, KW, C), a view: adding to it adds to dx_pad
                for f in range(n_filters):
                    dwindow[:, :, _channels(w, f, groups)] += dy[n, i, j, f] * w[:, :, :, f]
    record("dx_pad", dx_pad)
    return np.ascontiguousarray(crop(dx_pad, g))


def weight_gradient(dy: Array, x: Array, g: Geometry, groups: int) -> Array:
    r"""Sum, over all positions where a weight was used, delta times the input it was multiplied by.

    The same filter is used at every position of every image (shared weights), and

        d y[n, i, j, f] / d w[u, v, c, f] = x_pad[n, i*s + u*d, j*s + v*d, c]

    so the chain rule sums over n, i and j:

        dw[u, v, c, f] = sum_{n, i, j} dy[n, i, j, f] * x_pad[n, i*s + u*d, j*s + v*d, c]

    that is, each output adds delta times its window to the gradient of its filter.
    """
    n_images, n_filters = dy.shape[0], dy.shape[3]
    x_pad = pad(x, g)
    record("x_pad", x_pad)
    dw = np.zeros((*g.kernel, x.shape[3] // groups, n_filters), dy.dtype)
    for n in range(n_images):
        for i in range(g.out_height):
            for j in range(g.out_width):
                window = _window(x_pad[n], g, i, j)  # (KH, KW, C)
                for f in range(n_filters):
                    dw[:, :, :, f] += dy[n, i, j, f] * window[:, :, _channels(dw, f, groups)]
    return dw


def _window(image: Array, g: Geometry, i: int, j: int) -> Array:
    """Return the window of output pixel (i, j) in one padded image, a view (KH, KW, C)."""
    (s_row, s_column), (d_row, d_column) = g.stride, g.dilation
    rows = slice(i * s_row, i * s_row + d_row * (g.kernel[0] - 1) + 1, d_row)
    columns = slice(j * s_column, j * s_column + d_column * (g.kernel[1] - 1) + 1, d_column)
    return image[rows, columns]


def _channels(w: Array, f: int, groups: int) -> slice:
    """Return the input channels that filter f of (KH, KW, C//groups, F) sees."""
    per_group = w.shape[2]
    group = f // (w.shape[3] // groups)
    return slice(group * per_group, (group + 1) * per_group)
