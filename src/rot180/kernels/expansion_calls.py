"""The calls of a 1x1 convolution with the depthwise convolution that follows."""

from __future__ import annotations

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.expansion import ExpansionSizes, expand_and_convolve
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.finishing import Finish
from rot180.kernels.lane_tile import lane_tile_address, most_pixels
from rot180.kernels.pack import pack_panels
from rot180.kernels.product_tile import product_strides, product_tile_address
from rot180.kernels.simd import lane_count_of
from rot180.kernels.taps import forward_runs, tile_tables
from rot180.kernels.tile import TILE_VECTORS, even_blocks
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

UNITS = 10
"""The least number of units of work, if possible: rows at the border of two parts are computed twice."""
CACHED_BUFFER = 1 << 16
"""Bytes of a buffer of rows: those in use stay in the first-level cache, all of them in the second-level cache."""


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
    weights_in_place: bool,
) -> tuple[Call | None, Call]:
    """Return the call that packs the weights of the 1x1 convolution, and the one that computes y.

    Parameters
    ----------
    x, y : FeatureMap
    w : (1, 1, C, F)
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
        Provides memory for the calls.
    weights_in_place : bool
        Use w where it is; there is room for a register after its end.
    """
    lanes = lane_count_of(w.dtype)
    width = TILE_VECTORS * lanes
    C, F = w.shape[2:]
    KH, KW = g.kernel
    panels = -(-F // width)
    (left, right), dilation = g.padding[1], g.dilation[0]
    wide = left + g.width + right
    rows = forward_runs(g.out_height, KH, g.stride[0], dilation, g.padding[0][0], (0, g.height))
    columns = forward_runs(g.out_width, KW, g.stride[1], g.dilation[1], left, (-left, g.width + right))
    y_steps = y.array.shape[2] * F, F
    tables = tile_tables(rows, columns, most_pixels(TILE_VECTORS), (wide * width, width), (KW * F, F), y_steps)
    fitting = CACHED_BUFFER // (wide * width * w.itemsize)
    held = max((KH - 1) * dilation + 1, min(g.height, fitting))
    # Two threads get as many rows each, or as many panels.
    parts = 1
    while parts * len(x.array) * panels < UNITS and 2 * parts <= g.out_height:
        parts *= 2
    panel, row = (width, F) if weights_in_place else (C * width, width)
    operand = w if weights_in_place else scratch((1, panels, C, width))
    sizes = ExpansionSizes(
        parts=parts,
        x_first=(x.top * x.array.shape[2] + x.left) * C,
        x_row=x.array.shape[2] * C,
        height=g.height,
        columns=g.width,
        block=even_blocks(g.width),
        w_panel=panel,
        held=held,
        wide=wide,
        left=left,
        stride=g.stride[0],
        top=g.padding[0][0],
        dilation=dilation,
        y_first=(y.top * y.array.shape[2] + y.left) * F,
        y_columns=y.width,
    )
    addresses = packed((product_tile_address(w.dtype), lane_tile_address(w.dtype)))
    strides = product_strides((1, C), (0, 0, 1), (0, 0, row), pixels=(C, width, width))
    call = (
        addresses, x.array, operand, expanded.scale, expanded.shift, expanded.bounds, deep, finish.scale, finish.shift,
        finish.bounds, y.array, *tables, scratch((threads, held * wide * width)), strides, packed(sizes),
    )  # fmt: skip
    pack = None if weights_in_place else Call(pack_panels, (w, operand))
    return pack, Call(expand_and_convolve, call)
