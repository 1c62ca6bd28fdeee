r"""Normalization within one image: groups of channels over its pixels, or the channels of each pixel.

    group_normalize     groups of channels of an image (group and instance normalization), and an activation
    group_gradients     its backward pass
    layer_normalize     the channels of each pixel (layer normalization)
    layer_gradients     its backward pass

A set stays in the cache while it is read several times, so memory is passed over once, forward and backward; the
backward kernels form mean and variance again. `rot180.ops.normalization` derives the equations:

    dx = r * (gamma * dy - mean(gamma * dy) - xhat * mean(gamma * dy * xhat)),   r = 1 / sqrt(var + eps)

`sizes` are H, W, then top and left of each map in the order of the arguments. Scratch arrays have a row for each thread
or part; `gradients` (2, C) receives dgamma and dbeta.
"""

from __future__ import annotations

import math

from llvmlite import ir

from rot180.kernels.activation import value_row
from rot180.kernels.channelwise import clear, fold_channels, rows_of_block
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.deferred import intrinsic, types
from rot180.kernels.elementwise import UNIT
from rot180.kernels.moments import add_distances, mean_and_variance, set_pivots
from rot180.kernels.normalization import (
    FACTOR,
    MEAN,
    OFFSET,
    SCALE,
    SHIFT,
    gated_row,
    gradient_row,
    limits,
    normalize_row,
    sum_rows,
)
from rot180.kernels.parts import read, write
from rot180.kernels.simd import first_lanes, fma, lanes, load, pointer, splat, store, total
from rot180.kernels.team import split


@intrinsic
def only_first(typingctx, a, count):
    """a in the first `count` lanes, zero in the others."""

    def codegen(context, builder, sig, args):
        kind = args[0].type
        return builder.select(first_lanes(builder, args[1], kind.count), args[0], ir.Constant(kind, [0.0] * kind.count))

    return a(a, types.intp), codegen


@kernel
def group_normalize(team, x, y, gamma, beta, groups, eps, table, blocks, sums, kind, slope, sizes):
    """y = f(gamma * xhat + beta), each image and group of channels for itself.

    `table` (threads, 5, period); `blocks` (threads, 2, period), of x's type, and `sums`, float64 of the same shape, are
    scratch.
    """
    H, W, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    C, period = x.shape[3], table.shape[2]
    clips, low, high = limits(kind)
    for n in split(team, x.shape[0]):
        me = team.thread
        _fill_table(x, n, gamma, beta, groups, eps, table[me], blocks[me], sums[me], x_top, x_left, H, W)
        for h in range(H):
            p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * C)
            normalize_row(p, p, q, False, pointer(table[me], 0), W * C, period, low, high)
            if not clips:
                value_row(kind, q, q, W * C, slope)


@subroutine
def _fill_table(x, n, gamma, beta, groups, eps, table, block, sums, top, left, H, W):
    """Form the moments of one image, and fill its table for the forward pass; OFFSET receives r."""
    C = x.shape[3]
    pivots, first, last = table[MEAN], n * H, (n + 1) * H
    set_pivots(x, first, last, top, left, H, W, block, pivots)
    sums[:] = 0.0
    add_distances(x, first, last, top, left, H, W, pivots, block, sums)
    fold_channels(sums[0], C)
    fold_channels(sums[1], C)
    size = C // groups
    for g in range(groups):
        mean, variance = 0.0, 0.0
        for i in range(size):
            c = g * size + i
            m, v = mean_and_variance(pivots[c], sums[0, c], sums[1, c], H * W)
            d = m - mean
            mean += d / (i + 1)
            variance += (v - variance) / (i + 1) + d * d * i / (i + 1) ** 2
        r = 1.0 / math.sqrt(variance + eps)
        for c in range(g * size, (g + 1) * size):
            for k in range(c, table.shape[1], C):
                table[MEAN, k] = mean
                table[SCALE, k] = gamma[c] * r
                table[SHIFT, k] = beta[c]
                table[OFFSET, k] = r


