"""The call of an inverted residual block's kernel."""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels import expansion_calls
from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.finishing import ADDED, ALONE, Finish
from rot180.kernels.inverted_residual import ReductionSizes, reduce_expanded
from rot180.kernels.product_tile import product_strides
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_VECTORS, even_blocks
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

CACHED_IMAGE = 5 << 17
"""Bytes of an image's depthwise outputs up to which all of its rows are made at once."""
CACHED_ROWS = 1 << 18
"""Bytes of the rows that are made at once of a larger one, and of the buffers of their inputs: together, and with the
weights, they stay in the second-level cache."""


class Convolved(NamedTuple):
    """The weights of a convolution, and what becomes of its sums."""

    w: Array
    finish: Finish


def inverted_residual(
    x: FeatureMap,
    expand: Convolved,
    deep: Convolved,
    g: Geometry,
    reduce: Convolved,
    y: FeatureMap,
    *,
    threads: int,
    scratch: Scratch,
) -> Call:
    """Return the call that computes y.

    Parameters
    ----------
    x, y : FeatureMap
    expand : Convolved
        With weights (1, 1, C, F). There must be room for a register after the end of all weights.
    deep : Convolved
        With weights (KH, KW, 1, F).
    g : Geometry
        Of the depthwise convolution.
    reduce : Convolved
        With weights (1, 1, F, K).
    threads : int
        The most threads that the kernel may use.
    scratch : Scratch
        Provides memory for the call.
    """
    w = reduce.w
    F, K = w.shape[2:]
    width = TILE_VECTORS * lane_count_of(w.dtype)
    panels, row = -(-F // width), g.out_width * F * w.itemsize
    whole = g.out_height * row <= CACHED_IMAGE
    # With all rows at once, one panel's buffer is free for the next.
    cached, buffers = (expansion_calls.CACHED_BUFFER, 1) if whole else (CACHED_ROWS // panels, panels)
    made = expansion_calls.operands(x, *expand, deep.w, g, deep.finish, y_columns=g.out_width, cached=cached)
    rows = g.out_height if whole else even_blocks(g.out_height, max(1, CACHED_ROWS // row))
    added = reduce.finish.added
    other = y if added is None else added
    lines = rows if not (y.is_padded or other.is_padded) else 1
    sizes = ReductionSizes(
        rows=rows,
        columns=g.out_width,
        lines=lines,
        block=even_blocks(lines * g.out_width),
        w_panel=width,
        y_first=_first(y),
        y_row=y.array.shape[2] * K,
        other_first=_first(other),
        other_row=other.array.shape[2] * K,
    )
    finish = reduce.finish
    call = (
        *made.operands, w, finish.scale, finish.shift, finish.bounds, other.array, y.array,
        ALONE if added is None else ADDED, *made.tables, scratch((threads, buffers, made.buffer)),
        scratch((threads, rows * g.out_width * F)), made.strides,
        product_strides((1, F), (0, 0, 1), (0, 0, K), pixels=(F, K, K)), packed(made.sizes), packed(sizes),
    )  # fmt: skip
    return Call(reduce_expanded, call)


def _first(of: FeatureMap) -> int:
    """The offset of the first pixel."""
    return (of.top * of.array.shape[2] + of.left) * of.array.shape[3]
