r"""Batch normalization with what follows it, an activation and perhaps the sum with a shortcut.

The limit is memory, so each kernel does all it can while it passes over the maps:

    batch_moments        reads x                   mean and var
    normalize            reads x (and r)           y = f(z),  z = (x - mean) * scale + beta (+ r),  scale = gamma / s
    norm_sums            reads dy, x               g = dy * f'(z),  dbeta = sum g,  dgamma = sum g * xhat
    norm_data_gradient   reads dy, x               dx = scale * (g - mean(g) - xhat * mean(g * xhat))
    fold                 reads no maps             the scale and shift of inference in the weights of a convolution

with s = sqrt(var + eps) and xhat = (x - mean) / s; `rot180.ops.normalization` derives them. z is not kept but formed
again from x, by the same operations, so that its bits are the same.

With a shortcut, z does not follow from x. Then f is a ReLU or nothing, the gate is applied to dy beforehand, from y,
and the backward kernels are called without an activation.

Operands may be the inside of padded buffers. `sizes` (8,) int64: H, W, then top and left in each of three buffers, in
the order of the arguments (a kernel with fewer ignores the rest). `kind` is an activation of `activation`, `slope` its
number. `table` (rows, period) is scratch for parameters repeated to a period (see `channelwise`), `scratch` (threads,
W*C) for a row of z where f is more than a clip.
"""

from __future__ import annotations

import math

from rot180.kernels.activation import RELU6, derivative_row, value_row
from rot180.kernels.channelwise import GROUP, add_up, clear, first_left, fold_channels, latest, rows_of_block
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.elementwise import NOTHING, RELU, UNIT
from rot180.kernels.moments import add_distances, mean_and_variance, set_pivots
from rot180.kernels.parts import read, write
from rot180.kernels.simd import advance, fma, lanes, load, pointer, select, splat, store
from rot180.kernels.team import split

MEAN, SCALE, SHIFT, OFFSET, FACTOR = 0, 1, 2, 3, 4
"""Rows of a table."""


@kernel
def batch_moments(team, x, pivots, blocks, sums, mean, var, sizes):
    """mean (C,) and the biased variance var (C,) over a batch.

    `sums` (parts, 2, period) float64, and of x's type `blocks` (parts, 2, period) and `pivots` (period,) are scratch.
    """
    H, W, top, left = sizes[0], sizes[1], sizes[2], sizes[3]
    C, parts = x.shape[3], sums.shape[0]
    rows = x.shape[0] * H
    for _ in split(team, 1):
        set_pivots(x, 0, rows, top, left, H, W, blocks[0], pivots)
    for unit in split(team, parts):
        part = latest(team, unit, parts)
        sums[part] = 0.0
        first, last = part * rows // parts, (part + 1) * rows // parts
        add_distances(x, first, last, top, left, H, W, pivots, blocks[part], sums[part])
    add_up(team, sums)
    for _ in split(team, 1):
        fold_channels(sums[0, 0], C)
        fold_channels(sums[0, 1], C)
        for c in range(C):
            mean[c], var[c] = mean_and_variance(pivots[c], sums[0, 0, c], sums[0, 1, c], rows * W)


@subroutine
def fill_table(team, table, mean, var, gamma, beta, eps):
    """Repeat mean, scale and shift in the first three rows of a table."""
    C = mean.shape[0]
    for c in split(team, C):
        scale = gamma[c] / math.sqrt(float(var[c]) + eps)
        for k in range(c, table.shape[1], C):
            table[MEAN, k] = mean[c]
            table[SCALE, k] = scale
            table[SHIFT, k] = beta[c]


@subroutine
def limits(kind):
    """Whether f is min(max(z, low), high), with a derivative of 1 between the two; low and high."""
    clips, low, high = True, -math.inf, math.inf
    if kind == RELU:
        low = 0.0
    elif kind == RELU6:
        low, high = 0.0, 6.0
    elif kind != NOTHING:
        clips = False
    return clips, low, high


