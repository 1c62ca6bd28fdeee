r"""Elementwise operations: activations, their gates, noise and the mask of dropout.

Arrays are (N, rows, columns, C), and the operands may be the inside of padded ones: rows of W*C contiguous numbers.
`sizes` gives their positions:

    one operand     H, W, x_top, x_left, y_top, y_left
    two operands    H, W, a_top, a_left, b_top, b_left, y_top, y_left

Vectors (N, n) are passed as (N, 1, 1, n) with H = W = 1. The result may be an operand: each number is read, then
written. Rows are distributed in units of some thousand numbers, whatever the number of threads.

    kind          y                              kind              y
    RELU          max(0, x)                      GATE              a where b > 0, else 0      (delta, y of a ReLU)
    LEAKY_RELU    x where x > 0, else slope*x    LEAKY_GATE        a where b > 0, else slope*a          (delta, x)
    SIGMOID       1 / (1 + exp(-x))              SIGMOID_GATE      a * b * (1 - b)                      (delta, y)
    TANH          tanh(x)                        TANH_GATE         a * (1 - b^2)                        (delta, y)
                                                 NOISY_RELU        max(0, a + b)                        (x, noise)
                                                 MULTIPLY          a * b                                 (x, mask)

With e = exp(-|x|) neither of the two can overflow: sigmoid(x) = (1 where x >= 0, else e) / (1 + e), and with
d = exp(-2|x|) - 1, tanh|x| = (1 - exp(-2|x|)) / (1 + exp(-2|x|)) = -d / (2 + d), which keeps its digits near zero.
"""

from __future__ import annotations

from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.exponential import exp_minus_one_of_negative, exp_of_negative
from rot180.kernels.parts import read, write
from rot180.kernels.simd import absolute, copysign, lanes, pointer, select, splat
from rot180.kernels.team import split

RELU, LEAKY_RELU, SIGMOID, TANH = 0, 1, 2, 3
GATE, LEAKY_GATE, SIGMOID_GATE, TANH_GATE, NOISY_RELU, MULTIPLY = 0, 1, 2, 3, 4, 5
NOTHING = -1
"""For kernels that may apply one of these along with other work."""

UNIT = 8_192
"""The approximate number of elements in one unit of work."""


@subroutine
def relu_lanes(x):
    """max(0, x); NaN stays NaN."""
    zero = splat(x, 0.0)
    return select(zero > x, zero, x)


@subroutine
def sigmoid_lanes(x):
    """1 / (1 + exp(-x))."""
    zero, one = splat(x, 0.0), splat(x, 1.0)
    e = exp_of_negative(zero - absolute(x))
    return select(x >= zero, one, e) / (one + e)


@subroutine
def tanh_lanes(x):
    """The hyperbolic tangent."""
    zero = splat(x, 0.0)
    d = exp_minus_one_of_negative(splat(x, -2.0) * absolute(x))
    return copysign((zero - d) / (splat(x, 2.0) + d), x)


@subroutine
def activate_lanes(kind, x, slope):
    """f(x) for a kind f; x itself for NOTHING. `slope` is that of LEAKY_RELU, a vector; it is ignored by the others."""
    value = x
    if kind == RELU:
        value = relu_lanes(x)
    elif kind == LEAKY_RELU:
        value = select(x > splat(x, 0.0), x, slope * x)
    elif kind == SIGMOID:
        value = sigmoid_lanes(x)
    elif kind == TANH:
        value = tanh_lanes(x)
    return value


@subroutine
def activate_row(kind, p, q, length, slope):
    """q = f(p) for contiguous elements."""
    L = lanes(p)
    leak = splat(p, slope)
    for i in range(0, length, L):
        part = min(L, length - i)
        write(q, i, activate_lanes(kind, read(p, i, part), leak), part)


@kernel
def activate(team, kind, x, y, slope, sizes):
    """y = f(x) for a kind f; `slope` is that of LEAKY_RELU."""
    H, W, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    length = W * x.shape[3]
    rows = x.shape[0] * H
    run = max(1, UNIT // max(1, length))
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * x.shape[3])
            q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * y.shape[3])
            activate_row(kind, p, q, length, slope)


@subroutine
def combine_row(kind, p, o, q, length, slope):
    """q = f(p, o) for contiguous elements."""
    L = lanes(p)
    leak, zero, one = splat(p, slope), splat(p, 0.0), splat(p, 1.0)
    for i in range(0, length, L):
        part = min(L, length - i)
        value, other = read(p, i, part), read(o, i, part)
        if kind == GATE:
            value = select(other > zero, value, zero)
        elif kind == LEAKY_GATE:
            value = select(other > zero, value, leak * value)
        elif kind == SIGMOID_GATE:
            value = value * (other * (one - other))
        elif kind == TANH_GATE:
            value = value * (one - other * other)
        elif kind == NOISY_RELU:
            value = relu_lanes(value + other)
        elif kind == MULTIPLY:
            value = value * other
        write(q, i, value, part)


@kernel
def combine(team, kind, a, b, y, slope, sizes):
    """y = f(a, b) for a kind f; `slope` is that of LEAKY_GATE."""
    H, W, a_top, a_left, b_top, b_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    length = W * a.shape[3]
    rows = a.shape[0] * H
    run = max(1, UNIT // max(1, length))
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(a, ((n * a.shape[1] + a_top + h) * a.shape[2] + a_left) * a.shape[3])
            o = pointer(b, ((n * b.shape[1] + b_top + h) * b.shape[2] + b_left) * b.shape[3])
            q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * y.shape[3])
            combine_row(kind, p, o, q, length, slope)
