r"""The activations of deeper networks and their gates, on registers; those of `elementwise` are included.

Kinds go on counting where `elementwise` ends. `slope` is that of LEAKY_RELU and the alpha of ELU.

    kind           y                            gate: dy times                          from
    RELU6          min(max(0, x), 6)            1 where 0 < y < 6                       y
    HARD_SIGMOID   min(max(0, x + 3), 6) / 6    1/6 where 0 < y < 1                     y
    HARD_SWISH     x * hard_sigmoid(x)          0 | (2x + 3)/6 | 1                      x
    ELU            x or slope*(exp(x) - 1)      1 where x > 0, else slope*exp(x)        x
    SILU           x * sigmoid(x)               s * (1 + x*(1 - s))                     x
    GELU           x * Phi(x)                   Phi + x*phi                             x
    GELU_TANH      the same, approximated       the gradient of the approximation       x

Only exponentials of numbers up to 0 are needed. The normal distribution function is that of the error function,

    Phi(x) = erfc(-x / sqrt(2)) / 2,   erfc(z) = t * exp(-z^2 + p(2t - 1))  for z >= 0,   t = 2 / (2 + z)

with a polynomial p, which keeps the digits of the tail; for x > 0 it is 1 - Phi(-x).
"""

from __future__ import annotations

import math

from llvmlite import ir

from rot180.kernels.compiling import kernel, subroutine
from rot180.kernels.deferred import intrinsic, types
from rot180.kernels.elementwise import (
    LEAKY_RELU,
    RELU,
    SIGMOID,
    TANH,
    UNIT,
    activate_lanes,
    sigmoid_lanes,
    tanh_lanes,
)
from rot180.kernels.exponential import exp_minus_one_of_negative, exp_of_negative
from rot180.kernels.parts import read, write
from rot180.kernels.simd import absolute, fma, lanes, multiply_add, pointer, select, splat
from rot180.kernels.team import split

RELU6, HARD_SIGMOID, HARD_SWISH, ELU, SILU, GELU, GELU_TANH = 4, 5, 6, 7, 8, 9, 10

_ROOT_HALF = math.sqrt(0.5)
_ROOT_TWO_PI = math.sqrt(2 * math.pi)
_SLOPE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715

# p, by powers of 2t - 1: the Chebyshev series of log(erfc(z) / t) + z^2, whose error is below the type's unit.
_POWERS_FLOAT32 = (
    -0.6717941164970398, 0.6726431250572205, 0.04734388738870621, -0.0468936413526535, -0.00988001935184002,
    0.00880882516503334, 0.0017940662801265717, -0.002288765273988247, -0.00022791096125729382, 0.0005737663595937192,
    8.000738489499781e-06, -8.728381362743676e-05,
)  # fmt: skip
_POWERS_FLOAT64 = (
    -0.6717940840566923, 0.6726432239776567, 0.04734330684190443, -0.0468956102311753, -0.009872689366389959,
    0.008824938557060623, 0.001758933557799016, -0.002345812500482853, -0.00014624686337800336, 0.000673678795580235,
    -9.37350311709817e-05, -0.0001743029472030762, 7.14010141275703e-05, 3.17451797494374e-05, -3.0187884551394246e-05,
    1.3772664134464574e-07, 8.562623420121287e-06, -2.9479868769982624e-06, -1.2723119048688733e-06,
    1.25002766125698e-06, -1.6849800720652966e-07, -2.495832761719711e-07, 1.5334345920907962e-07,
    1.4448658046280268e-09, -3.917182051027106e-08, 1.1172352263622751e-08, 4.060882146969589e-09,
    -1.890230600894291e-09,
)  # fmt: skip


@intrinsic
def _polynomial(typingctx, u):
    """p(u) by Horner's rule."""
    powers = _POWERS_FLOAT32 if u.dtype == types.float32 else _POWERS_FLOAT64

    def codegen(context, builder, sig, args):
        kind = args[0].type
        terms = [ir.Constant(kind, [power] * kind.count) for power in reversed(powers)]
        value = terms[0]
        for term in terms[1:]:
            value = multiply_add(builder, value, args[0], term)
        return value

    return u(u), codegen


@subroutine
def normal_distribution_lanes(x):
    """Phi(x), the probability that a standard normal variable is below x."""
    zero, one, two = splat(x, 0.0), splat(x, 1.0), splat(x, 2.0)
    z = splat(x, _ROOT_HALF) * absolute(x)
    t = two / (two + z)
    tail = splat(x, 0.5) * t * exp_of_negative(_polynomial(two * t - one) - z * z)
    return select(x > zero, one - tail, tail)


@subroutine
def normal_density_lanes(x):
    """phi(x) = exp(-x^2 / 2) / sqrt(2 pi)."""
    return exp_of_negative(splat(x, -0.5) * x * x) / splat(x, _ROOT_TWO_PI)


@subroutine
def clipped_lanes(x, most):
    """min(max(0, x), most); NaN stays NaN."""
    zero = splat(x, 0.0)
    return select(zero > x, zero, select(x > most, most, x))


@subroutine
def _inner_tanh(x):
    """The tanh in the approximation of Phi."""
    return tanh_lanes(splat(x, _SLOPE) * (x + splat(x, _CUBIC) * x * x * x))