@kernel
def normalize(team, x, shortcut, y, adds, mean, var, gamma, beta, eps, table, kind, slope, sizes):
    """y = f((x - mean) * scale + beta), or with the shortcut added before f. `table` (3, period)."""
    H, W, x_top, x_left, r_top, r_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    C, period = x.shape[3], table.shape[1]
    length, rows = W * C, x.shape[0] * H
    clips, low, high = limits(kind)
    fill_table(team, table, mean, var, gamma, beta, eps)
    run = max(1, UNIT // max(1, length))
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            r = pointer(shortcut, ((n * shortcut.shape[1] + r_top + h) * shortcut.shape[2] + r_left) * C)
            q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * C)
            normalize_row(p, r, q, adds, pointer(table, 0), length, period, low, high)
            if not clips:
                value_row(kind, q, q, length, slope)


@subroutine
def normalize_row(p, r, q, adds, t, length, period, lowest, highest):
    """z of one row, clipped."""
    L = lanes(p)
    low, high = splat(p, lowest), splat(p, highest)
    for i in range(0, length, period):
        for k in range(0, min(period, length - i), L):
            part = min(L, length - i - k)
            z = fma(read(p, i + k, part) - load(t, k), load(t, SCALE * period + k), load(t, SHIFT * period + k))
            if adds:
                z = z + read(r, i + k, part)
            write(q, i + k, select(low > z, low, select(z > high, high, z)), part)


@subroutine
def gated_row(kind, p, o, s, t, length, period, slope):
    """s = dy * f'(z) for one row, z from the row of x at o."""
    normalize_row(o, o, s, False, t, length, period, -math.inf, math.inf)
    derivative_row(kind, p, s, s, length, slope)


@kernel
def norm_sums(
    team, dy, x, mean, var, gamma, beta, eps, table, scratch, blocks, sums, dgamma, dbeta, kind, slope, sizes
):
    """dgamma (C,) and dbeta (C,). `table` (3, period); `sums` and `blocks` as in `batch_moments`."""
    H, W, d_top, d_left, x_top, x_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    N, C = x.shape[0], x.shape[3]
    parts, _, period = sums.shape
    length, rows = W * C, N * H
    fill_table(team, table, mean, var, gamma, beta, eps)
    for unit in split(team, parts):
        part = latest(team, unit, parts)
        sums[part] = 0.0
        row, last = part * rows // parts, (part + 1) * rows // parts
        step = rows_of_block(length, period, x.itemsize)
        s, t, b = pointer(scratch, team.thread * scratch.shape[1]), pointer(table, 0), pointer(blocks[part], 0)
        while row < last:
            n, h = row // H, row % H
            some = min(step, last - row, H - h)
            p = pointer(dy, ((n * dy.shape[1] + d_top + h) * dy.shape[2] + d_left) * C)
            o = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            clear(b, 2 * period)
            sum_rows(p, dy.shape[2] * C, o, x.shape[2] * C, some, s, t, b, length, period, kind, slope)
            for k in range(period):
                sums[part, 0, k] += blocks[part, 0, k]
                sums[part, 1, k] += blocks[part, 1, k]
            row += some
    add_up(team, sums)
    for _ in split(team, 1):
        fold_channels(sums[0, 0], C)
        fold_channels(sums[0, 1], C)
        for c in range(C):
            dbeta[c] = sums[0, 0, c]
            dgamma[c] = sums[0, 1, c] / math.sqrt(float(var[c]) + eps)


@subroutine
def sum_rows(p, p_line, o, o_line, rows, s, t, b, length, period, kind, slope):
    """Add rows to the sums of g at b, and of g * (x - mean) a period later; s is scratch for a row."""
    clips, low, high = limits(kind)
    for row in range(rows):
        y, x = advance(p, row * p_line), advance(o, row * o_line)
        if not clips:
            gated_row(kind, y, x, s, t, length, period, slope)
        _sum_row(y if clips else s, x, t, b, length, period, low, high)


@subroutine
def _sum_row(p, o, t, s, length, period, low, high):
    """Add a row to the sums, where f is a clip."""
    L = lanes(p)
    w = advance(s, period)
    if period == GROUP * L:
        a, b, c, d = load(s, 0), load(s, L), load(s, 2 * L), load(s, 3 * L)
        e, f, g, h = load(w, 0), load(w, L), load(w, 2 * L), load(w, 3 * L)
        for j in range(0, length - period + 1, period):
            a, e = _sum(p, o, t, 0, j, L, period, low, high, a, e)
            b, f = _sum(p, o, t, L, j + L, L, period, low, high, b, f)
            c, g = _sum(p, o, t, 2 * L, j + 2 * L, L, period, low, high, c, g)
            d, h = _sum(p, o, t, 3 * L, j + 3 * L, L, period, low, high, d, h)
        store(s, 0, a)
        store(s, L, b)
        store(s, 2 * L, c)
        store(s, 3 * L, d)
        store(w, 0, e)
        store(w, L, f)
        store(w, 2 * L, g)
        store(w, 3 * L, h)
    for j in range(first_left(length, period, GROUP * L), length, period):
        for k in range(0, min(period, length - j), L):
            part = min(L, length - j - k)
            a, e = _sum(p, o, t, k, j + k, part, period, low, high, load(s, k), load(w, k))
            store(s, k, a)
            store(w, k, e)


