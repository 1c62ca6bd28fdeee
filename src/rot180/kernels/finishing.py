"""What tiles do around their sums: start at the bias, clamp, and write.

`sums` maps (pixel, register) to where the sum is held; `part` lanes of the last register are real.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from rot180.kernels.simd import broadcast, masked_load, masked_store, vector_pointer

_I64 = ir.IntType(64)


def _number(n):
    return ir.Constant(_I64, n)


def start_at_bias(builder, pixels, vectors, bias, part, kind):
    """Return sums that start at the bias, which is the same for all pixels."""
    lanes = kind.count
    sums = {(p, v): cgutils.alloca_once(builder, kind) for p in range(pixels) for v in range(vectors)}
    for v in range(vectors):
        address = vector_pointer(builder, bias, _number(v * lanes), kind)
        start = masked_load(builder, address, part if v == vectors - 1 else _number(lanes))
        for p in range(pixels):
            builder.store(start, sums[p, v])
    return sums


def clamp(builder, sums, limits):
    """Clamp the sums between the two numbers at `limits`, unless these are infinite; NaN stays NaN."""
    for i, symbol, unlimited in ((0, ">", float("-inf")), (1, "<", float("inf"))):
        limit = builder.load(builder.gep(limits, [_number(i)]))
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
    with builder.if_else(builder.icmp_signed("==", part, _number(lanes))) as (whole, partial):
        for branch, masked in ((whole, False), (partial, True)):
            with branch:
                for (p, v), place in sums.items():
                    value = builder.load(place)
                    offset = builder.add(builder.mul(y_pixel, _number(p)), _number(v * lanes))
                    to = vector_pointer(builder, y, offset, value.type)
                    if masked and v == last:
                        masked_store(builder, value, to, part)
                    else:
                        builder.store(value, to, align=4)
