r"""Max pooling and average pooling, backward.

If windows do not overlap (stride at least the window's size), each distributes its delta, to its winner or equally, and
a band of rows under one row of windows belongs to one thread. If they overlap, the roles are reversed: every pixel
collects from the windows that contain it,

    dx[n, p, q, c] = sum over the windows (y, x) with  p = y*s - top + u,  0 <= u < KH, and the same in columns, of
                     dy[n, y, x, c]      where the winner is u*KW + v            max
                     dy[n, y, x, c] / K                                          mean

so in either case each number belongs to one unit of work, and nothing has to be zeroed first. `sizes` is that of the
forward kernels, from `pool_sizes`.
"""

from __future__ import annotations

import numpy as np

from rot180.kernels.call import Call, unpacked
from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.elementwise import NOTHING, UNIT, combine_row
from rot180.kernels.integers import load_integers
from rot180.kernels.parts import read, write
from rot180.kernels.pooling import WindowSizes, equal_windows
from rot180.kernels.simd import advance, lanes, load_part, pointer, select, splat, store_part
from rot180.kernels.team import split
from rot180.ops.types import Array

_MAX, _MEAN, _MEAN_OF_PIXELS = 0, 1, 2


def max_pool_backward(dy: Array, winners: Array, dx: Array, sizes: Array) -> Call:
    """Return the call that sends delta to the winners (N, OH, OW, C); all of the image in dx is overwritten."""
    if windows_lie_apart(sizes):
        return Call(_hand_out, (_MAX, dy, winners, dx, sizes, NOTHING, dx))
    return Call(_collect, (_MAX, dy, winners, dx, sizes))


def avg_pool_backward(
    dy: Array, dx: Array, count_include_pad: bool, sizes: Array, gate: int = NOTHING, x: Array | None = None
) -> Call:
    """Return the call that divides delta equally among the pixels of its window; all of the image in dx is overwritten.

    If windows do not overlap, delta may also pass the gate (a kind of `combine`) of an activation whose output is x (N,
    H, W, C).
    """
    kind = _MEAN if count_include_pad else _MEAN_OF_PIXELS
    if windows_lie_apart(sizes):
        return Call(_hand_out, (kind, dy, _NO_WINNERS, dx, sizes, gate, dx if x is None else x))
    return Call(_collect, (kind, dy, _NO_WINNERS, dx, sizes))


_NO_WINNERS = np.zeros((1, 1, 1, 1), np.int32)


def windows_lie_apart(sizes: Array) -> bool:
    """Return whether no pixel belongs to two windows."""
    s = WindowSizes(*sizes.tolist())
    return s.stride_h >= s.KH and s.stride_w >= s.KW


@subroutine
def _overlap(size, start, length):
    """Return the number of pixels inside the image of a window that starts at `start`."""
    return min(length, size - start) - max(0, -start)


