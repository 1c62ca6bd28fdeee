r"""ReLU with a learned slope for each channel.

y = x where x > 0, else slope * x        dx = dy where x > 0, else slope * dy        dslope = sum of dy * min(0, x)
"""

from __future__ import annotations

from rot180.kernels.channelwise import GROUP, clear, first_left, fold_channels, repeat, rows_of_block
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.elementwise import UNIT
from rot180.kernels.parts import read, write
from rot180.kernels.simd import fma, lanes, load, pointer, select, splat, store
from rot180.kernels.team import split


@kernel
def prelu(team, x, slope, y, table, sizes):
    """y = x where x > 0, else slope[c] * x; y may be x.

    `slope` (C,) or (1,); `table` (period,) is scratch; `sizes` as those of `elementwise.activate`.
    """
    H, W, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    L = lanes(x)
    C, period = x.shape[3], table.shape[0]
    length, rows = W * C, x.shape[0] * H
    for _ in split(team, 1):
        repeat(slope, table)
    run = max(1, UNIT // max(1, length))
    for unit in split(team, (rows + run - 1) // run):
        t = pointer(table, 0)
        zero = splat(t, 0.0)
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * C)
            for i in range(0, length, period):
                for k in range(0, min(period, length - i), L):
                    part = min(L, length - i - k)
                    value = read(p, i + k, part)
                    write(q, i + k, select(value > zero, value, load(t, k) * value), part)


@kernel
def prelu_backward(team, dy, x, slope, dx, dslope, table, blocks, sums, sizes):
    """dx (it may be dy) and dslope (C,) or (1,).

    `blocks` (parts, period), of x's type, and `sums`, float64 of the same shape, are scratch; `sizes` as those of
    `elementwise.combine`.
    """
    H, W, d_top, d_left, x_top, x_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    C = x.shape[3]
    parts, period = sums.shape
    length, rows = W * C, x.shape[0] * H
    for _ in split(team, 1):
        repeat(slope, table)
    for part in split(team, parts):
        sums[part] = 0.0
        first, last = part * rows // parts, (part + 1) * rows // parts
        step = rows_of_block(length, period, x.itemsize)
        t, s = pointer(table, 0), pointer(blocks[part], 0)
        for at in range(first, last, step):
            clear(s, period)
            for row in range(at, min(at + step, last)):
                n, h = row // H, row % H
                p = pointer(dy, ((n * dy.shape[1] + d_top + h) * dy.shape[2] + d_left) * C)
                o = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
                q = pointer(dx, ((n * dx.shape[1] + y_top + h) * dx.shape[2] + y_left) * C)
                _row_backward(p, o, q, t, s, length, period)
            for k in range(period):
                sums[part, k] += blocks[part, k]
    for k in split(team, period):
        for part in range(1, parts):
            sums[0, k] += sums[part, k]
    for _ in split(team, 1):
        fold_channels(sums[0], dslope.shape[0])
        for c in range(dslope.shape[0]):
            dslope[c] = sums[0, c]


@subroutine
def _row_backward(p, o, q, t, s, length, period):
    L = lanes(p)
    if period == GROUP * L:
        a, b, c, d = load(s, 0), load(s, L), load(s, 2 * L), load(s, 3 * L)
        for j in range(0, length - period + 1, period):
            a = _backward(p, o, q, t, 0, j, L, a)
            b = _backward(p, o, q, t, L, j + L, L, b)
            c = _backward(p, o, q, t, 2 * L, j + 2 * L, L, c)
            d = _backward(p, o, q, t, 3 * L, j + 3 * L, L, d)
        store(s, 0, a)
        store(s, L, b)
        store(s, 2 * L, c)
        store(s, 3 * L, d)
    for j in range(first_left(length, period, GROUP * L), length, period):
        for k in range(0, min(period, length - j), L):
            store(s, k, _backward(p, o, q, t, k, j + k, min(L, length - j - k), load(s, k)))


@subroutine
def _backward(p, o, q, t, k, at, part, total):
    zero = splat(p, 0.0)
    delta, x = read(p, at, part), read(o, at, part)
    write(q, at, select(x > zero, delta, load(t, k) * delta), part)
    return fma(delta, select(x > zero, zero, x), total)
