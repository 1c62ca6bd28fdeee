r"""exp(x) for x <= 0, on registers: all that sigmoid, tanh and softmax need, since each can be expressed by it.

With r = x / ln 2 rounded to an integer and f = x - r * ln 2, so that |f| <= ln 2 / 2 = 0.347,

    exp(x) = 2^r * exp(f) = 2^r + 2^r * q,      q = exp(f) - 1 = f + f^2 * (1/2! + f/3! + f^2/4! + ...)

2^r is written directly into the exponent bits. ln 2 is subtracted in two parts, hi + lo, by fused multiply-adds: hi is
ln 2 rounded to the type, and x - r*hi is rounded once. A processor without them has fewer bits in hi, so that r*hi is
exact. The series is truncated where the next term is below half a unit
in the last place: after f^7 for float32 (0.347^8 / 8! = 5e-9, the unit is 6e-8), after f^13 for float64 (4e-18, 1e-16).

exp(x) - 1 = 2^r * q + (2^r - 1) keeps its digits near zero, where r = 0 and it equals q; tanh is computed from it.

Below `limit`, where 2^r would no longer be a normal number, exp(x) is taken as 0. NaN stays NaN.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir

from rot180.kernels.compiling import subroutine
from rot180.kernels.deferred import intrinsic, types
from rot180.kernels.processor import HAS_FMA
from rot180.kernels.simd import fma, multiply_add, round_to_power, select, splat

_LN2_BEYOND_FLOAT64 = 2.3190468138462996e-17


@intrinsic
def _constants(typingctx, x):
    """1/ln 2, hi, lo and the limit in every lane."""
    bits, limit = (24, -87.0) if x.dtype == types.float32 else (53, -708.0)
    if not HAS_FMA:
        bits -= 8 if x.dtype == types.float32 else 11  # those of r
    hi = round(math.ldexp(math.log(2), bits)) / 2.0**bits
    values = (1 / math.log(2), hi, math.log(2) - hi + _LN2_BEYOND_FLOAT64, limit)
    signature = types.UniTuple(x, 4)(x)

    def codegen(context, builder, sig, args):
        kind = args[0].type
        return context.make_tuple(
            builder, sig.return_type, [ir.Constant(kind, [value] * kind.count) for value in values]
        )

    return signature, codegen


@intrinsic
def _series(typingctx, f):
    """1/2! + f/3! + f^2/4! + ... by Horner's rule."""
    last = 7 if f.dtype == types.float32 else 13
    rounded = np.float32 if f.dtype == types.float32 else np.float64

    def codegen(context, builder, sig, args):
        kind = args[0].type
        terms = [ir.Constant(kind, [float(rounded(1 / math.factorial(k)))] * kind.count) for k in range(last, 1, -1)]
        value = terms[0]
        for term in terms[1:]:
            value = multiply_add(builder, value, args[0], term)
        return value

    return f(f), codegen


@subroutine
def _power_and_rest(x, limit, inverse, hi, lo):
    """2^r and q; for x below the limit, or NaN, 2^r is that of the limit."""
    r, power = round_to_power(select(x > limit, x, limit) * inverse)
    zero = splat(x, 0.0)
    f = fma(zero - r, lo, fma(zero - r, hi, x))
    return power, fma(f * f, _series(f), f)


@subroutine
def exp_of_negative(x):
    """exp(x) for x <= 0, to within about 1 unit in the last place."""
    inverse, hi, lo, limit = _constants(x)
    power, q = _power_and_rest(x, limit, inverse, hi, lo)
    return select(limit > x, splat(x, 0.0), fma(power, q, power))


@subroutine
def exp_minus_one_of_negative(x):
    """exp(x) - 1 for x <= 0, as accurate near zero."""
    inverse, hi, lo, limit = _constants(x)
    power, q = _power_and_rest(x, limit, inverse, hi, lo)
    one = splat(x, 1.0)
    return select(limit > x, splat(x, -1.0), fma(power, q, power - one))
