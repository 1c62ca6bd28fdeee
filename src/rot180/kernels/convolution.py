"""Convolution forward, and with other operands its data gradient, as tiles over rows of padded images.

    out[n, y, x, f] = finish( sum over u, i, k of  xp[n, y*s + u*d, ...][i, k] * w[(u, i, k), f] )

One call of a tile computes up to TILE_ROWS neighboring pixels for two registers of filters, straight from the padded
image, and finishes them in their registers: `rot180.kernels.finishing`. Where max pooling of 2x2 follows, the sums of
some windows are pooled in their registers, too; with other windows they go to a scratch row that stays in the
first-level cache, and are pooled there. Work is split into runs of output rows times blocks of filters; each output is
computed by one unit, so its bits do not depend on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

from rot180.kernels.call import unpacked
from rot180.kernels.compiling import kernel
from rot180.kernels.fetching import prefetch_to_write
from rot180.kernels.pool_tile import CLOSED, POOLED, pool_tile
from rot180.kernels.product_tile import product_tile
from rot180.kernels.simd import advance, lanes, load, load_part, pointer, select, splat, store_bytes, store_part
from rot180.kernels.team import split
from rot180.kernels.tile import TILE_VECTORS, tile


class Sizes(NamedTuple):
    """The sizes of `convolve`, in pixels where nothing else is said."""

    kernel_rows: int
    rows: int
    """Of the output."""
    columns: int
    first_row: int
    """Of the first window in xp."""
    first_column: int
    top: int
    """Of the first pixel in out."""
    left: int
    run: int
    """Output rows of a unit of work."""
    block: int
    """Pixels of a tile."""
    dilation: int
    """Of the rows."""
    real: int
    """The first row of xp that is no padding: kernel rows over padding are skipped."""
    beyond: int
    """The first row after it that is padding."""
    groups: int
    group_step: int
    """Elements from one group to the next in w."""
    block_step: int
    """Elements from one block of filters to the next in w."""
    stride_h: int = 1
    stride_w: int = 1
    step_h: int = 1
    """Rows from one output row to the next in out."""
    step_w: int = 1
    other_top: int = 0
    """Of the first pixel in other, whose rows and columns are as far apart as those of out."""
    other_left: int = 0
    w_first: int = 0
    """Offset of the first cell in w."""
    fold: int = 1
    """Pixels that share a register (`pack_folded`): columns, stride_w, scale and shift are the folded window's."""


class PoolSizes(NamedTuple):
    """The sizes of `convolve_pool` and `convolve_pool_squares`; those not described are as for `convolve`."""

    kernel_rows: int
    rows: int
    """Of the pooled image."""
    columns: int
    stride_h: int
    stride_w: int
    first_row: int
    first_column: int
    top: int
    left: int
    window_rows: int
    """Of a pooling window."""
    window_columns: int
    run: int
    block: int
    convolved: int
    """Columns to convolve."""
    dilation: int
    real: int
    beyond: int
    block_step: int


