"""The calls of a 1x1 convolution with the depthwise convolution that follows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.expansion import ExpansionSizes, expand_and_convolve
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.finishing import Finish
from rot180.kernels.lane_tile import lane_tile_address, most_pixels
from rot180.kernels.product_tile import product_strides, product_tile_address
from rot180.kernels.simd import lane_count_of
from rot180.kernels.taps import TileTables, forward_runs, tile_tables
from rot180.kernels.tile import TILE_VECTORS, even_blocks
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

UNITS = 10
"""The least number of units of work, if possible: rows at the border of two parts are computed twice."""
CACHED_BUFFER = 1 << 16
"""Bytes of a buffer of rows: those in use stay in the first-level cache, all of them in the second-level cache."""


class Operands(NamedTuple):
    """What kernels take for an expansion."""

    operands: tuple[Any, ...]
    """From `addresses` to `deep_limits`."""
    tables: TileTables
    strides: np.ndarray[Any, np.dtype[np.int64]]
    sizes: ExpansionSizes
    """For a y without padding, all rows a unit of work."""
    buffer: int
    """Elements of a buffer of rows."""


def operands(
    x: FeatureMap,
    w: Array,
    expanded: Finish,
    deep: Array,
    g: Geometry,
    finish: Finish,
    *,
    y_columns: int,
    cached: int,
) -> Operands:
    """Return what kernels take to compute rows of y, whose buffer has so many columns.

    The buffer of rows takes at most `cached` bytes, if a window fits.
    """
    lanes = lane_count_of(w.dtype)
    width = TILE_VECTORS * lanes
    C, F = w.shape[2:]
    KH, KW = g.kernel
    (left, right), dilation = g.padding[1], g.dilation[0]
    wide = left + g.width + right
    rows = forward_runs(g.out_height, KH, g.stride[0], dilation, g.padding[0][0], (0, g.height))
    columns = forward_runs(g.out_width, KW, g.stride[1], g.dilation[1], left, (-left, g.width + right))
    y_steps = y_columns * F, F
    tables = tile_tables(rows, columns, most_pixels(TILE_VECTORS), (wide * width, width), (KW * F, F), y_steps)
    held = max((KH - 1) * dilation + 1, min(g.height, cached // (wide * width * w.itemsize)))
    sizes = ExpansionSizes(
        parts=1,
        x_first=(x.top * x.array.shape[2] + x.left) * C,
        x_row=x.array.shape[2] * C,
        height=g.height,
        columns=g.width,
        block=even_blocks(g.width),
        w_panel=width,
        held=held,
        wide=wide,
        left=left,
        stride=g.stride[0],
        top=g.padding[0][0],
        dilation=dilation,
        y_first=0,
        y_columns=g.out_width,
    )
    addresses = packed((product_tile_address(w.dtype), lane_tile_address(w.dtype)))
    return Operands(
        (addresses, x.array, w, *_numbers(expanded), deep, *_numbers(finish)),
        tables,
        product_strides((1, C), (0, 0, 1), (0, 0, F), pixels=(C, width, width)),
        sizes,
        held * wide * width,
    )


def expand_and_convolve_calls(
    x: FeatureMap,
    w: Array,
    expanded: Finish,
    deep: Array,
    g: Geometry,
    y: FeatureMap,
    finish: Finish,
    *,
    threads: int,
    scratch: Scratch,
) -> Call:
    """Return the call that computes y.

    Parameters
    ----------
    x, y : FeatureMap
    w : (1, 1, C, F)
        With room for a register after the end.
    expanded : Finish
        Of the 1x1 convolution.
    deep : (KH, KW, 1, F)
        With room for a register after the end.
    g : Geometry
        Of the depthwise convolution.
    finish : Finish
        Of the depthwise convolution.
    threads : int
        The most threads that the kernels may use.
    scratch : Scratch
        Provides memory for the call.
    """
    Wp, F = y.array.shape[2:]
    made = operands(x, w, expanded, deep, g, finish, y_columns=Wp, cached=CACHED_BUFFER)
    # Two threads get as many rows each, or as many panels.
    parts, panels = 1, -(-F // (TILE_VECTORS * lane_count_of(w.dtype)))
    while parts * len(x.array) * panels < UNITS and 2 * parts <= g.out_height:
        parts *= 2
    sizes = made.sizes._replace(parts=parts, y_first=(y.top * Wp + y.left) * F)
    call = (
        *made.operands, y.array, *made.tables, scratch((threads, made.buffer)), made.strides, packed(sizes),
    )  # fmt: skip
    return Call(expand_and_convolve, call)


def _numbers(finish: Finish) -> tuple[Array, Array, Array]:
    return finish.scale, finish.shift, finish.bounds
