"""The compiled twins of `rot180.ops.pooling`."""

from __future__ import annotations

import numpy as np

from rot180.kernels import pooling, pooling_backward
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.operands import contiguous, float_type
from rot180.ops.pooling import _check_delta, _pool_geometry
from rot180.ops.types import Array, Padding, Pair


def max_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = "valid", ceil_mode: bool = False
) -> tuple[Array, Array]:
    """Compiled twin of `rot180.ops.max_pool2d`."""
    g = _pool_geometry(x.shape, kernel_size, stride, padding, ceil_mode, "max_pool2d")
    dtype = float_type("max_pool2d", x=x)
    y = np.empty((x.shape[0], g.out_height, g.out_width, x.shape[3]), dtype)
    winners = np.empty(y.shape, np.int32)
    pooling.max_pool(contiguous(x, dtype), y, winners, pooling.pool_sizes(g))
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
    """Compiled twin of `rot180.ops.max_pool2d_backward`."""
    name = "max_pool2d_backward"
    g = _pool_geometry(x_shape, kernel_size, stride, padding, ceil_mode, name)
    _check_delta(dy, x_shape, g, "dy", name)
    _check_delta(winners, x_shape, g, "winners", name)
    dtype = float_type(name, dy=dy)
    dx = np.empty(x_shape, dtype)
    winners = contiguous(winners, np.int32)
    pooling_backward.max_pool_backward(contiguous(dy, dtype), winners, dx, pooling.pool_sizes(g))()
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
    """Compiled twin of `rot180.ops.avg_pool2d`."""
    g = _pool_geometry(x.shape, kernel_size, stride, padding, ceil_mode, "avg_pool2d")
    dtype = float_type("avg_pool2d", x=x)
    y = np.empty((x.shape[0], g.out_height, g.out_width, x.shape[3]), dtype)
    pooling.avg_pool(contiguous(x, dtype), y, bool(count_include_pad), pooling.pool_sizes(g), NOTHING)
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
    """Compiled twin of `rot180.ops.avg_pool2d_backward`."""
    name = "avg_pool2d_backward"
    g = _pool_geometry(x_shape, kernel_size, stride, padding, ceil_mode, name)
    _check_delta(dy, x_shape, g, "dy", name)
    dtype = float_type(name, dy=dy)
    dx = np.empty(x_shape, dtype)
    pooling_backward.avg_pool_backward(contiguous(dy, dtype), dx, bool(count_include_pad), pooling.pool_sizes(g))()
    return dx
