r"""Means and variances of channels, as accurate as the numbers themselves.

Float32 sums over a whole batch would lose digits, and so would E[x^2] - E[x]^2 where the mean is larger than the
deviation. So the numbers are taken as distances from a pivot near the mean: with n numbers,

    mean = pivot + S / n        M = Q - S^2 / n        S = sum of x - pivot,  Q = sum of (x - pivot)^2

where M is the sum of squares around the mean. The pivot is the mean of a sample: if that is the share f of all numbers,
S^2 / n is less than M / f, whatever they are. Blocks of rows are summed in the type of the numbers, and blocks are
added up in float64.
"""

from __future__ import annotations

from rot180.kernels.channelwise import clear, fold_channels, repeat, rows_of_block
from rot180.kernels.compiling import subroutine
from rot180.kernels.parts import read
from rot180.kernels.simd import advance, fma, lanes, load, pointer, prefetch, store

SAMPLED = 8
"""Rows of the sample."""
AHEAD = 1 << 12
"""Numbers ahead, which are fetched: a block."""


@subroutine
def set_pivots(x, first, last, top, left, H, W, block, pivots):
    """Fill the pivots (period,) with the means of some of the rows first to last.

    Row r is row r % H of image r // H, which begins at (top, left) in x. `block` (2, period), of x's type, is scratch.
    """
    C, line, period = x.shape[3], x.shape[2] * x.shape[3], pivots.shape[0]
    count = min(SAMPLED, last - first)
    pivots[:] = 0.0
    block[:] = 0.0
    for i in range(count):
        row = first + i * (last - first) // count
        p = pointer(x, ((row // H * x.shape[1] + top + row % H) * x.shape[2] + left) * C)
        _add_rows(p, line, 1, W * C, period, pointer(pivots, 0), pointer(block, 0))
    fold_channels(block[0], C)
    share = 1.0 / max(1, count * W)
    for c in range(C):
        block[0, c] *= share
    repeat(block[0, :C], pivots)


@subroutine
def add_distances(x, first, last, top, left, H, W, pivots, block, sums):
    """Add the distances of these rows from the pivots to sums[0] (period,), float64, and their squares to sums[1]."""
    C, line, period = x.shape[3], x.shape[2] * x.shape[3], pivots.shape[0]
    step = rows_of_block(W * C, period, x.itemsize)
    row = first
    while row < last:
        rows = min(step, last - row, H - row % H)
        p = pointer(x, ((row // H * x.shape[1] + top + row % H) * x.shape[2] + left) * C)
        clear(pointer(block, 0), 2 * period)
        _add_rows(p, line, rows, W * C, period, pointer(pivots, 0), pointer(block, 0))
        for k in range(period):
            sums[0, k] += block[0, k]
            sums[1, k] += block[1, k]
        row += rows


@subroutine
def mean_and_variance(pivot, total, squares, count):
    """Return the mean and the biased variance, from the sums of distances and of their squares."""
    away = total / count
    variance = squares / count - away * away
    return pivot + away, 0.0 if variance < 0.0 else variance  # NaN stays


@subroutine
def _add_rows(p, line, rows, length, period, m, s):
    """Add the distances of the numbers from the pivots at m to the sums at s, and their squares a period later."""
    L = lanes(p)
    q = advance(s, period)
    if line == length and length % period == 0:
        rows, length = 1, rows * length
    fours = length // (4 * period) * 4 * period
    for row in range(rows):
        x = advance(p, row * line)
        # Four numbers of each position at a time: the sums are read and written less often. The processor, which
        # expects one number after the other, would fetch too late.
        for j in range(0, fours, 4 * period):
            u = advance(x, j)
            v = advance(u, period)
            w, z = advance(v, period), advance(v, 2 * period)
            for k in range(0, period, L):
                prefetch(u, k + AHEAD)
                prefetch(v, k + AHEAD)
                prefetch(w, k + AHEAD)
                prefetch(z, k + AHEAD)
                pivot = load(m, k)
                a, b, c, d = load(u, k) - pivot, load(v, k) - pivot, load(w, k) - pivot, load(z, k) - pivot
                store(s, k, load(s, k) + ((a + b) + (c + d)))
                store(q, k, load(q, k) + (fma(a, a, b * b) + fma(c, c, d * d)))
        for i in range(fours, length, period):
            for k in range(0, min(period, length - i), L):
                part = min(L, length - i - k)
                a = read(x, i + k, part) - read(m, k, part)  # lanes after the row are zero in both
                store(s, k, load(s, k) + a)
                store(q, k, fma(a, a, load(q, k)))
