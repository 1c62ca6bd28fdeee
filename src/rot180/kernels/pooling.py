r"""Max-pooling and mean-pooling of any window, stride and padding, forward.

Every output looks at those taps of its window that are image: padding never wins and adds nothing. Registers run along
the channels.

Images may be the middle of padded buffers. `sizes` (14,) int64, from `pool_sizes`:

    H, W, x_top, x_left, OH, OW, y_top, y_left, KH, KW, stride_h, stride_w, pad_top, pad_left

with x for the large and y for the small images, forward or backward.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from rot180.kernels.compiling import kernel
from rot180.kernels.elementwise import UNIT
from rot180.kernels.integers import store_integers
from rot180.kernels.parts import read, write
from rot180.kernels.simd import lanes, pointer, select, splat
from rot180.ops.geometry import Geometry


def pool_sizes(
    g: Geometry, x_place: tuple[int, int] = (0, 0), y_place: tuple[int, int] = (0, 0)
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return what the kernels need to know; the places are the rows and columns at which images begin in buffers."""
    (top, _), (left, _) = g.padding
    return np.array(
        [g.height, g.width, *x_place, g.out_height, g.out_width, *y_place, *g.kernel, *g.stride, top, left], np.int64
    )


@kernel
def max_pool(x, y, winners, sizes):
    """Take the largest pixel of each window; winners (N, OH, OW, C), of any integer type, gets u*KW + v of the first.

    NaN is larger than all else.
    """
    H, W, x_top, x_left, OH, OW, y_top, y_left, KH, KW, stride_h, stride_w, pad_top, pad_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9], sizes[10],
        sizes[11], sizes[12], sizes[13],
    )  # fmt: skip
    C = x.shape[3]
    rows = x.shape[0] * OH
    run = max(1, UNIT // max(1, OW * C))
    L = lanes(x)
    for unit in prange((rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, i = row // OH, row % OH
            top = i * stride_h - pad_top
            first_u, last_u = max(0, -top), min(KH, H - top)
            for j in range(OW):
                left = j * stride_w - pad_left
                first_v, last_v = max(0, -left), min(KW, W - left)
                p = pointer(x, ((n * x.shape[1] + x_top + top) * x.shape[2] + x_left + left) * C)
                q = pointer(y, ((n * y.shape[1] + y_top + i) * y.shape[2] + y_left + j) * C)
                w = pointer(winners, (row * OW + j) * C)
                for c in range(0, C, L):
                    part = min(L, C - c)
                    best = read(p, (first_u * x.shape[2] + first_v) * C + c, part)
                    place = splat(best, float(first_u * KW + first_v))
                    for u in range(first_u, last_u):
                        for v in range(first_v, last_v):
                            value = read(p, (u * x.shape[2] + v) * C + c, part)
                            # Not greater or equal, rather than less: a NaN takes the lead, and then keeps it.
                            number = best == best
                            stays = best >= value
                            place = select(number, select(stays, place, splat(best, float(u * KW + v))), place)
                            best = select(number, select(stays, best, value), best)
                    write(q, c, best, part)
                    store_integers(w, c, place, part)


@kernel
def avg_pool(x, y, count_include_pad, sizes):
    """Take the mean of each window, of KH*KW pixels or, without the padding, of those that are image."""
    H, W, x_top, x_left, OH, OW, y_top, y_left, KH, KW, stride_h, stride_w, pad_top, pad_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9], sizes[10],
        sizes[11], sizes[12], sizes[13],
    )  # fmt: skip
    C = x.shape[3]
    rows = x.shape[0] * OH
    run = max(1, UNIT // max(1, OW * C))
    L = lanes(x)
    for unit in prange((rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, i = row // OH, row % OH
            top = i * stride_h - pad_top
            first_u, last_u = max(0, -top), min(KH, H - top)
            for j in range(OW):
                left = j * stride_w - pad_left
                first_v, last_v = max(0, -left), min(KW, W - left)
                pixels = KH * KW if count_include_pad else (last_u - first_u) * (last_v - first_v)
                p = pointer(x, ((n * x.shape[1] + x_top + top) * x.shape[2] + x_left + left) * C)
                q = pointer(y, ((n * y.shape[1] + y_top + i) * y.shape[2] + y_left + j) * C)
                divisor = splat(p, float(pixels))
                for c in range(0, C, L):
                    part = min(L, C - c)
                    summed = splat(p, 0.0)
                    for u in range(first_u, last_u):
                        for v in range(first_v, last_v):
                            summed = summed + read(p, (u * x.shape[2] + v) * C + c, part)
                    write(q, c, summed / divisor, part)
