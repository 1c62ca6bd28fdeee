"""The compiled twins of `rot180.ops.linear`."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numba import config

from rot180.errors import ArgumentError, ShapeError
from rot180.kernels.affine import KEEP, affine, affine_data_gradient, affine_weight_gradient, column_sums
from rot180.kernels.memory import aligned
from rot180.kernels.operands import contiguous, float_type, integers
from rot180.kernels.pack import pack_panels
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_ROWS, TILE_VECTORS, dot_tile_address, even_blocks, tile_address, tile_strides
from rot180.ops.linear import _check
from rot180.ops.types import Array


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """Compiled twin of `rot180.ops.linear`."""
    _check(x, w, "linear")
    dtype = float_type("linear", x=x, w=w)
    if b is not None:
        if b.shape != (w.shape[1],):
            raise ShapeError(f"linear: b must have one bias a unit, ({w.shape[1]},); it is {b.shape}; see w {w.shape}")
        dtype = float_type("linear", x=x, w=w, b=b)
    inputs, outputs = w.shape
    width = TILE_VECTORS * lane_count_of(dtype)
    panels = aligned((1, -(-outputs // width), inputs, width), dtype)
    pack_panels(contiguous(w, dtype).reshape(1, 1, inputs, outputs), panels)
    bias = np.zeros(outputs, dtype) if b is None else contiguous(b, dtype)
    y = np.empty((len(x), outputs), dtype)
    scratch = aligned((config.NUMBA_NUM_THREADS, TILE_ROWS * width), dtype)
    strides = tile_strides((1, inputs), (0, 0, 1), (0, 0, width), a_row=inputs, c_row=width)
    sizes = integers(inputs * width, width, even_blocks(len(x)), 1, 0)
    affine(tile_address(dtype), contiguous(x, dtype), panels.reshape(-1), bias, y, scratch, strides, sizes)
    return y


def linear_backward(
    dy: Array, x: Array, w: Array, *, needs: Collection[str] = ("x", "w", "b")
) -> tuple[Array | None, Array | None, Array | None]:
    """Compiled twin of `rot180.ops.linear_backward`."""
    _check(x, w, "linear_backward")
    if dy.shape != (x.shape[0], w.shape[1]):
        raise ShapeError(
            f"linear_backward: dy must have the shape of y, {(x.shape[0], w.shape[1])}; it is {dy.shape}; "
            f"give the x and w of the forward pass"
        )
    if not set(needs) <= {"x", "w", "b"}:
        raise ArgumentError(f"linear_backward: needs may hold 'x', 'w' and 'b'; it is {needs!r}; leave out the others")
    dtype = float_type("linear_backward", dy=dy, x=x, w=w)
    delta = aligned(dy.shape, dtype)
    delta[...] = dy
    dx = _data_gradient(delta, contiguous(w, dtype)) if "x" in needs else None
    dw = _weight_gradient(delta, contiguous(x, dtype)) if "w" in needs else None
    db: Array | None = None
    if "b" in needs:
        db = np.empty(w.shape[1], dtype)
        column_sums(delta, db)
    return dx, dw, db


def _data_gradient(delta: Array, w: Array) -> Array:
    inputs, outputs = w.shape
    dx = np.empty((len(delta), inputs), delta.dtype)
    affine_data_gradient(dot_tile_address(delta.dtype), delta, w, dx, integers(outputs, outputs, inputs))
    return dx


def _weight_gradient(delta: Array, x: Array) -> Array:
    inputs, outputs = x.shape[1], delta.shape[1]
    width = TILE_VECTORS * lane_count_of(delta.dtype)
    length = -(-outputs // width) * width
    dw = np.empty((inputs, outputs), delta.dtype)
    scratch = aligned((config.NUMBA_NUM_THREADS, TILE_ROWS * length), delta.dtype)
    strides = tile_strides((1, 1), (inputs, 0, 0), (outputs, 0, 0), a_row=1, c_row=length)
    sizes = integers(even_blocks(inputs), length)
    affine_weight_gradient(tile_address(delta.dtype), x, delta, dw, dw, dw, scratch, strides, sizes, KEEP, np.zeros(9))
    return dw
