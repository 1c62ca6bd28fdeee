"""The calls of the kernels of a fully connected layer: the same for the engine's stages and for the twins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rot180.kernels.affine import (
    KEEP,
    affine,
    affine_data_gradient,
    affine_data_gradient_of_few,
    affine_one,
    affine_weight_gradient,
)
from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.elementwise import NOTHING, RELU
from rot180.kernels.product_tile import product_strides, product_tile_address
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_ROWS, TILE_VECTORS, dot_tile_address, even_blocks, tile_address, tile_strides
from rot180.ops.types import Array

PARTS = 16
"""The number of parts that a single image's inputs are split into, whatever the number of threads."""
UNITS = 16
"""With fewer blocks of columns, more units of work are needed: enough for as many cores."""


class Update(NamedTuple):
    """What becomes of a weight's gradient as it is computed: an optimizer's rule, or KEEP to store it in `weight`."""

    weight: Array
    first_state: Array
    second_state: Array
    rule: int
    hyper: Array


def keep(dw: Array) -> Update:
    """Return the update that stores the gradient."""
    return Update(dw, dw, dw, KEEP, np.zeros(9))


def multiply(
    x: Array,
    w: Array,
    bias: Array,
    y: Array,
    *,
    threads: int,
    scratch: Scratch,
    activation: int = NOTHING,
    steady: bool = False,
) -> Call:
    """Return the call that computes y (N, O) from x (N, I); w (I, O) has room for a register after its end.

    `bias` is (O,) or empty; `activation` as for `affine`. With `steady`, a single row has the bits that it has among
    others; otherwise it is summed in the order of memory, which is faster for large weights.
    """
    inputs, outputs = w.shape
    lanes = lane_count_of(w.dtype)
    if len(x) == 1 and not steady:
        sums = scratch((PARTS, -(-outputs // lanes) * lanes))
        return Call(affine_one, (x, w, bias, y, sums, activation))
    strides = product_strides((1, inputs), (0, 0, 1), (0, 0, outputs), pixels=(inputs, outputs, outputs))
    width, block = TILE_VECTORS * lanes, even_blocks(len(x))
    # A unit is a block of columns, whose weights stay in the cache; of few blocks, a tile.
    sizes = packed((width, block, block if outputs < UNITS * width else len(x)))
    limits = np.array([0 if activation == RELU else -np.inf, np.inf], w.dtype)
    finish = np.ones(outputs, w.dtype), bias if bias.size else np.zeros(outputs, w.dtype), limits
    return Call(affine, (product_tile_address(w.dtype), x, w, *finish, y, strides, sizes, activation))


def data_gradient(dy: Array, w: Array, dx: Array, *, threads: int, scratch: Scratch) -> Call:
    """Return the call that computes dx (N, I) from dy (N, O)."""
    inputs, outputs = w.shape
    lanes = lane_count_of(w.dtype)
    if outputs >= lanes:
        return Call(affine_data_gradient, (dot_tile_address(w.dtype), dy, w, dx, packed((outputs, outputs, inputs))))
    width = TILE_VECTORS * lanes
    buffers = scratch((threads, (outputs + TILE_ROWS) * width))
    strides = tile_strides((1, outputs), (0, 0, 1), (0, 0, width), a_row=outputs, c_row=width)
    sizes = packed((width, even_blocks(len(dy))))
    return Call(affine_data_gradient_of_few, (tile_address(w.dtype), dy, w, dx, buffers, strides, sizes))


def weight_gradient(x: Array, dy: Array, db: Array, update: Update, *, threads: int, scratch: Scratch) -> Call:
    """Return the call that computes the gradients from x (N, I) and dy (N, O), which has room after its end.

    `db` is (O,) or empty.
    """
    inputs, outputs = update.weight.shape
    width = TILE_VECTORS * lane_count_of(x.dtype)
    length = -(-outputs // width) * width
    strides = tile_strides((1, 1), (inputs, 0, 0), (outputs, 0, 0), a_row=1, c_row=length)
    rows = scratch((threads, TILE_ROWS * length))
    sizes = packed((even_blocks(inputs), length))
    weight, first, second, rule, hyper = update
    arguments = (tile_address(x.dtype), x, dy, weight, first, second, db, rows, strides, sizes, rule, hyper)
    return Call(affine_weight_gradient, arguments)
