r"""Concatenations and gates of feature maps, which may be the inside of padded buffers; sums are in `addition`.

    copy_channels       some channels of x to some of y: concatenation, and its delta
    multiply            y = x * gate, with one value per image and channel
    multiply_backward   dx = dy * gate and dgate = sum over the pixels of dy * x, in one pass

`sizes` are H, W, then top and left of each map in the order of the arguments, then what else a kernel needs.
"""

from __future__ import annotations

from rot180.kernels.channelwise import GROUP, clear, first_left, fold_channels, repeat
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.elementwise import UNIT
from rot180.kernels.parts import read, write
from rot180.kernels.simd import fma, lanes, load, pointer, store
from rot180.kernels.team import split


@kernel
def copy_channels(team, x, y, adds, sizes):
    """y[..., to : to + count] = x[..., start : start + count], or added to it.

    `sizes` (9,): H, W, x_top, x_left, y_top, y_left, start, to, count.
    """
    H, W, x_top, x_left, y_top, y_left, start, to, count = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7], sizes[8],
    )  # fmt: skip
    L = lanes(x)
    C, D, rows = x.shape[3], y.shape[3], x.shape[0] * H
    run = max(1, UNIT // max(1, W * count))
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C + start)
            q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * D + to)
            for w in range(W):
                for i in range(0, count, L):
                    part = min(L, count - i)
                    value = read(p, w * C + i, part)
                    if adds:
                        value = read(q, w * D + i, part) + value
                    write(q, w * D + i, value, part)


@kernel
def multiply(team, x, gate, y, scratch, sizes):
    """y[n, i, j, c] = x[n, i, j, c] * gate[n, c]; y may be x. `scratch` (threads, 2, period)."""
    H, W, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    L = lanes(x)
    C, period = x.shape[3], scratch.shape[2]
    length, rows = W * C, x.shape[0] * H
    run = max(1, UNIT // max(1, length))
    for unit in split(team, (rows + run - 1) // run):
        table, filled = scratch[team.thread, 0], -1
        g = pointer(table, 0)
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            if n != filled:
                repeat(gate[n], table)
                filled = n
            p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * C)
            for i in range(0, length, period):
                for k in range(0, min(period, length - i), L):
                    part = min(L, length - i - k)
                    write(q, i + k, read(p, i + k, part) * load(g, k), part)


@kernel
def multiply_backward(team, dy, x, gate, dx, dgate, scratch, sizes):
    """dx (it may be dy) and dgate (N, C); an image is one unit of work. `scratch` (threads, 2, period)."""
    H, W, d_top, d_left, x_top, x_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    C, period = x.shape[3], scratch.shape[2]
    for n in split(team, x.shape[0]):
        table, sums = scratch[team.thread, 0], scratch[team.thread, 1]
        repeat(gate[n], table)
        clear(pointer(sums, 0), period)
        for h in range(H):
            p = pointer(dy, ((n * dy.shape[1] + d_top + h) * dy.shape[2] + d_left) * C)
            o = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            q = pointer(dx, ((n * dx.shape[1] + y_top + h) * dx.shape[2] + y_left) * C)
            _multiply_row_backward(p, o, q, pointer(table, 0), pointer(sums, 0), W * C, period)
        fold_channels(sums, C)
        for c in range(C):
            dgate[n, c] = sums[c]


@subroutine
def _multiply_row_backward(p, o, q, g, s, length, period):
    L = lanes(p)
    if period == GROUP * L:
        a, b, c, d = load(s, 0), load(s, L), load(s, 2 * L), load(s, 3 * L)
        for j in range(0, length - period + 1, period):
            a = _multiply_backward(p, o, q, g, 0, j, L, a)
            b = _multiply_backward(p, o, q, g, L, j + L, L, b)
            c = _multiply_backward(p, o, q, g, 2 * L, j + 2 * L, L, c)
            d = _multiply_backward(p, o, q, g, 3 * L, j + 3 * L, L, d)
        store(s, 0, a)
        store(s, L, b)
        store(s, 2 * L, c)
        store(s, 3 * L, d)
    for j in range(first_left(length, period, GROUP * L), length, period):
        for k in range(0, min(period, length - j), L):
            part = min(L, length - j - k)
            store(s, k, _multiply_backward(p, o, q, g, k, j + k, part, load(s, k)))


@subroutine
def _multiply_backward(p, o, q, g, k, at, part, total):
    delta, x = read(p, at, part), read(o, at, part)
    write(q, at, delta * load(g, k), part)
    return fma(delta, x, total)