@subroutine
def _sum(p, o, t, k, at, part, period, lowest, highest, total, along):
    """Add the register at `at` to two sums; it is at position k of the period."""
    zero = splat(p, 0.0)
    d, g = read(o, at, part) - load(t, k), read(p, at, part)
    z = fma(d, load(t, SCALE * period + k), load(t, SHIFT * period + k))
    g = select(z > splat(p, lowest), select(splat(p, highest) > z, g, zero), zero)
    return total + g, fma(g, d, along)


@kernel
def norm_data_gradient(team, dy, x, dx, mean, var, gamma, beta, eps, dgamma, dbeta, table, scratch, kind, slope, sizes):
    """dx from the sums; it may be dy. `table` (5, period)."""
    H, W, d_top, d_left, x_top, x_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    C, period = x.shape[3], table.shape[1]
    length, rows = W * C, x.shape[0] * H
    clips, low, high = limits(kind)
    fill_table(team, table, mean, var, gamma, beta, eps)
    for c in split(team, C):
        r = 1.0 / math.sqrt(float(var[c]) + eps)
        offset, factor = gamma[c] * r * dbeta[c] / (rows * W), gamma[c] * r * r * dgamma[c] / (rows * W)
        for k in range(c, period, C):
            table[OFFSET, k] = offset
            table[FACTOR, k] = factor
    run = max(1, UNIT // max(1, length))
    for unit in split(team, (rows + run - 1) // run):
        s, t = pointer(scratch, team.thread * scratch.shape[1]), pointer(table, 0)
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(dy, ((n * dy.shape[1] + d_top + h) * dy.shape[2] + d_left) * C)
            o = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            q = pointer(dx, ((n * dx.shape[1] + y_top + h) * dx.shape[2] + y_left) * C)
            if not clips:
                gated_row(kind, p, o, s, t, length, period, slope)
            gradient_row(p if clips else s, o, q, t, length, period, low, high)


@subroutine
def gradient_row(p, o, q, t, length, period, lowest, highest):
    """dx of one row."""
    L = lanes(p)
    zero, low, high = splat(p, 0.0), splat(p, lowest), splat(p, highest)
    for i in range(0, length, period):
        for k in range(0, min(period, length - i), L):
            part = min(L, length - i - k)
            d, g = read(o, i + k, part) - load(t, k), read(p, i + k, part)
            scale = load(t, SCALE * period + k)
            z = fma(d, scale, load(t, SHIFT * period + k))
            g = select(z > low, select(high > z, g, zero), zero)
            value = scale * g - fma(load(t, FACTOR * period + k), d, load(t, OFFSET * period + k))
            write(q, i + k, value, part)


@kernel
def fold(team, w, bias, mean, var, gamma, beta, eps, scale, folded, shift):
    """Weights and bias of a convolution that computes what one with w and bias does, then normalized.

    w : (rows, F), `folded` likewise
    bias, mean, var, gamma, beta, scale, shift : (F,); `scale` is scratch
    """
    rows, F = w.shape
    L = lanes(w)
    for f in split(team, F):
        scale[f] = gamma[f] / math.sqrt(float(var[f]) + eps)
        shift[f] = beta[f] + (bias[f] - mean[f]) * scale[f]
    run = max(1, UNIT // max(1, F))
    for unit in split(team, (rows + run - 1) // run):
        s = pointer(scale, 0)
        for row in range(unit * run, min((unit + 1) * run, rows)):
            p, q = pointer(w, row * F), pointer(folded, row * F)
            for f in range(0, F, L):
                part = min(L, F - f)
                write(q, f, read(p, f, part) * read(s, f, part), part)
