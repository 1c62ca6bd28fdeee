"""Sums over the winners of some windows, for some filters at a time, held in registers.

    sums[f, u, v]  += g * image[window + place + u*row + v]      for every window, and the winner's place in it
    sums[f, rows]  += g                                          in every lane: for the bias

g is delta of the filter at the window, or 0 where the largest value did not pass the ReLU. A kernel row fits a
register, or the first half of one: half a register takes half the time on processors that split whole ones. Windows are
visited where they are, winners or not: for so few products, making lists (`rot180.kernels.winners`) takes longer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from rot180.kernels.compiling import callback
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.processor import REGISTERS
from rot180.kernels.simd import broadcast, lane_count, lane_count_of, multiply_add, number, vector_pointer
from rot180.kernels.switch import address_of, emit_call, switched

MOST_ROWS = 5
"""Kernel rows."""
_MOST_FILTERS = 4

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def filters_at_a_time(rows: int) -> int:
    """Return how many filters' sums over so many kernel rows are held at a time."""
    return max(1, min(_MOST_FILTERS, REGISTERS.held // (rows + 1)))


def row_length(cells: int, dtype: Any) -> int:
    """Return the lanes that hold a kernel row of so many cells; 0 if a register does not."""
    lanes = lane_count_of(dtype)
    return next((length for length in (lanes // 2, lanes) if length >= cells), 0)


def window_steps(
    *, row: int, window: tuple[int, int], delta: tuple[int, int], winners: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Pack the numbers that a tile needs, in elements.

    From one kernel row to the next in the image; from one row of windows to the next and from one window to the next in
    the image, and in delta; from one row of windows to the next in the winners.
    """
    return np.array([row, *window, *delta, winners], np.int64)


def table_of_places(offsets: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return, for each byte that stands for a winner, the offset of that place, below a mask of delta; CLOSED has none.

    >>> table_of_places([0, 1, 28, 29])[[2, 255]].tolist() == [28 - (1 << 32), 0]
    True
    """
    table = np.zeros(256, np.int64)
    table[: len(offsets)] = np.array(offsets) - (1 << 32)
    return table


def masked_delta(builder, delta, winner, places, kind):
    """Return the offset of a winner's place, and delta in every lane, or 0 if the winner is CLOSED."""
    element = kind.element
    bits = ir.IntType(64 if isinstance(element, ir.DoubleType) else 32)
    entry = builder.load(builder.gep(places, [builder.zext(builder.load(winner), _I64)]))
    value = builder.load(builder.bitcast(delta, bits.as_pointer()))
    # A mask from the table: of a comparison, LLVM makes a branch that no processor could predict.
    mask = builder.ashr(entry, number(32))
    value = builder.and_(value, mask if bits == _I64 else builder.trunc(mask, bits))
    shift = builder.sext(builder.trunc(entry, _I32), _I64)
    return shift, broadcast(builder, builder.bitcast(value, element), kind.count)


def _emit_of(part):
    def emit(builder, rows, filters, operands, dtype):
        image, delta, winners, places, sums, down, across, packed = operands
        lanes = lane_count(dtype) // part
        kind = ir.VectorType(image.type.pointee, lanes)
        row, *steps = (builder.load(builder.gep(packed, [number(i)])) for i in range(6))
        (image_row, image_step, delta_row, delta_step, winners_row) = steps

        def sum_at(f, u):
            return vector_pointer(builder, sums, number((f * (rows + 1) + u) * lanes), kind)

        held = {
            (f, u): cgutils.alloca_once_value(builder, builder.load(sum_at(f, u), align=4))
            for f in range(filters)
            for u in range(rows + 1)
        }

        def loop(count, visit, begins, steps):
            now = [cgutils.alloca_once_value(builder, begin) for begin in begins]
            with cgutils.for_range(builder, count):
                here = [builder.load(one) for one in now]
                visit(*here)
                for one, value, step in zip(now, here, steps, strict=True):
                    builder.store(builder.gep(value, [step]), one)

        def visit(window, g, winner):
            for f in range(filters):
                shift, value = masked_delta(
                    builder, builder.gep(g, [number(f)]), builder.gep(winner, [number(f)]), places, kind
                )
                start = builder.gep(window, [shift])
                for u in range(rows):
                    cells = builder.load(vector_pointer(builder, start, builder.mul(row, number(u)), kind), align=4)
                    builder.store(multiply_add(builder, value, cells, builder.load(held[f, u])), held[f, u])
                builder.store(builder.fadd(value, builder.load(held[f, rows])), held[f, rows])

        def visit_row(window, g, winner):
            loop(across, visit, (window, g, winner), (image_step, delta_step, delta_step))

        loop(down, visit_row, (image, delta, winners), (image_row, delta_row, winners_row))
        for place, one in held.items():
            builder.store(builder.load(one), sum_at(*place), align=4)

    return emit


_SIZES = [(r, q) for r in range(1, MOST_ROWS + 1) for q in range(1, filters_at_a_time(r) + 1)]
_whole_body, _half_body = switched(_emit_of(1), _SIZES), switched(_emit_of(2), _SIZES)


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    numbers = types.CPointer(types.int64)
    return types.void(intp, intp, address, address, types.CPointer(types.uint8), numbers, address, intp, intp, numbers)


@callback(_signature)
def _whole(rows, filters, image, delta, winners, places, sums, down, across, steps):
    _whole_body(rows, filters, (image, delta, winners, places, sums, down, across, steps))


@callback(_signature)
def _half(rows, filters, image, delta, winners, places, sums, down, across, steps):
    _half_body(rows, filters, (image, delta, winners, places, sums, down, across, steps))


def winner_tile_address(length: int, dtype: Any) -> int:
    """Address of the compiled tile for float32 or float64, and for kernel rows of `row_length`."""
    return address_of(_whole if length == lane_count_of(dtype) else _half, dtype)


@intrinsic
def winner_tile(typingctx, address, rows, filters, image, delta, winners, places, sums, down, across, steps):
    """Call a tile by its address: for `down` rows of `across` windows.

    `image` points to the first cell of the first window's kernel, `delta` and `winners` to the first window and filter,
    `places` to the table from `table_of_places`; `steps` is the array from `window_steps`.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, image, delta, winners, places, sums, intp, intp, steps)

    def codegen(context, builder, sig, args):
        address, *rest, steps = args
        emit_call(builder, address, [*rest, context.make_array(sig.args[-1])(context, builder, steps).data])
        return context.get_dummy_value()

    return signature, codegen
