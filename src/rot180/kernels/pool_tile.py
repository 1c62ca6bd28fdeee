"""The register tile of a convolution behind which 2x2 windows are pooled: their four sums never leave the registers.

    s[p, r, c, f] = sum over j < J, i < I, k < K of
                    x[j*x_j + i*x_i + k*x_k + p*x_window + r*row + c*column] * w[..., f]
    y[p, f]       = ReLU( b[f] + max over r, c of s[p, r, c, f] )

If the filters fill half a register, the other half holds the next column: with c in the register, a pair of windows has
four sums s[p, r], of which each window takes a half (`halves`).

`rot180.kernels.tile` leaves the same sums in a scratch array, from which a loop pools them: with the 25 products to a
sum that a first layer has, that takes a third of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from rot180.kernels.compiling import callback
from rot180.kernels.deferred import intrinsic, types
from rot180.kernels.finishing import start_at_zero
from rot180.kernels.processor import TILE_ROWS, TILE_VECTORS
from rot180.kernels.simd import broadcast, llvm_vector, masked_load, masked_store, number, vector_pointer
from rot180.kernels.switch import address_of, emit_call, switched
from rot180.kernels.tile import sum_products

POOLED = 2
"""Rows and columns of a window."""
CLOSED = 255
"""Used in place of a winner: the largest value of the window did not pass the ReLU."""


def most_windows(vectors: int) -> int:
    """Return how many windows a tile pools at most, with so many registers of filters."""
    return TILE_ROWS * TILE_VECTORS // (POOLED * POOLED * vectors)


def pool_strides(
    counts: tuple[int, int],
    x: tuple[int, int, int],
    w: tuple[int, int, int],
    *,
    windows: tuple[int, int],
    inside: tuple[int, int],
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Pack the numbers that a tile needs.

    (I, K), the strides of x and w in elements over j, i, k, between windows of x and of y, and inside of a window of x
    between rows and columns; with `halves`, between pairs, and inside of a pair between rows and windows.
    """
    return np.array([*counts, *x, *w, *windows, *inside], np.int64)


def _emit_of(halves):
    def emit(builder, windows, vectors, operands, dtype):
        x, w, bias, y, winners, count, part, relu, packed = operands
        strides = [builder.load(builder.gep(packed, [number(i)])) for i in range(12)]
        x_window, y_window, row, column = strides[8:]
        kind = llvm_vector(dtype)
        sums = start_at_zero(builder, POOLED * POOLED * windows, vectors, kind)
        firsts = [builder.mul(x_window, number(i)) for i in range(windows)]
        places = firsts, [number(0), column, row, builder.add(row, column)]
        sum_products(builder, sums, x, w, (count, *strides[:2]), strides[2:5], strides[5:8], places)
        zero, none = ir.Constant(kind.element, 0.0), ir.Constant(kind.element, float("-inf"))
        lowest = broadcast(builder, builder.select(builder.icmp_signed("!=", relu, number(0)), zero, none), kind.count)
        for v in range(vectors):
            at = vector_pointer(builder, bias, number(v * kind.count), kind)
            added = masked_load(builder, at, part) if v == vectors - 1 else builder.load(at, align=4)
            for i in range(windows):
                values = [builder.load(sums[POOLED * POOLED * i + q, v]) for q in range(POOLED * POOLED)]
                if halves:
                    values = [half for pair in (values[:2], values[2:]) for half in _halves(builder, *pair)]
                best, place = _largest(builder, values)
                best = builder.fadd(best, added)
                place = builder.select(builder.fcmp_ordered(">=", lowest, best), _all(place.type, CLOSED), place)
                best = builder.select(builder.fcmp_ordered(">", lowest, best), lowest, best)
                offset = builder.add(builder.mul(y_window, number(i)), number(v * kind.count))
                to, mark = (
                    vector_pointer(builder, base, offset, value.type) for base, value in ((y, best), (winners, place))
                )
                if v == vectors - 1:
                    masked_store(builder, best, to, part)
                    masked_store(builder, place, mark, part, align=1)
                else:
                    builder.store(best, to, align=4)
                    builder.store(place, mark, align=1)

    return emit


def _halves(builder, a, b):
    """Return the first halves of two registers in one, and the second halves."""
    n = a.type.count // 2
    for first in (0, n):
        places = [*range(first, first + n), *range(2 * n + first, 3 * n + first)]
        yield builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), 2 * n), places))


def _all(kind, n):
    return ir.Constant(kind, [n] * kind.count)


def _largest(builder, values):
    """Return the largest of four values, or NaN if one is, and its place: the first of equal ones."""
    bytes_of = ir.VectorType(ir.IntType(8), values[0].type.count)

    def larger(a, b):
        (value, at), (other, beside) = a, b
        is_larger = builder.fcmp_ordered(">", other, value)
        return builder.select(is_larger, other, value), builder.select(is_larger, beside, at)

    a, b, c, d = ((value, _all(bytes_of, i)) for i, value in enumerate(values))
    best, place = larger(larger(a, b), larger(c, d))
    # A NaN never compares as larger.
    one, other = (builder.fcmp_unordered("uno", *pair) for pair in (values[:2], values[2:]))
    nan = ir.Constant(best.type, [float("nan")] * best.type.count)
    return builder.select(builder.or_(one, other), nan, best), place


_SIZES = [(q, v) for v in range(1, TILE_VECTORS + 1) for q in range(1, most_windows(v) + 1)]
_whole_body, _half_body = (
    switched(_emit_of(False), _SIZES),
    switched(_emit_of(True), [(q, 1) for q, v in _SIZES if v == 1]),
)


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    return types.void(intp, intp, *[address] * 4, types.CPointer(types.uint8), *[intp] * 3, types.CPointer(types.int64))


@callback(_signature)
def _whole(windows, vectors, x, w, bias, y, winners, count, part, relu, strides):
    _whole_body(windows, vectors, (x, w, bias, y, winners, count, part, relu, strides))


@callback(_signature)
def _half(windows, vectors, x, w, bias, y, winners, count, part, relu, strides):
    _half_body(windows, vectors, (x, w, bias, y, winners, count, part, relu, strides))


def pool_tile_address(dtype: Any, *, halves: bool = False) -> int:
    """Address of the compiled tile for float32 or float64; with `halves`, of that for pairs of windows."""
    return address_of(_half if halves else _whole, dtype)


@intrinsic
def pool_tile(typingctx, address, windows, vectors, x, w, bias, y, winners, count, part, relu, strides):
    """Call a tile by its address.

    `winners` receives the number of each maximum in its window, or CLOSED. `count` is J; `part` lanes of the last
    register are read from the bias and written. `relu` is 0 or 1, `strides` the array from `pool_strides`.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, x, w, bias, y, winners, intp, intp, intp, strides)

    def codegen(context, builder, sig, args):
        address, *rest, strides = args
        emit_call(builder, address, [*rest, context.make_array(sig.args[-1])(context, builder, strides).data])
        return context.get_dummy_value()

    return signature, codegen
