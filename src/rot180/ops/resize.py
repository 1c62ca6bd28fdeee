r"""Resizing feature maps: nearest, bilinear, adaptive and global average pooling, global maximum pooling.

All but the last are one operation. Each output pixel is a weighted mean of input pixels, over rows and columns
separately, and the weights depend only on the sizes:

    y[n, i, j, c] = sum_{p, q}  R[i, p] * x[n, p, q, c] * S[j, q]

with a matrix R of shape (OH, H) for the rows and S of shape (OW, W) for the columns, whose rows sum to 1. Such a map is
linear, so backward is its transpose,

    dx[n, p, q, c] = sum_{i, j}  R[i, p] * dy[n, i, j, c] * S[j, q]

and the kinds of resizing differ only in their matrices. With o outputs from n inputs and r = n / o:

    nearest            row i has a 1 at floor(i * r)
    bilinear           row i samples t = (i + 1/2) * r - 1/2, the center of its pixel, clipped to [0, n - 1], and
                       divides its weight between the pixels below and above: 1 - (t - floor t) and t - floor t
    adaptive average   row i is the mean of the pixels floor(i * r) to ceil((i + 1) * r) - 1
    global average     adaptive average with o = 1

**Global maximum.** As max pooling over the whole map: the pixel that holds the maximum, the first in case of ties,
receives all of delta.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.memory import require
from rot180.ops.geometry import as_pair
from rot180.ops.recorder import record
from rot180.ops.sums import mean_over
from rot180.ops.types import Array, Pair

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "resize2d",
    "resize2d_backward",
]


def resize2d(x: Array, size: Pair, mode: str = "nearest") -> Array:
    r"""Resize feature maps.

    Parameters
    ----------
    x : (N, H, W, C) float32 or float64
    size : int or (int, int)
        Rows and columns of the result.
    mode : {"nearest", "bilinear"}
        "bilinear" interpolates between the centers of pixels ("half-pixel centers"), without smoothing before it
        reduces maps.

    Returns
    -------
    y : (N, OH, OW, C), of x's type

    Raises
    ------
    ShapeError, ArgumentError
        x is not four-dimensional, a size is below 1, or the mode is unknown.

    Examples
    --------
    >>> x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> resize2d(x, (1, 4)).ravel(), resize2d(x, (1, 4), "bilinear").ravel()
    (array([1., 1., 3., 3.]), array([1. , 1.5, 2.5, 3. ]))
    """
    return _forward("resize2d", x, size, _mode("resize2d", mode))


def resize2d_backward(dy: Array, x_shape: tuple[int, ...], mode: str = "nearest") -> Array:
    r"""Send each number of delta back to the pixels it was computed from, with the same weights.

    Parameters
    ----------
    dy : (N, OH, OW, C)
        dL/dy.
    x_shape : (N, H, W, C)
    mode : {"nearest", "bilinear"}
        As in `resize2d`.

    Returns
    -------
    dx : (N, H, W, C), of dy's type

    Examples
    --------
    >>> resize2d_backward(np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1), (1, 1, 2, 1)).ravel()
    array([3., 7.])
    """
    return _backward("resize2d_backward", dy, x_shape, _mode("resize2d_backward", mode))


def adaptive_avg_pool2d(x: Array, size: Pair) -> Array:
    r"""Average over windows that divide the maps evenly into a given number of rows and columns.

    Parameters
    ----------
    x : (N, H, W, C) float32 or float64
    size : int or (int, int)
        Rows and columns of the result; where they do not divide those of x, neighboring windows share pixels.

    Returns
    -------
    y : (N, OH, OW, C), of x's type

    Examples
    --------
    >>> adaptive_avg_pool2d(np.arange(3.0).reshape(1, 1, 3, 1), (1, 2)).ravel()
    array([0.5, 1.5])
    """
    return _forward("adaptive_avg_pool2d", x, size, means)


def adaptive_avg_pool2d_backward(dy: Array, x_shape: tuple[int, ...]) -> Array:
    r"""Divide each number of delta equally among the pixels of its window.

    >>> adaptive_avg_pool2d_backward(np.array([2.0, 4.0]).reshape(1, 1, 2, 1), (1, 1, 3, 1)).ravel()
    array([1., 3., 2.])
    """
    return _backward("adaptive_avg_pool2d_backward", dy, x_shape, means)


def global_avg_pool2d(x: Array) -> Array:
    r"""Return the mean of each map: y[n, c] = sum_{i, j} x[n, i, j, c] / (H*W).

    Parameters
    ----------
    x : (N, H, W, C) float32 or float64

    Returns
    -------
    y : (N, C), of x's type

    Raises
    ------
    ShapeError
        x is not four-dimensional.

    References
    ----------
    Lin, Chen and Yan (2014), arXiv:1312.4400.

    Examples
    --------
    >>> global_avg_pool2d(np.array([1.0, 2.0, 6.0]).reshape(1, 1, 3, 1))
    array([[3.]])
    """
    _check_maps("global_avg_pool2d", x.shape)
    y = mean_over(x, (1, 2))
    record("y", y)
    return y


def global_avg_pool2d_backward(dy: Array, x_shape: tuple[int, ...]) -> Array:
    r"""Divide delta equally among all pixels: dx[n, i, j, c] = dy[n, c] / (H*W).

    Parameters
    ----------
    dy : (N, C)
        dL/dy.
    x_shape : (N, H, W, C)

    Returns
    -------
    dx : (N, H, W, C), of dy's type

    Examples
    --------
    >>> global_avg_pool2d_backward(np.array([[6.0]]), (1, 1, 3, 1)).ravel()
    array([2., 2., 2.])
    """
    _check_maps("global_avg_pool2d_backward", x_shape)
    _check_delta("global_avg_pool2d_backward", dy, (x_shape[0], x_shape[3]))
    share = dy / dy.dtype.type(x_shape[1] * x_shape[2])
    dx = np.ascontiguousarray(np.broadcast_to(share[:, None, None, :], x_shape))
    record("dx", dx)
    return dx


def global_max_pool2d(x: Array) -> tuple[Array, Array]:
    r"""Return the largest pixel of each map, and its position.

    Parameters
    ----------
    x : (N, H, W, C) float32 or float64

    Returns
    -------
    y : (N, C), of x's type
        A map that contains a NaN gives NaN.
    winners : (N, C) int64
        i*W + j of the first maximum in row-major order.

    Raises
    ------
    ShapeError
        x is not four-dimensional.

    Examples
    --------
    >>> global_max_pool2d(np.array([1.0, 6.0, 6.0]).reshape(1, 1, 3, 1))
    (array([[6.]]), array([[1]]))
    """
    _check_maps("global_max_pool2d", x.shape)
    pixels = x.reshape(x.shape[0], x.shape[1] * x.shape[2], x.shape[3])  # (N, H*W, C)
    winners = pixels.argmax(axis=1)
    y: Array = np.take_along_axis(pixels, winners[:, None], axis=1)[:, 0]
    record("winners", winners)
    record("y", y)
    return y, winners


def global_max_pool2d_backward(dy: Array, winners: Array, x_shape: tuple[int, ...]) -> Array:
    r"""Send delta to the position of the maximum; all other pixels get zero.

    Parameters
    ----------
    dy, winners : (N, C)
        dL/dy, and the positions from `global_max_pool2d`.
    x_shape : (N, H, W, C)

    Returns
    -------
    dx : (N, H, W, C), of dy's type

    Examples
    --------
    >>> global_max_pool2d_backward(np.array([[5.0]]), np.array([[1]]), (1, 1, 3, 1)).ravel()
    array([0., 5., 0.])
    """
    _check_maps("global_max_pool2d_backward", x_shape)
    _check_delta("global_max_pool2d_backward", dy, (x_shape[0], x_shape[3]))
    _check_delta("global_max_pool2d_backward", winners, (x_shape[0], x_shape[3]), "winners")
    dx = np.zeros((x_shape[0], x_shape[1] * x_shape[2], x_shape[3]), dy.dtype)
    np.put_along_axis(dx, winners[:, None], dy[:, None], axis=1)
    dx = dx.reshape(x_shape)
    record("dx", dx)
    return dx


Weights = Callable[[int, int], Array]
"""A function from the numbers of inputs n and outputs o to the matrix (o, n)."""


def _nearest(n: int, o: int) -> Array:
    matrix = np.zeros((o, n))
    matrix[np.arange(o), np.arange(o) * n // o] = 1
    return matrix


def _bilinear(n: int, o: int) -> Array:
    t = np.clip((np.arange(o) + 0.5) * n / o - 0.5, 0, n - 1)
    below = np.floor(t).astype(int)
    above = np.minimum(below + 1, n - 1)
    matrix = np.zeros((o, n))
    np.add.at(matrix, (np.arange(o), below), 1 - (t - below))
    np.add.at(matrix, (np.arange(o), above), t - below)
    return matrix


def means(n: int, o: int) -> Array:
    matrix = np.zeros((o, n))
    for i in range(o):
        start, end = i * n // o, -(-(i + 1) * n // o)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


MODES: dict[str, Weights] = {"nearest": _nearest, "bilinear": _bilinear}
"""The kinds of `resize2d`, by the value of `mode`."""


def _mode(name: str, mode: str) -> Weights:
    if mode not in MODES:
        raise ArgumentError(f"{name}: unknown mode {mode!r}{did_you_mean(mode, MODES)}")
    return MODES[mode]


def _forward(name: str, x: Array, size: Pair, weights: Weights) -> Array:
    _check_maps(name, x.shape)
    oh, ow = as_pair(size, "size")
    _require(name, x.shape, (oh, ow), x.dtype)
    rows, columns = (weights(n, o).astype(x.dtype) for n, o in zip(x.shape[1:3], (oh, ow), strict=True))
    y = _apply(x, rows, columns)
    record("y", y)
    return y


def _backward(name: str, dy: Array, x_shape: tuple[int, ...], weights: Weights) -> Array:
    _check_maps(name, x_shape)
    _check_maps(name, dy.shape)
    _check_delta(name, dy, (x_shape[0], *dy.shape[1:3], x_shape[3]))
    rows, columns = (weights(n, o).astype(dy.dtype) for n, o in zip(x_shape[1:3], dy.shape[1:3], strict=True))
    dx = _apply(dy, rows.T, columns.T)
    record("dx", dx)
    return dx


def _apply(x: Array, rows: Array, columns: Array) -> Array:
    """Return rows @ x @ columns^T for each image and channel."""
    wide = np.tensordot(rows, x, axes=(1, 1)).transpose(1, 0, 2, 3)  # (N, OH, W, C)
    y = np.tensordot(columns, wide, axes=(1, 2)).transpose(1, 2, 0, 3)  # (N, OH, OW, C)
    return np.ascontiguousarray(y)


def _require(name: str, shape: tuple[int, ...], size: tuple[int, int], dtype: Any) -> None:
    """Ask for the memory of the larger of the two results of `_apply`."""
    require(shape[0] * size[0] * max(shape[2], size[1]) * shape[3] * np.dtype(dtype).itemsize, name)


def _check_maps(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 4 or 0 in shape[1:]:
        raise ShapeError(f"{name}: maps must have shape (N, H, W, C), with at least one pixel; the shape is {shape}")


def _check_delta(name: str, dy: Array, expected: tuple[int, ...], what: str = "dy") -> None:
    if dy.shape != expected:
        raise ShapeError(f"{name}: {what} must have the shape of y, {expected}; it is {dy.shape}")