@kernel
def convolve(team, address, xp, w, scale, shift, limits, other, out, how, strides, sizes):
    """Cross-correlate padded images with kernels.

    Parameters
    ----------
    address : int
        Address of the compiled product tile.
    xp : (N, Hp, Wp, C)
        Padded images.
    w : (G, blocks, KH*KW*Cg, width) or (KH, KW, Cg, F)
        From `pack_panels` or `pack_rotated`; or the weights in place, with room for a register after the end.
    scale, shift : (F,)
    limits : (2,)
        The smallest and the largest result.
    other, out : (N, rows, columns, F)
        Pixel (y, x) goes to row top + y*step_h, column left + x*step_w of `sizes`.
    how : int
        What becomes of the sums: one of `rot180.kernels.finishing`.
    strides : from `product_strides`
    sizes : (23,) int64, packed `Sizes`
    """
    N, Hp, Wp, C = xp.shape
    F = out.shape[3]
    s = Sizes(*unpacked(sizes, 23))
    KH, OH, OW, stride_h, stride_w = s.kernel_rows, s.rows, s.columns, s.stride_h, s.stride_w
    top, left, step_h, other_top, other_left = s.top, s.left, s.step_h, s.other_top, s.other_left
    first_row, first_column, real, beyond, dilation = s.first_row, s.first_column, s.real, s.beyond, s.dilation
    run, block, fold, G, group_step, block_step = s.run, s.block, s.fold, s.groups, s.group_step, s.block_step
    Cg, Fg = C // G, fold * F // G
    pixel = s.step_w * fold * F
    L = lanes(xp)
    width = TILE_VECTORS * L
    blocks = (Fg + width - 1) // width
    kernel_row = strides[5]
    runs = (N * OH + run - 1) // run
    for unit in split(team, runs * G * blocks):
        panel = unit % (G * blocks)
        g, b = panel // blocks, panel % blocks
        first = g * Fg + b * width
        count = min(width, Fg - b * width)
        vectors = (count + L - 1) // L
        begin = unit // (G * blocks) * run
        for row in range(begin, min(begin + run, N * OH)):
            n, y = row // OH, row % OH
            base = first_row + y * stride_h
            u = max(0, (real - base + dilation - 1) // dilation)
            count_u = max(0, min(KH, (beyond - 1 - base) // dilation + 1) - u)
            start = ((n * Hp + base + u * dilation) * Wp + first_column) * C + g * Cg
            taps = pointer(w, s.w_first + g * group_step + b * block_step + u * kernel_row)
            target = ((n * out.shape[1] + top + y * step_h) * out.shape[2] + left) * F + first
            beside = ((n * other.shape[1] + other_top + y * step_h) * other.shape[2] + other_left) * F + first
            for x in range(0, OW, block):
                following = pointer(out, target + (x + block) * pixel)
                for i in range(min(block, OW - x - block)):
                    for v in range(vectors):
                        prefetch_to_write(following, i * pixel + v * L)
                product_tile(
                    address, min(block, OW - x), vectors, pointer(xp, start + x * stride_w * C), taps,
                    pointer(scale, first), pointer(shift, first), pointer(limits, 0),
                    pointer(other, beside + x * pixel), pointer(out, target + x * pixel), count_u,
                    count - (vectors - 1) * L, how, taps, strides,
                )  # fmt: skip


@kernel
def convolve_pool(team, address, xp, w, bias, out, winners, scratch, strides, sizes, relu):
    """Convolution, bias, optional ReLU, and max pooling over adjacent windows, in one pass.

    The maximum is taken before bias and ReLU, which preserve the order; the first of equal values in row-major order
    wins, and NaN is larger than all else. `w` as for `convolve`.
    `sizes` (18,) int64 are packed `PoolSizes`.
    `winners` (N, OH, OW, F) uint8 holds u*PW + v, or CLOSED.
    """
    N, Hp, Wp, C = xp.shape
    F = out.shape[3]
    s = PoolSizes(*unpacked(sizes, 18))
    KH, OH, OW, stride_h, stride_w = s.kernel_rows, s.rows, s.columns, s.stride_h, s.stride_w
    first_row, first_column, real, beyond, dilation = s.first_row, s.first_column, s.real, s.beyond, s.dilation
    top, left, PH, PW, columns = s.top, s.left, s.window_rows, s.window_columns, s.convolved
    run, block, block_step = s.run, s.block, s.block_step
    L = lanes(xp)
    width = TILE_VECTORS * L
    blocks = (F + width - 1) // width
    kernel_row = strides[5]
    runs = (N * OH + run - 1) // run
    for unit in split(team, runs * blocks):
        b = unit % blocks
        first = b * width
        count = min(width, F - first)
        vectors = (count + L - 1) // L
        row_of_sums = pointer(scratch, team.thread * scratch.shape[1])
        begin = unit // blocks * run
        for row in range(begin, min(begin + run, N * OH)):
            n, y = row // OH, row % OH
            for r in range(PH):
                base = first_row + (y * PH + r) * stride_h
                u = max(0, (real - base + dilation - 1) // dilation)
                count_u = max(0, min(KH, (beyond - 1 - base) // dilation + 1) - u)
                start = ((n * Hp + base + u * dilation) * Wp + first_column) * C
                taps = pointer(w, b * block_step + u * kernel_row)
                for x in range(0, columns, block):
                    tile(
                        address, min(block, columns - x), vectors, pointer(xp, start + x * stride_w * C), taps,
                        advance(row_of_sums, (r * columns + x) * width), count_u, 0, strides,
                    )  # fmt: skip
            target = pointer(out, ((n * out.shape[1] + top + y) * out.shape[2] + left) * F + first)
            winner = pointer(winners, (n * OH + y) * OW * F + first)
            zero = splat(row_of_sums, 0.0)
            for v in range(vectors):
                part = min(L, count - v * L)
                added = load_part(pointer(bias, first), v * L, part)
                for x in range(OW):
                    best = load(row_of_sums, x * PW * width + v * L)
                    place, numbers = zero, best
                    for q in range(1, PH * PW):
                        value = load(row_of_sums, (q // PW * columns + x * PW + q % PW) * width + v * L)
                        place = select(value > best, splat(row_of_sums, float(q)), place)
                        best = select(value > best, value, best)
                        numbers = select(numbers == numbers, value, numbers)
                    # A NaN never compares as larger: it would be lost unless it came first.
                    best = select(numbers == numbers, best, numbers) + added
                    if relu:
                        place = select(zero >= best, splat(row_of_sums, float(CLOSED)), place)
                        best = select(zero > best, zero, best)
                    store_part(target, x * F + v * L, best, part)
                    store_bytes(winner, x * F + v * L, place, part)


@kernel
def convolve_pool_squares(team, address, xp, w, bias, out, winners, strides, sizes, relu):
    """The same with windows of 2x2, several of which may share a register (`pack_folded`).

    `address` is that of the pool tile, `strides` are from `pool_strides`; `sizes` count windows instead of columns and
    pixels, those that share a register as one; `w`, `bias` and block_step are those of the folded window.
    """
    N, Hp, Wp, C = xp.shape
    s = PoolSizes(*unpacked(sizes, 18))
    KH, OH, columns, block, run, dilation = s.kernel_rows, s.rows, s.columns, s.block, s.run, s.dilation
    x_window, F = strides[8], strides[9]
    L = lanes(xp)
    width = TILE_VECTORS * L
    blocks = (F + width - 1) // width
    kernel_row = strides[5]
    runs = (N * OH + run - 1) // run
    for unit in split(team, runs * blocks):
        b = unit % blocks
        first = b * width
        count = min(width, F - first)
        vectors = (count + L - 1) // L
        begin = unit // blocks * run
        for row in range(begin, min(begin + run, N * OH)):
            n, y = row // OH, row % OH
            base = s.first_row + POOLED * y * s.stride_h
            # Kernel rows that are over padding for both rows of the windows are skipped.
            u = max(0, (s.real - base - s.stride_h + dilation - 1) // dilation)
            count_u = max(0, min(KH, (s.beyond - 1 - base) // dilation + 1) - u)
            start = ((n * Hp + base + u * dilation) * Wp + s.first_column) * C
            taps = pointer(w, b * s.block_step + u * kernel_row)
            target = ((n * out.shape[1] + s.top + y) * out.shape[2] + s.left) * out.shape[3] + first
            winner = (n * OH + y) * columns * F + first
            for x in range(0, columns, block):
                pool_tile(
                    address, min(block, columns - x), vectors, pointer(xp, start + x * x_window), taps,
                    pointer(bias, first), pointer(out, target + x * F), pointer(winners, winner + x * F), count_u,
                    count - (vectors - 1) * L, 1 if relu else 0, strides,
                )  # fmt: skip
