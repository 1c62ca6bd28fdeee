r"""The gradients of a convolution, written as convolutions and a sum.

    dx   delta, spread by the stride and padded, convolved with the kernel rotated by 180 degrees and its channel axes
         exchanged
    dw   the correlation of the input with delta
    db   the sum of delta

Each function here computes one of these with `conv2d` itself, for every stride, padding, dilation and number of groups.
They are meant for reading and for checking; `conv2d_backward` computes the same values.
"""

from __future__ import annotations

import numpy as np

from rot180.ops.conv2d import conv2d
from rot180.ops.conv_layout import pad
from rot180.ops.conv_rotation import pad_delta, rotate180, spread
from rot180.ops.geometry import check_axes, geometry
from rot180.ops.sums import sum_over
from rot180.ops.types import Array, Padding, Pair

__all__ = ["bias_gradient_by_sum", "data_gradient_by_rotation", "weight_gradient_by_correlation"]


def data_gradient_by_rotation(
    dy: Array,
    w: Array,
    x_shape: tuple[int, int, int, int],
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Array:
    r"""Compute dx by convolving delta, spread and padded, with the rotated kernel.

        dx = conv2d(pad_delta(spread(dy, s)), rotate180(w), dilation=d, groups=groups)

    `conv_rotation` derives it. The stride becomes the zeros between the values of delta, the padding p becomes a
    padding of d*(K - 1) - p, and the dilation stays.

    Parameters
    ----------
    dy : (N, OH, OW, F) float32 or float64
    w : (KH, KW, C // groups, F)
    x_shape : (N, H, W, C)
        Shape of the images; dy alone does not determine how many pixels the last window left over.
    stride, padding, dilation, groups
        Those of the forward convolution.
    algorithm : str
        Algorithm of this convolution, as in `conv2d`.

    Returns
    -------
    dx : (N, H, W, C)

    References
    ----------
    Dumoulin and Visin (2016), arXiv:1603.07285, section 4.

    Examples
    --------
    >>> dy, w = np.ones((1, 1, 1, 1)), np.arange(4.0).reshape(2, 2, 1, 1)
    >>> data_gradient_by_rotation(dy, w, (1, 2, 2, 1))[0, :, :, 0]  # one output: each pixel gets its weight
    array([[0., 1.],
           [2., 3.]])
    """
    check_axes("data_gradient_by_rotation", "w", w, "KH,KW,C,F")
    g = geometry(x_shape[1], x_shape[2], (w.shape[0], w.shape[1]), stride=stride, padding=padding, dilation=dilation)
    delta_pad = pad_delta(spread(dy, g.stride), g)  # (N, H + d*(KH-1), W + d*(KW-1), F)
    return conv2d(delta_pad, rotate180(w, groups), dilation=g.dilation, groups=groups, algorithm=algorithm)


def weight_gradient_by_correlation(
    dy: Array,
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Array:
    r"""Compute dw by correlating the input with delta.

        dw[u, v, c, f] = sum_{n, i, j} x_pad[n, u*d + i*s, v*d + j*s, c] * dy[n, i, j, f]

    Read it as a convolution whose outputs are indexed by (u, v) and whose kernel, dy, has taps indexed by (i, j): its
    windows are d apart, so d is its stride, and its taps are s apart, so s is its dilation. The summed index n is its
    channel; the free index c counts its images. With the axes exchanged accordingly,

        dw^T = conv2d(x_pad^T, dy^T, stride=d, dilation=s),
        x_pad^T (C, H, W, N), dy^T (OH, OW, N, F), dw^T (C, KH, KW, F).

    Where the last window of the forward pass left pixels over, this convolution has more than KH x KW outputs; the
    extra ones belong to no weight and are dropped.

    Parameters
    ----------
    dy : (N, OH, OW, F) float32 or float64
    x : (N, H, W, C)
    kernel_size, stride, padding, dilation, groups
        Those of the forward convolution.
    algorithm : str
        Algorithm of this convolution, as in `conv2d`.

    Returns
    -------
    dw : (KH, KW, C // groups, F)

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> weight_gradient_by_correlation(np.ones((1, 2, 2, 1)), x, 2)[:, :, 0, 0]  # sums over 2x2 windows of x
    array([[ 8., 12.],
           [20., 24.]])
    """
    check_axes("weight_gradient_by_correlation", "x", x, "N,H,W,C")
    check_axes("weight_gradient_by_correlation", "dy", dy, "N,OH,OW,F")
    g = geometry(x.shape[1], x.shape[2], kernel_size, stride=stride, padding=padding, dilation=dilation)
    x_turned = pad(x, g).transpose(3, 1, 2, 0)  # (C, H + top + bottom, W + left + right, N)
    dy_turned = dy.transpose(1, 2, 0, 3)  # (OH, OW, N, F)
    c, f = x.shape[3] // groups, dy.shape[3] // groups
    parts = []
    for k in range(groups):
        channels, filters = slice(k * c, (k + 1) * c), slice(k * f, (k + 1) * f)
        correlation = conv2d(
            x_turned[channels], dy_turned[..., filters], stride=g.dilation, dilation=g.stride, algorithm=algorithm
        )  # (C//groups, at least KH, at least KW, F//groups)
        parts.append(correlation[:, : g.kernel[0], : g.kernel[1]].transpose(1, 2, 0, 3))
    return np.concatenate(parts, axis=3)  # (KH, KW, C//groups, F)


def bias_gradient_by_sum(dy: Array) -> Array:
    r"""Compute db by summing delta over images and pixels.

    b[f] is added to every pixel of map f with the factor 1, so by the chain rule

        db[f] = sum_{n, i, j} dy[n, i, j, f].

    It is also the correlation of an image of ones with delta: the bias is a weight whose input is always 1.

    Parameters
    ----------
    dy : (N, OH, OW, F)

    Returns
    -------
    db : (F,)

    Examples
    --------
    >>> bias_gradient_by_sum(np.ones((2, 3, 3, 4)))
    array([18., 18., 18., 18.])
    """
    check_axes("bias_gradient_by_sum", "dy", dy, "N,OH,OW,F")
    return sum_over(dy, (0, 1, 2))
