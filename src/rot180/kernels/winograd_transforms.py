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

from llvmlite import ir

from rot180.kernels.compiling import callback
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.simd import (
    broadcast,
    lane_count,
    llvm_vector,
    masked_load,
    masked_store,
    multiply_add,
    number,
    vector_pointer,
)
from rot180.kernels.switch import address_of, emit_call, switched
from rot180.ops.winograd import matrices

__all__ = [
    "ADD",
    "ADD_GATE",
    "BIAS",
    "CLOSED",
    "DELTA",
    "GATE",
    "GRADIENT",
    "IMAGE",
    "OUTPUTS",
    "POINTS",
    "POOL",
    "WEIGHTS",
    "transform",
    "transform_address",
]

POINTS = 6
"""Along one axis, of every tile."""
OUTPUTS = {taps: POINTS + 1 - taps for taps in (3, 4, 5)}
"""Outputs of a tile along one axis, by taps. Strided convolutions have 4 taps, where images are rearranged."""

IMAGE, WEIGHTS, DELTA, GRADIENT, BIAS, ADD, GATE, ADD_GATE, POOL = range(9)
"""What is transformed. The last five are outputs, by the way they are finished: clamp(y*scale + shift);
clamp(y*scale + shift + other); y, or y and what is in its place, where other is positive, and zero elsewhere; or the
maximum of clamp(y*scale + shift) over each window of 2x2, with its place in the window in other, whose elements are
bytes, or CLOSED."""
CLOSED = 255
"""Instead of a place: the maximum is not above the smallest output, and no delta passes."""


def transform_matrix(taps: int, what: int) -> tuple[Any, bool]:
    """Return the matrix of a transform, and whether it leads from points, not to them."""
    a, g, b = matrices(OUTPUTS[taps], taps)
    matrix = {IMAGE: b, WEIGHTS: g, DELTA: a.T, GRADIENT: g.T}.get(what, a)
    return matrix, what >= GRADIENT


