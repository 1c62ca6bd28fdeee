"""The data gradient below one pooling window at a time, held in registers.

Whichever place of its pooling window a filter's winner has, its kernel lies within the same frame of cells, so the sums
over the filters are made there and written once:

    frame[a, b]  +=  g[f] * framed[f, a - r, b - c]      for every filter, where (r, c) is the winner's place

g is delta of the filter at the window, or 0 where the largest value did not pass the ReLU. Around the weights in
`framed` there are zeros, so that a place is an offset and no cell is an exception. To add them to memory winner by
winner (`rot180.kernels.walk`) needs fewer products, but as many writes, most of them across two cache lines.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rot180.kernels.compiling import callback
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.processor import REGISTERS
from rot180.kernels.simd import llvm_vector, multiply_add, number, vector_pointer
from rot180.kernels.switch import address_of, emit_call, switched
from rot180.kernels.winner_tile import masked_delta

MOST_ROWS = 6
"""Rows of a frame."""


def frame_steps(*, row: int, window: int, filters: int, framed: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Pack the numbers that a tile needs, in elements.

    From one row to the next and from one pooling window to the next in the image; the number of filters; from one
    filter to the next and from one row to the next in the framed weights.
    """
    return np.array([row, window, filters, *framed], np.int64)


def _emit(builder, rows, columns, operands, dtype):
    image, framed, delta, winners, places, across, packed = operands
    kind = llvm_vector(dtype)
    row, step, filters, framed_step, framed_row = (builder.load(builder.gep(packed, [number(i)])) for i in range(5))
    cells = [(a, j) for a in range(rows) for j in range(columns)]

    def at(base, stride, a, j):
        return vector_pointer(builder, base, builder.add(builder.mul(stride, number(a)), number(j * kind.count)), kind)

    frame = {cell: cgutils.alloca_once(builder, kind) for cell in cells}
    with cgutils.for_range(builder, across) as window:
        here = builder.gep(image, [builder.mul(window.index, step)])
        first = builder.mul(window.index, filters)
        for cell in cells:
            builder.store(builder.load(at(here, row, *cell), align=4), frame[cell])
        with cgutils.for_range(builder, filters) as loop:
            which = builder.add(first, loop.index)
            shift, value = masked_delta(
                builder, builder.gep(delta, [which]), builder.gep(winners, [which]), places, kind
            )
            start = builder.gep(framed, [builder.add(builder.mul(loop.index, framed_step), shift)])
            for cell in cells:
                weights = builder.load(at(start, framed_row, *cell), align=4)
                builder.store(multiply_add(builder, value, weights, builder.load(frame[cell])), frame[cell])
        for cell in cells:
            builder.store(builder.load(frame[cell]), at(here, row, *cell), align=4)


def most_columns(rows: int) -> int:
    """Return how many registers of a row are held at most, for so many rows."""
    return REGISTERS.held // rows


_body = switched(_emit, [(a, j) for a in range(1, MOST_ROWS + 1) for j in range(1, most_columns(a) + 1)])


def _signature(value):
    intp, address = types.intp, types.CPointer(value)
    numbers = types.CPointer(types.int64)
    return types.void(intp, intp, *[address] * 3, types.CPointer(types.uint8), numbers, intp, numbers)


@callback(_signature)
def _frame_tile(rows, columns, image, framed, delta, winners, places, across, steps):
    _body(rows, columns, (image, framed, delta, winners, places, across, steps))


def frame_tile_address(dtype: Any) -> int:
    """Address of the compiled tile for float32 or float64."""
    return address_of(_frame_tile, dtype)


@intrinsic
def frame_tile(typingctx, address, rows, columns, image, framed, delta, winners, places, across, steps):
    """Call a tile by its address: for `across` pooling windows in a row.

    `image` points to the first cell of the first frame, `delta` and `winners` to the first window, `places` to the
    table from `table_of_places`; `steps` is the array from `frame_steps`.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, image, framed, delta, winners, places, intp, steps)

    def codegen(context, builder, sig, args):
        address, *rest, steps = args
        emit_call(builder, address, [*rest, context.make_array(sig.args[-1])(context, builder, steps).data])
        return context.get_dummy_value()

    return signature, codegen