@kernel
def group_gradients(
    team, dy, x, dx, gamma, beta, groups, eps, gradients, shares, table, scratch, blocks, sums, kind, slope, sizes
):
    """dx (it may be dy) and the gradients of gamma and beta.

    `shares` (N, 2, C) float64 receives those of each image; `table` (threads, 5, period); `scratch` (threads, W*C).
    """
    H, W, d_top, d_left, x_top, x_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    N, C, period = x.shape[0], x.shape[3], table.shape[2]
    clips, low, high = limits(kind)
    length, size = W * C, C // groups
    for n in split(team, N):
        me = team.thread
        own, share, block, added = table[me], shares[n], blocks[me], sums[me]
        _fill_table(x, n, gamma, beta, groups, eps, own, block, added, x_top, x_left, H, W)
        s, t = pointer(scratch, me * scratch.shape[1]), pointer(own, 0)
        added[:] = 0.0
        step = rows_of_block(length, period, x.itemsize)
        for first in range(0, H, step):
            p = pointer(dy, ((n * dy.shape[1] + d_top + first) * dy.shape[2] + d_left) * C)
            o = pointer(x, ((n * x.shape[1] + x_top + first) * x.shape[2] + x_left) * C)
            some, b = min(step, H - first), pointer(block, 0)
            clear(b, 2 * period)
            sum_rows(p, dy.shape[2] * C, o, x.shape[2] * C, some, s, t, b, length, period, kind, slope)
            for k in range(period):
                added[0, k] += block[0, k]
                added[1, k] += block[1, k]
        for g in range(groups):
            r, along_ones, along_xhat = float(own[OFFSET, g * size]), 0.0, 0.0
            for c in range(g * size, (g + 1) * size):
                db, dg = 0.0, 0.0
                for k in range(c, period, C):
                    db += added[0, k]
                    dg += added[1, k]
                share[0, c], share[1, c] = dg * r, db
                along_ones += gamma[c] * db
                along_xhat += gamma[c] * dg * r
            for c in range(g * size, (g + 1) * size):
                for k in range(c, period, C):
                    own[OFFSET, k] = r * along_ones / (H * W * size)
                    own[FACTOR, k] = r * r * along_xhat / (H * W * size)
        for h in range(H):
            p = pointer(dy, ((n * dy.shape[1] + d_top + h) * dy.shape[2] + d_left) * C)
            o = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            q = pointer(dx, ((n * dx.shape[1] + y_top + h) * dx.shape[2] + y_left) * C)
            if not clips:
                gated_row(kind, p, o, s, t, length, period, slope)
            gradient_row(p if clips else s, o, q, t, length, period, low, high)
    _add_up(team, shares, gradients)


@subroutine
def _add_up(team, shares, gradients):
    for c in split(team, gradients.shape[1]):
        for i in range(2):
            summed = 0.0
            for part in range(shares.shape[0]):
                summed += shares[part, i, c]
            gradients[i, c] = summed


@subroutine
def _moments_of_pixel(p, C, eps):
    """Return the mean of C contiguous numbers, and r."""
    L = lanes(p)
    a = splat(p, 0.0)
    for c in range(0, C, L):
        a = a + read(p, c, min(L, C - c))
    mean = total(a) / C
    m, a = splat(p, mean), splat(p, 0.0)
    for c in range(0, C, L):
        part = min(L, C - c)
        d = only_first(read(p, c, part) - m, part)
        a = fma(d, d, a)
    return mean, 1.0 / math.sqrt(float(total(a)) / C + eps)


@kernel
def layer_normalize(team, x, y, gamma, beta, eps, sizes):
    """y = gamma * xhat + beta, each pixel for itself."""
    H, W, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    C, rows = x.shape[3], x.shape[0] * H
    L = lanes(x)
    run = max(1, UNIT // max(1, W * C))
    for unit in split(team, (rows + run - 1) // run):
        u, v = pointer(gamma, 0), pointer(beta, 0)
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            for w in range(W):
                p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left + w) * C)
                q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left + w) * C)
                mean, r = _moments_of_pixel(p, C, eps)
                m, scale = splat(p, mean), splat(p, r)
                for c in range(0, C, L):
                    part = min(L, C - c)
                    write(q, c, fma((read(p, c, part) - m) * scale, read(u, c, part), read(v, c, part)), part)


@kernel
def layer_gradients(team, dy, x, dx, gamma, eps, gradients, shares, blocks, sizes):
    """dx (it may be dy) and the gradients of gamma and beta.

    `shares` (parts, 2, C) float64 receives those of each part of the rows; `blocks` (parts, 2, C rounded up to whole
    registers), of x's type, is scratch.
    """
    H, W, d_top, d_left, x_top, x_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    C, rows = x.shape[3], x.shape[0] * H
    parts, _, room = blocks.shape
    for part in split(team, parts):
        shares[part] = 0.0
        u, s = pointer(gamma, 0), pointer(blocks[part], 0)
        for row in range(part * rows // parts, (part + 1) * rows // parts):
            n, h = row // H, row % H
            blocks[part] = 0.0
            for w in range(W):
                p = pointer(dy, ((n * dy.shape[1] + d_top + h) * dy.shape[2] + d_left + w) * C)
                o = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left + w) * C)
                q = pointer(dx, ((n * dx.shape[1] + y_top + h) * dx.shape[2] + y_left + w) * C)
                _gradient_of_pixel(p, o, q, u, s, C, room, eps)
            for i in range(2):
                for c in range(C):
                    shares[part, i, c] += blocks[part, i, c]
    _add_up(team, shares, gradients)


@subroutine
def _gradient_of_pixel(p, o, q, u, s, C, room, eps):
    """dx of one pixel; its shares of dgamma and dbeta are added at s and, `room` later, behind it."""
    L = lanes(p)
    mean, r = _moments_of_pixel(o, C, eps)
    m, scale, a, b = splat(p, mean), splat(p, r), splat(p, 0.0), splat(p, 0.0)
    for c in range(0, C, L):
        part = min(L, C - c)
        delta, xhat = read(p, c, part), (read(o, c, part) - m) * scale
        store(s, c, fma(delta, xhat, load(s, c)))
        store(s, room + c, load(s, room + c) + delta)
        g = read(u, c, part) * delta
        a, b = a + g, fma(g, xhat, b)
    ones, along = splat(p, total(a) / C), splat(p, total(b) / C)
    for c in range(0, C, L):
        part = min(L, C - c)
        delta, xhat = read(p, c, part), (read(o, c, part) - m) * scale
        write(q, c, scale * (read(u, c, part) * delta - ones - xhat * along), part)
