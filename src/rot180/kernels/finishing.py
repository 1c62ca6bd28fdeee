"""What becomes of the sums of a convolution, before they leave their registers.

    y = clamp( sum * scale + shift )                 ALONE
    y = clamp( sum * scale + shift + other )         ADDED     other a map of y's shape, such as a shortcut
    y = clamp( sum * scale + shift ), or 0           GATED     it passes where other is positive: a ReLU's output

Scale and shift are one number per filter: a bias, or the normalization that follows in inference. In the emitted code,
`sums` maps (pixel, register) to where the sum is held; `part` lanes of the last register are real.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from rot180.kernels.deferred import cgutils
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.simd import broadcast, masked_load, masked_store, multiply_add, number, vector_pointer
from rot180.ops.types import Array

ALONE, ADDED, GATED = 0, 1, 2


class Finish(NamedTuple):
    """How the outputs of a forward pass are finished."""

    scale: Array
    """(F,)"""
    shift: Array
    limits: tuple[float, float] = (-math.inf, math.inf)
    """The smallest and the largest output."""
    added: FeatureMap | None = None

    @property
    def bounds(self) -> Array:
        """The limits as kernels take them."""
        return np.array(self.limits, self.scale.dtype)


def biased(bias: Array) -> Finish:
    """Return the finish that adds a bias."""
    return Finish(np.ones_like(bias), bias)


def start_at_zero(builder, pixels, vectors, kind):
    """Return sums that are zero."""
    zero = ir.Constant(kind, [0.0] * kind.count)
    return {(p, v): cgutils.alloca_once_value(builder, zero) for p in range(pixels) for v in range(vectors)}


def finish(builder, sums, scale, shift, limits, part, how=None, other=None, other_pixel=None):
    """Scale and shift the sums, let the other map take part, and clamp."""
    _, vectors = (1 + max(place) for place in zip(*sums, strict=True))
    kind = sums[0, 0].type.pointee

    def read(base, offset, v):
        address = vector_pointer(builder, base, builder.add(offset, number(v * kind.count)), kind)
        return masked_load(builder, address, part) if v == vectors - 1 else builder.load(address, align=4)

    factors, terms = ([read(base, number(0), v) for v in range(vectors)] for base in (scale, shift))
    for (p, v), total in sums.items():
        builder.store(multiply_add(builder, builder.load(total), factors[v], terms[v]), sums[p, v])
    if other is not None:
        with builder.if_then(builder.icmp_signed("==", how, number(ADDED))):
            for (p, v), total in sums.items():
                value = read(other, builder.mul(other_pixel, number(p)), v)
                builder.store(builder.fadd(builder.load(total), value), total)
        with builder.if_then(builder.icmp_signed("==", how, number(GATED))):
            zero = ir.Constant(kind, [0.0] * kind.count)
            for (p, v), total in sums.items():
                passes = builder.fcmp_ordered(">", read(other, builder.mul(other_pixel, number(p)), v), zero)
                builder.store(builder.select(passes, builder.load(total), zero), total)
    _clamp(builder, sums, limits)


def _clamp(builder, sums, limits):
    """Clamp the sums between the two numbers at `limits`, unless these are infinite; NaN stays NaN."""
    for i, symbol, unlimited in ((0, ">", float("-inf")), (1, "<", float("inf"))):
        limit = builder.load(builder.gep(limits, [number(i)]))
        with builder.if_then(builder.fcmp_ordered("!=", limit, ir.Constant(limit.type, unlimited))):
            for place in sums.values():
                value = builder.load(place)
                spread = broadcast(builder, limit, value.type.count)
                builder.store(builder.select(builder.fcmp_ordered(symbol, spread, value), spread, value), place)


def store_sums(builder, sums, y, y_pixel, part):
    """Write the sums; pixels are `y_pixel` elements apart."""
    last = max(v for _, v in sums)
    lanes = sums[0, 0].type.pointee.count
    # A masked write takes several times as long on some processors.
    with builder.if_else(builder.icmp_signed("==", part, number(lanes))) as (whole, partial):
        for branch, masked in ((whole, False), (partial, True)):
            with branch:
                for (p, v), place in sums.items():
                    value = builder.load(place)
                    offset = builder.add(builder.mul(y_pixel, number(p)), number(v * lanes))
                    to = vector_pointer(builder, y, offset, value.type)
                    if masked and v == last:
                        masked_store(builder, value, to, part)
                    else:
                        builder.store(value, to, align=4)