@subroutine
def value_lanes(kind, x, slope):
    """f(x) for a kind f; x itself for NOTHING."""
    value = x
    if kind < RELU6:
        value = activate_lanes(kind, x, slope)
    elif kind == RELU6:
        value = clipped_lanes(x, splat(x, 6.0))
    elif kind == HARD_SIGMOID:
        six = splat(x, 6.0)
        value = clipped_lanes(x + splat(x, 3.0), six) / six
    elif kind == HARD_SWISH:
        six = splat(x, 6.0)
        value = x * (clipped_lanes(x + splat(x, 3.0), six) / six)
    elif kind == ELU:
        zero = splat(x, 0.0)
        value = select(x > zero, x, slope * exp_minus_one_of_negative(select(x > zero, zero, x)))
    elif kind == SILU:
        value = x * sigmoid_lanes(x)
    elif kind == GELU:
        value = x * normal_distribution_lanes(x)
    elif kind == GELU_TANH:
        one = splat(x, 1.0)
        value = x * (splat(x, 0.5) * (one + _inner_tanh(x)))
    return value


@subroutine
def gate_lanes(kind, dy, saved, slope):
    """dy * f'; `saved` is the output y of the kinds of `SAVES_OUTPUT`, the input x of the others."""
    zero, one, value = splat(dy, 0.0), splat(dy, 1.0), dy
    if kind == RELU:
        value = select(saved > zero, dy, zero)
    elif kind == LEAKY_RELU:
        value = select(saved > zero, dy, slope * dy)
    elif kind == SIGMOID:
        value = dy * (saved * (one - saved))
    elif kind == TANH:
        value = dy * (one - saved * saved)
    elif kind == RELU6:
        value = select(saved > zero, select(splat(dy, 6.0) > saved, dy, zero), zero)
    elif kind == HARD_SIGMOID:
        value = select(saved > zero, select(one > saved, dy / splat(dy, 6.0), zero), zero)
    elif kind == HARD_SWISH:
        three, two, six = splat(dy, 3.0), splat(dy, 2.0), splat(dy, 6.0)
        inside = select(saved >= three, one, (two * saved + three) / six)
        value = dy * select(zero - three >= saved, zero, inside)
    elif kind == ELU:
        value = dy * select(saved > zero, one, slope * exp_of_negative(select(saved > zero, zero, saved)))
    elif kind == SILU:
        s = sigmoid_lanes(saved)
        value = dy * (s * (one + saved * (one - s)))
    elif kind == GELU:
        value = dy * fma(saved, normal_density_lanes(saved), normal_distribution_lanes(saved))
    elif kind == GELU_TANH:
        half, t = splat(dy, 0.5), _inner_tanh(saved)
        slope_of_t = splat(dy, _SLOPE) * (one + splat(dy, 3 * _CUBIC) * saved * saved)
        value = dy * fma(saved, half * (one - t * t) * slope_of_t, half * (one + t))
    return value


SAVES_OUTPUT = (RELU, SIGMOID, TANH, RELU6, HARD_SIGMOID)
"""Kinds whose derivative follows from the output."""


@subroutine
def value_row(kind, p, q, length, slope):
    """q = f(p) for contiguous elements."""
    L = lanes(p)
    alpha = splat(p, slope)
    for i in range(0, length, L):
        part = min(L, length - i)
        write(q, i, value_lanes(kind, read(p, i, part), alpha), part)


@subroutine
def gate_row(kind, p, o, q, length, slope):
    """q = p * f' for contiguous elements, f' from what is saved at o."""
    L = lanes(p)
    alpha = splat(p, slope)
    for i in range(0, length, L):
        part = min(L, length - i)
        write(q, i, gate_lanes(kind, read(p, i, part), read(o, i, part), alpha), part)


@subroutine
def derivative_row(kind, p, o, q, length, slope):
    """q = p * f'(o) for contiguous elements, with the input at o, which is overwritten."""
    if kind in SAVES_OUTPUT:
        value_row(kind, o, o, length, slope)
    gate_row(kind, p, o, q, length, slope)


@kernel
def apply(team, kind, x, y, slope, sizes):
    """y = f(x) for any kind; `sizes` as those of `elementwise.activate`."""
    H, W, x_top, x_left, y_top, y_left = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    length = W * x.shape[3]
    rows = x.shape[0] * H
    run = max(1, UNIT // max(1, length))
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(x, ((n * x.shape[1] + x_top + h) * x.shape[2] + x_left) * x.shape[3])
            q = pointer(y, ((n * y.shape[1] + y_top + h) * y.shape[2] + y_left) * y.shape[3])
            value_row(kind, p, q, length, slope)


@kernel
def apply_gate(team, kind, dy, saved, dx, slope, sizes):
    """dx = dy * f' for any kind; `sizes` as those of `elementwise.combine`."""
    H, W, a_top, a_left, b_top, b_left, y_top, y_left = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    length = W * dy.shape[3]
    rows = dy.shape[0] * H
    run = max(1, UNIT // max(1, length))
    for unit in split(team, (rows + run - 1) // run):
        for row in range(unit * run, min((unit + 1) * run, rows)):
            n, h = row // H, row % H
            p = pointer(dy, ((n * dy.shape[1] + a_top + h) * dy.shape[2] + a_left) * dy.shape[3])
            o = pointer(saved, ((n * saved.shape[1] + b_top + h) * saved.shape[2] + b_left) * saved.shape[3])
            q = pointer(dx, ((n * dx.shape[1] + y_top + h) * dx.shape[2] + y_left) * dx.shape[3])
            gate_row(kind, p, o, q, length, slope)
