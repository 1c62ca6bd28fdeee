"""The transforms of minimal filtering (`rot180.ops.winograd` derives them), emitted for one tile at a time.

A tile of 6x6 pixels d makes the 4x4 outputs of a 3x3 kernel g, or the 2x2 outputs of a 5x5 kernel; e is delta there:

    IMAGE     B' d B        6x6 pixels to 6x6 points
    WEIGHTS   G g G'        taps to points
    OUTPUT    A' s A        sums over channels, at the points, to outputs, which are finished: see `Finish`
    DELTA     A e A'        delta to points
    GRADIENT  G' s G        sums over tiles, at the points, to the gradients of the taps

All channels of a register are transformed at once. The constants are known to the compiler, and the points p and -p
share their even and their odd powers. One compiled function per float type contains all of them and is called by
address (`rot180.kernels.switch`).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rot180.kernels.simd import (
    broadcast,
    call_llvm,
    lane_count,
    llvm_vector,
    masked_load,
    masked_store,
    vector_pointer,
)
from rot180.kernels.switch import compiled, emit_call, switched
from rot180.ops.conv_winograd import OUTPUTS
from rot180.ops.winograd import matrices

__all__ = [
    "ADD",
    "BIAS",
    "DELTA",
    "GATE",
    "GRADIENT",
    "IMAGE",
    "POINTS",
    "WEIGHTS",
    "transform",
    "transform_address",
]

POINTS = 6
"""Along one axis, of every tile."""

IMAGE, WEIGHTS, DELTA, GRADIENT, BIAS, ADD, GATE = range(7)
"""What is transformed. The last three are outputs, by the way they are finished: clamp(y*scale
+ shift), clamp(y*scale + shift + other), or y where other is positive and zero elsewhere."""

_I64 = ir.IntType(64)


def _matrix(taps: int, what: int) -> tuple[Any, bool]:
    """Return the matrix of a transform, and whether it leads from points, not to them."""
    a, g, b = matrices(OUTPUTS[taps], taps)
    matrix = {IMAGE: b, WEIGHTS: g, DELTA: a.T, GRADIENT: g.T}.get(what, a)
    return matrix, what >= GRADIENT


def _emit_sum(builder, coefficients, values):
    """The sum of coefficients times values; products with 1 come first and cost nothing."""
    result = None
    terms = [(c, value) for c, value in zip(coefficients, values, strict=True) if c]
    for c, value in sorted(terms, key=lambda term: term[0] != 1):
        factor = ir.Constant(value.type, [float(c)] * value.type.count)
        if result is None:
            result = value if c == 1 else builder.fmul(factor, value)
        else:
            result = builder.fadd(result, value) if c == 1 else call_llvm(builder, "fma", factor, value, result)
    return result


def _emit_product(builder, matrix, from_points, values):
    """`matrix` times the vector `values`, the first point being 0, the last infinity, those between pairs p, -p."""
    pairs = range(1, POINTS - 1, 2)
    if from_points:
        sums = [[add(values[p], values[p + 1]) for p in pairs] for add in (builder.fadd, builder.fsub)]
        columns = [0, *pairs, POINTS - 1]
        return [
            _emit_sum(builder, row[columns], [values[0], *sums[power % 2], values[-1]])
            for power, row in enumerate(matrix)
        ]
    out = [_emit_sum(builder, matrix[0], values)]
    for p in pairs:
        even, odd = (_emit_sum(builder, matrix[p, first::2], values[first::2]) for first in (0, 1))
        out += [builder.fadd(even, odd), builder.fsub(even, odd)]
    return [*out, _emit_sum(builder, matrix[-1], values)]


def _emit_transform(builder, taps, what, operands, dtype):
    source, target, scale, shift, other, bounds, count, part, rows, columns, packed = operands
    matrix, from_points = _matrix(taps, what)
    height, width = matrix.shape
    kind, lanes = llvm_vector(dtype), lane_count(dtype)
    is_output = what >= BIAS

    def number(n):
        return ir.Constant(_I64, n)

    # From row to row and from column to column of source, target, other.
    steps = [builder.load(builder.gep(packed, [number(i)])) for i in range(6)]
    zero = ir.Constant(kind, [0.0] * lanes)
    low, high = (
        (broadcast(builder, builder.load(builder.gep(bounds, [number(i)])), lanes) for i in (0, 1))
        if what in (BIAS, ADD)
        else (zero, zero)
    )

    def below(n, limit):
        return builder.if_then(builder.icmp_signed("<", number(n), limit)) if is_output else nullcontext()

    def one(index, masked):
        """Transform one register of channels, of which, if masked, `part` lanes are real."""
        first = builder.mul(index, number(lanes))

        def at(base, which, i, j):
            place = builder.add(builder.mul(steps[which], number(i)), builder.mul(steps[which + 1], number(j)))
            return vector_pointer(builder, base, builder.add(first, place), kind)

        def read(address):
            return masked_load(builder, address, part) if masked else builder.load(address, align=4)

        def put(i, j, value):
            if what == GATE:
                passes = builder.fcmp_ordered(">", read(at(other, 4, i, j)), zero)
                value = builder.select(passes, value, zero)
            elif is_output:
                value = call_llvm(builder, "fma", value, factor, term)
                if what == ADD:
                    value = builder.fadd(value, read(at(other, 4, i, j)))
                # A NaN stays.
                value = builder.select(builder.fcmp_ordered(">", low, value), low, value)
                value = builder.select(builder.fcmp_ordered("<", high, value), high, value)
            if masked:
                masked_store(builder, value, at(target, 2, i, j), part)
            else:
                builder.store(value, at(target, 2, i, j), align=4)

        factor, term = (
            (read(vector_pointer(builder, base, first, kind)) for base in (scale, shift))
            if what in (BIAS, ADD)
            else (zero, zero)
        )
        half = [
            _emit_product(
                builder, matrix, from_points, [builder.load(at(source, 0, i, j), align=4) for i in range(width)]
            )
            for j in range(width)
        ]
        for i in range(height):
            with below(i, rows):
                line = _emit_product(builder, matrix, from_points, [half[j][i] for j in range(width)])
                for j, value in enumerate(line):
                    with below(j, columns):
                        put(i, j, value)

    with cgutils.for_range(builder, count) as loop:
        one(loop.index, masked=False)
    if what >= GRADIENT:
        with builder.if_then(builder.icmp_signed(">", part, number(0)), likely=False):
            one(count, masked=True)


_cases = [(3, IMAGE), *((taps, what) for taps in OUTPUTS for what in range(WEIGHTS, GATE + 1))]
_body = switched(_emit_transform, _cases)


def _transform(taps, what, source, target, scale, shift, other, bounds, count, part, rows, columns, steps):
    _body(taps, what, (source, target, scale, shift, other, bounds, count, part, rows, columns, steps))


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, *[address] * 6, *[intp] * 4, types.CPointer(types.int64))


def transform_address(dtype: Any) -> int:
    """Address of the compiled transforms for float32 or float64."""
    return int(compiled(_transform, _signature, np.dtype(dtype)).address)


@intrinsic
def transform(
    typingctx, address, taps, what, source, target, scale, shift, other, bounds, count, part, rows, columns, steps
):
    """Transform one tile, calling the transforms by their address.

    `taps` is 3 or 5; an IMAGE is transformed alike for both, and called with 3. `count` whole registers of channels are
    read from `source` and written to `target`, and with `part` above 0 that many lanes of one more (of gradients and
    outputs; the others are written in whole registers, into which the source may be cut). Of an output, `rows` rows and
    `columns` columns are written. `steps` is an array: from row to row and from column to column, in elements, of
    source, target and other. `bounds` points to the smallest and the largest output. What is not needed is not read.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, source, target, scale, shift, other, bounds, *[intp] * 4, steps)

    def codegen(context, builder, sig, args):
        address, *rest, steps = args
        emit_call(builder, address, [*rest, context.make_array(sig.args[-1])(context, builder, steps).data])
        return context.get_dummy_value()

    return signature, codegen
