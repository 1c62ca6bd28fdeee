r"""Operations across the channels of a pixel: shuffling and local response normalization.

`rot180.ops.channels` derives them. Maps may be the inside of padded buffers; `sizes` are H, W, then top and left of
each map in the order of the arguments.
"""

from __future__ import annotations

import math

from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.elementwise import UNIT
from rot180.kernels.team import split


@kernel
def shuffle(team, x, y, groups, sizes):
    """y[..., k*groups + g] = x[..., g*(C/groups) + k]."""
    H, W, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    C, rows = x.shape[3], x.shape[0] * H
    size = C // groups
    run = max(1, UNIT // max(1, W * C))
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            for w in range(W):
                for k in range(size):
                    for g in range(groups):
                        value = x[n, x_top + h, x_left + w, g * size + k]
                        y[n, y_top + h, y_left + w, k * groups + g] = value


@subroutine
def _window_sums(values, sums, before, behind):
    """sums[c] = the sum from `before` places before c to `behind` places after it, as far as there are any."""
    C = values.shape[0]
    sums[:] = 0
    for shift in range(-min(before, C - 1), min(behind, C - 1) + 1):
        for c in range(max(0, -shift), min(C, C - shift)):
            sums[c] += values[c + shift]


@subroutine
def _powers(q, beta, powers):
    """powers = q^(-beta); by two roots for the usual 3/4."""
    if beta == 0.75:
        for c in range(q.shape[0]):
            root = math.sqrt(q[c])
            powers[c] = 1 / (root * math.sqrt(root))
    else:
        for c in range(q.shape[0]):
            powers[c] = q[c] ** -beta


@subroutine
def _denominators(x, numbers, size, squares, q, powers):
    """Fill q and q^(-beta) for the channels of a pixel."""
    share, beta, k = numbers[0], numbers[1], numbers[2]
    for c in range(x.shape[0]):
        squares[c] = x[c] * x[c]
    _window_sums(squares, q, size // 2, (size - 1) // 2)
    for c in range(x.shape[0]):
        q[c] = k + share * q[c]
    _powers(q, beta, powers)


@kernel
def respond(team, x, y, size, numbers, scratch, sizes):
    """y = x * q^(-beta), q = k + share * sum over the window of x^2.

    `numbers` (3,), of x's type: share = alpha / size, beta, k. `scratch` (threads, 3, C).
    """
    H, W, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    C, rows = x.shape[3], x.shape[0] * H
    run = max(1, UNIT // max(1, W * C))
    for unit in split(team, (rows + run - 1) // run):
        own = scratch[team.thread]
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            for w in range(W):
                p, target = x[n, x_top + h, x_left + w], y[n, y_top + h, y_left + w]
                _denominators(p, numbers, size, own[0], own[1], own[2])
                for c in range(C):
                    target[c] = p[c] * own[2, c]


@kernel
def respond_backward(team, dy, x, dx, size, numbers, scratch, sizes):
    """dx = dy * q^(-beta) - 2 * beta * share * x * sum over the mirrored window of dy * x * q^(-beta - 1).

    dx may be dy. `numbers` and `scratch` as in `respond`.
    """
    H, W, d_top, d_left, x_top, x_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    C, rows = x.shape[3], x.shape[0] * H
    run = max(1, UNIT // max(1, W * C))
    for unit in split(team, (rows + run - 1) // run):
        own = scratch[team.thread]
        factor = 2 * numbers[1] * numbers[0]
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            for w in range(W):
                o, p = dy[n, d_top + h, d_left + w], x[n, x_top + h, x_left + w]
                target = dx[n, y_top + h, y_left + w]
                through, q, powers = own[0], own[1], own[2]
                _denominators(p, numbers, size, through, q, powers)
                for c in range(C):
                    powers[c] *= o[c]
                    through[c] = powers[c] * p[c] / q[c]
                _window_sums(through, q, (size - 1) // 2, size // 2)
                for c in range(C):
                    target[c] = powers[c] - factor * p[c] * q[c]
