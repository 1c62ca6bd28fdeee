"""Sums of two feature maps: joins, and the delta of a value that several layers read.

    out = a + b                   PLAIN
    out = max(0, a + b)           RELU
    out = a + b where y > 0       GATE      (y the output of the ReLU that made the value)

Maps may be the inside of padded buffers, and the result may be one of the operands.
"""

from __future__ import annotations

from rot180.kernels.compiling import kernel
from rot180.kernels.elementwise import UNIT, relu_lanes
from rot180.kernels.parts import read, write
from rot180.kernels.simd import lanes, pointer, select, splat
from rot180.kernels.team import split

PLAIN, RELU, GATE = 0, 1, 2


@kernel
def add(team, a, b, y, out, finish, sizes):
    """Add two maps in (N, rows, columns, C) arrays.

    `y` is used for GATE. `sizes` (10,): H, W, then top and left of each map in its array: a, b, y, out.
    """
    H, W, a_top, a_left, b_top, b_left, y_top, y_left, out_top, out_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9],
    )  # fmt: skip
    C = a.shape[3]
    length = W * C
    rows = a.shape[0] * H
    run = max(1, UNIT // max(1, length))
    L = lanes(a)
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(a, ((n * a.shape[1] + a_top + h) * a.shape[2] + a_left) * C)
            q = pointer(b, ((n * b.shape[1] + b_top + h) * b.shape[2] + b_left) * C)
            g = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * C)
            to = pointer(out, ((n * out.shape[1] + out_top + h) * out.shape[2] + out_left) * C)
            zero = splat(p, 0.0)
            for i in range(0, length, L):
                part = min(L, length - i)
                value = read(p, i, part) + read(q, i, part)
                if finish == RELU:
                    value = relu_lanes(value)
                elif finish == GATE:
                    value = select(read(g, i, part) > zero, value, zero)
                write(to, i, value, part)
