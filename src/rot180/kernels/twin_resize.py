"""The compiled twins of `rot180.ops.resize`; global pooling is pooling with one window."""

from __future__ import annotations

import numpy as np

from rot180.kernels import pooling, pooling_backward
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.operands import contiguous, float_type, integers
from rot180.kernels.resample import resample, taps_of
from rot180.ops.geometry import as_pair
from rot180.ops.pooling import _pool_geometry
from rot180.ops.resize import Weights, _check_delta, _check_maps, _mode, _require, means
from rot180.ops.types import Array, Pair


def resize2d(x: Array, size: Pair, mode: str = "nearest") -> Array:
    """Compiled twin of `rot180.ops.resize2d`."""
    return _forward("resize2d", x, size, _mode("resize2d", mode))


def resize2d_backward(dy: Array, x_shape: tuple[int, ...], mode: str = "nearest") -> Array:
    """Compiled twin of `rot180.ops.resize2d_backward`."""
    return _backward("resize2d_backward", dy, x_shape, _mode("resize2d_backward", mode))


def adaptive_avg_pool2d(x: Array, size: Pair) -> Array:
    """Compiled twin of `rot180.ops.adaptive_avg_pool2d`."""
    return _forward("adaptive_avg_pool2d", x, size, means)


def adaptive_avg_pool2d_backward(dy: Array, x_shape: tuple[int, ...]) -> Array:
    """Compiled twin of `rot180.ops.adaptive_avg_pool2d_backward`."""
    return _backward("adaptive_avg_pool2d_backward", dy, x_shape, means)


def global_avg_pool2d(x: Array) -> Array:
    """Compiled twin of `rot180.ops.global_avg_pool2d`."""
    _check_maps("global_avg_pool2d", x.shape)
    dtype = float_type("global_avg_pool2d", x=x)
    y = np.empty((len(x), 1, 1, x.shape[3]), dtype)
    pooling.avg_pool(contiguous(x, dtype), y, True, _global("global_avg_pool2d", x.shape), NOTHING)
    return y.reshape(len(x), x.shape[3])


def global_avg_pool2d_backward(dy: Array, x_shape: tuple[int, ...]) -> Array:
    """Compiled twin of `rot180.ops.global_avg_pool2d_backward`."""
    name = "global_avg_pool2d_backward"
    _check_maps(name, x_shape)
    _check_delta(name, dy, (x_shape[0], x_shape[3]))
    dtype = float_type(name, dy=dy)
    dx = np.empty(x_shape, dtype)
    pooling_backward.avg_pool_backward(contiguous(dy, dtype)[:, None, None], dx, True, _global(name, x_shape))()
    return dx


def global_max_pool2d(x: Array) -> tuple[Array, Array]:
    """Compiled twin of `rot180.ops.global_max_pool2d`."""
    _check_maps("global_max_pool2d", x.shape)
    dtype = float_type("global_max_pool2d", x=x)
    y = np.empty((len(x), 1, 1, x.shape[3]), dtype)
    winners = np.empty(y.shape, np.int64)
    pooling.max_pool(contiguous(x, dtype), y, winners, _global("global_max_pool2d", x.shape))
    return y.reshape(len(x), x.shape[3]), winners.reshape(len(x), x.shape[3])


def global_max_pool2d_backward(dy: Array, winners: Array, x_shape: tuple[int, ...]) -> Array:
    """Compiled twin of `rot180.ops.global_max_pool2d_backward`."""
    name = "global_max_pool2d_backward"
    _check_maps(name, x_shape)
    _check_delta(name, dy, (x_shape[0], x_shape[3]))
    _check_delta(name, winners, (x_shape[0], x_shape[3]), "winners")
    dtype = float_type(name, dy=dy)
    dx = np.empty(x_shape, dtype)
    dy, winners = contiguous(dy, dtype)[:, None, None], contiguous(winners, np.int64)[:, None, None]
    pooling_backward.max_pool_backward(dy, winners, dx, _global(name, x_shape))()
    return dx


def _global(name: str, shape: tuple[int, ...]) -> Array:
    """Return the sizes of a pooling whose only window is the whole map."""
    window = (int(shape[1]), int(shape[2]))
    return pooling.pool_sizes(_pool_geometry(shape, window, window, "valid", False, name))


def _forward(name: str, x: Array, size: Pair, weights: Weights) -> Array:
    _check_maps(name, x.shape)
    oh, ow = as_pair(size, "size")
    dtype = float_type(name, x=x)
    _require(name, x.shape, (oh, ow), dtype)
    return _apply(contiguous(x, dtype), *(weights(n, o) for n, o in zip(x.shape[1:3], (oh, ow), strict=True)))


def _backward(name: str, dy: Array, x_shape: tuple[int, ...], weights: Weights) -> Array:
    _check_maps(name, x_shape)
    _check_maps(name, dy.shape)
    _check_delta(name, dy, (x_shape[0], *dy.shape[1:3], x_shape[3]))
    matrices = (weights(n, o).T for n, o in zip(x_shape[1:3], dy.shape[1:3], strict=True))
    return _apply(contiguous(dy, float_type(name, dy=dy)), *matrices)


def _apply(x: Array, rows: Array, columns: Array) -> Array:
    y = np.empty((len(x), len(rows), len(columns), x.shape[3]), x.dtype)
    taps = [*taps_of(rows.astype(x.dtype)), *taps_of(columns.astype(x.dtype))]
    resample(x, y, *taps, integers(*y.shape[1:3], 0, 0, 0, 0))
    return y
