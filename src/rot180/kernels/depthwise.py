"""Depthwise convolution: every filter sees one channel, so the lanes of a register are channels.

    y[n, i, j, c]  = finish( sum over u, v of  x[n, i*s - p + u*d, j*s - p + v*d, c] * w[u, v, c] )
    dx[n, r, q, c] = sum over u, v of  dy[n, (r + p - u*d) / s, (q + p - v*d) / s, c] * w[u, v, c]
    dw[u, v, c]    = sum over n, i, j of  x[n, i*s - p + u*d, j*s - p + v*d, c] * dy[n, i, j, c]

Tables from `rot180.kernels.taps` list the places that are inside, so that nothing need be padded, spread by a stride or
rotated, and a stride of s costs the data gradient no more than the forward pass. A 3x3 kernel does nine multiply-adds
for each number read and written: memory is the limit, unless the images are in the second-level cache. Rows are read in
the order of memory, and in large batches prefetched.

With m filters for each channel, x is repeated m times first (`repeat_channels`), and dx added up (`sum_repeats`).
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.lane_tile import lane_gather, lane_tile
from rot180.kernels.simd import lanes, pointer, prefetch, splat, store
from rot180.kernels.team import split

LINE = 64
"""Bytes of a cache line."""


class DepthwiseSizes(NamedTuple):
    """The sizes of `depthwise`."""

    x_first: int
    """Offset of the first pixel in x."""
    y_first: int
    run: int
    """Rows of a unit of work."""
    registers: int
    """Of channels, in a tile."""
    fetches: int
    """1 to prefetch rows."""


class GatherSizes(NamedTuple):
    """The sizes of `depthwise_weight_gradient`."""

    x_first: int
    """Offset of the first pixel in x."""
    delta_first: int
    x_lot: int
    """Elements of x in a lot, if lots are to be prefetched; otherwise 0."""
    delta_lot: int


@subroutine
def _fetch(array, first, count):
    """Prefetch `count` elements from `first`, as far as the array reaches."""
    line = LINE // array.itemsize
    p = pointer(array, first)
    for i in range(0, min(count, array.size - first), line):
        prefetch(p, i)


@kernel
def depthwise(team, address, x, w, scale, shift, limits, y, rows, blocks, taps, sizes):
    """Forward pass or data gradient, as the tables direct.

    Parameters
    ----------
    address : int
        Address of the compiled lane tile.
    x : (N, Hp, Wp, C)
        Images, or delta; with room for a register after the end.
    w : (KH, KW, 1, C)
        With room for a register after the end.
    scale, shift : (C,)
    limits : (2,)
        The smallest and the largest result: 0 and infinity for ReLU, 0 and 6 for ReLU6.
    y : (N, Ho, Wo, C)
    rows, blocks, taps : `TileTables`
    sizes : `DepthwiseSizes`
    """
    N, Hp, Wp, C = x.shape
    s = DepthwiseSizes(*unpacked(sizes, 5))
    L = lanes(x)
    OH = rows.shape[0]
    runs = (OH + s.run - 1) // s.run
    width = s.registers * L
    for unit in split(team, N * runs):
        begin = unit % runs * s.run
        n = unit // runs
        x_image = s.x_first + n * Hp * Wp * C
        y_image = s.y_first + n * y.shape[1] * y.shape[2] * C
        for row in range(begin, min(OH, begin + s.run)):
            following = min(row + 1, OH - 1)
            for block in range(blocks.shape[0]):
                pixels, cells, tap, x_pixel, y_pixel = (
                    blocks[block, 0], blocks[block, 4], blocks[block, 5], blocks[block, 6], blocks[block, 7],
                )  # fmt: skip
                x_block, y_block = x_image + blocks[block, 1], y_image + blocks[block, 3]
                x_at, w_at, y_at = x_block + rows[row, 0], blocks[block, 2] + rows[row, 1], y_block + rows[row, 2]
                count = rows[row, 3] * cells
                if s.fetches and count > 0 and rows[following, 3] > 0:
                    last = x_block + max(0, taps[tap + (rows[following, 3] - 1) * cells, 0])
                    for place in range(rows[row, 0], rows[following, 0], Wp * C):
                        _fetch(x, last + place + Wp * C, pixels * x_pixel)
                    _fetch(y, y_block + rows[following, 2], pixels * y_pixel)
                for c in range(0, C, width):
                    part = min(width, C - c)
                    registers = (part + L - 1) // L
                    lane_tile(
                        address, pixels, registers, pointer(x, x_at + c), pointer(w, w_at + c), pointer(scale, c),
                        pointer(shift, c), pointer(limits, 0), pointer(y, y_at + c), pointer(taps, 2 * tap), count,
                        part - (registers - 1) * L, x_pixel, y_pixel,
                    )  # fmt: skip


@kernel
def depthwise_weight_gradient(team, address, x, delta, sums, lots, blocks, sizes):
    """Correlate images with delta, channel by channel.

    Parameters
    ----------
    address : int
        Address of the compiled lane gather.
    x, delta : (N, rows, columns, C)
        With room for a register after the end.
    sums : (parts, KH*KW, Cp)
        Cp is C rounded up to whole registers; overwritten. `rot180.kernels.pack.add_up` makes one of the parts.
    lots, blocks : `GatherTables`
    sizes : `GatherSizes`
    """
    N, Hp, Wp, C = x.shape
    s = GatherSizes(*unpacked(sizes, 4))
    x_size, delta_size = Hp * Wp * C, delta.shape[1] * delta.shape[2] * C
    parts, cells, padded = sums.shape
    L = lanes(x)
    each = lots.shape[0]
    for part in split(team, parts):
        first_sum = part * cells * padded
        p = pointer(sums, first_sum)
        zero = splat(p, 0.0)
        for i in range(0, cells * padded, L):
            store(p, i, zero)
        for at in range(part * N * each // parts, (part + 1) * N * each // parts):
            n, lot = at // each, at % each
            next_n, next_lot = (at + 1) // each, (at + 1) % each
            x_next = s.x_first + next_n * x_size + lots[next_lot, 0]
            delta_next = s.delta_first + next_n * delta_size + lots[next_lot, 1]
            for block in range(blocks.shape[0]):
                x_at = s.x_first + n * x_size + lots[lot, 0] + blocks[block, 0]
                delta_at = s.delta_first + n * delta_size + lots[lot, 1] + blocks[block, 1]
                sums_at = first_sum + lots[lot, 2] + blocks[block, 2]
                strides = pointer(blocks, block * 13 + 4)
                for c in range(0, padded, L):
                    if block == 0:
                        _fetch(x, x_next + c * s.x_lot // padded, L * s.x_lot // padded)
                        _fetch(delta, delta_next + c * s.delta_lot // padded, L * s.delta_lot // padded)
                    lane_gather(
                        address, lots[lot, 4], blocks[block, 3], pointer(x, x_at + c), pointer(delta, delta_at + c),
                        pointer(sums, sums_at + c), lots[lot, 3], 1, strides,
                    )  # fmt: skip


@kernel
def repeat_channels(team, x, y):
    """y[n, i, j, c*m + r] = x[n, i, j, c] for all r < m, padding included."""
    C, F = x.shape[3], y.shape[3]
    m = F // C
    for row in split(team, x.shape[0] * x.shape[1]):
        n, i = row // x.shape[1], row % x.shape[1]
        for j in range(x.shape[2]):
            for c in range(C):
                for r in range(m):
                    y[n, i, j, c * m + r] = x[n, i, j, c]


@kernel
def sum_repeats(team, y, x, sizes):
    """x[n, top + i, left + j, c] = sum over r < m of y[n, i, j, c*m + r]; `sizes`: top, left."""
    C, F = x.shape[3], y.shape[3]
    m = F // C
    top, left = sizes[0], sizes[1]
    for row in split(team, y.shape[0] * y.shape[1]):
        n, i = row // y.shape[1], row % y.shape[1]
        for j in range(y.shape[2]):
            for c in range(C):
                total = y[n, i, j, c * m]
                for r in range(1, m):
                    total += y[n, i, j, c * m + r]
                x[n, top + i, left + j, c] = total
