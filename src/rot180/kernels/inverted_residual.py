"""An inverted residual block in one pass, for inference: 1x1, depthwise and 1x1 convolution, and the shortcut.

    t = finish( x * w )                 expanded, as in `rot180.kernels.expansion`
    u = finish( t * deep )              channel by channel
    y = finish( u * narrow  + other )   reduced

The expansion makes panels of u, but a pixel of y reads all of its channels. So a unit of work, an image, makes some
rows of u at a time, panel after panel, in a buffer that stays in the second-level cache, and multiplies them there.
Neither t nor u is ever whole. The sums are those of the separate kernels, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel
from rot180.kernels.expansion import ExpansionSizes, clear_sides, expand_rows
from rot180.kernels.pointwise import multiply_run
from rot180.kernels.simd import advance, lanes, pointer
from rot180.kernels.team import split
from rot180.kernels.tile import TILE_VECTORS


class ReductionSizes(NamedTuple):
    """How `reduce_expanded` makes y from rows of u; distances and offsets are in elements."""

    rows: int
    """Of u, at a time."""
    columns: int
    """Of u."""
    lines: int
    """Rows that are one run of pixels in y and in the other map: 1, or as many as there are."""
    block: int
    """Pixels of a product tile."""
    w_panel: int
    """From one panel of the matrix to the next."""
    y_first: int
    """Of the first pixel in y."""
    y_row: int
    """From one row to the next."""
    other_first: int
    """The same in the other map."""
    other_row: int


@kernel
def reduce_expanded(
    team, addresses, x, w, scale, shift, limits, deep, deep_scale, deep_shift, deep_limits, narrow, narrow_scale,
    narrow_shift, narrow_limits, other, y, how, rows, blocks, taps, buffers, some_rows, strides, narrow_strides, sizes,
    narrow_sizes,
):  # fmt: skip
    """Fill y (N, Ho, Wo, K) from x (N, H, W, C).

    Parameters
    ----------
    addresses, x, w, scale, shift, limits, deep, deep_scale, deep_shift, deep_limits, rows, blocks, taps, strides, sizes
        As for `expand_and_convolve`, for a y of as many rows as are made at a time.
    narrow, narrow_scale, narrow_shift, narrow_limits, other, how, narrow_strides
        Of the second 1x1 convolution, as for `pointwise`.
    buffers : (threads, panels or 1, held*wide*width)
        For rows of t; 1 if all rows are made at once.
    some_rows : (threads, rows*columns*F)
        For rows of u.
    narrow_sizes : `ReductionSizes`
    """
    N, F = x.shape[0], deep.shape[3]
    s = ExpansionSizes(*unpacked(sizes, 15))
    r = ReductionSizes(*unpacked(narrow_sizes, 9))
    OH, K = rows.shape[0], y.shape[3]
    width = TILE_VECTORS * lanes(x)
    panels, narrow_panels, kept = (F + width - 1) // width, (K + width - 1) // width, buffers.shape[1]
    y_image, other_image = y.shape[1] * y.shape[2] * K, other.shape[1] * other.shape[2] * K
    for n in split(team, N):
        thread = team.thread
        u = pointer(some_rows, thread * some_rows.shape[1])
        for panel in range(kept):
            clear_sides(pointer(buffers, (thread * kept + panel) * buffers.shape[2]), s, lanes(x))
        origin = made = 0
        for begin in range(0, OH, r.rows):
            end = min(OH, begin + r.rows)
            next_origin, next_made = origin, made
            for panel in range(panels):
                next_origin, next_made = expand_rows(
                    addresses, x, w, scale, shift, limits, deep, deep_scale, deep_shift, deep_limits,
                    advance(u, -begin * r.columns * F), rows, blocks, taps, strides, s, n, panel, begin, end,
                    pointer(buffers, (thread * kept + panel % kept) * buffers.shape[2]), origin, made,
                )  # fmt: skip
            origin, made = next_origin, next_made
            for row in range(begin, end, r.lines):
                pixels = min(r.lines, end - row) * r.columns
                multiply_run(
                    addresses[0], advance(u, (row - begin) * r.columns * F), F, pixels, r.block, 0, narrow_panels,
                    narrow, r.w_panel, narrow_scale, narrow_shift, narrow_limits,
                    pointer(other, r.other_first + n * other_image + row * r.other_row), K,
                    pointer(y, r.y_first + n * y_image + row * r.y_row), K, how, narrow_strides, u, 0,
                )  # fmt: skip