@kernel
def _hand_out(team, kind, dy, winners, dx, sizes, gate, x):
    s = WindowSizes(*unpacked(sizes, 16))
    H, W, OH, OW, KH, KW, stride_h, stride_w = s.H, s.W, s.OH, s.OW, s.KH, s.KW, s.stride_h, s.stride_w
    x_top, x_left, y_top, y_left, pad_top, pad_left = s.x_top, s.x_left, s.y_top, s.y_left, s.pad_top, s.pad_left
    H_end, W_end = s.H_end, s.W_end
    C = dx.shape[3]
    line = dx.shape[2] * C
    bands = dx.shape[0] * OH
    run = max(1, UNIT // max(1, stride_h * W * C))
    L = lanes(dx)
    gaps = KH != stride_h or KW != stride_w or OH * stride_h < H + pad_top or OW * stride_w < W + pad_left
    for unit in split(team, (bands + run - 1) // run):
        for band in range(unit * run, min((unit + 1) * run, bands)):
            n, i = band // OH, band % OH
            top = i * stride_h - pad_top
            image = pointer(dx, ((n * dx.shape[1] + x_top) * dx.shape[2] + x_left) * C)
            zero = splat(image, 0.0)
            if gaps:
                first = 0 if i == 0 else max(0, top)
                last = H if i == OH - 1 else min(H, top + stride_h)
                for h in range(first, last):
                    for k in range(0, W * C, L):
                        write(image, h * line + k, zero, min(L, W * C - k))
            first_u, last_u = max(0, -top), min(KH, H - top)
            p = pointer(dy, ((n * dy.shape[1] + y_top + i) * dy.shape[2] + y_left) * C)
            j = 0
            while j < OW:
                left, first_v, last_v, count = equal_windows(j, OW, W, KW, stride_w, pad_left)
                high, wide = last_u - first_u, last_v - first_v
                to = (top + first_u) * line + (left + first_v) * C
                pixels = high * wide
                if kind == _MEAN:
                    pixels = min(KH, H_end - top) * min(KW, W_end - left)
                for c in range(0, C, L):
                    a, b, part = advance(p, j * C + c), advance(image, to + c), min(L, C - c)
                    if kind == _MAX:
                        w = pointer(winners, (band * OW + j) * C + c)
                        _to_winners(a, w, b, count, line, stride_w * C, C, high, wide, first_u * KW + first_v, KW, part)
                    elif part == L:
                        _share(a, b, count, line, stride_w * C, C, high, wide, splat(p, float(pixels)), L)
                    else:
                        _share(a, b, count, line, stride_w * C, C, high, wide, splat(p, float(pixels)), part)
                j += count
            if gate != NOTHING:
                for h in range(top + first_u, top + last_u):
                    image_row = advance(image, h * line)
                    output = pointer(x, (n * H + h) * W * C)
                    combine_row(gate, image_row, output, image_row, W * C, 0.0)


@subroutine
def _to_winners(p, w, q, count, line, step, C, high, wide, first_place, KW, part):
    """Write the delta of `count` windows of `high` rows and `wide` columns to their winners, zero to the others."""
    zero = splat(p, 0.0)
    for j in range(count):
        delta = load_part(p, j * C, part)
        place = load_integers(w, j * C, part, zero)
        for u in range(high):
            for v in range(wide):
                handed = select(place == splat(p, float(first_place + u * KW + v)), delta, zero)
                write(q, j * step + u * line + v * C, handed, part)


@subroutine
def _share(p, q, count, line, step, C, high, wide, divisor, part):
    """Divide the delta of `count` windows of `high` rows and `wide` columns."""
    for j in range(count):
        delta = load_part(p, j * C, part) / divisor
        for u in range(high):
            for v in range(wide):
                store_part(q, j * step + u * line + v * C, delta, part)


@kernel
def _collect(team, kind, dy, winners, dx, sizes):
    s = WindowSizes(*unpacked(sizes, 16))
    H, W, OH, OW, KH, KW, stride_h, stride_w = s.H, s.W, s.OH, s.OW, s.KH, s.KW, s.stride_h, s.stride_w
    x_top, x_left, y_top, y_left, pad_top, pad_left = s.x_top, s.x_left, s.y_top, s.y_left, s.pad_top, s.pad_left
    H_end, W_end = s.H_end, s.W_end
    C = dx.shape[3]
    rows = dx.shape[0] * H
    run = max(1, UNIT // max(1, W * C))
    L = lanes(dx)
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            first_i = max(0, (h + pad_top - KH + stride_h) // stride_h)
            last_i = min(OH, (h + pad_top) // stride_h + 1)
            q = pointer(dx, ((n * dx.shape[1] + x_top + h) * dx.shape[2] + x_left) * C)
            zero = splat(q, 0.0)
            first_j = last_j = 0
            for k in range(W):
                # Divisions would cost more than everything else.
                while first_j * stride_w + KW <= k + pad_left:
                    first_j += 1
                while last_j < OW and last_j * stride_w <= k + pad_left:
                    last_j += 1
                for c in range(0, C, L):
                    part = min(L, C - c)
                    collected = zero
                    for i in range(first_i, last_i):
                        high = _overlap(H, i * stride_h - pad_top, KH)
                        for j in range(first_j, last_j):
                            delta = read(
                                pointer(dy, ((n * dy.shape[1] + y_top + i) * dy.shape[2] + y_left + j) * C), c, part
                            )
                            if kind == _MAX:
                                tap = (h + pad_top - i * stride_h) * KW + k + pad_left - j * stride_w
                                place = load_integers(pointer(winners, ((n * OH + i) * OW + j) * C), c, part, zero)
                                delta = select(place == splat(q, float(tap)), delta, zero)
                            else:
                                left = j * stride_w - pad_left
                                pixels = high * _overlap(W, left, KW)
                                if kind == _MEAN:
                                    pixels = min(KH, H_end - (i * stride_h - pad_top)) * min(KW, W_end - left)
                                delta = delta / splat(q, float(pixels))
                            collected = collected + delta
                    write(q, k * C + c, collected, part)
