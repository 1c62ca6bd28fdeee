"""Convolution forward, and with other operands its data gradient, as tiles over rows of padded images.

    out[n, y, x, f] = finish( sum over u, i, k of  xp[n, y*s + u*d, ...][i, k] * w[(u, i, k), f] )

One call of the tile computes up to TILE_ROWS neighboring pixels for two registers of filters, straight from the padded
image. They go to a scratch row that stays in the first-level cache, and are finished there: with bias and ReLU, the max
pooling that follows, or the ReLU gate of the layer below. Work is split into runs of output rows times blocks of
filters; each output is computed by one unit, so its bits do not depend on the number of threads.
"""

from __future__ import annotations

from numba import get_thread_id, prange

from rot180.kernels.compiling import kernel
from rot180.kernels.simd import (
    advance,
    lanes,
    load,
    load_part,
    pointer,
    select,
    splat,
    store,
    store_bytes,
    store_part,
)
from rot180.kernels.tile import TILE_VECTORS, tile

PLAIN, BIAS, BIAS_RELU, GATE = 0, 1, 2, 3
"""How a pixel is finished: unchanged, plus bias, plus bias then ReLU, or passed where the gate's array is positive."""

CLOSED = 255
"""Used in place of a winner: the largest value of the window did not pass the ReLU."""


