"""Moving images between padded and unpadded buffers, unchanged or spread by a stride."""

from __future__ import annotations

from rot180.kernels.compiling import kernel
from rot180.kernels.elementwise import UNIT
from rot180.kernels.parts import read, write
from rot180.kernels.simd import lanes, pointer
from rot180.kernels.team import split


@kernel
def copy(team, x, y, sizes):
    """Copy an H x W part of (N, rows, columns, C) images to positions that may be spaced.

    y[n, y_top + i*step_h, y_left + j*step_w] = x[n, x_top + i, x_left + j]; the elements in between are not changed.
    `sizes` (8,): H, W, x_top, x_left, y_top, y_left, step_h, step_w.
    """
    H, W, x_top, x_left, y_top, y_left, step_h, step_w = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    C = x.shape[3]
    rows = x.shape[0] * H
    run = max(1, UNIT // max(1, W * C))
    pieces, length = (1, W * C) if step_w == 1 else (W, C)
    L = lanes(x)
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * C)
            q = pointer(y, ((n * y.shape[1] + y_top + h * step_h) * y.shape[2] + y_left) * C)
            for piece in range(pieces):
                for i in range(0, length, L):
                    part = min(L, length - i)
                    write(q, piece * step_w * C + i, read(p, piece * length + i, part), part)
