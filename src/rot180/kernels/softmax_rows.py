"""Softmax of rows, its logarithm, and their backward passes; rows (N, K), the formulas of `rot180.ops.softmax`.

Exponentials are computed register by register, sums number by number in float64 and in the order of the row, so that
they do not depend on the width of the registers. The result may be the operand.
"""

from __future__ import annotations

import math

from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.exponential import exp_of_negative
from rot180.kernels.parts import read, write
from rot180.kernels.simd import lanes, pointer, splat
from rot180.kernels.team import split


@subroutine
def largest(x, n):
    """Return the position of the largest number in row n, the first of ties or of NaNs."""
    at = 0
    for k in range(1, x.shape[1]):
        # "Not less or equal" instead of "greater": a NaN takes the lead, and then keeps it.
        if not (x[n, k] <= x[n, at]) and x[n, at] == x[n, at]:
            at = k
    return at


@subroutine
def exponentials(x, y, n, shift):
    """Write exp(x - shift) to row n of y, for a shift that no number exceeds; return their sum."""
    K = x.shape[1]
    p, q = pointer(x, n * K), pointer(y, n * K)
    L = lanes(x)
    for i in range(0, K, L):
        part = min(L, K - i)
        write(q, i, exp_of_negative(read(p, i, part) - splat(p, shift)), part)
    total = 0.0
    for k in range(K):
        total += y[n, k]
    return total


@kernel
def softmax_rows(team, x, y):
    """y_k = exp(x_k) / sum of exp(x_j)."""
    N, K = x.shape
    for n in split(team, N):
        total = exponentials(x, y, n, x[n, largest(x, n)])
        for k in range(K):
            y[n, k] = y[n, k] / total


@kernel
def softmax_backward_rows(team, dy, y, dx):
    """dx = y * (dy - sum of dy_k y_k)."""
    N, K = y.shape
    for n in split(team, N):
        mean = 0.0
        for k in range(K):
            mean += float(dy[n, k]) * float(y[n, k])
        for k in range(K):
            dx[n, k] = y[n, k] * (dy[n, k] - mean)


@kernel
def log_softmax_rows(team, x, y, scratch):
    """y_k = x_k - c - log sum of exp(x_j - c), c the largest; `scratch` of y's shape is overwritten."""
    N, K = x.shape
    for n in split(team, N):
        shift = x[n, largest(x, n)]
        logarithm = math.log(exponentials(x, scratch, n, shift))
        for k in range(K):
            y[n, k] = float(x[n, k] - shift) - logarithm


@kernel
def log_softmax_backward_rows(team, dy, y, dx):
    """dx = dy - exp(y) * sum of dy_k."""
    N, K = y.shape
    L = lanes(y)
    for n in split(team, N):
        summed = 0.0
        for k in range(K):
            summed += dy[n, k]
        p, q, r = pointer(dy, n * K), pointer(y, n * K), pointer(dx, n * K)
        for i in range(0, K, L):
            part = min(L, K - i)
            probability = exp_of_negative(read(q, i, part))
            write(r, i, read(p, i, part) - probability * splat(p, summed), part)