@kernel
def convolve(address, xp, w, bias, out, gate, scratch, strides, sizes, finish):
    """Cross-correlate padded images with kernels.

    Parameters
    ----------
    address : int
        Address of the compiled tile.
    xp : (N, Hp, Wp, C)
        Padded images.
    w : (G, blocks, KH*KW*Cg, width) or (KH, KW, Cg, F)
        From `pack_panels` or `pack_rotated`; or the weights in place, with room for a register after the end.
    bias : (F,)
        Used if `finish` includes it.
    out : (N, Ho, Wo, F)
        Pixel (y, x) goes to row top + y*step_h, column left + x*step_w.
    gate : (N, Hg, Wg, F)
        For GATE: pixel (y, x) passes where gate[n, y + gate_top, x + gate_left] > 0.
    scratch : (threads, at least OW*width)
    strides : from `tile_strides`
    sizes : (22,) int64
        KH, OH, OW, stride_h, stride_w, first_row, first_column (of the first window in xp), top, left, step_h, step_w,
        gate_top, gate_left, rows of a unit, pixels of a tile, dilation_h, the first and last + 1 row of xp outside the
        padding (kernel rows over padding are skipped), the pixels that share a register (`pack_folded`: OW, stride_w
        and bias are then those of the folded window), groups, elements from one group to the next in w, and from one
        block of filters to the next.
    finish : PLAIN, BIAS, BIAS_RELU or GATE
    """
    N, Hp, Wp, C = xp.shape
    F = out.shape[3]
    KH, OH, OW, stride_h, stride_w, first_row, first_column, top, left, step_h, step_w = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9], sizes[10],
    )  # fmt: skip
    gate_top, gate_left, run, block, dilation, real, beyond, fold, G, group_step, block_step = (
        sizes[11], sizes[12], sizes[13], sizes[14], sizes[15], sizes[16], sizes[17], sizes[18], sizes[19], sizes[20],
        sizes[21],
    )  # fmt: skip
    Cg, Fg = C // G, fold * F // G
    pixel = fold * F
    L = lanes(xp)
    width = TILE_VECTORS * L
    blocks = (Fg + width - 1) // width
    kernel_row = strides[5]
    runs = (N * OH + run - 1) // run
    for unit in prange(runs * G * blocks):
        panel = unit % (G * blocks)
        g, b = panel // blocks, panel % blocks
        first = g * Fg + b * width
        count = min(width, Fg - b * width)
        vectors = (count + L - 1) // L
        s = pointer(scratch, get_thread_id() * scratch.shape[1])
        begin = unit // (G * blocks) * run
        for row in range(begin, min(begin + run, N * OH)):
            n, y = row // OH, row % OH
            base = first_row + y * stride_h
            u = max(0, (real - base + dilation - 1) // dilation)
            count_u = max(0, min(KH, (beyond - 1 - base) // dilation + 1) - u)
            start = ((n * Hp + base + u * dilation) * Wp + first_column) * C + g * Cg
            taps = pointer(w, g * group_step + b * block_step + u * kernel_row)
            for x in range(0, OW, block):
                tile(
                    address, min(block, OW - x), vectors, pointer(xp, start + x * stride_w * C), taps,
                    advance(s, x * width), count_u, 0, strides,
                )  # fmt: skip
            target = pointer(out, ((n * out.shape[1] + top + y * step_h) * out.shape[2] + left) * F + first)
            for v in range(vectors):
                part = min(L, count - v * L)
                zero = splat(s, 0.0)
                if finish == BIAS or finish == BIAS_RELU:
                    added = load_part(pointer(bias, first), v * L, part)
                else:
                    added = zero
                for x in range(OW):
                    value = load(s, x * width + v * L) + added
                    if finish == BIAS_RELU:
                        value = select(zero > value, zero, value)
                    elif finish == GATE:
                        row_at = ((n * gate.shape[1] + gate_top + y) * gate.shape[2] + gate_left) * F
                        at = row_at + x * pixel + first + v * L
                        value = select(load_part(pointer(gate, at), 0, part) > zero, value, zero)
                    if part == L:
                        store(target, x * step_w * pixel + v * L, value)
                    else:
                        store_part(target, x * step_w * pixel + v * L, value, part)


@kernel
def convolve_pool(address, xp, w, bias, out, winners, scratch, strides, sizes, relu):
    """Convolution, bias, optional ReLU, and max pooling over adjacent windows, in one pass.

    The maximum is taken before bias and ReLU, which preserve the order; the first of equal values in row-major order
    wins, and NaN is larger than all else. `w` as for `convolve`.
    `sizes` (18,): KH, OH, OW of the pooled image, stride_h, stride_w, first_row, first_column, top, left, PH, PW, rows
    of a unit, pixels of a tile, columns to convolve, dilation_h, first and last + 1 row outside the padding, elements
    from one block of filters to the next in w.
    `winners` (N, OH, OW, F) uint8 holds u*PW + v, or CLOSED.
    """
    N, Hp, Wp, C = xp.shape
    F = out.shape[3]
    KH, OH, OW, stride_h, stride_w, first_row, first_column, top, left, PH, PW, run, block, columns = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9], sizes[10],
        sizes[11], sizes[12], sizes[13],
    )  # fmt: skip
    dilation, real, beyond, block_step = sizes[14], sizes[15], sizes[16], sizes[17]
    L = lanes(xp)
    width = TILE_VECTORS * L
    blocks = (F + width - 1) // width
    kernel_row = strides[5]
    runs = (N * OH + run - 1) // run
    for unit in prange(runs * blocks):
        b = unit % blocks
        first = b * width
        count = min(width, F - first)
        vectors = (count + L - 1) // L
        s = pointer(scratch, get_thread_id() * scratch.shape[1])
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
                        advance(s, (r * columns + x) * width), count_u, 0, strides,
                    )  # fmt: skip
            target = pointer(out, ((n * out.shape[1] + top + y) * out.shape[2] + left) * F + first)
            winner = pointer(winners, (n * OH + y) * OW * F + first)
            zero = splat(s, 0.0)
            for v in range(vectors):
                part = min(L, count - v * L)
                added = load_part(pointer(bias, first), v * L, part)
                for x in range(OW):
                    best = load(s, x * PW * width + v * L)
                    place, numbers = zero, best
                    for q in range(1, PH * PW):
                        value = load(s, (q // PW * columns + x * PW + q % PW) * width + v * L)
                        place = select(value > best, splat(s, float(q)), place)
                        best = select(value > best, value, best)
                        numbers = select(numbers == numbers, value, numbers)
                    # A NaN never compares as larger: it would be lost unless it came first.
                    best = select(numbers == numbers, best, numbers) + added
                    if relu:
                        place = select(zero >= best, splat(s, float(CLOSED)), place)
                        best = select(zero > best, zero, best)
                    store_part(target, x * F + v * L, best, part)
                    store_bytes(winner, x * F + v * L, place, part)
