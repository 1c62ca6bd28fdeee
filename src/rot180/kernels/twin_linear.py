"""The compiled twins of `rot180.ops.linear`."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numba import config

from rot180.errors import ArgumentError, ShapeError
from rot180.kernels.affine import KEEP, affine, affine_data_gradient, affine_weight_gradient
from rot180.kernels.elementwise import NOTHING
from rot180.kernels.memory import aligned
from rot180.kernels.operands import contiguous, float_type, integers
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
            raise ShapeError(
                f"linear: b must have one bias per unit, ({w.shape[1]},); it is {b.shape}; see w {w.shape}"
            )
        dtype = float_type("linear", x=x, w=w, b=b)
    inputs, outputs = w.shape
    width = TILE_VECTORS * lane_count_of(dtype)
    weights = aligned(w.shape, dtype)
    weights[...] = w
    bias = np.zeros(0, dtype) if b is None else contiguous(b, dtype)
    y = np.empty((len(x), outputs), dtype)
    scratch = aligned((config.NUMBA_NUM_THREADS, TILE_ROWS * width), dtype)
    strides = tile_strides((1, inputs), (0, 0, 1), (0, 0, outputs), a_row=inputs, c_row=width)
    sizes = integers(width, even_blocks(len(x)))
    affine(tile_address(dtype), contiguous(x, dtype), weights, bias, y, scratch, strides, sizes, NOTHING)
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
    dw = np.empty(w.shape, dtype) if "w" in needs else None
    db = np.empty(w.shape[1], dtype) if "b" in needs else None
    _parameter_gradients(delta, contiguous(x, dtype), dw, db)
    return dx, dw, db


def _data_gradient(delta: Array, w: Array) -> Array:
    inputs, outputs = w.shape
    dx = np.empty((len(delta), inputs), delta.dtype)
    affine_data_gradient(dot_tile_address(delta.dtype), delta, w, dx, integers(outputs, outputs, inputs))
    return dx


def _parameter_gradients(delta: Array, x: Array, dw: Array | None, db: Array | None) -> None:
    outputs = delta.shape[1]
    if dw is None:
        x, dw = x[:, :0], np.empty((0, outputs), delta.dtype)
    if db is None:
        db = np.empty(0, delta.dtype)
    inputs = len(dw)
    width = TILE_VECTORS * lane_count_of(delta.dtype)
    length = -(-outputs // width) * width
    scratch = aligned((config.NUMBA_NUM_THREADS, TILE_ROWS * length), delta.dtype)
    strides = tile_strides((1, 1), (inputs, 0, 0), (outputs, 0, 0), a_row=1, c_row=length)
    sizes = integers(even_blocks(inputs), length)
    affine_weight_gradient(
        tile_address(delta.dtype), contiguous(x, delta.dtype), delta, dw, dw, dw, db, scratch, strides, sizes, KEEP,
        np.zeros(9),
    )  # fmt: skip
