"""A 1x1 convolution and the depthwise convolution that follows, in one pass, for inference.

    t[n, i, j, f] = finish( sum over c of  x[n, i, j, c] * w[c, f] )
    y[n, i, j, f] = finish( sum over u, v of  t[n, i*s - p + u*d, j*s - p + v*d, f] * deep[u, v, f] )

Networks for small devices expand a map to six times its channels, filter these one by one, and reduce them again. The
expanded map t is the largest of the network, and would pass through memory twice. But a filter of the depthwise
convolution needs one channel of t only: here a unit of work makes one panel of t, two registers of channels, row by row
in a small buffer, and convolves each row as soon as those that it reads are there. The sums are those of the two
kernels `pointwise` and `depthwise`, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.fetching import prefetch_to_write
from rot180.kernels.finishing import ALONE
from rot180.kernels.lane_tile import lane_tile
from rot180.kernels.product_tile import product_tile
from rot180.kernels.simd import advance, lanes, load, pointer, splat, store
from rot180.kernels.team import split
from rot180.kernels.tile import TILE_VECTORS


class ExpansionSizes(NamedTuple):
    """The sizes of `expand_and_convolve`; distances and offsets are in elements."""

    parts: int
    """Parts of an image's rows, one unit of work each."""
    x_first: int
    """Of the first pixel in x."""
    x_row: int
    """From one row of x to the next."""
    height: int
    """Of x."""
    columns: int
    block: int
    """Pixels of a product tile."""
    w_panel: int
    """From one panel of w to the next."""
    held: int
    """Rows of the buffer."""
    wide: int
    """Columns of the buffer."""
    left: int
    """Of the first column that is no padding in the buffer."""
    stride: int
    """Rows from one window to the next."""
    top: int
    """Rows of padding."""
    dilation: int
    """From one row of a window to the next."""
    y_first: int
    y_columns: int
    """Without padding."""


@subroutine
def clear_sides(buffer, s, lanes_of):
    """Set the columns of padding in a buffer to zero."""
    width = TILE_VECTORS * lanes_of
    row_length = s.wide * width
    zero = splat(buffer, 0.0)
    for row in range(s.held):
        for i in range(0, s.left * width, lanes_of):
            store(buffer, row * row_length + i, zero)
        for i in range((s.left + s.columns) * width, row_length, lanes_of):
            store(buffer, row * row_length + i, zero)


@subroutine
def expand_rows(
    addresses, x, w, scale, shift, limits, deep, deep_scale, deep_shift, deep_limits, y, rows, blocks, taps, strides, s,
    n, panel, first_row, last_row, buffer, origin, made,
):  # fmt: skip
    """Fill the channels of a panel in rows `first_row` to `last_row` - 1 of image n of y.

    y points to its first row, and buffer to rows `origin` to `made` - 1 of the expanded map, which moves on: the same
    two numbers are returned.
    """
    F = deep.shape[3]
    L = lanes(x)
    C = x.shape[3]
    width = TILE_VECTORS * L
    row_length = s.wide * width
    first = panel * width
    vectors = (min(width, F - first) + L - 1) // L
    whole = min(width, F - first) - (vectors - 1) * L
    following = (panel + 1) % ((F + width - 1) // width) * s.w_panel
    tiles = 0
    for row in range(first_row, last_row):
        y_row = rows[row, 2] + first
        if rows[row, 3] > 0:
            begin = max(0, row * s.stride - s.top)
            end = rows[row, 0] // row_length + (rows[row, 3] - 1) * s.dilation + 1
            if end - origin > s.held:
                shifted = (begin - origin) * row_length
                for i in range(0, (made - begin) * row_length, L):
                    store(buffer, i, load(buffer, shifted + i))
                origin = begin
            for r in range(max(made, begin), end):
                source = s.x_first + (n * x.shape[1] + r) * s.x_row
                target = advance(buffer, (r - origin) * row_length + s.left * width)
                for q in range(0, s.columns, s.block):
                    # What is written next, a share of it with every tile.
                    for i in range(
                        q * s.y_columns // s.columns, min(q + s.block, s.columns) * s.y_columns // s.columns
                    ):
                        for v in range(vectors):
                            prefetch_to_write(y, y_row + i * F + v * L)
                    # The next panel: with the first tile the first register of each row, then the second.
                    product_tile(
                        addresses[0], min(s.block, s.columns - q), vectors, pointer(x, source + q * C),
                        pointer(w, panel * s.w_panel), pointer(scale, first), pointer(shift, first),
                        pointer(limits, 0), target, advance(target, q * width), 1, whole, ALONE,
                        pointer(w, following + (L if tiles > 0 else 0)), strides,
                    )  # fmt: skip
                    tiles += 1
            made = end
        for block in range(blocks.shape[0]):
            pixels, cells, tap, x_pixel, y_pixel = (
                blocks[block, 0], blocks[block, 4], blocks[block, 5], blocks[block, 6], blocks[block, 7],
            )  # fmt: skip
            t_at = rows[row, 0] - origin * row_length + s.left * width + blocks[block, 1]
            lane_tile(
                addresses[1], pixels, vectors, advance(buffer, t_at),
                pointer(deep, blocks[block, 2] + rows[row, 1] + first), pointer(deep_scale, first),
                pointer(deep_shift, first), pointer(deep_limits, 0), advance(y, y_row + blocks[block, 3]),
                pointer(taps, 2 * tap),
                rows[row, 3] * cells, whole, x_pixel, y_pixel,
            )  # fmt: skip
    return origin, made


@kernel
def expand_and_convolve(
    team, addresses, x, w, scale, shift, limits, deep, deep_scale, deep_shift, deep_limits, y, rows, blocks, taps,
    scratch, strides, sizes,
):  # fmt: skip
    """Fill y (N, Ho, Wo, F) from x (N, H, W, C).

    Parameters
    ----------
    addresses : (2,) int64
        Of the compiled product tile and lane tile.
    w, scale, shift, limits
        Of the 1x1 convolution, as for `pointwise`.
    deep : (KH, KW, 1, F)
        Weights of the depthwise convolution, with room for a register after the end.
    deep_scale, deep_shift, deep_limits
        As for `depthwise`.
    rows, blocks, taps : `TileTables`
        Of the depthwise convolution over maps of one panel as wide as the buffer.
    scratch : (threads, held*wide*width)
        The buffers.
    strides : from `product_strides`
    sizes : `ExpansionSizes`
    """
    N, F = y.shape[0], y.shape[3]
    s = ExpansionSizes(*unpacked(sizes, 15))
    OH = rows.shape[0]
    width = TILE_VECTORS * lanes(x)
    panels = (F + width - 1) // width
    for unit in split(team, N * panels * s.parts):
        panel, n = unit % panels, unit // (panels * s.parts)
        part = unit // panels % s.parts
        buffer = pointer(scratch, team.thread * scratch.shape[1])
        clear_sides(buffer, s, lanes(x))
        expand_rows(
            addresses, x, w, scale, shift, limits, deep, deep_scale, deep_shift, deep_limits,
            pointer(y, s.y_first + n * y.shape[1] * y.shape[2] * F), rows, blocks, taps, strides, s,
            n, panel, part * OH // s.parts, (part + 1) * OH // s.parts, buffer, 0, 0,
        )  # fmt: skip
