r"""Means and variances of channels, as accurate as the numbers themselves.

Float32 sums over a whole batch would lose digits, and so would E[x^2] - E[x]^2 where the mean is larger than the
deviation. So a block of rows that stays in the cache is read twice, first for its means and then for the squares around
them, and blocks are combined in float64 (Chan, Golub and LeVeque, 1979): with d = mean_b - mean_a and n = n_a + n_b,

    mean = mean_a + d * n_b / n                M = M_a + M_b + d^2 * n_a * n_b / n

where M is the sum of squares around the mean.
"""

from __future__ import annotations

from rot180.kernels.channelwise import GROUP, clear, first_left, rows_of_block
from rot180.kernels.compiling import subroutine
from rot180.kernels.parts import read
from rot180.kernels.simd import advance, fma, lanes, load, pointer, store


@subroutine
def add_moments(x, first, last, top, left, H, W, block, sums):
    """Form the moments of the rows first to last: sums[0] (period,) the means, sums[1] the sums of squares around them.

    Row r is row r % H of image r // H, which begins at (top, left) in x. `block` (2, period), of x's type, is scratch;
    `sums` is float64.
    """
    C = x.shape[3]
    length, line = W * C, x.shape[2] * C
    gap = (x.shape[1] - H) * line
    period = sums.shape[1]
    means, squares = pointer(block, 0), pointer(block, period)
    whole, over = length // period, length % period  # the first `over` positions have a number more in each row
    step = rows_of_block(length, period, x.itemsize)
    sums[:] = 0.0
    for row in range(first, last, step):
        rows = min(step, last - row)
        p = pointer(x, ((row // H * x.shape[1] + top + row % H) * x.shape[2] + left) * C)
        _block_sums(p, means, row % H, rows, H, line, gap, length, period)
        _divide(block[0], 0, over, (whole + 1) * rows)
        _divide(block[0], over, min(period, length), whole * rows)
        _block_squares(p, means, squares, row % H, rows, H, line, gap, length, period)
        merge_moments(sums, block, row - first, rows, length)


@subroutine
def merge_moments(sums, others, rows, more_rows, length):
    """Combine the moments of two sets of whole rows; the first is overwritten."""
    period = sums.shape[1]
    whole, over = length // period, length % period
    _merge(sums, others, 0, over, (whole + 1) * rows, (whole + 1) * more_rows)
    _merge(sums, others, over, min(period, length), whole * rows, whole * more_rows)


@subroutine
def moments_of_channel(sums, c, C, rows, length):
    """Return the mean of channel c and its sum of squares, over all positions of the period that belong to it."""
    period = sums.shape[1]
    count, mean, squares = 0, 0.0, 0.0
    for k in range(c, min(period, length), C):
        more = (length - k + period - 1) // period * rows
        share = more / (count + more)
        d = sums[0, k] - mean
        mean += d * share
        squares += sums[1, k] + d * d * (count * share)
        count += more
    return mean, squares


@subroutine
def _divide(values, first, last, count):
    share = 1.0 / max(1, count)
    for k in range(first, last):
        values[k] = values[k] * share


@subroutine
def _merge(sums, others, first, last, count, more):
    share = more / max(1, count + more)
    weight = count * share
    for k in range(first, last):
        d = others[0, k] - sums[0, k]
        sums[0, k] += d * share
        sums[1, k] += others[1, k] + d * d * weight


@subroutine
def _block_sums(p, q, h, rows, H, line, gap, length, period):
    """q[i] = the sum of the numbers at position i of the period; the block begins in row h of an image."""
    L = lanes(p)
    clear(q, period)
    x, at = p, h
    for _ in range(rows):
        if period == GROUP * L:
            a, b, c, d = load(q, 0), load(q, L), load(q, 2 * L), load(q, 3 * L)
            for j in range(0, length - period + 1, period):
                a = a + load(x, j)
                b = b + load(x, j + L)
                c = c + load(x, j + 2 * L)
                d = d + load(x, j + 3 * L)
            store(q, 0, a)
            store(q, L, b)
            store(q, 2 * L, c)
            store(q, 3 * L, d)
        for j in range(first_left(length, period, GROUP * L), length, period):
            for k in range(0, min(period, length - j), L):
                store(q, k, load(q, k) + read(x, j + k, min(L, length - j - k)))
        x, at = advance(x, line), at + 1
        if at == H:
            x, at = advance(x, gap), 0


@subroutine
def _block_squares(p, means, q, h, rows, H, line, gap, length, period):
    """q[i] = the sum of (x - means[i])^2 over the same numbers."""
    L = lanes(p)
    mean_a, mean_b, mean_c, mean_d = load(means, 0), load(means, L), load(means, 2 * L), load(means, 3 * L)
    clear(q, period)
    x, at = p, h
    for _ in range(rows):
        if period == GROUP * L:
            a, b, c, d = load(q, 0), load(q, L), load(q, 2 * L), load(q, 3 * L)
            for j in range(0, length - period + 1, period):
                a = _square(load(x, j) - mean_a, a)
                b = _square(load(x, j + L) - mean_b, b)
                c = _square(load(x, j + 2 * L) - mean_c, c)
                d = _square(load(x, j + 3 * L) - mean_d, d)
            store(q, 0, a)
            store(q, L, b)
            store(q, 2 * L, c)
            store(q, 3 * L, d)
        for j in range(first_left(length, period, GROUP * L), length, period):
            for k in range(0, min(period, length - j), L):
                part = min(L, length - j - k)
                # Lanes after the row are zero in both.
                store(q, k, _square(read(x, j + k, part) - read(means, k, part), load(q, k)))
        x, at = advance(x, line), at + 1
        if at == H:
            x, at = advance(x, gap), 0


@subroutine
def _square(v, total):
    return fma(v, v, total)