def rows_together(taps: int, what: int) -> tuple[tuple[int, ...], ...]:
    """Return rows of a transform's result in the groups in which they are made.

    A group shares half of its work: points p and -p, even or odd powers. What it is made of is read again for the next
    one, where there are not enough registers to hold all of it: writing to the stack takes longer than reading.
    """
    if what == IMAGE:
        return (0, 5), (1, 2), (3, 4)
    if taps == 3 and what in (BIAS, ADD, GATE, ADD_GATE):
        return (0, 2), (1, 3)
    return (tuple(range(len(transform_matrix(taps, what)[0]) // (2 if what == POOL else 1))),)


def _emit_sum(builder, coefficients, values):
    """The sum of coefficients times values; products with 1 come first and cost nothing."""
    result = None
    terms = [(c, value) for c, value in zip(coefficients, values, strict=True) if c]
    for c, value in sorted(terms, key=lambda term: term[0] != 1):
        factor = ir.Constant(value.type, [float(c)] * value.type.count)
        if result is None:
            result = value if c == 1 else builder.fmul(factor, value)
        else:
            result = builder.fadd(result, value) if c == 1 else multiply_add(builder, factor, value, result)
    return result


def emit_product(builder, matrix, from_points, values):
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


def _emit_maximum(builder, values):
    """The largest value, and its place; the first of equal ones, and a NaN above all."""
    numbers = ir.VectorType(ir.IntType(32), values[0].type.count)
    best, place = values[0], ir.Constant(numbers, [0] * numbers.count)
    for i, value in enumerate(values[1:], 1):
        larger = builder.and_(builder.fcmp_unordered(">", value, best), builder.fcmp_ordered("ord", best, best))
        best = builder.select(larger, value, best)
        place = builder.select(larger, ir.Constant(numbers, [i] * numbers.count), place)
    return best, place


def _emit_store_bytes(builder, numbers, address, part):
    """Write numbers below 256 as bytes: the first `part` of them, or all if that is None."""
    kind = ir.VectorType(ir.IntType(8), numbers.type.count)
    small, to = builder.trunc(numbers, kind), builder.bitcast(address, kind.as_pointer())
    if part is None:
        builder.store(small, to, align=1)
        return
    masked_store(builder, small, to, part, align=1)


def _emit_transform(builder, taps, what, operands, dtype):
    source, target, scale, shift, other, bounds, count, part, rows, columns, packed = operands
    matrix, from_points = transform_matrix(taps, what)
    height, width = matrix.shape
    kind, lanes = llvm_vector(dtype), lane_count(dtype)
    is_output, clamps, window = what >= BIAS, what in (BIAS, ADD, POOL), 2 if what == POOL else 1

    # From row to row and from column to column of source, target, other.
    steps = [builder.load(builder.gep(packed, [number(i)])) for i in range(6)]
    zero, lowest = (ir.Constant(kind, [value] * lanes) for value in (0.0, float("-inf")))
    marks = builder.bitcast(other, ir.IntType(8).as_pointer())
    low, high = (
        (broadcast(builder, builder.load(builder.gep(bounds, [number(i)])), lanes) for i in (0, 1))
        if clamps
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

        def put(i, j, values):
            value = values[0]
            if clamps:
                values = [multiply_add(builder, value, factor, term) for value in values]
                value, place = _emit_maximum(builder, values)
            if what == ADD:
                value = builder.fadd(value, read(at(other, 4, i, j)))
            if what == ADD_GATE:
                value = builder.fadd(value, read(at(target, 2, i, j)))
            if what in (GATE, ADD_GATE):
                passes = builder.fcmp_ordered(">", read(at(other, 4, i, j)), zero)
                value = builder.select(passes, value, zero)
            if what == POOL:
                is_closed = builder.and_(builder.fcmp_ordered(">=", low, value), builder.fcmp_ordered(">", low, lowest))
                mark = builder.select(is_closed, ir.Constant(place.type, [CLOSED] * lanes), place)
                where = builder.add(
                    first, builder.add(builder.mul(steps[4], number(i)), builder.mul(steps[5], number(j)))
                )
                _emit_store_bytes(builder, mark, builder.gep(marks, [where]), part if masked else None)
            if clamps:
                # A NaN stays.
                value = builder.select(builder.fcmp_ordered(">", low, value), low, value)
                value = builder.select(builder.fcmp_ordered("<", high, value), high, value)
            if masked:
                masked_store(builder, value, at(target, 2, i, j), part)
            else:
                builder.store(value, at(target, 2, i, j), align=4)

        factor, term = (
            (read(vector_pointer(builder, base, first, kind)) for base in (scale, shift)) if clamps else (zero, zero)
        )
        for together in rows_together(taps, what):
            half = [
                emit_product(
                    builder, matrix, from_points, [builder.load(at(source, 0, i, j), align=4) for i in range(width)]
                )
                for j in range(width)
            ]
            for i in together:
                with below(i, rows):
                    lines = [
                        emit_product(builder, matrix, from_points, [half[j][window * i + u] for j in range(width)])
                        for u in range(window)
                    ]
                    for j in range(height // window):
                        with below(j, columns):
                            put(i, j, [line[window * j + v] for line in lines for v in range(window)])

    with cgutils.for_range(builder, count) as loop:
        one(loop.index, masked=False)
    if what >= GRADIENT:
        with builder.if_then(builder.icmp_signed(">", part, number(0)), likely=False):
            one(count, masked=True)


_cases = [(3, IMAGE), *((taps, what) for taps in (3, 5) for what in range(WEIGHTS, POOL + 1))]
_cases += [(4, what) for what in range(WEIGHTS, ADD + 1)]
_body = switched(_emit_transform, _cases)


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, *[address] * 6, *[intp] * 4, types.CPointer(types.int64))


@callback(_signature)
def _transform(taps, what, source, target, scale, shift, other, bounds, count, part, rows, columns, steps):
    _body(taps, what, (source, target, scale, shift, other, bounds, count, part, rows, columns, steps))


def transform_address(dtype: Any) -> int:
    """Address of the compiled transforms for float32 or float64."""
    return address_of(_transform, dtype)


@intrinsic
def transform(
    typingctx, address, taps, what, source, target, scale, shift, other, bounds, count, part, rows, columns, steps
):
    """Transform one tile, calling the transforms by their address.

    `taps` is 3 or 5; an IMAGE is transformed alike for both, and called with 3. `count` whole registers of channels are
    read from `source` and written to `target`, and with `part` above 0 that many lanes of one more (of gradients and
    outputs; the others are written in whole registers, into which the source may be cut). Of an output, at most `rows`
    rows and `columns` columns are written. `steps` is an array: from row to row and from column to column, in elements,
    of source, target and other. `bounds` points to the smallest and the largest output. What is not needed is not read.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, source, target, scale, shift, other, bounds, *[intp] * 4, steps)

    def codegen(context, builder, sig, args):
        address, *rest, steps = args
        emit_call(builder, address, [*rest, context.make_array(sig.args[-1])(context, builder, steps).data])
        return context.get_dummy_value()

    return signature, codegen
